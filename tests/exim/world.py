# SPDX-License-Identifier: MIT
"""A network of its own: everything that the test starts lives in namespaces, and ends with them."""

import fcntl
import os
import socket
import struct
import sys

import root

SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFFLAGS = 0x8916, 0x891C, 0x8914, 0x8913
IFF_UP = 1
NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
MARK = "SLOTSHARE_EXIM_WORLD"


def enter():
    """Run this program again as the first process of new namespaces: network, mounts, processes.
    When it ends, the kernel kills whatever it has started."""
    if os.geteuid() != 0:
        raise root.Missing("needs root: for network namespaces, chroot, ports 25 and 53")
    if os.environ.get(MARK) == "1" and os.getpid() == 1:
        return
    status, text = root.run("unshare", *NAMESPACES, "true")
    if status != 0:
        raise root.Missing(f"may not make namespaces here: {text.strip()}")
    os.environ[MARK] = "1"
    os.execvp("unshare", ["unshare", *NAMESPACES, sys.executable, "-B", *sys.argv])


def set_up():
    """Loopback, and 198.18.0.0/15, the range for tests, on it: Exim does not take those for its
    own machine, and Debian's configuration does not refuse to deliver to them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        def address(name, text):
            return struct.pack("16sH2s4s8s", name, socket.AF_INET, b"", socket.inet_aton(text), b"")

        def up(name):
            old = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14s", name, 0, b""))
            flags = struct.unpack("16sH14s", old)[1]
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14s", name, flags | IFF_UP, b""))

        up(b"lo")
        fcntl.ioctl(control, SIOCSIFADDR, address(b"lo:1", "198.18.0.1"))
        fcntl.ioctl(control, SIOCSIFNETMASK, address(b"lo:1", "255.254.0.0"))
        up(b"lo:1")


def reap(own):
    """Collect processes that lost their parents: Exim leaves many, and they come to this one, the
    first of its namespace. own: processes that somebody here waits for."""
    own_pids = {process.pid: process for process in own}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in own_pids:
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                state, parent = stat.read().rsplit(")", 1)[1].split()[:2]
            if state == "Z" and parent == "1":
                os.waitpid(int(entry), os.WNOHANG)
        except (OSError, ChildProcessError):
            continue


def port_25():
    """Inodes of sockets that are connected to port 25."""
    found = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        next(table)
        for line in table:
            fields = line.split()
            if fields[2].endswith(":0019") and fields[3] == "01":
                found.add(fields[9])
    return found
