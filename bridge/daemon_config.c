/* SPDX-License-Identifier: MIT */
/* The configuration while the bridge runs: a file that has changed is proposed, promised on the
 * disk when all propose it, and committed when all have promised it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"

enum {
    FITS_MS = 200,
    TELL_MS = 1000,
    FITS_COST = 20, /* the time between looks is at least so many times what one takes */
    COMPLAIN_MS = 60000,
};

static void log_config(struct daemon *daemon, enum log_level level, const char *event,
                       uint64_t epoch, uint64_t digest, const char *key, const char *text) {
    struct log_line line;
    char hex[20];
    (void)snprintf(hex, sizeof hex, "%016" PRIx64, digest);
    log_begin(daemon->log, &line, level, event);
    if (epoch != 0)
        log_uint(&line, "epoch", epoch);
    log_text(&line, "digest", hex);
    if (text != NULL && *text != '\0')
        log_text(&line, key, text);
    log_end(&line);
}

/* ---- a file is read ---- */

/* What can be changed only with the cluster at rest, or never. */
static void check_change(const struct daemon *daemon, const struct edition *file,
                         struct conf_errors *errors) {
    const struct edition *now = daemon->configs.committed.conf != NULL ? &daemon->configs.committed
                                                                       : &daemon->configs.pending;
    const struct conf *conf = file->conf;
    const char *path = daemon->config_path;
    if (!conf->clustered) {
        edition_error(errors, path,
                      "the [cluster] section cannot go while the bridge runs: end it first");
        return;
    }
    if (strcmp(conf->node, daemon->conf->node) != 0)
        edition_error(errors, path, "this node is %s and cannot become %s while the bridge runs",
                      daemon->conf->node, conf->node);
    if (strcmp(conf->cluster, daemon->conf->cluster) != 0)
        edition_error(errors, path,
                      "the cluster is called %s, and cannot be called %s while it runs",
                      daemon->conf->cluster, conf->cluster);
    if (conf->session_ms != now->conf->session_ms || conf->drain_ms != now->conf->drain_ms ||
        conf->take_over_after_ms != now->conf->take_over_after_ms)
        edition_error(errors, path,
                      "session, drain and take_over_after must be the same everywhere at every "
                      "moment (now %g s, %g s and %g s), so they cannot change while the cluster "
                      "runs: see \"Changing the timers\" in bridge/PROTOCOL.md",
                      now->conf->session_ms / 1000.0, now->conf->drain_ms / 1000.0,
                      now->conf->take_over_after_ms / 1000.0);
    if (conf->self == CONF_SELF_NONE && daemon->configs.committed.conf == NULL)
        edition_error(errors, path, "this node, \"%s\", is not in the member list", conf->node);
}

/* The segment lowers at once; it goes up only after the core has stored what it was told. */
static int write_pending(struct daemon *daemon, const struct edition *file,
                         struct conf_errors *errors) {
    char error[1024];
    if (!daemon->serving)
        return 0;
    if (control_reload(daemon->control, file->conf, error, sizeof error) == SLOTSHARE_OK)
        return 0;
    edition_error(errors, daemon->config_path, "%s", error);
    return -1;
}

static void follow(struct daemon *daemon) {
    char error[1024];
    if (daemon_members_follow(daemon, error, sizeof error) != 0)
        log_event(daemon->log, LOG_LEVEL_ERROR, "member_not_connected", "reason", error, NULL);
}

static void propose(struct daemon *daemon, const struct core_membership *membership) {
    follow(daemon);
    keys_define_again(daemon->keys);
    (void)core_config_propose(daemon->core, daemon->now, membership);
    daemon_act(daemon);
    if (daemon->serving && !daemon->broken)
        control_relax(daemon->control);
    daemon->configs.fits_next = daemon->now;
}

/* A promise that others have gone beyond binds no more. */
static void drop_promise(struct daemon *daemon) {
    char error[1024];
    if (state_drop(daemon->state, STATE_PROMISED, error, sizeof error) != 0)
        log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
}

