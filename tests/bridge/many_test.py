#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many counters: idle ones are never spoken of, and all that there is to say of many that are in
use reaches a node that comes anew, and that one gets its part of many that the others fight over.

many_test.py [--nodes N] [--counters N] [--held N] [--contended N] [TEST]...   (other sizes, by hand)
"""
import json
import os
import socket
import subprocess
import sys
import time
import unittest
from urllib.parse import urlsplit

from bridges import BUILD, Cluster, PATIENCE, wait_for
from flood import HEADER, LENGTH

SANITIZED = os.environ.get("SLOTSHARE_SANITIZE", "") != ""
SIZE = {"nodes": 3, "counters": 10000 if SANITIZED else 100000,
        "held": 1000 if SANITIZED else 10000, "contended": 200 if SANITIZED else 1000}
SUB = 0x21
IDLE = b".example.net"  # what the holder's names end in


class Listener:
    """Hears what a node publishes, as it is on the wire."""

    def __init__(self, node):
        self.stream = socket.create_connection(("127.0.0.1", urlsplit(node.url).port))
        self.stream.settimeout(PATIENCE)
        self.stream.sendall(HEADER.pack(b"\0SP\0", SUB, 0))
        assert HEADER.unpack(self.read(HEADER.size))[0] == b"\0SP\0"

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.stream.recv(size - len(data))
            assert more, "the bridge has closed the connection"
            data += more
        return data

    def message(self):
        return self.read(LENGTH.unpack(self.read(LENGTH.size))[0])

    def until(self, wanted, most=2000):
        """@return the messages up to the first that is wanted."""
        heard = []
        while len(heard) < most:
            heard.append(self.message())
            if wanted(heard):
                return heard
        raise AssertionError(f"not in {most} messages")

    def close(self):
        self.stream.close()


class Crowd:
    """slot-bench-crowd: on each node somebody wants `most` slots of each of so many counters."""

    def __init__(self, nodes, contended, most, limit):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "slot-bench-crowd"), str(contended), "0", str(most),
             str(limit), *(f"{node.directory}:{node.segment}" for node in nodes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def held(self):
        """@return the slots of each node, and how often a limit was exceeded"""
        *held, over = map(int, self.tell("held").split())
        return held, over

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=PATIENCE)


def sized(cluster, limits, room, slots=0):
    cluster.limits = limits
    for node in cluster.nodes:
        node.level = "info"
        node.write_config(cluster.config_of(node).replace(
            "counters = 1024", room).replace("slots = 4096", f"slots = {4096 + slots}"))
        node.start()
    workers = [cluster.worker(i) for i in range(len(cluster.nodes))]
    cluster.wait_sessions(workers)
    return workers


def ask(node, question):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(os.path.join(node.directory, node.segment + ".admin"))
        connection.sendall(json.dumps({"slotshare": 1, **question}).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return json.loads(answer.readline())


class Many(unittest.TestCase):
    def test_idle(self):
        """Every counter was used once on every node; no message names one of them then."""
        quiet = 40  # messages: some ten seconds
        with Cluster(start=False, count=2) as cluster:
            limits = Cluster.LIMITS + "[global]\ncluster_max_outbound_connections = 8\n"
            workers = sized(cluster, limits, "counters = 1024\n"
                            f"counters_max = {2 * SIZE['counters']}")
            for worker in workers:
                given, full, no_room = worker.ask(f"names {SIZE['counters']}").split()
                self.assertEqual((int(given), int(full), int(no_room)), (SIZE["counters"], 0, 0))
            listener = Listener(cluster.nodes[0])
            try:
                # Those that were in use while all was told are told of once more, some time.
                heard = listener.until(lambda heard: len(heard) >= quiet and not any(
                    IDLE in message for message in heard[-quiet:]), most=400)[-quiet:]
                self.assertLess(max(map(len, heard)), 1000)
                # It would have been heard: one of them is in use now.
                for worker in workers:
                    worker.ask("keep 1")
                listener.until(lambda heard: b"d0.example.net" in heard[-1])
            finally:
                listener.close()

    def knows(self, node, of):
        """How many counters the node has heard of that the other has anything to say of."""
        told = ask(node, {"command": "from", "node": of.name})
        return len(told["counters"]) + told["left_out"]

    def test_newcomer(self):
        """A host comes anew, with nothing, while the others hold slots of many counters."""
        count, held = SIZE["nodes"], SIZE["held"]
        with Cluster(start=False, count=count, session="6", drain="5") as cluster:
            limits = Cluster.LIMITS + f"[global]\ncluster_max_outbound_connections = {count}\n"
            workers = sized(cluster, limits, f"counters = {2 * held}", held)
            new, others = cluster.nodes[-1], cluster.nodes[:-1]
            for worker in workers[:-1]:
                self.assertEqual(int(worker.ask(f"keep {held}")), held)
            workers[-1].close()
            new.kill()
            new.reboot()
            begin = time.monotonic()
            new.start()
            workers[-1] = cluster.worker(count - 1)
            cluster.wait_sessions([workers[-1]])
            session = time.monotonic() - begin
            wait_for("all of it", lambda: all(self.knows(new, of) == held for of in others))
            print(f"{count} nodes, {held} counters in use: session after {session:.1f} s, all "
                  f"totals after {time.monotonic() - begin:.1f} s", flush=True)
            for node in cluster.nodes:
                self.assertFalse(node.ended(), node.log())
                self.assertNotIn("message_not_sent", node.log())
                self.assertNotIn("message_refused", node.log())

    def test_contended(self):
        """The same, while all fight over many counters."""
        count, contended, fair = SIZE["nodes"], SIZE["contended"], 4
        limits = f"[global]\ncluster_max_outbound_connections = {fair * count}\n"
        with Cluster(start=False, count=count, session="6", drain="30") as cluster:
            workers = sized(cluster, Cluster.LIMITS + limits, f"counters = {4 * contended}",
                            2 * fair * contended)
            crowd = Crowd(cluster.nodes, contended, 2 * fair, fair * count)
            self.addCleanup(crowd.close)

            def shared():
                return crowd.held()[0] == [fair * contended] * count
            wait_for("the same for all", shared)
            new = cluster.nodes[-1]
            crowd.tell(f"end {count - 1}")
            workers[-1].close()
            new.kill()
            new.reboot()
            new.start()
            self.assertEqual(crowd.tell(f"begin {count - 1}"), "ready\n")
            wait_for("the same for all again", shared)
            self.assertEqual(crowd.held()[1], 0)
            for node in cluster.nodes:
                self.assertFalse(node.ended(), node.log())
                self.assertNotIn("message_not_sent", node.log())


if __name__ == "__main__":
    words = sys.argv[1:]
    for word in SIZE:
        if f"--{word}" in words:
            at = words.index(f"--{word}")
            SIZE[word] = int(words[at + 1])
            del words[at:at + 2]
    unittest.main(argv=[sys.argv[0], *words])
