/* SPDX-License-Identifier: MIT */
#include "wire_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../conf/deal.h"

uint64_t hash_of(const char *name) {
    return deal_hash(name, strlen(name));
}

static bool key_of(void *context, const char *name, int32_t limit, uint32_t *key) {
    struct name_table *table = context;
    table->last_limit = limit;
    for (*key = 0; *key < table->count; (*key)++) {
        if (strcmp(table->name[*key], name) == 0)
            return true;
    }
    if (table->count == table->max)
        return false;
    *key = names_add(table, name);
    return true;
}

static const char *name_of(void *context, uint32_t key) {
    struct name_table *table = context;
    return key < table->count ? table->name[key] : NULL;
}

struct wire_names names_make(struct name_table *table, uint32_t max) {
    *table = (struct name_table){.max = max};
    table->name = calloc(max, sizeof *table->name);
    assert_non_null(table->name);
    return (struct wire_names){.context = table, .key = key_of, .name = name_of};
}

void names_free(struct name_table *table) {
    free(table->name);
    table->name = NULL;
}

uint32_t names_add(struct name_table *table, const char *name) {
    assert_true(table->count < table->max);
    assert_true(strlen(name) <= SLOTSHARE_COUNTER_MAX);
    memcpy(table->name[table->count], name, strlen(name) + 1);
    return table->count++;
}

int sent_add(void *context, const uint8_t *bytes, size_t size) {
    struct sent *sent = context;
    assert_true(sent->count < 64);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    sent->bytes[sent->count] = copy;
    sent->size[sent->count++] = size;
    return 0;
}

void sent_free(struct sent *sent) {
    for (unsigned i = 0; i < sent->count; i++)
        free(sent->bytes[i]);
    sent->count = 0;
}

static void sample_heartbeat(struct name_table *table, struct core_heartbeat *to) {
    static struct core_record record[2];
    static const uint64_t vouched[2] = {0x1234, UINT64_MAX};
    record[0] = (struct core_record){names_add(table, "host:mx.example.com"), 5, 4, 9, 12, 77};
    record[1] = (struct core_record){
        names_add(table, "binding:bulk,domain:example.com"), 0, 0, 0, CONF_LIMIT_MAX, UINT64_MAX};
    *to = (struct core_heartbeat){
        .from = hash_of(PEER_NAME),
        .boot = 0xfedcba9876543210U,
        .generation = 3,
        .sequence = 1000,
        .term = {4, 0x1122334455667788U},
        .session = {{5, 6}, 7},
        .epoch = 8,
        .epoch_digest = 9,
        .proposed = 0xa123456789abcdefU,
        .ready = 10,
        .ready_digest = 11,
        .vouched = 2,
        .vouched_dead = vouched,
        .echo_term = {12, 13},
        .echo_time = 14,
        .join = CORE_JOIN_FRESH,
        .leaving = true,
        .records = 2,
        .record = record,
    };
}

static void sample_deal(struct name_table *table, struct core_deal *to) {
    static uint32_t contended[2];
    static struct core_grant grant[2];
    static struct core_part part[2];
    contended[0] = names_add(table, "global");
    contended[1] = names_add(table, "domain:example.com");
    grant[0] = (struct core_grant){contended[1], 17, 18};
    grant[1] = (struct core_grant){names_add(table, "host:mx.example.com"), 0, 19};
    part[0] = (struct core_part){.to = 1, .boot = 2, .ack = 3};
    part[1] = (struct core_part){.to = hash_of(SELF_NAME),
                                 .boot = 20,
                                 .ack = 21,
                                 .session = {{22, 23}, 24},
                                 .admission = true,
                                 .grant_floor = 25,
                                 .heard = UINT64_C(0x8000000000000005),
                                 .grants = 2,
                                 .grant = grant};
    *to = (struct core_deal){.from = hash_of(PEER_NAME),
                             .term = {26, 27},
                             .time = 28,
                             .epoch = 29,
                             .epoch_digest = 30,
                             .agreed = 31,
                             .agreed_digest = 0xb123456789abcdefU,
                             .minority = true,
                             .whole = true,
                             .contended = 2,
                             .contended_key = contended,
                             .parts = 2,
                             .part = part};
}

