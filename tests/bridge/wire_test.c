/* SPDX-License-Identifier: MIT */
/* What is encoded comes out the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_support.h"

static int set_up(void **state) {
    *state = pair_make(20000);
    return 0;
}

static int tear_down(void **state) {
    pair_free(*state);
    return 0;
}

static void encode(struct pair *f, const struct wire_message *message) {
    assert_int_equal(wire_encode(f->encoder, message, &f->our_names, sent_add, &f->sent), 0);
}

/* Every kind, twice with the same encoder and decoder: nothing stays behind. */
static void every_kind(void **state) {
    struct pair *f = *state;
    /* The other side knows other names under these keys. */
    names_add(&f->theirs, "host:other.example.org");
    for (int round = 0; round < 2; round++) {
        for (int kind = WIRE_HEARTBEAT; kind < WIRE_KINDS; kind++) {
            struct wire_message message;
            struct wire_message back = {0};
            f->ours.count = 0;
            sample((enum wire_kind)kind, &f->ours, &message);
            encode(f, &message);
            assert_int_equal(f->sent.count, 1);
            assert_int_equal(wire_decode(f->decoder, f->sent.bytes[0], f->sent.size[0],
                                         &f->their_names, true, &back),
                             WIRE_OK);
            expect_same(&message, &f->ours, &back, &f->theirs);
            sent_free(&f->sent);
        }
    }
}

/* All zero is a message, too. */
static void empty_messages(void **state) {
    struct pair *f = *state;
    for (int kind = WIRE_HEARTBEAT; kind < WIRE_KINDS; kind++) {
        struct wire_message message = {.kind = (enum wire_kind)kind};
        struct wire_message back = {0};
        encode(f, &message);
        message.heartbeat.from = hash_of(PEER_NAME); /* the first field of all that have it */
        if (kind == WIRE_TOTALS)
            message.totals = (struct wire_totals){0};
        if (kind == WIRE_CHANGES)
            message.changes = (struct wire_changes){.text = ""};
        if (kind == WIRE_FILE)
            message.file = (struct wire_file){.text = ""};
        assert_int_equal(wire_decode(f->decoder, f->sent.bytes[0], f->sent.size[0], &f->their_names,
                                     true, &back),
                         WIRE_OK);
        expect_same(&message, &f->ours, &back, &f->theirs);
        sent_free(&f->sent);
    }
}

/* Who is not the coordinator leaves the records alone: no keys are made for them. */
static void without_records(void **state) {
    struct pair *f = *state;
    struct wire_message message;
    struct wire_message back = {0};
    sample(WIRE_HEARTBEAT, &f->ours, &message);
    encode(f, &message);
    assert_int_equal(
        wire_decode(f->decoder, f->sent.bytes[0], f->sent.size[0], &f->their_names, false, &back),
        WIRE_OK);
    assert_int_equal(back.heartbeat.records, 0);
    assert_int_equal(back.heartbeat.sequence, message.heartbeat.sequence);
    assert_int_equal(f->theirs.count, 0);
}

/* A receiver that has no keys left says so, and uses what it could understand. */
static void no_keys_left(void **state) {
    struct pair *f = *state;
    struct wire_message message;
    struct wire_message back = {0};
    f->theirs.max = 1;
    sample(WIRE_HEARTBEAT, &f->ours, &message);
    encode(f, &message);
    assert_int_equal(
        wire_decode(f->decoder, f->sent.bytes[0], f->sent.size[0], &f->their_names, true, &back),
        WIRE_OK);
    assert_true(back.heartbeat.incomplete);
    assert_int_equal(back.heartbeat.records, 1);
    assert_int_equal(f->theirs.last_limit, CONF_LIMIT_MAX); /* the sender's limit was passed on */
    sample(WIRE_DEAL, &f->ours, &message);
    encode(f, &message);
    assert_int_equal(
        wire_decode(f->decoder, f->sent.bytes[1], f->sent.size[1], &f->their_names, true, &back),
        WIRE_OK);
    assert_true(back.deal.part->incomplete);
    assert_int_equal(back.deal.part->grants, 1); /* host:mx.example.com has a key already */
    assert_int_equal(back.deal.contended, 0);
}

/* Keys without a name are a mistake of ours: nothing is sent. */
static void unknown_key(void **state) {
    struct pair *f = *state;
    struct core_record record = {.key = 5};
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    message.heartbeat.records = 1;
    message.heartbeat.record = &record;
    assert_int_equal(wire_encode(f->encoder, &message, &f->our_names, sent_add, &f->sent), -1);
    uint32_t contended = 6;
    message = (struct wire_message){.kind = WIRE_DEAL};
    message.deal.contended = 1;
    message.deal.contended_key = &contended;
    assert_int_equal(wire_encode(f->encoder, &message, &f->our_names, sent_add, &f->sent), -1);
    assert_int_equal(f->sent.count, 0);
}

static struct core_record *many_records(struct pair *f, uint32_t count) {
    struct core_record *record = calloc(count, sizeof *record);
    assert_non_null(record);
    for (uint32_t i = 0; i < count; i++) {
        char name[SLOTSHARE_COUNTER_MAX + 1];
        (void)snprintf(name, sizeof name, "domain:%0240u.example.com", i);
        record[i] = (struct core_record){.key = names_add(&f->ours, name), .held = (int32_t)i};
    }
    return record;
}

