/* SPDX-License-Identifier: MIT */
#include "internal.h"

/* ---- what a heartbeat must be to count at all ---- */

static int32_t clamp(int32_t value) {
    return value < 0 ? 0 : value > CONF_LIMIT_MAX ? CONF_LIMIT_MAX : value;
}

/* @return false: the message is absurd, or cannot be acted upon as a whole. */
static bool records_good(struct core *core, const struct core_heartbeat *heartbeat) {
    bool good = heartbeat->records <= core->keys;
    uint32_t marked = 0;

    for (; good && marked < heartbeat->records; marked++) {
        uint32_t key = heartbeat->record[marked].key;
        if (key >= core->keys || !core->counter[key].defined || core->counter[key].named) {
            good = false;
            break;
        }
        core->counter[key].named = true;
    }
    for (uint32_t i = 0; i < marked; i++) {
        core->counter[heartbeat->record[i].key].named = false;
    }
    return good;
}

/* It must echo this leadership, lately: what was under way when this one began, or for long, may
 * speak of rights that have been dealt again since. */
static bool fresh(const struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    if (MUTANT(core, MUTANT_NO_ECHO)) {
        return true;
    }
    return core_compare_terms(&heartbeat->echo_term, &core->term) == 0 &&
           heartbeat->echo_time <= now && now - heartbeat->echo_time <= core->timers.fresh;
}

/* ---- a report in its session ---- */

static void learn_limit(struct core *core, struct entry *entry, const struct peer *peer,
                        const struct core_record *record) {
    if (record->limit == entry->limit || record->limit < -1 || record->limit > CONF_LIMIT_MAX) {
        return;
    }
    entry->limit = record->limit;
    if (record->limit != core->counter[record->key].limit && core->pending.epoch == 0) {
        struct core_action *action = core_push(core, CORE_WARN_LIMIT);
        if (action != NULL) {
            action->warn.member = peer->hash;
            action->warn.key = record->key;
            action->warn.limit = record->limit;
        }
    }
}

/* It has at least this when its session ends. A proposal may be withdrawn, and then the reserve is
 * there again, asked of no one: only a promise can make a member hold less, and no less than its
 * reserve under what it has promised. */
static int32_t least(const struct core *core, const struct core_heartbeat *heartbeat,
                     const struct entry *entry, uint32_t key) {
    const struct counter *counter = &core->counter[key];
    bool promised = heartbeat->ready != 0 && heartbeat->ready == core->pending.epoch &&
                    heartbeat->ready_digest == core->pending.digest;

    if (MUTANT(core, MUTANT_BELOW_RESERVE)) {
        return 0;
    }
    if (!promised || !table_changes(core, counter)) {
        return entry->reserve;
    }
    int32_t next = deal_reserve(&core->deal_pending, heartbeat->from, counter->pending_limit);
    return next < entry->reserve ? next : entry->reserve;
}

/* @return false: it confirms nothing here. */
static bool report(struct core *core, const struct core_heartbeat *heartbeat, int at) {
    struct peer *peer = &core->peer[at];
    bool same_epoch = heartbeat->epoch == core->committed.epoch;

    if (!same_epoch && !MUTANT(core, MUTANT_OLD_EPOCH_REPORT)) {
        return false; /* made under another configuration */
    }
    for (uint32_t i = 0; i < heartbeat->records; i++) {
        const struct core_record *record = &heartbeat->record[i];
        int32_t held = clamp(record->held), wants = clamp(record->wants);
        const struct counter *counter = &core->counter[record->key];
        if (!core->row[record->key].present && wants <= held &&
            held == deal_home(&core->deal_committed, peer->hash, counter->hash, counter->limit)) {
            continue; /* nothing new: do not wake the counter */
        }
        coordinator_make_row(core, record->key);
        struct entry *entry = coordinator_entry(core, record->key, at);
        entry->wants = wants;
        entry->in_use = clamp(record->in_use);
        if (same_epoch) {
            learn_limit(core, entry, peer, record);
        }
        if (record->grant >= entry->grant || MUTANT(core, MUTANT_REPORT_ANY_GRANT)) {
            /* What a file that is pending there keeps it from is not given again and again. */
            if (held < entry->share && peer->proposed != 0) {
                entry->ceiling = held;
            } else if (held > entry->ceiling) {
                entry->ceiling = INT32_MAX;
            }
            int32_t floor = least(core, heartbeat, entry, record->key);
            entry->out = held > floor ? held : floor;
            entry->confirmed = true;
            entry->share = entry->share < held ? entry->share : held;
        }
        coordinator_touch(core, record->key);
    }
    return true;
}

