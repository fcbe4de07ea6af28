/* SPDX-License-Identifier: MIT */
/* What was proposed here before a file or an operator's change took its place. Another member may
 * have promised it in that very moment, for good: then nothing else is committed, and it is
 * proposed again; what took its place comes after it. A bridge may be started anew with another
 * file in between, so proposals lie on the disk until something is committed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"

enum {
    AGAIN_MS = 5000, /* who says that it has promised now this, now that, costs no more than that */
    COMPLAIN_MS = 60000,
};

/* ---- on the disk ---- */

static enum state_file file_of(uint32_t slot) {
    return (enum state_file)(STATE_PROPOSED + slot);
}

static void drop(struct daemon *daemon, uint32_t slot) {
    char error[1024];
    daemon->formers.digest[slot] = 0;
    if (state_drop(daemon->state, file_of(slot), error, sizeof error) != 0)
        log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
}

/* It is not needed but where all would wait for an operator without it. */
static void lose(struct daemon *daemon, uint32_t slot, const char *reason) {
    log_event(daemon->log, LOG_LEVEL_WARNING, "proposal_lost", "file",
              state_path(daemon->state, file_of(slot)), "reason", reason, NULL);
    drop(daemon, slot);
}

void daemon_former_start(struct daemon *daemon) {
    for (uint32_t i = 0; i < STATE_PROPOSALS; i++) {
        struct state_saved saved;
        char error[1024];
        int result = state_load(daemon->state, file_of(i), &saved, error, sizeof error);
        daemon->formers.digest[i] = saved.digest;
        if (result < 0)
            lose(daemon, i, error);
        else if (result > 0 && saved.epoch <= daemon->configs.epoch)
            drop(daemon, i); /* a commit has made it void */
        free(saved.whole);
    }
    daemon_former_store(daemon);
}

/* A free place, or that of the oldest. @return false: it is there already. */
static bool place_for(struct formers *formers, uint64_t digest, uint32_t *slot) {
    *slot = STATE_PROPOSALS;
    for (uint32_t i = 0; i < STATE_PROPOSALS; i++) {
        if (formers->digest[i] == digest)
            return false;
        if (formers->digest[i] == 0 && *slot == STATE_PROPOSALS)
            *slot = i;
    }
    if (*slot == STATE_PROPOSALS) {
        *slot = formers->oldest;
        formers->oldest = (formers->oldest + 1) % STATE_PROPOSALS;
    }
    return true;
}

void daemon_former_store(struct daemon *daemon) {
    struct formers *formers = &daemon->formers;
    const struct edition *pending = &daemon->configs.pending;
    char error[1024];
    uint32_t slot;
    uint64_t suppressed;
    if (pending->conf == NULL || !place_for(formers, pending->digest, &slot))
        return;
    if (state_store(daemon->state, file_of(slot), daemon->configs.epoch + 1, pending->digest,
                    pending->text, pending->size, error, sizeof error) == 0)
        formers->digest[slot] = pending->digest;
    else if (log_rate_ok(&formers->rate, daemon->now, COMPLAIN_MS, &suppressed))
        log_event(daemon->log, LOG_LEVEL_ERROR, "state_not_written", "reason", error, NULL);
}

void daemon_former_forget(struct daemon *daemon) {
    for (uint32_t i = 0; i < STATE_PROPOSALS; i++) {
        if (daemon->formers.digest[i] != 0)
            drop(daemon, i);
    }
}

/* Lines are told as those of the file that it was read from. @return false: it is not there. */
static bool restore(struct daemon *daemon, uint64_t digest, struct edition *out) {
    struct state_saved saved;
    char error[1024] = "it is gone";
    uint32_t i = 0;
    while (i < STATE_PROPOSALS && daemon->formers.digest[i] != digest)
        i++;
    if (i == STATE_PROPOSALS)
        return false;
    if (state_load(daemon->state, file_of(i), &saved, error, sizeof error) == 1) {
        memmove(saved.whole, saved.text, saved.size);
        saved.text = saved.whole;
        saved.whole_size = saved.size;
        if (edition_restore(out, &saved, daemon->config_path, daemon->conf, error, sizeof error) ==
            0)
            return true;
        (void)snprintf(error, sizeof error,
                       "out of memory, or written by another version of slotshare-bridge");
    }
    lose(daemon, i, error);
    return false;
}

/* ---- back to it ---- */

static bool same_file(const struct edition *a, const struct edition *b) {
    return a->file_size == b->file_size && memcmp(a->text, b->text, a->file_size) == 0;
}

static void step_back(struct daemon *daemon, uint64_t digest) {
    struct configs *configs = &daemon->configs;
    const struct edition *now =
        configs->pending.conf != NULL ? &configs->pending : &configs->committed;
    struct edition again;
    struct conf_errors errors = {0};
    if (!restore(daemon, digest, &again))
        return;
    bool changes_only = same_file(now, &again);
    log_event(daemon->log, LOG_LEVEL_NOTICE, changes_only ? "changes_later" : "config_later",
              "reason", "other members have promised what was proposed before: that comes first",
              NULL);
    (void)daemon_load(daemon, &again, false, &errors);
    configs->reload = configs->reload || !changes_only;
    daemon->changes.load = daemon->changes.load || daemon->changes.now.version != 0;
    daemon->formers.look_next = daemon->now + AGAIN_MS;
    edition_free(&again);
    conf_errors_free(&errors);
}

void daemon_former_heard(struct daemon *daemon, const struct core_heartbeat *heartbeat) {
    const struct configs *configs = &daemon->configs;
    bool other = heartbeat->ready != 0 && heartbeat->ready_digest != configs->pending.digest;
    daemon->formers.look = daemon->formers.look || other || configs->reload;
}

void daemon_former_tend(struct daemon *daemon) {
    struct formers *formers = &daemon->formers;
    if (!formers->look || daemon->now < formers->look_next)
        return;
    formers->look = false;
    const uint64_t digest = core_former_wanted(daemon->core, daemon->now);
    if (digest != 0) {
        step_back(daemon, digest);
    } else if (daemon->configs.reload && core_former_alone(daemon->core, daemon->now)) {
        struct reload_report report;
        daemon_reload(daemon, &report);
        conf_errors_free(&report.errors);
    }
}
