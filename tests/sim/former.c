/* SPDX-License-Identifier: MIT */
/* The shell's part of rule 22: what others have promised is not replaced, and what was replaced
 * before that was heard is proposed again. As in bridge/daemon_former.c. */
#include "node.h"

enum { HEARD_MS = 5000, AGAIN_MS = 5000 };

/* What a member said last that can be heard. */
static bool said_by(struct sim *sim, int node, int member, struct core_member_state *out) {
    uint64_t now = sim_local(sim, node);

    return member != node && core_member_state(sim->node[node].core, sim->node[member].hash, out) &&
           !out->vouched_dead && out->heard != 0 && now <= out->heard + HEARD_MS;
}

/* What others are ready with beyond what is committed here (by a new node: nothing). @return its
 * digest; 0: none are. */
static uint64_t promised_by_others(struct sim *sim, int node, uint64_t committed) {
    for (int i = 0; i < sim->top; i++) {
        struct core_member_state said;
        if (said_by(sim, node, i, &said) && said.ready > committed) {
            return said.ready_digest;
        }
    }
    return 0;
}

bool former_binds(struct sim *sim, int node) {
    struct core_config_state own = core_config_state(sim->node[node].core);

    return !sim->no_former && own.promised == 0 && own.pending_digest != 0 &&
           promised_by_others(sim, node, own.committed) == own.pending_digest;
}

void former_store(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->loaded != n->config && (sim->settling || sim_draw(&n->random, 8) != 0)) {
        n->proposed |= 1u << n->loaded; /* else the disk is full */
    }
}

/* A file of which this is the digest was proposed here since the last commit. @return -1: none. */
static int proposed_here(const struct sim *sim, const struct sim_node *n, uint64_t digest) {
    for (int i = 0; i < sim->configs; i++) {
        if ((n->proposed >> i & 1) != 0 && sim->config[i].membership.digest == digest) {
            return i;
        }
    }
    return -1;
}

/* Who has promised it is a member of what is committed or loaded here: else it is not listened to.
 */
static bool hears_of(const struct sim *sim, const struct sim_node *n, int file) {
    for (int i = 0; i < sim->top; i++) {
        struct core_member_state state;
        if (sim->node[i].promise == file && core_member_state(n->core, sim->node[i].hash, &state)) {
            return true;
        }
    }
    return false;
}

bool former_known(const struct sim *sim, const struct sim_node *n, int file) {
    uint64_t digest = sim->config[file].membership.digest;

    return n->loaded == file || (proposed_here(sim, n, digest) >= 0 && hears_of(sim, n, file));
}

void former_heard(struct sim *sim, int node, const struct core_heartbeat *heartbeat) {
    struct sim_node *n = &sim->node[node];
    uint64_t now = sim_local(sim, node);

    if (sim->no_former || !n->bridge || n->busy || heartbeat->ready == 0 ||
        heartbeat->ready_digest == sim->config[n->loaded].membership.digest || now < n->back_next) {
        return;
    }
    struct core_config_state own = core_config_state(n->core);
    uint64_t digest = promised_by_others(sim, node, own.committed);
    int file = digest != 0 ? proposed_here(sim, n, digest) : -1;
    if (own.promised == 0 && !own.overtaken && file >= 0 && digest != own.pending_digest) {
        n->back_next = now + AGAIN_MS;
        sim->count[COUNT_BACK]++;
        sim_log(sim, "node %d: others have promised configuration %d", node, file);
        files_load(sim, node, file);
    }
}
