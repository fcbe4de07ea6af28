# SPDX-License-Identifier: MIT
"""Real bridges over loopback, each with a segment of its own, and processes that hold slots.

Nothing here asserts how long something takes: every wait has a generous end, and fails the test
when it comes.
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BUILD = os.environ["SLOTSHARE_BUILD"]
BRIDGE = os.path.join(BUILD, "bin", "slotshare-bridge")
SLOTSHARE = os.path.join(BUILD, "bin", "slotshare")
HOLDER = os.path.join(BUILD, "tests", "bridge_holder")
PATIENCE = 60.0


def wait_for(what, condition):
    """Poll until condition() is true, and give back what it gave."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"did not come about: {what}")


def free_ports(count):
    """Below those that the kernel gives to connections: one of these may have a port by the time
    that a bridge wants to listen there."""
    sockets = []
    while len(sockets) < count:
        try:
            sockets.append(socket.create_server(("127.0.0.1", random.randrange(16384, 32768))))
        except OSError:
            continue
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def lone_config(directory, members, node="", limits=""):
    """The file of a bridge that a test starts by itself, mta1, with room for little.
    members: lines; node: more lines of [node]."""
    return (f"[node]\nname = mta1\nsegment = mta1\ndirectory = {directory}\n"
            f"state = {directory}\ncounters = 64\nslots = 64\nowners = 8\n{node}"
            f"[cluster]\ntls = off\nreplicate = outbound_domains\n{members}{limits}")


class Explanation:
    def __init__(self, line):
        (self.limit, self.share, self.reserve, self.in_use, self.cluster_in_use,
         self.session) = (int(word) for word in line.split())


