/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "wire.h"
#include "wire.pb-c.h"

struct wire_encoder {
    struct arena arena;
    uint64_t fragments; /* number of the last message that was split */
    uint8_t *buffer;
    size_t room;
    char cluster[SLOTSHARE_NAME_MAX + 1];
    char from[SLOTSHARE_BINDING_MAX + 1];
};

/* Fields that this version does not have, in each message: what readers of an older one find. */
static void pretend_next(ProtobufCMessage *message) {
#ifdef SLOTSHARE_PRETEND_NEXT
    static uint8_t text[] = {4, 'n', 'e', 'x', 't'}, number[] = {0xff, 0x01};
    static ProtobufCMessageUnknownField fields[] = {
        {900, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, sizeof text, text},
        {901, PROTOBUF_C_WIRE_TYPE_VARINT, sizeof number, number}};
    message->unknown_fields = fields;
    message->n_unknown_fields = sizeof fields / sizeof fields[0];
#else
    (void)message;
#endif
}

struct wire_encoder *wire_encoder_create(const char *cluster, const char *from) {
    struct wire_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    arena_init(&encoder->arena, WIRE_MEMORY_MAX);
    strncpy(encoder->cluster, cluster, sizeof encoder->cluster - 1);
    strncpy(encoder->from, from, sizeof encoder->from - 1);
    return encoder;
}

void wire_encoder_destroy(struct wire_encoder *encoder) {
    if (encoder == NULL)
        return;
    arena_free(&encoder->arena);
    free(encoder->buffer);
    free(encoder);
}

/* Absent means zero, so that what is not set costs no bytes. */
static Wire__Term *make_term(struct arena *arena, struct core_term from, bool *ok) {
    if (from.number == 0 && from.candidate == 0)
        return NULL;
    Wire__Term *term = arena_take(arena, sizeof *term);
    if (term == NULL) {
        *ok = false;
        return NULL;
    }
    wire__term__init(term);
    term->number = from.number;
    term->candidate = from.candidate;
    return term;
}

static Wire__Session *make_session(struct arena *arena, struct core_session from, bool *ok) {
    if (from.number == 0 && from.term.number == 0)
        return NULL;
    Wire__Session *session = arena_take(arena, sizeof *session);
    if (session == NULL) {
        *ok = false;
        return NULL;
    }
    wire__session__init(session);
    session->number = from.number;
    session->term = make_term(arena, from.term, ok);
    return session;
}

/* protobuf-c takes strings by non-const pointers and does not write through them. */
static char *unconst(const char *text) {
    union {
        const char *from;
        char *to;
    } both = {.from = text};
    return both.to;
}

static char *name_of(const struct wire_names *names, uint32_t key) {
    return unconst(names->name(names->context, key));
}

/* An array of pointers, as protobuf-c wants its repeated fields. */
static void *pointers(struct arena *arena, size_t count) {
    return arena_array(arena, count, sizeof(void *));
}

static bool pack_heartbeat(struct wire_encoder *encoder, const struct core_heartbeat *from,
                           const struct wire_names *names, Wire__Heartbeat *to) {
    struct arena *arena = &encoder->arena;
    bool ok = true;
    to->boot = from->boot;
    to->generation = from->generation;
    to->sequence = from->sequence;
    to->term = make_term(arena, from->term, &ok);
    to->session = make_session(arena, from->session, &ok);
    to->epoch = from->epoch;
    to->epoch_digest = from->epoch_digest;
    to->ready = from->ready;
    to->ready_digest = from->ready_digest;
    to->proposed = from->proposed;
    to->n_vouched_dead = from->vouched;
    to->vouched_dead = arena_array(arena, from->vouched, sizeof *to->vouched_dead);
    if (to->vouched_dead == NULL)
        return false;
    for (uint32_t i = 0; i < from->vouched; i++)
        to->vouched_dead[i] = from->vouched_dead[i];
    to->echo_term = make_term(arena, from->echo_term, &ok);
    to->echo_time = from->echo_time;
    to->join = (Wire__Join)from->join;
    to->leaving = from->leaving;
    Wire__Record *record = arena_array(arena, from->records, sizeof *record);
    to->record = pointers(arena, from->records);
    if (!ok || record == NULL || to->record == NULL)
        return false;
    to->n_record = from->records;
    for (uint32_t i = 0; i < from->records; i++) {
        const struct core_record *r = &from->record[i];
        wire__record__init(&record[i]);
        pretend_next(&record[i].base);
        record[i].counter = name_of(names, r->key);
        record[i].held = (uint32_t)r->held;
        record[i].in_use = (uint32_t)r->in_use;
        record[i].wants = (uint32_t)r->wants;
        record[i].limit = (uint32_t)r->limit;
        record[i].grant = r->grant;
        to->record[i] = &record[i];
        ok = ok && record[i].counter != NULL;
    }
    return ok;
}

