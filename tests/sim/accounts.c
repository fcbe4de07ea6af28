/* SPDX-License-Identifier: MIT */
/* What the coordinator counts for a member is never less than what that one holds. A run may break
 * this without that anything goes over, when nobody happens to take what was counted too low; so it
 * shows mistakes that are rare as a sum much more often. */
#include <stdio.h>

#include "../../bridge/core/internal.h"
#include "baseline.h"
#include "node.h"

static bool leads(struct sim *sim, int node) {
    const struct sim_node *n = &sim->node[node];
    const struct core *core = n->core;

    return n->host && n->bridge && core != NULL && core->leading && !core->minority &&
           coordinator_acts(core, sim_local(sim, node));
}

static int node_of(const struct sim *sim, uint64_t hash) {
    for (int i = 0; i < sim->top; i++) {
        if (sim->node[i].exists && sim->node[i].hash == hash) {
            return i;
        }
    }
    return -1;
}

/* The most that is, or may at once be, in use. */
static int32_t held(struct sim *sim, int node, int key) {
    const struct sim_node *n = &sim->node[node];
    int32_t may = n->host && n->config >= 0 ? node_cap(sim, node, key) : 0;

    return may > n->in_use[key] ? may : n->in_use[key];
}

static void doubt(struct sim *sim, int key, const char *who, int64_t held, int64_t counted) {
    if (sim->doubt[0] == '\0') {
        sim->doubt_at = sim->now;
        sim->doubt_key = key;
        (void)snprintf(sim->doubt, sizeof sim->doubt,
                       "of counter %d %s may hold %lld, and the coordinator counts %lld, at %.3f s",
                       key, who, (long long)held, (long long)counted, (double)sim->now / 1e6);
        sim_log(sim, "DOUBT %s", sim->doubt);
    }
}

/* A host that was frozen may be late in ending what is above its share. */
static bool on_time(const struct sim *sim, const struct sim_node *n) {
    sim_time late = (sim_time)1000 * (sim->timers.session + sim->timers.drain + sim->timers.grace);

    return n->frozen_until == 0 || sim->now > n->frozen_until + late;
}

/* What has been committed elsewhere, and not here, is fenced by the epoch: nothing to be compared.
 */
static bool comparable(const struct sim *sim, const struct core *core, int node, int key) {
    const struct sim_node *n = &sim->node[node];

    return on_time(sim, n) && (n->config < 0 || n->epoch == core->committed.epoch) &&
           !files_observed(sim, n, key);
}

static void check_row(struct sim *sim, const struct core *core, uint32_t key) {
    int64_t unknown = 0;
    bool all = true, some = false;

    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        const struct entry *entry = coordinator_entry(core, key, i);
        int node = peer->hash != 0 && peer->state != PEER_NONE ? node_of(sim, peer->hash) : -1;
        if (node < 0) {
            continue;
        }
        if (!comparable(sim, core, node, (int)key)) {
            all = false;
            continue;
        }
        int32_t there = held(sim, node, (int)key);
        if (!entry->present) {
            unknown += there;
            some = true;
        } else if (there > entry->out) {
            char who[32];
            (void)snprintf(who, sizeof who, "node %d", node);
            doubt(sim, (int)key, who, there, entry->out);
        }
    }
    if (all && some && unknown > core->row[key].mass) {
        doubt(sim, (int)key, "those that are unknown", unknown, core->row[key].mass);
    }
}

static int peer_of(const struct core *core, uint64_t hash) {
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].hash == hash && core->peer[i].state != PEER_NONE) {
            return i;
        }
    }
    return -1;
}

/* Only what this node may hold can have become more. */
static void check_node(struct sim *sim, const struct core *core, int node) {
    int peer = peer_of(core, sim->node[node].hash);

    for (uint32_t i = 0; peer >= 0 && i < core->active_count; i++) {
        uint32_t key = core->active[i];
        const struct entry *entry = coordinator_entry(core, key, peer);
        bool known = entry->present && held(sim, node, (int)key) <= entry->out;
        if (!known && !core->counter[key].observed) {
            check_row(sim, core, key);
        }
    }
}

void accounts_check(struct sim *sim, const struct sim_event *event) {
    bool core_ran = event->type == EVENT_TICK || event->type == EVENT_CONTINUE ||
                    event->type == EVENT_DELIVER || event->type == EVENT_SCAN ||
                    event->type == EVENT_LOAD || event->type == EVENT_HOST_UP;
    if (!core_ran || sim->doubt[0] != '\0' || sim->timers.take_over_after != 0 ||
        baseline_runs(sim)) {
        return; /* nothing changed; told already; or known to go over */
    }
    for (int i = 0; i < sim->top; i++) {
        const struct core *core = sim->node[i].core;
        if (!leads(sim, i)) {
            continue;
        }
        for (uint32_t j = 0; i == event->node && j < core->active_count; j++) {
            if (!core->counter[core->active[j]].observed) {
                check_row(sim, core, core->active[j]);
            }
        }
        if (i != event->node) {
            check_node(sim, core, event->node);
        }
    }
}
