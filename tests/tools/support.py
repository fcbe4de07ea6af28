# SPDX-License-Identifier: MIT
"""What the tests of the programs share. A test has a folder of its own and leaves nothing."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ["SLOTSHARE_BUILD"]
SLOTSHARE = os.path.join(BUILD, "bin", "slotshare")
SHMSTAT = os.path.join(BUILD, "bin", "shmstat")
CLUSTER_SEGMENT = os.path.join(BUILD, "tests", "cluster_segment")

HOST = "edge.omniti.com"
COUNTER = "host:" + HOST
LIMIT = '[host "edge.omniti.com"]\ncluster_max_outbound_connections = 2\n'
# Small, so that whole files can be compared.
SIZES = "counters = 1024\nowners = 256\nslots = 2048\n"
CONFIG = "[node]\n" + SIZES + LIMIT
LIMIT_LINE = 6  # of the limit in CONFIG

# Statuses of <sysexits.h>
USAGE, UNAVAILABLE, OS_ERROR, FULL, BAD_CONFIG = 64, 69, 71, 75, 78
PATIENCE = 60  # seconds until something that must happen counts as never happening


def eventually(what, condition):
    """Wait until condition() is true and return what it gave."""
    end = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.01)


def gone(pid):
    """True when the process has ended, reaped or not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def help_fields(text, section):
    """The fields that 'shmstat --help' documents for one table of its JSON."""
    body = re.search(rf"^  {section}: .*\n((?:    .*\n)+)", text, re.M).group(1)
    return {line.split()[0] for line in body.splitlines()}


class Case(unittest.TestCase):
    """A test with a folder for segments, where $SLOTSHARE_DIR points."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="slotshare-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {
            **{k: v for k, v in os.environ.items()
               if not k.startswith(("LC_", "SLOTSHARE_")) and k not in ("LANGUAGE", "NO_COLOR")},
            "SLOTSHARE_DIR": self.folder,
            "LANG": "C.UTF-8",
        }

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def config(self, text=CONFIG):
        return self.write("test.ini", text)

    def call(self, *command, **options):
        """Run to its end; returns status, stdout, stderr."""
        environment = {**self.environment, **options.pop("environment", {})}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, encoding="utf-8", check=False, **options)
        return done.returncode, done.stdout, done.stderr

    def start(self, *command, **options):
        """Start; killed at the end of the test if it still runs."""
        process = subprocess.Popen(command, env=self.environment, **options)

        def end():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

        self.addCleanup(end)
        return process

    def make_segment(self, text=CONFIG):
        """Create the segment by its first user, which ends at once."""
        status, _, errors = self.call(SLOTSHARE, "run", "--config", self.config(text), "--host",
                                      "unlimited.example", "true")
        self.assertEqual((status, errors), (0, ""))
        return self.path("slotshare.seg")

    def hold(self, *names):
        """A process that holds a slot until its stdin is closed. Its command has ended by then
        what it had to do first: the slot is held when this returns."""
        names = names or ("--host", HOST)
        process = self.start(SLOTSHARE, "run", *names, "--", "sh", "-c", "echo held; read end",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"held\n")
        return process

    def let_go(self, process):
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 1)  # read(1) at the end of its input

    def json(self, *options):
        status, out, errors = self.call(SHMSTAT, "--json", *options)
        self.assertEqual((status, errors), (0, ""))
        return json.loads(out)

    def counter(self, name=COUNTER):
        """The counter's JSON, or None."""
        found = [c for c in self.json("--idle")["counters"] if c["name"] == name]
        return found[0] if found else None

    def in_use(self, name=COUNTER):
        return self.counter(name)["in_use"]
