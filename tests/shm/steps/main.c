/* SPDX-License-Identifier: MIT */
/* crash-steps: what is promised when a process dies, tried at every instruction. */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "steps.h"

static const char usage[] =
    "usage: crash-steps [--full | --short] [--mode NAME] [--stride N] [--realtime]\n"
    "       crash-steps --mutants\n"
    "       crash-steps --list\n"
    "\n"
    "Stops real processes after each instruction of the library's calls, kills them there, lets\n"
    "the library recover, and compares the whole table with what is held.\n"
    "\n"
    "  --full       all that one has patience for (minutes)\n"
    "  --short      some of them (default)\n"
    "  --mode NAME  only this one; see --list\n"
    "  --op NAME    only this call, in the modes with one victim\n"
    "  --stride N   every Nth place\n"
    "  --realtime   on one processor and before everything else: faster on a busy machine\n"
    "  --mutants    make each of the known mistakes in a copy of the library; all must be found\n"
    "\n"
    "Exit status: 0 nothing wrong; 1 mistakes; 2 usage, or it cannot run here; 3 stuck.\n";

const struct mode modes[] = {
    {"alone", "killed at every instruction of every call", mode_alone, 61, 1, CLUSTER},
    {"tag", "its tag is overwritten before it is recovered", mode_tag, 11, 1, CLUSTER},
    {"proof", "and so is the proof of what it did", mode_proof, 5, 1, CLUSTER},
    {"live", "stopped, others go on and reap, then it goes on or dies", mode_live, 97, 5, CLUSTER},
    {"share", "the share is lowered while a take is under way", mode_share, 11, 1, CLUSTER},
    {"double", "two threads give back the same slot", mode_double, 3, 1, CLUSTER},
    {"stale", "its counter is retired, and another one comes into its entry", mode_stale, 11, 1,
     CLUSTER},
    {"pair", "victim stopped at i, helper at j; either or both die", mode_pair, 61, 7, CLUSTER},
    {"insert", "two insert or retire names at once; either or both die", mode_insert, 1499, 149,
     CLUSTER},
    {"reaper", "the reaper is killed at every instruction, too", mode_reaper, 397, 31, CLUSTER},
    {"reaper-twice", "two reapers are killed, and others go on in between", mode_reaper_twice, 31,
     1, CLUSTER},
    {"paused", "a reaper is paused while others go on", mode_paused, 997, 97, CLUSTER},
    {"reuse", "an owner record is used again while a helper is stalled", mode_reuse, 97, 7,
     CLUSTER},
    {"bridge", "a bridge dies while it changes shares or limits", mode_bridge, 397, 11, CLUSTER},
    {"single", "like alone, on one host by itself", mode_alone, 197, 5, SINGLE},
    {"single-live", "like live, on one host by itself", mode_live, 397, 11, SINGLE},
    {"reload", "one who changes the limits is killed, or others go on", mode_reload, 1997, 211,
     SINGLE},
    {"reload-live", "the limits are changed while a call is under way", mode_reload_live, 97, 2,
     SINGLE},
    {"grow", "one who makes the table larger is killed", mode_grow, 31, 1, GROWING},
};
const unsigned mode_count = sizeof modes / sizeof modes[0];

