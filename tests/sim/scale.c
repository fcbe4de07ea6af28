/* SPDX-License-Identifier: MIT */
/* cluster-scale: what a cluster of N nodes costs, in virtual time: messages, bytes as they are on
 * the wire, time in the core, and how long things take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../bridge/wire.h"
#include "node.h"

enum { KEYS = 4 };

struct meter {
    uint64_t published, sent, bytes; /* sent: published times receivers */
    double core_s[SIM_NODES];        /* spent in events of each node, but not in the network's */
    double in_network, began;
    struct wire_encoder *encoder;
};

static struct meter meter; /* one world, one thread */

static double seconds_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- bytes ---- */

static const char *name_of(void *context, uint32_t key) {
    static const char *const names[KEYS] = {"domain:a.example.com", "domain:b.example.com",
                                            "host:mx1.example.com", "binding:bulk"};
    (void)context;
    return key < KEYS ? names[key] : NULL;
}

static int add_bytes(void *context, const uint8_t *bytes, size_t size) {
    (void)bytes;
    *(uint64_t *)context += size;
    return 0;
}

static void published(struct sim *sim, int from, const struct core_action *action) {
    const struct wire_names names = {.name = name_of};
    struct wire_message message = {.kind = WIRE_VOTE};
    uint64_t bytes = 0;
    (void)from;

    if (action == NULL) {
        meter.in_network += seconds_now() - meter.began;
        return;
    }
    meter.began = seconds_now();
    if (action->type == CORE_SEND_HEARTBEAT) {
        message.kind = WIRE_HEARTBEAT;
        message.heartbeat = *action->heartbeat;
    } else if (action->type == CORE_SEND_DEAL) {
        message.kind = WIRE_DEAL;
        message.deal = *action->deal;
    } else if (action->type == CORE_SEND_VOTE_REQUEST) {
        message.kind = WIRE_VOTE_REQUEST;
        message.vote_request = action->vote_request;
    } else {
        message.vote = action->vote;
    }
    wire_encode(meter.encoder, &message, &names, add_bytes, &bytes);
    meter.published++;
    meter.sent += (uint64_t)sim->top - 1;
    meter.bytes += bytes * ((uint64_t)sim->top - 1);
}

/* ---- time ---- */

/* As sim_run(), and looks at the clock. What takes a millisecond was another process. */
static void run(struct sim *sim, double until_s) {
    struct sim_event event;

    while (sim_next_event(sim, (sim_time)(until_s * 1e6), &event)) {
        double start = seconds_now();
        meter.in_network = 0;
        if (event.type == EVENT_STEP || event.type == EVENT_CALM || event.type == EVENT_HEAL) {
            continue;
        }
        node_handle(sim, &event);
        double took = seconds_now() - start - meter.in_network;
        meter.core_s[event.node] += took < .001 ? took : 0;
    }
    sim->now = (sim_time)(until_s * 1e6);
}

static double now(const struct sim *sim) {
    return (double)sim->now / 1e6;
}

static bool all_in_session(struct sim *sim, uint64_t term) {
    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *node = &sim->node[i];
        if (node->host && (node->memory.session_end <= sim_local(sim, i) ||
                           node->memory.session_number == 0 || node->memory.session_term < term)) {
            return false;
        }
    }
    return true;
}

/* @return seconds until all have a session of that term or a later one. */
static double until_sessions(struct sim *sim, uint64_t term) {
    double start = now(sim);
    while (!all_in_session(sim, term) && now(sim) < start + 60) {
        run(sim, now(sim) + .01);
    }
    return now(sim) - start;
}

static void measure(struct sim *sim, const char *what, double s) {
    int leader = node_leader(sim);
    double members = 0;

    meter.published = meter.sent = meter.bytes = 0;
    memset(meter.core_s, 0, sizeof meter.core_s);
    run(sim, now(sim) + s);
    for (int i = 0; i < sim->top; i++) {
        members += i != leader ? meter.core_s[i] : 0;
    }
    printf("| %d | %s | %.1f | %.0f | %.1f | %.3f%% | %.3f%% |\n", sim->top, what,
           (double)meter.published / s / sim->top, (double)meter.sent / s,
           (double)meter.bytes / s / sim->top / 1e3, 100 * members / (sim->top - 1) / s,
           leader < 0 ? 0.0 : 100 * meter.core_s[leader] / s);
    fflush(stdout);
}

