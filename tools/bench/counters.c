/* SPDX-License-Identifier: MIT */
/* Many counters: what the thousandth costs, and what the millionth. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <slotshare/slotshare.h>
#include <slotshare/stat.h>

#include "bench.h"

enum { FEW = 1000, BLOCK = 1000, BLOCKS = 31, BYTES_WANTED = 256, STRIDE = 192 };

static const char limits[] = "[host \"unlisted.example\"]\ncluster_max_outbound_connections = 5\n"
                             "[global]\ncluster_max_outbound_connections = 20\n";

/* ---- subjects: walk all counters in an order that no prefetcher guesses -------------------------
 */

struct state {
    slotshare *handle;
    slotshare_counter *counter;   /* in that order */
    char (*name)[BENCH_NAME_MAX]; /* in the same */
    uint32_t count, at;
};

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void shuffle(uint32_t *order, uint32_t count) {
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(random_next(&random) % (i + 1));
        uint32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static int find(slotshare *handle, const char *host, slotshare_counter *out) {
    const struct slotshare_connection connection = {.host = host, .domain = host};
    return slotshare_counter_find(handle, &connection, out);
}

static void stop(void *state) {
    struct state *self = state;
    if (self) {
        slotshare_close(self->handle);
        free(self->counter);
        free(self->name);
        free(self);
    }
}

static int look_up(struct state *state) {
    uint32_t *order = malloc(state->count * sizeof *order);
    int result = order ? SLOTSHARE_OK : SLOTSHARE_ESYSTEM;
    if (order) {
        shuffle(order, state->count);
    }
    for (uint32_t i = 0; result == SLOTSHARE_OK && i < state->count; i++) {
        /* Found, and so inserted, in another order than they are walked. */
        char *name = state->name[order[i]];
        segment_host_name(name, i);
        result = find(state->handle, name, &state->counter[order[i]]);
    }
    free(order);
    return result;
}

static void *start(struct bench *bench, const struct subject *subject, unsigned worker) {
    (void)worker;
    struct state *state = calloc(1, sizeof *state);
    if (!state) {
        (void)bench_fail(bench, "no memory");
        return NULL;
    }
    state->count = subject->number;
    state->handle = segment_open(bench, subject->segment);
    state->counter = calloc(state->count, sizeof *state->counter);
    state->name = calloc(state->count, sizeof *state->name);
    int result = state->counter && state->name ? SLOTSHARE_OK : SLOTSHARE_ESYSTEM;
    if (state->handle && result == SLOTSHARE_OK) {
        result = look_up(state);
    }
    if (!state->handle || result != SLOTSHARE_OK) {
        if (state->handle) {
            (void)bench_fail(bench, "%s: %s", subject->name, slotshare_strerror(result));
        }
        stop(state);
        return NULL;
    }
    return state;
}

static uint32_t next(struct state *state) {
    state->at = state->at + 1 < state->count ? state->at + 1 : 0;
    return state->at;
}

static int run_handle(void *arg, uint32_t times) {
    struct state *state = arg;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < times; i++) {
        slotshare_slot slot;
        result = slotshare_counter_acquire(state->handle, state->counter[next(state)], &slot);
        if (result == 0) {
            result = slotshare_release(state->handle, slot);
        }
    }
    return result;
}

static int run_name(void *arg, uint32_t times) {
    struct state *state = arg;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < times; i++) {
        const char *name = state->name[next(state)];
        const struct slotshare_connection connection = {.host = name, .domain = name};
        slotshare_slot slot;
        result = slotshare_acquire(state->handle, &connection, &slot);
        if (result == 0) {
            result = slotshare_release(state->handle, slot);
        }
    }
    return result;
}

/* The same walk over bare numbers that lie as far apart: what the machine's memory costs. */
struct bare {
    char *memory;
    uint32_t *order;
    uint32_t count, at;
};

