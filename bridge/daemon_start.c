/* SPDX-License-Identifier: MIT */
/* Which configuration a bridge starts with, and the core that goes with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon_internal.h"

/* ---- what is committed, what is pending ---- */

/* What was stored. @return 1: *out has it; 0: there is none; -1: error says what is wrong. */
static int restore_edition(struct daemon *daemon, enum state_file which, const struct conf *file,
                           struct edition *out, uint64_t *epoch, char *error, size_t size) {
    struct state_saved saved;
    int result = state_load(daemon->state, which, &saved, error, size);
    *epoch = saved.epoch;
    if (result != 1)
        return result;
    return edition_restore(out, &saved, state_path(daemon->state, which), file, error, size) == 0
               ? 1
               : -1;
}

/* The timers must be the same everywhere at every moment. */
static bool same_timers(const struct conf *a, const struct conf *b) {
    return a->session_ms == b->session_ms && a->drain_ms == b->drain_ms &&
           a->take_over_after_ms == b->take_over_after_ms;
}

static int no_member(const struct edition *file, char *error, size_t size) {
    const struct conf *conf = file->conf;
    (void)snprintf(error, size,
                   "%s: this node, \"%s\", is not in the member list: add \"member %s = "
                   "tls+tcp://HOST:PORT\" to [cluster], or set the right name in [node]",
                   conf->file, conf->node, conf->node);
    return -1;
}

/* The cluster begins with this file, by the operator's word. */
static int found_cluster(struct daemon *daemon, struct edition *file, char *error, size_t size) {
    struct configs *configs = &daemon->configs;
    if (file->conf->self == CONF_SELF_NONE)
        return no_member(file, error, size);
    if (state_store(daemon->state, STATE_COMMITTED, 1, file->digest, file->text, file->size, error,
                    size) != 0)
        return -1;
    configs->epoch = 1;
    edition_move(&configs->committed, file);
    return 0;
}

/* The file is the committed configuration, the promised one, or a proposal. */
static int place_file(struct daemon *daemon, struct edition *file, char *error, size_t size) {
    struct configs *configs = &daemon->configs;
    struct edition *now = &configs->committed;
    if (configs->pending.conf != NULL) {
        /* Promised: nothing else before it is committed. */
        configs->reload = file->digest != configs->pending.digest;
        if (!configs->reload)
            edition_move(&configs->pending, file);
        else if (file->digest == now->digest)
            edition_move(now, file);
        return 0;
    }
    if (now->conf == NULL && file->conf->self == CONF_SELF_NONE)
        return no_member(file, error, size);
    if (now->digest == file->digest) {
        edition_move(now, file);
        return 0;
    }
    if (now->conf != NULL && (!same_timers(now->conf, file->conf) ||
                              strcmp(now->conf->cluster, file->conf->cluster) != 0)) {
        log_event(daemon->log, LOG_LEVEL_ERROR, "reload_refused", "reason",
                  "session, drain, take_over_after and the cluster's name cannot change: the "
                  "bridge goes on with what the cluster has committed. See \"Changing the timers\" "
                  "in bridge/PROTOCOL.md",
                  NULL);
        return 0;
    }
    edition_move(&configs->pending, file);
    return 0;
}

int daemon_configs_start(struct daemon *daemon, struct edition *file, bool found, char *error,
                         size_t size) {
    struct configs *configs = &daemon->configs;
    uint64_t promised = 0;
    int result = restore_edition(daemon, STATE_COMMITTED, daemon->conf, &configs->committed,
                                 &configs->epoch, error, size);
    if (result < 0)
        return -1;
    if (restore_edition(daemon, STATE_PROMISED, daemon->conf, &configs->pending, &promised, error,
                        size) < 0)
        return -1;
    if (promised <= configs->epoch) { /* it was kept, or overtaken */
        edition_free(&configs->pending);
        promised = 0;
        if (state_drop(daemon->state, STATE_PROMISED, error, size) != 0)
            return -1;
    }
    configs->promised_at_start = promised;
    daemon_changes_start(daemon);
    if (daemon_changes_add(daemon, file) != 0) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    if (found && (result == 1 || promised != 0)) {
        if (configs->committed.digest == file->digest && promised == 0)
            return place_file(daemon, file, error, size); /* done before */
        (void)snprintf(error, size,
                       "--found: this node belongs to a cluster already (%s). Start it without "
                       "--found; or, to found another one, remove that file",
                       state_path(daemon->state, STATE_COMMITTED));
        return -1;
    }
    if ((found ? found_cluster(daemon, file, error, size)
               : place_file(daemon, file, error, size)) != 0)
        return -1;
    daemon_former_start(daemon);
    return 0;
}

/* ---- the core ---- */

/* The defaults fit the default session; a shorter one needs all of them shorter. */
static struct core_timers timers_of(const struct conf *conf) {
    struct core_timers timers = core_timers_default();
    uint32_t whole = timers.session;
    timers.drain = conf->drain_ms;
    timers.session = conf->session_ms;
    timers.take_over_after = conf->take_over_after_ms;
    if (conf->session_ms >= whole)
        return timers;
    timers.heartbeat = timers.heartbeat * conf->session_ms / whole;
    timers.leader = timers.leader * conf->session_ms / whole;
    timers.fresh = timers.fresh * conf->session_ms / whole;
    if (timers.heartbeat < 20)
        timers.heartbeat = 20;
    if (timers.coalesce > timers.heartbeat / 4)
        timers.coalesce = timers.heartbeat / 4;
    return timers;
}

