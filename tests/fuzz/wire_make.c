/* SPDX-License-Identifier: MIT */
#include "wire_make.h"

#include "../../bridge/wire.h"
#include "../../conf/deal.h"
#include "wire.pb-c.h"

enum { LIST_MAX = 8, DATA_MAX = 300 };

/* All that an envelope can hold; protobuf-c wants lists of pointers. */
struct made {
    Wire__Envelope envelope;
    Wire__Heartbeat heartbeat;
    Wire__Deal deal;
    Wire__VoteRequest vote_request;
    Wire__Vote vote;
    Wire__Totals totals;
    Wire__Fragment fragment;
    Wire__Term term[2];
    Wire__Session session;
    Wire__Record record[LIST_MAX], *records[LIST_MAX];
    Wire__Total total[LIST_MAX], *all_totals[LIST_MAX];
    Wire__Part part[LIST_MAX], *parts[LIST_MAX];
    Wire__Grant grant[LIST_MAX], *grants[LIST_MAX];
    char *names[LIST_MAX];
    uint32_t contended[LIST_MAX];
    uint64_t vouched[LIST_MAX];
    uint8_t data[DATA_MAX];
};

static char *name(struct input *input) {
    static char *const names[] = {"global",
                                  "host:a.example",
                                  "binding:bulk",
                                  "domain:b.example",
                                  "host:",
                                  "binding:x,host:a",
                                  "binding:x,domain:b",
                                  "domain:b,host:a",
                                  "host:Upper",
                                  "host:a,host:b",
                                  "binding:a\nb",
                                  "nothing:a",
                                  "domain:d,binding:b",
                                  "host:a ",
                                  "",
                                  "binding:b,domain:d,host:h"};
    return names[input_below(input, sizeof names / sizeof names[0])];
}

static uint64_t number(struct input *input) {
    uint8_t choice = input_byte(input);
    return choice < 200 ? choice % 50 : input_number(input, choice % 8 + 1);
}

static uint32_t figure(struct input *input) {
    const uint32_t edges[] = {CONF_LIMIT_MAX, CONF_LIMIT_MAX + 1, INT32_MAX, UINT32_MAX};
    uint8_t choice = input_byte(input);
    return choice < 240 ? choice : edges[choice % 4];
}

static size_t length(struct input *input) {
    return input_below(input, LIST_MAX + 1);
}

static void make_terms(struct made *made, struct input *input) {
    for (int i = 0; i < 2; i++) {
        wire__term__init(&made->term[i]);
        made->term[i].number = number(input);
        made->term[i].candidate = number(input);
    }
    wire__session__init(&made->session);
    made->session.number = number(input);
    made->session.term = input_below(input, 8) != 1 ? &made->term[1] : NULL;
}

static void make_heartbeat(struct made *made, struct input *input) {
    Wire__Heartbeat *to = &made->heartbeat;
    wire__heartbeat__init(to);
    to->boot = number(input);
    to->generation = number(input);
    to->sequence = number(input);
    to->term = &made->term[0];
    to->echo_term = &made->term[1];
    to->session = &made->session;
    to->epoch = number(input);
    to->epoch_digest = number(input);
    to->proposed = number(input);
    to->ready = number(input);
    to->ready_digest = number(input);
    to->echo_time = number(input);
    to->join = (Wire__Join)input_below(input, 5);
    to->leaving = (int)input_below(input, 2);
    to->n_record = length(input);
    to->record = made->records;
    for (size_t i = 0; i < to->n_record; i++) {
        Wire__Record *record = made->records[i] = &made->record[i];
        wire__record__init(record);
        record->counter = name(input);
        record->held = figure(input);
        record->in_use = figure(input);
        record->wants = figure(input);
        record->limit = figure(input);
        record->grant = number(input);
    }
    to->n_vouched_dead = length(input);
    to->vouched_dead = made->vouched;
    for (size_t i = 0; i < to->n_vouched_dead; i++) {
        made->vouched[i] = number(input);
    }
}

static void make_part(struct made *made, struct input *input, size_t at) {
    Wire__Part *part = made->parts[at] = &made->part[at];
    wire__part__init(part);
    part->to = input_below(input, 2) == 0 ? deal_hash("mta2", 4) : number(input);
    part->boot = number(input);
    part->ack = number(input);
    part->session = &made->session;
    part->admission = (int)input_below(input, 2);
    part->grant_floor = number(input);
    part->heard = number(input);
    part->n_grant = length(input);
    part->grant = made->grants;
}

