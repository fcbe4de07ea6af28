/* SPDX-License-Identifier: MIT */
/* What members say. A message that is refused changes nothing; its reason is logged, seldom. */
#include "daemon_internal.h"

enum {
    MESSAGES_MAX = 256, /* of one member before the others have their turn, */
    TURN_MS = 50,       /* or what came in this time */
    COMPLAIN_MS = 60000,
};

static void refuse(struct daemon *daemon, struct member *member, enum wire_result result,
                   size_t size) {
    struct refusals *refused = &member->refused;
    uint64_t suppressed;
    refused->count[result]++;
    if (!log_rate_ok(&refused->rate[result], daemon->now, COMPLAIN_MS, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_WARNING, "message_refused");
    log_text(&line, "member", member->name);
    log_text(&line, "url", member->url);
    log_text(&line, "reason", wire_reason(result));
    log_uint(&line, "size", size);
    log_uint(&line, "count", refused->count[result]);
    log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

static void feed(struct daemon *daemon, const struct member *member,
                 const struct wire_message *message) {
    switch (message->kind) {
    case WIRE_HEARTBEAT:
        core_on_heartbeat(daemon->core, daemon->now, &message->heartbeat);
        daemon_former_heard(daemon, &message->heartbeat);
        break;
    case WIRE_DEAL:
        core_on_deal(daemon->core, daemon->now, &message->deal);
        break;
    case WIRE_VOTE_REQUEST:
        core_on_vote_request(daemon->core, daemon->now, &message->vote_request);
        break;
    case WIRE_VOTE:
        core_on_vote(daemon->core, daemon->now, &message->vote);
        break;
    case WIRE_TOTALS:
        daemon_totals_heard(daemon, member, &message->totals);
        break;
    case WIRE_CHANGES:
        daemon_changes_heard(daemon, member, &message->changes);
        break;
    case WIRE_FILE:
        daemon_files_heard(daemon, member, &message->file);
        break;
    }
    daemon_act(daemon);
}

void daemon_hear(struct daemon *daemon, struct member *member) {
    struct net_message bytes;
    struct wire_message message;
    uint64_t until = control_now() + TURN_MS;
    for (unsigned n = 0; n < MESSAGES_MAX && daemon->now <= until; n++) {
        daemon->now = control_now();
        if (!net_receive(daemon->net, member->net, daemon->now, &bytes))
            return;
        bool leading = core_leading(daemon->core, daemon->now);
        enum wire_result result = wire_decode(member->decoder, bytes.bytes, bytes.size,
                                              &daemon->names, leading, &message);
        if (result != WIRE_OK && result != WIRE_MORE) {
            refuse(daemon, member, result, bytes.size);
            continue;
        }
        if (daemon->serving && member->row >= 0)
            control_member_heard(daemon->control, (uint32_t)member->row, daemon->now);
        if (result == WIRE_OK && !daemon->broken)
            feed(daemon, member, &message);
    }
}
