/* SPDX-License-Identifier: MIT */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "parts.h"

void error_set(const struct error_text *error, const char *format, ...) {
    if (!error || !error->text || error->size == 0) {
        return;
    }
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is initialised one line above */
    (void)vsnprintf(error->text, error->size, format, args);
    va_end(args);
}

static uint64_t clock_read(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_boot(void) {
    return clock_read(CLOCK_BOOTTIME);
}

uint64_t clock_coarse(void) {
    return clock_read(CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_tick(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec << 30 | (uint64_t)now.tv_nsec;
}

int segment_paths(struct segment *segment, const char *name, const char *directory,
                  const struct error_text *error) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!name || !*name) {
        name = "slotshare";
    }
    size_t length = strlen(name);
    if (length > SLOTSHARE_NAME_MAX || strspn(name, allowed) != length || name[0] == '.') {
        error_set(error,
                  "segment name '%.80s': use 1 to %d letters, digits, '.', '_' or '-', and no '.' "
                  "in front",
                  name, SLOTSHARE_NAME_MAX);
        return SLOTSHARE_ENAME;
    }
    if (!directory || !*directory) {
        directory = getenv("SLOTSHARE_DIR");
    }
    if (!directory || !*directory) {
        directory = "/run/slotshare";
    }
    int a = snprintf(segment->path, sizeof segment->path, "%s/%s.seg", directory, name);
    int b = snprintf(segment->lock_path, sizeof segment->lock_path, "%s/%s.lock", directory, name);
    if (a < 0 || b < 0 || (size_t)b >= sizeof segment->lock_path) {
        error_set(error, "directory '%.80s...': the path is longer than %zu bytes", directory,
                  sizeof segment->path - 1);
        return SLOTSHARE_ENAME;
    }
    memcpy(segment->name, name, length + 1);
    return SLOTSHARE_OK;
}

int segment_directory(const struct segment *segment, const struct error_text *error) {
    char directory[sizeof segment->path];
    struct stat status;
    int length = (int)(strrchr(segment->path, '/') - segment->path);
    (void)snprintf(directory, sizeof directory, "%.*s", length > 0 ? length : 1, segment->path);
    if (stat(directory, &status) != 0 || (status.st_mode & S_IWOTH) == 0) {
        return SLOTSHARE_OK; /* what else is wrong with it shows when it is used */
    }
    error_set(error,
              "%s: everybody may write to this directory, and so put another segment there. chmod "
              "o-w it, or choose another one",
              directory);
    errno = EPERM;
    return SLOTSHARE_ESYSTEM;
}

/* Point into the mapping; every part was checked to lie inside it. */
static void set_pointers(struct segment *segment, const struct parts *parts) {
    char *base = (char *)segment->header;
    segment->owners = (struct owner *)(void *)(base + parts->owners_offset);
    segment->chunks = (_Atomic uint64_t *)(void *)(base + parts->chunks_offset);
    segment->slots = (struct slot *)(void *)(base + parts->slots_offset);
    segment->buckets = (_Atomic uint64_t *)(void *)(base + parts->buckets_offset);
    segment->counters = (struct counter *)(void *)(base + parts->counters_offset);
    segment->wanted = (_Atomic uint64_t *)(void *)(base + parts->wanted_offset);
    segment->rules[0] = base + parts->rules_offset;
    segment->rules[1] = segment->rules[0] + parts->rules_bytes;
    segment->owner_count = parts->owners;
    segment->chunk_count = parts->chunks;
    segment->slot_count = parts->slots;
    segment->bucket_count = parts->buckets;
    segment->counter_max = parts->counters;
    segment->wanted_words = parts->counters / 64;
    segment->rules_bytes = parts->rules_bytes;
    segment->size = (size_t)parts->size;
}

static int map_file(struct segment *segment, int fd, size_t size, bool read_only) {
    int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *base = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return -1;
    }
    segment->header = base;
    segment->size = size;
    segment->read_only = read_only;
    return 0;
}

