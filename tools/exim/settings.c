/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exim.h"

enum { WAIT_MS = 5000, WAITERS = 2 };

static const struct {
    const char *name;
    size_t offset, size;
} texts[] = {
    {"name", offsetof(struct settings, name), sizeof((struct settings *)0)->name},
    {"directory", offsetof(struct settings, directory), TEXT_BYTES},
    {"config", offsetof(struct settings, config), TEXT_BYTES},
    {"mark", offsetof(struct settings, mark), TEXT_BYTES},
};

static bool number(const char *text, double low, double high, double *out) {
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    /* Not a number is not at least `low`, either. */
    if (end == text || *end != '\0' || errno != 0 || !(value >= low && value <= high)) {
        return false;
    }
    *out = value;
    return true;
}

static bool set_text(struct settings *out, const char *word, size_t name, const char *value) {
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t length = strlen(value);
        if (strlen(texts[i].name) == name && memcmp(texts[i].name, word, name) == 0) {
            if (length >= texts[i].size) {
                return false;
            }
            memcpy((char *)out + texts[i].offset, value, length + 1);
            return true;
        }
    }
    return false;
}

static bool set(struct settings *out, const char *word) {
    const char *equals = strchr(word, '=');
    double value = 0;

    if (!equals) {
        return false;
    }
    if (strncmp(word, "wait=", 5) == 0) {
        bool good = number(equals + 1, 0, WAIT_MAX_S, &value);
        out->wait_ms = good ? (int)(value * 1000) : out->wait_ms;
        return good;
    }
    if (strncmp(word, "waiters=", 8) == 0) {
        bool good = number(equals + 1, 0, 1000000, &value);
        out->waiters = good ? (int)value : out->waiters;
        return good;
    }
    if (strcmp(word, "missing=hold") == 0 || strcmp(word, "missing=deliver") == 0) {
        out->hold = strcmp(equals, "=hold") == 0;
        return true;
    }
    return set_text(out, word, (size_t)(equals - word), equals + 1);
}

void settings_read(struct settings *out, const char *text) {
    static bool told;

    *out = (struct settings){.wait_ms = WAIT_MS, .waiters = WAITERS};
    while (text && *text) {
        char word[TEXT_BYTES + 32];
        size_t length = strcspn(text, " \t\r\n");

        memcpy(word, text, length < sizeof word ? length : sizeof word - 1);
        word[length < sizeof word ? length : sizeof word - 1] = '\0';
        if (length > 0 && (length >= sizeof word || !set(out, word)) && !told) {
            char line[TEXT_BYTES + 100];
            (void)snprintf(line, sizeof line, "the adapter knows no setting '%.200s'", word);
            say(line);
            told = true;
        }
        text += length;
        text += strspn(text, " \t\r\n");
    }
}
