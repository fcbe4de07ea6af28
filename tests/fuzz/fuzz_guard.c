/* SPDX-License-Identifier: MIT */
/* mmap() and munmap() as the library under test sees them (the linker's --wrap): between pages that
 * nobody may touch, so that a write outside of the segment ends the program. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

/* The linker chooses these names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);
/* NOLINTEND(bugprone-reserved-identifier) */

bool fuzz_guarded;

static size_t whole_pages(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    if (!fuzz_guarded || fd < 0 || at) {
        return __real_mmap(at, size, protection, flags, fd, offset);
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *room = __real_mmap(NULL, whole_pages(size) + 2 * page, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        return MAP_FAILED;
    }
    void *base = __real_mmap(room + page, size, protection, flags | MAP_FIXED, fd, offset);
    if (base == MAP_FAILED) {
        (void)__real_munmap(room, whole_pages(size) + 2 * page);
        return MAP_FAILED;
    }
    return base;
}

int __wrap_munmap(void *at, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!fuzz_guarded) {
        return __real_munmap(at, size);
    }
    return __real_munmap((uint8_t *)at - page, whole_pages(size) + 2 * page);
}
