/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void *copy(const void *from, size_t size) {
    void *to = calloc(1, size > 0 ? size : 1);
    if (to == NULL) {
        abort();
    }
    return size > 0 ? memcpy(to, from, size) : to;
}

static void copy_deal(struct core_deal *deal) {
    struct core_part *parts = copy(deal->part, deal->parts * sizeof *parts);

    for (uint32_t i = 0; i < deal->parts; i++) {
        parts[i].grant = copy(parts[i].grant, parts[i].grants * sizeof *parts[i].grant);
    }
    deal->part = parts;
    deal->contended_key = copy(deal->contended_key, deal->contended * sizeof *deal->contended_key);
}

static struct sim_message *copy_message(const struct core_action *action) {
    struct sim_message *message = calloc(1, sizeof *message);

    if (message == NULL) {
        abort();
    }
    message->type = action->type;
    message->references = 1;
    switch (action->type) {
    case CORE_SEND_HEARTBEAT:
        message->heartbeat = *action->heartbeat;
        message->heartbeat.record =
            copy(message->heartbeat.record,
                 message->heartbeat.records * sizeof *message->heartbeat.record);
        break;
    case CORE_SEND_DEAL:
        message->deal = *action->deal;
        copy_deal(&message->deal);
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

void net_release(struct sim_message *message) {
    if (--message->references > 0) {
        return;
    }
    if (message->type == CORE_SEND_HEARTBEAT) {
        free((void *)message->heartbeat.record);
    } else if (message->type == CORE_SEND_DEAL) {
        for (uint32_t i = 0; i < message->deal.parts; i++) {
            free((void *)message->deal.part[i].grant);
        }
        free((void *)message->deal.part);
        free((void *)message->deal.contended_key);
    }
    free(message);
}

static double delay(struct sim *sim) {
    const struct sim_network *network = &sim->network;
    double chance = sim_uniform(sim, 0, 1);

    if (chance < network->nasty) {
        return SIM_PICK(sim, .3, 1, 2, 3, 5, 8, 13) * sim_uniform(sim, .8, 1.2);
    }
    if (chance >= network->slow) {
        return sim_uniform(sim, .0005, .01);
    }
    return chance > network->slow * .2 ? sim_uniform(sim, .05, 1.5) : sim_uniform(sim, 1, 40);
}

void net_again(struct sim *sim, int to, struct sim_message *message, double s) {
    message->references++;
    sim_at(sim, s, (struct sim_event){.type = EVENT_DELIVER, .node = to, .message = message});
}

void net_publish(struct sim *sim, int from, const struct core_action *action) {
    struct sim_message *message = copy_message(action);

    for (int to = 0; to < SIM_NODES; to++) {
        if (to == from || !sim->node[to].exists) {
            continue;
        }
        sim->messages++;
        if (sim->cut[from][to] != 0 || sim_uniform(sim, 0, 1) < sim->network.loss) {
            continue;
        }
        double extra = sim->intercept != NULL ? sim->intercept(sim, from, to, message) : 0;
        int copies = extra < 0 ? 0 : sim_uniform(sim, 0, 1) < sim->network.doubled ? 2 : 1;
        for (int i = 0; i < copies; i++) {
            net_again(sim, to, message, delay(sim) + extra);
        }
    }
    net_release(message);
}

static void change(struct sim *sim, uint64_t mask, bool out, bool in, int by) {
    for (int a = 0; a < SIM_NODES; a++) {
        for (int b = 0; (mask >> a & 1) != 0 && b < SIM_NODES; b++) {
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

void net_cut(struct sim *sim, uint64_t mask, bool out, bool in, double s) {
    change(sim, mask, out, in, 1);
    sim_log(sim, "CUT %llx%s%s for %g s", (unsigned long long)mask, out ? " out" : "",
            in ? " in" : "", s);
    sim_at(
        sim, s,
        (struct sim_event){.type = EVENT_HEAL, .a = mask, .b = (out ? 1u : 0u) | (in ? 2u : 0u)});
}

void net_heal(struct sim *sim, uint64_t mask, bool out, bool in) {
    change(sim, mask, out, in, -1);
    sim_log(sim, "HEAL %llx", (unsigned long long)mask);
}
