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
#include <stdio.h>

#include "../../bridge/core/core.h"

#ifndef SIM_NODES
#define SIM_NODES 64
#endif
/* Nodes that a configuration may name: a bit each. */
#if SIM_NODES < 64
#define MASK_NODES SIM_NODES
#else
#define MASK_NODES 64
#endif
enum {
    SIM_KEYS = 8,
    SIM_INBOX = 128,
    SIM_CONFIGS = 6,
};

/** Virtual time, in microseconds. */
typedef uint64_t sim_time;
#define SIM_MS ((sim_time)1000)
#define SIM_S ((sim_time)1000000)
#define SIM_LEADER (-1) /**< in a step: whoever leads then */

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
    EVENT_LOAD, /* a node gets configuration a as its file, and loads it */
    EVENT_STEP, /* the next of the plan */
    EVENT_CALM, /* the end of bad weather */
    EVENT_BASELINE,
};

/** A message of another way to keep a limit: see baseline.h. */
struct sim_note {
    int kind, key;
    uint64_t id, question;
    double clock;
    int32_t in_use[SIM_KEYS];
};

struct sim_message {
    struct sim_message *next; /* in the pool, when free */
    enum core_action_type type;
    unsigned references;
    bool pooled, baseline;
    int from;
    uint32_t number; /* of this sender's */
    union {
        struct core_heartbeat heartbeat;
        struct core_deal deal;
        struct core_vote_request vote_request;
        struct core_vote vote;
        struct sim_note note;
    };
};

struct sim_event {
    enum sim_event_type type;
    int node;
    uint64_t a, b;
    struct sim_message *message;
};

/** An event's place in the heap. Of those at one time the first scheduled comes first. */
struct sim_due {
    sim_time at;
    uint32_t order, place;
};

/** What the network does to a message. Chances 0 to 1. */
struct sim_network {
    double loss, doubled, slow, nasty;
};

enum sim_step_type {
    STEP_DEMAND,
    STEP_HOST_CRASH,
    STEP_BRIDGE_CRASH,
    STEP_LEAVE,
    STEP_PAUSE,
    STEP_FREEZE,
    STEP_CUT,
    STEP_LOAD,    /* file a; the last one if that is 0 */
    STEP_BURY,    /* a host is gone for good: operators vouch for it */
    STEP_RETURN,  /* it is set up anew with file a, if it was removed */
    STEP_OPERATE, /* somebody looks at what bridges report, and does something about it */
    STEP_LONE,    /* who commits next is cut off at that moment */
    STEP_WEATHER, /* the scenario's bad weather, for a while */
    STEP_STORY,   /* what a directed scenario does by itself */
};

/**
 * One thing that happens to the world. A run's plan is drawn from its seed before the run begins,
 * so that any of its steps can be left out without a change to the others.
 */
struct sim_step {
    unsigned id; /* 1 up, in the order of time */
    sim_time at;
    enum sim_step_type type;
    int node; /* or SIM_LEADER */
    double s; /* for how long */
    uint64_t mask;
    bool out, in;             /* of a cut */
    int32_t demand[SIM_KEYS]; /* -1: as it was */
    uint64_t a, b;            /* of a story; a: a file */
};

/** One configuration. */
struct sim_config {
    struct core_membership membership;
    struct deal_members deal;
    uint64_t mask; /* of the members, where there are not more than 64 nodes */
    int32_t limit[SIM_KEYS];
    bool observed[SIM_KEYS]; /* the limit refuses nothing */
};

