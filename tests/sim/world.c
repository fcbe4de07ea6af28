/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

const char *const sim_count_names[SIM_COUNTS] = {
    [COUNT_TAKES] = "takes",
    [COUNT_REFUSED] = "refused takes",
    [COUNT_PASSED] = "takes that would have been refused",
    [COUNT_SWITCHES] = "limits enforced, or observed, by a commit",
    [COUNT_FORCED] = "connections ended above a share",
    [COUNT_HOST_CRASHES] = "host crashes",
    [COUNT_BRIDGE_CRASHES] = "bridge crashes",
    [COUNT_LEADER_KILLS] = "of these and pauses, a coordinator's",
    [COUNT_LEAVES] = "leaves",
    [COUNT_PAUSES] = "bridge pauses",
    [COUNT_FREEZES] = "host freezes",
    [COUNT_CUTS] = "cuts and partitions",
    [COUNT_ONE_WAY] = "of these one-way",
    [COUNT_STOPS] = "stops between two actions",
    [COUNT_FULL] = "shares that found no room",
    [COUNT_MESSAGES] = "messages",
    [COUNT_CUT_OFF] = "messages cut off",
    [COUNT_LOST] = "messages lost",
    [COUNT_DOUBLED] = "messages doubled",
    [COUNT_LATE] = "messages late by 50 ms or more",
    [COUNT_REORDERED] = "messages behind a later one",
    [COUNT_ELECTIONS] = "take-overs by a coordinator",
    [COUNT_ADMISSIONS] = "admissions",
    [COUNT_GRANTS] = "grants",
    [COUNT_COMMITS] = "commits",
    [COUNT_RELOADS] = "runs with a second configuration",
    [COUNT_BACK] = "files proposed again that others had promised",
    [COUNT_ALONE] = "files loaded in the place of one that nobody else has any more",
    [COUNT_JOINERS] = "members added",
    [COUNT_REMOVALS] = "members removed",
    [COUNT_LARGE] = "runs of 16 to 64 nodes",
};

/* ---- the run ---- */

void sim_run(struct sim *sim, double until_s) {
    sim_time until = (sim_time)(until_s * 1e6);
    struct sim_event event;

    while ((sim->over == 0 || sim->go_on) && sim_next_event(sim, until, &event)) {
        switch (event.type) {
        case EVENT_STEP:
            plan_next(sim);
            break;
        case EVENT_CALM:
            plan_calm(sim);
            break;
        case EVENT_HEAL:
            net_heal(sim, event.a, (event.b & 1) != 0, (event.b & 2) != 0);
            break;
        default:
            node_handle(sim, &event);
            break;
        }
        accounts_check(sim, &event);
    }
    sim->now = sim->over != 0 && !sim->go_on ? sim->now : until;
}

