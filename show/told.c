/* SPDX-License-Identifier: MIT */
#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static int64_t number_of(const json_t *object, const char *key) {
    const json_t *number = json_object_get(object, key);
    return json_is_integer(number) ? json_integer_value(number) : -1;
}

static int small_of(const json_t *object, const char *key) {
    const int64_t number = number_of(object, key);
    return number < -1 ? -1 : number > INT32_MAX ? INT32_MAX : (int)number;
}

/* Room for as many rows as the array has, zeroed; the old ones are forgotten. */
static bool make_rows(void **rows, size_t *count, const json_t *array, size_t size) {
    *count = 0;
    free(*rows);
    *rows = calloc(json_array_size(array) + 1, size);
    return *rows != NULL;
}

static void take_node(struct node_row *row, const json_t *item) {
    const int64_t oldest = number_of(item, "oldest_ms");

    (void)snprintf(row->name, sizeof row->name, "%s", text_of(item, "name"));
    (void)snprintf(row->state, sizeof row->state, "%s", text_of(item, "state"));
    (void)snprintf(row->role, sizeof row->role, "%s", text_of(item, "role"));
    row->session = json_is_true(json_object_get(item, "session"));
    row->in_use = small_of(item, "in_use");
    row->share = small_of(item, "share");
    row->wants = small_of(item, "wants");
    row->oldest_ms = oldest > 0 ? oldest : -1;
    row->heard_ms = number_of(item, "heard_ms");
}

static int by_node_name(const void *a, const void *b) {
    return strcmp(((const struct node_row *)a)->name, ((const struct node_row *)b)->name);
}

bool told_nodes(struct snapshot *snapshot, const json_t *answer) {
    const json_t *nodes = json_object_get(answer, "nodes");
    const json_t *waits = json_object_get(answer, "waits");
    void *node = snapshot->node;
    void *wait = snapshot->wait;
    /* Both, whatever becomes of the first: the old rows of both go. */
    const bool has_nodes = make_rows(&node, &snapshot->nodes, nodes, sizeof *snapshot->node);
    const bool has_waits = make_rows(&wait, &snapshot->waits, waits, sizeof *snapshot->wait);
    size_t i;
    json_t *item;

    snapshot->node = node;
    snapshot->wait = wait;
    if (!has_nodes || !has_waits) {
        return false;
    }
    json_array_foreach(nodes, i, item) {
        take_node(&snapshot->node[snapshot->nodes++], item);
    }
    qsort(snapshot->node, snapshot->nodes, sizeof *snapshot->node, by_node_name);
    json_array_foreach(waits, i, item) {
        struct wait_row *row = &snapshot->wait[snapshot->waits++];
        const int64_t until = number_of(item, "until_ms");

        (void)snprintf(row->what, sizeof row->what, "%s", text_of(item, "what"));
        row->until_ms = until > 0 ? until : 0;
    }
    return true;
}

bool told_events(struct snapshot *snapshot, const json_t *answer) {
    const json_t *events = json_object_get(answer, "events");
    void *event = snapshot->event;
    const bool good = make_rows(&event, &snapshot->events, events, sizeof *snapshot->event);
    size_t i;
    json_t *item;

    snapshot->event = event;
    if (!good) {
        return false;
    }
    json_array_foreach(events, i, item) {
        struct event_row *row = &snapshot->event[snapshot->events++];
        const int64_t number = number_of(item, "number");

        row->number = number > 0 ? (uint64_t)number : 0;
        row->time_ms = number_of(item, "time_ms");
        (void)snprintf(row->level, sizeof row->level, "%s", text_of(item, "level"));
        (void)snprintf(row->event, sizeof row->event, "%s", text_of(item, "event"));
        (void)snprintf(row->text, sizeof row->text, "%s", text_of(item, "text"));
    }
    return true;
}

/* ---- counters of another node ---- */

static int by_counter_name(const void *a, const void *b) {
    return strcmp(((const struct counter_row *)a)->stat.name,
                  ((const struct counter_row *)b)->stat.name);
}

static void take_counter(struct counter_row *row, const json_t *item,
                         const struct counter_row *here) {
    const int in_use = small_of(item, "in_use");
    const int wants = small_of(item, "wants");
    struct slotshare_counter_stat *stat = &row->stat;

    *stat = (struct slotshare_counter_stat){
        .limit = -1,
        .share = small_of(item, "share"),
        .reserve = -1,
        .in_use = in_use,
        .peak = -1,
        .waiting = wants > in_use ? wants - in_use : 0,
        .cluster_in_use = -1,
        .takes = UINT64_MAX,
        .refusals = UINT64_MAX,
        .would_refuse = UINT64_MAX,
        .longest_wait_ms = -1,
    };
    stat->observed = here != NULL && here->stat.observed;
    stat->excess =
        !stat->observed && stat->share >= 0 && in_use > stat->share ? in_use - stat->share : 0;
    (void)snprintf(stat->name, sizeof stat->name, "%s", text_of(item, "name"));
    row->scope = "?";
    row->takes_rate = row->refusals_rate = row->would_refuse_rate = SNAPSHOT_UNKNOWN;
    row->enforced = here != NULL ? here->enforced : "";
    if (here != NULL) {
        stat->limit = here->stat.limit;
        stat->cluster_in_use = here->stat.cluster_in_use;
        stat->contended = here->stat.contended;
        stat->scope = here->stat.scope;
        memcpy(stat->source, here->stat.source, sizeof stat->source);
        row->scope = here->scope;
    }
}

bool told_from(struct snapshot *snapshot, const json_t *answer, const char *name,
               const char *only) {
    const json_t *told = json_object_get(answer, "counters");
    const size_t all = json_array_size(told);
    struct counter_row *rows = calloc(all + 1, sizeof *rows);
    size_t kept = 0;
    struct counter_row wanted;
    size_t i;
    json_t *item;

    if (rows == NULL) {
        return false;
    }
    if (snapshot->counters > 0) {
        qsort(snapshot->counter, snapshot->counters, sizeof *rows, by_counter_name);
    }
    json_array_foreach(told, i, item) {
        (void)snprintf(wanted.stat.name, sizeof wanted.stat.name, "%s", text_of(item, "name"));
        if (only != NULL && strcmp(wanted.stat.name, only) != 0) {
            continue;
        }
        take_counter(&rows[kept++], item,
                     snapshot->counters == 0
                         ? NULL
                         : bsearch(&wanted, snapshot->counter, snapshot->counters, sizeof *rows,
                                   by_counter_name));
    }
    free(snapshot->counter);
    snapshot->counter = rows;
    snapshot->counters = kept;
    snapshot->room_counters = all + 1;
    snapshot->owners = snapshot->slots = snapshot->idle = 0;
    snapshot->from = name;
    return true;
}
