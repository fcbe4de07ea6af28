# SPDX-License-Identifier: MIT
"""A DNS server for tests: MX, A and AAAA records from a table, NXDOMAIN for the rest; UDP and TCP.

Usage: dns.py ADDRESS TABLE [PORT]

TABLE is JSON: {"mx": {domain: [host, ...]}, "a": {host: address}, "aaaa": {host: address},
"fail": [domain, ...]}. A host may also be [preference, host, ttl], else it has preference 10; those
of "fail" get SERVFAIL. What does not fit into 512 bytes is truncated over UDP. Port 0 is any free
one. Prints "ready" once it listens, and the port when one was given; ends with stdin.
"""

import json
import os
import socket
import struct
import sys
import threading

A, MX, AAAA, IN = 1, 15, 28, 1
SERVFAIL, NXDOMAIN, RESPONSE = 2, 3, 0x8480  # response, authoritative, recursion available
TRUNCATED, UDP_MAX, TTL, PREFERENCE = 0x0200, 512, 60, 10


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def decode(packet, at):
    parts = []
    while packet[at]:
        parts.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(parts).lower(), at + 1


def records_of(kind, name, table):
    """[(ttl, data)]"""
    if kind == MX:
        hosts = [host if isinstance(host, list) else [PREFERENCE, host, TTL]
                 for host in table["mx"].get(name, ())]
        return [(ttl, struct.pack("!H", preference) + encode(host))
                for preference, host, ttl in hosts]
    addresses = table.get({A: "a", AAAA: "aaaa"}.get(kind), {})
    family = socket.AF_INET if kind == A else socket.AF_INET6
    return [(TTL, socket.inet_pton(family, addresses[name]))] if name in addresses else []


def answer(packet, table, most=UDP_MAX):
    identity, flags, _, _, _, _ = struct.unpack("!6H", packet[:12])
    name, end = decode(packet, 12)
    kind, _ = struct.unpack("!2H", packet[end:end + 4])
    known = any(name in table.get(names, ()) for names in ("mx", "a", "aaaa"))
    code = SERVFAIL if name in table.get("fail", ()) else 0 if known else NXDOMAIN
    records = records_of(kind, name, table) if code == 0 else []
    body = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", kind, IN, ttl, len(data)) + data
                    for ttl, data in records)
    flags = RESPONSE | (flags & 0x0100) | code
    if end + 4 + len(body) > most:
        flags, records, body = flags | TRUNCATED, [], b""
    return (struct.pack("!6H", identity, flags, 1, len(records), 0, 0) + packet[12:end + 4] + body)


def serve_udp(server, table):
    while True:
        packet, client = server.recvfrom(4096)
        try:
            server.sendto(answer(packet, table), client)
        except (IndexError, UnicodeDecodeError, struct.error):
            continue  # not a question


def serve_tcp(server, table):
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            try:
                size, = struct.unpack("!H", stream.read(2))
                said = answer(stream.read(size), table, 65535)
                connection.sendall(struct.pack("!H", len(said)) + said)
            except (IndexError, UnicodeDecodeError, struct.error, OSError):
                continue


def listen(address, port):
    """UDP and TCP on one port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, port))
        try:
            return udp, socket.create_server((address, udp.getsockname()[1]))
        except OSError:
            udp.close()
            if port != 0:
                raise


def main():
    table = json.loads(sys.argv[2])
    udp, tcp = listen(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 53)
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    threading.Thread(target=serve_tcp, args=(tcp, table), daemon=True).start()
    print("ready", *([udp.getsockname()[1]] if len(sys.argv) > 3 else []), flush=True)
    serve_udp(udp, table)


if __name__ == "__main__":
    main()
