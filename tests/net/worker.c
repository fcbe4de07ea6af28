/* SPDX-License-Identifier: MIT */
/* A worker process of a node: many threads, each of which takes a slot, holds it for a while and
 * gives it back, as long as its node's demand asks for that many. What was held goes down in the
 * history.
 *
 * Usage: net_worker HISTORY DIRECTORY SEGMENT NODE INSTANCE PLACE
 * Ends when the history says so, or with its parent.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <slotshare/slotshare.h>

#include "history.h"

enum {
    LOOK_NS = 10 * 1000 * 1000, /* at what is wanted */
    WAIT_MS = 200,              /* for a slot, before it looks again whether it is wanted */
    NAP_NS = 50 * 1000 * 1000,
};

struct worker {
    struct history *history;
    slotshare *segment;
    uint32_t node, instance, place;
    struct thread *thread[COUNTERS]; /* as many as the history says */
    /* By lock, what the threads go by: the watcher's copies, so that it knows whom to wake. */
    pthread_mutex_t lock;
    _Atomic uint32_t demand[COUNTERS];
    atomic_bool stop;
};

struct thread {
    struct worker *worker;
    uint32_t counter;
    uint32_t rank; /* among all threads of this counter on the node: at work if below the demand */
    uint32_t random;
    pthread_cond_t changed; /* whether it is at work, or stop */
};

static void nap(uint64_t ns) {
    (void)nanosleep(&(struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}, NULL);
}

static _Noreturn void broken(struct worker *worker, const char *what) {
    (void)fprintf(stderr, "worker of node %u: %s\n", worker->node, what);
    atomic_store(&worker->history->broken, 1);
    _Exit(1);
}

static bool stopped(const struct worker *worker) {
    return atomic_load(&worker->stop);
}

static bool at_work(const struct thread *thread) {
    return thread->rank < atomic_load(&thread->worker->demand[thread->counter]);
}

/* As long as it stays at work, or at rest; without a look now and then, which two hundred threads
 * of a host would take from the bridges, just when these are measured. */
static void stay(struct thread *thread, bool working) {
    struct worker *worker = thread->worker;
    (void)pthread_mutex_lock(&worker->lock);
    while (at_work(thread) == working && !stopped(worker))
        (void)pthread_cond_wait(&thread->changed, &worker->lock);
    (void)pthread_mutex_unlock(&worker->lock);
}

static struct lane *new_lane(const struct thread *thread) {
    struct worker *worker = thread->worker;
    uint32_t at = atomic_fetch_add(&worker->history->lanes, 1);
    if (at >= LANES)
        broken(worker, "no room for one more thread in the history");
    struct lane *lane = &worker->history->lane[at];
    lane->place = worker->place;
    lane->counter = thread->counter;
    return lane;
}

/* The slot is held from before `taken` until after `given`. */
static void hold(struct thread *thread, struct lane *lane, uint64_t asked, slotshare_slot slot) {
    struct worker *worker = thread->worker;
    uint32_t count = atomic_load(&lane->count);
    if (count == RECORDS)
        broken(worker, "no room for one more slot in the history");
    struct slot_time *record = &lane->slot[count];
    uint64_t now = history_now();
    atomic_store(&record->asked, asked);
    atomic_store(&record->taken, now);
    atomic_store(&lane->count, count + 1);
    /* 0: as long as it is wanted */
    uint64_t mean = 1000u * (uint64_t)atomic_load(&worker->history->hold_us[thread->counter]);
    thread->random = thread->random * 1664525u + 1013904223u;
    uint64_t end = now + mean / 2 + mean * (thread->random >> 8) / (1u << 24);
    if (mean == 0)
        stay(thread, true);
    for (; mean != 0 && now < end && !stopped(worker); now = history_now())
        nap(end - now < NAP_NS ? end - now : NAP_NS);
    atomic_store(&record->given, history_now());
    if (slotshare_release(worker->segment, slot) != SLOTSHARE_OK)
        broken(worker, "a slot that it held could not be given back");
}

