/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_ARENA_H
#define SLOTSHARE_BRIDGE_ARENA_H
/**
 * Memory for one message: taken piece by piece, given back all at once, never more than a limit.
 * Not thread-safe.
 */
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /**< the newest; older ones follow */
    size_t used;               /**< of the newest */
    size_t total;              /**< of all chunks */
    size_t max;
};

void arena_init(struct arena *arena, size_t max);
/** @return size bytes, aligned for any object; NULL when memory is out or max would be passed. */
void *arena_take(struct arena *arena, size_t size);
/** The same for count objects, all zero. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/** Everything that was taken is gone; one chunk is kept for the next message. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
