# SPDX-License-Identifier: MIT
"""How the demo shows itself: a table that is redrawn on a terminal, plain lines elsewhere."""

import shutil
import sys

import plan

PLAIN_EVERY = 5.0  # seconds between two lines of numbers


class View:
    """Prints events as they happen, and the numbers below them."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.drawn = 0
        self.last_line = None

    def event(self, seconds, text):
        """Something that happened, once."""
        self._erase()
        print(f"{seconds:6.1f} s  {text}", flush=True)

    def numbers(self, seconds, counts, nodes, arrived):
        """counts: name -> (now, most, highest, over); nodes: node -> counter -> shmstat's row."""
        if self.live:
            lines = table(counts, nodes)
            self._erase()
            lines.append(f"{seconds:6.1f} s  messages arrived: {arrived}")
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("".join(line[:width] + "\n" for line in lines))
            sys.stdout.flush()
            self.drawn = len(lines)
        elif self.last_line is None or seconds - self.last_line >= PLAIN_EVERY:
            if self.last_line is None:
                print("          open/limit, in this order: "
                      + "  ".join(c.name for c in plan.COUNTERS))
            self.last_line = seconds
            print(f"{seconds:6.1f} s  open/limit " + line(counts) + f"  arrived {arrived}",
                  flush=True)

    def _erase(self):
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}A\x1b[J")
            self.drawn = 0


def line(counts):
    """The same in one line, without names."""
    now = " ".join(f"{counts[c.name][0]}/{c.limit}" for c in plan.COUNTERS)
    highest = " ".join(str(counts[c.name][2]) for c in plan.COUNTERS)
    nodes = " ".join(f"{node} {sum(counts[f'{c.name}@{node}'][0] for c in plan.COUNTERS)}"
                     for node in plan.NODES)
    return f"{now}  highest {highest}  {nodes}"


def table(counts, nodes):
    """The live table; per node: connections open, and of how large a share."""
    head = f"{'counter':34} {'scope':15} {'limit':>5} {'highest':>7} {'now':>4}  "
    lines = ["", head + "".join(f"{node:>9}" for node in plan.NODES) + "   (open/share)"]
    for counter in plan.COUNTERS:
        now, _, highest, over = counts[counter.name]
        cells = ""
        for node in plan.NODES:
            row = nodes.get(node, {}).get(counter.name)
            share = "-" if row is None else row["share"]
            cells += f"{counts[f'{counter.name}@{node}'][0]}/{share}".rjust(9)
        lines.append(f"{counter.name:34} {counter.scope:15} {counter.limit:5} {highest:7} "
                     f"{now:4}  {cells}{'   OVER' if over else ''}")
    return lines
