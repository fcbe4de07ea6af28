/* SPDX-License-Identifier: MIT */
/* The public calls that take slots and give them back. */
#include <string.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define SLOTSHARE_KNOWS_THREADS 1
#else
#define SLOTSHARE_KNOWS_THREADS 0
#endif

#include "grow.h"
#include "handle.h"
#include "resolve.h"
#include "retire.h"
#include "slot.h"
#include "wait.h"

enum {
    REAP_EVERY_MS = 100,
    SWEEP_EVERY = 16,    /* insertions of a thread */
    SWEEP_VISITS = 1024, /* entries looked at then, when the table fills up */
    MAKE_ROOM_TRIES = 16,
    SWEEP_FULL = 8192, /* and when it is full */
    CLOCK_STEP_MS = 4, /* how far the coarse clock moves on before the true one is read again */
};

/* CLOCK_BOOTTIME by way of the coarse clock, which is five times cheaper. A machine that was
 * suspended is noticed within CLOCK_STEP_MS of running again. */
static uint64_t now_boot(struct thread *self) {
    uint64_t coarse = clock_coarse();
    if (coarse - self->coarse >= CLOCK_STEP_MS) {
        self->boot = clock_boot();
        self->coarse = coarse;
    }
    return self->boot + (coarse - self->coarse);
}

static bool session_valid(void *arg) {
    struct thread *self = arg;
    /* acquire: shares stored before the session was extended are seen with it */
    uint64_t end =
        atomic_load_explicit(&self->handle->segment.header->session_end, memory_order_acquire);
    return end == UINT64_MAX || (end != 0 && now_boot(self) < end);
}

/* relaxed load and store, not an atomic add: the line is ours already, and a statistic that may
 * miss a few is worth less than the nanoseconds of a locked instruction */
