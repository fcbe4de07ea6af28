/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_WAIT_H
#define SLOTSHARE_SHM_WAIT_H
/**
 * Sleeping until a slot of a counter is given back. Its `wait` word is a futex: WAIT_SLEEPERS says
 * that somebody may sleep on it, WAIT_QUEUES that a queue (queue.c) wants to know, WAIT_BRIDGE that
 * the bridge wants to know because more is in use than the share; the rest counts wake-ups.
 *
 * No wake-up is lost: a waiter sets its bit and then looks at the count once more; a give-back
 * lowers the count and then looks at the bits; both in sequentially consistent order, so at least
 * one of them sees the other. A wake-up wakes the one that has slept longest and clears the bits;
 * whoever has been woken sets its bit again, because others may still sleep, and when it leaves
 * with a slot while there is room for more it wakes the next. If that one is killed, its reaper
 * wakes all.
 *
 * Nobody starves: whoever has been woken and was too late, because somebody who did not wait was
 * faster, claims the next turn for those who wait (wait_insist). The claim ends by the clock, so a
 * waiter that is stopped or killed holds nobody up for longer than INSIST_MS.
 */
#include "segment.h"

enum { WAIT_SLEEPERS = 1, WAIT_QUEUES = 2, WAIT_BRIDGE = 4, WAIT_STEP = 8 };
enum { WAIT_ALL = WAIT_SLEEPERS | WAIT_QUEUES | WAIT_BRIDGE };

/** Say that the caller is going to sleep. @return the value to pass to wait_sleep(). Look at the
 * counter between the two. */
uint32_t wait_prepare(struct counter *counter);

/** Sleep until woken, or until timeout_ms have passed, or not at all if the value has changed. */
void wait_sleep(struct counter *counter, uint32_t value, uint64_t timeout_ms);

/** Say that a queue of this process wants to know of a give-back. Look at the counter after it. */
void wait_watch(struct counter *counter);

/** Say that the bridge wants to know of a give-back. Look at the counter after it. */
void wait_watch_drain(struct counter *counter);

/** Wake all that wait for this counter. */
void wait_wake_all(const struct segment *segment, struct counter *counter);

/** A slot was given back: wake one. No system call when nobody waits. */
void wait_wake_slow(const struct segment *segment, struct counter *counter);
static inline void wait_wake_one(const struct segment *segment, struct counter *counter) {
    /* seq_cst: see above */
    if (atomic_load_explicit(&counter->wait, memory_order_seq_cst) & WAIT_ALL) {
        wait_wake_slow(segment, counter);
    }
}

/** The next turn is for those who wait; and: the caller has had it, or waits no longer. Others who
 * still wait insist again when they are too late again. */
void wait_insist(struct counter *counter);
void wait_content(struct counter *counter);

/** Has somebody insisted? For takes that have not waited. wait_yields(): perhaps. */
bool wait_must_yield_slow(struct counter *counter, uint32_t until);
static inline uint32_t wait_yields(const struct counter *counter) {
    /* relaxed: a hint about order, nothing depends on it */
    return atomic_load_explicit(&counter->yield, memory_order_relaxed);
}
static inline bool wait_must_yield(struct counter *counter) {
    uint32_t until = wait_yields(counter);
    return until != 0 && wait_must_yield_slow(counter, until);
}

/** The futex that the queues' threads of all processes sleep on. */
void queues_ring(struct header *header);
void queues_sleep(struct header *header, uint32_t value, uint64_t timeout_ms);

/** The bridge's doorbell. doorbell_sleep(): true when it rang. */
void doorbell_ring(struct header *header);
bool doorbell_sleep(struct header *header, int timeout_ms);

#endif
