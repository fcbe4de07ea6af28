# SPDX-License-Identifier: MIT
"""One node of the cluster: a root directory, a bridge, an Exim with Debian's own configuration and
slotshare's files in it."""

import glob
import json
import os
import shutil
import signal
import subprocess

import plan as plans
import root
import world

CONFIGURED = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='{name}.example'
dc_local_interfaces='{address}'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='{split}'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
# What a busy sender would set in Debian's own file for such things, besides slotshare.
MACROS = """\
MAIN_TLS_ENABLE = false
MAIN_HARDCODE_PRIMARY_HOSTNAME = {name}.example
REMOTE_SMTP_INTERFACE = ${{if match_domain{{$sender_address_domain}}{{bulk.example}}{{{bulk}}}{{{other}}}}}
REMOTE_SMTP_HOSTS_AVOID_TLS = {avoid_tls}
MAIN_LOG_SELECTOR = +outgoing_port +pid
MAIN_FREEZE_TELL =
"""
OPTIONS = """\
queue_run_max = {runners}
auto_thaw = 2s
remote_max_parallel = 4
queue_only = true
smtp_accept_max = 50
check_spool_space = 0
check_spool_inodes = 0
"""
# So that a real failure on a busy machine does not stop the test for the usual 15 minutes.
RETRY = "*  *  F,4d,2s\n"
BINDING = "SLOTSHARE_BINDING = ${if match_domain{$sender_address_domain}{bulk.example}{bulk}{other}}\n"


