/* SPDX-License-Identifier: MIT */
/* The example, damaged at random in thousands of ways: each is either refused with errors that
 * name a line of it, or it compiles into a rule set that passes its own check. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 20;

static size_t draw(size_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % below;
}

static size_t read_example(char *out, size_t size) {
    char path[512];
    const char *source = getenv("SLOTSHARE_SOURCE");
    assert_non_null(source);
    (void)snprintf(path, sizeof path, "%s/conf/slotshare.ini.example", source);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t length = fread(out, 1, size, file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(length, 1, size - 1);
    return length;
}

/* One change: a byte, a piece taken out, or a piece moved over another. */
static size_t mutate(char *text, size_t length) {
    static const char bytes[] = "[]\"=:;# \t\n\r-.,09aZ\0\xff\xef";
    const size_t at = draw(length);
    const size_t count = 1 + draw(length - at < 200 ? length - at : 200);
    switch (draw(4)) {
    case 0:
        text[at] = (char)draw(256);
        break;
    case 1:
        text[at] = bytes[draw(sizeof bytes)];
        break;
    case 2:
        if (count == length)
            break;
        memmove(text + at, text + at + count, length - at - count);
        return length - count;
    default:
        memmove(text + draw(length - count + 1), text + at, count);
        break;
    }
    return length;
}

static uint32_t lines_of(const char *text, size_t length) {
    uint32_t lines = length > 0 && text[length - 1] != '\n' ? 1 : 0;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n' ? 1 : 0;
    return lines;
}

static void check_errors(const struct conf_errors *errors, uint32_t lines) {
    unsigned long before = 0;
    assert_true(errors->count > 0);
    for (size_t i = 0; i < errors->count; i++) {
        const char *colon = strchr(errors->line[i], ':');
        assert_non_null(colon);
        const unsigned long line = strtoul(colon + 1, NULL, 10); /* 0: of the whole file */
        assert_in_range(line, before, lines);
        before = line;
    }
}

static void mutations(void **state) {
    (void)state;
    char example[8192];
    unsigned accepted = 0;
    const size_t length = read_example(example, sizeof example);
    for (int run = 0; run < 4000; run++) {
        char text[8192];
        size_t size = length;
        struct conf *conf = NULL;
        struct conf_errors errors;
        memcpy(text, example, length);
        for (size_t i = draw(6); i > 0; i--)
            size = mutate(text, size);
        if (support_load(text, size, &conf, &errors) != 0) {
            assert_null(conf);
            check_errors(&errors, lines_of(text, size));
            conf_errors_free(&errors);
            continue;
        }
        void *base = NULL;
        struct ruleset rules = {NULL, 0};
        assert_int_equal(errors.count, 0);
        conf_errors_free(&errors);
        assert_int_equal(ruleset_compile(conf, &base, &rules.size), 0);
        rules.base = base;
        assert_true(ruleset_check(&rules));
        for (size_t i = 0; i < conf->limits; i++) { /* every limit is found under its names */
            const struct conf_limit *limit = &conf->limit[i];
            const struct ruleset_match match =
                support_resolve(&rules, limit->binding, limit->domain, limit->host);
            assert_int_equal(match.scope, limit->scope);
            assert_int_equal(match.limit, limit->limit);
            assert_int_equal(match.line, limit->line);
        }
        accepted++;
        free(base);
        conf_free(conf);
    }
    assert_in_range(accepted, 400, 3600); /* both outcomes were tried */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
