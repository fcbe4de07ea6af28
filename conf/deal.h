/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_DEAL_H
#define SLOTSHARE_CONF_DEAL_H
/**
 * The opening deal: how a limit is split before anybody has asked for anything. Every node
 * computes the same split by itself, from the limit, the members and the counter's name, so it
 * costs no message. Pure functions, thread-safe.
 */
#include <stdint.h>

#include "conf.h"

/** A member or counter name as a number, the same on every node and in every version. */
uint64_t deal_hash(const char *name, size_t length);

/** Who gets a part. Witnesses are not among them. */
struct deal_members {
    uint32_t count;
    uint32_t reserve_percent;        /**< 0 to 100 */
    uint64_t hash[CONF_MEMBERS_MAX]; /**< deal_hash() of each name; all different */
};

/**
 * The part of `limit` that the member `hash` starts with: limit / count, and one of the remainder
 * to the members that rank first for this counter by highest random weight (Thaler and
 * Ravishankar, "A name-based mapping scheme for rendezvous", 1996), so that different counters
 * leave their remainders to different members. The homes of all members sum to `limit`.
 * A negative limit gives itself; a member that is not in the list gets 0.
 */
int32_t deal_home(const struct deal_members *members, uint64_t member, uint64_t counter,
                  int32_t limit);

/** The part of `limit` that every member owns for good: floor(reserve% x limit / count), never
 * more than its home. A negative limit gives itself; a member not in the list gets 0. */
int32_t deal_reserve(const struct deal_members *members, uint64_t member, int32_t limit);

#endif
