/* SPDX-License-Identifier: MIT */
/* shmstat: what is in a segment. Reads only, always. */
#include <errno.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/bridge.h"
#include "common/exits.h"
#include "common/options.h"
#include "shmstat.h"
#include "show/json.h"
#include "show/metrics.h"
#include "show/tables.h"
#include "show/view.h"

static const char program[] = "shmstat";

enum { INTERVAL_MS = 1000, NOTHING = 1 };

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {'1', OPTION_FLAG, "once", NULL, AT(once), 0, 0, "print once and end, also on a terminal"},
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "print JSON"},
    {0, OPTION_FLAG, "openmetrics", NULL, AT(openmetrics), 0, 0,
     "print metrics for Prometheus and its like, once; of the counters\n"
     "the 1000 that are most in use"},
    {'i', OPTION_SECONDS, "interval", "SECONDS", AT(interval_ms), 50, 86400000,
     "read again so often (default: 1); without a terminal, and without\n"
     "--count, for ever"},
    {'c', OPTION_NUMBER, "count", "N", AT(count), 1, INT32_MAX,
     "end after N readings (default: 1 without a terminal)"},
    {'a', OPTION_FLAG, "idle", NULL, AT(idle), 0, 0,
     "show idle counters, too: those on which nothing is held, waited\n"
     "for, or was asked since the last reading"},
    {0, OPTION_TEXT, "counter", "NAME", AT(counter), 0, 0,
     "show one counter, and who holds its slots since when"},
    {0, OPTION_TEXT, "from", "NODE", AT(from), 0, 0,
     "show what another node of the cluster holds, as this host's bridge\n"
     "last heard; what only that node knows is shown as '-'"},
    {'e', OPTION_FLAG, "events", NULL, AT(events), 0, 0,
     "print the last events that this host's bridge has logged"},
    {0, OPTION_FLAG, "ascii", NULL, AT(ascii), 0, 0,
     "draw the live display with ASCII characters (default when the\n"
     "locale has no UTF-8)"},
    {'V', OPTION_FLAG, "version", NULL, AT(version), 0, 0, "print the version and exit"},
    OPTION_ROW_HELP,
};
#undef AT
static const struct option_table option_table = {option_rows,
                                                 sizeof option_rows / sizeof option_rows[0], false};

static const struct exit_row exit_rows[] = {
    {"0", "shown"},
    {"1", "there is no such counter (--counter), or no such node (--from)"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, or of another version; or the\n"
           "         bridge, which --from and --events need, does not answer"},
    {"71", "an error of the operating system"},
};

static int help(void) {
    fputs("Usage: shmstat [OPTION]...\n"
          "       shmstat check [OPTION]...\n"
          "       shmstat verify [OPTION]...\n\n"
          "Show what is in a slotshare segment: counters, who holds slots, and the cluster.\n"
          "Live when standard input and output are a terminal, else once, as text or JSON.\n"
          "Nothing is ever written to the segment. When it is removed or replaced while\n"
          "shmstat runs, shmstat says so and goes on with the new one.\n\n"
          "'shmstat check' is for monitoring systems: how full are the limits? 'shmstat verify'\n"
          "compares counts with records. Each has a --help of its own.\n",
          stdout);
    options_help(stdout, &option_table);
    screen_help(stdout);
    json_help(stdout);
    fputs("\nMetrics:\n", stdout);
    metrics_describe(stdout);
    fputs("\nEnvironment:\n"
          "  SLOTSHARE_DIR  where segments are, unless --directory is given\n"
          "  NO_COLOR       when set and not empty: no colours\n",
          stdout);
    exits_help(stdout, exit_rows, sizeof exit_rows / sizeof exit_rows[0]);
    return exit_flush(program, EX_OK);
}

