# SPDX-License-Identifier: MIT
"""slotshare explain: from a file, and from a segment."""
import json
import os
import re
import unittest

from support import (BAD_CONFIG, CONFIG, COUNTER, HOST, LIMIT_LINE, OS_ERROR, SLOTSHARE,
                     UNAVAILABLE, USAGE, Case)

# All six scopes, each of which would apply to (bulk, yahoo.com, mx.yahoo.com).
SCOPES = (
    ("binding::host", '[binding "bulk" host "mx.yahoo.com"]', 1,
     "binding:bulk,host:mx.yahoo.com"),
    ("host", '[host "mx.yahoo.com"]', 2, "host:mx.yahoo.com"),
    ("binding::domain", '[binding "bulk" domain "yahoo.com"]', 3,
     "binding:bulk,domain:yahoo.com"),
    ("binding", '[binding "bulk"]', 4, "binding:bulk"),
    ("domain", '[domain "yahoo.com"]', 5, "domain:yahoo.com"),
    ("global", "[global]", 6, "domain:yahoo.com"),
)
CLUSTER = ("[node]\nname = a\n[cluster]\ntls = off\nreplicate = outbound_domains\n"
           "member a = tcp://127.0.0.1:7001\nmember b = tcp://127.0.0.1:7002\n")
NAMES = ("--binding", "bulk", "--domain", "Yahoo.com.", "--host", "MX.yahoo.com")


def stanzas(scopes):
    return CLUSTER + "".join(f"{head}\ncluster_max_outbound_connections = {limit}\n"
                             for _, head, limit, _ in scopes)


class FromConfig(Case):
    def explain(self, *names):
        status, out, errors = self.call(SLOTSHARE, "explain", "--json", "--config",
                                        self.path("test.ini"), *names)
        self.assertEqual((status, errors), (0, ""))
        return json.loads(out)

    def test_the_precedence_of_the_scopes(self):
        """Take one scope after the other away: the next one applies."""
        for first, (scope, _, limit, counter) in enumerate(SCOPES):
            self.config(stanzas(SCOPES[first:]))
            found = self.explain(*NAMES)
            self.assertEqual((found["scope"], found["limit"], found["counter"]),
                             (scope, limit, counter))
            self.assertEqual(found["line"], 9)  # of the first limit in the file
            self.assertEqual([s["scope"] for s in found["scopes"]], [s[0] for s in SCOPES])
            self.assertEqual([s["set"] for s in found["scopes"]],
                             [i >= first for i in range(len(SCOPES))])
            self.assertEqual([s["limit"] for s in found["scopes"] if s["set"]],
                             [s[2] for s in SCOPES[first:]])

    def test_nothing_set(self):
        self.config(CLUSTER)
        found = self.explain(*NAMES)
        self.assertEqual((found["scope"], found["limit"], found["line"]), ("none", -1, None))

    def test_only_scopes_whose_names_are_known_apply(self):
        self.config(stanzas(SCOPES))
        found = self.explain("--domain", "yahoo.com")
        self.assertEqual([s["scope"] for s in found["scopes"] if s["applies"]],
                         ["domain", "global"])
        self.assertEqual(found["limit"], 5)

    def test_the_documented_fields_and_no_others(self):
        self.config(stanzas(SCOPES))
        found = self.explain(*NAMES)
        self.assertEqual(set(found), {
            "format", "from", "binding", "domain", "host", "counter", "scope", "limit", "reserve",
            "clustered", "file", "line", "observed", "scopes", "opening_share"})
        for step in found["scopes"]:
            self.assertEqual(set(step), {"scope", "applies", "set", "limit", "observed", "line"})
        self.assertEqual((found["format"], found["from"]), (1, "config"))
        text = re.sub(r"\s+", " ", self.call(SLOTSHARE, "explain", "--help")[1])
        for field in set(found) | set(found["scopes"][0]):
            self.assertRegex(text, rf"\b{field}\b")

    def test_the_opening_deal_is_whole(self):
        """What the two members start with adds up to the limit."""
        shares = []
        for node in "ab":
            self.config(stanzas(SCOPES[2:3]).replace("name = a", "name = " + node))
            found = self.explain(*NAMES)
            self.assertEqual(found["reserve"], 0)  # floor(50% of 3 / 2)
            shares.append(found["opening_share"])
        self.assertEqual(sorted(shares), [1, 2])

    def test_text(self):
        self.config(stanzas(SCOPES[3:]))
        status, out, errors = self.call(SLOTSHARE, "explain", "--config", self.path("test.ini"),
                                        *NAMES)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"\n  binding::host   not set\n")
        self.assertRegex(out, r"\n  binding         4 at \S*test.ini:9  <- applies\n")
        self.assertRegex(out, r"\n  domain          5 at \S*test.ini:11\n")
        self.assertRegex(out, r"\ncounted as       binding:bulk\nlimit            4\n")
        self.assertRegex(out, r"\nopening share    2\nreserve          1\n$")

    def test_what_names_hold_cannot_steer_the_terminal(self):
        self.config()
        status, out, errors = self.call(SLOTSHARE, "explain", "--config", self.path("test.ini"),
                                        "--binding", "\x1b[2J")
        self.assertEqual(status, USAGE)  # not a name
        self.assertNotIn("\x1b", out + errors)

    def test_errors_of_the_file(self):
        file = self.config("[nonsense]\n")
        status, out, errors = self.call(SLOTSHARE, "explain", "--config", file, "--host", "h")
        self.assertEqual((status, out), (BAD_CONFIG, ""))
        self.assertRegex(errors, rf"^{re.escape(file)}:1: ")

    def test_a_name_that_is_too_long(self):
        status, out, errors = self.call(SLOTSHARE, "explain", "--config", self.config(), "--host",
                                        "h" * 256)
        self.assertEqual((status, out), (USAGE, ""))
        self.assertTrue(errors.startswith("slotshare explain: "), errors)


