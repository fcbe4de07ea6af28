/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_HISTORY_H
#define SLOTSHARE_BRIDGE_HISTORY_H
/**
 * The last minutes of the counters that matter, for small charts. Bounded: of a million counters
 * those are kept that are used most, and when there is no room the one that was used longest ago
 * makes way. Not thread-safe.
 */
#include <jansson.h>

#include "../show/snapshot.h"

enum { HISTORY_MS = 5000 /**< from one sample to the next */, HISTORY_SAMPLES = 60 };

struct history;

/** @return NULL: no memory */
struct history *history_create(void);
void history_destroy(struct history *history);

/** One more sample; the snapshot's counters come in the order of their importance. */
void history_add(struct history *history, const struct snapshot *snapshot);

/**
 * {"interval_ms": N, "counters": {NAME: {"in_use": [...], "cluster_in_use": [...],
 * "refused": [...]}}}: for each counter its samples, the oldest first, null where there is none;
 * refused is what came since the sample before.
 * @return the caller's; NULL: no memory
 */
json_t *history_json(const struct history *history);

#endif
