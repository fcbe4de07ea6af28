# SPDX-License-Identifier: MIT
"""Rounds of faults, several at once, while demand moves: nobody may go over, and afterwards all of
the limit must come back into use."""
import os
import random
import signal
import time

import figures
from history import now
from nodes import NetCluster, wait_for
from space import Network, tun_works

NODES = 5
LIMITS = [40, 3, 1]
STUCK = 4  # exit status: the network library has lost a connection for good
CHANGED = (0, 69, 75)  # `slotshare member`: committed, no bridge answers, others are waited for
HOLD = 0.15  # seconds; with a stop of STOP it ends within drain + 2 s


class Faults:
    """What can happen to a cluster. Each fault gives back how to end it; None: it has ended; False: not
    now."""

    SPARED = ()  # nodes that suffer from the network alone

    def __init__(self, cluster, rng):
        self.cluster, self.random = cluster, rng
        self.hosts = cluster.network.hosts
        self.away = set()  # nodes whose bridges do not run, or must not be ended now
        # First what takes the longest to come to its end, so that short storms have it, too.
        self.bag = rng.sample(self.KINDS, len(self.KINDS))
        self.bag.sort(key=lambda kind: kind in ("limit_lowered", "member_removed"))
        self.going = []    # (until, end)
        self.plan = []     # what the operator is about to do
        self.loaded, self.look = False, 0
        self.removed = set()  # nodes that are to be no members, among those that are away
        self.counts = {}
        self.stuck = 0

    def host(self):
        return self.random.choice(self.hosts)

    # The network.

    def loss(self):
        host = self.host()
        host.lose(self.random.uniform(0.05, 0.6))
        return host.hear_again

    def link_down(self):
        host = self.host()
        host.link(False)
        return lambda: host.link(True)

    def one_way_cut(self):
        host, other = self.random.sample(self.hosts, 2)
        host.hear_not(other)
        return host.hear_again

    def cut(self):
        pair = self.random.sample(self.hosts, 2)
        pair[0].hear_not(pair[1])
        pair[1].hear_not(pair[0])
        return lambda: [host.hear_again() for host in pair]

    def partition(self):
        hosts = self.random.sample(self.hosts, len(self.hosts))
        middle = self.random.randint(1, len(hosts) - 1)
        for a in hosts[:middle]:
            for b in hosts[middle:]:
                a.hear_not(b)
                b.hear_not(a)
        return lambda: [host.hear_again() for host in hosts]

    def throttle(self):
        host = self.host()
        host.throttle(self.random.choice(("32kbit", "128kbit", "512kbit")))
        return host.throttle_end

    def connections_killed(self):
        for host in self.random.sample(self.hosts, self.random.randint(1, len(self.hosts))):
            host.kill_connections()

    # Processes.

    def victim(self, coordinator=False):
        """A node whose bridge runs; None: fewer than three do."""
        running = [i for i in range(len(self.hosts)) if i not in self.away]
        if len(running) <= 2:
            return None
        leader = self.cluster.coordinator() if coordinator else None
        if leader and self.cluster.index(leader) in running:
            i = self.cluster.index(leader)
        else:
            i = self.random.choice(running)
        return i if i not in self.SPARED else None

    def back(self, i, how):
        self.away.discard(i)
        how(i)

    def bridge_killed(self, coordinator=False):
        i = self.victim(coordinator)
        if i is None:
            return None
        self.away.add(i)
        self.cluster.nodes[i].kill()
        return lambda: self.back(i, lambda i: self.cluster.restart(self.cluster.nodes[i]))

    def coordinator_killed(self):
        return self.bridge_killed(True)

    def bridge_stopped(self):
        i = self.victim(self.random.random() < 0.5)
        if i is None:
            return None
        process = self.cluster.nodes[i].process
        self.away.add(i)
        process.send_signal(signal.SIGSTOP)
        return lambda: self.back(i, lambda _: process.send_signal(signal.SIGCONT))

    def workers_killed(self):
        i = self.random.randrange(len(self.hosts))
        if self.cluster.crew[i]:
            self.cluster.fire(i)
            self.cluster.hire(i)

    def host_lost(self):
        i = self.victim(self.random.random() < 0.3)
        if i is None:
            return None
        self.away.add(i)
        self.cluster.lose_node(i)
        return lambda: self.back(i, self.cluster.boot)

    def rolling_restart(self):
        for i, node in enumerate(self.cluster.nodes):
            if i not in self.away and i not in self.SPARED:
                status = node.kill(signal.SIGTERM)
                assert status in (0, STUCK), f"{node.name}: status {status} after SIGTERM"
                self.stuck += status == STUCK
                self.cluster.restart(node)

    # The configuration. Its operator does one thing after another: the next file is loaded when the
    # last one is committed.

    def idle(self):
        """All have committed what was loaded last."""
        if self.loaded and now() >= self.look and self.away <= self.removed:
            self.look = now() + int(0.3e9)
            self.loaded = not self.cluster.agreed()
        return not self.loaded

    def operate(self):
        if self.plan and self.idle():
            self.loaded = True
            self.plan.pop(0)()

    def settle(self):
        """Wait until all is done, and committed. @return the epoch."""
        wait_for("the last file to be loaded", lambda: self.tend() or not self.plan)
        return wait_for("one configuration everywhere",
                        lambda: self.tend() or (self.idle() and self.cluster.agreed()))

    def limit_lowered(self):
        """Loaded everywhere, and what was there before again."""
        if self.plan or not self.idle():
            return False
        limits = self.cluster.file_limits
        self.plan = [lambda: self.cluster.load(limits=[limits[0] * 3 // 4, *limits[1:]]),
                     lambda: self.cluster.load(limits=limits)]
        return None

    def member(self, command, *words):
        """By the tool on one node; the file is the same on the others then."""
        node = next(n for i, n in enumerate(self.cluster.nodes) if i not in self.away)
        code, out, errors = node.ask("member", command, *words, "--wait", "0")
        assert code in CHANGED, f"member {command}: status {code}: {out}{errors}"

    def member_removed(self):
        """And added again."""
        i = self.victim()
        if i is None or self.plan or not self.idle():
            return False
        members, node = self.cluster.file_members, self.cluster.nodes[i]
        self.away.add(i)  # once it is out, its bridge does not start any more
        self.removed.add(i)

        def remove():
            self.member("remove", node.name)
            self.cluster.load(members=[n for n in members if n is not node])

        def add():
            self.member("add", node.name, node.url)
            self.cluster.load(members=members)
            self.removed.discard(i)
            self.away.discard(i)
        self.plan = [remove, add]
        return None

    KINDS = ("loss", "link_down", "one_way_cut", "cut", "partition", "throttle",
             "connections_killed", "bridge_killed", "coordinator_killed", "bridge_stopped",
             "workers_killed", "host_lost", "rolling_restart", "limit_lowered",
             "member_removed")

    # How they come and go.

    def one(self):
        if not self.bag:
            self.bag = self.random.sample(self.KINDS, len(self.KINDS))
        kind = self.bag.pop()
        end = getattr(self, kind)()
        if end is False:
            return
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if end is not None:
            self.going.append((now() + int(self.random.uniform(0.3, 7) * 1e9), end))

    def tend(self):
        """End what is over, and be the service manager of bridges that ended by themselves."""
        over = [end for until, end in self.going if until <= now()]
        self.going = [(until, end) for until, end in self.going if until > now()]
        for end in over:
            end()
        for i, node in enumerate(self.cluster.nodes):
            if i not in self.away and node.ended():
                assert node.process.returncode > 0, f"{node.name}'s bridge died: {node.log()}"
                assert node.says("event=network_stuck"), f"{node.name} ended: {node.log()}"
                os.rename(node.log_file, f"{node.log_file}.{now()}")
                self.cluster.restart(node)
                self.stuck += 1
        self.operate()

    def heal(self):
        for _, end in self.going:
            end()
        self.going = []
        for host in self.hosts:
            host.heal()
        self.tend()


def storm(cluster, faults, seconds, rng):
    """Faults and moving demand. @return the demand."""
    demand = figures.Moving(cluster, 0, rng.random())
    for counter in range(1, len(LIMITS)):
        cluster.want([3] * NODES, counter)
    end = now() + int(seconds * 1e9)
    shuffle = fault = 0
    while now() < end:
        if now() >= shuffle:
            demand.shuffle()
            shuffle = now() + int(rng.uniform(1, 4) * 1e9)
        if now() >= fault:
            if len(faults.going) < 3:
                faults.one()
            fault = now() + int(rng.uniform(0.2, 1.5) * 1e9)
        faults.tend()
        time.sleep(0.02)
    demand.end(now())
    return demand


def recover(report, cluster, faults):
    """Everybody wants everything: when is all of it in use?"""
    at = cluster.want([LIMITS[0]] * NODES)
    faults.heal()

    def full():
        faults.tend()
        cluster.history.forget()
        return cluster.history.ask("reach", 0, at, LIMITS[0]) != [0]
    wait_for("all of the limit to be used again", full)
    [reached] = cluster.history.ask("reach", 0, at, LIMITS[0])
    report.figure("the last fault healed, until all is used", f"{(reached - at) / 1e9:.2f}",
                  f"s; session + drain + 2 s = {cluster.expiry():.1f} s")


def one_round(report, seed, seconds, delay, scheme):
    rng = random.Random(seed)
    report.say(f"faults, {NODES} nodes, {'5 ms each way' if delay else 'veth'}, "
               f"{'mutual TLS' if scheme != 'tcp' else 'TCP'}, seed {seed}")
    network = Network(NODES, delay, delay / 5)
    try:
        with NetCluster(network, LIMITS, [40, 3, 3], scheme=scheme) as cluster:
            for counter in range(len(LIMITS)):
                cluster.history.hold(counter, HOLD)
            faults = Faults(cluster, rng)
            demand = storm(cluster, faults, seconds, rng)
            told = ", ".join(f"{n} {kind.replace('_', ' ')}"
                             for kind, n in sorted(faults.counts.items()))
            report.say(f"    {told}" + (f"; {faults.stuck} bridges ended by themselves, and were "
                                        "started again" if faults.stuck else ""))
            recover(report, cluster, faults)
            report.say(f"    configurations committed: {faults.settle() - 1}")
            cluster.stop()
            report.figure("used under faults", f"{100 * demand.used():.1f}", "% of what could be")
            report.ended(cluster)
    finally:
        network.close()


def run(report, options):
    """Rounds, each with networks and messages of another kind."""
    tun = tun_works()
    if not tun:
        report.say("no delays: /dev/net/tun cannot be used here")
    seconds = 10 if options.short else 75
    rounds = 1 if options.short else max(1, round(options.minutes * 60 / seconds))
    for i in range(rounds):
        slow = tun and (i + options.seed) % 2 == 1
        scheme = "tls+tcp" if (i // 2 + options.seed) % 2 == 1 else "tcp"
        one_round(report, options.seed + i, seconds, 5 if slow else 0, scheme)
