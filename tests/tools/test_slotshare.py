# SPDX-License-Identifier: MIT
"""slotshare itself: its commands, its help, check."""
import json
import os
import re
import unittest

from support import (BAD_CONFIG, CONFIG, HOST, LIMIT, LIMIT_LINE, OS_ERROR, SLOTSHARE, UNAVAILABLE,
                     USAGE, Case)

COMMANDS = ("check", "explain", "mx", "pki", "run", "reload", "status", "member", "override",
            "drain", "resume", "version", "help")


class Usage(Case):
    def test_no_command_prints_the_overview_as_an_error(self):
        status, out, errors = self.call(SLOTSHARE)
        self.assertEqual((status, out), (USAGE, ""))
        for name in COMMANDS:
            self.assertRegex(errors, rf"\n  {name} ")

    def test_an_unknown_command_is_told_which_there_are(self):
        status, out, errors = self.call(SLOTSHARE, "frobnicate")
        self.assertEqual((status, out), (USAGE, ""))
        self.assertEqual(errors, "slotshare: no such command: frobnicate; there are "
                                 f"{', '.join(COMMANDS)}; see 'slotshare --help'\n")

    def test_help_of_everything(self):
        for words in (["--help"], ["-h"], ["help"]):
            status, out, errors = self.call(SLOTSHARE, *words)
            self.assertEqual((status, errors), (0, ""))
            for name in COMMANDS:
                self.assertRegex(out, rf"\n  {name} ")

    def test_help_of_each_command_tells_its_options_and_statuses(self):
        for name in COMMANDS:
            status, out, errors = self.call(SLOTSHARE, name, "--help")
            self.assertEqual((status, errors), (0, ""), name)
            self.assertEqual(self.call(SLOTSHARE, "help", name), (0, out, ""))
            self.assertTrue(out.startswith(f"Usage: slotshare {name}"), out)
            self.assertRegex(out, r"\n  -h, --help ")
            self.assertRegex(out, r"\nExit status:\n(  .*\n)+$")
            self.assertLessEqual(max(map(len, out.splitlines())), 100)

    def test_every_option_in_the_help_is_taken_and_no_other(self):
        for name in COMMANDS[:-2]:
            out = self.call(SLOTSHARE, name, "--help")[1]
            for option in re.findall(r"^  (?:-\w,|   ) --([\w-]+) \w+ ", out, re.M):
                if option != "help":
                    errors = self.call(SLOTSHARE, name, "--" + option)[2]
                    self.assertIn(f"--{option} needs a value", errors)
            for wrong in ("--nonsense", "-Z"):
                status, out, errors = self.call(SLOTSHARE, name, wrong)
                self.assertEqual((status, out), (USAGE, ""))
                self.assertEqual(errors, f"slotshare {name}: no such option: {wrong};"
                                         f" see 'slotshare {name} --help'\n")

    def test_help_of_an_unknown_command(self):
        self.assertEqual(self.call(SLOTSHARE, "help", "frobnicate")[0], USAGE)
        self.assertEqual(self.call(SLOTSHARE, "help", "run", "check")[0], USAGE)

    def test_version(self):
        status, out, errors = self.call(SLOTSHARE, "version")
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"^slotshare (\d+\.\d+\.\d+) \(libslotshare \1\)\n$")
        self.assertEqual(self.call(SLOTSHARE, "--version"), (0, out, ""))
        self.assertEqual(self.call(SLOTSHARE, "version", "x")[0], USAGE)

    def test_lost_output_is_an_error(self):
        status, _, errors = self.call("sh", "-c", f"{SLOTSHARE} version > /dev/full")
        self.assertEqual(status, OS_ERROR)
        self.assertIn("cannot write to standard output: No space left on device", errors)


