# SPDX-License-Identifier: MIT
"""tools/examples: programs of others under `slotshare run`, with stand-ins for those programs."""
import os
import unittest

from support import BUILD, FULL, LIMIT, Case

EXAMPLES = os.path.join(os.environ["SLOTSHARE_SOURCE"], "tools", "examples")
DOMAIN = LIMIT.replace("host", "domain")
# Writes what it was called with, and how many are at work besides it.
STAND_IN = """\
#!/bin/sh
mkdir "$BUSY/$$"; ls "$BUSY" | wc -l >>"$SEEN"; echo "$@" >>"$CALLS"
sleep 0.05; rmdir "$BUSY/$$"
{}
"""


class ExamplesTest(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("bin"))
        os.mkdir(self.path("busy"))
        self.environment.update(
            PATH=f"{self.path('bin')}:{BUILD}/bin:{os.environ['PATH']}", BUSY=self.path("busy"),
            SEEN=self.path("seen"), CALLS=self.path("calls"), REAL=self.path("bin/real"))

    def stand_in(self, name, end=""):
        os.chmod(self.write(f"bin/{name}", STAND_IN.format(end)), 0o755)

    def lines(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read().splitlines()

    def test_qmail_remote(self):
        self.stand_in("real", "printf 'r\\0K1.2.3.4 accepted\\n\\0'")
        call = [os.path.join(EXAMPLES, "qmail-remote"), "edge.omniti.com", "a@b.example", "c@d"]
        self.make_segment(DOMAIN)
        accepted = (0, "r\0K1.2.3.4 accepted\n\0", "")
        self.assertEqual(self.call(*call), accepted)
        self.assertEqual(self.lines("calls"), ["edge.omniti.com a@b.example c@d"])
        holders = [self.hold("--domain", "edge.omniti.com") for _ in range(2)]
        status, out, _ = self.call(*call, environment={"WAIT": "0"})
        self.assertEqual((status, out), (0, "Zslotshare: no slot is free (#4.4.5)\n\0"))
        for holder in holders:
            self.let_go(holder)
        os.unlink(self.path("slotshare.seg"))
        status, out, errors = self.call(*call)
        self.assertEqual((status, out), accepted[:2])
        self.assertIn("slotshare run:", errors)
        status, out, _ = self.call(*call, environment={"ELSE": "hold"})
        self.assertEqual((status, out[:1], out[-1:]), (0, "Z", "\0"))

    def test_swaks_queue(self):
        self.stand_in("swaks")
        self.make_segment()
        os.mkdir(self.path("queue"))
        for i in range(12):
            self.write(f"queue/{i}.eml", "Subject: x\n\nx\n")
            self.write(f"queue/{i}.to", f"edge.omniti.com omniti.com a@b.example c{i}@omniti.com\n")
        call = [os.path.join(EXAMPLES, "swaks-queue"), self.path("queue"), "6"]
        self.assertEqual(self.call(*call), (0, "", ""))
        self.assertEqual(os.listdir(self.path("queue")), [])
        self.assertEqual(len(self.lines("calls")), 12)
        self.assertLessEqual(max(int(n) for n in self.lines("seen")), 2)
        self.stand_in("swaks", "exit 1")
        self.write("queue/1.eml", "x")
        self.write("queue/1.to", "edge.omniti.com omniti.com a@b.example c@omniti.com\n")
        status, _, errors = self.call(*call)
        self.assertEqual((status, errors), (FULL, "swaks-queue: 1 left\n"))
        self.assertEqual(len(os.listdir(self.path("queue"))), 2)


if __name__ == "__main__":
    unittest.main()
