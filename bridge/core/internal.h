/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_CORE_INTERNAL_H
#define SLOTSHARE_BRIDGE_CORE_INTERNAL_H
/**
 * What the files of the core share. The member's part is in member.c and heartbeat.c, voting in
 * election.c, configurations in config.c and config_learn.c, the coordinator's part in
 * coordinator.c, admit.c, deal.c, maxmin.c and publish.c; core.c holds the life of it all,
 * actions.c what goes out, and table.c the counters. Nothing here is thread-safe.
 */
#include <string.h>

#include "../../conf/deal.h"
#include "core.h"

enum {
    SENT_RING =
        512, /* heartbeats whose acknowledgement still counts: more than a session's worth */
    FULL_PASS_MS = 100,    /* the coordinator looks at every row this often */
    DRAIN_READ_MS = 25,    /* what is above its share is read this often, to tell at once */
    SLICE_ROWS = 64,       /* or, when there are many, so many at a time, each once a second */
    RESEND_MS = 600,       /* a grant that was not confirmed is sent again */
    ASKS_MAX = 8,          /* so often is asked for a new row what members want of it */
    ACK_MS = 100,          /* an acknowledgement alone waits this long for company */
    WHOLE_MS = 10000,      /* the whole contended set is told this often, */
    WHOLE_LESS_MS = 2000,  /* and this soon after something has left it */
    UNHEARD_MS = 250,      /* a record that nobody has acknowledged is told again after this, */
    REFRESH_MS = 8000,     /* and one that was, after this, or a little later */
    RETRY_MS = 200,        /* a candidate asks again after this to twice this */
    TRIES_IN_A_ROW = 12,   /* more than votes last; then a candidate pauses for as long */
    RANK_MS = 250,         /* the next in rank waits this much longer */
    SEQUENCE_BLOCK = 1024, /* heartbeat numbers set aside by one store */
    BURST = 8,             /* messages of one kind in a row, before they keep to their pace */
    ACTIONS_SPARE = 256,   /* messages and stores that may wait beside the shares */
};

/* A rule of the protocol left out, to show that the simulator notices. Never in what ships. */
#ifdef SLOTSHARE_MUTANTS
#include "mutants.h"
#define MUTANT(core, name) ((core)->mutant == (name))
#else
#define MUTANT(core, name) false
#endif

/** What the coordinator knows of a member. */
enum peer_state {
    PEER_NONE,         /**< holds no share: a witness, or not in the committed configuration */
    PEER_UNKNOWN,      /**< has not reported since the take-over */
    PEER_UNKNOWN_GONE, /**< nor will it: whatever it held beyond its reserve has ended */
    PEER_LIVE,
    PEER_LOST, /**< its session has ended; what it held may still drain */
    PEER_GONE, /**< holds what `out` says, at most its reserve unless it said more itself */
};

struct peer {
    uint64_t hash; /* 0: free place */
    bool committed, pending, witness, pending_witness;
    uint64_t heard; /* when; 0: never */
    /* its newest heartbeat, if it is not late that this arrived: for people, and for founders */
    uint64_t said_boot, said_sequence, said_epoch, said_digest, said_proposed, said_ready,
        said_ready_digest;
    uint64_t differs_since, warned; /* its file differs from ours; the digest that was told */
    bool vouched_dead;              /* by an operator */
    uint64_t vouch_until;           /* until when others are told so from here; 0: not */
    /* the rest is the coordinator's, new at each take-over */
    enum peer_state state;
    uint64_t boot, sequence, session; /* 0: none yet */
    uint64_t last_ack, gone_at;
    uint64_t ack;   /* heartbeat to acknowledge; 0: none */
    uint64_t hello; /* the same, of one without a session: it proves only that the deal is new */
    bool admit;     /* the acknowledgement is an admission */
    uint64_t grant_floor;
    uint64_t ready, ready_digest;
    uint64_t proposed, proposed_at; /* as said to this leadership, and when */
    bool is_new;                    /* it has nothing committed */
    uint64_t taken_in; /* as core_part.heard; of heartbeat `sequence` and those before */
    bool left;         /* lost by its own word: at its reserve, where there is no row yet */
};