class Check(Case):
    def test_a_good_file(self):
        status, out, errors = self.call(SLOTSHARE, "check", self.config("[node]\nname = mta1\n" +
                                                                        LIMIT))
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(out, f"{self.path('test.ini')}: good: 1 limit (1 host), no cluster, "
                              "this node is mta1, segment slotshare\n")

    def test_a_good_file_of_a_cluster(self):
        file = self.config("[node]\nname = b\nsegment = bulk\n"
                           "[cluster]\ntls = off\nreplicate = outbound_domains\n"
                           "member a = tcp://127.0.0.1:7001\nmember b = tcp://127.0.0.1:7002\n"
                           "[global]\ncluster_max_outbound_connections = 9\n"
                           '[domain "yahoo.com"]\ncluster_max_outbound_connections = 5\n'
                           '[domain "aol.com"]\ncluster_max_outbound_connections = -1\n')
        status, out, errors = self.call(SLOTSHARE, "check", file)
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(out, f"{file}: good: 3 limits (2 domain, 1 global), cluster slotshare of "
                              "2 members, this node is b, segment bulk\n")

    def test_every_error_is_told_with_its_place(self):
        file = self.config("[global]\n"
                           "cluster_max_outbound_connections = many\n"
                           "colour = blue\n"
                           "[nonsense]\n"
                           '[host "edge.omniti.com"]\n'
                           "cluster_max_outbound_connections = -2\n")
        status, out, errors = self.call(SLOTSHARE, "check", file)
        self.assertEqual((status, out), (1, ""))
        lines = errors.splitlines()
        for line in lines:
            self.assertRegex(line, rf"^{re.escape(file)}:\d+: \S")
        numbers = [int(line[len(file) + 1:].split(":")[0]) for line in lines]
        self.assertEqual(numbers, sorted(numbers))
        self.assertLessEqual({2, 3, 4, 6}, set(numbers))

    def test_a_file_that_cannot_be_read(self):
        for file in (self.path("missing.ini"), self.folder):
            status, out, errors = self.call(SLOTSHARE, "check", file)
            self.assertEqual((status, out), (1, ""))
            self.assertTrue(errors.startswith(file + ": "), errors)

    def test_usage(self):
        for words in ([], ["a.ini", "b.ini"]):
            status, out, errors = self.call(SLOTSHARE, "check", *words)
            self.assertEqual((status, out), (USAGE, ""))
            self.assertEqual(errors, "slotshare check: name one configuration file; "
                                     "see 'slotshare check --help'\n")

    def test_nothing_is_created(self):
        self.call(SLOTSHARE, "check", self.config())
        self.assertEqual(os.listdir(self.folder), ["test.ini"])


class Reload(Case):
    def limit(self):
        return json.loads(self.call(SLOTSHARE, "explain", "--json", "--name", "slotshare",
                                    "--host", HOST)[1])["limit"]

    def test_a_limit_is_raised(self):
        self.make_segment()
        config = self.write("new.ini", CONFIG.replace("= 2\n", "= 3\n"))
        status, out, errors = self.call(SLOTSHARE, "reload", "--config", config)
        self.assertEqual((status, out, errors), (0, f"{config}: loaded\n", ""))
        self.assertEqual(self.limit(), 3)

    def test_where_the_file_says(self):
        """The segment's place and name come from the file that is loaded."""
        place = self.path("place")
        os.mkdir(place)
        text = f"[node]\nsegment = other\ndirectory = {place}\nowners = 64\n" + LIMIT
        file = self.config(text)
        self.assertEqual(self.call(SLOTSHARE, "run", "--config", file, "--host", HOST, "true")[0], 0)
        self.config(text.replace("= 2", "= 3"))
        self.assertEqual(self.call(SLOTSHARE, "reload", "--config", file),
                         (0, f"{file}: loaded\n", ""))
        out = self.call(SLOTSHARE, "explain", "--name", "other", "--directory", place, "--host",
                        HOST)[1]
        self.assertIn("limit            3\n", out)

    def test_a_file_with_errors_changes_nothing(self):
        self.make_segment()
        config = self.write("new.ini", CONFIG.replace("= 2\n", "= x\n"))
        status, _, errors = self.call(SLOTSHARE, "reload", "--config", config)
        self.assertEqual(status, BAD_CONFIG)
        self.assertIn(f"{config}:{LIMIT_LINE}: ", errors)
        self.assertEqual(self.limit(), 2)

    def test_no_segment_and_no_file(self):
        config = self.write("new.ini", CONFIG)
        self.assertEqual(self.call(SLOTSHARE, "reload", "--config", config)[0], UNAVAILABLE)
        self.assertEqual(self.call(SLOTSHARE, "reload")[0], USAGE)
        self.assertEqual(self.call(SLOTSHARE, "reload", "x")[0], USAGE)


if __name__ == "__main__":
    unittest.main()
