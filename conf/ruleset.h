/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_RULESET_H
#define SLOTSHARE_CONF_RULESET_H
/**
 * The compiled rule set: one block of bytes without pointers, so that it can lie in shared memory
 * and workers need not parse anything. It holds the limits in a hash table by scope and names,
 * the members with their URLs, this node's place among them, and the name of the file.
 *
 * The bytes are hostile until ruleset_check() has passed them, and may be overwritten while they
 * are read (a reload): every function here bounds-checks each offset again as it uses it, ends in
 * bounded time whatever the bytes say, and never reads outside [base, base + size). What it
 * returned may be nonsense then; the caller compares the segment's rule set generation before and
 * after, and tries again.
 *
 * Numbers are read by relaxed atomic loads, each once; names by plain reads, whose outcome is
 * nonsense at worst. A string that is returned lies in the block and ended within it at that
 * moment: who may see the block overwritten copies at most what is left of the block, and compares
 * the generation after that.
 *
 * All functions except ruleset_compile() are thread-safe and allocate nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

#include "conf.h"
#include "deal.h"

struct ruleset {
    const void *base; /**< aligned to 8 */
    size_t size;
};

/** Which limit a connection has, and what it counts against. */
struct ruleset_match {
    enum slotshare_scope scope;
    int32_t limit;   /**< -1: unlimited */
    uint32_t line;   /**< of the option in the config file; 0: no stanza sets it */
    bool observed;   /**< nothing is refused: what would be is counted */
    bool overridden; /**< the limit is that of an override, and line is still that of the file */
    int32_t base;    /**< of an overridden one: what the file says; -1 also when it says nothing */
    uint64_t until;  /**< of an overridden one: its end, in seconds of UTC */
    uint8_t parts;   /**< enum conf_part bits */
    uint16_t length; /**< of counter, without the NUL */
    char counter[SLOTSHARE_COUNTER_MAX + 1];
};

/** @return true when the block is whole: magic, version, sizes, and every offset in it. */
bool ruleset_check(const struct ruleset *rules);

/**
 * Resolve a connection: the first scope, in order of precedence, that sets the option.
 * The counter's name is made of the parts that are counted, each "part:name", joined by commas,
 * in the order binding, domain, host: "host:edge.omniti.com", "binding:bulk,domain:yahoo.com".
 * A part that is counted but not known in the connection is left out; when none is left the
 * counter is "global".
 *
 * @return SLOTSHARE_OK, SLOTSHARE_ENAME, SLOTSHARE_EDAMAGED.
 */
int ruleset_resolve(const struct ruleset *rules, const struct slotshare_connection *connection,
                    struct ruleset_match *out);

/** One step of a resolution, for people: a scope that applied to the connection. */
struct ruleset_step {
    enum slotshare_scope scope;
    bool applies;  /**< the connection has the names that this scope needs */
    bool set;      /**< a stanza sets the option */
    bool observed; /**< as in struct ruleset_match */
    int32_t limit;
    uint32_t line;  /**< 0: of an override that the file has no stanza for */
    uint64_t until; /**< the limit is that of an override, which ends then (UTC, s); 0: it is not */
};

/** The same search, showing every scope tried: step[0..5], in order of precedence.
 * @return as ruleset_resolve(). */
int ruleset_trace(const struct ruleset *rules, const struct slotshare_connection *connection,
                  struct ruleset_step step[6]);

/**
 * The limit of a counter by its name alone, as it came from another node.
 * @return SLOTSHARE_OK; SLOTSHARE_ENAME: not a counter's name, or one that this rule set would
 *         never make; SLOTSHARE_EDAMAGED.
 */
int ruleset_counter(const struct ruleset *rules, const char *name, struct ruleset_match *out);

/** The file that the rule set was compiled from, as given to conf_load(). "" when damaged. */
const char *ruleset_file(const struct ruleset *rules);

/** This node's name. "" when damaged. */
const char *ruleset_node(const struct ruleset *rules);

/** conf_digest() of the configuration; 0 when damaged. */
uint64_t ruleset_digest(const struct ruleset *rules);

/** Nonzero: there is a [cluster] section. */
bool ruleset_clustered(const struct ruleset *rules);

/** This node takes no new slots, by an operator's word. */
bool ruleset_drained(const struct ruleset *rules);

/** Is member i, in the order of the names, drained? false when damaged or out of range. */
bool ruleset_member_drained(const struct ruleset *rules, uint32_t i);

/** conf_changes_text() of what operators have changed; "" when nothing, or damaged. */
const char *ruleset_changes(const struct ruleset *rules);

/**
 * The way back, of a single host: the configuration as its file said it, as far as the block knows
 * it, and what operators have changed besides, not in effect (conf_changes_apply()).
 * @return 0, conf_free() *out; -1: damaged, or memory is out.
 */
int ruleset_decompile(const struct ruleset *rules, struct conf **out);

/** Members that hold shares, for the opening deal; this node's hash in *self (0: it holds none).
 * @return SLOTSHARE_OK, SLOTSHARE_EDAMAGED. */
int ruleset_members(const struct ruleset *rules, struct deal_members *out, uint64_t *self);

/** Number of members, witnesses included; 0 when damaged or not clustered. */
uint32_t ruleset_member_count(const struct ruleset *rules);

/** Name and URL of member i, in the order of the names. "" when damaged or out of range. */
const char *ruleset_member_name(const struct ruleset *rules, uint32_t i);
const char *ruleset_member_url(const struct ruleset *rules, uint32_t i);

/**
 * Compile a configuration. The block depends on nothing but the configuration (the same file
 * gives the same bytes).
 *
 * @param out   malloc()ed, aligned to 8; the caller frees it
 * @return 0; -1 when memory is out.
 */
int ruleset_compile(const struct conf *conf, void **out, size_t *size);

#endif
