/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_CORE_CORE_H
#define SLOTSHARE_BRIDGE_CORE_CORE_H
/**
 * The share protocol, pure: events in, actions out; no clock, no I/O, no threads, and no memory
 * taken after core_create(). PROTOCOL.md says what it does and why it is safe. The shell around it
 * owns the segment, the network and the clock.
 *
 * Contract with the shell:
 * - One thread at a time per core; different cores are independent.
 * - `now` is CLOCK_BOOTTIME in milliseconds, read before the event is fed, never going back. That
 *   it is old by the time the core acts is harmless.
 * - After every event, take all actions with core_next_action() and perform each before the next:
 *   their order matters (a vote is stored before it is sent).
 * - CORE_SET_SHARE: apply it in the segment, then feed core_share_applied() with the slots in use
 *   read after that. It and core_counter_update() may be fed while actions are still waiting.
 * - Every message is published to all members. A message that never arrives, arrives late, twice
 *   or in another order is normal. Own messages are ignored when they come back.
 * - Members are known by deal_hash() of their name, counters by a small key that the shell gives
 *   out (any number below core_options.keys) and core_counter_define() explains.
 * - All that a message says is checked: a member that lies can spoil what is dealt, but never make
 *   the core read or write out of bounds, loop, or grow.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../conf/conf.h"
#include "../../shm/control.h"

enum {
    CORE_MEMBERS_MAX = CONF_MEMBERS_MAX, /**< of old and new configuration together */
    CORE_KEYS_MAX = 1 << 20,
};
#define CORE_NEVER UINT64_MAX /**< a time that does not come */

struct core;

/** A leadership. Ordered by number, then candidate. No two leaderships ever have the same. */
struct core_term {
    uint64_t number;    /**< 0: none */
    uint64_t candidate; /**< made from the name, incarnation and generation of who won it */
};

/** What an admission gives to one member; its acknowledgements prolong it. */
struct core_session {
    struct core_term term;
    uint64_t number; /**< 0: none */
};

struct core_member {
    uint64_t hash; /**< deal_hash() of the name; never 0 */
    bool witness;  /**< votes, holds no share */
};

/** Who takes part, and under which edition of the configuration. */
struct core_membership {
    uint64_t epoch;  /**< a newer configuration has a higher one; from 1 */
    uint64_t digest; /**< of limits and members: two files that call themselves the same epoch */
    uint32_t reserve_percent; /**< 0 to 100 */
    uint32_t members;
    struct core_member member[CORE_MEMBERS_MAX]; /**< in the order of their names */
};

/** Durations in milliseconds; all nodes must have the same. */
struct core_timers {
    uint32_t heartbeat; /**< 500 */
    uint32_t session;   /**< T 6000 */
    uint32_t leader;    /**< TC 2000 */
    uint32_t drain;     /**< D 30000: connections above the share end within this and grace */
    uint32_t grace;     /**< G 2000 */
    uint32_t rotation;  /**< Q 5000: how long a slot that rotates stays */
    uint32_t cool;      /**< 8000: without anyone hungry, until the opening deal comes back */
    uint32_t fresh;     /**< 2000: age of the newest echo that still counts */
    uint32_t coalesce;  /**< 20: least time between two messages of one kind */
};
/** The defaults above. */
struct core_timers core_timers_default(void);

struct core_options {
    uint64_t self;    /**< deal_hash() of this node's name */
    uint64_t boot;    /**< control_incarnation() */
    uint64_t created; /**< control_created() */
    uint64_t seed;    /**< of the waits that must differ between nodes; anything */
    uint32_t keys; /**< counters at most, 1 to CORE_KEYS_MAX; about 4.5 kB of address space each */
    struct core_timers timers;
    struct core_membership committed;
    struct control_memory memory; /**< as loaded; generation already that of this bridge */
};

/* ---- messages ---- */

/** One counter of one member, as absolute state. */
struct core_record {
    uint32_t key;
    int32_t held; /**< max(what the node may take up to, in use) */
    int32_t in_use;
    int32_t wants;
    int32_t limit;  /**< what the sender's file says */
    uint64_t grant; /**< sequence of the newest grant applied */
};

