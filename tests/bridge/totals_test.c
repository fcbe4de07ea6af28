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
    struct wire_total total = {name, in_use, in_use / 2, in_use, in_use > 0 ? 600 : 0, 0};
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
    struct wire_total hungry = {"host:b", 0, 0, 2, 0, 0};
    struct wire_totals message = {
        .sweep = 1, .last = true, .no_session = true, .count = 1, .total = &hungry};
    totals_heard(totals, 1, 10000, &message);
    assert_true(totals_figure(totals, "host:b", 1, 12000, &figure));
    assert_int_equal(figure.share, 0);
    assert_int_equal(figure.wants, 2);
    assert_int_equal(figure.oldest_ms, 0);
    assert_false(figure.drains);
    assert_true(totals_no_session(totals, 1));
    /* More than its share, and until when; what cannot be is as if it had not been said. */
    struct wire_total above = {"host:b", 2, 1, 2, 0, 5001};
    message = (struct wire_totals){
        .sweep = 2, .last = true, .no_session = true, .count = 1, .total = &above};
    totals_heard(totals, 1, 10000, &message);
    assert_true(totals_figure(totals, "host:b", 1, 12000, &figure));
    assert_in_range(figure.drain_end, 14000, 15001); /* kept to a second */
    above.drain_ms = UINT64_MAX;
    totals_heard(totals, 1, 10000, &message);
    assert_true(totals_figure(totals, "host:b", 1, 12000, &figure));
    assert_false(figure.drains);
    above.drain_ms = 1;
    totals_heard(totals, 1, 10000, &message);
    assert_true(totals_figure(totals, "host:b", 1, 12000, &figure));
    assert_true(figure.drains);
    assert_int_equal(figure.drain_end, 0);
    assert_false(totals_no_session(totals, 0));
    totals_each_of(totals, 0, 12000, count, &in_use);
    totals_each_of(totals, 1, 12000, count, &in_use);
    totals_each_of(totals, 2, 12000, count, &in_use);
    assert_int_equal(in_use, 8);
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

/* ---- what is said, and what comes of it at others ---- */

enum { NAMES = 40, SAID_MAX = 3 * NAMES, TURN_MS = 1000 };

/* A node that says what `truth` holds, and two that hear it: one of them of an earlier version,
 * that knows no numbers. */
struct talk {
    struct totals *from, *to, *older;
    struct wire_total truth[NAMES];
    char name[NAMES][40];
    struct wire_total said[SAID_MAX];
    uint32_t count, room; /* said in this turn; at most */
    uint64_t now;
    unsigned sweeps; /* that are complete */
};

static void talk_begin(struct talk *talk) {
    memset(talk, 0, sizeof *talk);
    talk->from = totals_create(2);
    talk->to = totals_create(2);
    talk->older = totals_create(2);
    assert_true(talk->from != NULL && talk->to != NULL && talk->older != NULL);
    talk->now = 1000000;
    talk->room = SAID_MAX;
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(talk->name[i], sizeof talk->name[i], "domain:d%d.example.com", i);
        talk->truth[i].name = talk->name[i];
    }
}

static void talk_end(struct talk *talk) {
    totals_destroy(talk->from);
    totals_destroy(talk->to);
    totals_destroy(talk->older);
}

static void talk_set(struct talk *talk, int i, int32_t in_use) {
    talk->truth[i].in_use = talk->truth[i].wants = in_use;
    talk->truth[i].share = in_use > 0 ? 9 : -1;
    talk->truth[i].oldest_ms = in_use > 0 ? 5000 : 0;
}

static bool talk_write(const struct wire_total *total, void *arg) {
    struct talk *talk = arg;
    if (talk->count == talk->room)
        return false;
    talk->said[talk->count++] = *total;
    return true;
}

/* A second goes by. @return how many counters were named */
static uint32_t talk_turn(struct talk *talk, bool lost) {
    talk->now += TURN_MS;
    talk->count = 0;
    totals_say_begin(talk->from, 0, talk->now);
    for (int i = 0; i < NAMES; i++) {
        if (talk->truth[i].in_use > 0)
            talk->truth[i].oldest_ms += TURN_MS;
        if (talk->truth[i].in_use > 0 || talk->truth[i].wants > 0)
            totals_say(talk->from, &talk->truth[i], talk_write, talk);
    }
    struct wire_totals message = {.last = totals_say_end(talk->from, talk_write, talk)};
    talk->sweeps += message.last;
    message.count = talk->count;
    message.total = talk->said;
    totals_say_number(talk->from, &message);
    if (!lost) {
        totals_heard(talk->to, 0, talk->now, &message);
        message.number = 0;
        totals_heard(talk->older, 0, talk->now, &message);
    }
    if (totals_lacks(talk->to, 0))
        totals_ask(talk->from);
    totals_expire(talk->from, talk->now);
    totals_expire(talk->to, talk->now);
    totals_expire(talk->older, talk->now);
    return talk->count;
}

