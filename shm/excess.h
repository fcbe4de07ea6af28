/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_EXCESS_H
#define SLOTSHARE_SHM_EXCESS_H
/**
 * Connections that must end because the share has become smaller than what is in use. Nobody
 * marks them: which they are follows from the segment alone, so that all workers agree on it
 * whoever asks, and a dead bridge is no reason for not knowing it. Of a counter with n slots more
 * than its host may hold they are the n that have been held the longest; of two that were taken in
 * the same tick of the clock, the one with the lower record. When one is given back, n is one less
 * and so are the slots that are older than the others: no other one comes to be in excess by it.
 */
#include "segment.h"

/** A cap was lowered, and `count` was in use after that: note since when it is above the share,
 * unless it was already. For the bridge alone. */
void excess_lowered(struct counter *counter, uint64_t before, uint64_t after, uint32_t count);

/** How many slots of this counter are in use above what the host may hold now. */
uint32_t excess_count(const struct segment *segment, const struct counter *counter);

/**
 * Until when (CLOCK_BOOTTIME, ms) this slot of the counter is to be given back; rank: how many of
 * the counter have been held longer. UINT64_MAX: nobody waits for it (a single host).
 */
uint64_t excess_deadline(const struct segment *segment, const struct counter *counter,
                         uint32_t rank);

#endif
