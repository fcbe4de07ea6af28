# SPDX-License-Identifier: MIT
"""slotshare run: a command in a slot, and what becomes of the slot."""
import os
import pty
import signal
import subprocess
import sys
import unittest

from support import (BAD_CONFIG, CONFIG, COUNTER, FULL, HOST, LIMIT, OS_ERROR, PATIENCE,
                     SLOTSHARE, UNAVAILABLE, USAGE, Case, eventually, gone)

RUN = (SLOTSHARE, "run", "--host", HOST)

# Tells which signals it gets, and ends with status 3 when it has read a line or a SIGTERM.
LISTENER = """
import os, signal, sys
def heard(number, frame):
    os.write(1, (signal.Signals(number).name + "\\n").encode())
    if number == signal.SIGTERM:
        sys.exit(3)
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, heard)
os.write(1, b"ready\\n")
sys.stdin.readline()
os.write(1, b"end\\n")
sys.exit(3)
"""


class Status(Case):
    def setUp(self):
        super().setUp()
        self.make_segment()

    def test_of_the_command(self):
        for number in (0, 1, 7, 255):
            self.assertEqual(self.call(*RUN, "--", "sh", "-c", f"exit {number}"), (number, "", ""))

    def test_killed_by_a_signal(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
            status = self.call(*RUN, "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")[0]
            self.assertEqual(status, 128 + number)

    def test_the_command_gets_its_words_and_its_streams(self):
        words = ("sh", "-c", 'cat; printf "%s|" "$@" >&2', "-", "--wait", "a b")
        done = subprocess.run([*RUN, *words], env=self.environment, input=b"in",
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"in", b"--wait|a b|"))

    def test_not_found(self):
        status, out, errors = self.call(*RUN, "--", "no-such-command")
        self.assertEqual((status, out), (127, ""))
        self.assertEqual(errors, "slotshare run: cannot run 'no-such-command': "
                                 "No such file or directory\n")

    def test_not_executable(self):
        status, out, errors = self.call(*RUN, "--", self.write("plain", "text"))
        self.assertEqual((status, out), (126, ""))
        self.assertIn("Permission denied", errors)

    def test_started_with_sigchld_ignored(self):
        status = self.call(*RUN, "sh", "-c", "exit 9", preexec_fn=lambda: signal.signal(
            signal.SIGCHLD, signal.SIG_IGN))[0]
        self.assertEqual(status, 9)

    def test_signals_of_the_command_are_as_they_were(self):
        """Neither blocked nor ignored, though slotshare run itself blocks some."""
        out = self.call(*RUN, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")[1]
        # Python ignores SIGPIPE and SIGXFSZ and gives them back to what it starts.
        self.assertEqual(out.split(), ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16])


class Errors(Case):
    def test_usage(self):
        for words, message in (
                ([], "name the command to run"),
                (["--host", HOST], "name the command to run"),
                (["--host", HOST, "--"], "name the command to run"),
                (["true"], "say what the slot is for: --binding, --domain, --host")):
            self.assertEqual(self.call(SLOTSHARE, "run", *words),
                             (USAGE, "", f"slotshare run: {message}; see 'slotshare run --help'\n"))
        for wait in ("1x", "", "-1", "nan", "inf", "1e300"):
            status, out, errors = self.call(*RUN, "--wait", wait, "true")
            self.assertEqual((status, out), (USAGE, ""))
            self.assertEqual(errors, f"slotshare run: --wait: '{wait}' is not seconds from 0 to "
                                     "2147483, or 'forever'\n")

    def test_no_segment(self):
        status, out, errors = self.call(*RUN, "echo", "started")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertTrue(errors.startswith("slotshare run: "), errors)
        self.assertIn(self.folder, errors)

    def test_not_a_segment(self):
        self.write("slotshare.seg", "x" * 65536)
        status, out, errors = self.call(*RUN, "echo", "started")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("slotshare.seg", errors)

    def test_a_damaged_segment(self):
        segment = self.make_segment()
        os.truncate(segment, 4096)
        status, out, errors = self.call(*RUN, "echo", "started")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertIn("slotshare.seg", errors)

    def test_errors_of_the_config_file(self):
        file = self.config("[nonsense]\n[global]\nx = 1\n")
        status, out, errors = self.call(*RUN, "--config", file, "echo", "started")
        self.assertEqual((status, out), (BAD_CONFIG, ""))
        self.assertIn(f"{file}:1: ", errors)
        self.assertIn(f"{file}:3: ", errors)
        self.assertEqual(os.listdir(self.folder), ["test.ini"])

    def test_a_cluster_is_not_created_without_its_bridge(self):
        file = self.config("[node]\nname = a\n[cluster]\ntls = off\nmember a = tcp://127.0.0.1:7001\n" +
                           LIMIT)
        status, out, errors = self.call(*RUN, "--config", file, "echo", "started")
        self.assertEqual((status, out), (BAD_CONFIG, ""))
        self.assertIn("bridge", errors)

    def test_a_name_that_is_none(self):
        self.make_segment()
        for names in (("--host", "h" * 256), ("--binding", 'a"b'), ("--domain", "a b")):
            status, out, errors = self.call(SLOTSHARE, "run", *names, "echo", "started")
            self.assertEqual((status, out), (USAGE, ""))
            self.assertTrue(errors.startswith("slotshare run: "), errors)

    def test_no_room_for_one_more_process(self):
        self.make_segment("[node]\nowners = 1\n" + LIMIT)
        holder = self.hold()
        status, out, errors = self.call(*RUN, "echo", "started")
        self.assertEqual((status, out), (UNAVAILABLE, ""))
        self.assertTrue(errors.startswith("slotshare run: "), errors)
        self.let_go(holder)
        self.assertEqual(self.call(*RUN, "echo", "started"), (0, "started\n", ""))

    def test_a_loop_of_links_is_an_error_of_the_system(self):
        os.symlink("loop", self.path("loop"))
        status, out, errors = self.call(*RUN, "--directory", self.path("loop"), "echo", "started")
        self.assertEqual((status, out), (OS_ERROR, ""))
        self.assertIn("loop", errors)


