/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "node.h"

static const double worker_period = 0.25, doorbell_delay = 0.002;

uint64_t sim_local(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->local_at != sim->now || n->local == 0) {
        n->local_at = sim->now;
        n->local = (uint64_t)((n->offset_us + n->rate * (double)sim->now) * 1e-3);
    }
    return n->local;
}

uint64_t host_key_hash(int key) {
    char name[16];
    int length = snprintf(name, sizeof name, "key%d", key);
    return deal_hash(name, (size_t)length);
}

/* ---- the segment, as workers evaluate it: nothing here asks the core ---- */

void host_deal(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    n->dealt_for = n->file_limit + 1;
    for (int i = 0; i < sim->configs; i++) {
        const struct sim_config *c = &sim->config[i];
        for (int key = 0; key < sim->keys; key++) {
            int32_t limit = n->file_limit != 0 ? n->file_limit : c->limit[key];
            n->home[i + 1][key] = deal_home(&c->deal, n->hash, sim->key_hash[key], limit);
            n->reserve[i + 1][key] = deal_reserve(&c->deal, n->hash, limit);
        }
    }
}

int32_t node_share(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];
    const struct sim_segment_counter *counter = &n->counter[key];
    bool valid = sim_local(sim, node) < n->memory.session_end || sim->no_end;

    if (n->dealt_for != n->file_limit + 1) {
        host_deal(sim, node);
    }
    int32_t cap = !valid            ? n->reserve[n->config + 1][key]
                  : counter->record ? counter->share
                                    : n->home[n->config + 1][key];
    if (!valid && n->config > 0 && sim->commit_raises) {
        cap = n->home[n->config + 1][key];
    }
    bool refuses = !files_observe(sim, n, n->loaded, key);
    if (n->loaded != n->config && files_differ(sim, n, key) && refuses && !sim->no_pending) {
        int32_t next = valid ? n->home[n->loaded + 1][key] : n->reserve[n->loaded + 1][key];
        cap = next < cap ? next : cap;
    }
    return cap;
}

int32_t node_cap(struct sim *sim, int node, int key) {
    return files_observed(sim, &sim->node[node], key) ? INT32_MAX : node_share(sim, node, key);
}

/* ---- workers ---- */

void host_check(struct sim *sim, int key, int node) {
    const struct sim_config *config = &sim->config[sim->committed];
    int32_t limit = config->limit[key];

    if (!config->observed[key] && sim->total[key] > limit && sim->over++ == 0) {
        sim->over_at = sim->now;
        sim->over_key = key;
        sim->over_by = sim->total[key] - limit;
        sim_log(sim, "OVER counter %d: %lld of %d, taken by node %d", key,
                (long long)sim->total[key], limit, node);
    }
}

void host_take(struct sim *sim, int node, int key, uint64_t id) {
    struct sim_node *n = &sim->node[node];

    n->in_use[key]++;
    sim->count[COUNT_TAKES]++;
    n->takes++;
    sim->total[key]++;
    if (sim->total[key] > sim->peak[key]) {
        sim->peak[key] = sim->total[key];
    }
    host_check(sim, key, node);
    struct sim_connections *connections = &sim->connection[node][key];
    if (n->connections[key] == connections->room) {
        connections->room = connections->room == 0 ? 16 : 2 * connections->room;
        connections->id = realloc(connections->id, connections->room * sizeof *connections->id);
        if (connections->id == NULL) {
            abort();
        }
    }
    connections->id[n->connections[key]++] = id;
    uint64_t chance = sim_mix(
        sim->noise ^ sim_mix(sim->now << 20 ^ (uint64_t)node << 8 ^ (uint64_t)key << 4) ^ n->takes);
    double hold = sim_draw_uniform(&chance, 0, 1) > sim->tail
                      ? sim_draw_exponential(&chance, sim->hold_s)
                      : sim_draw_uniform(&chance, 10, 90);
    /* It takes some time: one that ended at once would draw the same chance again, for ever. */
    sim_at(sim, hold + 1e-5,
           (struct sim_event){.type = EVENT_CLOSE, .node = node, .a = id, .b = (uint64_t)key});
}

