#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bridges and workers of different versions: this one, one with another patch number, and one that
pretends to be the next, with more in its messages and another segment."""
import os
import signal
import struct
import subprocess
import unittest

from bridges import BUILD, HOLDER, Cluster, wait_for

LIMIT = 12
PATCHED = os.path.join(BUILD, "tests", "bridge_patched")
NEXT = os.path.join(BUILD, "tests", "bridge_next")
NEXT_HOLDER = os.path.join(BUILD, "tests", "bridge_next_holder")


class Upgrade(unittest.TestCase):
    def take_until(self, cluster, workers, wanted):
        def step():
            for worker in workers:
                worker.take_all()
                self.assertLessEqual(cluster.held(), LIMIT)
            return sum(w.held for w in workers) == wanted
        wait_for(f"{wanted} slots on {[w.node.name for w in workers]}", step)

    def moves(self, cluster, workers):
        """Shares go where they are wanted: to each in turn, all but the others' reserves."""
        for busy in workers:
            for worker in workers:
                worker.give_back()
            cluster.wait_sessions(workers)
            self.take_until(cluster, [busy], LIMIT - 2)
        for worker in workers:
            worker.give_back()

    def understood(self, cluster):
        """Nobody has refused a message."""
        for node in cluster.nodes:
            for name in sorted(os.listdir(cluster.directory)):
                if name.startswith(node.name + ".log"):
                    with open(os.path.join(cluster.directory, name), encoding="utf-8") as log:
                        self.assertNotIn("message_refused", log.read(), name)

    def make_next(self, node):
        node.program, node.holder = NEXT, NEXT_HOLDER

    def another_leads(self, cluster):
        """The coordinator ends, and comes back. @return the node that coordinates then"""
        leader = wait_for("a coordinator", cluster.coordinator)
        leader.kill(signal.SIGTERM)
        other = wait_for("another coordinator", cluster.coordinator)
        leader.start()
        return other

    def test_mixed(self):
        """This version and the next in one cluster, each as coordinator."""
        with Cluster(start=False) as cluster:
            self.make_next(cluster.nodes[0])
            for node in cluster.nodes:
                node.start()
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            self.moves(cluster, workers)
            led = {wait_for("a coordinator", cluster.coordinator).program}
            while len(led) < 2:
                led.add(self.another_leads(cluster).program)
                self.moves(cluster, workers)
            self.understood(cluster)

    def test_rolling(self):
        """One node after the other is replaced by the next version; a host's slots end with it."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            for i, node in enumerate(cluster.nodes):
                others = [w for w in workers if w is not workers[i]]
                self.take_until(cluster, [others[0]], LIMIT - 2)
                workers[i].close()
                node.kill(signal.SIGTERM)
                self.make_next(node)
                node.reboot()  # its segment is of the old layout
                node.start()
                workers[i] = cluster.worker(i)
                cluster.wait_sessions([workers[i]])
                others[0].give_back()
            self.moves(cluster, workers)
            self.understood(cluster)

    def test_patched(self):
        """A bridge of another patch version takes over a segment and its workers, and back."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            node, worker = cluster.nodes[0], workers[0]
            self.assertEqual(worker.take_all(4), 4)
            for program, version in ((PATCHED, "0.1.77"), (node.program, None)):
                node.kill()
                node.program = program
                node.start()
                self.assertTrue(version is None or node.says(f"version={version}"))
                cluster.wait_sessions([worker])
                self.assertEqual(worker.explain().in_use, 4)
            worker.give_back()
            self.moves(cluster, workers)
            self.understood(cluster)

    def refused(self, text, of, by):
        self.assertRegex(text, rf"its layout is version {of} .* this program's is version {by} ")

    def test_layouts(self):
        """A segment of another layout is refused, by bridges and workers, with both versions named;
        one of each beside each other do."""
        with Cluster(count=2) as cluster:
            old, new = cluster.nodes
            layout = self.layout(old)
            new.kill(signal.SIGTERM)
            new.program = NEXT
            new.run()
            wait_for("an end", new.ended)
            self.assertEqual(new.process.returncode, 1)
            self.refused(new.log(), layout, layout + 1)
            new.reboot()
            new.start()
            new.holder = NEXT_HOLDER
            self.refused(self.worker_error(HOLDER, new), layout + 1, layout)
            self.refused(self.worker_error(NEXT_HOLDER, old), layout, layout + 1)
            workers = [cluster.worker(i) for i in range(2)]
            cluster.wait_sessions(workers)
            self.assertEqual([w.take_all(LIMIT // 2) for w in workers], [LIMIT // 2] * 2)

    def layout(self, node):
        with open(os.path.join(node.directory, node.segment + ".seg"), "rb") as segment:
            return struct.unpack("<QI", segment.read(12))[1]

    def worker_error(self, holder, node):
        done = subprocess.run([holder, node.directory, node.segment, "mx.example.com"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        return done.stderr


if __name__ == "__main__":
    unittest.main()