/** What happened, so that it can be seen that everything did. */
enum sim_count {
    COUNT_TAKES,
    COUNT_REFUSED,  /* takes, at their first attempt */
    COUNT_PASSED,   /* takes that a limit let pass because it is only observed */
    COUNT_SWITCHES, /* commits by which a limit comes to be enforced, or to be observed */
    COUNT_FORCED,   /* connections ended because they were over the share for too long */
    COUNT_HOST_CRASHES,
    COUNT_BRIDGE_CRASHES,
    COUNT_LEADER_KILLS, /* of both, and pauses of a coordinator */
    COUNT_LEAVES,
    COUNT_PAUSES,
    COUNT_FREEZES,
    COUNT_CUTS,
    COUNT_ONE_WAY,
    COUNT_STOPS, /* of a bridge between two actions */
    COUNT_FULL,  /* shares that found no room */
    COUNT_MESSAGES,
    COUNT_CUT_OFF, /* messages, by a cut */
    COUNT_LOST,
    COUNT_DOUBLED,
    COUNT_LATE,      /* by 50 ms and more */
    COUNT_REORDERED, /* arrived after a later one of the same sender */
    COUNT_ELECTIONS,
    COUNT_ADMISSIONS,
    COUNT_GRANTS,
    COUNT_COMMITS,
    COUNT_RELOADS,
    COUNT_BACK,  /* nodes that went back to a file that others had promised */
    COUNT_ALONE, /* files that took the place of one that nobody else has any more */
    COUNT_JOINERS,
    COUNT_REMOVALS,
    COUNT_LARGE, /* runs with 16 nodes and more */
    SIM_COUNTS
};
extern const char *const sim_count_names[SIM_COUNTS];

struct sim_segment_counter {
    bool record;
    int32_t share;
    uint64_t grant;
};

struct sim_node {
    bool exists, host, bridge;
    uint64_t hash;
    uint64_t random; /* its own stream: a step left out elsewhere does not change it */
    double rate;
    double offset_us;      /* local time = offset + rate * now */
    sim_time local_at;     /* when the next was computed */
    uint64_t local;        /* ms */
    sim_time paused_until; /* the bridge does nothing */
    sim_time frozen_until; /* nothing on the host does */
    /* the segment: lost with the host */
    uint64_t boot, created;
    uint64_t incarnation;
    struct control_memory memory;
    struct sim_segment_counter counter[SIM_KEYS];
    int32_t in_use[SIM_KEYS];
    uint64_t over_since[SIM_KEYS]; /* local ms; 0: not over */
    uint32_t connections[SIM_KEYS];
    int loaded; /* what the segment has as pending, or config */
    /* on the disk, as indices; -1: none */
    int config, promise, file;
    uint64_t epoch, promise_epoch;
    uint32_t proposed; /* since the last commit: a mask */
    uint64_t vouched;  /* the epoch after that in which somebody vouched for its death; 0: nobody */
    /* [configuration + 1]; see host_deal() */
    int32_t home[SIM_CONFIGS + 1][SIM_KEYS], reserve[SIM_CONFIGS + 1][SIM_KEYS];
    int32_t dealt_for; /* the file_limit they are of, plus 1 */
    bool fits_told;
    /* the bridge */
    struct core *core;
    uint64_t generation; /* of events for it */
    uint64_t back_next;  /* local: when it may go back to what others have promised, again */
    uint64_t tick_order; /* the tick event that counts */
    uint64_t tick_due;   /* local time of the one on its way; CORE_NEVER: there is none */
    bool busy;           /* stopped between two actions */
    bool has_action;
    struct core_action action;
    struct sim_message *inbox[SIM_INBOX];
    int inboxed;
    sim_time rung;
    uint32_t sent;
    int32_t demand[SIM_KEYS];
    int32_t file_limit; /* what its own file says of every counter; 0: as configured */
    uint64_t takes;
};

struct sim;
typedef void (*sim_story)(struct sim *sim, uint64_t a, uint64_t b);

struct sim_connections {
    uint64_t *id;
    uint32_t room;
};

struct sim {
    uint64_t random;
    uint64_t noise;     /* what chance does beside the plan; set before sim_start() */
    uint64_t planner;   /* chance of the plan */
    uint64_t witnesses; /* a mask, to be set before sim_start() */
    sim_time now;
    uint32_t orders;
    size_t heap_count;
    uint32_t places, places_free;

