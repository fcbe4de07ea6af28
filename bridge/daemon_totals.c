/* SPDX-License-Identifier: MIT */
/* For people: what is in use here is told to all, and what all have is shown. */
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"

enum {
    TOTALS_MS = 1000,
    TOTALS_MESSAGES = 8, /* at a time, at most */
    TOTALS_COST = 50, /* the time from one to the next is at least so many times what one takes */
    TOTAL_OVERHEAD = 32, /* bytes around a name */
};

struct telling {
    struct daemon *daemon;
    struct wire_total *total;
    size_t count, room;
    char *names;
    size_t used; /* of names */
    unsigned messages;
    uint32_t *oldest; /* by a counter's index; NULL: no memory */
    uint32_t oldest_count;
};

/* Of whom some messages were lost. */
static uint32_t list_lost(const struct daemon *daemon, uint64_t list[CORE_MEMBERS_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < CORE_MEMBERS_MAX; i++) {
        const struct member *member = &daemon->member[i];
        if (member->hash != 0 && !member->self && totals_lacks(daemon->totals, i))
            list[count++] = member->hash;
    }
    return count;
}

static void flush(struct telling *telling, bool end, bool last) {
    struct daemon *daemon = telling->daemon;
    uint64_t lost[CORE_MEMBERS_MAX];
    struct wire_message message = {.kind = WIRE_TOTALS};
    message.totals = (struct wire_totals){.last = last,
                                          .no_session = daemon->memory.session_end <= daemon->now,
                                          .count = (uint32_t)telling->count,
                                          .total = telling->total,
                                          .lost = end ? list_lost(daemon, lost) : 0,
                                          .lost_of = lost};
    totals_say_number(daemon->totals, &message.totals);
    daemon_send(daemon, &message);
    telling->count = 0;
    telling->used = 0;
    telling->messages++;
}

static bool has_room(const struct telling *telling, size_t length) {
    return telling->count < telling->room &&
           telling->used + length + telling->count * TOTAL_OVERHEAD <= WIRE_TOTALS_BYTES;
}

static bool write_total(const struct wire_total *total, void *arg) {
    struct telling *telling = arg;
    const size_t length = strlen(total->name) + 1;
    if (!has_room(telling, length)) {
        if (telling->messages == TOTALS_MESSAGES - 1)
            return false; /* that one is still to be filled up: the end of all goes with it */
        flush(telling, false, false);
    }
    char *name = telling->names + telling->used;
    memcpy(name, total->name, length);
    telling->used += length;
    telling->total[telling->count] = *total;
    telling->total[telling->count++].name = name;
    return true;
}

static int32_t share_in_force(const struct daemon *daemon, const struct control_counter *counter) {
    const bool session = daemon->memory.session_end > daemon->now;
    return session || counter->share < counter->reserve ? counter->share : counter->reserve;
}

/* @return as wire_total's drain_ms. */
static uint64_t drain_of(const struct daemon *daemon, const struct control_counter *counter,
                         int32_t share) {
    int64_t left;
    if (share < 0 || counter->in_use <= share ||
        !control_excess_left(daemon->control, counter->index, &left))
        return 0;
    return left > 0 ? (uint64_t)left + 1 : 1;
}

static int say_counter(const struct control_counter *counter, void *arg) {
    struct telling *telling = arg;
    const bool known = telling->oldest != NULL && counter->index < telling->oldest_count;
    const int32_t share = share_in_force(telling->daemon, counter);
    const struct wire_total total = {
        .name = counter->name,
        .in_use = counter->in_use,
        .share = share,
        .wants = counter->wants,
        .oldest_ms = known ? telling->oldest[counter->index] : 0,
        .drain_ms = drain_of(telling->daemon, counter, share),
    };
    totals_say(telling->daemon->totals, &total, write_total, telling);
    return 0;
}

static void tell(struct daemon *daemon, struct telling *telling) {
    const struct member *self = daemon_member(daemon, daemon->self);
    if (self == NULL)
        return;
    totals_say_begin(daemon->totals, (uint32_t)(self - daemon->member), daemon->now);
    control_each_busy(daemon->control, say_counter, telling);
    const bool last = totals_say_end(daemon->totals, write_total, telling);
    flush(telling, true, last);
}

static void show_sum(const char *name, int32_t in_use, void *arg) {
    struct daemon *daemon = arg;
    uint32_t index;
    if (control_counter_look(daemon->control, name, &index) == SLOTSHARE_OK)
        control_cluster_in_use(daemon->control, index, in_use);
}

void daemon_totals(struct daemon *daemon) {
    struct telling telling = {.daemon = daemon, .room = WIRE_TOTALS_BYTES / TOTAL_OVERHEAD};
    telling.total = malloc(telling.room * sizeof *telling.total);
    telling.names = malloc(WIRE_TOTALS_BYTES);
    if (telling.total != NULL && telling.names != NULL) {
        telling.oldest = control_oldest(daemon->control, &telling.oldest_count);
        tell(daemon, &telling);
        totals_each(daemon->totals, show_sum, daemon);
        totals_expire(daemon->totals, daemon->now);
    }
    free(telling.oldest);
    free(telling.total);
    free(telling.names);
    uint64_t took = control_now() - daemon->now;
    daemon->next.totals =
        daemon->now + (took * TOTALS_COST > TOTALS_MS ? took * TOTALS_COST : TOTALS_MS);
}

void daemon_totals_heard(struct daemon *daemon, const struct member *member,
                         const struct wire_totals *message) {
    totals_heard(daemon->totals, (uint32_t)(member - daemon->member), daemon->now, message);
    for (uint32_t i = 0; i < message->lost; i++) {
        if (message->lost_of[i] == daemon->self)
            totals_ask(daemon->totals);
    }
}
