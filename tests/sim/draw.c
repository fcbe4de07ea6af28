/* SPDX-License-Identifier: MIT */
#include "draw.h"

#include <string.h>

bool draw_chance(struct draw *draw, double p) {
    return sim_draw_uniform(&draw->random, 0, 1) < p;
}

double draw_uniform(struct draw *draw, double from, double to) {
    return sim_draw_uniform(&draw->random, from, to);
}

int draw_node(struct draw *draw) {
    return (int)sim_draw(&draw->random, (uint64_t)draw->n);
}

int32_t draw_limit(const struct sim *sim, int key) {
    return sim->config[sim->configs - 1].limit[key];
}

static uint64_t draw_mask(int n) {
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

uint64_t draw_part(struct draw *draw) {
    uint64_t all = draw_mask(draw->n), part = 0;
    do {
        part = sim_draw(&draw->random, UINT64_MAX) & all;
    } while (part == 0 || part == all);
    return part;
}

void draw_start(struct draw *draw, uint64_t seed, const int32_t *limits, int keys, uint32_t percent,
                const struct core_timers *timers) {
    struct sim *sim = draw->sim;
    bool fewer = sim->drop_nodes > 0 && sim->drop_nodes < draw->n;

    sim->drawn_nodes = draw->n;
    sim->reboot_clock = draw_chance(draw, .5);
    if (draw->n > 2 && draw_chance(draw, .15)) {
        sim->witnesses = (uint64_t)1 << (draw->n - 1);
    }
    sim_start(sim, seed, fewer ? sim->drop_nodes : draw->n, limits, keys, percent, timers);
    sim->seconds = draw->seconds;
    sim->count[COUNT_LARGE] += draw->n >= 16;
}

struct sim_step *draw_fault(struct draw *draw, double at, enum sim_step_type type, int node,
                            double s) {
    struct sim_step *step = plan_step(draw->sim, at, type);
    step->node = node;
    step->s = s;
    return step;
}

void draw_cut(struct draw *draw, double at, uint64_t mask, bool out, bool in, double s) {
    struct sim_step *step = draw_fault(draw, at, STEP_CUT, 0, s);
    step->mask = mask;
    step->out = out;
    step->in = in;
}

void draw_weather(struct draw *draw, struct sim_network weather, double slow_action) {
    draw->sim->weather = weather;
    draw->sim->weather_slow = slow_action;
    for (double at = 0; at < draw->seconds; at += 1) {
        draw_fault(draw, at, STEP_WEATHER, 0, 1);
    }
}

void draw_reload(struct draw *draw, double from, double to) {
    struct sim *sim = draw->sim;
    int32_t limits[SIM_KEYS];
    int n = draw->n;
    uint64_t mask = draw_mask(n), all = mask;
    double y = draw_uniform(draw, 0, 1);

    memcpy(limits, sim->config[0].limit, sizeof limits);
    if (y < .35 || (n > 2 && y < .45)) {
        for (int key = 0; key < sim->keys; key++) {
            double next = limits[key] * PICK(draw, .3, .5, 1, 2, 3);
            limits[key] = next < 1 ? 1 : (int32_t)next;
        }
    } else if ((y < .7 || n <= 2) && n < MASK_NODES) {
        mask |= (uint64_t)1 << n;
    } else {
        mask &= ~((uint64_t)1 << draw_node(draw));
        sim->count[COUNT_REMOVALS]++;
    }
    all |= mask;
    if (sim->drop_nodes > 0 && sim->drop_nodes < n) {
        mask &= draw_mask(sim->drop_nodes) | ~draw_mask(n);
    }
    sim->count[COUNT_RELOADS]++;
    sim_add_config(sim, mask, limits);
    for (int i = 0; i < MASK_NODES; i++) {
        if ((all >> i & 1) != 0) {
            draw_fault(draw, draw_uniform(draw, from, to), STEP_LOAD, i, 0);
        }
    }
}
