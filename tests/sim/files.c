/* SPDX-License-Identifier: MIT */
/* The configuration file of a node, what its bridge has stored beside it, and what becomes of both:
 * the shell's part of a configuration change, and what operators do. */
#include <string.h>

#include "node.h"

bool files_differ(const struct sim *sim, const struct sim_node *n, int key) {
    if (n->config < 0) {
        return true;
    }
    const struct sim_config *a = &sim->config[n->config], *b = &sim->config[n->loaded];
    return a->limit[key] != b->limit[key] || a->observed[key] != b->observed[key] ||
           memcmp(a->deal.hash, b->deal.hash, sizeof a->deal.hash) != 0;
}

bool files_observe(const struct sim *sim, const struct sim_node *n, int file, int key) {
    return sim->config[file].observed[key] && sim_is_member(&sim->config[file], n->hash);
}

bool files_observed(const struct sim *sim, const struct sim_node *n, int key) {
    return n->config >= 0 && files_observe(sim, n, n->config, key) &&
           files_observe(sim, n, n->loaded, key);
}

void files_new_segment(struct sim_node *n) {
    /* What is promised was stored with its content; else the file says what is wanted. */
    n->loaded = n->promise >= 0 ? n->promise : n->file;
}

void files_options(const struct sim *sim, struct sim_node *n, struct core_options *options) {
    n->fits_told = false;
    n->loaded = n->promise >= 0 ? n->promise : n->loaded; /* its content, whatever came after it */
    if (n->config >= 0) {
        options->committed = sim->config[n->config].membership;
        options->committed.epoch = n->epoch;
    }
    if (n->loaded != n->config) {
        options->pending = sim->config[n->loaded].membership;
    }
    if (n->promise >= 0) {
        options->promised = true;
        options->pending.epoch = n->promise_epoch;
    }
}

void files_define(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    for (int key = 0; key < sim->keys; key++) {
        int32_t own = n->file_limit, next = sim->config[n->loaded].limit[key];
        int32_t now = n->config >= 0 ? sim->config[n->config].limit[key] : next;
        core_counter_define(n->core, (uint32_t)key, sim->key_hash[key], own != 0 ? own : now,
                            own != 0 ? own : next);
        bool observed = sim->config[n->loaded].observed[key];
        core_counter_observe(n->core, (uint32_t)key,
                             n->config >= 0 ? sim->config[n->config].observed[key] : observed,
                             observed);
    }
}

void node_observe(struct sim *sim, int node) {
    if (sim->node[node].core != NULL) {
        files_define(sim, node);
    }
}

void files_changed(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->file != n->loaded) {
        sim_at(sim, .01,
               (struct sim_event){.type = EVENT_LOAD, .node = node, .a = (uint64_t)n->file});
    }
}

/* Something was pending: the session ends in the segment before that goes. */
static void replace(struct sim *sim, int node, int file) {
    struct sim_node *n = &sim->node[node];
    double slow = sim->slow_action;
    int before = n->loaded;

    n->loaded = file;
    files_define(sim, node);
    n->loaded = before;
    sim->slow_action = 0;
    core_config_propose(n->core, sim_local(sim, node), &sim->config[file].membership);
    shell_perform_all(sim, node);
    sim->slow_action = slow;
    n->loaded = file;
    former_store(sim, node);
    node_workers(sim, node);
}

void files_load(struct sim *sim, int node, int file) {
    struct sim_node *n = &sim->node[node];
    const struct core_membership *membership = &sim->config[file].membership;
    enum core_config_result result = core_config_check(n->core, membership);

    if ((result != CORE_CONFIG_PROPOSED && result != CORE_CONFIG_WITHDRAWN) ||
        former_binds(sim, node)) {
        return; /* it lies there, and waits for what is promised */
    }
    sim_log(sim, "node %d: loads configuration %d", node, file);
    struct core_config_state state = core_config_state(n->core);
    n->promise = state.promised != 0 || state.overtaken ? n->promise : -1;
    n->fits_told = false;
    if (n->loaded != n->config) {
        replace(sim, node, file);
        return;
    }
    n->loaded = file;
    former_store(sim, node);
    files_define(sim, node);
    core_config_propose(n->core, sim_local(sim, node), membership);
    shell_perform_all(sim, node);
}

