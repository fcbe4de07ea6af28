/* SPDX-License-Identifier: MIT */
/* Limits and members that change while the cluster runs, in small worlds whose network loses
 * nothing. cluster-sim does the rest by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core_world.h"

static const int32_t thirty[] = {30, 30};

static void test_a_new_limit_waits_for_all(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    const int32_t sixty[] = {60, 15};
    (void)state;

    sim_run(sim, 5);
    sim_add_config(sim, 7, sixty);
    node_load(sim, 0);
    node_load(sim, 1);
    sim_run(sim, 10);
    assert_int_equal(sim->committed, 0);
    assert_int_equal(node_cap(sim, 0, 0), 10); /* not raised before all agree */
    assert_int_equal(node_cap(sim, 0, 1), 5);  /* lowered at once */
    assert_int_equal(node_cap(sim, 2, 1), 10);
    node_load(sim, 2);
    sim_run(sim, 12);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].config, 1);
        assert_int_equal(node_cap(sim, i, 0), 20);
        assert_int_equal(node_cap(sim, i, 1), 5);
    }
    finish(sim);
}

static void test_members_come_and_go(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    sim_add_config(sim, 8 + 2 + 1, thirty); /* node 3 for node 2 */
    for (int i = 0; i < 4; i++) {
        node_load(sim, i);
    }
    sim_run(sim, 12);
    assert_int_equal(sim->committed, 1);
    assert_true(has_session(sim, 3));
    assert_int_equal(node_cap(sim, 3, 0), 10);
    assert_int_equal(node_cap(sim, 2, 0), 0);
    finish(sim);
}

static double unheard_commit(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)from;
    bool tells = (message->type == CORE_SEND_DEAL && message->deal.epoch == 2) ||
                 (message->type == CORE_SEND_HEARTBEAT && message->heartbeat.epoch == 2);
    return to == 2 && tells && now(sim) < 12 ? -1 : 0;
}

/* Who is removed, and one that dies, are the only ones that have heard of the commit. */
static void test_one_that_was_removed_spreads_the_commit(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    sim_add_config(sim, 6, thirty);
    sim->intercept = unheard_commit;
    for (int i = 0; i < 3; i++) {
        node_load(sim, i);
    }
    sim_run(sim, 11.5);
    assert_true(core_leading(sim->node[1].core, sim_local(sim, 1))); /* the first gave way */
    assert_int_equal(sim->node[0].config, 1);
    assert_int_equal(sim->node[1].config, 1);
    assert_int_equal(sim->node[2].config, 0);
    node_host_crash(sim, 1, 1000);
    sim_run(sim, 14);
    assert_int_equal(sim->node[2].config, 1);
    finish(sim);
}

static void test_a_dead_member_goes_when_somebody_vouches(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    node_host_crash(sim, 2, 1000);
    sim_add_config(sim, 3, thirty);
    node_load(sim, 0);
    node_load(sim, 1);
    sim_run(sim, 40);
    assert_int_equal(sim->committed, 0); /* nobody knows what it holds, or that it agrees */
    core_vouch_dead(sim->node[0].core, sim_local(sim, 0), sim->node[2].hash);
    core_vouch_dead(sim->node[1].core, sim_local(sim, 1), sim->node[2].hash);
    sim_run(sim, 42);
    assert_int_equal(sim->committed, 1);
    assert_int_equal(node_cap(sim, 0, 0), 15);
    finish(sim);
}

static void test_the_lowest_limit_counts(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim->node[2].file_limit = 12;
    node_bridge_crash(sim, 2, 0.1);
    sim_run(sim, 6);
    for (int i = 0; i < 3; i++) {
        want(sim, i, 60);
    }
    sim_run(sim, 8);
    for (int i = 0; i < 3; i++) {
        node_close_all(sim, i, 0);
        node_workers(sim, i);
    }
    sim_run(sim, 12);
    for (int i = 0; i < 3; i++) {
        node_close_all(sim, i, 0);
        node_workers(sim, i);
    }
    assert_int_equal(sim->total[0], 12);
    finish(sim);
}

/* ---- files become configurations ---- */

static struct core_config_state config_of(const struct sim *sim, int node) {
    return core_config_state(sim->node[node].core);
}

static void test_a_wrong_file_is_replaced_and_withdrawn(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    const int32_t wrong[] = {3, 3}, right[] = {60, 60};
    (void)state;

    sim_run(sim, 5);
    sim_add_config(sim, 7, wrong);
    sim_add_config(sim, 7, right);
    want(sim, 0, 60);
    node_load_file(sim, 0, 1);
    sim_run(sim, 7);
    assert_int_equal(node_cap(sim, 0, 0), 1); /* lowered at once, and by itself alone */
    assert_true(core_leading(sim->node[0].core, sim_local(sim, 0)));
    node_load_file(sim, 0, 0); /* the file that is committed */
    assert_int_equal(config_of(sim, 0).pending_digest, 0);
    sim_run(sim, 16);
    assert_true(has_session(sim, 0));
    assert_int_equal(node_cap(sim, 0, 0), 20);
    node_load_file(sim, 0, 1);
    for (int i = 0; i < 3; i++) {
        node_load_file(sim, i, 2);
    }
    sim_run(sim, 30);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].config, 2);
        assert_int_equal(sim->node[i].epoch, 2);
    }
    finish(sim);
}

