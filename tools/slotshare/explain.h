/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLOTSHARE_EXPLAIN_H
#define TOOLS_SLOTSHARE_EXPLAIN_H
/**
 * The parts of `slotshare explain`, some of which `slotshare mx` uses, too.
 */
#include <stdbool.h>

#include <jansson.h>
#include <slotshare/slotshare.h>

#include "conf/ruleset.h"

/** What its command line asks for. */
struct explain_settings {
    const char *config, *name, *directory;
    const char *binding, *domain, *host;
    bool json;
};

/** Explain from the segment. @return the exit status */
int explain_segment(const char *program, const struct explain_settings *settings,
                    const struct slotshare_connection *connection);

/** Load a configuration file; errors are told. @return EX_OK; EX_CONFIG; EX_OSERR. Call
 * explain_unload() in any case. */
int explain_load(const char *program, const char *file, struct ruleset *out);
void explain_unload(struct ruleset *rules);

/** An object with what each explanation has. from: "config" or "segment". */
json_t *explain_json_start(const struct slotshare_connection *connection, const char *from);

/** Print it, and let it go. @return the exit status */
int explain_json_finish(const char *program, json_t *root);

/** Put the limit into it. */
void explain_set_limit(json_t *root, const char *counter, enum slotshare_scope scope, int limit);

/** One line: a label and a value; what could steer a terminal is shown as '?'. */
void explain_count(const char *label, int value);
void explain_text(const char *label, const char *value);

/** Nothing, unless the limit is only observed. */
void explain_enforced(bool observed);
void explain_connection(const struct slotshare_connection *connection);

#endif