/* A large message travels in parts, each of which fits. */
static void large_message(void **state) {
    struct pair *f = *state;
    enum { COUNT = 2500 };
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    struct wire_message back = {0};
    struct core_record *record = many_records(f, COUNT);
    message.heartbeat = (struct core_heartbeat){
        .from = hash_of(PEER_NAME), .sequence = 5, .records = COUNT, .record = record};
    encode(f, &message);
    assert_in_range(f->sent.count, 2, 10);
    for (unsigned i = 0; i < f->sent.count; i++) {
        assert_in_range(f->sent.size[i], 1, WIRE_PART_MAX);
        assert_int_equal(wire_decode(f->decoder, f->sent.bytes[i], f->sent.size[i], &f->their_names,
                                     true, &back),
                         i + 1 < f->sent.count ? WIRE_MORE : WIRE_OK);
    }
    assert_int_equal(back.heartbeat.records, COUNT);
    for (uint32_t i = 0; i < COUNT; i += 97) {
        assert_string_equal(f->theirs.name[back.heartbeat.record[i].key],
                            f->ours.name[record[i].key]);
        assert_int_equal(back.heartbeat.record[i].held, record[i].held);
    }
    free(record);
}

/* Lost, doubled and reordered parts: the message is gone, the next one is whole. */
static void lost_parts(void **state) {
    struct pair *f = *state;
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    struct wire_message back = {0};
    struct core_record *record = many_records(f, 2500);
    message.heartbeat.records = 2500;
    message.heartbeat.record = record;
    encode(f, &message);
    unsigned parts = f->sent.count;
    assert_true(parts >= 3);
    encode(f, &message); /* another one, with the next number */
#define DECODE(i)                                                                                  \
    wire_decode(f->decoder, f->sent.bytes[i], f->sent.size[i], &f->their_names, true, &back)
    assert_int_equal(DECODE(1), WIRE_EPART); /* the first was lost */
    assert_int_equal(DECODE(0), WIRE_MORE);
    assert_int_equal(DECODE(2), WIRE_EPART); /* one between was lost */
    assert_int_equal(DECODE(1), WIRE_EPART); /* and came too late */
    assert_int_equal(DECODE(0), WIRE_MORE);
    assert_int_equal(DECODE(parts + 1), WIRE_EPART); /* of the other message */
    assert_int_equal(DECODE(0), WIRE_MORE);
    assert_int_equal(DECODE(0), WIRE_MORE); /* begun anew */
    for (unsigned i = 1; i < parts; i++)
        assert_int_equal(DECODE(i), i + 1 < parts ? WIRE_MORE : WIRE_OK);
    assert_int_equal(back.heartbeat.records, 2500);
    free(record);
}

/* A message that is not split may come between parts. */
static void between_parts(void **state) {
    struct pair *f = *state;
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    struct wire_message vote;
    struct wire_message back = {0};
    struct core_record *record = many_records(f, 2500);
    message.heartbeat.records = 2500;
    message.heartbeat.record = record;
    encode(f, &message);
    unsigned parts = f->sent.count;
    sample(WIRE_VOTE, &f->ours, &vote);
    encode(f, &vote);
    assert_int_equal(DECODE(0), WIRE_MORE);
    assert_int_equal(DECODE(parts), WIRE_OK);
    assert_int_equal(back.kind, WIRE_VOTE);
    for (unsigned i = 1; i < parts; i++)
        assert_int_equal(DECODE(i), i + 1 < parts ? WIRE_MORE : WIRE_OK);
    assert_int_equal(back.heartbeat.records, 2500);
    free(record);
}

/* More than one message may hold is not sent at all. */
static void too_large(void **state) {
    struct pair *f = *state;
    struct wire_message message = {.kind = WIRE_HEARTBEAT};
    enum { COUNT = 20000 };
    struct core_record *record = calloc(COUNT, sizeof *record);
    assert_non_null(record);
    char name[SLOTSHARE_COUNTER_MAX + 1];
    (void)snprintf(name, sizeof name, "binding:%0128d,domain:%0250d", 0, 0);
    record[0].key = names_add(&f->ours, name);
    assert_true(wire_counter_name_ok(name));
    message.heartbeat.records = COUNT;
    message.heartbeat.record = record; /* the same name again and again: it counts all the same */
    assert_int_equal(wire_encode(f->encoder, &message, &f->our_names, sent_add, &f->sent), -1);
    assert_int_equal(f->sent.count, 0);
    free(record);
}

static void counter_names(void **state) {
    (void)state;
    static const char *const good[] = {"global",
                                       "binding:Bulk",
                                       "domain:example.com",
                                       "host:mx.example.com",
                                       "binding:b,domain:d",
                                       "binding:b,host:h",
                                       "domain:d,host:h",
                                       "binding:b,domain:d,host:h",
                                       "host:10.0.0.1",
                                       "binding:a:b"};
    static const char *const bad[] = {"",
                                      "Global",
                                      "global,host:h",
                                      "host:",
                                      "host",
                                      "binding",
                                      "port:25",
                                      "host:h,",
                                      ",host:h",
                                      "host:h,,",
                                      "host:h,domain:d",
                                      "host:h,host:i",
                                      "domain:d,binding:b",
                                      "host:Upper.example",
                                      "host:dot.",
                                      "domain:a b",
                                      "binding:a\"b",
                                      "binding:a\nb",
                                      " host:h",
                                      "host:h ",
                                      "host:h\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!wire_counter_name_ok(good[i]))
            fail_msg("refused: '%s'", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (wire_counter_name_ok(bad[i]))
            fail_msg("accepted: '%s'", bad[i]);
    }
    char name[600] = "host:";
    memset(name + 5, 'h', 255);
    assert_true(wire_counter_name_ok(name));
    name[260] = 'h';
    assert_false(wire_counter_name_ok(name));
    memset(name, 'x', sizeof name - 1);
    assert_false(wire_counter_name_ok(name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_keys_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(between_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_large, set_up, tear_down),
        cmocka_unit_test(counter_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
