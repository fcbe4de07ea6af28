/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_SIM_SIM_H
#define SLOTSHARE_TESTS_SIM_SIM_H
/**
 * A cluster in virtual time around the core that ships: hosts with clocks of their own, segments,
 * workers that take and give back, bridges that may stop at any action, and a network that loses,
 * doubles, delays and reorders. One seed, one run, always the same. The sum of what is held is
 * compared with the limit at every take. One world is used by one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "../../bridge/core/core.h"

enum {
    SIM_NODES = 64,
    SIM_KEYS = 8,
    SIM_INBOX = 128,
};

/** Virtual time, in microseconds. */
typedef uint64_t sim_time;
#define SIM_MS ((sim_time)1000)
#define SIM_S ((sim_time)1000000)

enum sim_event_type {
    EVENT_TICK,     /* core_tick() of a bridge */
    EVENT_CONTINUE, /* a bridge goes on with its actions */
    EVENT_DELIVER,
    EVENT_WORKERS, /* a host's workers look at their caps, and end what is over them too long */
    EVENT_CLOSE,   /* a connection ends by itself */
    EVENT_SCAN,
    EVENT_HOST_UP,
    EVENT_BRIDGE_UP,
    EVENT_BRIDGE_END, /* after a leave */
    EVENT_HEAL,
    EVENT_LOAD,  /* a node loads the newer configuration */
    EVENT_STORY, /* the scenario's own */
};

struct sim_message {
    enum core_action_type type;
    unsigned references;
    union {
        struct core_heartbeat heartbeat;
        struct core_deal deal;
        struct core_vote_request vote_request;
        struct core_vote vote;
    };
};

struct sim_event {
    sim_time at;
    uint64_t order;
    enum sim_event_type type;
    int node;
    uint64_t a, b;
    struct sim_message *message;
};

/** One configuration. */
struct sim_config {
    struct core_membership membership;
    struct deal_members deal;
    int32_t limit[SIM_KEYS];
};

struct sim_segment_counter {
    bool record;
    int32_t share;
    uint64_t grant;
};

struct sim_node {
    bool exists, host, bridge;
    uint64_t hash;
    double rate;
    double offset_us;      /* local time = offset + rate * now */
    sim_time paused_until; /* the bridge does nothing */
    sim_time frozen_until; /* nothing on the host does */
    /* the segment: lost with the host */
    uint64_t boot, created;
    uint64_t incarnation;
    struct control_memory memory;
    struct sim_segment_counter counter[SIM_KEYS];
    int32_t in_use[SIM_KEYS];
    uint64_t over_since[SIM_KEYS]; /* local ms; 0: not over */
    uint64_t *connection[SIM_KEYS];
    uint32_t connections[SIM_KEYS], room[SIM_KEYS];
    int config, loaded; /* on the disk: index of the committed (-1: none) and the newest one */
    bool promised;      /* the loaded one, on the disk */
    bool fits_told;
    /* the bridge */
    struct core *core;
    uint64_t generation; /* of events for it */
    uint64_t tick_order; /* the tick event that counts */
    bool busy;           /* stopped between two actions */
    bool has_action;
    struct core_action action;
    struct sim_message *inbox[SIM_INBOX];
    int inboxed;
    sim_time rung;
    int32_t demand[SIM_KEYS];
    int32_t file_limit; /* what its own file says of every counter; 0: as configured */
    uint64_t takes;
};

/** What the network does. Chances 0 to 1. */
struct sim_network {
    double loss, doubled, slow, nasty;
};

struct sim;
typedef void (*sim_story)(struct sim *sim, uint64_t a, uint64_t b);

struct sim {
    uint64_t random;
    uint64_t witnesses; /* a mask, to be set before sim_start() */
    sim_time now;
    uint64_t orders;
    struct sim_event *heap;
    size_t heap_count, heap_room;

