/* SPDX-License-Identifier: MIT */
#include "internal.h"

/* Who holds no share takes nothing, whatever is only observed for others. */
static bool pending_refuses(const struct core *core, const struct counter *counter) {
    return !counter->pending_observed || !core->pending_holds;
}

bool table_observed(const struct core *core, const struct counter *counter) {
    bool refuses = core->pending.epoch != 0 && pending_refuses(core, counter);
    return counter->observed && core->holds && !refuses;
}

int32_t table_in_use(const struct core *core, uint64_t now, const struct counter *counter) {
    if (!table_observed(core, counter) || MUTANT(core, MUTANT_OBSERVED_TRUE)) {
        return counter->in_use;
    }
    int32_t cap = table_cap(core, now, counter);
    return counter->in_use < cap ? counter->in_use : cap;
}

bool table_changes(const struct core *core, const struct counter *counter) {
    bool enforced =
        counter->observed != counter->pending_observed && !MUTANT(core, MUTANT_ENFORCE_UNCHANGED);
    return core->pending.epoch != 0 &&
           (core->members_change || counter->limit != counter->pending_limit || enforced);
}

void table_deal(struct core *core, struct counter *counter) {
    counter->home = deal_home(&core->deal_committed, core->self, counter->hash, counter->limit);
    counter->reserve = deal_reserve(&core->deal_committed, core->self, counter->limit);
    counter->pending_home = counter->home;
    counter->pending_reserve = counter->reserve;
    if (core->pending.epoch != 0) {
        counter->pending_home =
            deal_home(&core->deal_pending, core->self, counter->hash, counter->pending_limit);
        counter->pending_reserve =
            deal_reserve(&core->deal_pending, core->self, counter->pending_limit);
    }
}

int32_t table_cap_with(const struct core *core, uint64_t now, const struct counter *counter,
                       int32_t share) {
    bool valid = member_valid(core, now);
    int32_t cap = valid ? share : counter->reserve;

    /* What is pending takes nothing away where it refuses nothing. */
    if (table_changes(core, counter) && pending_refuses(core, counter) &&
        !MUTANT(core, MUTANT_NO_PENDING)) {
        int32_t pending = valid ? counter->pending_home : counter->pending_reserve;
        cap = pending < cap ? pending : cap;
    }
    return cap;
}

int32_t table_cap(const struct core *core, uint64_t now, const struct counter *counter) {
    return table_cap_with(core, now, counter, counter->record ? counter->share : counter->home);
}

int32_t table_held(const struct core *core, uint64_t now, const struct counter *counter) {
    int32_t held = table_cap(core, now, counter);

    if (counter->applying) {
        int32_t next = table_cap_with(core, now, counter, counter->next_share);
        held = next > held ? next : held;
    }
    if (MUTANT(core, MUTANT_HELD_WITHOUT_USE)) {
        return held;
    }
    int32_t in_use = table_in_use(core, now, counter);
    return in_use > held ? in_use : held;
}

uint64_t table_grant(const struct core *core, const struct counter *counter) {
    if (MUTANT(core, MUTANT_NO_GRANT_FLOOR) && !counter->record) {
        return 0;
    }
    return counter->record ? counter->grant : core->memory.grant_floor;
}

void table_watch(struct core *core, uint64_t now, uint32_t key) {
    struct counter *counter = &core->counter[key];
    bool need = counter->record || counter->applying || counter->contended ||
                counter->in_use > counter->home || counter->wants > table_cap(core, now, counter) ||
                (counter->in_use > counter->reserve && !member_valid(core, now));

    if (need && counter->watch == 0) {
        core->watched[core->watched_count++] = key;
        counter->watch = core->watched_count;
    } else if (!need && counter->watch != 0) {
        uint32_t last = core->watched[--core->watched_count];
        core->watched[counter->watch - 1] = last;
        core->counter[last].watch = counter->watch;
        counter->watch = 0;
    }
}