/* ---- a join ---- */

/* So that each is found at once: a join may name as many as there are rows. */
static void index_records(struct core *core, const struct core_heartbeat *heartbeat) {
    for (uint32_t i = 0; i < heartbeat->records; i++) {
        core->counter[heartbeat->record[i].key].said_at = i;
    }
}

/* What an earlier message left there is of another key, or of no record here. */
static const struct core_record *find_record(const struct core *core,
                                             const struct core_heartbeat *heartbeat, uint32_t key) {
    uint32_t at = core->counter[key].said_at;
    bool found = at < heartbeat->records && heartbeat->record[at].key == key;
    return found ? &heartbeat->record[at] : NULL;
}

/* It was unknown: what it holds is no longer part of M. */
static void take_from_mass(struct core *core, const struct core_heartbeat *heartbeat, int at,
                           const struct core_record *record, uint32_t key) {
    const struct peer *peer = &core->peer[at];
    struct row *row = &core->row[key];
    const struct entry *entry = coordinator_entry(core, key, at);
    bool valid = heartbeat->join == CORE_JOIN_VALID;
    bool pending = heartbeat->proposed != 0;
    /* The others that are unknown have their reserves, however much this one says. */
    int64_t least_mass = coordinator_unknown_reserves(core, key) -
                         (coordinator_is_unknown(peer) ? entry->reserve : 0);

    if (MUTANT(core, MUTANT_RESERVE_PENDING)) {
        pending = pending && record == NULL && valid;
    }
    int32_t said = record != NULL ? clamp(record->held) : 0;
    int32_t held = coordinator_not_in_mass(core, key, at, said, pending, valid);
    if (row->mass < held && valid && !core->counter[key].observed && !coordinator_pending(core)) {
        core->stats.mass_negative++;
    }
    row->mass -= held;
    if (row->mass < least_mass) {
        row->mass = MUTANT(core, MUTANT_NO_OTHERS) && row->mass < 0 ? 0 : (int32_t)least_mass;
    }
}

static void count_held(struct core *core, const struct core_heartbeat *heartbeat, int at,
                       bool new_boot, uint32_t key) {
    struct peer *peer = &core->peer[at];
    struct row *row = &core->row[key];
    struct entry *entry = coordinator_entry(core, key, at);
    const struct core_record *record = find_record(core, heartbeat, key);
    bool valid = heartbeat->join == CORE_JOIN_VALID;
    int32_t held = record != NULL ? clamp(record->held) : valid ? entry->home : entry->reserve;

    if (MUTANT(core, MUTANT_LEAVE_AT_RESERVE) && heartbeat->leaving) {
        held = entry->reserve;
    }
    int32_t floor = valid ? least(core, heartbeat, entry, key) : entry->reserve;
    bool behind = valid && heartbeat->epoch != core->committed.epoch;
    if (behind && floor < entry->home && !MUTANT(core, MUTANT_BEHIND_AS_SAID)) {
        floor = entry->home; /* it has promised what is committed, and goes there when it hears */
    }
    held = held > floor ? held : floor; /* without a session it may be about to learn of a commit */
    if (!entry->present) {
        entry->present = true;
        entry->out = held;
        take_from_mass(core, heartbeat, at, record, key);
    } else {
        /* Its session is over for certain, by its own hand when it leaves: that is what it has. */
        bool over =
            new_boot || peer->state == PEER_LOST || peer->state == PEER_GONE || heartbeat->leaving;
        entry->out = over || held > entry->out ? held : entry->out;
    }
    /* Without a session it may speak of what has drained since. */
    row->too_much = row->too_much || (!valid && deal_free(core, key) < 0);
    entry->share = entry->out;
    if (record != NULL) {
        entry->wants = clamp(record->wants);
        entry->in_use = clamp(record->in_use);
        learn_limit(core, entry, peer, record);
    }
    coordinator_touch(core, key);
}

