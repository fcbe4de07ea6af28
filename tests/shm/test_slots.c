/* SPDX-License-Identifier: MIT */
/* Taking and giving back, seen by a caller: what is counted, what is refused, what is stale. */
#include <pthread.h>
#include <unistd.h>

#include "support.h"

static const char limits[] = NODE_SMALL "[host \"two\"]\ncluster_max_outbound_connections = 2\n"
                                        "[host \"closed\"]\ncluster_max_outbound_connections = 0\n"
                                        "[host \"open\"]\ncluster_max_outbound_connections = -1\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, limits);
    }
    return result;
}

static void limit_is_kept_exactly(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot[3];
    for (int round = 0; round < 100; round++) {
        assert_int_equal(slotshare_acquire(handle, &two, &slot[0]), SLOTSHARE_OK);
        assert_int_equal(slotshare_acquire(handle, &two, &slot[1]), SLOTSHARE_OK);
        assert_int_equal(slotshare_acquire(handle, &two, &slot[2]), SLOTSHARE_FULL);
        assert_int_equal(slotshare_release(handle, slot[round % 2]), SLOTSHARE_OK);
        assert_int_equal(slotshare_acquire(handle, &two, &slot[2]), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, slot[1 - round % 2]), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, slot[2]), SLOTSHARE_OK);
    }
    const struct slotshare_counter_stat stat = stat_of(handle, "host:two");
    assert_int_equal(stat.in_use, 0);
    assert_int_equal(stat.peak, 2);
    assert_int_equal(stat.takes, 300);
    assert_int_equal(stat.refusals, 100);
    slotshare_close(handle);
}

/* Takes from a counter that others use are counted some time later, but all of them. */
static void takes_of_many_are_all_counted(void **state) {
    enum { ROUNDS = 100, USERS = 3 };
    slotshare *user[USERS]; /* each is an owner of its own */
    const struct slotshare_connection two = to_host("two");
    for (int i = 0; i < USERS; i++) {
        user[i] = place_open(*state);
    }
    for (int round = 0; round < ROUNDS * USERS; round++) {
        slotshare_slot slot;
        slotshare *handle = user[round % USERS];
        assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    }
    for (int i = 0; i < USERS; i++) {
        slotshare_close(user[i]);
    }
    slotshare *handle = place_open(*state);
    const struct slotshare_counter_stat stat = stat_of(handle, "host:two");
    assert_int_equal(stat.takes, ROUNDS * USERS);
    assert_int_equal(stat.in_use, 0);
    assert_int_equal(stat.peak, 1);
    slotshare_close(handle);
}

static void closed_and_unlimited(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection closed = to_host("closed");
    slotshare_slot slot[200];
    assert_int_equal(slotshare_acquire(handle, &closed, &slot[0]), SLOTSHARE_FULL);
    assert_int_equal(stat_of(handle, "host:closed").in_use, 0);
    const struct slotshare_connection open[2] = {to_host("open"), to_domain("nobody.limits.it")};
    const char *name[2] = {"host:open", "domain:nobody.limits.it"};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 200; j++) {
            assert_int_equal(slotshare_acquire(handle, &open[i], &slot[j]), SLOTSHARE_OK);
        }
        assert_int_equal(stat_of(handle, name[i]).in_use, 200);
        assert_int_equal(stat_of(handle, name[i]).limit, SLOTSHARE_UNLIMITED);
        for (int j = 0; j < 200; j++) {
            assert_int_equal(slotshare_release(handle, slot[j]), SLOTSHARE_OK);
        }
        assert_int_equal(stat_of(handle, name[i]).in_use, 0);
    }
    slotshare_close(handle);
}

static void one_counter_for_a_host_over_bindings(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection connection[3] = {
        {"bulk", "example.com", "TWO."}, {"news", "example.net", "two"}, {NULL, NULL, "Two"}};
    slotshare_slot slot[3];
    assert_int_equal(slotshare_acquire(handle, &connection[0], &slot[0]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &connection[1], &slot[1]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &connection[2], &slot[2]), SLOTSHARE_FULL);
    assert_int_equal(stat_of(handle, "host:two").in_use, 2);
    slotshare_close(handle);
}

static void given_back_twice_or_never_taken(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    slotshare_slot next;
    assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_ESTALE);
    assert_int_equal(slotshare_acquire(handle, &two, &next), SLOTSHARE_OK);
    assert_int_equal(next.record, slot.record); /* the same record in its next life */
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_ESTALE);
    const slotshare_slot wrong[] = {{0, 0},
                                    {next.record, next.tag + 1},
                                    {next.record, next.tag & ~UINT64_C(3)},
                                    {next.record + 1, next.tag},
                                    {100000, next.tag},
                                    {next.record | UINT64_C(1) << 32, next.tag},
                                    {UINT64_MAX, UINT64_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(slotshare_release(handle, wrong[i]), SLOTSHARE_ESTALE);
    }
    assert_int_equal(stat_of(handle, "host:two").in_use, 1);
    assert_int_equal(slotshare_release(handle, next), SLOTSHARE_OK);
    slotshare_close(handle);
}

