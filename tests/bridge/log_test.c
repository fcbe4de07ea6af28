/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/events.h"
#include "../../bridge/log.h"

static char text[8192];

/* What the log has written since the last time. */
static const char *written(int fd) {
    ssize_t got = read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static int pipes[2];

static int set_up(void **state) {
    (void)state;
    return pipe2(pipes, O_CLOEXEC | O_NONBLOCK);
}

static int tear_down(void **state) {
    (void)state;
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

static void one_line(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO};
    struct log_line line;
    log_begin(&log, &line, LOG_LEVEL_WARNING, "thing");
    log_text(&line, "name", "m1");
    log_text(&line, "none", NULL);
    log_int(&line, "down", -3);
    log_uint(&line, "up", 18446744073709551615U);
    log_end(&line);
    const char *got = written(pipes[0]);
    /* 2026-01-31T23:59:59.123Z */
    assert_int_equal(strcspn(got, " "), 24);
    assert_int_equal(got[10], 'T');
    assert_int_equal(got[23], 'Z');
    assert_string_equal(got + 24,
                        " level=warning event=thing name=m1 down=-3 up=18446744073709551615\n");
}

/* Nothing that comes from outside can end a line or look like another pair. */
static void hostile_values(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO};
    log_event(&log, LOG_LEVEL_INFO, "e", "a", "x\ny", "b", "p=q", "c", "say \"\\\"", "d", "", "e",
              "\x1b[31m\x7f", "f", "ü", NULL);
    assert_string_equal(written(pipes[0]) + 24,
                        " level=info event=e a=\"x\\ny\" b=\"p=q\" c=\"say \\\"\\\\\\\"\" d=\"\" "
                        "e=\"\\x1b[31m\\x7f\" f=\"ü\"\n");
}

static void levels(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_WARNING};
    enum log_level level;
    log_event(&log, LOG_LEVEL_INFO, "dropped", NULL);
    assert_string_equal(written(pipes[0]), "");
    log_event(&log, LOG_LEVEL_ERROR, "kept", NULL);
    assert_non_null(strstr(written(pipes[0]), "level=error event=kept\n"));
    log_event(NULL, LOG_LEVEL_ERROR, "nowhere", NULL);
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("notice", &level));
    assert_int_equal(level, LOG_LEVEL_NOTICE);
    assert_false(log_level_parse("loud", &level));
}

/* The configuration has a say, unless the command line had. */
static void followed(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO};
    log_follow(&log, LOG_LEVEL_ERROR, true);
    assert_int_equal(log.level, LOG_LEVEL_ERROR);
    assert_true(log.to_syslog);
    log.fixed_level = log.fixed_sink = true;
    log_follow(&log, LOG_LEVEL_DEBUG, false);
    assert_int_equal(log.level, LOG_LEVEL_ERROR);
    assert_true(log.to_syslog);
}

static int said_priority;
static char said[300];

/* The name is the linker's: --wrap=syslog.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
void __wrap_syslog(int priority, const char *format, ...);

void __wrap_syslog(int priority, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(said, sizeof said, format, args);
    va_end(args);
    said_priority = priority;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* There the time is known. */
static void to_syslog(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO, .to_syslog = true};
    log_event(&log, LOG_LEVEL_NOTICE, "thing", "of", "100% %s", NULL);
    assert_string_equal(said, "level=notice event=thing of=\"100% %s\"");
    assert_int_equal(said_priority, LOG_DAEMON | LOG_NOTICE);
    log_event(&log, LOG_LEVEL_ERROR, "bad", NULL);
    assert_int_equal(said_priority, LOG_DAEMON | LOG_ERR);
    assert_string_equal(written(pipes[0]), "");
}

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* So many lines of one kind, and what was left out; others are not in its way. */
static void limited(void **state) {
    (void)state;
    struct log_limits limits = {0};
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_DEBUG, .limits = &limits};
    for (int i = 0; i < LOG_LIMIT_LINES; i++) {
        log_event(&log, LOG_LEVEL_WARNING, "often", NULL);
        limits.kind[0].start = monotonic_ms(); /* however slow this is */
        assert_non_null(strstr(written(pipes[0]), "event=often\n"));
    }
    log_event(&log, LOG_LEVEL_WARNING, "often", NULL);
    log_event(&log, LOG_LEVEL_WARNING, "often", NULL);
    assert_string_equal(written(pipes[0]), "");
    log_event(&log, LOG_LEVEL_WARNING, "seldom", NULL);
    assert_non_null(strstr(written(pipes[0]), "event=seldom\n"));
    limits.kind[0].start = 0; /* later */
    log_event(&log, LOG_LEVEL_WARNING, "often", "a", "b", NULL);
    assert_non_null(strstr(written(pipes[0]), "event=often left_out=2 a=b\n"));
    for (int i = 0; i < 2 * LOG_LIMIT_LINES; i++) {
        log_event(&log, LOG_LEVEL_DEBUG, "detail", NULL);
        assert_non_null(strstr(written(pipes[0]), "event=detail\n"));
    }
}

