/* SPDX-License-Identifier: MIT */
/* Bytes that no bridge of this cluster has sent. Meant to run under the address sanitizer, too:
 * every input lies in memory of exactly its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.pb-c.h"
#include "wire_support.h"

static int set_up(void **state) {
    *state = pair_make(1000);
    return 0;
}

static int tear_down(void **state) {
    pair_free(*state);
    return 0;
}

/* Decodes a copy of exactly that size. */
static enum wire_result decode(struct pair *f, const uint8_t *bytes, size_t size) {
    struct wire_message out;
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    f->theirs.count = 0;
    enum wire_result result = wire_decode(f->decoder, copy, size, &f->their_names, true, &out);
    free(copy);
    return result;
}

static void encode_kind(struct pair *f, int kind) {
    struct wire_message message;
    sent_free(&f->sent);
    f->ours.count = 0;
    sample((enum wire_kind)kind, &f->ours, &message);
    assert_int_equal(wire_encode(f->encoder, &message, &f->our_names, sent_add, &f->sent), 0);
}

/* Every message cut short at every byte is refused, or (where a field ends) is another message of
 * the same kind; the whole one is still understood afterwards. */
static void every_truncation(void **state) {
    struct pair *f = *state;
    for (int kind = WIRE_HEARTBEAT; kind < WIRE_KINDS; kind++) {
        encode_kind(f, kind);
        /* The body is the last field and says its length: nothing shorter is whole. */
        for (size_t size = 0; size < f->sent.size[0]; size++) {
            enum wire_result result = decode(f, f->sent.bytes[0], size);
            assert_true(result == WIRE_EMALFORMED || result == WIRE_ECLUSTER ||
                        result == WIRE_EFROM || result == WIRE_EKIND);
        }
        assert_int_equal(decode(f, f->sent.bytes[0], f->sent.size[0]), WIRE_OK);
    }
}

/* Every bit of every message turned over: whatever it gives, it does not crash, and the next
 * message is understood. */
static void every_bit(void **state) {
    struct pair *f = *state;
    unsigned refused = 0;
    for (int kind = WIRE_HEARTBEAT; kind < WIRE_KINDS; kind++) {
        encode_kind(f, kind);
        for (size_t bit = 0; bit < 8 * f->sent.size[0]; bit++) {
            uint8_t mask = (uint8_t)(1U << (bit % 8));
            f->sent.bytes[0][bit / 8] ^= mask;
            refused += decode(f, f->sent.bytes[0], f->sent.size[0]) != WIRE_OK;
            f->sent.bytes[0][bit / 8] ^= mask;
        }
        assert_int_equal(decode(f, f->sent.bytes[0], f->sent.size[0]), WIRE_OK);
    }
    assert_true(refused > 0);
}

/* Random bytes, and messages with random bytes in them; the seed is fixed, so that a failure
 * comes again. */
static void random_bytes(void **state) {
    struct pair *f = *state;
    uint64_t random = 88172645463325252U;
    uint8_t bytes[512];
    for (int round = 0; round < 200000; round++) {
        size_t size = 0;
        if (round % 2 == 0) {
            if (round % 1000 == 0)
                encode_kind(f, round / 1000 % 5);
            size = f->sent.size[0];
            memcpy(bytes, f->sent.bytes[0], size);
        } else {
            size = (size_t)(random % sizeof bytes);
        }
        for (size_t i = 0; i < size; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if (round % 2 != 0 || random % 64 == 0)
                bytes[i] = (uint8_t)(random >> 32);
        }
        (void)decode(f, bytes, size);
    }
    encode_kind(f, WIRE_VOTE);
    assert_int_equal(decode(f, f->sent.bytes[0], f->sent.size[0]), WIRE_OK);
}

static void foreign(void **state) {
    struct pair *f = *state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: mta1\r\n\r\n";
    static const uint8_t zeros[100];
    assert_int_equal(decode(f, (const uint8_t *)http, sizeof http - 1), WIRE_EMALFORMED);
    assert_int_equal(decode(f, zeros, sizeof zeros), WIRE_EMALFORMED);
    assert_int_equal(decode(f, zeros, 0), WIRE_EMALFORMED);
    uint8_t *large = calloc(1, WIRE_WHOLE_MAX);
    assert_non_null(large);
    assert_int_equal(decode(f, large, WIRE_WHOLE_MAX), WIRE_ESIZE);
    free(large);
}

/* Packs an envelope that our encoder would not make. */
static enum wire_result decode_envelope(struct pair *f, Wire__Envelope *envelope) {
    size_t size = wire__envelope__get_packed_size(envelope);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    wire__envelope__pack(envelope, bytes);
    enum wire_result result = decode(f, bytes, size);
    free(bytes);
    return result;
}

