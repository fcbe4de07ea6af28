/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "node.h"

/* One tick is on its way at most. One that comes before it is due does nothing but go on. */
static void schedule_tick(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    uint64_t due = core_next_tick(n->core), now = sim_local(sim, node);

    if (n->tick_due <= due) {
        return;
    }
    n->tick_due = due;
    n->tick_order++;
    sim_at(sim, (due > now ? (double)(due - now) / 1e3 / n->rate : 0) + 1e-6,
           (struct sim_event){
               .type = EVENT_TICK, .node = node, .a = n->generation, .b = n->tick_order});
}

/* A counter finds no room for some seconds; who frees some is not told of here. */
static bool is_full(const struct sim *sim, int node, int key) {
    uint64_t chance = sim_mix(
        sim->noise ^
        sim_mix((sim->now / (3000 * SIM_MS)) << 20 ^ (uint64_t)node << 6 ^ (uint64_t)key) ^ 1);
    return sim->full > 0 && sim_draw_uniform(&chance, 0, 1) < sim->full;
}

static void set_share(struct sim *sim, int node, const struct core_action *action) {
    struct sim_node *n = &sim->node[node];
    struct sim_segment_counter *counter = &n->counter[action->share.key];
    int key = (int)action->share.key;

    if (is_full(sim, node, key)) {
        sim->count[COUNT_FULL]++;
        sim_log_key(sim, key, "  node %d: no room for a share of counter %d", node, key);
        return;
    }
    sim_log_key(sim, key, "node %d: counter %d share %d (grant %llu)", node, key,
                action->share.share, (unsigned long long)action->share.grant);
    *counter = (struct sim_segment_counter){true, action->share.share, action->share.grant};
    host_fill_up(sim, node, key);
    core_share_applied(n->core, sim_local(sim, node), action->share.key, action->share.grant,
                       n->in_use[key]);
}

static void read_counter(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];
    int32_t wants = n->demand[key] > n->in_use[key] ? n->demand[key] : n->in_use[key];

    core_counter_update(n->core, sim_local(sim, node), (uint32_t)key, n->in_use[key], wants);
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
    case CORE_READ:
        read_counter(sim, node, (int)action->share.key);
        break;
    case CORE_SCAN:
        sim_at(sim, sim_draw_uniform(&n->random, .001, .02),
               (struct sim_event){.type = EVENT_SCAN, .node = node, .a = n->generation});
        break;
    case CORE_PROMISE:
        files_promise(sim, node, action);
        break;
    case CORE_COMMIT:
        files_commit(sim, node, action);
        break;
    case CORE_SEND_HEARTBEAT:
    case CORE_SEND_DEAL:
    case CORE_SEND_VOTE_REQUEST:
    case CORE_SEND_VOTE:
        net_publish(sim, node, action);
        break;
    case CORE_FOREIGN_CONFIG:
        sim_log(sim, "node %d: does not know epoch %llu", node,
                (unsigned long long)action->config.epoch);
        files_changed(sim, node); /* it may be what lies there already */
        break;
    case CORE_WARN_FILE:
    case CORE_WARN_LIMIT:
        break;
    }
}

/* @return 0, or for how long the bridge stops before this action: as with messages a matter of time
 * and kind alone. */
static double stop(const struct sim *sim, int node, enum core_action_type type) {
    uint64_t chance = sim_mix(sim->noise ^ sim_mix((sim->now / (20 * SIM_MS)) << 20 ^
                                                   (uint64_t)node << 6 ^ (uint64_t)type));
    if (sim_draw_uniform(&chance, 0, 1) >= sim->slow_action) {
        return 0;
    }
    return sim_draw(&chance, 20) == 0 ? sim_draw_uniform(&chance, .1, 8)
                                      : sim_draw_uniform(&chance, .0005, .05);
}

/* Perform what the core asked for. Now and then the bridge is stopped between two actions (a page
 * fault, a scheduler), and goes on later. */