int segment_waiting_path(const struct segment *segment, char *out, size_t size) {
    return snprintf(out, size, "%.*s.waiting", (int)strlen(segment->path) - 4, segment->path);
}

/* The bridge of this segment runs, and waits for others before it makes the segment.
 * @return false: it does not run, or says nothing. */
static bool read_waiting(const struct segment *segment, char *out, size_t size) {
    char path[sizeof segment->path + 8];
    int lock = lock_file_open(segment->lock_path, false);
    bool bridge = lock >= 0 && lock_probe(lock, LOCK_BRIDGE, 1) == 1;
    if (lock >= 0) {
        close(lock);
    }
    (void)segment_waiting_path(segment, path, sizeof path);
    int fd = bridge ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    ssize_t length = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    out[length > 0 ? length : 0] = '\0';
    for (char *at = out; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~') {
            *at = '?'; /* whoever wrote it: it must not steer a terminal */
        }
    }
    return length >= 0;
}

static int open_error(const struct segment *segment, bool read_only,
                      const struct error_text *error) {
    int why = errno;
    char waits[256];
    if (why == ENOENT && read_waiting(segment, waits, sizeof waits)) {
        error_set(error,
                  "%s: there is no such segment yet: slotshare-bridge waits until all members of "
                  "the cluster have started with the same file; now for %s",
                  segment->path, *waits ? waits : "the coordinator");
        return SLOTSHARE_ENOSEGMENT;
    }
    if (why == ENOENT) {
        error_set(error,
                  "%s: there is no such segment. In a cluster, start slotshare-bridge; on a single "
                  "host, name the config file to create it from",
                  segment->path);
        return SLOTSHARE_ENOSEGMENT;
    }
    error_set(error, "%s: cannot open for %s: %s%s", segment->path,
              read_only ? "reading" : "reading and writing", strerror(why),
              why == EACCES ? "; run as a user of the group that the file belongs to" : "");
    errno = why;
    return SLOTSHARE_ESYSTEM;
}

static int check_and_point(struct segment *segment, const struct error_text *error) {
    struct parts parts;
    const char *wrong = NULL;
    int result = parts_check(segment->header, segment->size, &parts, &wrong);
    if (result == SLOTSHARE_ELAYOUT && segment->header->magic == LAYOUT_MAGIC) {
        error_set(error,
                  "%s: its layout is version %u (shape %016llx), this program's is version %d "
                  "(shape %016llx). Use programs of one version, or stop all of them and remove "
                  "the file",
                  segment->path, segment->header->layout,
                  (unsigned long long)segment->header->shape, LAYOUT_VERSION,
                  (unsigned long long)parts_shape());
    } else if (result != SLOTSHARE_OK) {
        error_set(error, "%s: %s. Stop the programs that use it and remove the file", segment->path,
                  wrong);
    }
    if (result == SLOTSHARE_OK &&
        strncmp(segment->header->name, segment->name, sizeof segment->header->name) != 0) {
        /* Its owners have their locks beside the other name: here they would all look dead. */
        error_set(error, "%s: is the segment '%.*s' under another name. Move it back",
                  segment->path, (int)sizeof segment->header->name, segment->header->name);
        result = SLOTSHARE_EDAMAGED;
    }
    if (result == SLOTSHARE_OK) {
        set_pointers(segment, &parts);
        uint32_t now = atomic_load_explicit(&segment->header->counters_now, memory_order_relaxed);
        if (now == 0 || now > segment->counter_max || now % 64 != 0) {
            error_set(error,
                      "%s: damaged: the size of its counter table makes no sense. Stop the "
                      "programs that use it and remove the file",
                      segment->path);
            result = SLOTSHARE_EDAMAGED;
        }
    }
    return result;
}

