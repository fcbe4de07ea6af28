/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_LOG_H
#define SLOTSHARE_BRIDGE_LOG_H
/**
 * One line per event: time (ISO 8601, UTC), level, event, then key=value pairs. Values that hold
 * anything but plain characters are quoted, so that no peer can forge a line. A struct log may be
 * used by one thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/** Keeps each kind of event, but those of LOG_LEVEL_DEBUG, to LOG_LIMIT_LINES lines in
 * LOG_LIMIT_MS: the first line after that says how many were left out. And counts lines that `fd`
 * did not take: the first that it takes again says how many were lost. All zero to begin with. */
enum { LOG_LIMIT_LINES = 20, LOG_LIMIT_MS = 10000, LOG_LIMIT_KINDS = 64 };
struct log_limits {
    uint64_t lost;
    struct log_limit {
        const char *event; /**< NULL: free */
        uint64_t start;    /**< CLOCK_MONOTONIC, ms: of the first line that counts */
        uint32_t lines;
        uint64_t left_out;
    } kind[LOG_LIMIT_KINDS];
};

struct log {
    int fd; /**< where lines go, each by one write(); one that it does not take soon is lost */
    bool to_syslog; /**< they go there instead, without the time, which it has itself */
    bool fixed_level, fixed_sink; /**< by the command line: log_follow() leaves them as they are */
    struct log_limits *limits;    /**< NULL: none */
    enum log_level level;         /**< lines of higher levels are dropped */
    struct events *events; /**< keeps lines, too: those up to LOG_LEVEL_INFO and grants (an event
                                "share_set"), whatever `level` is; NULL: nothing is kept */
};

/** What the configuration says: a level, and where lines go. */
void log_follow(struct log *log, enum log_level level, bool to_syslog);

/** @return true and *out when `name` is error, warning, notice, info or debug. */
bool log_level_parse(const char *name, enum log_level *out);

/** A line being put together. What does not fit in it is cut. */
struct log_line {
    const struct log *log; /**< NULL: the line is not wanted, nothing is formatted */
    bool quiet;            /**< it is kept at most: too many of its kind */
    enum log_level level;
    const char *event; /**< a constant string */
    int64_t time_ms;   /**< since 1970 */
    size_t head;       /**< length of time, level and event */
    size_t length;
    char text[2048];
};

/** event: a constant string. */
void log_begin(const struct log *log, struct log_line *line, enum log_level level,
               const char *event);
/** Add key=value. value may be NULL: the pair is left out. */
void log_text(struct log_line *line, const char *key, const char *value);
void log_int(struct log_line *line, const char *key, int64_t value);
void log_uint(struct log_line *line, const char *key, uint64_t value);
void log_end(struct log_line *line);

/** An event without numbers: pairs of key and value, ended by a NULL key. */
void log_event(const struct log *log, enum log_level level, const char *event, ...)
    __attribute__((sentinel));

/** Keeps an event that may come often to one line per interval. All zero to begin with. */
struct log_rate {
    uint64_t next;       /**< milliseconds: no line before */
    uint64_t suppressed; /**< since the last line */
};

/** @return true when a line may be written now; *suppressed: how many were not since the last. */
bool log_rate_ok(struct log_rate *rate, uint64_t now_ms, uint64_t interval_ms,
                 uint64_t *suppressed);

#endif
