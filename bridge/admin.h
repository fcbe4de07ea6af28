/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_ADMIN_H
#define SLOTSHARE_BRIDGE_ADMIN_H
/**
 * Where operators ask the bridge of their host: a socket beside the segment, NAME.admin, which the
 * segment's group may use. One line to and one line fro, each a JSON object; then it is closed:
 *
 *     {"slotshare": 1, "command": "status"}  ->  {"slotshare": 1, "ok": true, ...}
 *                                                {"slotshare": 1, "ok": false, "errors": ["..."]}
 *
 * Clients do not wait for each other; nothing here blocks, and who is slow is cut off after a
 * second. Of more than ADMIN_CLIENTS_MAX at once the oldest is cut off. What is asked is checked:
 * no JSON, another version, no command get an error. Not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum {
    ADMIN_VERSION = 1,
    ADMIN_REQUEST_MAX = 16384, /**< bytes; more is refused */
    ADMIN_CLIENTS_MAX = 16,
};

struct admin;

/** Listen. segment_path: of the segment, there or not.
 * @return 0; -1: *out is NULL, error says what was wrong, where, and what to do. */
int admin_open(struct admin **out, const char *segment_path, char *error, size_t error_size);

/** Takes the socket's name away; the rest is left to the end of the process, see net_close(). */
void admin_close(struct admin *admin);

/** Readable when requests are there; -1 when admin is NULL. */
int admin_fd(const struct admin *admin);

/** The next request: *command is its command, *request the whole object (json_decref() it). Each
 * must be answered. Bad ones are answered here. @return false: none is there. */
bool admin_receive(struct admin *admin, json_t **request, const char **command);

/** What a line asks for; pure, and the line is hostile. @return as admin_receive() gives it in
 * *request; NULL: *why says what is wrong with it, for people. */
json_t *admin_understand(const char *line, size_t size, const char **command, const char **why);

/** Answer it; takes the reply, an object, and adds what every reply has. errors: NULL or empty, or
 * an array of strings: then it was refused. */
void admin_reply(struct admin *admin, json_t *reply, json_t *errors);

#endif
