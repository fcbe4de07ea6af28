/* SPDX-License-Identifier: MIT */
/* The share protocol in small worlds whose network loses nothing: what members, coordinators and
 * restarts must do, and when. cluster-sim does the rest by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core_world.h"

static void test_opening_deal_costs_no_record(void **state) {
    struct sim *sim = world(3, 31, 50, 0);
    int32_t sum = 0;
    (void)state;

    sim_run(sim, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(node_cap(sim, i, 0), 5); /* the reserve, before there is a session */
    }
    sim_run(sim, 5);
    for (int i = 0; i < 3; i++) {
        want(sim, i, node_cap(sim, i, 0));
        sum += node_cap(sim, i, 0);
    }
    assert_int_equal(sum, 31);
    sim_run(sim, 15);
    for (int i = 0; i < 3; i++) {
        assert_true(has_session(sim, i));
        assert_int_equal(core_stats(sim->node[i].core).records, 0);
        assert_false(core_contended(sim->node[i].core, 0));
        assert_int_equal(in_use(sim, i), node_cap(sim, i, 0));
    }
    finish(sim);
}

static void test_one_coordinator_known_to_all(void **state) {
    struct sim *sim = world(5, 30, 50, 0);
    int leaders = 0;
    (void)state;

    sim_run(sim, 6);
    for (int i = 0; i < 5; i++) {
        uint64_t local = sim_local(sim, i);
        leaders += core_leading(sim->node[i].core, local) ? 1 : 0;
        assert_int_equal(core_coordinator(sim->node[i].core, local), sim->node[0].hash);
    }
    assert_int_equal(leaders, 1);
    assert_true(core_leading(sim->node[0].core, sim_local(sim, 0)));
    finish(sim);
}

static void test_nobody_leads_without_a_majority(void **state) {
    struct sim *sim = world(4, 40, 50, 0);
    (void)state;

    net_cut(sim, 3, true, true, 30);
    sim_run(sim, 25);
    for (int i = 0; i < 4; i++) {
        assert_false(core_leading(sim->node[i].core, sim_local(sim, i)));
        assert_int_equal(node_cap(sim, i, 0), 5);
    }
    sim_run(sim, 45);
    for (int i = 0; i < 4; i++) {
        assert_true(has_session(sim, i));
    }
    finish(sim);
}

static void test_the_hungry_get_what_others_do_not_want(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 5.2);
    assert_int_equal(in_use(sim, 2), 20); /* all but the others' reserves */
    assert_true(core_contended(sim->node[2].core, 0));
    assert_false(core_contended(sim->node[2].core, 1));
    want(sim, 0, 60);
    want(sim, 1, 60);
    sim_run(sim, 12); /* its workers end what is above its share within the drain time */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(node_cap(sim, i, 0), 10);
    }
    finish(sim);
}

static void test_a_cut_off_node_falls_to_its_reserve(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    net_cut(sim, 4, true, true, 60);
    sim_run(sim, 6 + 5);
    assert_int_equal(node_cap(sim, 2, 0), 20); /* the session still runs */
    sim_run(sim, 6 + 6.5);
    assert_int_equal(node_cap(sim, 2, 0), 5);
    sim_run(sim, 70);
    assert_true(has_session(sim, 2));
    finish(sim);
}

/* The part of a dead node comes back after T + D + G, not before. */
static void reclaim(struct sim *sim, int victim, double extra) {
    sim_run(sim, 5);
    want(sim, victim, 60);
    sim_run(sim, 6);
    assert_int_equal(in_use(sim, victim), 20);
    for (int i = 0; i < 3; i++) {
        sim->node[i].demand[0] = i == victim ? 0 : 60;
    }
    net_cut(sim, (uint64_t)1 << victim, true, true, 100); /* its connections stay: it is not dead */
    double cut = now(sim);
    sim_run(sim, cut + expiry(sim) - 1);
    assert_int_equal(sim->total[0] - in_use(sim, victim), 10);
    sim_run(sim, cut + expiry(sim) * 1.02 + 0.5 + extra);
    assert_int_equal(sim->total[0] - in_use(sim, victim), 25); /* its reserve is never lent */
    assert_int_equal(in_use(sim, victim), 5);
    finish(sim);
}

