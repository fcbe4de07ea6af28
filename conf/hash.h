/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_HASH_H
#define SLOTSHARE_CONF_HASH_H
/**
 * Hashes that every node and every version must agree on: XXH3 without a key (its output is fixed
 * since xxHash 0.8.0). Not for tables that strangers' names fill; those take a key.
 */
#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/** A name as a number; never 0, which stands for "none". */
static inline uint64_t hash_name(const char *name, size_t length) {
    const uint64_t hash = XXH3_64bits(name, length);
    return hash != 0 ? hash : 1;
}

/** Two hashes as one, their order told apart; every bit depends on all bits of both. */
static inline uint64_t hash_pair(uint64_t first, uint64_t second) {
    uint64_t mixed = first ^ (second * UINT64_C(0x9e3779b97f4a7c15));
    mixed ^= mixed >> 32;
    mixed *= UINT64_C(0xd6e8feb86659fd93);
    mixed ^= mixed >> 32;
    mixed *= UINT64_C(0xd6e8feb86659fd93);
    mixed ^= mixed >> 32;
    return mixed;
}

#endif
