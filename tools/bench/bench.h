/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H
/**
 * slot-bench: what a slot costs, beside what else could count connections. Both sides of a
 * comparison run in the same processes, in turns, so that a busy machine slows both alike.
 * Nothing here is thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BENCH_PROCESSES_MAX = 32,
    BENCH_ERROR_MAX = 512,
    BENCH_ROUNDS_MAX = 64,
    BENCH_PATH_MAX = 400,
};

/** What all cases of one run share. */
struct bench {
    char directory[BENCH_PATH_MAX]; /**< of the run's own segments; removed at its end */
    int64_t milliseconds;           /**< that a comparison may take, roughly */
    uint32_t counters;              /**< of the large table */
    char error[BENCH_ERROR_MAX];    /**< why the last thing failed */
};

/** Put a printf-like text into bench->error. @return -1 */
int bench_fail(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** CLOCK_MONOTONIC in nanoseconds. */
uint64_t bench_now(void);

/**
 * One side of a comparison. start(), run() and stop() are called in a worker process of its own,
 * one after the other.
 */
struct subject {
    const char *name; /**< as the report calls it */
    /** @param worker  from 0; @return the state for run(), or NULL after bench_fail() */
    void *(*start)(struct bench *bench, const struct subject *subject, unsigned worker);
    /** Do it so many times. @return 0; else what went wrong, as slotshare_strerror() knows it */
    int (*run)(void *state, uint32_t times);
    void (*stop)(void *state);
    bool waits;          /**< for others: charge wall-clock time, not processor time */
    uint32_t batch;      /**< how often at a time: some microseconds, so that the clock is free */
    const char *segment; /**< of slot subjects */
    const char *host;    /**< that a connection is for */
    void *shared;        /**< of the others: memory that the processes share */
    uint32_t number;     /**< of counters to go through; or what start() wants */
};

/** Of several rounds: the middle one, and between what the middle half of them lies. */
struct spread {
    double middle, low, high;
};

struct measurement {
    struct spread value[2]; /**< nanoseconds per operation, of each side */
    struct spread ratio;    /**< of the first to the second, round by round */
    unsigned rounds;
};

/**
 * Compare two subjects in `processes` processes; b may be NULL.
 * @return 0; -1 after bench_fail().
 */
int measure(struct bench *bench, const struct subject *a, const struct subject *b,
            unsigned processes, struct measurement *out);

/** Sorts the values. */
struct spread spread_of(double *values, unsigned count);

/** Memory that processes share, zeroed; for good. @return NULL after bench_fail(). */
void *shared_memory(struct bench *bench, size_t size);

/* ---- segments -------------------------------------------------------------------------------- */

struct slotshare;

/** Make the segment `name` of a single host, or of a cluster's member with a session of an hour.
 * limits: the rest of the configuration. @return 0; -1 after bench_fail(). */
int segment_host(struct bench *bench, const char *name, uint32_t counters, const char *limits);
int segment_cluster(struct bench *bench, const char *name, const char *limits);

/** Open it. @return NULL after bench_fail(). */
struct slotshare *segment_open(struct bench *bench, const char *name);

/** Bytes that its file takes on the disk; 0 after bench_fail(). */
uint64_t segment_bytes(struct bench *bench, const char *name);

/** The name of counter i of a large table. */
enum { BENCH_NAME_MAX = 32 };
void segment_host_name(char out[BENCH_NAME_MAX], uint32_t i);

/* ---- the report ------------------------------------------------------------------------------ */

/** One line. Without a peer, ratio.middle is 0; without a wish, both wanted_ numbers are. */
struct result {
    const char *name, *what, *unit, *peer;
    unsigned processes;
    struct measurement measured;
    double wanted_ratio; /**< first to second, at most */
    double wanted_value; /**< at most */
    char skipped[160];   /**< why it was not measured; empty: it was */
};

struct report;
struct report *report_new(FILE *out, bool json);
void report_add(struct report *report, const struct result *result);
/** Print what is left to print. @return 0; -1: no memory. */
int report_end(struct report *report, const struct bench *bench);

/* ---- cases ----------------------------------------------------------------------------------- */

struct bench_case {
    const char *name, *what;
    /** @return 0; -1 after bench_fail(). */
    int (*run)(struct bench *bench, struct report *report, const struct bench_case *self);
};

int case_pairs(struct bench *bench, struct report *report, const struct bench_case *self);
int case_cluster(struct bench *bench, struct report *report, const struct bench_case *self);
int case_name(struct bench *bench, struct report *report, const struct bench_case *self);
int case_refusal(struct bench *bench, struct report *report, const struct bench_case *self);
int case_contended(struct bench *bench, struct report *report, const struct bench_case *self);
int case_processes(struct bench *bench, struct report *report, const struct bench_case *self);
int case_counters(struct bench *bench, struct report *report, const struct bench_case *self);
int case_insertion(struct bench *bench, struct report *report, const struct bench_case *self);
int case_handover(struct bench *bench, struct report *report, const struct bench_case *self);
int case_fairness(struct bench *bench, struct report *report, const struct bench_case *self);
int case_redis(struct bench *bench, struct report *report, const struct bench_case *self);

/** Ready-made subjects; fill in segment, host or shared where it says so. */
extern const struct subject subject_handle;   /* segment, host */
extern const struct subject subject_threaded; /* segment, host; the process has a second thread */
extern const struct subject subject_name;     /* segment, host */
extern const struct subject subject_refusal;  /* segment, host: of limit 1 */
extern const struct subject subject_bare;     /* shared */
extern const struct subject subject_least;    /* shared; at most two processes */
extern const struct subject subject_semaphore, subject_mutex, subject_sysv; /* shared */

/** Make ready what their shared memory is for. @return NULL after bench_fail(). */
void *shared_counter(struct bench *bench);
void *shared_least(struct bench *bench);
void *shared_semaphore(struct bench *bench);
void *shared_mutex(struct bench *bench);
/** The semaphore set is removed by sysv_remove(). */
void *shared_sysv(struct bench *bench);
void sysv_remove(void *shared);

#endif
