#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Overrides and drained nodes: limits that operators change without the file."""
import json
import threading
import time
import unittest

from bridges import Cluster, wait_for

WAITS, REFUSED = 75, 78
HOST = ("--host", "mx.example.com")


class Case(unittest.TestCase):
    def settled(self, nodes):
        """All of them have committed what they know, and know the same."""
        def same():
            status = [n.status() for n in nodes]
            return (len({(s["epoch"], s["digest"], s["changes"]["version"]) for s in status}) == 1
                    and not any("pending" in s for s in status) and status[0])
        return wait_for(f"the same on {[n.name for n in nodes]}", same)

    def change(self, node, *words):
        """A change, as soon as there is somebody to commit it."""
        def made():
            done = node.ask(*words)
            return done if "no coordinator" not in done[2] else None
        return wait_for(f"a coordinator for {words}", made)

    def override(self, node, *words):
        return self.change(node, "override", *words)

    def limits(self, workers, limit):
        wait_for(f"limit {limit}", lambda: all(w.explain().limit == limit for w in workers))


class Overrides(Case):
    def test_set_listed_replaced_and_cleared(self):
        """One command on one node; lowered, raised, a stanza that the file does not have."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            a, b, _ = cluster.nodes
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            code, out, errors = self.override(a, "set", *HOST, "6", "--for", "1h", "--wait", "0")
            self.assertEqual((code, errors), (WAITS, ""))
            self.assertIn('limit of [host "mx.example.com"] 12 -> 6', out)
            wait_for("the proposal everywhere", lambda: all("pending" in n.status()
                                                            for n in cluster.nodes))
            for worker in workers:
                self.assertFalse(worker.take())
                worker.give_back(keep=2)
            self.limits(workers, 6)
            self.settled(cluster.nodes)
            cluster.take_until(workers, 6, 6)
            self.assertRegex(self.override(b, "list")[1],
                             r'^6 +\[host "mx.example.com"\] until \S+Z, .* left\n$')
            found = json.loads(self.override(b, "list", "--json")[1])
            self.assertEqual([(o["of"], o["scope"], o["limit"]) for o in found["overrides"]],
                             [('[host "mx.example.com"]', "host", 6)])
            self.assertIn('override     6 for [host "mx.example.com"]', b.ask("status")[1])
            code, out, _ = b.ask("explain", *HOST)
            self.assertRegex(out, r"override until \S+Z, then .*mta2\.ini:\d+")
            code, out, errors = self.override(b, "set", *HOST, "9", "--for", "3600",
                                              "--wait", "50")
            self.assertEqual((code, errors), (0, ""), out)
            self.assertIn("committed", out)
            self.limits(workers, 9)
            cluster.take_until(workers, 9, 9)
            self.assertEqual(len(b.status()["changes"]["overrides"]), 1)
            # A domain has no limit in the file: the override is its first.
            code, out, errors = self.override(a, "set", "--domain", "example.org", "4", "--for",
                                              "2d", "--wait", "50")
            self.assertEqual((code, errors), (0, ""), out)
            code, out, errors = self.override(a, "clear", *HOST, "--wait", "50")
            self.assertEqual((code, errors), (0, ""), out)
            self.limits(workers, 12)
            self.assertEqual(self.override(a, "clear", *HOST)[0], REFUSED)
            self.assertEqual(self.override(a, "clear", "--all", "--wait", "50")[0], 0)
            self.settled(cluster.nodes)
            self.assertEqual(self.override(b, "list")[1], "none\n")
            cluster.take_until(workers, 12, 12)

    def test_end(self):
        """A lower and a higher one end by themselves, on all nodes, and nothing goes over."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            for times, limit in enumerate((3, 20), 1):
                code, out, errors = self.override(cluster.nodes[0], "set", *HOST, str(limit),
                                                  "--for", "3s", "--wait", "0")
                self.assertIn(code, (0, WAITS), out + errors)
                # Slots above the limit are in excess: workers end them, and only then it commits.
                def ended(times=times, limit=limit):
                    for worker in workers:
                        worker.shed()
                        worker.take_all()
                        self.assertLessEqual(cluster.held(), max(limit, 12))
                    return (all(n.log().count("event=override_ended") == times
                                for n in cluster.nodes)
                            and not any("pending" in n.status() for n in cluster.nodes)
                            and all(w.explain().limit == 12 for w in workers))
                wait_for("its end", ended)
                for worker in workers:
                    worker.shed()
                self.assertLessEqual(cluster.held(), 12)
                cluster.take_until(workers, 12, 12)
                for worker in workers:
                    worker.give_back(keep=0)
            self.assertEqual(self.settled(cluster.nodes)["changes"]["overrides"], [])

    def test_kept(self):
        """Over a reload of the file, restarts of bridges, the coordinator's too, and of all hosts
        at once; a node that was down when it was set."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            nodes = cluster.nodes
            a = nodes[0]
            self.assertEqual(self.override(a, "set", *HOST, "6", "--for", "1h", "--wait",
                                           "50")[0], 0)
            for node in nodes:
                node.reload(cluster.config_of(node, cluster.LIMITS +
                                              '[domain "d"]\ncluster_max_outbound_connections = 5\n'))
            wait_for("the file", lambda: all(n.status()["epoch"] == 3 for n in nodes))
            self.limits(workers, 6)
            leader = wait_for("a coordinator", cluster.coordinator)
            leader.kill()
            leader.start()
            wait_for("a coordinator", cluster.coordinator)
            cluster.wait_sessions(workers)
            self.settled(nodes)
            self.limits(workers, 6)
            late = next(n for n in nodes if n is not leader)
            late.kill()
            other = next(n for n in nodes if n not in (late, leader))
            wait_for("a coordinator", lambda: other.status()["coordinator"])
            code, out, _ = self.override(other, "set", *HOST, "3", "--for", "1h", "--wait", "0")
            self.assertEqual(code, WAITS, out)
            late.start()
            self.settled(nodes)
            self.limits(workers, 3)
            for worker in workers:
                worker.close()
            for node in nodes:
                node.kill()
            for node in nodes:
                node.reboot()
            for node in nodes:
                node.start()
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            self.settled(nodes)
            self.limits(workers, 3)
            self.assertEqual([o["limit"] for o in nodes[2].status()["changes"]["overrides"]], [3])

    def test_refused(self):
        with Cluster(limits=Cluster.LIMITS) as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            a = cluster.nodes[0]
            for words in (("set", "1", "--for", "1h"), ("set", *HOST, "1"), ("set", *HOST),
                          ("set", *HOST, "many", "--for", "1h"), ("set", *HOST, "1", "--for", "1w"),
                          ("set", *HOST, "--domain", "d", "1", "--for", "1h"), ("show",), (),
                          ("set", *HOST, "--scope", "global", "1", "--for", "1h"),
                          ("set", *HOST, "1", "--for", "367d"), ("list", "x"), ("clear",)):
                self.assertEqual(self.override(a, *words)[0], 64, words)
            code, _, errors = self.override(a, "clear", *HOST)
            self.assertEqual(code, REFUSED)
            self.assertIn("no override", errors)
            code, _, errors = self.override(a, "set", "--host", "a b", "1", "--for", "1h")
            self.assertEqual(code, REFUSED)
            self.assertEqual(a.status()["changes"]["version"], 0)
            # Cut off from the others it could never be committed.
            for node in cluster.nodes[1:]:
                node.kill()
            wait_for("no coordinator", lambda: not a.status()["coordinator"])
            code, _, errors = a.ask("override", "set", *HOST, "1", "--for", "1h")
            self.assertEqual(code, REFUSED)
            self.assertIn("no coordinator", errors)


class AtTheSameTime(Case):
    """Two operators on two nodes. Whatever comes of it is the same on all nodes, and who was told
    that his change counts has it."""

    def at_once(self, *calls, apart=0):
        """Each so many seconds after the one before. @return what each (node, words...) printed,
        in this order"""
        found = [None] * len(calls)
        start = threading.Barrier(len(calls))

        def call(i, node, words):
            start.wait()
            time.sleep(i * apart)
            found[i] = node.ask(*words)
        threads = [threading.Thread(target=call, args=(i, node, words))
                   for i, (node, *words) in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def check(self, nodes, calls, apart, has):
        """has(changes, i): what was asked for by calls[i] is in force."""
        texts = {0: "committed: epoch ", WAITS: "another change|waiting for"}
        for (code, out, errors), i in zip(self.at_once(*calls, apart=apart),
                                            range(len(calls))):
            self.assertEqual(errors, "")
            self.assertRegex(out, texts[code])
            if code == 0 or "lost: " in out:
                changes = self.settled(nodes)["changes"]
                self.assertEqual(has(changes, i), code == 0, (changes, out))
                lost = "lost: another change was made at the same time, on "
                self.assertTrue(code == 0 or lost in out, out)
            if "lost: " in out:
                node = calls[i][0]
                wait_for("a warning", lambda n=node: n.says("level=warning event=changes_lost "))
        self.settled(nodes)

    def test_overrides(self):
        with Cluster() as cluster:
            cluster.wait_sessions([cluster.worker(i) for i in range(3)])
            nodes = cluster.nodes
            self.assertEqual(self.override(nodes[0], "list")[1], "none\n")
            for turn in range(8):
                # The one that asks first is often the second to be heard: so both lose at times.
                one, other = (nodes[0], nodes[1]) if turn % 2 else (nodes[1], nodes[2])
                names = [f"h{turn}-{i}.example.com" for i in range(2)]
                calls = [(node, "override", "set", "--host", name, str(turn), "--for", "1h",
                          "--wait", "50") for node, name in zip((one, other), names)]
                # Later ones meet what others are about to promise, or have.
                self.check(nodes, calls, turn * 0.04, lambda changes, i, n=names: any(
                    o["of"] == f'[host "{n[i]}"]' for o in changes["overrides"]))
            # The same one, to two values: one of them.
            self.at_once(*((node, "override", "set", *HOST, limit, "--for", "1h", "--wait", "50")
                           for node, limit in ((nodes[0], "3"), (nodes[2], "4"))))
            limits = [o["limit"] for o in self.settled(nodes)["changes"]["overrides"]
                      if o["of"] == '[host "mx.example.com"]']
            self.assertIn(limits, ([3], [4]))
            self.limits(cluster.workers, limits[0])

    def test_drains(self):
        """Two nodes of two, each told to drain: one of them goes on taking slots."""
        with Cluster(count=2) as cluster:
            workers = [cluster.worker(i) for i in range(2)]
            cluster.wait_sessions(workers)
            for result in self.at_once(*((node, "drain", "--wait", "50")
                                         for node in cluster.nodes)):
                self.assertIn(result[0], (0, WAITS, REFUSED), result)
            drained = self.settled(cluster.nodes)["changes"]["drained"]
            self.assertEqual(len(drained), 1)
            left = next(i for i in range(2) if cluster.nodes[i].name not in drained)
            cluster.take_until([workers[left]], 12, 12)


class Drained(Case):
    def test_drained_and_resumed(self):
        """It is refused, sheds, its part goes to the others; and all of it back."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            free = cluster.worker(2, "unlimited.example.com")
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            self.assertEqual(free.take(2), 2)
            a, _, victim = cluster.nodes
            code, out, _ = self.change(a, "drain", "--node", "mta3", "--wait", "0")
            self.assertEqual(code, WAITS, out)
            self.assertIn("mta3 is a drained member now", out)
            wait_for("what it holds is told", lambda: "domain:example.com, 2 in use here" in
                     victim.ask("status")[1])
            self.assertFalse(workers[2].take())
            self.assertFalse(free.take())
            self.assertRegex(victim.ask("explain", *HOST)[1], "because +this node is drained")
            self.assertEqual(victim.status()["epoch"], 1)
            ended = workers[2].shed()[0] + free.shed()[0]
            self.assertGreaterEqual(ended, 3)
            workers[2].give_back(keep=0)
            self.settled(cluster.nodes)
            cluster.take_until(workers[:2], 12, 12)
            self.assertFalse(workers[2].take())
            self.assertFalse(free.take())
            self.assertIn("drained      mta3: takes no new slots", a.ask("status")[1])
            # It stays so.
            victim.kill()
            victim.start()
            self.settled(cluster.nodes)
            self.assertFalse(workers[2].take())
            self.assertFalse(free.take())
            code, _, errors = self.change(a, "resume", "--node", "mta2")
            self.assertEqual(code, REFUSED)
            self.assertIn("not drained", errors)
            # All that the others have must fit their homes before it can have its own.
            code, out, _ = self.change(victim, "resume", "--wait", "0")
            self.assertEqual(code, WAITS, out)
            for worker in workers[:2]:
                worker.give_back(keep=4)
            self.settled(cluster.nodes)
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            wait_for("unlimited again", free.take)

    def test_not_the_last(self):
        with Cluster(count=2) as cluster:
            workers = [cluster.worker(i) for i in range(2)]
            cluster.wait_sessions(workers)
            a, b = cluster.nodes
            code, out, _ = self.change(a, "drain", "--wait", "50")
            self.assertEqual(code, 0, out)
            code, _, errors = self.change(b, "drain")
            self.assertEqual(code, REFUSED)
            self.assertIn("last node", errors)
            cluster.take_until([workers[1]], 12, 12)
            self.assertEqual(self.change(a, "drain", "--node", "nobody")[0], REFUSED)


class Logged(Case):
    def test_level(self):
        """The file says how much is logged; a reload changes it."""
        with Cluster(start=False, count=1) as cluster:
            node = cluster.nodes[0]
            node.level = None

            def config(level):
                return cluster.config_of(node).replace("[node]\n", f"[node]\nlog_level = {level}\n")

            node.write_config(config("notice"))
            node.start()
            wait_for("a coordinator", lambda: node.status()["coordinator"])
            self.assertIn("level=notice event=started", node.log())
            self.assertNotIn("level=info", node.log())
            node.write_config(config("info"))
            self.assertEqual(node.ask("reload")[0], 0)
            wait_for("what info tells", lambda: node.says("level=info"))
            node.write_config(config("error"))
            self.assertEqual(node.ask("reload")[0], 0)
            told = node.log()
            self.assertEqual(node.ask("reload")[0], 0)
            self.assertEqual(node.log(), told)
            node.write_config(config("loud"))
            self.assertEqual(node.ask("reload")[0], REFUSED)
            wait_for("an error", lambda: node.says("write error, warning, notice"))


if __name__ == "__main__":
    unittest.main()
