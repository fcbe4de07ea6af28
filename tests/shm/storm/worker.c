/* SPDX-License-Identifier: MIT */
/* Those who take and give. */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../shm/handle.h"
#include "storm.h"

enum { HOLD = 6, QUEUE = 32, NAMES = 2000 };

struct holding {
    slotshare_slot slot;
    unsigned kind;
};

/* Slots that a thread leaves to another one of its process to give back. */
struct queue {
    pthread_mutex_t mutex;
    unsigned count;
    struct holding holding[QUEUE];
};

struct work {
    struct storm *storm;
    slotshare *handle;
    struct process *me;
    struct lane *lane;
    struct queue *queue;
    uint32_t random;
    unsigned held, rounds;
    struct holding holding[HOLD];
};

static void take(struct work *work) {
    struct page *page = work->storm->page;
    unsigned kind = storm_random(&work->random) % KINDS;
    char name[32];
    struct slotshare_connection connection = {0};
    if (kind == OTHERS) {
        (void)snprintf(name, sizeof name, "d%u", storm_random(&work->random) % NAMES);
        connection.domain = name;
    } else {
        (void)snprintf(name, sizeof name, "c%u", kind);
        connection.host = name;
    }
    struct holding *holding = &work->holding[work->held];
    int wait = storm_random(&work->random) % 4 == 0 ? (int)(storm_random(&work->random) % 30) : 0;
    int result = slotshare_acquire_wait(work->handle, &connection, &holding->slot, wait);
    if (result == SLOTSHARE_OK) {
        holding->kind = kind;
        work->held++;
        lane_tell(work->lane, kind, 1);
        atomic_fetch_add(&page->takes, 1);
    } else if (result == SLOTSHARE_FULL) {
        atomic_fetch_add(&page->refusals, 1);
    } else if (result == SLOTSHARE_ECOUNTERS && kind == OTHERS) {
        atomic_fetch_add(&page->full_tables, 1);
    } else {
        unexpected(page, result);
    }
}

static void give(struct work *work) {
    struct holding holding = work->holding[--work->held];
    lane_tell(work->lane, holding.kind, -1);
    pthread_mutex_lock(&work->queue->mutex);
    bool leave = work->queue->count < QUEUE && storm_random(&work->random) % 4 == 0;
    if (leave) {
        work->queue->holding[work->queue->count++] = holding;
        work->me->left[holding.kind]++;
    }
    pthread_mutex_unlock(&work->queue->mutex);
    int result = leave ? SLOTSHARE_OK : slotshare_release(work->handle, holding.slot);
    if (result == SLOTSHARE_OK && !leave && storm_random(&work->random) % 8 == 0 &&
        slotshare_release(work->handle, holding.slot) != SLOTSHARE_ESTALE) {
        result = SLOTSHARE_EINVAL; /* given back twice */
    }
    if (result != SLOTSHARE_OK) {
        unexpected(work->storm->page, result);
    }
}

static void give_left(struct work *work) {
    struct holding holding[QUEUE];
    pthread_mutex_lock(&work->queue->mutex);
    unsigned count = work->queue->count;
    memcpy(holding, work->queue->holding, count * sizeof holding[0]);
    work->queue->count = 0;
    pthread_mutex_unlock(&work->queue->mutex);
    for (unsigned i = 0; i < count; i++) {
        int result = slotshare_release(work->handle, holding[i].slot);
        if (result != SLOTSHARE_OK) {
            unexpected(work->storm->page, result);
        }
        work->me->left[holding[i].kind]--;
    }
}

/* A child goes on with the inherited handle and ends in one of three ways. The thread that forked
 * it waits: a child is killed when that thread ends (PR_SET_PDEATHSIG). */
static void fork_one(struct work *work) {
    struct page *page = work->storm->page;
    struct process *place = process_place(page, (uint32_t)(work->me - page->process) + 1);
    pid_t parent = getpid();
    if (!place) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        place->pid = getpid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(0);
        }
        struct work child = {.storm = work->storm,
                             .handle = work->handle,
                             .me = place,
                             .lane = &place->lane[0],
                             .queue = &(struct queue){.mutex = PTHREAD_MUTEX_INITIALIZER},
                             .random = storm_random(&work->random) | 1};
        take(&child);
        take(&child);
        storm_nap(storm_random(&child.random) % 4000);
        unsigned how = storm_random(&child.random) % 3;
        while (how == 0 && child.held) {
            give(&child);
        }
        place->dying = 1;
        if (how == 1) {
            raise(SIGKILL);
        }
        _exit(0);
    }
    if (pid > 0) {
        page->forks++;
        (void)waitpid(pid, NULL, 0); /* the supervisor sees that it is gone, and frees the place */
    } else {
        place->pid = 0;
    }
}

