/* SPDX-License-Identifier: MIT */
/* What the core orders, and what the segment says to the core. */
#include <stdlib.h>

#include "daemon_internal.h"

enum { COMPLAIN_MS = 60000 };

static int publish(void *context, const uint8_t *bytes, size_t size) {
    struct daemon *daemon = context;
    return net_publish(daemon->net, bytes, size);
}

void daemon_send(struct daemon *daemon, const struct wire_message *message) {
    uint64_t suppressed;
    if (wire_encode(daemon->encoder, message, &daemon->names, publish, daemon) == 0 ||
        !log_rate_ok(&daemon->send_rate, daemon->now, COMPLAIN_MS, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_ERROR, "message_not_sent");
    log_int(&line, "kind", message->kind);
    log_text(&line, "reason", "too large for one message, or out of memory");
    log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

static void complain_share(struct daemon *daemon, uint32_t key, int32_t result) {
    uint64_t suppressed;
    if (!log_rate_ok(&daemon->share_rate, daemon->now, COMPLAIN_MS, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_ERROR, "share_not_set");
    log_text(&line, "counter", keys_name(daemon->keys, key));
    log_text(&line, "reason",
             result == 0 ? "no room for the counter in the segment, or no rule makes it"
                         : slotshare_strerror(result));
    log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

/* A share that cannot be set is not confirmed: the coordinator goes on counting the old one. */
static void set_share(struct daemon *daemon, uint32_t key, int32_t share, uint64_t grant) {
    uint32_t index;
    if (!keys_index(daemon->keys, key, &index)) {
        complain_share(daemon, key, 0);
        return;
    }
    int32_t in_use = control_share_set(daemon->control, index, share, grant);
    if (in_use < 0) {
        complain_share(daemon, key, in_use);
        return;
    }
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_DEBUG, "share_set");
    log_text(&line, "counter", keys_name(daemon->keys, key));
    log_int(&line, "share", share);
    log_int(&line, "in_use", in_use);
    log_uint(&line, "grant", grant);
    log_end(&line);
    core_share_applied(daemon->core, daemon->now, key, grant, in_use);
}

static void drop_record(struct daemon *daemon, uint32_t key) {
    uint32_t index;
    if (keys_index(daemon->keys, key, &index))
        control_record_drop(daemon->control, index);
}

static void read_counter(struct daemon *daemon, uint32_t key) {
    uint32_t index;
    struct control_counter counter = {0};
    /* A counter that this host never counts is not in use here. */
    if (keys_index(daemon->keys, key, &index) &&
        control_counter_read(daemon->control, index, &counter) != SLOTSHARE_OK)
        return;
    core_counter_update(daemon->core, daemon->now, key, counter.in_use, counter.wants);
}

/* Where this node's limit of the counter is written, and what it is. */
static void log_option(const struct daemon *daemon, struct log_line *line, const char *counter) {
    const struct ruleset rules = control_rules(daemon->control);
    struct ruleset_match match;
    char option[600];
    if (counter == NULL || ruleset_counter(&rules, counter, &match) != SLOTSHARE_OK)
        return;
    if (match.line != 0)
        (void)snprintf(option, sizeof option, "cluster_max_outbound_connections, %s:%u",
                       ruleset_file(&rules), match.line);
    else
        (void)snprintf(option, sizeof option, "cluster_max_outbound_connections, set nowhere");
    log_text(line, "option_here", option);
    log_int(line, "limit_here", match.limit);
}

static void warn_limit(struct daemon *daemon, uint64_t member, uint32_t key, int32_t limit) {
    uint64_t suppressed;
    if (!log_rate_ok(&daemon->warn_rate, daemon->now, 1000, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_WARNING, "limits_differ");
    log_text(&line, "member", daemon_member_name(daemon, member));
    const char *name = keys_name(daemon->keys, key);
    log_text(&line, "counter", name);
    log_option(daemon, &line, name);
    log_int(&line, "limit_there", limit);
    log_text(&line, "reason", "the files of the members differ; the lowest limit of all counts");
    log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

/* Whom a message concerns most: who has it a little earlier than the others decides how long a
 * hand-over takes, the more so the more members there are. */
static void first(struct daemon *daemon, uint64_t hash) {
    const struct member *member = daemon_member(daemon, hash);
    if (member != NULL && !member->self)
        net_first(daemon->net, member->net);
}

static void send_heartbeat(struct daemon *daemon, const struct core_heartbeat *heartbeat) {
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    message.heartbeat = *heartbeat;
    first(daemon, core_coordinator(daemon->core, daemon->now));
    daemon_send(daemon, &message);
}

static void send_deal(struct daemon *daemon, const struct core_deal *deal) {
    struct wire_message message = {.kind = WIRE_DEAL};
    message.deal = *deal;
    for (uint32_t i = 0; i < deal->parts; i++) {
        if (deal->part[i].grants > 0)
            first(daemon, deal->part[i].to);
    }
    daemon_send(daemon, &message);
}

static void send_vote_request(struct daemon *daemon, struct core_vote_request request) {
    struct wire_message message = {.kind = WIRE_VOTE_REQUEST};
    message.vote_request = request;
    daemon_send(daemon, &message);
}

static void send_vote(struct daemon *daemon, struct core_vote vote) {
    struct wire_message message = {.kind = WIRE_VOTE};
    message.vote = vote;
    daemon_send(daemon, &message);
}

static void perform(struct daemon *daemon, const struct core_action *action) {
    switch (action->type) {
    case CORE_STORE_MEMORY:
        daemon->memory = action->memory;
        if (daemon->serving)
            control_memory_store(daemon->control, &daemon->memory);
        break;
    case CORE_SET_SHARE:
        set_share(daemon, action->share.key, action->share.share, action->share.grant);
        break;
    case CORE_DROP_RECORD:
        drop_record(daemon, action->share.key);
        break;
    case CORE_READ:
        read_counter(daemon, action->share.key);
        break;
    case CORE_SCAN:
        daemon->scan_wanted = true;
        break;
    case CORE_PROMISE:
        net_send(daemon->net); /* a disk may take its time */
        daemon_promise(daemon, action->commit.epoch, action->commit.digest);
        break;
    case CORE_COMMIT:
        net_send(daemon->net);
        daemon_commit(daemon, action->commit.epoch, action->commit.digest, action->commit.member);
        break;
    case CORE_FOREIGN_CONFIG:
        daemon_foreign(daemon, action->config.member, action->config.epoch, action->config.digest);
        break;
    case CORE_WARN_FILE:
        daemon_files_differ(daemon, action->config.member, action->config.epoch,
                            action->config.digest);
        break;
    case CORE_SEND_HEARTBEAT:
        send_heartbeat(daemon, action->heartbeat);
        break;
    case CORE_SEND_DEAL:
        send_deal(daemon, action->deal);
        break;
    case CORE_SEND_VOTE_REQUEST:
        send_vote_request(daemon, action->vote_request);
        break;
    case CORE_SEND_VOTE:
        send_vote(daemon, action->vote);
        break;
    case CORE_WARN_LIMIT:
        warn_limit(daemon, action->warn.member, action->warn.key, action->warn.limit);
        break;
    }
}

static void drain(struct daemon *daemon) {
    const struct core_action *action;
    while (!daemon->broken && (action = core_next_action(daemon->core)) != NULL)
        perform(daemon, action);
}

/* The core asked which counters are above their reserve. */
static void scan(struct daemon *daemon) {
    daemon->scan_wanted = false;
    core_scan_begin(daemon->core, daemon->now);
    drain(daemon);
    daemon_sightings_begin(daemon);
    if (daemon->serving)
        control_each_over_reserve(daemon->control, daemon_sight, daemon);
    bool complete = daemon->seen.complete;
    daemon_sightings_feed(daemon);
    core_scan_done(daemon->core, daemon->now, complete);
    drain(daemon);
}

/* What is sent goes when all is done, as if the network were slower by that: what one event makes a
 * coordinator say of its own share and then of another's is one piece, and wakes each member once.
 */
void daemon_act(struct daemon *daemon) {
    drain(daemon);
    net_send(daemon->net);
    /* Once per event: a scan that was not complete is asked for again, at the core's pace. */
    if (daemon->scan_wanted) {
        scan(daemon);
        net_send(daemon->net);
    }
}

/* ---- what the segment says ---- */

void daemon_sightings_begin(struct daemon *daemon) {
    daemon->seen.count = 0;
    daemon->seen.complete = true;
}

static void complain_keys(struct daemon *daemon, const char *name) {
    uint64_t suppressed;
    if (!log_rate_ok(&daemon->keys_rate, daemon->now, COMPLAIN_MS, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_ERROR, "counter_not_followed");
    log_text(&line, "counter", name);
    log_text(&line, "reason", "more contended counters than the bridge has room for");
    log_uint(&line, "room", daemon->keys_max);
    log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

int daemon_sight(const struct control_counter *counter, void *arg) {
    struct daemon *daemon = arg;
    struct sightings *seen = &daemon->seen;
    uint32_t key;
    if (counter->limit < 0) /* unlimited: nothing to share */
        return 0;
    if (!keys_find(daemon->keys, daemon->now, counter->name, counter->limit, &key)) {
        complain_keys(daemon, counter->name);
        seen->complete = false;
        return 0;
    }
    if (seen->count == seen->room) {
        size_t room = seen->room > 0 ? 2 * seen->room : 64;
        struct sighting *larger = realloc(seen->list, room * sizeof *larger);
        if (larger == NULL) {
            seen->complete = false;
            return 0;
        }
        seen->list = larger;
        seen->room = room;
    }
    seen->list[seen->count++] = (struct sighting){key, counter->in_use, counter->wants};
    return 0;
}

void daemon_sightings_feed(struct daemon *daemon) {
    for (size_t i = 0; i < daemon->seen.count; i++) {
        struct sighting s = daemon->seen.list[i];
        core_counter_update(daemon->core, daemon->now, s.key, s.in_use, s.wants);
        drain(daemon);
    }
}