/* Places of names in a deal: a hash table from keys, twice as large as ever needed. */
struct places {
    uint32_t *key, *place; /* place 0: free, else place + 1 */
    uint32_t mask;
};

static bool places_make(struct places *places, struct arena *arena, const struct core_deal *deal) {
    size_t most = deal->contended;
    for (uint32_t i = 0; i < deal->parts; i++)
        most += deal->part[i].grants;
    size_t size = 16;
    while (size < 2 * most)
        size *= 2;
    if (size > UINT32_MAX / 2)
        return false;
    places->mask = (uint32_t)size - 1;
    places->key = arena_array(arena, size, sizeof *places->key);
    places->place = arena_array(arena, size, sizeof *places->place);
    return places->key != NULL && places->place != NULL;
}

static bool place_of(struct places *places, uint32_t key, const struct wire_names *names,
                     Wire__Deal *to, uint32_t *place) {
    uint32_t at = key * 2654435761U & places->mask;
    while (places->place[at] != 0 && places->key[at] != key)
        at = (at + 1) & places->mask;
    if (places->place[at] == 0) {
        char *name = name_of(names, key);
        if (name == NULL)
            return false;
        to->counter[to->n_counter++] = name;
        places->key[at] = key;
        places->place[at] = (uint32_t)to->n_counter;
    }
    *place = places->place[at] - 1;
    return true;
}

static bool pack_part(struct arena *arena, const struct core_part *from,
                      const struct wire_names *names, struct places *places, Wire__Deal *deal,
                      Wire__Part *to) {
    bool ok = true;
    wire__part__init(to);
    pretend_next(&to->base);
    to->to = from->to;
    to->boot = from->boot;
    to->ack = from->ack;
    to->session = make_session(arena, from->session, &ok);
    to->admission = from->admission;
    to->grant_floor = from->grant_floor;
    to->heard = from->heard;
    Wire__Grant *grant = arena_array(arena, from->grants, sizeof *grant);
    to->grant = pointers(arena, from->grants);
    if (!ok || grant == NULL || to->grant == NULL)
        return false;
    to->n_grant = from->grants;
    for (uint32_t i = 0; i < from->grants && ok; i++) {
        wire__grant__init(&grant[i]);
        pretend_next(&grant[i].base);
        ok = place_of(places, from->grant[i].key, names, deal, &grant[i].counter);
        grant[i].share = (uint32_t)from->grant[i].share;
        grant[i].grant = from->grant[i].grant;
        to->grant[i] = &grant[i];
    }
    return ok;
}

static bool pack_deal(struct wire_encoder *encoder, const struct core_deal *from,
                      const struct wire_names *names, Wire__Deal *to) {
    struct arena *arena = &encoder->arena;
    struct places places;
    bool ok = true;
    to->term = make_term(arena, from->term, &ok);
    to->time = from->time;
    to->epoch = from->epoch;
    to->epoch_digest = from->epoch_digest;
    to->agreed = from->agreed;
    to->agreed_digest = from->agreed_digest;
    to->minority = from->minority;
    to->whole = from->whole;
    if (!ok || !places_make(&places, arena, from))
        return false;
    to->counter = pointers(arena, (places.mask + 1) / 2 + 1);
    to->contended = arena_array(arena, from->contended, sizeof *to->contended);
    Wire__Part *part = arena_array(arena, from->parts, sizeof *part);
    to->part = pointers(arena, from->parts);
    if (to->counter == NULL || to->contended == NULL || part == NULL || to->part == NULL)
        return false;
    to->n_contended = from->contended;
    for (uint32_t i = 0; i < from->contended && ok; i++)
        ok = place_of(&places, from->contended_key[i], names, to, &to->contended[i]);
    to->n_part = from->parts;
    for (uint32_t i = 0; i < from->parts && ok; i++) {
        ok = pack_part(arena, &from->part[i], names, &places, to, &part[i]);
        to->part[i] = &part[i];
    }
    return ok;
}

