/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

#include "../../shm/layout.h"
#include "fuzz.h"

const char fuzz_limits[] = "[node]\nname = mta1\nsegment = fuzz\ncounters = 64\nowners = 8\n"
                           "slots = 128\n"
                           "[cluster]\ntls = off\nreplicate = outbound_domains\n"
                           "member mta1 = tcp://127.0.0.1:1\nmember mta2 = tcp://127.0.0.1:2\n"
                           "[global]\ncluster_max_outbound_connections = 40\n"
                           "[binding \"bulk\"]\ncluster_max_outbound_connections = 60\n"
                           "[host \"full.example\"]\ncluster_max_outbound_connections = 4\n";

static void must(bool good, const char *what) {
    if (!good) {
        perror(what);
        abort();
    }
}

static slotshare *open_there(const char *directory) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    slotshare *handle = NULL;
    options.directory = directory;
    must(slotshare_open(&handle, "fuzz", &options) == SLOTSHARE_OK, "open");
    return handle;
}

/* A process that holds slots, on names of all lengths, when its image is taken. */
static void fill(slotshare *handle) {
    char domain[SLOTSHARE_DOMAIN_MAX + 1];
    for (unsigned i = 0; i < 24; i++) {
        unsigned length = 6 + i * 10;
        memset(domain, 'a' + (int)i, length);
        memcpy(domain + length - 3, ".ab", 4);
        for (unsigned at = 60; at < length - 3; at += 60) {
            domain[at] = '.';
        }
        struct slotshare_connection connection = {.binding = i % 2 ? "bulk" : "one",
                                                  .domain = domain,
                                                  .host = i % 3 ? "mx.example" : "full.example"};
        slotshare_slot slot;
        for (unsigned k = 0; k < 2; k++) {
            int result = slotshare_acquire(handle, &connection, &slot);
            must(result == SLOTSHARE_OK || result == SLOTSHARE_FULL, "acquire");
        }
    }
}

/* Its like, which dies with them. */
static void fill_and_die(const char *directory) {
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        fill(open_there(directory));
        (void)raise(SIGKILL);
    }
    must(waitpid(pid, NULL, 0) == pid, "waitpid");
}

uint8_t *fuzz_make(const char *directory, size_t *size) {
    char path[512];
    struct stat status;
    fill_and_die(directory);
    slotshare *handle = open_there(directory);
    fill(handle);
    (void)snprintf(path, sizeof path, "%s/fuzz.seg", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &status) == 0, path);
    *size = (size_t)status.st_size;
    uint8_t *out = malloc(*size);
    must(out && pread(fd, out, *size, 0) == (ssize_t)*size, "read");
    close(fd);
    slotshare_close(handle);
    return out;
}

/* ---- changes --------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *input, unsigned bytes) {
    uint64_t out = 0;
    for (unsigned i = 0; i < bytes && input->left > 0; i++, input->left--) {
        out = out << 8 | *input->at++;
    }
    return out;
}

/* Where a part lies in a valid segment; most of the file is the room for rules, which would get
 * most of the changes. */
static size_t place(const uint8_t *bytes, size_t size, struct input *input) {
    struct header header;
    memcpy(&header, bytes, sizeof header);
    const uint64_t start[] = {0,
                              offsetof(struct header, rules),
                              header.owners_offset,
                              header.chunks_offset,
                              header.slots_offset,
                              header.buckets_offset,
                              header.counters_offset,
                              header.counters_offset,
                              header.rules_offset + header.rules_bytes};
    const uint64_t length[] = {offsetof(struct header, rules),
                               sizeof(struct header) - offsetof(struct header, rules),
                               (uint64_t)header.owners * sizeof(struct owner),
                               (uint64_t)header.chunks * 8,
                               (uint64_t)header.slots * sizeof(struct slot),
                               (uint64_t)header.buckets * 8,
                               (uint64_t)header.counters * sizeof(struct counter),
                               24 * sizeof(struct counter),
                               2048};
    uint64_t part = take(input, 1) % 10;
    uint64_t offset = take(input, 3);
    if (part == 9 || length[part] == 0 || start[part] + length[part] > size) {
        return (size_t)(offset % size);
    }
    return (size_t)(start[part] + offset % length[part]);
}

/* A number that means something somewhere. */
static uint64_t telling(struct input *input) {
    static const uint64_t number[] = {0,          1,          2,          15,
                                      63,         64,         65,         127,
                                      128,        4094,       0xfff,      0xffff,
                                      0xfffff,    0xffffe,    0x7fffffff, 0x80000000,
                                      0xffffffff, UINT64_MAX, INT64_MAX,  UINT64_C(1) << 63};
    uint64_t which = take(input, 1);
    return which < sizeof number / sizeof number[0] ? number[which] : which;
}

enum { SET_WORD, SET_SMALL, FLIP, COPY, FILL, WIDE, CUT, CHANGES };

static void put(uint8_t *bytes, size_t size, size_t at, uint64_t value, size_t width) {
    at = at / width * width;
    if (at + width <= size) {
        memcpy(bytes + at, &value, width);
    }
}

static void copy(uint8_t *bytes, size_t size, size_t from, size_t to, size_t length) {
    size_t end = from > to ? from : to;
    memmove(bytes + to, bytes + from, length < size - end ? length : size - end);
}

size_t fuzz_change(uint8_t *bytes, size_t bytes_size, const uint8_t *data, size_t size) {
    struct input input = {data, size};
    size_t end = bytes_size;
    /* Places are those of the segment as it was. */
    uint8_t *valid = malloc(bytes_size);
    must(valid != NULL, "malloc");
    memcpy(valid, bytes, bytes_size);
    while (input.left > 0) {
        unsigned change = (unsigned)take(&input, 1) % (CHANGES + 2);
        size_t at = place(valid, bytes_size, &input);
        if (change == CUT) {
            end = take(&input, 1) % 4 == 0 ? at : end;
        } else if (change == FLIP) {
            bytes[at] ^= (uint8_t)(1U << take(&input, 1) % 8);
        } else if (change == COPY) {
            copy(bytes, bytes_size, place(valid, bytes_size, &input), at,
                 (size_t)take(&input, 1) * 8);
        } else if (change == FILL) {
            size_t length = (size_t)take(&input, 1) * 4;
            memset(bytes + at, (int)take(&input, 1),
                   length < bytes_size - at ? length : bytes_size - at);
        } else if (change == SET_WORD || change == WIDE) {
            put(bytes, bytes_size, at, change == WIDE ? take(&input, 8) : telling(&input), 8);
        } else {
            put(bytes, bytes_size, at, telling(&input), 4);
        }
    }
    free(valid);
    return end;
}
