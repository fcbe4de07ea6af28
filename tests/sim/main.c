/* SPDX-License-Identifier: MIT */
/* cluster-sim: run the share protocol through random faults, seed by seed. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mutants.h"

struct options {
    struct sim_campaign campaign;
    struct sim_request request;
    bool one, shrink, mutants, stories, test_stories, baselines, seeds_given;
};

static void usage(FILE *to) {
    fputs(
        "usage: cluster-sim [--seeds N] [--first SEED] [--scenario NAME] [-j N] [--keep-going]\n"
        "       cluster-sim --directed [--seeds N]\n"
        "       cluster-sim --mutants [--stories]\n"
        "       cluster-sim --trace SEED|--shrink SEED [--scenario NAME] [--mutant N]\n"
        "           [--only IDS] [--until SECONDS] [--nodes N] [--noise N] [--counter N]\n"
        "           [--calm loss,doubled,late,stops,full]\n"
        "Runs the share protocol in virtual time, one random run per seed, and compares what all\n"
        "nodes hold with the limit at every take; afterwards all of every limit must be used\n"
        "again. Stops at the first seed that fails, and tells its story as short as it gets.\n"
        "Scenarios: chaos, nasty, churn, reloads and crowd in turn; drains; observe; those of "
        "--directed.\n"
        "Exit status 1: some run went over or did not come back to full use.\n",
        to);
}

#ifndef SLOTSHARE_MUTANTS
/* Rules can be left out of another build of the core only; it is beside this program. */
static int start_mutants(char **argv) {
    static const char name[] = "cluster-sim-mutants";
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof name);
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        memcpy(slash == NULL ? path : slash + 1, name, sizeof name);
        execv(path, argv);
    }
    fprintf(stderr, "cluster-sim: cannot start %s: %s\n", name, strerror(errno));
    return EXIT_FAILURE;
}
#endif

static bool number(const char *text, uint64_t *out) {
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0' && text[0] != '-';
}

static bool small(const char *text, int least, int most, int *out) {
    uint64_t value = 0;
    bool good = number(text, &value) && value >= (uint64_t)least && value <= (uint64_t)most;
    *out = good ? (int)value : 0;
    return good;
}

static bool seconds(const char *text, double *out) {
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out > 0;
}

static bool calm(char *text, unsigned *out) {
    static char *const kinds[] = {"loss", "doubled", "late", "stops", "full", NULL};
    char *value = NULL;

    while (*text != '\0') {
        int kind = getsubopt(&text, kinds, &value);
        if (kind < 0 || value != NULL) {
            return false;
        }
        *out |= 1u << kind;
    }
    return true;
}

static bool take_campaign(struct options *o, int option, const char *value) {
    switch (option) {
    case 's':
        o->seeds_given = true;
        return number(value, &o->campaign.seeds);
    case 'f':
        return number(value, &o->campaign.first);
    case 'c':
        o->campaign.scenario = o->request.scenario = sim_scenario(value);
        return o->campaign.scenario != NULL;
    case 'j':
        return small(value, 1, 64, &o->campaign.jobs);
    case 'k':
        return o->campaign.keep_going = true;
    case 'd':
        return o->campaign.directed = true;
    case 'm':
        return o->mutants = true;
    case 'T':
        return o->mutants = o->test_stories = true;
    case 'b':
        return o->baselines = true;
    case 'S':
        return o->stories = true;
    default:
        return false;
    }
}

static bool take(struct options *o, int option, char *value) {
    int counter = 0;

    switch (option) {
    case 't':
        o->one = o->request.trace = true;
        return number(value, &o->request.seed);
    case 'z':
        o->one = o->shrink = true;
        return number(value, &o->request.seed);
    case 'n':
        return number(value, &o->request.noise);
    case 'o':
        free((void *)o->request.only);
        o->request.only = run_parse_ids(value);
        return o->request.only != NULL;
    case 'u':
        return seconds(value, &o->request.until_s);
    case 'N':
        return small(value, 2, SIM_NODES, &o->request.nodes);
    case 'C':
        counter = small(value, 0, SIM_KEYS - 1, &o->request.trace_key) ? 1 : 0;
        o->request.trace_key += counter;
        return counter != 0;
    case 'q':
        return calm(value, &o->request.calm);
    case 'M':
        return small(value, 1, WORLD_MUTANTS_END - 1, &o->request.mutant) &&
               (o->campaign.mutant = o->request.mutant) != 0;
    default:
        return take_campaign(o, option, value);
    }
}

static int run_single(struct options *o) {
    struct sim *sim = calloc(1, sizeof *sim);
    enum sim_verdict verdict = SIM_GOOD;

    if (sim == NULL) {
        abort();
    }
    if (o->request.scenario == NULL) {
        o->request.scenario = sim_scenario_of(o->request.seed);
    }
    o->request.out = stdout;
    verdict = run_one(sim, &o->request);
    run_print_verdict(sim, &o->request, stdout);
    sim_clear(sim);
    if (o->shrink && verdict != SIM_GOOD) {
        shrink_and_tell(sim, &o->request);
    }
    sim_end(sim);
    free(sim);
    free((void *)o->request.only);
    return verdict == SIM_GOOD ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"seeds", required_argument, NULL, 's'},
        {"first", required_argument, NULL, 'f'},
        {"scenario", required_argument, NULL, 'c'},
        {"jobs", required_argument, NULL, 'j'},
        {"keep-going", no_argument, NULL, 'k'},
        {"trace", required_argument, NULL, 't'},
        {"shrink", required_argument, NULL, 'z'},
        {"noise", required_argument, NULL, 'n'},
        {"only", required_argument, NULL, 'o'},
        {"until", required_argument, NULL, 'u'},
        {"nodes", required_argument, NULL, 'N'},
        {"counter", required_argument, NULL, 'C'},
        {"calm", required_argument, NULL, 'q'},
        {"mutant", required_argument, NULL, 'M'},
        {"directed", no_argument, NULL, 'd'},
        {"mutants", no_argument, NULL, 'm'},
        {"stories", no_argument, NULL, 'S'},
        {"baselines", no_argument, NULL, 'b'},
        {"test-stories", no_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.campaign = {.first = 1, .seeds = 300, .jobs = 1}};
    int option = 0;

    while ((option = getopt_long(argc, argv, "j:h", names, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            return EXIT_SUCCESS;
        }
        if (!take(&o, option, optarg)) {
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc || (o.shrink && o.request.only != NULL)) {
        usage(stderr);
        return 2;
    }
#ifndef SLOTSHARE_MUTANTS
    if (o.mutants || o.request.mutant != 0) {
        return start_mutants(argv);
    }
#endif
    if (o.baselines) {
        return baselines_run(o.seeds_given ? o.campaign.seeds : 100);
    }
    return o.test_stories ? mutants_test_stories()
           : o.mutants    ? mutants_run(o.stories)
           : o.one        ? run_single(&o)
                          : campaign_run(&o.campaign);
}
