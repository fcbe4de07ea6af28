#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A member that does not read what it is sent, while a thousand counters are fought over: what the
others keep for it is bounded, they go on, and so does it when it reads again."""
import select
import signal
import socket
import threading
import time
import unittest
from urllib.parse import urlsplit

from bridges import Cluster, PATIENCE, wait_for
from flood_test import MEGABYTE, SANITIZED, memory

COUNTERS = 1000
ROUNDS = 25
LIMITS = Cluster.LIMITS + "[global]\ncluster_max_outbound_connections = 2\n"


class Relay:
    """Between one who connects and a port; it may hold, or trickle, what comes from there."""

    def __init__(self, port):
        self.target, self.pairs = port, {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.most = None  # bytes at a time, ten times a second; 0: nothing; None: all
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def accept(self):
        near, far = self.listener.accept()[0], socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it is full soon
        far.settimeout(PATIENCE)
        try:
            far.connect(("127.0.0.1", self.target))
        except OSError:
            near.close()
            far.close()
            return
        near.settimeout(PATIENCE)
        self.pairs[near], self.pairs[far] = (far, False), (near, True)

    def pump(self, one):
        other, incoming = self.pairs[one]
        try:
            data = one.recv(self.most if incoming and self.most else 65536)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (one, other):
            del self.pairs[end]
            end.close()

    def run(self):
        while not self.stopping.is_set():
            wanted = [one for one, (_, incoming) in self.pairs.items()
                      if not incoming or self.most != 0]
            ready = select.select([self.listener, *wanted], [], [], 0.05)[0]
            for one in ready:
                if one is self.listener:
                    self.accept()
                elif one in self.pairs:
                    self.pump(one)
            if self.most:
                time.sleep(0.1)
        for one in [self.listener, *self.pairs]:
            one.close()

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Slow(unittest.TestCase):
    def fight(self, workers, rounds=ROUNDS):
        """Each tries every counter again and again, and is refused on most."""
        refused = 0
        for _ in range(rounds):
            for worker in workers:
                given, full, no_room = (int(n) for n in worker.ask(f"names {COUNTERS}").split())
                self.assertEqual((given + full, no_room), (COUNTERS, 0))
                refused += full
            time.sleep(0.1)
        self.assertGreater(refused, 0)

    def goes_on(self, cluster, workers, slow):
        """The others have their slots meanwhile, and keep little for it; then it is as it was."""
        busy = workers[:2]
        self.fight(workers, 5)
        before = [memory(node) for node in cluster.nodes[:2]]
        slow(True)
        self.fight(busy)
        cluster.wait_sessions(busy)  # a slow host may have lost them in the fight
        grown = [memory(node) - was for node, was in zip(cluster.nodes, before)]
        print(f"memory of the others: {before} kB, {grown} kB more", flush=True)
        if not SANITIZED:
            self.assertLess(max(grown), 16 * MEGABYTE)
        slow(False)
        cluster.wait_sessions(workers)
        cluster.take_until(workers, 12, 12)
        wait_for("the sum everywhere", lambda: all(w.explain().cluster_in_use == 12
                                                   for w in workers))
        for node in cluster.nodes:
            self.assertFalse(node.ended(), node.log())

    def cluster(self):
        cluster = Cluster(limits=LIMITS, start=False)
        for node in cluster.nodes:
            node.level = "info"
            node.write_config(cluster.config_of(node).replace("counters = 1024",
                                                              "counters = 4096"))
        return cluster

    def start(self, cluster):
        for node in cluster.nodes:
            node.start()
        workers = [cluster.worker(i) for i in range(3)]
        cluster.wait_sessions(workers)
        return workers

    def test_stopped(self):
        """Its bridge is stopped, and goes on."""
        with self.cluster() as cluster:
            third = cluster.nodes[2]
            workers = self.start(cluster)
            self.goes_on(cluster, workers, lambda stop: third.process.send_signal(
                signal.SIGSTOP if stop else signal.SIGCONT))

    def relayed(self, most):
        """What the third node hears comes through a relay, and then `most` bytes at a time."""
        with self.cluster() as cluster:
            third = cluster.nodes[2]
            relays = [Relay(urlsplit(node.url).port) for node in cluster.nodes[:2]]
            text = cluster.config_of(third).replace("counters = 1024", "counters = 4096")
            for node, relay in zip(cluster.nodes, relays):
                text = text.replace(node.url, f"tcp://127.0.0.1:{relay.port}")
            third.write_config(text)

            def slow(begin):
                for relay in relays:
                    relay.most = most if begin else None
            try:
                self.goes_on(cluster, self.start(cluster), slow)
            finally:
                for relay in relays:
                    relay.stop()

    def test_nothing_comes_through(self):
        self.relayed(0)

    def test_little_comes_through(self):
        self.relayed(512)


if __name__ == "__main__":
    unittest.main()
