/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_SPREAD_H
#define SLOTSHARE_BRIDGE_SPREAD_H
/**
 * Places in tables that strangers' names fill. A name's hash is the same on every node and known to
 * all (deal_hash()): whoever chooses names could have all of them at one place of a table, where
 * each search passes all others. So the place depends on a secret of this process, too.
 */
#include <stdint.h>
#include <sys/random.h>

#include "../conf/hash.h"

/** A secret for one table. */
static inline uint64_t spread_secret(void) {
    uint64_t secret = 0;
    ssize_t got = getrandom(&secret, sizeof secret, 0);
    (void)got; /* cannot fail for so few bytes; 0 is no worse than none */
    return secret;
}

/** Where to look for it; take as many low bits as the table has places. */
static inline uint64_t spread(uint64_t hash, uint64_t secret) {
    return hash_pair(hash, secret);
}

#endif
