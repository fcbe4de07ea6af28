/* SPDX-License-Identifier: MIT */
#include "deal.h"

#include <stdbool.h>

#include "hash.h"

uint64_t deal_hash(const char *name, size_t length) {
    return hash_name(name, length);
}

static bool has_member(const struct deal_members *members, uint64_t member) {
    for (uint32_t i = 0; i < members->count; i++)
        if (members->hash[i] == member)
            return true;
    return false;
}

/* How many members come before this one for this counter. */
static uint32_t rank(const struct deal_members *members, uint64_t member, uint64_t counter) {
    const uint64_t own = hash_pair(member, counter);
    uint32_t before = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        const uint64_t other = members->hash[i];
        const uint64_t weight = hash_pair(other, counter);
        before += weight > own || (weight == own && other > member) ? 1 : 0;
    }
    return before;
}

int32_t deal_home(const struct deal_members *members, uint64_t member, uint64_t counter,
                  int32_t limit) {
    if (limit < 0)
        return limit;
    if (!has_member(members, member))
        return 0;
    const uint32_t whole = (uint32_t)limit;
    const uint32_t rest = whole % members->count;
    const uint32_t extra = rest != 0 && rank(members, member, counter) < rest ? 1 : 0;
    return (int32_t)(whole / members->count + extra);
}

int32_t deal_reserve(const struct deal_members *members, uint64_t member, int32_t limit) {
    if (limit < 0)
        return limit;
    if (!has_member(members, member))
        return 0;
    const uint64_t percent = members->reserve_percent < 100 ? members->reserve_percent : 100;
    return (int32_t)(percent * (uint32_t)limit / (UINT64_C(100) * members->count));
}
