/* SPDX-License-Identifier: MIT */
/* What may happen, drawn from the seed before the run begins. */
#include <string.h>

#include "draw.h"

/* ---- chaos: everything that can happen to hosts, bridges, network and configuration ---- */

static void chaos_demands(struct draw *draw, double share) {
    struct sim *sim = draw->sim;

    for (double at = 0; at < draw->seconds; at += draw_uniform(draw, 1, 12)) {
        for (int i = 0; i <= draw->n; i++) {
            if (!draw_chance(draw, share)) {
                continue;
            }
            struct sim_step *step = draw_fault(draw, at, STEP_DEMAND, i, 0);
            for (int key = 0; key < sim->keys; key++) {
                int32_t l = draw_limit(sim, key);
                step->demand[key] = (int32_t)PICK(draw, 0, 0, 1, l / 4 > 1 ? l / 4 : 1, l, 2 * l);
            }
        }
    }
}

static void kill_leader(struct draw *draw, double at) {
    static const enum sim_step_type ways[] = {STEP_HOST_CRASH, STEP_BRIDGE_CRASH, STEP_PAUSE};
    double s = PICK(draw, 1, 4, 20, 60);
    draw_fault(draw, at, ways[sim_draw(&draw->random, 3)], SIM_LEADER, s);
}

static void chaos_fault(struct draw *draw, double at) {
    int node = draw_node(draw);
    double x = draw_uniform(draw, 0, 1);

    if (x < .2) {
        draw_fault(draw, at, STEP_HOST_CRASH, node, PICK(draw, .5, 3, 15, 60));
    } else if (x < .32) {
        draw_fault(draw, at, STEP_BRIDGE_CRASH, node, PICK(draw, .1, 2, 10, 60));
    } else if (x < .38) {
        draw_fault(draw, at, STEP_LEAVE, node, PICK(draw, .1, 2, 10, 60));
    } else if (x < .5) {
        draw_fault(draw, at, STEP_PAUSE, node, PICK(draw, .5, 3, 8, 20, 40));
    } else if (x < .58) {
        draw_fault(draw, at, STEP_FREEZE, node, draw_uniform(draw, .1, 1));
    } else if (x < .9) {
        bool both = !draw_chance(draw, .25);
        draw_cut(draw, at, draw_part(draw), true, both, PICK(draw, 1, 5, 12, 30, 60));
    } else {
        kill_leader(draw, at);
    }
}

static void faults(struct draw *draw, double from, double gap,
                   void (*one)(struct draw *draw, double at)) {
    for (double at = from; at < draw->seconds; at += sim_draw_exponential(&draw->random, gap)) {
        one(draw, at);
    }
}

static void chaos_begin(struct sim *sim, uint64_t seed) {
    struct draw draw = {.sim = sim, .random = seed * 7919 + 1};
    int n = draw.n = (int)PICK(&draw, 2, 3, 4, 5, 5, 7);
    int32_t limits[3] = {(int32_t)PICK(&draw, 1, 2, 3),
                         (int32_t)PICK(&draw, n, n + 3, 2 * n + 1, 20),
                         (int32_t)PICK(&draw, 40, 100)};
    uint32_t percent = n == 2 ? 100 : (uint32_t)PICK(&draw, 25, 50, 50, 90);
    struct core_timers timers = core_timers_default();

    timers.drain = 5000;
    draw.seconds = PICK(&draw, 30, 45, 60);
    draw_start(&draw, seed, limits, 3, percent, &timers);
    if (draw_chance(&draw, .4)) {
        draw_reload(&draw, 6, draw.seconds / 2);
    }
    draw_weather(&draw,
                 (struct sim_network){.loss = PICK(&draw, 0, .02, .1, .3),
                                      .doubled = PICK(&draw, 0, .05, .2),
                                      .slow = PICK(&draw, 0, .02, .1)},
                 .05);
    chaos_demands(&draw, .5);
    faults(&draw, draw_uniform(&draw, 3, 9), PICK(&draw, 2, 4), chaos_fault);
}