class Worker:
    """A process that holds slots on one node, all for one MX host."""

    def __init__(self, node, host="mx.example.com"):
        self.node = node
        self.held = 0
        self.process = subprocess.Popen([node.holder, node.directory, node.segment, host],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"{self.node.name}: no answer to {command}"
        return answer

    def take(self, most=1):
        """@return how many it got."""
        before = self.held
        self.held = int(self.ask(f"take {most}"))
        return self.held - before

    def take_all(self, most=4096):
        """Take what there is, up to `most` in all. @return how many it holds then."""
        if self.held < most:
            self.take(most - self.held)
        return self.held

    def give_back(self, keep=0):
        self.held = int(self.ask(f"give {keep}"))

    def shed(self):
        """Give back what is in excess. @return how many, and the milliseconds that were left."""
        ended, left = (int(word) for word in self.ask("shed").split())
        self.held -= ended
        return ended, left

    def explain(self):
        return Explanation(self.ask("explain"))

    def kill(self):
        self.process.kill()
        self.close()

    def close(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=PATIENCE)
        self.held = 0


class Node:
    def __init__(self, cluster, name, url):
        self.cluster, self.name, self.url = cluster, name, url
        self.segment = name
        self.directory = os.path.join(cluster.directory, name)
        self.config = os.path.join(cluster.directory, name + ".ini")
        self.log_file = os.path.join(cluster.directory, name + ".log")
        self.state = os.path.join(cluster.directory, name + ".state")
        self.process = None
        self.program, self.holder = BRIDGE, HOLDER
        self.prefix = []  # of the bridge's command, to start it elsewhere
        self.level = "debug"
        os.mkdir(self.directory, 0o700)
        os.mkdir(self.state, 0o700)

    def write_config(self, text):
        with open(self.config, "w", encoding="ascii") as out:
            out.write(text)

    def run(self, *options):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "--config", self.config,
                 *(["--log-level", self.level] if self.level else []),
                 *options],
                stderr=log, stdin=subprocess.DEVNULL)

    def start(self, found=True, says="event=started"):
        """found: its file is the cluster's first configuration, when none was stored before."""
        self.run(*(["--found"] if found and not os.listdir(self.state) else []))
        wait_for(f"start of {self.name}", lambda: self.says(says) or self.ended())
        assert not self.ended(), self.log()
        return self

    def reload(self, text):
        """Another file, and SIGHUP. @return this node"""
        self.write_config(text)
        self.process.send_signal(signal.SIGHUP)
        return self

    def ask(self, *command):
        """`slotshare COMMAND... --name ... --directory ...`. @return (status, output, errors)"""
        done = subprocess.run([SLOTSHARE, command[0], "--name", self.segment, "--directory",
                               self.directory, *command[1:]], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.returncode, done.stdout, done.stderr

    def status(self):
        """What `slotshare status --json` says."""
        code, out, errors = self.ask("status", "--json")
        assert code == 0, errors
        return json.loads(out)

    def committed(self):
        """The epochs that this bridge has committed."""
        return [int(n) for n in re.findall(r"event=config_committed epoch=(\d+)", self.log())]

    def ended(self):
        return self.process.poll() is not None

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as log:
            return log.read()

    def says(self, text):
        return text in self.log()

    def kill(self, number=signal.SIGKILL):
        """End the bridge. @return its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE)
        os.rename(self.log_file, f"{self.log_file}.{time.monotonic_ns()}")
        return status

    def reboot(self):
        """What the end of a host leaves of its segment: nothing."""
        shutil.rmtree(self.directory)
        os.mkdir(self.directory, 0o700)


class Cluster:
    """Three nodes, or one for each of `urls`; use it with `with`."""

    LIMITS = "[host \"mx.example.com\"]\ncluster_max_outbound_connections = 12\n"

    def __init__(self, limits=LIMITS, scheme="tcp", session="1.5", drain="2", start=True,
                 urls=None, owners=64, count=3):
        self.directory = tempfile.mkdtemp(prefix="slotshare-bridges-")
        self.workers = []
        self.options = f"session = {session}\ndrain = {drain}\n"
        self.limits = limits
        self.owners = owners
        urls = urls or [f"{scheme}://127.0.0.1:{port}" for port in free_ports(count)]
        self.nodes = [Node(self, f"mta{i}", url) for i, url in enumerate(urls, 1)]
        if scheme != "tcp":
            self.make_certificates()
        for node in self.nodes:
            node.write_config(self.config_of(node))
        if start:
            for node in self.nodes:
                node.start()

    def config_of(self, node, limits=None, members=None):
        members = "".join(f"member {n.name} = {n.url}\n" for n in members or self.nodes)
        tls = "tls = off\ninsecure = yes\n"  # hosts of their own network, in tests/net
        if node.url.startswith("tls"):
            base = os.path.join(self.directory, node.name)
            tls = (f"certificate = {base}.pem\nkey = {base}.key\n"
                   f"ca = {self.directory}/ca.pem\n")
        return (f"[node]\nname = {node.name}\nsegment = {node.segment}\n"
                f"directory = {node.directory}\nstate = {node.state}\ncounters = 1024\n"
                f"slots = 4096\nowners = {self.owners}\n"
                f"[cluster]\nreplicate = outbound_domains\n{members}{tls}{self.options}"
                f"{limits or self.limits}")

    def make_certificates(self):
        pki = [SLOTSHARE, "pki", "--directory", self.directory]
        for words in (["init"], *(["member", node.name] for node in self.nodes)):
            subprocess.run([*pki, *words], check=True, stdout=subprocess.DEVNULL)

    def worker(self, i, host="mx.example.com"):
        worker = Worker(self.nodes[i], host)
        self.workers.append(worker)
        return worker

    def held(self):
        return sum(w.held for w in self.workers)

    def take_until(self, workers, wanted, most):
        """These workers take what they get until they hold `wanted` together; all of the cluster
        never hold more than `most`."""
        def step():
            for worker in workers:
                worker.take_all()
                assert self.held() <= most, f"{self.held()} held, at most {most} allowed"
            return sum(w.held for w in workers) == wanted
        wait_for(f"{wanted} slots on {[w.node.name for w in workers]}", step)

    def coordinator(self):
        """The node that all running bridges take for the coordinator, or None."""
        running = [n for n in self.nodes if n.process is not None and not n.ended()]
        names = set()
        for node in running:
            told = re.findall(r"event=(?:coordinator member=(\S+)|no_coordinator)", node.log())
            names.add(told[-1] if told else "")
        return next((n for n in running if names == {n.name}), None)

    def wait_sessions(self, workers):
        wait_for("sessions", lambda: all(w.explain().session for w in workers))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for worker in self.workers:
            worker.close()
        for node in self.nodes:
            if node.process is not None and not node.ended():
                node.process.kill()
                node.process.wait()
        if kind is not None:
            for name in sorted(os.listdir(self.directory)):
                if ".log" in name:
                    with open(os.path.join(self.directory, name), errors="replace",
                              encoding="utf-8") as log:
                        print(f"---- {name}\n{log.read()[-6000:]}")
        shutil.rmtree(self.directory)
