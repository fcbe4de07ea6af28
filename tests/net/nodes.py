# SPDX-License-Identifier: MIT
"""Clusters of real bridges and workers in namespaces, each node with a segment of its own."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bridge"))
from bridges import Cluster, PATIENCE, wait_for  # noqa: E402
from history import History, WORKER, now  # noqa: E402

INSTANCES = 2
RESERVE = 25


def limits_text(limits):
    return "".join(f'[host "c{i}.example.com"]\ncluster_max_outbound_connections = {limit}\n'
                   for i, limit in enumerate(limits))


class NetCluster(Cluster):
    """Nodes in the hosts of a network, with one counter for each of `limits`.

    threads: how many slots of each counter a node can want. Everything that is done to a node goes
    through here, so that the history knows who was killed when."""

    def __init__(self, network, limits, threads, session=1.5, drain=2, scheme="tcp"):
        self.network = network
        self.limit_list = limits
        super().__init__(limits=limits_text(limits), scheme=scheme, session=str(session),
                         drain=str(drain), start=False, owners=1024,
                         urls=[f"{scheme}://{host.address}:7946" for host in network.hosts])
        self.file_limits, self.file_members = limits, self.nodes
        self.session, self.drain = session, drain
        self.threads = threads
        self.history = None
        self.new_history()
        for node, host in zip(self.nodes, network.hosts):
            node.prefix, node.level = host.prefix(), "info"
            self.launch(node)
        for node in self.nodes:
            self.started(node)
        wait_for("a coordinator", self.coordinator)
        for i in range(len(self.nodes)):
            self.hire(i)

    def expiry(self):
        """T + D + G, in seconds: when a lost node's part is free."""
        return self.session + self.drain + 2

    def reserve(self, counter):
        return RESERVE * self.limit_list[counter] // 100 // len(self.nodes)

    def launch(self, node):
        """Without waiting, so that all come up at once."""
        node.run(*([] if os.listdir(node.state) else ["--found"]))

    @staticmethod
    def started(node):
        wait_for(f"start of {node.name}", lambda: node.says("event=started") or node.ended())
        if node.ended():
            raise AssertionError(f"{node.name} did not start: {node.log()}")

    def restart(self, node):
        self.launch(node)
        self.started(node)

    # Workers.

    def new_history(self):
        """When no worker runs."""
        if self.history is not None:
            self.history.close()
        self.history = History(os.path.join(self.directory, "history"), len(self.nodes),
                               self.threads, INSTANCES)
        self.crew = [[] for _ in self.nodes]  # processes of each node, with their places

    def hire_one(self, i, instance):
        node = self.nodes[i]
        place = self.history.new_place(i)
        process = subprocess.Popen(
            [WORKER, self.history.path, node.directory, node.segment, str(i), str(instance),
             str(place)], stdin=subprocess.DEVNULL)
        return process, place

    def hire(self, i):
        self.crew[i] = [self.hire_one(i, instance) for instance in range(INSTANCES)]

    def replace_one(self, i, instance):
        """One worker process dies, and another comes."""
        process, place = self.crew[i][instance]
        self.history.died(place)
        process.kill()
        process.wait()
        self.crew[i][instance] = self.hire_one(i, instance)

    def fire(self, i):
        """Kill all workers of a node. @return when."""
        for process, place in self.crew[i]:
            self.history.died(place)
            process.kill()
        at = now()
        for process, _ in self.crew[i]:
            process.wait()
        self.crew[i] = []
        return at

    def want(self, demands, counter=0):
        """A number for each node. @return when."""
        for i, demand in enumerate(demands):
            self.history.want(i, counter, demand)
        return now()

    # Nodes.

    def lose_node(self, i):
        """The host is gone: its bridge, its workers, and what was in its memory. @return when."""
        node = self.nodes[i]
        node.process.kill()
        at = self.fire(i)
        node.kill()
        node.reboot()
        return at

    def boot(self, i):
        self.restart(self.nodes[i])
        self.hire(i)

    def index(self, node):
        return self.nodes.index(node)

    # The file.

    def load(self, limits=None, members=None):
        """The file changes on all nodes, in what is given; a bridge that is stopped reads it when it goes
        on, and one that was killed when it starts."""
        self.file_limits = limits or self.file_limits
        self.file_members = members or self.file_members
        for node in self.nodes:
            text = self.config_of(node, limits_text(self.file_limits), self.file_members)
            node.write_config(text) if node.ended() else node.reload(text)

    def agreed(self):
        """@return the epoch, when all have committed what is in the files; None"""
        try:
            told = [node.status() for node in self.nodes]
        except AssertionError:  # one that has just ended
            return None
        same = {status["digest"] for status in told}
        settled = len(same) == 1 and not any("pending" in s or s["file_later"] for s in told)
        return max(s["epoch"] for s in told) if settled else None

    # The end, and the truth.

    def check(self):
        """Nobody may have failed or ended by himself."""
        assert not self.history.broken(), "a worker saw what must not be"
        for i, node in enumerate(self.nodes):
            for process, _ in self.crew[i]:
                assert process.poll() is None, f"a worker of {node.name} ended"

    def stop(self):
        """End all workers in peace, so that the history is complete."""
        self.check()
        self.history.head.stop = 1
        for crew in self.crew:
            for process, _ in crew:
                status = process.wait(timeout=PATIENCE)
                assert status == 0, f"a worker ended with status {status}"
        self.crew = [[] for _ in self.nodes]
        assert not self.history.broken(), "a worker saw what must not be"

    def overshoot(self):
        """@return a line for each counter that was ever over its limit; the most held of each; slots taken."""
        lines, peaks, taken = [], [], 0
        for i, limit in enumerate(self.limit_list):
            slots, peak, instants, _ = self.history.ask("over", i, limit)
            peaks.append(peak)
            taken += slots
            if instants:
                lines.append(f"OVER: c{i}, limit {limit}: {peak} held; at {instants} instants")
        return lines, peaks, taken

    def __exit__(self, kind, value, trace):
        for crew in self.crew:
            for process, _ in crew:
                process.kill()
                process.wait()
        for node in self.nodes:
            if node.process is not None and not node.ended():
                node.process.send_signal(signal.SIGCONT)
        self.history.close()
        super().__exit__(kind, value, trace)


def sleep_until(at_ns):
    time.sleep(max(0, at_ns - now()) / 1e9)
