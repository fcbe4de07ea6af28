/* SPDX-License-Identifier: MIT */
/* Does anybody starve? Processes that take, hold for an instant, give back and at once want again
 * are the worst neighbours of one who sleeps: they are awake when the slot comes free, and it is
 * not. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

#include "bench.h"

enum { GREEDY = 4 };

struct outcome {
    uint64_t turns, longest; /* longest wait, ns */
};

struct game {
    _Atomic unsigned ready;
    struct outcome outcome[GREEDY];
};

static int play(slotshare *handle, slotshare_counter counter, uint64_t end, struct outcome *out) {
    for (uint64_t before = bench_now(); before < end;) {
        slotshare_slot slot;
        int result = slotshare_counter_acquire_wait(handle, counter, &slot, -1);
        if (result != SLOTSHARE_OK) {
            return result;
        }
        uint64_t now = bench_now();
        out->turns++;
        out->longest = now - before > out->longest ? now - before : out->longest;
        result = slotshare_release(handle, slot);
        if (result != SLOTSHARE_OK) {
            return result;
        }
        before = bench_now();
    }
    return SLOTSHARE_OK;
}

static int join(struct bench *bench, struct game *game, unsigned me) {
    const struct slotshare_connection connection = {.host = "single.example"};
    slotshare_counter counter;
    slotshare *handle = segment_open(bench, "fairness");
    int result =
        handle ? slotshare_counter_find(handle, &connection, &counter) : SLOTSHARE_ENOSEGMENT;
    atomic_fetch_add_explicit(&game->ready, 1, memory_order_release);
    while (atomic_load_explicit(&game->ready, memory_order_acquire) < GREEDY) {
        (void)usleep(100);
    }
    if (result == 0) {
        uint64_t end = bench_now() + (uint64_t)bench->milliseconds * 1000000;
        result = play(handle, counter, end, &game->outcome[me]);
    }
    slotshare_close(handle);
    return result;
}

static int play_all(struct bench *bench, struct game *game) {
    pid_t pid[GREEDY];
    int wrong = 0;
    (void)fflush(NULL);
    for (unsigned i = 0; i < GREEDY; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(join(bench, game, i) != 0);
        }
        if (pid[i] < 0) { /* the others wait for it */
            wrong = errno;
            atomic_fetch_add_explicit(&game->ready, 1, memory_order_release);
        }
    }
    for (unsigned i = 0; i < GREEDY; i++) {
        int status = 0;
        if (pid[i] > 0 && (waitpid(pid[i], &status, 0) != pid[i] || status != 0)) {
            wrong = EIO;
        }
    }
    return wrong == 0 ? 0 : bench_fail(bench, "fairness: %s", strerror(wrong));
}

static void add(struct report *report, const struct bench_case *self, const char *what,
                const char *unit, double value) {
    struct result line = {.name = self->name, .what = what, .unit = unit, .processes = GREEDY};
    line.measured.value[0] = (struct spread){value, value, value};
    line.measured.rounds = 1;
    report_add(report, &line);
}

int case_fairness(struct bench *bench, struct report *report, const struct bench_case *self) {
    struct game *game = shared_memory(bench, sizeof *game);
    if (!game ||
        segment_host(bench, "fairness", 1024,
                     "[host \"single.example\"]\ncluster_max_outbound_connections = 1\n") != 0 ||
        play_all(bench, game) != 0) {
        return -1;
    }
    uint64_t longest = 0;
    uint64_t fewest = UINT64_MAX;
    uint64_t most = 1;
    for (unsigned i = 0; i < GREEDY; i++) {
        const struct outcome *outcome = &game->outcome[i];
        longest = outcome->longest > longest ? outcome->longest : longest;
        fewest = outcome->turns < fewest ? outcome->turns : fewest;
        most = outcome->turns > most ? outcome->turns : most;
    }
    add(report, self, "longest wait of greedy processes at a limit of 1", "ns", (double)longest);
    add(report, self, "fewest turns of one of them, for each of the one with the most", "",
        (double)fewest / (double)most);
    return 0;
}
