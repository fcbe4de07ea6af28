# SPDX-License-Identifier: MIT
"""shmstat on a terminal: by what is on the screen."""
import os
import re
import signal
import termios
import unittest

from support import COUNTER, HOST, OS_ERROR, SHMSTAT, UNAVAILABLE, Case
from terminal import Terminal

UP, DOWN, RIGHT, LEFT, END, HOME = ("\x1bOA", "\x1bOB", "\x1bOC", "\x1bOD", "\x1bOF", "\x1bOH")
PAGE_UP, PAGE_DOWN, F1 = "\x1b[5~", "\x1b[6~", "\x1bOP"
ESCAPE = "\x1b"
FAST = ("--interval", "0.1")


class Live(Case):
    def setUp(self):
        super().setUp()
        self.environment["TERM"] = "xterm-256color"
        self.environment.pop("LINES", None)
        self.environment.pop("COLUMNS", None)
        self.segment = self.make_segment()

    def live(self, *options, environment=None, rows=24, columns=100):
        terminal = Terminal([SHMSTAT, *FAST, *options], {**self.environment, **(environment or {})},
                            rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def quit(self, terminal):
        terminal.type("q")
        self.assertEqual(terminal.end(), 0)
        self.assertFalse(terminal.screen.alternate)
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)


class Display(Live):
    def test_a_counter_and_its_changes(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        holders = [self.hold()]
        terminal.until_matches(rf"^{COUNTER} +1 +2 +2 ████░░░░ host +1 +0 +- +1 ")
        holders.append(self.hold())
        terminal.until_matches(rf"^{COUNTER} +2 +2 +2 ████████ host +2 +0 +- +2 ")
        for holder in holders:
            self.let_go(holder)
        terminal.until_matches(r"^ nothing to show$")
        self.quit(terminal)

    def test_the_head(self):
        terminal = self.live()
        text = terminal.until_matches(r"Enter holders$")
        self.assertRegex(text, r"^ shmstat +\d\d:\d\d:\d\d\n segment slotshare \(")
        words = " ".join(text.split())
        for part in (f"segment slotshare ({self.segment})", "layout 4, rule set 1, up ",
                     "bridge none (single host)", "session none (single host)",
                     "owners 0 of ", "slots 0 of ", "counters 1 of "):
            self.assertIn(part, words)
        self.assertRegex(text, r"\n  1 counters 0   2 owners 0   3 slots 0   4 members 0  "
                               r" 5 nodes   6 events  \(1 idle hidden\)\n")
        self.quit(terminal)

    def test_views(self):
        holder = self.hold()
        terminal = self.live()
        terminal.until_matches(rf"^{COUNTER} ")
        for key in "2o":
            terminal.type(key)
            terminal.until_matches(rf"^PROCESS +PID HELD OLDEST THREADS +AGE STATE WAITING FOR\n"
                                   rf"slotshare +{holder.pid} +1 +\S+s +1 +\S+s alive -$")
            terminal.type("1")
            terminal.until_matches(r"^COUNTER +IN USE SHARE LIMIT USE ")
        for key in "3s":
            terminal.type(key)
            terminal.until_matches(rf"^COUNTER +PROCESS +PID HELD FOR\n"
                                   rf"{COUNTER} slotshare +{holder.pid} +\S+s$")
            terminal.type("c")
            terminal.until_matches(r"^COUNTER +IN USE SHARE LIMIT USE ")
        for key in "4m":
            terminal.type(key)
            terminal.until_matches(r"^MEMBER +STATE ROLE HEARD URL\n nothing to show")
            terminal.type("1")
            terminal.until_matches(r"^COUNTER +IN USE SHARE LIMIT USE ")
        for title in ("PROCESS", "COUNTER +PROCESS", "MEMBER", "NODE", " *TIME", "COUNTER +IN USE"):
            terminal.type("\t")
            terminal.until_matches(rf"^{title} ")
        self.quit(terminal)
        self.let_go(holder)

    def test_what_a_single_host_does_not_know(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        for key in "56e":
            terminal.type(key)
            terminal.until_matches(r"^ a single host has no bridge, which would know of nodes and "
                                   r"events$")
            terminal.type("1")
            terminal.until_matches(r"^ nothing to show$")
        terminal.type("n")
        terminal.until_matches(r"^ choose a counter first$")
        self.quit(terminal)

    def test_holders_of_the_chosen_counter(self):
        holders = [self.hold(), self.hold(), self.hold("--domain", "other.example")]
        terminal = self.live()
        terminal.until_matches(rf"^{COUNTER} +2 ")
        terminal.until_matches(r"^domain:other.example +1 ")
        terminal.type(DOWN + "\r")
        terminal.until_matches(r"3 slots 3   4 members 0   5 nodes   6 events  of domain:other.example$")
        text = terminal.until_matches(rf"^domain:other.example +slotshare +{holders[2].pid} ")
        self.assertNotIn(COUNTER, text)
        terminal.type(ESCAPE)
        terminal.until_matches(rf"^{COUNTER} +2 ")
        terminal.type(UP + "\r")
        terminal.until_matches(rf"of {COUNTER}$")
        for holder in holders[:2]:
            terminal.until_matches(rf"^{COUNTER} slotshare +{holder.pid} ")
        self.quit(terminal)
        for holder in holders:
            self.let_go(holder)

    def test_counter_option_shows_its_holders(self):
        holder = self.hold()
        terminal = self.live("--counter", COUNTER)
        terminal.until_matches(rf"^{COUNTER} slotshare +{holder.pid} ")
        self.quit(terminal)
        self.let_go(holder)

    def test_idle_counters(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        terminal.type("i")
        terminal.until_matches(r"^global +0 +- +- +none ")
        terminal.type("i")
        terminal.until_matches(r"^ nothing to show$")
        self.quit(terminal)
        terminal = self.live("--idle")
        terminal.until_matches(r"^global +0 ")
        self.quit(terminal)

    def test_filter(self):
        holders = [self.hold(), self.hold("--domain", "other.example")]
        terminal = self.live()
        terminal.until_matches(r"^domain:other.example +1 ")
        terminal.type("/OMNIX")
        terminal.until_matches(r"^ filter: OMNIX_ ")
        terminal.until_matches(r"^ nothing contains the filter's text$")
        terminal.type("\x7f")
        text = terminal.until_matches(rf"^{COUNTER} +1 ")
        self.assertNotIn("other.example", text)
        terminal.type("\r")
        terminal.until_matches(r"^ Esc drops the filter OMNI$")
        terminal.type(ESCAPE)
        terminal.until_matches(r"^domain:other.example +1 ")
        self.quit(terminal)
        for holder in holders:
            self.let_go(holder)

    def order(self, text):
        return re.findall(r"^(?:host|domain):(\w+)", text, re.M)

    def test_sort(self):
        holders = [self.hold("--domain", name + ".example") for name in "abccb"]
        holders.append(self.hold("--domain", "b.example"))
        terminal = self.live(columns=120)
        terminal.until("b, c, a by what is in use", lambda t: self.order(t) == ["b", "c", "a"])
        terminal.type("r")
        terminal.until("the other way round", lambda t: self.order(t) == ["a", "c", "b"])
        terminal.type("r,")
        terminal.until("by name", lambda t: self.order(t) == ["a", "b", "c"])
        terminal.type("r")
        terminal.until("by name backwards", lambda t: self.order(t) == ["c", "b", "a"])
        terminal.type("r.")
        terminal.until("by use again", lambda t: self.order(t) == ["b", "c", "a"])
        terminal.type("<")
        terminal.until("by name once more", lambda t: self.order(t) == ["a", "b", "c"])
        terminal.type(">")
        terminal.until("by use once more", lambda t: self.order(t) == ["b", "c", "a"])
        self.quit(terminal)
        for holder in holders:
            self.let_go(holder)

    def test_pause(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        terminal.type("p")
        terminal.until_matches(r"^ shmstat  PAUSED ")
        holder = self.hold()
        for key in ("3", "1", " "):  # keys are answered; the third one goes on
            self.assertNotIn(COUNTER, terminal.screen.text())
            terminal.type(key)
        terminal.until_matches(rf"^{COUNTER} +1 ")
        self.assertNotIn("PAUSED", terminal.screen.text())
        self.quit(terminal)
        self.let_go(holder)

    def test_help_shows_every_key_of_the_manual(self):
        text = self.call(SHMSTAT, "--help")[1]
        keys = re.search(r"\nKeys of the live display:\n((?:  .*\n)+)", text).group(1)
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        terminal.type("?")
        shown = terminal.until_matches(r"^  q +quit$")
        for line in keys.splitlines():
            self.assertIn(line, shown.splitlines())
        terminal.type("x")
        terminal.until_matches(r"^ nothing to show$")
        terminal.type("x")
        terminal.until_matches(r"^ no such key; \? shows them$")
        self.quit(terminal)

    def test_more_rows_than_lines(self):
        names = [f"d{n:02}" for n in range(30)]
        for name in names:
            self.assertEqual(self.call(os.path.join(os.path.dirname(SHMSTAT), "slotshare"), "run",
                                       "--domain", name + ".example", "true")[0], 0)
        terminal = self.live("--idle", rows=16)
        terminal.until_matches(r"^domain:d00.example ")
        self.assertNotIn("d29", terminal.screen.text())
        terminal.type(END)
        terminal.until_matches(r"^global ")  # the last one: all are equal but for the name
        terminal.until_matches(r"^domain:d29.example ")
        self.assertNotIn("d00", terminal.screen.text())
        terminal.type(HOME)
        terminal.until_matches(r"^domain:d00.example ")

        def chosen(name):
            """The row at the cursor: Enter shows who holds its slots."""
            terminal.type("\r")
            terminal.until_matches(rf"  of domain:{name}.example$")
            terminal.type(ESCAPE)
            terminal.until_matches(r"^COUNTER +IN USE ")
        chosen("d00")
        for keys, name in (("j", "d01"), ("jj", "d03"), ("k", "d02"), (DOWN + DOWN, "d04"),
                           (UP, "d03"), ("gkk", "d00"), ("Gk", "d29"), ("jjjk", "d29")):
            terminal.type(keys)
            chosen(name)
        terminal.type("g" + PAGE_DOWN)
        terminal.until("the next page", lambda t: "d00." not in t and "d12." in t)
        terminal.type(PAGE_UP + PAGE_UP)
        terminal.until_matches(r"^domain:d00.example ")
        chosen("d00")
        for key in ("h", F1):
            terminal.type(key)  # more keys than lines
            terminal.until_matches(r"^ the rest: in a larger window, or 'shmstat --help'$")
            terminal.type(" ")  # any key ends it, and does nothing else
            terminal.until_matches(r"^domain:d00.example ")
            self.assertNotIn("PAUSED", terminal.screen.text())
        self.quit(terminal)

    def test_columns_that_do_not_fit(self):
        holder = self.hold()
        terminal = self.live(columns=60)
        text = terminal.until_matches(rf"^host:edge.\S+ +1 +2 +2 ")
        self.assertNotIn("REFUSALS", text)
        for _ in range(6):
            terminal.type(RIGHT)
        text = terminal.until_matches(r"^COUNTER +WAITING LONGEST TAKES TAKES/S")
        for _ in range(6):
            terminal.type(LEFT)
        terminal.until_matches(r"^COUNTER +IN USE ")
        self.quit(terminal)
        self.let_go(holder)

    def test_count(self):
        terminal = self.live("--count", "2")
        self.assertEqual(terminal.end(), 0)
        self.assertIn(b"shmstat", terminal.raw)
        self.assertFalse(terminal.screen.alternate)

    def test_once_is_plain_text_on_a_terminal_too(self):
        terminal = self.live("--once")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(b"\x1b", terminal.raw)
        self.assertIn(b"bridge       none (single host)\r\n", terminal.raw)


class Looks(Live):
    def full(self, **options):
        """A full counter on the screen: red and bold where there are colours."""
        holders = [self.hold(), self.hold()]
        terminal = self.live(**options)
        terminal.until_matches(rf"^{COUNTER} +2 +2 +2 ")
        self.quit(terminal)
        for holder in holders:
            self.let_go(holder)
        return terminal

    def test_colours(self):
        terminal = self.full()
        self.assertIn(31, terminal.screen.colours)

    def test_no_color(self):
        terminal = self.full(environment={"NO_COLOR": "1"})
        self.assertFalse(terminal.screen.colours & (set(range(30, 50)) | set(range(90, 108))))
        self.assertIn(1, terminal.screen.colours)  # still bold

    def test_an_empty_no_color_does_not_count(self):
        self.assertIn(31, self.full(environment={"NO_COLOR": ""}).screen.colours)

    def test_a_terminal_without_colours(self):
        terminal = self.full(environment={"TERM": "vt100"})
        self.assertFalse(terminal.screen.colours & set(range(30, 50)))

    def test_ascii_where_the_locale_has_nothing_else(self):
        terminal = self.full(environment={"LC_ALL": "C"})
        self.assertEqual([b for b in terminal.raw if b >= 0x80], [])

    def test_ascii_by_option(self):
        holder = self.hold()
        terminal = self.live("--ascii")
        terminal.until_matches(rf"^{COUNTER} +1 +2 +2 ####\.\.\.\. ")
        self.assertEqual([b for b in terminal.raw if b >= 0x80], [])
        self.quit(terminal)
        self.let_go(holder)

    def test_names_cannot_steer_the_terminal(self):
        name = self.path("\x1b[8mx")
        os.symlink(os.path.join(os.path.dirname(SHMSTAT), "slotshare"), name)
        holder = self.start(name, "run", "--host", HOST, "sleep", "1000")
        terminal = self.live()
        terminal.until_matches(rf"^{COUNTER} +1 ")
        terminal.type("2")
        terminal.until_matches(rf"^\?\[8mx +{holder.pid} ")
        self.assertNotIn(b"[8mx", terminal.raw.replace(b"?[8mx", b""))
        self.quit(terminal)


class Resize(Live):
    def test_smaller_and_larger(self):
        holder = self.hold()
        terminal = self.live()
        terminal.until_matches(rf"^{COUNTER} +1 ")
        for rows, columns in ((10, 60), (40, 160), (24, 80)):
            terminal.resize(rows, columns)
            terminal.until_matches(r"^host:edge\.\S+ +1 +2 +2 ")
            # The hints stand in the last line, wherever that is.
            terminal.until("the last line", lambda t: len(t.split("\n")) == terminal_rows(terminal)
                           and t.split("\n")[-1].startswith(" ? help"))
        self.quit(terminal)
        self.let_go(holder)

    def test_tiny(self):
        holder = self.hold()
        terminal = self.live()
        terminal.until_matches(rf"^{COUNTER} +1 ")
        for rows, columns in ((1, 1), (2, 3), (3, 10), (1, 200), (50, 1)):
            terminal.resize(rows, columns)
            for key in "1234?x/z" + ESCAPE:
                terminal.type(key)
                terminal.read(0.02)
        terminal.resize(24, 100)
        terminal.type("1")
        terminal.until_matches(rf"^{COUNTER} +1 ")
        self.quit(terminal)
        self.let_go(holder)


def terminal_rows(terminal):
    return len(terminal.screen.cells)


class Trouble(Live):
    def test_signals_leave_the_terminal_as_it_was(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            terminal = self.live()
            terminal.until_matches(r"^ nothing to show$")
            self.assertTrue(terminal.screen.alternate)
            os.kill(terminal.pid, number)
            self.assertEqual(terminal.end(), 0)
            self.assertFalse(terminal.screen.alternate)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_typed_interrupt(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 0)
        self.assertFalse(terminal.screen.alternate)

    def test_the_segment_goes_and_another_comes(self):
        terminal = self.live()
        terminal.until_matches(r"^ nothing to show$")
        os.unlink(self.segment)
        terminal.until_matches(r"^ the segment is gone: ")
        self.make_segment()
        terminal.until_matches(r"^ the segment was replaced: this is the new one$")
        holder = self.hold()
        terminal.until_matches(rf"^{COUNTER} +1 ")
        self.quit(terminal)
        self.let_go(holder)

    def test_no_segment(self):
        terminal = self.live("--name", "nothere")
        self.assertEqual(terminal.end(), UNAVAILABLE)
        self.assertNotIn(b"\x1b", terminal.raw)
        self.assertIn(b"nothere", terminal.raw)

    def test_unknown_terminals(self):
        terminal = self.live(environment={"TERM": "no-such-terminal"})
        self.assertEqual(terminal.end(), OS_ERROR)
        self.assertIn(b"no live display on a terminal of type 'no-such-terminal'; set TERM, or use "
                      b"--once", terminal.raw)


if __name__ == "__main__":
    unittest.main()
