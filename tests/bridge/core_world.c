/* SPDX-License-Identifier: MIT */
#include "core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct sim *world(int nodes, int32_t limit, uint32_t percent, uint64_t witnesses) {
    struct sim *sim = calloc(1, sizeof *sim);
    struct core_timers timers = core_timers_default();
    const int32_t limits[] = {limit, limit};

    assert_non_null(sim);
    timers.drain = 4000;
    sim->witnesses = witnesses;
    sim_start(sim, 1, nodes, limits, 2, percent, &timers);
    sim->hold_s = 1e6;
    sim->tail = 0;
    sim->slow_action = 0;
    return sim;
}

void finish(struct sim *sim) {
    assert_int_equal(sim->over, 0);
    sim_end(sim);
    free(sim);
}

void want(struct sim *sim, int node, int32_t demand) {
    sim->node[node].demand[0] = demand;
    node_workers(sim, node);
}

int32_t in_use(struct sim *sim, int node) {
    return sim->node[node].in_use[0];
}

bool has_session(struct sim *sim, int node) {
    return sim->node[node].memory.session_end > sim_local(sim, node);
}

double expiry(struct sim *sim) {
    return (double)(sim->timers.session + sim->timers.drain + sim->timers.grace) / 1e3;
}

double now(struct sim *sim) {
    return (double)sim->now / 1e6;
}
