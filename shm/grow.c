/* SPDX-License-Identifier: MIT */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock.h"
#include "mutant.h"

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

bool grow_counters(slotshare *handle) {
    const struct segment *segment = &handle->segment;
    uint32_t before = counter_count(segment);
    if (before >= segment->counter_max) {
        return false;
    }
    pthread_mutex_lock(&handle->mutex);
    bool grown = false;
    /* The same lock as for retiring: the number of entries must not change under a sweep. Waiting
     * for it is right here, because whoever has it is making room. */
    int fd = segment_lock_open(segment);
    if (fd >= 0 && lock_wait(fd, LOCK_RETIRE) == 0) {
        uint32_t now = counter_count(segment);
        uint32_t next = now > segment->counter_max / 2 ? segment->counter_max : 2 * now;
        grown = now > before;
        if (!grown && MUTANT(GROW_FIRST)) {
            atomic_store(&segment->header->counters_now, next);
        }
        if (!grown && allocate(segment, now, next)) {
            /* release: see counter_count() */
            atomic_store_explicit(&segment->header->counters_now, next, memory_order_release);
            grown = true;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    pthread_mutex_unlock(&handle->mutex);
    return grown;
}
