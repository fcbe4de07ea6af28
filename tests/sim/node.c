/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static const double worker_period = 0.25, doorbell_delay = 0.002;

uint64_t sim_local(const struct sim *sim, int node) {
    const struct sim_node *n = &sim->node[node];
    return (uint64_t)((n->offset_us + n->rate * (double)sim->now) / 1000.0);
}

static uint64_t key_hash(int key) {
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

static int32_t home(const struct sim *sim, int node, int config, int key) {
    const struct sim_config *c = &sim->config[config];
    return deal_home(&c->deal, sim->node[node].hash, key_hash(key), c->limit[key]);
}

static int32_t reserve(const struct sim *sim, int node, int config, int key) {
    const struct sim_config *c = &sim->config[config];
    return deal_reserve(&c->deal, sim->node[node].hash, c->limit[key]);
}

int32_t node_cap(const struct sim *sim, int node, int key) {
    const struct sim_node *n = &sim->node[node];
    const struct sim_segment_counter *counter = &n->counter[key];
    bool valid = sim_local(sim, node) < n->memory.session_end;
    int32_t cap = !valid            ? reserve(sim, node, n->config, key)
                  : counter->record ? counter->share
                                    : home(sim, node, n->config, key);

    if (n->loaded != n->config && changes(sim, key) && !sim->no_pending) {
        int32_t next = valid ? home(sim, node, n->loaded, key) : reserve(sim, node, n->loaded, key);
        cap = next < cap ? next : cap;
    }
    return cap;
}

/* ---- workers ---- */

static void take(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];

    n->in_use[key]++;
    sim->takes++;
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

static void fill_up(struct sim *sim, int node, int key) {
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
        fill_up(sim, node, key);
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

static void on_close(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (sim->now < n->frozen_until) {
        sim_at(sim, (double)(n->frozen_until - sim->now) / 1e6 + .001, *event);
        return;
    }
    int key = (int)event->b;
    if (end_connection(sim, event->node, key, event->a)) {
        fill_up(sim, event->node, key);
        if (n->bridge && n->in_use[key] == node_cap(sim, event->node, key)) {
            ring(sim, event->node); /* drained: the bridge polls for that */
        }
    }
}

/* What is above the share longer than the drain time allows is ended, the newest first. */
static void on_workers(struct sim *sim, const struct sim_event *event) {
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
        fill_up(sim, event->node, key);
    }
    sim_at(sim, worker_period / n->rate, *event);
}

/* ---- the bridge's shell ---- */

static void schedule_tick(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    uint64_t due = core_next_tick(n->core), now = sim_local(sim, node);
    double wait = due > now ? (double)(due - now) / 1e3 / n->rate : 0;

    n->tick_order++;
    sim_at(sim, wait + 1e-6,
           (struct sim_event){
               .type = EVENT_TICK, .node = node, .a = n->generation, .b = n->tick_order});
}

static void set_share(struct sim *sim, int node, const struct core_action *action) {
    struct sim_node *n = &sim->node[node];
    struct sim_segment_counter *counter = &n->counter[action->share.key];
    int key = (int)action->share.key;

    sim_log(sim, "node %d: counter %d share %d (grant %llu)", node, key, action->share.share,
            (unsigned long long)action->share.grant);
    *counter = (struct sim_segment_counter){true, action->share.share, action->share.grant};
    fill_up(sim, node, key);
    core_share_applied(n->core, sim_local(sim, node), action->share.key, action->share.grant,
                       n->in_use[key]);
}

static void perform(struct sim *sim, int node, const struct core_action *action) {
    struct sim_node *n = &sim->node[node];

    switch (action->type) {
    case CORE_STORE_MEMORY:
        if (sim->trace && (n->memory.session_number != action->memory.session_number ||
                           n->memory.term != action->memory.term)) {
            sim_log(sim, "node %d: term %llu session %llu until %.3f", node,
                    (unsigned long long)action->memory.term,
                    (unsigned long long)action->memory.session_number,
                    (double)action->memory.session_end / 1e3);
        }
        n->memory = action->memory;
        node_workers(sim, node);
        break;
    case CORE_SET_SHARE:
        set_share(sim, node, action);
        break;
    case CORE_DROP_RECORD:
        n->counter[action->share.key].record = false;
        break;
    case CORE_SCAN:
        sim_at(sim, sim_uniform(sim, .001, .02),
               (struct sim_event){.type = EVENT_SCAN, .node = node, .a = n->generation});
        break;
    case CORE_COMMIT:
        sim_log(sim, "node %d: committed", node);
        n->config = n->loaded;
        sim->committed = n->config > sim->committed ? n->config : sim->committed;
        break;
    case CORE_SEND_HEARTBEAT:
    case CORE_SEND_DEAL:
    case CORE_SEND_VOTE_REQUEST:
    case CORE_SEND_VOTE:
        net_publish(sim, node, action);
        break;
    case CORE_WARN_LIMIT:
        break;
    }
}

/* Perform what the core asked for. Now and then the bridge is stopped between two actions (a page
 * fault, a scheduler), and goes on later. */
static void perform_all(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    const struct core_action *action = NULL;

    if (n->busy || !n->bridge) {
        return;
    }
    while ((action = core_next_action(n->core)) != NULL) {
        if (sim->slow_action > 0 && sim_uniform(sim, 0, 1) < sim->slow_action) {
            n->busy = true;
            n->action = *action;
            double wait =
                sim_random(sim, 20) == 0 ? sim_uniform(sim, 0.1, 8) : sim_uniform(sim, .0005, .05);
            sim_at(sim, wait,
                   (struct sim_event){.type = EVENT_CONTINUE, .node = node, .a = n->generation});
            return;
        }
        perform(sim, node, action);
    }
    schedule_tick(sim, node);
}

static void feed_counters(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    uint64_t now = sim_local(sim, node);

    for (int key = 0; key < sim->keys; key++) {
        int32_t wants = n->demand[key] > n->in_use[key] ? n->demand[key] : n->in_use[key];
        const uint32_t *watched = NULL;
        uint32_t count = core_watched(n->core, &watched);
        bool feed = wants > node_cap(sim, node, key);
        for (uint32_t i = 0; i < count; i++) {
            feed = feed || watched[i] == (uint32_t)key;
        }
        if (feed) {
            core_counter_update(n->core, now, (uint32_t)key, n->in_use[key], wants);
            perform_all(sim, node);
            if (n->busy) {
                return;
            }
        }
    }
    if (n->loaded != n->config && !n->fits_told) {
        bool fits = true;
        for (int key = 0; key < sim->keys; key++) {
            fits = fits && n->in_use[key] <= home(sim, node, n->loaded, key);
        }
        if (fits) {
            n->fits_told = true;
            core_config_fits(n->core, now);
            perform_all(sim, node);
        }
    }
}

static bool bridge_runs(const struct sim *sim, int node, uint64_t generation) {
    const struct sim_node *n = &sim->node[node];
    return n->bridge && n->host && n->generation == generation;
}

static sim_time stopped_until(const struct sim_node *n) {
    return n->paused_until > n->frozen_until ? n->paused_until : n->frozen_until;
}

/* @return true: the bridge is paused, and the event comes again afterwards. */
static bool postponed(struct sim *sim, const struct sim_event *event) {
    sim_time until = stopped_until(&sim->node[event->node]);

    if (sim->now >= until) {
        return false;
    }
    sim_at(sim, (double)(until - sim->now) / 1e6 + 1e-5, *event);
    return true;
}

static void on_tick(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!bridge_runs(sim, event->node, event->a) || n->busy ||
        (event->b != UINT64_MAX && event->b != n->tick_order) || postponed(sim, event)) {
        return;
    }
    feed_counters(sim, event->node);
    if (n->busy) {
        return;
    }
    core_tick(n->core, sim_local(sim, event->node));
    perform_all(sim, event->node);
}

