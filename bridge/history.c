/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "../show/text.h"

enum { SERIES = 128, PER_SAMPLE = 100 };

struct sample {
    uint64_t number; /* of the sample that is in this place; 0: none */
    int in_use, cluster_in_use;
    int64_t refused;
};

struct series {
    char name[SLOTSHARE_COUNTER_MAX + 1]; /* "": free */
    uint64_t last;                        /* number of its newest sample */
    uint64_t refusals;                    /* as of then */
    struct sample sample[HISTORY_SAMPLES];
};

struct history {
    uint64_t number; /* of samples so far */
    struct series series[SERIES];
};

struct history *history_create(void) {
    return calloc(1, sizeof(struct history));
}

void history_destroy(struct history *history) {
    free(history);
}

static struct series *series_of(struct history *history, const char *name) {
    struct series *oldest = &history->series[0];
    for (size_t i = 0; i < SERIES; i++) {
        struct series *series = &history->series[i];
        if (strcmp(series->name, name) == 0)
            return series;
        if (series->last < oldest->last)
            oldest = series;
    }
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->name, name, strlen(name) + 1);
    return oldest;
}

void history_add(struct history *history, const struct snapshot *snapshot) {
    const uint64_t number = ++history->number;
    for (size_t i = 0; i < snapshot->counters && i < PER_SAMPLE; i++) {
        const struct slotshare_counter_stat *stat = &snapshot->counter[i].stat;
        struct series *series = series_of(history, stat->name);
        const bool first = series->last == 0 || stat->refusals < series->refusals;
        series->sample[number % HISTORY_SAMPLES] = (struct sample){
            .number = number,
            .in_use = stat->in_use,
            .cluster_in_use = stat->cluster_in_use,
            .refused = first ? 0 : (int64_t)(stat->refusals - series->refusals),
        };
        series->refusals = stat->refusals;
        series->last = number;
    }
}

static int append(json_t *array, bool there, int64_t value) {
    return json_array_append_new(array, there ? json_integer(value) : json_null());
}

static json_t *series_json(const struct history *history, const struct series *series) {
    json_t *in_use = json_array();
    json_t *cluster = json_array();
    json_t *refused = json_array();
    const uint64_t first =
        history->number > HISTORY_SAMPLES ? history->number - HISTORY_SAMPLES + 1 : 1;
    int bad = in_use == NULL || cluster == NULL || refused == NULL;
    for (uint64_t number = first; number <= history->number && !bad; number++) {
        const struct sample *sample = &series->sample[number % HISTORY_SAMPLES];
        const bool there = sample->number == number;
        bad = append(in_use, there, sample->in_use) != 0 ||
              append(cluster, there, sample->cluster_in_use) != 0 ||
              append(refused, there, sample->refused) != 0;
    }
    json_t *out = bad ? NULL : json_object();
    if (out == NULL) {
        json_decref(in_use);
        json_decref(cluster);
        json_decref(refused);
        return NULL;
    }
    /* These take the references over, also when they fail; NULL values are then noticed by who
     * dumps it. */
    bad = json_object_set_new(out, "in_use", in_use);
    bad |= json_object_set_new(out, "cluster_in_use", cluster);
    bad |= json_object_set_new(out, "refused", refused);
    if (bad != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *history_json(const struct history *history) {
    json_t *counters = json_object();
    bool good = counters != NULL;
    for (size_t i = 0; i < SERIES && good; i++) {
        const struct series *series = &history->series[i];
        if (series->name[0] == '\0' || history->number - series->last >= HISTORY_SAMPLES)
            continue;
        json_t *name = text_json(series->name); /* a key must be UTF-8 */
        good = name != NULL && json_object_set_new(counters, json_string_value(name),
                                                   series_json(history, series)) == 0;
        json_decref(name);
    }
    json_t *out =
        good ? json_pack("{s:i, s:O}", "interval_ms", (int)HISTORY_MS, "counters", counters) : NULL;
    json_decref(counters);
    return out;
}
