/* SPDX-License-Identifier: MIT */
/* Limits that are only observed: nothing is refused, everything is counted. */
#include <signal.h>

#include "support.h"

#define HOST(limit, enforce)                                                                       \
    NODE_SMALL "[host \"one\"]\ncluster_max_outbound_connections = " #limit                        \
               "\nenforce = " #enforce "\n"

static int reload(struct place *place, slotshare *handle, const char *text) {
    place_config(place, text);
    return slotshare_reload(handle, place->config, place->error, sizeof place->error);
}

static int take(slotshare *handle, slotshare_slot *slot) {
    const struct slotshare_connection one = to_host("one");
    return slotshare_acquire(handle, &one, slot);
}

static uint64_t would_refuse(slotshare *handle) {
    return stat_of(handle, "host:one").would_refuse;
}

static void counts_and_refuses_nothing(void **state) {
    struct place *place = *state;
    slotshare_slot slot[5];
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(take(handle, &slot[i]), SLOTSHARE_OK);
        assert_int_equal(would_refuse(handle), i < 2 ? 0 : i - 1);
    }
    struct slotshare_counter_stat stat = stat_of(handle, "host:one");
    assert_true(stat.observed);
    assert_int_equal(stat.limit, 2);
    assert_int_equal(stat.share, 2);
    assert_int_equal(stat.in_use, 5);
    assert_int_equal(stat.peak, 5);
    assert_int_equal(stat.refusals, 0);
    assert_int_equal(stat.excess, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(slotshare_excess(handle, slot[i], NULL), SLOTSHARE_OK);
    }
    for (int i = 0; i < 4; i++) { /* 1 left: there is room again */
        assert_int_equal(slotshare_release(handle, slot[i]), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, slot[i]), SLOTSHARE_ESTALE);
    }
    assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(would_refuse(handle), 3);
    slotshare_close(handle);
}

static void waits_for_nothing(void **state) {
    struct place *place = *state;
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot;
    slotshare_counter counter;
    slotshare_queue *queue;
    place_config(place, HOST(0, no)); /* closed, were it enforced */
    slotshare *handle = place_open(place);
    assert_int_equal(slotshare_acquire_wait(handle, &one, &slot, -1), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_find(handle, &one, &counter), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire_wait(handle, counter, &slot, -1), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &one, NULL, -1), SLOTSHARE_OK);
    struct slotshare_ready ready;
    while (slotshare_queue_next(queue, &ready) == SLOTSHARE_FULL) {
        nap();
    }
    assert_int_equal(ready.result, SLOTSHARE_OK);
    assert_int_equal(would_refuse(handle), 4);
    assert_int_equal(stat_of(handle, "host:one").in_use, 4);
    assert_int_equal(stat_of(handle, "host:one").waiting, 0);
    slotshare_queue_close(queue);
    slotshare_close(handle);
}

