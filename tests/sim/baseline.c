/* SPDX-License-Identifier: MIT */
#include "baseline.h"

#include <stdlib.h>
#include <string.h>

#include "node.h"

enum { STORE = 0, ENTRIES = 4096, SKEWED = 1 };
enum { TELL, TIMEOUT, SAMPLE };                    /* events */
enum { TOTALS, ASK, GRANTED, REFUSED, GIVE_BACK }; /* messages */

static const double tell_s = 1, silent_s = 10, lease_s = 60, answer_s = 1, sample_s = .1;

struct entry {
    uint64_t id;
    double expires; /* on the clock of whoever asked */
};

struct baseline {
    enum sim_policy policy;
    struct sim_usage usage;
    /* gossip: [to][from] */
    int32_t known[BASELINE_NODES][BASELINE_NODES][SIM_KEYS];
    sim_time heard[BASELINE_NODES][BASELINE_NODES];
    /* leases; the store's memory goes with its host */
    uint64_t asked[BASELINE_NODES][SIM_KEYS]; /* 0: no question is open */
    uint64_t questions;
    struct entry entry[SIM_KEYS][ENTRIES];
    int entries[SIM_KEYS];
};

void baseline_choose(struct sim *sim, enum sim_policy policy) {
    sim->baseline = calloc(1, sizeof *sim->baseline);
    if (sim->baseline == NULL) {
        abort();
    }
    sim->baseline->policy = policy;
    sim->go_on = true;
}

bool baseline_runs(const struct sim *sim) {
    return sim->baseline != NULL && sim->baseline->policy != POLICY_SLOTSHARE;
}

static void after(struct sim *sim, double s, int node, uint64_t what, uint64_t b) {
    sim_at(sim, s, (struct sim_event){.type = EVENT_BASELINE, .node = node, .a = what, .b = b});
}

/* ---- gossip ---- */

static void tell_totals(struct sim *sim, int node) {
    struct sim_note note = {.kind = TOTALS};

    memcpy(note.in_use, sim->node[node].in_use, sizeof note.in_use);
    for (int to = 0; to < sim->top; to++) {
        if (to != node) {
            net_send_note(sim, node, to, &note);
        }
    }
}

static int32_t room_by_gossip(const struct sim *sim, int node, int key) {
    const struct baseline *baseline = sim->baseline;
    int32_t room = sim->config[0].limit[key];

    for (int i = 0; i < sim->top; i++) {
        bool lately = sim->now - baseline->heard[node][i] < (sim_time)(silent_s * 1e6);
        room -= i != node && lately ? baseline->known[node][i][key] : 0;
    }
    return room;
}

/* ---- leases ---- */

static double clock_of(const struct sim *sim, int node) {
    bool skewed = sim->baseline->policy == POLICY_LEASE_CLOCK && node == SKEWED;
    return (double)sim->now / 1e6 + (skewed ? 90 : 0);
}

static void ask(struct sim *sim, int node, int key) {
    struct baseline *baseline = sim->baseline;

    if (baseline->asked[node][key] != 0) {
        return;
    }
    baseline->asked[node][key] = ++baseline->questions;
    after(sim, answer_s, node, TIMEOUT, baseline->questions << 8 | (uint64_t)key);
    net_send_note(sim, node, STORE,
                  &(struct sim_note){.kind = ASK,
                                     .key = key,
                                     .question = baseline->asked[node][key],
                                     .clock = clock_of(sim, node)});
}

/* As the usual scripts do: drop what has expired by the time that the client says, count, add. */
static void store_asked(struct sim *sim, int from, const struct sim_note *note) {
    struct baseline *baseline = sim->baseline;
    struct entry *entries = baseline->entry[note->key];
    int left = 0;
    struct sim_note answer = {.kind = REFUSED, .key = note->key, .question = note->question};

    for (int i = 0; i < baseline->entries[note->key]; i++) {
        if (entries[i].expires > note->clock) {
            entries[left++] = entries[i];
        }
    }
    baseline->entries[note->key] = left;
    if (left < sim->config[0].limit[note->key] && left < ENTRIES) {
        answer.kind = GRANTED;
        answer.id = ++sim->connection_ids;
        entries[left] = (struct entry){answer.id, note->clock + lease_s};
        baseline->entries[note->key]++;
    }
    net_send_note(sim, STORE, from, &answer);
}

static void store_got_back(struct sim *sim, const struct sim_note *note) {
    struct baseline *baseline = sim->baseline;
    struct entry *entries = baseline->entry[note->key];

    for (int i = 0; i < baseline->entries[note->key]; i++) {
        if (entries[i].id == note->id) {
            entries[i] = entries[--baseline->entries[note->key]];
            return;
        }
    }
}

static void give_back(struct sim *sim, int node, int key, uint64_t id) {
    net_send_note(sim, node, STORE, &(struct sim_note){.kind = GIVE_BACK, .key = key, .id = id});
}