static void test_a_member_s_part_comes_back(void **state) {
    (void)state;
    reclaim(world(3, 30, 50, 0), 2, 0);
}

static void test_the_coordinator_s_part_comes_back(void **state) {
    (void)state;
    reclaim(world(3, 30, 50, 0), 0, 3);
}

static void test_a_crashed_host_starts_at_its_reserve(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    node_host_crash(sim, 2, 0.1);
    want(sim, 0, 60);
    want(sim, 1, 60);
    sim_run(sim, 6.2);
    assert_true(sim->node[2].bridge);
    assert_int_equal(node_cap(sim, 2, 0), 5);
    assert_false(has_session(sim, 2));
    sim_run(sim, 7.9); /* silent: what the old incarnation sent may still be under way */
    assert_int_equal(core_stats(sim->node[2].core).heartbeats, 0);
    sim_run(sim, 11); /* a fresh join says that all is gone: no need to wait for T + D + G */
    assert_true(has_session(sim, 2));
    assert_int_equal(sim->total[0], 30);
    finish(sim);
}

static void test_a_restarted_bridge_goes_on(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    uint64_t session = sim->node[2].memory.session_number;
    uint64_t sequence = sim->node[2].memory.sequence;
    node_bridge_crash(sim, 2, 1);
    sim_run(sim, 9);
    assert_true(sim->node[2].bridge);
    assert_int_equal(sim->node[2].memory.session_number, session); /* no new join was needed */
    assert_true(sim->node[2].memory.sequence > sequence);
    assert_int_equal(node_cap(sim, 2, 0), 20);
    sim_run(sim, 20);
    assert_int_equal(sim->node[2].memory.session_number, session);
    assert_int_equal(node_cap(sim, 2, 0), 20);
    finish(sim);
}

static void test_a_restarted_coordinator_learns_everything_again(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    node_bridge_crash(sim, 0, 0.1);
    sim_run(sim, 12);
    assert_int_equal(node_cap(sim, 2, 0), 20);
    want(sim, 1, 60);
    node_close_all(sim, 2, 0);
    sim->node[2].demand[0] = 0;
    sim_run(sim, 14);
    assert_int_equal(in_use(sim, 1), 20);
    finish(sim);
}

static void test_calm_counters_go_home(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    sim->node[2].demand[0] = 0;
    node_close_all(sim, 2, 0);
    sim_run(sim, 18);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(node_cap(sim, i, 0), 10);
        assert_false(sim->node[i].counter[0].record);
        assert_false(core_contended(sim->node[i].core, 0));
        assert_true(core_counter_forget(sim->node[i].core, 0));
    }
    finish(sim);
}

static void test_limits_below_the_number_of_nodes_rotate(void **state) {
    struct sim *sim = world(5, 2, 50, 0);
    double sum = 0, squares = 0;
    (void)state;

    sim->hold_s = 0.3;
    sim_run(sim, 5);
    for (int i = 0; i < 5; i++) {
        want(sim, i, 10);
        sim->node[i].takes = 0;
    }
    sim_run(sim, 5 + 250);
    for (int i = 0; i < 5; i++) {
        double takes = (double)sim->node[i].takes;
        assert_true(takes > 0);
        sum += takes;
        squares += takes * takes;
    }
    assert_true(sum * sum / (5 * squares) > 0.98); /* Jain's index; virtual time: always the same */
    finish(sim);
}

static void test_leaving_hands_back_at_once(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    want(sim, 2, 60);
    sim_run(sim, 6);
    node_close_all(sim, 2, 0);
    sim->node[2].demand[0] = 0;
    want(sim, 1, 60);
    sim->node[2].demand[0] = 7; /* more than its reserve: that part must wait until it drains */
    node_workers(sim, 2);
    sim->leave_s = 1;
    node_bridge_leave(sim, 2, 60);
    sim_run(sim, 6.9);
    assert_true(core_left(sim->node[2].core) || !has_session(sim, 2));
    sim_run(sim, 8);
    assert_int_equal(in_use(sim, 2), 7);
    assert_int_equal(in_use(sim, 1), 30 - 7 - 5);
    sim_run(sim, 8 + expiry(sim) + 2);
    assert_int_equal(in_use(sim, 2), 5); /* ended by its workers */
    assert_int_equal(in_use(sim, 1), 20);
    finish(sim);
}

