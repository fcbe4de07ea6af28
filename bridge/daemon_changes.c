/* SPDX-License-Identifier: MIT */
/* What operators change without the file: overrides, and drained nodes. All members have the same
 * list, of which the newest counts, and each adds it to its file before it proposes that: so it is
 * proposed, promised and committed like any other change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon_internal.h"

enum {
    ANNOUNCE_MS = 1000,
    AGAIN_MS = 1000,
    GRACE_MS = 10000, /* until a host's own clock is believed */
    COMPLAIN_MS = 60000,
};
static const uint64_t leap_max = UINT64_C(1) << 40; /* of versions: more is nonsense */

static uint64_t left_of(const struct daemon *daemon, uint32_t i) {
    uint64_t end = daemon->changes.end[i];
    return end > daemon->now ? end - daemon->now : 0;
}

void daemon_changes_now(const struct daemon *daemon, struct conf_changes *out) {
    uint32_t kept = 0;
    *out = daemon->changes.now;
    for (uint32_t i = 0; i < daemon->changes.now.overrides; i++) {
        out->override[kept] = daemon->changes.now.override[i];
        out->override[kept].ms = left_of(daemon, i);
        kept += out->override[kept].ms > 0 ? 1 : 0;
    }
    out->overrides = kept;
}

/* ---- at the start ---- */

/* No clock but the wall's has counted while the host was down, and that one may be wrong. */
static uint64_t guess(const struct conf_override *override) {
    uint64_t clock = (uint64_t)time(NULL);
    uint64_t left = override->until > clock ? override->until - clock : 0;
    return left < override->ms / 1000 ? left * 1000 : override->ms;
}

void daemon_changes_start(struct daemon *daemon) {
    const struct conf *committed = daemon->configs.committed.conf;
    const struct conf *pending = daemon->configs.pending.conf;
    struct changes *changes = &daemon->changes;
    daemon->now = control_now();
    if (committed != NULL)
        changes->now = committed->changes;
    if (pending != NULL && conf_changes_newer(&pending->changes, &changes->now))
        changes->now = pending->changes;
    changes->guessed = changes->now.overrides > 0;
    changes->grace = daemon->now + GRACE_MS;
    for (uint32_t i = 0; i < changes->now.overrides; i++) {
        uint64_t end = daemon->now + guess(&changes->now.override[i]);
        changes->end[i] = end > changes->grace ? end : changes->grace;
    }
}

int daemon_changes_add(struct daemon *daemon, struct edition *file) {
    struct conf_changes now;
    struct edition whole;
    daemon_changes_now(daemon, &now);
    if (now.version == 0)
        return 0;
    if (edition_with(&whole, file, &now) != 0)
        return -1;
    edition_move(file, &whole);
    return 0;
}

/* ---- into force ---- */

/* The file that is proposed or in force here, with the changes of now. */
static enum reload_result load(struct daemon *daemon, struct reload_report *report) {
    struct configs *configs = &daemon->configs;
    const struct edition *from =
        configs->pending.conf != NULL ? &configs->pending : &configs->committed;
    const struct conf *committed = configs->committed.conf;
    struct conf_changes now;
    struct edition whole;
    daemon_changes_now(daemon, &now);
    if (from->conf == NULL || edition_with(&whole, from, &now) != 0) {
        edition_error(&report->errors, daemon->config_path,
                      from->conf == NULL ? "there is no configuration yet" : "out of memory");
        return RELOAD_REFUSED;
    }
    report->digest = whole.digest;
    if (committed != NULL)
        conf_difference(committed, whole.conf, report->difference, sizeof report->difference);
    enum reload_result result = daemon_load(daemon, &whole, false, &report->errors);
    edition_free(&whole);
    return result;
}