static void *work(void *arg) {
    struct thread *thread = arg;
    struct worker *worker = thread->worker;
    char host[64];
    struct lane *lane = NULL;
    uint64_t asked = 0;

    (void)snprintf(host, sizeof host, "c%u.example.com", thread->counter);
    struct slotshare_connection to = {"bulk", "example.com", host};
    while (!stopped(worker)) {
        slotshare_slot slot;
        if (!at_work(thread)) {
            asked = 0;
            stay(thread, false);
            continue;
        }
        int result = slotshare_acquire(worker->segment, &to, &slot);
        if (result == SLOTSHARE_FULL) {
            asked = asked != 0 ? asked : history_now();
            result = slotshare_acquire_wait(worker->segment, &to, &slot, WAIT_MS);
        }
        if (result < 0)
            broken(worker, slotshare_strerror(result));
        if (result == SLOTSHARE_OK) {
            lane = lane != NULL ? lane : new_lane(thread);
            hold(thread, lane, asked, slot);
            asked = 0;
        }
    }
    return NULL;
}

static void start(struct worker *worker, struct thread *thread, uint32_t counter, uint32_t number) {
    const struct history *history = worker->history;
    pthread_attr_t attributes;
    pthread_t id;

    *thread = (struct thread){.worker = worker,
                              .counter = counter,
                              .rank = number * history->instances + worker->instance,
                              .random = worker->place * 7919u + counter * 104729u + number,
                              .changed = PTHREAD_COND_INITIALIZER};
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, (size_t)128 * 1024);
    if (pthread_create(&id, &attributes, work, thread) != 0)
        broken(worker, "cannot start a thread");
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_detach(id);
}

static void start_all(struct worker *worker) {
    const struct history *history = worker->history;
    for (uint32_t counter = 0; history != NULL && counter < history->counters; counter++) {
        struct thread *threads = calloc((size_t)history->threads[counter] + 1, sizeof *threads);
        if (threads == NULL)
            broken(worker, "out of memory");
        worker->thread[counter] = threads;
        for (uint32_t i = 0; i < history->threads[counter]; i++)
            start(worker, &threads[i], counter, i);
    }
}

/* Wake whom a counter's new demand, or the end, concerns, and nobody else. */
static void follow(struct worker *worker, uint32_t counter, uint32_t wanted) {
    const uint32_t before = atomic_exchange(&worker->demand[counter], wanted);
    for (uint32_t i = 0; i < worker->history->threads[counter]; i++) {
        struct thread *thread = &worker->thread[counter][i];
        if ((thread->rank < before) != (thread->rank < wanted) || stopped(worker))
            (void)pthread_cond_signal(&thread->changed);
    }
}

static void watch(struct worker *worker) {
    const struct history *history = worker->history;
    while (history != NULL && !stopped(worker)) {
        nap(LOOK_NS);
        /* The threads look under this lock before they sleep: none is missed. */
        (void)pthread_mutex_lock(&worker->lock);
        atomic_store(&worker->stop, atomic_load(&history->stop) != 0);
        for (uint32_t i = 0; i < history->counters; i++)
            follow(worker, i, atomic_load(&history->demand[worker->node][i]));
        (void)pthread_mutex_unlock(&worker->lock);
    }
}

int main(int argc, char **argv) {
    static struct worker worker = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char error[1024] = "";

    if (argc != 7)
        return 2;
    worker.history = history_map(argv[1]);
    worker.node = (uint32_t)strtoul(argv[4], NULL, 10);
    worker.instance = (uint32_t)strtoul(argv[5], NULL, 10);
    worker.place = (uint32_t)strtoul(argv[6], NULL, 10);
    if (worker.history == NULL || worker.node >= NODES || worker.place >= PLACES)
        return 2;
    options.directory = argv[2];
    options.error = error;
    options.error_size = sizeof error;
    if (slotshare_open(&worker.segment, argv[3], &options) != SLOTSHARE_OK) {
        (void)fprintf(stderr, "%s\n", error);
        broken(&worker, "cannot open its segment");
    }
    start_all(&worker);
    watch(&worker);
    /* Whoever waits for a slot does so for WAIT_MS at most; what is held is given back at once. */
    nap((uint64_t)2 * WAIT_MS * 1000000);
    slotshare_close(worker.segment);
    return 0;
}
