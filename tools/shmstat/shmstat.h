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
    int64_t interval_ms;          /**< 0: not given */
    int64_t count;                /**< 0: not given */
    bool once, json, openmetrics, idle, ascii, version;
};

/** Print a snapshot as text. With `counter` only that counter and who holds it.
 * @return false: no memory */
bool text_show(FILE *out, const struct snapshot *snapshot, const char *counter);

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
