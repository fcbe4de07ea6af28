#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real bridges under floods of counters, connections and messages, without descriptors, and on a disk
that is full: they live, or say why not; counts stay exact, and what they take is bounded."""
import os
import resource
import socket
import subprocess
import unittest
from urllib.parse import urlsplit

from bridges import BUILD, Cluster, free_ports, wait_for
from flood import Flooder

SANITIZE = os.environ.get("SLOTSHARE_SANITIZE", "")
SANITIZED = SANITIZE != ""
MEGABYTE = 1024
COUNTERS = 10000 if SANITIZED else 100000
MESSAGES = 50 if SANITIZED else 300
SHMSTAT = os.path.join(BUILD, "bin", "shmstat")


def memory(node):
    """What the bridge has in memory of its own, in kB."""
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


class Floods(unittest.TestCase):
    def bounded(self, node, before, most):
        """The sanitizers keep what was freed: there only the rest of each test counts."""
        if not SANITIZED:
            self.assertLess(memory(node) - before, most)

    def exact(self, node):
        """Counts and records of the segment agree."""
        done = subprocess.run([SHMSTAT, "verify", "--name", node.segment, "--directory",
                               node.directory], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def serves(self, cluster, node):
        """A worker gets its slots there."""
        worker = cluster.worker(cluster.nodes.index(node))
        cluster.wait_sessions([worker])
        wait_for("a slot", lambda: worker.take_all(1) == 1)
        worker.give_back()

    def test_counters(self):
        """A worker makes 100,000 counters, and is refused on about half of them: on more when the
        host is so slow that sessions end."""
        limits = Cluster.LIMITS + "[global]\ncluster_max_outbound_connections = 1\n"
        with Cluster(limits=limits, count=2, session="6", start=False) as cluster:
            node = cluster.nodes[0]
            for other in cluster.nodes:
                text = cluster.config_of(other).replace("counters = 1024",
                                                        "counters = 1024\ncounters_max = 131072")
                other.level = "info"
                other.write_config(text)
                other.start()
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])
            before, files = memory(node), descriptors(node)
            taken, refused, no_room = (int(n) for n in worker.ask(f"names {COUNTERS}").split())
            self.assertEqual(taken + refused + no_room, COUNTERS)
            self.assertGreater(min(taken, refused), 0)
            first = memory(node)
            self.assertEqual(worker.ask(f"names {COUNTERS}").count(" "), 2)
            self.serves(cluster, node)
            self.bounded(node, before, 300 * MEGABYTE)
            self.bounded(node, first, 150 * MEGABYTE)
            self.assertEqual(descriptors(node), files)
            self.exact(node)

    def test_connections(self):
        """Hundreds of connections to each of its ports."""
        with Cluster(count=2, start=False) as cluster:
            node, port = cluster.nodes[0], free_ports(1)[0]
            for other in cluster.nodes:
                other.write_config(cluster.config_of(other).replace(
                    "[cluster]", f"http = http://127.0.0.1:{port}\n[cluster]"
                    if other is node else "[cluster]"))
                other.start()
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])
            before, files = memory(node), descriptors(node)
            held = [socket.create_connection(("127.0.0.1", to)) for _ in range(300)
                    for to in (urlsplit(node.url).port, port)]
            for _ in range(300):
                with socket.socket(socket.AF_UNIX) as stream:
                    stream.connect(os.path.join(node.directory, node.segment + ".admin"))
                    stream.send(b"{\"slotshare\": 1, \"comm\n")
            self.assertEqual(node.status()["node"], node.name)
            self.assertTrue(worker.explain().session)
            for stream in held:
                stream.close()
            self.bounded(node, before, 100 * MEGABYTE)
            wait_for("its descriptors", lambda: descriptors(node) <= files + 2)
            cluster.wait_sessions([worker])
            self.serves(cluster, node)

    def test_messages(self):
        """One member of three says what it likes, as fast as it can."""
        limits = Cluster.LIMITS + "[global]\ncluster_max_outbound_connections = 2\n"
        if SANITIZE == "thread":
            self.skipTest("understanding the flood takes longer there than sessions last")
        with Cluster(limits=limits, session="6", start=False) as cluster:
            honest = cluster.nodes[:2]
            for node in honest:
                node.level = "info"
                node.start()
            workers = [cluster.worker(i) for i in range(2)]
            cluster.wait_sessions(workers)
            before = [memory(node) for node in honest]
            flooder = Flooder("mta3", urlsplit(cluster.nodes[2].url).port)
            try:
                # One may dial again seconds after the other.
                wait_for("a flood that both hear", lambda: flooder.sent > MESSAGES and all(
                    "event=message_refused" in node.log() for node in honest))
                middle = [memory(node) for node in honest]
                for node, worker in zip(honest, workers):
                    self.serves(cluster, node)
                    self.assertIn(node.status()["coordinator"], ("mta1", "mta2"))
                    self.assertTrue(worker.explain().session)
                so_far = flooder.sent
                wait_for("more of it", lambda: flooder.sent > so_far + MESSAGES)
            finally:
                flooder.stop()
            for node, first, second in zip(honest, before, middle):
                self.assertFalse(node.ended())
                self.bounded(node, first, 300 * MEGABYTE)
                self.bounded(node, second, 100 * MEGABYTE)
                self.assertLess(len(node.log()), 200000)
                self.exact(node)


class Shortages(unittest.TestCase):
    def test_descriptors(self):
        """With few of them it starts or says why not; when they run out later it goes on."""
        with Cluster(count=2, start=False) as cluster:
            node, other = cluster.nodes
            other.start()
            started = False
            for most in (6, 8, 10, 12, 14, 16, 20, 24, 32, 64):
                node.prefix = ["prlimit", f"--nofile={most}"]
                node.run(*(["--found"] if not os.listdir(node.state) else []))
                wait_for("a start or an end", lambda: node.says("event=started") or node.ended())
                if node.ended():
                    self.assertFalse(started, "it started with fewer")
                    self.assertEqual(node.process.returncode, 1, node.log())
                    self.assertNotEqual(node.log().strip(), "")
                    continue
                started = True
                self.assertEqual(node.kill(), -9)
            self.assertTrue(started)
            node.prefix = []
            node.start()
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])
            self.run_out(cluster, node, worker)

    def run_out(self, cluster, node, worker):
        before = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
        # None is left from now on; connections that come must not end it.
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE,
                         (descriptors(node), before[1]))
        held = [socket.create_connection(("127.0.0.1", urlsplit(node.url).port))
                for _ in range(20)]
        self.assertEqual(worker.take_all(6), 6)
        worker.give_back()
        self.assertFalse(node.ended(), node.log())
        for stream in held:
            stream.close()
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, before)
        self.serves_again(cluster, node, worker)

    def serves_again(self, cluster, node, worker):
        cluster.wait_sessions([worker])
        self.assertFalse(node.ended(), node.log())
        wait_for("an answer", lambda: node.ask("status")[0] == 0)

    def test_full_disk(self):
        """What cannot be stored is not promised: all wait, and go on when there is room again."""
        with Cluster(count=2, start=False) as cluster:
            node, other = cluster.nodes
            node.prefix = ["unshare", "--mount", "sh", "-c",
                           f"mount -t tmpfs -o size=64k,mode=0700 none '{node.state}' && exec \"$@\"",
                           "sh"]
            if subprocess.run([*node.prefix, "true"], capture_output=True, check=False).returncode:
                self.skipTest("needs the right to mount")
            node.start()
            other.start()
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])
            room = f"/proc/{node.process.pid}/root{node.state}/filler"
            with open(room, "wb", buffering=0) as filler:
                self.assertRaises(OSError, lambda: [filler.write(bytes(1024)) for _ in range(100)])
            for one in cluster.nodes:
                one.reload(cluster.config_of(one, Cluster.LIMITS.replace("12", "20")))
            wait_for("a complaint", lambda: node.says("No space left on device"))
            self.assertFalse(node.ended(), node.log())
            self.assertEqual(worker.take_all(20), 6)  # half of the lower one
            os.unlink(room)
            wait_for("epoch 2", lambda: all(2 in n.committed() for n in cluster.nodes))
            wait_for("its half", lambda: worker.take_all(20) >= 10)


if __name__ == "__main__":
    unittest.main()
