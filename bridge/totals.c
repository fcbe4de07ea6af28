/* SPDX-License-Identifier: MIT */
#include "totals.h"

#include <stdlib.h>
#include <string.h>

#include "../conf/deal.h"
#include "spread.h"

struct figure {
    int32_t in_use, wants;
    uint32_t share; /* + 1; 0: unlimited, or it did not say */
    uint32_t since; /* when its oldest slot was taken, seconds + 1 of control_now(); 0: not known */
    uint32_t sweep; /* of the member, in which it was named */
};

/* A chained hash table: names come and go, and there are many. */
struct row {
    struct row *next;
    uint64_t hash;
    bool was_used; /* at the last totals_expire() */
    char *name;
    struct figure figure[]; /* by member */
};

struct member {
    uint64_t heard;
    uint64_t sweep_number; /* as the member counts */
    uint32_t sweep;        /* as we count */
    bool no_session;
};

enum { BUCKETS = 16384 };

struct totals {
    uint32_t members;
    uint32_t rows;
    uint64_t secret; /* of the buckets */
    struct row *bucket[BUCKETS];
    struct member member[];
};

struct totals *totals_create(uint32_t members) {
    struct totals *totals = calloc(1, sizeof *totals + members * sizeof totals->member[0]);
    if (totals != NULL) {
        totals->members = members;
        totals->secret = spread_secret();
    }
    return totals;
}

static uint32_t bucket_of(const struct totals *totals, uint64_t hash) {
    return (uint32_t)spread(hash, totals->secret) % BUCKETS;
}

static void free_row(struct row *row) {
    free(row->name);
    free(row);
}

void totals_destroy(struct totals *totals) {
    for (uint32_t i = 0; totals != NULL && i < BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL;) {
            struct row *next = row->next;
            free_row(row);
            row = next;
        }
    }
    free(totals);
}

static struct row *find(const struct totals *totals, const char *name, uint64_t hash) {
    struct row *row = totals->bucket[bucket_of(totals, hash)];
    while (row != NULL && (row->hash != hash || strcmp(row->name, name) != 0))
        row = row->next;
    return row;
}

static struct row *find_or_add(struct totals *totals, const char *name) {
    uint64_t hash = deal_hash(name, strlen(name));
    struct row *row = find(totals, name, hash);
    if (row != NULL || totals->rows == TOTALS_COUNTERS_MAX)
        return row;
    row = calloc(1, sizeof *row + totals->members * sizeof row->figure[0]);
    if (row == NULL)
        return NULL;
    row->name = strdup(name);
    if (row->name == NULL) {
        free(row);
        return NULL;
    }
    row->hash = hash;
    row->next = totals->bucket[bucket_of(totals, hash)];
    totals->bucket[bucket_of(totals, hash)] = row;
    totals->rows++;
    return row;
}

/* What a whole sweep did not name is not in use. */
static void end_sweep(struct totals *totals, uint32_t member) {
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            struct figure *figure = &row->figure[member];
            if (figure->sweep != totals->member[member].sweep)
                *figure = (struct figure){.sweep = figure->sweep};
        }
    }
}

static struct figure figure_of(const struct wire_total *total, uint64_t now, uint32_t sweep) {
    const bool known = total->oldest_ms > 0 && total->oldest_ms < now;
    return (struct figure){
        .in_use = total->in_use,
        .share = (uint32_t)total->share + 1,
        .wants = total->wants,
        .since = known ? (uint32_t)((now - total->oldest_ms) / 1000 + 1) : 0,
        .sweep = sweep,
    };
}

void totals_heard(struct totals *totals, uint32_t member, uint64_t now,
                  const struct wire_totals *message) {
    if (member >= totals->members)
        return;
    struct member *from = &totals->member[member];
    if (message->sweep != from->sweep_number || from->heard == 0)
        from->sweep++;
    from->sweep_number = message->sweep;
    from->heard = now;
    from->no_session = message->no_session;
    for (uint32_t i = 0; i < message->count; i++) {
        struct row *row = find_or_add(totals, message->total[i].name);
        if (row != NULL)
            row->figure[member] = figure_of(&message->total[i], now, from->sweep);
    }
    if (message->last)
        end_sweep(totals, member);
}

static void tell(const struct figure *figure, uint64_t now, struct totals_figure *out) {
    const uint64_t since = figure->since > 0 ? ((uint64_t)figure->since - 1) * 1000 : now;
    *out = (struct totals_figure){
        .in_use = figure->in_use,
        .share = (int32_t)(figure->share - 1),
        .wants = figure->wants,
        .oldest_ms = now > since ? now - since : 0,
    };
}

/* Said in the last sweep that ended, or in the one that goes on. */
static bool is_said(const struct figure *figure) {
    return figure->in_use > 0 || figure->share > 0 || figure->wants > 0;
}

bool totals_figure(const struct totals *totals, const char *name, uint32_t member, uint64_t now,
                   struct totals_figure *out) {
    const struct row *row = find(totals, name, deal_hash(name, strlen(name)));
    if (row == NULL || member >= totals->members || !is_said(&row->figure[member]))
        return false;
    tell(&row->figure[member], now, out);
    return true;
}

bool totals_no_session(const struct totals *totals, uint32_t member) {
    return member < totals->members && totals->member[member].no_session;
}

void totals_each_of(const struct totals *totals, uint32_t member, uint64_t now,
                    totals_member_visitor visit, void *arg) {
    for (uint32_t i = 0; i < BUCKETS && member < totals->members; i++) {
        for (const struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            struct totals_figure figure;
            tell(&row->figure[member], now, &figure);
            if (is_said(&row->figure[member]) && visit(row->name, &figure, arg) != 0)
                return;
        }
    }
}

static int32_t sum(const struct totals *totals, const struct row *row) {
    int64_t total = 0;
    for (uint32_t i = 0; i < totals->members; i++)
        total += row->figure[i].in_use;
    return total > INT32_MAX ? INT32_MAX : (int32_t)total;
}

static bool is_named(const struct totals *totals, const struct row *row) {
    for (uint32_t i = 0; i < totals->members; i++) {
        if (is_said(&row->figure[i]))
            return true;
    }
    return false;
}

void totals_forget(struct totals *totals, uint32_t member) {
    if (totals == NULL || member >= totals->members)
        return;
    totals->member[member].heard = 0;
    totals->member[member].no_session = false;
    totals->member[member].sweep++;
    end_sweep(totals, member);
}

void totals_expire(struct totals *totals, uint64_t now) {
    for (uint32_t i = 0; i < totals->members; i++) {
        struct member *from = &totals->member[i];
        if (from->heard != 0 && now - from->heard > TOTALS_SILENT_MS)
            totals_forget(totals, i);
    }
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct row **at = &totals->bucket[i]; *at != NULL;) {
            struct row *row = *at;
            bool used = is_named(totals, row);
            if (used || row->was_used) {
                row->was_used = used;
                at = &row->next;
                continue;
            }
            *at = row->next;
            free_row(row);
            totals->rows--;
        }
    }
}

void totals_each(const struct totals *totals, totals_visitor visit, void *arg) {
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (const struct row *row = totals->bucket[i]; row != NULL; row = row->next)
            visit(row->name, sum(totals, row), arg);
    }
}
