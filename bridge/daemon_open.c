/* SPDX-License-Identifier: MIT */
/* Putting the daemon together, and taking it apart. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon_internal.h"

enum {
    KEYS_MIN = 1024, /* others' contended counters need keys, too */
    KEYS_MAX = 65536,
    DOORBELL_MS = 1000,
};

static int fail(char *error, size_t size, const char *what) {
    (void)snprintf(error, size, "%s: %s", what, strerror(errno));
    return -1;
}

/* The defaults fit the default session; a shorter one needs all of them shorter. */
static struct core_timers timers_of(const struct conf *conf) {
    struct core_timers timers = core_timers_default();
    uint32_t whole = timers.session;
    timers.drain = conf->drain_ms;
    timers.session = conf->session_ms;
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

/* Of all in the file that concerns the cluster as a whole. @return 0: out of memory. */
static uint64_t digest_of(const struct conf *conf) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return 0;
    (void)fprintf(stream, "reserve %u\n", conf->reserve_percent);
    for (uint32_t i = 0; i < conf->members; i++)
        (void)fprintf(stream, "member %s %d\n", conf->member[i].name, conf->member[i].witness);
    for (size_t i = 0; i < conf->limits; i++) {
        const struct conf_limit *l = &conf->limit[i];
        (void)fprintf(stream, "limit %d \"%s\" \"%s\" \"%s\" %d %u\n", (int)l->scope, l->binding,
                      l->domain, l->host, (int)l->limit, l->parts);
    }
    uint64_t digest = fclose(stream) == 0 ? deal_hash(text, size) : 0;
    free(text);
    return digest;
}

static int make_core(struct daemon *daemon, char *error, size_t size) {
    const struct conf *conf = daemon->conf;
    struct core_options *options = calloc(1, sizeof *options);
    if (options == NULL)
        return fail(error, size, "cannot start");
    control_memory_load(daemon->control, &daemon->memory);
    options->self = daemon->hash[conf->self];
    options->boot = control_incarnation(daemon->control);
    options->created = control_created(daemon->control);
    options->keys = daemon->keys_max;
    options->timers = daemon->timers;
    options->memory = daemon->memory;
    options->committed.epoch = 1;
    options->committed.digest = digest_of(conf);
    options->committed.reserve_percent = conf->reserve_percent;
    options->committed.members = conf->members;
    for (uint32_t i = 0; i < conf->members; i++)
        options->committed.member[i] =
            (struct core_member){.hash = daemon->hash[i], .witness = conf->member[i].witness};
    if (getrandom(&options->seed, sizeof options->seed, 0) < 0)
        options->seed = daemon->now ^ options->boot;
    daemon->core = core_create(options, daemon->now);
    free(options);
    if (daemon->core != NULL)
        return 0;
    (void)snprintf(error, size,
                   "cannot start the protocol: out of memory, or two members with one hash");
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

static bool find_key(void *context, const char *name, int32_t limit, uint32_t *key) {
    struct daemon *daemon = context;
    return keys_find(daemon->keys, daemon->now, name, limit, key);
}

static const char *find_name(void *context, uint32_t key) {
    const struct daemon *daemon = context;
    return keys_name(daemon->keys, key);
}

static int make_codecs(struct daemon *daemon) {
    const struct conf *conf = daemon->conf;
    daemon->names = (struct wire_names){.context = daemon, .key = find_key, .name = find_name};
    daemon->encoder = wire_encoder_create(conf->cluster, conf->node);
    bool ok = daemon->encoder != NULL;
    for (uint32_t i = 0; i < conf->members; i++) {
        if (i == conf->self)
            continue;
        daemon->decoder[i] =
            wire_decoder_create(conf->cluster, conf->member[i].name, daemon->hash[conf->self]);
        ok = ok && daemon->decoder[i] != NULL;
    }
    return ok ? 0 : -1;
}

static int make_parts(struct daemon *daemon, char *error, size_t size) {
    struct restoring restoring = {.daemon = daemon};
    if (make_core(daemon, error, size) != 0)
        return -1;
    daemon->keys = keys_create(daemon->keys_max, daemon->control, daemon->core);
    daemon->watched = calloc(daemon->keys_max, sizeof *daemon->watched);
    daemon->totals = totals_create(daemon->conf->members);
    if (daemon->keys == NULL || daemon->watched == NULL || daemon->totals == NULL ||
        make_codecs(daemon) != 0) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    control_each_record(daemon->control, restore, &restoring);
    if (restoring.lost == NULL)
        return 0;
    (void)snprintf(error, size,
                   "cannot take over the share of %s that the segment holds: more than %u "
                   "contended counters",
                   restoring.lost, daemon->keys_max);
    return -1;
}

/* Sleeps on the segment's doorbell, which is no file descriptor, so that the main loop need not. */
static void *listen_for_doorbell(void *arg) {
    struct daemon *daemon = arg;
    while (!atomic_load_explicit(&daemon->doorbell_stop, memory_order_acquire)) {
        if (control_doorbell_wait(daemon->control, DOORBELL_MS)) {
            ssize_t written = write(daemon->doorbell_fd, &(uint64_t){1}, sizeof(uint64_t));
            (void)written; /* a full eventfd is readable all the same */
        }
    }
    return NULL;
}

static int make_fds(struct daemon *daemon, char *error, size_t size) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    daemon->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    daemon->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (daemon->signal_fd < 0 || daemon->doorbell_fd < 0)
        return fail(error, size, "cannot make a signalfd and an eventfd");
    errno = pthread_create(&daemon->doorbell, NULL, listen_for_doorbell, daemon);
    if (errno != 0)
        return fail(error, size, "cannot start a thread");
    daemon->doorbell_runs = true;
    return 0;
}

