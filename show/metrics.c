/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What a metric is about: of what structure its value is, and which label its samples carry. */
enum about { ABOUT_SEGMENT, ABOUT_COUNTER, ABOUT_MEMBER };

enum kind {
    KIND_INT,
    KIND_LIMIT, /* int; SLOTSHARE_UNLIMITED is +Inf */
    KIND_UINT32,
    KIND_UINT64,
    KIND_BOOL,    /* int */
    KIND_SECONDS, /* uint64_t milliseconds */
    KIND_AGE,     /* int64_t milliseconds; negative: there is none */
    KIND_SPAN,    /* int64_t milliseconds, negative ones too */
};

struct metric {
    enum about about;
    const char *name; /* without "slotshare_"; of a total without "_total" */
    bool total;       /* counts up for ever */
    enum kind kind;
    size_t offset;
    const char *help;
};

#define ROW(about, name, total, kind, type, field, help)                                           \
    { about, name, total, kind, offsetof(type, field), help }
#define OF_SEGMENT(name, total, kind, field, help)                                                 \
    ROW(ABOUT_SEGMENT, name, total, kind, struct slotshare_segment_stat, field, help)
#define OF_COUNTER(name, total, kind, field, help)                                                 \
    ROW(ABOUT_COUNTER, name, total, kind, struct slotshare_counter_stat, field, help)
#define OF_MEMBER(name, total, kind, field, help)                                                  \
    ROW(ABOUT_MEMBER, name, total, kind, struct slotshare_member_stat, field, help)

static const struct metric table[] = {
    OF_SEGMENT("segment_age_seconds", false, KIND_SECONDS, age_ms, "Since the segment was created"),
    OF_SEGMENT("rules_loaded", true, KIND_UINT64, rules, "Rule sets loaded"),
    OF_SEGMENT("clustered", false, KIND_BOOL, clustered, "1 when there is a cluster"),
    OF_SEGMENT("bridge_alive", false, KIND_BOOL, bridge_alive,
               "1 when a bridge serves the segment"),
    OF_SEGMENT("session", false, KIND_BOOL, session,
               "1 while the session is valid; without one the node keeps to its reserves"),
    OF_SEGMENT("session_left_seconds", false, KIND_SPAN, session_left_ms,
               "Until the session ends; negative since it ended"),
    OF_SEGMENT("drained", false, KIND_BOOL, drained,
               "1 when the node takes no new slots, by an operator's word"),
    OF_SEGMENT("counters_used", false, KIND_UINT32, counters_used, "Counters in the table"),
    OF_SEGMENT("counters_max", false, KIND_UINT32, counters_max, "Counters there may be"),
    OF_SEGMENT("owners_used", false, KIND_UINT32, owners_used, "Owner records in use"),
    OF_SEGMENT("owners_max", false, KIND_UINT32, owners_max, "Owner records there may be"),
    OF_SEGMENT("slots_used", false, KIND_UINT32, slots_used, "Slots held on this node"),
    OF_SEGMENT("slots_max", false, KIND_UINT32, slots_max, "Slots there may be on this node"),
    OF_SEGMENT("owners_reaped", true, KIND_UINT64, reaps,
               "Dead owners whose slots were given back"),
    OF_SEGMENT("slots_reaped", true, KIND_UINT64, slots_reaped, "Slots given back for them"),
    OF_COUNTER("in_use", false, KIND_INT, in_use, "Slots held on this node"),
    OF_COUNTER("cluster_in_use", false, KIND_INT, cluster_in_use,
               "Slots held in the whole cluster, as last heard"),
    OF_COUNTER("limit", false, KIND_LIMIT, limit, "The limit of the whole cluster"),
    OF_COUNTER("share", false, KIND_LIMIT, share, "What this node may hold now"),
    OF_COUNTER("reserve", false, KIND_LIMIT, reserve, "What it keeps when it is cut off"),
    OF_COUNTER("peak", false, KIND_INT, peak, "The most that were held at once on this node"),
    OF_COUNTER("waiting", false, KIND_INT, waiting, "Owners that wait for a slot"),
    OF_COUNTER("contended", false, KIND_BOOL, contended,
               "1 while the coordinator moves shares of it"),
    OF_COUNTER("takes", true, KIND_UINT64, takes, "Slots taken on this node"),
    OF_COUNTER("refusals", true, KIND_UINT64, refusals, "Takes refused on this node"),
    OF_COUNTER("observed", false, KIND_BOOL, observed,
               "1 when the limit is only observed and refuses nothing"),
    OF_COUNTER("would_refuse", true, KIND_UINT64, would_refuse,
               "Takes on this node that would have been refused if the limit were enforced"),
    OF_MEMBER("member_connected", false, KIND_BOOL, connected,
              "1 when the member was heard within two seconds, or is this node"),
    OF_MEMBER("member_coordinator", false, KIND_BOOL, coordinator, "1 for the coordinator"),
    OF_MEMBER("member_heard_seconds", false, KIND_AGE, heard_ms,
              "Since the member was last heard; left out when it never was"),
};
enum { METRICS = sizeof table / sizeof *table };