/* The same content in other words: addresses, lines, comments. */
static void take_words(struct daemon *daemon, struct edition *of, struct edition *file) {
    char error[1024];
    bool committed = of == &daemon->configs.committed;
    edition_move(of, file);
    follow(daemon);
    if (committed && daemon->serving && control_pending_digest(daemon->control) == 0 &&
        control_refresh(daemon->control, of->conf, error, sizeof error) != SLOTSHARE_OK)
        log_event(daemon->log, LOG_LEVEL_WARNING, "segment_not_refreshed", "reason", error, NULL);
}

/* Other changes, in the same words, are stored at once: a promise would do that otherwise. */
static void store_again(struct daemon *daemon, const struct edition *file) {
    const struct edition *committed = &daemon->configs.committed;
    char error[1024];
    if (file->conf->changes.version != committed->conf->changes.version &&
        state_store(daemon->state, STATE_COMMITTED, daemon->configs.epoch, file->digest, file->text,
                    file->size, error, sizeof error) != 0)
        log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
}

/* What others have promised of what is pending here is as good as promised here: nothing but that
 * can be committed. */
static enum core_config_result check(const struct daemon *daemon,
                                     const struct core_membership *membership) {
    enum core_config_result result = core_config_check(daemon->core, membership);
    bool replaces = result == CORE_CONFIG_PROPOSED || result == CORE_CONFIG_WITHDRAWN;
    return replaces && core_former_binds(daemon->core, daemon->now) ? CORE_CONFIG_PROMISED : result;
}

enum reload_result daemon_load(struct daemon *daemon, struct edition *file, bool later,
                               struct conf_errors *errors) {
    struct configs *configs = &daemon->configs;
    struct core_membership membership;
    struct core_config_state state = core_config_state(daemon->core);
    edition_membership(file, 0, &membership);
    switch (check(daemon, &membership)) {
    case CORE_CONFIG_PROPOSED:
        if (write_pending(daemon, file, errors) != 0)
            return RELOAD_REFUSED;
        if (state.promised == 0 && !state.overtaken)
            drop_promise(daemon); /* none that others count with is left */
        edition_move(&configs->pending, file);
        daemon_former_store(daemon);
        propose(daemon, &membership);
        return RELOAD_PROPOSED;
    case CORE_CONFIG_WITHDRAWN:
        if (daemon->serving)
            control_withdraw(daemon->control);
        drop_promise(daemon);
        edition_free(&configs->pending);
        propose(daemon, &membership);
        store_again(daemon, file);
        take_words(daemon, &configs->committed, file);
        return RELOAD_WITHDRAWN;
    case CORE_CONFIG_SAME:
        if (configs->pending.digest == file->digest) {
            take_words(daemon, &configs->pending, file);
            return RELOAD_PENDING;
        }
        store_again(daemon, file);
        take_words(daemon, &configs->committed, file);
        return RELOAD_IN_FORCE;
    case CORE_CONFIG_PROMISED:
        configs->reload = configs->reload || later;
        return RELOAD_LATER;
    case CORE_CONFIG_BAD:
        break;
    }
    edition_error(errors, daemon->config_path,
                  "the members of the old and of the new configuration are more than %d together, "
                  "or have none in common: change them in steps",
                  CORE_MEMBERS_MAX);
    return RELOAD_REFUSED;
}

static void log_report(struct daemon *daemon, const struct reload_report *report) {
    static const char *const event[] = {[RELOAD_PROPOSED] = "config_proposed",
                                        [RELOAD_PENDING] = "config_pending_already",
                                        [RELOAD_WITHDRAWN] = "config_withdrawn",
                                        [RELOAD_IN_FORCE] = "config_in_force_already",
                                        [RELOAD_LATER] = "config_later"};
    for (size_t i = 0; i < report->errors.count; i++)
        log_event(daemon->log, LOG_LEVEL_ERROR, "reload_refused", "reason", report->errors.line[i],
                  NULL);
    if (report->result != RELOAD_REFUSED)
        log_config(daemon, LOG_LEVEL_INFO, event[report->result], 0, report->digest, "changes",
                   report->difference);
}