static bool release_from_board(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    const slotshare_slot slot = {(uint64_t)board_get(place, 0), (uint64_t)board_get(place, 1)};
    CHECK(slotshare_release(handle, slot) == SLOTSHARE_ESTALE);
    slotshare_close(handle);
    return true;
}

static void another_process_cannot_give_it_back(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_OK);
    board_set(place, 0, (int64_t)slot.record);
    board_set(place, 1, (int64_t)slot.tag);
    assert_int_equal(child_end(place, child_start(place, release_from_board, 0)), 0);
    assert_int_equal(stat_of(handle, "host:two").in_use, 1);
    /* nor can another handle of the same process */
    slotshare *other = place_open(place);
    assert_int_equal(slotshare_release(other, slot), SLOTSHARE_ESTALE);
    slotshare_close(other);
    assert_int_equal(stat_of(handle, "host:two").in_use, 1);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    slotshare_close(handle);
}

struct baton {
    slotshare *handle;
    slotshare_slot slot;
    int result;
};

static void *give_back(void *arg) {
    struct baton *baton = arg;
    baton->result = slotshare_release(baton->handle, baton->slot);
    return NULL;
}

static void another_thread_gives_it_back(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    for (int i = 0; i < 50; i++) {
        struct baton baton = {.handle = handle, .result = 1};
        pthread_t thread;
        assert_int_equal(slotshare_acquire(handle, &two, &baton.slot), SLOTSHARE_OK);
        assert_int_equal(pthread_create(&thread, NULL, give_back, &baton), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(baton.result, SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, baton.slot), SLOTSHARE_ESTALE);
        assert_int_equal(stat_of(handle, "host:two").in_use, 0);
    }
    slotshare_close(handle);
}

static void of_two_that_give_back_one_wins(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    for (int i = 0; i < 200; i++) {
        struct baton baton[2] = {{.handle = handle}, {.handle = handle}};
        pthread_t thread[2];
        assert_int_equal(slotshare_acquire(handle, &two, &baton[0].slot), SLOTSHARE_OK);
        baton[1].slot = baton[0].slot;
        for (int j = 0; j < 2; j++) {
            assert_int_equal(pthread_create(&thread[j], NULL, give_back, &baton[j]), 0);
        }
        for (int j = 0; j < 2; j++) {
            assert_int_equal(pthread_join(thread[j], NULL), 0);
        }
        assert_int_equal(baton[0].result + baton[1].result, SLOTSHARE_OK + SLOTSHARE_ESTALE);
        assert_int_equal(stat_of(handle, "host:two").in_use, 0);
    }
    slotshare_close(handle);
}

static void counter_handles(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    slotshare_counter counter;
    slotshare_slot slot[3];
    assert_int_equal(slotshare_counter_find(handle, &two, &counter), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &two, &slot[1]), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot[2]), SLOTSHARE_FULL);
    assert_int_equal(slotshare_counter_acquire_wait(handle, counter, &slot[2], 10), SLOTSHARE_FULL);
    assert_int_equal(slotshare_release(handle, slot[0]), SLOTSHARE_OK);
    slotshare_counter wrong = counter;
    wrong.generation += 2;
    assert_int_equal(slotshare_counter_acquire(handle, wrong, &slot[2]), SLOTSHARE_ESTALE);
    wrong = counter;
    wrong.rules++;
    assert_int_equal(slotshare_counter_acquire(handle, wrong, &slot[2]), SLOTSHARE_ESTALE);
    wrong = counter;
    wrong.index = 1024; /* as many as there can be: 16 times counters */
    assert_int_equal(slotshare_counter_acquire(handle, wrong, &slot[2]), SLOTSHARE_EINVAL);
    wrong.index = UINT32_MAX;
    assert_int_equal(slotshare_counter_acquire(handle, wrong, &slot[2]), SLOTSHARE_EINVAL);
    for (uint32_t i = 0; i < 64; i++) { /* every other entry is no counter now */
        wrong.index = i;
        wrong.generation = i == counter.index ? counter.generation + 1 : counter.generation;
        assert_int_equal(slotshare_counter_acquire(handle, wrong, &slot[2]), SLOTSHARE_ESTALE);
    }
    assert_int_equal(stat_of(handle, "host:two").in_use, 1);
    slotshare_close(handle);
}

static void arguments_that_are_missing(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection two = to_host("two");
    const slotshare_counter counter = {0, 0, 1};
    slotshare_slot slot = {0, 0};
    slotshare_counter found;
    assert_int_equal(slotshare_acquire(NULL, &two, &slot), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_acquire(handle, NULL, &slot), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_acquire(handle, &two, NULL), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_acquire_wait(handle, NULL, &slot, 1), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_counter_find(NULL, &two, &found), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_counter_find(handle, NULL, &found), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_counter_find(handle, &two, NULL), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_counter_acquire(NULL, counter, &slot), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_counter_acquire(handle, counter, NULL), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_release(NULL, slot), SLOTSHARE_EINVAL);
    slotshare_close(NULL);
    slotshare_close(handle);
}