static void log_start(const struct daemon *daemon) {
    const struct conf *conf = daemon->conf;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_INFO, "started");
    log_text(&line, "version", SLOTSHARE_VERSION);
    log_text(&line, "node", conf->node);
    log_text(&line, "cluster", conf->cluster);
    log_uint(&line, "members", conf->members);
    log_uint(&line, "port", net_port(daemon->net));
    log_uint(&line, "incarnation", control_incarnation(daemon->control));
    log_uint(&line, "generation", daemon->memory.generation);
    log_uint(&line, "session_ms", daemon->timers.session);
    log_uint(&line, "drain_ms", daemon->timers.drain);
    log_end(&line);
}

/* The segment first: a second bridge on it must not touch the network. */
static int open_all(struct daemon *daemon, const char *name, const char *directory, char *error,
                    size_t size) {
    const struct conf *conf = daemon->conf;
    if (control_open(&daemon->control, conf, name, directory, error, size) != SLOTSHARE_OK)
        return -1;
    if (net_open(&daemon->net, conf, daemon->log, error, size) != 0)
        return -1;
    daemon->now = control_now();
    if (make_parts(daemon, error, size) != 0 || make_fds(daemon, error, size) != 0)
        return -1;
    log_start(daemon);
    return 0;
}

int daemon_open(struct daemon **out, const struct conf *conf, const char *name,
                const char *directory, const struct log *log, char *error, size_t error_size) {
    *out = NULL;
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL)
        return fail(error, error_size, "cannot start");
    daemon->conf = conf;
    daemon->log = log;
    daemon->signal_fd = daemon->doorbell_fd = -1;
    daemon->timers = timers_of(conf);
    daemon->keys_max = conf->counters < KEYS_MIN   ? KEYS_MIN
                       : conf->counters > KEYS_MAX ? KEYS_MAX
                                                   : conf->counters;
    for (uint32_t i = 0; i < conf->members; i++)
        daemon->hash[i] = deal_hash(conf->member[i].name, strlen(conf->member[i].name));
    if (open_all(daemon, name, directory, error, error_size) != 0) {
        daemon_close(daemon);
        return -1;
    }
    *out = daemon;
    return 0;
}

void daemon_close(struct daemon *daemon) {
    if (daemon == NULL)
        return;
    if (daemon->doorbell_runs) {
        atomic_store_explicit(&daemon->doorbell_stop, true, memory_order_release);
        control_doorbell_ring(daemon->control);
        (void)pthread_join(daemon->doorbell, NULL);
    }
    for (uint32_t i = 0; i < daemon->conf->members; i++)
        wire_decoder_destroy(daemon->decoder[i]);
    wire_encoder_destroy(daemon->encoder);
    totals_destroy(daemon->totals);
    keys_destroy(daemon->keys);
    if (daemon->core != NULL)
        core_destroy(daemon->core);
    control_close(daemon->control);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    if (daemon->doorbell_fd >= 0)
        close(daemon->doorbell_fd);
    free(daemon->seen.list);
    free(daemon->watched);
    free(daemon);
}