void sample(enum wire_kind kind, struct name_table *table, struct wire_message *out) {
    static const uint64_t some[2] = {0x4321, UINT64_MAX};
    static const struct wire_total total[2] = {
        {"host:mx.example.com", 3, 0, 7, 65000, 30001},
        {"binding:Bulk", CONF_LIMIT_MAX, CONF_LIMIT_MAX, CONF_LIMIT_MAX, UINT64_MAX, UINT64_MAX}};
    out->kind = kind;
    switch (kind) {
    case WIRE_HEARTBEAT:
        sample_heartbeat(table, &out->heartbeat);
        break;
    case WIRE_DEAL:
        sample_deal(table, &out->deal);
        break;
    case WIRE_VOTE_REQUEST:
        out->vote_request =
            (struct core_vote_request){hash_of(PEER_NAME), 1, 2, {3, 4}, UINT64_MAX, true};
        break;
    case WIRE_VOTE:
        out->vote =
            (struct core_vote){hash_of(PEER_NAME), hash_of(SELF_NAME), 5, 6, 7, true, {8, 9}};
        break;
    case WIRE_TOTALS:
        out->totals = (struct wire_totals){.sweep = 4,
                                           .number = 5,
                                           .last = true,
                                           .no_session = true,
                                           .count = 2,
                                           .total = total,
                                           .lost = 2,
                                           .lost_of = some};
        break;
    case WIRE_CHANGES:
        out->changes = (struct wire_changes){"[changes]\nversion = 1\n", true};
        break;
    case WIRE_FILE:
        out->file = (struct wire_file){
            .wanted = 2, .wanted_of = some, .digest = 7, .text = "[node]\nname = mta1\n"};
        break;
    }
}

static void same_key(uint32_t a, struct name_table *a_names, uint32_t b,
                     struct name_table *b_names) {
    assert_true(a < a_names->count && b < b_names->count);
    assert_string_equal(a_names->name[a], b_names->name[b]);
}

static void same_term(struct core_term a, struct core_term b) {
    assert_int_equal(a.number, b.number);
    assert_int_equal(a.candidate, b.candidate);
}

static void same_session(struct core_session a, struct core_session b) {
    same_term(a.term, b.term);
    assert_int_equal(a.number, b.number);
}

static void same_heartbeat(const struct core_heartbeat *a, struct name_table *a_names,
                           const struct core_heartbeat *b, struct name_table *b_names) {
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->boot, b->boot);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->sequence, b->sequence);
    same_term(a->term, b->term);
    same_session(a->session, b->session);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->epoch_digest, b->epoch_digest);
    assert_int_equal(a->ready, b->ready);
    assert_int_equal(a->ready_digest, b->ready_digest);
    assert_int_equal(a->proposed, b->proposed);
    assert_int_equal(a->vouched, b->vouched);
    for (uint32_t i = 0; i < a->vouched; i++)
        assert_int_equal(a->vouched_dead[i], b->vouched_dead[i]);
    same_term(a->echo_term, b->echo_term);
    assert_int_equal(a->echo_time, b->echo_time);
    assert_int_equal(a->join, b->join);
    assert_int_equal(a->leaving, b->leaving);
    assert_false(b->incomplete);
    assert_int_equal(a->records, b->records);
    for (uint32_t i = 0; i < a->records; i++) {
        same_key(a->record[i].key, a_names, b->record[i].key, b_names);
        assert_int_equal(a->record[i].held, b->record[i].held);
        assert_int_equal(a->record[i].in_use, b->record[i].in_use);
        assert_int_equal(a->record[i].wants, b->record[i].wants);
        assert_int_equal(a->record[i].limit, b->record[i].limit);
        assert_int_equal(a->record[i].grant, b->record[i].grant);
    }
}

