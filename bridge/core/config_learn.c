/* SPDX-License-Identifier: MIT */
/* What others say of configurations: commits, files that differ, who is dead, who founds. */
#include "internal.h"

enum {
    DIFFER_MS = 10000, /* a file that is being loaded everywhere is no difference yet */
    VOUCH_MS = 60000,  /* others are told for so long */
};

/* ---- commits ---- */

void config_end_session(struct core *core, uint64_t now) {
    if (core->memory.session_end > now) {
        core->memory.session_end = now;
        core->scan_ok = core->scan_asked = core->scanning = false;
    }
    core->admitting = false;
    core->memory.session_number = 0;
    core->memory_dirty = true;
    /* An admission under way would give back what was given up here: T is not over, and no number
     * of a session is left to compare it with. Only what answers a join from now on counts. */
    core->joins_from = MUTANT(core, MUTANT_OLD_ADMISSION) ? 0 : core->sequence + 1;
}

void config_keep_to_reserve(struct core *core, uint64_t now) {
    if (core->leading) {
        coordinator_step_down(core);
    }
    config_end_session(core, now);
}

/* Others have committed what is not known here: what it deals this node cannot be known either. */
static void learn_foreign(struct core *core, uint64_t now, uint64_t from, uint64_t epoch,
                          uint64_t digest) {
    if (MUTANT(core, MUTANT_FOREIGN_GOES_ON) || epoch < core->foreign.epoch ||
        (core->foreign.epoch == epoch && core->foreign.digest == digest)) {
        return;
    }
    core->foreign.epoch = epoch;
    core->foreign.digest = digest;
    config_keep_to_reserve(core, now);
    struct core_action *action = core_push(core, CORE_FOREIGN_CONFIG);
    if (action != NULL) {
        action->config.member = from;
        action->config.epoch = epoch;
        action->config.digest = digest;
    }
}

/* What was promised here to found a cluster has not been committed, and never will be: a member of
 * it goes with something else, so that it did not promise it. What is loaded next counts again. */
static void release_founder(struct core *core, uint64_t now, uint64_t from, uint64_t epoch,
                            uint64_t digest) {
    if (core->promised && epoch >= core->pending.epoch && !MUTANT(core, MUTANT_FOUNDER_BOUND)) {
        core->promised = false;
        learn_foreign(core, now, from, epoch, digest);
    }
}

/* The same content, of a later epoch: what was stored here was lost, or is old. A promise of an
 * earlier one has been kept or overtaken. */
static void adopt_epoch(struct core *core, uint64_t epoch) {
    struct core_action *action = core_push(core, CORE_COMMIT);

    if (action == NULL) {
        return;
    }
    action->commit.epoch = epoch;
    action->commit.digest = core->committed.digest;
    action->commit.member = core_has_member(&core->committed, core->self);
    core->committed.epoch = epoch;
    delta_forget_all(core);
    core->promised = core->overtaken = false;
    config_forget_vouched(core);
    core->pending.epoch = core->pending.members != 0 ? epoch + 1 : 0;
    memset(&core->foreign, 0, sizeof core->foreign);
}

void config_learn(struct core *core, uint64_t now, uint64_t from, uint64_t epoch, uint64_t digest,
                  bool proven) {
    if (epoch <= core->committed.epoch || core->promising) {
        return;
    }
    /* What is promised here may be taken from anybody, however old it is: without this promise
     * nothing later was committed. Else only what is so now may be taken. */
    bool kept = core->promised && epoch == core->pending.epoch;
    /* Nor can it do harm to be no member any more. */
    bool goes = !core_has_member(&core->pending, core->self);
    proven = proven || MUTANT(core, MUTANT_ADOPT_UNPROVEN);
    if (core->pending.members != 0 && core->pending.digest == digest) {
        if ((kept || proven || goes) && config_commit(core, now, epoch) && core->leading) {
            coordinator_step_down(core); /* its accounts are of the old configuration */
        }
    } else if (core->committed.epoch != 0 && core->committed.digest == digest) {
        if (proven || !core->promised) {
            adopt_epoch(core, epoch);
        }
    } else if (core->committed.epoch == 0) {
        if (core->leading) {
            coordinator_step_down(core); /* there is something to join: nothing to found */
        }
        release_founder(core, now, from, epoch, digest);
    } else {
        learn_foreign(core, now, from, epoch, digest);
    }
}

/* ---- who says what ---- */

/* The file that a node has loaded, as its heartbeat tells. */
static uint64_t file_of(uint64_t committed, uint64_t proposed) {
    return proposed != 0 ? proposed : committed;
}

