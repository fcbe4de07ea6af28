/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_PARTS_H
#define SLOTSHARE_SHM_PARTS_H
/**
 * Where the parts of a segment lie: worked out from a configuration when it is created, checked
 * against the file's size when it is opened. Pure, thread-safe.
 */
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

struct parts {
    uint64_t owners_offset, chunks_offset, slots_offset, buckets_offset, counters_offset,
        wanted_offset, rules_offset, size;
    uint32_t owners, chunks, slots, buckets, counters, rules_bytes;
};

/** For these numbers (they are rounded up to what the layout needs). counters: the most. */
void parts_plan(struct parts *parts, uint32_t owners, uint32_t slots, uint32_t counters,
                size_t rules_bytes);

/** A number of counters as the layout can have it: a multiple of 64. */
uint32_t parts_counters(uint32_t counters);

/** Copy the plan into a header, and back from one that is not trusted. size: of the file.
 * @return SLOTSHARE_OK; SLOTSHARE_ELAYOUT, SLOTSHARE_EDAMAGED with *wrong saying why. */
void parts_store(const struct parts *parts, struct header *header);
int parts_check(const struct header *header, size_t size, struct parts *out, const char **wrong);

/** A number that differs when any structure of the layout has another size. */
uint64_t parts_shape(void);

/** The kernel's boot id; all zero when it does not tell. */
void parts_boot_id(uint8_t out[16]);

#endif
