# SPDX-License-Identifier: MIT
"""The Node client of slotshare-socket, and the plugin for Haraka."""
import os
import shutil
import subprocess
import unittest

from support import BUILD, HOST, Case, eventually

SOURCE = os.environ["SLOTSHARE_SOURCE"]


@unittest.skipUnless(shutil.which("node"), "node is not installed")
class NodeTest(Case):
    def test_client_and_plugin(self):
        socket = self.path("socket")
        self.start(os.path.join(BUILD, "bin", "slotshare-socket"), "--socket", socket, "--config",
                   self.config())
        eventually("the service listens", lambda: os.path.exists(socket) and os.stat(
            socket).st_mode & 0o777 == 0o660)
        done = subprocess.run(["node", os.path.join(SOURCE, "tests/tools/node_test.js"), socket,
                               HOST], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