void node_load_file(struct sim *sim, int node, int file) {
    struct sim_node *n = &sim->node[node];

    if (!n->exists && (sim->dead >> node & 1) == 0) {
        sim->count[COUNT_JOINERS]++;
        node_create(sim, node, -1, file);
        return;
    }
    if (n->bridge && (n->busy || sim->now < shell_stopped_until(n))) {
        sim_at(sim, .05, (struct sim_event){.type = EVENT_LOAD, .node = node, .a = (uint64_t)file});
        return;
    }
    n->file = file;
    if (n->bridge) {
        files_load(sim, node, file);
    }
}

void node_load(struct sim *sim, int node) {
    node_load_file(sim, node, sim->configs - 1);
}

void files_promise(struct sim *sim, int node, const struct core_action *action) {
    struct sim_node *n = &sim->node[node];
    bool stored = sim->settling || sim_draw(&n->random, 8) != 0; /* now and then the disk is full */

    sim_log(sim, "node %d: promises configuration %d as epoch %llu%s", node, n->loaded,
            (unsigned long long)action->commit.epoch, stored ? "" : ", but cannot store that");
    if (stored && !sim->forgets_promise) {
        n->promise = n->loaded;
        n->promise_epoch = action->commit.epoch;
    }
    core_promise_done(n->core, sim_local(sim, node), stored);
}

/* What is enforced from now on has been promised: every node has no more than its home. */
static void switched(struct sim *sim, int from) {
    for (int key = 0; key < sim->keys; key++) {
        sim->count[COUNT_SWITCHES] +=
            sim->config[from].observed[key] != sim->config[sim->committed].observed[key];
        host_check(sim, key, -1);
    }
}

void files_commit(struct sim *sim, int node, const struct core_action *action) {
    struct sim_node *n = &sim->node[node];

    sim_log(sim, "node %d: committed epoch %llu", node, (unsigned long long)action->commit.epoch);
    if (n->config < 0 || sim->config[n->config].membership.digest != action->commit.digest) {
        for (int key = 0; key < sim->keys; key++) { /* those start anew from their home */
            n->counter[key].record = n->counter[key].record && !files_differ(sim, n, key);
        }
        n->config = n->loaded;
        n->proposed = 0;
    }
    n->epoch = action->commit.epoch;
    n->promise = -1;
    if (n->epoch > sim->epoch) {
        int before = sim->committed;
        sim->epoch = n->epoch;
        sim->committed = n->config;
        switched(sim, before);
        if (sim->lone_s > 0) {
            /* It alone knows. */
            net_cut(sim, (uint64_t)1 << node, true, sim->lone_deaf, sim->lone_s);
            sim->lone_s = 0;
        }
    }
    files_changed(sim, node); /* what could not be loaded because of the promise */
}

/* ---- operators ---- */

void node_bury(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    if (n->exists) {
        node_host_crash(sim, node, 1e6);
        n->exists = false;
        sim->dead |= (uint64_t)1 << node;
        n->vouched = 0;
        sim_log(sim, "node %d: DEAD, disk and all", node);
    }
}

/* The newest epoch of those that live. */
static uint64_t newest(const struct sim *sim) {
    uint64_t epoch = 0;

    for (int i = 0; i < sim->top; i++) {
        bool later = sim->node[i].exists && sim->node[i].epoch > epoch;
        epoch = later ? sim->node[i].epoch : epoch;
    }
    return epoch;
}

void node_return(struct sim *sim, int node, int file) {
    struct sim_node *n = &sim->node[node];

    if ((sim->dead >> node & 1) == 0 || newest(sim) < n->vouched) {
        return; /* not before what it was vouched for was committed */
    }
    sim_log(sim, "node %d: set up anew with configuration %d", node, file);
    sim->dead &= ~((uint64_t)1 << node);
    n->exists = true;
    n->config = n->promise = -1;
    n->proposed = 0;
    n->epoch = n->promise_epoch = 0;
    n->file = n->loaded = file;
    sim_at(sim, .01, (struct sim_event){.type = EVENT_HOST_UP, .node = node});
}

