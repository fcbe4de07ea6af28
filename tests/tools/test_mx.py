# SPDX-License-Identifier: MIT
"""slotshare mx, against a DNS server on loopback."""
import json
import os
import socket
import subprocess
import sys
import unittest

from support import (BAD_CONFIG, COUNTER, HOST, LIMIT_LINE, SLOTSHARE, UNAVAILABLE, USAGE, Case)

DNS = os.path.join(os.environ["SLOTSHARE_SOURCE"], "tests", "exim", "dns.py")
NO_HOST, TEMPORARY = 68, 75
MANY = [[10, f"mx{n}.of-a-provider-with-a-long-name.example", 30] for n in range(40)]
TABLE = {
    "mx": {"omniti.com": [[20, "backup.omniti.com", 3600], [10, "EDGE.omniti.com", 300],
                          [10, "b.omniti.com", 60]],
           "null.example": [[0, ".", 60]],
           "large.example": MANY},
    "a": {"plain.example": "192.0.2.1", "edge.omniti.com": "192.0.2.2"},
    "aaaa": {"six.example": "2001:db8::1"},
    "fail": ["broken.example"],
}


class Mx(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([sys.executable, "-B", DNS, "127.0.0.1", json.dumps(TABLE),
                                       "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.at = "127.0.0.1:" + cls.server.stdout.readline().split()[1].decode()

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        cls.server.wait()
        cls.server.stdout.close()

    def mx(self, *words):
        return self.call(SLOTSHARE, "mx", "--server", self.at, *words)

    def hosts(self, *words):
        status, out, errors = self.mx("--json", *words)
        self.assertEqual((status, errors), (0, ""))
        return json.loads(out)

    def test_in_force(self):
        self.make_segment()
        holder = self.hold()
        found = self.hosts("omniti.com")
        self.assertEqual((found["format"], found["domain"], found["implicit"]),
                         (1, "omniti.com", False))
        self.assertEqual([(h["preference"], h["host"], h["ttl"]) for h in found["hosts"]],
                         [(10, "b.omniti.com", 60), (10, HOST, 300),
                          (20, "backup.omniti.com", 3600)])
        edge = found["hosts"][1]
        self.assertEqual(
            {k: edge[k] for k in ("limit", "scope", "counter", "share", "in_use",
                                  "cluster_in_use", "source")},
            {"limit": 2, "scope": "host", "counter": COUNTER, "share": 2, "in_use": 1,
             "cluster_in_use": 1, "source": f"{self.path('test.ini')}:{LIMIT_LINE}"})
        self.assertEqual((found["hosts"][0]["limit"], found["hosts"][0]["source"]), (-1, ""))
        status, out, errors = self.mx("omniti.com")
        self.assertEqual((status, errors), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[0], "omniti.com: MX hosts")
        self.assertEqual(lines[1].split(), "PREF HOST TTL LIMIT SHARE IN USE CLUSTER SCOPE COUNTED "
                                           "AS".split())
        self.assertEqual(lines[2].split()[:4], ["10", "b.omniti.com", "60", "unlimited"])
        self.assertEqual(lines[3].split(),
                         ["10", HOST, "300", "2", "2", "1", "1", "host", COUNTER,
                          f"({self.path('test.ini')}:{LIMIT_LINE})"])
        self.let_go(holder)

    def test_a_file_and_a_binding(self):
        file = self.config('[binding "bulk" host "edge.omniti.com"]\n'
                           "cluster_max_outbound_connections = 1\n")
        edge = self.hosts("--config", file, "--binding", "bulk", "omniti.com")["hosts"][1]
        self.assertEqual((edge["limit"], edge["scope"], edge["in_use"], edge["share"]),
                         (1, "binding::host", None, None))
        edge = self.hosts("--config", file, "omniti.com")["hosts"][1]
        self.assertEqual((edge["limit"], edge["scope"]), (-1, "none"))

    def test_the_documented_fields_and_no_others(self):
        found = self.hosts("--config", self.config(), "omniti.com")
        text = self.call(SLOTSHARE, "mx", "--help")[1]
        self.assertEqual(set(found), {"format", "domain", "implicit", "hosts"})
        for field in set(found) | set(found["hosts"][0]):
            self.assertRegex(text, rf"\b{field}\b")

    def test_without_an_mx_record(self):
        for domain in ("plain.example", "six.example", "Plain.Example."):
            found = self.hosts("--config", self.config(), domain)
            self.assertEqual([(h["host"], h["ttl"]) for h in found["hosts"]],
                             [(domain.lower().rstrip("."), 60)])
            self.assertTrue(found["implicit"])
        self.assertIn("plain.example: no MX record: mail goes to its own address\n",
                      self.mx("--config", self.config(), "plain.example")[1])

    def test_an_answer_too_large_for_udp(self):
        found = self.hosts("--config", self.config(), "large.example")
        self.assertEqual({h["host"] for h in found["hosts"]}, {host for _, host, _ in MANY})

    def test_nowhere_to_go(self):
        for domain, why in (("none.example", "there is no such domain"),
                            ("null.example", "accepts no mail: its MX record names no host")):
            self.assertEqual(self.mx("--config", self.config(), domain),
                             (NO_HOST, "", f"slotshare mx: {domain}: {why}\n"))

    def test_a_server_that_fails(self):
        status, out, errors = self.mx("--config", self.config(), "broken.example")
        self.assertEqual((status, out), (TEMPORARY, ""))
        self.assertIn("broken.example: the name server has not answered: SERVFAIL; try", errors)

    def test_a_server_that_is_not_there(self):
        port = self.free_port()
        status, out, errors = self.call(SLOTSHARE, "mx", "--server", f"127.0.0.1:{port}",
                                        "--config", self.config(), "omniti.com")
        self.assertEqual((status, out), (TEMPORARY, ""))
        self.assertIn("omniti.com: the name server has not answered: ", errors)

    def free_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def test_usage(self):
        file = self.config()
        for words, message in (
                ([], "takes one domain; see 'slotshare mx --help'"),
                (["a", "b"], "takes one domain; see 'slotshare mx --help'"),
                (["--config", file, "--name", "n", "d"],
                 "--config goes with neither --name nor --directory: a file, or a segment; see "
                 "'slotshare mx --help'"),
                (["--config", file, "a b"], "this is not a domain"),
                (["--config", file, "\x1b[2J"], "this is not a domain"),
                (["--config", file, "a..b"], "this is not a domain"),
                (["--config", file, "--server", "nonsense", "d"],
                 "nonsense is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"),
                (["--config", file, "--server", "[::1", "d"],
                 "[::1 is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"),
                (["--config", file, "--server", "127.0.0.1:99999", "d"],
                 "127.0.0.1:99999 is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT")):
            self.assertEqual(self.call(SLOTSHARE, "mx", *words),
                             (USAGE, "", f"slotshare mx: {message}\n"))

    def test_no_limits_to_show(self):
        status, out, errors = self.mx("--name", "nothere", "omniti.com")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("nothere", errors)
        status, out, errors = self.mx("--config", self.config("[nonsense]\n"), "omniti.com")
        self.assertEqual((status, out), (BAD_CONFIG, ""))


if __name__ == "__main__":
    unittest.main()
