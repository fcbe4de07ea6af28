/* SPDX-License-Identifier: MIT */
/* One bridge after another on the same segment: what the next one finds, and who is refused. */
#include <signal.h>
#include <unistd.h>

#include "support.h"

#define MEMBERS                                                                                    \
    "[cluster]\ntls = off\nreplicate = outbound_domains\nmember mta1 = tcp://127.0.0.1:7001\n"     \
    "member mta2 = tcp://127.0.0.1:7002\nwitness quorum = tcp://127.0.0.1:7003\n"
static const char clustered[] =
    NODE_SMALL MEMBERS "[host \"edge\"]\ncluster_max_outbound_connections = 24\n";
static const char changed[] =
    NODE_SMALL MEMBERS "[host \"edge\"]\ncluster_max_outbound_connections = 6\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, clustered);
    }
    return result;
}

static void assert_says(const struct place *place, const char *words) {
    if (!strstr(place->error, words)) {
        fail_msg("'%s' does not say '%s'", place->error, words);
    }
}

static bool serve(struct place *place, int argument) {
    struct control *control = NULL;
    uint32_t index;
    CHECK(bridge_try(place, &control, NULL) == SLOTSHARE_OK);
    CHECK(control_counter_find(control, "host:edge", &index) == SLOTSHARE_OK);
    CHECK(control_share_set(control, index, argument, 40 + (uint64_t)argument) >= 0);
    board_add(place, 0, 1);
    board_await(place, 1, 1);
    return true;
}

static void a_second_bridge_is_refused(void **state) {
    struct place *place = *state;
    struct control *control;
    const pid_t pid = child_start(place, serve, 9);
    board_await(place, 0, 1);
    assert_int_equal(bridge_try(place, &control, NULL), SLOTSHARE_EBUSY);
    assert_null(control);
    assert_says(place, "another slotshare-bridge serves this segment");
    assert_int_equal(child_kill(place, pid, SIGKILL), -SIGKILL);
    control = bridge_open(place);
    struct control *second;
    assert_int_equal(bridge_try(place, &second, NULL), SLOTSHARE_EBUSY); /* nor in this process */
    control_close(control);
    control_close(bridge_open(place));
    control_close(NULL);
}

static void a_successor_finds_what_was_set(void **state) {
    struct place *place = *state;
    for (int round = 1; round <= 3; round++) {
        const pid_t pid = child_start(place, serve, 10 + round);
        board_await(place, 0, round);
        assert_int_equal(child_kill(place, pid, SIGKILL), -SIGKILL);
        struct control *control = bridge_open(place);
        uint32_t index;
        struct control_counter counter;
        struct control_memory memory;
        assert_int_equal(control_counter_look(control, "host:edge", &index), SLOTSHARE_OK);
        assert_int_equal(control_counter_read(control, index, &counter), SLOTSHARE_OK);
        assert_true(counter.record);
        assert_int_equal(counter.share, 10 + round);
        assert_int_equal(counter.grant, 50 + round);
        assert_int_equal(counter.home, 12);
        assert_int_equal(counter.reserve, 3); /* 25% of 24 in two parts: a witness holds none */
        control_memory_load(control, &memory);
        assert_int_equal(memory.generation, 2 * round);
        assert_int_equal(control_counter_look(control, "host:other", &index), SLOTSHARE_EINVAL);
        control_close(control);
    }
}

static void memory_round_trip(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    const uint64_t incarnation = control_incarnation(control);
    const uint64_t created = control_created(control);
    struct control_memory memory;
    control_memory_load(control, &memory);
    struct control_memory fresh = {.generation = 1};
    assert_memory_equal(&memory, &fresh, sizeof memory);
    assert_true(created <= control_now());
    uint64_t *word = (uint64_t *)(void *)&memory;
    for (uint64_t round = 1; round <= 5; round++) {
        struct control_memory again;
        for (size_t i = 1; i < sizeof memory / sizeof *word; i++) {
            word[i] = round << 56 | i;
        }
        control_memory_store(control, &memory);
        control_memory_load(control, &again);
        assert_memory_equal(&again, &memory, sizeof memory);
        control_close(control);
        control = bridge_open(place);
        control_memory_load(control, &again);
        memory.generation++;
        assert_memory_equal(&again, &memory, sizeof memory);
        assert_true(control_incarnation(control) == incarnation);
        assert_true(control_created(control) == created);
    }
    control_close(control);
}

