/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <stdint.h>
#include <string.h>

#include <slotshare/slotshare.h>

/* Sixteen characters at a time, because every take of a slot passes three names through here. */
typedef unsigned char chunk __attribute__((vector_size(16)));
typedef uint64_t words __attribute__((vector_size(16)));

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline chunk each(unsigned char byte) {
    return (chunk)(words){EACH(byte), EACH(byte)};
}

/* Not zero where a character may not be in a name. */
static inline chunk forbidden(chunk text) {
    return (chunk)((text < each(0x21)) | (text == each('"')) | (text == each(',')) |
                   (text == each(0x7f)));
}

static inline chunk lower(chunk text) {
    const chunk upper = (chunk)(text - each('A') < each(26));
    return text | (upper & each('a' - 'A'));
}

/* Load and store `count` (1 to 8) characters in pieces of a fixed size, which may overlap: calls of
 * memcpy() would take longer than all the rest. What is not loaded is 'a'. */
static inline uint64_t load(const char *in, size_t count) {
    uint64_t word = 0;
    if (count == 8) {
        memcpy(&word, in, 8);
        return word;
    }
    if (count >= 4) {
        uint32_t head = 0;
        uint32_t tail = 0;
        memcpy(&head, in, 4);
        memcpy(&tail, in + count - 4, 4);
        word = head | (uint64_t)tail << (count - 4) * 8;
    } else {
        word = (unsigned char)in[0];
        word |= (uint64_t)(unsigned char)in[count / 2] << count / 2 * 8;
        word |= (uint64_t)(unsigned char)in[count - 1] << (count - 1) * 8;
    }
    return word | EACH('a') << count * 8;
}

static inline void store(char *out, uint64_t word, size_t count) {
    if (count == 8) {
        memcpy(out, &word, 8);
    } else if (count >= 4) {
        const uint64_t tail = word >> (count - 4) * 8;
        memcpy(out, &word, 4);
        memcpy(out + count - 4, &tail, 4);
    } else {
        out[0] = (char)word;
        out[count / 2] = (char)(word >> count / 2 * 8);
        out[count - 1] = (char)(word >> (count - 1) * 8);
    }
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load() and store() shift that way");

/* Move 16 characters. @return not zero where one is forbidden. */
static inline chunk move(const char *in, char *out, bool fold) {
    chunk text;
    memcpy(&text, in, sizeof text);
    const chunk wrong = forbidden(text);
    text = fold ? lower(text) : text;
    memcpy(out, &text, sizeof text);
    return wrong;
}

/* The same with 1 to 15. */
static inline chunk move_short(const char *in, char *out, size_t count, bool fold) {
    const size_t first = count < 8 ? count : 8;
    const uint64_t rest = count > 8 ? load(in + 8, count - 8) : EACH('a');
    const chunk text = (chunk)(words){load(in, first), rest};
    const words moved = (words)(fold ? lower(text) : text);
    store(out, moved[0], first);
    if (count > 8)
        store(out + 8, moved[1], count - 8);
    return forbidden(text);
}

__attribute__((always_inline)) static inline int copy(const char *in, size_t length, char *out,
                                                      bool fold) {
    chunk wrong = each(0);
    if (length >= 16) {
        for (size_t i = 0; i + 16 <= length; i += 16)
            wrong |= move(in + i, out + i, fold);
        if (length % 16 != 0) /* once more over some that are done: that changes nothing */
            wrong |= move(in + length - 16, out + length - 16, fold);
    } else if (length > 0) {
        wrong = move_short(in, out, length, fold);
    }
    out[length] = '\0';
    const words any = (words)wrong;
    return (any[0] | any[1]) == 0 ? (int)length : -1;
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
