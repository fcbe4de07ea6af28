/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_CLUSTER_H
#define TESTS_FUZZ_CLUSTER_H
/**
 * A small cluster of the core that ships, in virtual time, one member of which lies. The input says
 * when time goes on, what hosts want, what the network does, and what the liar says to whom: any
 * message that an authenticated member can send, made of what it has heard. cluster.c and
 * cluster_net.c are the world, lies.c the liar, fuzz_liar.c and fuzz_core.c what is expected of the
 * others.
 */
#include "../../bridge/core/core.h"
#include "input.h"

enum { NODES_MAX = 5, KEYS = 2, KEYS_TOLD = KEYS + 2, QUEUE = 512, FILES = 2, LIAR = 0 };

/** A message with all that it points to. */
struct message {
    enum core_action_type type; /* one of CORE_SEND_ */
    union {
        struct core_heartbeat heartbeat;
        struct core_deal deal;
        struct core_vote_request vote_request;
        struct core_vote vote;
    };
    struct core_record record[KEYS_TOLD];
    uint64_t vouched[NODES_MAX];
    struct core_part part[NODES_MAX];
    struct core_grant grant[NODES_MAX][KEYS_TOLD];
    uint32_t contended[KEYS_TOLD];
};

struct post {
    bool used;
    int from, to;
    uint64_t due;
    struct message message;
};

/** A host: its segment as workers evaluate it, and its bridge's core. */
struct host {
    struct core *core;
    uint64_t hash, boot;
    struct control_memory memory;
    bool record[KEYS];
    int32_t share[KEYS], in_use[KEYS], demand[KEYS];
    int file, loaded; /* committed; and pending, or the same */
    int32_t home[FILES][KEYS], reserve[FILES][KEYS];
    uint64_t over_since[KEYS]; /* 0: not over its share */
    uint64_t feed_due;
};

/** The newest that honest members said, for a liar to make its own of. */
struct lore {
    struct core_term term;
    uint64_t deal_time;
    uint64_t session[NODES_MAX], ack[NODES_MAX], sequence[NODES_MAX], grant;
    uint64_t epoch, epoch_digest, proposed, ready, ready_digest;
    struct core_vote_request request;
};

/** What the liar may lie about. The rest is said for it by a core of its own. */
enum lies {
    LIES_REPORTS = 1, /* heartbeats: holdings, wants, joins, sessions, configurations */
    LIES_VOTES = 2,   /* votes, candidacies, and that other members are dead */
    LIES_DEALS = 4,   /* what only a coordinator may say */
};

struct cluster {
    uint64_t now;
    int nodes;
    unsigned lies;
    bool whole; /* the network loses nothing and is quick */
    struct host host[NODES_MAX];
    struct core_membership membership[FILES];
    int32_t limit[FILES][KEYS];
    bool second;            /* somebody has loaded the second file */
    uint8_t cut[NODES_MAX]; /* bit: what this node says does not reach that one */
    uint64_t delay[NODES_MAX];
    struct lore lore;
    uint64_t lied, steps;
    int posts; /* no place from here on is used */
    struct post post[QUEUE];
};

extern const struct core_timers cluster_timers;

/** reserve_percent and limits from the input. nodes: 2 to NODES_MAX, the liar among them. */
void cluster_begin(struct cluster *cluster, struct input *input, int nodes, unsigned lies,
                   bool whole);
void cluster_end(struct cluster *cluster);

/** What the input says next. */
void cluster_step(struct cluster *cluster, struct input *input);

/** Of the hosts that do not lie. */
int64_t cluster_held(const struct cluster *cluster, int key);

/** The members' options. self: a host's place. */
struct core_options cluster_options(const struct cluster *cluster, int self);

/** Send what a bridge publishes to all others that the network lets it reach. */
void cluster_publish(struct cluster *cluster, int from, const struct core_action *action);

/** After a copy: the message points to its own room again. */
void cluster_mend(struct message *message);

/** Feed it to a core. */
void cluster_hand_over(struct core *core, uint64_t now, const struct message *message);

/** A lie of a kind that `lies` allows, by the member `from`. @return false: there is none. */
bool lie(const struct cluster *cluster, struct input *input, int from, struct message *out);

#endif