static void test_a_witness_votes_and_holds_nothing(void **state) {
    struct sim *sim = world(3, 30, 50, 4);
    (void)state;

    sim_run(sim, 6);
    assert_int_equal(node_cap(sim, 0, 0), 15);
    assert_int_equal(node_cap(sim, 1, 0), 15);
    assert_int_equal(node_cap(sim, 2, 0), 0);
    want(sim, 1, 60);
    node_host_crash(sim, 0, 100);
    sim_run(sim, 6 + expiry(sim) * 1.02 + 4);
    assert_true(has_session(sim, 1));
    assert_int_equal(in_use(sim, 1), 30 - 7);
    finish(sim);
}

/* ---- without a majority ---- */

static struct sim *minority_world(uint32_t take_over_after) {
    struct sim *sim = calloc(1, sizeof *sim);
    struct core_timers timers = core_timers_default();
    const int32_t limits[] = {50, 50};

    assert_non_null(sim);
    timers.drain = 4000;
    timers.take_over_after = take_over_after;
    sim_start(sim, 1, 5, limits, 2, 50, &timers); /* home 10, reserve 5 */
    sim->hold_s = 1e6;
    sim->tail = 0;
    return sim;
}

static void test_a_minority_takes_over_only_if_told_to(void **state) {
    (void)state;
    for (uint32_t after = 0; after <= 20000; after += 20000) {
        struct sim *sim = minority_world(after);
        sim_run(sim, 5);
        for (int i = 2; i < 5; i++) {
            node_host_crash(sim, i, 100);
        }
        want(sim, 0, 60);
        want(sim, 1, 60);
        sim_run(sim, 20);
        assert_int_equal(in_use(sim, 0) + in_use(sim, 1), 10); /* the reserves */
        sim_run(sim, 60);
        /* The reserves of the three that are silent stay theirs. */
        assert_int_equal(in_use(sim, 0) + in_use(sim, 1), after == 0 ? 10 : 50 - 15);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(core_minority(sim->node[i].core, sim_local(sim, i)), after != 0);
        }
        sim_run(sim, 130);
        for (int i = 0; i < 5; i++) {
            assert_true(has_session(sim, i));
            assert_false(core_minority(sim->node[i].core, sim_local(sim, i)));
            want(sim, i, 60);
        }
        sim_run(sim, 150);
        assert_int_equal(sim->total[0], 50);
        finish(sim);
    }
}

/* Four groups of one see each other one way in a ring: none may lead. */
static void test_no_minority_takes_over_that_sees_another(void **state) {
    struct sim *sim = minority_world(10000);
    int leaders = 0;
    (void)state;

    sim_run(sim, 5);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            sim->cut[i][j] = j != (i + 1) % 5;
        }
    }
    for (int half = 30; half < 160; half++) {
        sim_run(sim, half / 2.);
        for (int i = 0; i < 5; i++) {
            leaders += core_leading(sim->node[i].core, sim_local(sim, i)) ? 1 : 0;
        }
    }
    assert_int_equal(leaders, 0);
    finish(sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening_deal_costs_no_record),
        cmocka_unit_test(test_one_coordinator_known_to_all),
        cmocka_unit_test(test_nobody_leads_without_a_majority),
        cmocka_unit_test(test_the_hungry_get_what_others_do_not_want),
        cmocka_unit_test(test_a_cut_off_node_falls_to_its_reserve),
        cmocka_unit_test(test_a_member_s_part_comes_back),
        cmocka_unit_test(test_the_coordinator_s_part_comes_back),
        cmocka_unit_test(test_a_crashed_host_starts_at_its_reserve),
        cmocka_unit_test(test_a_restarted_bridge_goes_on),
        cmocka_unit_test(test_a_restarted_coordinator_learns_everything_again),
        cmocka_unit_test(test_calm_counters_go_home),
        cmocka_unit_test(test_limits_below_the_number_of_nodes_rotate),
        cmocka_unit_test(test_leaving_hands_back_at_once),
        cmocka_unit_test(test_a_witness_votes_and_holds_nothing),
        cmocka_unit_test(test_a_minority_takes_over_only_if_told_to),
        cmocka_unit_test(test_no_minority_takes_over_that_sees_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