static void names_that_are_refused(void **state) {
    slotshare *handle = place_open(*state);
    char name[SLOTSHARE_DOMAIN_MAX + 2];
    memset(name, 'x', sizeof name);
    name[SLOTSHARE_DOMAIN_MAX] = '\0';
    slotshare_slot slot;
    const struct slotshare_connection longest = {NULL, name, name};
    assert_int_equal(slotshare_acquire(handle, &longest, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    name[SLOTSHARE_DOMAIN_MAX] = 'x';
    name[SLOTSHARE_DOMAIN_MAX + 1] = '\0';
    const struct slotshare_connection refused[] = {
        {name, NULL, NULL},  {NULL, name, NULL},  {NULL, NULL, name},   {NULL, "a b", NULL},
        {NULL, NULL, "a,b"}, {"a\"b", "x", NULL}, {NULL, "a\x01", "x"}, {NULL, "a\n", NULL},
        {NULL, ".", NULL},   {"\x7f", NULL, NULL}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        slotshare_counter counter;
        struct slotshare_explanation explanation;
        assert_int_equal(slotshare_acquire(handle, &refused[i], &slot), SLOTSHARE_ENAME);
        assert_int_equal(slotshare_acquire_wait(handle, &refused[i], &slot, 1), SLOTSHARE_ENAME);
        assert_int_equal(slotshare_counter_find(handle, &refused[i], &counter), SLOTSHARE_ENAME);
        assert_int_equal(slotshare_explain(handle, &refused[i], &explanation), SLOTSHARE_ENAME);
    }
    slotshare_close(handle);
}

static void slot_table_full(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = mta1\ncounters = 64\nowners = 2\nslots = 32\n");
    slotshare *handle = place_open(place);
    const struct slotshare_connection open = to_domain("open");
    slotshare_slot slot[33];
    for (int i = 0; i < 32; i++) {
        assert_int_equal(slotshare_acquire(handle, &open, &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(slotshare_acquire(handle, &open, &slot[32]), SLOTSHARE_ESLOTS);
    assert_int_equal(segment_of(handle).slots_used, 32);
    assert_int_equal(segment_of(handle).slots_max, 32);
    slotshare *other = place_open(place); /* attaches, but has no slot either */
    assert_int_equal(slotshare_acquire(other, &open, &slot[32]), SLOTSHARE_ESLOTS);
    assert_int_equal(slotshare_release(handle, slot[7]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &open, &slot[7]), SLOTSHARE_OK);
    slotshare_close(handle); /* gives them all back */
    assert_int_equal(stat_of(other, "domain:open").in_use, 0);
    assert_int_equal(slotshare_acquire(other, &open, &slot[32]), SLOTSHARE_OK);
    slotshare_close(other);
}

static bool take_and_die(struct place *place, int hold) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection open = to_domain("open");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < 32; i++) {
        CHECK(slotshare_acquire(handle, &open, &slot) == SLOTSHARE_OK);
        CHECK(hold || slotshare_release(handle, slot) == SLOTSHARE_OK);
    }
    return true; /* without closing */
}

/* Also when the dead held nothing any more and only had the records to itself. */
static void slot_records_of_the_dead_are_found(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = mta1\ncounters = 64\nowners = 2\nslots = 32\n");
    slotshare *handle = place_open(place);
    const struct slotshare_connection open = to_domain("open");
    slotshare_slot slot[32];
    for (int round = 0; round < 4; round++) {
        assert_int_equal(child_end(place, child_start(place, take_and_die, round % 2)), 0);
        for (int i = 0; i < 32; i++) {
            assert_int_equal(slotshare_acquire(handle, &open, &slot[i]), SLOTSHARE_OK);
        }
        slotshare_close(handle);
        handle = place_open(place);
    }
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limit_is_kept_exactly, setup, place_teardown),
        cmocka_unit_test_setup_teardown(takes_of_many_are_all_counted, setup, place_teardown),
        cmocka_unit_test_setup_teardown(closed_and_unlimited, setup, place_teardown),
        cmocka_unit_test_setup_teardown(one_counter_for_a_host_over_bindings, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(given_back_twice_or_never_taken, setup, place_teardown),
        cmocka_unit_test_setup_teardown(another_process_cannot_give_it_back, setup, place_teardown),
        cmocka_unit_test_setup_teardown(another_thread_gives_it_back, setup, place_teardown),
        cmocka_unit_test_setup_teardown(of_two_that_give_back_one_wins, setup, place_teardown),
        cmocka_unit_test_setup_teardown(counter_handles, setup, place_teardown),
        cmocka_unit_test_setup_teardown(arguments_that_are_missing, setup, place_teardown),
        cmocka_unit_test_setup_teardown(names_that_are_refused, setup, place_teardown),
        cmocka_unit_test_setup_teardown(slot_table_full, setup, place_teardown),
        cmocka_unit_test_setup_teardown(slot_records_of_the_dead_are_found, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
