# SPDX-License-Identifier: MIT
"""The programs on the segment of a cluster (what a bridge stores, without the network)."""
import json
import signal
import subprocess
import unittest

from support import (CLUSTER_SEGMENT, COUNTER, FULL, HOST, LIMIT, PATIENCE, SHMSTAT, SIZES,
                     SLOTSHARE, UNAVAILABLE, Case, help_fields)

MEMBERS = "".join(f"member mta{n} = tcp://127.0.0.1:700{n}\n" for n in (1, 2, 3, 4))
CLUSTER = "[node]\nname = mta1\n" + SIZES + "[cluster]\ntls = off\n" + MEMBERS + LIMIT


class Cluster(Case):
    def setUp(self):
        super().setUp()
        self.bridge = self.start(CLUSTER_SEGMENT, self.config(CLUSTER), self.folder, COUNTER,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(self.bridge.stdout.readline(), b"ready\n")

    def end_bridge(self):
        self.bridge.stdin.close()
        self.assertEqual(self.bridge.wait(PATIENCE), 0)

    def test_json(self):
        found = self.json()
        self.assertEqual(
            {k: found["segment"][k] for k in ("clustered", "node", "bridge", "session",
                                              "coordinator")},
            {"clustered": True, "node": "mta1", "bridge": "alive", "session": True,
             "coordinator": "mta2"})
        self.assertTrue(0 < found["segment"]["session_left_ms"] <= 3600000)
        self.assertEqual(
            [(m["name"], m["state"], m["role"], m["url"]) for m in found["members"]],
            [("mta1", "this node", "", "tcp://127.0.0.1:7001"),
             ("mta2", "connected", "coordinator", "tcp://127.0.0.1:7002"),
             ("mta3", "silent", "", "tcp://127.0.0.1:7003"),
             ("mta4", "never heard", "", "tcp://127.0.0.1:7004")])
        self.assertGreaterEqual(found["members"][2]["heard_ms"], 10000)
        self.assertEqual(found["members"][3]["heard_ms"], -1)
        counter = found["counters"][0]  # in use on other hosts: not idle
        self.assertEqual(
            {k: counter[k] for k in ("name", "limit", "share", "in_use", "cluster_in_use",
                                     "contended")},
            {"name": COUNTER, "limit": 2, "share": 1, "in_use": 0, "cluster_in_use": 2,
             "contended": True})
        self.assertEqual([o["state"] for o in found["owners"]], ["bridge"])

    def test_json_has_the_documented_fields_of_members(self):
        text = self.call(SHMSTAT, "--help")[1]
        for member in self.json()["members"]:
            self.assertEqual(set(member), help_fields(text, "members"))

    def test_text(self):
        status, out, errors = self.call(SHMSTAT)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"\nnode         mta1\nbridge       alive\n"
                              r"session      valid, (1h 0m|59m \d+s) left\ncoordinator  mta2\n"
                              r"peers        mta2 \S+s, mta3 silent 1\d+s, mta4 never heard\n")
        self.assertRegex(out, r"\nMEMBER  STATE        ROLE         HEARD  URL\n"
                              r"mta1    this node    -            .*\n"
                              r"mta2    connected    coordinator  .*\n"
                              r"mta3    silent       -            +1\d+s  tcp://127.0.0.1:7003\n"
                              r"mta4    never heard  -                -  tcp://127.0.0.1:7004\n$")

    def test_nobody_answers(self):
        """The segment is shown all the same, and why the rest is not."""
        status, out, errors = self.call(SHMSTAT, "--counter", COUNTER)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"\nnodes are not known: \S+slotshare.admin: no slotshare-bridge "
                              r"serves a segment of this name there ")
        self.assertEqual(self.json()["told"], False)
        for words in (["--from", "mta2"], ["--events"]):
            status, out, errors = self.call(SHMSTAT, *words)
            self.assertEqual((status, out), (UNAVAILABLE, ""))
            self.assertIn("no slotshare-bridge serves a segment of this name there", errors)

    def test_without_its_bridge(self):
        self.end_bridge()
        self.assertEqual(self.json()["segment"]["bridge"], "dead")
        self.assertRegex(self.call(SHMSTAT)[1], r"\nbridge       dead\n")

    def test_a_killed_bridge(self):
        self.bridge.send_signal(signal.SIGKILL)
        self.bridge.wait(PATIENCE)
        self.assertEqual(self.json()["segment"]["bridge"], "dead")

    def test_the_share_is_what_counts(self):
        holder = self.hold()
        status, out, errors = self.call(SLOTSHARE, "run", "--host", HOST, "echo", "started")
        self.assertEqual((status, out), (FULL, ""))
        self.assertEqual(errors, f"slotshare run: no slot on {COUNTER}: limit 2 (host), "
                                 "share of this host 1, in use 1\n")
        self.let_go(holder)

    def test_explain(self):
        status, out, errors = self.call(SLOTSHARE, "explain", "--json", "--name", "slotshare",
                                        "--host", HOST)
        self.assertEqual((status, errors), (0, ""))
        found = json.loads(out)
        self.assertEqual(
            {k: found[k] for k in ("limit", "share", "reserve", "in_use", "cluster_in_use",
                                   "clustered", "session", "would_admit")},
            {"limit": 2, "share": 1, "reserve": 0, "in_use": 0, "cluster_in_use": 2,
             "clustered": True, "session": True, "would_admit": True})
        out = self.call(SLOTSHARE, "explain", "--name", "slotshare", "--host", HOST)[1]
        self.assertIn("\nin use here      0\nin the cluster   2\nsession          valid\n", out)


if __name__ == "__main__":
    unittest.main()
