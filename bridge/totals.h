/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_TOTALS_H
#define SLOTSHARE_BRIDGE_TOTALS_H
/**
 * What the members say they have in use, per counter, for people to look at. Nothing in the
 * protocol depends on it. Memory is bounded: names beyond TOTALS_COUNTERS_MAX are not kept.
 * Not thread-safe.
 */
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

enum {
    TOTALS_COUNTERS_MAX = 65536,
    TOTALS_SILENT_MS = 10000, /**< figures of a member that is silent for so long are dropped */
};

struct totals;

/** members: how many there are. @return NULL: out of memory. */
struct totals *totals_create(uint32_t members);
void totals_destroy(struct totals *totals);

/** What a member has said. */
void totals_heard(struct totals *totals, uint32_t member, uint64_t now,
                  const struct wire_totals *message);

/** The member's figures are dropped: its number may stand for another one from now on. */
void totals_forget(struct totals *totals, uint32_t member);

/** Drop what is too old, and names that nobody uses any more. Call it about once a second. */
void totals_expire(struct totals *totals, uint64_t now);

/** What one member said of one counter. */
struct totals_figure {
    int32_t in_use;
    int32_t share;      /**< -1: unlimited, or it did not say */
    int32_t wants;      /**< in use, and asked for */
    uint64_t oldest_ms; /**< for so long its oldest slot has been held, to a second; 0: none is, or
                           it did not say */
};

/** @return true, and *out is filled, when the member has said something of this name. */
bool totals_figure(const struct totals *totals, const char *name, uint32_t member, uint64_t now,
                   struct totals_figure *out);

/** The member has said that it has no session. */
bool totals_no_session(const struct totals *totals, uint32_t member);

/** Visit all that the member has said. The visitor returns nonzero to stop. */
typedef int (*totals_member_visitor)(const char *name, const struct totals_figure *figure,
                                     void *arg);
void totals_each_of(const struct totals *totals, uint32_t member, uint64_t now,
                    totals_member_visitor visit, void *arg);

/** Visit every name with its sum over all members; also once after it has gone to 0. */
typedef void (*totals_visitor)(const char *name, int32_t in_use, void *arg);
void totals_each(const struct totals *totals, totals_visitor visit, void *arg);

#endif
