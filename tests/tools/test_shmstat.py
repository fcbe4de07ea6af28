# SPDX-License-Identifier: MIT
"""shmstat without a terminal: text and JSON."""
import json
import os
import re
import subprocess
import unittest

from support import (COUNTER, HOST, LIMIT_LINE, OS_ERROR, PATIENCE, SHMSTAT, SLOTSHARE,
                     UNAVAILABLE, USAGE, Case, eventually, help_fields)

NO_SUCH_COUNTER = 1


class Usage(Case):
    def test_help(self):
        status, out, errors = self.call(SHMSTAT, "--help")
        self.assertEqual((status, errors), (0, ""))
        for part in ("\nOptions:\n", "\nKeys of the live display:\n", "\nJSON:\n", "\nExit status:"):
            self.assertIn(part, out)
        self.assertLessEqual(max(map(len, out.splitlines())), 100)

    def test_every_option_in_the_help_is_taken(self):
        out = self.call(SHMSTAT, "--help")[1]
        options = re.findall(r"^  (?:-\w,|   ) --([\w-]+) [A-Z]+ ", out, re.M)
        self.assertEqual(options, ["name", "directory", "interval", "count", "counter", "from"])
        for option in options:
            self.assertIn(f"--{option} needs a value", self.call(SHMSTAT, "--" + option)[2])

    def test_wrong_words(self):
        for words, message in (
                (["--nonsense"], "no such option: --nonsense; see 'shmstat --help'"),
                (["x"], "takes no operand: 'x'; see 'shmstat --help'"),
                (["--interval", "0"], "--interval: '0' is not seconds from 0.05 to 86400"),
                (["--count", "0"], "--count: '0' is not a whole number from 1 to 2147483647"),
                (["--count", "1.5"], "--count: '1.5' is not a whole number from 1 to 2147483647"),
                (["--once", "--count", "2"], "--once and --count exclude each other")):
            self.assertEqual(self.call(SHMSTAT, *words), (USAGE, "", f"shmstat: {message}\n"))

    def test_version(self):
        status, out, _ = self.call(SHMSTAT, "--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^shmstat (\d+\.\d+\.\d+) \(libslotshare \1\)\n$")

    def test_uses_the_public_library_alone(self):
        """Only libslotshare, the terminal, JSON and the system; no part of the inside."""
        out = subprocess.run(["readelf", "-d", SHMSTAT], capture_output=True, encoding="utf-8",
                             check=True).stdout
        needed = re.findall(r"NEEDED.*\[lib(\w+)\.", out)
        self.assertIn("slotshare", needed)
        self.assertLessEqual(set(needed), {"slotshare", "jansson", "ncursesw", "tinfo", "c", "m",
                                           "asan", "ubsan", "tsan", "gcc_s"})