static bool pack_totals(struct wire_encoder *encoder, const struct wire_totals *from,
                        Wire__Totals *to) {
    Wire__Total *total = arena_array(&encoder->arena, from->count, sizeof *total);
    to->total = pointers(&encoder->arena, from->count);
    to->lost = arena_array(&encoder->arena, from->lost, sizeof *to->lost);
    if (total == NULL || to->total == NULL || to->lost == NULL)
        return false;
    to->sweep = from->sweep;
    to->number = from->number;
    to->n_lost = from->lost;
    for (uint32_t i = 0; i < from->lost; i++)
        to->lost[i] = from->lost_of[i];
    to->last = from->last;
    to->no_session = from->no_session;
    to->n_total = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        wire__total__init(&total[i]);
        pretend_next(&total[i].base);
        total[i].counter = unconst(from->total[i].name);
        total[i].in_use = (uint32_t)from->total[i].in_use;
        total[i].share = (uint32_t)(from->total[i].share + 1);
        total[i].wants = (uint32_t)from->total[i].wants;
        total[i].oldest_ms = from->total[i].oldest_ms;
        total[i].drain_ms = from->total[i].drain_ms;
        to->total[i] = &total[i];
    }
    return true;
}

static Wire__VoteRequest *pack_vote_request(struct wire_encoder *encoder,
                                            const struct core_vote_request *from) {
    bool ok = true;
    Wire__VoteRequest *to = arena_take(&encoder->arena, sizeof *to);
    if (to == NULL)
        return NULL;
    wire__vote_request__init(to);
    pretend_next(&to->base);
    to->boot = from->boot;
    to->generation = from->generation;
    to->term = make_term(&encoder->arena, from->term, &ok);
    to->round = from->round;
    to->minority = from->minority;
    return ok ? to : NULL;
}

static Wire__Vote *pack_vote(struct wire_encoder *encoder, const struct core_vote *from) {
    bool ok = true;
    Wire__Vote *to = arena_take(&encoder->arena, sizeof *to);
    if (to == NULL)
        return NULL;
    wire__vote__init(to);
    pretend_next(&to->base);
    to->to = from->to;
    to->to_boot = from->to_boot;
    to->to_generation = from->to_generation;
    to->round = from->round;
    to->granted = from->granted;
    to->term = make_term(&encoder->arena, from->term, &ok);
    return ok ? to : NULL;
}

static Wire__File *pack_file(struct arena *arena, const struct wire_file *from) {
    Wire__File *to = arena_take(arena, sizeof *to);
    if (to == NULL)
        return NULL;
    wire__file__init(to);
    pretend_next(&to->base);
    to->wanted = arena_array(arena, from->wanted, sizeof *to->wanted);
    if (to->wanted == NULL)
        return NULL;
    to->n_wanted = from->wanted;
    for (uint32_t i = 0; i < from->wanted; i++)
        to->wanted[i] = from->wanted_of[i];
    to->digest = from->digest;
    to->text = unconst(from->text);
    return to;
}

