# SPDX-License-Identifier: MIT
"""Child processes of the demo: none of them outlives it, whatever happens."""

import ctypes
import os
import random
import signal
import socket
import subprocess


PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Problem(Exception):
    """Something that ends the demo; the text is for the user."""


class Processes:
    """All that was started, with the files that they complain into."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []
        # Children of killed children become ours, so that we can wait for their end.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, name, command, **options):
        """Start a process in a group of its own. setpriv has the kernel kill it if we die."""
        log = os.path.join(self.directory, name + ".log")
        with open(log, "ab") as errors:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command],
                                       stderr=errors, start_new_session=True,
                                       **{"stdin": subprocess.DEVNULL, **options})
        process.name, process.log, process.expected = name, log, False
        self.running.append(process)
        return process

    def check(self):
        """Complain when a process has ended by itself."""
        for process in self.running:
            if not process.expected and process.poll() is not None:
                raise Problem(f"{process.name} ended (status {process.returncode})"
                              f"{self.complaints(process)}")

    def complaints(self, process):
        with open(process.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().splitlines()[-15:]
        return "".join(f"\n    {line}" for line in lines)

    def kill(self, process):
        """kill -9, with all its children; returns when all are gone and their sockets closed."""
        process.expected = True
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        try:
            while True:
                os.waitpid(-process.pid, 0)
        except ChildProcessError:
            self.forget(process)

    def forget(self, process):
        if process in self.running:
            self.running.remove(process)

    def kill_all(self):
        for process in list(self.running):
            self.kill(process)


def children(process):
    """The pids of a process's children."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(path, encoding="ascii") as text:
        return [int(pid) for pid in text.read().split()]


def free_port(addresses, taken=()):
    """A port that is free on all addresses, below those that the kernel gives to clients."""
    for port in random.sample(range(20000, 30000), 200):
        if port not in taken and all(_is_free(address, port) for address in addresses):
            return port
    raise Problem("no free port between 20000 and 30000 on the loopback addresses "
                  f"{', '.join(addresses)}")


def _is_free(address, port):
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
