#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file that is loaded somewhere after others have promised another one: that comes first, by
itself, and then this one."""
import os
import signal
import threading
import unittest

from bridges import Cluster, wait_for

WAITS = 75
STEPS_BACK = "event=config_later reason=\"other members have promised"


def limit(number):
    return f'[host "mx.example.com"]\ncluster_max_outbound_connections = {number}\n'


class Later(unittest.TestCase):
    def begin(self, cluster):
        """Two of three have promised one file; the third, which has proposed it, could not."""
        self.cluster = cluster
        self.workers = [self.cluster.worker(i) for i in range(3)]
        self.cluster.wait_sessions(self.workers)
        *self.others, self.victim = self.cluster.nodes
        self.obstacle = os.path.join(self.victim.state, self.victim.segment + ".promised.new")
        os.mkdir(self.obstacle)
        for node in self.cluster.nodes:
            node.reload(self.cluster.config_of(node, limit(6)))
        self.heard()

    def heard(self):
        wait_for("promises, and that they are heard", lambda: all(
            m.get("ready") == 2 for m in self.victim.status()["members"] if not m["self"]))

    def waits(self):
        """The victim proposes what the others have promised, and its file comes later."""
        wait_for("the first file", lambda: self.victim.status()["file_later"] and len(
            {n.status().get("pending", {}).get("digest") for n in self.cluster.nodes}) == 1)

    def reload_later(self):
        """What the operator is told (when the others can be heard: the bridge may be slow)."""
        def told():
            code, out, errors = self.victim.ask("reload", "--wait", "0")
            self.assertEqual((code, errors), (WAITS, ""))
            return "later: another change is promised already, and comes first" in out
        wait_for("a word of the first file", told)

    def reach(self, epoch):
        wait_for(f"epoch {epoch}", lambda: all(n.status()["epoch"] == epoch
                                               for n in self.cluster.nodes))

    def write(self, node, limits):
        node.write_config(self.cluster.config_of(node, limits))

    def finish(self, epoch, number):
        """All come to this, and nothing is left of what was proposed."""
        self.reach(epoch)
        wait_for("its limit", lambda: all(w.explain().limit == number for w in self.workers))
        self.assertFalse(any("pending" in n.status() for n in self.cluster.nodes))
        for node in self.cluster.nodes:
            self.assertFalse([name for name in os.listdir(node.state)
                              if ".promised" in name or ".proposed" in name])
        self.cluster.wait_sessions(self.workers)
        self.cluster.take_until(self.workers, number, number)

    def test_nothing_takes_its_place(self):
        """Neither another file nor what is in force; it waits, and is committed by itself."""
        with Cluster() as cluster:
            self.begin(cluster)
            for limits in (limit(9), None):
                self.write(self.victim, limits)
                self.reload_later()
                self.waits()
            said = []
            for node in self.cluster.nodes:
                self.write(node, limit(9))
            waiting = threading.Thread(target=lambda: said.append(
                self.victim.ask("reload", "--wait", "50")))
            waiting.start()
            for node in self.others:
                self.assertEqual(node.ask("reload", "--wait", "0")[0], WAITS)
            wait_for("all to wait", lambda: all(n.status()["file_later"]
                                                for n in self.cluster.nodes))
            os.rmdir(self.obstacle)
            waiting.join()
            self.assertEqual(said[0][0], 0, said)
            self.assertIn("epoch 3", said[0][1])
            self.finish(3, 9)

    def test_back_after_a_start(self):
        """Started with another file, it has what it had proposed on the disk."""
        with Cluster() as cluster:
            self.begin(cluster)
            for _ in range(2):
                self.victim.kill()
                self.write(self.victim, limit(9))
                self.victim.start()
                self.assertTrue(self.victim.says("pending=proposed"))
                wait_for("the way back", lambda: self.victim.says(STEPS_BACK))
                self.waits()
            os.rmdir(self.obstacle)
            self.reach(2)
            wait_for("its own file", lambda: "limit of [host \"mx.example.com\"] 6 -> 9" in
                     self.victim.status().get("pending", {}).get("changes", ""))
            for node in self.others:
                node.reload(self.cluster.config_of(node, limit(9)))
            self.finish(3, 9)

    def unheard(self, limits):
        """The victim's bridge starts while the others stand still, and loads this."""
        self.victim.kill()
        for node in self.others:
            node.process.send_signal(signal.SIGSTOP)
        self.victim.start()
        self.victim.reload(self.cluster.config_of(self.victim, limits))
        wait_for("its file", lambda: self.victim.says(
            "event=config_withdrawn" if limits is None else "event=config_proposed"))
        for node in self.others:
            node.process.send_signal(signal.SIGCONT)
        wait_for("the way back", lambda: self.victim.says(STEPS_BACK))
        self.waits()

    def test_back_to_the_promise(self):
        """Another file, and what is in force, while it has not heard of the promises."""
        with Cluster() as cluster:
            self.begin(cluster)
            self.unheard(limit(9))
            self.unheard(None)
            # Another file yet at another member, which has promised the first.
            self.others[0].reload(self.cluster.config_of(self.others[0], limit(7)))
            os.rmdir(self.obstacle)
            self.reach(2)
            wait_for("three files", lambda: len({
                n.status().get("pending", {}).get("changes", "none")
                for n in self.cluster.nodes}) == 3)
            for node in self.cluster.nodes:
                node.reload(self.cluster.config_of(node, limit(9)))
            self.finish(3, 9)

    def test_alone_with_it(self):
        """Those who had promised it have lost their disks, and come back with another file: nobody
        waits for the first any more."""
        with Cluster() as cluster:
            self.begin(cluster)
            self.write(self.victim, limit(9))
            self.reload_later()
            for worker in self.workers[:2]:
                worker.close()
            for node in self.others:
                node.kill()
                node.reboot()
                for name in os.listdir(node.state):
                    os.unlink(os.path.join(node.state, name))
                self.write(node, limit(9))
                node.start(found=False, says="event=waiting")
            wait_for("its file", lambda: "-> 9" in
                     self.victim.status().get("pending", {}).get("changes", ""))
            os.rmdir(self.obstacle)
            self.reach(2)
            self.workers[:2] = [self.cluster.worker(i) for i in range(2)]
            self.finish(2, 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
