/* SPDX-License-Identifier: MIT */
#include "resolve.h"

/* A reload may overwrite a rule set while it is read (the one before the last). Then the generation
 * has moved by the end: try again. Reloads are rare, so a few tries are enough; more is damage. */
enum { TRIES = 100 };

static bool same_rules(const struct segment *segment, uint64_t generation) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&segment->header->rules, memory_order_relaxed) == generation;
}

int resolve_connection(const struct segment *segment, const struct slotshare_connection *connection,
                       struct ruleset_match *match, uint64_t *rules) {
    for (int i = 0; i < TRIES; i++) {
        struct ruleset set = segment_rules(segment, rules);
        int result = ruleset_resolve(&set, connection, match);
        if (same_rules(segment, *rules)) {
            return result;
        }
    }
    return SLOTSHARE_EDAMAGED;
}

int resolve_steps(const struct segment *segment, const struct slotshare_connection *connection,
                  struct ruleset_step step[SLOTSHARE_STEPS]) {
    uint64_t rules;
    for (int i = 0; i < TRIES; i++) {
        struct ruleset set = segment_rules(segment, &rules);
        int result = ruleset_trace(&set, connection, step);
        if (same_rules(segment, rules)) {
            return result;
        }
    }
    return SLOTSHARE_EDAMAGED;
}

int resolve_counter(const struct segment *segment, const char *name, struct ruleset_match *match,
                    uint64_t *rules) {
    for (int i = 0; i < TRIES; i++) {
        struct ruleset set = segment_rules(segment, rules);
        int result = ruleset_counter(&set, name, match);
        if (same_rules(segment, *rules)) {
            return result;
        }
    }
    return SLOTSHARE_EDAMAGED;
}