    int nodes, keys, configs, committed; /* committed: newest anywhere, an index */
    int top;                             /* nodes from here on do not exist */
    struct sim_config config[SIM_CONFIGS];
    uint64_t epoch; /* the newest anywhere */
    uint64_t dead;  /* nodes for which operators vouch */
    double lone_s;  /* how long who commits next is cut off; 0: not */
    bool lone_deaf; /* and hears nothing either */
    bool new_nodes; /* nobody has committed anything; to be set before sim_start() */
    uint64_t key_hash[SIM_KEYS];
    struct sim_node node[SIM_NODES];
    uint8_t cut[SIM_NODES][SIM_NODES];
    uint32_t heard[SIM_NODES][SIM_NODES]; /* [to][from]: the newest message's number */
    struct sim_network network, weather;  /* now; and when it is bad */
    double slow_action, weather_slow;
    double full, weather_full; /* shares that find no room in a segment */
    sim_time weather_until;
    struct core_timers timers;
    double hold_s, tail;
    double leave_s;       /* how long a bridge may take to leave; 0: some time or other */
    bool reboot_clock;    /* a host's clock starts again with it, as CLOCK_BOOTTIME does */
    bool no_drain;        /* hosts do not end what is over their share (a mutant) */
    bool no_pending;      /* nor keep to a pending configuration (a mutant) */
    bool no_end;          /* shares outlive their sessions (a mutant) */
    bool forgets_promise; /* a promise is not stored (a mutant) */
    bool no_former;       /* what others have promised is not proposed again (a mutant) */
    bool commit_raises;   /* without a session, the home of a committed configuration (a mutant) */
    bool trace;
    FILE *out;       /* of the trace; NULL: it is only counted */
    unsigned *lines; /* of it, so far; NULL: nobody counts */
    int trace_key;   /* 0: of every counter; else of counter trace_key - 1 alone */
    bool settling;
    struct baseline *baseline; /* another way to keep the limits; NULL: none. Freed as below */
    bool go_on;                /* when a limit was exceeded, too */
    sim_story story;
    /* A scenario may look at every message: <0 loses it, more delays it by so many seconds. It may
     * schedule copies of its own with net_again(). */
    double (*intercept)(struct sim *sim, int from, int to, struct sim_message *message);
    /* To measure: at the begin of each publication, and at its end with NULL. */
    void (*on_publish)(struct sim *sim, int from, const struct core_action *action);
    void *story_state; /* freed by sim_clear() */
    /* the plan */
    double seconds;
    unsigned steps, next_step;
    unsigned telling;            /* the step that is happening; 0: none */
    unsigned calm;               /* kinds of weather that are left out: CALM_ bits */
    int drawn_nodes, drop_nodes; /* of those drawn, the ones left out begin there; 0: none are */
    const uint8_t *only;         /* [steps + 1]: by id, the steps that happen; NULL: all */

    int64_t total[SIM_KEYS];
    int64_t peak[SIM_KEYS]; /* since it was last reset */
    /* the verdict */
    uint64_t over;
    sim_time over_at;
    int over_key;
    int64_t over_by;
    char stuck[160];
    char doubt[160]; /* accounts that did not cover what was held, the first time; empty: none */
    sim_time doubt_at;
    int doubt_key;
    uint64_t connection_ids;
    uint64_t count[SIM_COUNTS];
    struct core_stats stats; /* of all cores that ended */

    /* ---- kept from run to run: see sim_clear() ---- */
    struct sim_due *heap;
    struct sim_event *place;
    uint32_t *free_place;
    size_t heap_room;
    struct sim_step *step;
    unsigned step_room;
    struct sim_message *free_message;
    struct sim_connections connection[SIM_NODES][SIM_KEYS];
};

/* ---- chance ---- */
/** Every bit of the result depends on all of z. */
uint64_t sim_mix(uint64_t z);
/** 0 to below - 1, from a stream of its own. */
uint64_t sim_draw(uint64_t *state, uint64_t below);
double sim_draw_uniform(uint64_t *state, double from, double to);
double sim_draw_exponential(uint64_t *state, double mean);
/** The same, of the world. */
uint64_t sim_random(struct sim *sim, uint64_t below);
double sim_uniform(struct sim *sim, double from, double to);
/** One of these numbers. */
#define SIM_PICK(state, ...)                                                                       \
    (((const double[]){                                                                            \
        __VA_ARGS__})[sim_draw(state, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))])

