/* SPDX-License-Identifier: MIT */
/* The members of the committed and of the pending configuration: who is connected to. */
#include <stdio.h>
#include <string.h>

#include "daemon_internal.h"

struct member *daemon_member(struct daemon *daemon, uint64_t hash) {
    for (uint32_t i = 0; hash != 0 && i < CORE_MEMBERS_MAX; i++) {
        if (daemon->member[i].hash == hash)
            return &daemon->member[i];
    }
    return NULL;
}

const char *daemon_member_name(const struct daemon *daemon, uint64_t hash) {
    for (uint32_t i = 0; hash != 0 && i < CORE_MEMBERS_MAX; i++) {
        if (daemon->member[i].hash == hash)
            return daemon->member[i].name;
    }
    return "?";
}

/* The entry of this name; -1: none. */
static int32_t row_of(const struct conf *conf, const char *name) {
    for (uint32_t i = 0; conf != NULL && i < conf->members; i++) {
        if (strcmp(conf->member[i].name, name) == 0)
            return (int32_t)i;
    }
    return -1;
}

/* What a member is to be now; the pending configuration knows newer addresses. NULL: no member. */
static const struct conf_member *entry_of(const struct daemon *daemon, const char *name) {
    const struct conf *committed = daemon->configs.committed.conf;
    const struct conf *pending = daemon->configs.pending.conf;
    int32_t row = row_of(pending, name);
    if (row >= 0)
        return &pending->member[row];
    row = row_of(committed, name);
    return row >= 0 ? &committed->member[row] : NULL;
}

static void let_go(struct daemon *daemon, struct member *member) {
    if (!member->self)
        net_remove(daemon->net, member->net);
    wire_decoder_destroy(member->decoder);
    totals_forget(daemon->totals, (uint32_t)(member - daemon->member));
    daemon_files_forget(daemon, member);
    *member = (struct member){0};
}

static int take_in(struct daemon *daemon, const char *name, char *error, size_t error_size) {
    const struct conf_member *entry = entry_of(daemon, name);
    if (entry == NULL)
        return 0; /* not reached: the name is from one of the two */
    uint64_t hash = deal_hash(entry->name, strlen(entry->name));
    uint32_t i = 0;
    if (daemon_member(daemon, hash) != NULL)
        return 0;
    while (i < CORE_MEMBERS_MAX && daemon->member[i].hash != 0)
        i++;
    if (i == CORE_MEMBERS_MAX) {
        (void)snprintf(error, error_size, "member %s: more than %d members at once", entry->name,
                       CORE_MEMBERS_MAX);
        return -1;
    }
    struct member new = {.hash = hash, .self = hash == daemon->self};
    if (!new.self) {
        new.decoder = wire_decoder_create(daemon->conf->cluster, entry->name, daemon->self);
        if (new.decoder == NULL) {
            (void)snprintf(error, error_size, "out of memory");
            return -1;
        }
        if (net_add(daemon->net, entry, &new.net, error, error_size) != 0) {
            wire_decoder_destroy(new.decoder);
            return -1;
        }
    }
    (void)snprintf(new.name, sizeof new.name, "%s", entry->name);
    (void)snprintf(new.url, sizeof new.url, "%s", entry->url);
    daemon->member[i] = new;
    return 0;
}

static int take_all_in(struct daemon *daemon, const struct conf *conf, char *error,
                       size_t error_size) {
    int result = 0;
    for (uint32_t i = 0; conf != NULL && i < conf->members; i++) {
        if (take_in(daemon, conf->member[i].name, error, error_size) != 0)
            result = -1;
    }
    return result;
}

int daemon_members_follow(struct daemon *daemon, char *error, size_t error_size) {
    const struct conf *committed = daemon->configs.committed.conf;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        struct member *member = &daemon->member[i];
        const struct conf_member *entry = member->hash != 0 ? entry_of(daemon, member->name) : NULL;
        if (member->hash != 0 && (entry == NULL || strcmp(entry->url, member->url) != 0))
            let_go(daemon, member);
    }
    int now = take_all_in(daemon, committed, error, error_size);
    int then = take_all_in(daemon, daemon->configs.pending.conf, error, error_size);
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++)
        daemon->member[i].row =
            daemon->member[i].hash != 0 ? row_of(committed, daemon->member[i].name) : -1;
    return now != 0 ? now : then;
}