static void on_continue(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!bridge_runs(sim, event->node, event->a) || !n->busy || postponed(sim, event)) {
        return;
    }
    n->busy = false;
    perform(sim, event->node, &n->action);
    perform_all(sim, event->node);
    for (int i = 0; i < n->inboxed && !n->busy; i++) {
        struct sim_message *message = n->inbox[i];
        memmove(n->inbox, n->inbox + 1, (size_t)(n->inboxed - 1) * sizeof(void *));
        n->inboxed--;
        i--;
        node_message(sim, event->node, message);
        net_release(message);
    }
}

static void on_scan(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!bridge_runs(sim, event->node, event->a) || postponed(sim, event)) {
        return;
    }
    if (n->busy) {
        sim_at(sim, .01, *event);
        return;
    }
    uint64_t now = sim_local(sim, event->node);
    core_scan_begin(n->core, now);
    for (int key = 0; key < sim->keys; key++) {
        if (n->in_use[key] > reserve(sim, event->node, n->config, key)) {
            int32_t wants = n->demand[key] > n->in_use[key] ? n->demand[key] : n->in_use[key];
            core_counter_update(n->core, now, (uint32_t)key, n->in_use[key], wants);
        }
    }
    core_scan_done(n->core, now, true);
    perform_all(sim, event->node);
}