static void log_changes(const struct daemon *daemon, const struct reload_report *report,
                        const char *why) {
    static const char *const words[] = {
        [RELOAD_REFUSED] = "refused",   [RELOAD_PROPOSED] = "proposed",
        [RELOAD_PENDING] = "pending",   [RELOAD_WITHDRAWN] = "withdrawn",
        [RELOAD_IN_FORCE] = "in force", [RELOAD_LATER] = "later"};
    struct log_line line;
    if (report->result == RELOAD_LATER)
        return; /* it will be told when it comes to it */
    log_begin(daemon->log, &line,
              report->result == RELOAD_REFUSED ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE,
              report->result == RELOAD_REFUSED ? "changes_not_loaded" : "changes_loaded");
    log_uint(&line, "version", daemon->changes.now.version);
    log_text(&line, "by", daemon->changes.now.author);
    log_text(&line, "why", why);
    log_text(&line, "result", words[report->result]);
    log_text(&line, "changes", report->difference);
    log_text(&line, "reason", report->errors.count > 0 ? report->errors.line[0] : NULL);
    log_end(&line);
}

static void try_to_load(struct daemon *daemon, const char *why) {
    struct reload_report report = {.result = RELOAD_REFUSED};
    report.result = load(daemon, &report);
    daemon->changes.load = report.result == RELOAD_LATER || report.result == RELOAD_REFUSED;
    daemon->changes.load_next = daemon->now + AGAIN_MS;
    uint64_t suppressed;
    if (report.result != RELOAD_REFUSED ||
        log_rate_ok(&daemon->changes.bad_rate, daemon->now, COMPLAIN_MS, &suppressed))
        log_changes(daemon, &report, why);
    conf_errors_free(&report.errors);
}

void daemon_change(struct daemon *daemon, const struct conf_changes *wanted,
                   struct reload_report *report) {
    struct changes before = daemon->changes;
    struct changes *changes = &daemon->changes;
    *report = (struct reload_report){.result = RELOAD_REFUSED};
    changes->now = *wanted;
    changes->now.version = before.now.version + 1;
    (void)snprintf(changes->now.author, sizeof changes->now.author, "%s", daemon->conf->node);
    for (uint32_t i = 0; i < wanted->overrides; i++)
        changes->end[i] = daemon->now + wanted->override[i].ms;
    changes->guessed = false;
    report->result = load(daemon, report);
    if (report->result == RELOAD_REFUSED)
        *changes = before;
    else
        changes->load = report->result == RELOAD_LATER;
    changes->announce = daemon->now;
    log_changes(daemon, report, "an operator asked for it here");
}

/* ---- what members say ---- */

static void complain(struct daemon *daemon, const struct member *member, const char *reason) {
    uint64_t suppressed;
    if (!log_rate_ok(&daemon->changes.bad_rate, daemon->now, COMPLAIN_MS, &suppressed))
        return;
    log_event(daemon->log, LOG_LEVEL_WARNING, "changes_refused", "member", member->name, "reason",
              reason, NULL);
}

/* Two operators at the same time, on two nodes that had not heard of each other: of the two lists
 * one counts, and the other change was in vain. */
static void tell_lost(struct daemon *daemon, const struct conf_changes *said) {
    const struct conf_changes *own = &daemon->changes.now;
    struct log_line line;
    if (own->version == 0 || said->version != own->version ||
        strcmp(own->author, daemon->conf->node) != 0)
        return;
    log_begin(daemon->log, &line, LOG_LEVEL_WARNING, "changes_lost");
    log_uint(&line, "version", own->version);
    log_text(&line, "to", said->author);
    log_text(&line, "reason",
             "another operator made another change at the same time: make this one again");
    log_end(&line);
}

/* The same list: what is left of each. The first to see the end of one decides, so that all end it
 * together. */
