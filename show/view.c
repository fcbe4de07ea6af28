/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

const void *view_rows(const struct snapshot *snapshot, enum view_name name, size_t *count) {
    switch (name) {
    case VIEW_COUNTERS:
        *count = snapshot->counters;
        return snapshot->counter;
    case VIEW_OWNERS:
        *count = snapshot->owners;
        return snapshot->owner;
    case VIEW_SLOTS:
        *count = snapshot->slots;
        return snapshot->slot;
    case VIEW_NODES:
        *count = snapshot->nodes;
        return snapshot->node;
    case VIEW_EVENTS:
        *count = snapshot->events;
        return snapshot->event;
    default:
        *count = snapshot->members;
        return snapshot->member;
    }
}

bool view_is_text(const struct view_column *column) {
    return column->type == VIEW_CHARS || column->type == VIEW_STRING;
}

const char *view_text(const struct view_column *column, const void *row) {
    const char *place = (const char *)row + column->offset;
    const char *text = place;

    if (column->type == VIEW_STRING) {
        memcpy(&text, place, sizeof text);
    }
    return text;
}

int64_t view_number(const struct view_column *column, const void *row) {
    const char *place = (const char *)row + column->offset;
    int plain = 0;
    uint32_t small = 0;
    uint64_t large = 0;
    int64_t wide = 0;

    switch (column->type) {
    case VIEW_INT:
    case VIEW_BOOL:
        memcpy(&plain, place, sizeof plain);
        return plain;
    case VIEW_UINT32:
        memcpy(&small, place, sizeof small);
        return small;
    case VIEW_UINT64:
        memcpy(&large, place, sizeof large);
        return large > INT64_MAX ? INT64_MAX : (int64_t)large;
    default:
        memcpy(&wide, place, sizeof wide);
        return wide;
    }
}

static void print_time(int64_t ms, const char *format, char *out, size_t size) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm local;

    if (localtime_r(&seconds, &local) == NULL || strftime(out, size, format, &local) == 0) {
        snprintf(out, size, "?");
    }
}

void view_print(const struct view_column *column, const void *row, char *out, size_t size) {
    char age[TEXT_AGE_MAX];

    if (view_is_text(column)) {
        const char *text = view_text(column, row);
        (void)text_fit(out, size, text[0] != '\0' ? text : "-", (int)size, NULL);
        return;
    }
    int64_t number = view_number(column, row);
    if ((number < 0 || number == INT64_MAX) && column->format != VIEW_PLAIN) {
        snprintf(out, size, "-");
    } else if (column->format == VIEW_TIME) {
        print_time(number, "%m-%d %H:%M:%S", out, size);
    } else if (column->format == VIEW_AGE) {
        text_age(age, (uint64_t)number);
        snprintf(out, size, "%s", age);
    } else {
        snprintf(out, size, "%" PRId64, number);
    }
}

/* What qsort_r() hands to its comparison. */
struct sorting {
    const struct view *view;
    const char *rows;
    const struct view_column *column;
    bool reverse;
};

static int compare_cells(const struct view_column *column, const void *a, const void *b) {
    if (view_is_text(column)) {
        return strcmp(view_text(column, a), view_text(column, b));
    }
    int64_t left = view_number(column, a);
    int64_t right = view_number(column, b);
    return (left < right) - (left > right);
}

static int compare_rows(const void *a, const void *b, void *arg) {
    const struct sorting *sorting = arg;
    size_t left;
    size_t right;

    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    const void *left_row = sorting->rows + left * sorting->view->row_size;
    const void *right_row = sorting->rows + right * sorting->view->row_size;
    int result = compare_cells(sorting->column, left_row, right_row);
    if (result != 0) {
        return sorting->reverse ? -result : result;
    }
    result = compare_cells(&sorting->view->column[0], left_row, right_row);
    return result != 0 ? result : (left > right) - (left < right);
}

void view_sort(const struct view *view, const void *rows, size_t *order, size_t count,
               size_t column, bool reverse) {
    struct sorting sorting = {view, rows, &view->column[column], reverse};

    if (count > 0) {
        qsort_r(order, count, sizeof order[0], compare_rows, &sorting);
    }
}

