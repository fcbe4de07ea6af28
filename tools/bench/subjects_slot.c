/* SPDX-License-Identifier: MIT */
/* Slots, taken and given back through the public API. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

#include "bench.h"

struct state {
    slotshare *handle;
    slotshare_counter counter;
    slotshare_slot held;
    struct slotshare_connection connection;
};

static void *start(struct bench *bench, const struct subject *subject, unsigned worker) {
    (void)worker;
    struct state *state = calloc(1, sizeof *state);
    if (!state) {
        (void)bench_fail(bench, "no memory");
        return NULL;
    }
    state->connection.host = subject->host;
    state->handle = segment_open(bench, subject->segment);
    int result = state->handle
                     ? slotshare_counter_find(state->handle, &state->connection, &state->counter)
                     : SLOTSHARE_ENOSEGMENT;
    if (result != SLOTSHARE_OK) {
        if (state->handle) {
            (void)bench_fail(bench, "%s: %s", subject->name, slotshare_strerror(result));
        }
        slotshare_close(state->handle);
        free(state);
        return NULL;
    }
    return state;
}

static void stop(void *state) {
    struct state *self = state;
    slotshare_close(self->handle);
    free(self);
}

static int run_handle(void *state, uint32_t times) {
    struct state *self = state;
    for (uint32_t i = 0; i < times; i++) {
        slotshare_slot slot;
        int result = slotshare_counter_acquire(self->handle, self->counter, &slot);
        if (result == SLOTSHARE_OK) {
            result = slotshare_release(self->handle, slot);
        }
        if (result != SLOTSHARE_OK) {
            return result;
        }
    }
    return 0;
}

static int run_name(void *state, uint32_t times) {
    struct state *self = state;
    for (uint32_t i = 0; i < times; i++) {
        slotshare_slot slot;
        int result = slotshare_acquire(self->handle, &self->connection, &slot);
        if (result == SLOTSHARE_OK) {
            result = slotshare_release(self->handle, slot);
        }
        if (result != SLOTSHARE_OK) {
            return result;
        }
    }
    return 0;
}

/* ---- with a second thread -------------------------------------------------------------------- */

static void *idle(void *arg) {
    for (;;) {
        (void)pause();
    }
    return arg;
}

static void *start_threaded(struct bench *bench, const struct subject *subject, unsigned worker) {
    pthread_t thread;
    void *state = start(bench, subject, worker);
    if (state && pthread_create(&thread, NULL, idle, NULL) != 0) {
        stop(state);
        (void)bench_fail(bench, "cannot start a thread");
        return NULL;
    }
    return state;
}

/* ---- refused --------------------------------------------------------------------------------- */

static void *start_refusal(struct bench *bench, const struct subject *subject, unsigned worker) {
    struct state *state = start(bench, subject, worker);
    if (state &&
        slotshare_counter_acquire(state->handle, state->counter, &state->held) != SLOTSHARE_OK) {
        stop(state);
        (void)bench_fail(bench, "%s: the only slot is not free", subject->name);
        return NULL;
    }
    return state;
}

static int run_refusal(void *state, uint32_t times) {
    struct state *self = state;
    for (uint32_t i = 0; i < times; i++) {
        slotshare_slot slot;
        int result = slotshare_counter_acquire(self->handle, self->counter, &slot);
        if (result != SLOTSHARE_FULL) {
            return result == SLOTSHARE_OK ? SLOTSHARE_EDAMAGED : result;
        }
    }
    return 0;
}

const struct subject subject_handle = {
    .name = "slotshare", .start = start, .run = run_handle, .stop = stop, .batch = 2000};
const struct subject subject_threaded = {.name = "slotshare, a process with two threads",
                                         .start = start_threaded,
                                         .run = run_handle,
                                         .stop = stop,
                                         .batch = 2000};
const struct subject subject_name = {
    .name = "slotshare, by name", .start = start, .run = run_name, .stop = stop, .batch = 500};
const struct subject subject_refusal = {.name = "slotshare, refused",
                                        .start = start_refusal,
                                        .run = run_refusal,
                                        .stop = stop,
                                        .batch = 5000};
