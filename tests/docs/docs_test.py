#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pages of docs/ are run: what they tell to type is typed, and prints what they say; their
configuration files are good; what they point to is there."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

SOURCE = os.environ["SLOTSHARE_SOURCE"]
BUILD = os.environ["SLOTSHARE_BUILD"]
DOCS = os.path.join(SOURCE, "docs")
BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)^```$", re.M | re.S)
MARK = "@@@@ "
PATIENCE = 240


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def read(name):
    with open(os.path.join(DOCS, name), encoding="utf-8") as page:
        return page.read()


class Docs(unittest.TestCase):
    def run_page(self, name):
        """All its blocks, in their order, in one shell."""
        blocks = [m.groups() for m in BLOCK.finditer(read(name))]
        script = ["set -eu"]
        expected = []
        scratch = tempfile.TemporaryDirectory(prefix="slotshare-docs-")
        self.addCleanup(scratch.cleanup)
        for file, kind, text in blocks:
            if kind == "sh":
                script += [f"echo '{MARK}'", text]
                expected.append([])
            elif kind == "text":
                expected[-1] = text.splitlines()
            elif file:
                with open(os.path.join(scratch.name, file), "w", encoding="utf-8") as out:
                    out.write(text)
        self.assertGreater(sum(map(len, expected)), 5)
        out = self.shell("\n".join(script), scratch.name)
        parts = out.split(MARK + "\n")[1:]
        self.assertEqual(len(parts), len(expected), out)
        for part, lines in zip(parts, expected):
            self.in_order(part.splitlines(), lines)

    def shell(self, script, folder):
        for old, new in zip(("7941", "7942", "7943"), free_ports(3)):
            script = script.replace(old, str(new))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLOTSHARE")}
        environment |= {"PATH": os.path.join(BUILD, "bin") + ":" + os.environ["PATH"],
                        "LC_ALL": "C.UTF-8"}
        # -m: jobs can be named (%1), as in the shell of somebody who types
        with subprocess.Popen(["bash", "-m", "-c", script], cwd=folder, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True) as shell:
            try:
                out, _ = shell.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.end_session(shell.pid)
                out, _ = shell.communicate()
                self.fail(f"the page does not come to its end:\n{out}")
        if shell.returncode != 0:
            self.end_session(shell.pid)
        self.assertEqual(shell.returncode, 0, out)
        return out

    def end_session(self, leader):
        """Every process of the shell's session: its jobs have groups of their own."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(pid)) == leader:
                    os.kill(int(pid), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def in_order(self, lines, patterns):
        rest = iter(lines)
        for pattern in patterns:
            known = re.compile(".*".join(map(re.escape, pattern.split("…"))))
            self.assertTrue(any(known.fullmatch(line) or
                                (pattern.endswith(line[-1:]) and known.match(line))
                                for line in rest),
                            f"not printed, or not in this place: {pattern}\n" + "\n".join(lines))

    def test_first_hour(self):
        self.run_page("first-hour.md")

    def test_recipes(self):
        self.run_page("recipes.md")

    def test_configurations(self):
        """Also those that no command of a page reads. Certificates need not be there."""
        with tempfile.TemporaryDirectory(prefix="slotshare-docs-") as folder:
            for page in os.listdir(DOCS):
                for _, kind, text in (m.groups() for m in BLOCK.finditer(read(page))):
                    if kind != "ini":
                        continue
                    path = os.path.join(folder, "test.ini")
                    with open(path, "w", encoding="utf-8") as out:
                        out.write(text)
                    done = subprocess.run([os.path.join(BUILD, "bin", "slotshare"), "check", path],
                                          capture_output=True, text=True, check=False)
                    self.assertEqual(done.returncode, 0, done.stderr + text)

    def test_messages_are_those_of_the_programs(self):
        """What troubleshooting.md quotes in a first column is said by some program."""
        said = []
        for folder in ("bridge", "conf", "shm", "show", "tools"):
            for place, _, files in os.walk(os.path.join(SOURCE, folder)):
                for file in files:
                    if file.endswith(".c"):
                        with open(os.path.join(place, file), encoding="utf-8") as text:
                            said.append(re.sub(r'"\s*"', "", text.read()))
        said = "\n".join(said)
        symptoms = "\n".join(line.split("|")[1] for line in read("troubleshooting.md").splitlines()
                             if line.startswith("|"))
        quoted = re.findall(r'"([^"]+)"', symptoms)
        self.assertGreater(len(quoted), 20)
        for piece in (p.strip() for text in quoted for p in text.split("...")):
            self.assertIn(piece, said)
        for event in re.findall(r"`(\w+_\w+)`", symptoms):
            if event != "take_over_after":
                self.assertIn(f'"{event}"', said)

    def test_what_is_pointed_to_is_there(self):
        for page in os.listdir(DOCS):
            text = read(page)
            for target in re.findall(r"\]\(([^)#:]+)\)", text):
                self.assertTrue(os.path.exists(os.path.join(DOCS, target)), f"{page}: {target}")
            for path in re.findall(r"`((?:bridge|tools|tests)/[\w./-]+)`", text):
                self.assertTrue(os.path.exists(os.path.join(SOURCE, path)), f"{page}: {path}")


if __name__ == "__main__":
    unittest.main()
