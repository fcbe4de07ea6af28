/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the visitors work on. */
struct reading {
    struct source *source;
    const struct snapshot_choice *choice;
    struct snapshot *out;
    uint64_t elapsed_ms; /* since the last reading; 0: this is the first one */
    bool no_memory;
};

static uint64_t now_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The rows with room for one more, zeroed. @return NULL: no memory, and the rows are as before */
static void *with_room(struct reading *reading, void *rows, size_t count, size_t *room,
                       size_t size) {
    if (count == *room) {
        size_t wanted = *room == 0 ? 64 : *room * 2;
        void *grown = reallocarray(rows, wanted, size);

        if (grown == NULL) {
            reading->no_memory = true;
            return NULL;
        }
        rows = grown;
        *room = wanted;
    }
    memset((char *)rows + count * size, 0, size);
    return rows;
}

static uint64_t hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3U;
    }
    return hash;
}

static int64_t rate(uint64_t now, uint64_t before, uint64_t elapsed_ms) {
    return now < before ? SNAPSHOT_UNKNOWN : (int64_t)((now - before) * 1000 / elapsed_ms);
}

/* Fill in the rates and remember the totals. @return whether anything was asked since then */
static bool compare(struct reading *reading, const struct slotshare_counter_stat *stat,
                    struct counter_row *row) {
    bool asked = false;

    row->takes_rate = SNAPSHOT_UNKNOWN;
    row->refusals_rate = SNAPSHOT_UNKNOWN;
    row->would_refuse_rate = SNAPSHOT_UNKNOWN;
    if (stat->index < reading->source->before_count) {
        struct totals *before = &reading->source->before[stat->index];
        struct totals now = {hash_name(stat->name), stat->takes, stat->refusals,
                             stat->would_refuse};

        if (reading->elapsed_ms > 0 && before->name == now.name) {
            row->takes_rate = rate(now.takes, before->takes, reading->elapsed_ms);
            row->refusals_rate = rate(now.refusals, before->refusals, reading->elapsed_ms);
            row->would_refuse_rate =
                rate(now.would_refuse, before->would_refuse, reading->elapsed_ms);
            asked = now.takes != before->takes || now.refusals != before->refusals;
        }
        *before = now;
    }
    return asked;
}

static int visit_counter(const struct slotshare_counter_stat *stat, void *arg) {
    struct reading *reading = arg;
    struct snapshot *out = reading->out;
    struct counter_row compared = {0};
    const char *only = reading->choice->counter;
    bool busy = compare(reading, stat, &compared) || stat->in_use > 0 || stat->waiting > 0 ||
                stat->cluster_in_use > 0;

    if (only != NULL ? strcmp(only, stat->name) != 0 : !busy && !reading->choice->idle) {
        out->idle += only == NULL;
        return 0;
    }
    struct counter_row *rows =
        with_room(reading, out->counter, out->counters, &out->room_counters, sizeof *rows);

    if (rows == NULL) {
        return 1;
    }
    out->counter = rows;
    struct counter_row *row = &rows[out->counters++];
    *row = compared;
    row->stat = *stat;
    row->scope = slotshare_scope_name(stat->scope);
    row->enforced = stat->observed ? "no" : stat->limit == SLOTSHARE_UNLIMITED ? "" : "yes";
    return 0;
}

static int visit_owner(const struct slotshare_owner_stat *stat, void *arg) {
    struct reading *reading = arg;
    struct snapshot *out = reading->out;
    struct owner_row *rows =
        with_room(reading, out->owner, out->owners, &out->room_owners, sizeof *rows);

    if (rows == NULL) {
        return 1;
    }
    out->owner = rows;
    struct owner_row *row = &rows[out->owners++];
    row->stat = *stat;
    row->threads = 1;
    row->waiting = stat->waiting != 0;
    row->waiting_on = stat->waiting_on;
    row->waiting_for = "";
    row->waiting_ms = stat->waiting_ms;
    row->oldest_ms = -1;
    row->state = stat->bridge ? "bridge" : stat->alive ? "alive" : "dead";
    return 0;
}

static int visit_slot(const struct slotshare_slot_stat *stat, void *arg) {
    struct reading *reading = arg;
    struct snapshot *out = reading->out;
    struct slot_row *rows =
        with_room(reading, out->slot, out->slots, &out->room_slots, sizeof *rows);

    if (rows == NULL) {
        return 1;
    }
    out->slot = rows;
    struct slot_row *row = &rows[out->slots++];
    row->stat = *stat;
    return 0;
}

