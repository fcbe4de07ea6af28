#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the bridge tells a service manager: ready, alive, stopping; a bridge that stands still is
found by its silence."""
import os
import signal
import socket
import subprocess
import tempfile
import unittest

from bridges import BRIDGE, PATIENCE, free_ports, lone_config


class Notify(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="slotshare-notify-")
        self.addCleanup(self.scratch.cleanup)
        self.config = os.path.join(self.scratch.name, "slotshare.ini")
        with open(self.config, "w", encoding="ascii") as out:
            out.write(lone_config(self.scratch.name,
                                  f"member mta1 = tcp://127.0.0.1:{free_ports(1)[0]}\n"))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.address = os.path.join(self.scratch.name, "notify")
        self.manager.bind(self.address)

    def start(self, **environment):
        bridge = subprocess.Popen([BRIDGE, "--config", self.config, "--found"], stderr=subprocess.DEVNULL,
                                  env={**os.environ, "NOTIFY_SOCKET": self.address, **environment})
        self.addCleanup(bridge.wait)
        self.addCleanup(bridge.kill)
        self.manager.settimeout(PATIENCE)
        self.assertEqual(self.manager.recv(100), b"READY=1")
        return bridge

    def told(self):
        return self.manager.recv(100)

    def test_alive(self):
        bridge = self.start(WATCHDOG_USEC="400000")
        for _ in range(3):
            self.assertEqual(self.told(), b"WATCHDOG=1")
        bridge.send_signal(signal.SIGSTOP)
        with self.assertRaises(TimeoutError):
            while True:
                self.manager.settimeout(2)
                self.assertEqual(self.told(), b"WATCHDOG=1")
        bridge.send_signal(signal.SIGCONT)
        self.manager.settimeout(PATIENCE)
        self.assertEqual(self.told(), b"WATCHDOG=1")
        bridge.terminate()
        self.assertEqual(bridge.wait(PATIENCE), 0)
        last = b""
        while last != b"STOPPING=1":
            last = self.told()

    def test_not_watched(self):
        """No interval, nonsense, or another process's: only what every manager wants to hear."""
        for environment in ({}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"},
                            {"WATCHDOG_USEC": "10000", "WATCHDOG_PID": "1"}):
            bridge = self.start(**environment)
            bridge.terminate()
            self.assertEqual(bridge.wait(PATIENCE), 0)
            self.assertEqual(self.told(), b"STOPPING=1")


if __name__ == "__main__":
    unittest.main()
