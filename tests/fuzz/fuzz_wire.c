/* SPDX-License-Identifier: MIT */
/* Bytes from the network. The input is a sequence of messages: bytes as they are, the body of an
 * envelope, or what the fields of a well-formed message hold, some bytes of which are then changed.
 * What is understood must be the same when it is said and understood again. */
#include <string.h>

#include "../../bridge/wire.h"
#include "../../conf/deal.h"
#include "input.h"
#include "wire_make.h"

enum { NAMES = 64, MESSAGES_MAX = 16, ROOM = 65536 };

#define CLUSTER "west"
#define PEER "mta1"
#define SELF "mta2"

struct names {
    char name[NAMES][SLOTSHARE_COUNTER_MAX + 1];
    uint32_t count;
};

static bool key_of(void *context, const char *name, int32_t limit, uint32_t *key) {
    struct names *names = context;
    (void)limit;
    must(wire_counter_name_ok(name), "a name that is not good is asked for");
    for (*key = 0; *key < names->count; (*key)++) {
        if (strcmp(names->name[*key], name) == 0) {
            return true;
        }
    }
    if (names->count == NAMES) {
        return false;
    }
    must(strlen(name) <= SLOTSHARE_COUNTER_MAX, "a name that is too long");
    (void)snprintf(names->name[names->count++], sizeof names->name[0], "%s", name);
    return true;
}

static const char *name_of(void *context, uint32_t key) {
    const struct names *names = context;
    return key < names->count ? names->name[key] : NULL;
}

struct said {
    uint8_t bytes[ROOM];
    size_t size;
    unsigned count;
};

static int hear(void *context, const uint8_t *bytes, size_t size) {
    struct said *said = context;
    must(size <= sizeof said->bytes, "more was said than was heard");
    memcpy(said->bytes, bytes, size);
    said->size = size;
    said->count++;
    return 0;
}

/* A message that was understood is made anew; that is understood too, and makes the same bytes. */
static void again(const struct wire_message *message, const struct wire_names *names) {
    static struct said first, second;
    struct wire_message out;
    struct wire_encoder *encoder = wire_encoder_create(CLUSTER, PEER);
    struct wire_decoder *decoder = wire_decoder_create(CLUSTER, PEER, deal_hash(SELF, 4));

    must(encoder != NULL && decoder != NULL, "out of memory");
    first.count = second.count = 0;
    must(wire_encode(encoder, message, names, hear, &first) == 0, "cannot be said again");
    if (first.count == 1) { /* not in parts */
        must(wire_decode(decoder, first.bytes, first.size, names, true, &out) == WIRE_OK &&
                 out.kind == message->kind,
             "is not understood again");
        must(wire_encode(encoder, &out, names, hear, &second) == 0 && second.count == 1 &&
                 second.size == first.size && memcmp(first.bytes, second.bytes, first.size) == 0,
             "is something else the second time");
    }
    wire_encoder_destroy(encoder);
    wire_decoder_destroy(decoder);
}

static size_t put(uint8_t *out, uint8_t field, const char *text) {
    size_t length = strlen(text);
    out[0] = (uint8_t)(field << 3 | 2);
    out[1] = (uint8_t)length;
    for (size_t i = 0; i < length; i++) { /* without its NUL */
        out[2 + i] = (uint8_t)text[i];
    }
    return length + 2;
}

/* The envelope that a member would make; the body's field is the first byte of the rest. */
static size_t envelope(uint8_t *out, const uint8_t *body, size_t size) {
    size_t at = put(out, 1, CLUSTER);
    out[at++] = 2 << 3;
    out[at++] = WIRE_VERSION;
    at += put(out + at, 3, PEER);
    if (size == 0) {
        return at;
    }
    out[at++] = (uint8_t)((4 + body[0] % 6) << 3 | 2);
    size = size > 128 ? 127 : size - 1; /* a length of one byte is enough here */
    body++;
    out[at++] = (uint8_t)size;
    memcpy(out + at, body, size);
    return at + size;
}

static void one(struct wire_decoder *decoder, const struct wire_names *names, const uint8_t *bytes,
                size_t size, bool records) {
    struct wire_message out;
    uint8_t *copy = malloc(size > 0 ? size : 1); /* of exactly its size */
    must(copy != NULL, "out of memory");
    memcpy(copy, bytes, size);
    enum wire_result result = wire_decode(decoder, copy, size, names, records, &out);
    must(result >= WIRE_OK && result < WIRE_RESULTS, "an unknown result");
    if (result == WIRE_OK) {
        again(&out, names);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct names table;
    static uint8_t made[8192];
    struct input input = {data, size};
    const struct wire_names names = {.context = &table, .key = key_of, .name = name_of};
    struct wire_decoder *decoder = wire_decoder_create(CLUSTER, PEER, deal_hash(SELF, 4));

    must(decoder != NULL, "out of memory");
    table.count = 0;
    bool records = (input_byte(&input) & 1) != 0;
    for (int i = 0; i < MESSAGES_MAX && input.left > 0; i++) {
        uint8_t form = input_byte(&input);
        if (form < 128) {
            size_t whole = wire_make(&input, CLUSTER, PEER, made, sizeof made);
            for (int change = form % 4 == 0 ? 1 + form / 32 : 0; change > 0 && whole > 0;
                 change--) {
                made[input_number(&input, 2) % whole] ^= input_byte(&input);
            }
            one(decoder, &names, made, whole, records);
            continue;
        }
        size_t length = input_byte(&input);
        length = length < input.left ? length : input.left;
        if (form < 192) {
            one(decoder, &names, made, envelope(made, input.at, length), records);
        } else {
            one(decoder, &names, input.at, length, records);
        }
        input.at += length;
        input.left -= length;
    }
    wire_decoder_destroy(decoder);
    return 0;
}
