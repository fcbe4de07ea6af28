/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "../conf/deal.h"
#include "arena.h"
#include "wire.h"
#include "wire.pb-c.h"

enum {
    /* What splitting adds, and some room for fields of later versions. */
    MESSAGE_MAX = WIRE_PART_MAX + 4096,
    FRAGMENTS_MAX = 64,
};

struct wire_decoder {
    struct arena arena;
    ProtobufCAllocator allocator; /* of the arena */
    char cluster[SLOTSHARE_NAME_MAX + 1];
    char from[SLOTSHARE_BINDING_MAX + 1];
    uint64_t from_hash, self;

    /* A large message whose parts are coming in. */
    uint8_t *whole;
    size_t whole_size;
    uint64_t whole_number;
    uint32_t whole_next, whole_count; /* next 0: none is coming in */
};

const char *wire_reason(enum wire_result result) {
    static const char *const text[WIRE_RESULTS] = {
        [WIRE_OK] = "no error",
        [WIRE_MORE] = "more parts are to come",
        [WIRE_EMALFORMED] = "not a message of a slotshare bridge, or a damaged one",
        [WIRE_ECLUSTER] = "of another cluster: check the URLs, and name in [cluster]",
        [WIRE_EVERSION] = "of another version of the protocol: upgrade that bridge or this one",
        [WIRE_EFROM] = "signed by another name than the member at that URL: check the URLs",
        [WIRE_EKIND] = "of a kind that this version does not know",
        [WIRE_ESIZE] = "too large",
        [WIRE_ENAME] = "holds a counter's name that no configuration makes",
        [WIRE_ERANGE] = "holds a number that is out of its range",
        [WIRE_EPART] = "a part of a large message whose other parts were lost",
        [WIRE_EMEMORY] = "needs more memory than one message may",
    };
    return result < WIRE_RESULTS && text[result] != NULL ? text[result] : "unknown";
}

static void *take(void *arena, size_t size) {
    return arena_take(arena, size);
}

