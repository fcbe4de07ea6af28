# SPDX-License-Identifier: MIT
"""What the workers held, and when; the layout is explained in history.h."""
import ctypes
import mmap
import os
import subprocess
import time

BUILD = os.environ["SLOTSHARE_BUILD"]
WORKER = os.path.join(BUILD, "tests", "net_worker")
CHECK = os.path.join(BUILD, "tests", "net_check")
MAGIC = 0x74656e31
NODES, COUNTERS, PLACES, LANES, RECORDS = 8, 8, 1024, 8192, 16384
U32, U64 = ctypes.c_uint32, ctypes.c_uint64


class Place(ctypes.Structure):
    _fields_ = [("node", U32), ("spare", U32), ("died", U64)]


class Head(ctypes.Structure):
    """All before the lanes."""
    _fields_ = [("magic", U32), ("nodes", U32), ("counters", U32), ("instances", U32),
                ("threads", U32 * COUNTERS), ("stop", U32), ("broken", U32), ("lanes", U32),
                ("spare", U32), ("hold_us", U32 * COUNTERS),
                ("demand", U32 * COUNTERS * NODES), ("place", Place * PLACES)]


LANE = 16 + RECORDS * 24  # count, place, counter and what aligns the rest; three times a slot


def now():
    return time.monotonic_ns()


class History:
    """The file, and what it answers once all has ended."""

    def __init__(self, path, nodes, threads, instances=2):
        self.path = path
        with open(path, "wb") as out:
            out.truncate(ctypes.sizeof(Head) + LANES * LANE)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), ctypes.sizeof(Head))
        self.head = Head.from_buffer(self.memory)
        self.head.nodes, self.head.counters, self.head.instances = nodes, len(threads), instances
        for i, count in enumerate(threads):
            # Of each process; those of one node are numbered in turn.
            self.head.threads[i] = -(-count // instances)
        self.head.magic = MAGIC
        self.places = 0
        self.checker = None

    def hold(self, counter, seconds):
        self.head.hold_us[counter] = int(seconds * 1e6)

    def want(self, node, counter, demand):
        self.head.demand[node][counter] = demand

    def new_place(self, node):
        at = self.places
        assert at < PLACES
        self.places += 1
        self.head.place[at].node = node
        self.head.place[at].died = 0
        return at

    def died(self, place):
        """Call before the process is killed."""
        self.head.place[place].died = now()

    def broken(self):
        return self.head.broken != 0

    def ask(self, *question):
        """Only when all workers have ended."""
        if self.checker is None:
            self.checker = subprocess.Popen([CHECK, self.path], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
        self.checker.stdin.write(" ".join(str(int(q)) if i else q
                                          for i, q in enumerate(question)) + "\n")
        self.checker.stdin.flush()
        answer = self.checker.stdout.readline()
        assert answer, f"net_check ended at {question}"
        return [int(word) for word in answer.split()]

    def held(self, counter):
        """@return what each node holds now, about."""
        self.forget()
        answer = self.ask("now", counter)
        self.forget()
        return answer

    def forget(self):
        """The next question is about all until then."""
        if self.checker is not None:
            self.checker.stdin.close()
            self.checker.stdout.close()
            self.checker.wait()
            self.checker = None

    def close(self):
        self.forget()
        os.unlink(self.path)
