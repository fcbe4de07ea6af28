/* SPDX-License-Identifier: MIT */
#include "watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

enum { LAST_WORDS_S = 2 }; /* until the process ends even if they cannot be said */

/* Not by syslog(3): the loop may stand still in there, with its lock. */
static void say_to_syslog(const struct log_line *said) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char line[1024];
    const char *text = memchr(said->text, ' ', said->length); /* behind the time */
    const size_t length = text != NULL ? said->length - (size_t)(text - said->text) : 0;
    int size = snprintf(line, sizeof line, "<%d>slotshare-bridge[%d]:%.*s", LOG_DAEMON | LOG_ERR,
                        (int)getpid(), (int)length, text != NULL ? text : "");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || size < 0)
        return;
    ssize_t sent = sendto(fd, line, strnlen(line, sizeof line), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&address, sizeof address);
    (void)sent; /* nowhere to complain */
    close(fd);
}

/* A log of its own: the loop's may be what it waits for. */
static void say(const struct watchdog *dog) {
    const struct log log = {.fd = dog->fd, .level = LOG_LEVEL_ERROR};
    const char *step = atomic_load_explicit(&dog->step, memory_order_relaxed);
    struct log_line line;
    log_begin(&log, &line, LOG_LEVEL_ERROR, "stands_still");
    log_text(&line, "step", step != NULL ? step : "start");
    log_uint(&line, "seconds", (uint64_t)dog->ticks_max * dog->tick_ms / 1000);
    log_text(
        &line, "note",
        "the main loop has not turned for so long: ends itself by SIGABRT, to be started again");
    if (atomic_load_explicit(&dog->to_syslog, memory_order_relaxed))
        say_to_syslog(&line);
    log_end(&line);
}

static _Noreturn void bite(const struct watchdog *dog) {
    const struct itimerspec soon = {.it_value = {.tv_sec = LAST_WORDS_S}};
    (void)timer_settime(dog->timer, 0, &soon, NULL); /* standard error may be what takes nothing */
    say(dog);
    abort();
}

bool watchdog_tick(struct watchdog *dog) {
    const uint64_t turns = atomic_load_explicit(&dog->turns, memory_order_relaxed);
    atomic_fetch_add_explicit(&dog->ticks, 1, memory_order_relaxed);
    dog->quiet = turns == dog->turns_seen ? dog->quiet + 1 : 0;
    dog->turns_seen = turns;
    return dog->quiet >= dog->ticks_max;
}

static void *watch(void *arg) {
    struct watchdog *dog = arg;
    const struct timespec tick = {.tv_sec = dog->tick_ms / 1000,
                                  .tv_nsec = (long)(dog->tick_ms % 1000) * 1000000};
    for (;;) {
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
        if (watchdog_tick(dog))
            bite(dog);
    }
}

int watchdog_start(struct watchdog *dog, uint32_t ticks_max, uint32_t tick_ms, int fd) {
    struct sigevent abort_us = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
    sigset_t all;
    sigset_t before;
    dog->ticks_max = ticks_max;
    dog->tick_ms = tick_ms;
    dog->fd = fd;
    if (timer_create(CLOCK_MONOTONIC, &abort_us, &dog->timer) != 0)
        return errno;
    sigfillset(&all);
    sigdelset(&all, SIGABRT); /* nobody else may be there to take it */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&dog->thread, NULL, watch, dog);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        code = pthread_detach(dog->thread);
    return code;
}

void watchdog_turn(struct watchdog *dog, const struct log *log) {
    atomic_store_explicit(&dog->to_syslog, log->to_syslog, memory_order_relaxed);
    atomic_fetch_add_explicit(&dog->turns, 1, memory_order_relaxed);
}

void watchdog_step(struct watchdog *dog, const char *step) {
    atomic_store_explicit(&dog->step, step, memory_order_relaxed);
}