static void make_deal(struct made *made, struct input *input) {
    Wire__Deal *to = &made->deal;
    wire__deal__init(to);
    to->term = &made->term[0];
    to->time = number(input);
    to->epoch = number(input);
    to->epoch_digest = number(input);
    to->agreed = number(input);
    to->agreed_digest = number(input);
    to->minority = (int)input_below(input, 2);
    to->whole = (int)input_below(input, 2);
    to->n_counter = to->n_contended = length(input);
    to->counter = made->names;
    to->contended = made->contended;
    for (size_t i = 0; i < LIST_MAX; i++) {
        made->names[i] = name(input);
        made->contended[i] = input_below(input, LIST_MAX + 1);
        made->grants[i] = &made->grant[i];
        wire__grant__init(&made->grant[i]);
        made->grant[i].counter = input_below(input, LIST_MAX + 1);
        made->grant[i].share = figure(input);
        made->grant[i].grant = number(input);
    }
    to->n_part = length(input);
    to->part = made->parts;
    for (size_t i = 0; i < to->n_part; i++) {
        make_part(made, input, i);
    }
}

static void make_votes(struct made *made, struct input *input) {
    wire__vote_request__init(&made->vote_request);
    made->vote_request.boot = number(input);
    made->vote_request.generation = number(input);
    made->vote_request.term = &made->term[0];
    made->vote_request.round = number(input);
    made->vote_request.minority = (int)input_below(input, 2);
    wire__vote__init(&made->vote);
    made->vote.to = number(input);
    made->vote.to_boot = number(input);
    made->vote.to_generation = number(input);
    made->vote.round = number(input);
    made->vote.granted = (int)input_below(input, 2);
    made->vote.term = &made->term[1];
}

static void make_totals(struct made *made, struct input *input) {
    Wire__Totals *to = &made->totals;
    wire__totals__init(to);
    to->sweep = number(input);
    to->last = (int)input_below(input, 2);
    to->n_total = length(input);
    to->total = made->all_totals;
    for (size_t i = 0; i < to->n_total; i++) {
        Wire__Total *total = made->all_totals[i] = &made->total[i];
        wire__total__init(total);
        total->counter = name(input);
        total->in_use = figure(input);
    }
    to->number = number(input);
    to->n_lost = length(input);
    to->lost = made->vouched;
    for (size_t i = 0; i < to->n_lost; i++)
        to->lost[i] = number(input);
}

/* A part of a large message: some bytes of the input, which may themselves be an envelope. */
static void make_fragment(struct made *made, struct input *input) {
    Wire__Fragment *to = &made->fragment;
    wire__fragment__init(to);
    to->number = number(input);
    to->index = input_below(input, 4);
    to->count = input_below(input, 5);
    to->data.data = made->data;
    to->data.len = input_byte(input) + (size_t)1;
    for (size_t i = 0; i < to->data.len; i++) {
        made->data[i] = input_byte(input);
    }
}

size_t wire_make(struct input *input, const char *cluster, const char *from, uint8_t *out,
                 size_t room) {
    static struct made made;
    Wire__Envelope *envelope = &made.envelope;
    uint8_t kind = input_byte(input);

    wire__envelope__init(envelope);
    envelope->cluster = (char *)cluster;
    envelope->from = (char *)from;
    envelope->version = kind < 240 ? WIRE_VERSION : number(input) & UINT32_MAX;
    make_terms(&made, input);
    switch (kind % 7) {
    case 0:
        make_heartbeat(&made, input);
        envelope->body_case = WIRE__ENVELOPE__BODY_HEARTBEAT;
        envelope->heartbeat = &made.heartbeat;
        break;
    case 1:
        make_deal(&made, input);
        envelope->body_case = WIRE__ENVELOPE__BODY_DEAL;
        envelope->deal = &made.deal;
        break;
    case 2:
    case 3:
        make_votes(&made, input);
        envelope->body_case =
            kind % 7 == 2 ? WIRE__ENVELOPE__BODY_VOTE_REQUEST : WIRE__ENVELOPE__BODY_VOTE;
        envelope->vote_request = &made.vote_request; /* a union: the one or the other */
        if (kind % 7 == 3) {
            envelope->vote = &made.vote;
        }
        break;
    case 4:
        make_totals(&made, input);
        envelope->body_case = WIRE__ENVELOPE__BODY_TOTALS;
        envelope->totals = &made.totals;
        break;
    case 5:
        make_fragment(&made, input);
        envelope->body_case = WIRE__ENVELOPE__BODY_FRAGMENT;
        envelope->fragment = &made.fragment;
        break;
    default:
        break; /* no body */
    }
    must(wire__envelope__get_packed_size(envelope) <= room, "more than there is room for");
    return wire__envelope__pack(envelope, out);
}
