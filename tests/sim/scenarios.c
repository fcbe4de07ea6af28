/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { DEMANDS, FAULT, SHUFFLE, ISOLATE, CUT_OFF, WAKE, KILL };

static const double chance_demand = .5;

static double pick_rate(struct sim *sim, double mean) {
    return sim_exponential(sim, mean);
}

static int any_node(struct sim *sim) {
    int at = 0;
    do {
        at = (int)sim_random(sim, SIM_NODES);
    } while (!sim->node[at].exists);
    return at;
}

static bool chance(struct sim *sim, double p) {
    return sim_uniform(sim, 0, 1) < p;
}

static int32_t limit_of(const struct sim *sim, int key) {
    return sim->config[sim->configs - 1].limit[key];
}

static void set_demand(struct sim *sim, int node, int key, int32_t demand) {
    sim->node[node].demand[key] = demand;
}

static uint64_t members_mask(const struct sim *sim) {
    uint64_t mask = 0;
    for (int i = 0; i < SIM_NODES; i++) {
        mask |= sim->node[i].exists ? (uint64_t)1 << i : 0;
    }
    return mask;
}

/* A random part of the nodes, not empty and not all. */
static uint64_t random_part(struct sim *sim) {
    uint64_t all = members_mask(sim), part = 0;
    do {
        part = sim_random(sim, UINT64_MAX) & all;
    } while (part == 0 || part == all);
    return part;
}

/* ---- chaos: everything that can happen to hosts, bridges, network and configuration ---- */

static void chaos_demands(struct sim *sim) {
    for (int i = 0; i < SIM_NODES; i++) {
        if (!sim->node[i].exists || !chance(sim, chance_demand)) {
            continue;
        }
        for (int key = 0; key < sim->keys; key++) {
            int32_t l = limit_of(sim, key);
            set_demand(sim, i, key,
                       (int32_t)SIM_PICK(sim, 0, 0, 1, l / 4 > 1 ? l / 4 : 1, l, 2 * l));
        }
        node_workers(sim, i);
    }
    sim_tell_story(sim, sim_uniform(sim, 1, 12), DEMANDS, 0);
}

static void kill_leader(struct sim *sim) {
    int leader = node_leader(sim);
    double s = SIM_PICK(sim, 1, 4, 20, 60);

    if (leader < 0) {
        return;
    }
    switch (sim_random(sim, 3)) {
    case 0:
        node_host_crash(sim, leader, s);
        break;
    case 1:
        node_bridge_crash(sim, leader, s);
        break;
    default:
        node_pause(sim, leader, s);
        break;
    }
}

static void chaos_fault(struct sim *sim) {
    int node = any_node(sim);
    double x = sim_uniform(sim, 0, 1);

    if (x < .2) {
        node_host_crash(sim, node, SIM_PICK(sim, .5, 3, 15, 60));
    } else if (x < .32) {
        node_bridge_crash(sim, node, SIM_PICK(sim, .1, 2, 10, 60));
    } else if (x < .38) {
        node_bridge_leave(sim, node, SIM_PICK(sim, .1, 2, 10, 60));
    } else if (x < .5) {
        node_pause(sim, node, SIM_PICK(sim, .5, 3, 8, 20, 40));
    } else if (x < .58) {
        node_freeze(sim, node, sim_uniform(sim, .1, 1));
    } else if (x < .9) {
        bool both = !chance(sim, .25);
        net_cut(sim, random_part(sim), true, both, SIM_PICK(sim, 1, 5, 12, 30, 60));
    } else {
        kill_leader(sim);
    }
    sim_tell_story(sim, pick_rate(sim, 7), FAULT, 0);
}

/* A second configuration: other limits, a member more, or a member less. */
static void reload(struct sim *sim, int n, double from, double to) {
    int32_t limits[SIM_KEYS];
    uint64_t mask = members_mask(sim), all = mask;
    double y = sim_uniform(sim, 0, 1);

    memcpy(limits, sim->config[0].limit, sizeof limits);
    if (y < .35) {
        for (int key = 0; key < sim->keys; key++) {
            double next = limits[key] * SIM_PICK(sim, .3, .5, 2, 3);
            limits[key] = next < 1 ? 1 : (int32_t)next;
        }
    } else if (y < .7 || n <= 2) {
        mask |= (uint64_t)1 << n;
    } else {
        mask &= ~((uint64_t)1 << sim_random(sim, (uint64_t)n));
    }
    sim_second_config(sim, mask, limits);
    all |= mask;
    for (int i = 0; i < SIM_NODES; i++) {
        if ((all >> i & 1) != 0) {
            sim_at(sim, sim_uniform(sim, from, to),
                   (struct sim_event){.type = EVENT_LOAD, .node = i});
        }
    }
}

static void chaos_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == DEMANDS) {
        chaos_demands(sim);
    } else {
        chaos_fault(sim);
    }
}