static void answered(struct sim *sim, int node, const struct sim_note *note) {
    struct sim_node *n = &sim->node[node];
    struct baseline *baseline = sim->baseline;

    if (baseline->asked[node][note->key] != note->question) {
        return; /* too late: nobody waits for it, and it will expire */
    }
    baseline->asked[node][note->key] = 0;
    if (note->kind == REFUSED) {
        return; /* asked again when one ends, or at the workers' next look */
    }
    if (n->in_use[note->key] >= n->demand[note->key]) {
        give_back(sim, node, note->key, note->id);
        return;
    }
    host_take(sim, node, note->key, note->id);
    host_fill_up(sim, node, note->key);
}

/* ---- for the world ---- */

void baseline_fill_up(struct sim *sim, int node, int key) {
    struct sim_node *n = &sim->node[node];
    enum sim_policy policy = sim->baseline->policy;

    if (n->in_use[key] >= n->demand[key]) {
        return;
    }
    if (policy == POLICY_LEASE || policy == POLICY_LEASE_CLOCK) {
        ask(sim, node, key);
        return;
    }
    int32_t cap = policy == POLICY_SPLIT ? n->home[1][key] : room_by_gossip(sim, node, key);
    while (n->in_use[key] < n->demand[key] && n->in_use[key] < cap) {
        host_take(sim, node, key, ++sim->connection_ids);
    }
}

void baseline_closed(struct sim *sim, int node, int key, uint64_t id) {
    if (sim->baseline->policy >= POLICY_LEASE) {
        give_back(sim, node, key, id);
    }
}

void baseline_host_up(struct sim *sim, int node) {
    struct baseline *baseline = sim->baseline;

    memset(baseline->known[node], 0, sizeof baseline->known[node]);
    memset(baseline->heard[node], 0, sizeof baseline->heard[node]);
    memset(baseline->asked[node], 0, sizeof baseline->asked[node]);
    if (baseline->policy == POLICY_GOSSIP) {
        after(sim, sim_draw_uniform(&sim->node[node].random, 0, tell_s), node, TELL,
              sim->node[node].incarnation);
    }
}

void baseline_host_down(struct sim *sim, int node) {
    if (node == STORE) {
        memset(sim->baseline->entries, 0, sizeof sim->baseline->entries);
    }
}

void baseline_message(struct sim *sim, int node, const struct sim_message *message) {
    struct sim_node *n = &sim->node[node];
    const struct sim_note *note = &message->note;

    if (!n->host || sim->now < n->frozen_until) {
        return;
    }
    switch (note->kind) {
    case TOTALS:
        memcpy(sim->baseline->known[node][message->from], note->in_use, sizeof note->in_use);
        sim->baseline->heard[node][message->from] = sim->now;
        node_workers(sim, node);
        break;
    case ASK:
        store_asked(sim, message->from, note);
        break;
    case GIVE_BACK:
        store_got_back(sim, note);
        break;
    default:
        answered(sim, node, note);
        break;
    }
}

/* ---- what it comes to ---- */

static void sample(struct sim *sim) {
    struct sim_usage *usage = &sim->baseline->usage;

    for (int key = 0; key < sim->keys; key++) {
        int64_t limit = sim->config[0].limit[key], wanted = 0;
        for (int i = 0; i < sim->top; i++) {
            wanted += sim->node[i].host ? sim->node[i].demand[key] : 0;
        }
        int64_t possible = wanted < limit ? wanted : limit;
        usage->possible += (double)possible;
        usage->used += (double)(sim->total[key] < possible ? sim->total[key] : possible);
    }
    after(sim, sample_s, 0, SAMPLE, 0);
}

void baseline_event(struct sim *sim, const struct sim_event *event) {
    struct sim_node *n = &sim->node[event->node];
    int key = (int)(event->b & 0xff);

    if (event->a == SAMPLE) {
        sample(sim);
    } else if (event->a == TIMEOUT) {
        if (sim->baseline->asked[event->node][key] == event->b >> 8) {
            sim->baseline->asked[event->node][key] = 0;
            host_fill_up(sim, event->node, key);
        }
    } else if (n->host && event->b == n->incarnation) {
        if (n->bridge && sim->now >= n->paused_until && sim->now >= n->frozen_until) {
            tell_totals(sim, event->node);
        }
        after(sim, tell_s, event->node, TELL, n->incarnation);
    }
}

void baseline_measure(struct sim *sim) {
    after(sim, sample_s, 0, SAMPLE, 0);
}

const struct sim_usage *baseline_usage(const struct sim *sim) {
    struct sim_usage *usage = &sim->baseline->usage;

    usage->worst = 0;
    for (int key = 0; key < sim->keys; key++) {
        double part = (double)sim->peak[key] / sim->config[0].limit[key];
        usage->worst = part > usage->worst ? part : usage->worst;
    }
    return usage;
}