static void *start_bare(struct bench *bench, const struct subject *subject, unsigned worker) {
    (void)worker;
    struct bare *state = calloc(1, sizeof *state);
    uint32_t *order = malloc(subject->number * sizeof *order);
    if (!state || !order) {
        free(state);
        free(order);
        (void)bench_fail(bench, "no memory");
        return NULL;
    }
    shuffle(order, subject->number);
    memset(subject->shared, 0, (size_t)subject->number * STRIDE); /* no page fault later */
    *state = (struct bare){.memory = subject->shared, .order = order, .count = subject->number};
    return state;
}

static int run_bare(void *arg, uint32_t times) {
    struct bare *state = arg;
    for (uint32_t i = 0; i < times; i++) {
        state->at = state->at + 1 < state->count ? state->at + 1 : 0;
        _Atomic uint64_t *counter =
            (_Atomic uint64_t *)(void *)(state->memory + (size_t)state->order[state->at] * STRIDE);
        atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel);
        atomic_fetch_sub_explicit(counter, 1, memory_order_acq_rel);
    }
    return 0;
}

/* Each address depends on what was read before: nothing overlaps. */
static int run_chained(void *arg, uint32_t times) {
    struct bare *state = arg;
    uint64_t zero = 0;
    for (uint32_t i = 0; i < times; i++) {
        state->at = state->at + 1 < state->count ? state->at + 1 : 0;
        size_t place = (size_t)state->order[state->at] * STRIDE + zero;
        _Atomic uint64_t *counter = (_Atomic uint64_t *)(void *)(state->memory + place);
        atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel);
        zero = atomic_fetch_sub_explicit(counter, 1, memory_order_acq_rel) - 1;
    }
    return zero == 0 ? 0 : SLOTSHARE_EDAMAGED;
}