bool view_matches(const struct view *view, const void *row, const char *text) {
    char cell[SLOTSHARE_COUNTER_MAX + 1];

    for (size_t i = 0; i < view->columns; i++) {
        if ((view->filter & 1U << i) != 0) {
            view_print(&view->column[i], row, cell, sizeof cell);
            if (strcasestr(cell, text) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static void add(struct view_fact *facts, size_t *count, const char *label, const char *text) {
    struct view_fact *fact = &facts[(*count)++];

    fact->label = label;
    (void)text_fit(fact->text, sizeof fact->text, text, (int)sizeof fact->text, NULL);
}

static void add_room(struct view_fact *facts, size_t *count, const char *label, uint32_t used,
                     uint32_t max) {
    char text[64];

    snprintf(text, sizeof text, "%u of %u", used, max);
    add(facts, count, label, text);
}

static void add_session(struct view_fact *facts, size_t *count,
                        const struct slotshare_segment_stat *stat) {
    char age[TEXT_AGE_MAX];
    char text[128];

    if (!stat->clustered) {
        add(facts, count, "session", "none (single host)");
        return;
    }
    if (stat->session) {
        text_age(age, stat->session_left_ms > 0 ? (uint64_t)stat->session_left_ms : 0);
        snprintf(text, sizeof text, "valid, %s left", age);
    } else {
        snprintf(text, sizeof text, "none: only the reserve may be used");
    }
    add(facts, count, "session", text);
}

/* "mta2 0.4s, mta3 silent 12s, mta4 never heard", as far as it fits. */
static void add_peers(struct view_fact *facts, size_t *count, const struct snapshot *snapshot) {
    char text[sizeof facts->text];
    int length = 0;

    for (size_t i = 0; i < snapshot->members && length < (int)sizeof text; i++) {
        const struct member_row *row = &snapshot->member[i];
        char age[TEXT_AGE_MAX] = "";

        if (row->stat.self) {
            continue;
        }
        if (row->stat.heard_ms >= 0) {
            text_age(age, (uint64_t)row->stat.heard_ms);
        }
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%s%s%s%s%s",
                           length > 0 ? ", " : "", row->stat.name, row->stat.connected ? "" : " ",
                           row->stat.connected ? "" : row->state, age[0] != '\0' ? " " : "", age);
    }
    if (length > 0) {
        add(facts, count, "peers", text);
    }
}

static void add_owners(struct view_fact *facts, size_t *count, const struct segment_row *segment) {
    char text[64];
    const uint32_t dead = segment->reaping;

    snprintf(text, sizeof text, dead > 0 ? "%u of %u, %u being reaped" : "%u of %u",
             segment->stat.owners_used, segment->stat.owners_max, dead);
    add(facts, count, "owners", text);
}

static void add_layout(struct view_fact *facts, size_t *count,
                       const struct slotshare_segment_stat *stat) {
    char age[TEXT_AGE_MAX];
    char since[32];
    char text[128];
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    print_time((int64_t)now.tv_sec * 1000 - (int64_t)stat->age_ms, "%Y-%m-%d %H:%M", since,
               sizeof since);
    text_age(age, stat->age_ms);
    snprintf(text, sizeof text, "%u, rule set %" PRIu64 ", up %s since %s", stat->layout,
             stat->rules, age, since);
    add(facts, count, "layout", text);
}

size_t view_facts(const struct snapshot *snapshot, struct view_fact out[VIEW_FACTS]) {
    const struct segment_row *segment = &snapshot->segment;
    const struct slotshare_segment_stat *stat = &segment->stat;
    char text[sizeof stat->name + sizeof stat->path + 8];
    size_t count = 0;

    snprintf(text, sizeof text, "%s (%s)", stat->name, stat->path);
    add(out, &count, "segment", text);
    add_layout(out, &count, stat);
    snprintf(text, sizeof text, "%s%s", stat->node[0] != '\0' ? stat->node : "-",
             stat->drained ? " (DRAINED: takes no new slots)" : "");
    add(out, &count, "node", text);
    if (snapshot->from != NULL) {
        snprintf(text, sizeof text, "%s, as it told this node", snapshot->from);
        add(out, &count, "from", text);
    }
    add(out, &count, "bridge", stat->clustered ? segment->bridge : "none (single host)");
    add_session(out, &count, stat);
    add(out, &count, "coordinator",
        stat->coordinator[0] != '\0' ? stat->coordinator
        : stat->clustered            ? "none known"
                                     : "none (single host)");
    add_peers(out, &count, snapshot);
    add_owners(out, &count, segment);
    add_room(out, &count, "slots", stat->slots_used, stat->slots_max);
    add_room(out, &count, "counters", stat->counters_used, stat->counters_max);
    snprintf(text, sizeof text, "%" PRIu64 " owners, %" PRIu64 " slots", stat->reaps,
             stat->slots_reaped);
    add(out, &count, "reaped", text);
    return count;
}

void view_wait(const struct wait_row *wait, char *out, size_t size) {
    char text[sizeof wait->what + 32];
    char until[16];

    if (wait->until_ms > 0) {
        print_time(wait->until_ms, "%H:%M:%S", until, sizeof until);
        snprintf(text, sizeof text, "until %s: %s", until, wait->what);
    } else {
        snprintf(text, sizeof text, "%s", wait->what);
    }
    (void)text_fit(out, size, text, (int)size, NULL);
}
