/* SPDX-License-Identifier: MIT */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "mutant.h"

enum { WAIT_MS = 1000 };

static bool allocate(const struct segment *segment, uint32_t from, uint32_t to) {
    int fd = open(segment->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    struct stat status;
    int why = ENOENT;
    if (fstat(fd, &status) == 0 && status.st_dev == segment->device &&
        status.st_ino == segment->inode) {
        off_t start = (char *)&segment->counters[from] - (char *)segment->header;
        off_t length = (off_t)((to - from) * sizeof(struct counter));
        do {
            why = posix_fallocate(fd, start, length);
        } while (why == EINTR);
    }
    close(fd);
    return why == 0;
}

enum growth { GROWTH_NONE, GROWTH_DONE, GROWTH_BUSY };

/* @return GROWTH_BUSY: somebody else is at it, or retires counters. */
static enum growth grow(slotshare *handle, uint32_t before) {
    const struct segment *segment = &handle->segment;
    enum growth result = GROWTH_NONE;
    pthread_mutex_lock(&handle->mutex);
    /* The same lock as for retiring: the number of entries must not change under a sweep. */
    int fd = segment_lock_open(segment);
    int busy = fd >= 0 ? lock_take(fd, LOCK_RETIRE) : -1;
    if (busy == 0) {
        uint32_t now = counter_count(segment);
        uint32_t next = now > segment->counter_max / 2 ? segment->counter_max : 2 * now;
        bool grown = now > before;
        if (!grown && MUTANT(GROW_FIRST)) {
            atomic_store(&segment->header->counters_now, next);
        }
        if (!grown && allocate(segment, now, next)) {
            /* release: see counter_count() */
            atomic_store_explicit(&segment->header->counters_now, next, memory_order_release);
            grown = true;
        }
        result = grown ? GROWTH_DONE : GROWTH_NONE;
    } else if (busy > 0) {
        result = GROWTH_BUSY;
    }
    if (fd >= 0) {
        close(fd);
    }
    pthread_mutex_unlock(&handle->mutex);
    return result;
}

bool grow_counters(slotshare *handle) {
    const struct segment *segment = &handle->segment;
    const struct timespec pause = {.tv_nsec = 1000000};
    uint32_t before = counter_count(segment);
    if (before >= segment->counter_max) {
        return false;
    }
    /* Whoever has the lock is making room, which is soon done: to wait is right. But he may have
     * been stopped while he has it, and then all who come with a new name would stand still. */
    for (int tries = 0; tries < WAIT_MS; tries++) {
        enum growth result = grow(handle, before);
        if (result != GROWTH_BUSY) {
            return result == GROWTH_DONE;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}
