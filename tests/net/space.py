# SPDX-License-Identifier: MIT
"""A machine of our own: namespaces for processes, mounts and networks, and hosts in it.

isolate() starts the program again in new namespaces. All processes, networks and files that are
made there end with the first process in it, and that one ends with us: nothing is left, however
we end.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from history import BUILD

PING = os.path.join(BUILD, "tests", "net_ping")
RELAY = os.path.join(BUILD, "tests", "net_relay")
SKIP = 77
INSIDE = "SLOTSHARE_NET_INSIDE"
PR_SET_PDEATHSIG = 1
TOOLS = ("unshare", "ip", "tc", "iptables", "ss", "mount")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def reap(process, number=signal.SIGKILL):
    """End a process from a signal handler, where Popen.wait() may be waiting for it already."""
    try:
        os.kill(process.pid, number)
        os.waitpid(process.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def command(*words, check=True):
    """Run a command. @return what it printed; None: it failed."""
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        if check:
            raise RuntimeError(f"{' '.join(words)}: {result.stderr.strip()}")
        return None
    return result.stdout


def isolate():
    """Return inside; outside, wait for the end of the inside and end as it did."""
    if INSIDE in os.environ:
        command("mount", "-t", "tmpfs", "tmpfs", os.environ[INSIDE])
        tempfile.tempdir = os.environ[INSIDE]
        os.makedirs("/run/netns", exist_ok=True)
        command("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        command("ip", "link", "set", "lo", "up")
        return
    for tool in TOOLS:
        if shutil.which(tool) is None:
            skip(f"there is no {tool} here (Debian: apt-get install iproute2 iptables)")
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        unshare[1:1] = ["--user", "--map-root-user"]
    if command(*unshare, "sh", "-c", "mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns && "
               "ip netns add try && ip link add type veth && ip netns exec try iptables -L",
               check=False) is None:
        skip("this kernel (or container) allows no namespaces, veth devices or filters here: "
             f"'{' '.join(unshare)} sh' and what ip(8) and iptables(8) do in it")
    directory = tempfile.mkdtemp(prefix="slotshare-net-")
    inside = subprocess.Popen([*unshare, sys.executable, "-B", *sys.argv],
                              env={**os.environ, INSIDE: directory}, preexec_fn=die_with_parent)

    def end(number, _frame):
        reap(inside)
        os.rmdir(directory)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    status = inside.wait()
    os.rmdir(directory)
    sys.exit(status if status >= 0 else 128 - status)


class Host:
    """A network namespace with one device."""

    def __init__(self, number, device, address):
        self.name, self.device, self.address = f"mta{number}", device, address

    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def run(self, *words, check=True):
        return command(*self.prefix(), *words, check=check)

    # Faults, each with its end.

    def lose(self, probability):
        self.run("iptables", "-w", "-A", "INPUT", "-i", self.device, "-m", "statistic", "--mode", "random",
                 "--probability", str(probability), "-j", "DROP")

    def hear_not(self, other):
        """A cut in one direction."""
        self.run("iptables", "-w", "-A", "INPUT", "-s", other.address, "-j", "DROP")

    def hear_again(self):
        self.run("iptables", "-w", "-F", "INPUT")

    def throttle(self, rate):
        self.run("tc", "qdisc", "replace", "dev", self.device, "root", "tbf", "rate", rate,
                 "burst", "8kb", "latency", "200ms")

    def throttle_end(self):
        self.run("tc", "qdisc", "del", "dev", self.device, "root", check=False)

    def link(self, up):
        self.run("ip", "link", "set", self.device, "up" if up else "down")

    def kill_connections(self):
        self.run("ss", "-K", "state", "established")

    def heal(self):
        self.hear_again()
        self.throttle_end()
        self.link(True)


class Network:
    """Hosts that can reach each other: through veth devices and a switch; or, with a delay in
    milliseconds each way, through TUN devices and a relay."""

    def __init__(self, count, delay=0.0, jitter=0.0):
        self.relay = None
        self.hosts = []
        if delay == 0:
            command("ip", "link", "add", "switch0", "type", "bridge")
            command("ip", "link", "set", "switch0", "up")
        for i in range(1, count + 1):
            host = Host(i, "slow0" if delay else "wire0", f"10.1.0.{i}")
            command("ip", "netns", "add", host.name)
            host.run("ip", "link", "set", "lo", "up")
            self.hosts.append(host)
            if delay == 0:
                command("ip", "link", "add", f"port{i}", "type", "veth", "peer", "name", "wire0",
                        "netns", host.name)
                command("ip", "link", "set", f"port{i}", "master", "switch0", "up")
        if delay:
            self.relay = subprocess.Popen(
                [RELAY, str(int(delay * 1000)), str(int(jitter * 1000)),
                 *(host.name for host in self.hosts)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if self.relay.stdout.readline() != "ready\n":
                raise RuntimeError(self.relay.stderr.read())
        for host in self.hosts:
            host.run("ip", "address", "add", host.address + "/24", "dev", host.device)
            host.run("ip", "link", "set", host.device, "up")

    def round_trip(self, a=0, b=1, rounds=200):
        """@return median and 90%, in microseconds, of a message of the kind that bridges send."""
        one, two = self.hosts[a], self.hosts[b]
        urls = [f"tcp://{host.address}:7900" for host in (one, two)]
        with subprocess.Popen([*two.prefix(), PING, "echo", urls[1], urls[0]]) as echo:
            try:
                answer = one.run(PING, "ask", urls[0], urls[1], str(rounds))
            finally:
                echo.kill()
        return [float(word) for word in answer.split()]

    def close(self):
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()
            self.relay.stdout.close()
            self.relay.stderr.close()
        for host in self.hosts:
            command("ip", "netns", "del", host.name)
        command("ip", "link", "del", "switch0", check=False)


def tun_works():
    """Whether a relay can be: a host without a TUN device does the rest all the same."""
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)
