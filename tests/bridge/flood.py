# SPDX-License-Identifier: MIT
"""A member that is none: it speaks as one (nng's pub/sub over TCP, and messages of wire.proto), as fast
as it can, and says what it likes."""
import select
import socket
import struct
import threading

PUB = 0x20
HEADER = struct.Struct(">4sHH")
LENGTH = struct.Struct(">Q")


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """bytes: length-delimited; int: varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def envelope(name, kind, body):
    return (field(1, b"slotshare") + field(2, 1) + field(3, name.encode()) + field(kind, body))


def record(counter):
    return field(14, field(1, counter.encode()) + field(2, 1) + field(3, 1) + field(4, 50) +
                 field(5, 2) + field(6, 1))


def messages(name):
    """Without end: reports of ever new counters, totals of ever new counters, parts of messages of which
    the rest never comes, and nonsense."""
    number = 0
    while True:
        number += 1
        names = [f"domain:n{number}x{i}.example" for i in range(1000)]
        yield envelope(name, 4, fixed64(1, 77) + field(2, 1) + field(3, number) + field(12, 3) +
                       b"".join(record(n) for n in names))
        yield envelope(name, 8, field(1, number) +
                       b"".join(field(3, field(1, n.encode()) + field(2, 1)) for n in names))
        yield envelope(name, 9, field(1, number) + field(3, 60) + field(4, bytes(150000)))
        yield bytes(range(256)) * 400


class Flooder:
    """Listens where the others look for the member `name`, and floods all that connect."""

    def __init__(self, name, port):
        self.name, self.sent = name, 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        streams = {}
        while not self.stopping.is_set():
            for ready in select.select([self.listener], streams, [], 0.1)[:2]:
                for one in ready:
                    if one is self.listener:
                        stream = self.listener.accept()[0]
                        stream.sendall(HEADER.pack(b"\0SP\0", PUB, 0))
                        streams[stream] = messages(self.name)
                        continue
                    try:
                        body = next(streams[one])
                        one.settimeout(10)
                        one.sendall(LENGTH.pack(len(body)) + body)
                        self.sent += 1
                    except OSError:
                        del streams[one]
                        one.close()
        for stream in streams:
            stream.close()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.listener.close()
