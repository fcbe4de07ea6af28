/* SPDX-License-Identifier: MIT */
/* shmstat check: one line and an exit status for a monitoring system, as the Monitoring Plugins
 * Development Guidelines have it. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/exits.h"
#include "common/options.h"
#include "shmstat.h"
#include "show/text.h"

static const char program[] = "shmstat check";

enum status { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL, STATUS_UNKNOWN };

struct check {
    const char *name, *directory, *counter;
    int64_t warning, critical;
};

#define AT(field) offsetof(struct check, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {'w', OPTION_NUMBER, "warning", "PERCENT", AT(warning), 1, 100,
     "warn when a limit is used so far (default: 80)"},
    {'c', OPTION_NUMBER, "critical", "PERCENT", AT(critical), 1, 100,
     "critical when a limit is used so far (default: 95)"},
    {0, OPTION_TEXT, "counter", "NAME", AT(counter), 0, 0,
     "look at this counter only (default: the fullest of all)"},
    OPTION_ROW_HELP,
};
#undef AT
static const struct option_table option_table = {option_rows,
                                                 sizeof option_rows / sizeof option_rows[0], false};

static const struct exit_row exit_rows[] = {
    {"0", "OK"},
    {"1", "WARNING: above --warning, or the node is without a session and keeps to its reserves"},
    {"2", "CRITICAL: above --critical, or the bridge of a cluster is dead"},
    {"3", "UNKNOWN: no such segment or counter, damaged, or wrong usage"},
};

static int help(void) {
    fputs(
        "Usage: shmstat check [OPTION]...\n\n"
        "Check how full the limits are, for a monitoring system: one line, performance data, and\n"
        "an exit status. In a cluster a limit is full by what all nodes hold. Counters without a\n"
        "limit, those that are closed (limit 0), and those whose limit is only observed\n"
        "(enforce = no) are not looked at; the tables of owners and slots are.\n",
        stdout);
    options_help(stdout, &option_table);
    exits_help(stdout, exit_rows, sizeof exit_rows / sizeof exit_rows[0]);
    return exit_flush(program, STATUS_OK);
}

/* How full something is. */
struct level {
    const char *name; /* NULL: there is nothing */
    int64_t used, of;
};

static int64_t percent(const struct level *level) {
    return level->of > 0 ? level->used * 100 / level->of : 0;
}

static void fuller(struct level *most, const char *name, int64_t used, int64_t of) {
    const struct level other = {name, used, of};
    if (of > 0 && (most->name == NULL || percent(&other) > percent(most))) {
        *most = other;
    }
}

static struct level fullest(const struct snapshot *snapshot) {
    struct level most = {0};
    const bool clustered = snapshot->segment.stat.clustered != 0;
    for (size_t i = 0; i < snapshot->counters; i++) {
        const struct slotshare_counter_stat *counter = &snapshot->counter[i].stat;
        if (counter->observed) {
            continue; /* it may be used to any extent: nobody is kept from anything */
        }
        /* What other nodes hold was heard a moment ago; what is held here is known. */
        const int all = clustered && counter->cluster_in_use > counter->in_use
                            ? counter->cluster_in_use
                            : counter->in_use;
        fuller(&most, counter->name, all, counter->limit);
    }
    return most;
}

static enum status grade(const struct check *check, const struct level *level) {
    return percent(level) >= check->critical  ? STATUS_CRITICAL
           : percent(level) >= check->warning ? STATUS_WARNING
                                              : STATUS_OK;
}

static enum status worse(enum status one, enum status other) {
    return one > other ? one : other;
}

/* Performance data knows no way to write a quote or an equals sign in a label. */
static void print_data(const struct check *check, const struct level *level) {
    char label[SLOTSHARE_COUNTER_MAX + 1];
    (void)text_fit(label, sizeof label, level->name, SLOTSHARE_COUNTER_MAX, NULL);
    for (char *c = label; *c != '\0'; c++) {
        if (*c == '\'' || *c == '=' || *c == '|') {
            *c = '_';
        }
    }
    printf(" '%s'=%lld;%lld;%lld;0;%lld", label, (long long)level->used,
           (long long)(level->of * check->warning / 100),
           (long long)(level->of * check->critical / 100), (long long)level->of);
}

static enum status report(const struct check *check, const struct snapshot *snapshot) {
    static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
    const struct slotshare_segment_stat *segment = &snapshot->segment.stat;
    const struct level counter = fullest(snapshot);
    const struct level slots = {"slots", segment->slots_used, segment->slots_max};
    const struct level owners = {"owners", segment->owners_used, segment->owners_max};
    const bool dead = segment->clustered && !segment->bridge_alive;
    const bool alone = segment->clustered && !segment->session;
    enum status status = worse(grade(check, &counter), grade(check, &slots));
    char name[SLOTSHARE_COUNTER_MAX + 1] = "";

    status = worse(status, grade(check, &owners));
    status = worse(status, dead ? STATUS_CRITICAL : alone ? STATUS_WARNING : STATUS_OK);
    printf("SLOTSHARE %s - ", words[status]);
    if (dead) {
        fputs("the bridge is dead, ", stdout);
    } else if (alone) {
        fputs("no session: this node keeps to its reserves, ", stdout);
    }
    if (counter.name == NULL) {
        fputs("no limit is in use", stdout);
    } else {
        (void)text_fit(name, sizeof name, counter.name, SLOTSHARE_COUNTER_MAX, NULL);
        printf("%s: %lld of %lld (%lld%%)", name, (long long)counter.used, (long long)counter.of,
               (long long)percent(&counter));
    }
    fputs(" |", stdout);
    if (counter.name != NULL) {
        print_data(check, &counter);
    }
    print_data(check, &slots);
    print_data(check, &owners);
    putchar('\n');
    return status;
}

static enum status run(const struct check *check) {
    struct source source;
    struct snapshot snapshot = {0};
    const struct snapshot_choice choice = {true, check->counter};
    enum status status = STATUS_UNKNOWN;
    int result = source_open(&source, check->name, check->directory);

    if (result == SLOTSHARE_OK) {
        result = snapshot_read(&source, &choice, &snapshot);
    }
    if (result != SLOTSHARE_OK) {
        printf("SLOTSHARE UNKNOWN - %s\n",
               source.error[0] != '\0' ? source.error : slotshare_strerror(result));
    } else if (check->counter != NULL && snapshot.counters == 0) {
        printf("SLOTSHARE UNKNOWN - there is no counter %s\n", check->counter);
    } else {
        status = report(check, &snapshot);
    }
    snapshot_free(&snapshot);
    source_close(&source);
    return status;
}

int check_main(int argc, char **argv) {
    struct check check = {.warning = 80, .critical = 95};
    const int first = options_parse(program, &option_table, argc, argv, &check);

    if (first == OPTIONS_HELP) {
        return help();
    }
    if (first == OPTIONS_WRONG) {
        return STATUS_UNKNOWN;
    }
    if (first < argc || check.warning > check.critical) {
        fprintf(stderr,
                first < argc ? "shmstat check: takes no operand: '%s'; see 'shmstat check --help'\n"
                             : "shmstat check: --warning is above --critical%s\n",
                first < argc ? argv[first] : "");
        return STATUS_UNKNOWN;
    }
    return exit_flush(program, (int)run(&check));
}
