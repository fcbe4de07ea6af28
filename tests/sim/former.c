/* SPDX-License-Identifier: MIT */
/* The shell's part of rule 22: what others have promised is not replaced, and what was replaced
 * before that was heard is proposed again, from the disk. */
#include "node.h"

enum { AGAIN_MS = 5000 };

bool former_binds(struct sim *sim, int node) {
    return !sim->no_former && core_former_binds(sim->node[node].core, sim_local(sim, node));
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
    bool other = heartbeat->ready != 0 &&
                 heartbeat->ready_digest != sim->config[n->loaded].membership.digest;
    bool waits = n->file != n->loaded;

    if (sim->no_former || !n->bridge || n->busy || !(other || waits) || now < n->back_next) {
        return;
    }
    uint64_t digest = core_former_wanted(n->core, now);
    int file = digest != 0 ? proposed_here(sim, n, digest) : -1;
    if (file >= 0) {
        n->back_next = now + AGAIN_MS;
        sim->count[COUNT_BACK]++;
        sim_log(sim, "node %d: others have promised configuration %d", node, file);
        files_load(sim, node, file);
    } else if (digest == 0 && waits && core_former_alone(n->core, now)) {
        sim->count[COUNT_ALONE]++;
        files_load(sim, node, n->file);
    }
}
