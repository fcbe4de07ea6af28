/* SPDX-License-Identifier: MIT */
/* The bridge's side of the segment: the opening deal, the session, shares, what it remembers. */

#include "support.h"

#define MEMBERS                                                                                    \
    "[cluster]\ntls = off\nreplicate = outbound_domains\nmember mta1 = tcp://127.0.0.1:7001\n"     \
    "member mta2 = tcp://127.0.0.1:7002\nmember mta3 = tcp://127.0.0.1:7003\n"
#define LIMITS "[host \"edge\"]\ncluster_max_outbound_connections = 24\n"
static const char clustered[] = NODE_SMALL MEMBERS LIMITS;

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, clustered);
    }
    return result;
}

static slotshare *worker(struct place *place) {
    slotshare *handle = NULL;
    assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_OK);
    return handle;
}

static uint32_t edge_of(struct control *control) {
    uint32_t index = UINT32_MAX;
    assert_int_equal(control_counter_find(control, "host:edge", &index), SLOTSHARE_OK);
    return index;
}

static struct control_counter read_edge(struct control *control) {
    struct control_counter counter;
    assert_int_equal(control_counter_read(control, edge_of(control), &counter), SLOTSHARE_OK);
    assert_string_equal(counter.name, "host:edge");
    return counter;
}

static void session_until(struct control *control, uint64_t end) {
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = end;
    control_memory_store(control, &memory);
}

/* Take until it is refused. @return how many. */
static int take_all(slotshare *handle, slotshare_slot *slot) {
    const struct slotshare_connection edge = to_host("edge");
    int taken = 0;
    int result = SLOTSHARE_OK;
    while (taken < 30 && (result = slotshare_acquire(handle, &edge, &slot[taken])) == 0) {
        taken++;
    }
    assert_int_equal(result, SLOTSHARE_FULL);
    return taken;
}

static void the_opening_deal_adds_up(void **state) {
    struct place *place = *state;
    int32_t sum[20] = {0};
    for (int node = 1; node <= 3; node++) {
        char text[1024];
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", node);
        (void)snprintf(text, sizeof text,
                       "[node]\nname = mta%d\ncounters = 64\nowners = 8\nslots = 64\n" MEMBERS
                       "[global]\ncluster_max_outbound_connections = 14\n",
                       node);
        place_config(place, text);
        struct control *control = NULL;
        assert_int_equal(bridge_try(place, &control, name), SLOTSHARE_OK);
        for (int i = 0; i < 20; i++) {
            char domain[32];
            uint32_t index;
            struct control_counter counter;
            (void)snprintf(domain, sizeof domain, "domain:d%d.example", i);
            assert_int_equal(control_counter_find(control, domain, &index), SLOTSHARE_OK);
            assert_int_equal(control_counter_read(control, index, &counter), SLOTSHARE_OK);
            assert_int_equal(counter.limit, 14);
            assert_int_equal(counter.reserve, 1); /* 25% of 14, in three parts */
            assert_int_equal(counter.share, counter.home);
            assert_false(counter.record);
            sum[i] += counter.home;
        }
        uint32_t none;
        const char *never[] = {"host:edge", "binding:b", "domain:", "", "domain:a b", "edge"};
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            const int result = control_counter_find(control, never[i], &none);
            /* a host of its own is not limited here, so its counter is one that can be */
            assert_int_equal(result, SLOTSHARE_ENAME);
        }
        control_close(control);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(sum[i], 14);
    }
}

