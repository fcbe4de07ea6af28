/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_RETIRE_H
#define SLOTSHARE_SHM_RETIRE_H
/**
 * Making room in the counter table. Recipients choose the domains, so counters come by the million;
 * one that holds nothing, that the bridge does not know, and that nobody took a slot of since the
 * last visit may go (the clock algorithm: Corbato, "A paging experiment with the Multics system",
 * 1968). One process at a time retires, by a lock that the kernel takes back.
 */
#include "handle.h"

/**
 * Visit up to `visits` entries, from where the last pass ended, and retire those that are idle.
 * Skipped when another process is at it.
 * @param me  the caller's owner record
 * @return how many entries came free.
 */
uint32_t retire_pass(slotshare *handle, uint32_t me, uint32_t visits);

/** Finish what somebody who died while he retired an entry has left, at once. Cheap when there is
 * nothing. */
void retire_resume(const struct segment *segment);

/** Is the table so full that insertions should make room as they go? */
bool retire_wanted(const struct segment *segment);

#endif