static void take_ends(struct daemon *daemon, struct conf_changes *heard, bool guessed) {
    struct changes *changes = &daemon->changes;
    if (guessed)
        return;
    for (uint32_t i = 0; i < changes->now.overrides; i++) {
        const struct conf_override *said = conf_override_find(heard, &changes->now.override[i]);
        uint64_t end = daemon->now + (said != NULL ? said->ms : 0);
        if (changes->guessed || end < changes->end[i])
            changes->end[i] = end;
    }
    changes->guessed = false;
}

void daemon_changes_heard(struct daemon *daemon, const struct member *member,
                          const struct wire_changes *heard) {
    struct conf_changes *said = malloc(sizeof *said);
    struct changes *changes = &daemon->changes;
    size_t size = strnlen(heard->text, CONF_CHANGES_TEXT);
    if (said == NULL)
        return;
    if (size == CONF_CHANGES_TEXT || conf_changes_parse(heard->text, size, said) != 0) {
        complain(daemon, member, "not understood: of another version of slotshare-bridge?");
    } else if (said->version > changes->now.version &&
               said->version - changes->now.version > leap_max) {
        complain(daemon, member, "a version that cannot be");
    } else if (conf_changes_newer(said, &changes->now)) {
        tell_lost(daemon, said);
        changes->now = *said;
        for (uint32_t i = 0; i < said->overrides; i++)
            changes->end[i] = daemon->now + said->override[i].ms;
        changes->guessed = heard->guessed;
        changes->load = true;
        changes->load_next = daemon->now;
    } else if (said->version == changes->now.version &&
               strcmp(said->author, changes->now.author) == 0) {
        take_ends(daemon, said, heard->guessed);
    }
    free(said);
}

/* ---- in time ---- */

static void announce(struct daemon *daemon) {
    struct changes *changes = &daemon->changes;
    struct wire_message message = {.kind = WIRE_CHANGES};
    char *text = malloc(CONF_CHANGES_TEXT);
    struct conf_changes *now = malloc(sizeof *now);
    changes->announce = daemon->now + ANNOUNCE_MS;
    if (text != NULL && now != NULL) {
        daemon_changes_now(daemon, now);
        (void)conf_changes_text(now, text);
        message.changes = (struct wire_changes){text, changes->guessed};
        daemon_send(daemon, &message);
    }
    free(now);
    free(text);
}

/* Overrides whose time is over go. The list stays of the same version: everybody comes to that. */
static bool drop_ended(struct daemon *daemon) {
    struct changes *changes = &daemon->changes;
    uint32_t kept = 0;
    if (changes->guessed && daemon->now < changes->grace)
        return false;
    for (uint32_t i = 0; i < changes->now.overrides; i++) {
        if (changes->end[i] > daemon->now) {
            changes->now.override[kept] = changes->now.override[i];
            changes->end[kept++] = changes->end[i];
        } else {
            char section[CONF_SECTION_TEXT];
            conf_override_section(&changes->now.override[i], section);
            log_event(daemon->log, LOG_LEVEL_NOTICE, "override_ended", "of", section, NULL);
        }
    }
    bool ended = kept < changes->now.overrides;
    changes->now.overrides = kept;
    return ended;
}

void daemon_changes_tend(struct daemon *daemon) {
    struct changes *changes = &daemon->changes;
    if (changes->now.version == 0)
        return;
    if (drop_ended(daemon)) {
        changes->announce = daemon->now;
        try_to_load(daemon, "an override has ended");
    } else if (changes->load && daemon->now >= changes->load_next) {
        try_to_load(daemon, "a member has it");
    }
    if (daemon->now >= changes->announce)
        announce(daemon);
}

uint64_t daemon_changes_due(const struct daemon *daemon) {
    const struct changes *changes = &daemon->changes;
    if (changes->now.version == 0)
        return UINT64_MAX;
    uint64_t due = changes->announce;
    if (changes->load && changes->load_next < due)
        due = changes->load_next;
    for (uint32_t i = 0; i < changes->now.overrides; i++)
        due = changes->end[i] < due ? changes->end[i] : due;
    return due;
}