static double no_agreement_for_2(struct sim *sim, int from, int to, struct sim_message *message) {
    (void)from;
    return now(sim) < 12 && to == 2 && message->type == CORE_SEND_DEAL && message->deal.agreed != 0
               ? -1
               : 0;
}

/* All load the first file, 0 and 1 promise it, and then all load the second one. */
static struct sim *second_file_comes(double (*intercept)(struct sim *, int, int,
                                                         struct sim_message *),
                                     bool no_former, double at) {
    struct sim *sim = world(3, 30, 50, 0);
    const int32_t first[] = {60, 60}, second[] = {90, 90};

    sim->no_former = no_former;
    sim_run(sim, 5);
    sim_add_config(sim, 7, first);
    sim_add_config(sim, 7, second);
    sim->intercept = intercept;
    sim->settling = true; /* every promise can be stored */
    for (int i = 0; i < 3; i++) {
        node_load_file(sim, i, 1);
    }
    sim_run(sim, at);
    assert_int_equal(config_of(sim, 0).promised, 2);
    assert_int_equal(config_of(sim, 2).promised, 0);
    for (int i = 0; i < 3; i++) {
        node_load_file(sim, i, 2);
    }
    return sim;
}

/* One promises, another loads a different file at that moment: nothing can be committed until the
 * first file is loaded there again, and nothing goes wrong. */
static void test_the_way_out_of_a_promise(void **state) {
    /* A bridge that has it no more: somebody must load it. */
    struct sim *sim = second_file_comes(no_agreement_for_2, true, 8);
    (void)state;

    assert_int_equal(core_config_check(sim->node[0].core, &sim->config[2].membership),
                     CORE_CONFIG_PROMISED);
    node_host_crash(sim, 0, 0.1); /* a promise outlives its host */
    sim_run(sim, 20);
    assert_int_equal(config_of(sim, 0).promised, 2);
    assert_int_equal(config_of(sim, 2).pending_digest, sim->config[2].membership.digest);
    assert_int_equal(sim->epoch, 1);
    node_load_file(sim, 2, 1); /* the way out */
    sim_run(sim, 24);
    assert_int_equal(sim->config[sim->node[2].config].limit[0], 60);
    node_load_file(sim, 2, 2); /* the others have it lying there already */
    sim_run(sim, 30);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].epoch, 3);
        assert_int_equal(node_cap(sim, i, 0), 30);
    }
    finish(sim);
}

static double nothing_for_2(struct sim *sim, int from, int to, struct sim_message *message) {
    return now(sim) > 6 && now(sim) < 12 && to == 2 ? -1
                                                    : no_agreement_for_2(sim, from, to, message);
}

/* The same with what shells do: all who have promised, or hear of it, take the second file after
 * the first; who had not heard of it goes back. */
static void first_comes_first(double (*intercept)(struct sim *, int, int, struct sim_message *),
                              uint64_t back) {
    struct sim *sim = second_file_comes(intercept, false, 11.9);
    int pending = back != 0 ? 2 : 1;
    assert_int_equal(config_of(sim, 2).pending_digest, sim->config[pending].membership.digest);
    if (back != 0) {
        node_host_crash(sim, 2, 0.1); /* what was proposed is on the disk */
    }
    sim_run(sim, 40);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].config, 2);
        assert_int_equal(sim->node[i].epoch, 3);
        assert_int_equal(node_cap(sim, i, 0), 30);
    }
    assert_int_equal(sim->count[COUNT_BACK], back);
    finish(sim);
}

static void test_a_file_waits_behind_what_others_have_promised(void **state) {
    (void)state;
    first_comes_first(no_agreement_for_2, 0);
}

static void test_a_file_goes_for_what_others_have_promised(void **state) {
    (void)state;
    first_comes_first(nothing_for_2, 1);
}

/* Those who had promised the first file come back without their disks: nobody can have it any more,
 * and the second one need not wait. */
