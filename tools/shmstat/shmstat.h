/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SHMSTAT_SHMSTAT_H
#define TOOLS_SHMSTAT_SHMSTAT_H
/**
 * The parts of shmstat.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "show/snapshot.h"

/** What the command line asks for. */
struct settings {
    const char *name, *directory; /**< of the segment; NULL: the defaults */
    const char *counter;          /**< NULL: all */
    const char *from;             /**< what this member has told; NULL: what is here */
    int64_t interval_ms;          /**< 0: not given */
    int patience_ms;              /**< how long the bridge may take for an answer */
    int64_t count;                /**< 0: not given */
    bool once, json, openmetrics, events, idle, ascii, version;
};

/** What to ask the bridge for. */
enum { CLUSTER_FROM = 1, CLUSTER_NODES = 2, CLUSTER_EVENTS = 4 };

/**
 * Ask the bridge of this host, and put its answers into the snapshot.
 * @param what     CLUSTER_* bits
 * @param counter  whose nodes; NULL: of all counters together
 * @param refused  the bridge has answered, and knows no such node
 * @return false: error says why there is no answer
 */
bool cluster_ask(const struct settings *settings, unsigned what, const char *counter,
                 struct snapshot *snapshot, bool *refused, char *error, size_t size);

/**
 * Show the segment live on the terminal, until the user quits, the count is reached, or SIGINT,
 * SIGTERM or SIGHUP arrives.
 * @return the exit status
 */
int screen_run(struct source *source, const struct settings *settings);

/** Print the keys of the live display, for --help. */
void screen_help(FILE *out);

/**
 * "shmstat check" and "shmstat verify": a command line of their own, argv[0] is the word.
 * @return the exit status
 */
int check_main(int argc, char **argv);
int verify_main(int argc, char **argv);

#endif
