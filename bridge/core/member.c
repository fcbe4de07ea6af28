/* SPDX-License-Identifier: MIT */
#include "internal.h"

bool member_valid(const struct core *core, uint64_t now) {
    return now < core->memory.session_end;
}

bool core_holds(const struct core_membership *membership, uint64_t hash) {
    for (uint32_t i = 0; i < membership->members; i++) {
        if (membership->member[i].hash == hash) {
            return !membership->member[i].witness;
        }
    }
    return false;
}

bool member_holds(const struct core *core) {
    return core_holds(&core->committed, core->self);
}

static const struct sent *find_sent(const struct core *core, uint64_t sequence) {
    const struct sent *sent = &core->sent[sequence % SENT_RING];
    return sequence != 0 && sent->sequence == sequence ? sent : NULL;
}

/* ---- what the coordinator says to this member ---- */

/* No coordinator has more to give than this node's own limit. One that is wrong, or lies, must not
 * make this node alone go over it; what it is told is then what was kept, so that it stops. */
static int32_t no_more_than_limit(const struct core *core, const struct core_grant *grant) {
    int32_t limit = core->counter[grant->key].limit;
    return grant->share < limit ? grant->share : limit;
}

/* Every record is replaced. The shares are applied one by one while no session, or still the old
 * one, is in force; the new session starts with the last of them. Either way nothing in force ever
 * exceeds what the coordinator has already counted: it admits with no less than the join said. */
static void admit(struct core *core, uint64_t now, const struct core_part *part) {
    const struct sent *sent = find_sent(core, part->ack);

    if (sent == NULL || sent->sequence < core->joins_from ||
        sent->at + core->timers.session <= now || core->applying != 0 || core->leaving ||
        part->incomplete || part->grants > core->keys) {
        return;
    }
    struct core_session mine = core_memory_session(core);
    if (mine.number != 0 && core_compare_terms(&mine.term, &part->session.term) == 0 &&
        part->session.number <= mine.number) {
        return;
    }
    bool good = true;
    uint32_t marked = 0;
    for (; good && marked < part->grants; marked++) {
        const struct core_grant *grant = &part->grant[marked];
        if (grant->key >= core->keys || !core->counter[grant->key].defined ||
            core->counter[grant->key].named || grant->share < 0 || grant->share > CONF_LIMIT_MAX) {
            good = false;
            break;
        }
        core->counter[grant->key].named = true;
    }
    for (uint32_t i = core->watched_count; good && i-- > 0;) {
        uint32_t key = core->watched[i];
        if (core->counter[key].record && !core->counter[key].named) {
            table_drop_record(core, key);
            table_watch(core, now, key); /* puts the last in its place: hence from the end */
        }
    }
    for (uint32_t i = 0; i < marked; i++) {
        core->counter[part->grant[i].key].named = false;
    }
    if (!good) {
        core->stats.ignored++;
        return;
    }
    core->admitting = true;
    core->admit_session = part->session;
    core->admit_end = sent->at + core->timers.session;
    core->admit_floor = part->grant_floor;
    if (MUTANT(core, MUTANT_SESSION_FIRST)) {
        member_admitted(core, now);
        core_store_if_dirty(core);
    }
    for (uint32_t i = 0; i < part->grants; i++) {
        const struct core_grant *grant = &part->grant[i];
        table_set_share(core, grant->key, no_more_than_limit(core, grant), grant->grant);
        table_watch(core, now, grant->key);
    }
    if (core->applying == 0) {
        member_admitted(core, now);
    }
}

void member_admitted(struct core *core, uint64_t now) {
    core->admitting = false;
    core->memory.session_term = core->admit_session.term.number;
    core->memory.session_term_member = core->admit_session.term.candidate;
    core->memory.session_number = core->admit_session.number;
    core->memory.session_end = core->admit_end;
    core->memory.grant_floor = core->admit_floor;
    core->memory_dirty = true;
    core->scan_ok = core->scan_asked = core->scanning = false;
    delta_forget_all(core);
    heartbeat_soon(core, now);
}