static void start_session(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat,
                          int at) {
    struct peer *peer = &core->peer[at];

    if (heartbeat->join == CORE_JOIN_VALID &&
        (peer->state == PEER_UNKNOWN_GONE || peer->state == PEER_LOST ||
         peer->state == PEER_GONE)) {
        core->stats.valid_gone++;
    }
    peer->state = PEER_LIVE;
    peer->last_ack = now;
    peer->left = false;
    peer->taken_in = 0;
    peer->session = ++core->session_number;
    peer->grant_floor = core->grant_sequence;
    for (uint32_t i = 0; i < core->active_count; i++) {
        uint32_t key = core->active[i];
        struct entry *entry = coordinator_entry(core, key, at);
        int64_t left = deal_reserves(core, key);
        int64_t up = entry->home - entry->out;
        up = up < left ? up : left;
        if (up > 0) {
            entry->out += (int32_t)up;
        }
        entry->share = entry->out;
        if (left < 0 && !MUTANT(core, MUTANT_ADMIT_AS_SAID)) {
            /* It spoke of more than was thought to be there: an old reading of what has drained
             * since and was dealt to others. It counts, but it is not given. */
            int64_t less = entry->out + left;
            entry->share = less > entry->reserve ? (int32_t)less : entry->reserve;
            entry->share = entry->share < entry->out ? entry->share : entry->out;
        }
        entry->grant = ++core->grant_sequence;
        entry->confirmed = false;
        entry->resend = CORE_NEVER; /* goes with the admission */
    }
    peer->admit = true;
    peer->ack = heartbeat->sequence;
    publish_at(core, now);
    core->stats.admissions++;
}

static void join(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat, int at,
                 bool new_boot) {
    struct peer *peer = &core->peer[at];
    bool valid = heartbeat->join == CORE_JOIN_VALID;
    enum peer_state was = peer->state;

    index_records(core, heartbeat);
    for (uint32_t i = 0; i < heartbeat->records; i++) {
        coordinator_make_row(core, heartbeat->record[i].key);
    }
    for (uint32_t i = 0; i < core->active_count; i++) {
        count_held(core, heartbeat, at, new_boot, core->active[i]);
    }
    if (coordinator_is_unknown(peer)) {
        peer->state = valid ? PEER_LIVE : PEER_GONE;
        peer->last_ack = now;
        coordinator_shrink_mass(core);
        /* start_session() wants to know that it was given up. */
        peer->state = valid && was == PEER_UNKNOWN_GONE ? was : peer->state;
    }
    if (heartbeat->leaving) {
        /* It keeps what is in use until that has drained, as one that was lost; of what it does
         * not speak it has no more than its reserve. */
        peer->state = PEER_LOST;
        peer->left = true;
        peer->taken_in |= 1;
        peer->session = 0;
        peer->gone_at = now + core_expiry(core);
        peer->ack = heartbeat->sequence;
        peer->admit = false;
        publish_at(core, now);
        return;
    }
    if (!valid && !coordinator_complete(core)) {
        if (was != PEER_LIVE) {
            peer->state = PEER_GONE;
        }
        return; /* once all are known it is admitted */
    }
    start_session(core, now, heartbeat, at);
}

/* ---- */

/* A new node that would take what is committed here for the newest, when what is promised may have
 * been committed elsewhere, perhaps on an operator's word that this very name is dead. Without an
 * answer it waits. */
static bool is_behind(const struct core *core, const struct peer *peer) {
    bool bound = core->promised || core->promising;
    return peer->is_new && bound && core->committed.epoch != 0 &&
           peer->proposed != core->pending.digest && !MUTANT(core, MUTANT_NEW_BEHIND);
}

/* What a member says of configurations, if this is the newest that it said. */
static void note_config(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat,
                        int at) {
    struct peer *peer = &core->peer[at];

    peer->ready = heartbeat->ready;
    peer->ready_digest = heartbeat->ready_digest;
    bool newest = peer->said_boot == heartbeat->boot && peer->said_sequence == heartbeat->sequence;
    if (!newest && peer->hash != core->self) {
        return;
    }
    for (uint32_t i = 0; peer->proposed != heartbeat->proposed && i < core->active_count; i++) {
        coordinator_entry(core, core->active[i], at)->ceiling = INT32_MAX;
        coordinator_touch(core, core->active[i]);
    }
    peer->proposed = heartbeat->proposed;
    peer->is_new = heartbeat->epoch == 0;
    peer->proposed_at = now;
    bool differs = core->pending.members != 0 || heartbeat->proposed != 0 ||
                   heartbeat->epoch != core->committed.epoch;
    if (differs && !is_behind(core, peer)) {
        peer->hello = heartbeat->sequence;
    }
}