static void hand_over(struct sim *sim, int node, const struct sim_message *message) {
    struct sim_node *n = &sim->node[node];
    uint64_t now = sim_local(sim, node);

    switch (message->type) {
    case CORE_SEND_HEARTBEAT:
        core_on_heartbeat(n->core, now, &message->heartbeat);
        break;
    case CORE_SEND_DEAL:
        core_on_deal(n->core, now, &message->deal);
        break;
    case CORE_SEND_VOTE_REQUEST:
        core_on_vote_request(n->core, now, &message->vote_request);
        break;
    default:
        core_on_vote(n->core, now, &message->vote);
        break;
    }
}

void node_message(struct sim *sim, int node, struct sim_message *message) {
    struct sim_node *n = &sim->node[node];

    if (!n->bridge || !n->host) {
        return;
    }
    sim_time until = stopped_until(n);
    if (n->busy || sim->now < until) {
        if (n->inboxed == SIM_INBOX) {
            net_release(n->inbox[0]);
            memmove(n->inbox, n->inbox + 1, (SIM_INBOX - 1) * sizeof(void *));
            n->inboxed--;
        }
        message->references++;
        n->inbox[n->inboxed++] = message;
        if (!n->busy) {
            /* Handled as soon as it goes on, before any tick: as from a socket's buffer. */
            n->busy = true;
            n->action.type = CORE_WARN_LIMIT; /* nothing to perform */
            sim_at(sim, (double)(until - sim->now) / 1e6 + 1e-5,
                   (struct sim_event){.type = EVENT_CONTINUE, .node = node, .a = n->generation});
        }
        return;
    }
    hand_over(sim, node, message);
    perform_all(sim, node);
}

/* ---- life ---- */

static void start_bridge(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    uint64_t now = sim_local(sim, node);

    n->generation++;
    n->memory.generation++;
    n->bridge = true;
    n->busy = n->fits_told = false;
    n->rung = 0;
    struct core_options options = {.self = n->hash,
                                   .boot = n->boot,
                                   .created = n->created,
                                   .seed = sim_random(sim, UINT64_MAX),
                                   .keys = SIM_KEYS,
                                   .timers = sim->timers,
                                   .committed = sim->config[n->config].membership,
                                   .memory = n->memory};
    n->core = core_create(&options, now);
    if (n->core == NULL) {
        abort();
    }
    for (int key = 0; key < sim->keys; key++) {
        core_counter_define(n->core, (uint32_t)key, key_hash(key),
                            sim->config[n->config].limit[key], sim->config[n->loaded].limit[key]);
        if (n->counter[key].record) {
            core_counter_restore(n->core, (uint32_t)key, n->counter[key].share,
                                 n->counter[key].grant, n->in_use[key], n->in_use[key]);
        }
    }
    if (n->loaded != n->config) {
        core_config_pending(n->core, now, &sim->config[n->loaded].membership);
    }
    perform_all(sim, node);
}

static void stop_bridge(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->core == NULL) {
        return;
    }
    struct core_stats stats = core_stats(n->core);
    for (size_t i = 0; i < sizeof stats / sizeof(uint64_t); i++) {
        ((uint64_t *)&sim->stats)[i] += ((const uint64_t *)&stats)[i];
    }
    core_destroy(n->core);
    n->core = NULL;
    n->bridge = false;
    n->generation++;
    while (n->inboxed > 0) {
        net_release(n->inbox[--n->inboxed]);
    }
}

static void new_segment(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (sim->reboot_clock) {
        n->offset_us = 1e6 - n->rate * (double)sim->now;
    }
    memset(&n->memory, 0, sizeof n->memory);
    memset(n->counter, 0, sizeof n->counter);
    memset(n->over_since, 0, sizeof n->over_since);
    n->boot = sim_random(sim, UINT64_MAX - 1) + 1;
    n->created = sim_local(sim, node);
    n->incarnation++;
    n->host = true;
    sim_at(sim, sim_uniform(sim, 0, worker_period),
           (struct sim_event){.type = EVENT_WORKERS, .node = node, .a = n->incarnation});
}

void node_create(struct sim *sim, int node, int config) {
    struct sim_node *n = &sim->node[node];
    char name[16];
    int length = snprintf(name, sizeof name, "node%d", node);

    n->exists = true;
    n->hash = deal_hash(name, (size_t)length);
    n->rate = 1 + sim_uniform(sim, -.0095, .0095);
    n->offset_us = sim_uniform(sim, 1e6, 1e10);
    n->config = n->loaded = config;
    new_segment(sim, node);
    start_bridge(sim, node);
}

