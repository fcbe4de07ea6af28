# SPDX-License-Identifier: MIT
"""What is set up: MX hosts, domains, limits, mail, and what the witness counts.

Which limit applies to which mail is written down here by hand, from the precedence in the manual;
the witness gets addresses and numbers and nothing else.
"""

from dataclasses import dataclass

NODES = 3
BINDINGS = ("bulk", "other")
SESSION, DRAIN = 2, 5  # seconds; shorter than in operation, so that losses show in a minute


@dataclass(frozen=True)
class Server:
    """An MX host: its name, where it listens, whose mail it takes, how slow it is."""

    host: str
    address: str
    domains: tuple
    latency_ms: int


COMMON = Server("mx.common.example", "198.18.1.1", ("one.example", "two.example", "three.example"),
                80)
BIG_1 = Server("mx1.big.example", "198.18.1.2", ("big.example",), 120)
BIG_2 = Server("mx2.big.example", "198.18.1.3", ("big.example",), 120)
ORG = Server("mx.org.example", "198.18.1.4", ("org.example",), 60)
NET = Server("mx.net.example", "198.18.1.5", ("net.example", "netz.example"), 60)
FREE = Server("mx.free.example", "198.18.1.6", ("free.example",), 100)
SERVERS = (COMMON, BIG_1, BIG_2, ORG, NET, FREE)
DOMAINS = {domain: tuple(s for s in SERVERS if domain in s.domains)
           for server in SERVERS for domain in server.domains}

LIMITS = """\
[host "mx.common.example"]
cluster_max_outbound_connections = 2

[domain "big.example"]
cluster_max_outbound_connections = 5

[binding "bulk"]
cluster_max_outbound_connections = 6

[domain "org.example"]
cluster_max_outbound_connections = 9

[binding "bulk" host "mx.net.example"]
cluster_max_outbound_connections = 1

[domain "free.example"]
cluster_max_outbound_connections = -1
"""


@dataclass(frozen=True)
class Counter:
    """A limit, and the connections that count against it: from these bindings to these servers."""

    name: str
    scope: str
    limit: int  # -1: none
    bindings: tuple
    servers: tuple


COUNTERS = (
    Counter("mx.common.example", "host", 2, BINDINGS, (COMMON,)),
    Counter("big.example, not bulk", "domain", 5, ("other",), (BIG_1, BIG_2)),
    Counter("org.example, not bulk", "domain", 9, ("other",), (ORG,)),
    Counter("bulk", "binding", 6, ("bulk",), (BIG_1, BIG_2, ORG, FREE)),
    Counter("bulk to mx.net.example", "binding::host", 1, ("bulk",), (NET,)),
    Counter("mx.free.example, not bulk", "(none)", -1, ("other",), (FREE,)),
)

# Of 100 messages of a node, so many go to a domain, and so many of them are bulk.
MAIL = (("one.example", 8, 4), ("two.example", 8, 0), ("three.example", 6, 2),
        ("big.example", 20, 6), ("org.example", 24, 10), ("net.example", 6, 6),
        ("free.example", 28, 8))
# What share of the mail is in the queue of which node.
SKEW = (0.6, 0.3, 0.1)


def source(number, binding):
    """The address that a node sends from: one for each binding, so that the witness can tell."""
    return f"198.19.{number}.{1 + BINDINGS.index(binding)}"


def daemon_address(number):
    return f"198.19.{number}.9"


def dns_table():
    return {"mx": {domain: [s.host for s in servers] for domain, servers in DOMAINS.items()},
            "a": {server.host: server.address for server in SERVERS}}


def watches():
    """Arguments for demo-witness: each limit, then each MX host."""
    limits = [_watch(c.name, c.limit, c.bindings, c.servers) for c in COUNTERS]
    return limits + [_watch(s.host, -1, BINDINGS, (s,)) for s in SERVERS]


def _watch(name, limit, bindings, servers):
    sources = "+".join(source(n + 1, b) for n in range(NODES) for b in bindings)
    return f"{name};{'-' if limit < 0 else limit};{sources}/{'+'.join(s.address for s in servers)}"


def messages(number, count, mail=MAIL, prefix=""):
    """(identity, sender, recipient), the domains mixed."""
    kinds = []
    for domain, of_100, bulk in mail:
        kinds += [(domain, "bulk" if i < bulk else "other") for i in range(of_100)]
    step = 37  # mixes them, the same way each time
    while len(kinds) % step == 0:
        step += 1
    made = []
    for i in range(count):
        domain, binding = kinds[(i * step) % len(kinds)]
        identity = f"{prefix}n{number}x{i}"
        made.append((identity, f"sender@{binding}.example", f"{identity}@{domain}"))
    return made


def node_config(name, members, limits):
    lines = "\n".join(f"member {n} = tcp://127.0.0.1:{port}" for n, port in members)
    return f"""\
[node]
name = {name}
directory = /run/slotshare
state = /var/lib/slotshare
counters = 1024
owners = 1024
slots = 4096

[cluster]
tls = off
replicate = outbound_domains
session = {SESSION}
drain = {DRAIN}
{lines}

{limits}"""