def write(path, text, mode="w"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8") as out:
        out.write(text)


class Node:
    """Everything that belongs to one host."""

    def __init__(self, number, where, plan):
        """plan: what was asked for on the command line, and where things are."""
        self.number, self.plan = number, plan
        self.name = f"mta{number}"
        self.folder = os.path.join(where, self.name)
        self.processes = []
        self.bridge = self.exim = self.service = None
        self.runners = []
        root.make(self.folder, plan.unpacked, plan.build, plan.flavour)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    # ---- configuration ----

    def configure(self, limits=None, members=(), native=""):
        """Debian's configuration from Debian's script. limits: text for slotshare; None: Exim
        alone, with `native` lines in its transport."""
        plan, conf = self.plan, self.path("etc/exim4")
        shutil.rmtree(conf)
        shutil.copytree(os.path.join(plan.unpacked, "etc/exim4"), conf)
        write(os.path.join(conf, "update-exim4.conf.conf"),
              CONFIGURED.format(name=self.name, address=plans.daemon_address(self.number),
                                split="true" if plan.split else "false"))
        macros = MACROS.format(name=self.name, bulk=plans.source(self.number, "bulk"),
                               other=plans.source(self.number, "other"),
                               avoid_tls="" if plan.tls else "*")
        options = OPTIONS.format(runners=plan.runners)
        if limits is not None:
            macros += BINDING + plan.macros
        if plan.split:
            self.configure_split(conf, macros, options, limits is not None, native)
        else:
            self.configure_one_file(conf, macros, options, limits is not None, native)
        self.generate(conf)
        if limits is not None:
            write(self.path("etc/slotshare.conf"), plans.node_config(self.name, members, limits))

    def snippet(self, name):
        with open(os.path.join(self.plan.source_folder, "tools/exim/conf", name),
                  encoding="utf-8") as text:
            return text.read()

    def main_snippet(self):
        if self.plan.flavour == "light":
            return self.snippet("slotshare-light.main")
        return self.snippet("slotshare-heavy.main.in").replace(
            "@CMAKE_INSTALL_FULL_LIBDIR@", f"/usr/{root.LIBRARIES}")

    def configure_split(self, conf, macros, options, limited, native):
        write(os.path.join(conf, "conf.d/main/000_localmacros"), macros)
        write(os.path.join(conf, "conf.d/main/95_test"), options)
        write(os.path.join(conf, "conf.d/retry/25_test"), RETRY)
        after = os.path.join(conf, "conf.d/transport/30_exim4-config_remote_smtp-slotshare")
        write(after, native)
        if limited:
            write(os.path.join(conf, "conf.d/main/05_slotshare"), self.main_snippet())
            write(after, self.snippet("slotshare.transport"))
            write(os.path.join(conf, "conf.d/retry/20_slotshare"), self.snippet("slotshare.retry"))

    def configure_one_file(self, conf, macros, options, limited, native):
        """As README tells: the parts beside it, and three lines of .include in the template."""
        template = os.path.join(conf, "exim4.conf.template")
        with open(template, encoding="utf-8") as file:
            text = file.read()
        write(os.path.join(conf, "exim4.conf.localmacros"), macros + options)
        transport, retry = native, RETRY
        if limited:
            for part, lines in (("main", self.main_snippet()),
                                ("transport", self.snippet("slotshare.transport")),
                                ("retry", self.snippet("slotshare.retry"))):
                write(os.path.join(conf, f"slotshare.{part}"), lines)
            transport = ".include /etc/exim4/slotshare.transport\n"
            retry = ".include /etc/exim4/slotshare.retry\n" + RETRY
            before, mark, after = text.partition("\nbegin acl\n")
            assert mark
            text = before + "\n.include /etc/exim4/slotshare.main\n" + mark + after
        for mark, lines in (("\nremote_smtp:\n", transport), ("\nbegin retry\n", retry)):
            before, found, after = text.partition(mark)
            assert found
            if "smtp:" in mark:  # options of a driver have to come after its name
                driver = "  driver = smtp\n"
                more, drive, after = after.partition(driver)
                found += more + drive
            text = before + found + lines + after
        write(template, text)

    def generate(self, conf):
        """Debian's script, which needs no Exim to put the file together."""
        out = self.path("var/lib/exim4/config.autogenerated")
        os.makedirs(os.path.dirname(out), exist_ok=True)
        with open(os.path.join(self.plan.unpacked, "usr/sbin/update-exim4.conf"),
                  encoding="utf-8") as file:
            script = file.read()
        # The node's /etc instead of this machine's, which knows no user Debian-exim.
        script = script.replace("/etc/mailname", self.path("etc/mailname")).replace(
            'e "/etc/exim4/exim4.conf.localmacros', f'e "{conf}/exim4.conf.localmacros').replace(
            "Debian-exim", str(root.EXIM_GID))
        done = subprocess.run(["sh", "-s", "--", "-d", conf, "-o", out], capture_output=True,
                              input=script, encoding="utf-8", check=False,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
        if not os.path.exists(out):
            raise root.Missing(f"update-exim4.conf: {done.stderr}")
        os.chmod(out, 0o644)
        os.chown(out, 0, 0)

    # ---- processes ----

    def inside(self, *command, **options):
        """A process with this node's root directory."""
        return subprocess.Popen(["chroot", self.folder, *command],
                                **{"stdin": subprocess.DEVNULL, "stderr": self.errors(),
                                   "stdout": subprocess.DEVNULL, **options})

    def errors(self):
        return open(self.path("complaints"), "ab")  # closed with the process that gets it

    def start_bridge(self):
        self.bridge = self.inside("/usr/bin/slotshare-bridge", "--config", "/etc/slotshare.conf")

    def start_service(self):
        if self.plan.flavour == "light":
            self.service = self.inside("/usr/bin/slotshare-socket", "--group", "slotshare")

    def start_exim(self):
        for name in glob.glob(self.path("run/exim4/*")):
            os.unlink(name)
        self.exim = self.inside("/usr/sbin/exim4", "-bdf", f"-q{self.plan.interval}s",
                                start_new_session=True)
        # The daemon starts a queue runner a second; that many are to be at work from the start.
        self.runners = [self.inside("/usr/sbin/exim4", "-q") for _ in range(self.plan.runners)]

    def run_exim(self, *arguments, text=""):
        return subprocess.run(["chroot", self.folder, "/usr/sbin/exim4", *arguments], input=text,
                              capture_output=True, encoding="utf-8", errors="replace", check=False)

    def queue(self, messages):
        """Put messages into the queue: (identity, sender, recipient), ...

        A queue_only Exim takes them from batched SMTP, as fast as it can write them."""
        lines = ["HELO test"]
        for identity, sender, recipient in messages:
            lines += [f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA",
                      f"Message-ID: <{identity}@test.example>", f"From: <{sender}>",
                      f"To: <{recipient}>", f"Subject: {identity}", "", "Hello.", "."]
        done = self.run_exim("-bS", "-odq", text="\n".join([*lines, "QUIT", ""]))
        if done.returncode != 0:
            raise root.Missing(f"exim -bS: {done.stdout}{done.stderr}")

    def queued(self):
        return len(glob.glob(self.path("var/spool/exim4/input/*-H")))

    def log(self):
        try:
            with open(self.path("var/log/exim4/mainlog"), encoding="utf-8",
                      errors="replace") as text:
                return text.read()
        except FileNotFoundError:
            return ""

    def pids(self, name="exim4"):
        """Processes in this root directory with this name."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                if (entry.isdigit() and os.readlink(f"/proc/{entry}/root") == self.folder
                        and os.path.basename(os.readlink(f"/proc/{entry}/exe")) == name):
                    found.append(int(entry))
            except OSError:
                continue
        return found

    def delivering(self):
        """Processes that have a connection to port 25 open."""
        sockets = {f"socket:[{inode}]" for inode in world.port_25()}
        return [pid for pid in self.pids() if sockets & self.files(pid)]

    @staticmethod
    def files(pid):
        found = set()
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass  # has ended, or closed a file
        return found

    def kill(self, process):
        if process:
            process.kill()
            process.wait()

    def kill_exims(self):
        """All of them, whoever forked whom."""
        while pids := self.pids():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def stop(self):
        self.kill_exims()
        for process in self.own():
            self.kill(process)
        self.exim = self.bridge = self.service = None
        self.runners = []

    def own(self):
        """Processes that this one has started, and waits for."""
        return [p for p in (self.exim, self.bridge, self.service, *self.runners) if p]

    def lose(self):
        """The host loses its power; /run is empty when it is up again, the queue is not."""
        self.stop()
        for name in glob.glob(self.path("run/slotshare/*")):
            os.unlink(name)

    def stat(self):
        """What shmstat --json says; None while there is no segment."""
        done = subprocess.run(["chroot", self.folder, "/usr/bin/shmstat", "--json", "--idle"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None
