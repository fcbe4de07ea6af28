/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { POOLED = 2048 }; /* bytes of a message that is used again */

/* What a message points to lies behind it. */
static size_t bytes_of(const struct core_action *action) {
    size_t size = sizeof(struct sim_message);

    if (action->type == CORE_SEND_HEARTBEAT) {
        size += action->heartbeat->records * sizeof *action->heartbeat->record;
        size += action->heartbeat->vouched * sizeof *action->heartbeat->vouched_dead;
    } else if (action->type == CORE_SEND_DEAL) {
        size += action->deal->parts * sizeof *action->deal->part;
        for (uint32_t i = 0; i < action->deal->parts; i++) {
            size += action->deal->part[i].grants * sizeof *action->deal->part[i].grant;
        }
        size += action->deal->contended * sizeof *action->deal->contended_key;
    }
    return size;
}

static struct sim_message *new_message(struct sim *sim, size_t size) {
    struct sim_message *message = size <= POOLED ? sim->free_message : NULL;

    if (message != NULL) {
        sim->free_message = message->next;
    } else {
        message = malloc(size <= POOLED ? POOLED : size);
    }
    if (message == NULL) {
        abort();
    }
    message->pooled = size <= POOLED;
    message->baseline = false;
    message->references = 1;
    return message;
}

/* The types come in falling order of alignment. */
static const void *put(uint8_t **at, const void *from, size_t size) {
    void *to = *at;
    if (size > 0) {
        memcpy(to, from, size);
    }
    *at += size;
    return to;
}

static void copy_deal(struct core_deal *deal, uint8_t *at) {
    struct core_part *parts = (struct core_part *)(void *)at;
    const struct core_part *from = deal->part;

    deal->part = put(&at, from, deal->parts * sizeof *parts);
    for (uint32_t i = 0; i < deal->parts; i++) {
        parts[i].grant = put(&at, from[i].grant, from[i].grants * sizeof *from[i].grant);
    }
    deal->contended_key =
        put(&at, deal->contended_key, deal->contended * sizeof *deal->contended_key);
}

static struct sim_message *copy_message(struct sim *sim, const struct core_action *action) {
    struct sim_message *message = new_message(sim, bytes_of(action));
    uint8_t *behind = (uint8_t *)(message + 1);

    message->type = action->type;
    switch (action->type) {
    case CORE_SEND_HEARTBEAT:
        message->heartbeat = *action->heartbeat;
        message->heartbeat.record =
            put(&behind, message->heartbeat.record,
                message->heartbeat.records * sizeof *message->heartbeat.record);
        message->heartbeat.vouched_dead =
            put(&behind, message->heartbeat.vouched_dead,
                message->heartbeat.vouched * sizeof *message->heartbeat.vouched_dead);
        break;
    case CORE_SEND_DEAL:
        message->deal = *action->deal;
        copy_deal(&message->deal, behind);
        break;
    case CORE_SEND_VOTE_REQUEST:
        message->vote_request = action->vote_request;
        break;
    default:
        message->vote = action->vote;
        break;
    }
    return message;
}

void net_release(struct sim *sim, struct sim_message *message) {
    if (--message->references > 0) {
        return;
    }
    if (message->pooled) {
        message->next = sim->free_message;
        sim->free_message = message;
    } else {
        free(message);
    }
}

/* ---- what becomes of a message: a function of sender, receiver, kind and time alone, so that it
 * is much the same when something else is left out of the run ---- */

static bool falls(uint64_t bits, double chance) {
    return (double)(bits & 0xffff) * 0x1p-16 < chance;
}

static double late(uint64_t fate, double from, double to) {
    return sim_draw_uniform(&fate, from, to);
}

static double delay(const struct sim_network *network, uint64_t fate, uint64_t number) {
    uint64_t kind = fate >> 32;

    if (falls(kind, network->nasty)) {
        uint64_t which = fate;
        return SIM_PICK(&which, .3, 1, 2, 3, 5, 8, 13) * late(fate, .8, 1.2);
    }
    if (!falls(kind, network->slow)) {
        return .0005 + (double)(sim_mix(fate + number) >> 48) * 0x1p-16 * .0095;
    }
    return falls(kind, network->slow * .2) ? late(fate, 1, 40) : late(fate, .05, 1.5);
}

void net_again(struct sim *sim, int to, struct sim_message *message, double s) {
    message->references++;
    sim_at(sim, s, (struct sim_event){.type = EVENT_DELIVER, .node = to, .message = message});
}

