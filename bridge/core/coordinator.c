/* SPDX-License-Identifier: MIT */
#include "internal.h"

bool coordinator_acts(const struct core *core, uint64_t now) {
    return core->leading && now < core->lease_end;
}

bool coordinator_complete(const struct core *core) {
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].state == PEER_UNKNOWN) {
            return false;
        }
    }
    return true;
}

bool coordinator_unknown(const struct core *core) {
    for (int i = 0; i < core->peers; i++) {
        if (coordinator_is_unknown(&core->peer[i])) {
            return true;
        }
    }
    return false;
}

bool coordinator_pending(const struct core *core) {
    bool pending = core->pending.members != 0;
    for (int i = 0; i < core->peers; i++) {
        pending = pending || core->peer[i].proposed != 0;
    }
    return pending;
}

int64_t coordinator_unknown_reserves(const struct core *core, uint32_t key) {
    int64_t sum = 0;
    for (int i = 0; i < core->peers; i++) {
        if (coordinator_is_unknown(&core->peer[i])) {
            sum +=
                deal_reserve(&core->deal_committed, core->peer[i].hash, core->counter[key].limit);
        }
    }
    return sum;
}

void coordinator_shrink_mass(struct core *core) {
    bool unknown = coordinator_unknown(core);

    if (unknown && !coordinator_complete(core)) {
        return;
    }
    for (uint32_t i = 0; i < core->active_count; i++) {
        struct row *row = &core->row[core->active[i]];
        int64_t most = unknown ? coordinator_unknown_reserves(core, core->active[i]) : 0;
        row->mass = row->mass < most ? row->mass : (int32_t)most;
        coordinator_touch(core, core->active[i]);
    }
}

int32_t coordinator_not_in_mass(const struct core *core, uint32_t key, int at, int32_t said,
                                bool pending, bool session) {
    const struct entry *entry = coordinator_entry(core, key, at);
    int32_t held = entry->out;

    /* It may have said before that it holds less than its home, or than its reserve, and others
     * have that. Until they are known it stays with them. */
    if (pending && said < held && !MUTANT(core, MUTANT_HOME_PENDING)) {
        held = said;
    }
    /* What it says above its reserve may be an old reading: it may have drained since, been counted
     * as gone, and been dealt to one that is unknown. */
    if (!session && held > entry->reserve && !MUTANT(core, MUTANT_OLD_READING)) {
        held = MUTANT(core, MUTANT_NO_OTHERS) ? held : entry->reserve;
    }
    return held;
}

void coordinator_touch(struct core *core, uint32_t key) {
    core->row[key].dirty = true;
    core->dirty = true;
}

void coordinator_make_row(struct core *core, uint32_t key) {
    struct row *row = &core->row[key];
    const struct counter *counter = &core->counter[key];
    int64_t out = 0;

    if (row->present) {
        return;
    }
    *row = (struct row){.present = true, .place = core->active_count, .calm_since = CORE_NEVER};
    publish_at(core, 0); /* row->ask_due is 0: ask at once what members want of it */
    core->active[core->active_count++] = key;
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        struct entry *entry = coordinator_entry(core, key, i);
        *entry = (struct entry){
            .confirmed = true, .ceiling = INT32_MAX, .limit = -1, .resend = CORE_NEVER};
        if (peer->hash == 0 || peer->state == PEER_NONE) {
            continue;
        }
        entry->home = deal_home(&core->deal_committed, peer->hash, counter->hash, counter->limit);
        entry->reserve = deal_reserve(&core->deal_committed, peer->hash, counter->limit);
        if (!coordinator_is_unknown(peer)) {
            /* Nobody has said anything of this counter: it is at its opening deal. */
            bool session = peer->state == PEER_LIVE || (peer->state == PEER_LOST && !peer->left);
            entry->present = true;
            entry->out = entry->share = session ? entry->home : entry->reserve;
            entry->wants = entry->out; /* until it says so: do not take from it what it may use */
            bool pending = peer->proposed != 0 && !MUTANT(core, MUTANT_ROW_PENDING);
            out += coordinator_not_in_mass(core, key, i, 0, pending, session);
        }
    }
    if (coordinator_unknown(core)) {
        int64_t mass = counter->limit - out;
        int64_t reserves = coordinator_unknown_reserves(core, key);
        if (mass > reserves && (coordinator_complete(core) || MUTANT(core, MUTANT_NO_MASS))) {
            mass = reserves;
        }
        row->mass = mass > 0 ? (int32_t)mass : 0;
    }
    coordinator_touch(core, key);
}

