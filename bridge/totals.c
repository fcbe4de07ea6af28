/* SPDX-License-Identifier: MIT */
#include "totals.h"

#include <stdlib.h>
#include <string.h>

#include "../conf/deal.h"

struct figure {
    int32_t in_use;
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
};

enum { BUCKETS = 16384 };

struct totals {
    uint32_t members;
    uint32_t rows;
    struct row *bucket[BUCKETS];
    struct member member[];
};

struct totals *totals_create(uint32_t members) {
    struct totals *totals = calloc(1, sizeof *totals + members * sizeof totals->member[0]);
    if (totals != NULL)
        totals->members = members;
    return totals;
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
    struct row *row = totals->bucket[hash % BUCKETS];
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
    row->next = totals->bucket[hash % BUCKETS];
    totals->bucket[hash % BUCKETS] = row;
    totals->rows++;
    return row;
}

/* What a whole sweep did not name is not in use. */
static void end_sweep(struct totals *totals, uint32_t member) {
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            if (row->figure[member].sweep != totals->member[member].sweep)
                row->figure[member].in_use = 0;
        }
    }
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
    for (uint32_t i = 0; i < message->count; i++) {
        struct row *row = find_or_add(totals, message->total[i].name);
        if (row != NULL)
            row->figure[member] = (struct figure){message->total[i].in_use, from->sweep};
    }
    if (message->last)
        end_sweep(totals, member);
}

static int32_t sum(const struct totals *totals, const struct row *row) {
    int64_t total = 0;
    for (uint32_t i = 0; i < totals->members; i++)
        total += row->figure[i].in_use;
    return total > INT32_MAX ? INT32_MAX : (int32_t)total;
}

void totals_forget(struct totals *totals, uint32_t member) {
    if (totals == NULL || member >= totals->members)
        return;
    totals->member[member].heard = 0;
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
            bool used = sum(totals, row) != 0;
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
