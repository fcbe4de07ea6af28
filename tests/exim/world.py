# SPDX-License-Identifier: MIT
"""A network of its own: everything that the test starts lives in namespaces, and ends with them."""

import ctypes
import fcntl
import os
import socket
import struct
import sys

import root

SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCGIFFLAGS = 0x8916, 0x891C, 0x8914, 0x8913
IFF_UP = 1
MARK = "SLOTSHARE_EXIM_WORLD"


def enter():
    """Run this program again as the first process of new namespaces: network, mounts, processes.
    When it ends, the kernel kills whatever it has started."""
    if os.geteuid() != 0:
        raise root.Missing("needs root: for network namespaces, chroot, ports 25 and 53")
    if os.environ.get(MARK) == "1":
        return
    os.environ[MARK] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc",
                          "--kill-child", sys.executable, "-B", *sys.argv])


def set_up():
    """Loopback, and 198.18.0.0/15, the range for tests, on it: Exim does not take those for its
    own machine, and Debian's configuration does not refuse to deliver to them."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
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


def reap():
    """Collect processes that lost their parents: Exim leaves many."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            # Only those that nobody here waits for: subprocess knows its own.
            return
    except ChildProcessError:
        pass