/* ---- coming to rest -------------------------------------------------------------------------- */

struct size size_now(void) {
    struct size size = {.heap = (uint32_t)(mallinfo2().uordblks / 1024)};
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory)) {
        size.files++;
    }
    if (directory) {
        closedir(directory);
    }
    return size;
}

static void rest(struct work *work) {
    give_left(work);
    if (work->me->elder && work->lane == &work->me->lane[0]) {
        struct size size = size_now();
        work->me->files = size.files;
        work->me->heap = size.heap;
    }
    work->me->resting++;
    while (work->storm->page->rest && !work->storm->page->end) {
        storm_nap(500);
    }
    work->me->resting--;
}

static void round_of_work(struct work *work) {
    uint32_t dice = storm_random(&work->random) % 100;
    if (work->storm->page->rest) {
        rest(work);
    }
    if (dice < 40 && work->held < HOLD) {
        take(work);
    } else if (dice < 80 && work->held) {
        give(work);
    } else if (dice < 82) {
        fork_one(work);
    } else if (dice < 84) {
        give_left(work);
    } else if (dice < 90) {
        storm_nap(storm_random(&work->random) % 2000);
    } else {
        sched_yield();
    }
}

/* A thread that ends leaves its slots to the others. */
static void *thread_main(void *arg) {
    struct work *work = arg;
    while (work->rounds-- && !work->storm->page->end) {
        round_of_work(work);
    }
    while (work->held) {
        give(work);
    }
    work->storm->page->threads++;
    work->me->threads--;
    return NULL;
}

_Noreturn void worker_main(struct storm *storm, struct process *me) {
    static struct queue queue = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    static struct work work[LANES];
    pthread_t thread[LANES];
    uint32_t random = storm->random ^ ((uint32_t)getpid() * 2654435761U);
    random = random ? random : 1;
    bool own = storm_random(&random) % 2;
    slotshare *handle = own ? storm_open(storm, false) : storm->handle;
    if (!handle) {
        unexpected(storm->page, SLOTSHARE_ENOSEGMENT);
        _exit(1);
    }
    unsigned lanes = 1 + storm_random(&random) % LANES;
    for (unsigned i = 0; i < LANES; i++) {
        work[i] = (struct work){.storm = storm,
                                .handle = handle,
                                .me = me,
                                .lane = &me->lane[i],
                                .queue = &queue,
                                .random = storm_random(&random) | 1};
    }
    me->threads = 1;
    while (!storm->page->end) {
        for (unsigned i = 1; i < lanes; i++) {
            work[i].rounds = 20 + storm_random(&random) % 200;
            me->threads++;
            if (pthread_create(&thread[i], NULL, thread_main, &work[i]) != 0) {
                unexpected(storm->page, SLOTSHARE_ESYSTEM);
                _exit(1);
            }
        }
        for (unsigned i = 0; i < 100 && !storm->page->end; i++) {
            round_of_work(&work[0]);
        }
        /* Waiting for the others it is at rest, as far as the supervisor is concerned. */
        me->threads--;
        for (unsigned i = 1; i < lanes; i++) {
            pthread_join(thread[i], NULL);
        }
        me->threads++;
    }
    me->dying = 1;
    _exit(0);
}

/* One who gives back what the dead held, all the time, until it is killed in it. */
_Noreturn void reaper_main(struct storm *storm, struct process *me) {
    uint32_t random = (storm->random ^ ((uint32_t)getpid() * 2654435761U)) | 1;
    slotshare *handle = storm_open(storm, false);
    if (!handle) {
        unexpected(storm->page, SLOTSHARE_ENOSEGMENT);
        _exit(1);
    }
    me->threads = 1;
    while (!storm->page->end) {
        me->resting = storm->page->rest;
        if (!storm->page->alone) {
            (void)handle_reap(handle, 0);
        }
        storm_nap(storm_random(&random) % 200);
    }
    _exit(0);
}
