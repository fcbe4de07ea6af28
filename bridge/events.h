/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_EVENTS_H
#define SLOTSHARE_BRIDGE_EVENTS_H
/**
 * The last events, for people: what the log has said since the bridge started, kept in its memory
 * so that `shmstat` and the status page can show it. Bounded: EVENTS_KEPT of those that come
 * seldom, and as many of those that come often (a share that was granted), so that these cannot
 * push the others out. Thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum { EVENTS_KEPT = 128, EVENTS_TEXT_MAX = 400 };

struct events;

/** @return NULL: no memory */
struct events *events_create(void);
/** NULL is ignored. */
void events_destroy(struct events *events);

/**
 * Keep one more; what does not fit is cut. NULL is ignored.
 * @param often  of the kind that comes often
 * @param time_ms  when, since 1970
 * @param level, event  constant strings
 * @param text  its key=value pairs, as in the log
 * @param length  of text
 */
void events_add(struct events *events, bool often, int64_t time_ms, const char *level,
                const char *event, const char *text, size_t length);

/**
 * [{"number": N, "time_ms": T, "level": "...", "event": "...", "text": "..."}, ...], the oldest
 * first, with those only whose number is above `after`. Numbers grow by one from 1.
 * @return the caller's; NULL: no memory
 */
json_t *events_json(struct events *events, uint64_t after);

#endif
