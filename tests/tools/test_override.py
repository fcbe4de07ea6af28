#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slotshare override, drain and resume on a single host. In a cluster: tests/bridge."""
import json
import unittest

from support import (BAD_CONFIG, CONFIG, FULL, HOST, LIMIT_LINE, SHMSTAT, SLOTSHARE, UNAVAILABLE,
                     USAGE, Case, eventually)

NAMES = ("--host", HOST)


class Override(Case):
    def override(self, *words):
        return self.call(SLOTSHARE, "override", *words)

    def done(self, *words):
        status, out, errors = self.override(*words)
        self.assertEqual((status, errors), (0, ""))
        return out

    def take(self, *names):
        return self.call(SLOTSHARE, "run", *(names or NAMES), "true")[0]

    def explain(self, *names):
        status, out, errors = self.call(SLOTSHARE, "explain", "--name", "slotshare", "--json",
                                        *(names or NAMES))
        self.assertEqual((status, errors), (0, ""))
        return json.loads(out)

    def test_lower_higher_and_cleared(self):
        self.make_segment()
        self.assertEqual(self.done("list"), "none\n")
        self.assertEqual(self.done("set", *NAMES, "1", "--for", "1h"), "in force\n")
        self.hold()
        self.assertEqual(self.take(), FULL)
        why = self.explain()
        self.assertEqual((why["limit"], why["share"], why["would_admit"]), (1, 1, False))
        self.assertRegex(why["source"], rf"^override until \S+Z, then \S+test\.ini:{LIMIT_LINE}$")
        self.assertRegex(self.done("list"), rf'^1 +\[host "{HOST}"\] until \S+Z, .* left\n$')
        self.assertEqual(self.counter()["limit"], 1)
        self.done("set", *NAMES, "3", "--for", "2d")
        self.hold()
        self.hold()
        self.assertEqual(self.take(), FULL)
        # The file is loaded anew: the override stays.
        self.assertEqual(self.call(SLOTSHARE, "reload", "--config", self.config())[0], 0)
        self.assertEqual(self.explain()["limit"], 3)
        self.done("clear", *NAMES)
        why = self.explain()
        self.assertEqual((why["limit"], why["in_use"], why["would_admit"]), (2, 3, False))
        status, _, errors = self.override("clear", *NAMES)
        self.assertEqual(status, BAD_CONFIG)
        self.assertIn(f'no override of [host "{HOST}"]', errors)

    def test_scopes(self):
        """Every scope; one that the file does not have; the names of the limits' own rules."""
        self.make_segment()
        for names, of in ((("--binding", "B", "--host", "h"), '[binding "B" host "h"]'),
                          (("--binding", "B", "--domain", "D"), '[binding "B" domain "d"]'),
                          (("--binding", "B"), '[binding "B"]'), (("--domain", "D."), '[domain "d"]'),
                          (("--scope", "global"), "[global]"),
                          (("--host", "h", "--scope", "host"), '[host "h"]')):
            self.done("set", *names, "0", "--for", "60")
            self.assertIn(" " + of + " until", self.done("list"))
        self.assertEqual(len(json.loads(self.done("list", "--json"))["overrides"]), 6)
        self.assertEqual(self.take("--domain", "anything.example"), FULL)
        self.done("set", "--scope", "global", "-1", "--for", "60s")
        self.assertEqual(self.take("--domain", "anything.example"), 0)
        self.done("clear", "--all")
        self.assertEqual(self.done("list"), "none\n")
        self.assertEqual(self.take("--host", "h"), 0)

    def test_ends(self):
        """By itself: what it lent above the file's limit is refused, what it refused is taken."""
        self.make_segment()
        self.done("set", *NAMES, "1", "--for", "1s")
        self.hold()
        eventually("the end of a lower one", lambda: self.take() == 0)
        self.assertEqual(self.explain()["limit"], 2)
        self.done("set", *NAMES, "9", "--for", "1h")
        self.hold()
        self.hold()
        self.done("set", *NAMES, "9", "--for", "1s")
        eventually("the end of a higher one", lambda: self.take() == FULL)
        why = eventually("the limit of the file",
                         lambda: self.take() == FULL and self.explain()["limit"] == 2
                         and self.explain())
        self.assertEqual((why["in_use"], why["share"], why["source"][-2:]), (3, 2, ":6"))
        # One that stood alone: nothing is counted by it any more.
        self.done("set", "--host", "other", "0", "--for", "1s")
        eventually("its end", lambda: self.take("--host", "other") == 0)
        self.assertEqual(self.explain("--host", "other")["scope"], "none")
        self.assertEqual(self.done("list"), "none\n")

    def test_drained(self):
        self.make_segment()
        self.hold()
        self.assertEqual(self.call(SLOTSHARE, "drain")[1], "this host takes no new slots\n")
        self.assertEqual(self.take(), FULL)
        self.assertEqual(self.take("--host", "unlimited.example"), FULL)
        why = self.explain()
        self.assertIn("this node is drained", why["reason"])
        self.assertEqual(self.counter()["excess"], 1)
        self.assertTrue(self.json()["segment"]["drained"])
        self.assertIn("(DRAINED: takes no new slots)", self.call(SHMSTAT)[1])
        self.assertEqual(self.call(SLOTSHARE, "reload", "--config", self.config())[0], 0)
        self.assertEqual(self.take(), FULL)
        self.assertEqual(self.call(SLOTSHARE, "resume")[1], "this host takes slots again\n")
        self.assertEqual((self.take(), self.take("--host", "unlimited.example")), (0, 0))
        self.assertFalse(self.json()["segment"]["drained"])

    def test_refused(self):
        self.assertEqual(self.override("set", *NAMES, "1", "--for", "1h")[0], UNAVAILABLE)
        self.assertEqual(self.call(SLOTSHARE, "drain")[0], UNAVAILABLE)
        self.make_segment()
        for words in (("set", *NAMES, "1"), ("set", *NAMES, "--for", "1h"), ("set", *NAMES, "x",
                      "--for", "1h"), ("set", *NAMES, "1", "--for", "0"), ("set", *NAMES, "1",
                      "--for", "400d"), ("set", "1", "--for", "1h"), ("clear",), ("other",),
                      ("set", *NAMES, "--domain", "d", "1", "--for", "1h"), ("list", "--all"),
                      ("set", *NAMES, "1048575", "--for", "1h")):
            self.assertEqual(self.override(*words)[0], USAGE, words)
        self.assertEqual(self.call(SLOTSHARE, "drain", "--node", "mta2")[0], USAGE)
        # 64 at most
        for i in range(64):
            self.done("set", "--host", f"h{i}", "1", "--for", "1h")
        status, _, errors = self.override("set", "--host", "h64", "1", "--for", "1h")
        self.assertEqual(status, BAD_CONFIG)
        self.assertIn("64 overrides already", errors)
        self.done("set", "--host", "h3", "2", "--for", "1h")

    def test_in_a_file(self):
        """What is stored of changes is no configuration that people may write."""
        for text in ("[changes]\nversion = 1\n", f'[override host "{HOST}"]\nlimit = 1\n'):
            status, _, errors = self.call(SLOTSHARE, "check", self.config(CONFIG + text))
            self.assertEqual(status, 1)
            self.assertIn("unknown section", errors)


if __name__ == "__main__":
    unittest.main()