class Text(Case):
    def test_what_is_there(self):
        self.make_segment()
        holder = self.hold()
        status, out, errors = self.call(SHMSTAT)
        self.assertEqual((status, errors), (0, ""))
        for label in ("segment", "layout", "node", "bridge", "session", "coordinator", "owners",
                      "slots", "counters", "reaped"):
            self.assertRegex(out, rf"(?m)^{label} +\S")
        self.assertIn(f"segment      slotshare ({self.path('slotshare.seg')})\n", out)
        self.assertIn("bridge       none (single host)\n", out)
        self.assertRegex(out, r"\nslots        1 of \d+\n")
        lines = out.splitlines()
        head = next(i for i, line in enumerate(lines) if line.startswith("COUNTER "))
        self.assertEqual(lines[head].split(), "COUNTER IN USE SHARE LIMIT SCOPE CLUSTER WAITING "
                                              "LONGEST TAKES REFUSALS ENFORCED WOULD REFUSE PEAK RESERVE "
                                              "EXCESS SOURCE".split())
        self.assertEqual(lines[head + 1].split(), [COUNTER, *"1 2 2 host 1 0 - 1 0 yes 0 1 2 0".split(),
                                                   f"{self.path('test.ini')}:{LIMIT_LINE}"])
        self.assertRegex(out, rf"\nslotshare  +{holder.pid}  +1  +\S+s  +1  +\S+s  alive  -\n")
        self.assertIn("(1 idle; --idle shows it)", out)
        self.let_go(holder)

    def test_once_is_the_same(self):
        self.make_segment()
        for words in (["--once"], ["-1"], ["--count", "1"]):
            status, out, errors = self.call(SHMSTAT, *words)
            self.assertEqual((status, errors, out.count("segment  ")), (0, "", 1))

    def test_idle_counters(self):
        self.make_segment()
        self.assertNotIn("\nglobal ", self.call(SHMSTAT)[1])
        out = self.call(SHMSTAT, "--idle")[1]
        self.assertRegex(out, r"\nglobal  +0  +-  +-  none ")
        self.assertNotIn("idle;", out)

    def test_one_counter_and_its_holders(self):
        self.make_segment()
        holders = [self.hold(), self.hold(), self.hold("--domain", "other.example")]
        status, out, errors = self.call(SHMSTAT, "--counter", COUNTER)
        self.assertEqual((status, errors), (0, ""))
        for holder in holders[:2]:
            self.assertRegex(out, rf"\n{COUNTER}  +slotshare  +{holder.pid}  +\S+s\n")
        self.assertNotIn("other.example", out)
        self.assertNotIn(str(holders[2].pid), out)
        for holder in holders:
            self.let_go(holder)
        self.assertRegex(self.call(SHMSTAT, "--counter", COUNTER)[1], rf"\n{COUNTER}  +0 ")

    def test_no_such_counter(self):
        self.make_segment()
        status, out, errors = self.call(SHMSTAT, "--counter", "host:nobody")
        self.assertEqual((status, out), (NO_SUCH_COUNTER, ""))
        self.assertIn("no counter 'host:nobody' in segment 'slotshare'", errors)

    def test_who_waits(self):
        self.make_segment()
        holders = [self.hold(), self.hold()]
        waiter = self.start(SLOTSHARE, "run", "--host", HOST, "--wait", "forever", "true")
        eventually("one waits", lambda: self.counter()["waiting"] == 1)
        self.assertRegex(self.call(SHMSTAT)[1],
                         rf"\nslotshare  +{waiter.pid}  .*alive  {COUNTER}\n")
        found = self.json()
        waits = [o["waiting_ms"] for o in found["owners"] if o["pid"] == waiter.pid][0]
        self.assertGreaterEqual(waits, 0)
        self.assertGreaterEqual(self.counter()["longest_wait_ms"], waits)
        self.assertEqual([o["waiting_ms"] for o in found["owners"] if o["pid"] != waiter.pid],
                         [-1, -1])
        for holder in holders:
            self.let_go(holder)
        self.assertEqual(waiter.wait(PATIENCE), 0)
        self.assertEqual(self.counter()["longest_wait_ms"], -1)

    def test_oldest_slot_and_who_is_dead(self):
        self.make_segment()
        holders = [self.hold(), self.hold("--domain", "other.example")]
        ages = {s["pid"]: s["age_ms"] for s in self.json()["slots"]}
        for owner in self.json()["owners"]:
            self.assertGreaterEqual(owner["oldest_ms"], ages[owner["pid"]])
        self.assertNotIn("reaped\n", self.call(SHMSTAT)[1])
        holders[0].kill()
        holders[0].wait()  # nobody who would reap it is there
        # The kernel lets go of its lock when its command has ended, too.
        eventually("it is dead", lambda: self.json()["segment"]["reaping"] == 1)
        self.assertRegex(self.call(SHMSTAT)[1], r"\nowners       2 of \d+, 1 being reaped\n")
        self.let_go(holders[1])

    def test_without_a_bridge(self):
        self.make_segment()
        found = self.json()
        self.assertEqual((found["told"], found["nodes"], found["events"]), (False, [], []))
        for words in (["--from", "mta2"], ["--events"]):
            status, out, errors = self.call(SHMSTAT, *words)
            self.assertEqual((status, out), (UNAVAILABLE, ""))
            self.assertIn("a single host has no bridge", errors)

    def test_several_readings(self):
        self.make_segment()
        status, out, _ = self.call(SHMSTAT, "--interval", "0.05", "--count", "3")
        self.assertEqual((status, len(re.findall(r"(?m)^segment ", out))), (0, 3))

    def test_names_cannot_steer_the_terminal(self):
        self.make_segment()
        name = self.path("\x1b[2J\xff")
        os.symlink(SLOTSHARE, name)
        holder = self.start(name, "run", "--domain", "b\u00fccher.example", "--", "sh", "-c",
                            "echo held; read end", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        out = self.call(SHMSTAT)[1]
        self.assertNotIn("\x1b", out)
        self.assertRegex(out, rf"\n\?\[2J\S* +{holder.pid} ")
        self.assertIn("domain:b\u00fccher.example", out)
        ascii_only = self.call(SHMSTAT, environment={"LC_ALL": "C"})[1]
        self.assertIn("domain:b??cher.example", ascii_only)
        self.assertEqual([o["process"][:4] for o in self.json()["owners"]], ["\x1b[2J"])
        self.let_go(holder)

    def test_lost_output_is_an_error(self):
        self.make_segment()
        for words in ("", "--json", "--help"):
            status, _, errors = self.call("sh", "-c", f"{SHMSTAT} {words} > /dev/full")
            self.assertEqual(status, OS_ERROR)
            self.assertTrue(errors.startswith("shmstat: "), errors)


class Json(Case):
    def test_the_documented_fields_and_no_others(self):
        self.make_segment()
        holders = [self.hold(), self.hold()]
        text = self.call(SHMSTAT, "--help")[1]
        found = self.json("--idle")
        clustered = {"members", "nodes", "events"}
        tables = {"counters", "owners", "slots"} | clustered
        self.assertEqual(set(found),
                         {"format", "time_ms", "damaged", "told", "idle", "segment"} | tables)
        self.assertEqual(set(found["segment"]), help_fields(text, "segment"))
        for name in tables - clustered:
            self.assertTrue(found[name], name)
            for row in found[name]:
                self.assertEqual(set(row), help_fields(text, name))
        self.assertEqual((found["format"], found["damaged"], found["idle"]), (1, False, 0))
        for holder in holders:
            self.let_go(holder)

    def test_values(self):
        segment = self.make_segment()
        holder = self.hold()
        found = self.json()
        self.assertEqual(
            {k: found["segment"][k] for k in (
                "name", "path", "layout", "rules", "counters_used", "owners_used", "slots_used",
                "clustered", "bridge", "coordinator")},
            {"name": "slotshare", "path": segment, "layout": 4, "rules": 1, "counters_used": 2,
             "owners_used": 1, "slots_used": 1, "clustered": False, "bridge": "none",
             "coordinator": ""})
        self.assertEqual(len(found["counters"]), 1)
        counter = found["counters"][0]
        self.assertEqual(
            {k: counter[k] for k in ("name", "in_use", "share", "limit", "scope", "peak", "takes",
                                     "refusals", "waiting", "source")},
            {"name": COUNTER, "in_use": 1, "share": 2, "limit": 2, "scope": "host", "peak": 1,
             "takes": 1, "refusals": 0, "waiting": 0,
             "source": f"{self.path('test.ini')}:{LIMIT_LINE}"})
        self.assertEqual([(o["pid"], o["held"], o["state"]) for o in found["owners"]],
                         [(holder.pid, 1, "alive")])
        self.assertEqual([(s["counter"], s["pid"], s["owner"]) for s in found["slots"]],
                         [(COUNTER, holder.pid, found["owners"][0]["index"])])
        self.let_go(holder)

    def test_unlimited_is_minus_1(self):
        self.make_segment()
        found = self.counter("global")
        self.assertEqual((found["limit"], found["share"], found["scope"]), (-1, -1, "none"))

    def test_one_counter(self):
        self.make_segment()
        holders = [self.hold(), self.hold("--domain", "other.example")]
        found = self.json("--counter", COUNTER)
        self.assertEqual([c["name"] for c in found["counters"]], [COUNTER])
        self.assertEqual([s["pid"] for s in found["slots"]], [holders[0].pid])
        self.assertEqual([o["pid"] for o in found["owners"]], [holders[0].pid])
        for holder in holders:
            self.let_go(holder)

    def test_one_object_a_line(self):
        self.make_segment()
        status, out, _ = self.call(SHMSTAT, "--json", "-i", "0.05", "-c", "3")
        self.assertEqual(status, 0)
        times = [json.loads(line)["time_ms"] for line in out.splitlines()]
        self.assertEqual(len(times), 3)
        self.assertEqual(times, sorted(times))

    def test_a_dead_owner(self):
        self.make_segment()
        holder = self.hold()
        holder.kill()
        holder.wait()
        # The kernel lets go of its lock when its command has ended, too.
        eventually("it is dead", lambda: [o["state"] for o in self.json()["owners"]] == ["dead"])


class Segment(Case):
    def test_none(self):
        for words in ([], ["--json"]):
            status, out, errors = self.call(SHMSTAT, *words)
            self.assertEqual((status, out), (UNAVAILABLE, ""))
            self.assertTrue(errors.startswith("shmstat: "), errors)
            self.assertIn(self.path("slotshare.seg"), errors)

    def test_another_name_and_directory(self):
        os.mkdir(self.path("sub"))
        self.assertEqual(self.call(SLOTSHARE, "run", "--config", self.config(), "--name", "bulk",
                                   "--directory", self.path("sub"), "--host", HOST, "true")[0], 0)
        status, out, _ = self.call(SHMSTAT, "--name", "bulk", "--directory", self.path("sub"))
        self.assertEqual(status, 0)
        self.assertIn(self.path("sub/bulk.seg"), out)

    def test_not_a_segment(self):
        for text in ("", "x", "not a segment\n" * 10000):
            self.write("slotshare.seg", text)
            status, out, errors = self.call(SHMSTAT)
            self.assertEqual((status, out), (UNAVAILABLE, ""))
            self.assertIn("slotshare.seg", errors)

    def test_a_cut_segment(self):
        os.truncate(self.make_segment(), 8192)
        self.assertEqual(self.call(SHMSTAT)[0], UNAVAILABLE)

    def test_scribbled_over(self):
        """Whatever the bytes are: an answer or an error, never a crash."""
        segment = self.make_segment()
        size = os.path.getsize(segment)
        for seed in range(8):
            with open(segment, "r+b") as file:
                for place in range(4096 + seed * 64, size, 4096 + 513):
                    file.seek(place)
                    file.write(bytes((place * 31 + seed * 7 + i * 13) % 256 for i in range(48)))
            for words in (["--idle"], ["--json", "--idle"]):
                self.assertIn(self.call(SHMSTAT, *words)[0], (0, UNAVAILABLE))

    def test_a_loop_of_links_is_an_error_of_the_system(self):
        os.symlink("loop", self.path("loop"))
        status, out, errors = self.call(SHMSTAT, "--directory", self.path("loop"))
        self.assertEqual((status, out), (OS_ERROR, ""))
        self.assertIn("loop", errors)

    def test_nothing_is_written(self):
        segment = self.make_segment()
        with open(segment, "rb") as file:
            before = file.read()
        files = set(os.listdir(self.folder))
        self.call(SHMSTAT, "--idle")
        self.json("--idle", "--counter", "global")
        with open(segment, "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertEqual(set(os.listdir(self.folder)), files)

    def test_replaced_while_it_runs(self):
        self.make_segment()
        watch = self.start(SHMSTAT, "--json", "--interval", "0.05", stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        first = json.loads(watch.stdout.readline())["segment"]["incarnation"]
        os.unlink(self.path("slotshare.seg"))
        self.assertIn(b"slotshare.seg", watch.stderr.readline())  # says that it is gone
        self.make_segment()
        self.assertEqual(watch.stderr.readline(),
                         b"shmstat: the segment was replaced; reading the new one\n")
        second = eventually("a reading of the new one", lambda: next(
            (i for i in [json.loads(watch.stdout.readline())["segment"]["incarnation"]]
             if i != first), None))
        self.assertNotEqual(first, second)


if __name__ == "__main__":
    unittest.main()
