/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <ini.h>

enum {
    RAW_MAX = 1023,              /* of a section header; inih never sees those */
    FILE_MAX = 16 * 1024 * 1024, /* a device or a disk image by mistake must come to an end */
};

struct reader {
    FILE *file;
    struct errors *errors;
    const struct reader_events *events;
    void *user;
    size_t bytes;
    uint32_t line;
    uint32_t sections;
    bool expected; /* inih has a line of ours that must come back as an option */
    size_t length; /* of the raw line; text holds its beginning */
    char text[RAW_MAX + 1];
};

static bool blank(char character) {
    return character == ' ' || character == '\t';
}

/* @return false at the end of the file. */
static bool read_raw(struct reader *reader) {
    int character = 0;
    reader->length = 0;
    while ((character = getc_unlocked(reader->file)) != EOF && character != '\n') {
        if (++reader->bytes > FILE_MAX) {
            errors_add(reader->errors, 0,
                       "larger than %d MiB: this is not a configuration file, name another one",
                       FILE_MAX / 1024 / 1024);
            return false;
        }
        if (reader->length < RAW_MAX)
            reader->text[reader->length] = (char)character;
        reader->length++;
    }
    if (character == EOF && ferror(reader->file)) {
        errors_add(reader->errors, 0,
                   "cannot be read: %s; name a file that is there and that this user may read",
                   strerror(errno));
        return false;
    }
    if (character == EOF && reader->length == 0)
        return false;
    reader->line++;
    return true;
}

/* Remove what is around the line: byte order mark, spaces, carriage return. */
static char *trim(struct reader *reader, size_t *length) {
    char *start = reader->text;
    size_t left = reader->length < RAW_MAX ? reader->length : RAW_MAX;
    if (reader->length <= RAW_MAX && left > 0 && start[left - 1] == '\r')
        left--;
    if (reader->line == 1 && left >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
        left -= 3;
    }
    while (left > 0 && blank(*start)) {
        start++;
        left--;
    }
    while (left > 0 && blank(start[left - 1]))
        left--;
    start[left] = '\0';
    *length = left;
    return start;
}

static bool plain(struct reader *reader, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            errors_add(reader->errors, reader->line,
                       "holds the control character 0x%02x: save the file as plain text (UTF-8)",
                       byte);
            return false;
        }
    }
    return true;
}

/* @return true when inih may have the line as it is. */
static bool is_option(struct reader *reader, const char *text, size_t length, size_t room) {
    if (reader->length > RAW_MAX || length > room) {
        errors_add(reader->errors, reader->line,
                   "longer than %zu characters: shorten it, or put a comment on a line of its own",
                   room);
        return false;
    }
    const char *separator = strpbrk(text, "=:");
    if (separator != NULL && *separator == ':') {
        errors_add(reader->errors, reader->line,
                   "':' after \"%.*s\": write \"option = value\", with '='",
                   (int)(separator - text), text);
        return false;
    }
    return true;
}

/* A header goes to inih as a number: it would cut the real one. Its only use there is that inih
 * forgets the option before it. */
static void take_section(struct reader *reader, const char *text, char *out, size_t size) {
    const bool whole = reader->length <= RAW_MAX;
    if (!whole)
        errors_add(reader->errors, reader->line,
                   "a section header of more than %d characters: names are never that long",
                   RAW_MAX);
    reader->events->section(reader->user, reader->line, whole ? text : NULL);
    (void)snprintf(out, size, "[%u]\n", ++reader->sections);
}

static void settle(struct reader *reader) {
    if (reader->expected)
        errors_add(reader->errors, reader->line,
                   "no \"option = value\": write one on this line, whole (values do not go on over "
                   "several lines), or begin the line with ';' to make it a comment");
    reader->expected = false;
}

/* What inih calls for its next line: always a whole one, indented never, with its newline. */
static char *next_line(char *out, int size, void *stream) {
    struct reader *reader = stream;
    settle(reader);
    if (!read_raw(reader))
        return NULL;
    size_t length = 0;
    const char *text = trim(reader, &length);
    (void)snprintf(out, (size_t)size, "\n");
    if (!plain(reader, text, length) || length == 0 || *text == ';' || *text == '#')
        return out;
    if (*text == '[') {
        take_section(reader, text, out, (size_t)size);
    } else if (is_option(reader, text, length, (size_t)size - 2)) {
        (void)snprintf(out, (size_t)size, "%s\n", text);
        reader->expected = true;
    }
    return out;
}

static int take_option(void *user, const char *section, const char *name, const char *value) {
    struct reader *reader = user;
    (void)section;
    if (name == NULL || value == NULL)
        return 1; /* some builds of inih announce sections and bare names in this way */
    reader->expected = false;
    const char *hash = strchr(value, '#');
    if (hash != NULL && (hash == value || blank(hash[-1])))
        errors_add(reader->errors, reader->line,
                   "'#' after a value: a comment behind a value begins with ';'");
    else
        reader->events->option(reader->user, reader->line, name, value);
    return 1;
}

void reader_run(FILE *file, struct errors *errors, const struct reader_events *events, void *user) {
    struct reader reader = {.file = file, .errors = errors, .events = events, .user = user};
    const int result = ini_parse_stream(next_line, &reader, take_option, &reader);
    settle(&reader);
    if (result < 0)
        errors->no_memory = true;
    else if (result > 0 && !errors_any(errors))
        errors_add(errors, (uint32_t)result, "not understood: write \"option = value\"");
}