void table_set_share(struct core *core, uint32_t key, int32_t share, uint64_t grant) {
    struct counter *counter = &core->counter[key];
    struct core_action *action = core_push(core, CORE_SET_SHARE);

    if (action == NULL || counter->applying) {
        return;
    }
    counter->applying = true;
    counter->next_share = share;
    counter->next_grant = grant;
    core->applying++;
    action->share.key = key;
    action->share.share = share;
    action->share.grant = grant;
}

void table_drop_record(struct core *core, uint32_t key) {
    struct counter *counter = &core->counter[key];

    if (counter->stored) {
        struct core_action *action = core_push(core, CORE_DROP_RECORD);
        if (action == NULL) {
            return;
        }
        action->share.key = key;
    }
    counter->record = counter->stored = false;
    counter->share = counter->home;
}

void table_read(struct core *core, uint32_t key) {
    struct core_action *action = core_push(core, CORE_READ);

    if (action != NULL) {
        action->share.key = key;
    }
}

void table_abandon(struct core *core, uint64_t now) {
    if (core->apply_due == 0 || now < core->apply_due || !core_drained(core)) {
        return;
    }
    for (uint32_t i = 0; i < core->watched_count; i++) {
        struct counter *counter = &core->counter[core->watched[i]];
        if (counter->applying) {
            uint64_t grant = table_grant(core, counter);
            int32_t share = counter->record ? counter->share : counter->home;
            counter->share = share > counter->next_share ? share : counter->next_share;
            counter->grant = grant;
            if (MUTANT(core, MUTANT_FAILED_APPLIED)) {
                counter->share = counter->next_share;
                counter->grant = counter->next_grant;
            }
            counter->record = counter->stored = true;
            counter->applying = false;
        }
    }
    core->applying = 0;
    core->apply_due = 0;
    core->admitting = false; /* no session then: it will be asked for again */
}

/* Above its share: somebody waits for it to drain. */
static void expect_drain(struct core *core, uint64_t now, const struct counter *counter) {
    if (table_in_use(core, now, counter) > table_cap(core, now, counter) &&
        now + DRAIN_READ_MS < core->drain_due) {
        core->drain_due = now + DRAIN_READ_MS;
    }
}

void table_read_draining(struct core *core, uint64_t now) {
    if (now < core->drain_due || !core_drained(core)) {
        return;
    }
    core->drain_due = CORE_NEVER; /* until what is read says so again */
    for (uint32_t i = 0; i < core->watched_count; i++) {
        const struct counter *counter = &core->counter[core->watched[i]];
        if (table_in_use(core, now, counter) > table_cap(core, now, counter) &&
            !counter->applying) {
            table_read(core, core->watched[i]);
        }
    }
}

static struct counter *find(const struct core *core, uint32_t key) {
    return key < core->keys && core->counter[key].defined ? &core->counter[key] : NULL;
}

static int32_t clamp(int32_t value) {
    return value < 0 ? 0 : value > CONF_LIMIT_MAX ? CONF_LIMIT_MAX : value;
}

bool core_counter_define(struct core *core, uint32_t key, uint64_t hash, int32_t limit,
                         int32_t pending_limit) {
    if (key >= core->keys || limit < 0 || limit > CONF_LIMIT_MAX || pending_limit < 0 ||
        pending_limit > CONF_LIMIT_MAX) {
        return false;
    }
    struct counter *counter = &core->counter[key];
    bool other = counter->limit != limit && core->committed.epoch != 0;
    if (counter->defined && (counter->hash != hash || other)) {
        return false;
    }
    counter->defined = true;
    counter->hash = hash;
    counter->limit = limit;
    counter->pending_limit = pending_limit;
    table_deal(core, counter);
    return true;
}

void core_counter_observe(struct core *core, uint32_t key, bool observed, bool pending_observed) {
    struct counter *counter = find(core, key);

    if (counter != NULL) {
        counter->observed = observed;
        counter->pending_observed = pending_observed;
    }
}

