/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include "../../conf/deal.h"

/* Mostly what an honest member would say now, else something near it, or absurd. */
static uint64_t tell(struct input *input, uint64_t truth) {
    uint8_t choice = input_byte(input);
    switch (choice >= 128 ? choice % 10 : 0) {
    case 1:
        return truth + 1;
    case 2:
        return truth - 1;
    case 3:
        return 0;
    case 4:
        return 1;
    case 5:
        return UINT64_MAX;
    case 6:
        return (uint64_t)1 << 62;
    case 7:
        return truth + input_byte(input);
    case 8:
        return truth - input_byte(input);
    case 9:
        return input_number(input, 8);
    default:
        return truth;
    }
}

static int32_t figure(struct input *input, int32_t limit) {
    uint8_t choice = input_byte(input);
    const int32_t figures[] = {0, 1, limit, limit / 2, limit + 1, CONF_LIMIT_MAX, -1, INT32_MAX};
    return choice < 128 ? choice % (limit + 1) : figures[choice % 8];
}

static struct core_term term(struct input *input, struct core_term truth) {
    return (struct core_term){tell(input, truth.number), tell(input, truth.candidate)};
}

static void heartbeat(const struct cluster *cluster, struct input *input, int from,
                      struct message *out) {
    const struct host *host = &cluster->host[from];
    const struct lore *lore = &cluster->lore;
    uint8_t flags = input_byte(input);

    out->heartbeat = (struct core_heartbeat){
        .from = host->hash,
        .boot = tell(input, host->boot),
        .generation = 1,
        .sequence = tell(input, lore->sequence[from] + 1),
        .term = term(input, lore->term),
        .session = {term(input, lore->term), tell(input, lore->session[from])},
        .epoch = tell(input, lore->epoch),
        .epoch_digest = tell(input, lore->epoch_digest),
        .proposed = tell(input, lore->proposed),
        .ready = tell(input, lore->ready),
        .ready_digest = tell(input, lore->ready_digest),
        .vouched_dead = out->vouched,
        .echo_term = term(input, lore->term),
        .echo_time = tell(input, lore->deal_time),
        .join = (enum core_join)(flags & 3),
        .leaving = (flags & 12) == 12,
        .incomplete = (flags & 48) == 48,
        .records = (flags >> 6) % 4,
        .record = out->record,
    };
    if ((cluster->lies & LIES_VOTES) != 0) { /* an operator's word, made up */
        out->heartbeat.vouched = input_below(input, 3);
        for (int i = 0; i < NODES_MAX; i++) {
            out->vouched[i] = cluster->host[input_below(input, (unsigned)cluster->nodes)].hash;
        }
    }
    for (uint32_t i = 0; i < out->heartbeat.records; i++) {
        int32_t limit = cluster->limit[0][i % KEYS];
        out->record[i] = (struct core_record){.key = (uint32_t)tell(input, i),
                                              .held = figure(input, limit),
                                              .in_use = figure(input, limit),
                                              .wants = figure(input, limit),
                                              .limit = (int32_t)tell(input, (uint64_t)limit),
                                              .grant = tell(input, lore->grant)};
    }
}

static void deal(const struct cluster *cluster, struct input *input, int from,
                 struct message *out) {
    const struct lore *lore = &cluster->lore;
    uint8_t flags = input_byte(input);

    out->deal = (struct core_deal){.from = cluster->host[from].hash,
                                   .term = term(input, lore->term),
                                   .time = tell(input, lore->deal_time + 1),
                                   .epoch = tell(input, lore->epoch),
                                   .epoch_digest = tell(input, lore->epoch_digest),
                                   .agreed = tell(input, lore->ready),
                                   .agreed_digest = tell(input, lore->proposed),
                                   .minority = (flags & 3) == 3,
                                   .whole = (flags & 4) != 0,
                                   .contended = (flags >> 3) % 4,
                                   .contended_key = out->contended,
                                   .parts = (uint32_t)cluster->nodes,
                                   .part = out->part};
    for (uint32_t i = 0; i < KEYS_TOLD; i++) {
        out->contended[i] = (uint32_t)tell(input, i % KEYS);
    }
    for (int i = 0; i < cluster->nodes; i++) {
        bool admission = (flags & 32) != 0;
        out->part[i] = (struct core_part){
            .to = cluster->host[i].hash,
            .boot = cluster->host[i].boot,
            .ack = tell(input, lore->sequence[i]),
            .heard = tell(input, 1),
            .session = {out->deal.term, tell(input, lore->session[i] + (admission ? 1 : 0))},
            .admission = admission,
            .grant_floor = tell(input, 0),
            .grants = (flags >> 6) % 4,
            .grant = out->grant[i]};
        for (uint32_t key = 0; key < out->part[i].grants; key++) {
            out->grant[i][key] = (struct core_grant){(uint32_t)tell(input, key),
                                                     figure(input, cluster->limit[0][key % KEYS]),
                                                     tell(input, lore->grant + 1)};
        }
    }
}

static void vote(const struct cluster *cluster, struct input *input, int from,
                 struct message *out) {
    const struct core_vote_request *asked = &cluster->lore.request;

    out->vote = (struct core_vote){.from = cluster->host[from].hash,
                                   .to = asked->from,
                                   .to_boot = asked->boot,
                                   .to_generation = asked->generation,
                                   .round = tell(input, asked->round),
                                   .granted = input_below(input, 8) != 0,
                                   .term = term(input, cluster->lore.term)};
}

static void stand(const struct cluster *cluster, struct input *input, int from,
                  struct message *out) {
    struct core_term next = cluster->lore.term;

    next.number++;
    out->vote_request = (struct core_vote_request){.from = cluster->host[from].hash,
                                                   .boot = tell(input, cluster->host[from].boot),
                                                   .generation = tell(input, 1),
                                                   .term = term(input, next),
                                                   .round = tell(input, 1),
                                                   .minority = input_below(input, 8) == 0};
}

bool lie(const struct cluster *cluster, struct input *input, int from, struct message *out) {
    unsigned kind = input_below(input, 8);

    if (kind < 4 && (cluster->lies & LIES_REPORTS) != 0) {
        out->type = CORE_SEND_HEARTBEAT;
        heartbeat(cluster, input, from, out);
    } else if (kind == 4 && (cluster->lies & LIES_VOTES) != 0) {
        out->type = CORE_SEND_VOTE_REQUEST;
        stand(cluster, input, from, out);
    } else if (kind == 5 && (cluster->lies & LIES_VOTES) != 0) {
        out->type = CORE_SEND_VOTE;
        vote(cluster, input, from, out);
    } else if (kind > 5 && (cluster->lies & LIES_DEALS) != 0) {
        out->type = CORE_SEND_DEAL;
        deal(cluster, input, from, out);
    } else {
        return false;
    }
    return true;
}
