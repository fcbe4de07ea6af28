/* SPDX-License-Identifier: MIT */
#include "totals.h"

#include <stdlib.h>
#include <string.h>

#include "../conf/deal.h"
#include "spread.h"
#include "totals_internal.h"

enum {
    COLUMNS_MORE = 4,                 /* members come in the order of their numbers */
    MALLOC_OVERHEAD = 16,             /* of each allocation */
    DRAIN_MOST_MS = 2 * 86400 * 1000, /* what is said to be later is nonsense */
};

struct totals *totals_create(uint32_t members) {
    struct totals *totals = calloc(1, sizeof *totals + members * sizeof totals->member[0]);
    if (totals != NULL) {
        totals->members = members;
        totals->secret = spread_secret();
    }
    return totals;
}

size_t totals_bytes(const struct totals *totals) {
    return totals->bytes;
}

/* ---- rows ---- */

static uint32_t bucket_of(const struct totals *totals, uint64_t hash) {
    return (uint32_t)spread(hash, totals->secret) % TOTALS_BUCKETS;
}

static size_t row_bytes(const char *name) {
    return sizeof(struct row) + strlen(name) + 1 + MALLOC_OVERHEAD;
}

static size_t columns_bytes(uint32_t columns) {
    return columns > 0 ? columns * sizeof(struct figure) + MALLOC_OVERHEAD : 0;
}

static void free_row(struct totals *totals, struct row *row) {
    totals->rows--;
    totals->bytes -= row_bytes(row->name) + columns_bytes(row->columns);
    free(row->figure);
    free(row);
}

