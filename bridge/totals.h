/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_TOTALS_H
#define SLOTSHARE_BRIDGE_TOTALS_H
/**
 * What the members have in use, per counter, for people to look at: what they said, and what this
 * node says itself. Nothing in the protocol depends on it. Memory is bounded: names beyond
 * TOTALS_COUNTERS_MAX, or that would take more than TOTALS_BYTES_MAX, are not kept. Not
 * thread-safe.
 *
 * A member says all that it has in a sweep, of as many messages as that takes, and after it what
 * has changed since. Messages may be lost; they are numbered, so that who has lost one knows it,
 * and asks for the next sweep at once. Members of an earlier version say all every second.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

enum {
    TOTALS_COUNTERS_MAX = 65536,
    TOTALS_BYTES_MAX = 32 * 1024 * 1024,
    TOTALS_SILENT_MS = 10000,   /**< figures of a member that is silent for so long are dropped */
    TOTALS_SWEEP_MS = 30000,    /**< from the begin of one sweep to that of the next */
    TOTALS_SWEEP_MIN_MS = 3000, /**< the same when somebody asks for it */
    TOTALS_REPEAT_MS = 5000,    /**< so often at most a change is said that can wait */
};

struct totals;

/** members: how many there are, at most CORE_MEMBERS_MAX. @return NULL: out of memory. */
struct totals *totals_create(uint32_t members);
void totals_destroy(struct totals *totals);

/** Bytes that all rows take. */
size_t totals_bytes(const struct totals *totals);

/* ---- what members say ---- */

/** What a member has said. */
void totals_heard(struct totals *totals, uint32_t member, uint64_t now,
                  const struct wire_totals *message);

/** Messages of a member that speaks were lost, or came before this node listened: a sweep of it
 * is wanted. */
bool totals_lacks(const struct totals *totals, uint32_t member);

/** The member's figures are dropped: its number may stand for another one from now on. */
void totals_forget(struct totals *totals, uint32_t member);

/** Drop what is too old, and names that nobody uses any more. Call it about once a second. */
void totals_expire(struct totals *totals, uint64_t now);

/* ---- what this node says ---- */

/** Takes what is to be said. @return false: there is no room left in the messages of this time. */
typedef bool (*totals_writer)(const struct wire_total *total, void *arg);

/** Somebody lacks messages of ours: a sweep begins as soon as may be. */
void totals_ask(struct totals *totals);

/**
 * Say what there is to say, about once a second: begin, pass every counter that is in use, and end.
 * Nothing waits for ever when not all can be said at once: who was left out comes before who was
 * not.
 * @param self  this node's number, the same each time; its figures are what was said
 */
void totals_say_begin(struct totals *totals, uint32_t self, uint64_t now);
void totals_say(struct totals *totals, const struct wire_total *total, totals_writer write,
                void *arg);
/** Says what is not in use any more. @return true: with that the sweep is complete. */
bool totals_say_end(struct totals *totals, totals_writer write, void *arg);
/** Fill in sweep and number of the next message. */
void totals_say_number(struct totals *totals, struct wire_totals *message);

/* ---- looking ---- */

/** What one member said of one counter. */
struct totals_figure {
    int32_t in_use;
    int32_t share;      /**< -1: unlimited, or it did not say */
    int32_t wants;      /**< in use, and asked for */
    uint64_t oldest_ms; /**< for so long its oldest slot has been held, to a second; 0: none is, or
                           it did not say */
    bool drains;        /**< it has said when what is above its share ends: */
    uint64_t drain_end; /**< the first of these slots is to have ended then, to a second, on the
                           clock of `now`; 0: they should have */
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