static bool pack_body(struct wire_encoder *encoder, const struct wire_message *message,
                      const struct wire_names *names, Wire__Envelope *envelope) {
    static const Wire__Envelope__BodyCase cases[] = {
        [WIRE_HEARTBEAT] = WIRE__ENVELOPE__BODY_HEARTBEAT,
        [WIRE_DEAL] = WIRE__ENVELOPE__BODY_DEAL,
        [WIRE_VOTE_REQUEST] = WIRE__ENVELOPE__BODY_VOTE_REQUEST,
        [WIRE_VOTE] = WIRE__ENVELOPE__BODY_VOTE,
        [WIRE_TOTALS] = WIRE__ENVELOPE__BODY_TOTALS,
        [WIRE_CHANGES] = WIRE__ENVELOPE__BODY_CHANGES,
        [WIRE_FILE] = WIRE__ENVELOPE__BODY_FILE,
    };
    struct arena *arena = &encoder->arena;
    envelope->body_case = cases[message->kind];
    switch (message->kind) {
    case WIRE_HEARTBEAT:
        if ((envelope->heartbeat = arena_take(arena, sizeof *envelope->heartbeat)) == NULL)
            return false;
        wire__heartbeat__init(envelope->heartbeat);
        pretend_next(&envelope->heartbeat->base);
        return pack_heartbeat(encoder, &message->heartbeat, names, envelope->heartbeat);
    case WIRE_DEAL:
        if ((envelope->deal = arena_take(arena, sizeof *envelope->deal)) == NULL)
            return false;
        wire__deal__init(envelope->deal);
        pretend_next(&envelope->deal->base);
        return pack_deal(encoder, &message->deal, names, envelope->deal);
    case WIRE_VOTE_REQUEST:
        envelope->vote_request = pack_vote_request(encoder, &message->vote_request);
        return envelope->vote_request != NULL;
    case WIRE_VOTE:
        envelope->vote = pack_vote(encoder, &message->vote);
        return envelope->vote != NULL;
    case WIRE_TOTALS:
        if ((envelope->totals = arena_take(arena, sizeof *envelope->totals)) == NULL)
            return false;
        wire__totals__init(envelope->totals);
        pretend_next(&envelope->totals->base);
        return pack_totals(encoder, &message->totals, envelope->totals);
    case WIRE_CHANGES:
        if ((envelope->changes = arena_take(arena, sizeof *envelope->changes)) == NULL)
            return false;
        wire__changes__init(envelope->changes);
        envelope->changes->text = unconst(message->changes.text);
        envelope->changes->guessed = message->changes.guessed;
        return true;
    case WIRE_FILE:
        envelope->file = pack_file(arena, &message->file);
        return envelope->file != NULL;
    default:
        return false;
    }
}

static void envelope_init(struct wire_encoder *encoder, Wire__Envelope *envelope) {
    wire__envelope__init(envelope);
    pretend_next(&envelope->base);
    envelope->cluster = encoder->cluster;
    envelope->version = WIRE_VERSION;
    envelope->oldest = WIRE_OLDEST != WIRE_VERSION ? WIRE_OLDEST : 0; /* 0 takes no room */
    envelope->from = encoder->from;
}

static bool make_room(struct wire_encoder *encoder, size_t size) {
    if (size <= encoder->room)
        return true;
    uint8_t *larger = realloc(encoder->buffer, size);
    if (larger == NULL)
        return false;
    encoder->buffer = larger;
    encoder->room = size;
    return true;
}

/* The whole lies in front in the buffer, each part is packed behind it. */
static int send_parts(struct wire_encoder *encoder, size_t whole, wire_send send, void *context) {
    enum { SLICE = WIRE_PART_MAX - 1024 }; /* names and numbers around it are less than 1024 */
    Wire__Fragment fragment;
    Wire__Envelope envelope;
    wire__fragment__init(&fragment);
    envelope_init(encoder, &envelope);
    envelope.body_case = WIRE__ENVELOPE__BODY_FRAGMENT;
    envelope.fragment = &fragment;
    fragment.number = ++encoder->fragments;
    fragment.count = (uint32_t)((whole + SLICE - 1) / SLICE);
    if (!make_room(encoder, whole + WIRE_PART_MAX))
        return -1;
    for (uint32_t i = 0; i < fragment.count; i++) {
        size_t at = (size_t)i * SLICE;
        fragment.index = i;
        fragment.data.data = encoder->buffer + at;
        fragment.data.len = whole - at < SLICE ? whole - at : SLICE;
        size_t size = wire__envelope__pack(&envelope, encoder->buffer + whole);
        if (send(context, encoder->buffer + whole, size) != 0)
            return -1;
    }
    return 0;
}

int wire_encode(struct wire_encoder *encoder, const struct wire_message *message,
                const struct wire_names *names, wire_send send, void *context) {
    Wire__Envelope envelope;
    arena_reset(&encoder->arena);
    envelope_init(encoder, &envelope);
    if (!pack_body(encoder, message, names, &envelope))
        return -1;
    size_t size = wire__envelope__get_packed_size(&envelope);
    if (size > WIRE_WHOLE_MAX || !make_room(encoder, size))
        return -1;
    wire__envelope__pack(&envelope, encoder->buffer);
    return size <= WIRE_PART_MAX ? send(context, encoder->buffer, size)
                                 : send_parts(encoder, size, send, context);
}
