/* SPDX-License-Identifier: MIT */
/* Putting the daemon together, and taking it apart. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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

static bool find_key(void *context, const char *name, int32_t limit, uint32_t *key) {
    struct daemon *daemon = context;
    return keys_find(daemon->keys, daemon->now, name, limit, key);
}

static const char *find_name(void *context, uint32_t key) {
    const struct daemon *daemon = context;
    return keys_name(daemon->keys, key);
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

int daemon_doorbell_start(struct daemon *daemon, char *error, size_t size) {
    errno = pthread_create(&daemon->doorbell, NULL, listen_for_doorbell, daemon);
    if (errno != 0)
        return fail(error, size, "cannot start a thread");
    daemon->doorbell_runs = true;
    return 0;
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
    return 0;
}

void daemon_log_start(const struct daemon *daemon) {
    const struct configs *configs = &daemon->configs;
    const struct edition *edition =
        configs->committed.conf != NULL ? &configs->committed : &configs->pending;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_NOTICE, daemon->serving ? "started" : "waiting");
    log_text(&line, "version", SLOTSHARE_VERSION);
    log_text(&line, "node", daemon->conf->node);
    log_text(&line, "cluster", daemon->conf->cluster);
    log_uint(&line, "members", edition->conf->members);
    log_uint(&line, "port", net_port(daemon->net));
    log_uint(&line, "epoch", configs->epoch);
    log_text(&line, "pending",
             configs->pending.conf == NULL     ? NULL
             : configs->promised_at_start != 0 ? "promised"
                                               : "proposed");
    if (daemon->serving) {
        log_uint(&line, "incarnation", control_incarnation(daemon->control));
        log_uint(&line, "generation", daemon->memory.generation);
    }
    log_uint(&line, "session_ms", daemon->timers.session);
    log_uint(&line, "drain_ms", daemon->timers.drain);
    log_end(&line);
}

static int make_parts(struct daemon *daemon, char *error, size_t size) {
    daemon->names = (struct wire_names){.context = daemon, .key = find_key, .name = find_name};
    daemon->encoder = wire_encoder_create(daemon->conf->cluster, daemon->conf->node);
    daemon->watched = calloc(daemon->keys_max, sizeof *daemon->watched);
    daemon->totals = totals_create(CORE_MEMBERS_MAX);
    if (daemon->encoder != NULL && daemon->watched != NULL && daemon->totals != NULL)
        return 0;
    (void)snprintf(error, size, "out of memory");
    return -1;
}

/* Where others reach this node: its own URL, which the file need not have any more when it takes
 * this node out of the cluster. */
static int know_own_url(struct daemon *daemon, char *error, size_t size) {
    struct conf *file = daemon->file;
    const struct configs *configs = &daemon->configs;
    const struct conf *known =
        configs->committed.conf != NULL && configs->committed.conf->self != CONF_SELF_NONE
            ? configs->committed.conf
            : configs->pending.conf;
    if (file->listen[0] != '\0')
        return 0;
    if (file->self != CONF_SELF_NONE)
        known = file;
    if (known != NULL && known->self != CONF_SELF_NONE) {
        memcpy(file->listen, known->member[known->self].url, sizeof file->listen);
        return 0;
    }
    (void)snprintf(
        error, size,
        "%s: this node, \"%s\", is no member of the cluster any more. To end with it, "
        "remove the bridge; to let it join again, add it to the file of all members, and "
        "remove %s",
        file->file, file->node, state_path(daemon->state, STATE_COMMITTED));
    return -1;
}