class FromSegment(Case):
    def explain(self, *names):
        status, out, errors = self.call(SLOTSHARE, "explain", "--json", "--name", "slotshare",
                                        *names)
        self.assertEqual((status, errors), (0, ""))
        return json.loads(out)

    def test_what_is_in_force(self):
        self.make_segment()
        found = self.explain("--host", HOST)
        self.assertEqual(
            {k: found[k] for k in ("format", "from", "counter", "scope", "limit", "share",
                                   "in_use", "cluster_in_use", "clustered", "would_admit")},
            {"format": 1, "from": "segment", "counter": COUNTER, "scope": "host", "limit": 2,
             "share": 2, "in_use": 0, "cluster_in_use": 0, "clustered": False,
             "would_admit": True})
        self.assertEqual(found["source"], f"{self.path('test.ini')}:{LIMIT_LINE}")

    def test_the_documented_fields_and_no_others(self):
        self.make_segment()
        found = self.explain("--host", HOST)
        self.assertEqual(set(found), {
            "format", "from", "binding", "domain", "host", "counter", "scope", "limit", "reserve",
            "clustered", "source", "share", "in_use", "cluster_in_use", "session", "would_admit",
            "observed", "reason", "scopes", "holders", "told", "nodes", "waits"})
        for step in found["scopes"]:
            self.assertEqual(set(step), {"scope", "applies", "set", "limit", "observed", "source"})
        text = re.sub(r"\s+", " ", self.call(SLOTSHARE, "explain", "--help")[1])
        for field in found:
            self.assertRegex(text, rf"\b{field}\b")

    def test_only_observed(self):
        self.make_segment(CONFIG + "enforce = no\n")
        holders = [self.hold() for _ in range(3)]
        found = self.explain("--host", HOST)
        self.assertEqual((found["in_use"], found["would_admit"], found["observed"]),
                         (3, True, True))
        self.assertIn("only observed (enforce = no): a take would succeed", found["reason"])
        out = self.call(SLOTSHARE, "explain", "--host", HOST)[1]
        self.assertIn(f"host            2, only observed, at {self.path('test.ini')}:{LIMIT_LINE}"
                      "  <- applies\n", out)
        self.assertIn("limit            2\nenforced         no: only observed\n", out)
        self.assertIn("would be         admitted\n", out)
        out = self.call(SLOTSHARE, "explain", "--config", self.path("test.ini"), "--host", HOST)[1]
        self.assertIn("enforced         no: only observed\n", out)
        self.assertIn("1 limit (1 host), 1 of them only observed, ",
                      self.call(SLOTSHARE, "check", self.path("test.ini"))[1])
        for holder in holders:
            self.let_go(holder)

    def test_a_full_counter(self):
        self.make_segment()
        holders = [self.hold(), self.hold()]
        found = self.explain("--host", HOST)
        self.assertEqual((found["in_use"], found["would_admit"]), (2, False))
        status, out, errors = self.call(SLOTSHARE, "explain", "--name", "slotshare", "--directory",
                                        self.folder, "--host", HOST,
                                        environment={"SLOTSHARE_DIR": "/nonexistent"})
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("in use here      2\nwould be         refused\nbecause          ", out)
        self.assertIn("\n  binding::host   needs a name that was not given\n", out)
        self.assertIn(f"\n  host            2 at {self.path('test.ini')}:{LIMIT_LINE}  "
                      "<- applies\n", out)
        self.assertIn("\n  global          not set\n", out)
        for holder in holders:
            self.assertRegex(out, rf"\n(held here by)? +slotshare, process {holder.pid}, for \S+s\n")
        self.assertEqual({h["pid"] for h in found["holders"]}, {h.pid for h in holders})
        self.assertEqual([s["limit"] for s in found["scopes"]],
                         [None, 2, None, None, None, None])
        self.assertEqual((found["told"], found["nodes"], found["waits"]), (False, [], []))
        for holder in holders:
            self.let_go(holder)

    def test_unlimited(self):
        self.make_segment()
        found = self.explain("--domain", "nobody.example")
        self.assertEqual((found["limit"], found["share"], found["scope"], found["source"]),
                         (-1, -1, "none", ""))

    def test_nothing_is_written(self):
        segment = self.make_segment()
        with open(segment, "rb") as file:
            before = file.read()
        self.explain("--host", "never-seen.example")
        with open(segment, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_no_segment(self):
        status, out, errors = self.call(SLOTSHARE, "explain", "--name", "nothere", "--host", HOST)
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("nothere", errors)

    def test_not_a_segment(self):
        self.write("slotshare.seg", "this is not a segment\n" * 1000)
        status, out, errors = self.call(SLOTSHARE, "explain", "--name", "slotshare", "--host", HOST)
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("slotshare.seg", errors)

    def test_a_loop_of_links_is_an_error_of_the_system(self):
        os.symlink("loop", self.path("loop"))
        status, out, errors = self.call(SLOTSHARE, "explain", "--name", "slotshare", "--host",
                                        HOST, "--directory", self.path("loop"))
        self.assertEqual((status, out), (OS_ERROR, ""))
        self.assertIn("loop", errors)


BOTH = "--config goes with neither --name nor --directory: a file, or a segment"


class Usage(Case):
    def test_the_segment_need_not_be_named(self):
        self.make_segment()
        for words in ([], ["--directory", self.folder]):
            status, out, errors = self.call(SLOTSHARE, "explain", "--host", HOST, *words)
            self.assertEqual((status, errors), (0, ""))
            self.assertIn("\nlimit            2\n", out)

    def test_what_must_be_given(self):
        file = self.config(CONFIG)
        for words, message in (
                (["--config", file, "--name", "n", "--host", "h"], BOTH),
                (["--config", file, "--directory", "d", "--host", "h"], BOTH),
                (["--config", file], "say what for: --binding, --domain, --host"),
                (["--config", file, "--host", ""], "say what for: --binding, --domain, --host"),
                (["--config", file, "--host", "h", "x"], "takes no operand")):
            status, out, errors = self.call(SLOTSHARE, "explain", *words)
            self.assertEqual((status, out), (USAGE, ""))
            self.assertEqual(errors, f"slotshare explain: {message}; "
                                     "see 'slotshare explain --help'\n")

    def test_a_segment_name_with_a_slash(self):
        status, out, _ = self.call(SLOTSHARE, "explain", "--name", "../x", "--host", "h")
        self.assertEqual((status, out), (USAGE, ""))


if __name__ == "__main__":
    unittest.main()