enum core_join {
    CORE_JOIN_NO,
    CORE_JOIN_VALID,   /**< has a session that still runs, given by another coordinator */
    CORE_JOIN_EXPIRED, /**< holds its reserve, and what is still above it */
    CORE_JOIN_FRESH,   /**< never had a session in this incarnation */
};

struct core_heartbeat {
    uint64_t from, boot, generation;
    uint64_t sequence;     /**< from 1 */
    struct core_term term; /**< highest seen */
    struct core_session session;
    uint64_t epoch; /**< committed at the sender */
    uint64_t epoch_digest;
    uint64_t ready,
        ready_digest;           /**< pending configuration that the sender already fits; 0: none */
    struct core_term echo_term; /**< of the newest deal message seen */
    uint64_t echo_time;         /**< its time, on the coordinator's clock */
    enum core_join join;
    bool leaving;    /**< an expired join that asks for no admission */
    bool incomplete; /**< set by the receiving shell: it could not represent all records */
    uint32_t records;
    const struct core_record *record;
};

struct core_grant {
    uint32_t key;
    int32_t share;
    uint64_t grant;
};

/** What a deal message says to one member. */
struct core_part {
    uint64_t to, boot;
    uint64_t ack; /**< sequence of the heartbeat that is acknowledged; 0: none */
    struct core_session session;
    bool admission;       /**< the grants replace all records */
    bool incomplete;      /**< set by the receiving shell: it could not represent all grants */
    uint64_t grant_floor; /**< with an admission */
    uint32_t grants;
    const struct core_grant *grant;
};

struct core_deal {
    uint64_t from;
    struct core_term term;
    uint64_t time;                /**< coordinator's clock */
    uint64_t epoch, epoch_digest; /**< committed at the coordinator */
    bool whole;                   /**< contended says the whole set; else it says nothing */
    uint32_t contended;
    const uint32_t *contended_key;
    uint32_t parts;
    const struct core_part *part; /**< a receiver needs only its own */
};

struct core_vote_request {
    uint64_t from, boot, generation;
    struct core_term term;
    uint64_t round; /**< of this candidate; from 1 */
};

struct core_vote {
    uint64_t from;
    uint64_t to, to_boot, to_generation;
    uint64_t round;
    bool granted;
    struct core_term term; /**< highest that the voter has seen */
};

/* ---- actions ---- */

enum core_action_type {
    CORE_STORE_MEMORY, /**< control_memory_store(memory) */
    CORE_SET_SHARE,    /**< control_share_set(key, share, grant), then core_share_applied() */
    CORE_DROP_RECORD,  /**< control_record_drop(key) */
    CORE_READ,         /**< core_counter_update() for share.key, now */
    CORE_SCAN,         /**< core_scan_begin(), core_counter_update() for every counter with more
                            in use than its reserve, core_scan_done(); asked again until done */
    CORE_COMMIT,       /**< the pending configuration is the committed one now: store that */
    CORE_SEND_HEARTBEAT,
    CORE_SEND_DEAL,
    CORE_SEND_VOTE_REQUEST,
    CORE_SEND_VOTE,
    CORE_WARN_LIMIT, /**< member's file says another limit for key: tell people. Only from the
                          coordinator, once per member, counter and limit */
};

/** Pointers in it are valid until the next call with this core. */
struct core_action {
    enum core_action_type type;
    union {
        struct control_memory memory;
        struct {
            uint32_t key;
            int32_t share;
            uint64_t grant;
        } share; /**< SET_SHARE; DROP_RECORD and READ: key alone */
        struct {
            uint64_t epoch, digest;
        } commit;
        const struct core_heartbeat *heartbeat;
        const struct core_deal *deal;
        struct core_vote_request vote_request;
        struct core_vote vote;
        struct {
            uint64_t member;
            uint32_t key;
            int32_t limit;
        } warn;
    };
};

/* ---- life ---- */

/**
 * @return NULL when memory is out or the options are out of range (members 1 to CORE_MEMBERS_MAX,
 * all hashes different and not 0, a timer of 0).
 * Feed core_counter_define() and core_counter_restore() for every record in the segment before
 * anything else, then core_config_pending() if a configuration was pending.
 */
struct core *core_create(const struct core_options *options, uint64_t now);
void core_destroy(struct core *core);

