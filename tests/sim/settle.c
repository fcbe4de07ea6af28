/* SPDX-License-Identifier: MIT */
/* After the faults: a cluster that is whole again must come back to full use. */
#include <stdio.h>
#include <string.h>

#include "node.h"

static void heal_all(struct sim *sim) {
    sim->settling = true;
    memset(sim->cut, 0, sizeof sim->cut);
    sim->network = (struct sim_network){0};
    sim->slow_action = sim->full = 0;
    sim_log(sim, "EVERYTHING HEALED");
    for (int i = 0; i < sim->top; i++) {
        struct sim_node *node = &sim->node[i];
        if (!node->exists) {
            continue;
        }
        node->paused_until = node->frozen_until = sim->now;
        memset(node->demand, 0, sizeof node->demand);
        if (!node->host) {
            sim_at(sim, 0.01, (struct sim_event){.type = EVENT_HOST_UP, .node = i});
        } else if (!node->bridge) {
            sim_at(sim, 0.01,
                   (struct sim_event){.type = EVENT_BRIDGE_UP, .node = i, .a = node->generation});
        } else { /* what stood still goes on */
            sim_at(sim, 0.01,
                   (struct sim_event){.type = EVENT_CONTINUE, .node = i, .a = node->generation});
            sim_at(sim, 0.02,
                   (struct sim_event){
                       .type = EVENT_TICK, .node = i, .a = node->generation, .b = UINT64_MAX});
        }
    }
}

static void hungry_all(struct sim *sim) {
    sim_log(sim, "EVERYBODY HUNGRY");
    for (int i = 0; i < sim->top; i++) {
        for (int key = 0; sim->node[i].exists && key < sim->keys; key++) {
            sim->node[i].demand[key] = 2 * sim->config[sim->committed].limit[key];
        }
    }
}

static bool committed_everywhere(const struct sim *sim) {
    for (int i = 0; i < SIM_NODES && i < 64; i++) {
        bool member = (sim->config[sim->configs - 1].mask >> i & 1) != 0;
        if (member && !sim->node[i].exists && sim->nodes <= 64) {
            return false;
        }
    }
    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *n = &sim->node[i];
        if (n->exists && (n->config != sim->configs - 1 || n->loaded != n->config ||
                          n->file != n->config)) { /* it waits behind a promise */
            return false;
        }
    }
    return true;
}

static bool lives(const struct sim *sim, uint64_t hash) {
    for (int i = 0; i < sim->top; i++) {
        if (sim->node[i].host && sim->node[i].hash == hash) {
            return true;
        }
    }
    return false;
}

/* Nothing is promised when half of the members are gone for good. */
static bool majority_lives(const struct sim *sim) {
    const struct core_membership *membership = &sim->config[sim->committed].membership;
    uint32_t alive = 0;

    for (uint32_t i = 0; i < membership->members; i++) {
        alive += lives(sim, membership->member[i].hash);
    }
    return alive * 2 > membership->members;
}

/* What must be used: the limit, less the reserves of those that are gone for good. */
static int32_t within_reach(const struct sim *sim, int key) {
    const struct sim_config *config = &sim->config[sim->committed];
    int32_t left = config->limit[key];

    for (uint32_t i = 0; i < config->deal.count; i++) {
        uint64_t hash = config->deal.hash[i];
        left -= lives(sim, hash) ? 0 : deal_reserve(&config->deal, hash, config->limit[key]);
    }
    return left;
}

/* Where nothing is refused the shares are dealt all the same: what would be admitted is the limit,
 * and no more. */
static void judge_shares(struct sim *sim, int key) {
    int64_t sum = 0;

    for (int i = 0; i < sim->top; i++) {
        sum += sim->node[i].host ? node_share(sim, i, key) : 0;
    }
    if (sum < within_reach(sim, key) || sum > sim->config[sim->committed].limit[key]) {
        snprintf(sim->stuck, sizeof sim->stuck, "counter %d, observed: shares of %lld, limit %d",
                 key, (long long)sum, sim->config[sim->committed].limit[key]);
    }
}

/* All have sessions, and since the peaks were last reset every limit was used to the full. */
static bool full(struct sim *sim) {
    const struct sim_config *config = &sim->config[sim->committed];

    sim->stuck[0] = '\0';
    if (!majority_lives(sim)) {
        return true;
    }
    if (sim->committed != sim->configs - 1) {
        snprintf(sim->stuck, sizeof sim->stuck, "the last configuration was never committed");
        return false;
    }
    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *node = &sim->node[i];
        if (node->exists && sim_is_member(config, node->hash) &&
            node->memory.session_end <= sim_local(sim, i)) {
            snprintf(sim->stuck, sizeof sim->stuck, "node %d has no session", i);
        }
    }
    for (int key = 0; key < sim->keys; key++) {
        if (config->observed[key]) {
            judge_shares(sim, key);
            continue;
        }
        if (sim->peak[key] < within_reach(sim, key)) {
            snprintf(sim->stuck, sizeof sim->stuck, "counter %d: %lld of %d used, all hungry", key,
                     (long long)sim->peak[key], config->limit[key]);
        }
    }
    return sim->stuck[0] == '\0';
}

static bool full_within(struct sim *sim, double until_s) {
    memcpy(sim->peak, sim->total, sizeof sim->peak);
    sim_run(sim, until_s);
    return full(sim);
}

void sim_settle(struct sim *sim) {
    double expiry = (double)(sim->timers.session + sim->timers.drain + sim->timers.grace) / 1e3;
    double now = (double)sim->now / 1e6, end = now + 2 * expiry + 60;

    heal_all(sim);
    sim_run(sim, now += .5);
    do { /* what is promised and then the last file are committed, once what is above has drained */
        files_operate(sim);
        sim_run(sim, now += 1);
    } while (now < end && sim->over == 0 && !committed_everywhere(sim));
    hungry_all(sim);
    for (end = now + expiry + 20; now < end && sim->over == 0; now += 1) {
        if (full_within(sim, now + 1)) {
            return;
        }
    }
    if (sim->over == 0 && !full_within(sim, now + 10)) {
        files_show(sim);
    }
}
