#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a real bridge shows over HTTP."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bridges import BRIDGE, HOLDER, PATIENCE, free_ports, wait_for

MEMBERS = ("mta1", "mta2")
CONFIG = """[node]
name = mta1
segment = mta1
directory = {directory}
state = {directory}
http = http://127.0.0.1:{http}
counters = 64
slots = 64
owners = 8
[cluster]
tls = off
replicate = outbound_domains
member mta1 = tcp://127.0.0.1:{one}
{other}
[host "mx.example.com"]
cluster_max_outbound_connections = 4
"""


class Web(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="slotshare-web-")
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name

    def start(self, alone=True):
        one, two, self.port = free_ports(3)
        config = os.path.join(self.directory, "slotshare.ini")
        with open(config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(directory=self.directory, http=self.port, one=one,
                                    other="" if alone else f"member mta2 = tcp://127.0.0.1:{two}"))
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
        """@return status, type, text"""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}",
                                        timeout=PATIENCE) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers["Content-Type"], answer.read().decode()

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
        values = {(s.name, s.labels.get("counter")): s.value
                  for family in text_string_to_metric_families(text) for s in family.samples}
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

    def test_in_a_browser(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            self.skipTest("chromium is not installed")
        self.start()
        wait_for("the segment", lambda: self.get("/healthz")[0] == 200)
        self.hold(2)
        profile = os.path.join(self.directory, "profile")
        def page():
            return subprocess.run(
                [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                 f"--user-data-dir={profile}", "--virtual-time-budget=5000",
                 f"http://127.0.0.1:{self.port}/"], check=True, capture_output=True, text=True,
                timeout=PATIENCE).stdout
        text = page()
        self.assertIn("slotshare on mta1", text)
        self.assertIn(">host:mx.example.com<", text)
        self.assertIn("this node", text)
        self.assertRegex(text, r'<td class="quiet">info</td><td>session</td>'
                               r'<td class="text quiet">number=1</td>')
        self.assertRegex(text, r'<td>started</td><td class="text quiet">version=')
        self.assertRegex(text, r'<div id="trouble" role="status"></div>')

    def test_waiting(self):
        """A new node that has not heard the other one has no segment yet."""
        self.start(alone=False)
        status, _, text = self.get("/healthz")
        self.assertEqual(status, 503)
        self.assertIn("mta2", text)
        self.assertEqual(self.get("/metrics")[0], 503)
        self.assertEqual(self.get("/status.json")[0], 503)
        self.assertEqual(self.get("/")[0], 200)

    def test_a_port_in_use(self):
        self.start()
        config = os.path.join(self.directory, "second.ini")
        one, = free_ports(1)
        with open(config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(directory=self.directory, http=self.port, one=one, other="")
                      .replace("segment = mta1", "segment = second"))
        done = subprocess.run([BRIDGE, "--config", config], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"http = http://127.0.0.1:{self.port}: cannot serve there: Address in use",
                      done.stderr)


if __name__ == "__main__":
    unittest.main()
