/* SPDX-License-Identifier: MIT */
/* mailworker: a small real sender, and a worked example for authors of mail servers. The parent
 * process only starts the workers, passes signals on, and adds up. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

static void child(const struct options *options, struct totals *totals, int64_t deadline,
                  pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphans when the parent is killed */
    if (getppid() != parent)
        _exit(1);
    exit(worker_run(options, totals, deadline));
}

/* Reap what has ended. @return how many */
static unsigned reap(unsigned *killed, bool *failed) {
    unsigned ended = 0;
    int status = 0;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        ended++;
        if (WIFSIGNALED(status))
            (*killed)++;
        else if (WEXITSTATUS(status) != 0)
            *failed = true;
    }
    return ended;
}

/* Signals are blocked in every process and thread, and only the parent looks at them here: the
 * workers see totals->stop between two messages, so that none is cut off in the middle. */
static void wait_for(unsigned running, const sigset_t *signals, struct totals *totals,
                     unsigned *killed, bool *failed) {
    while (running) {
        int signal = sigwaitinfo(signals, NULL);
        if (signal == SIGCHLD)
            running -= reap(killed, failed);
        else if (signal > 0)
            atomic_store(&totals->stop, 1);
    }
}

static void print_totals(struct totals *totals, unsigned killed, int64_t milliseconds) {
    printf("{\"delivered\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"connections\": %" PRIu64 ", \"killed\": %u, \"seconds\": %.3f}\n",
           atomic_load(&totals->delivered), atomic_load(&totals->refused),
           atomic_load(&totals->failed), atomic_load(&totals->connections), killed,
           (double)milliseconds / 1000);
}

static int run(const struct options *options, struct totals *totals) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    int64_t start = worker_clock();
    int64_t deadline = options->seconds ? start + (int64_t)options->seconds * 1000 : 0;
    pid_t parent = getpid();
    unsigned running = 0, killed = 0;
    bool failed = false;
    atomic_store(&totals->left, options->messages);
    while (running < options->processes && !failed) {
        pid_t pid = fork();
        if (pid == 0)
            child(options, totals, deadline, parent);
        if (pid < 0) {
            perror("mailworker: fork");
            atomic_store(&totals->stop, 1);
            failed = true;
        } else {
            running++;
        }
    }
    wait_for(running, &signals, totals, &killed, &failed);
    print_totals(totals, killed, worker_clock() - start);
    return failed || killed || atomic_load(&totals->failed);
}

int main(int argc, char **argv) {
    struct options options;
    int result = options_read(&options, argc, argv);
    if (result)
        return result < 0 ? 2 : 0;
    struct totals *totals =
        mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED) {
        perror("mailworker: mmap");
        return 1;
    }
    return run(&options, totals);
}
