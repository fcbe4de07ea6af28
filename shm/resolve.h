/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_RESOLVE_H
#define SLOTSHARE_SHM_RESOLVE_H
/** From a connection to its limit and its counter, by the rule set in force. */
#include "../conf/ruleset.h"
#include "counter.h"
#include "segment.h"

/** Resolve against the rule set in force. *rules: its generation.
 * @return SLOTSHARE_OK, SLOTSHARE_ENAME, SLOTSHARE_EDAMAGED. */
int resolve_connection(const struct segment *segment, const struct slotshare_connection *connection,
                       struct ruleset_match *match, uint64_t *rules);

/** The scopes that are tried (ruleset_trace()). */
int resolve_steps(const struct segment *segment, const struct slotshare_connection *connection,
                  struct ruleset_step step[SLOTSHARE_STEPS]);

/** The same for a counter's name (ruleset_counter()). */
int resolve_counter(const struct segment *segment, const char *name, struct ruleset_match *match,
                    uint64_t *rules);

#endif
