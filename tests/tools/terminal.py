# SPDX-License-Identifier: MIT
"""A program on a pseudo terminal, and what is on its screen: as much of xterm as curses uses."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from support import PATIENCE

# One thing at a time: a control sequence, another escape, or a character.
TOKEN = re.compile(r"\x1b\[([?>!]?)([\d;]*)([ -/]*[@-~])|\x1b[()][A-Z0-9]|\x1b[=>78cM]"
                   r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\x1b]", re.S)
BEGUN = re.compile(r"\x1b(?:\[[?>!]?[\d;]*[ -/]*|[()]?|\][^\x07\x1b]*)$", re.S)


class Screen:
    """Rows of characters, and a cursor."""

    def __init__(self, rows, columns):
        self.columns = columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.y = self.x = self.top = 0
        self.bottom = rows - 1
        self.last = " "
        self.colours = set()   # numbers of SGR that were ever set
        self.alternate = False
        self.rest = ""

    def resize(self, rows, columns):
        self.columns = columns
        self.cells = [(row + [" "] * columns)[:columns]
                      for row in self.cells + [[" "]] * rows][:rows]
        self.y, self.x = min(self.y, rows - 1), min(self.x, columns - 1)
        self.top, self.bottom = 0, rows - 1

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def feed(self, text):
        text = self.rest + text
        begun = BEGUN.search(text)
        self.rest = begun.group() if begun else ""
        text = text[:len(text) - len(self.rest)]
        place = 0
        while place < len(text):
            token = TOKEN.match(text, place)
            if not token:
                raise AssertionError(f"not understood: {text[place:place + 20]!r}")
            place = token.end()
            if token.group(3):
                self.control(token.group(1), token.group(2), token.group(3))
            elif token.group().startswith("\x1b"):
                self.escape(token.group())
            else:
                self.character(token.group())

    def escape(self, sequence):
        if sequence == "\x1bM":
            if self.y == self.top:
                self.scroll(-1)
            else:
                self.y = max(0, self.y - 1)

    def character(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.line_feed()
        elif char == "\b":
            self.x = max(0, self.x - 1)
        elif char == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif char >= " ":
            if self.x >= self.columns:
                self.x = 0
                self.line_feed()
            self.cells[self.y][self.x] = self.last = char
            self.x += 1

    def line_feed(self):
        if self.y == self.bottom:
            self.scroll(1)
        else:
            self.y = min(len(self.cells) - 1, self.y + 1)

    def scroll(self, lines):
        region = self.cells[self.top:self.bottom + 1]
        for _ in range(min(abs(lines), len(region))):
            if lines > 0:
                region = region[1:] + [[" "] * self.columns]
            else:
                region = [[" "] * self.columns] + region[:-1]
        self.cells[self.top:self.bottom + 1] = region

    def control(self, private, arguments, final):
        number = [int(n or 0) for n in arguments.split(";")]
        count = max(1, number[0])
        row = self.cells[self.y]
        self.x = min(self.x, self.columns - 1) if final not in "mhl" else self.x
        if final == "H":
            self.y = min(len(self.cells), count) - 1
            self.x = min(self.columns, max(1, number[1] if len(number) > 1 else 1)) - 1
        elif final == "d":
            self.y = min(len(self.cells), count) - 1
        elif final == "G":
            self.x = min(self.columns, count) - 1
        elif final == "A":
            self.y = max(0, self.y - count)
        elif final == "B":
            self.y = min(len(self.cells) - 1, self.y + count)
        elif final == "C":
            self.x = min(self.columns - 1, self.x + count)
        elif final == "D":
            self.x = max(0, self.x - count)
        elif final == "J":
            self.erase_screen(number[0])
        elif final == "K":
            first, last = ((self.x, self.columns), (0, self.x + 1), (0, self.columns))[number[0]]
            row[first:last] = [" "] * (last - first)
        elif final == "X":
            last = min(self.columns, self.x + count)
            row[self.x:last] = [" "] * (last - self.x)
        elif final == "b":
            for _ in range(count):
                self.character(self.last)
        elif final == "P":
            row[self.x:] = (row[self.x + count:] + [" "] * count)[:self.columns - self.x]
        elif final == "@":
            row[self.x:] = ([" "] * count + row[self.x:])[:self.columns - self.x]
        elif final in "LM":
            top, self.top = self.top, self.y
            self.scroll(-count if final == "L" else count)
            self.top = top
        elif final in "ST":
            self.scroll(count if final == "S" else -count)
        elif final == "r":
            self.top = count - 1
            self.bottom = (number[1] if len(number) > 1 else len(self.cells)) - 1
            self.y = self.x = 0
        elif final == "m":
            self.colours |= set(number)
        elif final in "hl" and private == "?" and 1049 in number:
            self.alternate = final == "h"
        elif final not in "hltncp!pq":
            raise AssertionError(f"not understood: CSI {private}{arguments}{final}")

    def erase_screen(self, how):
        for y, row in enumerate(self.cells):
            if how == 2 or (how == 0 and y > self.y) or (how == 1 and y < self.y):
                row[:] = [" "] * self.columns
        if how == 0:
            self.cells[self.y][self.x:] = [" "] * (self.columns - self.x)


class Terminal:
    """A program on a terminal of its own. close() it."""

    def __init__(self, command, environment, rows=24, columns=100):
        self.screen = Screen(rows, columns)
        self.raw = b""
        self.status = None
        self.master, slave = pty.openpty()
        self.slave = slave  # kept open, so that what it is set to can be asked at the end
        self.set_size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for fd in range(3):
                    os.dup2(slave, fd)
                os.closerange(3, 64)
                os.execve(command[0], command, environment)
            finally:
                os._exit(99)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.read(0)
        self.screen.resize(rows, columns)
        self.set_size(rows, columns)  # the kernel sends SIGWINCH

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        """Take in what comes, waiting for the first of it; True when there was something."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        data = os.read(self.master, 65536)
        self.raw += data
        self.screen.feed(data.decode("utf-8", "replace"))
        return True

    def until(self, what, condition):
        """Wait until condition(text of the screen) is true, and stays so when the program has
        painted to the end; returns the text."""
        end = time.monotonic() + PATIENCE
        while True:
            if condition(self.screen.text()) and not self.read(0.05):
                return self.screen.text()
            if time.monotonic() > end:
                raise AssertionError(f"never on the screen: {what}\n{self.screen.text()}")
            self.read(0.05)

    def until_matches(self, pattern):
        return self.until(pattern, lambda text: re.search(pattern, text, re.M))

    def end(self):
        """Wait for the end of the program; returns its exit status (-n: killed by signal n)."""
        end = time.monotonic() + PATIENCE
        while self.status is None:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError("the program does not end")
        while self.read(0):
            pass
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)