/* ---- crowd: the same with many nodes ---- */

static void crowd_begin(struct sim *sim, uint64_t seed) {
    struct draw draw = {.sim = sim, .random = seed * 15485863 + 11};
    int n = draw.n = (int)PICK(&draw, 16, 16, 16, 16, 16, 16, 20, 20, 24, 24, 32, 64);
    int32_t limits[2] = {(int32_t)PICK(&draw, 2, n / 2., n, 2 * n),
                         (int32_t)PICK(&draw, 40, 5 * n)};
    struct core_timers timers = core_timers_default();

    timers.session = 4000;
    timers.drain = 3000;
    timers.grace = 800;
    draw.seconds = n > 32 ? 12 : n > 20 ? 18 : 24;
    draw_start(&draw, seed, limits, 2, (uint32_t)PICK(&draw, 25, 50, 90), &timers);
    if (n <= 24 && draw_chance(&draw, .3)) {
        draw_reload(&draw, 5, 10);
    }
    draw_weather(&draw,
                 (struct sim_network){.loss = PICK(&draw, 0, .02, .1),
                                      .doubled = PICK(&draw, 0, .05),
                                      .slow = PICK(&draw, 0, .02)},
                 .02);
    chaos_demands(&draw, .3);
    faults(&draw, draw_uniform(&draw, 3, 5), PICK(&draw, 1, 2), chaos_fault);
}

/* ---- nasty: no slack, everything wanted, messages seconds late and doubled ---- */

static void nasty_demands(struct draw *draw) {
    struct sim *sim = draw->sim;

    for (double at = 0; at < draw->seconds; at += PICK(draw, .7, 2, 4, 8)) {
        int mode = (int)sim_draw(&draw->random, 4), hero = draw_node(draw);
        for (int i = 0; i <= draw->n; i++) {
            struct sim_step *step = draw_fault(draw, at, STEP_DEMAND, i, 0);
            for (int key = 0; key < sim->keys; key++) {
                int32_t l = draw_limit(sim, key);
                step->demand[key] = mode == 0   ? (i == hero ? 2 * l : 0)
                                    : mode == 1 ? 2 * l
                                    : mode == 2 ? 0
                                                : (int32_t)PICK(draw, 0, 1, 2 * l);
            }
        }
    }
}

static void nasty_fault(struct draw *draw, double at) {
    int any = draw_node(draw), node = draw_chance(draw, .5) ? SIM_LEADER : any;
    double x = draw_uniform(draw, 0, 1);

    if (x < .25) {
        draw_fault(draw, at, STEP_HOST_CRASH, node, PICK(draw, .05, .3, 2, 10));
    } else if (x < .35) {
        for (int i = 0; i < draw->n; i++) {
            if (draw_chance(draw, .5)) {
                draw_fault(draw, at, STEP_HOST_CRASH, i, .05);
            }
        }
    } else if (x < .5) {
        draw_fault(draw, at, STEP_BRIDGE_CRASH, node, PICK(draw, .05, 2, 8));
    } else if (x < .7) {
        draw_fault(draw, at, STEP_PAUSE, node, PICK(draw, 1.4, 3, 6, 12));
    } else {
        uint64_t part = draw_chance(draw, .6) ? (uint64_t)1 << any : draw_part(draw);
        double y = draw_uniform(draw, 0, 1);
        bool out = y < .75;
        bool in = y > .2;
        draw_cut(draw, at, part, out, in, PICK(draw, 1, 3, 5, 9, 16, 30));
    }
}