/* The segment's place first: a second bridge on it must not touch the network. */
static int open_all(struct daemon *daemon, const struct daemon_options *options,
                    struct edition *file, char *error, size_t size) {
    const struct conf *conf = daemon->conf;
    const char *name = options->name != NULL ? options->name : conf->segment;
    const char *directory = options->directory != NULL ? options->directory : conf->directory;
    if (control_claim(&daemon->control, name, directory, error, size) != SLOTSHARE_OK ||
        state_open(&daemon->state, conf->state, name, conf->node, conf->cluster, error, size) !=
            0 ||
        daemon_configs_start(daemon, file, options->found, error, size) != 0 ||
        know_own_url(daemon, error, size) != 0 || make_fds(daemon, error, size) != 0 ||
        net_listen(&daemon->net, conf, daemon->log, error, size) != 0 ||
        make_parts(daemon, error, size) != 0)
        return -1;
    daemon->now = control_now();
    bool committed = daemon->configs.committed.conf != NULL;
    if ((committed ? daemon_serve(daemon, error, size) : daemon_wait(daemon, error, size)) != 0)
        return -1;
    if (conf->http[0] != '\0' &&
        web_open(&daemon->web, conf->http, name, directory, daemon->log->events, error, size) != 0)
        return -1;
    /* Without it the bridge serves all the same. */
    if (admin_open(&daemon->admin, control_path(daemon->control), error, size) != 0)
        log_event(daemon->log, LOG_LEVEL_WARNING, "no_admin_socket", "reason", error, NULL);
    daemon_log_start(daemon);
    return 0;
}

int daemon_open(struct daemon **out, const struct daemon_options *options, struct log *log,
                struct conf_errors *errors) {
    char error[4096] = "";
    struct edition file;
    struct edition own;
    *out = NULL;
    if (edition_read(&file, options->config, errors) != 0)
        return -1;
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL || edition_copy(&own, &file) != 0) {
        edition_error(errors, options->config, "out of memory");
        edition_free(&file);
        free(daemon);
        return -1;
    }
    daemon->file = own.conf;
    free(own.text);
    daemon->conf = daemon->file;
    daemon->config_path = options->config;
    daemon->log = log;
    log_follow(log, (enum log_level)daemon->conf->log_level, daemon->conf->log_syslog);
    daemon->signal_fd = daemon->doorbell_fd = -1;
    daemon->self = deal_hash(daemon->conf->node, strlen(daemon->conf->node));
    daemon->keys_max = daemon->conf->counters < KEYS_MIN   ? KEYS_MIN
                       : daemon->conf->counters > KEYS_MAX ? KEYS_MAX
                                                           : daemon->conf->counters;
    if (!daemon->conf->clustered)
        edition_error(errors, options->config,
                      "no [cluster] section: a single host needs no bridge; the first process that "
                      "opens the segment creates it from this file");
    else if (open_all(daemon, options, &file, error, sizeof error) == 0)
        *out = daemon;
    else
        edition_error(errors, "slotshare-bridge", "%s", error);
    edition_free(&file);
    if (*out != NULL)
        return 0;
    daemon_close(daemon);
    return -1;
}

void daemon_close(struct daemon *daemon) {
    if (daemon == NULL)
        return;
    if (daemon->doorbell_runs) {
        atomic_store_explicit(&daemon->doorbell_stop, true, memory_order_release);
        control_doorbell_ring(daemon->control);
        (void)pthread_join(daemon->doorbell, NULL);
    }
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++)
        wire_decoder_destroy(daemon->member[i].decoder);
    admin_close(daemon->admin);
    wire_encoder_destroy(daemon->encoder);
    totals_destroy(daemon->totals);
    keys_destroy(daemon->keys);
    if (daemon->core != NULL)
        core_destroy(daemon->core);
    if (daemon->control != NULL)
        control_tell(daemon->control, NULL);
    control_close(daemon->control);
    state_close(daemon->state);
    edition_free(&daemon->configs.committed);
    edition_free(&daemon->configs.pending);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    if (daemon->doorbell_fd >= 0)
        close(daemon->doorbell_fd);
    free(daemon->seen.list);
    free(daemon->watched);
    conf_free(daemon->file);
    free(daemon);
}