static void apply_grants(struct core *core, uint64_t now, const struct core_part *part) {
    for (uint32_t i = 0; i < part->grants; i++) {
        const struct core_grant *grant = &part->grant[i];
        if (grant->key >= core->keys || !core->counter[grant->key].defined || grant->share < 0 ||
            grant->share > CONF_LIMIT_MAX) {
            core->stats.ignored++;
            continue;
        }
        const struct counter *counter = &core->counter[grant->key];
        if (!counter->applying && grant->grant > table_grant(core, counter)) {
            table_set_share(core, grant->key, no_more_than_limit(core, grant), grant->grant);
            table_watch(core, now, grant->key);
        }
    }
}

/* The coordinator has taken in that this node leaves. */
static void on_farewell(struct core *core, const struct core_part *part) {
    if (core->leave_sequence != 0 && part->ack >= core->leave_sequence && (part->heard & 1) != 0 &&
        find_sent(core, part->ack) != NULL) {
        core->left = true;
    }
}

static void on_part(struct core *core, uint64_t now, const struct core_deal *deal,
                    const struct core_part *part) {
    if (part->boot != core->boot) {
        return;
    }
    if (part->admission) {
        if (deal->epoch == core->committed.epoch && part->session.number != 0 &&
            core_compare_terms(&part->session.term, &deal->term) == 0) {
            admit(core, now, part);
        }
        return;
    }
    if (core->leaving) {
        on_farewell(core, part);
    }
    struct core_session mine = core_memory_session(core);
    if (mine.number == 0 || core->admitting || core->leaving ||
        !core_same_session(&mine, &part->session) ||
        core_compare_terms(&mine.term, &deal->term) != 0) {
        return;
    }
    const struct sent *sent = find_sent(core, part->ack);
    delta_heard(core, part->ack, part->heard);
    if (sent != NULL) {
        uint64_t from = MUTANT(core, MUTANT_ACK_FROM_RECEIPT) ? now : sent->at;
        if (from + core->timers.session > core->memory.session_end) {
            core->memory.session_end = from + core->timers.session;
            core->memory_dirty = true;
            core->scan_ok = core->scan_asked = core->scanning = false;
        }
    }
    if (member_valid(core, now) &&
        (deal->epoch == core->committed.epoch || MUTANT(core, MUTANT_OLD_EPOCH_GRANT))) {
        apply_grants(core, now, part);
    }
}

/* It is contended. @return true: the coordinator is to hear what is wanted of it here. */
static bool contend(struct core *core, uint64_t now, uint32_t key) {
    struct counter *counter = &core->counter[key];

    if (!counter->contended) {
        counter->contended = true;
        counter->told = false;
        counter->unread = counter->watch == 0;
        if (counter->unread) {
            table_read(core, key);
        }
    }
    table_watch(core, now, key);
    return !counter->told;
}

/* Back at the opening deal, and nobody fights over it any more. The floor keeps its grants from
 * counting again. */
static void forget_record(struct core *core, uint64_t now, uint32_t key) {
    struct counter *counter = &core->counter[key];

    if (!counter->record || counter->contended || counter->applying ||
        counter->share != counter->home || counter->wants > counter->share ||
        table_in_use(core, now, counter) > counter->home || core->pending.epoch != 0 ||
        core->admitting || !member_valid(core, now)) {
        return;
    }
    if (counter->grant > core->memory.grant_floor && !MUTANT(core, MUTANT_NO_GRANT_FLOOR)) {
        core->memory.grant_floor = counter->grant;
        core->memory_dirty = true;
        core_store_if_dirty(core); /* before the record goes */
    }
    table_drop_record(core, key);
}

/* The contended set, whole: what is not in it is not contended any more. */
static void learn_whole(struct core *core, uint64_t now, const struct core_deal *deal) {
    bool tell = false;

    core->contended_time = deal->time;
    core->contended_known = true;
    for (uint32_t i = 0; i < deal->contended; i++) {
        uint32_t key = deal->contended_key[i];
        if (key < core->keys && core->counter[key].defined) {
            tell = contend(core, now, key) || tell;
            core->counter[key].named = true;
        }
    }
    for (uint32_t i = core->watched_count; i-- > 0;) {
        uint32_t key = core->watched[i];
        struct counter *counter = &core->counter[key];
        counter->contended = counter->named;
        counter->named = false;
        forget_record(core, now, key);
        table_watch(core, now, key);
    }
    if (tell) {
        heartbeat_soon(core, now);
    }
}