/** The coordinator's account of one member in one contended counter. */
struct entry {
    bool present;
    bool confirmed; /* the newest grant was reported back */
    bool kept;      /* has a slot of the remainder until its rotation is over */
    bool holding;   /* has one now, since `since` */
    int32_t out;    /* the most that may be in force there */
    int32_t share;  /* last dealt */
    int32_t wants, in_use;
    int32_t ceiling; /* it did not go above this, because of what is pending there */
    int32_t limit;   /* what its file says; -1: not heard */
    int32_t home, reserve;
    uint64_t grant;  /* sequence of the last grant; 0: none yet */
    uint64_t resend; /* when to send it (again); CORE_NEVER: not as a grant */
    uint64_t since;
    uint64_t served; /* last time it had one of the remainder; 0: never */
};

struct row {
    bool present, dirty;
    bool granting; /* some grant is not confirmed */
    bool too_much; /* more is out than there is, and that is explained */
    uint8_t asks;
    uint64_t ask_due;    /* when to ask what members want of it; CORE_NEVER: all have said so */
    uint32_t place;      /* in core->active */
    int32_t mass;        /* M: what unknown members may hold */
    uint64_t calm_since; /* CORE_NEVER: somebody is hungry */
};

/** A counter as this node sees it. */
struct counter {
    bool defined;
    bool record, stored; /* stored: the segment has the record too */
    bool applying;       /* CORE_SET_SHARE is on its way: next_* */
    bool contended;      /* in the coordinator's set */
    bool named;          /* mark used while lists are compared */
    bool told;           /* the coordinator was told in this session: told_* */
    bool heard;          /* and has acknowledged that */
    bool told_hungry;
    bool unread;  /* contended, and what is in use and wanted here was not read yet */
    bool scanned; /* fed since the scan began */
    uint64_t hash;
    int32_t limit, pending_limit;
    bool observed, pending_observed; /* that limit refuses nothing */
    int32_t home, reserve, pending_home, pending_reserve;
    int32_t share, next_share;
    uint64_t grant, next_grant;
    int32_t last_read; /* in_use before a proposal, while that one takes effect */
    int32_t in_use, wants, told_in_use, told_held, told_wants, told_limit;
    uint64_t told_grant, told_sequence, told_at;
    uint32_t watch;   /* place in core->watched plus 1; 0: not there */
    uint32_t said_at; /* place in the records of the join that is looked at */
};

struct sent {
    uint64_t sequence, at;
    bool heard; /* the coordinator has taken in its records */
};

struct core {
    uint64_t self, boot, created, quiet_until, random;
    uint32_t keys;
    struct core_timers timers;
    struct control_memory memory;
    bool memory_dirty;
#ifdef SLOTSHARE_MUTANTS
    int mutant;
#endif

    struct core_membership committed, pending; /* pending.epoch and members 0: none */
    struct deal_members deal_committed, deal_pending;
    bool members_change, fits;
    bool holds, pending_holds; /* this node holds shares, under the one and under the other */
    bool promised, promising;  /* promising: being stored */
    bool overtaken; /* pending is what others committed beyond a promise: nothing else may replace
                       it */
    uint64_t proposed_from; /* heartbeats from this one on announced what is pending */
    struct {
        uint64_t epoch, digest;
    } foreign;                          /* committed by others, and not known here; epoch 0: none */
    uint64_t vouched[CORE_MEMBERS_MAX]; /* of the heartbeat that goes out */
    struct peer peer[CORE_MEMBERS_MAX];
    int peers; /* places in use so far; those after it are free */

    struct counter *counter; /* [keys] */
    uint32_t *watched, watched_count;
    uint64_t drain_due; /* when to read those above their share again; CORE_NEVER: none are */

    /* member */
    struct core_term echo_term;
    uint64_t echo_time, contended_time; /* contended_time: of the newest whole set in this term */
    bool contended_known;
    struct sent sent[SENT_RING];
    uint64_t sequence, heartbeat_due, heartbeat_paid, heartbeat_told;
    uint64_t regular_due; /* when a heartbeat tells all that has changed, not only what is urgent */
    uint32_t applying;    /* counters with a share on its way */
    uint64_t apply_due;   /* when that has failed; 0: none is */
    bool admitting;       /* the session below starts when applying is 0 */
    uint64_t joins_from;  /* heartbeats from this one on may be answered by an admission */
    struct core_session admit_session;
    uint64_t admit_end, admit_floor;
    bool scan_asked, scan_ok;
    uint64_t scan_from; /* begin of the scan that runs */
    bool scanning;
    bool leaving, left;
    uint64_t leave_sequence; /* first heartbeat that said so; 0: none yet */