class Slot(Case):
    def setUp(self):
        super().setUp()
        self.make_segment()

    def test_is_given_back_after_the_command(self):
        holder = self.hold()
        self.assertEqual(self.in_use(), 1)
        self.let_go(holder)
        self.assertEqual(self.in_use(), 0)

    def test_full(self):
        holders = [self.hold(), self.hold()]
        status, out, errors = self.call(*RUN, "echo", "started")
        self.assertEqual((status, out), (FULL, ""))
        self.assertEqual(errors, f"slotshare run: no slot on {COUNTER}: limit 2 (host), "
                                 "share of this host 2, in use 2\n")
        self.let_go(holders[0])
        self.assertEqual(self.call(*RUN, "echo", "started"), (0, "started\n", ""))
        self.let_go(holders[1])

    def test_a_limit_of_0_is_closed(self):
        self.environment["SLOTSHARE_DIR"] = self.path("closed")
        os.mkdir(self.path("closed"))
        self.make_segment(CONFIG.replace("connections = 2", "connections = 0"))
        self.assertEqual(self.call(*RUN, "echo", "started")[:2], (FULL, ""))

    def test_waiting_for_one(self):
        holders = [self.hold(), self.hold()]
        waiter = self.start(*RUN, "--wait", str(PATIENCE), "true")
        eventually("one waits", lambda: self.counter()["waiting"] == 1)
        self.assertIsNone(waiter.poll())
        self.let_go(holders[0])
        self.assertEqual(waiter.wait(PATIENCE), 0)
        self.let_go(holders[1])
        self.assertEqual(self.in_use(), 0)

    def test_waiting_for_ever(self):
        holders = [self.hold(), self.hold()]
        waiter = self.start(*RUN, "--wait", "forever", "true")
        eventually("one waits", lambda: self.counter()["waiting"] == 1)
        holders[0].kill()  # not given back: reaped
        self.assertEqual(waiter.wait(PATIENCE), 0)
        self.let_go(holders[1])

    def test_waiting_in_vain(self):
        holders = [self.hold(), self.hold()]
        self.assertEqual(self.call(*RUN, "--wait", "0.2", "echo", "started")[:2], (FULL, ""))
        self.assertEqual(self.counter()["waiting"], 0)
        for holder in holders:
            self.let_go(holder)

    def test_a_waiter_that_is_ended_takes_nothing(self):
        holders = [self.hold(), self.hold()]
        waiter = self.start(*RUN, "--wait", "forever", "true")
        eventually("one waits", lambda: self.counter()["waiting"] == 1)
        waiter.terminate()
        self.assertEqual(waiter.wait(PATIENCE), -signal.SIGTERM)
        for holder in holders:
            self.let_go(holder)
        self.assertEqual(self.in_use(), 0)

    def test_killed_holder_gives_back_and_takes_its_command_along(self):
        holders = [self.hold(), None]
        holders[1] = self.start(*RUN, "sh", "-c", "echo $$; exec sleep 1000",
                                stdout=subprocess.PIPE)
        command = int(holders[1].stdout.readline())
        self.assertEqual(self.in_use(), 2)
        holders[1].kill()
        eventually("the command ends", lambda: gone(command))
        # The next one that is about to be refused finds the dead.
        self.assertEqual(self.call(*RUN, "--wait", str(PATIENCE), "echo", "started"),
                         (0, "started\n", ""))
        self.let_go(holders[0])
        self.assertEqual(self.in_use(), 0)

    def test_a_command_that_ignores_signals_is_taken_along_too(self):
        holder = self.start(*RUN, "sh", "-c",
                            "trap '' TERM INT HUP; echo $$; while :; do sleep 0.1; done",
                            stdout=subprocess.PIPE)
        command = int(holder.stdout.readline())
        holder.kill()
        eventually("the command ends", lambda: gone(command))

    def test_what_the_command_has_left_behind_keeps_the_slot_of_a_killed_holder(self):
        """It may have the connection open."""
        holders = [self.hold(), None]
        holders[1] = self.start(*RUN, "sh", "-c", "sleep 1000 & echo $$ $!; wait",
                                stdout=subprocess.PIPE)
        command, behind = map(int, holders[1].stdout.readline().split())
        try:
            holders[1].kill()
            eventually("the command ends", lambda: gone(command))
            self.assertEqual(self.call(*RUN, "--wait", "0.5", "true")[0], FULL)
            self.assertEqual(self.in_use(), 2)
        finally:
            os.kill(behind, signal.SIGKILL)
        self.assertEqual(self.call(*RUN, "--wait", str(PATIENCE), "true")[0], 0)
        self.let_go(holders[0])
        self.assertEqual(self.in_use(), 0)

    def test_what_the_command_has_left_behind_does_not_keep_it_otherwise(self):
        status, out, _ = self.call(*RUN, "sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo $!")
        try:
            self.assertEqual(status, 0)
            self.assertEqual(self.in_use(), 0)
            self.assertEqual(self.call(*RUN, "true")[0], 0)
        finally:
            os.kill(int(out), signal.SIGKILL)

    def test_a_stopped_holder_keeps_its_slot(self):
        holders = [self.hold(), self.hold()]
        holders[0].send_signal(signal.SIGSTOP)
        self.assertEqual(self.call(*RUN, "--wait", "0.3", "true")[0], FULL)
        holders[0].send_signal(signal.SIGCONT)
        for holder in holders:
            self.let_go(holder)

    def test_never_over(self):
        """Many at once, some killed: never more than two commands run at a time."""
        log = self.path("log")
        script = (f'[ "$(ls {self.folder}/running | wc -l)" -lt 2 ] || echo over >> {log}\n'
                  f"d=$(mktemp -d {self.folder}/running/XXXXXX); sleep 0.01; rmdir $d")
        os.mkdir(self.path("running"))
        crowd = [self.start(*RUN, "--wait", str(PATIENCE), "sh", "-c", script)
                 for _ in range(30)]
        for process in crowd:
            self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(log))
        found = self.counter()
        self.assertEqual((found["in_use"], found["takes"], found["peak"]), (0, 30, 2))


