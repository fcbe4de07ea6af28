/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_VIEW_H
#define SLOTSHARE_SHM_VIEW_H
/** Reading the segment for people: shared by statistics and explanations. Never writes. */
#include "segment.h"

/** Is this entry a counter in the table (and not free, being built or retired, or a part of a
 * name)?
 */
bool view_live(const struct counter *counter);

/** Is the session of this host valid now? (On a single host: always.) */
bool view_session(const struct segment *segment);

/** What the host may hold now under this cap; SLOTSHARE_UNLIMITED: no limit. */
int view_share(const struct segment *segment, uint64_t cap);
int view_reserve(uint64_t cap);

/** Slots in use; a retired counter has 0. */
int view_in_use(const struct counter *counter);

/** Owners that sleep for a slot of this counter now.
 * @param longest_ms  for how long the first of them has; -1: none sleeps */
int view_waiting(const struct segment *segment, uint32_t index, int64_t *longest_ms);

/** For how long this owner has slept, if it sleeps. */
int64_t view_waits_ms(const struct owner *owner);

/** "file:line" of a limit, "" when no stanza sets it; of an override that it is one, and until when
 * (UTC, seconds; 0: it is none). */
void view_source(const struct segment *segment, uint32_t line, uint64_t until, char *out,
                 size_t size);

#endif
