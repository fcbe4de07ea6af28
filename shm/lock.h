/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_LOCK_H
#define SLOTSHARE_SHM_LOCK_H
/**
 * Who is alive: a question for the kernel. Each process holds an open-file-description lock on its
 * own byte of NAME.lock; whoever can lock that byte has proof that the process is dead, and at the
 * same time the sole right to act in its place, which the kernel takes back when it dies as well.
 *
 * The lock must outlive the process's sockets: a slot that comes back while the connection is still
 * open would let the next one go over. A dying process closes its files one after another, but the
 * kernel finishes them later and newest first, so a lock on an ordinary descriptor of a high number
 * goes first (measured: in 40 of 40 kills, with nearly all of 400 connections still open). So
 * the description is kept in flight: it lies, as SCM_RIGHTS, unread in the process's own socket
 * pair. It is let go only while that socket is being finished, which queues it behind every
 * file that the process had open (measured: never before a connection).
 *
 * Descriptors are close-on-exec. Thread-safe as far as the arguments are different.
 */
#include <stdbool.h>
#include <stdint.h>

/** Bytes of the lock file. */
enum {
    LOCK_CREATE = 0, /* creating or replacing the segment */
    LOCK_BRIDGE = 1, /* serving as the bridge */
    LOCK_RETIRE = 2, /* retiring counters */
    LOCK_OWNERS = 16 /* + an owner's record */
};

/** Whoever creates or changes a segment has done so long before this. */
enum { LOCK_WAIT_MS = 10000, LOCK_PAUSE_MS = 5 };

/** Open the lock file, creating it if `create`. @return a descriptor, or -1 and errno. */
int lock_file_open(const char *path, bool create);

/**
 * A random number in the lock file that tells it from another one of the same name: with another
 * lock file every living owner would look dead.
 * @param make  write one if there is none (the holder of LOCK_CREATE)
 * @return 0; -1 and errno (ENODATA: there is none).
 */
int lock_identity(int fd, bool make, uint64_t *out);

/** Does the kernel know open-file-description locks on this file? @return false and errno. */
bool lock_supported(int fd);

/** Take a byte for good, without waiting. @return 0; 1: somebody has it; -1 and errno. */
int lock_take(int fd, uint32_t byte);
/** Take a byte, waiting for it. @return 0, or -1 and errno: ETIMEDOUT after LOCK_WAIT_MS. */
int lock_wait(int fd, uint32_t byte);
void lock_drop(int fd, uint32_t byte);

/** Is any of these bytes locked through another description? @return 1, 0, or -1 and errno. */
int lock_probe(int fd, uint32_t first, uint32_t count);

/**
 * Keep what `fd` has locked for as long as this process lives, beyond its sockets. @return the one
 * descriptor that stands for fd from now on (close it to let the locks go); -1 and errno, then fd
 * is as it was.
 */
int lock_keep(int fd);

#endif