static void test_a_file_that_nobody_has_any_more_binds_nobody(void **state) {
    struct sim *sim = second_file_comes(no_agreement_for_2, false, 8);
    const uint64_t first = sim->config[1].membership.digest;
    (void)state;

    node_bury(sim, 0);
    node_return(sim, 0, 0);
    sim_run(sim, 15);
    assert_int_equal(config_of(sim, 2).pending_digest, first); /* 1 has promised it */
    node_bury(sim, 1);
    sim_run(sim, 30);
    assert_int_equal(config_of(sim, 2).pending_digest, first); /* and may come back with it */
    assert_int_equal(sim->count[COUNT_ALONE], 0);
    node_return(sim, 1, 0);
    sim_run(sim, 35);
    assert_int_equal(config_of(sim, 2).pending_digest, sim->config[2].membership.digest);
    assert_int_equal(sim->count[COUNT_ALONE], 1);
    node_load_file(sim, 0, 2);
    node_load_file(sim, 1, 2);
    sim_run(sim, 90);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].config, 2);
    }
    finish(sim);
}

static void test_new_nodes_found_a_cluster(void **state) {
    struct sim *sim = calloc(1, sizeof *sim);
    struct core_timers timers = core_timers_default();
    (void)state;

    assert_non_null(sim);
    sim->new_nodes = true;
    sim_start(sim, 1, 3, thirty, 2, 50, &timers);
    sim->hold_s = 1e6;
    node_host_crash(sim, 2, 10);
    want(sim, 0, 60);
    sim_run(sim, 9);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node_cap(sim, i, 0), 0); /* not even the reserve, and nobody stands */
        assert_int_equal(core_stats(sim->node[i].core).takeovers, 0);
    }
    sim_run(sim, 25);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->node[i].epoch, 1);
        assert_true(has_session(sim, i));
    }
    assert_int_equal(in_use(sim, 0), 20);
    finish(sim);
}

static void test_a_new_node_adopts_what_is_committed(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    node_bury(sim, 2);
    sim->node[2].vouched = 0; /* nobody vouched: its part drains as that of any lost member */
    sim_run(sim, 6);
    node_return(sim, 2, 0);
    sim_run(sim, 7.9);
    assert_int_equal(node_cap(sim, 2, 0), 0);
    sim_run(sim, 30);
    assert_int_equal(sim->node[2].epoch, 1);
    assert_true(has_session(sim, 2));
    assert_int_equal(node_cap(sim, 2, 0), 10);
    finish(sim);
}

/* It was down while the others went on without it (somebody vouched for its death, wrongly). */
static void test_a_file_that_is_not_here(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    const int32_t sixty[] = {60, 60};
    (void)state;

    sim_run(sim, 5);
    node_host_crash(sim, 2, 30);
    sim_add_config(sim, 7, sixty);
    sim_run(sim, 20);
    for (int i = 0; i < 2; i++) {
        node_load(sim, i);
        assert_true(core_vouch_dead(sim->node[i].core, sim_local(sim, i), sim->node[2].hash));
    }
    sim_run(sim, 34);
    assert_int_equal(sim->epoch, 2);
    sim_run(sim, 45);
    assert_int_equal(config_of(sim, 2).foreign, 2);
    assert_int_equal(config_of(sim, 2).foreign_digest, sim->config[1].membership.digest);
    assert_false(has_session(sim, 2));
    assert_int_equal(node_cap(sim, 2, 0), 5);
    node_load(sim, 2); /* the file is copied there */
    sim_run(sim, 60);
    assert_int_equal(sim->node[2].epoch, 2);
    assert_int_equal(config_of(sim, 2).foreign, 0);
    assert_int_equal(node_cap(sim, 2, 0), 20);
    finish(sim);
}

static void test_nobody_is_dead_who_was_just_heard(void **state) {
    struct sim *sim = world(3, 30, 50, 0);
    (void)state;

    sim_run(sim, 5);
    assert_false(core_vouch_dead(sim->node[0].core, sim_local(sim, 0), sim->node[2].hash));
    assert_false(core_vouch_dead(sim->node[0].core, sim_local(sim, 0), sim->node[0].hash));
    assert_false(core_vouch_dead(sim->node[0].core, sim_local(sim, 0), 12345));
    finish(sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_limit_waits_for_all),
        cmocka_unit_test(test_members_come_and_go),
        cmocka_unit_test(test_one_that_was_removed_spreads_the_commit),
        cmocka_unit_test(test_a_dead_member_goes_when_somebody_vouches),
        cmocka_unit_test(test_the_lowest_limit_counts),
        cmocka_unit_test(test_a_wrong_file_is_replaced_and_withdrawn),
        cmocka_unit_test(test_the_way_out_of_a_promise),
        cmocka_unit_test(test_a_file_waits_behind_what_others_have_promised),
        cmocka_unit_test(test_a_file_goes_for_what_others_have_promised),
        cmocka_unit_test(test_a_file_that_nobody_has_any_more_binds_nobody),
        cmocka_unit_test(test_new_nodes_found_a_cluster),
        cmocka_unit_test(test_a_new_node_adopts_what_is_committed),
        cmocka_unit_test(test_a_file_that_is_not_here),
        cmocka_unit_test(test_nobody_is_dead_who_was_just_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
