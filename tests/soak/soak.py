# SPDX-License-Identifier: MIT
"""One cluster through many rounds of everything at once, and what is left after each."""
import json
import os
import random
import shutil
import statistics
import subprocess
import time

import slotshare
from faults import Faults
from figures import Moving
from history import BUILD, now
from nodes import INSTANCES, NetCluster, limits_text, wait_for
from space import Network

NODES = 5
LIVES_ON = (3, 4)     # nodes whose bridges are never killed or stopped: those that seldom lead
MOVES = (24, 40, 32)  # limits of the first counter, by turns; of the others:
OTHERS = [3, 1]
HOLD = 0.15           # seconds
ROUND = 40.0          # seconds of faults
NEW_NAMES = 400       # in each round and on each node
COUNTERS = 1024       # as config_of() has it
SHMSTAT = os.path.join(BUILD, "bin", "shmstat")


class SoakFaults(Faults):
    """Bridges of LIVES_ON suffer from the network alone. The limit changes once in a round."""

    SPARED = LIVES_ON
    KINDS = tuple(kind for kind in Faults.KINDS if kind != "limit_lowered")

    def kill_a_worker(self):
        i = self.random.randrange(NODES)
        if self.cluster.crew[i]:
            self.cluster.replace_one(i, self.random.randrange(INSTANCES))
            self.counts["worker_killed"] = self.counts.get("worker_killed", 0) + 1


class SoakCluster(NetCluster):
    def __init__(self, network):
        super().__init__(network, [MOVES[0], *OTHERS], [max(MOVES), 3, 3], scheme="tls+tcp")
        self.dismiss()

    def dismiss(self):
        """All workers end; a history of its own for those to come."""
        self.stop()
        self.new_history()
        for counter in range(len(self.limit_list)):
            self.history.hold(counter, HOLD)

    def reload(self, limit):
        self.load(limits=[limit, *OTHERS])


def new_names(cluster, i, number):
    """A process comes by, with many counters that nobody had before."""
    node = cluster.nodes[i]
    segment = slotshare.Segment(name=node.segment, directory=node.directory)
    for k in range(NEW_NAMES):
        segment.acquire(domain=f"d{number}x{k}.example.net").release()
    segment.close()


def storm(cluster, faults, rng, seconds, number, limits):
    """@return the demand."""
    demand = Moving(cluster, 0, rng.random())
    for counter in range(1, 1 + len(OTHERS)):
        cluster.want([3] * NODES, counter)
    begin = now()
    end = begin + int(seconds * 1e9)
    reload = begin + int(rng.uniform(0, 0.7) * seconds * 1e9)
    names = [begin + int(rng.uniform(0, 0.9) * seconds * 1e9) for _ in range(NODES)]
    shuffle = fault = kill = 0
    while now() < end:
        if now() >= shuffle:
            demand.shuffle()
            shuffle = now() + int(rng.uniform(1, 4) * 1e9)
        if now() >= fault:
            if len(faults.going) < 3:
                faults.one()
            fault = now() + int(rng.uniform(0.2, 1.5) * 1e9)
        if now() >= kill:
            faults.kill_a_worker()
            kill = now() + int(rng.uniform(0.2, 1) * 1e9)
        if now() >= reload:
            faults.plan.append(lambda: cluster.reload(limits[1]))
            reload = 2 * end
        for i in range(NODES):
            if now() >= names[i] and i not in faults.away:
                new_names(cluster, i, number)
                names[i] = 2 * end
        faults.tend()
        time.sleep(0.02)
    if reload < 2 * end:
        faults.plan.append(lambda: cluster.reload(limits[1]))
    return demand


def left(cluster, what):
    """What is in the segments when no worker lives: nothing may be held."""
    used = []
    for node in cluster.nodes:
        words = ["--name", node.segment, "--directory", node.directory]

        def empty():
            out = subprocess.run([SHMSTAT, "--json", "--idle", *words], capture_output=True,
                                 text=True, check=True).stdout
            told = json.loads(out)
            segment = told["segment"]
            bad = [c for c in told["counters"] if c["in_use"] != 0]
            return (not bad and segment["slots_used"] == 0 and segment["owners_used"] == 1
                    and segment)
        segment = wait_for(f"nothing held on {node.name} {what}", empty)
        verify = subprocess.run([SHMSTAT, "verify", *words], capture_output=True, text=True,
                                check=False)
        assert verify.returncode == 0, f"{node.name}: {verify.stdout}{verify.stderr}"
        used.append(segment["counters_used"])
    return max(used)


