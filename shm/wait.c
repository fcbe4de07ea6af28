/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "counter.h"
#include "hot.h"

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static struct timespec to_timespec(uint64_t ms) {
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

uint32_t wait_prepare(struct counter *counter) {
    uint32_t value = atomic_fetch_or_explicit(&counter->wait, WAIT_SLEEPERS, memory_order_seq_cst) |
                     WAIT_SLEEPERS;
    /* The caller now looks at the count, by an acquire load, which must not come before. */
    atomic_thread_fence(memory_order_seq_cst);
    return value;
}

void wait_watch(struct counter *counter) {
    atomic_fetch_or_explicit(&counter->wait, WAIT_QUEUES, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst); /* as above */
}

void wait_watch_drain(struct counter *counter) {
    atomic_fetch_or_explicit(&counter->wait, WAIT_BRIDGE, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst); /* as above */
}

void wait_sleep(struct counter *counter, uint32_t value, uint64_t timeout_ms) {
    struct timespec timeout = to_timespec(timeout_ms);
    (void)futex(&counter->wait, FUTEX_WAIT, value, &timeout);
}

/* @return the bits that were set; this caller is the one to wake for them. */
static uint32_t clear_bits(struct counter *counter) {
    uint32_t value = atomic_load_explicit(&counter->wait, memory_order_relaxed);
    uint32_t bits;
    do {
        bits = value & WAIT_ALL;
        /* seq_cst: ordered before the sleeper's next look at the count */
    } while (bits && !atomic_compare_exchange_weak_explicit(
                         &counter->wait, &value, value - bits + WAIT_STEP, memory_order_seq_cst,
                         memory_order_relaxed));
    return bits;
}

static void tell_bridge(const struct segment *segment, const struct counter *counter,
                        uint32_t bits) {
    if (bits & WAIT_BRIDGE) {
        counter_want(segment, (uint32_t)(counter - segment->counters));
        doorbell_ring(segment->header);
    }
}

COLD void wait_wake_slow(const struct segment *segment, struct counter *counter) {
    uint32_t bits = clear_bits(counter);
    if (bits & WAIT_SLEEPERS) {
        (void)futex(&counter->wait, FUTEX_WAKE, 1, NULL);
    }
    if (bits & WAIT_QUEUES) {
        queues_ring(segment->header);
    }
    tell_bridge(segment, counter, bits);
}

void wait_wake_all(const struct segment *segment, struct counter *counter) {
    /* Whoever sleeps while the bit is clear has one before it that was woken and will set it again,
     * or was killed; so sleepers are woken without a look at the bit. */
    uint32_t bits = clear_bits(counter);
    if (bits & WAIT_QUEUES) {
        queues_ring(segment->header);
    }
    tell_bridge(segment, counter, bits);
    (void)futex(&counter->wait, FUTEX_WAKE, INT_MAX, NULL);
}

enum { INSIST_MS = 50 };

void wait_insist(struct counter *counter) {
    uint32_t until = (uint32_t)clock_coarse() + INSIST_MS;
    atomic_store_explicit(&counter->yield, until ? until : 1, memory_order_relaxed);
}

void wait_content(struct counter *counter) {
    atomic_store_explicit(&counter->yield, 0, memory_order_relaxed);
}

COLD bool wait_must_yield_slow(struct counter *counter, uint32_t until) {
    /* Longer than anybody can insist: a claim from many days ago, and the clock has wrapped. */
    uint32_t left = until - (uint32_t)clock_coarse();
    if (left != 0 && left <= INSIST_MS) {
        return true;
    }
    /* Over. If it fails, somebody has insisted anew; then the next take sees that. */
    atomic_compare_exchange_strong_explicit(&counter->yield, &until, 0, memory_order_relaxed,
                                            memory_order_relaxed);
    return false;
}

void queues_ring(struct header *header) {
    /* seq_cst: ordered before the queue's next look at its counters */
    atomic_fetch_add_explicit(&header->queues, 1, memory_order_seq_cst);
    (void)futex(&header->queues, FUTEX_WAKE, INT_MAX, NULL);
}

void queues_sleep(struct header *header, uint32_t value, uint64_t timeout_ms) {
    struct timespec timeout = to_timespec(timeout_ms);
    (void)futex(&header->queues, FUTEX_WAIT, value, &timeout);
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