static void list(void) {
    for (unsigned i = 0; i < mode_count; i++) {
        (void)printf("%-14s %s\n", modes[i].name, modes[i].text);
    }
}

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this process and all actors so far: on a busy machine it says more than the clock. */
static double cpu_seconds(void) {
    double sum = 0;
    for (int child = 0; child < 2; child++) {
        struct rusage used;
        (void)getrusage(child ? RUSAGE_CHILDREN : RUSAGE_SELF, &used);
        sum += (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

/* A line that changes, where somebody looks at it. */
static void progress(const struct world *world, bool end) {
    static double last;
    double now = seconds();
    if (!isatty(STDOUT_FILENO) || (!end && now < last + 0.2)) {
        return;
    }
    last = now;
    if (end) {
        (void)printf("\r\033[K");
    } else {
        (void)printf("\r\033[K%-14s %7" PRIu64 " points, %" PRIu64 " in all: %s", world->mode,
                     world->points, world->before + world->points, world->what);
    }
    (void)fflush(stdout);
}

static char now_at[256]; /* for on_alarm() */

static void on_alarm(int number) {
    static const char text[] = "crash-steps: stuck: an operation does not come to its end: ";
    (void)number;
    (void)!write(STDOUT_FILENO, text, sizeof text - 1);
    (void)!write(STDOUT_FILENO, now_at, strlen(now_at));
    _exit(3); /* the actors die with this process */
}

void point_begin(struct world *world, unsigned i, unsigned j, int ending, const char *what, ...) {
    va_list args;
    va_start(args, what);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): just above */
    (void)vsnprintf(world->what, sizeof world->what, what, args);
    va_end(args);
    world->i = i;
    world->j = j;
    world->ending = ending;
    world->points++;
    memcpy(world->mine, world->start, sizeof world->mine);
    world->limits = limits_start;
    (void)snprintf(now_at, sizeof now_at, "%s %s i=%d j=%d ending %d\n", world->mode, world->what,
                   (int)i, (int)j, ending);
    alarm(60);
    progress(world, false);
}

void point_end(struct world *world) {
    for (unsigned role = 0; role < ROLES; role++) {
        actor_kill(world, role);
    }
    world_reap(world);
    (void)world_check(world, "at the end");
    world_reset(world);
}

bool fed_up(const struct world *world) {
    return world->mistakes > (world->until_first ? 0 : 20);
}

static void run_mode(struct world *world, const struct mode *mode, unsigned stride,
                     uint64_t total[3]) {
    double start = seconds(), cpu = cpu_seconds();
    world->mode = mode->name;
    world->before = total[0];
    world->points = world->mistakes = world->late = 0;
    world->stride = stride ? stride : world->full_form ? mode->full_stride : mode->short_stride;
    mode->run(world);
    progress(world, true);
    (void)printf("%-14s %7" PRIu64 " points (%" PRIu64 " beyond the end) %3" PRIu64
                 " mistakes %6.1f s, %6.1f s of CPU\n",
                 mode->name, world->points, world->late, world->mistakes, seconds() - start,
                 cpu_seconds() - cpu);
    (void)fflush(stdout);
    total[0] += world->points;
    total[1] += world->mistakes;
    total[2] += world->late;
}

static int run(struct world *world, const char *only, unsigned stride) {
    const char *why;
    uint64_t total[3] = {0};
    double start = seconds();
    bool found = false, open = false;
    for (unsigned i = 0; i < mode_count && !(world->until_first && total[1]); i++) {
        if (only && strcmp(only, modes[i].name) != 0) {
            continue;
        }
        found = true;
        if (open && world->setting != modes[i].setting) {
            world_close(world);
            open = false;
        }
        if (!open && !world_open(world, modes[i].setting, &why)) {
            (void)fprintf(stderr, "crash-steps: cannot prepare %s\n", why);
            world_close(world);
            return 2;
        }
        open = true;
        run_mode(world, &modes[i], stride, total);
    }
    if (open) {
        world_close(world);
    }
    if (!found) {
        (void)fprintf(stderr, "crash-steps: no mode %s; see --list\n", only);
        return 2;
    }
    (void)printf("%" PRIu64 " points (%" PRIu64 " beyond the end), %" PRIu64
                 " mistakes, %.1f s, %.1f s of CPU\n",
                 total[0], total[2], total[1], seconds() - start, cpu_seconds());
    return total[1] > 0;
}

static bool stay_here(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

static bool go_first(void) {
    const struct sched_param parameter = {.sched_priority = 1};
    return stay_here() && sched_setscheduler(0, SCHED_FIFO, &parameter) == 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"full", no_argument, NULL, 'f'},
                                            {"short", no_argument, NULL, 's'},
                                            {"mode", required_argument, NULL, 'm'},
                                            {"stride", required_argument, NULL, 'n'},
                                            {"op", required_argument, NULL, 'o'},
                                            {"realtime", no_argument, NULL, 'r'},
                                            {"mutants", no_argument, NULL, 'M'},
                                            {"mutant", required_argument, NULL, 'x'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct world world = {.probe = -1};
    const char *only = NULL;
    unsigned stride = 0;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'f':
        case 's':
            world.full_form = option == 'f';
            if (option == 'f') {
                (void)stay_here(); /* of two processes that take turns only one runs at a time */
            }
            break;
        case 'm':
            only = optarg;
            break;
        case 'n':
            stride = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'M':
            return mutants_run_all() == 0 ? 0 : 1;
        case 'x':
            world.until_first = true;
            if (mutants_choose(optarg)) {
                break;
            }
            (void)fprintf(stderr, "crash-steps: no mutant %s\n", optarg);
            return 2;
        case 'o':
            world.only_op = optarg;
            break;
        case 'r':
            if (!go_first()) {
                perror("crash-steps: --realtime");
                return 2;
            }
            break;
        case 'l':
            list();
            return 0;
        default:
            (void)fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind != argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    (void)signal(SIGALRM, on_alarm);
    return run(&world, only, stride);
}