void coordinator_drop_row(struct core *core, uint32_t key) {
    struct row *row = &core->row[key];
    uint32_t last = core->active[--core->active_count];

    core->active[row->place] = last;
    core->row[last].place = row->place;
    *row = (struct row){.present = false};
}

void coordinator_step_down(struct core *core) {
    while (core->active_count > 0) {
        coordinator_drop_row(core, core->active[core->active_count - 1]);
    }
    core->leading = false;
}

static void forget_peer(const struct core *core, struct peer *peer) {
    bool holds = peer->committed && !peer->witness;
    peer->state = holds && core->leading ? PEER_UNKNOWN : PEER_NONE;
    peer->boot = peer->sequence = peer->session = 0;
    peer->last_ack = peer->gone_at = peer->ack = peer->hello = peer->grant_floor = 0;
    peer->admit = false;
    peer->ready = peer->ready_digest = peer->proposed = peer->proposed_at = 0;
    peer->is_new = false;
}

void coordinator_take_over(struct core *core, uint64_t now) {
    coordinator_step_down(core); /* forgets the rows of an earlier time */
    core->leading = true;
    core->since = now;
    core->term = core->candidate_term;
    core->memory.term = core->term.number;
    core->memory.term_member = core->term.candidate;
    core->memory_dirty = true;
    core->contended_known = false;
    core->echo_term = core->term;
    core->echo_time = now;
    core->coordinator = core->self;
    core->coordinator_heard = now;
    core->grant_sequence = core->session_number = 0;
    for (int i = 0; i < core->peers; i++) {
        if (core->peer[i].hash != 0) {
            forget_peer(core, &core->peer[i]);
        }
    }
    core->full_due = now;
    core->publish_due = core->regular_deal_due = core->whole_due = core->publish_paid = 0;
    core->stats.takeovers++;
    heartbeat_soon(core, now);
}

/* ---- what time does to members ---- */

static void lose(struct core *core, struct peer *peer, int at) {
    /* What it said last may be taken in and not acknowledged yet: an acknowledgement after this
     * would let it go on in a session that is over here. */
    peer->ack = MUTANT(core, MUTANT_ACK_AFTER_LOSS) ? peer->ack : 0;
    peer->admit = false;
    peer->state = PEER_LOST;
    peer->gone_at = peer->last_ack + core_expiry(core);
    for (uint32_t i = 0; MUTANT(core, MUTANT_LOST_AT_USE) && i < core->active_count; i++) {
        struct entry *entry = coordinator_entry(core, core->active[i], at);
        entry->out = entry->in_use > entry->reserve ? entry->in_use : entry->reserve;
        entry->share = entry->out;
    }
}

static void give_up(struct core *core, struct peer *peer, int at) {
    peer->ack = 0;
    peer->admit = false;
    peer->state = PEER_GONE;
    for (uint32_t i = 0; i < core->active_count; i++) {
        struct entry *entry = coordinator_entry(core, core->active[i], at);
        entry->out = entry->out < entry->reserve ? entry->out : entry->reserve;
        entry->share = entry->out;
        entry->confirmed = true;
        entry->wants = 0;
        coordinator_touch(core, core->active[i]);
    }
}

static void age(struct core *core, uint64_t now) {
    bool changed = false;

    for (int i = 0; i < core->peers; i++) {
        struct peer *peer = &core->peer[i];
        if (peer->state == PEER_LIVE && now > peer->last_ack + core_margin(core->timers.session)) {
            lose(core, peer, i);
        }
        if ((peer->state == PEER_LOST && now > peer->gone_at) ||
            ((peer->state == PEER_LOST || peer->state == PEER_LIVE) && peer->vouched_dead)) {
            give_up(core, peer, i);
        }
        if (peer->state == PEER_UNKNOWN &&
            (now > core->since + core_expiry(core) || peer->vouched_dead)) {
            peer->state = PEER_UNKNOWN_GONE;
            changed = true;
        }
    }
    if (changed) {
        coordinator_shrink_mass(core);
    }
}

/* ---- a pending configuration ---- */

/* Every holder of shares under the old one fits the new one in the accounts too. */
static bool accounts_fit(const struct core *core, uint32_t key) {
    const struct counter *counter = &core->counter[key];

    for (int i = 0; table_changes(core, counter) && i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        const struct entry *entry = coordinator_entry(core, key, i);
        if (peer->hash == 0 || peer->state == PEER_NONE || peer->state == PEER_GONE ||
            !entry->present) {
            continue;
        }
        if (counter->pending_observed && peer->pending && !peer->pending_witness) {
            continue; /* nothing is refused there: nothing has to fit */
        }
        if (entry->out >
            deal_home(&core->deal_pending, peer->hash, counter->hash, counter->pending_limit)) {
            return false;
        }
    }
    return true;
}