static void want(struct sim *sim, int node, int key, int32_t demand) {
    sim->node[node].demand[key] = demand;
    host_fill_up(sim, node, key);
}

/* One node wants more than its opening deal of a counter that rests elsewhere. */
static double hand_over(struct sim *sim, int node, int key) {
    int32_t had = sim->node[node].home[1][key];
    double start = now(sim);

    want(sim, node, key, 2 * had);
    while (sim->node[node].in_use[key] <= had && now(sim) < start + 60) {
        run(sim, now(sim) + .0005);
    }
    return now(sim) - start;
}

/* A node's host dies while all are hungry. Its reserve stays away. */
static double reclaim(struct sim *sim, int victim, int key) {
    double start = now(sim);
    int64_t most = sim->config[0].limit[key] - sim->node[victim].reserve[1][key];

    node_host_crash(sim, victim, 1e6);
    while (sim->total[key] < most && now(sim) < start + 120) {
        run(sim, now(sim) + .05);
    }
    return now(sim) - start;
}

/* Huge ones cost minutes: what is left out of them does not differ from what large ones show. */
static void measure_nodes(struct sim *sim, int n) {
    const int32_t limits[KEYS] = {4 * n, 4 * n, 4 * n, 4 * n};
    struct core_timers timers = core_timers_default();
    double measure_s = n > 64 ? 2 : 20, dead = 0;

    timers.drain = 5000;
    sim_start(sim, 1, n, limits, KEYS, 25, &timers);
    sim->tail = 0;
    sim->on_publish = published;
    double boot = until_sessions(sim, 1);
    run(sim, now(sim) + 1);
    measure(sim, "nothing contended", measure_s);
    double one = hand_over(sim, n / 2, 3);
    for (int i = 0; i < n; i++) {
        want(sim, i, 0, 8 * n);
    }
    run(sim, now(sim) + 2);
    measure(sim, "one counter, all want it", measure_s);
    if (n <= 200) {
        for (int i = 0; i < n; i++) {
            for (int key = 1; key < KEYS; key++) {
                want(sim, i, key, 8 * n);
            }
        }
        run(sim, now(sim) + 2);
        measure(sim, "four counters, all want them", measure_s);
        dead = reclaim(sim, n - 1, 0);
        sim_at(sim, 0, (struct sim_event){.type = EVENT_HOST_UP, .node = n - 1});
        run(sim, now(sim) + 5);
    }
    int leader = node_leader(sim);
    uint64_t term = sim->node[leader].memory.term + 1;
    node_host_crash(sim, leader, 1e6);
    double taken_over = until_sessions(sim, term);
    fprintf(stderr,
            "%d nodes: %.1f s from boot to all sessions; %.0f ms from a refused take to its slot; "
            "%.1f s from the coordinator's death to all sessions",
            n, boot, one * 1e3, taken_over);
    if (dead > 0) {
        fprintf(stderr, "; %.1f s to use again what a dead node held (session 6, drain 5 s)", dead);
    }
    fputc('\n', stderr);
    sim_clear(sim);
}

int main(int argc, char **argv) {
    static char *usual[] = {NULL, "3", "16", "64"};
    int sizes = argc > 1 ? argc : 4;
    char **size = argc > 1 ? argv : usual;

    for (int i = 1; i < sizes; i++) {
        if (strtol(size[i], NULL, 10) < 3 || strtol(size[i], NULL, 10) > SIM_NODES) {
            fprintf(stderr, "usage: cluster-scale [NODES, 3 to %d]...; 3 16 64\n", SIM_NODES);
            return 2;
        }
    }
    struct sim *sim = calloc(1, sizeof *sim);
    meter.encoder = wire_encoder_create("mail", "mta001");
    if (sim == NULL || meter.encoder == NULL) {
        abort();
    }
    printf(
        "| nodes | | published per node and second | messages in all per second | "
        "kB/s sent per node | of a core, members | coordinator |\n|---|---|---|---|---|---|---|\n");
    for (int i = 1; i < sizes; i++) {
        measure_nodes(sim, (int)strtol(size[i], NULL, 10));
    }
    wire_encoder_destroy(meter.encoder);
    sim_end(sim);
    free(sim);
    return EXIT_SUCCESS;
}
