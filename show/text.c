/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* The next character of `in`: its bytes (1 when it is no character) and columns (0: unprintable).
 */
static size_t next_character(const char *in, mbstate_t *state, int *columns) {
    wchar_t wide = 0;
    size_t length = mbrtowc(&wide, in, strlen(in), state);

    *columns = 0;
    if (length == 0 || length > MB_LEN_MAX) {
        memset(state, 0, sizeof *state);
        return 1;
    }
    if (iswprint((wint_t)wide)) {
        int width = wcwidth(wide);
        *columns = width > 0 ? width : 0;
    }
    return length;
}

static int width_of(const char *in) {
    mbstate_t state = {0};
    int total = 0;

    while (*in != '\0') {
        int columns = 0;
        in += next_character(in, &state, &columns);
        total += columns > 0 ? columns : 1;
    }
    return total;
}

int text_fit(char *out, size_t size, const char *in, int columns, const char *more) {
    mbstate_t state = {0};
    bool cut = width_of(in) > columns;
    size_t reserve = cut && more != NULL ? strlen(more) : 0;
    int room = cut && more != NULL ? columns - 1 : columns;
    int used = 0;
    size_t at = 0;

    if (size <= reserve || columns <= 0) {
        if (size > 0) {
            out[0] = '\0';
        }
        return 0;
    }
    while (*in != '\0') {
        int width = 0;
        size_t length = next_character(in, &state, &width);
        size_t bytes = width > 0 ? length : 1;
        int wide = width > 0 ? width : 1;

        if (used + wide > room || at + bytes + reserve >= size) {
            break;
        }
        if (width > 0) {
            memcpy(out + at, in, length);
        } else {
            out[at] = '?';
        }
        at += bytes;
        used += wide;
        in += length;
    }
    if (reserve > 0) {
        memcpy(out + at, more, reserve);
        at += reserve;
        used++;
    }
    out[at] = '\0';
    return used;
}

void text_age(char out[TEXT_AGE_MAX], uint64_t ms) {
    uint64_t s = ms / 1000;

    if (s < 10) {
        snprintf(out, TEXT_AGE_MAX, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
    } else if (s < 60) {
        snprintf(out, TEXT_AGE_MAX, "%" PRIu64 "s", s);
    } else if (s < 3600) {
        snprintf(out, TEXT_AGE_MAX, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(out, TEXT_AGE_MAX, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s % 3600 / 60);
    } else {
        snprintf(out, TEXT_AGE_MAX, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s % 86400 / 3600);
    }
}

json_t *text_json(const char *in) {
    json_t *text = json_string(in);
    char *copy;

    if (text != NULL) {
        return text;
    }
    copy = strdup(in);
    if (copy == NULL) {
        return NULL;
    }
    for (char *c = copy; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80) {
            *c = '?';
        }
    }
    text = json_string(copy);
    free(copy);
    return text;
}
