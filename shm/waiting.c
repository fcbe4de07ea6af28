/* SPDX-License-Identifier: MIT */
/* The public calls that take a slot and may wait for it. */
#include "handle.h"
#include "hot.h"
#include "take.h"
#include "wait.h"

enum { TRIES = 1000 };

static uint64_t until(uint64_t deadline) {
    uint64_t now = clock_boot();
    return now < deadline ? deadline - now : 0;
}

/* relaxed: an order to look again, not to take */
static bool has_room(const struct counter *counter) {
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_relaxed);
    return word_count(word) <
           cap_enforced_share(atomic_load_explicit(&counter->cap, memory_order_relaxed));
}

COLD static int wait_for(slotshare *handle, struct thread *self, slotshare_counter counter,
                         slotshare_slot *out, uint64_t deadline) {
    struct counter *entry = &handle->segment.counters[counter.index];
    struct owner *owner = &handle->segment.owners[self->owner];
    int result = SLOTSHARE_FULL;
    bool slept = false;
    /* relaxed: read by the bridge, which counts who waits, by people, and by a reaper */
    atomic_store_explicit(&owner->waits_since, clock_boot(), memory_order_relaxed);
    atomic_store_explicit(&owner->waiting, counter.index + 1, memory_order_relaxed);
    take_refused(handle, counter.index);
    while (result == SLOTSHARE_FULL) {
        uint32_t value = wait_prepare(entry);
        result = take_try(handle, self, counter, slept, out);
        uint64_t left = until(deadline);
        if (result != SLOTSHARE_FULL || left == 0) {
            break;
        }
        if (slept) {
            wait_insist(entry); /* woken and too late: somebody who did not wait was faster */
        }
        /* Never longer than a reaping interval: on a host without a bridge the waiters are those
         * who notice the dead. */
        wait_sleep(entry, value, left < REAP_EVERY_MS ? left : REAP_EVERY_MS);
        slept = true;
    }
    atomic_store_explicit(&owner->waiting, NONE, memory_order_relaxed);
    if (slept) {
        wait_content(entry);
    }
    /* Pass the wake-up on: when it may have been meant for us and is lost with our leaving, and
     * when there is more room, because whoever gave back between our waking and our taking has
     * found nobody asleep and woken nobody. */
    if (result == SLOTSHARE_OK ? has_room(entry) : slept) {
        wait_wake_one(&handle->segment, entry);
    }
    return result;
}

/* One try, by a thread that is attached or attaches now. */
static inline int first_try(slotshare *handle, slotshare_counter counter, slotshare_slot *slot,
                            struct thread **self) {
    if (UNLIKELY(!handle || !slot)) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, self);
    return LIKELY(result == SLOTSHARE_OK) ? take_try(handle, *self, counter, false, slot) : result;
}

int slotshare_counter_acquire_wait(slotshare *handle, slotshare_counter counter,
                                   slotshare_slot *slot, int timeout_ms) {
    struct thread *self;
    int result = first_try(handle, counter, slot, &self);
    if (result != SLOTSHARE_FULL) {
        return result;
    }
    if (timeout_ms == 0) {
        take_refused(handle, counter.index);
        return result;
    }
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_boot() + (uint64_t)timeout_ms;
    return wait_for(handle, self, counter, slot, deadline);
}

int slotshare_acquire_wait(slotshare *handle, const struct slotshare_connection *connection,
                           slotshare_slot *slot, int timeout_ms) {
    if (!slot) {
        return SLOTSHARE_EINVAL;
    }
    uint64_t deadline = timeout_ms > 0 ? clock_boot() + (uint64_t)timeout_ms : 0;
    for (int i = 0; i < TRIES; i++) {
        slotshare_counter counter;
        int result = slotshare_counter_find(handle, connection, &counter);
        if (result != SLOTSHARE_OK) {
            return result;
        }
        int left = timeout_ms > 0 ? (int)until(deadline) : timeout_ms;
        result = slotshare_counter_acquire_wait(handle, counter, slot, left);
        if (result != SLOTSHARE_ESTALE) {
            return result;
        }
        /* retired, or other rules, between the two: look again */
    }
    return SLOTSHARE_EDAMAGED; /* the gate stays shut and nobody says why */
}

int slotshare_acquire(slotshare *handle, const struct slotshare_connection *connection,
                      slotshare_slot *slot) {
    return slotshare_acquire_wait(handle, connection, slot, 0);
}