void daemon_reload(struct daemon *daemon, struct reload_report *report) {
    struct edition file;
    const struct conf *committed = daemon->configs.committed.conf;
    *report = (struct reload_report){.result = RELOAD_REFUSED};
    daemon->configs.reload = false;
    if (edition_read(&file, daemon->config_path, &report->errors) == 0) {
        check_change(daemon, &file, &report->errors);
        if (daemon_changes_add(daemon, &file) != 0)
            edition_error(&report->errors, daemon->config_path, "out of memory");
        report->digest = file.digest;
        if (committed != NULL)
            conf_difference(committed, file.conf, report->difference, sizeof report->difference);
        if (report->errors.count == 0) {
            log_follow(daemon->log, (enum log_level)file.conf->log_level, file.conf->log_syslog);
            report->certificates = net_renew(daemon->net, file.conf, report->certificates_error,
                                             sizeof report->certificates_error);
            report->result = daemon_load(daemon, &file, true, &report->errors);
        }
        edition_free(&file);
    }
    log_report(daemon, report);
}

/* ---- what the core orders ---- */

void daemon_promise(struct daemon *daemon, uint64_t epoch, uint64_t digest) {
    const struct edition *pending = &daemon->configs.pending;
    char error[1024];
    uint64_t suppressed;
    bool stored = pending->digest == digest &&
                  state_store(daemon->state, STATE_PROMISED, epoch, digest, pending->text,
                              pending->size, error, sizeof error) == 0;
    if (stored)
        log_config(daemon, LOG_LEVEL_INFO, "config_promised", epoch, digest, NULL, NULL);
    else if (log_rate_ok(&daemon->configs.promise_rate, daemon->now, COMPLAIN_MS, &suppressed))
        log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
    core_promise_done(daemon->core, daemon->now, stored);
}

/* The store first: what it says is committed is finished in the segment by whoever starts next.
 * Without it this bridge must not go on, because what it would do now a successor would not know.
 */
static bool store_commit(struct daemon *daemon, uint64_t epoch, const struct edition *edition) {
    char error[1024];
    if (state_store(daemon->state, STATE_COMMITTED, epoch, edition->digest, edition->text,
                    edition->size, error, sizeof error) == 0)
        return true;
    daemon->broken = true;
    log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
    return false;
}

void daemon_commit(struct daemon *daemon, uint64_t epoch, uint64_t digest, bool member) {
    struct configs *configs = &daemon->configs;
    bool pending = configs->pending.digest == digest;
    if (!store_commit(daemon, epoch, pending ? &configs->pending : &configs->committed))
        return;
    if (pending) {
        if (daemon->serving) {
            control_commit(daemon->control);
            control_coordinator(daemon->control, -1);
        }
        edition_move(&configs->committed, &configs->pending);
        daemon_former_forget(daemon);
        configs->begin = !daemon->serving;
        daemon->shown.coordinator = 0;
        daemon->shown.leading = false;
    }
    drop_promise(daemon);
    configs->epoch = epoch;
    configs->promised_at_start = 0;
    configs->changed = true;
    log_config(daemon, LOG_LEVEL_NOTICE, "config_committed", epoch, digest, "note",
               member ? NULL : "this node is no member any more: it holds nothing, end its bridge");
}

void daemon_foreign(struct daemon *daemon, uint64_t member, uint64_t epoch, uint64_t digest) {
    char text[512];
    uint64_t suppressed;
    daemon->configs.changed = true; /* what waits behind a promise may be loaded now */
    if (!log_rate_ok(&daemon->configs.foreign_rate, daemon->now, 1000, &suppressed))
        return;
    (void)snprintf(text, sizeof text,
                   "member %s has committed a configuration that %s does not have: copy it from "
                   "there and reload; until then this node keeps to its reserve",
                   daemon_member_name(daemon, member), daemon->config_path);
    log_config(daemon, LOG_LEVEL_WARNING, "foreign_configuration", epoch, digest, "reason", text);
}

/* ---- between events ---- */

static void look_whether_it_fits(struct daemon *daemon) {
    struct core_config_state state = core_config_state(daemon->core);
    if (state.pending_digest == 0 || state.fits || daemon->now < daemon->configs.fits_next)
        return;
    if (!daemon->serving || control_fits(daemon->control)) {
        core_config_fits(daemon->core, daemon->now);
        daemon_act(daemon);
    }
    uint64_t took = control_now() - daemon->now;
    daemon->configs.fits_next =
        daemon->now + (took * FITS_COST > FITS_MS ? took * FITS_COST : FITS_MS);
}