static void explained(void **state) {
    struct place *place = *state;
    const struct slotshare_connection one = to_host("one");
    struct slotshare_explanation why;
    struct slotshare_step step[SLOTSHARE_STEPS];
    slotshare_slot slot;
    place_config(place, HOST(1, no));
    slotshare *handle = place_open(place);
    assert_int_equal(slotshare_explain(handle, &one, &why), SLOTSHARE_OK);
    assert_true(why.observed && why.would_admit);
    assert_string_equal(why.reason,
                        "0 of 1 in use on this host: a take would succeed; the limit is "
                        "only observed (enforce = no)");
    assert_int_equal(take(handle, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_explain(handle, &one, &why), SLOTSHARE_OK);
    assert_true(why.observed && why.would_admit);
    assert_string_equal(why.reason,
                        "only observed (enforce = no): a take would succeed, and be counted as one "
                        "to refuse: all 1 slots of the limit are in use on this host");
    assert_int_equal(slotshare_explain_steps(handle, &one, step), SLOTSHARE_OK);
    assert_true(step[1].set && step[1].observed);
    assert_int_equal(reload(place, handle, HOST(1, yes)), SLOTSHARE_OK);
    assert_int_equal(slotshare_explain(handle, &one, &why), SLOTSHARE_OK);
    assert_false(why.observed || why.would_admit);
    assert_int_equal(slotshare_explain_steps(handle, &one, step), SLOTSHARE_OK);
    assert_false(step[1].observed);
    slotshare_close(handle);
}

static void switched_on_and_off_by_reload(void **state) {
    struct place *place = *state;
    slotshare_slot slot[5];
    slotshare_slot more;
    uint64_t deadline = 0;
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    slotshare *other = place_open(place);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(take(i % 2 ? other : handle, &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(reload(place, handle, HOST(2, yes)), SLOTSHARE_OK);
    assert_int_equal(stat_of(handle, "host:one").excess, 3);
    assert_int_equal(slotshare_excess(handle, slot[0], &deadline), SLOTSHARE_EXCESS);
    assert_true(deadline == UINT64_MAX);
    for (int i = 0; i < 4; i++) { /* nothing is taken away; and nothing given before it is under */
        assert_int_equal(take(handle, &more), SLOTSHARE_FULL);
        assert_int_equal(take(other, &more), SLOTSHARE_FULL);
        assert_int_equal(slotshare_release(i % 2 ? other : handle, slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(take(other, &more), SLOTSHARE_OK);
    assert_int_equal(take(other, &slot[0]), SLOTSHARE_FULL);
    struct slotshare_counter_stat stat = stat_of(handle, "host:one");
    assert_false(stat.observed);
    assert_int_equal(stat.would_refuse, 3);
    assert_int_equal(stat.refusals, 9);
    assert_int_equal(reload(place, handle, HOST(2, no)), SLOTSHARE_OK);
    assert_int_equal(take(other, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(would_refuse(handle), 4);
    slotshare_close(handle);
    slotshare_close(other);
}

static bool wait_for_one(struct place *place, int argument) {
    const struct slotshare_connection one = to_host("one");
    slotshare *handle;
    slotshare_slot slot;
    (void)argument;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire_wait(handle, &one, &slot, -1) == SLOTSHARE_OK);
    board_add(place, 0, 1);
    board_await(place, 1, 1);
    slotshare_close(handle);
    return true;
}

static void who_waits_is_let_in_when_it_ends(void **state) {
    struct place *place = *state;
    slotshare_slot slot;
    pid_t child[3];
    place_config(place, HOST(1, yes));
    slotshare *handle = place_open(place);
    assert_int_equal(take(handle, &slot), SLOTSHARE_OK);
    for (int i = 0; i < 3; i++) {
        child[i] = child_start(place, wait_for_one, 0);
    }
    while (stat_of(handle, "host:one").waiting < 3) {
        nap();
    }
    assert_int_equal(reload(place, handle, HOST(1, no)), SLOTSHARE_OK);
    board_await(place, 0, 3);
    assert_int_equal(stat_of(handle, "host:one").in_use, 4);
    assert_int_equal(would_refuse(handle), 3);
    board_set(place, 1, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(child_end(place, child[i]), 0);
    }
    slotshare_close(handle);
}

static bool hold_three(struct place *place, int argument) {
    slotshare *handle;
    slotshare_slot slot;
    (void)argument;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(take(handle, &slot) == SLOTSHARE_OK);
    }
    board_add(place, 0, 1);
    board_await(place, 1, 1);
    return true;
}

/* The dead are found by who would have been refused, and not counted against him. */
static void the_dead_are_not_in_the_way(void **state) {
    struct place *place = *state;
    slotshare_slot slot[2];
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    pid_t child = child_start(place, hold_three, 0);
    board_await(place, 0, 1);
    assert_int_equal(stat_of(handle, "host:one").in_use, 3);
    assert_int_equal(would_refuse(handle), 1);
    assert_int_equal(child_kill(place, child, SIGKILL), -SIGKILL);
    /* looked for at most every tenth of a second, over all processes */
    int taken = 0;
    while (stat_of(handle, "host:one").in_use > taken) {
        assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
        taken++;
        if (stat_of(handle, "host:one").in_use > taken) {
            assert_int_equal(slotshare_release(handle, slot[0]), SLOTSHARE_OK);
            taken--;
            nap();
        }
    }
    assert_int_equal(stat_of(handle, "host:one").in_use, 1);
    uint64_t before = would_refuse(handle);
    assert_int_equal(take(handle, &slot[1]), SLOTSHARE_OK);
    assert_int_equal(would_refuse(handle), before);
    slotshare_close(handle);
}

enum { BOARD_DONE, BOARD_END };

/* Takes and gives back at random, whatever is allowed just now. */
static bool restless(struct place *place, int seed) {
    slotshare *handle;
    slotshare_slot slot[6];
    int held = 0;
    uint32_t random = (uint32_t)seed * 2654435761u | 1;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    while (board_get(place, BOARD_END) == 0) {
        if (held < 6 && chance(&random) % 2) {
            int result = take(handle, &slot[held]);
            CHECK(result == SLOTSHARE_OK || result == SLOTSHARE_FULL);
            held += result == SLOTSHARE_OK;
        } else if (held > 0) {
            CHECK(slotshare_release(handle, slot[--held]) == SLOTSHARE_OK);
        }
        board_add(place, BOARD_DONE, 1);
    }
    slotshare_close(handle);
    return true;
}

/* Killed at any moment, above the limit or below, while it comes to be enforced and observed: what
 * they held comes back, no more and no less. */
static void the_killed_give_back_what_they_held(void **state) {
    struct place *place = *state;
    slotshare_slot slot[3];
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    for (int round = 0; round < 20; round++) {
        pid_t child[3];
        board_set(place, BOARD_END, 0);
        board_set(place, BOARD_DONE, 0);
        for (int i = 0; i < 3; i++) {
            child[i] = child_start(place, restless, round * 3 + i);
        }
        board_await(place, BOARD_DONE, 200);
        assert_int_equal(reload(place, handle, round % 2 ? HOST(2, no) : HOST(2, yes)),
                         SLOTSHARE_OK);
        board_await(place, BOARD_DONE, 400 + round);
        assert_int_equal(child_kill(place, child[0], SIGKILL), -SIGKILL);
        assert_int_equal(child_kill(place, child[1], SIGKILL), -SIGKILL);
        board_set(place, BOARD_END, 1);
        assert_int_equal(child_end(place, child[2]), 0);
    }
    assert_int_equal(reload(place, handle, HOST(0, no)), SLOTSHARE_OK);
    do { /* each take would be refused, and so looks for the dead */
        assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, slot[0]), SLOTSHARE_OK);
        nap();
    } while (stat_of(handle, "host:one").in_use > 0);
    assert_int_equal(segment_of(handle).slots_used, 0);
    assert_int_equal(reload(place, handle, HOST(2, yes)), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[1]), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[2]), SLOTSHARE_FULL);
    slotshare_close(handle);
}

static void an_override_is_enforced(void **state) {
    struct place *place = *state;
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot[4];
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    assert_int_equal(slotshare_override_set(handle, &one, 2, 3600, place->error, 1024),
                     SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
    assert_false(stat_of(handle, "host:one").observed);
    assert_int_equal(take(handle, &slot[1]), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[2]), SLOTSHARE_FULL);
    assert_int_equal(reload(place, handle, HOST(2, no)), SLOTSHARE_OK); /* it stays over that */
    assert_int_equal(take(handle, &slot[2]), SLOTSHARE_FULL);
    assert_int_equal(slotshare_override_clear(handle, &one, place->error, 1024), SLOTSHARE_OK);
    assert_true(stat_of(handle, "host:one").observed);
    assert_int_equal(take(handle, &slot[2]), SLOTSHARE_OK);
    assert_int_equal(would_refuse(handle), 1);
    /* its end by the clock, with nobody there but those who are refused */
    assert_int_equal(slotshare_override_set(handle, &one, 1, 1, place->error, 1024), SLOTSHARE_OK);
    while (take(handle, &slot[3]) == SLOTSHARE_FULL) {
        nap();
    }
    assert_true(stat_of(handle, "host:one").observed);
    assert_int_equal(stat_of(handle, "host:one").in_use, 4);
    slotshare_close(handle);
}

static void a_drained_host_takes_nothing(void **state) {
    struct place *place = *state;
    slotshare_slot slot[2];
    place_config(place, HOST(2, no));
    slotshare *handle = place_open(place);
    assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(slotshare_drain(handle, 1, place->error, 1024), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[1]), SLOTSHARE_FULL);
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_EXCESS);
    assert_int_equal(slotshare_drain(handle, 0, place->error, 1024), SLOTSHARE_OK);
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[1]), SLOTSHARE_OK);
    assert_true(stat_of(handle, "host:one").observed);
    slotshare_close(handle);
}

