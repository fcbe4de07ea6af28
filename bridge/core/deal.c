/* SPDX-License-Identifier: MIT */
#include "internal.h"

/* Who takes part in one dealing. */
struct table {
    int live[CORE_MEMBERS_MAX]; /* peers with a session */
    int count;
    int32_t want[CORE_MEMBERS_MAX], target[CORE_MEMBERS_MAX];
    int64_t elsewhere; /* out of those without a session */
    int64_t owed;      /* reserves that are not there yet: free slots go to them first */
};

int32_t deal_limit(const struct core *core, uint32_t key) {
    int32_t limit = core->counter[key].limit;

    for (int i = 0; i < core->peers; i++) {
        const struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].state == PEER_LIVE && entry->limit >= 0 && entry->limit < limit) {
            limit = entry->limit;
        }
    }
    return limit;
}

int64_t deal_free(const struct core *core, uint32_t key) {
    int64_t left = (int64_t)deal_limit(core, key) - core->row[key].mass;

    for (int i = 0; i < core->peers; i++) {
        const struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].hash != 0 && entry->present) {
            left -= entry->out;
        }
    }
    return left;
}

int64_t deal_reserves(struct core *core, uint32_t key) {
    int64_t left = deal_free(core, key);

    for (int i = 0; i < core->peers; i++) {
        struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].state == PEER_GONE && entry->present && entry->out < entry->reserve &&
            left > 0) {
            int32_t missing = entry->reserve - entry->out;
            int32_t more = left < missing ? (int32_t)left : missing;
            entry->out += more;
            entry->share = entry->out;
            left -= more;
        }
    }
    if (coordinator_unknown(core) && coordinator_complete(core)) {
        struct row *row = &core->row[key];
        int64_t missing = coordinator_unknown_reserves(core, key) - row->mass;
        int64_t more = left < missing ? left : missing;
        if (more > 0) {
            row->mass += (int32_t)more;
            left -= more;
        }
    }
    return left;
}

/* Growth has raised `out` already, so that no message is needed to know it is covered. */
static void grant(struct core *core, uint32_t key, int peer, int32_t share) {
    struct entry *entry = coordinator_entry(core, key, peer);

    entry->share = share;
    entry->grant = ++core->grant_sequence;
    entry->confirmed = false;
    entry->resend = 0;
    core->row[key].granting = true;
    publish_at(core, 0);
    core->stats.grants++;
}

static void gather(struct core *core, uint32_t key, struct table *table) {
    table->count = 0;
    table->elsewhere = table->owed = 0;
    for (int i = 0; i < core->peers; i++) {
        const struct entry *entry = coordinator_entry(core, key, i);
        if (core->peer[i].hash == 0 || !entry->present) {
            continue;
        }
        if (core->peer[i].state == PEER_LIVE) {
            int32_t want = entry->wants > entry->reserve ? entry->wants : entry->reserve;
            want = want < entry->ceiling ? want : entry->ceiling;
            table->live[table->count] = i;
            table->want[table->count++] = want;
        } else {
            table->elsewhere += entry->out;
            table->owed += entry->out < entry->reserve ? entry->reserve - entry->out : 0;
        }
    }
    if (coordinator_unknown(core) && coordinator_complete(core)) {
        int64_t missing = coordinator_unknown_reserves(core, key) - core->row[key].mass;
        table->owed += missing > 0 ? missing : 0;
    }
}

/* Its home, or what keeps it from that for now. */
static int32_t home_of(const struct entry *entry) {
    return entry->home < entry->ceiling ? entry->home : entry->ceiling;
}

/* Nobody hungry for a while: the opening deal comes back, and the counter costs nothing again.
 * @return true: the row is gone. */
static bool cool(struct core *core, uint64_t now, uint32_t key, struct table *table) {
    struct row *row = &core->row[key];
    bool hungry = table->owed > 0 || deal_limit(core, key) != core->counter[key].limit;
    bool home = true, all = true;

    for (int i = 0; i < table->count; i++) {
        const struct entry *entry = coordinator_entry(core, key, table->live[i]);
        hungry = hungry || entry->wants > entry->share || entry->wants > entry->home;
        home = home && entry->out == home_of(entry) && entry->confirmed;
    }
    if (hungry) {
        row->calm_since = CORE_NEVER;
        return false;
    }
    if (row->calm_since == CORE_NEVER) {
        row->calm_since = now;
    }
    if (now - row->calm_since <= core->timers.cool) {
        return false;
    }
    for (int i = 0; i < core->peers; i++) {
        enum peer_state state = core->peer[i].state;
        all = all && (state == PEER_NONE || state == PEER_LIVE);
    }
    if (home && all) {
        coordinator_drop_row(core, key);
        core->whole_due =
            core->whole_due > now + WHOLE_LESS_MS ? now + WHOLE_LESS_MS : core->whole_due;
        return true;
    }
    for (int i = 0; i < table->count; i++) {
        table->target[i] = home_of(coordinator_entry(core, key, table->live[i]));
    }
    return false;
}

