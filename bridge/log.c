/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

static const char grant_event[] = "share_set";
enum {
    TIME_LENGTH = 24, /* 2026-01-31T23:59:59.123Z */
    DEAF_MS = 200,    /* for a reader that is behind; then without waiting, until it takes a line */
};

static const char *const level_name[] = {"error", "warning", "notice", "info", "debug"};

void log_follow(struct log *log, enum log_level level, bool to_syslog) {
    if (!log->fixed_level)
        log->level = level;
    if (!log->fixed_sink)
        log->to_syslog = to_syslog;
}

bool log_level_parse(const char *name, enum log_level *out) {
    for (unsigned i = 0; i < sizeof level_name / sizeof *level_name; i++) {
        if (strcmp(name, level_name[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* One byte is always left for the newline. */
static void put(struct log_line *line, const char *text, size_t length) {
    size_t room = sizeof line->text - 1 - line->length;
    if (length > room)
        length = room;
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void put_string(struct log_line *line, const char *text) {
    put(line, text, strlen(text));
}

static bool is_plain(unsigned char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static void put_value(struct log_line *line, const char *value) {
    bool plain = *value != '\0';
    for (const char *c = value; *c != '\0'; c++)
        plain = plain && is_plain((unsigned char)*c);
    if (plain) {
        put_string(line, value);
        return;
    }
    put(line, "\"", 1);
    for (const char *c = value; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\') {
            char escaped[2] = {'\\', *c};
            put(line, escaped, 2);
        } else if (byte == '\n') {
            put(line, "\\n", 2);
        } else if (byte < ' ' || byte == 0x7f) {
            char escaped[5];
            (void)snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            put(line, escaped, 4);
        } else {
            put(line, c, 1);
        }
    }
    put(line, "\"", 1);
}

static bool is_kept(const struct log *log, enum log_level level, const char *event) {
    return log->events != NULL && (level <= LOG_LEVEL_INFO || strcmp(event, grant_event) == 0);
}

static struct log_limit *limit_of(struct log_limits *limits, const char *event) {
    for (size_t i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_limit *limit = &limits->kind[i];
        if (limit->event == NULL)
            limit->event = event;
        if (strcmp(limit->event, event) == 0)
            return limit;
    }
    return NULL; /* more kinds than there are: not limited */
}

/* @return true: too many lines of this kind. *left_out: how many were left out before this one. */
static bool too_many(struct log_limits *limits, const char *event, uint64_t *left_out) {
    struct timespec now;
    struct log_limit *limit = limit_of(limits, event);
    if (limit == NULL)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (limit->lines == 0 || ms - limit->start >= LOG_LIMIT_MS) {
        *left_out = limit->left_out;
        limit->start = ms;
        limit->lines = 0;
        limit->left_out = 0;
    }
    if (limit->lines < LOG_LIMIT_LINES) {
        limit->lines++;
        return false;
    }
    limit->left_out++;
    return true;
}

void log_begin(const struct log *log, struct log_line *line, enum log_level level,
               const char *event) {
    line->length = 0;
    line->level = level;
    line->event = event;
    line->log = log != NULL && (level <= log->level || is_kept(log, level, event)) ? log : NULL;
    line->quiet = false;
    if (line->log == NULL)
        return;
    uint64_t left_out = 0;
    if (log->limits != NULL && level <= log->level && level < LOG_LEVEL_DEBUG)
        line->quiet = too_many(log->limits, event, &left_out);
    struct timespec now;
    struct tm utc;
    char time_text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, time_text, length);
    int tail = snprintf(time_text, sizeof time_text, ".%03dZ", (int)(now.tv_nsec / 1000000));
    put(line, time_text, tail > 0 ? (size_t)tail : 0);
    log_text(line, "level", level_name[level]);
    log_text(line, "event", event);
    line->head = line->length;
    if (left_out > 0)
        log_uint(line, "left_out", left_out);
    line->time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void log_text(struct log_line *line, const char *key, const char *value) {
    if (line->log == NULL || value == NULL)
        return;
    put(line, " ", 1);
    put_string(line, key);
    put(line, "=", 1);
    put_value(line, value);
}

void log_int(struct log_line *line, const char *key, int64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    log_text(line, key, text);
}

void log_uint(struct log_line *line, const char *key, uint64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    log_text(line, key, text);
}

/* A pipe that nobody reads would keep the caller for ever. One that is writable has room for a
 * line, when nobody else writes there at this instant. */
static bool takes_line(const struct log *log) {
    struct pollfd at = {.fd = log->fd, .events = POLLOUT};
    const bool deaf = log->limits != NULL && log->limits->lost > 0;
    return poll(&at, 1, deaf ? 0 : DEAF_MS) != 0; /* an error: write() will tell */
}

static void write_line(struct log_line *line) {
    struct log_limits *limits = line->log->limits;
    if (!takes_line(line->log)) {
        if (limits != NULL)
            limits->lost++;
        return;
    }
    if (limits != NULL && limits->lost > 0) {
        log_uint(line, "lost", limits->lost);
        limits->lost = 0;
    }
    line->text[line->length] = '\n';
    /* Nowhere to complain when the log itself cannot be written. */
    ssize_t written = write(line->log->fd, line->text, line->length + 1);
    (void)written;
}

void log_end(struct log_line *line) {
    if (line->log == NULL)
        return;
    if (is_kept(line->log, line->level, line->event)) {
        const size_t from = line->length > line->head ? line->head + 1 : line->head; /* a blank */
        events_add(line->log->events, strcmp(line->event, grant_event) == 0, line->time_ms,
                   level_name[line->level], line->event, line->text + from, line->length - from);
    }
    if (line->level > line->log->level || line->quiet)
        return;
    if (line->log->to_syslog) {
        static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};
        const char *text = line->text + TIME_LENGTH + 1;
        syslog(LOG_DAEMON | priority[line->level], "%.*s", (int)(line->length - TIME_LENGTH - 1),
               text);
        return;
    }
    write_line(line);
}

void log_event(const struct log *log, enum log_level level, const char *event, ...) {
    struct log_line line;
    log_begin(log, &line, level, event);
    va_list pairs;
    va_start(pairs, event);
    for (const char *key = va_arg(pairs, const char *); key != NULL;
         key = va_arg(pairs, const char *))
        log_text(&line, key, va_arg(pairs, const char *));
    va_end(pairs);
    log_end(&line);
}

bool log_rate_ok(struct log_rate *rate, uint64_t now_ms, uint64_t interval_ms,
                 uint64_t *suppressed) {
    if (now_ms < rate->next) {
        rate->suppressed++;
        return false;
    }
    rate->next = now_ms + interval_ms;
    *suppressed = rate->suppressed;
    rate->suppressed = 0;
    return true;
}
