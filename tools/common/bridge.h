/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COMMON_BRIDGE_H
#define TOOLS_COMMON_BRIDGE_H
/**
 * A question to the bridge of this host, over the socket beside its segment (bridge/admin.h). Plain
 * sockets: a program that asks needs no threads. Thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    BRIDGE_ANSWER_MS = 5000, /**< a patient one waits so long for its answer */
    BRIDGE_PATH_MAX = 108,   /**< of a socket, with its NUL */
};

/** The path of the socket. name, directory: of the segment; NULL: the defaults.
 * @return false: it is too long. */
bool bridge_path(char out[BRIDGE_PATH_MAX], const char *name, const char *directory);

/** What became of a question. */
enum bridge_result {
    BRIDGE_ANSWERED,
    BRIDGE_REFUSED, /**< the answer holds "errors" */
    BRIDGE_SILENT   /**< nobody answers: error says why, and what to do */
};

/**
 * One question, one answer.
 * @param question    "command" and what it needs; taken
 * @param timeout_ms  for all of it
 * @param answer      json_decref() it; NULL when nobody answers
 */
enum bridge_result bridge_ask(const char *path, json_t *question, int timeout_ms, json_t **answer,
                              char *error, size_t error_size);

/** Members of an object, "" or 0 or false when they are not there: answers are not trusted. */
const char *ask_text(const json_t *object, const char *key);
int64_t ask_number(const json_t *object, const char *key);
bool ask_is(const json_t *object, const char *key);

#endif