/** The next thing to do, or NULL when all is done. */
const struct core_action *core_next_action(struct core *core);

/** Work that time alone makes due. Call at core_next_tick() or at any other time. */
void core_tick(struct core *core, uint64_t now);
/** When core_tick() is due at the latest. */
uint64_t core_next_tick(const struct core *core);

/* ---- counters ---- */

/**
 * Explain a key: deal_hash() of the counter's name, and its limit here (0 to CONF_LIMIT_MAX; of a
 * counter that the own rule set never makes: the limit in the record that named it). pending_limit:
 * under the pending configuration; the same as limit when none is pending.
 * @return false, and nothing changed: key out of range, already another counter's, or a bad limit.
 */
bool core_counter_define(struct core *core, uint32_t key, uint64_t hash, int32_t limit,
                         int32_t pending_limit);

/** The key may be given to another counter now. @return false: the core still needs it. */
bool core_counter_forget(struct core *core, uint32_t key);

/** At start only: a record of the segment, with the slots in use read just now. */
void core_counter_restore(struct core *core, uint32_t key, int32_t share, uint64_t grant,
                          int32_t in_use, int32_t wants);

/** What the segment says of a counter now. */
void core_counter_update(struct core *core, uint64_t now, uint32_t key, int32_t in_use,
                         int32_t wants);

/** CORE_SET_SHARE was performed; in_use was read after that. */
void core_share_applied(struct core *core, uint64_t now, uint32_t key, uint64_t grant,
                        int32_t in_use);

/** The keys that core_counter_update() must be fed for, at least every half heartbeat; all others
 * cost nothing. *keys is valid until the next call with this core. @return how many. */
uint32_t core_watched(const struct core *core, const uint32_t **keys);

/** A scan for CORE_SCAN starts: every core_counter_update() until core_scan_done() has read its
 * counter after `now`. */
void core_scan_begin(struct core *core, uint64_t now);
/** complete: every counter with more in use than its reserve was fed. */
void core_scan_done(struct core *core, uint64_t now, bool complete);

/* ---- messages ---- */

void core_on_heartbeat(struct core *core, uint64_t now, const struct core_heartbeat *message);
void core_on_deal(struct core *core, uint64_t now, const struct core_deal *message);
void core_on_vote_request(struct core *core, uint64_t now, const struct core_vote_request *message);
void core_on_vote(struct core *core, uint64_t now, const struct core_vote *message);

/* ---- configuration ---- */

/**
 * A newer configuration was loaded, and the segment's workers keep to the lower of both from now
 * on. Every defined counter whose limit differs must be defined again with its pending_limit.
 * @return false, and nothing changed: not newer, out of range, or another one is still pending.
 */
bool core_config_pending(struct core *core, uint64_t now, const struct core_membership *pending);
/** Since the pending configuration took effect in the segment, every counter was seen with no more
 * in use than its home there. */
void core_config_fits(struct core *core, uint64_t now);
/** The operator vouches that this member is dead and holds nothing: it need not be ready, and what
 * it held is free at once. */
void core_vouch_dead(struct core *core, uint64_t now, uint64_t member);

/** Hand back at once what is not in use, and ask for nothing more. The bridge may end when
 * core_left() is true, or after a second. */
void core_leave(struct core *core, uint64_t now);
bool core_left(const struct core *core);

/* ---- to look at ---- */

/** deal_hash() of the coordinator's name, 0 when none was heard lately. */
uint64_t core_coordinator(const struct core *core, uint64_t now);
/** This node is the coordinator: others' heartbeats need their records decoded. */
bool core_leading(const struct core *core, uint64_t now);
/** Somebody wants more of it than its opening deal gives. */
bool core_contended(const struct core *core, uint32_t key);
/** What this node may take up to, as the core sees it; 0 when the key is not defined. */
int32_t core_cap(const struct core *core, uint64_t now, uint32_t key);

/** Counts since creation; nothing depends on them. */
struct core_stats {
    uint64_t takeovers, grants, admissions, heartbeats, records, deals;
    uint64_t mass_negative, valid_gone,
        over_dealt;   /**< accounts that should never be wrong, but were */
    uint64_t ignored; /**< messages that were absurd */
};
struct core_stats core_stats(const struct core *core);

#endif
