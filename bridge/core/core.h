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
 * - CORE_PROMISE: store it where it outlives the bridge and the host, then core_promise_done().
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
    uint64_t epoch;  /**< a newer configuration has a higher one; from 1, given by the cluster */
    uint64_t digest; /**< of limits, members and reserve: stands for the content; not 0 */
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
    uint32_t coalesce;  /**< 20: mean time between two messages of one kind, after the first */
    /**
     * 0: never. Else: when no coordinator of a majority was heard for so long, the members that
     * hear each other deal among themselves, without a majority. The reserves of those that are
     * silent stay theirs, so that nothing goes over while these are dead or keep to their reserves.
     * But when there is another group that hears nothing of this one and has a coordinator too (a
     * majority elsewhere, or one that took over as well), each of the groups uses the limit less
     * the reserves of the others: with g groups up to g times the limit.
     */
    uint32_t take_over_after;
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
    /** As CORE_COMMIT had it stored. epoch 0, members 0: none yet, this is a new node (only with a
     * segment that nobody has taken from). It holds nothing until it learns that `pending` is
     * committed, or founds a cluster with others that are as new: all members of its file that have
     * the same file. To found one with less than all members, start one of them with its file as
     * committed, epoch 1. */
    struct core_membership committed;
    /** What the segment holds as pending; members 0: none. promised: as CORE_PROMISE had it stored,
     * and epoch is the promise's; else epoch does not matter. */
    struct core_membership pending;
    bool promised;
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
    uint64_t epoch; /**< committed at the sender; 0: none */
    uint64_t epoch_digest;
    uint64_t proposed;            /**< digest of the configuration pending at the sender; 0: none */
    uint64_t ready, ready_digest; /**< promised by the sender, which already fits it; 0: none */
    uint32_t vouched; /**< members for which the sender's operator vouches that they are dead */
    const uint64_t *vouched_dead;
    struct core_term echo_term; /**< of the newest deal message seen */
    uint64_t echo_time;         /**< its time, on the coordinator's clock */
    enum core_join join;
    bool leaving;    /**< an expired join that asks for no admission */
    bool incomplete; /**< set by the receiving shell: it could not represent all records */
    uint32_t records;
    const struct core_record *record; /**< with a join all that there are; else what the coordinator
                                           may not know: no record says nothing */
};

struct core_grant {
    uint32_t key;
    int32_t share;
    uint64_t grant;
};

/** What a deal message says to one member. */
struct core_part {
    uint64_t to, boot;
    uint64_t ack;   /**< sequence of the heartbeat that is acknowledged; 0: none */
    uint64_t heard; /**< bit i: the records of heartbeat ack - i were taken in, in this session */
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
    /** All members of the committed and of this configuration have proposed it: who finds its own
     * heartbeat acknowledged may promise it. 0: none. */
    uint64_t agreed, agreed_digest;
    bool minority; /**< from a coordinator without a majority: see core_timers.take_over_after */
    bool whole; /**< contended is the whole set; else some of it, of which the coordinator has yet
                     to hear from everybody */
    uint32_t contended;
    const uint32_t *contended_key;
    uint32_t parts;
    const struct core_part *part; /**< a receiver needs only its own */
};

struct core_vote_request {
    uint64_t from, boot, generation;
    struct core_term term;
    uint64_t round; /**< of this candidate; from 1 */
    bool minority;  /**< for want of a majority: see core_timers.take_over_after */
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
    CORE_PROMISE,      /**< store that the pending configuration (its content too) is promised under
                            this epoch, so that it outlives this bridge and the host's next boot; then
                            core_promise_done() */
    CORE_COMMIT, /**< commit.digest is the pending configuration's: it is the committed one now, in
                      the segment and in the store, and nothing is pending or promised. In the
                      segment counters that change have no record any more. Or it is
                      the committed one's: that one's epoch is this now, no promise is left, and
                      what is pending stays so */
    CORE_SEND_HEARTBEAT,
    CORE_SEND_DEAL,
    CORE_SEND_VOTE_REQUEST,
    CORE_SEND_VOTE,
    CORE_FOREIGN_CONFIG, /**< config.member has committed a configuration that this node does not
                              have: its file must be loaded here. Until then this node keeps to its
                              reserve. Once for each configuration, and not by a new node */
    CORE_WARN_FILE,      /**< config.member runs another file than this node for 10 s now; once
                              for each member and file */
    CORE_WARN_LIMIT,     /**< member's file says another limit for key: tell people. Only from the
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
            bool member; /**< false: this node is no member any more */
        } commit;        /**< COMMIT; PROMISE without member */
        struct {
            uint64_t member;        /**< who said so */
            uint64_t epoch, digest; /**< of WARN_FILE: what it proposes, if it does (epoch 0) */
        } config;
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
 * in both configurations together, too; all hashes different and not 0; digests not 0; a timer of
 * 0; neither a committed nor a pending configuration; promised what is not newer).
 * Feed core_counter_define() and core_counter_restore() for every record in the segment before
 * anything else.
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
 * under the pending configuration; the same as limit when none is pending, or none is committed.
 * @return false, and nothing changed: key out of range, already another counter's, or a bad limit.
 */
bool core_counter_define(struct core *core, uint32_t key, uint64_t hash, int32_t limit,
                         int32_t pending_limit);

