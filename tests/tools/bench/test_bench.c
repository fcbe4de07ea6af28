/* SPDX-License-Identifier: MIT */
/* slot-bench ends, and its JSON has what tools/bench/README.md says. No timing is asserted: that
 * each number is positive is all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <jansson.h>

static FILE *bench(const char *arguments) {
    const char *build = getenv("SLOTSHARE_BUILD");
    char command[1024];
    assert_non_null(build);
    (void)snprintf(command, sizeof command, "'%s/bin/slot-bench' %s", build, arguments);
    FILE *out = popen(command, "re");
    assert_non_null(out);
    return out;
}

static int status_of(FILE *out) {
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_spread(const json_t *spread, bool there) {
    if (!there) {
        assert_true(json_is_null(spread));
        return;
    }
    double low = json_real_value(json_object_get(spread, "low"));
    double middle = json_real_value(json_object_get(spread, "middle"));
    double high = json_real_value(json_object_get(spread, "high"));
    assert_true(low > 0 && low <= middle && middle <= high);
}

static void check_row(json_t *row) {
    const json_t *skipped = json_object_get(row, "skipped");
    bool done = json_is_null(skipped);
    bool compared = done && json_is_string(json_object_get(row, "peer"));
    bool wish = json_is_real(json_object_get(row, "wanted_ratio")) ||
                json_is_real(json_object_get(row, "wanted_value"));
    assert_true(done || json_is_string(skipped));
    assert_int_equal(json_object_size(row), 13);
    assert_true(json_is_string(json_object_get(row, "name")));
    assert_true(json_is_string(json_object_get(row, "what")));
    assert_true(json_is_string(json_object_get(row, "unit")));
    assert_true(json_is_integer(json_object_get(row, "processes")));
    assert_true(json_is_integer(json_object_get(row, "rounds")));
    check_spread(json_object_get(row, "value"), done);
    check_spread(json_object_get(row, "peer_value"), compared);
    check_spread(json_object_get(row, "ratio"), compared);
    assert_true(json_is_boolean(json_object_get(row, "met")) == (done && wish));
}

/* Names in the order of --list; each case has a row that begins with its name. */
static void check_cases(const json_t *results) {
    FILE *list = bench("--list");
    char line[256];
    unsigned cases = 0;
    while (fgets(line, sizeof line, list)) {
        size_t length = strcspn(line, " ");
        bool found = false;
        for (size_t i = 0; i < json_array_size(results); i++) {
            const char *name =
                json_string_value(json_object_get(json_array_get(results, i), "name"));
            found = found || strncmp(name, line, length) == 0;
        }
        assert_true(found);
        cases++;
    }
    assert_int_equal(status_of(list), 0);
    assert_true(cases >= 10);
}

static void test_json(void **state) {
    (void)state;
    json_error_t error;
    FILE *out = bench("--json --seconds 0.05 --counters 5000");
    json_t *root = json_loadf(out, JSON_DISABLE_EOF_CHECK, &error);
    assert_int_equal(status_of(out), 0);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "format")), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "counters")), 5000);
    assert_true(json_real_value(json_object_get(root, "seconds")) > 0);
    json_t *results = json_object_get(root, "results");
    for (size_t i = 0; i < json_array_size(results); i++) {
        check_row(json_array_get(results, i));
    }
    check_cases(results);
    json_decref(root);
}

static void test_text(void **state) {
    (void)state;
    char text[1024];
    FILE *out = bench("--only refusal --seconds 0.05");
    assert_non_null(fgets(text, sizeof text, out));
    assert_non_null(strstr(text, "MEASURED"));
    assert_non_null(fgets(text, sizeof text, out));
    assert_int_equal(strncmp(text, "refusal", 7), 0);
    while (fgets(text, sizeof text, out)) {
    }
    assert_int_equal(status_of(out), 0);
}

static void test_usage(void **state) {
    (void)state;
    assert_int_equal(status_of(bench("--only nothing 2>&1 >/dev/null | grep -q 'no such case'")),
                     0);
    assert_int_equal(status_of(bench("--only nothing 2>/dev/null")), 64);
    assert_int_equal(status_of(bench("--seconds x 2>/dev/null")), 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