static void nasty_begin(struct sim *sim, uint64_t seed) {
    struct draw draw = {.sim = sim, .random = seed * 104729 + 7};
    int n = draw.n = (int)PICK(&draw, 3, 3, 5);
    int32_t limits[3] = {(int32_t)PICK(&draw, 1, 2, n), (int32_t)PICK(&draw, 2 * n, 20), 40};
    struct core_timers timers = sim_short_timers();

    draw.seconds = PICK(&draw, 30, 50);
    draw_start(&draw, seed, limits, 3, (uint32_t)PICK(&draw, 50, 90), &timers);
    sim->hold_s = PICK(&draw, 1, 4);
    if (draw_chance(&draw, .33)) {
        draw_reload(&draw, 5, draw.seconds / 2);
    }
    sim->weather_full = sim_full_segments(seed);
    double slow_action = PICK(&draw, 0, .02, .2);
    draw_weather(&draw,
                 (struct sim_network){.loss = PICK(&draw, 0, .05, .2),
                                      .doubled = PICK(&draw, .1, .4),
                                      .nasty = PICK(&draw, .02, .1, .25)},
                 slow_action);
    nasty_demands(&draw);
    faults(&draw, draw_uniform(&draw, 3, 8), PICK(&draw, 2, 4), nasty_fault);
}

/* ---- churn: cut-off idle nodes that wake up, a coordinator killed again and again ---- */

static void churn_demand(struct draw *draw, double at, int node, bool busy) {
    struct sim_step *step = draw_fault(draw, at, STEP_DEMAND, node, 0);

    for (int key = 0; key < draw->sim->keys; key++) {
        int32_t l = draw_limit(draw->sim, key);
        step->demand[key] =
            (int32_t)(busy ? PICK(draw, 2 * l, 2 * l, l * .5) : PICK(draw, 0, 0, 1));
    }
}

static void churn_kills(struct draw *draw) {
    double gap = PICK(draw, 3, 4, 6, 10);
    int always = (int)sim_draw(&draw->random, 7);

    for (double at = draw_uniform(draw, 10, 40); at < draw->seconds;
         at += draw_uniform(draw, .6, 1.4) * gap) {
        int way = always < 5 ? always : (int)sim_draw(&draw->random, 5);
        double s = way == 2 ? PICK(draw, 1, 10) : PICK(draw, .05, 5);
        if (way == 1) {
            draw_fault(draw, at, STEP_PAUSE, SIM_LEADER, 2);
        } else if (way == 3) {
            draw_fault(draw, at, STEP_HOST_CRASH, SIM_LEADER, s);
        } else if (way == 4) {
            draw_fault(draw, at, STEP_LEAVE, SIM_LEADER, s);
        } else {
            draw_fault(draw, at, STEP_BRIDGE_CRASH, SIM_LEADER, way == 0 ? .05 : s);
        }
    }
}

static void churn_isolate(struct draw *draw, double at, double longest) {
    int victim = draw_node(draw);
    double y = draw_uniform(draw, 0, 1);
    bool out = y <= .85, in = y >= .15;

    if (draw_chance(draw, .7)) {
        churn_demand(draw, at, victim, false);
    }
    at += PICK(draw, .1, 6);
    draw_cut(draw, at, (uint64_t)1 << victim, out, in, PICK(draw, 8, 20, 40, 70));
    churn_demand(draw, at + draw_uniform(draw, .5, draw_chance(draw, .5) ? 5 : longest), victim,
                 true);
}

