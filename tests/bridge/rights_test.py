#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a worker can do that writes to the segment's directory, and what a monitor cannot."""
import os
import shutil
import stat
import subprocess
import unittest

from bridges import BRIDGE, BUILD, HOLDER, SLOTSHARE, Cluster, wait_for

SHMSTAT = os.path.join(BUILD, "bin", "shmstat")
# Root as everybody else: what a file's mode says counts.
AS_ANYBODY = (["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
              if os.geteuid() == 0 else [])


def run(*command, prefix=()):
    return subprocess.run([*prefix, *command], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


def open_segment(node):
    """As a worker does. @return status, what it is told"""
    done = run(HOLDER, node.directory, node.segment, "mx.example.com", prefix=AS_ANYBODY)
    return done.returncode, done.stderr


class Directory(unittest.TestCase):
    def victim(self, cluster):
        """A file of the bridge's user that a worker may not touch, as the key of its certificate."""
        path = os.path.join(cluster.directory, "victim")
        with open(path, "w", encoding="ascii") as out:
            out.write("secret\n")
        os.chmod(path, 0o600)
        return path

    def untouched(self, path):
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="ascii") as text:
            self.assertEqual(text.read(), "secret\n")

    def test_links(self):
        """A link in the place of each of its files: refused, or removed, never followed."""
        for name, words in ((".seg", "Too many levels of symbolic links"),
                            (".lock", "Too many levels of symbolic links"),
                            (".seg.new", None), (".waiting", None), (".admin", None)):
            with self.subTest(name), Cluster(count=1, start=False) as cluster:
                node = cluster.nodes[0]
                victim = self.victim(cluster)
                path = os.path.join(node.directory, node.segment + name)
                os.symlink(victim, path)
                if words:
                    node.run("--found")
                    self.assertEqual(node.process.wait(timeout=60), 1)
                    self.assertIn(words, node.log())
                    self.assertNotEqual(open_segment(node)[0], 0)
                else:
                    node.start()
                    self.assertFalse(os.path.islink(path))
                    self.assertEqual(node.ask("status")[0], 0)
                self.untouched(victim)

    def test_links_that_point_nowhere(self):
        """Nothing is made where such a link points to."""
        for name in (".seg", ".lock", ".waiting", ".admin"):
            with self.subTest(name), Cluster(count=1, start=False) as cluster:
                node = cluster.nodes[0]
                target = os.path.join(cluster.directory, "nothing")
                os.symlink(target, os.path.join(node.directory, node.segment + name))
                node.run("--found")
                wait_for("a start or an end", lambda n=node: n.says("event=started") or n.ended())
                self.assertFalse(os.path.lexists(target))

    def test_renamed(self):
        """A segment under another's name, and another one in its place."""
        with Cluster(count=2) as cluster:
            node, other = cluster.nodes
            cluster.wait_sessions([cluster.worker(0)])
            shutil.copy(os.path.join(node.directory, "mta1.seg"),
                        os.path.join(node.directory, "mine.seg"))
            done = run(HOLDER, node.directory, "mine", "mx.example.com")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("is the segment 'mta1' under another name", done.stderr)
            os.rename(os.path.join(node.directory, "mine.seg"),
                      os.path.join(node.directory, "mta1.seg"))
            wait_for("the end of the bridge", node.ended)
            self.assertEqual(node.process.returncode, 3)
            self.assertTrue(node.says("event=segment_gone"))
            self.assertFalse(other.ended())
            # Nor is a copy taken for the segment whose owners' locks are another file.
            os.rename(os.path.join(node.directory, "mta1.lock"),
                      os.path.join(node.directory, "old.lock"))
            status, errors = open_segment(node)
            self.assertNotEqual(status, 0)
            self.assertIn("was removed or replaced", errors)

    def test_open_to_everybody(self):
        with Cluster(count=1, start=False) as cluster:
            node = cluster.nodes[0]
            for mode in (0o777, 0o1777, 0o702):
                os.chmod(node.directory, mode)
                node.run("--found")
                self.assertEqual(node.process.wait(timeout=60), 1)
                self.assertIn("everybody may write to this directory", node.log())
            os.chmod(node.directory, 0o770)
            node.start()
            os.chmod(node.directory, 0o777)
            status, errors = open_segment(node)
            self.assertNotEqual(status, 0)
            self.assertIn("everybody may write to this directory", errors)
            self.assertEqual(run(SHMSTAT, "--name", node.segment, "--directory",
                                 node.directory).returncode, 0)
            os.chmod(node.directory, 0o770)


class Rights(unittest.TestCase):
    def test_modes(self):
        """Nothing for the world."""
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            for name in (".seg", ".lock", ".admin"):
                found = os.stat(os.path.join(node.directory, node.segment + name))
                self.assertEqual(stat.S_IMODE(found.st_mode), 0o660, name)

    def test_monitors_only_read(self):
        """Who may read the segment, and nothing else, sees all; and takes no slot."""
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            worker = cluster.worker(0)
            cluster.wait_sessions([worker])
            self.assertEqual(worker.take_all(2), 2)
            segment = os.path.join(node.directory, node.segment + ".seg")
            os.chmod(segment, 0o440)
            os.chmod(os.path.join(node.directory, node.segment + ".lock"), 0o000)
            os.chmod(node.directory, 0o550)
            where = ("--name", node.segment, "--directory", node.directory)
            try:
                for words in ((), ("--json",), ("--openmetrics",)):
                    done = run(SHMSTAT, *words, *where, prefix=AS_ANYBODY)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn("mx.example.com", done.stdout)
                done = run(SLOTSHARE, "explain", *where, "--host", "mx.example.com",
                           prefix=AS_ANYBODY)
                self.assertEqual(done.returncode, 0, done.stderr)
                status, errors = open_segment(node)
                self.assertNotEqual(status, 0)
                self.assertIn("cannot open for reading and writing", errors)
            finally:
                os.chmod(node.directory, 0o700)
                os.chmod(segment, 0o660)
            self.assertEqual(worker.explain().in_use, 2)

    def test_programs(self):
        """None is set-user-ID, and none can start a shell."""
        for program in (BRIDGE, SLOTSHARE, SHMSTAT):
            self.assertEqual(os.stat(program).st_mode & 0o7000, 0)
            names = run("nm", "-D", "--undefined-only", program)
            self.assertEqual(names.returncode, 0, names.stderr)
            used = {line.split()[-1].split("@")[0] for line in names.stdout.splitlines()}
            self.assertIn("close", used)
            self.assertFalse(used & {"system", "popen", "wordexp"}, program)


if __name__ == "__main__":
    unittest.main(verbosity=2)
