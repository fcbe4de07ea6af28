# SPDX-License-Identifier: MIT
"""The main job of slotshare on real SMTP traffic: a cluster of three nodes on this machine.

Three segments, three bridges over loopback ports, on each node several workers that deliver real
messages to a real SMTP server, and a witness that counts connections in the kernel. Then things
go wrong: workers, the coordinator's bridge and a whole node are killed, and demand moves.
"""

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import plan
from node import Node
from processes import Problem, Processes, free_port
from verdict import Verdict
from view import View

HERE = os.path.dirname(os.path.abspath(__file__))
FULL = 0.9  # of what can be had, in use: "has moved"; connections come and go all the time
SETTLE = 0.2  # seconds; the witness reports every 0.1 s
PATIENCE = 30.0  # seconds until the demo gives up waiting for something to happen


class Demo:
    """The cluster, and time passing."""

    def __init__(self, build, directory, options):
        self.build, self.directory = build, directory
        self.short, self.limits = options.short, "" if options.no_limits else plan.LIMITS
        self.processes = Processes(directory)
        self.view = View()
        self.began = time.monotonic()
        self.counts, self.shares, self.looks, self.longest_ms = {}, {}, 0, 0.0
        self.unread, self.polled, self.arrived = b"", 0.0, 0
        self.measured = []
        self.receiver_log = os.path.join(directory, "arrived")

    # ---- time passing ----

    def now(self):
        return time.monotonic() - self.began

    def event(self, text):
        self.view.event(self.now(), text)

    def tick(self):
        """Wait for the witness's next report (ten a second) and show it."""
        readable, _, _ = select.select([self.witness.stdout], [], [], 1.0)
        self.processes.check()
        if not readable:
            return
        self.unread += os.read(self.witness.stdout.fileno(), 65536)
        *lines, self.unread = self.unread.split(b"\n")
        for line in lines:
            report = json.loads(line)
            self.counts = dict(zip(self.watch_names, report["watch"]))
            self.looks, self.longest_ms = report["looks"], report["longest_ms"]
        if self.now() - self.polled >= 0.5:
            self.polled = self.now()
            self.poll()
        if self.counts:
            self.view.numbers(self.now(), self.counts, self.shares, self.arrived)

    def poll(self):
        """Ask shmstat for the shares, and the receiver's log for its length."""
        for node in self.nodes:
            stat = node.stat() if node.bridge else None
            self.shares[node.name] = {row["name"]: row for row in
                                      stat["counters"]} if stat else {}
        if os.path.exists(self.receiver_log):
            with open(self.receiver_log, "rb") as log:
                self.arrived = sum(1 for _ in log)

    def run(self, seconds):
        end = self.now() + seconds
        while self.now() < end:
            self.tick()

    def until(self, condition, patience=PATIENCE):
        """Let time pass until condition() holds. Returns seconds, or None out of patience."""
        start = self.now()
        while self.now() - start < patience:
            self.tick()
            if condition():
                return self.now() - start
        return None

    def measure(self, what, condition, settle=0.0):
        """Take the time until condition() holds. settle: how long the witness's reports may still
        be about what was before the event."""
        start = self.now()
        self.run(settle)
        seconds = self.until(condition)
        seconds = None if seconds is None else self.now() - start
        self.measured.append((what, seconds, PATIENCE))
        self.event(f"{what}: {'never' if seconds is None else '%.2f s' % seconds}")

    # ---- what can be seen ----

    def open_on(self, nodes):
        """Connections of these nodes that count against a limit, at the last look."""
        return sum(self.counts[f"{c.name}@{n}"][0] for n in nodes for c in plan.COUNTERS)

    def can_be_had(self, absent):
        """All slots but those that so many absent nodes keep as their reserves."""
        return sum(c.limit - absent * c.reserve for c in plan.COUNTERS)

    def in_use_by(self, nodes, absent):
        return lambda: self.open_on(nodes) >= FULL * self.can_be_had(absent)

    def session(self, node):
        stat = node.stat()
        return bool(stat) and stat["segment"]["session"]

    def coordinator(self):
        """The node that moves the shares now."""
        for node in self.nodes:
            stat = node.stat()
            for member in stat["members"] if stat else ():
                if member["role"] == "coordinator":
                    return next(n for n in self.nodes if n.name == member["name"])
        raise Problem("no node knows a coordinator")

    # ---- the story ----

    def start(self):
        addresses = [server.address for server in plan.SERVERS]
        mail_port = free_port(addresses)
        ports = []
        for _ in plan.NODES:
            ports.append(free_port(["127.0.0.1"], ports))
        servers = [vars(server) for server in plan.SERVERS]
        receiver = self.processes.start(
            "receiver", [sys.executable, os.path.join(HERE, "receiver.py"), str(mail_port),
                         self.receiver_log, json.dumps(servers)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if receiver.stdout.readline() != "ready\n":
            raise Problem(f"the SMTP server did not start{self.processes.complaints(receiver)}")
        arguments = plan.watches()
        self.watch_names = [argument.split(";")[0] for argument in arguments]
        self.witness = self.processes.start(
            "witness", [os.path.join(self.build, "bin", "demo-witness"), "--port",
                        str(mail_port), "--interval", "3", *arguments], stdout=subprocess.PIPE)
        self.nodes = [Node(name, self.processes, self.build, self.directory,
                           plan.config(name, self.directory, ports, self.limits), mail_port)
                      for name in plan.NODES]
        for node in self.nodes:
            node.start_bridge()
        self.event(f"SMTP server, witness and {len(self.nodes)} bridges started")

    def story(self):
        self.start()
        self.measure("all nodes have a session", lambda: all(map(self.session, self.nodes)))
        names = [node.name for node in self.nodes]
        for node in self.nodes:
            node.start_all_workers()
        self.event("on each node "
                   f"{sum(plan.PROCESSES.values())} workers began to deliver")
        self.measure("nearly all slots are in use", self.in_use_by(names, 0))
        self.run(4 if self.short else 20)
        if not self.limits:
            return self.stop()
        self.kill_workers(self.nodes[0])
        self.run(1 if self.short else 10)
        self.kill_bridge(self.coordinator())
        self.run(1 if self.short else 10)
        lost = self.coordinator()
        self.lose_node(lost)
        self.run(1 if self.short else 10)
        self.move_demand(lost)
        self.run(2 if self.short else 15)
        return self.stop()

    def kill_workers(self, node):
        killed = node.some_workers(2)
        pids = {pid for some in killed.values() for pid in some}
        held = node.slots_of(pids)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.event(f"kill -9: {len(pids)} workers on {node.name}, which held {held} slots")
        self.measure("all slots of killed workers are given back",
                     lambda: node.slots_of(pids) == 0)
        self.measure("nearly all slots are in use again without killed workers",
                     self.in_use_by([n.name for n in self.nodes], 0), SETTLE)
        for binding, some in killed.items():
            node.start_workers(binding, len(some))
        self.event(f"new workers started on {node.name}, as an MTA's master would do")

    def kill_bridge(self, node):
        node.kill_bridge()
        self.event(f"kill -9: the bridge of {node.name}, the coordinator; its workers go on")
        self.run(2 * plan.SESSION)
        self.event(f"{node.name}, cut off, has {self.open_on([node.name])} connections (its reserve:"
                   f" {sum(c.reserve for c in plan.COUNTERS)}); the others "
                   f"{self.open_on(n.name for n in self.nodes if n is not node)}")
        node.start_bridge()
        self.event(f"bridge of {node.name} started again")
        self.measure(f"{node.name} has a session again", lambda: self.session(node))
        self.measure("nearly all slots are in use after the bridge's return",
                     self.in_use_by([n.name for n in self.nodes], 0), SETTLE)

    def lose_node(self, node):
        node.kill_everything()
        others = [n.name for n in self.nodes if n is not node]
        self.event(f"kill -9: all of {node.name}, the coordinator (bridge, workers, segment)")
        self.measure("the others use what the lost node had", self.in_use_by(others, 1), SETTLE)

    def move_demand(self, node):
        node.start_bridge()
        self.event(f"{node.name} is up again, with a new segment")
        self.measure(f"{node.name} has a session", lambda: self.session(node))
        for other in self.nodes:
            if other is not node:
                other.ask_workers_to_stop()
        node.start_all_workers()
        self.event(f"all demand moves to {node.name}")
        self.measure(f"nearly all slots have moved to {node.name}",
                     self.in_use_by([node.name], len(self.nodes) - 1), SETTLE)

    def stop(self):
        """Let the workers finish, then look at what they and the receiver wrote."""
        for node in self.nodes:
            node.ask_workers_to_stop()
        for node in self.nodes:
            node.collect_workers()
        self.run(0.5)
        self.event("workers stopped")

    def verdict(self):
        verdict = Verdict()
        verdict.limits(self.counts, self.looks, self.longest_ms)
        verdict.messages(self.nodes, self.receiver_log)
        verdict.times(self.measured)
        return verdict.end()


def stop_signal(number, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="less than a minute")
    parser.add_argument("--keep", action="store_true", help="keep configs and logs, say where")
    parser.add_argument("--no-limits", action="store_true",
                        help="set no limits: the witness must find them broken, exit status 1")
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_signal)
    directory = tempfile.mkdtemp(prefix="slotshare-demo-")
    demo = Demo(os.path.abspath(arguments.build), directory, arguments)
    try:
        print("Three nodes on this machine; timers shorter than in operation: session "
              f"{plan.SESSION:g} s, drain {plan.DRAIN:g} s (defaults: 6 s, 30 s).")
        demo.story()
        demo.processes.kill_all()
        return demo.verdict()
    except (Problem, subprocess.TimeoutExpired) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        demo.processes.kill_all()
        if arguments.keep:
            print(f"kept: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
