/* SPDX-License-Identifier: MIT */
/*
 * demo-witness: counts open connections, as the kernel knows them, every few milliseconds. It
 * knows nothing of slotshare: addresses are all that it is told.
 */
#include "witness.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "Usage: demo-witness --port PORT [--interval MS] [--report MS] NAME;LIMIT;FROM/TO[;...]...\n"
    "\n"
    "Count the connections to PORT whose sending end is open, every --interval (2) milliseconds.\n"
    "Each argument is something to count: a name, a limit ('-' for none), and from which to which\n"
    "IPv4 addresses ('127.0.0.1+127.0.0.2/127.0.0.3', '*' for any).\n"
    "Every --report (100) milliseconds prints a line of JSON; each watch, in the order given, as\n"
    "[now, most since the last line, highest ever, looks that found more than the limit].\n"
    "Runs until it is killed or nobody reads its output.\n";

struct timing {
    int64_t interval, report; /* ns */
    int64_t longest;          /* between two looks, ns */
    uint64_t looks;
};

static int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_until(int64_t when) {
    struct timespec at = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static bool report(struct witness *witness, const struct timing *timing, int64_t now) {
    printf("{\"ms\": %" PRId64 ", \"looks\": %" PRIu64 ", \"longest_ms\": %.1f, \"watch\": [",
           now / 1000000, timing->looks, (double)timing->longest / 1e6);
    for (unsigned i = 0; i < witness->watches; i++) {
        struct watch *watch = &witness->watch[i];
        printf("%s[%u, %u, %u, %" PRIu64 "]", i ? ", " : "", watch->now, watch->most,
               watch->highest, watch->over);
        watch->most = 0;
    }
    puts("]}");
    return fflush(stdout) == 0;
}

static int run(struct witness *witness, struct timing *timing) {
    int64_t last = clock_now(), next = last, due = last + timing->report;
    for (;;) {
        if (!kernel_look(witness))
            return 1;
        int64_t now = clock_now();
        watch_count(witness);
        if (timing->looks++ && now - last > timing->longest)
            timing->longest = now - last;
        last = now;
        if (now >= due) {
            if (!report(witness, timing, now))
                return 0;
            due += timing->report;
        }
        next += timing->interval;
        if (next < now)
            next = now; /* late: do not try to catch up */
        sleep_until(next);
    }
}

static bool number(const char *text, long low, long high, long *out) {
    char *end = NULL;
    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *out >= low && *out <= high;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"report", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct witness *witness = calloc(1, sizeof *witness);
    long port = 0, interval = 2, every = 100;
    bool good = witness != NULL;
    int option = 0;
    while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            free(witness);
            return 0;
        }
        good = option != '?' && number(optarg, 1, option == 'p' ? 65535 : 60000,
                                       option == 'p'   ? &port
                                       : option == 'i' ? &interval
                                                       : &every);
    }
    for (; good && optind < argc; optind++)
        good = watch_read(witness, argv[optind]);
    if (!good || !port || !witness->watches) {
        fprintf(stderr, "demo-witness: wrong command line\n%s", usage);
        free(witness);
        return 2;
    }
    witness->port = (uint16_t)port;
    struct timing timing = {.interval = interval * 1000000, .report = every * 1000000};
    return kernel_open(witness) ? run(witness, &timing) : 1;
}
