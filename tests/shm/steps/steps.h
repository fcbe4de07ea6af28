/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_STEPS_H
#define SLOTSHARE_TESTS_STEPS_H
/**
 * The crash harness: real processes are stopped after each instruction of the library's own calls,
 * killed there, recovered by the library's own reaping, and then the whole table is compared with
 * what is known to be held.
 *
 * One process, the controller, has the segment open as bridge and as worker and holds some slots.
 * It forks actors, each of which prepares itself, and then does one operation under ptrace.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <slotshare/slotshare.h>

#include "../../../shm/control.h"
#include "../../../shm/handle.h"

enum { ROLES = 3, COUNTERS = 128, TRACK_MAX = 1 << 17 };

/** What kind of table. */
enum setting {
    CLUSTER, /* a bridge, shares, a session */
    SINGLE,  /* one host; the shares are the limits */
    GROWING, /* the same, full of counters that are in use, and may grow */
};

enum phase { PHASE_NEW, PHASE_READY, PHASE_RUNNING, PHASE_DONE, PHASE_FAILED };

/** What an actor tells, on a page that it shares with the controller. */
struct told {
    _Atomic uint32_t phase; /* enum phase */
    _Atomic pid_t tid;      /* the thread that is traced */
    _Atomic uint32_t leader;
    _Atomic uint32_t counter, held; /* so many slots of this counter, when the operation is done */
    _Atomic int32_t result;         /* of the operation */
    _Atomic uint32_t go;            /* for its second thread: do it now */
    _Atomic uint32_t went;          /* the second thread has done it, */
    _Atomic int32_t result_second;  /* with this result */
};

/** The way of one operation, instruction by instruction. */
struct track {
    unsigned count;    /* instructions */
    uint64_t *address; /* of the one that comes after so many others */
    uint32_t *visits;  /* how often the way has come here by then */
    bool *differs;     /* the table, or what the kernel holds for the actor, is not as before: for
                          one who dies only these are different places to die at */
};

/** Limits of the single host's counters: in its configuration file, and expected by world_check().
 */
struct limits {
    int32_t hot, full, other;
};

struct actor {
    pid_t pid; /* 0: none */
    pid_t tid;
    uint64_t until; /* its way ends when it comes to this address; 0: when it says so */
    bool ended;     /* it has come there */
    bool queue;     /* it is a queue's thread */
    struct told *told;
};

struct world {
    char directory[64];
    enum setting setting;
    struct control *control; /* NULL on a single host */
    uint32_t bridge;         /* the bridge's owner record */
    slotshare *handle;
    struct segment *segment;
    uint32_t me; /* the controller's owner record */
    slotshare_counter hot, full, heal, idle, idle_long;
    slotshare_slot base;
    uint32_t mine[COUNTERS];  /* what the controller holds of each counter */
    uint32_t start[COUNTERS]; /* the same, between two points */
    struct limits limits;     /* that the table should have now */
    struct limits next;       /* what a reload is to bring */
    struct conf *next_conf;   /* the same for the bridge */
    uint64_t rules;           /* generation of the rule set that is in force at first */
    char *clean;              /* the table between two points */
    char *seen;               /* the table when world_changed() looked last */
    int file;                 /* the segment */
    struct actor actor[ROLES];
    int probe;       /* of the lock file */
    bool exact_hint; /* nobody was stalled: the header's number of counters must be right, too */
    /* What is being tested, for messages. */
    const char *mode;
    char what[96];
    unsigned i, j;
    int ending;
    /* Results. */
    uint64_t points, mistakes; /* in this mode */
    uint64_t before;           /* points of the modes before it */
    uint64_t late; /* points at which the actor's way was shorter than the recorded one */
    unsigned stride;
    const char *only_op; /* in the modes with one victim; NULL: all */
    bool full_form, until_first;
    struct track victim_track, helper_track, third_track;
};

/** An operation: prepare() runs freely in the actor, run() is stepped. */
struct op {
    const char *name;
    void (*prepare)(struct world *world, struct told *told);
    void (*run)(struct world *world, struct told *told);
    bool threaded; /* run() in a thread that is not the process's first */
    bool (*second)(struct world *world, struct told *told); /* the first thread, on told.go */
    void (*begin)(
        void);  /* stepped from where this function is called first; NULL: from the start */
    bool queue; /* the thread of the queue is stepped, while the first does run() */
    int result; /* what run() has when nobody disturbs it */
};
const struct op *op_find(const char *name); /* must be there */

/* world.c */

