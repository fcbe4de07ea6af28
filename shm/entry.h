/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_ENTRY_H
#define SLOTSHARE_SHM_ENTRY_H
/**
 * Entries of the counter table as storage: claiming a free one, publishing it, giving it up. The
 * claims of an owner are written into its record first, so that recovery finds them.
 */
#include "segment.h"

/** The further name words of a long name. link: index + 1. @return NULL when out of range. */
static inline struct counter_part *entry_part(const struct segment *segment, uint32_t link) {
    struct counter *counter = link == NONE ? NULL : counter_at(segment, link - 1);
    return counter ? (struct counter_part *)(void *)((char *)counter + CACHE_LINE) : NULL;
}

/** Claim a free entry as the caller's number-th (0: the counter itself, 1..: parts of its name).
 * Looks at a bounded number of entries. @return its index, or UINT32_MAX: none found. */
uint32_t entry_claim(const struct segment *segment, uint32_t me, uint32_t number);

/** Make a claimed entry's word count 0 again and its generation odd. */
void entry_reset(const struct segment *segment, uint32_t me, struct counter *counter);

/** It is in the table: make the generation even. *generation: the odd one on entry, the even one
 * on return. */
void entry_publish(struct counter *counter, uint32_t *generation);

/** What `owner` claimed is in the table for good, or was given up: then it is free again. */
void entry_finish(const struct segment *segment, uint32_t owner);
void entry_abandon(const struct segment *segment, uint32_t owner);

/** Entries that are not free, counted one by one. */
uint32_t entry_count(const struct segment *segment);

/** Put the header's counters_used right, after a death: it is kept beside the entries, so that
 * whoever dies between the two leaves it wrong by one. What others do meanwhile may be missed: it
 * only tells when to make room. */
void entry_recount(const struct segment *segment);

#endif
