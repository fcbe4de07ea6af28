/* SPDX-License-Identifier: MIT */
/* Configurations that change while everything else goes wrong: files that reach nodes late, or
 * wrong ones first, new nodes, members that go or die, promises kept through reboots, commits that
 * one node alone has seen. */
#include <string.h>

#include "sim.h"

enum { MEMBERS = 8 };

struct draw {
    struct sim *sim;
    uint64_t random;
    double seconds;
    uint64_t members; /* of the newest file */
    uint64_t all;     /* that were members of any */
    uint64_t dead;    /* not set up again yet */
    int anchor;       /* a member of all files: there must be one between any two */
    bool drains;      /* members come to hold nothing, and to hold their part again */
    bool observes;    /* limits come to be enforced and to be only observed */
};

#define PICK(draw, ...) SIM_PICK(&(draw)->random, __VA_ARGS__)

static double uniform(struct draw *draw, double from, double to) {
    return sim_draw_uniform(&draw->random, from, to);
}

static bool chance(struct draw *draw, double p) {
    return uniform(draw, 0, 1) < p;
}

/* A random one of those in the mask; -1: none. */
static int one_of(struct draw *draw, uint64_t mask) {
    int found[MEMBERS], count = 0;

    for (int i = 0; i < MEMBERS; i++) {
        if ((mask >> i & 1) != 0) {
            found[count++] = i;
        }
    }
    return count == 0 ? -1 : found[sim_draw(&draw->random, (uint64_t)count)];
}

static struct sim_step *step(struct draw *draw, double at, enum sim_step_type type, int node,
                             double s) {
    struct sim_step *step = plan_step(draw->sim, at, type);
    step->node = node;
    step->s = s;
    return step;
}

static void demands(struct draw *draw) {
    for (double at = 0; at < draw->seconds; at += uniform(draw, 1, 8)) {
        for (int i = 0; i < MEMBERS; i++) {
            if (chance(draw, .4)) {
                continue;
            }
            struct sim_step *demand = step(draw, at, STEP_DEMAND, i, 0);
            for (int key = 0; key < draw->sim->keys; key++) {
                demand->demand[key] = (int32_t)PICK(draw, 0, 1, 20, 60, 120);
            }
        }
    }
}

static void faults(struct draw *draw) {
    for (double at = uniform(draw, 4, 15); at < draw->seconds;
         at += sim_draw_exponential(&draw->random, 6)) {
        int any = one_of(draw, draw->all), node = chance(draw, .4) ? SIM_LEADER : any;
        double x = uniform(draw, 0, 1), y = uniform(draw, 0, 1);
        if (x < .25) {
            step(draw, at, STEP_HOST_CRASH, node, PICK(draw, .05, .3, 5, 20));
        } else if (x < .45) {
            step(draw, at, STEP_BRIDGE_CRASH, node, PICK(draw, .05, 2, 10));
        } else if (x < .6) {
            step(draw, at, STEP_PAUSE, node, PICK(draw, 1, 3, 12));
        } else {
            struct sim_step *cut = step(draw, at, STEP_CUT, 0, PICK(draw, 1, 5, 15, 30));
            cut->mask = (uint64_t)1 << any;
            cut->out = y < .8;
            cut->in = y > .2;
        }
    }
}

/* ---- changes ---- */

static void load(struct draw *draw, double at, int node, int file) {
    step(draw, at, STEP_LOAD, node, 0)->a = (uint64_t)file;
}

/* To everybody, sooner or later. Now and then the wrong file comes first: any other one. */
static void roll_out(struct draw *draw, double at, uint64_t nodes, int file) {
    bool hurry = chance(draw, .5);

    for (int i = 0; i < MEMBERS; i++) {
        double late = hurry ? uniform(draw, 0, 2) : PICK(draw, .1, 3, 10, 25);
        if ((nodes >> i & 1) != 0) {
            if (chance(draw, .2) && file > 1) {
                load(draw, at + late * .8, i, 1 + (int)sim_draw(&draw->random, (uint64_t)file - 1));
            }
            load(draw, at + late + .2, i, file);
        }
    }
}

static void new_limits(struct draw *draw, int32_t *limits) {
    for (int key = 0; key < draw->sim->keys; key++) {
        double next = limits[key] * PICK(draw, .3, .6, 1, 2, 3);
        limits[key] = next < 1 ? 1 : next > 100 ? 100 : (int32_t)next;
    }
}

static int count_of(uint64_t mask) {
    return __builtin_popcountll(mask);
}

static void add_one(struct draw *draw, double at, int file) {
    int node = one_of(draw, ~draw->members & (((uint64_t)1 << MEMBERS) - 1));

    if (node < 0) {
        return;
    }
    draw->members |= (uint64_t)1 << node;
    if ((draw->dead >> node & 1) != 0) {
        /* The name of a dead one again: once it was removed, whenever that is. */
        draw->dead &= ~((uint64_t)1 << node);
        for (double later = at; later < draw->seconds; later += 3) {
            step(draw, later, STEP_RETURN, node, 0)->a = (uint64_t)file;
        }
    }
}

