# SPDX-License-Identifier: MIT
"""Tests of mailworker, demo-witness and the demo's SMTP server, on loopback addresses."""

import contextlib
import json
import os
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.environ["SLOTSHARE_BUILD"]
SOURCE = os.environ["SLOTSHARE_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "tools", "demo.d"))

from processes import free_port  # noqa: E402 (the path above comes first)

MAILWORKER = os.path.join(BUILD, "bin", "mailworker")
WITNESS = os.path.join(BUILD, "bin", "demo-witness")
RECEIVER = os.path.join(SOURCE, "tools", "demo.d", "receiver.py")
ADDRESS = "127.21.0.1"
REPORT_MS = 20
PATIENCE = 30  # seconds: far more than anything here takes


class Witness:
    """A running demo-witness; look() is its next report."""

    def __init__(self, port, *watches):
        self.process = subprocess.Popen([WITNESS, "--port", str(port), "--report",
                                         str(REPORT_MS), *watches], stdout=subprocess.PIPE, text=True)

    def look(self):
        """The next report that begins after this call: older ones may wait in the pipe."""
        called_ms = time.monotonic() * 1000
        for line in self.process.stdout:
            report = json.loads(line)
            if report["ms"] > called_ms + REPORT_MS:
                return report["watch"]
        raise AssertionError("the witness has ended")

    def wait_now(self, *numbers):
        """Reports until the numbers of open connections are these."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            watch = self.look()
            if [w[0] for w in watch] == list(numbers):
                return watch
        raise AssertionError(f"the witness saw {watch}, not {numbers}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Receiver:
    """A running receiver.py for one MX host."""

    def __init__(self, directory, latency_ms=10):
        self.port = free_port([ADDRESS])
        self.log = os.path.join(directory, "arrived")
        servers = [{"host": "mx.example.org", "address": ADDRESS, "domains": ["example.org"],
                    "latency_ms": latency_ms}]
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", RECEIVER, str(self.port), self.log, json.dumps(servers)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("the receiver did not start")

    def arrived(self):
        with open(self.log, encoding="ascii") as log:
            return [line.split()[0] for line in log]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Case(unittest.TestCase):
    """Closes what it opened, also when a test fails."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory())

    def opened(self, thing):
        self.stack.callback(thing.close)
        return thing

    def listen(self):
        server = self.opened(socket.create_server((ADDRESS, 0)))
        return server, server.getsockname()[1]

    def config(self, text):
        path = os.path.join(self.directory, "slotshare.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
        return path

    def mailworker(self, port, *arguments, config=None):
        command = [MAILWORKER, "--directory", self.directory, "--binding", "bulk",
                   "--destination", f"example.org,mx.example.org,{ADDRESS}:{port}", *arguments]
        if config:
            command += ["--config", config]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE * 2, check=False)


class WitnessTest(Case):
    """What counts as an open connection."""

    def test_counts_by_address(self):
        _, port = self.listen()
        witness = self.opened(Witness(port, f"to;2;*/{ADDRESS}", "from;-;127.21.1.1/*",
                                      f"two rules;-;127.21.1.1/{ADDRESS};127.21.1.2/*",
                                      "elsewhere;-;*/127.21.0.9"))
        witness.wait_now(0, 0, 0, 0)
        for source in ("127.21.1.1", "127.21.1.2", "127.21.1.3"):
            self.opened(socket.create_connection((ADDRESS, port), source_address=(source, 0)))
        watch = witness.wait_now(3, 1, 2, 0)
        self.assertEqual([w[2] for w in watch], [3, 1, 2, 0])
        self.assertGreater(watch[0][3], 0, "three are more than the limit of two")
        self.assertEqual([w[3] for w in watch[1:]], [0, 0, 0])

    def test_only_the_senders_end_counts_until_it_is_closed(self):
        server, port = self.listen()
        witness = self.opened(Witness(port, "all;-;*/*"))
        first = self.opened(socket.create_connection((ADDRESS, port)))
        self.opened(server.accept()[0])
        second = self.opened(socket.create_connection((ADDRESS, port)))
        second_end = self.opened(server.accept()[0])
        witness.wait_now(2)
        first.close()  # the server's end stays open
        witness.wait_now(1)
        second_end.close()  # the sender's end stays open
        for _ in range(5):
            self.assertEqual(witness.look()[0][0], 1)
        second.close()
        self.assertEqual(witness.wait_now(0)[0][2], 2)

    def test_wrong_command_lines(self):
        for arguments in ([], ["--port", "25"], ["--port", "0", "a;1;*/*"], ["--port", "25", "a"],
                          ["--port", "25", "a;x;*/*"], ["--port", "25", "a;1;*"],
                          ["--port", "25", "a;1;127.0.0.300/*"], ["--port", "25", "a;-5;*/*"]):
            done = subprocess.run([WITNESS, *arguments], stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(b"Usage", done.stderr)


class ReceiverTest(Case):
    """The server refuses what is not for it."""

    def test_recipients(self):
        receiver = self.opened(Receiver(self.directory))
        with smtplib.SMTP(ADDRESS, receiver.port, timeout=PATIENCE) as client:
            client.sendmail("a@b.example", ["1@example.org"], "Message-ID: <1@x>\r\n\r\nhello\r\n")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@b.example", ["2@example.net"], "Message-ID: <2@x>\r\n\r\n")
            with self.assertRaises(smtplib.SMTPDataError):
                client.sendmail("a@b.example", ["3@example.org"], "Message-ID: <4@x>\r\n\r\n")
        self.assertEqual(receiver.arrived(), ["1"])


class CommandLineTest(Case):
    """mailworker's messages."""

    def test_wrong_command_lines(self):
        good = ["--binding", "b", "--destination", "d,h,127.0.0.1:25"]
        for arguments, word in (([], "--binding"), (good[:2], "--destination"),
                                (good + ["x"], "'x'"), (good + ["--wait", "-1"], "--wait"),
                                (good + ["--processes", "0"], "--processes"),
                                (good + ["--messages", "many"], "--messages"),
                                (["--binding", "b", "--destination", "d,h"], "--destination"),
                                (["--binding", "b", "--destination", "d,h,1.2.3.4:0"],
                                 "--destination"),
                                (["--binding", "b", "--destination", "d,h,1.2.3.4:25,0"],
                                 "--destination")):
            done = subprocess.run([MAILWORKER, *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_help(self):
        done = subprocess.run([MAILWORKER, "--help"], stdout=subprocess.PIPE, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0)
        self.assertIn("--destination", done.stdout)

    def test_no_segment(self):
        done = self.mailworker(25, "--messages", "1", "--name", "nosuch")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nosuch", done.stderr)
        self.assertEqual(json.loads(done.stdout)["delivered"], 0)


class DeliveryTest(Case):
    """Real messages on one host, with the witness looking on."""

    def test_limit_is_kept_and_all_arrive(self):
        receiver = self.opened(Receiver(self.directory))
        witness = self.opened(Witness(receiver.port, "mx;2;*/*"))
        log = os.path.join(self.directory, "delivered")
        config = self.config('[host "mx.example.org"]\ncluster_max_outbound_connections = 2\n')
        done = self.mailworker(receiver.port, "--messages", "120", "--processes", "3",
                               "--connections", "2", "--per-connection", "5", "--log", log,
                               "--source", "127.21.2.1", config=config)
        totals = json.loads(done.stdout)
        self.assertEqual((done.returncode, totals["delivered"], totals["failed"]), (0, 120, 0),
                         done.stderr)
        watch = witness.wait_now(0)[0]
        self.assertEqual(watch[2:], [2, 0], "highest is the limit, never over")
        arrived = receiver.arrived()
        with open(log, encoding="ascii") as lines:
            reported = [line.split()[0] for line in lines]
        self.assertEqual(len(arrived), 120)
        self.assertEqual(sorted(arrived), sorted(set(arrived)))
        self.assertEqual(sorted(arrived), sorted(reported))
        self.assertGreaterEqual(totals["connections"], 120 // 5)
        self.assertLess(totals["connections"], 120, "connections are used again")

    def test_closed_limit_opens_nothing(self):
        _, port = self.listen()
        witness = self.opened(Witness(port, "mx;0;*/*"))
        config = self.config('[host "mx.example.org"]\ncluster_max_outbound_connections = 0\n')
        done = self.mailworker(port, "--seconds", "1", "--wait", "50", config=config)
        totals = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0)
        self.assertGreater(totals["refused"], 0)
        self.assertEqual((totals["delivered"], totals["failed"], totals["connections"]),
                         (0, 0, 0))
        self.assertEqual(witness.look()[0][2], 0)


class HangUpServer(threading.Thread):
    """An SMTP server that hangs up after each message, without waiting for QUIT."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server((ADDRESS, 0))
        self.port = self.server.getsockname()[1]
        self.messages = 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                with connection, connection.makefile("rwb") as stream:
                    self.talk(stream)

    def talk(self, stream):
        def say(text):
            stream.write(text + b"\r\n")
            stream.flush()

        say(b"220 hello")
        for line in iter(stream.readline, b""):
            if line.upper().startswith(b"DATA"):
                say(b"354 go on")
                while stream.readline() not in (b".\r\n", b""):
                    pass
                self.messages += 1
                say(b"250 thank you")
                return
            say(b"250 yes")

    def close(self):
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.join()


class TroubleTest(Case):
    """Slots come back when connections end in other ways than by plan."""

    def one_slot(self):
        return self.config('[host "mx.example.org"]\ncluster_max_outbound_connections = 1\n')

    def test_server_that_hangs_up(self):
        server = self.opened(HangUpServer())
        witness = self.opened(Witness(server.port, "mx;1;*/*"))
        done = self.mailworker(server.port, "--messages", "20", "--connections", "3", "--wait",
                               "5000", config=self.one_slot())
        totals = json.loads(done.stdout)
        self.assertEqual(totals["delivered"], 20, done.stderr)
        self.assertEqual(server.messages, 20)
        self.assertGreaterEqual(totals["connections"], 20)
        self.assertLessEqual(witness.wait_now(0)[0][2], 1)

    def test_server_that_is_down(self):
        config = self.one_slot()
        port = free_port([ADDRESS])
        done = self.mailworker(port, "--seconds", "1", config=config)
        totals = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(totals["delivered"], 0)
        self.assertGreater(totals["failed"], 1, "the only slot came back after each failure")
        self.assertEqual(totals["refused"], 0)
        self.assertIn("mx.example.org", done.stderr)

    def test_killed_workers(self):
        receiver = self.opened(Receiver(self.directory, latency_ms=100))
        config = self.one_slot()
        command = [MAILWORKER, "--directory", self.directory, "--config", config, "--binding",
                   "bulk", "--destination", f"example.org,mx.example.org,{ADDRESS}:{receiver.port}"]
        witness = self.opened(Witness(receiver.port, "mx;1;*/*"))
        for _ in range(3):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            witness.wait_now(1)
            process.kill()  # its worker goes with it
            process.wait()
        done = self.mailworker(receiver.port, "--messages", "3", "--wait", "10000", config=config)
        totals = json.loads(done.stdout)
        self.assertEqual((totals["delivered"], totals["failed"]), (3, 0), done.stderr)
        self.assertEqual(witness.wait_now(0)[0][2:], [1, 0])


if __name__ == "__main__":
    unittest.main()
