/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* ---- the run ---- */

void sim_run(struct sim *sim, double until_s) {
    sim_time until = (sim_time)(until_s * 1e6);
    struct sim_event event;

    while (sim->over == 0 && sim_next_event(sim, until, &event)) {
        sim->now = event.at;
        if (event.type == EVENT_STORY) {
            if (!sim->settling) {
                sim->story(sim, event.a, event.b);
            }
        } else if (event.type == EVENT_HEAL) {
            net_heal(sim, event.a, (event.b & 1) != 0, (event.b & 2) != 0);
        } else {
            node_handle(sim, &event);
        }
    }
    sim->now = until;
}

void sim_log(const struct sim *sim, const char *format, ...) {
    va_list arguments;

    if (!sim->trace) {
        return;
    }
    printf("%9.3f ", (double)sim->now / 1e6);
    va_start(arguments, format);
    vprintf(format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(arguments);
    putchar('\n');
}

/* ---- the world ---- */

static uint64_t name_hash(int node) {
    char name[16];
    int length = snprintf(name, sizeof name, "node%d", node);
    return deal_hash(name, (size_t)length);
}

static void fill_config(const struct sim *sim, struct sim_config *config, uint64_t epoch,
                        uint64_t mask, uint32_t reserve_percent) {
    config->membership.epoch = epoch;
    config->membership.digest = epoch * 1000 + 7;
    config->membership.reserve_percent = reserve_percent;
    config->deal.reserve_percent = reserve_percent;
    for (int i = 0; i < SIM_NODES; i++) {
        if ((mask >> i & 1) == 0) {
            continue;
        }
        bool witness = (sim->witnesses >> i & 1) != 0;
        struct core_member *member = &config->membership.member[config->membership.members++];
        member->hash = name_hash(i);
        member->witness = witness;
        if (!witness) {
            config->deal.hash[config->deal.count++] = member->hash;
        }
    }
}

bool sim_is_member(const struct sim_config *config, uint64_t hash) {
    for (uint32_t i = 0; i < config->deal.count; i++) {
        if (config->deal.hash[i] == hash) {
            return true;
        }
    }
    return false;
}

void sim_start(struct sim *sim, uint64_t seed, int n, const int32_t *limits, int keys,
               uint32_t reserve_percent, const struct core_timers *timers) {
    sim->random = seed * 0x2545f4914f6cdd1du + 0x1234567u;
    sim->nodes = n;
    sim->keys = keys;
    sim->configs = 1;
    sim->timers = *timers;
    sim->hold_s = 2;
    sim->tail = 0.04;
    sim->slow_action = 0.05;
    fill_config(sim, &sim->config[0], 1, n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1,
                reserve_percent);
    memcpy(sim->config[0].limit, limits, (size_t)keys * sizeof *limits);
    for (int i = 0; i < n; i++) {
        node_create(sim, i, 0);
    }
}

void sim_second_config(struct sim *sim, uint64_t mask, const int32_t *limits) {
    sim->configs = 2;
    fill_config(sim, &sim->config[1], 2, mask, sim->config[0].membership.reserve_percent);
    memcpy(sim->config[1].limit, limits, (size_t)sim->keys * sizeof *limits);
}

void sim_end(struct sim *sim) {
    for (size_t i = 0; i < sim->heap_count; i++) {
        if (sim->heap[i].message != NULL) {
            net_release(sim->heap[i].message);
        }
    }
    free(sim->heap);
    for (int i = 0; i < SIM_NODES; i++) {
        struct sim_node *node = &sim->node[i];
        core_destroy(node->core);
        for (int j = 0; j < node->inboxed; j++) {
            net_release(node->inbox[j]);
        }
        for (int key = 0; key < SIM_KEYS; key++) {
            free(node->connection[key]);
        }
    }
}

/* ---- after the faults ---- */

static void heal_all(struct sim *sim) {
    sim->settling = true;
    memset(sim->cut, 0, sizeof sim->cut);
    sim->network = (struct sim_network){0};
    sim->slow_action = 0;
    for (int i = 0; i < SIM_NODES; i++) {
        struct sim_node *node = &sim->node[i];
        if (!node->exists) {
            continue;
        }
        node->paused_until = node->frozen_until = sim->now;
        if (!node->host) {
            sim_at(sim, 0.01, (struct sim_event){.type = EVENT_HOST_UP, .node = i});
        } else if (!node->bridge) {
            sim_at(sim, 0.01,
                   (struct sim_event){.type = EVENT_BRIDGE_UP, .node = i, .a = node->generation});
        }
        if (sim->configs == 2 && node->loaded == 0) {
            sim_at(sim, 0.5, (struct sim_event){.type = EVENT_LOAD, .node = i});
        }
    }
}

static void hungry_all(struct sim *sim) {
    for (int i = 0; i < SIM_NODES; i++) {
        for (int key = 0; sim->node[i].exists && key < sim->keys; key++) {
            sim->node[i].demand[key] = 2 * sim->config[sim->committed].limit[key];
        }
    }
}

void sim_settle(struct sim *sim) {
    double now = (double)sim->now / 1e6;
    double expiry = (double)(sim->timers.session + sim->timers.drain + sim->timers.grace) / 1e3;

    heal_all(sim);
    for (int i = 0; i < SIM_NODES; i++) {
        memset(sim->node[i].demand, 0, sizeof sim->node[i].demand);
    }
    sim_run(sim, now + expiry + 30); /* everything drains; a pending configuration commits */
    hungry_all(sim);
    sim_run(sim, now + 2 * expiry + 50);
    memcpy(sim->peak, sim->total, sizeof sim->peak);
    sim_run(sim, now + 2 * expiry + 60);
    if (sim->over != 0) {
        return;
    }
    const struct sim_config *config = &sim->config[sim->committed];
    if (sim->committed != sim->configs - 1) {
        snprintf(sim->stuck, sizeof sim->stuck, "the pending configuration was never committed");
    }
    for (int i = 0; i < SIM_NODES; i++) {
        const struct sim_node *node = &sim->node[i];
        if (node->exists && sim_is_member(config, node->hash) &&
            node->memory.session_end <= sim_local(sim, i)) {
            snprintf(sim->stuck, sizeof sim->stuck, "node %d has no session", i);
        }
    }
    for (int key = 0; key < sim->keys; key++) {
        if (sim->peak[key] < config->limit[key]) {
            snprintf(sim->stuck, sizeof sim->stuck, "counter %d: %lld of %d used, all hungry", key,
                     (long long)sim->peak[key], config->limit[key]);
        }
    }
}
