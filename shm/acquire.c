/* SPDX-License-Identifier: MIT */
/* Taking a slot, once, and giving it back: the hot path. */
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define SLOTSHARE_KNOWS_THREADS 1
#else
#define SLOTSHARE_KNOWS_THREADS 0
#endif

#include "changes.h"
#include "counter.h"
#include "handle.h"
#include "hot.h"
#include "slot.h"
#include "take.h"
#include "view.h"
#include "wait.h"

enum {
    RAPID = 16, /* refusals within one tick of the clock: the thread asks over and over */
};

COLD static void look_at_clock(struct thread *self, uint64_t tick) {
    self->known = clock_boot();
    self->session_tick = tick;
}

/* Is this host's session valid? Asked after the take, see slot_try(). CLOCK_BOOTTIME is read when
 * the coarse clock, which is five times cheaper, has moved on. A machine that was suspended is
 * noticed within a tick of running again. */
static inline bool session_valid(const slotshare *handle, struct thread *self, uint64_t tick) {
    /* acquire: as in slot_try() */
    uint64_t end = atomic_load_explicit(&handle->segment.header->session_end, memory_order_acquire);
    if (UNLIKELY(tick != self->session_tick)) {
        look_at_clock(self, tick);
    }
    return self->known < end;
}

/* relaxed load and store, not an atomic add: the line is ours already, and a statistic that may
 * miss a few is worth less than the nanoseconds of a locked instruction */
