/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TOOLS_MAILWORKER_OPTIONS_H
#define SLOTSHARE_TOOLS_MAILWORKER_OPTIONS_H
/** The command line of mailworker. */
#include <stdbool.h>
#include <stdint.h>

#include "session.h"

enum { DESTINATIONS_MAX = 64 };

struct options {
    const char *name;      /**< segment; NULL: the library's default */
    const char *directory; /**< of segments; NULL: the library's default */
    const char *config;    /**< to create the segment from on a single host; NULL: do not */
    const char *log;       /**< file that gets one line per delivered message; NULL: none */
    struct session_options session; /**< all but the segment */
    struct destination destination[DESTINATIONS_MAX];
    unsigned destinations;
    unsigned weights; /**< their sum */
    int64_t messages; /**< to deliver in all; 0: no bound */
    unsigned seconds; /**< how long; 0: no bound */
    unsigned processes, connections, per_connection;
    unsigned lifetime_ms; /**< a connection older than this takes no further message */
};

/**
 * Read the command line. Strings of argv are kept (and split in place).
 *
 * @return 0: go on; 1: help or version was printed, exit 0; -1: a message was printed, exit 2.
 */
int options_read(struct options *out, int argc, char **argv);

#endif
