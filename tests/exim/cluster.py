# SPDX-License-Identifier: MIT
"""Everything that runs: a DNS server, MX hosts, a witness, and the nodes."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import plan
import world
from node import Node

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60  # seconds until something that must happen counts as never happening


class Problem(Exception):
    """Something that ends the test; the text is for the user."""


class Cluster:
    """Nodes with queues, and the world that they deliver to."""

    def __init__(self, options, where):
        self.options, self.where = options, where
        self.helpers = []
        self.nodes = [Node(n + 1, where, options) for n in range(plan.NODES)]
        self.names = [w.split(";")[0] for w in plan.watches()]
        self.report, self.unread = None, b""
        self.sent = {}
        self.arrived_file = os.path.join(where, "arrived")

    def log(self, text):
        print(f"{time.monotonic() - self.options.began:6.1f} s  {text}", flush=True)

    def helper(self, name, *command, **options):
        complaints = open(os.path.join(self.where, name + ".log"), "ab")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=complaints, **options)
        self.helpers.append(process)
        return process

    def start_world(self):
        arguments = []
        if self.options.tls:
            arguments = [os.path.join(self.where, "tls.pem")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=mx", "-days", "2",
                            "-keyout", arguments[0], "-out", arguments[0] + ".cert"], check=True,
                           stderr=subprocess.DEVNULL)
            with open(arguments[0], "a", encoding="ascii") as out, open(
                    arguments[0] + ".cert", encoding="ascii") as certificate:
                out.write(certificate.read())
        servers = json.dumps([vars(server) for server in plan.SERVERS])
        for name, command in (
                ("dns", [os.path.join(HERE, "dns.py"), "127.0.0.1", json.dumps(plan.dns_table())]),
                ("smtp", [os.path.join(HERE, "smtp.py"), "25", self.arrived_file, servers,
                          *arguments])):
            if self.helper(name, sys.executable, "-B", *command).stdout.readline() != b"ready\n":
                raise Problem(f"the {name} server did not start; see {self.where}/{name}.log")

    def start_witness(self):
        self.report, self.unread = None, b""
        self.witness = self.helper("witness", os.path.join(self.options.build, "bin/demo-witness"),
                                   "--port", "25", "--interval", "3", *plan.watches())

    def stop_witness(self):
        self.run(0.3)
        self.witness.kill()
        self.witness.wait()
        self.helpers.remove(self.witness)

    # ---- time passing ----

    def tick(self):
        """Wait for the witness's next report, ten a second."""
        readable, _, _ = select.select([self.witness.stdout], [], [], 1.0)
        if readable:
            self.unread += os.read(self.witness.stdout.fileno(), 65536)
            *lines, self.unread = self.unread.split(b"\n")
            for line in lines:
                self.report = json.loads(line)
        if self.witness.poll() is not None:
            raise Problem(f"the witness ended; see {self.where}/witness.log")

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick()

    def until(self, what, condition, patience=PATIENCE):
        end = time.monotonic() + patience
        while not condition():
            self.tick()
            if time.monotonic() > end:
                raise Problem(f"never happened: {what}")

    def watch(self, name):
        """now, most since the last report, highest ever, looks that found more than the limit"""
        return self.report["watch"][self.names.index(name)]

    # ---- the nodes ----

    def configure(self, limits, native=""):
        members = [(node.name, 7900 + node.number) for node in self.nodes]
        for node in self.nodes:
            node.configure(limits, members, native)

    def start_bridges(self):
        for node in self.nodes:
            node.start_bridge()
        self.until("all nodes have a session", lambda: all(map(self.session, self.nodes)))
        for node in self.nodes:
            node.start_service()

    @staticmethod
    def session(node):
        stat = node.stat()
        return bool(stat) and stat["segment"]["session"]

    def fill_queues(self, total, mail=plan.MAIL, prefix=""):
        for node, part in zip(self.nodes, plan.SKEW):
            made = plan.messages(node.number, round(total * part), mail, prefix)
            node.queue(made)
            self.sent.update({identity: recipient.partition("@")[2]
                              for identity, _, recipient in made})

    def start_exims(self):
        for node in self.nodes:
            node.start_exim()

    def arrived(self):
        """identity -> how often, and MX host -> (count, first, last) as the log has them"""
        counts, hosts = {}, {}
        try:
            with open(self.arrived_file, encoding="ascii") as log:
                for line in log:
                    identity, host, _ = line.split()
                    counts[identity] = counts.get(identity, 0) + 1
                    hosts[host] = hosts.get(host, 0) + 1
        except FileNotFoundError:
            pass
        return counts, hosts

    def queued(self):
        world.reap([*self.helpers, *(p for node in self.nodes for p in node.own())])
        return sum(node.queued() for node in self.nodes)

    def await_delivery(self, patience):
        began = time.monotonic()
        looked = 0.0

        def done():
            nonlocal looked
            if time.monotonic() - looked < 0.2:
                return False
            looked = time.monotonic()
            return self.queued() == 0
        self.until("all queues are empty", done, patience)
        return time.monotonic() - began

    def kill_deliveries(self, count):
        """kill -9 of processes that have a connection open."""
        victims = [pid for node in self.nodes for pid in node.delivering()]
        random.shuffle(victims)
        for pid in victims[:count]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(victims[:count])

    def stop(self):
        for node in self.nodes:
            node.stop()

    def end(self):
        self.stop()
        for process in self.helpers:
            process.kill()
            process.wait()
