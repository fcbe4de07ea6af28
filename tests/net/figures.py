# SPDX-License-Identifier: MIT
"""What is measured on a network without faults, and how long the rest waits for a lost node."""
import random
import time

from nodes import sleep_until, wait_for
from history import now

ROTATION = 5.0  # seconds that a slot which goes round stays with one node


class Report:
    """Prints figures as they come; keeps what is wrong and what misses its wish."""

    def __init__(self):
        self.wrong, self.missed, self.met = [], [], 0
        self.slots = 0

    def say(self, text):
        print(text, flush=True)

    def figure(self, what, value, unit, wanted=None, good=None):
        note = ""
        if wanted is not None:
            note = f"  (wanted {wanted}{'' if good else ': MISSED'})"
            if good:
                self.met += 1
            else:
                self.missed.append(f"{what} {value} {unit}".strip())
        self.say(f"    {what:<58} {value} {unit}{note}")

    def fault(self, text):
        self.wrong.append(text)
        self.say(f"    WRONG: {text}")

    def ended(self, cluster):
        """The cluster's workers have ended: compare all that was held with the limits."""
        lines, peaks, taken = cluster.overshoot()
        for line in lines:
            self.fault(line)
        self.slots += taken
        most = ", ".join(f"{p} of {limit}" for p, limit in zip(peaks, cluster.limit_list))
        self.say(f"    {taken} slots taken; the most held at one instant: {most}")


def wait_held(cluster, counter, i, least):
    wait_for(f"{least} slots of c{counter} on node {i + 1}",
             lambda: cluster.history.held(counter)[i] >= least)


def want_all(cluster, demands):
    for counter in range(len(cluster.limit_list)):
        cluster.want(demands, counter)


def wait_all(cluster, i, least):
    for counter in range(len(cluster.limit_list)):
        wait_held(cluster, counter, i, least)


def steps(cluster, i, demands, others):
    """Let a node's demand go through `demands`, of one counter after the other. @return windows of
    time, each with its counter."""
    windows = []
    for demand in demands:
        for counter in range(len(cluster.limit_list)):
            begin = now()
            cluster.want([demand if n == i else other for n, other in enumerate(others)], counter)
            time.sleep(random.uniform(0.1, 0.2))
            windows.append((counter, begin, now()))
    return windows


def move(cluster, giver, taker):
    """All counters (of one limit) move from one node to another: the taker asks for one slot more
    of what lies idle; and then it is the taker that gives back, one by one, what the other waits
    for. @return the windows of both."""
    nodes, limit = len(cluster.nodes), cluster.limit_list[0]
    reserve = cluster.reserve(0)
    most = limit - (nodes - 1) * reserve
    idle = [0] * nodes
    want_all(cluster, [limit if i == giver else 0 for i in range(nodes)])
    wait_all(cluster, giver, most)
    want_all(cluster, idle)
    time.sleep(1.5)  # nobody wants it, and all know
    want_all(cluster, [reserve if i == taker else 0 for i in range(nodes)])
    wait_all(cluster, taker, reserve)
    first = steps(cluster, taker, (reserve + 1, reserve + 2, reserve + 3), idle)
    want_all(cluster, [limit if i == taker else 0 for i in range(nodes)])
    wait_all(cluster, taker, most)
    idle[giver] = limit
    want_all(cluster, [limit if i in (giver, taker) else 0 for i in range(nodes)])
    time.sleep(1.0)  # the taker's share has shrunk; what it has in use has not
    second = steps(cluster, taker, (most - 1, most - 2), idle)
    want_all(cluster, [0] * nodes)
    time.sleep(0.5)
    return first, second


