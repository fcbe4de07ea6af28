#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The written man pages leave out nothing that there is, and all of them are sound."""
import glob
import os
import re
import shutil
import subprocess
import unittest

SOURCE = os.environ["SLOTSHARE_SOURCE"]
BUILD = os.environ["SLOTSHARE_BUILD"]


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as text:
        return text.read()


def page(name):
    return read("man", name).replace("\\-", "-").replace("\\(dq", '"')


class Pages(unittest.TestCase):
    def test_every_option_of_the_configuration(self):
        options = re.findall(r'^    \{"([a-z_]+)", SECTION_(?!CHANGES|OVERRIDE)', read("conf", "options.c"), re.MULTILINE)
        self.assertGreater(len(options), 15)
        told = page("slotshare.ini.5")
        for option in options:
            self.assertTrue(re.search(rf"(?m)^\.B[IR] {option}\b", told),
                            f"man/slotshare.ini.5 does not tell of {option}")

    def test_every_function(self):
        functions = set()
        for header in glob.glob(os.path.join(SOURCE, "include", "slotshare", "*.h")):
            with open(header, encoding="utf-8") as text:
                functions |= set(re.findall(r"SLOTSHARE_API [a-z_ *]*?\*?(slotshare_\w+)\(",
                                            text.read()))
        self.assertGreater(len(functions), 20)
        told = page("libslotshare.3")
        for function in sorted(functions):
            self.assertTrue(re.search(rf"\b{function}\b", told),
                            f"man/libslotshare.3 does not tell of {function}()")

    def test_every_event_of_the_log(self):
        events = set()
        for name in glob.glob(os.path.join(SOURCE, "bridge", "*.c")):
            with open(name, encoding="utf-8") as source:
                text = source.read()
            for call in re.findall(r"log_(?:event|begin|config|member)\(([^;]*);", text):
                first = re.match(r'[^"\[]*"([a-z_]+)"(?:\s*:\s*"([a-z_]+)")?', call)
                events |= {event for event in first.groups() if event} if first else set()
            events |= set(re.findall(r'\[RELOAD_\w+\] = "(config_[a-z_]+)"', text))
        self.assertGreater(len(events), 30)
        told = read("bridge", "OPERATING.md")
        for event in sorted(events):
            self.assertIn(f"`{event}`", told, "bridge/OPERATING.md does not tell of it")

    def test_sound(self):
        pages = glob.glob(os.path.join(SOURCE, "man", "*.[0-9]"))
        pages += glob.glob(os.path.join(BUILD, "man", "made", "*.[0-9]"))
        if shutil.which("man") is None:
            self.skipTest("man is not installed")
        for name in pages:
            seen = subprocess.run(["man", "--warnings", "-l", name], check=True, text=True,
                                  capture_output=True, env={**os.environ, "MANPAGER": "cat"})
            self.assertEqual(seen.stderr, "", name)
            self.assertIn("SEE ALSO", seen.stdout, name)
            self.assertNotIn(BUILD, seen.stdout, name)


if __name__ == "__main__":
    unittest.main()
