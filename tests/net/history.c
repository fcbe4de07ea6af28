/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t history_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct history *history_map(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    struct history *history = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size >= sizeof *history)
        history = mmap(NULL, sizeof *history, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (history == MAP_FAILED || history->magic != HISTORY_MAGIC || history->nodes > NODES ||
        history->counters > COUNTERS) {
        (void)fprintf(stderr, "%s: no history, or one of another layout\n", path);
        exit(1);
    }
    close(fd);
    return history;
}