/* Nobody who should promise this, too, has promised something else. (Who founds may change the
 * members before all have promised: what was agreed on last is what can still be committed.) */
static bool can_be_committed(const struct sim *sim, int file, uint64_t epoch) {
    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *n = &sim->node[i];
        bool member = i < 64 && (sim->config[file].mask >> i & 1) != 0;
        if (member && n->exists && n->promise >= 0 && n->promise_epoch > epoch &&
            n->promise != file) {
            return false;
        }
    }
    return true;
}

/* What somebody has promised, until that is committed: who does not have it must be given it. */
static int promised_file(const struct sim *sim) {
    uint64_t epoch = newest(sim);

    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *n = &sim->node[i];
        if (n->exists && n->promise >= 0 && n->promise_epoch > epoch &&
            can_be_committed(sim, n->promise, epoch)) {
            return n->promise;
        }
    }
    return sim->configs - 1;
}

static void vouch(struct sim *sim, int node) {
    struct sim_node *n = &sim->node[node];

    for (int dead = 0; dead < sim->top && n->bridge && !n->busy; dead++) {
        if ((sim->dead >> dead & 1) != 0) {
            core_vouch_dead(n->core, sim_local(sim, node), sim->node[dead].hash);
            sim->node[dead].vouched = n->epoch + 1;
            shell_perform_all(sim, node);
        }
    }
}

/* In the end every member of the last file is set up. */
static void set_up_missing(struct sim *sim, int file) {
    for (int i = 0; i < SIM_NODES && i < 64; i++) {
        const struct sim_node *n = &sim->node[i];
        bool member = (sim->config[file].mask >> i & 1) != 0;
        if (sim->settling && member && !n->exists) {
            if ((sim->dead >> i & 1) != 0) {
                node_return(sim, i, file);
            } else {
                node_load_file(sim, i, file);
            }
        }
    }
}

void files_operate(struct sim *sim) {
    int file = promised_file(sim);

    set_up_missing(sim, sim->configs - 1);
    for (int i = 0; i < sim->top; i++) {
        struct sim_node *n = &sim->node[i];
        if (!n->exists || !n->bridge || n->busy || sim->now < shell_stopped_until(n)) {
            continue;
        }
        bool foreign = core_config_state(n->core).foreign != 0;
        int own = former_known(sim, n, file) ? sim->configs - 1 : file;
        own = foreign ? sim->committed : own;     /* "copy its file here" */
        if (n->file != own || n->loaded != own) { /* it waits: has that come to an end? */
            node_load_file(sim, i, own);
        }
        if (n->loaded != n->config) {
            vouch(sim, i);
        }
    }
}

void files_show(struct sim *sim) {
    for (int i = 0; i < sim->top; i++) {
        const struct sim_node *n = &sim->node[i];
        if (!n->exists || n->core == NULL) {
            continue;
        }
        uint64_t now = sim_local(sim, i);
        sim_log(sim, "node %d: epoch %llu config %d loaded %d promise %d file %d%s%s", i,
                (unsigned long long)n->epoch, n->config, n->loaded, n->promise, n->file,
                core_leading(n->core, now) ? ", leads" : "",
                core_config_state(n->core).foreign != 0 ? ", hears of another" : "");
        for (int j = 0; j < sim->top; j++) {
            struct core_member_state state;
            if (j != i && core_member_state(n->core, sim->node[j].hash, &state)) {
                sim_log(sim,
                        "    of %d: heard %lld ms ago, epoch %llu, proposes %llu, ready %llu%s", j,
                        state.heard == 0 ? -1LL : (long long)(now - state.heard),
                        (unsigned long long)state.epoch, (unsigned long long)state.proposed,
                        (unsigned long long)state.ready, state.vouched_dead ? ", dead" : "");
            }
        }
    }
}