static void count_one(_Atomic uint64_t *statistic) {
    atomic_store_explicit(statistic, atomic_load_explicit(statistic, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Takes are counted beside the counter's word. Where others take from the same counter, even that
 * store would cost as much as the take itself; so the thread keeps them to itself until the clock's
 * next tick, when somebody else has changed the word since its own last change. */
static void count_later(slotshare *handle, struct thread *self, uint32_t index, uint64_t tick) {
    if (self->taken_from == index + 1 && self->counted_tick == tick) {
        self->uncounted++;
        return;
    }
    take_count(handle, self);
    count_one(&handle->segment.counters[index].takes);
    self->taken_from = index + 1;
    self->counted_tick = tick;
}

void take_count(slotshare *handle, struct thread *self) {
    if (self->uncounted) {
        _Atomic uint64_t *takes = &handle->segment.counters[self->taken_from - 1].takes;
        atomic_store_explicit(takes,
                              atomic_load_explicit(takes, memory_order_relaxed) + self->uncounted,
                              memory_order_relaxed);
        self->uncounted = 0;
    }
}

COLD static int tell_bridge(const struct segment *segment, uint32_t index) {
    counter_want(segment, index);
    if (atomic_load_explicit(&segment->header->doorbell, memory_order_relaxed) == 0) {
        doorbell_ring(segment->header);
    }
    return SLOTSHARE_FULL;
}

static inline int refuse(slotshare *handle, uint32_t index) {
    struct header *header = handle->segment.header;
    count_one(&handle->segment.counters[index].refusals);
    return atomic_load_explicit(&header->clustered, memory_order_relaxed)
               ? tell_bridge(&handle->segment, index)
               : SLOTSHARE_FULL;
}

void take_refused(slotshare *handle, uint32_t index) {
    (void)refuse(handle, index);
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
    if (now - last < REAP_EVERY_MS) {
        return false;
    }
    bool reaped = handle_reap(handle, REAP_EVERY_MS) > 0;
    return changes_expire(handle, self->owner) || reaped;
}

/* A take that the cap would have refused, had it been one that refuses. As before a refusal, the
 * dead are looked for first: their slots are in nobody's way. */
COLD static void observe(slotshare *handle, struct thread *self, uint32_t index) {
    const struct segment *segment = &handle->segment;
    struct counter *counter = &segment->counters[index];
    if (healed(handle, self)) {
        /* relaxed: for people; what was in use before this take, if nobody else has come */
        uint64_t cap = atomic_load_explicit(&counter->cap, memory_order_relaxed);
        uint64_t word = atomic_load_explicit(&counter->word, memory_order_relaxed);
        if (word_count(word) <= (view_session(segment) ? cap_share(cap) : cap_reserve(cap))) {
            return;
        }
    }
    count_one(&counter->would_refuse);
    /* The shares are dealt as if it had been refused. */
    if (atomic_load_explicit(&segment->header->clustered, memory_order_relaxed)) {
        (void)tell_bridge(segment, index);
    }
}

/* The end of a take that the reserve does not cover, or from a counter that others use.
 * @return SLOTSHARE_OK; as slot_undo() when the session is over. */
__attribute__((noinline)) static int settle(slotshare *handle, struct thread *self,
                                            const slotshare_slot *slot, enum slot_cover cover,
                                            bool shared) {
    struct slot *record = &handle->segment.slots[slot->record];
    uint32_t index = atomic_load_explicit(&record->counter, memory_order_relaxed);
    uint64_t tick = clock_tick();
    if (cover == COVER_LENT && UNLIKELY(!session_valid(handle, self, tick))) {
        /* acquire: as in slot_try(). It may be a later cap than the take's: if that one refuses,
         * giving back is always allowed; if it observes, so is keeping. */
        uint64_t cap =
            atomic_load_explicit(&handle->segment.counters[index].cap, memory_order_acquire);
        if (!(cap & CAP_OBSERVE)) {
            return slot_undo(&handle->segment, self->owner, (uint32_t)slot->record, slot->tag);
        }
        cover = COVER_NOTHING;
    }
    self->stashed--;
    atomic_store_explicit(&record->since, tick, memory_order_relaxed);
    if (shared) {
        count_later(handle, self, index, tick);
    }
    if (UNLIKELY(cover == COVER_NOTHING)) {
        observe(handle, self, index);
    }
    return SLOTSHARE_OK;
}

/* One try, for the slot record on top of the stash. plain and @return: as slot_try(). */
static inline int take_once(slotshare *handle, struct thread *self, slotshare_counter counter,
                            bool plain, slotshare_slot *out) {
    const struct segment *segment = &handle->segment;
    struct counter *entry = &segment->counters[counter.index];
    uint32_t slot = self->stash[self->stashed - 1];
    struct taken taken;
    /* before the take: after it, the line may be another processor's */
    uint32_t peak = plain ? 0 : atomic_load_explicit(&entry->peak, memory_order_relaxed);
    int result = slot_try(segment, self->owner, counter.index, counter.generation, slot,
                          self->known, plain, &taken);
    if (UNLIKELY(result != SLOTSHARE_OK)) {
        return result;
    }
    bool shared = !plain && word_owner(taken.before) != self->owner;
    if (plain) {
        peak = atomic_load_explicit(&entry->peak, memory_order_relaxed);
    }
    if (UNLIKELY(word_count(taken.before) >= peak)) {
        atomic_store_explicit(&entry->peak, word_count(taken.before) + 1, memory_order_relaxed);
    }
    if (!shared) {
        count_one(&entry->takes);
    }
    out->record = slot;
    out->tag = taken.tag;
    if (UNLIKELY(taken.cover || shared)) {
        return settle(handle, self, out, taken.cover, shared);
    }
    self->stashed--;
    atomic_store_explicit(&segment->slots[slot].since, clock_tick(), memory_order_relaxed);
    return SLOTSHARE_OK;
}

/* Until it has succeeded or failed. */
static int take_at(slotshare *handle, struct thread *self, slotshare_counter counter,
                   slotshare_slot *out) {
    int result;
    do {
        result = take_once(handle, self, counter, false, out);
    } while (result == SLOT_AGAIN); /* somebody else has got on: lock-free */
    return result;
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

/* A free slot record on top of the stash, so that take_at() finds it. */
static bool have_slot(slotshare *handle, struct thread *self) {
    if (self->stashed == 0) {
        uint32_t slot = handle_slot_slow(handle, self);
        if (slot == UINT32_MAX) {
            return false;
        }
        handle_slot_free(handle, self, slot);
    }
    return true;
}

/* The dead may have had slot records, with or without slots. */
COLD static bool have_slot_of_the_dead(slotshare *handle, struct thread *self) {
    (void)handle_reap(handle, 0);
    return have_slot(handle, self);
}

/* Nobody waits for such a counter, whatever those who did have left behind. */
COLD static bool observed(const slotshare *handle, uint32_t index) {
    /* relaxed: an order among those who want a slot, not what they may take */
    return (atomic_load_explicit(&handle->segment.counters[index].cap, memory_order_relaxed) &
            CAP_OBSERVE) != 0;
}

int take_try(slotshare *handle, struct thread *self, slotshare_counter counter, bool queued,
             slotshare_slot *out) {
    if (!gate_open(handle, counter)) {
        int why = gate_reason(handle, counter);
        if (why != SLOTSHARE_OK) {
            return why;
        }
    }
    if (!queued && wait_must_yield(&handle->segment.counters[counter.index]) &&
        !observed(handle, counter.index)) {
        return SLOTSHARE_FULL;
    }
    if (queued) {
        self->unlooked = 0; /* it has slept since */
    }
    if (!have_slot(handle, self) && !have_slot_of_the_dead(handle, self)) {
        return SLOTSHARE_ESLOTS;
    }
    int result = take_at(handle, self, counter, out);
    if (result != SLOTSHARE_FULL || !healed(handle, self)) {
        return result;
    }
    /* An override may have ended: then it may be counted elsewhere. */
    if (!gate_open(handle, counter)) {
        int why = gate_reason(handle, counter);
        if (why != SLOTSHARE_OK) {
            return why;
        }
    }
    return take_at(handle, self, counter, out);
}

COLD static int acquire_slowly(slotshare *handle, slotshare_counter counter, slotshare_slot *slot) {
    struct thread *self;
    int result = handle_thread(handle, &self);
    if (result == SLOTSHARE_OK) {
        result = take_try(handle, self, counter, false, slot);
    }
    if (result == SLOTSHARE_FULL) {
        take_refused(handle, counter.index);
    }
    return result;
}

/* Others use the counter. */
__attribute__((noinline)) HOT static int
acquire_shared(slotshare *handle, slotshare_counter counter, slotshare_slot *slot) {
    struct thread *self = handle_cache.thread;
    int result = take_at(handle, self, counter, slot);
    if (result == SLOTSHARE_OK) {
        return result;
    }
    if (result == SLOTSHARE_FULL && self->unlooked > 0) {
        self->unlooked--; /* healed() looks at the clock another time */
        return refuse(handle, counter.index);
    }
    return acquire_slowly(handle, counter, slot);
}

/* What take_try() does when nothing is in the way, and it has changed nothing if anything is. */
HOT int slotshare_counter_acquire(slotshare *handle, slotshare_counter counter,
                                  slotshare_slot *slot) {
    if (UNLIKELY(!handle || !slot)) {
        return SLOTSHARE_EINVAL;
    }
    struct thread *self;
    if (UNLIKELY(!handle_mine(handle, &self) || self->stashed == 0 || !gate_open(handle, counter) ||
                 wait_yields(&handle->segment.counters[counter.index]))) {
        return acquire_slowly(handle, counter, slot);
    }
    int result = take_once(handle, self, counter, true, slot);
    if (LIKELY(result == SLOTSHARE_OK)) {
        return result;
    }
    if (result == SLOTSHARE_FULL && self->unlooked > 0) {
        self->unlooked--;
        return refuse(handle, counter.index);
    }
    return acquire_shared(handle, counter, slot);
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

COLD static int release_slowly(slotshare *handle, slotshare_slot slot) {
    struct thread *self;
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

HOT int slotshare_release(slotshare *handle, slotshare_slot slot) {
    if (UNLIKELY(!handle)) {
        return SLOTSHARE_EINVAL;
    }
    struct thread *self;
    /* What is HELD by this thread's own record was taken by this process: before a record changes
     * hands, all that was taken with it is given back. */
    if (UNLIKELY(!handle_mine(handle, &self) || self->stashed == STASH ||
                 (uint32_t)slot.tag != self->held || slot.record >= handle->segment.slot_count)) {
        return release_slowly(handle, slot);
    }
    struct counter *counter;
    int result = slot_give_plain(&handle->segment, self->owner, (uint32_t)slot.record, slot.tag,
                                 only_thread(), &counter);
    if (LIKELY(result == SLOTSHARE_OK)) {
        self->stash[self->stashed++] = (uint32_t)slot.record;
        wait_wake_one(&handle->segment, counter);
        return result;
    }
    return result == SLOT_AGAIN ? release_slowly(handle, slot) : result;
}
