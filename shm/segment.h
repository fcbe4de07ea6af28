/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_SEGMENT_H
#define SLOTSHARE_SHM_SEGMENT_H
/**
 * The file and its mapping: creating, opening, checking. A struct segment holds pointers and sizes
 * that were checked against the file's real size once; every index that is read from the mapping
 * later goes through the *_at() functions below, which answer NULL when it is out of range.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../conf/ruleset.h"
#include "layout.h"

struct segment {
    struct header *header; /* NULL: not mapped */
    size_t size;
    struct owner *owners;
    _Atomic uint64_t *chunks;
    struct slot *slots;
    _Atomic uint64_t *buckets;
    struct counter *counters;
    _Atomic uint64_t *wanted; /* wanted_words of bits, then their summary */
    char *rules[2];
    uint32_t owner_count, chunk_count, slot_count, bucket_count;
    uint32_t counter_max; /* what the mapping has room for */
    uint32_t wanted_words, rules_bytes;
    bool read_only;
    dev_t device;
    ino_t inode;
    char path[512], lock_path[512];
    char name[SLOTSHARE_NAME_MAX + 1];
};

/** Text for a failing open: filled by printf rules; NULL or size 0: nowhere. */
struct error_text {
    char *text;
    size_t size;
};
void error_set(const struct error_text *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Where the bridge says why there is no segment yet: beside it. @return as snprintf(). */
int segment_waiting_path(const struct segment *segment, char *out, size_t size);

/** Work out the paths. directory NULL: $SLOTSHARE_DIR, else /run/slotshare.
 * @return SLOTSHARE_OK, SLOTSHARE_ENAME. */
int segment_paths(struct segment *segment, const char *name, const char *directory,
                  const struct error_text *error);

/** Before anything is written there: a directory that everybody may write to is refused, because
 * anybody could put another segment in the place of this one. One that is not there is not.
 * @return SLOTSHARE_OK, SLOTSHARE_ESYSTEM. */
int segment_directory(const struct segment *segment, const struct error_text *error);

/** Map an existing file. @return as slotshare_open(); SLOTSHARE_ENOSEGMENT when there is none. */
int segment_map(struct segment *segment, bool read_only, const struct error_text *error);

/** What a segment is made from. */
struct segment_origin {
    const struct conf *conf;    /* its rule set is in force */
    const struct conf *pending; /* NULL; or its rule set is pending from the first moment */
};

/**
 * Create the file and map it; replaces one from before a reboot. Another process may have been
 * first: then that one is mapped. The caller holds LOCK_CREATE.
 */
int segment_create(struct segment *segment, const struct segment_origin *origin, int lock_fd,
                   const struct error_text *error);

/** From a boot of this host that is over? Everything in it is void then. Never on a tmpfs. */
bool segment_from_other_boot(const struct segment *segment);

/** The file at the path is still the one that is mapped. */
bool segment_still_there(const struct segment *segment);

/**
 * Open the lock file of this very segment.
 * @return a descriptor, or -1 and errno: ESTALE when the lock file is gone or another one lies
 *         there, so that it says nothing about who is alive.
 */
int segment_lock_open(const struct segment *segment);
/** Say why the lock file could not be used, by errno, and what to do. @return SLOTSHARE_ESYSTEM;
 * errno stays. */
int segment_lock_error(const struct segment *segment, const char *what,
                       const struct error_text *error);

/** Admit nothing any more: the file is gone, or will be. */
void segment_close_gate(const struct segment *segment);

void segment_unmap(struct segment *segment);

/** The rule set in force; *generation says which. */
struct ruleset segment_rules(const struct segment *segment, uint64_t *generation);

/** The rule set of a generation: the one in force, or the one before or after it. */
struct ruleset segment_rules_at(const struct segment *segment, uint64_t generation);

static inline struct owner *owner_at(const struct segment *segment, uint32_t index) {
    return index < segment->owner_count ? &segment->owners[index] : NULL;
}
static inline struct slot *slot_at(const struct segment *segment, uint32_t index) {
    return index < segment->slot_count ? &segment->slots[index] : NULL;
}
/** Entries of the counter table that may be touched; the table may grow at any time. */
static inline uint32_t counter_count(const struct segment *segment) {
    /* acquire: the room on the disk was there before the number was raised */
    uint32_t now = atomic_load_explicit(&segment->header->counters_now, memory_order_acquire);
    return now < segment->counter_max ? now : segment->counter_max;
}
static inline struct counter *counter_at(const struct segment *segment, uint32_t index) {
    return index < counter_count(segment) ? &segment->counters[index] : NULL;
}

/** Clocks, in milliseconds. clock_coarse() costs a fifth of clock_boot(), does not count while the
 * machine is suspended, and is up to a tick (4 ms or so) late. */
uint64_t clock_boot(void);
uint64_t clock_coarse(void);
/** clock_coarse() as the kernel says it, without a division: to compare, or for clock_tick_ms(). */
uint64_t clock_tick(void);
static inline uint64_t clock_tick_ms(uint64_t tick) {
    return (tick >> 30) * 1000 + (tick & ((UINT64_C(1) << 30) - 1)) / 1000000;
}

#endif
