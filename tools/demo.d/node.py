# SPDX-License-Identifier: MIT
"""One node of the demo's cluster: a segment, a bridge, and workers."""

import glob
import json
import os
import signal
import subprocess

import plan
from processes import Problem, children


class Node:
    """Everything that belongs to one host."""

    def __init__(self, name, processes, build, directory, config, mail_port):
        self.name = name
        self.processes = processes
        self.bin = os.path.join(build, "bin")
        self.directory = directory
        self.mail_port = mail_port
        self.config_file = os.path.join(directory, name + ".conf")
        self.delivered = os.path.join(directory, name + ".delivered")
        self.bridge = None
        self.workers = []
        self.totals = []
        os.mkdir(os.path.join(directory, name + ".state"), 0o700)
        with open(self.config_file, "w", encoding="utf-8") as out:
            out.write(config)

    def start_bridge(self):
        self.bridge = self.processes.start(
            f"bridge-{self.name}",
            [os.path.join(self.bin, "slotshare-bridge"), "--config", self.config_file])

    def start_workers(self, binding, processes=None):
        command = [os.path.join(self.bin, "mailworker"), "--name", self.name,
                   "--directory", self.directory, "--binding", binding,
                   "--source", plan.source(self.name, binding),
                   "--sender", f"demo@{binding}.example", "--log", self.delivered,
                   "--processes", str(processes or plan.PROCESSES[binding]),
                   "--connections", str(plan.CONNECTIONS[binding]),
                   "--per-connection", "5", "--lifetime", "1500", "--wait", "300"]
        for domain, server, weight in plan.DEMAND[binding]:
            command += ["--destination",
                        f"{domain},{server.host},{server.address}:{self.mail_port},{weight}"]
        worker = self.processes.start(f"mailworker-{self.name}-{binding}", command,
                                      stdout=subprocess.PIPE, text=True)
        worker.binding = binding
        self.workers.append(worker)

    def start_all_workers(self):
        for binding in plan.BINDINGS:
            self.start_workers(binding)

    def ask_workers_to_stop(self):
        """SIGTERM: each finishes the message at hand."""
        for worker in self.workers:
            worker.expected = True
            worker.send_signal(signal.SIGTERM)

    def collect_workers(self):
        """Wait for workers that were asked to stop, and keep what they counted."""
        for worker in self.workers:
            text, _ = worker.communicate(timeout=60)
            if not text:
                raise Problem(f"{worker.name} ended without a word (status {worker.returncode})"
                              f"{self.processes.complaints(worker)}")
            self.totals.append({"name": worker.name, "status": worker.returncode,
                                "complaints": self.processes.complaints(worker),
                                **json.loads(text)})
            self.processes.forget(worker)
        self.workers = []

    def some_workers(self, count):
        """So many worker processes of each binding: {binding: pids}."""
        return {worker.binding: children(worker)[:count] for worker in self.workers}

    def slots_of(self, pids):
        """How many slots these processes hold, as shmstat tells it."""
        stat = self.stat()
        return sum(1 for slot in stat["slots"] if slot["pid"] in pids) if stat else 0

    def kill_bridge(self):
        self.processes.kill(self.bridge)

    def kill_everything(self):
        """The host loses its power: bridge and workers are gone, and so is /run with the segment."""
        for worker in self.workers:
            self.processes.kill(worker)
        self.workers = []
        self.kill_bridge()
        for name in glob.glob(os.path.join(self.directory, f"{self.name}.seg*")) + glob.glob(
                os.path.join(self.directory, f"{self.name}.lock*")):
            os.unlink(name)

    def stat(self):
        """What `shmstat --json` says; None while there is no segment."""
        done = subprocess.run([os.path.join(self.bin, "shmstat"), "--json", "--idle", "--name", self.name,
                               "--directory", self.directory],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None