class Signals(Case):
    def setUp(self):
        super().setUp()
        self.make_segment()

    def listener(self):
        process = self.start(*RUN, sys.executable, "-c", LISTENER, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def test_are_passed_on(self):
        process = self.listener()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
            process.send_signal(number)
            self.assertEqual(process.stdout.readline().decode().strip(), number.name)
        self.assertEqual(process.wait(PATIENCE), 3)
        self.assertEqual(self.in_use(), 0)

    def test_the_slot_is_held_until_the_command_has_really_ended(self):
        process = self.listener()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"SIGINT\n")
        self.assertEqual(self.in_use(), 1)
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 3)
        self.assertEqual(self.in_use(), 0)

    def test_typed_at_a_terminal_arrives_once(self):
        """The terminal sends it to both; slotshare run must not send it again."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SLOTSHARE, [*RUN, sys.executable, "-c", LISTENER], self.environment)
        output = b""
        with os.fdopen(terminal, "r+b", buffering=0) as stream:
            def until(word):
                nonlocal output
                while word not in output:
                    output += stream.read(1000)
            until(b"ready")
            stream.write(b"\x03")
            until(b"SIGINT")
            stream.write(b"\n")
            until(b"end")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)
        self.assertEqual(output.count(b"SIGINT"), 1)


if __name__ == "__main__":
    unittest.main()