static void sleep_ms(int64_t ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* What the bridge is asked for, besides. Without its answer what is here is shown all the same,
 * unless nothing else was wanted. @return EX_OK, or the status to end with */
static int show_told(struct snapshot *snapshot, const struct settings *settings, char *trouble,
                     size_t size) {
    const unsigned all = CLUSTER_NODES | CLUSTER_EVENTS;
    const unsigned what =
        (settings->from != NULL ? CLUSTER_FROM : 0) | (settings->json              ? all
                                                       : settings->events          ? CLUSTER_EVENTS
                                                       : settings->counter != NULL ? CLUSTER_NODES
                                                                                   : 0);
    bool refused = false;

    if (what == 0 ||
        cluster_ask(settings, what, settings->counter, snapshot, &refused, trouble, size) ||
        (settings->from == NULL && !settings->events)) {
        return EX_OK;
    }
    fprintf(stderr, "shmstat: %s\n", trouble);
    return refused ? NOTHING : EX_UNAVAILABLE;
}

/* The tables for people. */
static unsigned views_of(const struct settings *settings) {
    return settings->events ? 1U << VIEW_EVENTS
                            : 1U << VIEW_COUNTERS | (settings->from != NULL ? 0
                                                     : settings->counter != NULL
                                                         ? 1U << VIEW_SLOTS | 1U << VIEW_NODES
                                                         : 1U << VIEW_OWNERS | 1U << VIEW_MEMBERS);
}

static int show(struct snapshot *snapshot, const struct settings *settings) {
    char trouble[1024] = "";
    const int status = show_told(snapshot, settings, trouble, sizeof trouble);

    if (status != EX_OK) {
        return status;
    }
    if (settings->counter != NULL && snapshot->counters == 0) {
        fprintf(stderr,
                "shmstat: no counter '%s' in segment '%s'; a counter comes with the first "
                "connection that it counts, 'shmstat --once --idle' lists all\n",
                settings->counter, snapshot->segment.stat.name);
        return NOTHING;
    }
    if (settings->json ? !json_show(stdout, snapshot)
                       : !tables_show(stdout, snapshot, views_of(settings), trouble)) {
        fprintf(stderr, "shmstat: no memory for the display, or nowhere to print it\n");
        return EX_OSERR;
    }
    return exit_flush(program, EX_OK);
}

/* One reading after the other. Without a segment in between: said once, and tried again. */
static int print_run(struct source *source, const struct settings *settings) {
    struct snapshot_choice choice = {settings->idle || settings->from != NULL, settings->counter};
    struct snapshot snapshot = {0};
    int64_t count = settings->count;
    int status = EX_OK;
    bool gone = false;

    if (settings->once || settings->events || (count == 0 && settings->interval_ms == 0)) {
        count = 1;
    }
    for (int64_t i = 0; count == 0 || i < count; i++) {
        if (i > 0) {
            sleep_ms(settings->interval_ms != 0 ? settings->interval_ms : INTERVAL_MS);
        }
        int result = snapshot_read(source, &choice, &snapshot);
        if (result != SLOTSHARE_OK) {
            if (!gone) {
                status = exit_tell(program, result, source->error);
            }
            gone = true;
            continue;
        }
        if (gone || source->replaced) {
            fprintf(stderr, "shmstat: the segment was replaced; reading the new one\n");
        }
        gone = false;
        if (i > 0 && !settings->json) {
            putchar('\n');
        }
        status = show(&snapshot, settings);
        if (status == EX_OSERR) {
            break;
        }
    }
    snapshot_free(&snapshot);
    return status;
}

static int print_metrics(struct source *source) {
    const int result = metrics_write(stdout, source->handle, METRICS_COUNTERS, NULL, NULL);

    return result == SLOTSHARE_OK ? exit_flush(program, EX_OK) : exit_tell(program, result, "");
}

static int run(const struct settings *settings) {
    struct source source;
    int result = source_open(&source, settings->name, settings->directory);
    int status;

    if (result != SLOTSHARE_OK) {
        status = exit_tell(program, result, source.error);
    } else if (settings->openmetrics) {
        status = print_metrics(&source);
    } else if (!settings->once && !settings->events && !settings->json && isatty(STDIN_FILENO) &&
               isatty(STDOUT_FILENO)) {
        status = screen_run(&source, settings);
    } else {
        status = print_run(&source, settings);
    }
    source_close(&source);
    return status;
}

int main(int argc, char **argv) {
    struct settings settings = {.patience_ms = BRIDGE_ANSWER_MS};

    (void)setlocale(LC_ALL, "");
    (void)setlocale(LC_NUMERIC, "C"); /* numbers on the command line and in JSON have a '.' */
    if (argc > 1 && strcmp(argv[1], "check") == 0) {
        return check_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "verify") == 0) {
        return verify_main(argc - 1, argv + 1);
    }
    int first = options_parse(program, &option_table, argc, argv, &settings);
    if (first == OPTIONS_HELP) {
        return help();
    }
    if (first == OPTIONS_WRONG) {
        return EX_USAGE;
    }
    if (settings.version) {
        printf("shmstat %s (libslotshare %s)\n", SLOTSHARE_VERSION, slotshare_version());
        return exit_flush(program, EX_OK);
    }
    if (first < argc) {
        fprintf(stderr, "shmstat: takes no operand: '%s'; see 'shmstat --help'\n", argv[first]);
        return EX_USAGE;
    }
    if (settings.openmetrics && (settings.json || settings.counter != NULL || settings.count > 1 ||
                                 settings.from != NULL || settings.events)) {
        fprintf(stderr, "shmstat: --openmetrics goes with neither --json, --counter, --count, "
                        "--from nor --events\n");
        return EX_USAGE;
    }
    if (settings.once && settings.count > 1) {
        fprintf(stderr, "shmstat: --once and --count exclude each other\n");
        return EX_USAGE;
    }
    return run(&settings);
}
