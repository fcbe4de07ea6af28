# SPDX-License-Identifier: MIT
"""A root directory with Debian's Exim in it, made from unpacked packages: nothing is installed on
this machine, whose own mail server stays what it is.

The packages are downloaded once, with apt, into the build folder, and unpacked there; a node is a
directory with the program, the libraries that it and slotshare need, and its own /etc, /var, /run.
"""

import glob
import os
import re
import shutil
import subprocess

DAEMONS = {"heavy": "exim4-daemon-heavy", "light": "exim4-daemon-light"}
LIBRARIES = "lib/x86_64-linux-gnu"
# Of nobody else, should the directory be looked at from outside.
EXIM_UID, EXIM_GID, SLOTSHARE_GID = 931, 931, 932
PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
uucp:x:10:10::/var/spool/uucp:/usr/sbin/nologin
mail:x:8:8::/var/mail:/usr/sbin/nologin
Debian-exim:x:{EXIM_UID}:{EXIM_GID}::/var/spool/exim4:/usr/sbin/nologin
"""
GROUP = f"root:x:0:\nuucp:x:10:\nmail:x:8:\nDebian-exim:x:{EXIM_GID}:\n"
GROUP += f"slotshare:x:{SLOTSHARE_GID}:Debian-exim\n"


class Missing(Exception):
    """Something that is not there on this machine; the text says what."""


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
                          check=False, **options)
    return done.returncode, done.stdout


def wanted(flavour):
    """The packages that Debian would install for this Exim here, without what only people need."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Missing("this is not Debian (no apt-get, no dpkg-deb)")
    status, text = run("apt-get", "-s", "-o", "Debug::NoLocking=1", "--no-install-recommends",
                       "install", DAEMONS[flavour], "exim4-config",
                       env={**os.environ, "LC_ALL": "C"})
    if status != 0:
        raise Missing(f"apt-get finds no {DAEMONS[flavour]} (apt-get update?)")
    found = re.findall(r"^Inst (\S+)", text, re.M)
    return sorted({*found, DAEMONS[flavour], "exim4-config"})


def unpack(cache, flavour):
    """Download and unpack once. Returns the folder with what the packages hold."""
    folder = os.path.join(cache, flavour)
    if os.path.exists(os.path.join(folder, "usr/sbin/exim4")):
        return folder
    packages = os.path.join(cache, "packages")
    os.makedirs(packages, exist_ok=True)
    # An installed exim4 would not be listed by its libraries' names: then they are there as well.
    names = wanted(flavour)
    status, text = run("apt-get", "download", *names, cwd=packages)
    if status != 0:
        last = [line for line in text.splitlines() if line.startswith("E:")] or [text[-200:]]
        raise Missing(f"apt-get could not download {DAEMONS[flavour]}: {last[-1]}")
    fresh = folder + ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in names:
        for package in glob.glob(os.path.join(packages, f"{name}_*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, fresh], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)
    return folder


def libraries(program, folders):
    """The files that the loader takes for a program or library."""
    status, text = run("ldd", program, env={**os.environ, "LD_LIBRARY_PATH": ":".join(folders)})
    if status != 0 or "not found" in text:
        raise Missing(f"{program} lacks libraries:\n{text}")
    return set(re.findall(r"(?:=> |^\s)(/\S+) \(0x", text, re.M))


def make(folder, unpacked, build, flavour):
    """Make the root directory of one node in `folder`, which is created."""
    folders = [os.path.join(unpacked, path)
               for path in (f"usr/{LIBRARIES}", LIBRARIES, "usr/lib", "lib")]
    exim = os.path.join(unpacked, "usr/sbin/exim4")
    own = [os.path.join(build, "bin", name)
           for name in ("slotshare-bridge", "slotshare-socket", "slotshare", "shmstat")]
    adapter = os.path.join(build, "lib", "slotshare-exim.so")
    for path in ("etc/exim4", "usr/sbin", "usr/bin", LIBRARIES, "lib64", "dev", "tmp", "root",
                 "run/slotshare", "var/lib/slotshare", "var/log/exim4", "var/spool/exim4/db", "var/mail"):
        os.makedirs(os.path.join(folder, path))
    os.symlink("../lib", os.path.join(folder, "usr/lib"))
    needed = set()
    for program in [exim, *own, *([adapter] if flavour == "heavy" else [])]:
        needed |= libraries(program, folders)
    for library in needed:
        where = "lib64" if "ld-linux" in library else LIBRARIES
        shutil.copy(library, os.path.join(folder, where, os.path.basename(library)))
    for program in own:
        shutil.copy(program, os.path.join(folder, "usr/bin"))
    if flavour == "heavy":
        modules = os.path.join(folder, LIBRARIES, "slotshare")
        os.mkdir(modules)
        shutil.copy(adapter, modules)
    shutil.copy(exim, os.path.join(folder, "usr/sbin/exim4"))
    os.chmod(os.path.join(folder, "usr/sbin/exim4"), 0o4755)
    for name, text in (("passwd", PASSWD), ("group", GROUP), ("mailname", "mta.example\n"),
                       ("email-addresses", ""), ("aliases", "root: :blackhole:\n"),
                       ("services", "smtp 25/tcp mail\n"),
                       ("hosts", "127.0.0.1 localhost\n"),
                       ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:5\n"),
                       ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")):
        with open(os.path.join(folder, "etc", name), "w", encoding="ascii") as out:
            out.write(text)
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("urandom", 1, 9)):
        os.mknod(os.path.join(folder, "dev", name), 0o020666, os.makedev(major, minor))
        os.chmod(os.path.join(folder, "dev", name), 0o666)
    os.chmod(os.path.join(folder, "tmp"), 0o1777)
    for path in ("var/spool/exim4", "var/spool/exim4/db", "var/log/exim4"):
        os.chown(os.path.join(folder, path), EXIM_UID, EXIM_GID)
        os.chmod(os.path.join(folder, path), 0o750)
    # As slotshare's packages do it: a group for the segments, and Debian-exim is a member.
    os.chown(os.path.join(folder, "run/slotshare"), 0, SLOTSHARE_GID)
    os.chmod(os.path.join(folder, "run/slotshare"), 0o2770)
