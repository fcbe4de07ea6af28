/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <stdint.h>
#include <string.h>

#include <slotshare/slotshare.h>

/* Eight characters at a time, because every take of a slot passes three names through here. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define TOPS EACH(0x80)

static uint64_t has_less(uint64_t word, uint64_t than) {
    return (word - EACH(than)) & ~word & TOPS;
}

static uint64_t has(uint64_t word, uint64_t byte) {
    return has_less(word ^ EACH(byte), 1);
}

/* Nonzero when one of the characters may not be in a name. */
static uint64_t forbidden(uint64_t word) {
    return has_less(word, 0x21) | has(word, '"') | has(word, ',') | has(word, 0x7f);
}

static uint64_t lower(uint64_t word) {
    const uint64_t low = word & ~TOPS;
    const uint64_t from_a = low + EACH(0x80 - 'A');
    const uint64_t after_z = low + EACH(0x7f - 'Z');
    const uint64_t upper = ~word & (from_a ^ after_z) & TOPS;
    return word | (upper >> 2); /* 0x80 >> 2 is the bit between 'A' and 'a' */
}

/* Move `count` (1 to 8) characters. */
static uint64_t move(const char *in, char *out, size_t count, bool fold) {
    uint64_t word = EACH('a');
    memcpy(&word, in, count);
    const uint64_t wrong = forbidden(word);
    word = fold ? lower(word) : word;
    memcpy(out, &word, count);
    return wrong;
}

static inline int copy(const char *in, size_t length, char *out, bool fold) {
    uint64_t wrong = 0;
    if (length >= 8) {
        for (size_t i = 0; i + 8 <= length; i += 8)
            wrong |= move(in + i, out + i, 8, fold);
        if (length % 8 != 0) /* once more over some that are done: that changes nothing */
            wrong |= move(in + length - 8, out + length - 8, 8, fold);
    } else if (length > 0) {
        wrong = move(in, out, length, fold);
    }
    out[length] = '\0';
    return wrong == 0 ? (int)length : -1;
}

int name_binding(const char *in, char *out, size_t max) {
    const size_t length = in != NULL ? strnlen(in, max + 1) : 0;
    return length <= max ? copy(in, length, out, false) : -1;
}

int name_domain(const char *in, char *out, size_t max) {
    size_t length = in != NULL ? strnlen(in, max + 2) : 0;
    if (length > 0 && in[length - 1] == '.' && --length == 0)
        return -1;
    return length <= max ? copy(in, length, out, true) : -1;
}

bool name_segment(const char *name) {
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length >= 1 && length <= SLOTSHARE_NAME_MAX && name[length] == '\0';
}
