/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLOTSHARE_ASK_H
#define TOOLS_SLOTSHARE_ASK_H
/**
 * Asking the bridge of this host, over the socket beside its segment.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/bridge.h"

/** Which bridge, and how errors begin. */
struct ask {
    const char *program;
    char path[BRIDGE_PATH_MAX]; /**< of the socket */
};

/** name, directory: of the segment; NULL: the defaults. @return false: the path is too long. */
bool ask_init(struct ask *ask, const char *program, const char *name, const char *directory);

/** Is there a socket at all? Where there is none, no bridge has run since the boot. */
bool ask_possible(const struct ask *ask);

/**
 * One question, one answer; at most some seconds.
 * @param question  "command" and what it needs; taken
 * @param answer    json_decref() it; NULL with any error. Refusals were told, line by line.
 * @return 0; EX_UNAVAILABLE: no bridge answered (told); EX_CONFIG: refused (told).
 */
int ask_bridge(const struct ask *ask, json_t *question, json_t **answer);

/** Print a text that came from elsewhere: what could steer a terminal becomes '?'. */
void ask_print(const char *text);

/** A configuration that the bridge was told to make. */
struct ask_edition {
    const char *digest;
    int64_t version; /**< of the list of changes that it has; 0: it is a file */
};

/** Wait until it is committed, telling for whom it waits.
 * @return EX_OK (told); EX_TEMPFAIL: it is not yet (told for whom), or another one has taken its
 *         place (told); EX_UNAVAILABLE. */
int ask_wait_committed(const struct ask *ask, const struct ask_edition *edition, int64_t wait_ms);

/** Have the bridge make a change without its file, and tell what becomes of it. question: as
 * ask_bridge(). @return an exit status. */
int ask_change(const struct ask *ask, json_t *question, int64_t wait_ms);

/** Have the bridge read its file, and tell what becomes of it. @return an exit status. */
int ask_reload(const struct ask *ask, int64_t wait_ms);

#endif
