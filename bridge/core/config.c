/* SPDX-License-Identifier: MIT */
/* How a file becomes a configuration of all: proposal, promise, commit. config_learn.c has what
 * others say of it. */
#include "internal.h"

bool config_good(const struct core_membership *m) {
    if (m->digest == 0 || m->reserve_percent > 100 || m->members == 0 ||
        m->members > CORE_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < m->members; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (m->member[i].hash == m->member[j].hash) {
                return false;
            }
        }
        if (m->member[i].hash == 0) {
            return false;
        }
    }
    return true;
}

static void fill_deal(struct deal_members *deal, const struct core_membership *membership) {
    memset(deal, 0, sizeof *deal);
    deal->reserve_percent = membership->reserve_percent;
    for (uint32_t i = 0; i < membership->members; i++) {
        if (!membership->member[i].witness) {
            deal->hash[deal->count++] = membership->member[i].hash;
        }
    }
}

/* Members in both together. */
static uint32_t count_both(const struct core_membership *a, const struct core_membership *b) {
    uint32_t count = a->members;
    for (uint32_t i = 0; i < b->members; i++) {
        count += core_has_member(a, b->member[i].hash) ? 0 : 1;
    }
    return count;
}

/* The places of peers follow the two configurations; who is in none of them any more, goes. */
static void enter_peers(struct core *core) {
    for (int i = 0; i < core->peers; i++) {
        struct peer *peer = &core->peer[i];
        peer->committed = peer->pending = peer->witness = peer->pending_witness = false;
        if (!core_has_member(&core->committed, peer->hash) &&
            !core_has_member(&core->pending, peer->hash)) {
            *peer = (struct peer){.hash = 0};
        }
    }
    for (uint32_t i = 0; i < core->committed.members + core->pending.members; i++) {
        bool pending = i >= core->committed.members;
        const struct core_member *member = pending
                                               ? &core->pending.member[i - core->committed.members]
                                               : &core->committed.member[i];
        int at = core_find_peer(core, member->hash);
        for (int j = 0; at < 0 && j < CORE_MEMBERS_MAX; j++) {
            if (core->peer[j].hash == 0) {
                core->peer[j] = (struct peer){.hash = member->hash};
                at = j;
            }
        }
        if (at < 0) {
            return; /* not reached: there are no more of both than places */
        }
        core->peers = at >= core->peers ? at + 1 : core->peers;
        if (pending) {
            core->peer[at].pending = true;
            core->peer[at].pending_witness = member->witness;
        } else {
            core->peer[at].committed = true;
            core->peer[at].witness = member->witness;
        }
    }
}

/* Compared as sets: a change of order alone is none, because homes go by hash. */
static bool members_change(const struct core *core) {
    bool change = core->deal_pending.count != core->deal_committed.count ||
                  core->pending.reserve_percent != core->committed.reserve_percent;
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        change = change ||
                 (peer->committed && !peer->witness) != (peer->pending && !peer->pending_witness);
    }
    return core->pending.members != 0 && change;
}

/* All that follows from the two configurations. */
static void take_effect(struct core *core, uint64_t now) {
    fill_deal(&core->deal_committed, &core->committed);
    fill_deal(&core->deal_pending, &core->pending);
    enter_peers(core);
    core->members_change = members_change(core);
    core->holds = core_holds(&core->committed, core->self);
    core->pending_holds = core_holds(&core->pending, core->self);
    delta_forget_all(core); /* what was said under others counts no more */
    for (uint32_t key = 0; key < core->keys; key++) {
        if (core->counter[key].defined) {
            table_deal(core, &core->counter[key]);
            table_watch(core, now, key);
        }
    }
}

void config_start(struct core *core, const struct core_options *options, uint64_t now) {
    core->committed = options->committed;
    core->pending = options->pending;
    core->promised = options->promised;
    if (!core->promised && core->pending.members != 0) {
        core->pending.epoch = core->committed.epoch + 1;
    }
    core->proposed_from = core->memory.sequence + 1;
    take_effect(core, now);
}

