/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_STORM_H
#define SLOTSHARE_TESTS_STORM_H
/**
 * Many processes take and give slots, are stopped, killed, fork and lose threads at random; an
 * observer that takes no part compares what they say that they hold with the limits, all the time.
 *
 * Truth: each thread of each process has a lane on a page that all share, and writes there what it
 * holds, after it was told that it has a slot and before it gives it back. So whatever the lanes
 * say is held at one moment really is. Who is about to be killed is marked before: its lanes do not
 * count any more.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <slotshare/slotshare.h>
#include <slotshare/stat.h>

enum {
    PROCESSES = 64,
    LANES = 5,
    LIMITED = 3,      /* counters with a small limit */
    OTHERS = LIMITED, /* held[OTHERS]: of names that come and go */
    KINDS = LIMITED + 1,
    TIMES = 4096,
};
extern const int storm_limit[LIMITED];

/** What one thread holds. Only that thread writes it: version is odd while it does. */
struct lane {
    _Atomic uint32_t version;
    _Atomic uint32_t held[KINDS];
};

struct process {
    _Atomic pid_t pid;        /* 0: the place is free */
    _Atomic uint32_t parent;  /* place of the process that forked it, + 1; 0: the supervisor */
    _Atomic uint32_t dying;   /* will be killed, or ends by itself, still holding slots */
    _Atomic uint32_t threads; /* at work */
    _Atomic uint32_t resting; /* of these, so many stand still for a comparison */
    _Atomic uint32_t files,
        heap; /* of a process that lives as long as the storm: descriptors, KiB */
    _Atomic uint32_t left[KINDS]; /* by threads of the process, for others to give back */
    bool elder;                   /* is never killed */
    bool steady;                  /* is never stopped: it measures */
    bool reaper;                  /* does nothing but reap */
    bool stopped;                 /* the supervisor's own note */
    struct lane lane[LANES];
};

struct page {
    _Atomic uint32_t rest; /* everybody: come to rest, keep what you hold */
    _Atomic uint32_t end;
    _Atomic uint32_t alone; /* reapers do nothing: workers notice the dead by themselves, and the
                               probe measures how long that takes */
    _Atomic uint64_t takes, refusals, samples, snapshots, full_tables, forks, threads;
    _Atomic uint32_t over;      /* the observer found more held than the limit */
    _Atomic int32_t unexpected; /* a result that cannot be, of a call */
    _Atomic uint32_t times;
    _Atomic uint32_t time_us[TIMES]; /* from SIGKILL to the waiting one's slot */
    struct process process[PROCESSES];
};

struct storm {
    struct page *page;
    const char *directory;
    slotshare *handle; /* the supervisor's; a forked worker may go on with it */
    uint32_t random;
    unsigned workers, seconds;
    unsigned kills, stops, quiet, reapers; /* of the kills so many were of reapers */
    bool failed;
};

/** A small generator of its own for each thread. */
static inline uint32_t storm_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void storm_nap(unsigned us);
uint64_t storm_now_us(void);
slotshare *storm_open(const struct storm *storm, bool read_only);
const char *storm_name(void);

/** Write down a change of what a lane holds. */
void lane_tell(struct lane *lane, unsigned kind, int change);
void lane_clear(struct lane *lane);
/** @return a place for the process, its pid is set by the caller; NULL: none free */
struct process *process_place(struct page *page, uint32_t parent);
/** A call that returned what it never should. */
void unexpected(struct page *page, int result);

/** The open descriptors of this process, and KiB on its heap. */
struct size {
    uint32_t files, heap;
};
struct size size_now(void);

_Noreturn void worker_main(struct storm *storm, struct process *me);
_Noreturn void reaper_main(struct storm *storm, struct process *me);
_Noreturn void observer_main(struct storm *storm, struct process *me);
_Noreturn void probe_main(struct storm *storm, struct process *me);

/** Make a mess for a while; everybody comes to rest and all is compared. */
void supervise(struct storm *storm);
void storm_fail(struct storm *storm, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