/* b has been decoded by SELF_NAME, and so holds that part alone. */
static void same_deal(const struct core_deal *a, struct name_table *a_names,
                      const struct core_deal *b, struct name_table *b_names) {
    assert_int_equal(a->from, b->from);
    same_term(a->term, b->term);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->epoch_digest, b->epoch_digest);
    assert_int_equal(a->agreed, b->agreed);
    assert_int_equal(a->agreed_digest, b->agreed_digest);
    assert_int_equal(a->minority, b->minority);
    assert_int_equal(a->whole, b->whole);
    assert_int_equal(a->contended, b->contended);
    for (uint32_t i = 0; i < a->contended; i++)
        same_key(a->contended_key[i], a_names, b->contended_key[i], b_names);
    const struct core_part *own = NULL;
    for (uint32_t i = 0; i < a->parts; i++)
        own = a->part[i].to == hash_of(SELF_NAME) ? &a->part[i] : own;
    assert_int_equal(b->parts, own != NULL);
    if (own == NULL)
        return;
    assert_int_equal(own->to, b->part->to);
    assert_int_equal(own->boot, b->part->boot);
    assert_int_equal(own->ack, b->part->ack);
    same_session(own->session, b->part->session);
    assert_int_equal(own->admission, b->part->admission);
    assert_int_equal(own->grant_floor, b->part->grant_floor);
    assert_true(own->heard == b->part->heard);
    assert_false(b->part->incomplete);
    assert_int_equal(own->grants, b->part->grants);
    for (uint32_t i = 0; i < own->grants; i++) {
        same_key(own->grant[i].key, a_names, b->part->grant[i].key, b_names);
        assert_int_equal(own->grant[i].share, b->part->grant[i].share);
        assert_int_equal(own->grant[i].grant, b->part->grant[i].grant);
    }
}

static void same_vote(const struct core_vote *a, const struct core_vote *b) {
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->to, b->to);
    assert_int_equal(a->to_boot, b->to_boot);
    assert_int_equal(a->to_generation, b->to_generation);
    assert_int_equal(a->round, b->round);
    assert_int_equal(a->granted, b->granted);
    same_term(a->term, b->term);
}

static void same_totals(const struct wire_totals *a, const struct wire_totals *b) {
    assert_int_equal(a->sweep, b->sweep);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->lost, b->lost);
    for (uint32_t i = 0; i < a->lost; i++)
        assert_int_equal(a->lost_of[i], b->lost_of[i]);
    assert_int_equal(a->last, b->last);
    assert_int_equal(a->no_session, b->no_session);
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_string_equal(a->total[i].name, b->total[i].name);
        assert_int_equal(a->total[i].in_use, b->total[i].in_use);
        assert_int_equal(a->total[i].share, b->total[i].share);
        assert_int_equal(a->total[i].wants, b->total[i].wants);
        assert_int_equal(a->total[i].oldest_ms, b->total[i].oldest_ms);
        assert_int_equal(a->total[i].drain_ms, b->total[i].drain_ms);
    }
}

void expect_same(const struct wire_message *a, struct name_table *a_names,
                 const struct wire_message *b, struct name_table *b_names) {
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case WIRE_HEARTBEAT:
        same_heartbeat(&a->heartbeat, a_names, &b->heartbeat, b_names);
        break;
    case WIRE_DEAL:
        same_deal(&a->deal, a_names, &b->deal, b_names);
        break;
    case WIRE_VOTE_REQUEST:
        assert_int_equal(a->vote_request.from, b->vote_request.from);
        assert_int_equal(a->vote_request.boot, b->vote_request.boot);
        assert_int_equal(a->vote_request.generation, b->vote_request.generation);
        same_term(a->vote_request.term, b->vote_request.term);
        assert_int_equal(a->vote_request.round, b->vote_request.round);
        break;
    case WIRE_VOTE:
        same_vote(&a->vote, &b->vote);
        break;
    case WIRE_TOTALS:
        same_totals(&a->totals, &b->totals);
        break;
    case WIRE_CHANGES:
        assert_string_equal(a->changes.text, b->changes.text);
        assert_int_equal(a->changes.guessed, b->changes.guessed);
        break;
    case WIRE_FILE:
        assert_int_equal(a->file.wanted, b->file.wanted);
        for (uint32_t i = 0; i < a->file.wanted; i++)
            assert_int_equal(a->file.wanted_of[i], b->file.wanted_of[i]);
        assert_int_equal(a->file.digest, b->file.digest);
        assert_string_equal(a->file.text, b->file.text);
        break;
    }
}

struct pair *pair_make(uint32_t max_names) {
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->our_names = names_make(&pair->ours, max_names);
    pair->their_names = names_make(&pair->theirs, max_names);
    pair->encoder = wire_encoder_create(CLUSTER_NAME, PEER_NAME);
    pair->decoder = wire_decoder_create(CLUSTER_NAME, PEER_NAME, hash_of(SELF_NAME));
    assert_non_null(pair->encoder);
    assert_non_null(pair->decoder);
    return pair;
}

void pair_free(struct pair *pair) {
    sent_free(&pair->sent);
    wire_encoder_destroy(pair->encoder);
    wire_decoder_destroy(pair->decoder);
    names_free(&pair->ours);
    names_free(&pair->theirs);
    free(pair);
}