static void chaos_begin(struct sim *sim, uint64_t seed) {
    struct sim chooser = {.random = seed * 7919 + 1};
    int n = (int)SIM_PICK(&chooser, 2, 3, 4, 5, 5, 7);
    int32_t limits[3] = {(int32_t)SIM_PICK(&chooser, 1, 2, 3),
                         (int32_t)SIM_PICK(&chooser, n, n + 3, 2 * n + 1, 20),
                         (int32_t)SIM_PICK(&chooser, 40, 100)};
    uint32_t percent = n == 2 ? 100 : (uint32_t)SIM_PICK(&chooser, 25, 50, 50, 90);
    struct core_timers timers = core_timers_default();

    timers.drain = 5000;
    sim_start(sim, seed, n, limits, 3, percent, &timers);
    sim->reboot_clock = chance(sim, .5);
    sim->network = (struct sim_network){.loss = SIM_PICK(sim, 0, .02, .1, .3),
                                        .doubled = SIM_PICK(sim, 0, .05, .2),
                                        .slow = SIM_PICK(sim, 0, .02, .1)};
    sim->story = chaos_story;
    chaos_demands(sim);
    sim_tell_story(sim, sim_uniform(sim, 8, 20), FAULT, 0);
    if (chance(sim, .4)) {
        reload(sim, n, 25, 50);
    }
}

/* ---- nasty: no slack, everything wanted, messages seconds late and doubled ---- */

static void nasty_demands(struct sim *sim) {
    int mode = (int)sim_random(sim, 4), hero = any_node(sim);

    for (int i = 0; i < SIM_NODES; i++) {
        if (!sim->node[i].exists) {
            continue;
        }
        for (int key = 0; key < sim->keys; key++) {
            int32_t l = limit_of(sim, key), demand = 0;
            demand = mode == 0   ? (i == hero ? 2 * l : 0)
                     : mode == 1 ? 2 * l
                     : mode == 2 ? 0
                                 : (int32_t)SIM_PICK(sim, 0, 1, 2 * l);
            set_demand(sim, i, key, demand);
        }
        node_workers(sim, i);
    }
    sim_tell_story(sim, SIM_PICK(sim, .7, 2, 4, 8), DEMANDS, 0);
}

static void nasty_fault(struct sim *sim) {
    int leader = node_leader(sim);
    int node = leader >= 0 && chance(sim, .5) ? leader : any_node(sim);
    double x = sim_uniform(sim, 0, 1);

    if (x < .25) {
        node_host_crash(sim, node, SIM_PICK(sim, .05, .3, 2, 10));
    } else if (x < .35) {
        for (int i = 0; i < SIM_NODES; i++) {
            if (sim->node[i].exists && chance(sim, .5)) {
                node_host_crash(sim, i, .05);
            }
        }
    } else if (x < .5) {
        node_bridge_crash(sim, node, SIM_PICK(sim, .05, 2, 8));
    } else if (x < .7) {
        node_pause(sim, node, SIM_PICK(sim, 1.4, 3, 6, 12));
    } else {
        uint64_t part = chance(sim, .6) ? (uint64_t)1 << node : random_part(sim);
        double y = sim_uniform(sim, 0, 1);
        net_cut(sim, part, y<.75, y> .2, SIM_PICK(sim, 1, 3, 5, 9, 16, 30));
    }
    sim_tell_story(sim, pick_rate(sim, 4), FAULT, 0);
}

static void nasty_story(struct sim *sim, uint64_t what, uint64_t b) {
    (void)b;
    if (what == DEMANDS) {
        nasty_demands(sim);
    } else {
        nasty_fault(sim);
    }
}

static void nasty_begin(struct sim *sim, uint64_t seed) {
    struct sim chooser = {.random = seed * 104729 + 7};
    int n = (int)SIM_PICK(&chooser, 3, 3, 5);
    int32_t limits[3] = {(int32_t)SIM_PICK(&chooser, 1, 2, n),
                         (int32_t)SIM_PICK(&chooser, 2 * n, 20), 40};
    struct core_timers timers = core_timers_default();

    timers.session = 4000;
    timers.drain = 3000;
    timers.grace = 800;
    timers.leader = 1500;
    timers.cool = 1500;
    timers.rotation = 2000;
    sim_start(sim, seed, n, limits, 3, (uint32_t)SIM_PICK(&chooser, 50, 90), &timers);
    sim->reboot_clock = chance(sim, .5);
    sim->hold_s = SIM_PICK(sim, 1, 4);
    sim->slow_action = SIM_PICK(sim, 0, .02, .2);
    sim->network = (struct sim_network){.loss = SIM_PICK(sim, 0, .05, .2),
                                        .doubled = SIM_PICK(sim, .1, .4),
                                        .nasty = SIM_PICK(sim, .02, .1, .25)};
    sim->story = nasty_story;
    nasty_demands(sim);
    sim_tell_story(sim, sim_uniform(sim, 6, 10), FAULT, 0);
    if (seed % 3 == 0) {
        reload(sim, n, 15, 35);
    }
}