static int map_open_file(struct segment *segment, int fd, bool read_only,
                         const struct error_text *error) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return open_error(segment, read_only, error);
    }
    if (!S_ISREG(status.st_mode) || status.st_size < HEADER_BYTES) {
        error_set(error, "%s: not a slotshare segment (%s). Remove it", segment->path,
                  S_ISREG(status.st_mode) ? "too short" : "not a regular file");
        return SLOTSHARE_ELAYOUT;
    }
    segment->device = status.st_dev;
    segment->inode = status.st_ino;
    if (map_file(segment, fd, (size_t)status.st_size, read_only) != 0) {
        error_set(error, "%s: cannot map %lld bytes: %s", segment->path, (long long)status.st_size,
                  strerror(errno));
        return SLOTSHARE_ESYSTEM;
    }
    int result = check_and_point(segment, error);
    if (result == SLOTSHARE_OK && !segment_still_there(segment)) {
        error_set(error, "%s: was replaced while it was being opened; try again", segment->path);
        result = SLOTSHARE_EGONE;
    }
    if (result != SLOTSHARE_OK) {
        segment_unmap(segment);
    }
    return result;
}

int segment_map(struct segment *segment, bool read_only, const struct error_text *error) {
    /* O_NONBLOCK: whatever lies there, do not wait for it */
    int fd =
        open(segment->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return open_error(segment, read_only, error);
    }
    int result = map_open_file(segment, fd, read_only, error);
    int why = errno;
    close(fd);
    errno = why;
    return result;
}

void segment_unmap(struct segment *segment) {
    if (segment->header) {
        munmap(segment->header, segment->size);
    }
    segment->header = NULL;
}

int segment_lock_error(const struct segment *segment, const char *what,
                       const struct error_text *error) {
    int why = errno;
    const char *reason = strerror(why), *hint = "";
    if (why == ENOENT) {
        hint = "; create the directory (as root: install -d -m 2770 -g GROUP DIRECTORY)";
    } else if (why == EACCES || why == EPERM || why == EROFS) {
        hint = "; run as a user who may write to it";
    } else if (why == ETIMEDOUT) {
        reason = "another process is creating or changing the segment, and does not go on";
        hint = "; look for one that is stopped (T in the first column of: ps -eo stat,pid,args)";
    }
    error_set(error, "%s: cannot %s: %s%s", segment->lock_path, what, reason, hint);
    errno = why;
    return SLOTSHARE_ESYSTEM;
}

int segment_lock_open(const struct segment *segment) {
    int fd = lock_file_open(segment->lock_path, false);
    uint64_t identity;
    if (fd < 0) {
        errno = errno == ENOENT ? ESTALE : errno;
        return -1;
    }
    if (lock_identity(fd, false, &identity) != 0 || identity != segment->header->lock_identity) {
        close(fd);
        errno = ESTALE;
        return -1;
    }
    return fd;
}

void segment_close_gate(const struct segment *segment) {
    /* release: whoever finds the gate shut sees why */
    atomic_store_explicit(&segment->header->closed, 1, memory_order_relaxed);
    atomic_store_explicit(&segment->header->gate, 0, memory_order_release);
}

bool segment_still_there(const struct segment *segment) {
    struct stat status;
    return stat(segment->path, &status) == 0 && status.st_dev == segment->device &&
           status.st_ino == segment->inode;
}

/* No file of such a file system outlives the kernel that made it. */
static bool on_tmpfs(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

bool segment_from_other_boot(const struct segment *segment) {
    uint8_t now[16];
    /* In a container the boot id is one that was mounted over the kernel's, and a service with a
     * view of /proc of its own sees another: there only a disk needs the question. */
    if (on_tmpfs(segment->path)) {
        return false;
    }
    parts_boot_id(now);
    return memcmp(now, segment->header->boot_id, sizeof now) != 0;
}

struct ruleset segment_rules_at(const struct segment *segment, uint64_t generation) {
    uint32_t used =
        atomic_load_explicit(&segment->header->rules_used[generation & 1], memory_order_relaxed);
    return (struct ruleset){.base = segment->rules[generation & 1],
                            .size = used < segment->rules_bytes ? used : segment->rules_bytes};
}

struct ruleset segment_rules(const struct segment *segment, uint64_t *generation) {
    /* acquire: the bytes of the set were written before its generation was published */
    *generation = atomic_load_explicit(&segment->header->rules, memory_order_acquire);
    return segment_rules_at(segment, *generation);
}