    /* election */
    uint64_t coordinator, coordinator_heard; /* who, when */
    uint64_t election_due, round, round_sent, seen_number, own_number;
    struct core_term candidate_term;
    uint64_t give_way_due; /* not before this does a leader that goes make room for another */
    int tries;             /* rounds since a coordinator was heard */
    bool voted[CORE_MEMBERS_MAX];
    bool round_minority;     /* this round may be won without a majority */
    uint64_t majority_heard; /* when a coordinator that has one was heard last */
    bool following_minority; /* who was heard last has none */

    /* coordinator */
    bool leading;
    bool minority;        /* leads without a majority */
    uint64_t lease_epoch; /* the promise whose majority gave the lease, too; 0: none */
    uint64_t lease_end, since, grant_sequence, session_number;
    struct core_term term; /* of this leadership */
    uint64_t full_due, publish_paid;
    uint64_t publish_due, regular_deal_due, whole_due;
    bool dirty;
    uint32_t slice;      /* where the next look at all rows goes on */
    struct row *row;     /* [keys] */
    struct entry *entry; /* [keys * CORE_MEMBERS_MAX] */
    uint32_t *active, active_count;

    /* what goes out */
    struct core_action *action;
    uint32_t action_head, action_tail, action_room;
    bool heartbeat_busy, deal_busy;
    enum core_action_type taken; /* the action taken last */
    bool any_taken;
    struct core_heartbeat heartbeat;
    struct core_record *record; /* [keys] */
    struct core_deal deal;
    struct core_part part[CORE_MEMBERS_MAX];
    struct core_grant *grant; /* [2 * keys] */
    uint32_t *contended_key;  /* [keys] */
    uint32_t *granting;       /* [keys]: rows with grants to be sent */

    struct core_stats stats;
};

/* ---- core.c ---- */

/** A duration on another clock: 2% for the clocks' rates, 2 ms for what was rounded away. */
uint64_t core_margin(uint64_t ms);
/** How long what a node held may go on after its session was last prolonged, seen from afar. */
uint64_t core_expiry(const struct core *core);
/** @return 0 to below - 1. below > 0. */
uint64_t core_random(struct core *core, uint64_t below);
/** Do what is due now. The end of every event. */
void core_run(struct core *core, uint64_t now);
int core_compare_terms(const struct core_term *a, const struct core_term *b);
bool core_same_session(const struct core_session *a, const struct core_session *b);
struct core_term core_memory_term(const struct core *core);
struct core_session core_memory_session(const struct core *core);
/** @return place in core->peer, or -1. */
int core_find_peer(const struct core *core, uint64_t hash);
bool core_has_member(const struct core_membership *membership, uint64_t hash);
/** It is a member that holds shares: no witness. */
bool core_holds(const struct core_membership *membership, uint64_t hash);
/** A term that no honest cluster reaches: refused, so that it cannot be used up. */
bool core_absurd_term(const struct core_term *term);
/** The same of a configuration's epoch. */
bool core_absurd_epoch(uint64_t epoch);

/* ---- actions.c ---- */

/** All actions so far were taken: only then may a message be acted upon. */
bool core_drained(const struct core *core);
/** Queue an action to be filled in. What is dirty in memory is stored before a message.
 * @return NULL: no room, only for messages. */
struct core_action *core_push(struct core *core, enum core_action_type type);
void core_store_if_dirty(struct core *core);
/** Messages go out at once, up to BURST in a row, and in the long run one per `coalesce`: what one
 * hand-over needs does not wait, and a storm is told in few messages. `paid` is the time up to
 * which a sender has used up its pace. @return when the next may go. */
uint64_t pace_earliest(const struct core *core, uint64_t paid);
/** @return what is paid after a message sent now. */
uint64_t pace_pay(const struct core *core, uint64_t paid, uint64_t now);

/* ---- table.c ---- */

