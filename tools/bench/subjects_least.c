/* SPDX-License-Identifier: MIT */
/* The least that a slot costs: the words that shm/slot.c stores and replaces so that a process may
 * be killed between any two instructions, and the clock that says since when a slot is held; in a
 * program that checks nothing, knows one counter and one slot, and recovers nothing. */
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

enum { LINE = 128, COUNT_SHIFT = 44, OWNER_SHIFT = 32, WORKERS = 2 };

/* Each in cache lines of its own, as in shm/layout.h. */
struct least_owner {
    alignas(LINE) _Atomic uint64_t announce;
    alignas(LINE) _Atomic uint64_t proof;
    alignas(LINE) _Atomic uint64_t slot, since;
    _Atomic uint32_t counter;
};

struct least {
    alignas(LINE) _Atomic uint64_t word;
    _Atomic uint32_t wait;
    struct least_owner owner[WORKERS];
};

struct state {
    struct least *shared;
    struct least_owner *own;
    uint64_t me; /* as in the word */
};

void *shared_least(struct bench *bench) {
    return shared_memory(bench, sizeof(struct least));
}

static void *start(struct bench *bench, const struct subject *subject, unsigned worker) {
    struct state *state = calloc(1, sizeof *state);
    if (!state || worker >= WORKERS) {
        free(state);
        (void)bench_fail(bench, "%s: no memory, or too many processes", subject->name);
        return NULL;
    }
    state->shared = subject->shared;
    state->own = &state->shared->owner[worker];
    state->me = (uint64_t)(worker + 1) << OWNER_SHIFT;
    return state;
}

static void store(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t announce(const struct state *self, uint32_t what) {
    uint64_t last = atomic_load_explicit(&self->own->announce, memory_order_relaxed);
    uint64_t seq = (last >> 32) + 1;
    store(&self->own->announce, seq << 32 | what);
    return (uint32_t)seq;
}

static void change(const struct state *self, uint64_t difference, uint64_t seq) {
    _Atomic uint64_t *word = &self->shared->word;
    uint64_t mask = (UINT64_C(1) << COUNT_SHIFT) - 1;
    uint64_t old = atomic_load_explicit(word, memory_order_acquire);
    uint64_t new;
    do {
        if (((old ^ self->me) & mask) >> OWNER_SHIFT) {
            store(&self->own->proof, old & mask);
        }
        new = (old & ~mask) + difference + (self->me | seq);
    } while (!atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_seq_cst,
                                                    memory_order_acquire));
}

static void take(const struct state *self) {
    atomic_store_explicit(&self->own->counter, 1, memory_order_relaxed);
    uint64_t seq = announce(self, 1);
    change(self, UINT64_C(1) << COUNT_SHIFT, seq);
    store(&self->own->slot, seq << 32 | 1);
    store(&self->own->announce, seq << 32);
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    store(&self->own->since, (uint64_t)now.tv_sec << 30 | (uint64_t)now.tv_nsec);
}

static bool give(const struct state *self) {
    uint64_t seq = announce(self, 2);
    store(&self->own->slot, seq << 32 | 2);
    change(self, -(UINT64_C(1) << COUNT_SHIFT), seq);
    store(&self->own->slot, seq << 32);
    store(&self->own->announce, seq << 32);
    return atomic_load_explicit(&self->shared->wait, memory_order_seq_cst) == 0;
}

static int run(void *state, uint32_t times) {
    for (uint32_t i = 0; i < times; i++) {
        take(state);
        if (!give(state)) {
            return -1;
        }
    }
    return 0;
}

const struct subject subject_least = {.name = "the same words, nothing else",
                                      .start = start,
                                      .run = run,
                                      .stop = free,
                                      .batch = 2000};
