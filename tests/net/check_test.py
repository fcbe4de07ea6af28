#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""net_check finds what it is there to find: histories made by hand, and what is known of them."""
import os
import struct
import tempfile
import unittest

from history import LANE, Head, History
import ctypes

NEVER = 0


class Made(History):
    """lanes: for each thread its node and (asked, taken, given)...; one thread per process."""

    def __init__(self, directory, lanes, dead=()):
        super().__init__(os.path.join(directory, "history"), nodes=3, threads=[4])
        with open(self.path, "r+b") as out:
            for i, (node, *slots) in enumerate(lanes):
                self.new_place(node)
                out.seek(ctypes.sizeof(Head) + i * LANE)
                out.write(struct.pack("=IIIxxxx", len(slots), i, 0))
                for slot in slots:
                    out.write(struct.pack("=QQQ", *slot))
        for place, at in dead:
            self.head.place[place].died = at
        self.head.lanes = len(lanes)


class Check(unittest.TestCase):
    def ask(self, lanes, *question, dead=()):
        with tempfile.TemporaryDirectory() as directory:
            history = Made(directory, lanes, dead)
            answer = history.ask(*question)
            history.close()
            return answer

    def test_over_for_one_nanosecond(self):
        lanes = [(0, (0, 100, 201)), (1, (0, 200, 300)), (2, (0, 400, 500))]
        self.assertEqual(self.ask(lanes, "over", 0, 1), [3, 2, 1, 200])
        self.assertEqual(self.ask(lanes, "over", 0, 2), [3, 2, 0, 0])

    def test_handed_over_at_one_instant_is_not_over(self):
        lanes = [(0, (0, 100, 200)), (1, (0, 200, 300))]
        self.assertEqual(self.ask(lanes, "over", 0, 1), [2, 1, 0, 0])

    def test_who_was_killed_holds_until_then(self):
        lanes = [(0, (0, 100, NEVER)), (1, (0, 200, 300))]
        self.assertEqual(self.ask(lanes, "over", 0, 1)[1:3], [2, 1])
        self.assertEqual(self.ask(lanes, "over", 0, 1, dead=[(0, 150)])[1:3], [1, 0])
        self.assertEqual(self.ask(lanes, "over", 0, 1, dead=[(0, 201)])[1:3], [2, 1])

    def test_figures(self):
        lanes = [(0, (0, 100, 200), (200, 250, 300)), (2, (150, 210, 220))]
        self.assertEqual(self.ask(lanes, "held", 0, 150, 260), [60, 0, 10])
        self.assertEqual(self.ask(lanes, "gap", 0, 100, 300), [50, 200, 110])
        self.assertEqual(self.ask(lanes, "peak", 0, 100, 300), [1])
        self.assertEqual(self.ask(lanes, "reach", 0, 150, 1), [150])
        self.assertEqual(self.ask(lanes, "reach", 0, 205, 1), [210])
        self.assertEqual(self.ask(lanes, "reach", 0, 0, 2), [0])
        self.assertEqual(self.ask(lanes, "waits", 0, 0, 400), [2, 60, 50, 60])
        self.assertEqual(self.ask(lanes, "handed", 0, 0, 400), [2, 30, 10, 30])


if __name__ == "__main__":
    unittest.main()