bool config_options_good(const struct core_options *options) {
    const struct core_membership *committed = &options->committed, *pending = &options->pending;

    if (committed->epoch == 0 ? committed->members != 0 || pending->members == 0
                              : !config_good(committed)) {
        return false;
    }
    if (pending->members == 0) {
        return !options->promised;
    }
    return config_good(pending) && count_both(committed, pending) <= CORE_MEMBERS_MAX &&
           (!options->promised || pending->epoch > committed->epoch);
}

/* ---- proposals ---- */

/* Others have gone beyond what was promised here: what they have now may be loaded. */
static bool superseded(const struct core *core, uint64_t digest) {
    return core->foreign.epoch >= core->pending.epoch && core->foreign.digest == digest;
}

enum core_config_result core_config_check(const struct core *core,
                                          const struct core_membership *config) {
    if (!config_good(config)) {
        return CORE_CONFIG_BAD;
    }
    if (core->pending.members != 0 && core->pending.digest == config->digest) {
        return CORE_CONFIG_SAME;
    }
    bool bound = core->promised || core->promising || core->overtaken;
    if (bound && !superseded(core, config->digest)) {
        return CORE_CONFIG_PROMISED;
    }
    if (core->committed.epoch != 0 && core->committed.digest == config->digest) {
        return core->pending.members == 0 ? CORE_CONFIG_SAME : CORE_CONFIG_WITHDRAWN;
    }
    uint32_t both = count_both(&core->committed, config);
    /* With no old member in their file new nodes would not hear that there is something to join,
     * and found a cluster of their own. */
    bool apart = core->committed.epoch != 0 && both == core->committed.members + config->members;
    return both <= CORE_MEMBERS_MAX && !apart ? CORE_CONFIG_PROPOSED : CORE_CONFIG_BAD;
}

/* Caps go down, and what was read last may be less than what is in use by now, or is long ago where
 * nobody fought over a counter: that is what could be taken before. */
static void distrust_reads(struct core *core, uint64_t now) {
    for (uint32_t key = 0; key < core->keys; key++) {
        struct counter *counter = &core->counter[key];
        counter->last_read = counter->in_use;
        if (counter->defined && !MUTANT(core, MUTANT_TRUST_READS)) {
            int32_t cap = table_cap(core, now, counter);
            counter->in_use = counter->in_use > cap ? counter->in_use : cap;
        }
    }
}

/* Until those that are told of have been read again. Others are read before anything is told. */
static void read_again(struct core *core) {
    for (uint32_t key = 0; key < core->keys; key++) {
        struct counter *counter = &core->counter[key];
        if (counter->watch != 0) {
            table_read(core, key);
        } else {
            counter->in_use = counter->last_read;
        }
    }
}

enum core_config_result core_config_propose(struct core *core, uint64_t now,
                                            const struct core_membership *config) {
    enum core_config_result result = core_config_check(core, config);

    if (result != CORE_CONFIG_PROPOSED && result != CORE_CONFIG_WITHDRAWN) {
        return result;
    }
    if (core->pending.members != 0 && !MUTANT(core, MUTANT_WITHDRAW_KEEPS)) {
        /* The coordinator has been told of no more than what was pending allows, and deals the rest
         * to others. What this node may take goes up again now: only a new session may say so. */
        config_keep_to_reserve(core, now);
    }
    distrust_reads(core, now);
    /* Others count with what was promised here, or with what they have committed since, which is
     * loaded now: any third file might allow more than both. */
    core->overtaken = (core->promised || core->overtaken) && !MUTANT(core, MUTANT_OVERTAKEN_FREE);
    core->promised = core->promising = core->fits = false;
    if (result == CORE_CONFIG_WITHDRAWN) {
        memset(&core->pending, 0, sizeof core->pending);
    } else {
        core->pending = *config;
        core->pending.epoch = core->committed.epoch + 1;
    }
    /* Only an answer to what is said from now on speaks of this proposal. */
    core->proposed_from = core->sequence + 1;
    core->scan_ok = false; /* caps went down: what was read before may be too low now */
    core->scan_asked = core->scanning = false;
    for (uint32_t key = 0; result == CORE_CONFIG_WITHDRAWN && key < core->keys; key++) {
        core->counter[key].pending_limit = core->counter[key].limit;
        core->counter[key].pending_observed = core->counter[key].observed;
    }
    take_effect(core, now);
    read_again(core);
    heartbeat_soon(core, now);
    core_run(core, now);
    return result;
}

