/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_WAIT_H
#define SLOTSHARE_SHM_WAIT_H
/**
 * Sleeping until a slot of a counter is given back, on a futex in its entry: bit 0 says that
 * somebody may sleep, the rest counts wake-ups.
 *
 * No wake-up is lost: a waiter sets the bit and then looks at the count once more; a give-back
 * lowers the count and then looks at the bit; both in sequentially consistent order, so at least
 * one of them sees the other. A wake-up wakes the one that has slept longest and clears the bit;
 * whoever has been woken sets it again, because others may still sleep, and when it leaves with a
 * slot while there is room for more it wakes the next. If that one is killed, its reaper wakes all.
 */
#include "segment.h"

/** Say that the caller is going to sleep. @return the value to pass to wait_sleep(). Look at the
 * counter between the two. */
uint32_t wait_prepare(struct counter *counter);

/** Sleep until woken, or until timeout_ms have passed, or not at all if the value has changed. */
void wait_sleep(struct counter *counter, uint32_t value, uint64_t timeout_ms);

/** Wake all that wait for this counter. */
void wait_wake_all(struct counter *counter);

/** A slot was given back: wake one. No system call when nobody sleeps. */
void wait_wake_slow(struct counter *counter);
static inline void wait_wake_one(struct counter *counter) {
    /* seq_cst: see above */
    if (atomic_load_explicit(&counter->wait, memory_order_seq_cst) & 1) {
        wait_wake_slow(counter);
    }
}

/** The bridge's doorbell: a futex, too. @return true when it rang. */
void doorbell_ring(struct header *header);
bool doorbell_sleep(struct header *header, int timeout_ms);

#endif
