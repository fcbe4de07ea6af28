/* SPDX-License-Identifier: MIT */
#include "excess.h"

#include "handle.h"
#include "view.h"

enum { OVER_MS = 100 }; /* what counter.over counts in: so 32 bits are 13 years */

static uint32_t over_now(void) {
    uint32_t now = (uint32_t)(clock_boot() / OVER_MS);
    return now ? now : 1;
}

void excess_lowered(struct counter *counter, uint64_t before, uint64_t after, uint32_t count) {
    /* relaxed: one writer, and a reader that sees the old value only sees an earlier deadline */
    uint32_t since = atomic_load_explicit(&counter->over, memory_order_relaxed);
    bool was_over = since != 0 && count > cap_enforced_share(before);
    if (count == COUNT_RETIRED || count <= cap_enforced_share(after)) {
        since = 0;
    } else if (!was_over) {
        since = over_now();
    }
    atomic_store_explicit(&counter->over, since, memory_order_relaxed);
}

uint32_t excess_count(const struct segment *segment, const struct counter *counter) {
    uint32_t count = word_count(atomic_load_explicit(&counter->word, memory_order_acquire));
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
    if (count == COUNT_RETIRED || cap == CAP_UNSET || (cap & CAP_OBSERVE) ||
        count <= cap_reserve(cap)) {
        return 0;
    }
    uint32_t most = view_session(segment) ? cap_share(cap) : cap_reserve(cap);
    return count > most ? count - most : 0;
}

uint64_t excess_deadline(const struct segment *segment, const struct counter *counter,
                         uint32_t rank) {
    const struct header *header = segment->header;
    /* relaxed: set before the segment could be seen */
    if (!atomic_load_explicit(&header->clustered, memory_order_relaxed)) {
        return UINT64_MAX;
    }
    uint64_t drain = atomic_load_explicit(&header->drain, memory_order_relaxed);
    uint64_t over = atomic_load_explicit(&counter->over, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&header->session_end, memory_order_acquire);
    uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_acquire);
    uint32_t count = word_count(atomic_load_explicit(&counter->word, memory_order_acquire));
    bool above_share = count > cap_share(cap) && rank < count - cap_share(cap);
    if (over != 0 && (above_share || view_session(segment))) {
        return over * OVER_MS + drain;
    }
    /* Above the reserve, since the session ended. */
    return (view_session(segment) ? clock_boot() : end) + drain;
}

static bool before(uint64_t since, uint32_t index, uint64_t mine, uint32_t my_index) {
    return since != mine ? since < mine : index < my_index;
}

/* How many slots of this counter have been held longer than this one. Slots that are being given
 * back count until they are free; that may hide for an instant that another one is in excess. */
static uint32_t rank_of(const struct segment *segment, uint32_t index, uint32_t counter) {
    const struct slot *slots = segment->slots;
    uint64_t mine = atomic_load_explicit(&slots[index].since, memory_order_relaxed);
    uint32_t rank = 0;
    for (uint32_t chunk = 0; chunk < segment->chunk_count; chunk++) {
        if (atomic_load_explicit(&segment->chunks[chunk], memory_order_relaxed) == 0) {
            continue; /* nobody's */
        }
        for (uint32_t i = chunk * SLOTS_PER_CHUNK; i < (chunk + 1) * SLOTS_PER_CHUNK; i++) {
            if (slot_state(atomic_load_explicit(&slots[i].word, memory_order_relaxed)) !=
                    SLOT_FREE &&
                atomic_load_explicit(&slots[i].counter, memory_order_relaxed) == counter &&
                before(atomic_load_explicit(&slots[i].since, memory_order_relaxed), i, mine,
                       index)) {
                rank++;
            }
        }
    }
    return rank;
}

int slotshare_excess(slotshare *handle, slotshare_slot slot, uint64_t *deadline_ms) {
    if (!handle) {
        return SLOTSHARE_EINVAL;
    }
    const struct segment *segment = &handle->segment;
    const struct slot *record =
        slot.record < segment->slot_count ? slot_at(segment, (uint32_t)slot.record) : NULL;
    /* acquire: which counter it is of was stored before */
    if (!record || slot_state(slot.tag) != SLOT_HELD ||
        atomic_load_explicit(&record->word, memory_order_acquire) != slot.tag) {
        return SLOTSHARE_ESTALE;
    }
    uint32_t index = atomic_load_explicit(&record->counter, memory_order_relaxed);
    const struct counter *counter = counter_at(segment, index);
    if (!counter) {
        return SLOTSHARE_EDAMAGED;
    }
    if (excess_count(segment, counter) == 0) {
        return SLOTSHARE_OK;
    }
    uint32_t rank = rank_of(segment, (uint32_t)slot.record, index);
    /* Again: what was given back during the look at all is not in excess any more. */
    if (rank >= excess_count(segment, counter)) {
        return SLOTSHARE_OK;
    }
    if (deadline_ms) {
        *deadline_ms = excess_deadline(segment, counter, rank);
    }
    return SLOTSHARE_EXCESS;
}