void core_config_fits(struct core *core, uint64_t now) {
    core->fits = core->pending.members != 0;
    delta_forget_all(core); /* it counts for more when this node is ready */
    heartbeat_soon(core, now);
    core_run(core, now);
}

/* ---- promises ---- */

void config_promise(struct core *core, uint64_t epoch, uint64_t digest) {
    if (core->promised || core->promising || core->pending.members == 0 ||
        core->pending.digest != digest || epoch <= core->committed.epoch) {
        return;
    }
    struct core_action *action = core_push(core, CORE_PROMISE);
    if (action == NULL) {
        return;
    }
    action->commit.epoch = epoch;
    action->commit.digest = digest;
    core->pending.epoch = epoch;
    core->promising = true;
}

void core_promise_done(struct core *core, uint64_t now, bool stored) {
    if (!core->promising) {
        return;
    }
    core->promising = false;
    core->promised = stored;
    delta_forget_all(core);
    heartbeat_soon(core, now);
    core_run(core, now);
}

/* Does this member propose what this node does, as far as is known and lately? Who is new here
 * keeps to nothing but its proposal, too. */
static bool agrees(const struct core *core, uint64_t now, const struct peer *peer) {
    return peer->proposed == core->pending.digest &&
           now <= peer->proposed_at + core_margin(core->timers.session);
}

bool config_agreed(const struct core *core, uint64_t now) {
    if (core->pending.members == 0) {
        return false;
    }
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash != 0 && peer->hash != core->self && !peer->vouched_dead &&
            !agrees(core, now, peer)) {
            return false;
        }
    }
    return true;
}

/* ---- commits ---- */

/* The segment starts anew from the home of every counter that changes, and so must we: what was
 * granted is of the old configuration. */
static void forget_changed(struct core *core) {
    for (uint32_t i = 0; i < core->watched_count; i++) {
        struct counter *counter = &core->counter[core->watched[i]];
        if (table_changes(core, counter) && !MUTANT(core, MUTANT_RECORD_STAYS)) {
            counter->record = counter->stored = false;
            counter->share = counter->pending_home;
        }
    }
}

bool config_commit(struct core *core, uint64_t now, uint64_t epoch) {
    if (core->applying != 0 || core->promising) {
        return false; /* it will be heard again */
    }
    if (!core_holds(&core->pending, core->self) && !MUTANT(core, MUTANT_GONE_IN_SESSION)) {
        /* The next configuration may bring it back, as one that has no session. Stored first: this
         * bridge may be killed after any action. */
        config_end_session(core, now);
        core_store_if_dirty(core);
    }
    struct core_action *action = core_push(core, CORE_COMMIT);
    if (action == NULL) {
        return false;
    }
    action->commit.epoch = epoch;
    action->commit.digest = core->pending.digest;
    action->commit.member = core_has_member(&core->pending, core->self);
    forget_changed(core);
    core->committed = core->pending;
    core->committed.epoch = epoch;
    memset(&core->pending, 0, sizeof core->pending);
    memset(&core->foreign, 0, sizeof core->foreign);
    core->promised = core->overtaken = core->fits = false;
    config_forget_vouched(core);
    for (uint32_t key = 0; key < core->keys; key++) {
        core->counter[key].limit = core->counter[key].pending_limit;
        core->counter[key].observed = core->counter[key].pending_observed;
    }
    take_effect(core, now);
    heartbeat_soon(core, now);
    return true;
}