static void another_configuration(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    const uint64_t before = control_incarnation(control);
    control_close(control);
    slotshare *handle = NULL;
    assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_OK);
    place_config(place, changed);
    assert_int_equal(bridge_try(place, &control, NULL), SLOTSHARE_EBUSY);
    assert_says(place, "another configuration");
    assert_says(place, "shmstat names them");
    assert_true(segment_of(handle).incarnation == before); /* nothing happened to it */
    place_config(place, clustered);
    control_close(bridge_open(place));
    slotshare_close(handle);
    slotshare *watch = place_watch(place); /* whoever only looks holds nobody up */
    place_config(place, changed);
    control = bridge_open(place);
    assert_true(control_incarnation(control) != before);
    struct slotshare_segment_stat stat;
    assert_int_equal(slotshare_stat_segment(watch, &stat), SLOTSHARE_EGONE);
    assert_true(stat.incarnation == before);
    slotshare_close(watch);
    uint32_t index;
    struct control_counter counter;
    assert_int_equal(control_counter_find(control, "host:edge", &index), SLOTSHARE_OK);
    assert_int_equal(control_counter_read(control, index, &counter), SLOTSHARE_OK);
    assert_int_equal(counter.limit, 6);
    assert_false(counter.record);
    control_close(control);
}

static bool wait_for_ever(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection edge = to_host("edge");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < 3; i++) { /* the reserve */
        CHECK(slotshare_acquire(handle, &edge, &slot) == SLOTSHARE_OK);
    }
    CHECK(slotshare_acquire_wait(handle, &edge, &slot, -1) == SLOTSHARE_EGONE);
    CHECK(slotshare_release(handle, slot) == SLOTSHARE_OK); /* of the last one that was taken */
    slotshare_close(handle);
    return true;
}

static void a_removed_segment_admits_nothing(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *handle = NULL;
    slotshare_counter counter;
    slotshare_slot slot;
    struct slotshare_explanation explanation;
    const struct slotshare_connection edge = to_host("edge");
    assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_find(handle, &edge, &counter), SLOTSHARE_OK);
    const pid_t pid = child_start(place, wait_for_ever, 0);
    while (stat_of(handle, "host:edge").waiting != 1) {
        nap();
    }
    assert_true(control_still_there(control));
    assert_int_equal(unlink(place->segment), 0);
    assert_false(control_still_there(control));
    assert_int_equal(child_end(place, pid), 0);
    assert_int_equal(slotshare_acquire(handle, &edge, &slot), SLOTSHARE_EGONE);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot), SLOTSHARE_EGONE);
    assert_int_equal(slotshare_counter_find(handle, &edge, &counter), SLOTSHARE_EGONE);
    assert_int_equal(slotshare_explain(handle, &edge, &explanation), SLOTSHARE_EGONE);
    slotshare_close(handle);
    control_close(control);
}

static bool hold_two(struct place *place, int argument) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection edge = to_host("edge");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < argument; i++) {
        CHECK(slotshare_acquire(handle, &edge, &slot) == SLOTSHARE_OK);
    }
    return true;
}

static void the_bridge_reaps(void **state) {
    struct place *place = *state;
    struct control *control = bridge_open(place);
    slotshare *watch = place_watch(place);
    uint32_t given = 0;
    assert_int_equal(child_end(place, child_start(place, hold_two, 2)), 0);
    assert_int_equal(stat_of(watch, "host:edge").in_use, 2);
    while (given == 0) {
        given = control_reap(control);
        nap();
    }
    assert_int_equal(given, 2);
    assert_int_equal(stat_of(watch, "host:edge").in_use, 0);
    assert_int_equal(segment_of(watch).reaps, 1);
    slotshare_close(watch);
    control_close(control);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_bridge_is_refused, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_successor_finds_what_was_set, setup, place_teardown),
        cmocka_unit_test_setup_teardown(memory_round_trip, setup, place_teardown),
        cmocka_unit_test_setup_teardown(another_configuration, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_removed_segment_admits_nothing, setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_bridge_reaps, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
