/* SPDX-License-Identifier: MIT */
/* What a run's seed draws before the run begins, and the doing of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

struct sim_step *plan_step(struct sim *sim, double at_s, enum sim_step_type type) {
    if (sim->steps == sim->step_room) {
        sim->step_room = sim->step_room == 0 ? 256 : 2 * sim->step_room;
        sim->step = realloc(sim->step, sim->step_room * sizeof *sim->step);
        if (sim->step == NULL) {
            abort();
        }
    }
    struct sim_step *step = &sim->step[sim->steps++];
    memset(step, 0, sizeof *step);
    step->id = sim->steps; /* until they are in order */
    step->at = (sim_time)(at_s * 1e6);
    step->type = type;
    for (int key = 0; key < SIM_KEYS; key++) {
        step->demand[key] = -1;
    }
    return step;
}

static int in_order(const void *left, const void *right) {
    const struct sim_step *a = left, *b = right;
    int order = (a->at > b->at) - (a->at < b->at);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static bool concerns(const struct sim *sim, const struct sim_step *step) {
    bool left_out =
        sim->drop_nodes > 0 && step->node >= sim->drop_nodes && step->node < sim->drawn_nodes;
    return !left_out;
}

static void schedule(struct sim *sim) {
    while (sim->next_step < sim->steps) {
        const struct sim_step *step = &sim->step[sim->next_step];
        if ((sim->only == NULL || sim->only[step->id] != 0) && concerns(sim, step)) {
            double wait = step->at > sim->now ? (double)(step->at - sim->now) / 1e6 : 0;
            sim_at(sim, wait, (struct sim_event){.type = EVENT_STEP});
            return;
        }
        sim->next_step++;
    }
}

void plan_begin(struct sim *sim) {
    if (sim->steps > 0) {
        qsort(sim->step, sim->steps, sizeof *sim->step, in_order);
    }
    for (unsigned i = 0; i < sim->steps; i++) {
        sim->step[i].id = i + 1;
    }
    schedule(sim);
}

/* ---- doing it ---- */

static void demand(struct sim *sim, const struct sim_step *step) {
    struct sim_node *node = &sim->node[step->node];

    for (int key = 0; key < sim->keys; key++) {
        if (step->demand[key] >= 0 && step->demand[key] != node->demand[key]) {
            sim_log_key(sim, key, "node %d wants %d of counter %d", step->node, step->demand[key],
                        key);
            node->demand[key] = step->demand[key];
        }
    }
    node_workers(sim, step->node);
}

static void weather(struct sim *sim, const struct sim_step *step) {
    const struct sim_network *bad = &sim->weather;

    sim->network = (struct sim_network){
        .loss = (sim->calm & CALM_LOSS) != 0 ? 0 : bad->loss,
        .doubled = (sim->calm & CALM_DOUBLED) != 0 ? 0 : bad->doubled,
        .slow = (sim->calm & CALM_LATE) != 0 ? 0 : bad->slow,
        .nasty = (sim->calm & CALM_LATE) != 0 ? 0 : bad->nasty,
    };
    sim->slow_action = (sim->calm & CALM_STOPS) != 0 ? 0 : sim->weather_slow;
    sim->full = (sim->calm & CALM_FULL) != 0 ? 0 : sim->weather_full;
    sim->weather_until = sim->now + (sim_time)(step->s * 1e6);
    sim_at(sim, step->s, (struct sim_event){.type = EVENT_CALM});
}

void plan_calm(struct sim *sim) {
    if (sim->now >= sim->weather_until) {
        sim->network = (struct sim_network){0};
        sim->slow_action = sim->full = 0;
    }
}

static void happen(struct sim *sim, const struct sim_step *step, int node) {
    switch (step->type) {
    case STEP_DEMAND:
        demand(sim, step);
        break;
    case STEP_HOST_CRASH:
        node_host_crash(sim, node, step->s);
        break;
    case STEP_BRIDGE_CRASH:
        node_bridge_crash(sim, node, step->s);
        break;
    case STEP_LEAVE:
        node_bridge_leave(sim, node, step->s);
        break;
    case STEP_PAUSE:
        node_pause(sim, node, step->s);
        break;
    case STEP_FREEZE:
        node_freeze(sim, node, step->s);
        break;
    case STEP_CUT:
        net_cut(sim, step->mask, step->out, step->in, step->s);
        break;
    case STEP_LOAD:
        node_load_file(sim, node, step->a != 0 ? (int)step->a : sim->configs - 1);
        break;
    case STEP_BURY:
        node_bury(sim, node);
        break;
    case STEP_RETURN:
        node_return(sim, node, (int)step->a);
        break;
    case STEP_OPERATE:
        files_operate(sim);
        break;
    case STEP_LONE:
        sim->lone_s = step->s;
        sim->lone_deaf = step->in;
        break;
    case STEP_WEATHER:
        weather(sim, step);
        break;
    default:
        sim->story(sim, step->a, step->b);
        break;
    }
}

void plan_next(struct sim *sim) {
    const struct sim_step *step = &sim->step[sim->next_step++];
    int node = step->node;

    if (sim->settling) {
        return;
    }
    if (node == SIM_LEADER) {
        node = node_leader(sim);
        sim->count[COUNT_LEADER_KILLS] += node >= 0;
    }
    bool any = step->type == STEP_LOAD || step->type == STEP_WEATHER || step->type == STEP_CUT ||
               step->type >= STEP_RETURN;
    if ((node >= 0 && (any || sim->node[node].exists)) || step->type == STEP_STORY) {
        sim->telling = step->id;
        happen(sim, step, node);
        sim->telling = 0;
    }
    schedule(sim);
}