bool core_counter_forget(struct core *core, uint32_t key) {
    const struct counter *counter = find(core, key);

    if (counter == NULL || counter->watch != 0 || core->row[key].present) {
        return counter == NULL && key < core->keys;
    }
    memset(&core->counter[key], 0, sizeof core->counter[key]);
    return true;
}

void core_counter_restore(struct core *core, uint32_t key, int32_t share, uint64_t grant,
                          int32_t in_use, int32_t wants) {
    struct counter *counter = find(core, key);

    if (counter == NULL) {
        return;
    }
    counter->record = counter->stored = true;
    counter->share = clamp(share);
    counter->grant = grant;
    counter->in_use = clamp(in_use);
    counter->wants = clamp(wants);
    table_watch(core, 0, key);
}

void core_counter_update(struct core *core, uint64_t now, uint32_t key, int32_t in_use,
                         int32_t wants) {
    struct counter *counter = find(core, key);

    if (counter == NULL) {
        return;
    }
    counter->in_use = clamp(in_use);
    counter->wants = clamp(wants);
    counter->scanned = core->scanning;
    table_watch(core, now, key);
    int32_t cap = table_cap(core, now, counter);
    bool hungry = counter->wants > cap && !counter->told_hungry;
    bool drained =
        counter->told_in_use > cap && counter->in_use < counter->told_in_use && counter->watch != 0;
    bool read = counter->unread && counter->contended;
    counter->unread = false;
    expect_drain(core, now, counter);
    if (hungry || drained || read || delta_eased(core, now, counter)) {
        heartbeat_soon(core, now);
        core_run(core, now);
    }
}

void core_share_applied(struct core *core, uint64_t now, uint32_t key, uint64_t grant,
                        int32_t in_use) {
    struct counter *counter = find(core, key);

    if (counter == NULL || !counter->applying || counter->next_grant != grant) {
        return;
    }
    counter->applying = false;
    core->applying--;
    counter->record = counter->stored = true;
    counter->share = counter->next_share;
    counter->grant = grant;
    counter->in_use = clamp(in_use);
    expect_drain(core, now, counter);
    table_watch(core, now, key);
    if (core->admitting && core->applying == 0) {
        member_admitted(core, now);
    }
    heartbeat_soon(core, now);
    core_run(core, now);
}

uint32_t core_watched(const struct core *core, const uint32_t **keys) {
    *keys = core->watched;
    return core->watched_count;
}

void core_scan_begin(struct core *core, uint64_t now) {
    core->scanning = true;
    core->scan_from = now;
    for (uint32_t i = 0; i < core->watched_count; i++) {
        core->counter[core->watched[i]].scanned = false;
    }
}

void core_scan_done(struct core *core, uint64_t now, bool complete) {
    /* Only a scan that began when the caps were at the reserve already says what is above it. */
    core->scan_asked = false;
    core->scan_ok = core->scanning && complete && core->scan_from >= core->memory.session_end;
    core->scanning = false;
    for (uint32_t i = 0; core->scan_ok && i < core->watched_count; i++) {
        /* What the scan passed over has no more than its reserve in use, whatever was read once. */
        struct counter *counter = &core->counter[core->watched[i]];
        if (!counter->scanned && counter->in_use > counter->reserve) {
            counter->in_use = counter->reserve;
        }
    }
    if (core->scan_ok) {
        heartbeat_soon(core, now);
    }
    core_run(core, now);
}

bool core_contended(const struct core *core, uint32_t key) {
    const struct counter *counter = find(core, key);
    return counter != NULL && counter->contended;
}

int32_t core_cap(const struct core *core, uint64_t now, uint32_t key) {
    const struct counter *counter = find(core, key);
    return counter == NULL ? 0 : table_cap(core, now, counter);
}
