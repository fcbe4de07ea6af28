/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "node.h"

static const double worker_period = 0.25;

static void start_bridge(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];
    uint64_t now = sim_local(sim, node);

    n->generation++;
    n->memory.generation++;
    n->bridge = true;
    n->busy = false;
    n->rung = 0;
    n->tick_due = CORE_NEVER;
    if (baseline_runs(sim)) {
        return;
    }
    struct core_options options = {.self = n->hash,
                                   .boot = n->boot,
                                   .created = n->created,
                                   .seed = sim_draw(&n->random, UINT64_MAX),
                                   .keys = (uint32_t)sim->keys,
                                   .timers = sim->timers,
                                   .memory = n->memory};
    files_options(sim, n, &options);
    n->core = core_create(&options, now);
    if (n->core == NULL) {
        abort();
    }
    files_define(sim, node);
    former_store(sim, node);
    n->back_next = 0;
    for (int key = 0; key < sim->keys; key++) {
        if (n->counter[key].record) {
            core_counter_restore(n->core, (uint32_t)key, n->counter[key].share,
                                 n->counter[key].grant, n->in_use[key], n->in_use[key]);
        }
    }
    files_changed(sim, node);
    shell_perform_all(sim, node);
}

static void stop_bridge(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    n->bridge = false;
    n->generation++;
    if (n->core == NULL) {
        return;
    }
    struct core_stats stats = core_stats(n->core);
    for (size_t i = 0; i < sizeof stats / sizeof(uint64_t); i++) {
        ((uint64_t *)&sim->stats)[i] += ((const uint64_t *)&stats)[i];
    }
    core_destroy(n->core);
    n->core = NULL;
    while (n->inboxed > 0) {
        net_release(sim, n->inbox[--n->inboxed]);
    }
}

static void new_segment(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (sim->reboot_clock) {
        n->offset_us = 1e6 - n->rate * (double)sim->now;
        n->local = 0;
    }
    memset(&n->memory, 0, sizeof n->memory);
    memset(n->counter, 0, sizeof n->counter);
    memset(n->over_since, 0, sizeof n->over_since);
    files_new_segment(n);
    n->boot = sim_draw(&n->random, UINT64_MAX - 1) + 1;
    n->created = sim_local(sim, node);
    n->incarnation++;
    n->host = true;
    if (baseline_runs(sim)) {
        baseline_host_up(sim, node);
    }
    sim_at(sim, sim_draw_uniform(&n->random, 0, worker_period),
           (struct sim_event){.type = EVENT_WORKERS, .node = node, .a = n->incarnation});
}

void node_create(struct sim *sim, int node, int config, int file) {
    struct sim_node *n = &sim->node[node];
    char name[16];
    int length = snprintf(name, sizeof name, "node%d", node);

    n->exists = true;
    n->hash = deal_hash(name, (size_t)length);
    n->random = sim_mix(sim->noise ^ sim_mix(n->hash));
    n->rate = 1 + sim_draw_uniform(&n->random, -.0095, .0095);
    n->offset_us = sim_draw_uniform(&n->random, 1e6, 1e10);
    n->config = config;
    n->epoch = config < 0 ? 0 : 1;
    n->promise = -1;
    n->file = n->loaded = file;
    sim->top = node >= sim->top ? node + 1 : sim->top;
    host_deal(sim, node);
    new_segment(sim, node);
    start_bridge(sim, node);
}

void node_host_crash(struct sim *sim, int node, double down_s) {
    struct sim_node *n = &sim->node[node];

    if (!n->host) {
        return;
    }
    sim_log(sim, "node %d: HOST CRASH for %g s", node, down_s);
    sim->count[COUNT_HOST_CRASHES]++;
    stop_bridge(sim, node);
    n->host = false;
    if (baseline_runs(sim)) {
        baseline_host_down(sim, node);
    }
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
    sim->count[COUNT_BRIDGE_CRASHES]++;
    stop_bridge(sim, node);
    sim_at(sim, down_s,
           (struct sim_event){.type = EVENT_BRIDGE_UP, .node = node, .a = n->generation});
}

void node_bridge_leave(struct sim *sim, int node, double down_s) {
    struct sim_node *n = &sim->node[node];

    if (!n->bridge || n->busy || sim->now < shell_stopped_until(n)) {
        return;
    }
    sim_log(sim, "node %d: LEAVE for %g s", node, down_s);
    sim->count[COUNT_LEAVES]++;
    if (n->core == NULL) {
        node_bridge_crash(sim, node, down_s);
        return;
    }
    core_leave(n->core, sim_local(sim, node));
    shell_perform_all(sim, node);
    /* In the end it goes, heard or not. */
    sim_at(sim, sim->leave_s > 0 ? sim->leave_s : SIM_PICK(&sim->random, .02, .2, 1, 3),
           (struct sim_event){.type = EVENT_BRIDGE_END,
                              .node = node,
                              .a = n->generation,
                              .b = (uint64_t)(down_s * 1e6)});
}

void node_pause(struct sim *sim, int node, double s) {
    struct sim_node *n = &sim->node[node];
    sim_time until = sim->now + (sim_time)(s * 1e6);

    sim_log(sim, "node %d: PAUSE for %g s", node, s);
    sim->count[COUNT_PAUSES]++;
    n->paused_until = until > n->paused_until ? until : n->paused_until;
}

void node_freeze(struct sim *sim, int node, double s) {
    struct sim_node *n = &sim->node[node];
    sim_time until = sim->now + (sim_time)(s * 1e6);

    sim_log(sim, "node %d: FREEZE for %g s", node, s);
    sim->count[COUNT_FREEZES]++;
    n->frozen_until = until > n->frozen_until ? until : n->frozen_until;
}

int node_leader(struct sim *sim) {
    int found[SIM_NODES], count = 0;

    if (baseline_runs(sim)) {
        return sim->node[0].host ? 0 : -1; /* the one that has the store, if there is one */
    }

    for (int i = 0; i < sim->top; i++) {
        if (sim->node[i].bridge && core_leading(sim->node[i].core, sim_local(sim, i))) {
            found[count++] = i;
        }
    }
    return count == 0 ? -1 : found[sim_draw(&sim->random, (uint64_t)count)];
}

static void count_order(struct sim *sim, int to, const struct sim_message *message) {
    uint32_t *newest = &sim->heard[to][message->from];

    sim->count[COUNT_REORDERED] += message->number < *newest;
    *newest = message->number > *newest ? message->number : *newest;
}

void node_handle(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];

    switch (event->type) {
    case EVENT_TICK:
        shell_on_tick(sim, event);
        break;
    case EVENT_CONTINUE:
        shell_on_continue(sim, event);
        break;
    case EVENT_DELIVER:
        count_order(sim, event->node, event->message);
        if (event->message->baseline) {
            baseline_message(sim, event->node, event->message);
        } else {
            node_message(sim, event->node, event->message);
        }
        net_release(sim, event->message);
        break;
    case EVENT_WORKERS:
        host_on_workers(sim, event);
        break;
    case EVENT_CLOSE:
        host_on_close(sim, event);
        break;
    case EVENT_BASELINE:
        baseline_event(sim, event);
        break;
    case EVENT_SCAN:
        shell_on_scan(sim, event);
        break;
    case EVENT_HOST_UP:
        if (!n->host && n->exists) {
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
        if (shell_runs(sim, event->node, event->a)) {
            node_bridge_crash(sim, event->node, sim->settling ? .5 : (double)event->b / 1e6);
        }
        break;
    case EVENT_LOAD:
        node_load_file(sim, event->node, (int)event->a);
        break;
    default:
        break;
    }
}
