/* SPDX-License-Identifier: MIT */
/* The main loop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon_internal.h"
#include "notify.h"
#include "watchdog.h"

enum {
    REAP_MS = 100,
    TEND_MS = 500,
    SWEEP_MS = 1000,
    LEAVE_MS = 3000,      /* for what is handed back to be confirmed, by a new coordinator, too */
    LEAVE_ALONE_MS = 500, /* the same, when there is nobody who could */
    FDS_MAX = CORE_MEMBERS_MAX + 5,
};

/* What the counters that matter now look like. */
static void watch(struct daemon *daemon) {
    const uint32_t *keys;
    uint32_t count = core_watched(daemon->core, &keys);
    if (count > daemon->keys_max)
        count = daemon->keys_max;
    memcpy(daemon->watched, keys, count * sizeof *keys);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = daemon->watched[i];
        uint32_t index;
        struct control_counter counter = {0};
        /* A counter that this host never counts is not in use here. */
        if (keys_index(daemon->keys, key, &index) &&
            control_counter_read(daemon->control, index, &counter) != SLOTSHARE_OK)
            continue;
        core_counter_update(daemon->core, daemon->now, key, counter.in_use, counter.wants);
        daemon_act(daemon);
        keys_show_contended(daemon->keys, key, core_contended(daemon->core, key));
    }
    daemon->next.watch = daemon->now + daemon->timers.heartbeat / 2;
}

/* Somebody was refused, or waits. */
static void look_at_wanted(struct daemon *daemon) {
    uint64_t ignored;
    while (read(daemon->doorbell_fd, &ignored, sizeof ignored) < 0 && errno == EINTR)
        ;
    if (!daemon->serving)
        return;
    daemon_sightings_begin(daemon);
    control_each_wanted(daemon->control, daemon_sight, daemon);
    daemon_sightings_feed(daemon);
    daemon_act(daemon);
}

static void leave(struct daemon *daemon, const char *why) {
    if (daemon->leave_until != 0)
        return;
    log_event(daemon->log, LOG_LEVEL_NOTICE, "leaving", "signal", why, NULL);
    bool heard = false;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++)
        heard = heard || net_connected(daemon->net, i);
    daemon->leave_until = daemon->now + (heard ? LEAVE_MS : LEAVE_ALONE_MS);
    core_leave(daemon->core, daemon->now);
    daemon_act(daemon);
}

static void on_signal(struct daemon *daemon) {
    struct signalfd_siginfo info;
    while (read(daemon->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            leave(daemon, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
            continue;
        }
        struct reload_report report;
        daemon_reload(daemon, &report);
        conf_errors_free(&report.errors);
    }
}

static void reap(struct daemon *daemon) {
    uint32_t slots = daemon->serving ? control_reap(daemon->control) : 0;
    daemon->next.reap = daemon->now + REAP_MS;
    if (slots == 0)
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_INFO, "reaped");
    log_uint(&line, "slots", slots);
    log_end(&line);
}

static void show_refusals(struct daemon *daemon) {
    uint64_t count[REFUSALS];
    net_refusals(daemon->net, count);
    web_refusals(daemon->web, count);
}

/* Everything that time makes due. */
static void on_time(struct daemon *daemon) {
    struct schedule *next = &daemon->next;
    if (daemon->now >= core_next_tick(daemon->core)) {
        watchdog_step(daemon->dog, "core");
        core_tick(daemon->core, daemon->now);
        daemon_act(daemon);
    }
    watchdog_step(daemon->dog, "segment");
    if (daemon->now >= next->reap)
        reap(daemon);
    if (daemon->now >= next->watch)
        watch(daemon);
    if (daemon->now >= next->tend) {
        watchdog_step(daemon->dog, "net");
        net_tend(daemon->net, daemon->now);
        show_refusals(daemon);
        next->tend = daemon->now + TEND_MS;
    }
    watchdog_step(daemon->dog, "totals");
    if (daemon->now >= next->totals && daemon->serving)
        daemon_totals(daemon);
    if (daemon->now >= next->sweep) {
        watchdog_step(daemon->dog, "sweep");
        keys_sweep(daemon->keys, daemon->now);
        if (daemon->serving)
            (void)control_retire(daemon->control);
        next->sweep = daemon->now + SWEEP_MS;
    }
    if (daemon->now >= next->alive) {
        notify_send("WATCHDOG=1");
        next->alive = daemon->now + daemon->alive_ms;
    }
}