/* The counters and members that are shown: samples of one metric stand together, so all are read
 * before the first is written. */
struct rows {
    struct slotshare_counter_stat *counter;
    struct slotshare_member_stat *member;
    size_t counters, counters_room, members, members_room, most;
    uint64_t left_out;
    bool no_memory;
};

static void write_text(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fputc('\\', out);
        }
        fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
    fputc('"', out);
}

static void write_seconds(FILE *out, int64_t ms) {
    fprintf(out, "%s%" PRId64 ".%03" PRId64, ms < 0 ? "-" : "", (ms < 0 ? -ms : ms) / 1000,
            (ms < 0 ? -ms : ms) % 1000);
}

static void write_value(FILE *out, const struct metric *metric, const void *row) {
    const void *at = (const char *)row + metric->offset;
    switch (metric->kind) {
    case KIND_UINT32:
        fprintf(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case KIND_UINT64:
        fprintf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case KIND_SECONDS:
        write_seconds(out, (int64_t)(*(const uint64_t *)at & INT64_MAX));
        break;
    case KIND_AGE:
    case KIND_SPAN:
        write_seconds(out, *(const int64_t *)at);
        break;
    case KIND_BOOL:
        fputc(*(const int *)at != 0 ? '1' : '0', out);
        break;
    case KIND_LIMIT:
        if (*(const int *)at == SLOTSHARE_UNLIMITED) {
            fputs("+Inf", out);
            break;
        }
        /* fall through */
    default:
        fprintf(out, "%d", *(const int *)at);
    }
    fputc('\n', out);
}

static void write_head(FILE *out, const char *prefix, const struct metric *metric) {
    fprintf(out, "# TYPE slotshare_%s%s %s\n", prefix, metric->name,
            metric->total ? "counter" : "gauge");
    if (!metric->total && strstr(metric->name, "_seconds") != NULL) {
        fprintf(out, "# UNIT slotshare_%s%s seconds\n", prefix, metric->name);
    }
    fprintf(out, "# HELP slotshare_%s%s %s.\n", prefix, metric->name, metric->help);
}

static const char *prefix_of(const struct metric *metric) {
    return metric->about == ABOUT_COUNTER ? "counter_" : "";
}

static void write_sample(FILE *out, const struct metric *metric, const void *row, const char *label,
                         const char *value, const char *scope) {
    if (metric->kind == KIND_AGE &&
        *(const int64_t *)(const void *)((const char *)row + metric->offset) < 0) {
        return;
    }
    fprintf(out, "slotshare_%s%s%s", prefix_of(metric), metric->name,
            metric->total ? "_total" : "");
    if (label != NULL) {
        fprintf(out, "{%s=", label);
        write_text(out, value);
        if (scope != NULL) {
            fprintf(out, ",scope=\"%s\"", scope);
        }
        fputc('}', out);
    }
    fputc(' ', out);
    write_value(out, metric, row);
}

static void write_metric(FILE *out, const struct metric *metric,
                         const struct slotshare_segment_stat *segment, const struct rows *rows) {
    write_head(out, prefix_of(metric), metric);
    switch (metric->about) {
    case ABOUT_SEGMENT:
        write_sample(out, metric, segment, NULL, NULL, NULL);
        break;
    case ABOUT_COUNTER:
        for (size_t i = 0; i < rows->counters; i++) {
            const struct slotshare_counter_stat *row = &rows->counter[i];
            write_sample(out, metric, row, "counter", row->name, slotshare_scope_name(row->scope));
        }
        break;
    default:
        for (size_t i = 0; i < rows->members; i++) {
            write_sample(out, metric, &rows->member[i], "member", rows->member[i].name, NULL);
        }
    }
}

int metrics_by_use(const void *one, const void *other) {
    const struct slotshare_counter_stat *a = one, *b = other;
    if (a->in_use != b->in_use) {
        return a->in_use > b->in_use ? -1 : 1;
    }
    if (a->waiting != b->waiting) {
        return a->waiting > b->waiting ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

/* @return where the rows are now, with room for one more; NULL: no memory, they are where they
 * were. */
static void *room_for_one(void *rows, size_t *room, size_t count, size_t size) {
    if (count < *room) {
        return rows;
    }
    const size_t wanted = *room == 0 ? 64 : 2 * *room;
    void *grown = realloc(rows, wanted * size);
    if (grown != NULL) {
        *room = wanted;
    }
    return grown;
}

/* One label that is no UTF-8, and a reader refuses all of it. */
static void make_utf8(char *text) {
    json_t *valid = json_string(text);
    for (char *c = text; valid == NULL && *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80) {
            *c = '?';
        }
    }
    json_decref(valid);
}

static void keep_most_used(struct rows *rows) {
    qsort(rows->counter, rows->counters, sizeof *rows->counter, metrics_by_use);
    if (rows->counters > rows->most) {
        rows->left_out += rows->counters - rows->most;
        rows->counters = rows->most;
    }
}

static int add_counter(const struct slotshare_counter_stat *counter, void *arg) {
    struct rows *rows = arg;
    if (rows->most == 0) {
        rows->left_out++;
        return 0;
    }
    if (rows->counters >= 2 * rows->most) { /* a million counters need no memory for a million */
        keep_most_used(rows);
    }
    struct slotshare_counter_stat *grown =
        room_for_one(rows->counter, &rows->counters_room, rows->counters, sizeof *grown);
    if (grown == NULL) {
        rows->no_memory = true;
        return 1;
    }
    rows->counter = grown;
    grown[rows->counters] = *counter;
    make_utf8(grown[rows->counters++].name);
    return 0;
}

static int add_member(const struct slotshare_member_stat *member, void *arg) {
    struct rows *rows = arg;
    struct slotshare_member_stat *grown =
        room_for_one(rows->member, &rows->members_room, rows->members, sizeof *grown);
    if (grown == NULL) {
        rows->no_memory = true;
        return 1;
    }
    rows->member = grown;
    grown[rows->members] = *member;
    make_utf8(grown[rows->members++].name);
    return 0;
}

static void write_all(FILE *out, const struct slotshare_segment_stat *segment,
                      const struct rows *rows) {
    char node[sizeof segment->node];
    memcpy(node, segment->node, sizeof node);
    make_utf8(node);
    fputs("# TYPE slotshare_segment info\n# HELP slotshare_segment The segment, and this node.\n"
          "slotshare_segment_info{name=",
          out);
    write_text(out, segment->name);
    fputs(",node=", out);
    write_text(out, node);
    fprintf(out, ",layout=\"%" PRIu32 "\",version=", segment->layout);
    write_text(out, slotshare_version());
    fputs("} 1\n", out);
    for (size_t i = 0; i < METRICS; i++) {
        write_metric(out, &table[i], segment, rows);
    }
    fprintf(out,
            "# TYPE slotshare_counters_left_out gauge\n"
            "# HELP slotshare_counters_left_out Counters that are not shown here.\n"
            "slotshare_counters_left_out %" PRIu64 "\n",
            rows->left_out);
}

int metrics_write(FILE *out, slotshare *handle, size_t counters_max,
                  void (*more)(FILE *out, void *arg), void *arg) {
    struct slotshare_segment_stat segment;
    struct rows rows = {.most = counters_max};
    int result = slotshare_stat_segment(handle, &segment);
    if (result != SLOTSHARE_OK) {
        return result;
    }
    (void)slotshare_stat_counters(handle, add_counter, &rows);
    (void)slotshare_stat_members(handle, add_member, &rows);
    if (rows.counters > 0) {
        keep_most_used(&rows);
    }
    if (!rows.no_memory) {
        write_all(out, &segment, &rows);
        if (more != NULL) {
            more(out, arg);
        }
        fputs("# EOF\n", out);
    }
    free(rows.counter);
    free(rows.member);
    return rows.no_memory ? SLOTSHARE_ESYSTEM : SLOTSHARE_OK;
}

void metrics_describe(FILE *out) {
    for (size_t i = 0; i < METRICS; i++) {
        char name[64];
        snprintf(name, sizeof name, "slotshare_%s%s%s", prefix_of(&table[i]), table[i].name,
                 table[i].total ? "_total" : "");
        fprintf(out, "  %s\n      %s\n", name, table[i].help);
    }
}
