/* SPDX-License-Identifier: MIT */
/* For people: what differs in the files of two members. A heartbeat says only that they differ, so
 * the member is asked for its own. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"

enum {
    ASK_MS = 500,
    WAIT_MS = 5000,   /* for the answer: a member of an earlier version gives none */
    ANSWER_MS = 2000, /* from one answer to the next: it goes to all */
    TRIES = 3,        /* texts that are read in this time */
    TEXT_MAX = 1024 * 1024,
};

/* The configuration whose digest the heartbeats tell: what is proposed, or else committed. */
static const struct edition *own(const struct daemon *daemon) {
    const struct configs *configs = &daemon->configs;
    return configs->pending.conf != NULL ? &configs->pending : &configs->committed;
}

/* Two configurations were committed under one epoch: only an operator's word can do that. */
static bool founded_twice(const struct daemon *daemon, uint32_t place) {
    const struct configs *configs = &daemon->configs;
    return configs->epoch != 0 && daemon->files.differs[place].epoch == configs->epoch &&
           daemon->files.differs[place].digest != configs->committed.digest;
}

static const char *reason(bool twice, bool told) {
    if (twice)
        return "this node and that one have committed different files as one epoch (both were "
               "started with --found, or one was said to be dead that was not): limits can be "
               "exceeded. On one of them end the workers and the bridge, remove the segment and "
               "the files in state, copy the other's file there, and start the bridge without "
               "--found";
    return told ? "its configuration file is another one than here: nothing is committed until "
                  "all members have the same"
                : "its configuration file is another one than here: nothing is committed until "
                  "all members have the same; compare them by 'slotshare status' and diff";
}

/* difference: NULL: not known. */
static void tell(struct daemon *daemon, uint32_t place, const char *difference) {
    struct log_line line;
    char hex[20];
    bool twice = founded_twice(daemon, place);
    (void)snprintf(hex, sizeof hex, "%016" PRIx64, daemon->files.differs[place].digest);
    log_begin(daemon->log, &line, twice ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
              twice ? "founded_twice" : "files_differ");
    log_text(&line, "member", daemon->member[place].name);
    log_text(&line, "digest_there", hex);
    if (daemon->files.differs[place].epoch != 0)
        log_uint(&line, "epoch_there", daemon->files.differs[place].epoch);
    if (difference != NULL)
        log_text(&line, "from_here_to_there", difference);
    log_text(&line, "reason", reason(twice, difference != NULL));
    log_end(&line);
    daemon->files.differs[place].until = 0;
}

void daemon_files_differ(struct daemon *daemon, uint64_t member, uint64_t epoch, uint64_t digest) {
    const struct member *of = daemon_member(daemon, member);
    if (of == NULL)
        return;
    struct files *files = &daemon->files;
    const size_t place = (size_t)(of - daemon->member);
    files->differs[place].until = daemon->now + WAIT_MS;
    files->differs[place].epoch = epoch;
    files->differs[place].digest = digest;
    files->differs[place].tries = 0;
    files->ask_next = daemon->now;
}

void daemon_files_forget(struct daemon *daemon, const struct member *member) {
    daemon->files.differs[member - daemon->member].until = 0;
}

/* ---- what members say ---- */

/* The text is as hostile as any. @return true: it is the configuration of this digest, and *out
 * says what is different there. */
static bool compare(const struct daemon *daemon, const struct member *member, const char *text,
                    uint64_t digest, char *out, size_t size) {
    struct conf *theirs = NULL;
    struct conf_errors errors = {0};
    bool same = false;
    if (conf_load_stored(member->name, text, strlen(text), daemon->conf->node, &theirs, &errors) ==
        0) {
        same = conf_digest(theirs) == digest;
        if (same)
            conf_difference(own(daemon)->conf, theirs, out, size);
        conf_free(theirs);
    }
    conf_errors_free(&errors);
    return same;
}

void daemon_files_heard(struct daemon *daemon, const struct member *member,
                        const struct wire_file *file) {
    struct files *files = &daemon->files;
    const uint32_t place = (uint32_t)(member - daemon->member);
    char difference[1000];
    for (uint32_t i = 0; i < file->wanted; i++)
        files->asked = files->asked || file->wanted_of[i] == daemon->self;
    if (file->text[0] == '\0' || files->differs[place].until == 0 || own(daemon)->conf == NULL ||
        file->digest != files->differs[place].digest || files->differs[place].tries == TRIES)
        return;
    files->differs[place].tries++;
    if (strlen(file->text) <= TEXT_MAX &&
        compare(daemon, member, file->text, file->digest, difference, sizeof difference))
        tell(daemon, place, difference);
}

/* ---- in time ---- */

static void ask(struct daemon *daemon) {
    struct files *files = &daemon->files;
    struct wire_message message = {.kind = WIRE_FILE};
    uint64_t wanted[CORE_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        if (files->differs[i].until != 0)
            wanted[count++] = daemon->member[i].hash;
    }
    message.file = (struct wire_file){.wanted = count, .wanted_of = wanted, .text = ""};
    daemon_send(daemon, &message);
    files->ask_next = daemon->now + ASK_MS;
}

static void answer(struct daemon *daemon) {
    const struct edition *edition = own(daemon);
    struct wire_message message = {.kind = WIRE_FILE};
    daemon->files.asked = false;
    daemon->files.answer_next = daemon->now + ANSWER_MS;
    if (edition->conf == NULL || edition->size > TEXT_MAX)
        return;
    char *text = strndup(edition->text, edition->size); /* with a NUL behind it */
    if (text == NULL)
        return;
    message.file = (struct wire_file){.digest = edition->digest, .text = text};
    daemon_send(daemon, &message);
    free(text);
}

static bool waiting(const struct files *files) {
    bool any = false;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++)
        any = any || files->differs[i].until != 0;
    return any;
}

void daemon_files_tend(struct daemon *daemon) {
    struct files *files = &daemon->files;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        if (files->differs[i].until != 0 && daemon->now >= files->differs[i].until)
            tell(daemon, i, NULL);
    }
    if (waiting(files) && daemon->now >= files->ask_next)
        ask(daemon);
    if (files->asked && daemon->now >= files->answer_next)
        answer(daemon);
}

uint64_t daemon_files_due(const struct daemon *daemon) {
    const struct files *files = &daemon->files;
    uint64_t due = waiting(files) ? files->ask_next : UINT64_MAX;
    return files->asked && files->answer_next < due ? files->answer_next : due;
}
