#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slotshare pki: certificates that openssl agrees with, and files that are safe. Real bridges use
such certificates in the bridges' own tests."""
import os
import stat
import subprocess
import unittest

from support import OS_ERROR, SLOTSHARE, UNAVAILABLE, USAGE, Case

EXISTS = 1


class Pki(Case):
    def pki(self, *words, **options):
        return self.call(SLOTSHARE, "pki", "--directory", self.folder, *words, **options)

    def files(self):
        return {name: stat.S_IMODE(os.stat(self.path(name)).st_mode)
                for name in os.listdir(self.folder)}

    def openssl(self, *words):
        return subprocess.run(["openssl", *words], cwd=self.folder, check=True, text=True,
                              capture_output=True).stdout

    def test_a_cluster(self):
        status, out, errors = self.pki("init")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("keep it away", out)
        for name in ("mta1", "mta2.example.com"):
            status, out, errors = self.pki("member", name)
            self.assertEqual((status, errors), (0, ""))
            self.assertIn(f"certificate = /etc/slotshare/{name}.pem", out)
            self.assertEqual(self.openssl("verify", "-x509_strict", "-purpose", "sslserver",
                                          "-verify_hostname", name, "-CAfile", "ca.pem",
                                          f"{name}.pem"), f"{name}.pem: OK\n")
            self.openssl("verify", "-purpose", "sslclient", "-CAfile", "ca.pem", f"{name}.pem")
        self.assertEqual(self.files(), {
            "ca.key": 0o600, "ca.pem": 0o644, "mta1.key": 0o600, "mta1.pem": 0o644,
            "mta2.example.com.key": 0o600, "mta2.example.com.pem": 0o644})
        serials = {self.openssl("x509", "-noout", "-serial", "-in", f"{n}.pem")
                   for n in ("ca", "mta1", "mta2.example.com")}
        self.assertEqual(len(serials), 3)

    def test_days(self):
        self.pki("init")
        self.assertEqual(self.pki("--days", "3", "member", "short")[0], 0)
        for seconds, status in ((2 * 86400, 0), (4 * 86400, 1)):
            self.assertEqual(self.call("openssl", "x509", "-noout", "-checkend", str(seconds),
                                       "-in", self.path("short.pem"))[0], status)

    def test_nothing_is_replaced(self):
        self.pki("init")
        self.pki("member", "mta1")
        before = {name: open(self.path(name), "rb").read() for name in self.files()}
        for words in (["init"], ["member", "mta1"]):
            status, out, errors = self.pki(*words)
            self.assertEqual((status, out), (EXISTS, ""))
            self.assertIn("is there already", errors)
        # One file of two is enough to stop.
        os.unlink(self.path("mta1.key"))
        self.assertEqual(self.pki("member", "mta1")[0], EXISTS)
        del before["mta1.key"]
        self.assertEqual({name: open(self.path(name), "rb").read() for name in self.files()}, before)

    def test_no_authority(self):
        status, out, errors = self.pki("member", "mta1")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("'slotshare pki init' makes them", errors)
        self.assertEqual(self.files(), {})

    def test_a_damaged_authority(self):
        self.pki("init")
        self.write("ca.key", "no key")
        status, _, errors = self.pki("member", "mta1")
        self.assertEqual(status, UNAVAILABLE)
        self.assertIn("openssl failed; it said:\n  ", errors)
        self.assertEqual(set(self.files()), {"ca.key", "ca.pem"})

    def test_no_openssl(self):
        status, _, errors = self.pki("init", environment={"PATH": "/nonexistent"})
        self.assertEqual(status, UNAVAILABLE)
        self.assertIn("apt-get install openssl", errors)
        self.assertEqual(self.files(), {})

    def test_nowhere(self):
        status, _, errors = self.call(SLOTSHARE, "pki", "-d", self.path("none"), "init")
        self.assertEqual(status, OS_ERROR)
        self.assertIn(self.path("none"), errors)

    def test_wrong_usage(self):
        for words in ([], ["more"], ["init", "more"], ["member"], ["member", "a,DNS:b"],
                      ["member", "../mta1"], ["member", ""], ["member", "ca"], ["member", "-x"],
                      ["--days", "0", "init"], ["member", "a" * 129], ["member", "a\n[x]"]):
            status, out, _ = self.pki(*words)
            self.assertEqual((status, out), (USAGE, ""), words)
        self.assertEqual(self.files(), {})


if __name__ == "__main__":
    unittest.main()