static int make_core(struct daemon *daemon, char *error, size_t size) {
    const struct configs *configs = &daemon->configs;
    struct core_options *options = calloc(1, sizeof *options);
    if (options == NULL) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    daemon->timers = timers_of(configs->committed.conf != NULL ? configs->committed.conf
                                                               : configs->pending.conf);
    options->self = daemon->self;
    options->boot = daemon->serving ? control_incarnation(daemon->control) : daemon->boot;
    options->created = daemon->serving ? control_created(daemon->control) : daemon->now;
    options->keys = daemon->keys_max;
    options->timers = daemon->timers;
    options->memory = daemon->memory;
    if (configs->committed.conf != NULL)
        edition_membership(&configs->committed, configs->epoch, &options->committed);
    if (configs->pending.conf != NULL)
        edition_membership(&configs->pending, configs->promised_at_start, &options->pending);
    options->promised = configs->promised_at_start != 0;
    if (getrandom(&options->seed, sizeof options->seed, 0) < 0)
        options->seed = daemon->now ^ options->boot;
    daemon->core = core_create(options, daemon->now);
    free(options);
    if (daemon->core != NULL)
        return 0;
    (void)snprintf(error, size,
                   "cannot start the protocol: out of memory, or more than %d members in the old "
                   "and the new configuration together",
                   CORE_MEMBERS_MAX);
    return -1;
}

struct restoring {
    struct daemon *daemon;
    const char *lost; /* a counter that could not be restored */
    char name[SLOTSHARE_COUNTER_MAX + 1];
};

static int restore(const struct control_counter *counter, void *arg) {
    struct restoring *restoring = arg;
    struct daemon *daemon = restoring->daemon;
    uint32_t key;
    if (!keys_find(daemon->keys, daemon->now, counter->name, counter->limit, &key)) {
        (void)snprintf(restoring->name, sizeof restoring->name, "%s", counter->name);
        restoring->lost = restoring->name;
        return 1;
    }
    core_counter_restore(daemon->core, key, counter->share, counter->grant, counter->in_use,
                         counter->wants);
    return 0;
}

/* The core, the keys that it knows counters by, and who is connected to. */
static int make_parts(struct daemon *daemon, char *error, size_t size) {
    struct restoring restoring = {.daemon = daemon};
    keys_destroy(daemon->keys);
    daemon->keys = NULL;
    if (daemon->core != NULL)
        core_destroy(daemon->core);
    daemon->core = NULL;
    daemon->now = control_now();
    if (make_core(daemon, error, size) != 0)
        return -1;
    daemon->keys =
        keys_create(daemon->keys_max, daemon->serving ? daemon->control : NULL, daemon->core);
    if (daemon->keys == NULL) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    if (daemon_members_follow(daemon, error, size) != 0)
        return -1;
    if (daemon->serving)
        control_each_record(daemon->control, restore, &restoring);
    if (restoring.lost == NULL)
        return 0;
    (void)snprintf(error, size,
                   "cannot take over the share of %s that the segment holds: more than %u "
                   "contended counters",
                   restoring.lost, daemon->keys_max);
    return -1;
}

/* Members have been told of shares that another proposal than this one had lowered. They may go up
 * again only in a new session, so the old one ends here. */
static void end_session(struct daemon *daemon) {
    if (daemon->memory.session_end <= daemon->now)
        return;
    daemon->memory.session_end = daemon->now;
    control_memory_store(daemon->control, &daemon->memory);
}

/* The segment's pending rule set follows ours. */
static int follow_pending(struct daemon *daemon, char *error, size_t size) {
    const struct edition *pending = &daemon->configs.pending;
    uint64_t there = control_pending_digest(daemon->control);
    if (there == pending->digest)
        return 0;
    if (there != 0)
        end_session(daemon);
    if (pending->conf == NULL)
        control_withdraw(daemon->control);
    else if (control_reload(daemon->control, pending->conf, error, size) != SLOTSHARE_OK)
        return -1;
    if (there != 0)
        control_relax(daemon->control);
    return 0;
}

int daemon_serve(struct daemon *daemon, char *error, size_t size) {
    struct configs *configs = &daemon->configs;
    if (control_start(daemon->control, configs->committed.conf, configs->pending.conf, error,
                      size) != SLOTSHARE_OK)
        return -1;
    daemon->serving = true;
    control_tell(daemon->control, NULL);
    daemon->now = control_now();
    control_memory_load(daemon->control, &daemon->memory);
    if (control_pending_digest(daemon->control) == 0 &&
        control_refresh(daemon->control, configs->committed.conf, error, size) != SLOTSHARE_OK)
        return -1;
    if (follow_pending(daemon, error, size) != 0 || make_parts(daemon, error, size) != 0)
        return -1;
    return daemon_doorbell_start(daemon, error, size);
}

int daemon_wait(struct daemon *daemon, char *error, size_t size) {
    if (control_exists(daemon->control)) {
        (void)snprintf(error, size,
                       "%s: there is a segment, but %s, which says what the cluster has committed, "
                       "is gone. Restore that file; or end the processes that use the segment "
                       "(shmstat names them) and remove it: the node then joins as a new one",
                       control_path(daemon->control), state_path(daemon->state, STATE_COMMITTED));
        return -1;
    }
    if (getrandom(&daemon->boot, sizeof daemon->boot, 0) < 0) {
        (void)snprintf(error, size, "cannot get random numbers: %s", strerror(errno));
        return -1;
    }
    daemon->memory.generation = 1;
    return make_parts(daemon, error, size);
}