static int visit_member(const struct slotshare_member_stat *stat, void *arg) {
    struct reading *reading = arg;
    struct snapshot *out = reading->out;
    struct member_row *rows =
        with_room(reading, out->member, out->members, &out->room_members, sizeof *rows);

    if (rows == NULL) {
        return 1;
    }
    out->member = rows;
    struct member_row *row = &rows[out->members++];
    row->stat = *stat;
    row->role = stat->drained       ? (stat->coordinator ? "coordinator, drained" : "drained")
                : stat->coordinator ? "coordinator"
                                    : "";
    row->state = stat->self            ? "this node"
                 : stat->connected     ? "connected"
                 : stat->heard_ms >= 0 ? "silent"
                                       : "never heard";
    return 0;
}

static int by_owner_index(const void *a, const void *b) {
    const struct owner_row *left = a;
    const struct owner_row *right = b;

    return (left->stat.index > right->stat.index) - (left->stat.index < right->stat.index);
}

static int by_counter_index(const void *a, const void *b) {
    const struct counter_row *left = a;
    const struct counter_row *right = b;

    return (left->stat.index > right->stat.index) - (left->stat.index < right->stat.index);
}

static struct owner_row *find_owner(const struct snapshot *in, uint32_t index) {
    struct owner_row wanted = {.stat = {.index = index}};

    return in->owners == 0 ? NULL
                           : bsearch(&wanted, in->owner, in->owners, sizeof wanted, by_owner_index);
}

static const char *counter_name(const struct snapshot *in, uint32_t index) {
    struct counter_row wanted = {.stat = {.index = index}};
    const struct counter_row *found =
        in->counters == 0
            ? NULL
            : bsearch(&wanted, in->counter, in->counters, sizeof wanted, by_counter_index);

    return found != NULL ? found->stat.name : NULL;
}

/* Threads become a number at the row of their process. A thread whose leader has gone stays. */
static void fold_threads(struct snapshot *out) {
    size_t kept = 0;

    for (size_t i = 0; i < out->owners; i++) {
        struct owner_row *row = &out->owner[i];
        struct owner_row *leader =
            row->stat.leader == row->stat.index ? NULL : find_owner(out, row->stat.leader);

        if (leader != NULL && leader->stat.leader == leader->stat.index) {
            leader->threads++;
            if (row->waiting > 0 && leader->waiting++ == 0) {
                leader->waiting_on = row->stat.waiting_on;
                leader->waiting_ms = row->waiting_ms;
            }
            row->threads = 0;
        }
    }
    for (size_t i = 0; i < out->owners; i++) {
        if (out->owner[i].threads > 0) {
            out->owner[kept++] = out->owner[i];
        }
    }
    out->owners = kept;
}

/* Since when each process has held its oldest slot, and how many of them are dead. */
static void sum_up(struct snapshot *out) {
    for (size_t i = 0; i < out->slots; i++) {
        struct owner_row *row = find_owner(out, out->slot[i].stat.owner);
        const int64_t age = (int64_t)out->slot[i].stat.age_ms;

        if (row != NULL && age > row->oldest_ms) {
            row->oldest_ms = age;
        }
    }
    out->segment.reaping = 0;
    for (size_t i = 0; i < out->owners; i++) {
        out->segment.reaping += !out->owner[i].stat.alive;
    }
}

static void sort_rows(struct snapshot *out) {
    if (out->counters > 0) {
        qsort(out->counter, out->counters, sizeof out->counter[0], by_counter_index);
    }
    if (out->owners > 0) {
        qsort(out->owner, out->owners, sizeof out->owner[0], by_owner_index);
    }
}

/* Leave only the slots of counters that are there, and the owners that hold or want one. */
static void keep_concerned(struct snapshot *out) {
    size_t slots = 0;
    size_t owners = 0;

    for (size_t i = 0; i < out->slots; i++) {
        if (counter_name(out, out->slot[i].stat.counter) != NULL) {
            struct owner_row *owner = find_owner(out, out->slot[i].stat.owner);

            if (owner != NULL) {
                owner->concerned = true;
            }
            out->slot[slots++] = out->slot[i];
        }
    }
    for (size_t i = 0; i < out->owners; i++) {
        const struct owner_row *row = &out->owner[i];

        if (row->concerned || (row->waiting > 0 && counter_name(out, row->waiting_on) != NULL)) {
            out->owner[owners++] = *row;
        }
    }
    out->slots = slots;
    out->owners = owners;
}

/* Put names where there are numbers, now that no row moves any more. */
static void name_rows(struct snapshot *out) {
    for (size_t i = 0; i < out->owners; i++) {
        struct owner_row *row = &out->owner[i];

        if (row->waiting > 0) {
            const char *name = counter_name(out, row->waiting_on);
            row->waiting_for = name != NULL ? name : "?";
        }
    }
    for (size_t i = 0; i < out->slots; i++) {
        struct slot_row *row = &out->slot[i];
        const char *name = counter_name(out, row->stat.counter);
        const struct owner_row *owner = find_owner(out, row->stat.owner);

        row->counter = name != NULL ? name : "?";
        row->command = owner != NULL ? owner->stat.command : "?";
    }
}

