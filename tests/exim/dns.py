# SPDX-License-Identifier: MIT
"""A DNS server for the test: MX and A records from a table, NXDOMAIN for the rest.

Usage: dns.py ADDRESS TABLE    TABLE is JSON: {"mx": {domain: [host, ...]}, "a": {host: address}}
The hosts of a domain have one preference. Prints "ready" once it listens; ends with stdin.
"""

import json
import os
import socket
import struct
import sys
import threading

A, MX, IN = 1, 15, 1
NXDOMAIN, RESPONSE = 3, 0x8480  # response, authoritative, recursion available


def encode(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def decode(packet, at):
    parts = []
    while packet[at]:
        parts.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(parts).lower(), at + 1


def answer(packet, table):
    identity, flags, _, _, _, _ = struct.unpack("!6H", packet[:12])
    name, end = decode(packet, 12)
    kind, _ = struct.unpack("!2H", packet[end:end + 4])
    records = []
    if kind == MX:
        records = [struct.pack("!H", 10) + encode(host) for host in table["mx"].get(name, ())]
    elif kind == A and name in table["a"]:
        records = [socket.inet_aton(table["a"][name])]
    known = name in table["mx"] or name in table["a"]
    head = struct.pack("!6H", identity, RESPONSE | (flags & 0x0100) | (0 if known else NXDOMAIN),
                       1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", kind, IN, 60, len(data)) + data
                    for data in records)
    return head + packet[12:end + 4] + body


def main():
    table = json.loads(sys.argv[2])
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    print("ready", flush=True)
    while True:
        packet, client = server.recvfrom(4096)
        try:
            server.sendto(answer(packet, table), client)
        except (IndexError, UnicodeDecodeError, struct.error):
            continue  # not a question


if __name__ == "__main__":
    main()