/* All of it goes at the next message. */
static void give_back(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

struct wire_decoder *wire_decoder_create(const char *cluster, const char *from, uint64_t self) {
    struct wire_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    arena_init(&decoder->arena, WIRE_MEMORY_MAX);
    decoder->allocator = (ProtobufCAllocator){take, give_back, &decoder->arena};
    strncpy(decoder->cluster, cluster, sizeof decoder->cluster - 1);
    strncpy(decoder->from, from, sizeof decoder->from - 1);
    decoder->from_hash = deal_hash(from, strlen(from));
    decoder->self = self;
    return decoder;
}

void wire_decoder_destroy(struct wire_decoder *decoder) {
    if (decoder == NULL)
        return;
    arena_free(&decoder->arena);
    free(decoder->whole);
    free(decoder);
}

static struct core_term term_of(const Wire__Term *term) {
    if (term == NULL)
        return (struct core_term){0};
    return (struct core_term){.number = term->number, .candidate = term->candidate};
}

static struct core_session session_of(const Wire__Session *session) {
    if (session == NULL)
        return (struct core_session){0};
    return (struct core_session){.term = term_of(session->term), .number = session->number};
}

static bool figure_ok(uint32_t figure) {
    return figure <= CONF_LIMIT_MAX;
}

/* Names are checked whether the records are wanted or not, so that a refusal does not depend on
 * who is the coordinator. */
static enum wire_result check_records(const Wire__Heartbeat *from) {
    for (size_t i = 0; i < from->n_record; i++) {
        const Wire__Record *r = from->record[i];
        if (!wire_counter_name_ok(r->counter))
            return WIRE_ENAME;
        if (!figure_ok(r->held) || !figure_ok(r->in_use) || !figure_ok(r->limit) ||
            r->wants > INT32_MAX)
            return WIRE_ERANGE;
    }
    return WIRE_OK;
}

static enum wire_result take_records(struct wire_decoder *decoder, const Wire__Heartbeat *from,
                                     const struct wire_names *names, struct core_heartbeat *to) {
    struct core_record *record = arena_array(&decoder->arena, from->n_record, sizeof *record);
    if (record == NULL)
        return WIRE_EMEMORY;
    to->record = record;
    for (size_t i = 0; i < from->n_record; i++) {
        const Wire__Record *r = from->record[i];
        uint32_t key = 0;
        if (!names->key(names->context, r->counter, (int32_t)r->limit, &key)) {
            to->incomplete = true;
            continue;
        }
        record[to->records++] = (struct core_record){
            .key = key,
            .held = (int32_t)r->held,
            .in_use = (int32_t)r->in_use,
            .wants = (int32_t)r->wants,
            .limit = (int32_t)r->limit,
            .grant = r->grant,
        };
    }
    return WIRE_OK;
}

static enum wire_result take_heartbeat(struct wire_decoder *decoder, const Wire__Heartbeat *from,
                                       const struct wire_names *names, bool records,
                                       struct core_heartbeat *to) {
    if (from->n_vouched_dead > CORE_MEMBERS_MAX || from->join < WIRE__JOIN__JOIN_NO ||
        from->join > WIRE__JOIN__JOIN_FRESH)
        return WIRE_ERANGE;
    *to = (struct core_heartbeat){
        .from = decoder->from_hash,
        .boot = from->boot,
        .generation = from->generation,
        .sequence = from->sequence,
        .term = term_of(from->term),
        .session = session_of(from->session),
        .epoch = from->epoch,
        .epoch_digest = from->epoch_digest,
        .ready = from->ready,
        .ready_digest = from->ready_digest,
        .proposed = from->proposed,
        .vouched = (uint32_t)from->n_vouched_dead,
        .vouched_dead = from->vouched_dead,
        .echo_term = term_of(from->echo_term),
        .echo_time = from->echo_time,
        .join = (enum core_join)from->join,
        .leaving = from->leaving,
    };
    enum wire_result result = check_records(from);
    if (result != WIRE_OK)
        return result;
    return records ? take_records(decoder, from, names, to) : WIRE_OK;
}

static enum wire_result check_deal(const Wire__Deal *from) {
    for (size_t i = 0; i < from->n_counter; i++) {
        if (!wire_counter_name_ok(from->counter[i]))
            return WIRE_ENAME;
    }
    for (size_t i = 0; i < from->n_contended; i++) {
        if (from->contended[i] >= from->n_counter)
            return WIRE_ERANGE;
    }
    for (size_t i = 0; i < from->n_part; i++) {
        const Wire__Part *part = from->part[i];
        for (size_t j = 0; j < part->n_grant; j++) {
            if (part->grant[j]->counter >= from->n_counter || !figure_ok(part->grant[j]->share))
                return WIRE_ERANGE;
        }
    }
    return WIRE_OK;
}

static enum wire_result take_part(struct wire_decoder *decoder, const Wire__Deal *deal,
                                  const Wire__Part *from, const struct wire_names *names,
                                  struct core_part *to) {
    struct core_grant *grant = arena_array(&decoder->arena, from->n_grant, sizeof *grant);
    if (grant == NULL)
        return WIRE_EMEMORY;
    *to = (struct core_part){
        .to = from->to,
        .boot = from->boot,
        .ack = from->ack,
        .session = session_of(from->session),
        .admission = from->admission,
        .grant_floor = from->grant_floor,
        .heard = from->heard,
        .grant = grant,
    };
    for (size_t i = 0; i < from->n_grant; i++) {
        const Wire__Grant *g = from->grant[i];
        uint32_t key = 0;
        if (!names->key(names->context, deal->counter[g->counter], -1, &key)) {
            to->incomplete = true;
            continue;
        }
        grant[to->grants++] =
            (struct core_grant){.key = key, .share = (int32_t)g->share, .grant = g->grant};
    }
    return WIRE_OK;
}

static enum wire_result take_deal(struct wire_decoder *decoder, const Wire__Deal *from,
                                  const struct wire_names *names, struct core_deal *to) {
    enum wire_result result = check_deal(from);
    uint32_t *contended = arena_array(&decoder->arena, from->n_contended, sizeof *contended);
    struct core_part *part = arena_array(&decoder->arena, 1, sizeof *part);
    if (result != WIRE_OK)
        return result;
    if (contended == NULL || part == NULL)
        return WIRE_EMEMORY;
    *to = (struct core_deal){
        .from = decoder->from_hash,
        .term = term_of(from->term),
        .time = from->time,
        .epoch = from->epoch,
        .epoch_digest = from->epoch_digest,
        .agreed = from->agreed,
        .agreed_digest = from->agreed_digest,
        .minority = from->minority,
        .whole = from->whole,
        .contended_key = contended,
        .part = part,
    };
    /* A counter that this node can give no key is none that it counts. */
    for (size_t i = 0; i < from->n_contended; i++) {
        const char *name = from->counter[from->contended[i]];
        if (names->key(names->context, name, -1, &contended[to->contended]))
            to->contended++;
    }
    for (size_t i = 0; i < from->n_part; i++) {
        if (from->part[i]->to != decoder->self)
            continue;
        to->parts = 1;
        return take_part(decoder, from, from->part[i], names, part);
    }
    return WIRE_OK;
}

static enum wire_result take_totals(struct wire_decoder *decoder, const Wire__Totals *from,
                                    struct wire_totals *to) {
    struct wire_total *total = arena_array(&decoder->arena, from->n_total, sizeof *total);
    if (total == NULL)
        return WIRE_EMEMORY;
    if (from->n_lost > CORE_MEMBERS_MAX)
        return WIRE_ERANGE;
    *to = (struct wire_totals){
        .sweep = from->sweep,
        .number = from->number,
        .lost = (uint32_t)from->n_lost,
        .lost_of = from->lost,
        .last = from->last,
        .no_session = from->no_session,
        .count = (uint32_t)from->n_total,
        .total = total,
    };
    for (size_t i = 0; i < from->n_total; i++) {
        if (!wire_counter_name_ok(from->total[i]->counter))
            return WIRE_ENAME;
        const Wire__Total *said = from->total[i];
        if (!figure_ok(said->in_use) || !figure_ok(said->wants) ||
            (said->share > 0 && !figure_ok(said->share - 1)))
            return WIRE_ERANGE;
        total[i] = (struct wire_total){
            .name = said->counter,
            .in_use = (int32_t)said->in_use,
            .share = (int32_t)said->share - 1,
            .wants = (int32_t)(said->wants > said->in_use ? said->wants : said->in_use),
            .oldest_ms = said->oldest_ms,
            .drain_ms = said->drain_ms,
        };
    }
    return WIRE_OK;
}

static void take_vote_request(struct wire_decoder *decoder, const Wire__VoteRequest *from,
                              struct core_vote_request *to) {
    *to = (struct core_vote_request){
        .from = decoder->from_hash,
        .boot = from->boot,
        .generation = from->generation,
        .term = term_of(from->term),
        .round = from->round,
        .minority = from->minority,
    };
}

static void take_vote(struct wire_decoder *decoder, const Wire__Vote *from, struct core_vote *to) {
    *to = (struct core_vote){
        .from = decoder->from_hash,
        .to = from->to,
        .to_boot = from->to_boot,
        .to_generation = from->to_generation,
        .round = from->round,
        .granted = from->granted,
        .term = term_of(from->term),
    };
}

/* Keeps a part. WIRE_OK: it was the last one, the whole is there. */
static enum wire_result keep_part(struct wire_decoder *decoder, const Wire__Fragment *part) {
    uint32_t expected = decoder->whole_next;
    decoder->whole_next = 0;
    if (part->count < 2 || part->count > FRAGMENTS_MAX || part->index >= part->count ||
        part->data.len == 0)
        return WIRE_ERANGE;
    if (part->index == 0)
        decoder->whole_size = 0;
    else if (part->index != expected || part->number != decoder->whole_number ||
             part->count != decoder->whole_count)
        return WIRE_EPART;
    if (part->data.len > WIRE_WHOLE_MAX - decoder->whole_size)
        return WIRE_ESIZE;
    uint8_t *larger = realloc(decoder->whole, decoder->whole_size + part->data.len);
    if (larger == NULL)
        return WIRE_EMEMORY;
    memcpy(larger + decoder->whole_size, part->data.data, part->data.len);
    decoder->whole = larger;
    decoder->whole_size += part->data.len;
    decoder->whole_number = part->number;
    decoder->whole_count = part->count;
    if (part->index + 1 == part->count)
        return WIRE_OK;
    decoder->whole_next = part->index + 1;
    return WIRE_MORE;
}

/* A newer sender knows whom its changes do not hurt; of an older one this version knows that. */
static bool readable(const Wire__Envelope *envelope) {
    uint32_t oldest = envelope->oldest != 0 ? envelope->oldest : envelope->version;
    return envelope->version >= WIRE_OLDEST && oldest <= WIRE_VERSION &&
           oldest <= envelope->version;
}

/* Unpacks an envelope and checks that it is for us and from whom we think. */
static enum wire_result open_envelope(struct wire_decoder *decoder, const uint8_t *bytes,
                                      size_t size, Wire__Envelope **out) {
    *out = wire__envelope__unpack(&decoder->allocator, size, bytes);
    if (*out == NULL)
        return size > 0 && decoder->arena.total >= decoder->arena.max / 2 ? WIRE_EMEMORY
                                                                          : WIRE_EMALFORMED;
    if ((*out)->version == 0 || (*out)->cluster[0] == '\0')
        return WIRE_EMALFORMED;
    if (!readable(*out))
        return WIRE_EVERSION;
    if (strcmp((*out)->cluster, decoder->cluster) != 0)
        return WIRE_ECLUSTER;
    return strcmp((*out)->from, decoder->from) == 0 ? WIRE_OK : WIRE_EFROM;
}

enum wire_result wire_decode(struct wire_decoder *decoder, const uint8_t *bytes, size_t size,
                             const struct wire_names *names, bool records,
                             struct wire_message *out) {
    Wire__Envelope *envelope = NULL;
    arena_reset(&decoder->arena);
    if (size > MESSAGE_MAX)
        return WIRE_ESIZE;
    enum wire_result result = open_envelope(decoder, bytes, size, &envelope);
    if (result == WIRE_OK && envelope->body_case == WIRE__ENVELOPE__BODY_FRAGMENT) {
        result = keep_part(decoder, envelope->fragment);
        if (result != WIRE_OK)
            return result;
        arena_reset(&decoder->arena);
        result = open_envelope(decoder, decoder->whole, decoder->whole_size, &envelope);
    }
    if (result != WIRE_OK)
        return result;
    switch (envelope->body_case) {
    case WIRE__ENVELOPE__BODY_HEARTBEAT:
        out->kind = WIRE_HEARTBEAT;
        return take_heartbeat(decoder, envelope->heartbeat, names, records, &out->heartbeat);
    case WIRE__ENVELOPE__BODY_DEAL:
        out->kind = WIRE_DEAL;
        return take_deal(decoder, envelope->deal, names, &out->deal);
    case WIRE__ENVELOPE__BODY_VOTE_REQUEST:
        out->kind = WIRE_VOTE_REQUEST;
        take_vote_request(decoder, envelope->vote_request, &out->vote_request);
        return WIRE_OK;
    case WIRE__ENVELOPE__BODY_VOTE:
        out->kind = WIRE_VOTE;
        take_vote(decoder, envelope->vote, &out->vote);
        return WIRE_OK;
    case WIRE__ENVELOPE__BODY_TOTALS:
        out->kind = WIRE_TOTALS;
        return take_totals(decoder, envelope->totals, &out->totals);
    case WIRE__ENVELOPE__BODY_CHANGES:
        out->kind = WIRE_CHANGES;
        out->changes = (struct wire_changes){.text = envelope->changes->text,
                                             .guessed = envelope->changes->guessed};
        return WIRE_OK;
    case WIRE__ENVELOPE__BODY_FILE:
        if (envelope->file->n_wanted > CORE_MEMBERS_MAX)
            return WIRE_ERANGE;
        out->kind = WIRE_FILE;
        out->file = (struct wire_file){.wanted = (uint32_t)envelope->file->n_wanted,
                                       .wanted_of = envelope->file->wanted,
                                       .digest = envelope->file->digest,
                                       .text = envelope->file->text};
        return WIRE_OK;
    case WIRE__ENVELOPE__BODY_FRAGMENT:
        return WIRE_EMALFORMED; /* a part within a part */
    default:
        return WIRE_EKIND;
    }
}