/* What a pending configuration waits for at this member; NULL: for nothing. */
static const char *lacks(const struct daemon *daemon, const struct core_config_state *own,
                         const struct core_member_state *state) {
    if (state->vouched_dead)
        return NULL;
    if (state->heard == 0 || daemon->now > state->heard + daemon->timers.session)
        return "not heard";
    if (own->committed != 0 && state->epoch == own->committed &&
        state->epoch_digest == own->pending_digest)
        return "founded the cluster, as this node did: see founded_twice in OPERATING.md";
    if (own->committed == 0 && state->epoch != 0 && state->epoch_digest != own->pending_digest)
        return "has another file";
    if (state->epoch_digest != own->pending_digest && state->proposed != own->pending_digest)
        return "has another file";
    if (own->promised != 0 && state->epoch < own->promised &&
        (state->ready < own->promised || state->ready_digest != own->pending_digest))
        return "drains";
    return NULL;
}

void daemon_waits_for(struct daemon *daemon, char *out, size_t size) {
    struct core_config_state own = core_config_state(daemon->core);
    size_t length = 0;
    out[0] = '\0';
    if (own.pending_digest == 0)
        return;
    if (!own.fits)
        length += (size_t)snprintf(out, size, "%s (drains)", daemon->conf->node);
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX && length < size; i++) {
        const struct member *member = &daemon->member[i];
        struct core_member_state state;
        if (member->hash == 0 || member->self ||
            !core_member_state(daemon->core, member->hash, &state))
            continue;
        const char *why = lacks(daemon, &own, &state);
        if (why != NULL)
            length += (size_t)snprintf(out + length, size - length, "%s%s (%s)",
                                       length > 0 ? ", " : "", member->name, why);
    }
}

/* Those who wait for a segment are told why there is none. */
static void tell_who_wait(struct daemon *daemon) {
    struct configs *configs = &daemon->configs;
    char text[sizeof configs->told];
    if (daemon->serving || daemon->now < configs->told_next)
        return;
    daemon_waits_for(daemon, text, sizeof text);
    configs->told_next = daemon->now + TELL_MS;
    if (strcmp(text, configs->told) == 0)
        return;
    memcpy(configs->told, text, sizeof text);
    control_tell(daemon->control, text);
    log_event(daemon->log, LOG_LEVEL_INFO, "waiting", "for",
              *text != '\0' ? text : "the coordinator", NULL);
}

uint64_t daemon_configs_due(const struct daemon *daemon) {
    const struct configs *configs = &daemon->configs;
    struct core_config_state state = core_config_state(daemon->core);
    uint64_t due = UINT64_MAX;
    if (state.pending_digest != 0 && !state.fits)
        due = configs->fits_next;
    uint64_t changes = daemon_changes_due(daemon);
    uint64_t files = daemon_files_due(daemon);
    due = changes < due ? changes : due;
    due = files < due ? files : due;
    return !daemon->serving && configs->told_next < due ? configs->told_next : due;
}

int daemon_configs_tend(struct daemon *daemon, char *error, size_t error_size) {
    struct configs *configs = &daemon->configs;
    if (daemon->broken) {
        (void)snprintf(error, error_size, "the committed configuration could not be stored");
        return -1;
    }
    if (configs->changed) {
        configs->changed = false;
        follow(daemon);
        keys_define_again(daemon->keys);
        /* Read again: it may have been changed while the other one was promised. */
        if (configs->reload) {
            struct reload_report report;
            daemon_reload(daemon, &report);
            conf_errors_free(&report.errors);
        }
    }
    if (configs->begin) {
        configs->begin = false;
        if (daemon_serve(daemon, error, error_size) != 0)
            return -1;
        daemon_log_start(daemon);
    }
    daemon_former_tend(daemon);
    daemon_changes_tend(daemon);
    daemon_files_tend(daemon);
    look_whether_it_fits(daemon);
    tell_who_wait(daemon);
    return 0;
}