static void long_line(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO};
    char value[4000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_event(&log, LOG_LEVEL_INFO, "long", "a", value, "b", value, NULL);
    const char *got = written(pipes[0]);
    assert_int_equal(strlen(got), 2048);
    assert_int_equal(got[2047], '\n');
    assert_ptr_equal(strchr(got, '\n'), got + 2047);
}

static void rate(void **state) {
    (void)state;
    struct log_rate limit = {0};
    uint64_t suppressed = 99;
    assert_true(log_rate_ok(&limit, 1000, 500, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_rate_ok(&limit, 1001, 500, &suppressed));
    assert_false(log_rate_ok(&limit, 1499, 500, &suppressed));
    assert_true(log_rate_ok(&limit, 1500, 500, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_rate_ok(&limit, 2000, 500, &suppressed));
    assert_int_equal(suppressed, 0);
}

static const json_t *field(const json_t *events, size_t i, const char *key) {
    return json_object_get(json_array_get(events, i), key);
}

/* What is worth a line by default is kept, and grants, whatever the log's level is. */
static void kept(void **state) {
    (void)state;
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_ERROR, .events = events_create()};
    assert_non_null(log.events);
    log_event(&log, LOG_LEVEL_INFO, "session", "number", "3", "of", "a b", NULL);
    log_event(&log, LOG_LEVEL_DEBUG, "detail", NULL);
    log_event(&log, LOG_LEVEL_DEBUG, "share_set", "counter", "host:\xff", NULL);
    log_event(&log, LOG_LEVEL_WARNING, "alone", NULL);
    assert_string_equal(written(pipes[0]), "");
    json_t *events = events_json(log.events, 0);
    assert_int_equal(json_array_size(events), 3);
    assert_string_equal(json_string_value(field(events, 0, "event")), "session");
    assert_string_equal(json_string_value(field(events, 0, "level")), "info");
    assert_string_equal(json_string_value(field(events, 0, "text")), "number=3 of=\"a b\"");
    assert_true(json_integer_value(field(events, 0, "time_ms")) > 0);
    assert_string_equal(json_string_value(field(events, 1, "text")), "counter=\"host:?\"");
    assert_string_equal(json_string_value(field(events, 2, "event")), "alone");
    assert_string_equal(json_string_value(field(events, 2, "text")), "");
    assert_int_equal(json_integer_value(field(events, 2, "number")), 3);
    json_decref(events);
    events = events_json(log.events, 2);
    assert_int_equal(json_array_size(events), 1);
    json_decref(events);
    /* Grants push each other out, and nothing else; a long line is cut. */
    char value[4000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 3 * EVENTS_KEPT; i++)
        log_event(&log, LOG_LEVEL_DEBUG, "share_set", "counter", value, NULL);
    events = events_json(log.events, 0);
    assert_int_equal(json_array_size(events), 2 + EVENTS_KEPT);
    assert_string_equal(json_string_value(field(events, 0, "event")), "session");
    assert_int_equal(json_integer_value(field(events, 1 + EVENTS_KEPT, "number")),
                     3 + 3 * EVENTS_KEPT);
    assert_int_equal(json_string_length(field(events, 5, "text")), EVENTS_TEXT_MAX - 1);
    json_decref(events);
    events_destroy(log.events);
    events_add(NULL, false, 0, "info", "nowhere", "", 0);
}

/* Nobody reads: the caller goes on, and hears later how much was lost. */
static void unread(void **state) {
    (void)state;
    struct log_limits limits = {0};
    struct log log = {.fd = pipes[1], .level = LOG_LEVEL_INFO, .limits = &limits};
    while (write(pipes[1], "", 1) == 1)
        ;
    assert_int_equal(fcntl(pipes[1], F_SETFL, 0), 0); /* it waits, as any standard error */
    log_event(&log, LOG_LEVEL_INFO, "first", NULL);
    log_event(&log, LOG_LEVEL_INFO, "second", NULL);
    while (read(pipes[0], text, sizeof text) > 0)
        ;
    log_event(&log, LOG_LEVEL_INFO, "third", NULL);
    assert_string_equal(written(pipes[0]) + 24, " level=info event=third lost=2\n");
    log_event(&log, LOG_LEVEL_INFO, "fourth", NULL);
    assert_string_equal(written(pipes[0]) + 24, " level=info event=fourth\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(levels, set_up, tear_down),
        cmocka_unit_test(followed),
        cmocka_unit_test_setup_teardown(to_syslog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept, set_up, tear_down),
        cmocka_unit_test(rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