static void remove_one(struct draw *draw, double at) {
    int node = count_of(draw->members) > 2
                   ? one_of(draw, draw->members & ~((uint64_t)1 << draw->anchor))
                   : -1;

    if (node < 0) {
        return;
    }
    draw->members &= ~((uint64_t)1 << node);
    draw->sim->count[COUNT_REMOVALS]++;
    if (chance(draw, .5)) {
        draw->dead |= (uint64_t)1 << node;
        step(draw, at, STEP_BURY, node, 0);
    }
}

/* One member holds nothing from now on, or its part again; one at least holds some. */
static void drain_one(struct draw *draw) {
    uint64_t bit = (uint64_t)1 << one_of(draw, draw->members);

    if ((draw->members & ~(draw->sim->witnesses ^ bit)) != 0) {
        draw->sim->witnesses ^= bit;
    }
}

/* Now and then; more often than not to be enforced, which is where something can go wrong. */
static void switch_some(struct draw *draw, const struct sim_config *from, struct sim_config *to) {
    for (int key = 0; key < draw->sim->keys; key++) {
        bool switches = chance(draw, from->observed[key] ? .7 : .4);
        to->observed[key] = from->observed[key] != switches;
    }
}

static void change(struct draw *draw, double at) {
    struct sim *sim = draw->sim;
    int32_t limits[SIM_KEYS];
    uint64_t old = draw->members;
    int y = (int)sim_draw(&draw->random, 6), file = sim->configs;

    memcpy(limits, sim->config[file - 1].limit, sizeof limits);
    if (y <= 2) {
        new_limits(draw, limits);
    }
    if (y == 2 || y == 3) {
        add_one(draw, at, file);
    } else if (y > 3) {
        remove_one(draw, at);
    }
    if (draw->drains) {
        drain_one(draw);
        /* who was left to hold some may have gone */
        draw->sim->witnesses &= (draw->members & ~draw->sim->witnesses) != 0 ? UINT64_MAX : 0;
    }
    draw->all |= draw->members;
    sim_add_config(sim, draw->members, limits);
    if (draw->observes) {
        switch_some(draw, &sim->config[file - 1], &sim->config[file]);
    }
    roll_out(draw, at, old | draw->members, file);
    if (chance(draw, .4)) {
        step(draw, at, STEP_LONE, 0, PICK(draw, 2, 10, 30))->in = chance(draw, .5);
    }
}

static void begin(struct sim *sim, uint64_t seed, bool drains, bool observes) {
    struct draw draw = {
        .sim = sim, .random = seed * 32452843 + 5, .drains = drains, .observes = observes};
    int n = (int)PICK(&draw, 2, 3, 3, 4, 5);
    int32_t limits[2] = {(int32_t)PICK(&draw, 2, n, 20), (int32_t)PICK(&draw, 30, 60)};
    struct core_timers timers = sim_short_timers();

    sim->drawn_nodes = n;
    sim->new_nodes = chance(&draw, .3);
    sim->reboot_clock = chance(&draw, .5);
    sim->seconds = draw.seconds = PICK(&draw, 40, 80);
    sim_start(sim, seed, n, limits, 2, (uint32_t)PICK(&draw, 25, 50, 90), &timers);
    if (observes) {
        switch_some(&draw, &sim->config[0], &sim->config[0]);
        for (int i = 0; i < sim->top; i++) {
            node_observe(sim, i);
        }
    }
    sim->hold_s = PICK(&draw, 1, 4, 30);
    sim->weather = (struct sim_network){.loss = PICK(&draw, 0, .02, .1),
                                        .doubled = PICK(&draw, 0, .2),
                                        .nasty = PICK(&draw, 0, .02, .1)};
    sim->weather_slow = PICK(&draw, 0, .05);
    sim->weather_full = sim_full_segments(seed);
    for (double at = 0; at < draw.seconds; at += 1) {
        step(&draw, at, STEP_WEATHER, 0, 1);
    }
    draw.anchor = (int)sim_draw(&draw.random, (uint64_t)n);
    draw.members = draw.all = ((uint64_t)1 << n) - 1;
    for (double at = uniform(&draw, 3, 12); at < draw.seconds && sim->configs < SIM_CONFIGS;
         at += drains && chance(&draw, .5) ? uniform(&draw, 1, 5) : uniform(&draw, 5, 30)) {
        change(&draw, at);
    }
    sim->count[COUNT_RELOADS]++;
    demands(&draw);
    faults(&draw);
    bool operated = chance(&draw, .7);
    for (double at = 10; operated && at < draw.seconds; at += uniform(&draw, 3, 20)) {
        step(&draw, at, STEP_OPERATE, 0, 0);
    }
}

void reloads_begin(struct sim *sim, uint64_t seed) {
    begin(sim, seed, false, false);
}

void drains_begin(struct sim *sim, uint64_t seed) {
    begin(sim, seed, true, false);
}

void observe_begin(struct sim *sim, uint64_t seed) {
    begin(sim, seed, seed % 3 == 0, true);
}