/** Create the segment and everything in it. @return false: *why is set. */
bool world_open(struct world *world, enum setting setting, const char **why);
void world_close(struct world *world);
/** As it was in the beginning. No actor may live. */
void world_reset(struct world *world);
/** Has the table changed since this was asked last? */
bool world_changed(struct world *world);
/** A configuration file of the single host with these limits. @return its path. */
const char *world_config(const struct world *world, struct limits limits);
/** The same, read; to be freed with conf_free(). NULL: says why. */
struct conf *world_conf(const struct world *world, struct limits limits);
extern const struct limits limits_start;
const char *world_name(void);
/** Two domains whose counters come into the same chain as the idle one. */
const char *world_neighbour(unsigned which);

/* check.c */

/** Compare everything with what is known; says what is wrong and counts it. */
bool world_check(struct world *world, const char *when);
/** The disk has given room for all that may be used: a full one would kill whoever uses more. To be
 * asked before anybody looks at what is new in the table: to look is to use. */
void world_check_room(struct world *world);
/** Count a mistake, and print it if it is one of the first. */
void mistake(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Wait until the kernel has let go of the locks of all that are dead, then let `handle` reap. */
void world_settle(const struct world *world);
void world_reap(struct world *world);

/* actor.c */

/** Start an actor and stop it before the first instruction of its operation. */
bool actor_start(struct world *world, unsigned role, const struct op *op);
/** Go step by step to the end of the operation, and note the way. */
void actor_record(struct world *world, unsigned role, struct track *track);
/** Go on from the beginning of the operation to the place that the track names: so many
 * instructions, but mostly in one go. */
void actor_go(struct world *world, unsigned role, const struct track *track, unsigned place);
/** Go on to the end of the operation. */
void actor_finish(struct world *world, unsigned role);
void actor_kill(struct world *world, unsigned role);
bool track_new(struct track *track);
void track_free(struct track *track);

/* ops.c */
/** Take and give back once: attached, with slot records at hand. */
bool warm(struct world *world);
bool traffic(struct world *world); /* the controller takes and gives on the hot counter */
bool controller_take(struct world *world, slotshare_counter counter, slotshare_slot *slot);
void controller_give(struct world *world, slotshare_slot slot);
struct slotshare_connection connection_of(const char *which);
/** Take one slot of it, and tell. */
void actor_take(struct world *world, struct told *told, slotshare_counter counter);
void prepare_warm(struct world *world, struct told *told);
void failed(struct told *told); /* it could not be prepared */

/* ops_more.c */
extern const struct op more_ops[];
extern const unsigned more_op_count;

/* mutants.c */
/** Which mistake to make in this process, and who reaps (see mutant.h). No-ops in the harness that
 * tests the library as it is. */
bool mutants_choose(const char *name);
void mutants_reaper(uint32_t owner);
/** Run the harness that has them once for each. @return how many were not found; < 0: cannot. */
int mutants_run_all(void);

/* modes*.c */
struct mode {
    const char *name, *text;
    void (*run)(struct world *world);
    unsigned short_stride, full_stride;
    enum setting setting;
};
extern const struct mode modes[];
extern const unsigned mode_count;

typedef void (*trial)(struct world *world, const struct op *op, int place, int ending);
/** Try each place of an operation; endings are numbers for the trial. */
void every_place(struct world *world, const char *name, int endings, trial point);
/** Where something changes each place and ending; elsewhere every so many with the last ending,
 * in which nobody dies. */
void every_change(struct world *world, const char *name, int endings, trial point);
/** Start the victim and go to this place; < 0: record its way, to the end. */
void walk(struct world *world, const struct op *op, int place);

void mode_alone(struct world *world);

void mode_tag(struct world *world);
void mode_proof(struct world *world);
void mode_live(struct world *world);
void mode_share(struct world *world);
void mode_double(struct world *world);
void mode_pair(struct world *world);
void mode_insert(struct world *world);
void mode_reaper(struct world *world);
void mode_reaper_twice(struct world *world);
void mode_paused(struct world *world);
void mode_reuse(struct world *world);
void mode_stale(struct world *world);
void mode_grow(struct world *world);
void mode_reload(struct world *world);
void mode_reload_live(struct world *world);
void mode_bridge(struct world *world);

/** One point begins, or is over (all actors killed, reaped, compared, and the table as before). */
void point_begin(struct world *world, unsigned i, unsigned j, int ending, const char *what, ...)
    __attribute__((format(printf, 5, 6)));
void point_end(struct world *world);
/** Enough mistakes: go on with the next mode. */
bool fed_up(const struct world *world);

#endif