/* ---- under a bridge ---- */

#define CLUSTER(limit, enforce)                                                                    \
    NODE_SMALL "[cluster]\ntls = off\nreserve = 0%\nmember mta1 = tcp://127.0.0.1:1\n"             \
               "member mta2 = tcp://127.0.0.1:2\n[host \"one\"]\n"                                 \
               "cluster_max_outbound_connections = " #limit "\nenforce = " #enforce "\n"

static void session_until(struct control *control, uint64_t end) {
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = end;
    control_memory_store(control, &memory);
}

static struct conf *conf_of(struct place *place, const char *text) {
    struct conf *conf;
    struct conf_errors errors;
    place_config(place, text);
    assert_int_equal(conf_load(place->config, &conf, &errors), 0);
    conf_errors_free(&errors);
    return conf;
}

static struct control_counter counter_of(struct control *control) {
    struct control_counter counter;
    uint32_t index;
    assert_int_equal(control_counter_find(control, "host:one", &index), SLOTSHARE_OK);
    assert_int_equal(control_counter_read(control, index, &counter), SLOTSHARE_OK);
    return counter;
}

/* Judged against the share, and without a session against the reserve; grants do not end it. */
static void shares_are_dealt_as_if_enforced(void **state) {
    struct place *place = *state;
    slotshare_slot slot[9];
    place_config(place, CLUSTER(8, no));
    struct control *control = bridge_open(place);
    slotshare *handle;
    assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[0]), SLOTSHARE_OK); /* reserve 0, no session */
    assert_int_equal(would_refuse(handle), 1);
    session_until(control, UINT64_MAX);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(take(handle, &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(would_refuse(handle), 1); /* 4 of the home 4 */
    struct control_counter counter = counter_of(control);
    assert_int_equal(control_share_set(control, counter.index, 6, 1), 4);
    for (int i = 4; i < 8; i++) {
        assert_int_equal(take(handle, &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(would_refuse(handle), 3); /* 8 of the share 6 */
    counter = counter_of(control);
    assert_int_equal(counter.in_use, 8);
    assert_int_equal(counter.share, 6);
    assert_true(counter.wants >= 8);
    assert_int_equal(control_share_set(control, counter.index, 1, 2), 8);
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[8]), SLOTSHARE_OK);
    session_until(control, 1); /* over */
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_OK);
    assert_int_equal(stat_of(handle, "host:one").excess, 0);
    slotshare_close(handle);
    control_close(control);
}

/* While a file that enforces is pending the limit is kept; a withdrawn one leaves nothing. */
static void a_pending_file_that_enforces_counts(void **state) {
    struct place *place = *state;
    slotshare_slot slot[8];
    place_config(place, CLUSTER(4, no));
    struct control *control = bridge_open(place);
    slotshare *handle;
    assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_OK);
    session_until(control, UINT64_MAX);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(take(handle, &slot[i]), SLOTSHARE_OK);
    }
    struct control_counter counter = counter_of(control);
    assert_int_equal(control_share_set(control, counter.index, 3, 1), 4);
    struct conf *enforced = conf_of(place, CLUSTER(4, yes));
    assert_int_equal(control_reload(control, enforced, place->error, 1024), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[4]), SLOTSHARE_FULL);
    assert_false(stat_of(handle, "host:one").observed);
    assert_int_equal(stat_of(handle, "host:one").excess, 2); /* home 2 */
    assert_false(control_fits(control));
    control_withdraw(control);
    control_relax(control);
    assert_true(stat_of(handle, "host:one").observed); /* the one with the record, too */
    assert_int_equal(take(handle, &slot[4]), SLOTSHARE_OK);
    assert_int_equal(control_reload(control, enforced, place->error, 1024), SLOTSHARE_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(slotshare_release(handle, slot[i]), SLOTSHARE_OK);
    }
    assert_true(control_fits(control));
    control_commit(control);
    assert_int_equal(counter_of(control).in_use, 2);
    assert_false(counter_of(control).record);
    assert_int_equal(take(handle, &slot[5]), SLOTSHARE_FULL);
    /* the other way: enforced until it is committed, and nothing is to fit */
    struct conf *observed = conf_of(place, CLUSTER(1, no));
    assert_int_equal(control_reload(control, observed, place->error, 1024), SLOTSHARE_OK);
    assert_int_equal(take(handle, &slot[5]), SLOTSHARE_FULL);
    assert_int_equal(stat_of(handle, "host:one").excess, 0);
    assert_true(control_fits(control));
    control_commit(control);
    assert_int_equal(take(handle, &slot[5]), SLOTSHARE_OK);
    conf_free(enforced);
    conf_free(observed);
    slotshare_close(handle);
    control_close(control);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_and_refuses_nothing, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(waits_for_nothing, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(explained, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(switched_on_and_off_by_reload, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(who_waits_is_let_in_when_it_ends, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_not_in_the_way, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_killed_give_back_what_they_held, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(an_override_is_enforced, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_drained_host_takes_nothing, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(shares_are_dealt_as_if_enforced, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_pending_file_that_enforces_counts, place_setup,
                                        place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