/* It keeps to what is committed here: because it has committed that, or promised it. */
static bool same_config(const struct core *core, const struct core_heartbeat *heartbeat) {
    return heartbeat->epoch == core->committed.epoch ||
           (heartbeat->ready == core->committed.epoch &&
            heartbeat->ready_digest == core->committed.digest) ||
           MUTANT(core, MUTANT_FOREIGN_GOES_ON);
}

/* It does not know what is committed here, and so is not admitted. But a new node holds nothing,
 * and another one no more than its reserve after that long: it is known then, so that what is
 * pending need not wait for a configuration that it may never have. */
static void note_stranger(struct core *core, const struct core_heartbeat *heartbeat, int at) {
    struct peer *peer = &core->peer[at];
    const struct core_heartbeat nothing = {.join = CORE_JOIN_EXPIRED};

    if (peer->state != PEER_UNKNOWN_GONE &&
        (peer->state != PEER_UNKNOWN || heartbeat->epoch != 0)) {
        return;
    }
    for (uint32_t i = 0; i < core->active_count; i++) {
        count_held(core, &nothing, at, false, core->active[i]);
    }
    peer->state = PEER_GONE;
    coordinator_shrink_mass(core);
}

void admit_on_heartbeat(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    if (!coordinator_acts(core, now) || core_compare_terms(&heartbeat->term, &core->term) != 0) {
        return;
    }
    int at = core_find_peer(core, heartbeat->from);
    if (at < 0) {
        return;
    }
    struct peer *peer = &core->peer[at];
    bool known = peer->boot != 0, same_boot = peer->boot == heartbeat->boot;
    if ((known && same_boot && heartbeat->sequence <= peer->sequence) ||
        !fresh(core, now, heartbeat)) {
        return;
    }
    note_config(core, now, heartbeat, at);
    if (peer->state == PEER_NONE) {
        return;
    }
    if (!same_config(core, heartbeat)) {
        note_stranger(core, heartbeat, at);
        return;
    }
    if (known && !same_boot && heartbeat->join != CORE_JOIN_FRESH) {
        return;
    }
    bool joins = heartbeat->join != CORE_JOIN_NO;
    if (!records_good(core, heartbeat) || (joins && heartbeat->incomplete)) {
        core->stats.ignored++;
        return;
    }
    uint64_t since = heartbeat->sequence - peer->sequence;
    peer->taken_in = known && same_boot && since < 64 ? peer->taken_in << since : 0;
    peer->boot = heartbeat->boot;
    peer->sequence = heartbeat->sequence;
    if (joins) {
        join(core, now, heartbeat, at, known && !same_boot);
        return;
    }
    struct core_session session = {core->term, peer->session};
    if (peer->state == PEER_LIVE && peer->session != 0 &&
        core_same_session(&session, &heartbeat->session)) {
        peer->taken_in |= report(core, heartbeat, at) ? 1 : 0;
        peer->ack = heartbeat->sequence;
        peer->admit = false;
        publish_at(core, now + ACK_MS);
    }
}

void core_on_heartbeat(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat) {
    if (heartbeat->from == core->self || !core_drained(core)) {
        return;
    }
    if (core_find_peer(core, heartbeat->from) < 0 || core_absurd_term(&heartbeat->term) ||
        heartbeat->sequence == 0 || heartbeat->boot == 0 || core_absurd_epoch(heartbeat->epoch) ||
        heartbeat->vouched > CORE_MEMBERS_MAX || (unsigned)heartbeat->join > CORE_JOIN_FRESH) {
        core->stats.ignored++;
        return;
    }
    config_heard(core, now, heartbeat);
    election_seen(core, &heartbeat->term);
    if (heartbeat->leaving) {
        election_resigned(core, now, heartbeat);
    }
    if (core->leading && core_compare_terms(&heartbeat->term, &core->term) > 0) {
        coordinator_step_down(core); /* there has been a later one */
    }
    config_learn(core, now, heartbeat->from, heartbeat->epoch, heartbeat->epoch_digest, false);
    admit_on_heartbeat(core, now, heartbeat);
    core_run(core, now);
}