static void tell(const struct sim *sim, int from, int to, const struct sim_message *message,
                 const char *what, double s) {
    static const char *const kinds[] = {[CORE_SEND_HEARTBEAT] = "heartbeat",
                                        [CORE_SEND_DEAL] = "deal",
                                        [CORE_SEND_VOTE_REQUEST] = "vote request",
                                        [CORE_SEND_VOTE] = "vote"};
    if (s > 0) {
        sim_log(sim, "  %s from node %d to %d %s by %.3f s", kinds[message->type], from, to, what,
                s);
    } else {
        sim_log(sim, "  %s from node %d to %d %s", kinds[message->type], from, to, what);
    }
}

static uint64_t fate_of(const struct sim *sim, int from, int to,
                        const struct sim_message *message) {
    uint64_t when = sim->now / (20 * SIM_MS) * 4 + (uint64_t)message->type % 4;
    return sim_mix(sim->noise ^ sim_mix(when << 20 ^ (uint64_t)from << 10 ^ (uint64_t)to));
}

static void send_to(struct sim *sim, int from, int to, struct sim_message *message) {
    uint64_t fate = fate_of(sim, from, to, message);

    sim->count[COUNT_MESSAGES]++;
    if (sim->cut[from][to] != 0) {
        sim->count[COUNT_CUT_OFF]++;
        return;
    }
    if (falls(fate, sim->network.loss)) {
        sim->count[COUNT_LOST]++;
        tell(sim, from, to, message, "is lost", 0);
        return;
    }
    double extra = sim->intercept != NULL ? sim->intercept(sim, from, to, message) : 0;
    if (extra < 0) {
        return;
    }
    bool twice = falls(fate >> 16, sim->network.doubled);
    for (int i = 0; i < (twice ? 2 : 1); i++) {
        double s = delay(&sim->network, fate, message->number) + extra;
        if (i > 0) {
            sim->count[COUNT_DOUBLED]++;
            tell(sim, from, to, message, "comes twice, the second late", s);
        } else if (s >= .05) {
            sim->count[COUNT_LATE]++;
            tell(sim, from, to, message, "is late", s);
        }
        net_again(sim, to, message, s);
        fate = sim_mix(fate + 1);
    }
}

void net_send_note(struct sim *sim, int from, int to, const struct sim_note *note) {
    struct sim_message *message = new_message(sim, sizeof *message);

    message->type = CORE_SEND_HEARTBEAT;
    message->baseline = true;
    message->from = from;
    message->number = ++sim->node[from].sent;
    message->note = *note;
    send_to(sim, from, to, message);
    net_release(sim, message);
}

void net_publish(struct sim *sim, int from, const struct core_action *action) {
    if (sim->on_publish != NULL) {
        sim->on_publish(sim, from, action);
    }
    struct sim_message *message = copy_message(sim, action);

    message->from = from;
    message->number = ++sim->node[from].sent;
    for (int to = 0; to < sim->top; to++) {
        if (to != from && sim->node[to].exists) {
            send_to(sim, from, to, message);
        }
    }
    net_release(sim, message);
    if (sim->on_publish != NULL) {
        sim->on_publish(sim, from, NULL);
    }
}

static void change(struct sim *sim, uint64_t mask, bool out, bool in, int by) {
    for (int a = 0; a < 64; a++) {
        for (int b = 0; (mask >> a & 1) != 0 && b < 64; b++) {
            if ((mask >> b & 1) != 0) {
                continue;
            }
            uint8_t *ways[] = {out ? &sim->cut[a][b] : NULL, in ? &sim->cut[b][a] : NULL};
            for (int i = 0; i < 2; i++) {
                if (ways[i] != NULL && (by > 0 || *ways[i] > 0)) {
                    *ways[i] = (uint8_t)(*ways[i] + by);
                }
            }
        }
    }
}

static const char *who(uint64_t mask, char text[200]) {
    size_t at = 0;

    for (int i = 0; i < 64; i++) {
        if ((mask >> i & 1) != 0) {
            at += (size_t)snprintf(text + at, 200 - at, "%s%d", at == 0 ? "" : ",", i);
        }
    }
    return text;
}

void net_cut(struct sim *sim, uint64_t mask, bool out, bool in, double s) {
    char text[200];

    change(sim, mask, out, in, 1);
    sim_log(sim, "CUT%s%s of %s for %g s", out ? " out" : "", in ? " in" : "", who(mask, text), s);
    sim->count[COUNT_CUTS]++;
    sim->count[COUNT_ONE_WAY] += out != in;
    sim_at(
        sim, s,
        (struct sim_event){.type = EVENT_HEAL, .a = mask, .b = (out ? 1u : 0u) | (in ? 2u : 0u)});
}

void net_heal(struct sim *sim, uint64_t mask, bool out, bool in) {
    char text[200];

    change(sim, mask, out, in, -1);
    sim_log(sim, "HEALED%s%s of %s", out ? " out" : "", in ? " in" : "", who(mask, text));
}
