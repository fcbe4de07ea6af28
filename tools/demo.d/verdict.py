# SPDX-License-Identifier: MIT
"""What the demo found: the table at its end, and the exit status that says the same."""

import plan


def read_log(path):
    """Lines of a log of messages as {ID: (second word, third word)}, and how many lines."""
    entries, lines = {}, 0
    try:
        with open(path, encoding="ascii") as log:
            for line in log:
                identity, *rest = line.split()
                entries[identity] = tuple(rest)
                lines += 1
    except FileNotFoundError:
        pass
    return entries, lines


class Verdict:
    """Collects what was wrong while it prints."""

    def __init__(self):
        self.wrong = []

    def require(self, good, complaint):
        if not good:
            self.wrong.append(complaint)

    def limits(self, counts, looks, longest_ms):
        print(f"\nThe witness looked {looks} times; two looks were at most {longest_ms:.0f} ms "
              "apart.\n")
        print(f"{'counter':34} {'scope':15} {'limit':>5} {'highest seen':>12}   verdict")
        for counter in plan.COUNTERS:
            _, _, highest, over = counts[counter.name]
            good = highest <= counter.limit and over == 0
            word = "never over" if good else f"OVER in {over} looks"
            word += "" if highest < counter.limit else ", fully used" if good else ""
            print(f"{counter.name:34} {counter.scope:15} {counter.limit:5} {highest:12}   {word}")
            self.require(good, f"{counter.name}: {highest} connections at once, limit "
                               f"{counter.limit}")
            self.require(highest > 0, f"{counter.name}: no connection was ever seen")

    def messages(self, nodes, receiver_log):
        """Every message that a worker reported as delivered must have arrived, once."""
        arrived, lines = read_log(receiver_log)
        reported = {}
        for node in nodes:
            entries, _ = read_log(node.delivered)
            reported.update(entries)
        missing = reported.keys() - arrived.keys()
        astray = [i for i in reported.keys() & arrived.keys() if reported[i][1] != arrived[i][0]]
        totals = [t for node in nodes for t in node.totals]
        print(f"\nmessages: {len(arrived)} arrived, {len(reported)} reported as delivered, "
              f"{len(missing)} of these missing, {lines - len(arrived)} arrived twice, "
              f"{len(arrived.keys() - reported.keys())} arrived whose sender was killed before "
              "it said so")
        print(f"workers (those of the lost node cannot tell): {sum(t['refused'] for t in totals)} "
              f"times no slot in time, {sum(t['failed'] for t in totals)} failures, "
              f"{sum(t['connections'] for t in totals)} connections")
        self.require(arrived, "no message arrived")
        self.require(not missing, f"{len(missing)} messages were reported as delivered but did "
                                  "not arrive")
        self.require(not astray, f"{len(astray)} messages arrived at another host than reported")
        self.require(lines == len(arrived), f"{lines - len(arrived)} messages arrived twice")
        for total in totals:
            self.require(total["failed"] == 0,
                         f"{total['name']}: {total['failed']} failures{total['complaints']}")

    def times(self, measured):
        """measured: [(what, seconds or None, of at most)]"""
        print("\nTimes measured, from the event until the witness saw it:")
        for what, seconds, longest in measured:
            self.require(seconds is not None, f"{what}: not within {longest:g} s")
            print(f"  {'%6.2f s' % seconds if seconds is not None else '   never'}  {what}")

    def end(self):
        """Print the last word. Returns the exit status."""
        print()
        for complaint in self.wrong:
            print(f"WRONG: {complaint}")
        print("VERDICT: " + ("not as promised" if self.wrong else
                             "every limit was kept, every message is accounted for"))
        return 1 if self.wrong else 0
