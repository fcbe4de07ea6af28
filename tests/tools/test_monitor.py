#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shmstat for other programs: check (monitoring plugin), verify, --openmetrics."""
import json
import os
import re
import signal
import subprocess
import sys
import unittest

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support import (BUILD, CLUSTER_SEGMENT, CONFIG, COUNTER, HOST, SHMSTAT, SLOTSHARE, UNAVAILABLE, USAGE,
                     Case, eventually)

SOURCE = os.environ["SLOTSHARE_SOURCE"]
MISCOUNT = os.path.join(BUILD, "tests", "miscount")
OK, WARNING, CRITICAL, UNKNOWN = range(4)
CLUSTER = ('[node]\nname = mta1\ncounters = 1024\nowners = 64\nslots = 1024\n'
           '[cluster]\ntls = off\nreplicate = outbound_domains\nmember mta1 = tcp://127.0.0.1:1\n'
           'member mta2 = tcp://127.0.0.1:2\nmember mta3 = tcp://127.0.0.1:3\n'
           f'[host "{HOST}"]\ncluster_max_outbound_connections = 20\n')


class Check(Case):
    def check(self, status, *options):
        found, out, errors = self.call(SHMSTAT, "check", *options)
        self.assertEqual((found, errors, out.count("\n")), (status, "", 1), out)
        self.assertRegex(out, r"^SLOTSHARE (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+( \|( '[^'=|]+'="
                              r"\d+;\d+;\d+;0;\d+)+)?\n$")
        return out

    def test_fuller_and_fuller(self):
        self.make_segment()
        self.assertIn("no limit is in use", self.check(OK))
        one = self.hold()
        self.assertIn(f"{COUNTER}: 1 of 2 (50%)", self.check(OK))
        self.check(WARNING, "-w", "50")
        self.check(CRITICAL, "--warning", "20", "--critical", "50", "--counter", COUNTER)
        two = self.hold()
        self.assertIn(f"CRITICAL - {COUNTER}: 2 of 2 (100%)", self.check(CRITICAL))
        self.assertIn(f"'{COUNTER}'=2;1;1;0;2 'slots'=2;3276;", self.check(CRITICAL))
        for holder in (one, two):
            self.let_go(holder)
        self.assertIn("(0%)", self.check(OK))

    def test_only_observed_is_never_full(self):
        self.make_segment(CONFIG + "enforce = no\n")
        holders = [self.hold() for _ in range(3)]
        self.assertIn("no limit is in use", self.check(OK))
        self.assertIn("no limit is in use", self.check(OK, "--counter", COUNTER))
        for holder in holders:
            self.let_go(holder)

    def test_unlimited_is_never_full(self):
        self.make_segment()
        holder = self.hold("--domain", "unlimited.example")
        self.assertIn("no limit is in use", self.check(OK))
        self.let_go(holder)

    def test_nothing_to_look_at(self):
        self.assertIn("no such segment", self.check(UNKNOWN))
        self.make_segment()
        self.assertIn("no counter host:none.example", self.check(UNKNOWN, "--counter",
                                                                 "host:none.example"))

    def test_wrong_usage(self):
        for options in (["-w", "0"], ["-w", "101"], ["-w", "90", "-c", "80"], ["more"], ["--nix"]):
            status, out, errors = self.call(SHMSTAT, "check", *options)
            self.assertEqual((status, out), (UNKNOWN, ""), options)
            self.assertIn("shmstat check:", errors)

    def test_cluster(self):
        bridge = self.start(CLUSTER_SEGMENT, self.config(CLUSTER), self.folder, COUNTER,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(bridge.stdout.readline(), b"ready\n")
        # What the others hold counts, too.
        self.assertIn(f"{COUNTER}: 2 of 20 (10%)", self.check(OK))
        bridge.stdin.close()
        bridge.wait()
        self.assertIn("the bridge is dead", self.check(CRITICAL))


class Verify(Case):
    def test_good(self):
        self.make_segment()
        self.assertEqual(self.call(SHMSTAT, "verify")[:2], (0, "good: 1 counters, 0 slots held\n"))
        holder = self.hold()
        self.assertEqual(self.call(SHMSTAT, "verify")[:2], (0, "good: 2 counters, 1 slots held\n"))
        self.let_go(holder)

    def test_a_wrong_count(self):
        self.make_segment()
        holder = self.hold()
        rows = subprocess.run([SHMSTAT, "--json", "--idle"], env=self.environment, check=True,
                              capture_output=True, text=True).stdout
        self.assertIn(COUNTER, rows)
        # The counters come in the order of their places.
        for index in range(2):
            self.assertEqual(self.call(MISCOUNT, self.folder, str(index), "1"), (0, "", ""))
        status, out, _ = self.call(SHMSTAT, "verify")
        self.assertEqual(status, 1)
        self.assertIn(f"{COUNTER}: count 2, records of slots 1\n", out)
        self.assertIn("count 1, records of slots 0\n", out)
        self.assertTrue(out.endswith("different: counts and records do not agree\n"), out)
        for index in range(2):
            self.call(MISCOUNT, self.folder, str(index), "-1")
        self.assertEqual(self.call(SHMSTAT, "verify")[0], 0)
        self.let_go(holder)

    def test_a_dead_owner_is_no_alarm(self):
        """Its slots are on the books until somebody reaps them."""
        self.make_segment()
        holder = self.hold()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        self.assertEqual(self.call(SHMSTAT, "verify")[0], 0)

    def test_under_traffic(self):
        self.make_segment()
        busy = self.start("sh", "-c", f"while :; do {SLOTSHARE} run --host {HOST} true; done")
        eventually("traffic", lambda: COUNTER in self.call(SHMSTAT, "--json", "--idle")[1])
        for _ in range(5):
            self.assertEqual(self.call(SHMSTAT, "verify")[0], 0)
        busy.kill()
        busy.wait()

    def test_nothing(self):
        self.assertEqual(self.call(SHMSTAT, "verify")[0], UNAVAILABLE)
        self.assertEqual(self.call(SHMSTAT, "verify", "more")[0], USAGE)


class OpenMetrics(Case):
    def metrics(self):
        status, out, errors = self.call(SHMSTAT, "--openmetrics")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(out.endswith("\n# EOF\n"))
        found = {}
        for family in text_string_to_metric_families(out):  # strict: raises on any fault
            self.assertTrue(family.name.startswith("slotshare_"))
            self.assertTrue(family.documentation.endswith("."), family.name)
            for sample in family.samples:
                found[sample.name, sample.labels.get("counter") or sample.labels.get("member")] = \
                    sample.value
        return found

    def test_values(self):
        self.make_segment()
        holder = self.hold()
        found = self.metrics()
        for name, value in {"in_use": 1, "limit": 2, "share": 2, "reserve": 2, "takes_total": 1,
                            "refusals_total": 0}.items():
            self.assertEqual(found["slotshare_counter_" + name, COUNTER], value, name)
        unlimited = next(value for (name, counter), value in found.items()
                         if name == "slotshare_counter_limit" and counter != COUNTER)
        self.assertEqual(unlimited, float("inf"))
        self.assertEqual(found["slotshare_slots_used", None], 1)
        self.assertEqual(found["slotshare_counters_left_out", None], 0)
        self.let_go(holder)

    def test_only_observed(self):
        self.make_segment(CONFIG + "enforce = no\n")
        holders = [self.hold() for _ in range(3)]
        found = self.metrics()
        for name, value in {"in_use": 3, "limit": 2, "observed": 1, "takes_total": 3,
                            "would_refuse_total": 1, "refusals_total": 0}.items():
            self.assertEqual(found["slotshare_counter_" + name, COUNTER], value, name)
        for holder in holders:
            self.let_go(holder)

    def test_names_that_need_care(self):
        self.make_segment(f'[node]\nowners = 64\n[binding "a\\b"]\n'
                          'cluster_max_outbound_connections = 2\n')
        holder = self.hold("--binding", "a\\b")
        self.assertEqual(self.metrics()["slotshare_counter_in_use", "binding:a\\b"], 1)
        self.let_go(holder)

    def test_members(self):
        bridge = self.start(CLUSTER_SEGMENT, self.config(CLUSTER), self.folder, COUNTER,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(bridge.stdout.readline(), b"ready\n")
        found = self.metrics()
        self.assertEqual([found["slotshare_member_coordinator", m]
                          for m in ("mta1", "mta2", "mta3")], [0, 1, 0])
        self.assertEqual(found["slotshare_bridge_alive", None], 1)
        self.assertGreater(found["slotshare_session_left_seconds", None], 1)
        bridge.stdin.close()
        bridge.wait()

    def test_described(self):
        """--help names each metric that there is."""
        self.make_segment()
        text = self.call(SHMSTAT, "--help")[1]
        told = set(re.findall(r"^  (slotshare_\w+)$", text, re.MULTILINE))
        _, out, _ = self.call(SHMSTAT, "--openmetrics")
        there = {name + "_total" if kind == "counter" else name
                 for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", out, re.MULTILINE)}
        self.assertEqual(there - told, {"slotshare_segment", "slotshare_counters_left_out"})
        self.assertEqual(told - there, set())

    def test_the_dashboard_and_the_alerts(self):
        """They ask for metrics and labels that there are."""
        text = self.call(SHMSTAT, "--help")[1]
        told = set(re.findall(r"^  (slotshare_\w+)$", text, re.MULTILINE))
        folder = os.path.join(SOURCE, "tools", "monitoring")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                wanted = set(re.findall(r"\bslotshare_\w+", file.read()))
            self.assertGreater(len(wanted), 7, name)
            self.assertEqual(wanted - told, set(), name)
        with open(os.path.join(folder, "grafana-dashboard.json"), encoding="utf-8") as file:
            self.assertGreater(len(json.load(file)["panels"]), 5)

    def test_the_form(self):
        """By promtool's rules and those of OpenMetrics, line by line."""
        self.make_segment()
        holder = self.hold()
        lines = self.call(SHMSTAT, "--openmetrics")[1].splitlines()
        kinds, helped, current = {}, set(), None
        for line in lines[:-1]:
            if line.startswith("# TYPE "):
                current, kind = line.split()[2:]
                self.assertNotIn(current, kinds, "a metric stands together")
                self.assertRegex(current, r"^slotshare_[a-z_]+$")
                self.assertNotRegex(current, r"_(total|count|sum|bucket|info)$")
                kinds[current] = kind
            elif line.startswith("# UNIT "):
                self.assertEqual(line, f"# UNIT {current} seconds")
                self.assertTrue(current.endswith("_seconds"))
            elif line.startswith("# HELP "):
                self.assertRegex(line, rf"^# HELP {current} [A-Z1].*\.$")
                helped.add(current)
            else:
                suffix = {"counter": "_total", "info": "_info", "gauge": ""}[kinds[current]]
                self.assertRegex(line, rf'^{current}{suffix}({{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*}})? '
                                       r"(-?\d+(\.\d+)?|\+Inf)$")
        self.assertEqual(lines[-1], "# EOF")
        self.assertEqual(helped, set(kinds))
        for name in kinds:
            if name.endswith("_seconds"):
                self.assertIn(f"# UNIT {name} seconds", lines)
        self.let_go(holder)

    def test_not_too_many(self):
        """However many counters there are: the thousand that are most in use, and how many not."""
        self.make_segment("[node]\ncounters = 4096\nowners = 64\n[global]\n"
                          "cluster_max_outbound_connections = 3\n")
        python = os.path.join(SOURCE, "tools", "python")
        library = os.path.join(BUILD, "lib", "libslotshare.so.1")
        needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True,
                                check=True).stdout
        if re.search(r"NEEDED.*\[lib\w+san\.", needed):
            self.skipTest("a sanitized library cannot be loaded into somebody else's program")
        self.environment |= {"PYTHONPATH": python, "SLOTSHARE_LIBRARY": library}
        holder = self.start(sys.executable, "-B", "-c", (
            "import slotshare\n"
            f"segment = slotshare.Segment(directory={self.folder!r})\n"
            "for i in range(1100):\n"
            "    segment.acquire(domain=f'd{i}.example').release()\n"
            "held = [segment.acquire(domain=f'd{i}.example') for i in range(1090, 1100)]\n"
            "print(len(held), flush=True)\n"
            "input()\n"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(holder.stdout.readline(), b"10\n")
        found = self.metrics()
        shown = {counter: value for (name, counter), value in found.items()
                 if name == "slotshare_counter_in_use"}
        self.assertEqual(len(shown), 1000)
        self.assertEqual({c for c, value in shown.items() if value == 1},
                         {f"domain:d{i}.example" for i in range(1090, 1100)})
        self.assertEqual(found["slotshare_counters_left_out", None],
                         found["slotshare_counters_used", None] - 1000)
        self.assertGreater(found["slotshare_counters_left_out", None], 99)
        holder.stdin.close()
        holder.wait()

    def test_no_segment_and_wrong_usage(self):
        self.assertEqual(self.call(SHMSTAT, "--openmetrics")[0], UNAVAILABLE)
        self.assertEqual(self.call(SHMSTAT, "--openmetrics", "--json")[0], USAGE)


if __name__ == "__main__":
    unittest.main()
