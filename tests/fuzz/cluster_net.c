/* SPDX-License-Identifier: MIT */
#include "cluster.h"

static void copy_in(struct message *to, const struct core_action *action) {
    to->type = action->type;
    if (action->type == CORE_SEND_HEARTBEAT) {
        to->heartbeat = *action->heartbeat;
        must(to->heartbeat.records <= KEYS && to->heartbeat.vouched <= NODES_MAX, "a heartbeat");
        for (uint32_t i = 0; i < to->heartbeat.records; i++) {
            to->record[i] = action->heartbeat->record[i];
        }
        for (uint32_t i = 0; i < to->heartbeat.vouched; i++) {
            to->vouched[i] = action->heartbeat->vouched_dead[i];
        }
    } else if (action->type == CORE_SEND_DEAL) {
        to->deal = *action->deal;
        must(to->deal.parts <= NODES_MAX && to->deal.contended <= KEYS, "a deal");
        for (uint32_t i = 0; i < to->deal.contended; i++) {
            to->contended[i] = action->deal->contended_key[i];
        }
        for (uint32_t i = 0; i < to->deal.parts; i++) {
            to->part[i] = action->deal->part[i];
            must(to->part[i].grants <= KEYS, "grants");
            for (uint32_t g = 0; g < to->part[i].grants; g++) {
                to->grant[i][g] = to->part[i].grant[g];
            }
        }
    } else if (action->type == CORE_SEND_VOTE) {
        to->vote = action->vote;
    } else {
        to->vote_request = action->vote_request;
    }
}

/* The pointers into the message itself: after each copy. */
void cluster_mend(struct message *message) {
    if (message->type == CORE_SEND_HEARTBEAT) {
        message->heartbeat.record = message->record;
        message->heartbeat.vouched_dead = message->vouched;
    } else if (message->type == CORE_SEND_DEAL) {
        message->deal.contended_key = message->contended;
        message->deal.part = message->part;
        for (int i = 0; i < NODES_MAX; i++) {
            message->part[i].grant = message->grant[i];
        }
    }
}

/* A liar hears everything. */
static void listen(struct cluster *cluster, int from, const struct message *message) {
    struct lore *lore = &cluster->lore;

    if (message->type == CORE_SEND_HEARTBEAT) {
        const struct core_heartbeat *said = &message->heartbeat;
        lore->sequence[from] = said->sequence;
        lore->epoch = said->epoch;
        lore->epoch_digest = said->epoch_digest;
        lore->proposed = said->proposed;
        lore->ready = said->ready;
        lore->ready_digest = said->ready_digest;
    } else if (message->type == CORE_SEND_VOTE_REQUEST) {
        lore->request = message->vote_request;
    } else if (message->type == CORE_SEND_DEAL) {
        lore->term = message->deal.term;
        lore->deal_time = message->deal.time;
        for (uint32_t i = 0; i < message->deal.parts; i++) {
            const struct core_part *part = &message->part[i];
            for (int node = 0; node < cluster->nodes; node++) {
                if (cluster->host[node].hash == part->to) {
                    lore->session[node] = part->session.number;
                }
            }
            for (uint32_t g = 0; g < part->grants; g++) {
                lore->grant = part->grant[g].grant;
            }
        }
    }
}

static void post(struct cluster *cluster, int from, int to, const struct message *message) {
    struct post *place = NULL;

    if (to == from || (cluster->cut[from] >> to & 1) != 0) {
        return;
    }
    for (int i = 0; i < cluster->posts && place == NULL; i++) {
        place = cluster->post[i].used ? NULL : &cluster->post[i];
    }
    if (place == NULL && cluster->posts < QUEUE) {
        place = &cluster->post[cluster->posts++];
    }
    if (place == NULL) {
        return; /* lost, as anything may be */
    }
    place->used = true;
    place->from = from;
    place->to = to;
    place->due = cluster->now + 1 + cluster->delay[from];
    place->message = *message;
    cluster_mend(&place->message);
}

void cluster_publish(struct cluster *cluster, int from, const struct core_action *action) {
    static struct message message;
    unsigned lies = action->type == CORE_SEND_HEARTBEAT ? LIES_REPORTS
                    : action->type == CORE_SEND_DEAL    ? LIES_DEALS
                                                        : LIES_VOTES;

    copy_in(&message, action);
    cluster_mend(&message);
    listen(cluster, from, &message);
    if (from == LIAR && (cluster->lies & lies) != 0) {
        return; /* it says something else */
    }
    for (int to = 0; to < cluster->nodes; to++) {
        post(cluster, from, to, &message);
    }
}

void cluster_hand_over(struct core *core, uint64_t now, const struct message *message) {
    if (message->type == CORE_SEND_HEARTBEAT) {
        core_on_heartbeat(core, now, &message->heartbeat);
    } else if (message->type == CORE_SEND_DEAL) {
        core_on_deal(core, now, &message->deal);
    } else if (message->type == CORE_SEND_VOTE) {
        core_on_vote(core, now, &message->vote);
    } else {
        core_on_vote_request(core, now, &message->vote_request);
    }
}
