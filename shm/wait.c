/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static struct timespec to_timespec(uint64_t ms) {
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

uint32_t wait_prepare(struct counter *counter) {
    return atomic_fetch_or_explicit(&counter->wait, 1, memory_order_seq_cst) | 1;
}

void wait_sleep(struct counter *counter, uint32_t value, uint64_t timeout_ms) {
    struct timespec timeout = to_timespec(timeout_ms);
    (void)futex(&counter->wait, FUTEX_WAIT, value, &timeout);
}

static bool clear_bit(struct counter *counter) {
    uint32_t value = atomic_load_explicit(&counter->wait, memory_order_relaxed);
    while (value & 1) {
        /* seq_cst: ordered before the sleeper's next look at the count */
        if (atomic_compare_exchange_weak_explicit(&counter->wait, &value, (value & ~1U) + 2,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
            return true;
        }
    }
    return false; /* another give-back took it on itself to wake */
}

void wait_wake_slow(struct counter *counter) {
    if (clear_bit(counter)) {
        (void)futex(&counter->wait, FUTEX_WAKE, 1, NULL);
    }
}

void wait_wake_all(struct counter *counter) {
    /* Whoever sleeps while the bit is clear has one before it that was woken and will set it again,
     * or was killed; so no look at the bit here. */
    (void)clear_bit(counter);
    (void)futex(&counter->wait, FUTEX_WAKE, INT_MAX, NULL);
}

void doorbell_ring(struct header *header) {
    /* acq_rel: what was marked as wanted is seen by the bridge when it answers */
    if (atomic_exchange_explicit(&header->doorbell, 1, memory_order_acq_rel) == 0) {
        (void)futex(&header->doorbell, FUTEX_WAKE, 1, NULL);
    }
}

bool doorbell_sleep(struct header *header, int timeout_ms) {
    if (atomic_load_explicit(&header->doorbell, memory_order_acquire) == 0) {
        struct timespec timeout = to_timespec(timeout_ms < 0 ? 0 : (uint64_t)timeout_ms);
        (void)futex(&header->doorbell, FUTEX_WAIT, 0, timeout_ms < 0 ? NULL : &timeout);
    }
    return atomic_exchange_explicit(&header->doorbell, 0, memory_order_acq_rel) == 1;
}
