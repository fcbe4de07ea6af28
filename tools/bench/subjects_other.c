/* SPDX-License-Identifier: MIT */
/* What else could count connections between processes of one host. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include <slotshare/slotshare.h>

#include "bench.h"

enum { LIMIT = 1000 };

static void *start(struct bench *bench, const struct subject *subject, unsigned worker) {
    (void)bench;
    (void)worker;
    return subject->shared;
}

static void stop(void *state) {
    (void)state;
}

/* ---- a number -------------------------------------------------------------------------------- */

static int run_bare(void *state, uint32_t times) {
    _Atomic uint64_t *counter = state;
    for (uint32_t i = 0; i < times; i++) {
        atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel);
        atomic_fetch_sub_explicit(counter, 1, memory_order_acq_rel);
    }
    return 0;
}

void *shared_counter(struct bench *bench) {
    return shared_memory(bench, sizeof(uint64_t));
}

/* ---- a semaphore: knows no owner, so what a killed process held is lost -----------------------
 */

static int run_semaphore(void *state, uint32_t times) {
    sem_t *semaphore = state;
    for (uint32_t i = 0; i < times; i++) {
        if (sem_trywait(semaphore) != 0 || sem_post(semaphore) != 0) {
            return SLOTSHARE_ESYSTEM;
        }
    }
    return 0;
}

void *shared_semaphore(struct bench *bench) {
    sem_t *out = shared_memory(bench, sizeof *out);
    if (out && sem_init(out, 1, LIMIT) != 0) {
        (void)bench_fail(bench, "sem_init: %s", strerror(errno));
        return NULL;
    }
    return out;
}

/* ---- a robust mutex around a number: taken once to count up, once to count down ----------------
 */

struct guarded {
    pthread_mutex_t mutex;
    uint32_t count;
};

static int guarded_add(struct guarded *guarded, uint32_t difference) {
    if (pthread_mutex_lock(&guarded->mutex) != 0) {
        return SLOTSHARE_ESYSTEM;
    }
    guarded->count += difference;
    return pthread_mutex_unlock(&guarded->mutex) == 0 ? 0 : SLOTSHARE_ESYSTEM;
}

static int run_mutex(void *state, uint32_t times) {
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < times; i++) {
        result = guarded_add(state, 1);
        if (result == 0) {
            result = guarded_add(state, UINT32_MAX);
        }
    }
    return result;
}

void *shared_mutex(struct bench *bench) {
    struct guarded *out = shared_memory(bench, sizeof *out);
    pthread_mutexattr_t attributes;
    if (!out) {
        return NULL;
    }
    if (pthread_mutexattr_init(&attributes) != 0 ||
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) != 0 ||
        pthread_mutex_init(&out->mutex, &attributes) != 0) {
        (void)bench_fail(bench, "no robust mutex");
        return NULL;
    }
    (void)pthread_mutexattr_destroy(&attributes);
    return out;
}

/* ---- System V: the kernel gives back ----------------------------------------------------------
 */

static int run_sysv(void *state, uint32_t times) {
    const int *id = state;
    struct sembuf take = {.sem_num = 0, .sem_op = -1, .sem_flg = SEM_UNDO | IPC_NOWAIT};
    struct sembuf give = {.sem_num = 0, .sem_op = 1, .sem_flg = SEM_UNDO};
    for (uint32_t i = 0; i < times; i++) {
        if (semop(*id, &take, 1) != 0 || semop(*id, &give, 1) != 0) {
            return SLOTSHARE_ESYSTEM;
        }
    }
    return 0;
}

union argument { /* semctl()'s, which the program has to declare */
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

void *shared_sysv(struct bench *bench) {
    int *out = shared_memory(bench, sizeof *out);
    if (!out) {
        return NULL;
    }
    *out = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    if (*out < 0 || semctl(*out, 0, SETVAL, (union argument){.val = LIMIT}) != 0) {
        (void)bench_fail(bench, "semget: %s", strerror(errno));
        return NULL;
    }
    return out;
}

void sysv_remove(void *shared) {
    const int *id = shared;
    if (id && *id >= 0) {
        (void)semctl(*id, 0, IPC_RMID);
    }
}

const struct subject subject_bare = {
    .name = "fetch_add, fetch_sub", .start = start, .run = run_bare, .stop = stop, .batch = 2000};
const struct subject subject_semaphore = {.name = "sem_trywait, sem_post",
                                          .start = start,
                                          .run = run_semaphore,
                                          .stop = stop,
                                          .batch = 2000};
const struct subject subject_mutex = {
    .name = "robust mutex, twice", .start = start, .run = run_mutex, .stop = stop, .batch = 1000};
const struct subject subject_sysv = {.name = "semop with SEM_UNDO, twice",
                                     .start = start,
                                     .run = run_sysv,
                                     .stop = stop,
                                     .batch = 50};
