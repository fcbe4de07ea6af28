#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""End to end: real bridges, real segments, real sockets on the loopback interface."""
import os
import re
import signal
import subprocess
import time
import unittest

from bridges import BRIDGE, Cluster, wait_for

LIMIT = 12


class Bridges(unittest.TestCase):
    def never_over(self, cluster, limit=LIMIT):
        self.assertLessEqual(cluster.held(), limit)

    def take_until(self, cluster, workers, wanted, limit=LIMIT):
        """All workers take what they get until they hold `wanted` together."""
        def step():
            for worker in workers:
                worker.take_all()
                self.never_over(cluster, limit)
            return sum(w.held for w in workers) == wanted
        wait_for(f"{wanted} slots on {[w.node.name for w in workers]}", step)

    def test_split_and_move(self):
        """The limit is split; demand on one node moves the shares there, and back."""
        with Cluster() as cluster:
            a, b, c = (cluster.worker(i) for i in range(3))
            cluster.wait_sessions([a, b, c])
            for worker in (a, b, c):
                self.assertEqual(worker.take_all(4), 4)
            self.assertEqual(cluster.held(), LIMIT)
            for worker in (b, c):
                worker.give_back()
            reserve = a.explain().reserve
            self.assertEqual(reserve, 1)
            # The others keep their reserves: these are lent to nobody.
            self.take_until(cluster, [a], LIMIT - 2 * reserve)
            self.assertEqual(b.take_all(), reserve)
            a.give_back(keep=2)
            # b and c want all there is; a holds two and wants no more.
            self.take_until(cluster, [b, c], LIMIT - 2)
            wait_for("what the cluster holds, for people",
                     lambda: a.explain().cluster_in_use == LIMIT)

    def test_fair_shares(self):
        """Three nodes that all want everything get a third each."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            self.take_until(cluster, workers[:1], LIMIT - 2)
            def fair():
                workers[0].give_back(keep=workers[0].explain().share)
                for worker in workers:
                    worker.take_all()
                    self.never_over(cluster)
                return all(w.held == 4 for w in workers)
            wait_for("a third each", fair)

    def test_bridge_killed(self):
        """Without its bridge a node falls to its reserve; the rest is used by the others."""
        with Cluster() as cluster:
            a, b, c = (cluster.worker(i) for i in range(3))
            cluster.wait_sessions([a, b, c])
            victim = next(w for w in (a, b, c) if w.node is not wait_for(
                "a coordinator", cluster.coordinator))
            others = [w for w in (a, b, c) if w is not victim]
            self.assertEqual(victim.take_all(4), 4)
            victim.node.kill()
            wait_for("end of the session", lambda: not victim.explain().session)
            self.assertFalse(victim.take())
            victim.give_back(keep=1)
            self.take_until(cluster, others, LIMIT - 1)
            # The bridge comes back, and takes over from the segment.
            victim.node.start()
            cluster.wait_sessions([victim])
            self.assertTrue(victim.node.says("generation=2"))
            for worker in others:
                worker.give_back(keep=2)
            self.take_until(cluster, [victim], LIMIT - 4)

    def test_restart_keeps_share(self):
        """A bridge that comes back within the session goes on where it was."""
        with Cluster(session="6") as cluster:
            a, b, c = (cluster.worker(i) for i in range(3))
            cluster.wait_sessions([a, b, c])
            self.take_until(cluster, [a], LIMIT - 2)
            a.node.kill()
            a.node.start()
            self.assertEqual(a.held, LIMIT - 2)
            cluster.wait_sessions([a, b, c])
            self.assertEqual(b.take_all() + c.take_all(), 2)
            self.never_over(cluster)
            a.give_back()
            self.take_until(cluster, [b], LIMIT - 2)

    def test_coordinator_killed(self):
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            first = wait_for("a coordinator", cluster.coordinator)
            rest = [w for w in workers if w.node is not first]
            first.kill()
            second = wait_for("another coordinator",
                              lambda: cluster.coordinator() not in (None, first)
                              and cluster.coordinator())
            self.assertIn(second, [w.node for w in rest])
            # The dead one's part is usable, except its reserve.
            self.take_until(cluster, rest, LIMIT - 1)
            first.start()
            cluster.wait_sessions(workers)

    def test_host_reboot(self):
        """A host that has lost everything starts at its reserve and gets its part again."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            a, b, c = workers
            cluster.wait_sessions(workers)
            a.take_all(4)
            b.take_all(4)
            a.node.kill()
            a.close()
            a.node.reboot()
            cluster.workers.remove(a)
            a.node.start()
            a = cluster.worker(0)
            cluster.wait_sessions([a, b, c])
            self.take_until(cluster, [a, c], LIMIT - 4)

    def test_majority_gone(self):
        """Cut off from the majority, a node has its reserve and no more."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            for worker in workers[1:]:
                worker.node.kill()
            wait_for("end of the session", lambda: not workers[0].explain().session)
            self.assertEqual(workers[0].take_all(), 1)
            wait_for("the log to say so", lambda: workers[0].node.says("event=session_ended"))

    def test_leave(self):
        """SIGTERM hands back at once what is not in use of a counter that is fought over."""
        with Cluster(session="6", drain="30") as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            first = wait_for("a coordinator", cluster.coordinator)
            leaver = next(w for w in workers if w.node is not first)
            rest = [w for w in workers if w is not leaver]
            for worker in workers:
                self.assertEqual(worker.take_all(4), 4)
            # Everybody wants more, for long enough that the coordinator knows.
            for _ in range(40):
                self.assertFalse(any(w.take() for w in workers))
                time.sleep(0.02)
            leaver.give_back(keep=1)
            self.assertEqual(leaver.node.kill(signal.SIGTERM), 0)
            self.take_until(cluster, rest, LIMIT - 1)

    def leave_at_once(self, coordinator):
        """SIGTERM hands back what is not in use of a counter that nobody had fought over, long
        before it would come back by itself."""
        with Cluster(session="6", drain="600") as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            first = wait_for("a coordinator", cluster.coordinator)
            leaver = next(w for w in workers if (w.node is first) == coordinator)
            rest = [w for w in workers if w is not leaver]
            self.assertEqual(leaver.node.kill(signal.SIGTERM), 0)
            self.take_until(cluster, rest, LIMIT - 1)
            self.assertEqual(leaver.take_all(), 1)

    def test_leave_uncontended(self):
        self.leave_at_once(coordinator=False)

    def test_leave_coordinator(self):
        self.leave_at_once(coordinator=True)

    def test_restart_in_use(self):
        """SIGTERM and a new start under workers that hold slots: each is counted throughout."""
        with Cluster(session="6", drain="600") as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            a, b, c = workers
            cluster.wait_sessions(workers)
            self.take_until(cluster, [a], LIMIT - 2)
            a.give_back(keep=7)
            self.assertEqual(a.node.kill(signal.SIGTERM), 0)
            self.take_until(cluster, [b, c], LIMIT - 7)
            self.assertEqual(a.take(), 0)
            a.node.start()
            cluster.wait_sessions(workers)
            self.assertEqual(a.explain().in_use, 7)
            self.assertFalse(any(w.take() for w in workers))
            a.give_back()
            self.take_until(cluster, [b, c], LIMIT - 1)

    def test_excess(self):
        """Long connections hold all there is; another node wants a part: the workers are told
        which of theirs must end, end them, and the part is handed over long before its time."""
        with Cluster(session="6", drain="600") as cluster:
            a, a2, b = cluster.worker(0), cluster.worker(0), cluster.worker(1)
            cluster.wait_sessions([a, a2, b])
            self.take_until(cluster, [a], 5)
            self.take_until(cluster, [a2], LIMIT - 2 - 5)
            self.assertEqual([w.shed() for w in (a, a2)], [(0, 0), (0, 0)])
            shed = []
            def moved():
                b.take_all()
                self.never_over(cluster)
                for worker in (a, a2):
                    ended, left = worker.shed()
                    if ended:
                        self.assertGreater(left, 0)
                        self.assertLessEqual(left, 600 * 1000)
                        shed.append((worker, ended))
                    share = worker.explain().share
                    # No more than had to: what is left is what this host may hold.
                    self.assertGreaterEqual(a.held + a2.held, min(share, LIMIT - 2))
                return b.held == LIMIT // 2 - 1
            wait_for("half of it on the other node", moved)
            # Who has held the longest gives back first.
            self.assertIs(shed[0][0], a)

    def test_excess_without_bridge(self):
        """Cut off, a host has its reserve: the rest is in excess, as the segment itself tells."""
        with Cluster(drain="600") as cluster:
            a, b = cluster.worker(0), cluster.worker(1)
            cluster.wait_sessions([a, b])
            self.take_until(cluster, [a], LIMIT - 2)
            a.node.kill()
            wait_for("end of the session", lambda: not a.explain().session)
            ended, left = a.shed()
            self.assertEqual(ended, LIMIT - 3)
            self.assertGreater(left, 0)
            self.assertEqual(a.held, 1)

    def test_tls(self):
        with Cluster(scheme="tls+tcp") as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            self.take_until(cluster, workers[:1], LIMIT - 2)
            workers[1].node.kill()
            workers[1].node.start()
            cluster.wait_sessions(workers)
            for worker in workers:
                self.assertEqual(worker.node.kill(signal.SIGINT), 0)

    def test_limit_below_nodes(self):
        """One slot for three nodes goes round."""
        limits = '[host "mx.example.com"]\ncluster_max_outbound_connections = 1\n'
        with Cluster(limits=limits) as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            served = set()
            def go_round():
                for i, worker in enumerate(workers):
                    if worker.take():
                        served.add(i)
                        self.never_over(cluster, 1)
                        worker.give_back()
                return len(served) == 3
            wait_for("everybody to be served", go_round)

    def test_worker_reaped(self):
        """The bridge gives back what a dead process held."""
        with Cluster() as cluster:
            a, victim = cluster.worker(0), cluster.worker(0)
            cluster.wait_sessions([a])
            self.assertEqual(victim.take_all(3), 3)
            victim.kill()
            wait_for("the reaping", lambda: a.explain().in_use == 0)
            wait_for("the log to say so", lambda: a.node.says("event=reaped slots=3"))


class Refusals(unittest.TestCase):
    """What bad starts get: a message, and status 1; the others go on."""

    def run_bridge(self, *arguments):
        return subprocess.run([BRIDGE, *arguments], stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, text=True, check=False)

    def refused(self, cluster, text, node=0):
        result = self.run_bridge("--config", cluster.nodes[node].config)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(text, result.stderr)
        return result.stderr

    def test_command_line(self):
        result = self.run_bridge("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("Exit status:", result.stdout)
        self.assertRegex(self.run_bridge("--version").stdout, r"^slotshare-bridge \d+\.\d+\.\d+$")
        self.assertEqual(self.run_bridge().returncode, 2)
        self.assertEqual(self.run_bridge("--nonsense").returncode, 2)
        self.assertEqual(self.run_bridge("--config", "x", "y").returncode, 2)
        result = self.run_bridge("--config", "x", "--log-level", "loud")
        self.assertEqual(result.returncode, 2)
        self.assertIn("'loud'", result.stderr)

    def test_bad_config(self):
        with Cluster(limits="[global]\ncluster_max_outbound_connections = many\n[nonsense]\n",
                     start=False) as cluster:
            text = self.refused(cluster, "mta1.ini:")
            self.assertRegex(text, r"mta1\.ini:\d+: .*many")
            self.assertRegex(text, r"mta1\.ini:\d+: .*nonsense")
            self.assertIn("No such file",
                          self.run_bridge("--config", cluster.directory + "/none.ini").stderr)

    def test_single_host(self):
        with Cluster(start=False) as cluster:
            node = cluster.nodes[0]
            node.write_config("[global]\ncluster_max_outbound_connections = 5\n")
            self.refused(cluster, "a single host needs no bridge")

    def test_port_in_use(self):
        with Cluster(start=False) as cluster:
            first = cluster.nodes[0].start()
            other = cluster.nodes[1]
            other.write_config(cluster.config_of(other).replace(
                "counters = 1024", f"counters = 1024\nlisten = {first.url}"))
            self.refused(cluster, "the port is in use", node=1)
            self.assertFalse(first.ended())

    def test_second_bridge(self):
        with Cluster() as cluster:
            self.refused(cluster, cluster.nodes[0].directory)
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])

    def test_bad_certificate(self):
        with Cluster(scheme="tls+tcp", start=False) as cluster:
            os.unlink(os.path.join(cluster.directory, "mta1.key"))
            self.refused(cluster, "cannot read key = ")

    def test_segment_removed(self):
        with Cluster() as cluster:
            node = cluster.nodes[0]
            node.reboot()
            wait_for("the end of its bridge", node.ended)
            self.assertEqual(node.process.returncode, 3)
            self.assertTrue(node.says("event=segment_gone"))

    def test_other_limits(self):
        """Files that differ: the lowest limit counts, and the log says who differs, and in what."""
        with Cluster(start=False) as cluster:
            odd = cluster.nodes[2]
            odd.write_config(cluster.config_of(odd).replace("connections = 12", "connections = 6"))
            for node in cluster.nodes:
                node.start()
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            # Only what is fought over is reported at all.
            def warned():
                for worker in workers:
                    worker.take_all()
                return [n for n in cluster.nodes if n.says("event=limits_differ")]
            for node in wait_for("a warning", warned):
                there, here = (6, 12) if node is not odd else (12, 6)
                self.assertRegex(node.log(), rf"event=limits_differ .*counter=host:mx\.example\.com "
                                 rf".*cluster_max_outbound_connections, {node.config}:\d+.* "
                                 rf"limit_here={here} limit_there={there} ")
            cluster.nodes[1].reload(cluster.config_of(cluster.nodes[1]).replace(
                "session =", "reserve = 10\nsession ="))
            for node, member, difference in (
                    (0, "mta2", "reserve 25 -> 10%"),
                    (0, "mta3", 'limit of [host \\"mx.example.com\\"] 12 -> 6'),
                    (2, "mta1", 'limit of [host \\"mx.example.com\\"] 6 -> 12')):
                event = "files_differ" if member == "mta2" else "founded_twice"
                wait_for(f"{difference} in the log of mta{node + 1}", lambda n=node, m=member,
                         d=difference, e=event: cluster.nodes[n].says(d) and re.search(
                             rf"event={e} member={m} .*{re.escape(d)}", cluster.nodes[n].log()))
            cluster.nodes[1].reload(cluster.config_of(cluster.nodes[1]))
            self.founded_once(cluster, odd, workers)

    def founded_once(self, cluster, odd, workers):
        """The other's file alone is no way out of what was founded twice; to join anew is."""
        odd.write_config(cluster.config_of(odd))
        def told():
            code, out, _ = odd.ask("reload", "--wait", "0")
            self.assertEqual(code, 75)
            return "mta1 (founded the cluster, as this node did: see founded_twice" in out
        wait_for("why it waits", told)
        workers.pop().close()
        odd.kill()
        odd.reboot()
        for name in os.listdir(odd.state):
            os.unlink(os.path.join(odd.state, name))
        odd.start(found=False)
        workers.append(cluster.worker(2))
        cluster.wait_sessions(workers)
        for worker in workers:
            worker.give_back()
        cluster.take_until(workers, 12, 12)

    def test_foreign_cluster(self):
        """A bridge of another cluster at a member's URL is refused, once in the log."""
        with Cluster(start=False) as cluster:
            odd = cluster.nodes[2]
            odd.write_config(cluster.config_of(odd).replace("[cluster]", "[cluster]\nname = east"))
            for node in cluster.nodes:
                node.start()
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers[:2])
            wait_for("the log to say so", lambda: cluster.nodes[0].says("of another cluster"))
            self.assertFalse(workers[2].explain().session)
            self.assertEqual(cluster.nodes[0].log().count("of another cluster"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
