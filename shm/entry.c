/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include "slot.h"

enum { CLAIM_TRIES = 4096 };

uint32_t entry_claim(const struct segment *segment, uint32_t me, uint32_t number) {
    struct header *header = segment->header;
    uint32_t count = counter_count(segment);
    uint32_t tries = count < CLAIM_TRIES ? count : CLAIM_TRIES;
    for (uint32_t i = 0; i < tries; i++) {
        /* relaxed: only a hint where to look */
        uint32_t index =
            atomic_fetch_add_explicit(&header->cursor, 1, memory_order_relaxed) % count;
        struct counter *counter = &segment->counters[index];
        uint32_t use = atomic_load_explicit(&counter->use, memory_order_relaxed);
        if (use_kind(use) != ENTRY_FREE) {
            continue;
        }
        /* release: recovery, which sees the entry claimed, also sees who says that he claimed it */
        atomic_store_explicit(&segment->owners[me].claims[number], index + 1, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(&counter->use, &use,
                                                    use_make(me, ENTRY_CLAIMED),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            atomic_fetch_add_explicit(&header->counters_used, 1, memory_order_relaxed);
            return index;
        }
    }
    atomic_store_explicit(&segment->owners[me].claims[number], NONE, memory_order_relaxed);
    return UINT32_MAX;
}

void entry_reset(const struct segment *segment, uint32_t me, struct counter *counter) {
    uint32_t generation = atomic_load_explicit(&counter->generation, memory_order_relaxed);
    if (generation % 2 == 0) {
        /* release fence: a reader that sees any of the new name also sees the new generation */
        atomic_store_explicit(&counter->generation, generation + 1, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_release);
    /* An entry that was retired has the count COUNT_RETIRED; a new one has 0 already. */
    (void)slot_turn(segment, me, counter, COUNT_RETIRED, 0);
}

void entry_publish(struct counter *counter, uint32_t *generation) {
    uint32_t odd = *generation;
    /* release: the next taker sees what its inserter wrote. Failing means that another did it. */
    atomic_compare_exchange_strong_explicit(&counter->generation, &odd, *generation + 1,
                                            memory_order_acq_rel, memory_order_relaxed);
    *generation += 1;
}

/* Parts before the counter itself: as long as the counter is CLAIMED, recovery comes back to it. */
static void settle(const struct segment *segment, uint32_t owner, uint32_t own_use,
                   uint32_t part_use) {
    struct owner *record = &segment->owners[owner];
    for (uint32_t i = NAME_PARTS_MAX + 1; i-- > 0;) {
        uint32_t claim = atomic_load_explicit(&record->claims[i], memory_order_relaxed);
        struct counter *counter = claim == NONE ? NULL : counter_at(segment, claim - 1);
        uint32_t claimed = use_make(owner, ENTRY_CLAIMED);
        uint32_t next = i == 0 ? own_use : part_use;
        if (counter &&
            atomic_compare_exchange_strong_explicit(&counter->use, &claimed, next,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            if (use_kind(next) == ENTRY_FREE) {
                atomic_fetch_sub_explicit(&segment->header->counters_used, 1, memory_order_relaxed);
            }
        }
        atomic_store_explicit(&record->claims[i], NONE, memory_order_relaxed);
    }
}

void entry_finish(const struct segment *segment, uint32_t owner) {
    settle(segment, owner, use_make(0, ENTRY_LIVE), use_make(0, ENTRY_PART));
}

void entry_abandon(const struct segment *segment, uint32_t owner) {
    settle(segment, owner, use_make(0, ENTRY_FREE), use_make(0, ENTRY_FREE));
}

uint32_t entry_count(const struct segment *segment) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < counter_count(segment); i++) {
        /* relaxed: each by itself */
        uint32_t use = atomic_load_explicit(&segment->counters[i].use, memory_order_relaxed);
        used += use_kind(use) != ENTRY_FREE;
    }
    return used;
}

void entry_recount(const struct segment *segment) {
    atomic_store_explicit(&segment->header->counters_used, entry_count(segment),
                          memory_order_relaxed);
}