void shell_perform_all(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    const struct core_action *action = NULL;

    if (n->busy || !n->bridge) {
        return;
    }
    while ((action = core_next_action(n->core)) != NULL) {
        double wait = sim->slow_action > 0 ? stop(sim, node, action->type) : 0;
        if (wait > 0) {
            n->busy = true;
            n->action = *action;
            sim->count[COUNT_STOPS]++;
            sim_log(sim, "  node %d: the bridge stands still for %.3f s", node, wait);
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
        bool feed = wants > node_share(sim, node, key);
        for (uint32_t i = 0; i < count; i++) {
            feed = feed || watched[i] == (uint32_t)key;
        }
        if (feed) {
            core_counter_update(n->core, now, (uint32_t)key, n->in_use[key], wants);
            shell_perform_all(sim, node);
            if (n->busy) {
                return;
            }
        }
    }
    if (n->loaded != n->config && !n->fits_told) {
        bool fits = true;
        for (int key = 0; key < sim->keys; key++) {
            /* what is dealt alike before and after goes on as it is */
            fits = fits && (!files_differ(sim, n, key) || files_observe(sim, n, n->loaded, key) ||
                            n->in_use[key] <= n->home[n->loaded + 1][key]);
        }
        if (fits) {
            n->fits_told = true;
            core_config_fits(n->core, now);
            shell_perform_all(sim, node);
        }
    }
}

bool shell_runs(const struct sim *sim, int node, uint64_t generation) {
    const struct sim_node *n = &sim->node[node];
    return n->bridge && n->host && n->generation == generation;
}

sim_time shell_stopped_until(const struct sim_node *n) {
    return n->paused_until > n->frozen_until ? n->paused_until : n->frozen_until;
}

/* @return true: the bridge is paused, and the event comes again afterwards. */
static bool postponed(struct sim *sim, const struct sim_event *event) {
    sim_time until = shell_stopped_until(&sim->node[event->node]);

    if (sim->now >= until) {
        return false;
    }
    sim_at(sim, (double)(until - sim->now) / 1e6 + 1e-5, *event);
    return true;
}

void shell_on_tick(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];
    bool rung = event->b == UINT64_MAX;

    if (!shell_runs(sim, event->node, event->a) || (!rung && event->b != n->tick_order)) {
        return;
    }
    n->tick_due = rung ? n->tick_due : CORE_NEVER;
    if (n->busy || postponed(sim, event)) {
        return; /* when it goes on it sees to the next */
    }
    if (!rung && core_next_tick(n->core) > sim_local(sim, event->node)) {
        schedule_tick(sim, event->node);
        return;
    }
    feed_counters(sim, event->node);
    if (n->busy) {
        return;
    }
    core_tick(n->core, sim_local(sim, event->node));
    shell_perform_all(sim, event->node);
}

void shell_on_continue(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!shell_runs(sim, event->node, event->a) || !n->busy || postponed(sim, event)) {
        return;
    }
    n->busy = false;
    perform(sim, event->node, &n->action);
    shell_perform_all(sim, event->node);
    for (int i = 0; i < n->inboxed && !n->busy; i++) {
        struct sim_message *message = n->inbox[i];
        memmove(n->inbox, n->inbox + 1, (size_t)(n->inboxed - 1) * sizeof(void *));
        n->inboxed--;
        i--;
        node_message(sim, event->node, message);
        net_release(sim, message);
    }
}

void shell_on_scan(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    if (!shell_runs(sim, event->node, event->a) || postponed(sim, event)) {
        return;
    }
    if (n->busy) {
        sim_at(sim, .01, *event);
        return;
    }
    uint64_t now = sim_local(sim, event->node);
    core_scan_begin(n->core, now);
    for (int key = 0; key < sim->keys; key++) {
        if (n->in_use[key] > n->reserve[n->config + 1][key]) {
            int32_t wants = n->demand[key] > n->in_use[key] ? n->demand[key] : n->in_use[key];
            core_counter_update(n->core, now, (uint32_t)key, n->in_use[key], wants);
        }
    }
    core_scan_done(n->core, now, true);
    shell_perform_all(sim, event->node);
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
    sim_time until = shell_stopped_until(n);
    if (n->busy || sim->now < until) {
        if (n->inboxed == SIM_INBOX) {
            net_release(sim, n->inbox[0]);
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
    shell_perform_all(sim, node);
    if (message->type == CORE_SEND_HEARTBEAT) {
        former_heard(sim, node, &message->heartbeat);
    }
}
