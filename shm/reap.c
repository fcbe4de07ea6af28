/* SPDX-License-Identifier: MIT */
/* Reaping: what a dead process held comes back. The right to do it is the dead process's own lock
 * (lock.h); a reaper that dies has changed nothing that its successor would not repeat or finish.
 */
#include <unistd.h>

#include "counter.h"
#include "handle.h"
#include "hot.h"
#include "lock.h"
#include "mutant.h"
#include "retire.h"
#include "slot.h"
#include "wait.h"

static void wake_waiters(const struct segment *segment, struct owner *owner) {
    uint32_t waiting = atomic_load_explicit(&owner->waiting, memory_order_relaxed);
    struct counter *counter = waiting == NONE ? NULL : counter_at(segment, waiting - 1);
    if (counter) {
        wait_wake_all(segment, counter); /* a wake-up may have died with it */
    }
    atomic_store_explicit(&owner->waiting, NONE, memory_order_relaxed);
}

static bool is_lane(const struct segment *segment, uint32_t index, uint32_t leader) {
    uint64_t state = atomic_load_explicit(&segment->owners[index].state, memory_order_acquire);
    return owner_kind(state) != OWNER_FREE && owner_leader(state) == leader;
}

static uint32_t drain_chunk(const struct segment *segment, uint32_t leader, uint32_t chunk) {
    uint32_t given = 0;
    uint32_t as = MUTANT(REAPER_RECORD) && mutant_reaper ? mutant_reaper : leader;
    for (uint32_t i = 0; i < SLOTS_PER_CHUNK; i++) {
        uint32_t index = chunk * SLOTS_PER_CHUNK + i;
        uint64_t word = atomic_load_explicit(&segment->slots[index].word, memory_order_acquire);
        struct counter *counter;
        if (slot_state(word) == SLOT_HELD &&
            slot_give(segment, as, index, word, true, &counter) == SLOTSHARE_OK) {
            given++;
            wait_wake_one(segment, counter);
        }
    }
    return given;
}

static void free_record(struct owner *owner) {
    uint64_t state = atomic_load_explicit(&owner->state, memory_order_relaxed);
    if (MUTANT(SEQ_RESET)) {
        atomic_store(&owner->announce, 0);
    }
    /* release: the next user of the record sees it as it was left. Its announcement goes on from
     * the same seq. */
    atomic_store_explicit(&owner->state, owner_make(owner_generation(state) + 1, 0, OWNER_FREE),
                          memory_order_release);
}

uint32_t reap_process(const struct segment *segment, uint32_t leader, bool dead) {
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        if (is_lane(segment, i, leader)) {
            if (dead) {
                slot_recover(segment, i);
                counter_recover(segment, i);
            }
            wake_waiters(segment, &segment->owners[i]);
        }
    }
    uint32_t given = 0;
    uint64_t state = atomic_load_explicit(&segment->owners[leader].state, memory_order_relaxed);
    for (uint32_t chunk = 0; chunk < segment->chunk_count; chunk++) {
        if (atomic_load_explicit(&segment->chunks[chunk], memory_order_relaxed) == state) {
            if (MUTANT(CHUNK_FIRST)) {
                atomic_store(&segment->chunks[chunk], 0);
            }
            given += drain_chunk(segment, leader, chunk);
            /* release: the next owner of the chunk sees its records free */
            atomic_store_explicit(&segment->chunks[chunk], 0, memory_order_release);
        }
    }
    if (MUTANT(LEADER_FIRST)) {
        free_record(&segment->owners[leader]);
    }
    for (uint32_t i = 1; i < segment->owner_count; i++) {
        if (i != leader && is_lane(segment, i, leader)) {
            free_record(&segment->owners[i]);
        }
    }
    if (!MUTANT(LEADER_FIRST)) {
        free_record(&segment->owners[leader]); /* last: until now a successor would begin again */
    }
    return given;
}

static uint32_t reap_if_dead(slotshare *handle, int fd, uint32_t index) {
    const struct segment *segment = &handle->segment;
    if (!is_lane(segment, index, index) || lock_take(fd, LOCK_OWNERS + index) != 0) {
        return 0;
    }
    uint32_t given = 0;
    if (is_lane(segment, index, index)) { /* as it was, now that it cannot change */
        given = reap_process(segment, index, true);
        atomic_fetch_add_explicit(&segment->header->reaps, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&segment->header->slots_reaped, given, memory_order_relaxed);
    }
    lock_drop(fd, LOCK_OWNERS + index);
    return given;
}

COLD uint32_t handle_reap(slotshare *handle, uint64_t min_ms) {
    struct header *header = handle->segment.header;
    uint64_t now = clock_coarse();
    /* relaxed: only keeps many from doing the same at the same time */
    uint64_t last = atomic_load_explicit(&header->reaped, memory_order_relaxed);
    if (min_ms && ((last + min_ms > now && last <= now) ||
                   !atomic_compare_exchange_strong_explicit(
                       &header->reaped, &last, now, memory_order_relaxed, memory_order_relaxed))) {
        return 0;
    }
    if (min_ms == 0) {
        pthread_mutex_lock(&handle->mutex); /* the caller is about to fail: this pass must be */
    } else if (pthread_mutex_trylock(&handle->mutex) != 0) {
        return 0;
    }
    /* A fresh description: locks of one description do not see each other. */
    int fd = segment_lock_open(&handle->segment);
    uint32_t given = 0;
    for (uint32_t i = 1; fd >= 0 && i < handle->segment.owner_count; i++) {
        if (i != handle->leader) {
            given += reap_if_dead(handle, fd, i);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    retire_resume(&handle->segment);
    pthread_mutex_unlock(&handle->mutex);
    return given;
}