/* Donors give only as much as is missing, those with the most to spare first. */
static void shrink(struct core *core, uint32_t key, const struct table *table, int64_t missing) {
    bool done[CORE_MEMBERS_MAX] = {false};

    while (missing > 0) {
        int best = -1;
        int32_t most = 0;
        for (int i = 0; i < table->count; i++) {
            int32_t spare = coordinator_entry(core, key, table->live[i])->share - table->target[i];
            if (!done[i] && spare > most) {
                most = spare;
                best = i;
            }
        }
        if (best < 0) {
            return;
        }
        done[best] = true;
        int32_t less = most < missing ? most : (int32_t)missing;
        grant(core, key, table->live[best],
              coordinator_entry(core, key, table->live[best])->share - less);
        missing -= less;
    }
}

static bool grows_before(const struct entry *a, const struct entry *b) {
    return a->share != b->share ? a->share < b->share : a->served < b->served;
}

/* Only from what is free, the smallest share first; `out` goes up before anything is sent. */
static void grow(struct core *core, uint32_t key, const struct table *table, int64_t left) {
    bool done[CORE_MEMBERS_MAX] = {false};

    for (;;) {
        int best = -1;
        for (int i = 0; i < table->count; i++) {
            const struct entry *entry = coordinator_entry(core, key, table->live[i]);
            if (!done[i] && table->target[i] > entry->share &&
                (best < 0 ||
                 grows_before(entry, coordinator_entry(core, key, table->live[best])))) {
                best = i;
            }
        }
        if (best < 0) {
            return;
        }
        done[best] = true;
        struct entry *entry = coordinator_entry(core, key, table->live[best]);
        /* While more is out than there is, some of it was said and is not so (an old reading of
         * what has drained): nobody grows into what may be only that. */
        int64_t most = entry->out + left;
        int64_t next = table->target[best] < most ? table->target[best] : most;
        if (next > entry->share) {
            if (next > entry->out) {
                left -= next - entry->out;
                entry->out = MUTANT(core, MUTANT_GROW_UNCOUNTED) ? entry->out : (int32_t)next;
            }
            grant(core, key, table->live[best], (int32_t)next);
        }
    }
}

/* For people: more is out than there is, and that is not because a member is counted with more than
 * it holds, by an old reading or while something is pending. */
static void count_over_dealt(struct core *core, uint32_t key, int64_t left) {
    struct row *row = &core->row[key];

    if (!coordinator_complete(core)) {
        return;
    }
    if (left >= 0) {
        row->too_much = false;
    } else if (coordinator_pending(core)) {
        row->too_much = true;
    } else if (!row->too_much && !core->counter[key].observed &&
               deal_limit(core, key) == core->counter[key].limit) {
        core->stats.over_dealt++;
    }
}

void deal_row(struct core *core, uint64_t now, uint32_t key) {
    struct table table;

    int64_t left = deal_reserves(core, key);
    count_over_dealt(core, key, left);
    gather(core, key, &table);
    int64_t cap =
        (int64_t)deal_limit(core, key) - table.elsewhere - core->row[key].mass - table.owed;
    maxmin_targets(core, now, key, table.live, table.want, table.target, table.count, cap);
    if (cool(core, now, key, &table)) {
        return;
    }
    int64_t needed = table.owed, draining = 0;
    for (int i = 0; i < table.count; i++) {
        const struct entry *entry = coordinator_entry(core, key, table.live[i]);
        needed += table.target[i] > entry->share ? table.target[i] - entry->share : 0;
        draining += entry->out > entry->share ? entry->out - entry->share : 0;
    }
    shrink(core, key, &table, needed - left - draining);
    int64_t kept = left > 0 ? left : 0;
    grow(core, key, &table, left - (kept < table.owed ? kept : table.owed));
}