/** Compute the homes again, after a change of the configuration or limits. */
void table_deal(struct core *core, struct counter *counter);
/** Nothing is refused here: the shares are dealt as if something were, and no more than the share
 * is told to be in use. (See "Limits that are only observed" in PROTOCOL.md.) */
bool table_observed(const struct core *core, const struct counter *counter);
/** What counts as in use: of what is only observed no more than table_cap(). */
int32_t table_in_use(const struct core *core, uint64_t now, const struct counter *counter);
/** The counter's limit, whether it is enforced, or the members change with the pending
 * configuration. */
bool table_changes(const struct core *core, const struct counter *counter);
/** cap(k) of the design: what may be taken up to. With `share` in the place of a record's share,
 * or of the home. */
int32_t table_cap_with(const struct core *core, uint64_t now, const struct counter *counter,
                       int32_t share);
int32_t table_cap(const struct core *core, uint64_t now, const struct counter *counter);
/** The most that can be in force: also with a share on its way. */
int32_t table_held(const struct core *core, uint64_t now, const struct counter *counter);
/** Put the key into the list of those watched, or take it out, as it now needs. */
void table_watch(struct core *core, uint64_t now, uint32_t key);
uint64_t table_grant(const struct core *core, const struct counter *counter);
/** Send CORE_SET_SHARE on its way. Not while one is. */
void table_set_share(struct core *core, uint32_t key, int32_t share, uint64_t grant);
void table_drop_record(struct core *core, uint32_t key);
/** Ask for what is in use and wanted now. */
void table_read(struct core *core, uint32_t key);
/** Shares that were never applied: go on with the larger of old and new as what is held. */
void table_abandon(struct core *core, uint64_t now);
/** Ask so for all that drain, when it is time. */
void table_read_draining(struct core *core, uint64_t now);

/* ---- member.c ---- */

bool member_valid(const struct core *core, uint64_t now);
/** This node holds shares under the committed (or pending) configuration. */
bool member_holds(const struct core *core);
void member_on_deal(struct core *core, uint64_t now, const struct core_deal *deal);
/** The last share of an admission is in force: the session starts. */
void member_admitted(struct core *core, uint64_t now);

/* ---- config.c ---- */

bool config_good(const struct core_membership *membership);
bool config_options_good(const struct core_options *options);
void config_start(struct core *core, const struct core_options *options, uint64_t now);
/** The coordinator says that all have agreed on this, in answer to what was announced here. */
void config_promise(struct core *core, uint64_t epoch, uint64_t digest);
/** For the coordinator: all members of both configurations propose what is pending here. */
bool config_agreed(const struct core *core, uint64_t now);
/** The pending configuration is the committed one from now on. @return false: not now. */
bool config_commit(struct core *core, uint64_t now, uint64_t epoch);

/* ---- config_learn.c ---- */

/** End the session by our own hand: no more than the reserve until admitted anew. */
void config_end_session(struct core *core, uint64_t now);
/** The same, and step down. */
void config_keep_to_reserve(struct core *core, uint64_t now);

/** A member says that this is committed. proven: in answer to what was sent from here lately. */
void config_learn(struct core *core, uint64_t now, uint64_t from, uint64_t epoch, uint64_t digest,
                  bool proven);
/** Of a member that is known here. */
void config_heard(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat);
/** Heard within a session. */
bool config_heard_lately(const struct core *core, uint64_t now, const struct peer *peer);
void config_forget_vouched(struct core *core);
/** Fill core->vouched. @return how many. */
uint32_t config_vouched(struct core *core, uint64_t now);
/** All members of the pending configuration were heard lately, are as new as this node, and have
 * the same file. */
bool config_founds(const struct core *core, uint64_t now);

/* ---- delta.c: what of its counters a member need not say again ---- */

/** Nothing that was told counts any more: the next heartbeat says all. */
void delta_forget_all(struct core *core);
/** The coordinator has taken in heartbeats: bit i for ack - i. */
void delta_heard(struct core *core, uint64_t ack, uint64_t heard);
/** Less is wanted than the share, by a quarter or more than was last told: others may want it now.
 * A counter whose wants go up and down says so seldom, because only a regular heartbeat tells more.
 */
