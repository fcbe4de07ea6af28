/* SPDX-License-Identifier: MIT */
/* shmstat verify: do the counts agree with the records of who holds what? */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/exits.h"
#include "common/options.h"
#include "shmstat.h"
#include "show/text.h"

static const char program[] = "shmstat verify";

/* A take or a give back changes two places, one after the other, and may be preempted in between:
 * only a difference that stays as it is for so many readings is one. */
enum { READINGS = 8, PAUSE_MS = 150, DIFFERENT = 1 };

struct verify {
    const char *name, *directory;
};

#define AT(field) offsetof(struct verify, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    OPTION_ROW_HELP,
};
#undef AT
static const struct option_table option_table = {option_rows,
                                                 sizeof option_rows / sizeof option_rows[0], false};

static const struct exit_row exit_rows[] = {
    {"0", "all counts agree with the records"},
    {"1", "something does not, and stayed so for a second"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, or of another version"},
    {"71", "an error of the operating system"},
};

static int help(void) {
    fputs(
        "Usage: shmstat verify [OPTION]...\n\n"
        "Compare each counter's count, and each process's, with the records of the slots that are\n"
        "held. What is just being taken or given back looks different for a moment; only what\n"
        "stays so for a second is told. Nothing is written to the segment.\n",
        stdout);
    options_help(stdout, &option_table);
    exits_help(stdout, exit_rows, sizeof exit_rows / sizeof exit_rows[0]);
    return exit_flush(program, EX_OK);
}

/* Something that is counted: a counter (by its place and name) or a process (by its record). */
struct tally {
    char name[SLOTSHARE_COUNTER_MAX + 1];
    uint32_t index;
    int64_t count, records;
    uint64_t changes; /* of the counter so far: the same numbers after these are another state */
};

struct tallies {
    struct tally *list;
    size_t count;
};

static int by_index(const void *one, const void *other) {
    const struct tally *a = one, *b = other;
    return (a->index > b->index) - (a->index < b->index);
}

static struct tally *find(const struct tallies *in, uint32_t index) {
    const struct tally key = {.index = index};
    return in->count == 0 ? NULL : bsearch(&key, in->list, in->count, sizeof key, by_index);
}

static void count_records(const struct snapshot *snapshot, struct tallies *counters,
                          struct tallies *owners) {
    for (size_t i = 0; i < snapshot->slots; i++) {
        struct tally *counter = find(counters, snapshot->slot[i].stat.counter);
        struct tally *owner = find(owners, snapshot->slot[i].stat.owner);
        if (counter != NULL) {
            counter->records++;
        }
        if (owner != NULL) {
            owner->records++;
        }
    }
}

static bool make(const struct snapshot *snapshot, struct tallies *counters,
                 struct tallies *owners) {
    counters->list = calloc(snapshot->counters + 1, sizeof *counters->list);
    owners->list = calloc(snapshot->owners + 1, sizeof *owners->list);
    if (counters->list == NULL || owners->list == NULL) {
        return false;
    }
    for (size_t i = 0; i < snapshot->counters; i++) {
        const struct slotshare_counter_stat *stat = &snapshot->counter[i].stat;
        struct tally *tally = &counters->list[counters->count++];
        memcpy(tally->name, stat->name, sizeof tally->name);
        tally->index = stat->index;
        tally->count = stat->in_use;
        tally->changes = stat->takes;
    }
    for (size_t i = 0; i < snapshot->owners; i++) {
        const struct owner_row *row = &snapshot->owner[i];
        struct tally *tally = &owners->list[owners->count++];
        snprintf(tally->name, sizeof tally->name, "process %d (%s)", row->stat.pid,
                 row->stat.command);
        tally->index = row->stat.index;
        tally->count = row->stat.held;
    }
    qsort(counters->list, counters->count, sizeof *counters->list, by_index);
    qsort(owners->list, owners->count, sizeof *owners->list, by_index);
    count_records(snapshot, counters, owners);
    return true;
}

/* Keep in `suspects` only what is just as wrong now as it was before. The first time: all that is
 * wrong. */
static void still_wrong(struct tallies *suspects, const struct tallies *now, bool first) {
    size_t kept = 0;
    for (size_t i = 0; i < now->count; i++) {
        const struct tally *tally = &now->list[i];
        const struct tally *before = first ? tally : find(suspects, tally->index);
        if (tally->count != tally->records && before != NULL && before->count == tally->count &&
            before->records == tally->records && before->changes == tally->changes &&
            strcmp(before->name, tally->name) == 0) {
            now->list[kept++] = *tally; /* kept <= i */
        }
    }
    memcpy(suspects->list, now->list, kept * sizeof *now->list);
    suspects->count = kept;
}

struct suspicion {
    struct tallies counters, owners;
    size_t looked_at, slots;
    bool damaged;
};

static bool room(struct tallies *suspects, size_t count) {
    void *grown = realloc(suspects->list, (count + 1) * sizeof *suspects->list);
    if (grown == NULL) {
        return false;
    }
    suspects->list = grown;
    return true;
}

static int read_once(struct source *source, struct suspicion *suspicion, bool first) {
    static const struct snapshot_choice all = {true, NULL};
    struct snapshot snapshot = {0};
    struct tallies counters = {0}, owners = {0};
    int result = snapshot_read(source, &all, &snapshot);

    if (result == SLOTSHARE_OK) {
        suspicion->damaged = snapshot.damaged;
        suspicion->looked_at = snapshot.counters;
        suspicion->slots = snapshot.slots;
        if (make(&snapshot, &counters, &owners) &&
            room(&suspicion->counters, counters.count + suspicion->counters.count) &&
            room(&suspicion->owners, owners.count + suspicion->owners.count)) {
            still_wrong(&suspicion->counters, &counters, first);
            still_wrong(&suspicion->owners, &owners, first);
        } else {
            snprintf(source->error, sizeof source->error, "no memory");
            result = SLOTSHARE_ESYSTEM;
        }
    }
    free(counters.list);
    free(owners.list);
    snapshot_free(&snapshot);
    return result;
}

static void tell(const struct tallies *suspects) {
    char name[SLOTSHARE_COUNTER_MAX + 1];
    for (size_t i = 0; i < suspects->count; i++) {
        const struct tally *tally = &suspects->list[i];
        (void)text_fit(name, sizeof name, tally->name, SLOTSHARE_COUNTER_MAX, NULL);
        printf("%s: count %lld, records of slots %lld\n", name, (long long)tally->count,
               (long long)tally->records);
    }
}

static int run(const struct verify *verify) {
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    struct source source;
    struct suspicion suspicion = {0};
    int result = source_open(&source, verify->name, verify->directory);
    bool wrong = false;
    int status;

    for (int i = 0; i < READINGS && result == SLOTSHARE_OK; i++) {
        if (i > 0) {
            (void)nanosleep(&pause, NULL);
        }
        result = read_once(&source, &suspicion, i == 0);
        wrong = suspicion.counters.count + suspicion.owners.count > 0 || suspicion.damaged;
        if (!wrong) {
            break;
        }
    }
    if (result != SLOTSHARE_OK) {
        status = exit_tell(program, result, source.error);
    } else if (wrong) {
        tell(&suspicion.counters);
        tell(&suspicion.owners);
        puts(suspicion.damaged ? "damaged: entries that make no sense were left out"
                               : "different: counts and records do not agree");
        status = DIFFERENT;
    } else {
        printf("good: %zu counters, %zu slots held\n", suspicion.looked_at, suspicion.slots);
        status = EX_OK;
    }
    free(suspicion.counters.list);
    free(suspicion.owners.list);
    source_close(&source);
    return status;
}

int verify_main(int argc, char **argv) {
    struct verify verify = {0};
    const int first = options_parse(program, &option_table, argc, argv, &verify);

    if (first == OPTIONS_HELP) {
        return help();
    }
    if (first == OPTIONS_WRONG) {
        return EX_USAGE;
    }
    if (first < argc) {
        fprintf(stderr, "shmstat verify: takes no operand: '%s'; see 'shmstat verify --help'\n",
                argv[first]);
        return EX_USAGE;
    }
    return exit_flush(program, run(&verify));
}
