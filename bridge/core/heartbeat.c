/* SPDX-License-Identifier: MIT */
#include "internal.h"

void heartbeat_soon(struct core *core, uint64_t now) {
    uint64_t earliest = pace_earliest(core, core->heartbeat_paid);
    uint64_t at = earliest > now ? earliest : now;

    if (at < core->heartbeat_due) {
        core->heartbeat_due = at;
    }
}

/* A join that says "my session is over" is sound only when what is in use above the reserve was
 * read after the end: before it, a worker may still have gone up to the share. Ask for that. */
static bool scanned(struct core *core) {
    if (core->scan_ok || MUTANT(core, MUTANT_NO_SCAN)) {
        return true;
    }
    if (!core->scan_asked && !core->scanning && core_push(core, CORE_SCAN) != NULL) {
        core->scan_asked = true;
    }
    return false;
}

/* What would be said of a counter now. */
static struct core_record record_of(const struct core *core, uint64_t now, uint32_t key) {
    const struct counter *counter = &core->counter[key];
    struct core_record record = {
        .key = key,
        .held = table_held(core, now, counter),
        .in_use = table_in_use(core, now, counter),
        .wants = counter->wants > counter->in_use ? counter->wants : counter->in_use,
        .limit = counter->limit,
        .grant = table_grant(core, counter),
    };
    if (MUTANT(core, MUTANT_REPORT_BEFORE_APPLIED) && counter->applying) {
        record.grant = counter->next_grant;
        record.held = counter->next_share;
    }
    return record;
}

static void fill_records(struct core *core, uint64_t now, bool valid) {
    bool joins = core->heartbeat.join != CORE_JOIN_NO;
    bool regular = now >= core->regular_due;

    if (regular) {
        core->regular_due = now + core->timers.heartbeat;
    }
    core->heartbeat.records = 0;
    for (uint32_t i = 0; i < core->watched_count; i++) {
        uint32_t key = core->watched[i];
        struct counter *counter = &core->counter[key];
        int32_t cap = table_cap(core, now, counter);
        bool hungry = counter->wants > cap && counter->limit > 0;
        if (!counter->record && !counter->contended && !counter->applying && !hungry &&
            table_in_use(core, now, counter) <= (valid ? counter->home : counter->reserve)) {
            counter->told = counter->told_hungry = false;
            continue;
        }
        if (!joins && counter->unread && !counter->record) {
            continue; /* at home, and nothing to say before it was read */
        }
        if (valid && !counter->record && !counter->applying &&
            !MUTANT(core, MUTANT_NO_GRANT_FLOOR)) {
            /* What was reported stays comparable with later grants: a record at home, which the
             * segment need not know because it says nothing else than none. */
            counter->record = true;
            counter->share = counter->home;
            counter->grant = core->memory.grant_floor;
        }
        struct core_record record = record_of(core, now, key);
        if (!joins && !delta_due(core, now, counter, &record, hungry, regular)) {
            continue;
        }
        core->record[core->heartbeat.records++] = record;
        delta_told(counter, now, &record, hungry, core->heartbeat.sequence);
    }
    core->heartbeat.record = core->record;
    core->stats.records += core->heartbeat.records;
}

static uint64_t next_sequence(struct core *core, uint64_t now) {
    core->sequence++;
    if (core->sequence > core->memory.sequence) {
        /* Set a block aside, so that a successor starts above all that was ever sent. */
        core->memory.sequence = core->sequence + SEQUENCE_BLOCK;
        core->memory_dirty = true;
    }
    core->sent[core->sequence % SENT_RING] = (struct sent){.sequence = core->sequence, .at = now};
    return core->sequence;
}

static enum core_join join_kind(const struct core *core, uint64_t now) {
    struct core_session session = core_memory_session(core);
    struct core_term term = core_memory_term(core);
    bool valid = member_valid(core, now);

    if (!member_holds(core) || core->foreign.epoch != 0 ||
        (valid && session.number != 0 && core_compare_terms(&session.term, &term) == 0)) {
        return CORE_JOIN_NO;
    }
    if (valid) {
        return CORE_JOIN_VALID;
    }
    return core->memory.session_end == 0 ? CORE_JOIN_FRESH : CORE_JOIN_EXPIRED;
}

static void fill(struct core *core, uint64_t now, enum core_join join) {
    struct core_heartbeat *heartbeat = &core->heartbeat;
    bool promised = core->fits && (core->promised || MUTANT(core, MUTANT_READY_UNPROMISED));

    *heartbeat = (struct core_heartbeat){
        .from = core->self,
        .boot = core->boot,
        .generation = core->memory.generation,
        .sequence = next_sequence(core, now),
        .term = core_memory_term(core),
        .session = core_memory_session(core),
        .epoch = core->committed.epoch,
        .epoch_digest = core->committed.digest,
        .proposed = core->pending.digest,
        .ready = promised ? core->pending.epoch : 0,
        .ready_digest = promised ? core->pending.digest : 0,
        .vouched = config_vouched(core, now),
        .vouched_dead = core->vouched,
        .echo_term = core->echo_term,
        .echo_time = core->echo_time,
        .join = join,
        .leaving = core->leaving,
    };
    if (member_holds(core) && core->foreign.epoch == 0) {
        fill_records(core, now, member_valid(core, now));
    }
}

/* Also one that is no member any more: it may be the only one that knows of the commit. */
static bool may_send(const struct core *core, uint64_t now) {
    return now >= core->quiet_until && !core->admitting && !core->left;
}

bool heartbeat_run(struct core *core, uint64_t now) {
    if (now < core->heartbeat_due || core->heartbeat_busy) {
        return false; /* busy: the last one is still to be sent, and knows less than this one */
    }
    core->heartbeat_due = now + core->timers.heartbeat;
    core->heartbeat_paid = pace_pay(core, core->heartbeat_paid, now);
    if (!may_send(core, now)) {
        return false;
    }
    enum core_join join = join_kind(core, now);
    if (join == CORE_JOIN_EXPIRED || (join == CORE_JOIN_FRESH && core->pending.epoch != 0)) {
        if (!scanned(core)) {
            return false;
        }
        if (core->memory.session_number != 0) {
            /* The join says that the session is over: no late acknowledgement may revive it. */
            core->memory.session_number = 0;
            core->memory_dirty = true;
        }
    }
    fill(core, now, join);
    core_store_if_dirty(core);
    /* The coordinator tells itself what is new, at once, and the others no more than its beat. */
    if (!coordinator_acts(core, now) || now >= core->heartbeat_told + core->timers.heartbeat) {
        struct core_action *action = core_push(core, CORE_SEND_HEARTBEAT);
        if (action == NULL) {
            return false;
        }
        action->heartbeat = &core->heartbeat;
        core->heartbeat_busy = true;
        core->heartbeat_told = now;
        core->stats.heartbeats++;
    }
    if (core->leaving && core->leave_sequence == 0) {
        core->leave_sequence = core->heartbeat.sequence;
        core->left = !member_holds(core); /* then nothing has to be heard */
    }
    if (coordinator_acts(core, now)) {
        admit_on_heartbeat(core, now, &core->heartbeat);
    }
    return true;
}