    int nodes, keys, configs, committed; /* committed: newest anywhere, an index */
    struct sim_config config[2];
    struct sim_node node[SIM_NODES];
    uint8_t cut[SIM_NODES][SIM_NODES];
    struct sim_network network;
    struct core_timers timers;
    double hold_s, tail, slow_action;
    bool reboot_clock;  /* a host's clock starts again with it, as CLOCK_BOOTTIME does */
    bool no_drain;      /* hosts do not end what is over their share (a mutant) */
    bool no_pending;    /* nor keep to a pending configuration (a mutant) */
    bool commit_raises; /* without a session, the home of a committed configuration (a mutant) */
    bool trace;
    bool settling;
    sim_story story;
    /* A scenario may look at every message: <0 loses it, more delays it by so many seconds. It may
     * schedule copies of its own with net_again(). */
    double (*intercept)(struct sim *sim, int from, int to, struct sim_message *message);
    void *story_state;

    int64_t total[SIM_KEYS];
    int64_t peak[SIM_KEYS]; /* since it was last reset */
    /* the verdict */
    uint64_t over;
    sim_time over_at;
    int over_key;
    int64_t over_by;
    char stuck[160];
    uint64_t takes, forced, messages, connection_ids;
    struct core_stats stats; /* of all cores that ended */
};

/* ---- chance ---- */
uint64_t sim_random(struct sim *sim, uint64_t below);
double sim_uniform(struct sim *sim, double from, double to);
double sim_exponential(struct sim *sim, double mean);
#define SIM_PICK(sim, ...)                                                                         \
    (((const double[]){                                                                            \
        __VA_ARGS__})[sim_random(sim, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))])

/* ---- events ---- */
void sim_at(struct sim *sim, double seconds, struct sim_event event);
void sim_tell_story(struct sim *sim, double seconds, uint64_t a, uint64_t b);
bool sim_next_event(struct sim *sim, sim_time until, struct sim_event *out);
void sim_run(struct sim *sim, double until_s);
void sim_log(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- world ---- */
/** A world with one configuration of n members; members 0 to n - 1 exist. */
void sim_start(struct sim *sim, uint64_t seed, int n, const int32_t *limits, int keys,
               uint32_t reserve_percent, const struct core_timers *timers);
void sim_end(struct sim *sim);
/** A second configuration. mask: its members. Nodes load it by EVENT_LOAD. */
void sim_second_config(struct sim *sim, uint64_t mask, const int32_t *limits);
bool sim_is_member(const struct sim_config *config, uint64_t hash);
/** Heal everything, let all be hungry, and see whether every limit is used and all have sessions.
 */
void sim_settle(struct sim *sim);

/* ---- nodes ---- */
uint64_t sim_local(const struct sim *sim, int node);
void node_create(struct sim *sim, int node, int config);
void node_workers(struct sim *sim, int node); /* take what demand and cap allow */
int32_t node_cap(const struct sim *sim, int node, int key);
void node_handle(struct sim *sim, const struct sim_event *event);
void node_message(struct sim *sim, int node, struct sim_message *message);
void node_host_crash(struct sim *sim, int node, double down_s);
void node_bridge_crash(struct sim *sim, int node, double down_s);
void node_bridge_leave(struct sim *sim, int node, double down_s);
void node_pause(struct sim *sim, int node, double s);
void node_freeze(struct sim *sim, int node, double s);
void node_load(struct sim *sim, int node);
/** A random node whose bridge leads; -1: none. */
int node_leader(struct sim *sim);

/* ---- network ---- */
void net_publish(struct sim *sim, int from, const struct core_action *action);
void net_release(struct sim_message *message);
/** Cut what leaves `mask` (out) and what comes in (in), for a time. */
void net_cut(struct sim *sim, uint64_t mask, bool out, bool in, double s);
void net_heal(struct sim *sim, uint64_t mask, bool out, bool in);

/** Deliver it, or it a second time, after so many seconds. */
void net_again(struct sim *sim, int to, struct sim_message *message, double s);

/* ---- scenarios ---- */
struct sim_scenario {
    const char *name;
    double seconds;
    bool settles; /* and is over when everything was healed and is used again */
    void (*begin)(struct sim *sim, uint64_t seed);
};
const struct sim_scenario *sim_scenario(const char *name);
extern const struct sim_scenario sim_scenarios[];
/** Short stories that each put one rule to the test; ends with a NULL name. */
extern const struct sim_scenario sim_directed[];
/** All connections of a counter end by themselves. */
void node_close_all(struct sim *sim, int node, int key);
/** Run each mutant until it goes over. @return EXIT_SUCCESS when all did. */
int mutants_run(void);

#endif
