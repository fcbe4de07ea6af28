# SPDX-License-Identifier: MIT
"""slotshare-socket: the line protocol, and that slots come back."""
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import unittest

from support import BUILD, CONFIG, HOST, Case, eventually

SERVICE = os.path.join(BUILD, "bin", "slotshare-socket")
CLIENT = """\
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\\n"); s.shutdown(socket.SHUT_WR)
print(s.makefile().read(), end="", flush=True); s.close(); sys.stdin.read()
"""


class Client:
    """A connection to the service."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(60)
        self.file = self.socket.makefile("r", encoding="utf-8")

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def hear(self):
        return self.file.readline().rstrip("\n")

    def ask(self, text):
        self.send(text)
        return self.hear()

    def close(self):
        self.file.close()
        self.socket.close()


class SocketTest(Case):
    """One service, one segment of one host: two slots on HOST."""

    def setUp(self):
        super().setUp()
        self.socket = self.path("socket")
        self.service = self.start_service()

    def start_service(self, config=CONFIG):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        options = ["--config", self.config(config)] if config else []
        service = self.start(SERVICE, "--socket", self.socket, *options, stderr=subprocess.PIPE)
        eventually("the service listens", lambda: os.path.exists(self.socket) and self.answers())
        return service

    def answers(self):
        try:
            Client(self.socket).close()
            return True
        except (ConnectionRefusedError, PermissionError):
            return False

    def connect(self):
        client = Client(self.socket)
        self.addCleanup(client.close)
        return client

    def full(self):
        """A client that holds both slots."""
        client = self.connect()
        for _ in range(2):
            self.assertRegex(client.ask(f"take host={HOST}"), r"^ok \d+$")
        return client

    def test_take_and_give(self):
        client = self.connect()
        self.assertEqual(client.ask(f"look host={HOST}"), "yes")
        first = client.ask(f"take binding=b domain=d.example host={HOST}").split()
        self.assertEqual(first[0], "ok")
        second = client.ask(f"take host={HOST}").split()
        self.assertEqual(self.in_use(), 2)
        self.assertEqual(client.ask(f"look host={HOST}"), "no")
        self.assertEqual(client.ask(f"look host={HOST},other.example"), "yes")
        self.assertEqual(client.ask(f"look host={HOST} waiters=1"), "yes")
        self.assertEqual(client.ask(f"take host={HOST}"), "full")
        self.assertEqual(client.ask(f"give id={first[1]}"), "ok")
        self.assertEqual(client.ask(f"give id={first[1]}"), "error no such slot")
        self.assertEqual(self.in_use(), 1)
        self.assertEqual(self.connect().ask(f"give id={second[1]}"), "error no such slot")
        self.assertEqual(client.ask("give untied"), "ok")
        self.assertEqual(self.in_use(), 0)

    def test_connection_ends(self):
        self.full().close()
        eventually("both slots are back", lambda: self.in_use() == 0)

    def test_wait(self):
        holder, first, second = self.full(), self.connect(), self.connect()
        first.send(f"take host={HOST} wait=60\nlook host={HOST}")
        eventually("it waits", lambda: holder.ask(f"look host={HOST} waiters=1") == "no")
        second.send(f"take host={HOST} wait=0.05")
        self.assertEqual(second.hear(), "full")
        holder.ask("give untied")
        self.assertRegex(first.hear(), "^ok")
        self.assertEqual(first.hear(), "yes", "in the order of the lines")

    def test_who_waits_and_goes(self):
        holder, waiter = self.full(), self.connect()
        waiter.send(f"take host={HOST} wait=600")
        eventually("it waits", lambda: holder.ask(f"look host={HOST} waiters=1") == "no")
        waiter.close()
        eventually("it waits no more", lambda: holder.ask(f"look host={HOST} waiters=1") == "yes")
        holder.ask("give untied")
        eventually("nothing is held", lambda: self.in_use() == 0)

    def process(self, line):
        process = self.start(sys.executable, "-c", CLIENT, self.socket, line,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline()

    def test_until_exit(self):
        for how in (lambda p: p.stdin.close(), lambda p: p.send_signal(signal.SIGKILL)):
            process, answer = self.process(f"take until=exit host={HOST}")
            self.assertRegex(answer, "^ok")
            self.assertEqual(self.in_use(), 1)
            how(process)
            process.wait()
            eventually("its slot is back", lambda: self.in_use() == 0)

    def test_tied(self):
        """The connection outlives the process that took the slot, and its own close."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        mail = socket.create_connection(server.getsockname())
        there, _ = server.accept()
        self.addCleanup(there.close)
        ends = "ends=%s,%d,%s,%d" % (*mail.getsockname(), *mail.getpeername())
        process, _ = self.process(f"take until=exit host={HOST}\ntie {ends}\ngive untied")
        self.assertEqual(process.stdout.readline(), "ok\n")
        self.assertEqual(process.stdout.readline(), "ok\n")
        process.stdin.close()
        process.wait()
        other = self.connect()
        for _ in range(3):
            self.assertEqual(other.ask(f"give {ends}"), "ok")
        self.assertEqual(self.in_use(), 1, "the kernel says that it is open")
        mail.close()
        eventually("the slot is back", lambda: self.in_use() == 0)

    def test_tied_and_given(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        mail = socket.create_connection(server.getsockname())
        client = self.connect()
        ends = "ends=%s,%d,%s,%d" % (*mail.getsockname(), *mail.getpeername())
        client.ask(f"take host={HOST}")
        self.assertEqual(client.ask(f"tie {ends}"), "ok")
        mail.close()
        self.assertEqual(client.ask(f"give {ends}"), "ok")
        self.assertEqual(self.in_use(), 0, "at once")

    def test_refused(self):
        self.full()
        client = self.connect()
        self.assertEqual(client.ask(f"take host={HOST} message=m1"), "full")
        self.assertEqual(client.ask("refused message=m1"), HOST)
        self.assertEqual(client.ask("refused message=m2"), "")
        client.ask(f"look host={HOST} message=m1")
        self.assertEqual(client.ask("refused message=m1"), "")

    def test_nonsense(self):
        client = self.connect()
        draw = random.Random(1)
        for line in ("", "take wait=x", "take wait=nan", "give", "tie", "tie ends=1,2,3,4", "TAKE",
                     "take host", "look =", "take until=never", "give id=-1", "give id=1e30",
                     "take host=" + "x" * 300, "take host=a\x01b", "look host=,,,"):
            answer = client.ask(line)
            self.assertTrue(answer.startswith(("error", "yes")), f"{line!r}: {answer!r}")
        self.connect().send("x" * 100000)
        for _ in range(50):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.connect().socket.sendall(draw.randbytes(draw.randrange(9000)))
        self.assertRegex(client.ask(f"take host={HOST}"), "^ok")
        self.assertIsNone(self.service.poll())

    def test_without_segment(self):
        self.service.terminate()
        self.assertEqual(self.service.wait(60), 0)
        self.assertFalse(os.path.exists(self.socket))
        os.unlink(self.path("slotshare.seg"))
        service = self.start_service(config=None)
        client = self.connect()
        for _ in range(5):
            self.assertRegex(client.ask(f"take host={HOST}"), "^error there is no segment")
        self.make_segment()
        eventually("it is found", lambda: client.ask(f"take host={HOST}").startswith("ok"))
        service.terminate()
        lines = service.communicate(timeout=60)[1].decode().splitlines()
        self.assertEqual(len(lines), 2, lines)

    def test_second_service(self):
        status, _, errors = self.call(SERVICE, "--socket", self.socket)
        self.assertEqual(status, 71)
        self.assertIn("another service", errors)
        self.assertEqual(self.call(SERVICE, "--help")[0], 0)
        self.assertEqual(self.call(SERVICE, "x")[0], 64)


if __name__ == "__main__":
    unittest.main()