bool delta_eased(const struct core *core, uint64_t now, const struct counter *counter);
/** This is what would be said now. @return true: say it. */
bool delta_due(struct core *core, uint64_t now, struct counter *counter,
               const struct core_record *record, bool hungry, bool regular);
/** It is said, in the heartbeat of this sequence. */
void delta_told(struct counter *counter, uint64_t now, const struct core_record *record,
                bool hungry, uint64_t sequence);

/* ---- heartbeat.c ---- */

/** Send one as soon as the rate allows. */
void heartbeat_soon(struct core *core, uint64_t now);
bool heartbeat_run(struct core *core, uint64_t now);

/* ---- election.c ---- */

bool election_run(struct core *core, uint64_t now);
/** A coordinator that goes with what is pending leaves its place to one that stays. */
void election_give_way(struct core *core, uint64_t now);
/** A coordinator without a majority is obeyed only by those who vote for it. */
bool election_obeys(const struct core *core, const struct core_deal *deal);
void election_seen(struct core *core, const struct core_term *term);
/** A bridge that leaves never leads again, in this generation: a vote that it has is free. */
void election_resigned(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat);

/* ---- coordinator.c ---- */

/** Leads, and its lease has not run out. */
bool coordinator_acts(const struct core *core, uint64_t now);
void coordinator_take_over(struct core *core, uint64_t now);
void coordinator_step_down(struct core *core);
bool coordinator_run(struct core *core, uint64_t now);
uint64_t coordinator_due(const struct core *core);
/** Not heard since the take-over, whatever it may still hold: it is part of M. */
static inline bool coordinator_is_unknown(const struct peer *peer) {
    return peer->state == PEER_UNKNOWN || peer->state == PEER_UNKNOWN_GONE;
}
/** Nobody is PEER_UNKNOWN. */
bool coordinator_complete(const struct core *core);
/** Somebody is unknown. */
bool coordinator_unknown(const struct core *core);
/** Something is proposed or promised, here or by a member, as far as is known. */
bool coordinator_pending(const struct core *core);
static inline struct entry *coordinator_entry(const struct core *core, uint32_t key, int peer) {
    return &core->entry[(size_t)key * CORE_MEMBERS_MAX + (size_t)peer];
}
/** Make the row if there is none: from now on the counter is contended. */
void coordinator_make_row(struct core *core, uint32_t key);
void coordinator_drop_row(struct core *core, uint32_t key);
/** Sum of the reserves of unknown members. */
int64_t coordinator_unknown_reserves(const struct core *core, uint32_t key);
/**
 * By how much M is less than the limit because this member is known, and counts with `out` of its
 * entry.
 * @param said  what it said that it holds; 0 when it did not speak of this counter
 */
int32_t coordinator_not_in_mass(const struct core *core, uint32_t key, int at, int32_t said,
                                bool pending, bool session);
/** M can be no more than the reserves of the members that are gone for good; 0 without any. */
void coordinator_shrink_mass(struct core *core);
void coordinator_touch(struct core *core, uint32_t key);

/* ---- admit.c ---- */

void admit_on_heartbeat(struct core *core, uint64_t now, const struct core_heartbeat *heartbeat);

/* ---- deal.c ---- */

/** The lowest limit that this node or a live member has. */
int32_t deal_limit(const struct core *core, uint32_t key);
/** L minus all that is out minus M; negative when there is more out than the limit. */
int64_t deal_free(const struct core *core, uint32_t key);
/** Members without a session get their reserve first. @return deal_free() after that. */
int64_t deal_reserves(struct core *core, uint32_t key);
void deal_row(struct core *core, uint64_t now, uint32_t key);

/* ---- maxmin.c ---- */

/**
 * Integer max-min: no target exceeds its want, their sum is at most cap, and nobody could get more
 * without somebody with no more getting less. What does not divide goes one by one to those that
 * were served the longest ago, and stays with them for a rotation.
 * @param peers, wants, targets  count of each; the entries are those of the row
 */
void maxmin_targets(struct core *core, uint64_t now, uint32_t key, const int *peers,
                    const int32_t *wants, int32_t *targets, int count, int64_t cap);

/* ---- publish.c ---- */

bool publish_run(struct core *core, uint64_t now);
/** A message is to go out at this time, or earlier. */
void publish_at(struct core *core, uint64_t at);

#endif
