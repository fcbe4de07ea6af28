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
    struct wire_total total = {name, in_use};
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
        cmocka_unit_test(sums),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(silence),
        cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