static void compare_files(struct core *core, uint64_t now, struct peer *peer) {
    uint64_t theirs = file_of(peer->said_digest, peer->said_proposed);

    if (theirs == file_of(core->committed.digest, core->pending.digest)) {
        peer->differs_since = 0;
        peer->warned = 0;
    } else if (peer->differs_since == 0) {
        peer->differs_since = now;
    } else if (now > peer->differs_since + DIFFER_MS && peer->warned != theirs &&
               (core->committed.epoch == 0 || peer->said_epoch <= core->committed.epoch)) {
        struct core_action *action = core_push(core, CORE_WARN_FILE);
        if (action != NULL) {
            action->config.member = peer->hash;
            action->config.epoch = peer->said_proposed != 0 ? 0 : peer->said_epoch;
            action->config.digest = theirs;
            peer->warned = theirs;
        }
    }
}

bool config_heard_lately(const struct core *core, uint64_t now, const struct peer *peer) {
    return peer->heard != 0 && now <= peer->heard + core_margin(core->timers.session);
}

/* Who is dead under one configuration may be alive under the next, as a new node. */
void config_forget_vouched(struct core *core) {
    for (int i = 0; i < core->peers; i++) {
        core->peer[i].vouched_dead = MUTANT(core, MUTANT_VOUCH_LASTS) && core->peer[i].vouched_dead;
        core->peer[i].vouch_until = 0;
    }
}

static void hear_vouched(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    for (uint32_t i = 0; i < heartbeat->vouched && heartbeat->epoch == core->committed.epoch; i++) {
        int at = core_find_peer(core, heartbeat->vouched_dead[i]);
        if (at >= 0 && core->peer[at].hash != core->self &&
            !config_heard_lately(core, now, &core->peer[at])) {
            core->peer[at].vouched_dead = true;
        }
    }
}

void config_heard(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    struct peer *peer = &core->peer[core_find_peer(core, heartbeat->from)];

    if (peer->said_boot == heartbeat->boot && heartbeat->sequence <= peer->said_sequence) {
        return; /* late */
    }
    peer->heard = now;
    peer->vouched_dead = false; /* it is not */
    peer->vouch_until = 0;
    peer->said_boot = heartbeat->boot;
    peer->said_sequence = heartbeat->sequence;
    peer->said_epoch = heartbeat->epoch;
    peer->said_digest = heartbeat->epoch_digest;
    peer->said_proposed = heartbeat->proposed;
    peer->said_ready = heartbeat->ready;
    peer->said_ready_digest = heartbeat->ready_digest;
    hear_vouched(core, now, heartbeat);
    compare_files(core, now, peer);
}

bool core_vouch_dead(struct core *core, uint64_t now, uint64_t member) {
    int at = core_find_peer(core, member);

    if (at < 0 || member == core->self || config_heard_lately(core, now, &core->peer[at])) {
        return false;
    }
    core->peer[at].vouched_dead = true;
    core->peer[at].vouch_until = now + VOUCH_MS;
    heartbeat_soon(core, now);
    core_run(core, now);
    return true;
}

uint32_t config_vouched(struct core *core, uint64_t now) {
    uint32_t count = 0;
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].hash != 0 && now < core->peer[i].vouch_until) {
            core->vouched[count++] = core->peer[i].hash;
        }
    }
    return count;
}

bool config_founds(const struct core *core, uint64_t now) {
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash == 0 || peer->hash == core->self || peer->vouched_dead) {
            continue;
        }
        if (!config_heard_lately(core, now, peer) || peer->said_epoch != 0 ||
            peer->said_proposed != core->pending.digest) {
            return false;
        }
    }
    return core->pending.members != 0;
}

/* ---- to look at ---- */

struct core_config_state core_config_state(const struct core *core) {
    return (struct core_config_state){
        .committed = core->committed.epoch,
        .committed_digest = core->committed.digest,
        .pending_digest = core->pending.digest,
        .promised = core->promised ? core->pending.epoch : 0,
        .overtaken = core->overtaken,
        .fits = core->fits,
        .foreign = core->foreign.epoch,
        .foreign_digest = core->foreign.digest,
    };
}

bool core_member_state(const struct core *core, uint64_t member, struct core_member_state *out) {
    int at = core_find_peer(core, member);

    if (at < 0) {
        return false;
    }
    const struct peer *peer = &core->peer[at];
    *out = (struct core_member_state){
        .heard = peer->heard,
        .epoch = peer->said_epoch,
        .epoch_digest = peer->said_digest,
        .proposed = peer->said_proposed,
        .ready = peer->said_ready,
        .ready_digest = peer->said_ready_digest,
        .committed = peer->committed,
        .pending = peer->pending,
        .vouched_dead = peer->vouched_dead,
    };
    return true;
}
