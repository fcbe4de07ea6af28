/* SPDX-License-Identifier: MIT */
/* Taking a slot, once, and giving it back: the hot path. */
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define SLOTSHARE_KNOWS_THREADS 1
#else
#define SLOTSHARE_KNOWS_THREADS 0
#endif

#include "counter.h"
#include "handle.h"
#include "hot.h"
#include "slot.h"
#include "take.h"
#include "wait.h"

enum {
    CLOCK_STEP_MS = 4, /* how far the coarse clock goes before the true one is read again */
    RAPID = 16,        /* refusals within one tick of the clock: the thread asks over and over */
};

/* CLOCK_BOOTTIME by way of the coarse clock, which is five times cheaper. A machine that was
 * suspended is noticed within CLOCK_STEP_MS of running again. */
static uint64_t now_boot(struct thread *self) {
    uint64_t coarse = clock_coarse();
    self->latest = coarse;
    if (UNLIKELY(coarse - self->coarse >= CLOCK_STEP_MS)) {
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

COLD static void tell_bridge(const struct segment *segment, uint32_t index) {
    counter_want(segment, index);
    if (atomic_load_explicit(&segment->header->doorbell, memory_order_relaxed) == 0) {
        doorbell_ring(segment->header);
    }
}

void take_refused(slotshare *handle, uint32_t index) {
    struct header *header = handle->segment.header;
    count_one(&handle->segment.counters[index].refusals);
    if (atomic_load_explicit(&header->clustered, memory_order_relaxed)) {
        tell_bridge(&handle->segment, index);
    }
}

/* Is anybody's dead slot in the way? At most every REAP_EVERY_MS, over all processes. Whoever was
 * refused so often within one tick of the clock that it asks again at once looks at the clock with
 * each RAPID-th refusal only; so the dead are found at most that many refusals later. */
static bool healed(slotshare *handle, struct thread *self) {
    if (self->unlooked > 0) {
        self->unlooked--;
        return false;
    }
    uint64_t now = clock_coarse();
    self->rapid = now == self->refused ? self->rapid + 1 : 0;
    self->refused = now;
    self->unlooked = self->rapid >= RAPID ? RAPID - 1 : 0;
    /* relaxed: only a look whether it is worth a call */
    uint64_t last = atomic_load_explicit(&handle->segment.header->reaped, memory_order_relaxed);
    return (now - last >= REAP_EVERY_MS) && handle_reap(handle, REAP_EVERY_MS) > 0;
}

static int take_once(slotshare *handle, struct thread *self, slotshare_counter counter,
                     uint32_t slot, slotshare_slot *out) {
    struct counter *entry = &handle->segment.counters[counter.index];
    uint32_t count;
    self->latest = 0;
    int result = slot_take(&handle->segment, self->owner, entry, counter.generation, slot,
                           session_valid, self, &count, &out->tag);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    atomic_store_explicit(&handle->segment.slots[slot].since,
                          self->latest ? self->latest : clock_coarse(), memory_order_relaxed);
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

/* Why the gate is shut. It may also be that a rule set comes into force just now: the gate follows
 * it, and if the process between the two dies, it follows later. */
COLD static int gate_reason(const slotshare *handle, slotshare_counter counter) {
    if (take_closed(handle)) {
        return SLOTSHARE_EGONE;
    }
    if (counter.index >= handle->segment.counter_max) {
        return SLOTSHARE_EINVAL;
    }
    return counter.rules ==
                   atomic_load_explicit(&handle->segment.header->rules, memory_order_acquire)
               ? SLOTSHARE_OK
               : SLOTSHARE_ESTALE;
}

/* The dead may have had slot records, with or without slots. */
COLD static uint32_t slot_of_the_dead(slotshare *handle, struct thread *self) {
    (void)handle_reap(handle, 0);
    return handle_slot(handle, self);
}

COLD static int try_again(slotshare *handle, struct thread *self, slotshare_counter counter,
                          slotshare_slot *out) {
    uint32_t slot = handle_slot(handle, self);
    int result =
        slot == UINT32_MAX ? SLOTSHARE_ESLOTS : take_once(handle, self, counter, slot, out);
    if (result != SLOTSHARE_OK && slot != UINT32_MAX) {
        handle_slot_free(handle, self, slot);
    }
    return result;
}

int take_try(slotshare *handle, struct thread *self, slotshare_counter counter, bool queued,
             slotshare_slot *out) {
    if (!gate_open(handle, counter)) {
        int why = gate_reason(handle, counter);
        if (why != SLOTSHARE_OK) {
            return why;
        }
    }
    if (!queued && wait_must_yield(&handle->segment.counters[counter.index])) {
        return SLOTSHARE_FULL;
    }
    if (queued) {
        self->unlooked = 0; /* it has slept since */
    }
    uint32_t slot = handle_slot(handle, self);
    if (UNLIKELY(slot == UINT32_MAX)) {
        slot = slot_of_the_dead(handle, self);
        if (slot == UINT32_MAX) {
            return SLOTSHARE_ESLOTS;
        }
    }
    int result = take_once(handle, self, counter, slot, out);
    if (LIKELY(result == SLOTSHARE_OK)) {
        return result;
    }
    handle_slot_free(handle, self, slot);
    return result == SLOTSHARE_FULL && healed(handle, self) ? try_again(handle, self, counter, out)
                                                            : result;
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

HOT int slotshare_release(slotshare *handle, slotshare_slot slot) {
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
        wait_wake_one(&handle->segment, counter);
    }
    return result;
}
