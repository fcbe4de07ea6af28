/* SPDX-License-Identifier: MIT */
/* For people: observers of the segment, the log, and the totals of all members. */
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"

enum {
    TOTALS_MS = 1000,
    TOTALS_MESSAGES = 8, /* of one sweep at most */
    TOTALS_COST = 50,    /* the time between sweeps is at least so many times what one takes */
    TOTAL_OVERHEAD = 32, /* bytes around a name */
};

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

/* ---- totals ---- */

struct sweep {
    struct daemon *daemon;
    struct wire_total *total;
    size_t count, room;
    char *names;
    size_t used; /* of names */
    unsigned messages;
    uint32_t *oldest; /* by a counter's index; NULL: no memory */
    uint32_t oldest_count;
};

static void flush(struct sweep *sweep, bool last) {
    struct daemon *daemon = sweep->daemon;
    struct wire_message message = {.kind = WIRE_TOTALS};
    message.totals = (struct wire_totals){.sweep = daemon->totals_sweep,
                                          .last = last,
                                          .no_session = daemon->memory.session_end <= daemon->now,
                                          .count = (uint32_t)sweep->count,
                                          .total = sweep->total};
    const struct member *self = daemon_member(daemon, daemon->self);
    if (self != NULL)
        totals_heard(daemon->totals, (uint32_t)(self - daemon->member), daemon->now,
                     &message.totals);
    daemon_send(daemon, &message);
    sweep->count = 0;
    sweep->used = 0;
    sweep->messages++;
}

static int32_t share_in_force(const struct daemon *daemon, const struct control_counter *counter) {
    const bool session = daemon->memory.session_end > daemon->now;
    return session || counter->share < counter->reserve ? counter->share : counter->reserve;
}

static int add_total(const struct control_counter *counter, void *arg) {
    struct sweep *sweep = arg;
    size_t length = strlen(counter->name) + 1;
    if (sweep->count == sweep->room ||
        sweep->used + length + sweep->count * TOTAL_OVERHEAD > WIRE_TOTALS_BYTES) {
        flush(sweep, false);
        if (sweep->messages == TOTALS_MESSAGES)
            return 1;
    }
    char *name = sweep->names + sweep->used;
    memcpy(name, counter->name, length);
    sweep->used += length;
    const bool known = sweep->oldest != NULL && counter->index < sweep->oldest_count;
    sweep->total[sweep->count++] = (struct wire_total){
        .name = name,
        .in_use = counter->in_use,
        .share = share_in_force(sweep->daemon, counter),
        .wants = counter->wants,
        .oldest_ms = known ? sweep->oldest[counter->index] : 0,
    };
    return 0;
}

static void show_sum(const char *name, int32_t in_use, void *arg) {
    struct daemon *daemon = arg;
    uint32_t index;
    if (control_counter_look(daemon->control, name, &index) == SLOTSHARE_OK)
        control_cluster_in_use(daemon->control, index, in_use);
}

void daemon_totals(struct daemon *daemon) {
    struct sweep sweep = {.daemon = daemon, .room = WIRE_TOTALS_BYTES / TOTAL_OVERHEAD};
    sweep.total = malloc(sweep.room * sizeof *sweep.total);
    sweep.names = malloc(WIRE_TOTALS_BYTES);
    if (sweep.total != NULL && sweep.names != NULL) {
        daemon->totals_sweep++;
        sweep.oldest = control_oldest(daemon->control, &sweep.oldest_count);
        control_each_busy(daemon->control, add_total, &sweep);
        if (sweep.messages < TOTALS_MESSAGES)
            flush(&sweep, true);
        totals_each(daemon->totals, show_sum, daemon);
        totals_expire(daemon->totals, daemon->now);
    }
    free(sweep.oldest);
    free(sweep.total);
    free(sweep.names);
    uint64_t took = control_now() - daemon->now;
    daemon->next.totals =
        daemon->now + (took * TOTALS_COST > TOTALS_MS ? took * TOTALS_COST : TOTALS_MS);
}
