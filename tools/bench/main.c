/* SPDX-License-Identifier: MIT */
/* slot-bench: what a slot costs. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "bench.h"
#include "common/exits.h"
#include "common/options.h"

static const char program[] = "slot-bench";

struct settings {
    const char *only, *directory;
    int64_t milliseconds, counters;
    bool json, list;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {0, OPTION_TEXT, "only", "NAME", AT(only), 0, 0, "one case; --list names them"},
    {'s', OPTION_SECONDS, "seconds", "SECONDS", AT(milliseconds), 10, 600000,
     "for each comparison, roughly (default: 1)"},
    {0, OPTION_NUMBER, "counters", "N", AT(counters), 2000, 16000000,
     "of the large table (default: 1000000)"},
    {'j', OPTION_FLAG, "json", NULL, AT(json), 0, 0, "print JSON"},
    {0, OPTION_FLAG, "list", NULL, AT(list), 0, 0, "print the cases and exit"},
    {0, OPTION_TEXT, "directory", "DIR", AT(directory), 0, 0,
     "where to make a folder for the segments, on tmpfs as in /run\n"
     "(default: /dev/shm)"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "measured, whether what is wanted was met or not"},
    {"64", "wrong usage"},
    {"71", "could not be measured; a message says why"},
};

static const struct bench_case cases[] = {
    {"handle", "acquire and release on a counter handle", case_pairs},
    {"cluster", "the same in a cluster: each take checks the session's end", case_cluster},
    {"contended", "acquire and release, two processes on one counter", case_contended},
    {"name", "acquire by name and release, warm", case_name},
    {"refusal", "acquire on a full counter", case_refusal},
    {"redis", "acquire and release", case_redis},
    {"counters", "acquire and release on counters at random", case_counters},
    {"insertion", "the first acquire of a name", case_insertion},
    {"processes", "acquire and release on one counter", case_processes},
    {"handover", "from release to the return of acquire_wait in another process", case_handover},
    {"fairness", "how long the unluckiest waits", case_fairness},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void print_help(const struct option_table *table) {
    printf("Usage: %s [OPTION...]\n"
           "Measure what a slot costs beside what else could count connections. Both sides of a\n"
           "comparison run in turns, in the same processes; what is printed is the middle one\n"
           "of many rounds and what the middle half of them lies between.\n",
           program);
    options_help(stdout, table);
    exits_help(stdout, exit_rows, sizeof exit_rows / sizeof exit_rows[0]);
}

static int make_folder(struct bench *bench, const char *parent) {
    if (!parent) {
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    int length =
        snprintf(bench->directory, sizeof bench->directory, "%s/slot-bench.XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof bench->directory || !mkdtemp(bench->directory)) {
        return bench_fail(bench, "%s: cannot make a folder: %s", parent, strerror(errno));
    }
    return 0;
}

static void remove_folder(const struct bench *bench) {
    DIR *folder = opendir(bench->directory);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder) {
        (void)closedir(folder);
    }
    (void)rmdir(bench->directory);
}

static bool is_case(const char *name) {
    for (size_t i = 0; i < CASES; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int run_cases(struct bench *bench, struct report *report, const char *only) {
    int result = 0;
    for (size_t i = 0; result == 0 && i < CASES; i++) {
        if (!only || strcmp(cases[i].name, only) == 0) {
            result = cases[i].run(bench, report, &cases[i]);
        }
    }
    return result;
}

static int run(const struct settings *settings) {
    struct bench bench = {.milliseconds = settings->milliseconds,
                          .counters = (uint32_t)settings->counters};
    if (make_folder(&bench, settings->directory) != 0) {
        fprintf(stderr, "%s: %s\n", program, bench.error);
        return EX_OSERR;
    }
    struct report *report = report_new(stdout, settings->json);
    int result =
        report ? run_cases(&bench, report, settings->only) : bench_fail(&bench, "no memory");
    if (report && report_end(report, &bench) != 0) {
        result = bench_fail(&bench, "no memory for the report");
    }
    remove_folder(&bench);
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", program, bench.error);
    }
    return exit_flush(program, result == 0 ? EXIT_SUCCESS : EX_OSERR);
}

int main(int argc, char **argv) {
    const struct option_table table = {option_rows, sizeof option_rows / sizeof option_rows[0],
                                       false};
    struct settings settings = {.milliseconds = 1000, .counters = 1000000};
    int operand = options_parse(program, &table, argc, argv, &settings);
    if (operand == OPTIONS_HELP) {
        print_help(&table);
        return exit_flush(program, EXIT_SUCCESS);
    }
    if (operand == OPTIONS_WRONG) {
        return EX_USAGE;
    }
    if (operand != argc || (settings.only && !is_case(settings.only))) {
        fprintf(stderr, "%s: no such case: %s; '%s --list' names them\n", program,
                operand != argc ? argv[operand] : settings.only, program);
        return EX_USAGE;
    }
    if (settings.list) {
        for (size_t i = 0; i < CASES; i++) {
            printf("%-12s %s\n", cases[i].name, cases[i].what);
        }
        return exit_flush(program, EXIT_SUCCESS);
    }
    return run(&settings);
}
