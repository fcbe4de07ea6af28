#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What operators see of a real cluster: shmstat's nodes and events, and --from."""
import json
import os
import re
import socket
import subprocess
import sys
import unittest

from bridges import BUILD, PATIENCE, Cluster, wait_for

sys.path.insert(1, os.path.join(os.path.dirname(__file__), os.pardir, "tools"))
from support import help_fields  # noqa: E402
from terminal import Terminal  # noqa: E402

SHMSTAT = os.path.join(BUILD, "bin", "shmstat")
COUNTER = "host:mx.example.com"
LIMIT = '[host "mx.example.com"]\ncluster_max_outbound_connections = 2\n'
UNAVAILABLE, NOTHING = 69, 1


def command(node, *words):
    return [SHMSTAT, "--name", node.segment, "--directory", node.directory, *words]


def shmstat(node, *words):
    """@return status, output, errors"""
    done = subprocess.run(command(node, *words), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def see(node, *words):
    status, out, errors = shmstat(node, "--json", *words)
    assert (status, errors) == (0, ""), errors
    return json.loads(out)


def nodes_of(node):
    """What the bridge of this node tells of the counter: {name: row}"""
    found = see(node, "--counter", COUNTER)
    return {row["name"]: row for row in found["nodes"]}


class See(unittest.TestCase):
    def test_nodes_events_and_from(self):
        with Cluster(LIMIT) as cluster:
            workers = [cluster.worker(i) for i in range(3)]
            cluster.wait_sessions(workers)
            wait_for("two slots on mta1", lambda: workers[0].take_all(2) == 2)
            mta1, mta2, mta3 = cluster.nodes

            # Each node knows it of each.
            def all_know():
                return all([(rows[n]["in_use"], rows[n]["oldest_ms"] > 0)
                            for n in ("mta1", "mta2", "mta3")] ==
                           [(2, True), (0, False), (0, False)]
                           for rows in map(nodes_of, (mta1, mta2, mta3)))
            wait_for("the totals", all_know)
            text = shmstat(mta2, "--help")[1]
            found = see(mta2, "--counter", COUNTER)
            for table in ("nodes", "events"):
                for row in found[table]:
                    self.assertEqual(set(row), help_fields(text, table))
            self.assertEqual(found["told"], True)
            self.assertEqual(nodes_of(mta2)["mta2"]["state"], "this node")

            def coordinator_is_shown():
                rows = nodes_of(mta2)
                found = cluster.coordinator()
                return found and found.name in [n for n in rows
                                                if rows[n]["role"] == "coordinator"]
            wait_for("the coordinator", coordinator_is_shown)
            self.until_said(mta2, r"\nmta1 +2 +2 +\d +\S+s +connected ", "--counter", COUNTER)

            # More nodes want it than there are slots: it goes round, and the others know.
            def hungry():
                workers[1].take()
                workers[2].take()
                out = shmstat(mta1, "--counter", COUNTER)[1]
                return re.search(r"\nwaiting for +(?s:.*)3 nodes want slots and there are 2: they "
                                 r"go round", out)
            wait_for("a turn", hungry)

            # A slot that is to go elsewhere, and is held yet: its node drains, and others know it,
            # and until when; and when it has not come back by then.
            text = r" mta1 drains: it holds [12] above its share, and its workers "

            def too_late():
                hungry()
                return re.search(text + r"should have ended these by now\n",
                                 shmstat(mta2, "--counter", COUNTER)[1])

            def drains():
                hungry()
                found = re.search(r" until \d\d:\d\d:\d\d:" + text +
                                  r"are to end the first of these by then\n",
                                  shmstat(mta2, "--counter", COUNTER)[1])
                if not found and too_late():  # this was not quick enough to see it
                    for worker in workers:
                        worker.give_back()
                    wait_for("both once more", lambda: workers[0].take_all(2) == 2)
                return found
            wait_for("a node that drains", drains)
            wait_for("a node that drains, too late", too_late)

            def explained():
                workers[1].take()
                workers[2].take()
                status, out, errors = mta3.ask("explain", "--host", "mx.example.com")
                self.assertEqual((status, errors), (0, ""))
                return (re.search(r"\nnodes +mta1 holds 2 of its share \d(, wants \d)?, the oldest "
                                  r"for \S+s \(connected\)\n +mta2 holds 0 ", out) and
                        re.search(r"\n(waiting for)? +3 nodes want slots and there are 2: ", out))
            wait_for("an explanation", explained)
            status, out, errors = mta1.ask("explain", "--json", "--host", "mx.example.com")
            found = json.loads(out)
            self.assertEqual({h["process"] for h in found["holders"]}, {"bridge_holder"})
            self.assertEqual((found["told"], [n["name"] for n in found["nodes"]]),
                             (True, ["mta1", "mta2", "mta3"]))

            # As another node has it.
            def from_mta1():
                return [(r["name"], r["in_use"], r["limit"], r["takes"])
                        for r in see(mta3, "--from", "mta1")["counters"]]
            wait_for("mta1's counters", lambda: from_mta1() == [(COUNTER, 2, 2, None)])
            self.until_said(mta3, rf"\n{COUNTER} +2 +\S+ +2 +host +", "--from", "mta1")
            self.assertEqual(shmstat(mta3, "--from", "mta9"),
                             (NOTHING, "", "shmstat: mta9: no such member; there are mta1, mta2, "
                              "mta3\n"))

            # Events: what the log has said, and grants.
            names = {row["event"] for row in see(mta1)["events"]}
            self.assertLessEqual({"started", "session", "coordinator"}, names)
            status, out, errors = shmstat(mta1, "--events")
            self.assertEqual((status, errors), (0, ""))
            self.assertRegex(out, r"\n\d\d-\d\d \d\d:\d\d:\d\d +info +session +number=\d+\n")
            wait_for("a grant", lambda: any("share_set" in {r["event"] for r in see(n)["events"]}
                                            for n in cluster.nodes))
            # Someone who is dead is reaped, and that is an event.
            for worker in workers:
                worker.kill()
            wait_for("a reaping", lambda: "reaped" in {r["event"] for r in see(mta1)["events"]})

            # A node that is lost: until when.
            cluster.nodes[2].kill()
            wait_for("silence", lambda: re.search(
                r"\nwaiting for +until \d\d:\d\d:\d\d: mta3 is silent; |is lost: only its reserve",
                shmstat(mta1, "--counter", COUNTER)[1]))
            wait_for("the end of it", lambda: "mta3 is lost: only its reserve is kept for it" in
                     shmstat(mta1, "--counter", COUNTER)[1])
            self.live(mta1)
            # And then nobody is left to deal.
            mta2.kill()
            def alone():
                out = mta1.ask("explain", "--host", "mx.example.com")[1]
                return (" mta1 has no session: it keeps to its reserve until " in out and
                        " there is no coordinator: shares stay as they are until " in out)
            wait_for("a node on its own", alone)
            status, out, errors = shmstat(mta3, "--from", "mta1")
            self.assertEqual((status, out), (UNAVAILABLE, ""))
            self.assertIn("mta3.admin: the bridge that made it is not running", errors)

    def until_said(self, node, pattern, *words):
        wait_for(pattern, lambda: re.search(pattern, shmstat(node, *words)[1]))

    def live(self, node):
        terminal = Terminal(command(node, "--interval", "0.1", "--idle"),
                            {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}, 30, 120)
        self.addCleanup(terminal.close)
        terminal.until_matches(rf"^{COUNTER} +0 ")
        terminal.until_matches(r" peers mta2 \S+s, mta3 silent ")
        terminal.type("n")
        terminal.until_matches(rf"5 nodes 3   6 events  of {COUNTER}$")
        terminal.until_matches(r"^NODE IN USE SHARE WANTS OLDEST STATE +ROLE +HEARD$")
        terminal.until_matches(r"^mta1 +0 .* this node ")
        terminal.until_matches(r"^WAITING FOR\nmta3 is lost: only its reserve is kept ")
        terminal.type("5")
        terminal.until_matches(r"^mta2 +0 +- +0 +- connected ")
        terminal.type("e")
        terminal.until_matches(r"^ +TIME LEVEL +EVENT +WHAT$")
        terminal.type("\x1bOF")  # End: the first of all, however many came since
        terminal.until_matches(r"^\d\d-\d\d \d\d:\d\d:\d\d notice +started +version=")
        terminal.type("/reaped\r")
        text = terminal.until_matches(r"^ Esc drops the filter reaped$")
        self.assertNotIn("started", text)
        self.assertRegex(text, r"info +reaped +slots=\d+")
        terminal.type("\x1bq")
        self.assertEqual(terminal.end(), 0)

    def test_nonsense_is_refused(self):
        """The socket itself: questions that are none."""
        with Cluster(LIMIT, count=1) as cluster:
            node = cluster.nodes[0]
            for question, error in (
                    ({"command": "from"}, "(none): no such member"),
                    ({"command": "from", "node": "x" * 5000}, "xxx: no such member"),
                    ({"command": "from", "node": 3}, "(none): no such member"),
                    ({"command": "nothing"}, "no such command")):
                self.assertIn(error, self.ask(node, question)["errors"][0])
            for question in ({"command": "nodes", "counter": "x" * 5000},
                             {"command": "nodes", "counter": [1]},
                             {"command": "events", "after": -5}):
                self.assertTrue(self.ask(node, question)["ok"])
            last = self.ask(node, {"command": "events"})["events"][-1]["number"]
            self.assertEqual([e for e in self.ask(node, {"command": "events",
                                                         "after": last})["events"]
                              if e["number"] <= last], [])

    def ask(self, node, question):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(os.path.join(node.directory, node.segment + ".admin"))
            connection.sendall(json.dumps({"slotshare": 1, **question}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = connection.recv(65536)
                self.assertTrue(more, "the bridge has closed the connection")
                answer += more
        return json.loads(answer)


if __name__ == "__main__":
    unittest.main()
