/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../bridge/totals.h"

/* What a member says in one message. */
static void hear(struct totals *totals, uint32_t member, uint64_t now, uint64_t sweep, bool last,
                 const char *name, int32_t in_use) {
    struct wire_total total = {name, in_use, in_use / 2, in_use, in_use > 0 ? 600 : 0};
    struct wire_totals message = {
        .sweep = sweep, .last = last, .count = name != NULL ? 1 : 0, .total = &total};
    totals_heard(totals, member, now, &message);
}

struct seen {
    const char *name;
    int32_t in_use; /* -1: not visited */
    unsigned visited;
};

static void see(const char *name, int32_t in_use, void *arg) {
    struct seen *seen = arg;
    seen->visited++;
    if (strcmp(name, seen->name) == 0)
        seen->in_use = in_use;
}

static int32_t sum_of(const struct totals *totals, const char *name) {
    struct seen seen = {.name = name, .in_use = -1};
    totals_each(totals, see, &seen);
    return seen.in_use;
}

static void sums(void **state) {
    (void)state;
    struct totals *totals = totals_create(3);
    assert_non_null(totals);
    hear(totals, 0, 1000, 1, true, "host:a", 3);
    hear(totals, 1, 1000, 7, true, "host:a", 4);
    hear(totals, 2, 1000, 1, true, "host:b", 5);
    hear(totals, 3, 1000, 1, true, "host:a", 100); /* there is no such member */
    assert_int_equal(sum_of(totals, "host:a"), 7);
    assert_int_equal(sum_of(totals, "host:b"), 5);
    assert_int_equal(sum_of(totals, "host:c"), -1);
    hear(totals, 1, 2000, 8, true, "host:a", 1);
    assert_int_equal(sum_of(totals, "host:a"), 4);
    totals_destroy(totals);
}

/* What one member said, of one name and of all. */
static int count(const char *name, const struct totals_figure *figure, void *arg) {
    int32_t *sum = arg;
    (void)name;
    *sum += figure->in_use;
    return 0;
}

static void figures(void **state) {
    (void)state;
    struct totals *totals = totals_create(2);
    struct totals_figure figure;
    int32_t in_use = 0;
    assert_non_null(totals);
    hear(totals, 0, 10000, 1, true, "host:a", 6);
    assert_true(totals_figure(totals, "host:a", 0, 12000, &figure));
    assert_int_equal(figure.in_use, 6);
    assert_int_equal(figure.share, 3);
    assert_int_equal(figure.wants, 6);
    assert_in_range(figure.oldest_ms, 2600, 3600); /* kept to a second */
    assert_false(totals_figure(totals, "host:a", 1, 12000, &figure));
    assert_false(totals_figure(totals, "host:a", 2, 12000, &figure)); /* no such member */
    assert_false(totals_figure(totals, "host:b", 0, 12000, &figure));
    /* Wanted, and nothing in use: it is there, but adds nothing. */
    struct wire_total hungry = {"host:b", 0, 0, 2, 0};
    struct wire_totals message = {
        .sweep = 1, .last = true, .no_session = true, .count = 1, .total = &hungry};
    totals_heard(totals, 1, 10000, &message);
    assert_true(totals_figure(totals, "host:b", 1, 12000, &figure));
    assert_int_equal(figure.share, 0);
    assert_int_equal(figure.wants, 2);
    assert_int_equal(figure.oldest_ms, 0);
    assert_true(totals_no_session(totals, 1));
    assert_false(totals_no_session(totals, 0));
    totals_each_of(totals, 0, 12000, count, &in_use);
    totals_each_of(totals, 1, 12000, count, &in_use);
    totals_each_of(totals, 2, 12000, count, &in_use);
    assert_int_equal(in_use, 6);
    /* Silent, and then not known any more. */
    totals_expire(totals, 10001 + TOTALS_SILENT_MS);
    assert_false(totals_figure(totals, "host:b", 1, 30000, &figure));
    assert_false(totals_no_session(totals, 1));
    totals_destroy(totals);
}

/* A name that a whole sweep leaves out is not in use; one that a part leaves out may still be. */
static void sweeps(void **state) {
    (void)state;
    struct totals *totals = totals_create(2);
    assert_non_null(totals);
    hear(totals, 0, 1000, 1, false, "host:a", 3);
    hear(totals, 0, 1000, 1, true, "host:b", 4);
    assert_int_equal(sum_of(totals, "host:a"), 3);
    hear(totals, 0, 2000, 2, false, "host:b", 5);
    assert_int_equal(sum_of(totals, "host:a"), 3);
    hear(totals, 0, 2000, 2, true, NULL, 0);
    assert_int_equal(sum_of(totals, "host:a"), 0);
    assert_int_equal(sum_of(totals, "host:b"), 5);
    totals_destroy(totals);
}

/* Who says nothing any more has nothing in use, for people; each name is shown once more as 0, and
 * is forgotten then. */
static void silence(void **state) {
    (void)state;
    struct totals *totals = totals_create(2);
    assert_non_null(totals);
    hear(totals, 0, 1000, 1, true, "host:a", 3);
    hear(totals, 1, 5000, 1, true, "host:a", 4);
    totals_expire(totals, 1000 + TOTALS_SILENT_MS);
    assert_int_equal(sum_of(totals, "host:a"), 7);
    totals_expire(totals, 1001 + TOTALS_SILENT_MS);
    assert_int_equal(sum_of(totals, "host:a"), 4);
    totals_expire(totals, 5001 + TOTALS_SILENT_MS);
    assert_int_equal(sum_of(totals, "host:a"), 0);
    totals_expire(totals, 5002 + TOTALS_SILENT_MS);
    assert_int_equal(sum_of(totals, "host:a"), -1);
    hear(totals, 0, 30000, 9, true, "host:a", 2);
    assert_int_equal(sum_of(totals, "host:a"), 2);
    totals_destroy(totals);
}

/* Memory ends somewhere; the names that are known go on. */
static void too_many(void **state) {
    (void)state;
    struct totals *totals = totals_create(2);
    assert_non_null(totals);
    for (uint32_t i = 0; i < TOTALS_COUNTERS_MAX + 1000; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "domain:d%u.example.com", i);
        hear(totals, 0, 1000, 1, false, name, 1);
    }
    struct seen seen = {.name = "domain:d0.example.com", .in_use = -1};
    totals_each(totals, see, &seen);
    assert_int_equal(seen.visited, TOTALS_COUNTERS_MAX);
    assert_int_equal(seen.in_use, 1);
    hear(totals, 0, 1000, 1, false, "domain:d0.example.com", 9);
    assert_int_equal(sum_of(totals, "domain:d0.example.com"), 9);
    /* Figures that add up to more than a number holds. */
    hear(totals, 1, 1000, 1, false, "domain:d0.example.com", INT32_MAX);
    assert_int_equal(sum_of(totals, "domain:d0.example.com"), INT32_MAX);
    totals_destroy(totals);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),    cmocka_unit_test(figures),  cmocka_unit_test(sweeps),
        cmocka_unit_test(silence), cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
