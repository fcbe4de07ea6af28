# SPDX-License-Identifier: MIT
"""The receiving side: a real SMTP server (aiosmtpd), one loopback address per MX host.

Usage: receiver.py PORT LOG SERVERS

SERVERS is JSON: [{"host": MX host, "address": IPv4, "domains": [...], "latency_ms": n}, ...].
Each message accepted is one line of LOG, "ID MXHOST SENDER-ADDRESS", written before the 250 goes
out: what a sender knows to be delivered is always in the log. Prints "ready" once it listens.
"""

import asyncio
import json
import os
import signal
import sys

from aiosmtpd.smtp import SMTP


class Receiver:
    """aiosmtpd's handler for one MX host."""

    def __init__(self, server, log):
        self.host = server["host"]
        self.domains = set(server["domains"])
        self.delay = server["latency_ms"] / 1000
        self.log = log

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        await asyncio.sleep(self.delay)
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.rpartition("@")[2].lower() not in self.domains:
            return "550 5.1.2 no such domain here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.delay)
        identity = envelope.rcpt_tos[0].rpartition("@")[0]
        if f"Message-ID: <{identity}@".encode() not in envelope.content:
            return "554 5.6.0 not the message that was announced"
        os.write(self.log, f"{identity} {self.host} {session.peer[0]}\n".encode())
        return "250 2.0.0 OK"


async def serve(port, log, servers):
    loop = asyncio.get_running_loop()
    for server in servers:
        handler = Receiver(server, log)
        await loop.create_server(
            lambda handler=handler: SMTP(handler, hostname=handler.host, enable_SMTPUTF8=False),
            server["address"], port, backlog=512)
    print("ready", flush=True)
    # Ends with the demo, whatever happens to it: nobody else holds the other end of stdin.
    await loop.run_in_executor(None, sys.stdin.buffer.read)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's business
    port, log_name, servers = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    log = os.open(log_name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        asyncio.run(serve(port, log, servers))
    except OSError as error:
        sys.exit(f"receiver: cannot listen on port {port}: {error.strerror}; is another demo running?")


if __name__ == "__main__":
    main()
