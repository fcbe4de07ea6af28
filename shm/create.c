/* SPDX-License-Identifier: MIT */
/* Creating a segment: everything is in place before anybody can see the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock.h"
#include "parts.h"
#include "segment.h"

static int fill_random(void *out, size_t size) {
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return 0;
}

static int fill_header(struct header *header, const struct segment *segment,
                       const struct parts *parts, const struct conf *conf) {
    header->magic = LAYOUT_MAGIC;
    header->layout = LAYOUT_VERSION;
    header->header_bytes = HEADER_BYTES;
    header->shape = parts_shape();
    parts_store(parts, header);
    header->created = clock_boot();
    parts_boot_id(header->boot_id);
    memcpy(header->name, segment->name, strlen(segment->name) + 1);
    if (fill_random(header->secret, sizeof header->secret) != 0 ||
        fill_random(&header->incarnation, sizeof header->incarnation) != 0) {
        return -1;
    }
    /* Plain initialisation of what will be shared: no other process can see the file yet. */
    atomic_init(&header->clustered, conf->clustered ? 1 : 0);
    atomic_init(&header->session_end, conf->clustered ? 0 : UINT64_MAX);
    atomic_init(&header->coordinator, -1);
    atomic_init(&header->rules, 1);
    atomic_init(&header->gate, 1);
    return 0;
}

/* Rule sets as they lie in the segment. */
struct compiled {
    void *rules, *pending;
    size_t rules_size, pending_size; /* pending_size 0: none */
};

/* Nobody can see it yet: this is limit_publish() without readers, and without counters. */
static void write_rules(char *base, const struct parts *parts, const struct compiled *compiled) {
    struct header *header = (struct header *)(void *)base;
    char *sets = base + parts->rules_offset;
    atomic_init(&header->rules_used[1], (uint32_t)compiled->rules_size);
    memcpy(sets + parts->rules_bytes, compiled->rules, compiled->rules_size); /* set 1 */
    if (compiled->pending_size > 0) {
        atomic_init(&header->rules_used[0], (uint32_t)compiled->pending_size);
        memcpy(sets, compiled->pending, compiled->pending_size); /* set 2 */
        atomic_init(&header->published, 2);
        atomic_init(&header->pending, 2);
    }
}

static int write_file(int fd, int lock_fd, const struct segment *segment, const struct parts *parts,
                      const struct conf *conf, const struct compiled *compiled) {
    /* posix_fallocate: a full disk is an error here and not a SIGBUS in some worker later. */
    uint32_t counters = parts_counters(conf->counters);
    off_t solid = (off_t)(parts->counters_offset + counters * sizeof(struct counter));
    int why = ftruncate(fd, (off_t)parts->size) == 0 ? posix_fallocate(fd, 0, solid) : errno;
    if (why != 0) {
        errno = why;
        return -1;
    }
    char *base = mmap(NULL, parts->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return -1;
    }
    struct header *header = (struct header *)(void *)base;
    int result = lock_identity(lock_fd, true, &header->lock_identity);
    if (result == 0) {
        result = fill_header(header, segment, parts, conf);
    }
    atomic_init(&header->counters_now, counters);
    write_rules(base, parts, compiled);
    munmap(base, parts->size);
    return result;
}

static int create_error(const char *what, const char *path, const struct error_text *error) {
    int why = errno;
    const char *hint = "";
    if (why == ENOENT) {
        hint = "; create the directory (as root: install -d -m 2770 -g GROUP DIRECTORY)";
    } else if (why == EACCES || why == EPERM) {
        hint = "; run as a user who may write to the directory";
    } else if (why == ENOSPC) {
        hint = "; the tables do not fit: make counters, owners or slots in [node] smaller, or the "
               "file system larger";
    }
    error_set(error, "%s: cannot %s: %s%s", path, what, strerror(why), hint);
    errno = why;
    return SLOTSHARE_ESYSTEM;
}

static int build(struct segment *segment, const struct conf *conf, int lock_fd,
                 const struct compiled *compiled, const struct error_text *error) {
    char building[sizeof segment->path + 8];
    (void)snprintf(building, sizeof building, "%s.new", segment->path);
    /* Only the holder of LOCK_CREATE writes under this name; what lies there is from a creator
     * that was killed. */
    (void)unlink(building);
    int fd = open(building, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        return create_error("create the segment", building, error);
    }
    (void)fchmod(fd, 0660); /* the group must write, whatever the umask of the first one */
    struct parts parts;
    parts_plan(&parts, conf->owners, conf->slots, conf->counters_max,
               compiled->rules_size > compiled->pending_size ? compiled->rules_size
                                                             : compiled->pending_size);
    int result = write_file(fd, lock_fd, segment, &parts, conf, compiled);
    int why = errno;
    close(fd);
    errno = why;
    if (result != 0) {
        result = create_error("fill the segment", building, error);
    } else if (rename(building, segment->path) != 0) {
        result = create_error("move the segment into place", segment->path, error);
    } else {
        return SLOTSHARE_OK;
    }
    why = errno;
    (void)unlink(building);
    errno = why;
    return result;
}

static int compile(const struct segment_origin *origin, struct compiled *out) {
    int result = ruleset_compile(origin->conf, &out->rules, &out->rules_size);
    if (result == 0 && origin->pending != NULL) {
        result = ruleset_compile(origin->pending, &out->pending, &out->pending_size);
    }
    return result;
}

int segment_create(struct segment *segment, const struct segment_origin *origin, int lock_fd,
                   const struct error_text *error) {
    int result = segment_map(segment, false, error);
    if (result == SLOTSHARE_OK) {
        if (!segment_from_other_boot(segment)) {
            return SLOTSHARE_OK;
        }
        segment_unmap(segment);
    } else if (result != SLOTSHARE_ENOSEGMENT) {
        return result;
    }
    /* Living owners belong to a segment whose file was removed: their slots are on nobody's
     * books, and a second table beside theirs would double every limit. */
    int alive = lock_probe(lock_fd, LOCK_OWNERS, CONF_OWNERS_MAX + 1);
    if (alive != 0) {
        error_set(
            error,
            "%s: the segment was removed while processes use it. End these processes (grep -l "
            "%s.seg /proc/[0-9]*/maps names them), then try again",
            segment->path, segment->name);
        return alive > 0 ? SLOTSHARE_EBUSY : SLOTSHARE_ESYSTEM;
    }
    struct compiled compiled = {0};
    if (compile(origin, &compiled) == 0) {
        result = build(segment, origin->conf, lock_fd, &compiled, error);
    } else {
        error_set(error, "%s: no memory to compile the limits", origin->conf->file);
        errno = ENOMEM;
        result = SLOTSHARE_ESYSTEM;
    }
    int why = errno;
    free(compiled.rules);
    free(compiled.pending);
    errno = why;
    return result == SLOTSHARE_OK ? segment_map(segment, false, error) : result;
}