class Growth:
    """What the bridges that live on have, at each quiet point. One that ends by itself (its network
    library has lost a connection: that is what service managers are for) begins anew."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.pids = {i: cluster.nodes[i].process.pid for i in LIVES_ON}
        self.samples = {i: [] for i in LIVES_ON}
        self.restarts = 0

    def at_rest(self):
        """Every peer is connected: descriptors are those at rest."""
        try:
            return all(m["self"] or m["connected"] for i in LIVES_ON
                       for m in self.cluster.nodes[i].status()["members"])
        except AssertionError:
            return False

    def look(self, tend):
        wait_for("all connections", lambda: tend() or self.at_rest())
        time.sleep(1)
        for i in LIVES_ON:
            pid = self.cluster.nodes[i].process.pid
            if pid != self.pids[i]:
                self.restarts += 1
                self.pids[i], self.samples[i] = pid, []
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                told = dict(line.split(":", 1) for line in status)
            self.samples[i].append((int(told["VmRSS"].split()[0]),
                                    len(os.listdir(f"/proc/{pid}/fd"))))

    def say(self):
        return ", ".join(f"{self.cluster.nodes[i].name} {self.samples[i][-1][0]} kB "
                         f"{self.samples[i][-1][1]} fds" for i in LIVES_ON)

    def verdict(self, report):
        """The last third against the first, without its first round. @return what to say."""
        compared = 0
        for i in LIVES_ON:
            samples = self.samples[i][1:]
            third = len(samples) // 3
            if third == 0:
                continue
            compared += 1
            for what, at, slack in (("memory in kB", 0, 1024), ("descriptors", 1, 4)):
                first = statistics.median(s[at] for s in samples[:third])
                last = statistics.median(s[at] for s in samples[-third:])
                report.say(f"    {self.cluster.nodes[i].name}: {what} {first:g}, in the end {last:g}")
                if last > first * 1.05 + slack:
                    report.fault(f"{what} of {self.cluster.nodes[i].name} grew from {first:g} to "
                                 f"{last:g}")
        return "nothing grew" if compared else "too few rounds to see growth"


def wall(at):
    """As the logs have it."""
    return time.strftime("%H:%M:%S", time.gmtime(time.time() - (now() - at) / 1e9)) + \
        f".{int((time.time() - (now() - at) / 1e9) % 1 * 1000):03d}"


def finish(report, cluster, limit):
    """The history of workers that have ended, with the limit that held."""
    cluster.limit_list[0] = limit
    lines, _, taken = cluster.overshoot()
    for line in lines:
        report.fault(line)
    for i, most in enumerate(cluster.limit_list if lines else []):
        _, _, instants, first = cluster.history.ask("over", i, most)
        if instants:
            held = cluster.history.ask("held", i, first, first + 1000)
            report.say(f"    at {wall(first)} UTC the nodes held {[h // 1000 for h in held]} of c{i}")
    report.slots += taken


def keep(cluster, folder):
    """What the bridges told, for who looks for the reason."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(cluster.directory):
        if ".log" in name:
            shutil.copy(os.path.join(cluster.directory, name), folder)


def one_round(report, cluster, rng, number, seconds):
    old, new = MOVES[number % len(MOVES)], MOVES[(number + 1) % len(MOVES)]
    cluster.limit_list[0] = old
    for i in range(NODES):
        cluster.hire(i)
    faults = SoakFaults(cluster, rng)
    storm(cluster, faults, rng, seconds, number, (old, new))
    faults.heal()
    epoch = faults.settle()
    cluster.stop()
    finish(report, cluster, max(old, new))
    left(cluster, "after the faults")
    cluster.dismiss()
    # Now all of the new limit, and not one more.
    cluster.limit_list[0] = new
    for i in range(NODES):
        cluster.hire(i)
    at = cluster.want([new] * NODES)

    def full():
        faults.tend()
        cluster.history.forget()
        return cluster.history.ask("reach", 0, at, new) != [0]
    wait_for("all of the limit to be used again", full)
    cluster.stop()
    finish(report, cluster, new)
    used = left(cluster, "at the end of a round")
    cluster.dismiss()
    return faults, epoch, used


def rounds(report, cluster, options, rng):
    """@return what the verdict says beside the slots."""
    growth = Growth(cluster)
    number, kills, happened, epoch = 0, 0, 0, 0
    end = time.monotonic() + options.minutes * 60
    while number == 0 or (time.monotonic() < end and not report.wrong):
        length = min(ROUND, max(10.0, end - time.monotonic() - 15))
        faults, epoch, used = one_round(report, cluster, rng, number, length)
        growth.look(faults.tend)
        number += 1
        killed = faults.counts.pop("worker_killed", 0)
        kills += killed
        happened += sum(faults.counts.values())
        report.say(f"round {number}: {sum(faults.counts.values())} faults, {killed} workers killed, "
                   f"epoch {epoch}, {used} of {COUNTERS} counters used; {growth.say()}")
    grown = growth.verdict(report)
    if growth.restarts:
        report.say(f"    bridges that ended by themselves and began anew: {growth.restarts}")
    return (f"nothing held at {2 * number} quiet points, {grown}; {happened} faults, "
            f"{kills} workers killed, {epoch} configurations, seed {options.seed}")


def run(report, options):
    rng = random.Random(options.seed)
    network = Network(NODES)
    try:
        with SoakCluster(network) as cluster:
            try:
                return rounds(report, cluster, options, rng)
            except (AssertionError, RuntimeError) as problem:
                report.fault(str(problem))
            finally:
                if report.wrong and options.keep:
                    keep(cluster, options.keep)
    finally:
        network.close()
    return ""