static void stop_bare(void *arg) {
    struct bare *state = arg;
    free(state->order);
    free(state);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static const char few_segment[] = "few";
static const char many_segment[] = "many";

static int add_bytes(struct bench *bench, struct report *report) {
    slotshare *handle = segment_open(bench, many_segment);
    struct slotshare_segment_stat stat;
    int result = handle ? slotshare_stat_segment(handle, &stat) : SLOTSHARE_ENOSEGMENT;
    uint64_t bytes = segment_bytes(bench, many_segment);
    slotshare_close(handle);
    if (result != SLOTSHARE_OK || bytes == 0 || stat.counters_used == 0) {
        return handle ? bench_fail(bench, "%s: %s", many_segment, slotshare_strerror(result)) : -1;
    }
    double each = (double)bytes / stat.counters_used;
    struct result line = {.name = "counters-bytes",
                          .what = "what the segment's file takes, by the counters in it",
                          .unit = "bytes",
                          .processes = 1,
                          .measured = {.value[0] = {each, each, each}, .rounds = 1},
                          .wanted_value = BYTES_WANTED};
    report_add(report, &line);
    return 0;
}

int case_counters(struct bench *bench, struct report *report, const struct bench_case *self) {
    const struct subject slot = {.start = start, .run = run_handle, .stop = stop, .batch = 1000};
    const struct subject named = {.start = start, .run = run_name, .stop = stop, .batch = 500};
    const struct subject bare = {
        .start = start_bare, .run = run_bare, .stop = stop_bare, .batch = 1000};
    const struct subject chained = {
        .start = start_bare, .run = run_chained, .stop = stop_bare, .batch = 1000};
    const struct {
        const char *name, *what;
        const struct subject *subject;
        double wanted;
    } row[] = {
        {"counters-handle", self->what, &slot, 2.0},
        {"counters-name", "by name, at random", &named, 2.0},
        {"counters-bare", "fetch_add and fetch_sub, at random, 192 bytes apart", &bare, 0},
        {"counters-chained", "the same, each address known only after the last", &chained, 0}};
    void *memory = shared_memory(bench, (size_t)bench->counters * STRIDE);
    uint32_t spare = bench->counters + bench->counters / 7; /* no retiring: all are to stay */
    int result = memory && segment_host(bench, few_segment, 2 * FEW, limits) == 0
                     ? segment_host(bench, many_segment, spare, limits)
                     : -1;
    for (size_t i = 0; result == 0 && i < sizeof row / sizeof row[0]; i++) {
        struct subject a = *row[i].subject;
        a.name = row[i].name;
        a.segment = many_segment;
        a.number = bench->counters;
        a.shared = memory;
        struct subject b = a;
        b.name = "the same with 1000 counters";
        b.segment = few_segment;
        b.number = FEW;
        struct result line = {.name = row[i].name,
                              .what = row[i].what,
                              .unit = "ns",
                              .peer = b.name,
                              .processes = 1,
                              .wanted_ratio = row[i].wanted};
        result = measure(bench, &a, &b, 1, &line.measured);
        if (result == 0) {
            report_add(report, &line);
        }
    }
    return result == 0 ? add_bytes(bench, report) : result;
}

/* ---- insertion ------------------------------------------------------------------------------- */

/* Insert `count` counters from number `first` on. @return nanoseconds each; negative: failed. */
static double insert(struct bench *bench, slotshare *handle, uint32_t first, uint32_t count) {
    char name[BLOCK][BENCH_NAME_MAX];
    uint64_t spent = 0;
    for (uint32_t done = 0; done < count;) {
        uint32_t some = count - done < BLOCK ? count - done : BLOCK;
        for (uint32_t i = 0; i < some; i++) {
            segment_host_name(name[i], first + done + i);
        }
        uint64_t start_time = bench_now();
        for (uint32_t i = 0; i < some; i++) {
            slotshare_counter counter;
            int result = find(handle, name[i], &counter);
            if (result != SLOTSHARE_OK) {
                return bench_fail(bench, "insertion of counter %u: %s", first + done + i,
                                  slotshare_strerror(result));
            }
        }
        spent += bench_now() - start_time;
        done += some;
    }
    return (double)spent / count;
}

static double insert_few(struct bench *bench, unsigned round) {
    char name[32];
    (void)snprintf(name, sizeof name, "insertion-%u", round);
    if (segment_host(bench, name, 2 * FEW, limits) != 0) {
        return -1;
    }
    slotshare *handle = segment_open(bench, name);
    double each = handle ? insert(bench, handle, 0, FEW) : -1;
    slotshare_close(handle);
    return each;
}

static int insert_rounds(struct bench *bench, slotshare *handle, struct measurement *out) {
    double value[2][BLOCKS];
    double ratio[BLOCKS];
    uint32_t full = bench->counters - BLOCKS * BLOCK / 20;
    uint32_t block = (bench->counters - full) / BLOCKS;
    if (insert(bench, handle, 0, full) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        value[0][i] = insert(bench, handle, full + i * block, block);
        value[1][i] = insert_few(bench, i);
        if (value[0][i] < 0 || value[1][i] < 0) {
            return -1;
        }
        ratio[i] = value[0][i] / value[1][i];
    }
    *out = (struct measurement){.value = {spread_of(value[0], BLOCKS), spread_of(value[1], BLOCKS)},
                                .ratio = spread_of(ratio, BLOCKS),
                                .rounds = BLOCKS};
    return 0;
}

int case_insertion(struct bench *bench, struct report *report, const struct bench_case *self) {
    static const char segment[] = "insertion";
    struct result line = {.name = self->name,
                          .what = self->what,
                          .unit = "ns",
                          .peer = "the first 1000 of a small table",
                          .processes = 1,
                          .wanted_ratio = 2.0};
    if (segment_host(bench, segment, bench->counters + bench->counters / 7, limits) != 0) {
        return -1;
    }
    slotshare *handle = segment_open(bench, segment);
    int result = handle ? insert_rounds(bench, handle, &line.measured) : -1;
    slotshare_close(handle);
    if (result == 0) {
        report_add(report, &line);
    }
    return result;
}