/* Some of it, of which the coordinator has not heard from everybody: perhaps not from us, since it
 * began to keep an account of it. */
static void learn_some(struct core *core, uint64_t now, const struct core_deal *deal) {
    for (uint32_t i = 0; i < deal->contended; i++) {
        uint32_t key = deal->contended_key[i];
        if (key < core->keys && core->counter[key].defined) {
            core->counter[key].told = false;
            (void)contend(core, now, key);
        }
    }
    if (deal->contended > 0) {
        heartbeat_soon(core, now);
    }
}

/* The own part answers a heartbeat of this incarnation that is younger than a session, so that what
 * the message says is no older. @return the heartbeat's sequence; 0: it does not. */
static uint64_t answered(const struct core *core, uint64_t now, const struct core_deal *deal) {
    for (uint32_t i = 0; i < deal->parts; i++) {
        const struct core_part *part = &deal->part[i];
        const struct sent *sent = find_sent(core, part->ack);
        if (part->to == core->self && part->boot == core->boot && sent != NULL &&
            sent->at + core->timers.session > now) {
            return sent->sequence;
        }
    }
    return 0;
}

static void learn_config(struct core *core, uint64_t now, const struct core_deal *deal) {
    uint64_t answers = answered(core, now, deal);
    bool own = deal->from == core->self;
    /* Of what is proposed here the coordinator knew when it answered: one that would not have told
     * of the commit then (rule 25), or that had not heard of this proposal, proves nothing. */
    bool said = answers >= core->proposed_from;
    bool proven = said || (answers != 0 && MUTANT(core, MUTANT_EARLIER_ANSWER));

    config_learn(core, now, deal->from, deal->epoch, deal->epoch_digest, proven);
    if (deal->agreed != 0 && (own || said)) {
        config_promise(core, deal->agreed, deal->agreed_digest);
    }
}

void member_on_deal(struct core *core, uint64_t now, const struct core_deal *deal) {
    struct core_term term = core_memory_term(core);
    int newer = core_compare_terms(&deal->term, &term);

    if (newer < 0 && !MUTANT(core, MUTANT_NO_TERM_FENCE)) {
        return;
    }
    if (newer > 0) {
        if (core->leading && core_compare_terms(&deal->term, &core->term) > 0) {
            coordinator_step_down(core);
        }
        core->memory.term = deal->term.number;
        core->memory.term_member = deal->term.candidate;
        core->memory_dirty = true;
        core->contended_known = false;
        heartbeat_soon(core, now); /* join it */
    }
    if (newer >= 0) {
        if (core_compare_terms(&core->echo_term, &deal->term) != 0 ||
            deal->time > core->echo_time) {
            core->echo_term = deal->term;
            core->echo_time = deal->time;
        }
        core->coordinator = deal->from;
        core->coordinator_heard = now;
        core->following_minority = deal->minority;
        core->tries = 0;
        learn_config(core, now, deal);
        if (!core->contended_known || deal->time > core->contended_time) {
            deal->whole ? learn_whole(core, now, deal) : learn_some(core, now, deal);
        }
    }
    for (uint32_t i = 0; i < deal->parts; i++) {
        if (deal->part[i].to == core->self) {
            on_part(core, now, deal, &deal->part[i]);
        }
    }
}

void core_on_deal(struct core *core, uint64_t now, const struct core_deal *deal) {
    if (deal->from == core->self || !core_drained(core)) {
        return;
    }
    if (core_find_peer(core, deal->from) < 0 || core_absurd_term(&deal->term) ||
        core_absurd_epoch(deal->epoch) || core_absurd_epoch(deal->agreed) ||
        deal->term.number == 0 || deal->parts > CORE_MEMBERS_MAX ||
        deal->contended > CORE_KEYS_MAX) {
        core->stats.ignored++;
        return;
    }
    core->peer[core_find_peer(core, deal->from)].heard = now;
    if (!deal->minority) {
        core->majority_heard = now;
    }
    if (election_obeys(core, deal)) {
        member_on_deal(core, now, deal);
    }
    core_run(core, now);
}