void node_host_crash(struct sim *sim, int node, double down_s) {
    struct sim_node *n = &sim->node[node];

    if (!n->host) {
        return;
    }
    sim_log(sim, "node %d: HOST CRASH for %g s", node, down_s);
    stop_bridge(sim, node);
    n->host = false;
    for (int key = 0; key < sim->keys; key++) {
        sim->total[key] -= n->in_use[key];
        n->in_use[key] = 0;
        n->connections[key] = 0;
    }
    sim_at(sim, down_s, (struct sim_event){.type = EVENT_HOST_UP, .node = node});
}

void node_bridge_crash(struct sim *sim, int node, double down_s) {
    struct sim_node *n = &sim->node[node];

    if (!n->bridge) {
        return;
    }
    sim_log(sim, "node %d: BRIDGE CRASH for %g s", node, down_s);
    stop_bridge(sim, node);
    sim_at(sim, down_s,
           (struct sim_event){.type = EVENT_BRIDGE_UP, .node = node, .a = n->generation});
}

void node_bridge_leave(struct sim *sim, int node, double down_s) {
    struct sim_node *n = &sim->node[node];

    if (!n->bridge || n->busy || sim->now < stopped_until(n)) {
        return;
    }
    sim_log(sim, "node %d: LEAVE for %g s", node, down_s);
    core_leave(n->core, sim_local(sim, node));
    perform_all(sim, node);
    sim_at(sim, 1,
           (struct sim_event){.type = EVENT_BRIDGE_END,
                              .node = node,
                              .a = n->generation,
                              .b = (uint64_t)(down_s * 1e6)});
}

void node_pause(struct sim *sim, int node, double s) {
    struct sim_node *n = &sim->node[node];
    sim_time until = sim->now + (sim_time)(s * 1e6);

    sim_log(sim, "node %d: PAUSE for %g s", node, s);
    n->paused_until = until > n->paused_until ? until : n->paused_until;
}

void node_freeze(struct sim *sim, int node, double s) {
    struct sim_node *n = &sim->node[node];
    sim_time until = sim->now + (sim_time)(s * 1e6);

    sim_log(sim, "node %d: FREEZE for %g s", node, s);
    n->frozen_until = until > n->frozen_until ? until : n->frozen_until;
}

void node_load(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (!n->exists) {
        node_create(sim, node, 0);
    }
    if (n->loaded == 1) {
        return;
    }
    if (n->busy) {
        sim_at(sim, .05, (struct sim_event){.type = EVENT_LOAD, .node = node});
        return;
    }
    sim_log(sim, "node %d: loads the second configuration", node);
    n->loaded = 1;
    if (!n->bridge) {
        return;
    }
    for (int key = 0; key < sim->keys; key++) {
        core_counter_define(n->core, (uint32_t)key, key_hash(key), sim->config[0].limit[key],
                            sim->config[1].limit[key]);
    }
    core_config_pending(n->core, sim_local(sim, node), &sim->config[1].membership);
    perform_all(sim, node);
}

int node_leader(struct sim *sim) {
    int found[SIM_NODES], count = 0;

    for (int i = 0; i < SIM_NODES; i++) {
        if (sim->node[i].bridge && core_leading(sim->node[i].core, sim_local(sim, i))) {
            found[count++] = i;
        }
    }
    return count == 0 ? -1 : found[sim_random(sim, (uint64_t)count)];
}

void node_handle(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    switch (event->type) {
    case EVENT_TICK:
        on_tick(sim, event);
        break;
    case EVENT_CONTINUE:
        on_continue(sim, event);
        break;
    case EVENT_DELIVER:
        node_message(sim, event->node, event->message);
        net_release(event->message);
        break;
    case EVENT_WORKERS:
        on_workers(sim, event);
        break;
    case EVENT_CLOSE:
        on_close(sim, event);
        break;
    case EVENT_SCAN:
        on_scan(sim, event);
        break;
    case EVENT_HOST_UP:
        if (!n->host) {
            new_segment(sim, event->node);
            start_bridge(sim, event->node);
        }
        break;
    case EVENT_BRIDGE_UP:
        if (n->host && !n->bridge && event->a == n->generation) {
            start_bridge(sim, event->node);
        }
        break;
    case EVENT_BRIDGE_END:
        if (bridge_runs(sim, event->node, event->a)) {
            node_bridge_crash(sim, event->node, (double)event->b / 1e6);
        }
        break;
    case EVENT_LOAD:
        node_load(sim, event->node);
        break;
    case EVENT_HEAL:
    case EVENT_STORY:
        break;
    }
}
