/* SPDX-License-Identifier: MIT */
/* From the release in one process to the return of acquire_wait in another. Only one of the two
 * can hold the slot; the one that has it waits until the other one sleeps, and gives it back. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

#include "bench.h"

enum { SIDES = 2, SLEEP_US = 100, WAIT_MS = 5000, TURNS = 16 };

/* `turn` counts hand-overs; the process whose parity it has is the one that waits. */
struct table {
    sem_t semaphore;
    _Atomic uint32_t turn, failed;
    _Atomic uint64_t given; /* when */
    double taken[BENCH_ROUNDS_MAX * TURNS][SIDES];
};

struct player {
    struct table *table;
    slotshare *handle;
    slotshare_counter counter;
    slotshare_slot slot;
};

static int take(struct player *player, unsigned side) {
    if (side == 0) {
        return slotshare_counter_acquire_wait(player->handle, player->counter, &player->slot,
                                              WAIT_MS);
    }
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_MS / 1000;
    return sem_timedwait(&player->table->semaphore, &end) == 0 ? 0 : SLOTSHARE_FULL;
}

static int give(struct player *player, unsigned side) {
    if (side == 0) {
        return slotshare_release(player->handle, player->slot);
    }
    return sem_post(&player->table->semaphore) == 0 ? 0 : SLOTSHARE_ESYSTEM;
}

static void sleep_us(long us) {
    (void)nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Hold it, let the other one fall asleep, hand it over, and look on until it has it. */
static int hand_over(struct player *player, unsigned side, uint32_t turn) {
    struct table *table = player->table;
    sleep_us(SLEEP_US);
    atomic_store_explicit(&table->given, bench_now(), memory_order_release);
    int result = give(player, side);
    while (result == 0 && atomic_load_explicit(&table->turn, memory_order_acquire) == turn) {
        if (atomic_load_explicit(&table->failed, memory_order_acquire)) {
            return SLOTSHARE_EBUSY;
        }
        sleep_us(SLEEP_US / 4);
    }
    return result;
}

static int receive(struct player *player, unsigned side, uint32_t turn, double *out) {
    struct table *table = player->table;
    int result = take(player, side);
    uint64_t now = bench_now();
    if (result == 0) {
        *out = (double)(now - atomic_load_explicit(&table->given, memory_order_acquire));
        atomic_store_explicit(&table->turn, turn + 1, memory_order_release);
    }
    return result;
}

/* Both processes run this, `me` is 0 or 1. In each round each side has TURNS hand-overs, an even
 * number, so the same process begins and holds the slot again at the end of them. */
static int play(struct player *player, unsigned me, unsigned rounds) {
    struct table *table = player->table;
    uint32_t turn = 0;
    int result = 0;
    for (unsigned i = 0; result == 0 && i < rounds * SIDES; i++) {
        unsigned side = i % SIDES;
        if (me == 0) {
            result = take(player, side);
        }
        for (unsigned k = 0; result == 0 && k < TURNS; k++, turn++) {
            if (turn % 2 == me) {
                result = hand_over(player, side, turn);
            } else {
                result = receive(player, side, turn, &table->taken[i / SIDES * TURNS + k][side]);
            }
        }
        if (me == 0 && result == 0) {
            result = give(player, side);
        }
    }
    if (result != 0) {
        atomic_store_explicit(&table->failed, 1, memory_order_release);
    }
    return result;
}

static int join(struct bench *bench, struct table *table, unsigned me, unsigned rounds) {
    const struct slotshare_connection connection = {.host = "single.example"};
    struct player player = {.table = table, .handle = segment_open(bench, "handover")};
    int result = player.handle ? slotshare_counter_find(player.handle, &connection, &player.counter)
                               : SLOTSHARE_ENOSEGMENT;
    if (result == 0) {
        result = play(&player, me, rounds);
    } else {
        atomic_store_explicit(&table->failed, 1, memory_order_release);
    }
    slotshare_close(player.handle);
    return result;
}

static int play_both(struct bench *bench, struct table *table, unsigned rounds) {
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return bench_fail(bench, "cannot fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(join(bench, table, 1, rounds) != 0);
    }
    int status = 0;
    int result = join(bench, table, 0, rounds);
    (void)waitpid(pid, &status, 0);
    if (result != 0 || status != 0) {
        return bench_fail(bench, "handover: %s",
                          result != 0 ? slotshare_strerror(result) : "the other process failed");
    }
    return 0;
}

static void summarize(struct table *table, unsigned count, struct measurement *out) {
    static double value[SIDES][BENCH_ROUNDS_MAX * TURNS];
    static double ratio[BENCH_ROUNDS_MAX * TURNS];
    for (unsigned i = 0; i < count; i++) {
        value[0][i] = table->taken[i][0];
        value[1][i] = table->taken[i][1];
        ratio[i] = value[0][i] / value[1][i];
    }
    *out = (struct measurement){.value = {spread_of(value[0], count), spread_of(value[1], count)},
                                .ratio = spread_of(ratio, count),
                                .rounds = count};
}

int case_handover(struct bench *bench, struct report *report, const struct bench_case *self) {
    struct table *table = shared_memory(bench, sizeof *table);
    int64_t rounds = bench->milliseconds / 20;
    rounds = rounds < 1 ? 1 : rounds > BENCH_ROUNDS_MAX ? BENCH_ROUNDS_MAX : rounds;
    struct result line = {.name = self->name,
                          .what = self->what,
                          .unit = "ns",
                          .peer = "from sem_post to the return of sem_wait",
                          .processes = 2};
    if (!table || sem_init(&table->semaphore, 1, 1) != 0 ||
        segment_host(bench, "handover", 1024,
                     "[host \"single.example\"]\ncluster_max_outbound_connections = 1\n") != 0 ||
        play_both(bench, table, (unsigned)rounds) != 0) {
        return -1;
    }
    summarize(table, (unsigned)rounds * TURNS, &line.measured);
    report_add(report, &line);
    return 0;
}
