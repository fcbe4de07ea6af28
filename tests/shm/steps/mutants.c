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

static int run_one(const char *path, const char *name) {
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout)) {
            (void)execl(path, path, "--short", "--mutant", name, (char *)NULL);
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
        int status = run_one(path, rows[i].name);
        /* 1: points with mistakes; 3: an actor that never came to its end */
        const char *verdict = status == 1   ? "caught"
                              : status == 3 ? "caught (stuck)"
                                            : "NOT CAUGHT";
        missed += status != 1 && status != 3;
        (void)printf("%-16s %-14s %s\n", rows[i].name, verdict, rows[i].text);
        (void)fflush(stdout);
    }
    (void)printf("%d mutants, %d not caught, %lld s\n", MUTANT_COUNT - 1, missed,
                 (long long)(time(NULL) - start));
    return missed;
}
