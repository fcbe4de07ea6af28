/* SPDX-License-Identifier: MIT */
/* The planted mistakes: choosing one, and seeing that each is found. */
#define SLOTSHARE_MUTANTS 1
#include "../../../shm/mutant.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "steps.h"

enum mutant mutant_on;
uint32_t mutant_reaper;

#define MUTANT_ROW(name, text) {#name, text},
static const struct { const char *name, *text; } rows[] = {MUTANT_LIST(MUTANT_ROW)};

/* Where to look for each. */
static const struct {
    const char *mode, *stride, *op;
} where[] = {
    [MUTANT_PUBLISHED_TWICE] = {"live", "1", "insert"},
    [MUTANT_NO_ACK] = {"tag", "1"},
    [MUTANT_LOST_PROOF] = {"proof", "1"},
    [MUTANT_RECORD_FIRST] = {"alone", "1"},
    [MUTANT_ACK_FIRST] = {"paused", "997"},
    [MUTANT_LATE_ANNOUNCE] = {"alone", "1"},
    [MUTANT_IDLE_FIRST] = {"alone", "1"},
    [MUTANT_SEQ_RESET] = {"reuse", "7"},
    [MUTANT_NO_TOUCH] = {"share", "1"},
    [MUTANT_NO_CLAIM] = {"double", "1"},
    [MUTANT_FREE_FIRST] = {"tag", "7"},
    [MUTANT_REAPER_RECORD] = {"reaper-twice", "1"},
    [MUTANT_CHUNK_FIRST] = {"reaper", "7"},
    [MUTANT_LEADER_FIRST] = {"reaper", "23"},
    [MUTANT_RECORD_UNLOCKED] = {"live", "7"},
    [MUTANT_FREE_LINKED] = {"alone", "7"},
    [MUTANT_RETIRE_PLAIN] = {"stale", "1", "take-stale"},
    [MUTANT_FREE_RETIRED] = {"alone", "1", "retire"},
    [MUTANT_CAP_EARLY] = {"reload-live", "7", "insert"},
    [MUTANT_COMMIT_SHORT] = {"reload", "997"},
    [MUTANT_GROW_FIRST] = {"grow", "1"},
};
_Static_assert(sizeof where / sizeof where[0] == MUTANT_COUNT, "one for each");

bool mutants_choose(const char *name) {
    for (unsigned i = 0; i + 1 < MUTANT_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            mutant_on = (enum mutant)(i + 1);
            return true;
        }
    }
    return false;
}

void mutants_reaper(uint32_t owner) {
    mutant_reaper = owner;
}

/* The other program lies beside this one. */
static bool program(char out[PATH_MAX]) {
    static const char other[] = "crash-steps-mutants";
    ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - sizeof other);
    char *slash = length > 0 ? (out[length] = '\0', strrchr(out, '/')) : NULL;
    if (!slash) {
        return false;
    }
    memcpy(slash + 1, other, sizeof other);
    return access(out, X_OK) == 0;
}

static int run_one(const char *path, unsigned mutant) {
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout)) {
            (void)execl(path, path, "--mutant", rows[mutant - 1].name, "--mode", where[mutant].mode,
                        "--stride", where[mutant].stride, where[mutant].op ? "--op" : NULL,
                        where[mutant].op, (char *)NULL);
        }
        _exit(127);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int mutants_run_all(void) {
    char path[PATH_MAX];
    if (!program(path)) {
        (void)fprintf(stderr, "crash-steps: there is no crash-steps-mutants beside it\n");
        return -1;
    }
    int missed = 0;
    time_t start = time(NULL);
    for (unsigned i = 0; i + 1 < MUTANT_COUNT; i++) {
        time_t began = time(NULL);
        int status = run_one(path, i + 1);
        /* 1: points with mistakes; 3: an actor that never came to its end */
        const char *verdict = status == 1   ? "caught"
                              : status == 3 ? "caught (stuck)"
                                            : "NOT CAUGHT";
        missed += status != 1 && status != 3;
        (void)printf("%-16s %-14s %3lld s  %s\n", rows[i].name, verdict,
                     (long long)(time(NULL) - began), rows[i].text);
        (void)fflush(stdout);
    }
    (void)printf("%d mutants, %d not caught, %lld s\n", MUTANT_COUNT - 1, missed,
                 (long long)(time(NULL) - start));
    return missed;
}