static void count_one(_Atomic uint64_t *statistic) {
    atomic_store_explicit(statistic, atomic_load_explicit(statistic, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void note_peak(struct counter *counter, uint32_t count) {
    if (count > atomic_load_explicit(&counter->peak, memory_order_relaxed)) {
        atomic_store_explicit(&counter->peak, count, memory_order_relaxed);
    }
}

static void note_refusal(slotshare *handle, struct counter *counter) {
    count_one(&counter->refusals);
    struct header *header = handle->segment.header;
    if (atomic_load_explicit(&header->clustered, memory_order_relaxed)) {
        counter_want(&handle->segment, (uint32_t)(counter - handle->segment.counters));
        if (atomic_load_explicit(&header->doorbell, memory_order_relaxed) == 0) {
            doorbell_ring(header);
        }
    }
}

/* Is anybody's dead slot in the way? At most every REAP_EVERY_MS, over all processes. */
static bool healed(slotshare *handle) {
    return handle_reap(handle, REAP_EVERY_MS) > 0;
}

static bool closed(const slotshare *handle) {
    /* acquire: pairs with the store by whoever found the file removed */
    return atomic_load_explicit(&handle->segment.header->closed, memory_order_acquire) != 0;
}

static int take_once(slotshare *handle, struct thread *self, slotshare_counter counter,
                     uint32_t slot, slotshare_slot *out) {
    struct counter *entry = &handle->segment.counters[counter.index];
    uint32_t count;
    int result = slot_take(&handle->segment, self->owner, entry, counter.generation, slot,
                           session_valid, self, &count, &out->tag);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    atomic_store_explicit(&handle->segment.slots[slot].since, clock_coarse(), memory_order_relaxed);
    count_one(&entry->takes);
    note_peak(entry, count);
    out->record = slot;
    return SLOTSHARE_OK;
}

/* acquire: shares that were set up before the gate opened for this rule set are seen with it */
static bool gate_open(const slotshare *handle, slotshare_counter counter) {
    return counter.rules ==
               atomic_load_explicit(&handle->segment.header->gate, memory_order_acquire) &&
           counter.index < handle->segment.counter_max;
}

static int gate_reason(const slotshare *handle, slotshare_counter counter) {
    if (closed(handle)) {
        return SLOTSHARE_EGONE;
    }
    return counter.index < handle->segment.counter_max ? SLOTSHARE_ESTALE : SLOTSHARE_EINVAL;
}

/* A try and, when it is refused, one more if the dead made room. wait: the caller will count a
 * refusal only once for its whole wait. */
static int take(slotshare *handle, struct thread *self, slotshare_counter counter,
                slotshare_slot *out) {
    if (!gate_open(handle, counter)) {
        return gate_reason(handle, counter);
    }
    uint32_t slot = handle_slot(handle, self);
    if (slot == UINT32_MAX) {
        (void)handle_reap(handle, 0); /* the dead may have had records, with or without slots */
        slot = handle_slot(handle, self);
    }
    if (slot == UINT32_MAX) {
        return SLOTSHARE_ESLOTS;
    }
    int result = take_once(handle, self, counter, slot, out);
    if (result == SLOTSHARE_FULL && healed(handle)) {
        result = take_once(handle, self, counter, slot, out);
    }
    if (result != SLOTSHARE_OK) {
        handle_slot_free(handle, self, slot);
    }
    return result;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static uint64_t until(uint64_t deadline) {
    uint64_t now = clock_boot();
    return now < deadline ? deadline - now : 0;
}

/* relaxed: an order to look again, not to take */
static bool has_room(const struct counter *counter) {
    uint64_t word = atomic_load_explicit(&counter->word, memory_order_relaxed);
    return word_count(word) < cap_share(atomic_load_explicit(&counter->cap, memory_order_relaxed));
}

static int wait_for(slotshare *handle, struct thread *self, slotshare_counter counter,
                    slotshare_slot *out, uint64_t deadline) {
    struct counter *entry = &handle->segment.counters[counter.index];
    struct owner *owner = &handle->segment.owners[self->owner];
    int result = SLOTSHARE_FULL;
    bool slept = false;
    /* relaxed: read by the bridge, which counts who waits, and by a reaper */
    atomic_store_explicit(&owner->waiting, counter.index + 1, memory_order_relaxed);
    note_refusal(handle, entry);
    while (result == SLOTSHARE_FULL) {
        uint32_t value = wait_prepare(entry);
        result = take(handle, self, counter, out);
        uint64_t left = until(deadline);
        if (result != SLOTSHARE_FULL || left == 0) {
            break;
        }
        /* Never longer than a reaping interval: on a host without a bridge the waiters are those
         * who notice the dead. */
        wait_sleep(entry, value, left < REAP_EVERY_MS ? left : REAP_EVERY_MS);
        slept = true;
    }
    atomic_store_explicit(&owner->waiting, NONE, memory_order_relaxed);
    /* Pass the wake-up on: when it may have been meant for us and is lost with our leaving, and
     * when there is more room, because whoever gave back between our waking and our taking has
     * found nobody asleep and woken nobody. */
    if (result == SLOTSHARE_OK ? has_room(entry) : slept) {
        wait_wake_one(entry);
    }
    return result;
}

/* ---- the public calls ------------------------------------------------------------------------ */

int slotshare_counter_acquire_wait(slotshare *handle, slotshare_counter counter,
                                   slotshare_slot *slot, int timeout_ms) {
    struct thread *self;
    if (!handle || !slot) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    result = take(handle, self, counter, slot);
    if (result == SLOTSHARE_FULL) {
        if (timeout_ms == 0) {
            note_refusal(handle, &handle->segment.counters[counter.index]);
        } else {
            uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_boot() + (uint64_t)timeout_ms;
            result = wait_for(handle, self, counter, slot, deadline);
        }
    }
    return result;
}

int slotshare_counter_acquire(slotshare *handle, slotshare_counter counter, slotshare_slot *slot) {
    return slotshare_counter_acquire_wait(handle, counter, slot, 0);
}

/* A name that is new. The table makes room for it, if there are counters that nobody uses. */
static int insert(slotshare *handle, struct thread *self, const struct ruleset_match *match,
                  slotshare_counter *counter) {
    const struct segment *segment = &handle->segment;
    struct counter_setup setup;
    int result = resolve_setup(segment, match, counter->rules, &setup);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    /* Enough that the last eighth of the table is not filled before the hand has gone round. */
    if (self->inserted++ % SWEEP_EVERY == 0 && retire_wanted(segment)) {
        (void)retire_pass(handle, self->owner, SWEEP_VISITS);
    }
    for (int tries = 0; tries < MAKE_ROOM_TRIES; tries++) {
        result = counter_insert(segment, self->owner, match->counter, match->length, &setup,
                                &counter->index, &counter->generation);
        /* What is made here others may fill at once: more than one try. */
        if (result != SLOTSHARE_ECOUNTERS ||
            (retire_pass(handle, self->owner, SWEEP_FULL) == 0 && !grow_counters(handle))) {
            break;
        }
    }
    return result;
}

int slotshare_counter_find(slotshare *handle, const struct slotshare_connection *connection,
                           slotshare_counter *counter) {
    struct thread *self;
    if (!handle || !connection || !counter) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    if (closed(handle)) {
        return SLOTSHARE_EGONE;
    }
    struct ruleset_match match;
    result = resolve_connection(&handle->segment, connection, &match, &counter->rules);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    result = counter_find(&handle->segment, match.counter, match.length, &counter->index,
                          &counter->generation);
    if (result != SLOTSHARE_FULL) {
        return result;
    }
    return insert(handle, self, &match, counter);
}

int slotshare_acquire_wait(slotshare *handle, const struct slotshare_connection *connection,
                           slotshare_slot *slot, int timeout_ms) {
    if (!slot) {
        return SLOTSHARE_EINVAL;
    }
    uint64_t deadline = timeout_ms > 0 ? clock_boot() + (uint64_t)timeout_ms : 0;
    for (;;) {
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
}

int slotshare_acquire(slotshare *handle, const struct slotshare_connection *connection,
                      slotshare_slot *slot) {
    return slotshare_acquire_wait(handle, connection, slot, 0);
}

/* Only slot records of this very process: a copied handle of another one's would miscount. */
static bool is_own(const slotshare *handle, uint64_t record) {
    const struct segment *segment = &handle->segment;
    if (record >= segment->slot_count || !handle->leader) {
        return false;
    }
    uint64_t state =
        atomic_load_explicit(&segment->owners[handle->leader].state, memory_order_relaxed);
    return atomic_load_explicit(&segment->chunks[record / SLOTS_PER_CHUNK], memory_order_relaxed) ==
           state;
}

/* The C library knows whether this process has ever had a second thread. */
static bool only_thread(void) {
#if SLOTSHARE_KNOWS_THREADS
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}

int slotshare_release(slotshare *handle, slotshare_slot slot) {
    struct thread *self;
    if (!handle) {
        return SLOTSHARE_EINVAL;
    }
    int result = handle_thread(handle, &self);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    if (!is_own(handle, slot.record)) {
        return SLOTSHARE_ESTALE;
    }
    struct counter *counter;
    result = slot_give(&handle->segment, self->owner, (uint32_t)slot.record, slot.tag,
                       only_thread(), &counter);
    if (result == SLOTSHARE_OK) {
        handle_slot_free(handle, self, (uint32_t)slot.record);
        wait_wake_one(counter);
    }
    return result;
}
