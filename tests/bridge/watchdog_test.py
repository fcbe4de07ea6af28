#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A bridge whose main loop stands still ends itself, for somebody to start it again; one that was
stopped as a whole goes on. Their patience here is 5 seconds instead of a minute, and all have it at
the same time."""
import ctypes
import os
import resource
import signal
import subprocess
import time
import unittest

from bridges import BUILD, PATIENCE, Cluster, wait_for

IMPATIENT = os.path.join(BUILD, "tests", "bridge_impatient")
STOPPED = 7  # seconds: more than its patience
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


def hold_loop(pid):
    """Stop the main loop's thread, as a debugger does, and no other. @return false: not allowed here"""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    if any(libc.ptrace(request, pid, None, None) != 0
           for request in (PTRACE_SEIZE, PTRACE_INTERRUPT)):
        return False
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), status
    return True


def fill(pipe):
    """Write to a pipe, of which `pipe` is the other end, until it takes no more."""
    end = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(end, b"x" * size)
        except BlockingIOError:
            pass
    os.close(end)


class Watchdog(unittest.TestCase):
    def setUp(self):
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)

    def node(self):
        """A cluster of one."""
        cluster = Cluster(count=1, start=False)
        cluster.__enter__()
        self.addCleanup(cluster.__exit__, None, None, None)
        cluster.nodes[0].program = IMPATIENT
        return cluster.nodes[0]

    def start_unread(self, node):
        """One that can log no more, because nobody reads it. @return what reads it"""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        node.process = subprocess.Popen(
            [IMPATIENT, "--config", node.config, "--found", "--log-level", "debug"], stderr=write,
            stdin=subprocess.DEVNULL)
        os.close(write)
        log = b""
        while b"event=started" not in log:
            log += os.read(read, 4096)
        fill(read)
        return read

    def test_all(self):
        held, stopped, unread = (self.node() for _ in range(3))
        worker = held.start().cluster.worker(0)
        wait_for("slots", lambda: worker.take_all(5) == 5)
        stopped.start()
        log = self.start_unread(unread)
        traced = hold_loop(held.process.pid)
        stopped.process.send_signal(signal.SIGSTOP)
        for _ in range(STOPPED):
            unread.process.send_signal(signal.SIGHUP)  # it has something to say
            time.sleep(1)
        stopped.process.send_signal(signal.SIGCONT)
        self.check_stopped(stopped)
        self.check_unread(unread, log)
        if not traced:
            self.skipTest("no process may be traced here: nothing else can hold the loop alone")
        self.check_held(held, worker)

    def check_stopped(self, node):
        for _ in range(3):
            self.assertEqual(node.status()["node"], node.name)
        self.assertFalse(node.says("event=stands_still"))
        self.assertEqual(node.kill(signal.SIGTERM), 0)

    def check_unread(self, node, log):
        """It has gone on; and says how much was lost when somebody reads again."""
        node.process.send_signal(signal.SIGHUP)
        self.assertEqual(node.status()["node"], node.name)
        os.set_blocking(log, False)
        text = b""

        def told():
            nonlocal text
            node.process.send_signal(signal.SIGHUP)
            try:
                text += os.read(log, 65536)
            except BlockingIOError:
                pass
            return b" lost=" in text
        wait_for("what was lost", told)
        node.process.terminate()
        self.assertEqual(node.process.wait(PATIENCE), 0)

    def check_held(self, node, worker):
        """It has said why, and what was held before is held afterwards."""
        wait_for("its end", node.ended)
        self.assertEqual(node.process.returncode, -signal.SIGABRT)
        [line] = [line for line in node.log().splitlines() if "event=stands_still" in line]
        self.assertRegex(line, r"level=error event=stands_still step=[a-z]+ seconds=5 note=")
        os.rename(node.log_file, node.log_file + ".held")
        node.start()
        self.assertEqual(worker.explain().in_use, 5)


if __name__ == "__main__":
    unittest.main()