static bool talk_knows(const struct talk *talk, const struct totals *reader) {
    for (int i = 0; i < NAMES; i++) {
        struct totals_figure figure = {0};
        (void)totals_figure(reader, talk->name[i], 0, talk->now, &figure);
        if (figure.in_use != talk->truth[i].in_use)
            return false;
    }
    return true;
}

/* Turns until the reader knows all. */
static unsigned talk_until(struct talk *talk, const struct totals *reader) {
    unsigned turns = 0;
    while (!talk_knows(talk, reader)) {
        assert_true(++turns < 1000);
        (void)talk_turn(talk, false);
    }
    return turns;
}

static void deltas(void **state) {
    (void)state;
    struct talk talk;
    talk_begin(&talk);
    for (int i = 0; i < NAMES - 10; i++)
        talk_set(&talk, i, i + 1);
    assert_int_equal(talk_turn(&talk, false), NAMES - 10); /* the first is all */
    assert_int_equal(talk.sweeps, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(talk_turn(&talk, false), 0);
    talk_set(&talk, 0, 7);         /* another count, */
    talk_set(&talk, 1, 0);         /* an end, */
    talk_set(&talk, NAMES - 1, 1); /* something new */
    assert_int_equal(talk_turn(&talk, false), 3);
    assert_true(talk_knows(&talk, talk.to) && talk_knows(&talk, talk.older));
    struct totals_figure figure;
    assert_false(totals_figure(talk.to, talk.name[1], 0, talk.now, &figure));
    assert_true(totals_figure(talk.to, talk.name[NAMES - 1], 0, talk.now, &figure));
    assert_int_equal(figure.share, 9);
    assert_in_range(figure.oldest_ms, 5000, 7000);
    /* Who begins to want more is told of, how much more can wait. */
    talk.truth[0].wants = 8;
    assert_int_equal(talk_turn(&talk, false), 1);
    talk.truth[0].wants = 9;
    assert_int_equal(talk_turn(&talk, false), 0);
    for (uint64_t ms = 0; ms < TOTALS_REPEAT_MS; ms += TURN_MS)
        (void)talk_turn(&talk, false);
    assert_true(totals_figure(talk.to, talk.name[0], 0, talk.now, &figure));
    assert_int_equal(figure.wants, 9);
    /* All once more, now and then. */
    const unsigned sweeps = talk.sweeps;
    for (uint64_t ms = 0; ms < TOTALS_SWEEP_MS; ms += TURN_MS)
        (void)talk_turn(&talk, false);
    assert_int_equal(talk.sweeps, sweeps + 1);
    assert_true(talk_knows(&talk, talk.to) && talk_knows(&talk, talk.older));
    assert_false(totals_lacks(talk.to, 0));
    talk_end(&talk);
}

/* Who misses something asks, and knows all again soon; who cannot ask, with the next sweep. */
static void losses(void **state) {
    (void)state;
    struct talk talk;
    talk_begin(&talk);
    for (int i = 0; i < NAMES; i++)
        talk_set(&talk, i, 1);
    (void)talk_turn(&talk, false);
    for (int i = 0; i < 10; i++)
        (void)talk_turn(&talk, false);
    talk_set(&talk, 3, 2);
    talk_set(&talk, 4, 0);
    (void)talk_turn(&talk, true);
    assert_false(talk_knows(&talk, talk.to));
    assert_false(totals_lacks(talk.to, 0)); /* it cannot know yet */
    (void)talk_turn(&talk, false);
    assert_true(totals_lacks(talk.to, 0));
    assert_true(talk_until(&talk, talk.to) <= TOTALS_SWEEP_MIN_MS / TURN_MS + 1);
    assert_false(totals_lacks(talk.to, 0));
    (void)talk_turn(&talk, true);
    talk_set(&talk, 5, 3);
    (void)talk_turn(&talk, true);
    assert_true(talk_until(&talk, talk.older) <= TOTALS_SWEEP_MS / TURN_MS + 1);
    /* One who comes later, in the middle of deltas. */
    totals_destroy(talk.to);
    talk.to = totals_create(2);
    assert_non_null(talk.to);
    (void)talk_turn(&talk, false);
    assert_true(totals_lacks(talk.to, 0));
    assert_true(talk_until(&talk, talk.to) <= TOTALS_SWEEP_MIN_MS / TURN_MS + 1);
    /* And the speaker is another one, that has nothing of what the last one had. */
    totals_destroy(talk.from);
    talk.from = totals_create(2);
    assert_non_null(talk.from);
    for (int i = 0; i < NAMES / 2; i++)
        talk_set(&talk, i, 0);
    (void)talk_turn(&talk, false);
    assert_true(talk_knows(&talk, talk.to) && talk_knows(&talk, talk.older));
    talk_end(&talk);
}

/* At random, with losses, and with less room than all would need. */
static void storms(void **state) {
    (void)state;
    uint32_t random = 12345;
    struct talk talk;
    talk_begin(&talk);
    for (int run = 0; run < 200; run++) {
        talk.room = 3 + (uint32_t)run % SAID_MAX;
        for (int turn = 0; turn < 60; turn++) {
            for (int i = 0; i < 5; i++) {
                random = random * 1664525 + 1013904223;
                talk_set(&talk, (int)(random >> 16) % NAMES, (int32_t)(random >> 8 & 3));
            }
            (void)talk_turn(&talk, (random >> 24) % 8 == 0);
        }
        (void)talk_turn(&talk, false); /* this says whether something was lost before */
        const unsigned sweep = NAMES / talk.room + 2;
        assert_true(talk_until(&talk, talk.to) <= TOTALS_SWEEP_MIN_MS / TURN_MS + 2 * sweep);
        assert_true(talk_until(&talk, talk.older) <= TOTALS_SWEEP_MS / TURN_MS + 2 * sweep);
    }
    talk_end(&talk);
}

/* There is room for one of all that change in each second: each gets its turn. */
static void nobody_waits_for_ever(void **state) {
    (void)state;
    struct talk talk;
    unsigned said[NAMES] = {0};
    talk_begin(&talk);
    talk.room = 1;
    for (int turn = 1; turn <= 10 * NAMES; turn++) {
        for (int i = 0; i < NAMES; i++)
            talk_set(&talk, i, turn);
        assert_int_equal(talk_turn(&talk, false), 1);
        for (int i = 0; i < NAMES; i++)
            said[i] += strcmp(talk.said[0].name, talk.name[i]) == 0;
    }
    for (int i = 0; i < NAMES; i++)
        assert_in_range(said[i], 7, 13);
    talk_end(&talk);
}

/* As many members as there may be say as much as they like. */
static void bytes(void **state) {
    (void)state;
    static char name[1000][SLOTSHARE_COUNTER_MAX + 1];
    static struct wire_total total[1000];
    struct totals *totals = totals_create(CORE_MEMBERS_MAX);
    assert_non_null(totals);
    for (uint32_t first = 0; first < TOTALS_COUNTERS_MAX; first += 1000) {
        for (uint32_t i = 0; i < 1000; i++) {
            (void)snprintf(name[i], sizeof name[i], "domain:d%u.example.com", first + i);
            total[i] = (struct wire_total){name[i], 1, 1, 1, 1, 0};
        }
        for (uint32_t member = 0; member < CORE_MEMBERS_MAX; member++) {
            struct wire_totals message = {.sweep = 1, .count = 1000, .total = total};
            totals_heard(totals, member, 1000, &message);
        }
        assert_true(totals_bytes(totals) <= TOTALS_BYTES_MAX);
    }
    assert_true(totals_bytes(totals) > TOTALS_BYTES_MAX - 2000); /* it was as much as may be */
    struct seen seen = {.name = "domain:d0.example.com", .in_use = -1};
    totals_each(totals, see, &seen);
    assert_int_equal(seen.in_use, CORE_MEMBERS_MAX);
    print_message("%u of %d counters of %d members in %zu bytes\n", seen.visited,
                  TOTALS_COUNTERS_MAX, CORE_MEMBERS_MAX, totals_bytes(totals));
    /* They fall silent: nothing is left. */
    totals_expire(totals, 1001 + TOTALS_SILENT_MS);
    totals_expire(totals, 1002 + TOTALS_SILENT_MS);
    totals_expire(totals, 1003 + TOTALS_SILENT_MS);
    assert_int_equal(totals_bytes(totals), 0);
    totals_destroy(totals);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(figures),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(silence),
        cmocka_unit_test(too_many),
        cmocka_unit_test(deltas),
        cmocka_unit_test(losses),
        cmocka_unit_test(storms),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
