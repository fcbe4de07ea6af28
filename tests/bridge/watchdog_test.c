/* SPDX-License-Identifier: MIT */
/* A loop that turns lives; one that stands still ends the process, whatever the log is good for;
 * and a process that was stopped is not taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bridge/watchdog.h"

static const struct log quiet = {.fd = -1};

static void test_ticks(void **state) {
    (void)state;
    struct watchdog dog = {.ticks_max = 3};
    for (unsigned i = 0; i < 10; i++) {
        watchdog_turn(&dog, &quiet);
        assert_false(watchdog_tick(&dog));
        assert_false(watchdog_tick(&dog));
        assert_false(watchdog_tick(&dog)); /* the first one after a turn sees that turn */
    }
    assert_true(watchdog_tick(&dog));
    watchdog_turn(&dog, &quiet);
    assert_false(watchdog_tick(&dog)); /* it was only slow */
}

/* A process whose loop never turns, with its log at fd. */
static pid_t start_still(int fd, uint32_t tick_ms) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    struct watchdog *dog = calloc(1, sizeof *dog);
    (void)prctl(PR_SET_DUMPABLE, 0); /* no core file */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dog == NULL || watchdog_start(dog, 2, tick_ms, fd) != 0)
        _exit(1);
    watchdog_step(dog, "net");
    for (;;)
        (void)poll(NULL, 0, -1);
}

static void assert_aborts(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_stands_still(void **state) {
    (void)state;
    int ends[2];
    char line[2048];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = start_still(ends[1], 500);
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got = 1; got > 0; length += (size_t)got) {
        got = read(ends[0], line + length, sizeof line - 1 - length);
        assert_true(got >= 0);
    }
    line[length] = '\0';
    assert_aborts(child);
    close(ends[0]);
    assert_non_null(strstr(line, " level=error event=stands_still step=net seconds=1 note=\""));
    assert_int_equal(line[length - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + length - 1); /* one line */
}

/* Nobody reads the log, and it is full: that may be why the loop stands still. */
static void test_nowhere_to_say_it(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], "", 1) == 1)
        ;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    assert_aborts(start_still(ends[1], 10));
    close(ends[0]);
    close(ends[1]);
}

static uint64_t milliseconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Stopped for a hundred ticks: it has one of them. How long all this takes does not matter: ticks
 * do not come faster than they may. */
static void test_stopped(void **state) {
    (void)state;
    enum { TICK_MS = 10, STOPPED_MS = 100 * TICK_MS };
    struct watchdog *dog =
        mmap(NULL, sizeof *dog, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(dog, MAP_FAILED);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (watchdog_start(dog, UINT32_MAX, TICK_MS, STDERR_FILENO) != 0)
            _exit(1);
        for (;;)
            (void)poll(NULL, 0, -1);
    }
    while (atomic_load(&dog->ticks) == 0)
        (void)poll(NULL, 0, 1);
    int status = 0;
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    const uint64_t before = atomic_load(&dog->ticks);
    (void)poll(NULL, 0, STOPPED_MS);
    assert_int_equal(atomic_load(&dog->ticks), before);
    const uint64_t from = milliseconds();
    assert_int_equal(kill(child, SIGCONT), 0);
    uint64_t after = before;
    while (after < before + 3) {
        (void)poll(NULL, 0, 1);
        after = atomic_load(&dog->ticks);
    }
    assert_true(after - before <= 2 + (milliseconds() - from) / TICK_MS);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(munmap(dog, sizeof *dog), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_stands_still),
        cmocka_unit_test(test_nowhere_to_say_it),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
