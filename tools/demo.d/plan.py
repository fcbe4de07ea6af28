# SPDX-License-Identifier: MIT
"""What the demo sets up: bindings, domains, MX hosts, limits, nodes, and what the witness counts.

Which limit applies to which connection is written down here by hand, from the precedence in the
manual; the witness gets addresses and numbers and nothing else.
"""

from dataclasses import dataclass

NODES = ("mta1", "mta2", "mta3")
BINDINGS = ("bulk", "transactional")

# The protocol's timers, shorter than the defaults (6 s and 30 s), so that a demo shows in a minute
# what takes its time in operation. A worker here ends a connection within two seconds or so, which
# is what `drain` promises to the cluster.
SESSION, DRAIN, GRACE = 2.0, 5.0, 2.0
RESERVE = 0.25


@dataclass(frozen=True)
class Server:
    """An MX host: its name, where it listens, whose mail it takes, how slow it is."""

    host: str
    address: str
    domains: tuple
    latency_ms: int


EDGE = Server("edge.omniti.com", "127.20.0.1", ("messagesystems.com", "omniti.com"), 60)
YAHOO_5 = Server("mta5.yahoo.example", "127.20.0.2", ("yahoo.example",), 90)
YAHOO_6 = Server("mta6.yahoo.example", "127.20.0.3", ("yahoo.example",), 120)
ORG = Server("mx.example.org", "127.20.0.4", ("example.org",), 100)
NET = Server("mx.example.net", "127.20.0.5", ("example.net",), 80)
SLOW = Server("mx.slow.example", "127.20.0.6", ("slow.example",), 250)
SERVERS = (EDGE, YAHOO_5, YAHOO_6, ORG, NET, SLOW)

LIMITS = """\
[global]
cluster_max_outbound_connections = 12

[binding "bulk"]
cluster_max_outbound_connections = 12

[domain "yahoo.example"]
cluster_max_outbound_connections = 6

[domain "slow.example"]
cluster_max_outbound_connections = 3

[binding "bulk" domain "yahoo.example"]
cluster_max_outbound_connections = 4

[host "edge.omniti.com"]
cluster_max_outbound_connections = 2

[binding "bulk" host "mx.slow.example"]
cluster_max_outbound_connections = 1
"""


@dataclass(frozen=True)
class Counter:
    """A limit, and the connections that count against it: from these bindings to these servers."""

    name: str
    scope: str
    limit: int
    bindings: tuple
    servers: tuple

    @property
    def reserve(self):
        """What each node keeps for itself, whatever happens."""
        return int(RESERVE * self.limit / len(NODES))


COUNTERS = (
    Counter("binding:bulk,host:mx.slow.example", "binding::host", 1, ("bulk",), (SLOW,)),
    Counter("host:edge.omniti.com", "host", 2, BINDINGS, (EDGE,)),
    Counter("binding:bulk,domain:yahoo.example", "binding::domain", 4, ("bulk",),
            (YAHOO_5, YAHOO_6)),
    Counter("binding:bulk", "binding", 12, ("bulk",), (ORG, NET)),
    Counter("domain:yahoo.example", "domain", 6, ("transactional",), (YAHOO_5, YAHOO_6)),
    Counter("domain:slow.example", "domain", 3, ("transactional",), (SLOW,)),
    Counter("domain:example.org", "global", 12, ("transactional",), (ORG,)),
    Counter("domain:example.net", "global", 12, ("transactional",), (NET,)),
)

# What the workers of one node deliver, per binding: (domain, server, weight), and how many
# connections they try to have at once: one node alone can use up every limit.
DEMAND = {
    "bulk": (("messagesystems.com", EDGE, 1), ("yahoo.example", YAHOO_5, 2),
             ("yahoo.example", YAHOO_6, 2), ("example.org", ORG, 6), ("example.net", NET, 6),
             ("slow.example", SLOW, 1)),
    "transactional": (("omniti.com", EDGE, 1), ("messagesystems.com", EDGE, 1),
                      ("yahoo.example", YAHOO_5, 3), ("yahoo.example", YAHOO_6, 3),
                      ("example.org", ORG, 12), ("example.net", NET, 12),
                      ("slow.example", SLOW, 4)),
}
PROCESSES = {"bulk": 3, "transactional": 4}
CONNECTIONS = {"bulk": 10, "transactional": 12}  # per process


def source(node, binding):
    """The address that a node sends from: one for each binding, so that the witness can tell."""
    return f"127.31.{NODES.index(node) + 1}.{BINDINGS.index(binding) + 1}"


def watches():
    """Arguments for demo-witness: each counter, then each counter at each node."""
    plain = [_watch(c.name, c.limit, c, NODES) for c in COUNTERS]
    return plain + [_watch(f"{c.name}@{node}", "-", c, (node,)) for c in COUNTERS
                    for node in NODES]


def _watch(name, limit, counter, nodes):
    sources = "+".join(source(n, b) for n in nodes for b in counter.bindings)
    return f"{name};{limit};{sources}/{'+'.join(s.address for s in counter.servers)}"


def config(node, directory, ports, limits=LIMITS):
    """The config file of one node. All but [node] is the same on all of them."""
    members = "\n".join(f"member {n} = tcp://127.0.0.1:{p}" for n, p in zip(NODES, ports))
    return f"""\
[node]
name = {node}
segment = {node}
directory = {directory}
state = {directory}/{node}.state
counters = 1024
owners = 1024
slots = 4096

[cluster]
tls = off
replicate = outbound_domains
session = {SESSION:g}
drain = {DRAIN:g}
reserve = {RESERVE:.0%}
{members}

{limits}"""