/* ---- churn: cut-off idle nodes that wake up, a coordinator killed again and again ---- */

struct churn {
    double shortest_gap;
    int way; /* of killing; 4: any */
    double longest;
};

static void churn_demand(struct sim *sim, int node, bool busy) {
    for (int key = 0; key < sim->keys; key++) {
        int32_t l = limit_of(sim, key);
        set_demand(sim, node, key,
                   (int32_t)(busy ? SIM_PICK(sim, 2 * l, 2 * l, l * .5) : SIM_PICK(sim, 0, 0, 1)));
    }
    node_workers(sim, node);
}

static void churn_kill(struct sim *sim, const struct churn *churn) {
    int leader = node_leader(sim);
    int way = churn->way < 4 ? churn->way : (int)sim_random(sim, 4);

    if (leader < 0) {
        return;
    }
    switch (way) {
    case 0:
        node_bridge_crash(sim, leader, .05);
        break;
    case 1:
        node_pause(sim, leader, 2);
        break;
    case 2:
        node_bridge_crash(sim, leader, SIM_PICK(sim, 1, 10));
        break;
    default:
        node_host_crash(sim, leader, SIM_PICK(sim, .05, 5));
        break;
    }
}

static void churn_isolate(struct sim *sim) {
    int victim = any_node(sim);

    if (chance(sim, .7)) {
        churn_demand(sim, victim, false);
    }
    sim_tell_story(sim, SIM_PICK(sim, .1, 6), CUT_OFF, (uint64_t)victim);
    sim_tell_story(sim, sim_uniform(sim, 20, 70), ISOLATE, 0);
}

static void churn_story(struct sim *sim, uint64_t what, uint64_t b) {
    const struct churn *churn = sim->story_state;
    double y = sim_uniform(sim, 0, 1);

    switch (what) {
    case SHUFFLE:
        for (int i = 0; i < SIM_NODES; i++) {
            if (sim->node[i].exists && chance(sim, .3)) {
                churn_demand(sim, i, chance(sim, .6));
            }
        }
        sim_tell_story(sim, sim_uniform(sim, 3, 15), SHUFFLE, 0);
        break;
    case ISOLATE:
        churn_isolate(sim);
        break;
    case CUT_OFF:
        net_cut(sim, (uint64_t)1 << b, y <= .85, y >= .15, SIM_PICK(sim, 8, 20, 40, 70));
        sim_tell_story(sim, sim_uniform(sim, .5, churn->longest), WAKE, b);
        break;
    case WAKE:
        churn_demand(sim, (int)b, true);
        break;
    default:
        churn_kill(sim, churn);
        sim_tell_story(sim, sim_uniform(sim, .6, 1.4) * churn->shortest_gap, KILL, 0);
        break;
    }
}

static void churn_begin(struct sim *sim, uint64_t seed) {
    struct sim chooser = {.random = seed * 65537 + 3};
    int n = (int)SIM_PICK(&chooser, 3, 4, 5, 5, 7);
    int32_t limits[2] = {(int32_t)SIM_PICK(&chooser, n, 2 * n, 20),
                         (int32_t)SIM_PICK(&chooser, 20, 60)};
    struct core_timers timers = core_timers_default();
    struct churn *churn = calloc(1, sizeof *churn);

    if (churn == NULL) {
        abort();
    }
    timers.session = 5000;
    timers.drain = 4000;
    timers.grace = 1000;
    timers.leader = 1200;
    timers.rotation = 4000;
    timers.cool = (uint32_t)SIM_PICK(&chooser, 2000, 8000);
    sim_start(sim, seed, n, limits, 2, (uint32_t)SIM_PICK(&chooser, 50, 90), &timers);
    sim->reboot_clock = chance(sim, .5);
    sim->hold_s = SIM_PICK(sim, 1, 10);
    sim->tail = SIM_PICK(sim, 0, .04, .2);
    sim->network = (struct sim_network){.loss = SIM_PICK(sim, 0, .05),
                                        .doubled = SIM_PICK(sim, 0, .2),
                                        .nasty = SIM_PICK(sim, 0, .02, .1)};
    churn->shortest_gap = SIM_PICK(sim, 3, 4, 6, 10);
    churn->way = (int)sim_random(sim, 6);
    churn->longest = 2 * (5 + 4 + 1) + 6;
    sim->story = churn_story;
    sim->story_state = churn;
    for (int i = 0; i < n; i++) {
        churn_demand(sim, i, chance(sim, .6));
    }
    sim_tell_story(sim, 15, SHUFFLE, 0);
    sim_tell_story(sim, sim_uniform(sim, 15, 25), ISOLATE, 0);
    sim_tell_story(sim, sim_uniform(sim, 25, 45), KILL, 0);
}

const struct sim_scenario sim_scenarios[] = {
    {"chaos", 150, true, chaos_begin},
    {"nasty", 90, true, nasty_begin},
    {"churn", 150, true, churn_begin},
    {NULL, 0, false, NULL},
};

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
