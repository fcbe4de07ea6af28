# SPDX-License-Identifier: MIT
"""Slots for outbound SMTP connections, from Python: libslotshare by ctypes, no compiler needed.

    import slotshare
    segment = slotshare.Segment()
    with segment.acquire(binding="bulk", domain="example.org", host="mx.example.org", wait=5) as slot:
        if slot:
            ...  # connect, deliver, close the connection

or, without holding up an event loop: `slot = await queue.acquire(...)`, see Queue.

A slot goes back when its `with` block ends, by slot.release(), or when the process ends, however it
ends. The header <slotshare/slotshare.h> says what each function does. Python 3.8 or newer, Linux.
"""

import asyncio
import ctypes
import os

__all__ = ["Error", "Explanation", "Queue", "Segment", "Slot"]

OK, FULL = 0, 1
UNLIMITED = -1
FOREVER = None


class Error(Exception):
    """A call failed. `result` is the library's number for why."""

    def __init__(self, result, text):
        super().__init__(text)
        self.result = result


class _Connection(ctypes.Structure):
    _fields_ = [("binding", ctypes.c_char_p), ("domain", ctypes.c_char_p),
                ("host", ctypes.c_char_p)]


class _Slot(ctypes.Structure):
    _fields_ = [("record", ctypes.c_uint64), ("tag", ctypes.c_uint64)]


class _Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("directory", ctypes.c_char_p),
                ("config", ctypes.c_char_p), ("read_only", ctypes.c_int),
                ("error", ctypes.c_char_p), ("error_size", ctypes.c_size_t)]


class _Ready(ctypes.Structure):
    _fields_ = [("cookie", ctypes.c_void_p), ("result", ctypes.c_int), ("slot", _Slot)]


class Explanation(ctypes.Structure):
    """Why a take would succeed or be refused now. Texts are bytes."""

    _fields_ = [("counter", ctypes.c_char * 401), ("source", ctypes.c_char * 256),
                ("reason", ctypes.c_char * 256), ("scope", ctypes.c_int), ("limit", ctypes.c_int),
                ("share", ctypes.c_int), ("reserve", ctypes.c_int), ("in_use", ctypes.c_int),
                ("cluster_in_use", ctypes.c_int), ("clustered", ctypes.c_int),
                ("session", ctypes.c_int), ("would_admit", ctypes.c_int),
                ("waiting", ctypes.c_int), ("observed", ctypes.c_int)]


def _load():
    library = ctypes.CDLL(os.environ.get("SLOTSHARE_LIBRARY", "libslotshare.so.1"), use_errno=True)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    connection = ctypes.POINTER(_Connection)
    for name, result, arguments in (
            ("open", number, [ctypes.POINTER(pointer), text, ctypes.POINTER(_Options)]),
            ("close", None, [pointer]),
            ("acquire_wait", number, [pointer, connection, ctypes.POINTER(_Slot), number]),
            ("release", number, [pointer, _Slot]),
            ("keep_fd", number, [pointer]),
            ("explain", number, [pointer, connection, ctypes.POINTER(Explanation)]),
            ("queue_open", number, [pointer, ctypes.POINTER(pointer)]),
            ("queue_close", None, [pointer]),
            ("queue_fd", number, [pointer]),
            ("queue_add", number, [pointer, connection, pointer, number]),
            ("queue_cancel", number, [pointer, pointer]),
            ("queue_next", number, [pointer, ctypes.POINTER(_Ready)]),
            ("strerror", text, [number])):
        function = getattr(library, "slotshare_" + name)
        function.restype, function.argtypes = result, arguments
    return library


def _connection(binding, domain, host):
    return _Connection(*(None if text is None else os.fsencode(text)
                         for text in (binding, domain, host)))


def _milliseconds(wait):
    return -1 if wait is FOREVER else min(int(wait * 1000), 2**31 - 1)


class Slot:
    """The right to have one connection open. False after a refusal, and once it was given back."""

    def __init__(self, segment, slot):
        self._segment, self._slot = segment, slot

    def __bool__(self):
        return self._slot is not None

    def release(self):
        """Give it back; to be called once its connection is closed. A second call does nothing."""
        slot, self._slot = self._slot, None
        if slot is not None:
            self._segment._check(self._segment._library.slotshare_release(
                self._segment._handle, slot))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.release()


