/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int support_load(const char *text, size_t length, struct conf **out, struct conf_errors *errors) {
    char path[] = "/tmp/slotshare-conf-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    assert_int_equal(close(fd), 0);
    const int result = conf_load(path, out, errors);
    assert_int_equal(unlink(path), 0);
    return result;
}

struct conf *support_conf(const char *text) {
    struct conf *conf = NULL;
    struct conf_errors errors;
    const int result = support_load(text, strlen(text), &conf, &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.line[i]);
    conf_errors_free(&errors);
    assert_int_equal(result, 0);
    assert_non_null(conf);
    return conf;
}

/* "path:12: message" as "12: message", "path: message" as "0: message" */
static void append(char **text, const char *line) {
    const char *rest = strchr(line, ':');
    assert_non_null(rest);
    char *longer = NULL;
    assert_true(asprintf(&longer, "%s%s%s\n", *text, rest[1] == ' ' ? "0" : "",
                         rest[1] == ' ' ? rest : rest + 1) >= 0);
    free(*text);
    *text = longer;
}

void support_errors_in(const char *text, size_t length, const char *expected) {
    struct conf *conf = NULL;
    struct conf_errors errors;
    assert_int_equal(support_load(text, length, &conf, &errors), -1);
    assert_null(conf);
    char *found = strdup("");
    assert_non_null(found);
    for (size_t i = 0; i < errors.count; i++)
        append(&found, errors.line[i]);
    conf_errors_free(&errors);
    assert_string_equal(found, expected);
    free(found);
}

void support_errors(const char *text, const char *expected) {
    support_errors_in(text, strlen(text), expected);
}

void support_wrong(const struct support_wrong *wrong, size_t count) {
    for (size_t i = 0; i < count; i++)
        support_errors(wrong[i].text, wrong[i].errors);
}

void support_append(char *text, size_t size, const char *format, ...) {
    va_list arguments;
    const size_t length = strlen(text);
    va_start(arguments, format);
    const int added = vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
    assert_in_range(added, 0, size - length - 1);
}

struct ruleset support_rules(const char *text) {
    struct conf *conf = support_conf(text);
    void *base = NULL;
    size_t size = 0;
    assert_int_equal(ruleset_compile(conf, &base, &size), 0);
    conf_free(conf);
    const struct ruleset rules = {base, size};
    assert_true(ruleset_check(&rules));
    return rules;
}

struct ruleset_match support_resolve(const struct ruleset *rules, const char *binding,
                                     const char *domain, const char *host) {
    const struct slotshare_connection connection = {binding, domain, host};
    struct ruleset_match match;
    assert_int_equal(ruleset_resolve(rules, &connection, &match), SLOTSHARE_OK);
    assert_int_equal(match.length, strlen(match.counter));
    return match;
}
