/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_DAEMON_ADMIN_H
#define SLOTSHARE_BRIDGE_DAEMON_ADMIN_H
/** The commands of operators, over the files that have them: each takes the request, and adds to
 * the reply, an object, or to errors, an array of texts: then it is refused. */
#include <jansson.h>

#include "daemon_internal.h"

/** A text for JSON: names in a configuration are any bytes, and JSON wants UTF-8. */
json_t *daemon_admin_text(const char *text);

/** What became of a file, or of a change; frees what is in *report. */
void daemon_admin_report(const struct daemon *daemon, struct reload_report *report, json_t *reply,
                         json_t *errors);

/** A limit for a time: binding, domain or host, limit, seconds. */
void daemon_admin_override_set(struct daemon *daemon, const json_t *request, json_t *reply,
                               json_t *errors);
/** Its end before the time: binding, domain, host; or all. */
void daemon_admin_override_clear(struct daemon *daemon, const json_t *request, json_t *reply,
                                 json_t *errors);
/** node (else this one) takes no new slots, or, when drain is not true, takes them again. */
void daemon_admin_drain(struct daemon *daemon, const json_t *request, json_t *reply,
                        json_t *errors);

#endif
