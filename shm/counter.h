/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_COUNTER_H
#define SLOTSHARE_SHM_COUNTER_H
/**
 * The table of counters: hash chains whose new entries go in at the head. Looking up and inserting
 * are lock-free and survive a kill at any instruction. Only one process at a time retires entries
 * (retire.h), so only it changes a chain elsewhere than at its head.
 *
 * A bucket's word is {version, first}; every insertion and every removal raises the version. So a
 * walk that found nothing is valid if the version is still the same at its end, and an insertion
 * whose compare-and-swap succeeds inserted into the very chain that it had searched: a name is
 * never in the table twice.
 *
 * An entry whose word says COUNT_RETIRED is on its way out and counts as not found, so that nobody
 * waits for the one who takes it out; a new entry of its name may be in the chain with it.
 *
 * An entry's generation is even while it is in the table and odd before and after. A reader
 * compares the name between two reads of the generation (a sequence lock); a take checks it
 * between reading the word and replacing it. The hash is keyed with a secret of the segment, so
 * that nobody who chooses domain names can choose chains.
 *
 * A long name goes on in up to NAME_PARTS_MAX further entries.
 *
 * A new counter has the cap CAP_UNSET; limit_settle() gives it the right one.
 */
#include "segment.h"

/** What the rule sets say of a counter on this node. */
struct counter_setup {
    int32_t limit;   /* -1: unlimited */
    int32_t home;    /* share at the opening deal; -1: unlimited */
    int32_t reserve; /* -1: unlimited */
    bool observed;   /* nothing is refused */
    uint32_t line;   /* of the limit in the config file */
    uint64_t until;  /* the limit is that of an override, which ends then (UTC, s); 0: it is not */
    enum slotshare_scope scope;
    uint64_t rules;                  /* generation of the rule set in force */
    uint64_t pending;                /* of the one that is to follow; 0: none */
    bool changes;                    /* the one that is to follow deals it differently: then ... */
    int32_t next_home, next_reserve; /* ... like this */
    bool next_observed;
};

/**
 * Find a counter by name.
 * @param generation  to be compared with the entry's whenever it is used later
 * @return SLOTSHARE_OK; SLOTSHARE_FULL: not in the table; SLOTSHARE_EDAMAGED.
 */
int counter_find(const struct segment *segment, const char *name, size_t length, uint32_t *index,
                 uint32_t *generation);

/** The same, and insert it when it is not there. me: the caller's owner record.
 * @return SLOTSHARE_OK, SLOTSHARE_ECOUNTERS, SLOTSHARE_EDAMAGED. */
int counter_insert(const struct segment *segment, uint32_t me, const char *name, size_t length,
                   const struct counter_setup *setup, uint32_t *index, uint32_t *generation);

/** Copy a live counter's name. out: at least SLOTSHARE_COUNTER_MAX + 1 bytes.
 * @return its length; -1: not live, or changed meanwhile, or damaged. */
int counter_name(const struct segment *segment, uint32_t index, char *out);

/** What a dead owner was building is finished if it is in its chain, and freed if not. */
void counter_recover(const struct segment *segment, uint32_t victim);

/** Mark it wanted and ring the bridge's doorbell; for takes that are refused. */
void counter_want(const struct segment *segment, uint32_t index);

static inline enum slotshare_scope counter_scope(const struct counter *counter) {
    /* relaxed: for people */
    uint32_t both = atomic_load_explicit(&counter->scope_length, memory_order_relaxed);
    return (enum slotshare_scope)(both >> 16);
}

/* For retire.c. */
bool counter_unlink(const struct segment *segment, uint32_t index);
void counter_free_parts(const struct segment *segment, uint32_t index);

#endif