static void envelope_of(Wire__Envelope *envelope) {
    wire__envelope__init(envelope);
    envelope->cluster = CLUSTER_NAME;
    envelope->version = WIRE_VERSION;
    envelope->from = PEER_NAME;
}

static void other_senders(void **state) {
    struct pair *f = *state;
    Wire__Envelope envelope;
    Wire__Vote vote = WIRE__VOTE__INIT;
    envelope_of(&envelope);
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EKIND); /* no body */
    envelope.body_case = WIRE__ENVELOPE__BODY_VOTE;
    envelope.vote = &vote;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_OK);
    envelope.version = WIRE_VERSION + 1;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EVERSION);
    envelope.oldest = WIRE_VERSION; /* what is new in it does not matter here */
    assert_int_equal(decode_envelope(f, &envelope), WIRE_OK);
    envelope.oldest = WIRE_VERSION + 1; /* or it does */
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EVERSION);
    envelope.version = WIRE_VERSION; /* it does not understand itself */
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EVERSION);
    envelope.oldest = 0;
    envelope.cluster = "east";
    assert_int_equal(decode_envelope(f, &envelope), WIRE_ECLUSTER);
    envelope.cluster = CLUSTER_NAME;
    envelope.from = SELF_NAME;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EFROM);
    envelope.from = "";
    assert_int_equal(decode_envelope(f, &envelope), WIRE_EFROM);
}

static enum wire_result decode_record(struct pair *f, const Wire__Record *from) {
    Wire__Envelope envelope;
    Wire__Heartbeat heartbeat = WIRE__HEARTBEAT__INIT;
    Wire__Record record = *from;
    Wire__Record *records[] = {&record};
    envelope_of(&envelope);
    envelope.body_case = WIRE__ENVELOPE__BODY_HEARTBEAT;
    envelope.heartbeat = &heartbeat;
    heartbeat.n_record = 1;
    heartbeat.record = records;
    return decode_envelope(f, &envelope);
}

static void bad_records(void **state) {
    struct pair *f = *state;
    Wire__Record record = WIRE__RECORD__INIT;
    assert_int_equal(decode_record(f, &record), WIRE_ENAME); /* no name */
    record.counter = "host:mx.example.com";
    assert_int_equal(decode_record(f, &record), WIRE_OK);
    record.held = CONF_LIMIT_MAX + 1;
    assert_int_equal(decode_record(f, &record), WIRE_ERANGE);
    record.held = UINT32_MAX; /* -1 */
    assert_int_equal(decode_record(f, &record), WIRE_ERANGE);
    record.held = 0;
    record.limit = UINT32_MAX;
    assert_int_equal(decode_record(f, &record), WIRE_ERANGE);
    record.limit = 0;
    record.wants = UINT32_MAX;
    assert_int_equal(decode_record(f, &record), WIRE_ERANGE);
    record.wants = 0;
    record.counter = "host:Not.Normal";
    assert_int_equal(decode_record(f, &record), WIRE_ENAME);
}

static void bad_deals(void **state) {
    struct pair *f = *state;
    Wire__Envelope envelope;
    Wire__Deal deal = WIRE__DEAL__INIT;
    Wire__Part part = WIRE__PART__INIT;
    Wire__Grant grant = WIRE__GRANT__INIT;
    Wire__Part *parts[] = {&part, &part};
    Wire__Grant *grants[] = {&grant};
    char *names[] = {"host:a", "host:b"};
    uint32_t contended[] = {0, 1};
    envelope_of(&envelope);
    envelope.body_case = WIRE__ENVELOPE__BODY_DEAL;
    envelope.deal = &deal;
    deal.n_counter = 2;
    deal.counter = names;
    deal.n_contended = 2;
    deal.contended = contended;
    deal.n_part = 2; /* twice for us: the first counts */
    deal.part = parts;
    part.to = hash_of(SELF_NAME);
    part.n_grant = 1;
    part.grant = grants;
    grant.counter = 1;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_OK);
    grant.counter = 2;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_ERANGE);
    grant.counter = 0;
    grant.share = UINT32_MAX;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_ERANGE);
    grant.share = 0;
    contended[1] = 2;
    assert_int_equal(decode_envelope(f, &envelope), WIRE_ERANGE);
    contended[1] = 1;
    names[1] = "";
    assert_int_equal(decode_envelope(f, &envelope), WIRE_ENAME);
}

static enum wire_result decode_fragment(struct pair *f, uint32_t index, uint32_t count,
                                        uint8_t *bytes, size_t size) {
    Wire__Envelope envelope;
    Wire__Fragment fragment = WIRE__FRAGMENT__INIT;
    envelope_of(&envelope);
    envelope.body_case = WIRE__ENVELOPE__BODY_FRAGMENT;
    envelope.fragment = &fragment;
    fragment.number = 1;
    fragment.index = index;
    fragment.count = count;
    fragment.data.data = bytes;
    fragment.data.len = size;
    return decode_envelope(f, &envelope);
}