/**
 * Is its limit only observed, under the committed and under the pending configuration (the same as
 * the former when none is pending)? To be said after each core_counter_define(); without it a limit
 * is enforced. Such a counter's shares are dealt as if it were enforced, so that it can be judged
 * what that would refuse; what is in use above the share is wanted, but not held.
 */
void core_counter_observe(struct core *core, uint32_t key, bool observed, bool pending_observed);

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

/* ---- configuration ----
 *
 * A file that has changed is a proposal: this node keeps to the lower of both, and may load another
 * one in its place. When all members of the committed and the proposed configuration propose the
 * same, each promises it, for good. When all have promised it and fit it, it is committed.
 */

enum core_config_result {
    CORE_CONFIG_PROPOSED,  /**< it is pending now, in the place of what was pending */
    CORE_CONFIG_WITHDRAWN, /**< it is the committed one: nothing is pending any more */
    CORE_CONFIG_SAME,      /**< it is what is pending already; or nothing is, and it is committed */
    CORE_CONFIG_PROMISED,  /**< not now: another one is promised. Load it again after CORE_COMMIT */
    CORE_CONFIG_BAD,       /**< out of range, too many members in both together, or none of those
                                that are committed: exchange members step by step */
};

/** What core_config_propose() would return. Nothing changes. config->epoch does not matter. */
enum core_config_result core_config_check(const struct core *core,
                                          const struct core_membership *config);

/**
 * A file was loaded. First call core_config_check(). With PROPOSED and WITHDRAWN go on, without any
 * other event in between; with the other results nothing changes here or there.
 * - Nothing was pending: write the rule set into the segment as the pending one, define every
 *   counter again with its pending_limit, and call this.
 * - Something was: it kept workers low, and what it kept from them was dealt to others. So define
 *   the counters, call this, which ends the session, and perform all actions. Only then replace
 * what is pending in the segment, or drop it. What is stored of an older promise is void with
 * either (others have gone beyond it).
 */
enum core_config_result core_config_propose(struct core *core, uint64_t now,
                                            const struct core_membership *config);

/**
 * Another member, heard within the session, has promised what is pending here, and this one has
 * not: nothing else can be committed, so let any other file wait until that is.
 * (core_config_check() would allow it: nobody goes over by it.)
 */
bool core_former_binds(const struct core *core, uint64_t now);

/**
 * What another member, heard within the session, has promised instead of what is pending here: load
 * it again when it was proposed here before, and what took its place when it is committed.
 * @return its digest; 0: there is nothing of that kind, or this node is bound by a promise itself.
 */
uint64_t core_former_wanted(const struct core *core, uint64_t now);

/**
 * Something is pending here, not promised, and all other members can be heard (or were vouched
 * dead), and none of them has promised anything or has or proposes the same: nobody can have
 * promised that, and what waits for it here may take its place.
 */
bool core_former_alone(const struct core *core, uint64_t now);

/** Since the pending configuration took effect in the segment, every counter was seen with no more
 * in use than its home there. */
void core_config_fits(struct core *core, uint64_t now);

/** CORE_PROMISE was performed. stored: it will be there after a reboot; else nothing is promised,
 * and it is asked for again, later. */
void core_promise_done(struct core *core, uint64_t now, bool stored);

/**
 * The operator vouches that this member is dead and holds nothing: it need not propose, promise or
 * vote, and what it held is free at once. Other nodes are told; a restart of this bridge forgets
 * it, and so do hearing of that member, and the next commit. Its host must not come back before
 * that, nor with what it had stored: only as a new node.
 * @return false: no other member of that name is known here, or it was heard within the session.
 */
bool core_vouch_dead(struct core *core, uint64_t now, uint64_t member);

/** Hand back at once what is not in use, of all counters, and ask for nothing more. The bridge may
 * end when core_left() is true: the coordinator has taken it in. Without a coordinator that is
 * never; then, and after some seconds, it may end all the same, and comes to count as lost. */
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

/** Leads, or follows who leads, without a majority: see core_timers.take_over_after. */
bool core_minority(const struct core *core, uint64_t now);

/** The configurations of this node. 0: none. */
struct core_config_state {
    uint64_t committed, committed_digest;
    uint64_t pending_digest;
    uint64_t promised; /**< the epoch under which the pending one is promised; 0: it may change */
    bool overtaken; /**< a promise was made, and what is pending was committed by others beyond it:
                         keep what is stored of the promise until a commit */
    bool fits;      /**< core_config_fits() was told for the pending one */
    uint64_t foreign, foreign_digest; /**< committed by others, and not known here */
};
struct core_config_state core_config_state(const struct core *core);

/** What a member said last, for people. */
struct core_member_state {
    uint64_t heard;                                              /**< when; 0: never */
    uint64_t epoch, epoch_digest, proposed, ready, ready_digest; /**< as in its heartbeat */
    bool committed, pending; /**< member of the one and of the other configuration here */
    bool vouched_dead;
};
/** @return false: no member of either configuration. */
bool core_member_state(const struct core *core, uint64_t member, struct core_member_state *out);

/** Counts since creation; nothing depends on them. */
struct core_stats {
    uint64_t takeovers, grants, admissions, heartbeats, records, deals;
    uint64_t mass_negative, valid_gone,
        over_dealt;   /**< accounts that should never be wrong, but were: of what is enforced.
                           That a join says more than there is, because it speaks of what has
                           drained since or of what it no longer holds, is not among them */
    uint64_t ignored; /**< messages that were absurd */
};
struct core_stats core_stats(const struct core *core);

#endif
