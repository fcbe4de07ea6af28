/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

enum { PAUSE_MS = 200 }; /* after a failure, so that a dead server is not hammered */

/* One process, as its threads see it. */
struct worker {
    const struct options *options;
    struct session_options session;
    struct totals *totals;
    int64_t deadline;
    int log;
    _Atomic int told;   /* a failure was printed: not each of thousands */
    _Atomic int broken; /* the segment is of no use any more */
};

int64_t worker_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool goes_on(struct worker *worker) {
    return !atomic_load(&worker->totals->stop) && !atomic_load(&worker->broken) &&
           (!worker->deadline || worker_clock() < worker->deadline);
}

/* splitmix64 (Steele, Lea, Flood 2014): good enough to choose a destination. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static const struct destination *choose(const struct options *options, uint64_t *random) {
    uint64_t at = next_random(random) % options->weights;
    const struct destination *to = options->destination;
    while (at >= to->weight) {
        at -= to->weight;
        to++;
    }
    return to;
}

/* Take one message from the queue that all processes share. */
static bool claim(struct worker *worker) {
    if (!worker->options->messages)
        return true;
    if (atomic_fetch_sub(&worker->totals->left, 1) > 0)
        return true;
    atomic_fetch_add(&worker->totals->left, 1);
    return false;
}

/* It was not delivered: back into the queue. */
static void unclaim(struct worker *worker) {
    if (worker->options->messages)
        atomic_fetch_add(&worker->totals->left, 1);
}

static void delivered(struct worker *worker, const struct destination *to, const char *id) {
    atomic_fetch_add(&worker->totals->delivered, 1);
    if (worker->log < 0)
        return;
    char line[1024];
    int length = snprintf(line, sizeof line, "%s %s %s\n", id, to->domain, to->host);
    /* One write to a file opened with O_APPEND: lines of several processes do not mix. */
    if (write(worker->log, line, (size_t)length) != length)
        perror("mailworker: --log");
}

static void not_delivered(struct worker *worker, const struct session *session,
                          enum session_result result, const struct destination *to) {
    unclaim(worker);
    if (result == SESSION_REFUSED) {
        atomic_fetch_add(&worker->totals->refused, 1);
        return;
    }
    atomic_fetch_add(&worker->totals->failed, 1);
    if (!atomic_exchange(&worker->told, 1))
        fprintf(stderr, "mailworker: mail for %s by %s (%s:%u) failed: %s\n", to->domain, to->host,
                to->address, to->port, session_error(session));
    if (result == SESSION_BROKEN)
        atomic_store(&worker->broken, 1);
    else
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

/* A connection's life: one destination, up to per_connection messages. */
static bool run_session(struct worker *worker, const struct destination *to, const char *prefix,
                        uint64_t *count) {
    struct session *session = session_new(&worker->session, to);
    if (!session) {
        fprintf(stderr, "mailworker: out of memory\n");
        return false;
    }
    bool more = true;
    const struct options *options = worker->options;
    /* Begins at the first delivery: the wait for a slot is no part of a connection's life. */
    int64_t end = INT64_MAX;
    for (unsigned i = 0; i < options->per_connection && goes_on(worker) && worker_clock() < end;
         i++) {
        more = claim(worker);
        if (!more)
            break;
        char id[96];
        snprintf(id, sizeof id, "%s.%" PRIu64, prefix, ++*count);
        enum session_result result = session_send(session, id);
        if (result != SESSION_DELIVERED) {
            not_delivered(worker, session, result, to);
            break;
        }
        delivered(worker, to, id);
        if (session_in_excess(session))
            break; /* the next session takes a slot anew, when it is this host's turn */
        if (i == 0)
            end = worker_clock() + options->lifetime_ms;
    }
    atomic_fetch_add(&worker->totals->connections, session_connections(session));
    session_free(session);
    return more;
}

static void *run_thread(void *arg) {
    struct worker *worker = arg;
    uint64_t random = 0, count = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)worker_clock();
    char prefix[64]; /* unique over processes, threads and time */
    snprintf(prefix, sizeof prefix, "%016" PRIx64 ".%d", next_random(&random), (int)getpid());
    while (goes_on(worker) &&
           run_session(worker, choose(worker->options, &random), prefix, &count)) {
    }
    return NULL;
}

static int run_threads(struct worker *worker) {
    unsigned wanted = worker->options->connections, running = 0;
    pthread_t *thread = calloc(wanted, sizeof *thread);
    if (!thread)
        return 1;
    while (running < wanted && !pthread_create(&thread[running], NULL, run_thread, worker))
        running++;
    if (running < wanted)
        fprintf(stderr, "mailworker: only %u of %u threads could be started\n", running, wanted);
    for (unsigned i = 0; i < running; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    return running < wanted || atomic_load(&worker->broken);
}

int worker_run(const struct options *options, struct totals *totals, int64_t deadline) {
    struct worker worker = {.options = options,
                            .session = options->session,
                            .totals = totals,
                            .deadline = deadline,
                            .log = -1};
    char error[4096] = "";
    struct slotshare_options how = SLOTSHARE_OPTIONS_INIT;
    how.directory = options->directory;
    how.config = options->config;
    how.error = error;
    how.error_size = sizeof error;
    int result = slotshare_open(&worker.session.segment, options->name, &how);
    if (result != SLOTSHARE_OK) {
        fprintf(stderr, "mailworker: %s\n", error[0] ? error : slotshare_strerror(result));
        return 1;
    }
    if (options->log) {
        worker.log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (worker.log < 0) {
            perror(options->log);
            slotshare_close(worker.session.segment);
            return 1;
        }
    }
    int failed = 1;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        failed = run_threads(&worker);
        curl_global_cleanup();
    }
    slotshare_close(worker.session.segment);
    if (worker.log >= 0 && close(worker.log) != 0)
        perror(options->log);
    return failed;
}
