/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_STORIES_H
#define SLOTSHARE_TESTS_SIM_STORIES_H
/**
 * What short stories are told with: three nodes or so, one counter of 30 (of three nodes: home 10,
 * reserve 5), a network that loses only what the story says. The seed moves the moments.
 */
#include "sim.h"

enum { A, B, C };

static inline void demand(struct sim *sim, int node, int32_t wanted) {
    sim->node[node].demand[0] = wanted;
    if (wanted == 0) {
        node_close_all(sim, node, 0);
    }
    node_workers(sim, node);
}

static inline void set_cut(struct sim *sim, int from, int to, bool is_cut) {
    sim->cut[from][to] = is_cut ? 1 : 0;
}

static inline void isolate(struct sim *sim, int node, bool out, bool in) {
    for (int i = 0; i < 3; i++) {
        set_cut(sim, node, i, out);
        set_cut(sim, i, node, in);
    }
}

static inline double seconds(const struct sim *sim) {
    return (double)sim->now / 1e6;
}

static inline void start_nodes(struct sim *sim, uint64_t seed, int nodes, sim_story story) {
    struct core_timers timers = core_timers_default();
    const int32_t limit = 30;

    timers.drain = 2000;
    timers.grace = 600;
    sim_start(sim, seed, nodes, &limit, 1, 50, &timers);
    sim->hold_s = 1e6;
    sim->tail = 0;
    sim->story = story;
}

static inline void start(struct sim *sim, uint64_t seed, sim_story story) {
    start_nodes(sim, seed, 3, story);
}

static inline void at(struct sim *sim, double s, uint64_t what) {
    plan_step(sim, s, STEP_STORY)->a = what;
}

/* A moment that the seed picks. */
static inline double moment(struct sim *sim, double from, double to) {
    return sim_draw_uniform(&sim->planner, from, to);
}

/* ---- directed_session.c ---- */

void old_reading_begin(struct sim *sim, uint64_t seed);
void late_use_begin(struct sim *sim, uint64_t seed);
void reserve_begin(struct sim *sim, uint64_t seed);
void late_join_begin(struct sim *sim, uint64_t seed);
void slept_join_begin(struct sim *sim, uint64_t seed);
void drained_join_begin(struct sim *sim, uint64_t seed);
void late_ack_begin(struct sim *sim, uint64_t seed);
void lost_ack_begin(struct sim *sim, uint64_t seed);

/* ---- directed_config.c ---- */

void commit_alone_begin(struct sim *sim, uint64_t seed);
void old_report_begin(struct sim *sim, uint64_t seed);
void old_grant_begin(struct sim *sim, uint64_t seed);
void commit_use_begin(struct sim *sim, uint64_t seed);
void leave_commit_begin(struct sim *sim, uint64_t seed);
void old_admission_begin(struct sim *sim, uint64_t seed);
void pending_join_begin(struct sim *sim, uint64_t seed);
void pending_row_begin(struct sim *sim, uint64_t seed);
void behind_join_begin(struct sim *sim, uint64_t seed);
void promised_join_begin(struct sim *sim, uint64_t seed);
void overtaken_begin(struct sim *sim, uint64_t seed);
void old_majority_begin(struct sim *sim, uint64_t seed);

/* ---- directed_names.c ---- */

void old_word_begin(struct sim *sim, uint64_t seed);
void was_dead_begin(struct sim *sim, uint64_t seed);
void new_behind_begin(struct sim *sim, uint64_t seed);
void new_turns_begin(struct sim *sim, uint64_t seed);
void found_alone_begin(struct sim *sim, uint64_t seed);
void founder_bound_begin(struct sim *sim, uint64_t seed);
void back_soon_begin(struct sim *sim, uint64_t seed);

#endif
