/* SPDX-License-Identifier: MIT */
/* For people: since when slots are held. */
#include <stdlib.h>

#include "control_private.h"
#include "slot.h"

/* relaxed loads throughout: each value by itself, for people */
#define READ(place) atomic_load_explicit(&(place), memory_order_relaxed)

static void look_at_chunk(const struct segment *segment, uint32_t chunk, uint64_t now,
                          uint32_t *oldest, uint32_t count) {
    for (uint32_t i = 0; i < SLOTS_PER_CHUNK; i++) {
        const struct slot *slot = &segment->slots[chunk * SLOTS_PER_CHUNK + i];
        const uint32_t counter = READ(slot->counter);
        if (slot_state(READ(slot->word)) == SLOT_FREE || counter >= count)
            continue;
        const uint64_t since = clock_tick_ms(READ(slot->since));
        const uint64_t age = now > since ? now - since : 0;
        const uint32_t shown = age < 1 ? 1 : age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
        if (shown > oldest[counter])
            oldest[counter] = shown;
    }
}

uint32_t *control_oldest(const struct control *control, uint32_t *count) {
    const struct segment *segment = &control->handle->segment;
    const uint64_t now = clock_coarse();
    *count = counter_count(segment);
    uint32_t *oldest =
        calloc(*count + 1, sizeof *oldest); /* of a large table most is not touched */
    for (uint32_t chunk = 0; oldest != NULL && chunk < segment->chunk_count; chunk++) {
        if (READ(segment->chunks[chunk]) != 0)
            look_at_chunk(segment, chunk, now, oldest, *count);
    }
    return oldest;
}
