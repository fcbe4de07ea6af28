/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static uint64_t round_up(uint64_t value, uint64_t to) {
    return (value + to - 1) / to * to;
}

static uint32_t power_of_two(uint32_t least) {
    uint32_t value = 64;
    while (value < least && value < UINT32_C(1) << 31) {
        value *= 2;
    }
    return value;
}

/* A chain has about four entries when the table is as large as it may get, and a quarter of one
 * when it starts with a sixteenth of that: a table that never grows does not pay for one that did.
 */
static uint32_t buckets_for(uint32_t counters) {
    return power_of_two(counters / 4);
}

/* Offsets follow from the numbers: one rule for writing and for checking. */
static void place(struct parts *parts) {
    uint64_t at = HEADER_BYTES;
    parts->owners_offset = at;
    at += (uint64_t)parts->owners * sizeof(struct owner);
    parts->chunks_offset = at;
    at = round_up(at + (uint64_t)parts->chunks * sizeof(uint64_t), CACHE_LINE);
    parts->slots_offset = at;
    at += (uint64_t)parts->slots * sizeof(struct slot);
    parts->buckets_offset = at;
    at += (uint64_t)parts->buckets * sizeof(uint64_t);
    parts->wanted_offset = at;
    uint64_t words = parts->counters / 64;
    at = round_up(at + (words + round_up(words, 64) / 64) * sizeof(uint64_t), CACHE_LINE);
    parts->rules_offset = at;
    parts->counters_offset = round_up(at + 2 * (uint64_t)parts->rules_bytes, HEADER_BYTES);
    parts->size = round_up(
        parts->counters_offset + (uint64_t)parts->counters * sizeof(struct counter), HEADER_BYTES);
}

uint32_t parts_counters(uint32_t counters) {
    return (uint32_t)round_up(counters, 64);
}

void parts_plan(struct parts *parts, uint32_t owners, uint32_t slots, uint32_t counters,
                size_t rules_bytes) {
    *parts = (struct parts){0};
    parts->owners = owners + 1; /* record 0 stands for nobody */
    /* Each process has at least one chunk to itself. */
    uint32_t least = owners * SLOTS_PER_CHUNK;
    parts->slots = (uint32_t)round_up(slots > least ? slots : least, SLOTS_PER_CHUNK);
    parts->chunks = parts->slots / SLOTS_PER_CHUNK;
    parts->counters = parts_counters(counters);
    parts->buckets = buckets_for(parts->counters);
    /* Twice what the set needs now, so that a larger one can be loaded later. */
    parts->rules_bytes = (uint32_t)round_up(2 * (uint64_t)rules_bytes + 65536, CACHE_LINE);
    place(parts);
}

void parts_store(const struct parts *parts, struct header *header) {
    header->owners = parts->owners;
    header->chunks = parts->chunks;
    header->slots = parts->slots;
    header->buckets = parts->buckets;
    header->counters = parts->counters;
    header->rules_bytes = parts->rules_bytes;
    header->owners_offset = parts->owners_offset;
    header->chunks_offset = parts->chunks_offset;
    header->slots_offset = parts->slots_offset;
    header->buckets_offset = parts->buckets_offset;
    header->counters_offset = parts->counters_offset;
    header->wanted_offset = parts->wanted_offset;
    header->rules_offset = parts->rules_offset;
    header->size = parts->size;
}

static int numbers_sane(const struct parts *parts) {
    return parts->owners >= 2 && parts->owners <= CONF_OWNERS_MAX + 1 && parts->slots > 0 &&
           parts->slots <= UINT32_C(1) << 27 && parts->slots % SLOTS_PER_CHUNK == 0 &&
           parts->chunks == parts->slots / SLOTS_PER_CHUNK && parts->counters > 0 &&
           parts->counters <= UINT32_C(1) << 27 && parts->counters % 64 == 0 &&
           parts->buckets == buckets_for(parts->counters) && parts->rules_bytes > 0 &&
           parts->rules_bytes <= UINT32_C(1) << 30 && parts->rules_bytes % CACHE_LINE == 0;
}

int parts_check(const struct header *header, size_t size, struct parts *out, const char **wrong) {
    if (header->magic != LAYOUT_MAGIC) {
        *wrong = "not a slotshare segment";
        return SLOTSHARE_ELAYOUT;
    }
    if (header->layout != LAYOUT_VERSION || header->header_bytes != HEADER_BYTES ||
        header->shape != parts_shape()) {
        *wrong = "a segment of another layout";
        return SLOTSHARE_ELAYOUT;
    }
    /* Copied before they are checked: a hostile writer may change them in between. */
    *out = (struct parts){.owners = header->owners,
                          .chunks = header->chunks,
                          .slots = header->slots,
                          .buckets = header->buckets,
                          .counters = header->counters,
                          .rules_bytes = header->rules_bytes};
    if (!numbers_sane(out)) {
        *wrong = "damaged: the sizes in its header make no sense";
        return SLOTSHARE_EDAMAGED;
    }
    place(out);
    if (out->owners_offset != header->owners_offset ||
        out->chunks_offset != header->chunks_offset || out->slots_offset != header->slots_offset ||
        out->buckets_offset != header->buckets_offset ||
        out->counters_offset != header->counters_offset ||
        out->wanted_offset != header->wanted_offset || out->rules_offset != header->rules_offset ||
        out->size != header->size) {
        *wrong = "damaged: the offsets in its header do not follow from its sizes";
        return SLOTSHARE_EDAMAGED;
    }
    if (out->size != size) {
        *wrong = "damaged: the file is not as long as its header says";
        return SLOTSHARE_EDAMAGED;
    }
    return SLOTSHARE_OK;
}

uint64_t parts_shape(void) {
    const uint64_t numbers[] = {sizeof(struct header),
                                sizeof(struct owner),
                                sizeof(struct slot),
                                sizeof(struct counter),
                                sizeof(struct counter_part),
                                offsetof(struct header, rules),
                                offsetof(struct header, memory_version),
                                offsetof(struct counter, hash),
                                SLOTS_PER_CHUNK,
                                UINT64_C(0x0102030405060708)};
    uint64_t shape = UINT64_C(14695981039346656037); /* FNV-1a over whole words */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        shape = (shape ^ numbers[i]) * UINT64_C(1099511628211);
    }
    return shape;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void parts_boot_id(uint8_t out[16]) {
    memset(out, 0, 16);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    char text[64];
    ssize_t length = read(fd, text, sizeof text);
    close(fd);
    unsigned digits = 0;
    for (ssize_t i = 0; i < length && digits < 32; i++) {
        int value = hex_digit(text[i]);
        if (value >= 0) {
            out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | value);
            digits++;
        }
    }
}