class Segment:
    """An open segment. May be used by any number of threads; a child of fork() may use it too."""

    def __init__(self, name=None, directory=None, config=None, read_only=False):
        self._handle = ctypes.c_void_p()
        self._library = _load()
        error = ctypes.create_string_buffer(4096)
        options = _Options(ctypes.sizeof(_Options), directory and os.fsencode(directory),
                           config and os.fsencode(config), bool(read_only),
                           ctypes.cast(error, ctypes.c_char_p), len(error))
        result = self._library.slotshare_open(ctypes.byref(self._handle),
                                              name and os.fsencode(name), ctypes.byref(options))
        if result != OK:
            raise Error(result, error.value.decode(errors="replace") or self._text(result))

    def _text(self, result):
        return self._library.slotshare_strerror(result).decode()

    def _check(self, result):
        if result < 0:
            raise Error(result, self._text(result))
        return result

    def acquire(self, binding=None, domain=None, host=None, wait=0):
        """A Slot; it is false when there was none within `wait` seconds (None: for ever)."""
        slot = _Slot()
        result = self._check(self._library.slotshare_acquire_wait(
            self._handle, ctypes.byref(_connection(binding, domain, host)), ctypes.byref(slot),
            _milliseconds(wait)))
        return Slot(self, slot if result == OK else None)

    def explain(self, binding=None, domain=None, host=None):
        """An Explanation; takes nothing."""
        explanation = Explanation()
        self._check(self._library.slotshare_explain(
            self._handle, ctypes.byref(_connection(binding, domain, host)),
            ctypes.byref(explanation)))
        return explanation

    def keep_fd(self):
        """A descriptor for processes that will have the connections open, too; see the header."""
        return self._check(self._library.slotshare_keep_fd(self._handle))

    def close(self):
        """Give back all that this process holds. To be the last call."""
        handle, self._handle = self._handle, ctypes.c_void_p()
        self._library.slotshare_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Queue:
    """Slots for asyncio: tasks wait without holding up their event loop, first come first served.

    To be made while the event loop runs, and closed before the segment.
    """

    def __init__(self, segment):
        self._segment, self._library = segment, segment._library
        self._queue, self._waiting, self._last = ctypes.c_void_p(), {}, 0
        segment._check(self._library.slotshare_queue_open(segment._handle,
                                                          ctypes.byref(self._queue)))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._library.slotshare_queue_fd(self._queue), self._fetch)

    async def acquire(self, binding=None, domain=None, host=None, wait=None):
        """As Segment.acquire(). A task that is cancelled holds nothing."""
        slot = self._segment.acquire(binding, domain, host)
        if slot or wait == 0:
            return slot
        self._last += 1
        cookie = self._last
        future = self._waiting[cookie] = self._loop.create_future()
        try:
            self._segment._check(self._library.slotshare_queue_add(
                self._queue, ctypes.byref(_connection(binding, domain, host)), cookie,
                _milliseconds(wait)))
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                future.result().release()
            raise
        finally:
            if self._waiting.pop(cookie, None) and self._queue:
                self._library.slotshare_queue_cancel(self._queue, cookie)

    def _fetch(self):
        ready = _Ready()
        while self._library.slotshare_queue_next(self._queue, ctypes.byref(ready)) == OK:
            slot = Slot(self._segment, _Slot(ready.slot.record, ready.slot.tag)
                        if ready.result == OK else None)
            future = self._waiting.pop(ready.cookie, None)
            if future is None or future.done():
                slot.release()
            elif ready.result < 0:
                future.set_exception(Error(ready.result, self._segment._text(ready.result)))
            else:
                future.set_result(slot)

    def close(self):
        """Forget all requests; who waits is told by asyncio.CancelledError."""
        self._loop.remove_reader(self._library.slotshare_queue_fd(self._queue))
        queue, self._queue = self._queue, ctypes.c_void_p()
        self._library.slotshare_queue_close(queue)
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