/* ---- events ---- */
void sim_at(struct sim *sim, double seconds, struct sim_event event);
/** The next one, if it comes until then; the clock goes on to it. */
bool sim_next_event(struct sim *sim, sim_time until, struct sim_event *out);
void sim_run(struct sim *sim, double until_s);
void sim_log(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Of one counter: not told when the trace is of another. */
void sim_log_key(const struct sim *sim, int key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the plan ---- */
/** A step at so many seconds, to be filled in. Valid until the next call. */
struct sim_step *plan_step(struct sim *sim, double at_s, enum sim_step_type type);
/** All steps are there: number them, and have the first come. */
void plan_begin(struct sim *sim);
void plan_next(struct sim *sim);
void plan_calm(struct sim *sim);

/* ---- world ---- */
/** Timers of seconds, so that what they do happens in a short run. */
struct core_timers sim_short_timers(void);
/** In a quarter of the runs segments refuse shares now and then, as a full one does: how many. */
double sim_full_segments(uint64_t seed);
/** A world with one configuration of n members; members 0 to n - 1 exist. */
void sim_start(struct sim *sim, uint64_t seed, int n, const int32_t *limits, int keys,
               uint32_t reserve_percent, const struct core_timers *timers);
/** End everything, and make ready for another sim_start(): all is 0 but the memory that is kept. */
void sim_clear(struct sim *sim);
/** The same, and free what is kept. */
void sim_end(struct sim *sim);
/** One more configuration. mask: its members. Nodes load it by EVENT_LOAD. @return its index. */
int sim_add_config(struct sim *sim, uint64_t mask, const int32_t *limits);
bool sim_is_member(const struct sim_config *config, uint64_t hash);
/** Heal everything, let all be hungry, and see whether every limit is used and all have sessions.
 */
void sim_settle(struct sim *sim);

/* ---- nodes ---- */
uint64_t sim_local(struct sim *sim, int node);
/** config -1: a new node. */
void node_create(struct sim *sim, int node, int config, int file);
void node_workers(struct sim *sim, int node); /* take what demand and cap allow */
int32_t node_cap(struct sim *sim, int node, int key);
/** Tell the bridge which limits are observed, once more. */
void node_observe(struct sim *sim, int node);
/** The same as a number, by which takes are judged where nothing is refused. */
int32_t node_share(struct sim *sim, int node, int key);
void node_handle(struct sim *sim, const struct sim_event *event);
void node_message(struct sim *sim, int node, struct sim_message *message);
void node_host_crash(struct sim *sim, int node, double down_s);
void node_bridge_crash(struct sim *sim, int node, double down_s);
void node_bridge_leave(struct sim *sim, int node, double down_s);
void node_pause(struct sim *sim, int node, double s);
void node_freeze(struct sim *sim, int node, double s);
/** The last configuration, or this one. */
void node_load(struct sim *sim, int node);
void node_load_file(struct sim *sim, int node, int file);
void node_bury(struct sim *sim, int node);
void node_return(struct sim *sim, int node, int file);
/** A random node whose bridge leads; -1: none. */
int node_leader(struct sim *sim);

/* ---- network ---- */
void net_publish(struct sim *sim, int from, const struct core_action *action);
void net_send_note(struct sim *sim, int from, int to, const struct sim_note *note);
void net_release(struct sim *sim, struct sim_message *message);
/** Cut what leaves `mask` (out) and what comes in (in), for a time. */
void net_cut(struct sim *sim, uint64_t mask, bool out, bool in, double s);
void net_heal(struct sim *sim, uint64_t mask, bool out, bool in);

/** Deliver it, or it a second time, after so many seconds. */
void net_again(struct sim *sim, int to, struct sim_message *message, double s);

/* ---- scenarios ---- */
struct sim_scenario {
    const char *name;
    double seconds; /* unless begin() sets sim->seconds */
    bool settles;   /* and is over when everything was healed and is used again */
    void (*begin)(struct sim *sim, uint64_t seed);
};
/** @return NULL: there is none of that name. */
const struct sim_scenario *sim_scenario(const char *name);
void reloads_begin(struct sim *sim, uint64_t seed);
void drains_begin(struct sim *sim, uint64_t seed);
void observe_begin(struct sim *sim, uint64_t seed);
/** The one that a seed of the mix runs. */
const struct sim_scenario *sim_scenario_of(uint64_t seed);
extern const struct sim_scenario sim_scenarios[];
enum { SIM_FAULT_LEVELS = 4 }; /* none to very many */
/** Five nodes, three counters, timers as they come, moving demand, and faults of a level. */
void scenario_compare(struct sim *sim, uint64_t seed, int level);
/** The same, all hungry, without faults but one: at sim->seconds this node's host dies. */
void scenario_reclaim(struct sim *sim, uint64_t seed, int victim);
/** Short stories that each put one rule to the test; ends with a NULL name. */
extern const struct sim_scenario sim_directed[];
/** All connections of a counter end by themselves. */
void node_close_all(struct sim *sim, int node, int key);

/* ---- runs ---- */
/** Kinds of bad weather that can be left out of a run. */
enum { CALM_LOSS = 1, CALM_DOUBLED = 2, CALM_LATE = 4, CALM_STOPS = 8, CALM_FULL = 16 };

/** One run, and what is left out of it. */
struct sim_request {
    const struct sim_scenario *scenario;
    uint64_t seed;
    uint64_t noise;      /* another chance for all that is not in the plan */
    const uint8_t *only; /* as in struct sim */
    int nodes;           /* at most; 0: as drawn */
    unsigned calm;       /* CALM_ bits */
    double until_s;      /* 0: to the end */
    int mutant;          /* 0: none */
    bool trace;
    int trace_key; /* as in struct sim */
    FILE *out;     /* of the trace; NULL: it is only counted */
};
/** SIM_DOUBT: nothing went over, but it might have: a coordinator's accounts were wrong. */
enum sim_verdict { SIM_GOOD, SIM_OVER, SIM_STUCK, SIM_DOUBT };
/** Run it in a world that was cleared or is all 0. What happened can be read until sim_clear(). */
enum sim_verdict run_one(struct sim *sim, const struct sim_request *request);
/** Say what was wrong, in a line. */
void run_print_verdict(const struct sim *sim, const struct sim_request *request, FILE *out);
/** The options of cluster-sim that give this run again. steps: in its plan. */
void run_print_command(const struct sim_request *request, unsigned steps, FILE *out);
/** "1,4-7" to a table of ids. @return NULL: it is no such list. To be freed. */
uint8_t *run_parse_ids(const char *text);

/** A failing run as a short story. */
struct sim_shrunk {
    struct sim_request request;
    uint8_t *only;                /* request.only; to be freed */
    unsigned steps, left;         /* of the plan, and those that the story needs */
    uint64_t runs;                /* tried */
    unsigned lines, lines_before; /* of the trace */
};
/** Leave out of a failing run all that it fails without. failing->only must be NULL. */
void shrink(struct sim *sim, const struct sim_request *failing, struct sim_shrunk *out);
/** Shrink it and print the story. */
void shrink_and_tell(struct sim *sim, const struct sim_request *failing);

/** Many runs by several processes. */
struct sim_campaign {
    const struct sim_scenario *scenario; /* NULL: the mix */
    uint64_t first, seeds;
    int jobs;
    int mutant;
    bool keep_going, directed;
};
/** @return EXIT_SUCCESS: every run was good. */
int campaign_run(const struct sim_campaign *campaign);

/** Compare slotshare with other ways to keep a limit: a table. @return EXIT_SUCCESS: slotshare
 * never went over. */
int baselines_run(uint64_t seeds);
/** Run each mutant until it goes over. stories: and tell how. @return EXIT_SUCCESS when all did. */
int mutants_run(bool stories);
/** Shrink runs that some mutants fail. @return EXIT_SUCCESS: they are short stories then. */
int mutants_test_stories(void);

#endif