static void ring(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->rung <= sim->now) {
        n->rung = sim->now + 50 * SIM_MS;
        sim_at(sim, doorbell_delay,
               (struct sim_event){
                   .type = EVENT_TICK, .node = node, .a = n->generation, .b = UINT64_MAX});
    }
}

void host_fill_up(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];

    if (!n->host || sim->now < n->frozen_until) {
        return;
    }
    if (baseline_runs(sim)) {
        baseline_fill_up(sim, node, key);
        return;
    }
    if (n->in_use[key] >= n->demand[key]) {
        return;
    }
    int32_t cap = node_cap(sim, node, key);
    int32_t share = node_share(sim, node, key);
    bool passed = false;
    while (n->in_use[key] < n->demand[key] && n->in_use[key] < cap) {
        sim->count[COUNT_PASSED] += n->in_use[key] >= share;
        passed = passed || n->in_use[key] >= share;
        host_take(sim, node, key, ++sim->connection_ids);
    }
    /* The next take is refused, or one was that would have been: it rings the doorbell. */
    sim->count[COUNT_REFUSED] += n->in_use[key] < n->demand[key];
    if ((passed || n->in_use[key] < n->demand[key]) && n->bridge) {
        ring(sim, node);
    }
}

void node_workers(struct sim *sim, int node) {
    for (int key = 0; key < sim->keys; key++) {
        host_fill_up(sim, node, key);
    }
}

static bool end_connection(struct sim *sim, int node, int key, uint64_t id) {
    struct sim_node *n = &sim->node[node];
    uint64_t *ids = sim->connection[node][key].id;

    for (uint32_t i = 0; i < n->connections[key]; i++) {
        if (ids[i] == id) {
            memmove(&ids[i], &ids[i + 1], (n->connections[key] - i - 1) * sizeof *ids);
            n->connections[key]--;
            n->in_use[key]--;
            sim->total[key]--;
            return true;
        }
    }
    return false;
}

static void end_newest(struct sim *sim, int node, int key) {
    uint32_t count = sim->node[node].connections[key];
    end_connection(sim, node, key, sim->connection[node][key].id[count - 1]);
}

void node_close_all(struct sim *sim, int node, int key) {
    while (sim->node[node].connections[key] > 0) {
        end_newest(sim, node, key);
    }
}

void host_on_close(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (sim->now < n->frozen_until) {
        sim_at(sim, (double)(n->frozen_until - sim->now) / 1e6 + .001, *event);
        return;
    }
    int key = (int)event->b;
    if (end_connection(sim, event->node, key, event->a)) {
        if (baseline_runs(sim)) {
            baseline_closed(sim, event->node, key, event->a);
        }
        host_fill_up(sim, event->node, key);
    }
}

/* What is above the share longer than the drain time allows is ended, the newest first. */
void host_on_workers(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!n->host || event->a != n->incarnation) {
        return;
    }
    for (int key = 0; key < sim->keys && sim->now >= n->frozen_until; key++) {
        if (baseline_runs(sim)) {
            host_fill_up(sim, event->node, key);
            continue;
        }
        int32_t cap = node_cap(sim, event->node, key);
        uint64_t now = sim_local(sim, event->node);
        if (n->in_use[key] <= cap) {
            n->over_since[key] = 0;
        } else if (n->over_since[key] == 0) {
            n->over_since[key] = now;
        } else if (now - n->over_since[key] > sim->timers.drain && !sim->no_drain) {
            while (n->in_use[key] > cap) {
                sim->count[COUNT_FORCED]++;
                end_newest(sim, event->node, key);
            }
        }
        host_fill_up(sim, event->node, key);
    }
    sim_at(sim, worker_period / n->rate, *event);
}
