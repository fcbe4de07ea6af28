/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_LAYOUT_H
#define SLOTSHARE_CONF_LAYOUT_H
/**
 * The bytes of a compiled rule set, in this order and without gaps:
 *
 *     header | rule[rules] | cell[cells] | member[members] | strings
 *
 * A rule is a stanza that sets the option. The cells are a hash table of the rules (linear
 * probing, a power of two, at most half full): the upper 32 bits of a cell are those of the
 * rule's key, the lower ones its index + 1; 0 is an empty cell. A string is named by its offset in
 * the strings and its length, and a NUL follows it. All numbers are of the host's byte order: the
 * block never leaves the host.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "ruleset.h"

#define LAYOUT_MAGIC UINT64_C(0x31454c5552544f4c) /* "LOTRULE1" */
enum { LAYOUT_VERSION = 4 };

struct layout_string {
    uint32_t offset, length;
};

struct layout_header {
    uint64_t magic;
    uint64_t checksum; /* XXH3 of the block with 0 in this place */
    uint64_t digest;   /* conf_digest() of what it was compiled from */
    uint32_t version;
    uint32_t size;                             /* of the block */
    uint32_t rules, cells, members, strings;   /* how many; strings: bytes */
    uint32_t probes;                           /* no rule is further than this from its cell */
    uint32_t clustered, self, reserve_percent; /* self: CONF_SELF_NONE when no member */
    uint32_t scopes;                           /* bit s: there are rules of scope s */
    uint32_t flags;                            /* enum layout_flags */
    struct layout_string file, node;
    struct layout_string changes; /* conf_changes_text() */
};
static_assert(sizeof(struct layout_header) % 8 == 0, "the parts are aligned to 8");

enum layout_flags {
    LAYOUT_DRAINED = 1, /* this node takes no new slots */
};

enum layout_rule_flags {
    LAYOUT_OVERRIDDEN = 1, /* limit is that of an override; base, until and ms are set */
    LAYOUT_OBSERVED = 2,   /* the file says enforce = no, which an override sets aside */
};

struct layout_rule {
    uint64_t key;
    int32_t limit;
    uint32_t line;
    struct layout_string binding, name; /* name: domain or host */
    uint32_t scope, parts;
    uint32_t flags; /* enum layout_rule_flags */
    int32_t base;   /* as in struct conf_limit, like until and ms */
    uint64_t until, ms;
};
static_assert(sizeof(struct layout_rule) == 64, "no padding");

struct layout_member {
    uint64_t hash; /* deal_hash() of its name */
    struct layout_string name, url;
    uint32_t witness; /* holds no share: a witness, or drained */
    uint32_t drained;
};
static_assert(sizeof(struct layout_member) == 32, "no padding");

/** The key of a rule: its scope and the hashes of its names (hash_name(); 0: has none). These are
 * well mixed already, so little is left to do. */
static inline uint64_t layout_key(uint32_t scope, uint64_t binding, uint64_t name) {
    return (binding ^ (name << 32 | name >> 32)) + scope * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t layout_tag(uint64_t key) {
    return key & UINT64_C(0xffffffff00000000);
}

/** The checksum of a block whose size has been checked. */
static inline uint64_t layout_checksum(const unsigned char *base, size_t size) {
    const size_t before = offsetof(struct layout_header, checksum);
    const size_t after = before + sizeof(uint64_t);
    return hash_pair(XXH3_64bits(base, before), XXH3_64bits(base + after, size - after));
}

#endif