def hand_over(report, cluster, round_trip, pairs):
    """From the refused take to the slot, and from a give-back to the slot of who waited."""
    windows = [move(cluster, giver, taker) for giver, taker in pairs]

    def tell():
        for what, word, side in (("hand-over, refused take to slot", "waits", 0),
                                 ("hand-over, give-back to a slot elsewhere", "handed", 1)):
            found = [cluster.history.ask(word, *window)
                     for pair in windows for window in pair[side]]
            times = sorted(f[1] / 1e3 for f in found if f[0])
            if not times:
                report.fault(f"{what}: nothing was handed over")
                continue
            median = times[len(times) // 2] / round_trip
            report.figure(f"{what}: median of {len(times)}",
                          f"{times[len(times) // 2] / 1e3:.2f} ms = {median:.1f}", "round trips",
                          "<= 3", median <= 3)
            report.figure("    90%; longest", f"{times[len(times) * 9 // 10] / 1e3:.2f}; "
                          f"{times[-1] / 1e3:.2f}", "ms")
    return tell


class Moving:
    """Demand that moves, and what of it could have been used."""

    def __init__(self, cluster, counter, seed):
        self.cluster, self.counter = cluster, counter
        self.random = random.Random(seed)
        self.windows = []
        self.since = None

    def usable(self, demands):
        """A reserve that its node does not want lies idle; the rest of the limit can be used."""
        reserve = self.cluster.reserve(self.counter)
        idle = sum(max(0, reserve - d) for d in demands)
        return min(sum(demands), self.cluster.limit_list[self.counter] - idle)

    def shuffle(self):
        """One or two busy nodes, or all of them; together they want more than there is."""
        nodes, limit = len(self.cluster.nodes), self.cluster.limit_list[self.counter]
        busy = self.random.sample(range(nodes), self.random.randint(1, nodes))
        demands = [self.random.randint(limit * 3 // 4, limit) if i in busy
                   else self.random.randint(0, 2) for i in range(nodes)]
        at = self.cluster.want(demands, self.counter)
        self.end(at)
        self.since = (at, self.usable(demands))

    def end(self, at):
        if self.since is not None:
            self.windows.append((self.since[0], at, self.since[1]))
        self.since = None

    def used(self):
        """@return the part of what could be used that was; once all has ended."""
        used = could = 0
        for begin, end, usable in self.windows:
            used += sum(self.cluster.history.ask("held", self.counter, begin, end))
            could += usable * (end - begin)
        return used / could

    def tell(self, report):
        share = self.used()
        report.figure(f"used under moving demand ({len(self.windows)} changes)",
                      f"{100 * share:.2f}", "% of what could be", ">= 99%", share >= 0.99)


def jain(amounts):
    return sum(amounts) ** 2 / (len(amounts) * sum(x * x for x in amounts))


def bound(nodes, limit, hold):
    """The longest that a node waits for a slot of a limit below the number of nodes: those before
    it go first, `limit` at a time; each has its rotation, ends what it holds, and the slot goes
    over (1 s is allowed for that and for the coordinator's look at the rows every 0.1 s)."""
    turns = -(-(nodes - limit) // limit)
    return turns * (ROTATION + 1.5 * hold + 1)


def use(report, cluster, seconds, moving, fair, small, hold, period):
    """Moving demand on one counter; equal demand on the others, small ones among them."""
    nodes = len(cluster.nodes)
    for counter in (fair, *small):
        cluster.want([4 + cluster.limit_list[counter] // nodes] * nodes, counter)
    demand = Moving(cluster, moving, 1)
    time.sleep(1)
    begin = now()
    end = begin + int(seconds * 1e9)
    while now() < end - period * 5e8:
        demand.shuffle()
        sleep_until(min(end, now() + int(period * 1e9)))
    demand.end(now())
    end = now()

    def tell():
        demand.tell(report)
        for counter in (fair, *small):
            limit = cluster.limit_list[counter]
            held = cluster.history.ask("held", counter, begin, end)
            value = jain(held)
            if counter == fair:
                report.figure(f"fairness, equal demand, limit {limit} on {nodes} (Jain's index)",
                              f"{value:.4f}", "", ">= 0.99", value >= 0.99)
                continue
            gaps = cluster.history.ask("gap", counter, begin, end)
            most = bound(nodes, limit, hold)
            report.figure(f"limit {limit} on {nodes} nodes: longest without a slot",
                          f"{max(gaps) / 1e9:.1f}", "s", f"<= {most:.1f} s",
                          max(gaps) / 1e9 <= most)
            report.figure(f"limit {limit} on {nodes} nodes: used; Jain's index",
                          f"{100 * sum(held) / (end - begin) / limit:.1f} %; {value:.4f}", "")
            if seconds > most and not all(held):
                report.fault(f"limit {limit}: a node never had a slot")
    return tell


def reclaim(report, cluster, counter, coordinator):
    """A node dies while all want more than there is: when do the others have its part?"""
    nodes, limit = len(cluster.nodes), cluster.limit_list[counter]
    cluster.want([limit] * nodes, counter)
    rest = limit - cluster.reserve(counter)
    wait_for("all to be used", lambda: sum(cluster.history.held(counter)) >= limit - 1)
    time.sleep(1)
    leader = cluster.index(wait_for("a coordinator", cluster.coordinator))
    victim = leader if coordinator else (leader + 1) % nodes
    at = cluster.lose_node(victim)
    wait_for("its part to be used",
             lambda: cluster.history.ask("reach", counter, at, rest) != [0]
             if cluster.history.forget() is None else None)
    [reached] = cluster.history.ask("reach", counter, at, rest)
    who = "the coordinator's host" if coordinator else "a node"
    report.figure(f"{who} lost, until its part is used by the rest",
                  f"{(reached - at) / 1e9:.2f}",
                  f"s; session + drain + 2 s = {cluster.expiry():.1f} s")
    cluster.boot(victim)
    wait_for("its return", lambda: cluster.history.held(counter)[victim] > 0)
