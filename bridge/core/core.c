/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "internal.h"

#ifdef SLOTSHARE_MUTANTS
_Thread_local int core_mutant;
#endif

struct core_timers core_timers_default(void) {
    return (struct core_timers){.heartbeat = 500,
                                .session = 6000,
                                .leader = 2000,
                                .drain = 30000,
                                .grace = 2000,
                                .rotation = 5000,
                                .cool = 8000,
                                .fresh = 2000,
                                .coalesce = 20};
}

uint64_t core_margin(uint64_t ms) {
    return ms + ms / 50 + 2;
}

uint64_t core_expiry(const struct core *core) {
    uint64_t drain = MUTANT(core, MUTANT_NO_DRAIN_WAIT) ? 0 : core->timers.drain;
    return core_margin((uint64_t)core->timers.session + drain + core->timers.grace);
}

uint64_t core_random(struct core *core, uint64_t below) {
    /* splitmix64 (Steele, Lea, Flood 2014): any seed is good, equal seeds give equal runs. */
    uint64_t z = (core->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

int core_compare_terms(const struct core_term *a, const struct core_term *b) {
    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    return (a->candidate > b->candidate) - (a->candidate < b->candidate);
}

bool core_same_session(const struct core_session *a, const struct core_session *b) {
    return a->number == b->number && core_compare_terms(&a->term, &b->term) == 0;
}

struct core_term core_memory_term(const struct core *core) {
    return (struct core_term){core->memory.term, core->memory.term_member};
}

struct core_session core_memory_session(const struct core *core) {
    return (struct core_session){{core->memory.session_term, core->memory.session_term_member},
                                 core->memory.session_number};
}

bool core_absurd_epoch(uint64_t epoch) {
    return epoch > (uint64_t)1 << 62;
}

bool core_absurd_term(const struct core_term *term) {
    return term->number > (uint64_t)1 << 62;
}

int core_find_peer(const struct core *core, uint64_t hash) {
    for (int i = 0; hash != 0 && i < core->peers; i++) {
        if (core->peer[i].hash == hash) {
            return i;
        }
    }
    return -1;
}

bool core_has_member(const struct core_membership *membership, uint64_t hash) {
    for (uint32_t i = 0; i < membership->members; i++) {
        if (membership->member[i].hash == hash) {
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

static bool timers_good(const struct core_timers *t) {
    return t->heartbeat != 0 && t->session != 0 && t->leader != 0 && t->drain != 0 &&
           t->grace != 0 && t->rotation != 0 && t->cool != 0 && t->fresh != 0 && t->coalesce != 0;
}

void core_destroy(struct core *core) {
    if (core != NULL) {
        free(core->counter);
        free(core->watched);
        free(core->row);
        free(core->entry);
        free(core->active);
        free(core->action);
        free(core->record);
        free(core->grant);
        free(core->contended_key);
        free(core->granting);
        free(core);
    }
}

static bool take_memory(struct core *core, uint32_t keys) {
    core->action_room = 4 * keys + 2 * ACTIONS_SPARE;
    core->counter = calloc(keys, sizeof *core->counter);
    core->watched = calloc(keys, sizeof *core->watched);
    core->row = calloc(keys, sizeof *core->row);
    core->entry = calloc((size_t)keys * CORE_MEMBERS_MAX, sizeof *core->entry);
    core->active = calloc(keys, sizeof *core->active);
    core->action = calloc(core->action_room, sizeof *core->action);
    core->record = calloc(keys, sizeof *core->record);
    core->grant = calloc((size_t)keys * 2, sizeof *core->grant);
    core->contended_key = calloc(keys, sizeof *core->contended_key);
    core->granting = calloc(keys, sizeof *core->granting);
    return core->counter != NULL && core->watched != NULL && core->row != NULL &&
           core->entry != NULL && core->active != NULL && core->action != NULL &&
           core->record != NULL && core->grant != NULL && core->contended_key != NULL &&
           core->granting != NULL;
}

static void start(struct core *core, const struct core_options *options, uint64_t now) {
    core->self = options->self;
    core->boot = options->boot;
    core->created = options->created;
    core->random = options->seed;
    core->timers = options->timers;
    core->memory = options->memory;
    config_start(core, options, now);
    core->sequence = core->memory.sequence;
    core->own_number = core->memory.term;
    core->heartbeat_due = now + core_random(core, core->timers.heartbeat);
    core->coordinator_heard = core->majority_heard = now;
    core->drain_due = CORE_NEVER;
    core->election_due = now + RETRY_MS + core_random(core, RETRY_MS);
    core->scan_ok = core->memory.session_end == 0; /* never above the reserve in this incarnation */

    /* A new incarnation keeps silent until everything that the old one said has become stale (an
     * echo older than `fresh` changes nothing) and every vote that it gave has run out. Incarnation
     * numbers have no order, and need none: a new one in a fresh message is the newer one. */
    uint64_t wait =
        core->timers.fresh > core->timers.leader ? core->timers.fresh : core->timers.leader;
    core->quiet_until = core->created + core_margin(wait);
    if (MUTANT(core, MUTANT_VOTE_NOT_STORED)) {
        core->memory.vote_until = 0;
    }
    if (MUTANT(core, MUTANT_NO_BOOT_WAIT)) {
        core->quiet_until = 0;
    }
    if (MUTANT(core, MUTANT_BOOT_WITH_SESSION) && core->memory.session_end == 0) {
        core->memory.session_end = now + core->timers.session;
        core->memory_dirty = true;
    }
}

struct core *core_create(const struct core_options *options, uint64_t now) {
    if (options->keys == 0 || options->keys > CORE_KEYS_MAX || options->self == 0 ||
        !timers_good(&options->timers) || !config_options_good(options)) {
        return NULL;
    }
    struct core *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return NULL;
    }
    core->keys = options->keys;
    if (!take_memory(core, options->keys)) {
        core_destroy(core);
        return NULL;
    }
#ifdef SLOTSHARE_MUTANTS
    core->mutant = core_mutant;
#endif
    start(core, options, now);
    return core;
}

void core_run(struct core *core, uint64_t now) {
    /* Each may make work for the others; the rates that they keep to end the loop. */
    for (int i = 0; i < 8; i++) {
        bool did = election_run(core, now);
        did = coordinator_run(core, now) || did;
        did = heartbeat_run(core, now) || did;
        if (!did) {
            break;
        }
    }
    if (core->applying == 0) {
        core->apply_due = 0;
    } else if (core->apply_due == 0) {
        core->apply_due = now + 2 * (uint64_t)core->timers.heartbeat;
    }
    core_store_if_dirty(core);
}

void core_tick(struct core *core, uint64_t now) {
    table_abandon(core, now);
    table_read_draining(core, now);
    core_run(core, now);
}

uint64_t core_next_tick(const struct core *core) {
    uint64_t due = core->heartbeat_due;

    if (core->apply_due != 0 && core->apply_due < due) {
        due = core->apply_due;
    }
    if (core->drain_due < due) {
        due = core->drain_due;
    }
    if (core->election_due < due) {
        due = core->election_due;
    }
    if (core->leading && coordinator_due(core) < due) {
        due = coordinator_due(core);
    }
    return due;
}

void core_leave(struct core *core, uint64_t now) {
    core->leaving = true;
    coordinator_step_down(core);
    if (core->memory.session_end > now) {
        /* The session ends here, by our own hand: workers are at the reserve from now on. */
        core->memory.session_end = now;
        core->memory_dirty = true;
    }
    core->scan_ok = core->memory.session_end == 0;
    core->scan_asked = core->scanning = false;
    heartbeat_soon(core, now);
    core_run(core, now);
}

bool core_left(const struct core *core) {
    return core->left;
}

/* ---- to look at ---- */

uint64_t core_coordinator(const struct core *core, uint64_t now) {
    return now - core->coordinator_heard <= 2 * (uint64_t)core->timers.leader ? core->coordinator
                                                                              : 0;
}

bool core_leading(const struct core *core, uint64_t now) {
    return coordinator_acts(core, now);
}

bool core_minority(const struct core *core, uint64_t now) {
    return coordinator_acts(core, now)
               ? core->minority
               : core_coordinator(core, now) != 0 && core->following_minority;
}

struct core_stats core_stats(const struct core *core) {
    return core->stats;
}