void totals_destroy(struct totals *totals) {
    for (uint32_t i = 0; totals != NULL && i < TOTALS_BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL;) {
            struct row *next = row->next;
            free_row(totals, row);
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

static bool has_room(const struct totals *totals, size_t bytes) {
    return totals->bytes + bytes <= TOTALS_BYTES_MAX;
}

struct row *totals_row(struct totals *totals, const char *name) {
    const size_t length = strlen(name) + 1;
    const uint64_t hash = deal_hash(name, length - 1);
    struct row *row = find(totals, name, hash);
    if (row != NULL)
        return row;
    if (totals->rows == TOTALS_COUNTERS_MAX || !has_room(totals, row_bytes(name)))
        return NULL;
    row = calloc(1, sizeof *row + length);
    if (row == NULL)
        return NULL;
    memcpy(row->name, name, length);
    row->hash = hash;
    row->next = totals->bucket[bucket_of(totals, hash)];
    totals->bucket[bucket_of(totals, hash)] = row;
    totals->rows++;
    totals->bytes += row_bytes(name);
    return row;
}

struct figure *totals_column(struct totals *totals, struct row *row, uint32_t member) {
    if (member < row->columns)
        return &row->figure[member];
    uint32_t columns = (member / COLUMNS_MORE + 1) * COLUMNS_MORE;
    if (columns > totals->members)
        columns = totals->members;
    const size_t more = columns_bytes(columns) - columns_bytes(row->columns);
    struct figure *figure =
        has_room(totals, more) ? realloc(row->figure, columns * sizeof *figure) : NULL;
    if (figure == NULL)
        return NULL;
    memset(figure + row->columns, 0, (columns - row->columns) * sizeof *figure);
    totals->bytes += more;
    row->figure = figure;
    row->columns = columns;
    return &figure[member];
}

struct figure totals_read(const struct row *row, uint32_t member) {
    return member < row->columns ? row->figure[member] : (struct figure){0};
}

bool totals_is_said(const struct figure *figure) {
    return figure->in_use > 0 || figure->share > 0 || figure->wants > 0;
}

/* ---- what members say ---- */

/* What a whole sweep did not name is not in use. */
static void end_sweep(struct totals *totals, uint32_t member) {
    for (uint32_t i = 0; i < TOTALS_BUCKETS; i++) {
        for (struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            if (member >= row->columns)
                continue;
            struct figure *figure = &row->figure[member];
            if (figure->sweep != totals->member[member].sweep)
                *figure = (struct figure){.sweep = figure->sweep};
        }
    }
}

static uint32_t drain_end(uint64_t drain_ms, uint64_t now) {
    if (drain_ms <= 1 || drain_ms > DRAIN_MOST_MS)
        return drain_ms == 1 ? 1 : 0;
    return (uint32_t)((now + drain_ms) / 1000 + 1);
}

struct figure totals_figure_of(const struct wire_total *total, uint64_t now, uint32_t sweep) {
    const bool known = total->oldest_ms > 0 && total->oldest_ms < now;
    return (struct figure){
        .in_use = total->in_use,
        .share = (uint32_t)total->share + 1,
        .wants = total->wants,
        .since = known ? (uint32_t)((now - total->oldest_ms) / 1000 + 1) : 0,
        .drain_end = drain_end(total->drain_ms, now),
        .sweep = sweep,
    };
}

/* Which sweep this belongs to, and whether anything before it is missing. An older member does not
 * number its messages, but says all every second. */
static void place_message(struct told_by *from, const struct wire_totals *message) {
    const bool numbered = message->number != 0;
    if (message->sweep != from->sweep_number || from->heard == 0 || message->number == 1) {
        from->sweep++;
        from->gap = numbered && message->number != 1;
    } else if (numbered && message->number != from->number + 1) {
        from->gap = true;
    }
    from->sweep_number = message->sweep;
    from->number = message->number;
    from->lacks = from->lacks || from->gap;
}

void totals_heard(struct totals *totals, uint32_t member, uint64_t now,
                  const struct wire_totals *message) {
    if (member >= totals->members)
        return;
    struct told_by *from = &totals->member[member];
    place_message(from, message);
    from->heard = now;
    from->no_session = message->no_session;
    for (uint32_t i = 0; i < message->count; i++) {
        struct row *row = totals_row(totals, message->total[i].name);
        struct figure *figure = row != NULL ? totals_column(totals, row, member) : NULL;
        if (figure != NULL)
            *figure = totals_figure_of(&message->total[i], now, from->sweep);
    }
    if (!message->last || from->gap)
        return;
    end_sweep(totals, member);
    from->lacks = false;
}

bool totals_lacks(const struct totals *totals, uint32_t member) {
    return member < totals->members && totals->member[member].heard != 0 &&
           totals->member[member].lacks;
}

void totals_forget(struct totals *totals, uint32_t member) {
    if (totals == NULL || member >= totals->members)
        return;
    struct told_by *from = &totals->member[member];
    *from = (struct told_by){.sweep = from->sweep + 1};
    end_sweep(totals, member);
}

static bool is_named(const struct row *row) {
    for (uint32_t i = 0; i < row->columns; i++) {
        if (totals_is_said(&row->figure[i]))
            return true;
    }
    return false;
}

void totals_expire(struct totals *totals, uint64_t now) {
    for (uint32_t i = 0; i < totals->members; i++) {
        struct told_by *from = &totals->member[i];
        if (from->heard != 0 && now - from->heard > TOTALS_SILENT_MS)
            totals_forget(totals, i);
    }
    for (uint32_t i = 0; i < TOTALS_BUCKETS; i++) {
        for (struct row **at = &totals->bucket[i]; *at != NULL;) {
            struct row *row = *at;
            bool used = is_named(row);
            if (used || row->was_used) {
                row->was_used = used;
                at = &row->next;
                continue;
            }
            *at = row->next;
            free_row(totals, row);
        }
    }
}

/* ---- looking ---- */

static void tell(const struct figure *figure, uint64_t now, struct totals_figure *out) {
    const uint64_t since = figure->since > 0 ? ((uint64_t)figure->since - 1) * 1000 : now;
    *out = (struct totals_figure){
        .in_use = figure->in_use,
        .share = (int32_t)(figure->share - 1),
        .wants = figure->wants,
        .oldest_ms = now > since ? now - since : 0,
        .drains = figure->drain_end > 0,
        .drain_end = figure->drain_end > 0 ? ((uint64_t)figure->drain_end - 1) * 1000 : 0,
    };
}

bool totals_figure(const struct totals *totals, const char *name, uint32_t member, uint64_t now,
                   struct totals_figure *out) {
    const struct row *row = find(totals, name, deal_hash(name, strlen(name)));
    const struct figure figure = row != NULL ? totals_read(row, member) : (struct figure){0};
    if (!totals_is_said(&figure))
        return false;
    tell(&figure, now, out);
    return true;
}

bool totals_no_session(const struct totals *totals, uint32_t member) {
    return member < totals->members && totals->member[member].no_session;
}

void totals_each_of(const struct totals *totals, uint32_t member, uint64_t now,
                    totals_member_visitor visit, void *arg) {
    for (uint32_t i = 0; i < TOTALS_BUCKETS; i++) {
        for (const struct row *row = totals->bucket[i]; row != NULL; row = row->next) {
            const struct figure figure = totals_read(row, member);
            struct totals_figure said;
            tell(&figure, now, &said);
            if (totals_is_said(&figure) && visit(row->name, &said, arg) != 0)
                return;
        }
    }
}

static int32_t sum(const struct row *row) {
    int64_t total = 0;
    for (uint32_t i = 0; i < row->columns; i++)
        total += row->figure[i].in_use;
    return total > INT32_MAX ? INT32_MAX : (int32_t)total;
}

void totals_each(const struct totals *totals, totals_visitor visit, void *arg) {
    for (uint32_t i = 0; i < TOTALS_BUCKETS; i++) {
        for (const struct row *row = totals->bucket[i]; row != NULL; row = row->next)
            visit(row->name, sum(row), arg);
    }
}