static int until_next(const struct daemon *daemon) {
    const struct schedule *next = &daemon->next;
    uint64_t now = control_now();
    uint64_t due = core_next_tick(daemon->core);
    const uint64_t times[] = {next->watch,
                              next->reap,
                              next->tend,
                              next->sweep,
                              next->alive,
                              daemon->serving ? next->totals : UINT64_MAX,
                              daemon_configs_due(daemon)};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        due = times[i] < due ? times[i] : due;
    return due > now ? (int)(due - now) : 0;
}

/* What may have news; which member's, in *from. Anew each time: members come and go. */
enum { FD_SIGNAL, FD_DOORBELL, FD_NET, FD_ADMIN, FD_WEB, FD_MEMBERS };

static nfds_t fill(struct daemon *daemon, struct pollfd *fds, struct member **from) {
    nfds_t count = FD_MEMBERS;
    fds[FD_SIGNAL] = (struct pollfd){.fd = daemon->signal_fd, .events = POLLIN};
    fds[FD_DOORBELL] = (struct pollfd){.fd = daemon->doorbell_fd, .events = POLLIN};
    fds[FD_NET] = (struct pollfd){.fd = net_event_fd(daemon->net), .events = POLLIN};
    fds[FD_ADMIN] = (struct pollfd){.fd = admin_fd(daemon->admin), .events = POLLIN};
    fds[FD_WEB] = (struct pollfd){.fd = web_questions_fd(daemon->web), .events = POLLIN};
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        struct member *member = &daemon->member[i];
        if (member->hash == 0 || member->self)
            continue;
        fds[count] =
            (struct pollfd){.fd = net_member_fd(daemon->net, member->net), .events = POLLIN};
        from[count++] = member;
    }
    return count;
}

/* @return true when it is time to end. */
static bool ended(struct daemon *daemon, enum daemon_end *end) {
    char error[1024];
    if (daemon_configs_tend(daemon, error, sizeof error) != 0) {
        log_event(daemon->log, LOG_LEVEL_ERROR, "cannot_go_on", "reason", error, NULL);
        *end = DAEMON_BROKEN;
        return true;
    }
    if (daemon->serving && !control_still_there(daemon->control)) {
        log_event(daemon->log, LOG_LEVEL_ERROR, "segment_gone", "reason",
                  "the segment's file was removed or replaced", NULL);
        *end = DAEMON_GONE;
        return true;
    }
    if (net_stuck(daemon->net)) {
        log_event(daemon->log, LOG_LEVEL_ERROR, "network_stuck", "reason",
                  "a member can be reached, but no connection to it comes about, or a "
                  "silent one does not end",
                  NULL);
        *end = DAEMON_STUCK;
        return true;
    }
    *end = DAEMON_STOPPED;
    return daemon->leave_until != 0 &&
           (core_left(daemon->core) || daemon->now >= daemon->leave_until);
}

enum daemon_end daemon_run(struct daemon *daemon, struct watchdog *dog) {
    struct pollfd fds[FDS_MAX];
    struct member *from[FDS_MAX];
    enum daemon_end end;
    daemon->dog = dog;
    daemon->now = control_now();
    daemon->alive_ms = notify_watchdog_ms();
    daemon->next.alive = daemon->alive_ms == 0 ? UINT64_MAX : daemon->now;
    look_at_wanted(daemon); /* what was asked for while there was no bridge */
    while (!ended(daemon, &end)) {
        nfds_t count = fill(daemon, fds, from);
        net_send(daemon->net);
        watchdog_turn(dog, daemon->log);
        watchdog_step(dog, "wait");
        (void)poll(fds, count, until_next(daemon));
        daemon->now = control_now();
        watchdog_step(dog, "wanted");
        if ((fds[FD_DOORBELL].revents & POLLIN) != 0)
            look_at_wanted(daemon);
        if ((fds[FD_NET].revents & POLLIN) != 0)
            daemon->next.tend = 0;
        watchdog_step(dog, "members");
        for (nfds_t i = FD_MEMBERS; i < count; i++) {
            if ((fds[i].revents & POLLIN) != 0)
                daemon_hear(daemon, from[i]);
        }
        /* These may change who is a member, so they come after those that hear of members. */
        watchdog_step(dog, "signal");
        if ((fds[FD_SIGNAL].revents & POLLIN) != 0)
            on_signal(daemon);
        watchdog_step(dog, "admin");
        if ((fds[FD_ADMIN].revents & POLLIN) != 0)
            daemon_admin(daemon);
        watchdog_step(dog, "web");
        if ((fds[FD_WEB].revents & POLLIN) != 0)
            daemon_web(daemon);
        daemon->now = control_now();
        web_alive(daemon->web, daemon->now);
        on_time(daemon);
        watchdog_step(dog, "show");
        daemon_show(daemon);
        watchdog_step(dog, "configuration");
    }
    watchdog_step(dog, "end");
    return end;
}
