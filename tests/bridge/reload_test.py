#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Configurations that change while the cluster runs: limits, members, new nodes, what is stored."""
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import unittest

from bridges import BRIDGE, HOLDER, Cluster, wait_for

WAITS, REFUSED = 75, 78


def limit(number):
    return f'[host "mx.example.com"]\ncluster_max_outbound_connections = {number}\n'


class Case(unittest.TestCase):
    def reach(self, nodes, epoch):
        """All of them have committed this epoch."""
        wait_for(f"epoch {epoch} on {[n.name for n in nodes]}",
                 lambda: all(n.status()["epoch"] == epoch for n in nodes))

    def write(self, nodes, limits, members=None):
        for node in nodes:
            node.write_config(node.cluster.config_of(node, limits, members))

    def load(self, nodes, limits, members=None):
        """Another file on these nodes, and SIGHUP."""
        for node in nodes:
            node.reload(node.cluster.config_of(node, limits, members))


class Limits(Case):
    def test_lowered_and_raised(self):
        """Lowered at once, committed when all have the file and have drained; raised by all."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            a, b, late = cluster.nodes
            cluster.wait_sessions(workers)
            for worker in workers:
                self.assertEqual(worker.take_all(4), 4)
            self.write([a, b], limit(6))
            code, out, _ = a.ask("reload", "--wait", "0")
            self.assertEqual(code, WAITS)
            self.assertIn('limit of [host "mx.example.com"] 12 -> 6', out)
            self.assertIn("mta3 (has another file)", out)
            self.assertIn("host:mx.example.com (4 in use)", out)
            b.process.send_signal(signal.SIGHUP)
            wait_for("the proposal", lambda: b.says("event=config_proposed"))
            # At once and everywhere where it is known: no more than the new opening deal.
            for worker in workers[:2]:
                self.assertEqual(worker.explain().share, 2)
                worker.give_back(keep=3)
                self.assertFalse(worker.take())
            self.load([late], limit(6))
            wait_for("promises", lambda: all(n.says("event=config_promised epoch=2")
                                             for n in cluster.nodes))
            self.assertEqual(a.status()["epoch"], 1)
            self.assertIn("drains", a.ask("status")[1])
            for worker in workers:
                worker.give_back(keep=2)
            self.reach(cluster.nodes, 2)
            self.assertEqual([w.explain().limit for w in workers], [6, 6, 6])
            cluster.take_until(workers, 6, 6)
            self.write(cluster.nodes, limit(9))
            self.assertEqual([n.ask("reload", "--wait", "0")[0] for n in cluster.nodes[:2]],
                             [WAITS, WAITS])
            self.assertFalse(any(w.take() for w in workers)) # raised only by all together
            code, out, _ = late.ask("reload", "--wait", "30")
            self.assertEqual(code, 0, out)
            self.assertIn("committed: epoch 3", out)
            self.reach(cluster.nodes, 3)
            cluster.take_until(workers, 9, 9)
            code, out, _ = late.ask("reload")
            self.assertEqual((code, out), (0, f"{late.config}: in force already: epoch 3\n"))

    def test_files_that_are_not_loaded(self):
        """Errors, what cannot change, a proposal that is replaced and then withdrawn."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            a = cluster.nodes[0]
            cluster.wait_sessions(workers)
            self.write([a], limit("many"))
            code, _, errors = a.ask("reload")
            self.assertEqual(code, REFUSED)
            self.assertRegex(errors, r"mta1\.ini:\d+: .*many")
            a.process.send_signal(signal.SIGHUP)
            wait_for("the log to say so", lambda: a.log().count("event=reload_refused") == 2)
            for change in (("session = 1.5", "session = 2"), ("name = mta1", "name = mta2"),
                           ("[cluster]", "[cluster]\nname = other"), ("[cluster]\n", "")):
                a.write_config(cluster.config_of(a).replace(*change, 1))
                code, _, errors = a.ask("reload")
                self.assertEqual(code, REFUSED, errors)
            os.unlink(a.config)
            self.assertEqual(a.ask("reload")[0], REFUSED)
            self.assertNotIn("pending", a.status())
            workers[0].take_all(4)
            for number, share in ((6, 2), (3, 1), (9, 3)):
                self.write([a], limit(number))
                self.assertEqual(a.ask("reload", "--wait", "0")[0], WAITS)
                wait_for("its share", lambda s=share: workers[0].explain().share == s)
            self.write([a], None)
            code, out, _ = a.ask("reload")
            self.assertEqual(code, 0)
            self.assertIn("withdrawn: epoch 1", out)
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            self.assertEqual(a.committed(), [])

    def test_killed_and_rebooted(self):
        """A bridge killed while a file is proposed, promised, and being committed; a host that
        loses its segment, but not what was stored."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            victim = cluster.nodes[2]
            cluster.wait_sessions(workers)
            for worker in workers:
                self.assertEqual(worker.take_all(4), 4)
            self.load([victim], limit(6))
            wait_for("its proposal", lambda: victim.says("event=config_proposed"))
            victim.kill()
            victim.start()
            self.assertTrue(victim.says("pending=proposed"))
            self.assertEqual(workers[2].explain().limit, 12)
            self.load(cluster.nodes[:2], limit(6))
            wait_for("its promise", lambda: victim.says("event=config_promised epoch=2"))
            victim.kill()
            self.write([victim], limit(3)) # not before what was promised
            victim.start()
            self.assertTrue(victim.says("pending=promised"))
            self.assertTrue(victim.status()["file_later"])
            for worker in workers:
                worker.give_back(keep=2)
            # Nothing is lost wherever the commit finds it.
            for _ in range(2):
                victim.kill()
                victim.start()
            self.reach(cluster.nodes, 2)
            # Its own file is another one: read now, and proposed.
            wait_for("the file that came later", lambda: "pending" in victim.status())
            self.load([victim], limit(6))
            wait_for("the withdrawal", lambda: "pending" not in victim.status())
            victim.kill()
            workers[2].close()
            victim.reboot()
            cluster.workers.remove(workers[2])
            victim.start()
            self.assertTrue(victim.says("epoch=2 "))
            workers[2] = cluster.worker(2)
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 6, 6)

    def test_cannot_be_stored(self):
        """A promise that cannot be stored is not given; a commit that cannot ends the bridge."""
        with Cluster() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            victim = cluster.nodes[2]
            cluster.wait_sessions(workers)
            obstacle = os.path.join(victim.state, victim.segment + ".promised.new")
            os.mkdir(obstacle)
            self.load(cluster.nodes, limit(6))
            wait_for("the log to say so", lambda: victim.says("event=state_not_written"))
            self.assertEqual([n.status()["epoch"] for n in cluster.nodes], [1, 1, 1])
            later = os.path.join(victim.state, victim.segment + ".committed.new")
            os.mkdir(later)
            os.rmdir(obstacle)
            wait_for("the end of the bridge", victim.ended)
            self.assertEqual(victim.process.returncode, 5)
            self.reach(cluster.nodes[:2], 2)
            os.rmdir(later)
            victim.kill()
            victim.start()
            self.reach(cluster.nodes, 2)
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 6, 6)


class Members(Case):
    def test_added_and_removed(self):
        """One more member, that is new; one less, that lives; one less, that is dead."""
        with Cluster(count=4, start=False) as cluster:
            first, fourth = cluster.nodes[:3], cluster.nodes[3]
            self.write(first, None, first)
            for node in first:
                node.start()
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            with open(first[0].config, "a", encoding="ascii") as config:
                config.write("; kept\n")
            for node in first:
                code, out, errors = node.ask("member", "add", fourth.name, fourth.url)
                self.assertEqual(code, WAITS, errors)
            self.assertIn("On mta4: the same file but for [node]", out)
            with open(first[0].config, encoding="ascii") as config:
                text = config.read()
            self.assertIn("; kept\n", text)
            self.assertIn(f"member mta3 = {first[2].url}\nmember mta4 = {fourth.url}\n", text)
            self.assertEqual(node.ask("member", "add", fourth.name, fourth.url)[0], REFUSED)
            fourth.run()
            for worker in workers:
                worker.give_back(keep=3)
            self.reach(cluster.nodes, 2)
            workers.append(cluster.worker(3))
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            # Removed alive: it holds nothing when the others may have its part.
            for node in cluster.nodes:
                node.ask("member", "remove", "mta2", "--wait", "0")
            wait_for("promises", lambda: all(n.says("event=config_promised epoch=3")
                                             for n in cluster.nodes))
            workers[1].give_back()
            rest = [n for n in cluster.nodes if n.name != "mta2"]
            self.reach(rest, 3)
            wait_for("the removed one to know", lambda: first[1].says("no member any more"))
            self.assertFalse(workers[1].take())
            self.assertEqual(first[1].kill(signal.SIGTERM), 0)
            others = [workers[i] for i in (0, 2, 3)]
            cluster.take_until(others, 12, 12)
            refused = subprocess.run([BRIDGE, "--config", first[1].config], capture_output=True,
                                     text=True, timeout=60, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("is no member of the cluster any more", refused.stderr)
            # Removed dead: by the operator's word, on one node.
            self.assertEqual(rest[0].ask("member", "remove", "mta4", "--dead")[0], REFUSED)
            fourth.kill()
            workers[3].close()
            wait_for("its silence", lambda: rest[0].ask("member", "remove", "mta4", "--dead",
                                                        "--wait", "0")[0] == WAITS)
            code, out, errors = rest[1].ask("member", "remove", "mta4", "--wait", "30")
            self.assertEqual(code, 0, out + errors)
            self.reach([rest[0], rest[1]], 4)
            cluster.take_until([workers[0], workers[2]], 12, 12)


class NewNodes(Case):
    def open_segment(self, node):
        """What a worker is told that opens the segment."""
        return subprocess.run([HOLDER, node.directory, node.segment, "mx.example.com"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False).stderr

    def test_founded_by_all(self):
        """Without --found a cluster begins when all have the same file; until then no segment."""
        with Cluster(start=False) as cluster:
            a, b, c = cluster.nodes
            self.write([c], limit(7))
            for node in cluster.nodes:
                node.start(found=False, says="event=waiting")
            wait_for("why they wait", lambda: a.says("mta3 (has another file)"))
            self.assertIn("mta3 (has another file)", self.open_segment(a))
            self.assertIn("nothing yet: a new node", b.ask("status")[1])
            c.kill()
            self.assertNotIn("there is no such segment yet", self.open_segment(c))
            c.start(found=False, says="event=waiting")
            self.load([c], None)
            self.reach(cluster.nodes, 1)
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)

    def test_one_founds_and_one_lost_its_state(self):
        """--found begins at once. A node that has lost what was stored joins as a new one."""
        with Cluster(start=False) as cluster:
            first, second, third = cluster.nodes
            first.start()
            second.start(found=False)
            third.start(found=False)
            self.reach(cluster.nodes, 1)
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            self.load(cluster.nodes, limit(15))
            self.reach(cluster.nodes, 2)
            third.kill()
            for name in os.listdir(third.state):
                os.unlink(os.path.join(third.state, name))
            third.run()
            self.assertEqual(third.process.wait(timeout=60), 1)
            self.assertIn("Restore that file", third.log())
            workers[2].close()
            cluster.workers.remove(workers[2])
            third.reboot()
            third.start(found=False)
            self.assertTrue(third.says("config_committed epoch=2"))
            workers[2] = cluster.worker(2)
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 15, 15)


class State(Case):
    def refused(self, node, text, *options):
        result = subprocess.run([BRIDGE, "--config", node.config, *options], timeout=60, text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(text, result.stderr)

    def test_bad_directories(self):
        with Cluster(start=False) as cluster:
            node, other = cluster.nodes[:2]
            os.chmod(node.state, 0o770)
            self.refused(node, "others may write to it")
            os.rmdir(node.state)
            self.refused(node, "install -d -m 0700")
            os.symlink(other.state, node.state)
            self.refused(node, "a symbolic link")
            os.unlink(node.state)
            os.mkdir(node.state, 0o700)
            other.start()
            other.kill()
            shutil.copy(os.path.join(other.state, "mta2.committed"),
                        os.path.join(node.state, "mta1.committed"))
            self.refused(node, "is the state of node mta2")
            with open(os.path.join(node.state, "mta1.committed"), "r+b") as file:
                file.seek(200)
                file.write(b"\0")
            self.refused(node, "is damaged")
            self.write([other], limit(3))
            self.refused(other, "belongs to a cluster already", "--found")


class Admin(Case):
    """The socket beside the segment, spoken to by hand: a line to and a line fro."""

    def connect(self, node):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(os.path.join(node.directory, node.segment + ".admin"))
        return client

    def ask(self, node, line):
        client = self.connect(node)
        client.sendall(line)
        answer = b""
        while (more := client.recv(65536)):
            answer += more
        client.close()
        return json.loads(answer)

    def answered_beside(self, node, count):
        """Ask while so many say nothing. @return how many of them are still connected then"""
        silent = [self.connect(node) for _ in range(count)]
        self.assertTrue(self.ask(node, b'{"slotshare": 1, "command": "status"}\n')["ok"])
        connected = 0
        for client in silent:
            client.setblocking(False)
            try:
                self.assertEqual(client.recv(1), b"")
            except BlockingIOError:
                connected += 1
            client.close()
        return connected

    def test_silent_clients(self):
        """Who says nothing keeps nobody waiting; of too many the oldest are cut off."""
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            # Each has a second: all of them are there yet when the answer is.
            wait_for("an answer beside 12 silent clients",
                     lambda: self.answered_beside(node, 12) == 12)
            before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
            # nng closes what has ended some time later, the longer the busier the machine is.
            wait_for("an answer for which the oldest of 60 silent clients are cut off",
                     lambda: self.answered_beside(node, 60) < 60)
            wait_for("the descriptors of those that were cut off to be closed",
                     lambda: len(os.listdir(f"/proc/{node.process.pid}/fd")) < before + 20)

    def test_hostile(self):
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            path = os.path.join(node.directory, node.segment + ".admin")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
            self.assertTrue(self.ask(node, b'{"slotshare": 1, "command": "status"}\n')["ok"])
            for line in (b"", b"{", b"[]", b"7", b'"status"', b"\xff\0", b"[" * 9000,
                         b'{"slotshare": 1}',
                         b'{"slotshare": 1, "command": 5}', b'{"command": "status"}',
                         b'{"slotshare": "1", "command": "status"}',
                         b'{"slotshare": 2, "command": "status"}',
                         b'{"slotshare": 1, "command": "status", "command": "reload"}',
                         b'{"slotshare": 1, "command": "format"}',
                         b'{"slotshare": 1, "command": "member-dead"}',
                         b'{"slotshare": 1, "command": "member-dead", "member": ["mta1"]}',
                         b'{"slotshare": 1, "command": "member-dead", "member": "mta1"}',
                         b'{"slotshare": 1, "command": "member-dead", "member": "' + b"x" * 8000
                         + b'"}'):
                answer = self.ask(node, line + b"\n")
                self.assertFalse(answer["ok"])
                self.assertTrue(answer["errors"])
            self.assertIn("too long", self.ask(node, b"x" * 16384)["errors"][0])
            # Who sends without an end, says nothing, asks and goes, or goes at once.
            self.connect(node).sendall(b'{"slotshare": 1, "com')
            self.connect(node)
            for i in range(100):
                gone = self.connect(node)
                if i % 2:
                    gone.sendall(b'{"slotshare": 1, "command": "status"}\n')
                gone.close()
            wait_for("an answer", lambda: node.ask("status")[0] == 0)
            self.assertFalse(node.ended())


if __name__ == "__main__":
    unittest.main(verbosity=2)