static void describe_segment(struct segment_row *row) {
    snprintf(row->incarnation, sizeof row->incarnation, "%016" PRIx64, row->stat.incarnation);
    row->bridge = !row->stat.clustered ? "none" : row->stat.bridge_alive ? "alive" : "dead";
    row->session = !row->stat.clustered ? "" : row->stat.session ? "valid" : "none";
}

static int give_up(struct source *source, const char *what) {
    snprintf(source->error, sizeof source->error, "%s: %s", what, strerror(errno));
    return SLOTSHARE_ESYSTEM;
}

/* Totals are kept for as many counters as the table has. */
static int make_room(struct source *source, uint32_t counters) {
    struct totals *grown;

    if (source->before_count == counters) {
        return SLOTSHARE_OK;
    }
    grown = calloc(counters == 0 ? 1 : counters, sizeof *grown);
    if (grown == NULL) {
        return give_up(source, "no room for the counters' totals");
    }
    free(source->before);
    source->before = grown;
    source->before_count = counters;
    source->before_ms = 0;
    return SLOTSHARE_OK;
}

static int open_handle(struct source *source) {
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;

    options.directory = source->directory;
    options.read_only = 1;
    options.error = source->error;
    options.error_size = sizeof source->error;
    source->error[0] = '\0';
    return slotshare_open(&source->handle, source->name, &options);
}

int source_open(struct source *source, const char *name, const char *directory) {
    memset(source, 0, sizeof *source);
    source->name = name;
    source->directory = directory;
    return open_handle(source);
}

void source_close(struct source *source) {
    slotshare_close(source->handle);
    free(source->before);
    memset(source, 0, sizeof *source);
}

/* The statistics of a segment that is still there: reopens once. */
static int stat_segment(struct source *source, struct slotshare_segment_stat *out) {
    int result = SLOTSHARE_EGONE;

    if (source->handle != NULL) {
        result = slotshare_stat_segment(source->handle, out);
    }
    if (result != SLOTSHARE_EGONE) {
        return result;
    }
    slotshare_close(source->handle);
    source->handle = NULL;
    result = open_handle(source);
    return result == SLOTSHARE_OK ? slotshare_stat_segment(source->handle, out) : result;
}

int snapshot_read(struct source *source, const struct snapshot_choice *choice,
                  struct snapshot *out) {
    struct reading reading = {.source = source, .choice = choice, .out = out};
    struct slotshare_segment_stat stat;
    int result = stat_segment(source, &stat);

    if (result == SLOTSHARE_OK) {
        result = make_room(source, stat.counters_max);
    }
    if (result != SLOTSHARE_OK) {
        if (source->error[0] == '\0') {
            snprintf(source->error, sizeof source->error, "%s", slotshare_strerror(result));
        }
        return result;
    }
    source->error[0] = '\0';
    source->replaced = source->incarnation != 0 && source->incarnation != stat.incarnation;
    source->incarnation = stat.incarnation;
    uint64_t now = now_ms();
    if (!source->replaced && source->before_ms != 0 && now > source->before_ms) {
        reading.elapsed_ms = now - source->before_ms;
    }
    source->before_ms = now;
    out->segment.stat = stat;
    describe_segment(&out->segment);
    out->counters = out->owners = out->slots = out->members = out->idle = 0;
    out->nodes = out->events = out->waits = 0;
    out->from = NULL;
    out->told = false;
    /* Slots and owners first: then the counters that they name are seen, too. */
    int slots = slotshare_stat_slots(source->handle, visit_slot, &reading);
    int owners = slotshare_stat_owners(source->handle, visit_owner, &reading);
    int counters = slotshare_stat_counters(source->handle, visit_counter, &reading);
    int members = slotshare_stat_members(source->handle, visit_member, &reading);
    out->damaged = slots != SLOTSHARE_OK || owners != SLOTSHARE_OK || counters != SLOTSHARE_OK ||
                   members != SLOTSHARE_OK;
    sort_rows(out);
    fold_threads(out);
    sum_up(out);
    if (choice->counter != NULL) {
        keep_concerned(out);
    }
    name_rows(out);
    if (reading.no_memory) {
        errno = ENOMEM;
        return give_up(source, "no room for what the segment holds");
    }
    return SLOTSHARE_OK;
}

void snapshot_free(struct snapshot *snapshot) {
    free(snapshot->counter);
    free(snapshot->owner);
    free(snapshot->slot);
    free(snapshot->member);
    free(snapshot->node);
    free(snapshot->event);
    free(snapshot->wait);
    memset(snapshot, 0, sizeof *snapshot);
}
