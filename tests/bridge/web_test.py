#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a real bridge shows over HTTP."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bridges import BRIDGE, HOLDER, PATIENCE, Cluster, free_ports, lone_config, wait_for

MEMBERS = ("mta1", "mta2")


def config_of(directory, http, *ports):
    """Of a cluster with a member on each of the ports, of which the first serves HTTP."""
    return lone_config(
        directory, "".join(f"member mta{i} = tcp://127.0.0.1:{port}\n"
                           for i, port in enumerate(ports, 1)),
        node=f"http = http://127.0.0.1:{http}\n",
        limits="[host \"mx.example.com\"]\ncluster_max_outbound_connections = 4\n")


def fetch(port, path):
    """@return status, type, text"""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers["Content-Type"], answer.read().decode()


def samples(text):
    """Of metrics: {(name, the value of its label): value}; raises on any fault of the form."""
    return {(s.name, next((v for k, v in s.labels.items() if k != "scope"), None)): s.value
            for family in text_string_to_metric_families(text) for s in family.samples}


def browse(folder, url):
    """The page as it is when its scripts have run for a while."""
    return subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={folder}/profile", "--virtual-time-budget=5000", url],
        check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


class Web(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="slotshare-web-")
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name

    def start(self, alone=True):
        one, two, self.port = free_ports(3)
        config = os.path.join(self.directory, "slotshare.ini")
        with open(config, "w", encoding="ascii") as out:
            out.write(config_of(self.directory, self.port, *([one] if alone else [one, two])))
        bridge = subprocess.Popen([BRIDGE, "--config", config], stderr=subprocess.DEVNULL)
        self.addCleanup(bridge.wait)
        self.addCleanup(bridge.kill)
        wait_for("the web server", lambda: bridge.poll() is not None or self.answers())
        return bridge

    def answers(self):
        try:
            self.get("/healthz")
            return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path):
        return fetch(self.port, path)

    def hold(self, slots):
        holder = subprocess.Popen([HOLDER, self.directory, "mta1", "mx.example.com"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        held = 0
        def more():
            nonlocal held
            holder.stdin.write(f"take {slots - held}\n")
            holder.stdin.flush()
            held = int(holder.stdout.readline())
            return held == slots
        wait_for("slots", more)
        return holder

    def test_alone(self):
        self.start()
        wait_for("a session", lambda: self.get("/healthz") ==
                 (200, "text/plain; charset=utf-8", "ok\n"))
        self.hold(3)
        status, kind, text = self.get("/metrics")
        self.assertEqual((status, kind.split(";")[0]), (200, "application/openmetrics-text"))
        values = samples(text)
        self.assertEqual(values["slotshare_counter_in_use", "host:mx.example.com"], 3)
        self.assertEqual(values["slotshare_session", None], 1)

        status, kind, text = self.get("/status.json?again")
        self.assertEqual((status, kind), (200, "application/json"))
        found = json.loads(text)
        self.assertEqual([(c["name"], c["in_use"], c["limit"]) for c in found["counters"]],
                         [("host:mx.example.com", 3, 4)])
        self.assertEqual([m["name"] for m in found["members"]], ["mta1"])
        self.assertLessEqual({"started", "coordinator", "session"},
                             {e["event"] for e in found["events"]})
        def in_history():
            history = json.loads(self.get("/status.json")[2])["history"]["counters"]
            return 3 in history.get("host:mx.example.com", {"in_use": []})["in_use"]
        wait_for("history", in_history)
        status, kind, text = self.get("/")
        self.assertEqual((status, kind), (200, "text/html; charset=utf-8"))
        self.assertTrue(text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n"))
        self.assertNotRegex(text, r"(src|href)=\"(https?:)?//")  # nothing of another host
        self.assertEqual(self.get("/other")[0], 404)
        # For who has no script: a page that says where it is as text.
        self.assertRegex(text, r"<noscript>(?s:.*?)<a href=\"status.txt\">")
        status, kind, text = self.get("/status.txt")
        self.assertEqual((status, kind), (200, "text/plain; charset=utf-8"))
        self.assertRegex(text, r"^segment +mta1 (?s:.*)\nhost:mx.example.com +3 +4 +4 (?s:.*)"
                               r"\nmta1 +this node (?s:.*) started +version=")

    def test_in_a_browser(self):
        if shutil.which("chromium") is None:
            self.skipTest("chromium is not installed")
        self.start()
        wait_for("the segment", lambda: self.get("/healthz")[0] == 200)
        self.hold(2)
        text = browse(self.directory, f"http://127.0.0.1:{self.port}/")
        self.assertIn("slotshare on mta1", text)
        self.assertIn(">host:mx.example.com<", text)
        self.assertIn("this node", text)
        self.assertRegex(text, r'<td class="quiet least">info</td><td>session</td>'
                               r'<td class="text quiet">number=1</td>')
        self.assertRegex(text, r'<td>started</td><td class="text quiet">version=')
        self.assertRegex(text, r'<div id="trouble" role="status"></div>')

    def test_waiting(self):
        """A new node that has not heard the other one has no segment yet."""
        self.start(alone=False)
        # Its first turn says for whom it waits; the page is there before that.
        wait_for("whom it waits for", lambda: "mta2" in self.get("/healthz")[2])
        self.assertEqual(self.get("/healthz")[0], 503)
        self.assertEqual(self.get("/metrics")[0], 503)
        self.assertEqual(self.get("/status.json")[0], 503)
        self.assertEqual(self.get("/status.txt")[0], 503)
        self.assertEqual([n["state"] for n in json.loads(self.get("/nodes.json")[2])["nodes"]],
                         ["this node", "never heard"])
        self.assertEqual(self.get("/")[0], 200)

    def test_a_port_in_use(self):
        self.start()
        config = os.path.join(self.directory, "second.ini")
        with open(config, "w", encoding="ascii") as out:
            out.write(config_of(self.directory, self.port, *free_ports(1))
                      .replace("segment = mta1", "segment = second"))
        done = subprocess.run([BRIDGE, "--config", config], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"http = http://127.0.0.1:{self.port}: cannot serve there: Address in use",
                      done.stderr)


class Served(Cluster):
    """A cluster whose first node serves HTTP."""

    def __init__(self, **options):
        self.port, = free_ports(1)
        super().__init__(**options)

    def config_of(self, node, limits=None, members=None):
        text = super().config_of(node, limits, members)
        if node is self.nodes[0]:
            text = text.replace("[node]\n", f"[node]\nhttp = http://127.0.0.1:{self.port}\n", 1)
        return text

    def get(self, path):
        return fetch(self.port, path)

    def nodes_of(self, counter):
        status, kind, text = self.get("/nodes.json?" + urllib.parse.urlencode({"counter": counter}))
        assert (status, kind) == (200, "application/json"), text
        return {n["name"]: n for n in json.loads(text)["nodes"]}


class Nodes(unittest.TestCase):
    COUNTER = "host:mx.example.com"

    def test_what_each_holds(self):
        with Served() as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            other = cluster.worker(1, "other.example.com")
            cluster.wait_sessions(workers)
            cluster.take_until(workers, 12, 12)
            wait_for("a slot without a limit", lambda: other.take() == 1)

            def told():
                rows = cluster.nodes_of(self.COUNTER)
                return ([(rows[n]["in_use"], rows[n]["share"]) for n in ("mta1", "mta2", "mta3")]
                        == [(w.held, w.held) for w in workers])
            wait_for("the parts of all", told)
            wait_for("all counters together", lambda: [n["in_use"] for n in json.loads(
                cluster.get("/nodes.json")[2])["nodes"]] ==
                [workers[0].held, workers[1].held + 1, workers[2].held])
            self.assertEqual([n["in_use"] for n in cluster.nodes_of("host:none").values()],
                             [0, 0, 0])
            # Odd questions, and more at a time than are taken.
            for query in ("?", "?counter", "?counter=", "?x=1&y", "?counter=%", "?counter=%zz",
                          "?counter=%00", "?x&counter=a+b%2", "?" + "&" * 500,
                          "?counter=" + "%ff" * 100):
                self.assertEqual(cluster.get("/nodes.json" + query)[0], 200, query)
            self.assertEqual(cluster.get("/nodes.json?counter=" + "x" * 2000)[::2],
                             (400, "no counter has so long a name\n"))
            found = []
            threads = [threading.Thread(target=lambda: found.append(cluster.get("/nodes.json")[0]))
                       for _ in range(60)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual((len(found), set(found) - {503}), (60, {200}))
            if shutil.which("chromium") is None:
                self.skipTest("chromium is not installed")
            page = browse(cluster.directory,
                          f"http://127.0.0.1:{cluster.port}/#counter={self.COUNTER}")
            self.assertIn(f"(of {self.COUNTER}; <a", page)
            for node, worker in zip(cluster.nodes, workers):
                self.assertRegex(page, rf'<tr><td class="name">{node.name}</td>(?:<td[^>]*>[^<]*</td>'
                                       rf'){{2}}<td class="n">{worker.held}</td>'
                                       rf'<td class="n">{worker.held}</td>')
            self.assertIn('<tr class="chosen"><td class="name"><a href="#counter=host%3Amx.example'
                          '.com"', page)
            # A bridge that is told to end does so, whoever asks it just now.
            def ask():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    while True:
                        cluster.get("/nodes.json")
            asking = threading.Thread(target=ask)
            asking.start()
            self.assertEqual(cluster.nodes[0].kill(signal.SIGTERM), 0)
            asking.join()

    def test_who_was_refused(self):
        """Connections between bridges that were refused, by reason."""
        with Served(scheme="tls+tcp") as cluster:
            name = "slotshare_bridge_refused_connections_total"
            node = cluster.nodes[0]

            def figures():
                found = samples(cluster.get("/metrics")[2])
                return {label: int(value) for (metric, label), value in found.items()
                        if metric == name}
            wait_for("a segment", lambda: cluster.get("/metrics")[0] == 200)
            before = figures()
            self.assertIn("wrong-ca", before)
            self.assertEqual(len(before), 13)
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", int(node.url.rsplit(":", 1)[1])),
                                              timeout=PATIENCE) as stream:
                    stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    try:
                        while stream.recv(100):
                            pass
                    except ConnectionError:
                        pass
            wait_for("three more", lambda: figures()["plain"] == before["plain"] + 3)
            found = json.loads(cluster.get("/status.json")[2])["refused"]
            self.assertEqual(set(found), set(before))
            self.assertEqual(found["plain"], before["plain"] + 3)


if __name__ == "__main__":
    unittest.main()