static void churn_begin(struct sim *sim, uint64_t seed) {
    struct draw draw = {.sim = sim, .random = seed * 65537 + 3};
    int n = draw.n = (int)PICK(&draw, 3, 4, 5, 5, 7);
    int32_t limits[2] = {(int32_t)PICK(&draw, n, 2 * n, 20), (int32_t)PICK(&draw, 20, 60)};
    struct core_timers timers = core_timers_default();

    timers.session = 5000;
    timers.drain = 4000;
    timers.grace = 1000;
    timers.leader = 1200;
    timers.rotation = 4000;
    timers.cool = (uint32_t)PICK(&draw, 2000, 8000);
    draw.seconds = PICK(&draw, 40, 60);
    draw_start(&draw, seed, limits, 2, (uint32_t)PICK(&draw, 50, 90), &timers);
    sim->hold_s = PICK(&draw, 1, 10);
    sim->tail = PICK(&draw, 0, .04, .2);
    sim->weather_full = sim_full_segments(seed);
    double slow_action = PICK(&draw, 0, .05);
    draw_weather(&draw,
                 (struct sim_network){.loss = PICK(&draw, 0, .05),
                                      .doubled = PICK(&draw, 0, .2),
                                      .nasty = PICK(&draw, 0, .02, .1)},
                 slow_action);
    for (int i = 0; i < n; i++) {
        churn_demand(&draw, 0, i, draw_chance(&draw, .6));
    }
    for (double at = 8; at < draw.seconds; at += draw_uniform(&draw, 3, 15)) {
        for (int i = 0; i < n; i++) {
            if (draw_chance(&draw, .3)) {
                churn_demand(&draw, at, i, draw_chance(&draw, .6));
            }
        }
    }
    for (double at = draw_uniform(&draw, 7, 14); at < draw.seconds;
         at += draw_uniform(&draw, 10, 40)) {
        churn_isolate(&draw, at, 2 * (5 + 4 + 1) + 6);
    }
    churn_kills(&draw);
}

/* ---- beside other ways ---- */

static void start_compared(struct draw *draw, uint64_t seed) {
    static const int32_t limits[] = {5, 20, 100};
    struct core_timers timers = core_timers_default();

    draw->n = 5;
    draw->sim->drawn_nodes = 5;
    sim_start(draw->sim, seed, 5, limits, 3, 25, &timers);
    draw->sim->seconds = draw->seconds;
}

void scenario_compare(struct sim *sim, uint64_t seed, int level) {
    static const struct {
        double gap;
        struct sim_network weather;
    } levels[SIM_FAULT_LEVELS] = {
        {0, {0}},
        {40, {.loss = .001, .doubled = .001, .slow = .001}},
        {10, {.loss = .02, .doubled = .01, .slow = .01}},
        {3, {.loss = .1, .doubled = .05, .slow = .05}},
    };
    struct draw draw = {.sim = sim, .random = seed * 32452843 + 5, .seconds = 180};

    start_compared(&draw, seed);
    draw_weather(&draw, levels[level].weather, 0);
    chaos_demands(&draw, .5);
    if (levels[level].gap > 0) {
        faults(&draw, sim_draw_exponential(&draw.random, levels[level].gap), levels[level].gap,
               chaos_fault);
    }
}

void scenario_reclaim(struct sim *sim, uint64_t seed, int victim) {
    struct draw draw = {.sim = sim, .random = seed * 49979687 + 9};

    draw.seconds = 40 + draw_uniform(&draw, 0, 1);
    start_compared(&draw, seed);
    sim->tail = 0; /* nobody over the limit by a connection that outlived its lease */
    for (int i = 0; i < draw.n; i++) {
        struct sim_step *step = draw_fault(&draw, 5, STEP_DEMAND, i, 0);
        for (int key = 0; key < sim->keys; key++) {
            step->demand[key] = 2 * draw_limit(sim, key);
        }
    }
    draw_fault(&draw, draw.seconds, STEP_HOST_CRASH, victim, 1e6);
}

const struct sim_scenario sim_scenarios[] = {
    {"chaos", 0, true, chaos_begin},     {"nasty", 0, true, nasty_begin},
    {"churn", 0, true, churn_begin},     {"reloads", 0, true, reloads_begin},
    {"crowd", 0, true, crowd_begin},     {"drains", 0, true, drains_begin},
    {"observe", 0, true, observe_begin}, {NULL, 0, false, NULL},
};

/* One in 64 is a crowd; the rest take turns. */
const struct sim_scenario *sim_scenario_of(uint64_t seed) {
    return seed % 64 == 63 ? &sim_scenarios[4] : &sim_scenarios[seed % 4];
}

const struct sim_scenario *sim_scenario(const char *name) {
    for (const struct sim_scenario *s = sim_scenarios; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    for (const struct sim_scenario *s = sim_directed; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}