/* A new node holds nothing, and takes nothing before it is told of the commit: where others
 * remember what was promised its proposal will do. (It may not even hear this coordinator, which
 * its file need not name.) When all are new, nobody else would know: they might found something
 * else, too. */
static bool ready(const struct core *core, const struct peer *peer) {
    if (peer->hash == core->self) {
        return core->fits;
    }
    return (peer->ready == core->pending.epoch && peer->ready_digest == core->pending.digest) ||
           (peer->is_new && peer->proposed == core->pending.digest &&
            (core->committed.epoch != 0 || MUTANT(core, MUTANT_FOUND_UNPROMISED)));
}

static bool may_commit(const struct core *core) {
    bool promised = core->promised || MUTANT(core, MUTANT_READY_UNPROMISED);
    if (core->pending.members == 0 || !promised || core->minority || core->promising ||
        core->lease_epoch != core->pending.epoch) {
        return false;
    }
    for (int i = 0; i < core->peers; i++) {
        const struct peer *peer = &core->peer[i];
        if (peer->hash == 0 || peer->vouched_dead) {
            continue; /* an operator vouches that it holds nothing */
        }
        if (!ready(core, peer) || coordinator_is_unknown(peer)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < core->active_count; i++) {
        if (!accounts_fit(core, core->active[i])) {
            return false;
        }
    }
    return true;
}

static void commit(struct core *core, uint64_t now) {
    uint64_t epoch = core->pending.epoch;

    /* Changed counters start again from the new opening deal: forget their rows. */
    for (uint32_t i = core->active_count; i-- > 0;) {
        uint32_t key = core->active[i];
        if (table_changes(core, &core->counter[key])) {
            coordinator_drop_row(core, key);
        }
    }
    if (!config_commit(core, now, epoch)) {
        return;
    }
    for (int i = 0; i < core->peers; i++) {
        struct peer *peer = &core->peer[i];
        bool holds = peer->committed && !peer->witness;
        peer->left =
            peer->left &&
            MUTANT(core, MUTANT_LEFT_FOR_GOOD); /* it spoke of its reserves in the old one */
        if (holds && peer->state == PEER_GONE && !MUTANT(core, MUTANT_COMMIT_AT_RESERVE)) {
            /* It has promised no more than its new home, and may have that in use still, above its
             * reserve: it counts with its home until that has drained. */
            peer->state = PEER_LOST;
            peer->gone_at = now + core_expiry(core);
        }
        if (peer->hash == 0 || holds == (peer->state != PEER_NONE)) {
            continue;
        }
        /* A new one has its reserve, and joins. There are no rows that could miss it: with the
         * members all counters change. */
        peer->state = holds ? PEER_GONE : PEER_NONE;
    }
    core->whole_due = 0;
    publish_at(core, now);
}

/* Time alone changes rows, slowly: of many a part is looked at in each pass, all in a second. */
static void look_at_slice(struct core *core, uint64_t now) {
    uint32_t count = core->active_count / (1000 / FULL_PASS_MS) + 1;

    count = count < SLICE_ROWS ? SLICE_ROWS : count;
    if (core->slice == 0 || core->slice > core->active_count) {
        core->slice = core->active_count;
    }
    for (; core->slice > 0 && count > 0; count--) {
        /* May drop it, and put the last in its place: hence towards the beginning. */
        deal_row(core, now, core->active[--core->slice]);
    }
}

static void look_at_dirty(struct core *core, uint64_t now) {
    for (uint32_t i = core->active_count; core->dirty && i-- > 0;) {
        struct row *row = &core->row[core->active[i]];
        if (row->dirty) {
            row->dirty = false;
            deal_row(core, now, core->active[i]);
        }
    }
    core->dirty = false;
}

bool coordinator_run(struct core *core, uint64_t now) {
    if (!coordinator_acts(core, now)) {
        return false;
    }
    bool full = now >= core->full_due;
    if (full) {
        core->full_due = now + FULL_PASS_MS;
        age(core, now);
        election_give_way(core, now);
        if (!core->leading) {
            return true;
        }
        if (may_commit(core) && core->applying == 0) {
            commit(core, now);
        }
    }
    if (full) {
        look_at_slice(core, now);
    }
    look_at_dirty(core, now);
    return publish_run(core, now);
}

uint64_t coordinator_due(const struct core *core) {
    uint64_t due = core->lease_end < core->full_due ? core->lease_end : core->full_due;
    uint64_t publish = pace_earliest(core, core->publish_paid);

    publish = core->publish_due > publish ? core->publish_due : publish;
    return publish < due ? publish : due;
}
