/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

static const double worker_period = 0.25, doorbell_delay = 0.002;

uint64_t sim_local(const struct sim *sim, int node) {
    const struct sim_node *n = &sim->node[node];
    return (uint64_t)((n->offset_us + n->rate * (double)sim->now) / 1000.0);
}

uint64_t host_key_hash(int key) {
    char name[16];
    int length = snprintf(name, sizeof name, "key%d", key);
    return deal_hash(name, (size_t)length);
}

/* ---- the segment, as workers evaluate it: nothing here asks the core ---- */

static bool changes(const struct sim *sim, int key) {
    const struct sim_config *a = &sim->config[0], *b = &sim->config[1];
    return a->limit[key] != b->limit[key] ||
           memcmp(a->deal.hash, b->deal.hash, sizeof a->deal.hash) != 0;
}

static int32_t limit_at(const struct sim *sim, int node, const struct sim_config *config, int key) {
    int32_t own = sim->node[node].file_limit;
    return own != 0 ? own : config->limit[key];
}

int32_t host_home(const struct sim *sim, int node, int config, int key) {
    const struct sim_config *c = &sim->config[config < 0 ? 0 : config];
    if (config < 0) {
        return 0;
    }
    return deal_home(&c->deal, sim->node[node].hash, host_key_hash(key),
                     limit_at(sim, node, c, key));
}

int32_t host_reserve(const struct sim *sim, int node, int config, int key) {
    const struct sim_config *c = &sim->config[config < 0 ? 0 : config];
    if (config < 0) {
        return 0;
    }
    return deal_reserve(&c->deal, sim->node[node].hash, limit_at(sim, node, c, key));
}

int32_t node_cap(const struct sim *sim, int node, int key) {
    const struct sim_node *n = &sim->node[node];
    const struct sim_segment_counter *counter = &n->counter[key];
    bool valid = sim_local(sim, node) < n->memory.session_end;
    int32_t cap = !valid            ? host_reserve(sim, node, n->config, key)
                  : counter->record ? counter->share
                                    : host_home(sim, node, n->config, key);

    if (!valid && n->config > 0 && sim->commit_raises) {
        cap = host_home(sim, node, n->config, key);
    }

    if (n->loaded != n->config && changes(sim, key) && !sim->no_pending) {
        int32_t next =
            valid ? host_home(sim, node, n->loaded, key) : host_reserve(sim, node, n->loaded, key);
        cap = next < cap ? next : cap;
    }
    return cap;
}

/* ---- workers ---- */

static void take(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];

    n->in_use[key]++;
    sim->takes++;
    n->takes++;
    sim->total[key]++;
    if (sim->total[key] > sim->peak[key]) {
        sim->peak[key] = sim->total[key];
    }
    int32_t limit = sim->config[sim->committed].limit[key];
    if (sim->total[key] > limit && sim->over++ == 0) {
        sim->over_at = sim->now;
        sim->over_key = key;
        sim->over_by = sim->total[key] - limit;
        sim_log(sim, "OVER counter %d: %lld of %d, taken by node %d", key,
                (long long)sim->total[key], limit, node);
    }
    if (n->connections[key] == n->room[key]) {
        n->room[key] = n->room[key] == 0 ? 16 : 2 * n->room[key];
        n->connection[key] = realloc(n->connection[key], n->room[key] * sizeof *n->connection[key]);
        if (n->connection[key] == NULL) {
            abort();
        }
    }
    uint64_t id = ++sim->connection_ids;
    n->connection[key][n->connections[key]++] = id;
    double hold = sim_uniform(sim, 0, 1) > sim->tail ? sim_exponential(sim, sim->hold_s)
                                                     : sim_uniform(sim, 10, 90);
    sim_at(sim, hold,
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
    while (n->in_use[key] < n->demand[key] && n->in_use[key] < node_cap(sim, node, key)) {
        take(sim, node, key);
    }
    /* The next take is refused: it rings the doorbell. */
    if (n->in_use[key] < n->demand[key] && n->bridge) {
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

    for (uint32_t i = 0; i < n->connections[key]; i++) {
        if (n->connection[key][i] == id) {
            memmove(&n->connection[key][i], &n->connection[key][i + 1],
                    (n->connections[key] - i - 1) * sizeof(uint64_t));
            n->connections[key]--;
            n->in_use[key]--;
            sim->total[key]--;
            return true;
        }
    }
    return false;
}

void node_close_all(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];

    while (n->connections[key] > 0) {
        end_connection(sim, node, key, n->connection[key][n->connections[key] - 1]);
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
        int32_t cap = node_cap(sim, event->node, key);
        uint64_t now = sim_local(sim, event->node);
        if (n->in_use[key] <= cap) {
            n->over_since[key] = 0;
        } else if (n->over_since[key] == 0) {
            n->over_since[key] = now;
        } else if (now - n->over_since[key] > sim->timers.drain && !sim->no_drain) {
            while (n->in_use[key] > cap) {
                sim->forced++;
                end_connection(sim, event->node, key, n->connection[key][n->connections[key] - 1]);
            }
        }
        host_fill_up(sim, event->node, key);
    }
    sim_at(sim, worker_period / n->rate, *event);
}
