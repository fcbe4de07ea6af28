# SPDX-License-Identifier: MIT
"""The Python binding."""
import asyncio
import os
import signal
import sys
import time
import unittest

from support import BUILD, COUNTER, HOST, LIMIT, LIMIT_LINE, Case

SOURCE = os.environ["SLOTSHARE_SOURCE"]
os.environ["SLOTSHARE_LIBRARY"] = os.path.join(BUILD, "lib", "libslotshare.so.1")
sys.path.insert(0, os.path.join(SOURCE, "tools", "python"))
import slotshare  # noqa: E402, found there


class PythonTest(Case):
    def setUp(self):
        super().setUp()
        self.segment = slotshare.Segment(directory=self.folder, config=self.config())
        self.addCleanup(lambda: self.segment.close())

    def test_take_and_give(self):
        with self.segment.acquire(binding="b", host=HOST) as first:
            self.assertTrue(first)
            second = self.segment.acquire(domain="d.example", host=HOST)
            self.assertEqual(self.in_use(), 2)
            self.assertFalse(self.segment.acquire(host=HOST))
            began = time.monotonic()
            self.assertFalse(self.segment.acquire(host=HOST, wait=0.05))
            self.assertGreaterEqual(time.monotonic() - began, 0.04)
            second.release()
            second.release()
            self.assertFalse(second)
            self.assertEqual(self.in_use(), 1)
        self.assertEqual(self.in_use(), 0)

    def test_explain(self):
        slot = self.segment.acquire(host=HOST)
        why = self.segment.explain(host=HOST)
        self.assertEqual(why.counter.decode(), COUNTER)
        self.assertTrue(why.source.decode().endswith(f":{LIMIT_LINE}"), why.source)
        self.assertEqual((why.limit, why.share, why.in_use, why.cluster_in_use, why.clustered,
                          why.session, why.would_admit, why.waiting), (2, 2, 1, 1, 0, 1, 1, 0))
        slot.release()
        self.assertEqual(self.segment.explain(host="other.example").limit, slotshare.UNLIMITED)

    def test_errors(self):
        with self.assertRaisesRegex(slotshare.Error, "test.ini:1"):
            slotshare.Segment(name="bad", directory=self.folder,
                              config=self.config("nonsense\n" + LIMIT))
        with self.assertRaises(slotshare.Error) as caught:
            slotshare.Segment(name="none", directory=self.folder)
        self.assertEqual(caught.exception.result, -3)
        with self.assertRaises(slotshare.Error) as caught:
            self.segment.acquire(host="x" * 300)
        self.assertEqual(caught.exception.result, -2)

    def test_children(self):
        """A child has slots of its own; killed, it leaves none; keep_fd() keeps its parent's."""
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.segment.acquire(host=HOST)
            os.write(tell, b"x")
            signal.pause()
        os.read(ready, 1)
        self.assertEqual(self.in_use(), 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with self.segment.acquire(host=HOST), self.segment.acquire(host=HOST, wait=60) as slot:
            self.assertTrue(slot, "who waits finds out who is dead")
        keep = self.segment.keep_fd()
        self.assertGreater(keep, 2)
        for fd in (keep, ready, tell):
            os.close(fd)

    def test_asyncio(self):
        async def deliver(queue, order, name):
            slot = await queue.acquire(host=HOST)
            order.append(name)
            await asyncio.sleep(0.005)
            slot.release()

        async def story():
            queue = slotshare.Queue(self.segment)
            order = []
            await asyncio.gather(*(deliver(queue, order, i) for i in range(20)))
            self.assertEqual(order, list(range(20)))
            held = [self.segment.acquire(host=HOST) for _ in range(2)]
            self.assertFalse(await queue.acquire(host=HOST, wait=0.02))
            self.assertFalse(await queue.acquire(host=HOST, wait=0))
            task = asyncio.ensure_future(queue.acquire(host=HOST))
            await asyncio.sleep(0.02)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            for slot in held:
                slot.release()
            await asyncio.sleep(0.02)
            self.assertEqual(self.in_use(), 0)
            with self.assertRaises(slotshare.Error):
                await queue.acquire(host="x" * 300)
            queue.close()

        asyncio.run(story())


if __name__ == "__main__":
    unittest.main()
