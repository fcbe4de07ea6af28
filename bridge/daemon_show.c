/* SPDX-License-Identifier: MIT */
/* For people: observers of the segment, and the log. */
#include "daemon_internal.h"

static void show_coordinator(struct daemon *daemon) {
    uint64_t coordinator = core_coordinator(daemon->core, daemon->now);
    bool leading = core_leading(daemon->core, daemon->now);
    struct shown *shown = &daemon->shown;
    if (leading)
        coordinator = daemon->self;
    if (coordinator == shown->coordinator && leading == shown->leading)
        return;
    const struct member *member = daemon_member(daemon, coordinator);
    if (daemon->serving)
        control_coordinator(daemon->control, member != NULL ? member->row : -1);
    struct log_line line;
    log_begin(daemon->log, &line, coordinator != 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
              coordinator != 0 ? "coordinator" : "no_coordinator");
    log_text(&line, "member", coordinator != 0 ? daemon_member_name(daemon, coordinator) : NULL);
    log_text(&line, "self", leading ? "yes" : "no");
    log_uint(&line, "term", daemon->memory.term);
    log_end(&line);
    shown->coordinator = coordinator;
    shown->leading = leading;
}

static void show_session(struct daemon *daemon) {
    const struct control_memory *memory = &daemon->memory;
    struct shown *shown = &daemon->shown;
    bool session = memory->session_end > daemon->now;
    if (session == shown->session && (!session || memory->session_number == shown->session_number))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, session ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
              session ? "session" : "session_ended");
    if (session)
        log_uint(&line, "number", memory->session_number);
    else
        log_text(&line, "reason",
                 daemon->leave_until != 0 ? "leaving"
                                          : "no coordinator has answered: this node keeps to "
                                            "its reserve");
    log_end(&line);
    shown->session = session;
    shown->session_number = memory->session_number;
}

/* Accounts of the core that should never be wrong. */
static void show_trouble(struct daemon *daemon) {
    struct core_stats stats = core_stats(daemon->core);
    struct core_stats *known = &daemon->shown.stats;
    uint64_t suppressed;
    if (stats.mass_negative == known->mass_negative && stats.valid_gone == known->valid_gone &&
        stats.over_dealt == known->over_dealt && stats.ignored == known->ignored)
        return;
    if (!log_rate_ok(&daemon->trouble_rate, daemon->now, 60000, &suppressed))
        return;
    struct log_line line;
    log_begin(daemon->log, &line, LOG_LEVEL_WARNING, "protocol_trouble");
    log_uint(&line, "mass_negative", stats.mass_negative);
    log_uint(&line, "valid_gone", stats.valid_gone);
    log_uint(&line, "over_dealt", stats.over_dealt);
    log_uint(&line, "absurd_messages", stats.ignored);
    log_end(&line);
    *known = stats;
}

void daemon_show(struct daemon *daemon) {
    show_coordinator(daemon);
    show_session(daemon);
    show_trouble(daemon);
}
