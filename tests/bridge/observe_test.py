#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits that are only observed, in a cluster: nothing is refused, all is counted, and shares are
dealt as if it were enforced; switched on and off while everybody works, and while some die."""
import json
import os
import signal
import subprocess
import unittest

from bridges import BUILD, Cluster, wait_for

SHMSTAT = os.path.join(BUILD, "bin", "shmstat")
HOST = "mx.example.com"


def limit(number, enforce):
    return f'[host "{HOST}"]\ncluster_max_outbound_connections = {number}\nenforce = {enforce}\n'


def counter(node):
    """What shmstat says of it on this node."""
    done = subprocess.run([SHMSTAT, "--json", "--idle", "--name", node.segment, "--directory",
                           node.directory, "--counter", f"host:{HOST}"],
                          capture_output=True, check=True)
    return json.loads(done.stdout)["counters"][0]


class Observe(unittest.TestCase):
    def load(self, nodes, limits):
        for node in nodes:
            node.reload(node.cluster.config_of(node, limits))

    def reach(self, nodes, epoch):
        wait_for(f"epoch {epoch}", lambda: all(n.status()["epoch"] == epoch for n in nodes))

    def test_a_trial(self):
        with Cluster(limit(6, "no")) as cluster:
            nodes = cluster.nodes
            a, b, c = workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            self.assertEqual([a.take(10), b.take(10)], [10, 10])
            said = counter(nodes[0])
            self.assertTrue(said["observed"])
            self.assertGreater(said["would_refuse"], 0)
            self.assertEqual((said["refusals"], said["excess"], said["limit"]), (0, 0, 6))
            self.assertEqual(a.shed(), (0, 0))
            # What is in use is known everywhere; the shares are those of a limit of 6.
            wait_for("the sum", lambda: all(w.explain().cluster_in_use == 20 for w in workers))
            wait_for("shares", lambda: sorted(w.explain().share for w in workers)[1:] == [2, 3] or
                     sum(w.explain().share for w in workers) == 6)
            # The dead give back exactly what they held.
            b.kill()
            wait_for("the dead", lambda: counter(nodes[1])["in_use"] == 0)
            wait_for("the sum", lambda: c.explain().cluster_in_use == 10)
            # A file that enforces acts at once where it is, and elsewhere when all have it.
            self.load(nodes[:1], limit(6, "yes"))
            wait_for("the proposal", lambda: nodes[0].says("event=config_proposed"))
            self.assertEqual(a.take(), 0)
            self.assertEqual(c.take(5), 5)
            self.assertFalse(counter(nodes[0])["observed"])
            self.assertGreater(counter(nodes[0])["excess"], 0)
            self.load(nodes[1:], limit(6, "yes"))
            wait_for("promises", lambda: all(n.says("event=config_promised epoch=2")
                                             for n in nodes))
            self.assertEqual((a.take(), c.take()), (0, 0))
            self.assertEqual(nodes[0].status()["epoch"], 1)
            for worker in (a, c):
                worker.give_back(keep=2)
            self.reach(nodes, 2)
            cluster.take_until([a, c, cluster.worker(1)], 6, 6)
            self.assertEqual(sum(counter(n)["in_use"] for n in nodes), 6)
            # And back: when all have it nothing is refused.
            self.load(nodes, limit(6, "no"))
            self.reach(nodes, 3)
            self.assertEqual(a.take(7), 7)
            self.assertTrue(all(counter(n)["observed"] for n in nodes))

    def test_without_bridges_and_with_overrides(self):
        with Cluster(limit(4, "no"), count=2) as cluster:
            nodes = cluster.nodes
            a, b = [cluster.worker(i) for i in range(2)]
            cluster.wait_sessions([a, b])
            self.assertEqual(a.take(9), 9)
            # A dead bridge is no reason to refuse: what counts then is the reserve.
            nodes[0].kill(signal.SIGKILL)
            wait_for("the end of the session", lambda: not a.explain().session)
            before = counter(nodes[0])["would_refuse"]
            self.assertEqual(a.take(3), 3)
            self.assertEqual(counter(nodes[0])["would_refuse"], before + 3)
            self.assertEqual(counter(nodes[0])["excess"], 0)
            nodes[0].start()
            cluster.wait_sessions([a, b])
            self.assertEqual((counter(nodes[0])["in_use"], a.take(), b.take()), (12, 1, 1))
            # An override is meant: everybody drains, and keeps to it.
            code, out, errors = nodes[0].ask("override", "set", "--host", HOST, "4", "--for", "1h",
                                             "--wait", "0")
            self.assertIn(code, (0, 75), out + errors)
            wait_for("the override", lambda: not any(counter(n)["observed"] for n in nodes))
            self.assertEqual((a.take(), b.take()), (0, 0))
            for worker in (a, b):
                worker.give_back()
            self.reach(nodes, 2)
            cluster.take_until([a, b], 4, 4)
            code, out, errors = nodes[1].ask("override", "clear", "--host", HOST)
            self.assertEqual(code, 0, out + errors)
            self.reach(nodes, 3)
            wait_for("the end", lambda: all(counter(n)["observed"] for n in nodes))
            self.assertEqual(b.take(9), 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
