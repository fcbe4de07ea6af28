/* SPDX-License-Identifier: MIT */
#include "errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error_item {
    uint32_t line;
    size_t order; /* qsort is not stable */
    char *text;
};

static char *prefixed(const char *file, uint32_t line, const char *message) {
    char *text = NULL;
    const int length = line != 0 ? asprintf(&text, "%s:%u: %s", file, line, message)
                                 : asprintf(&text, "%s: %s", file, message);
    return length >= 0 ? text : NULL;
}

static bool push(struct errors *errors, uint32_t line, const char *message) {
    if (errors->count == errors->capacity) {
        const size_t capacity = errors->capacity * 2 + 8;
        struct error_item *item = realloc(errors->item, capacity * sizeof *item);
        if (item == NULL)
            return false;
        errors->item = item;
        errors->capacity = capacity;
    }
    char *text = prefixed(errors->file, line, message);
    if (text == NULL)
        return false;
    errors->item[errors->count] = (struct error_item){line, errors->count, text};
    errors->count++;
    return true;
}

void errors_add(struct errors *errors, uint32_t line, const char *format, ...) {
    if (errors->count >= ERRORS_MAX) {
        errors->cut = true;
        return;
    }
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (length < 0) {
        errors->no_memory = true;
        return;
    }
    if (!push(errors, line, message))
        errors->no_memory = true;
    free(message);
}

bool errors_any(const struct errors *errors) {
    return errors->count > 0 || errors->no_memory;
}

static int by_line(const void *left, const void *right) {
    const struct error_item *a = left;
    const struct error_item *b = right;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

void errors_finish(struct errors *errors, struct conf_errors *out) {
    *out = (struct conf_errors){NULL, 0};
    if (!errors_any(errors))
        return;
    if (errors->count > 1)
        qsort(errors->item, errors->count, sizeof *errors->item, by_line);
    char **line = calloc(errors->count + 2, sizeof *line);
    for (size_t i = 0; i < errors->count; i++) {
        if (line != NULL)
            line[out->count++] = errors->item[i].text;
        else
            free(errors->item[i].text);
    }
    if (line != NULL && errors->cut) {
        char message[80];
        (void)snprintf(message, sizeof message, "more than %d errors: the rest is not shown",
                       ERRORS_MAX);
        if ((line[out->count] = prefixed(errors->file, 0, message)) != NULL)
            out->count++;
    }
    if (line != NULL && errors->no_memory &&
        (line[out->count] = prefixed(errors->file, 0, "not read whole: memory is out")) != NULL)
        out->count++;
    out->line = line;
    free(errors->item);
    *errors = (struct errors){.file = errors->file};
}

void conf_errors_free(struct conf_errors *errors) {
    for (size_t i = 0; i < errors->count; i++)
        free(errors->line[i]);
    free(errors->line);
    *errors = (struct conf_errors){NULL, 0};
}