static void without_a_session_the_reserve(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    const struct slotshare_connection edge = to_host("edge");
    struct slotshare_explanation explanation;
    slotshare_slot slot[64];
    assert_int_equal(take_all(handle, slot), 2);
    assert_int_equal(slotshare_explain(handle, &edge, &explanation), SLOTSHARE_OK);
    assert_int_equal(explanation.limit, 24);
    assert_int_equal(explanation.share, 2);
    assert_int_equal(explanation.reserve, 2);
    assert_true(explanation.clustered);
    assert_false(explanation.session || explanation.would_admit);
    assert_non_null(strstr(explanation.reason, "no session"));
    session_until(control, control_now() + 600000);
    assert_int_equal(take_all(handle, slot + 2), 6);
    assert_int_equal(slotshare_explain(handle, &edge, &explanation), SLOTSHARE_OK);
    assert_int_equal(explanation.share, 8);
    assert_true(explanation.session);
    assert_non_null(strstr(explanation.reason, "share of 8 is in use"));
    /* over: nothing is taken away, nothing comes until the reserve has room */
    session_until(control, control_now() - 1000); /* workers' clocks are late by some ms */
    for (int i = 7; i >= 2; i--) {
        slotshare_slot none;
        assert_int_equal(slotshare_acquire(handle, &edge, &none), SLOTSHARE_FULL);
        assert_int_equal(slotshare_release(handle, slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(take_all(handle, slot + 2), 0);
    assert_int_equal(slotshare_release(handle, slot[1]), SLOTSHARE_OK);
    assert_int_equal(take_all(handle, slot + 1), 1);
    session_until(control, control_now() + 600000);
    assert_int_equal(take_all(handle, slot + 2), 6);
    slotshare_close(handle);
    control_close(control);
}

static void shares_go_up_and_down(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    const struct slotshare_connection edge = to_host("edge");
    slotshare_slot slot[64];
    const uint32_t index = edge_of(control);
    session_until(control, control_now() + 600000);
    assert_int_equal(control_share_set(control, index, 20, 5), 0);
    assert_int_equal(take_all(handle, slot), 20);
    assert_int_equal(control_share_set(control, index, 3, 6), 20);
    struct control_counter counter = read_edge(control);
    assert_int_equal(counter.share, 3);
    assert_int_equal(counter.home, 8);
    assert_int_equal(counter.in_use, 20);
    assert_int_equal(counter.grant, 6);
    assert_true(counter.record);
    for (int i = 19; i >= 3; i--) {
        slotshare_slot none;
        assert_int_equal(slotshare_acquire(handle, &edge, &none), SLOTSHARE_FULL);
        assert_int_equal(slotshare_release(handle, slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(take_all(handle, slot + 3), 0);
    assert_true(control_share_set(control, index, -1, 7) < 0);
    assert_true(control_share_set(control, index, CONF_LIMIT_MAX + 1, 7) < 0);
    assert_true(control_share_set(control, 64000000, 1, 7) < 0);
    assert_int_equal(read_edge(control).grant, 6);
    assert_int_equal(control_share_set(control, index, 0, 7), 3); /* the reserve is not touched */
    assert_int_equal(slotshare_release(handle, slot[2]), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(handle, slot[1]), SLOTSHARE_OK);
    assert_int_equal(take_all(handle, slot + 1), 1);
    slotshare_close(handle);
    control_close(control);
}

static bool wait_for_edge(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection edge = to_host("edge");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire_wait(handle, &edge, &slot, -1) == SLOTSHARE_OK);
    slotshare_close(handle);
    return true;
}

/* What wakes a waiter: a share that grows, a session that comes back. */
static void waiters_are_woken_by_the_bridge(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    slotshare_slot slot[64];
    const uint32_t index = edge_of(control);
    assert_int_equal(take_all(handle, slot), 2);
    for (int round = 0; round < 2; round++) {
        const pid_t pid = child_start(place, wait_for_edge, 0);
        while (stat_of(handle, "host:edge").waiting != 1) {
            nap();
        }
        assert_true(read_edge(control).wants >= read_edge(control).in_use + 1);
        if (round == 0) {
            session_until(control, control_now() + 600000);
        } else {
            assert_int_equal(control_share_set(control, index, 3, 2), 2);
        }
        assert_int_equal(child_end(place, pid), 0);
        assert_int_equal(control_share_set(control, index, 2, 1), 2);
    }
    slotshare_close(handle);
    control_close(control);
}

/* ---- what is refused is wanted -----------------------------------------------------------------
 */

static int note_wanted(const struct control_counter *counter, void *arg) {
    struct control_counter *last = arg;
    const uint32_t times = last->index + 1;
    *last = *counter;
    last->index = times;
    return 0;
}

static void a_refused_take_rings_and_is_wanted_once(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    slotshare_slot slot[64];
    struct control_counter seen = {0};
    assert_false(control_doorbell_wait(control, 0));
    control_each_wanted(control, note_wanted, &seen);
    assert_int_equal(seen.index, 0);
    assert_int_equal(take_all(handle, slot), 2);
    assert_true(control_doorbell_wait(control, -1));
    assert_false(control_doorbell_wait(control, 0));
    control_each_wanted(control, note_wanted, &seen);
    assert_int_equal(seen.index, 1);
    assert_int_equal(seen.in_use, 2);
    assert_int_equal(seen.wants, 3);
    control_each_wanted(control, note_wanted, &seen);
    assert_int_equal(seen.index, 1); /* once */
    assert_int_equal(take_all(handle, slot + 2), 0);
    control_each_wanted(control, note_wanted, &seen);
    assert_int_equal(seen.index, 2);
    control_doorbell_ring(control);
    assert_true(control_doorbell_wait(control, 0));
    slotshare_close(handle);
    control_close(control);
}

/* Somebody on another node may wait for each slot above the share. */
static void what_is_given_back_above_the_share_rings(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    slotshare_slot slot[64];
    const uint32_t index = edge_of(control);
    struct control_counter seen = {0};
    session_until(control, control_now() + 600000);
    assert_int_equal(control_share_set(control, index, 4, 1), 0);
    assert_int_equal(take_all(handle, slot), 4);
    control_each_wanted(control, note_wanted, &seen); /* of the take that was refused */
    (void)control_doorbell_wait(control, 0);
    assert_int_equal(control_share_set(control, index, 2, 2), 4);
    for (int32_t left = 3; left >= 2; left--) {
        assert_int_equal(slotshare_release(handle, slot[left]), SLOTSHARE_OK);
        assert_true(control_doorbell_wait(control, 0));
        control_each_wanted(control, note_wanted, &seen);
        assert_int_equal(seen.in_use, left);
    }
    /* Within the share it is nobody else's business. */
    assert_int_equal(slotshare_release(handle, slot[1]), SLOTSHARE_OK);
    assert_false(control_doorbell_wait(control, 0));
    slotshare_close(handle);
    control_close(control);
}

static int count_visit(const struct control_counter *counter, void *arg) {
    (void)counter;
    ++*(int *)arg;
    return 0;
}

static void walks(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = worker(place);
    slotshare_slot slot[64];
    int used = 0;
    int over = 0;
    int records = 0;
    session_until(control, control_now() + 600000);
    assert_int_equal(take_all(handle, slot), 8);
    const struct slotshare_connection open = to_domain("unlimited.example");
    assert_int_equal(slotshare_acquire(handle, &open, &slot[8]), SLOTSHARE_OK);
    control_each_busy(control, count_visit, &used);
    assert_int_equal(used, 2);
    control_each_over_reserve(control, count_visit, &over);
    assert_int_equal(over, 1);
    control_each_record(control, count_visit, &records);
    assert_int_equal(records, 0);
    assert_int_equal(control_share_set(control, edge_of(control), 8, 1), 8);
    control_each_record(control, count_visit, &records);
    assert_int_equal(records, 1);
    control_record_drop(control, edge_of(control));
    control_each_record(control, count_visit, &records);
    assert_int_equal(records, 1);
    slotshare_close(handle);
    control_close(control);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_opening_deal_adds_up, setup, place_teardown),
        cmocka_unit_test_setup_teardown(without_a_session_the_reserve, setup, place_teardown),
        cmocka_unit_test_setup_teardown(shares_go_up_and_down, setup, place_teardown),
        cmocka_unit_test_setup_teardown(waiters_are_woken_by_the_bridge, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_refused_take_rings_and_is_wanted_once, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(what_is_given_back_above_the_share_rings, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(walks, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
