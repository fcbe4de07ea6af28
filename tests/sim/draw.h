/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_DRAW_H
#define SLOTSHARE_TESTS_SIM_DRAW_H
/** What the random scenarios draw their steps with. Whatever is drawn comes from draw->random
 * alone. */
#include "sim.h"

/** A run that is being drawn. */
struct draw {
    struct sim *sim;
    uint64_t random;
    int n; /**< nodes, before any is left out */
    double seconds;
};

#define PICK(draw, ...) SIM_PICK(&(draw)->random, __VA_ARGS__)

bool draw_chance(struct draw *draw, double p);
double draw_uniform(struct draw *draw, double from, double to);
int draw_node(struct draw *draw);
/** A random part of the nodes, as a mask: not empty and not all. */
uint64_t draw_part(struct draw *draw);
/** Of the newest configuration. */
int32_t draw_limit(const struct sim *sim, int key);

/** sim_start() with draw->n nodes, less those that are left out; some have a witness. */
void draw_start(struct draw *draw, uint64_t seed, const int32_t *limits, int keys, uint32_t percent,
                const struct core_timers *timers);
/** A step for s seconds. @return it, to be filled in until the next one is drawn. */
struct sim_step *draw_fault(struct draw *draw, double at, enum sim_step_type type, int node,
                            double s);
void draw_cut(struct draw *draw, double at, uint64_t mask, bool out, bool in, double s);
/** The weather is bad all the time, but second by second: each can be left out. */
void draw_weather(struct draw *draw, struct sim_network weather, double slow_action);
/** A second configuration, loaded everywhere between these times: other limits, a member more, or a
 * member less. */
void draw_reload(struct draw *draw, double from, double to);

#endif