static void bad_fragments(void **state) {
    struct pair *f = *state;
    uint8_t *bytes = calloc(1, WIRE_PART_MAX);
    assert_non_null(bytes);
    assert_int_equal(decode_fragment(f, 0, 0, bytes, 1), WIRE_ERANGE);
    assert_int_equal(decode_fragment(f, 0, 1, bytes, 1), WIRE_ERANGE);
    assert_int_equal(decode_fragment(f, 2, 2, bytes, 1), WIRE_ERANGE);
    assert_int_equal(decode_fragment(f, 0, 2, bytes, 0), WIRE_ERANGE);
    assert_int_equal(decode_fragment(f, 0, UINT32_MAX, bytes, 1), WIRE_ERANGE);
    assert_int_equal(decode_fragment(f, 1, 2, bytes, 1), WIRE_EPART);
    /* Nonsense that was put together is still nonsense. */
    assert_int_equal(decode_fragment(f, 0, 2, bytes, 100), WIRE_MORE);
    assert_int_equal(decode_fragment(f, 1, 2, bytes, 100), WIRE_EMALFORMED);
    /* The count changes on the way. */
    assert_int_equal(decode_fragment(f, 0, 3, bytes, 100), WIRE_MORE);
    assert_int_equal(decode_fragment(f, 1, 2, bytes, 100), WIRE_EPART);
    /* More than a message may be. */
    enum wire_result result = WIRE_MORE;
    for (uint32_t i = 0; i < 63 && result == WIRE_MORE; i++)
        result = decode_fragment(f, i, 64, bytes, WIRE_PART_MAX - 100);
    assert_int_equal(result, WIRE_ESIZE);
    free(bytes);
}

/* A part within a part would let a message hold itself. */
static void nested_fragments(void **state) {
    struct pair *f = *state;
    Wire__Envelope envelope;
    Wire__Fragment fragment = WIRE__FRAGMENT__INIT;
    envelope_of(&envelope);
    envelope.body_case = WIRE__ENVELOPE__BODY_FRAGMENT;
    envelope.fragment = &fragment;
    fragment.count = 2;
    fragment.data.data = (uint8_t *)"x";
    fragment.data.len = 1;
    uint8_t bytes[256];
    size_t size = wire__envelope__pack(&envelope, bytes);
    assert_int_equal(decode_fragment(f, 0, 2, bytes, size - 1), WIRE_MORE);
    assert_int_equal(decode_fragment(f, 1, 2, bytes + size - 1, 1), WIRE_EMALFORMED);
}

/* Two bytes on the network must not cost a hundred in memory without end. */
static void many_tiny_records(void **state) {
    struct pair *f = *state;
    enum { COUNT = 2000000 };
    uint8_t *whole = malloc(2 * COUNT + 64);
    assert_non_null(whole);
    Wire__Envelope envelope;
    envelope_of(&envelope);
    size_t size = wire__envelope__pack(&envelope, whole);
    whole[size++] = 4 << 3 | 2; /* heartbeat */
    uint32_t length = 2 * COUNT;
    for (; length >= 128; length >>= 7)
        whole[size++] = (uint8_t)(length | 128);
    whole[size++] = (uint8_t)length;
    for (uint32_t i = 0; i < COUNT; i++) {
        whole[size++] = 14 << 3 | 2; /* an empty record */
        whole[size++] = 0;
    }
    enum wire_result result = WIRE_MORE;
    uint32_t slice = WIRE_PART_MAX - 1024;
    uint32_t count = (uint32_t)((size + slice - 1) / slice);
    for (uint32_t i = 0; i < count && result == WIRE_MORE; i++) {
        size_t rest = size - (size_t)i * slice;
        result =
            decode_fragment(f, i, count, whole + (size_t)i * slice, rest < slice ? rest : slice);
    }
    assert_int_equal(result, WIRE_EMEMORY);
    free(whole);
    encode_kind(f, WIRE_DEAL);
    assert_int_equal(decode(f, f->sent.bytes[0], f->sent.size[0]), WIRE_OK);
}

/* Every result says something, and nothing twice. */
static void reasons(void **state) {
    (void)state;
    for (int i = 0; i < WIRE_RESULTS; i++) {
        assert_string_not_equal(wire_reason((enum wire_result)i), "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(wire_reason((enum wire_result)i),
                                    wire_reason((enum wire_result)j));
    }
    assert_string_equal(wire_reason(WIRE_RESULTS), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_truncation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_bit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_senders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_deals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_fragments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nested_fragments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_tiny_records, set_up, tear_down),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