static void vlog(const struct sim *sim, const char *format, va_list arguments) {
    FILE *out = sim->out;

    if (sim->lines != NULL) {
        (*sim->lines)++;
    }
    if (out == NULL) {
        return;
    }
    fprintf(out, "%9.3f ", (double)sim->now / 1e6);
    if (sim->telling != 0) {
        fprintf(out, "#%u ", sim->telling);
    }
    vfprintf(out, format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    fputc('\n', out);
}

void sim_log(const struct sim *sim, const char *format, ...) {
    va_list arguments;

    if (sim->trace) {
        va_start(arguments, format);
        vlog(sim, format, arguments);
        va_end(arguments);
    }
}

void sim_log_key(const struct sim *sim, int key, const char *format, ...) {
    va_list arguments;

    if (sim->trace && (sim->trace_key == 0 || sim->trace_key == key + 1)) {
        va_start(arguments, format);
        vlog(sim, format, arguments);
        va_end(arguments);
    }
}

/* ---- the world ---- */

static uint64_t name_hash(int node) {
    char name[16];
    int length = snprintf(name, sizeof name, "node%d", node);
    return deal_hash(name, (size_t)length);
}

static void add_member(const struct sim *sim, struct sim_config *config, int node) {
    bool witness = node < 64 && (sim->witnesses >> node & 1) != 0;
    struct core_member *member = &config->membership.member[config->membership.members++];

    config->mask |= node < 64 ? (uint64_t)1 << node : 0;
    member->hash = name_hash(node);
    member->witness = witness;
    if (!witness) {
        config->deal.hash[config->deal.count++] = member->hash;
    }
}

static void begin_config(struct sim_config *config, uint64_t number, uint32_t reserve_percent) {
    config->membership.epoch = number; /* unless it is committed as another one */
    config->membership.digest = number * 1000 + 7;
    config->membership.reserve_percent = reserve_percent;
    config->deal.reserve_percent = reserve_percent;
}

bool sim_is_member(const struct sim_config *config, uint64_t hash) {
    for (uint32_t i = 0; i < config->deal.count; i++) {
        if (config->deal.hash[i] == hash) {
            return true;
        }
    }
    return false;
}

struct core_timers sim_short_timers(void) {
    struct core_timers timers = core_timers_default();

    timers.session = 4000;
    timers.drain = 3000;
    timers.grace = 800;
    timers.leader = 1500;
    timers.cool = 1500;
    timers.rotation = 2000;
    return timers;
}

double sim_full_segments(uint64_t seed) {
    return sim_mix(seed + 0x5106) % 4 == 0 ? .2 : 0;
}

void sim_start(struct sim *sim, uint64_t seed, int n, const int32_t *limits, int keys,
               uint32_t reserve_percent, const struct core_timers *timers) {
    sim->noise = sim_mix(seed) ^ sim->noise * 0x2545f4914f6cdd1du;
    sim->random = sim_mix(sim->noise + 1);
    sim->planner = sim_mix(seed + 0x1234567u);
    sim->nodes = n;
    sim->keys = keys;
    sim->configs = 1;
    sim->epoch = sim->new_nodes ? 0 : 1;
    sim->timers = *timers;
    sim->hold_s = 2;
    sim->tail = 0.04;
    for (int key = 0; key < keys; key++) {
        sim->key_hash[key] = host_key_hash(key);
    }
    begin_config(&sim->config[0], 1, reserve_percent);
    for (int i = 0; i < n; i++) {
        add_member(sim, &sim->config[0], i);
    }
    memcpy(sim->config[0].limit, limits, (size_t)keys * sizeof *limits);
    for (int i = 0; i < n; i++) {
        node_create(sim, i, sim->new_nodes ? -1 : 0, 0);
    }
}

int sim_add_config(struct sim *sim, uint64_t mask, const int32_t *limits) {
    int at = sim->configs++;
    struct sim_config *config = &sim->config[at];

    if (at >= SIM_CONFIGS) {
        abort();
    }
    begin_config(config, (uint64_t)at + 1, sim->config[0].membership.reserve_percent);
    for (int i = 0; i < SIM_NODES && i < 64; i++) {
        if ((mask >> i & 1) != 0) {
            add_member(sim, config, i);
        }
    }
    memcpy(config->limit, limits, (size_t)sim->keys * sizeof *limits);
    for (int i = 0; i < sim->top; i++) {
        host_deal(sim, i);
    }
    return at;
}

void sim_clear(struct sim *sim) {
    for (size_t i = 0; i < sim->heap_count; i++) {
        struct sim_event *event = &sim->place[sim->heap[i].place];
        if (event->type == EVENT_DELIVER) {
            net_release(sim, event->message);
        }
    }
    for (int i = 0; i < sim->top; i++) {
        struct sim_node *node = &sim->node[i];
        core_destroy(node->core);
        for (int j = 0; j < node->inboxed; j++) {
            net_release(sim, node->inbox[j]);
        }
    }
    free(sim->story_state);
    free(sim->baseline);
    memset(sim, 0, offsetof(struct sim, heap));
}

void sim_end(struct sim *sim) {
    sim_clear(sim);
    while (sim->free_message != NULL) {
        struct sim_message *message = sim->free_message;
        sim->free_message = message->next;
        free(message);
    }
    for (int i = 0; i < SIM_NODES; i++) {
        for (int key = 0; key < SIM_KEYS; key++) {
            free(sim->connection[i][key].id);
        }
    }
    free(sim->heap);
    free(sim->place);
    free(sim->free_place);
    free(sim->step);
}
