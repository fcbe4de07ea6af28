/* SPDX-License-Identifier: MIT */
/* Waiting for a slot: what ends it, and that no wake-up is lost. Each wait that must end is without
 * a time-out; the program's alarm is what a lost wake-up would run into. */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "../../shm/handle.h"
#include "../../shm/wait.h"
#include "support.h"

static const char limits[] = NODE_SMALL "[host \"one\"]\ncluster_max_outbound_connections = 1\n"
                                        "[host \"closed\"]\ncluster_max_outbound_connections = 0\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, limits);
    }
    return result;
}

static bool wait_for_one(struct place *place, int timeout_ms) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection one = to_host("one");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire_wait(handle, &one, &slot, timeout_ms) == SLOTSHARE_OK);
    board_add(place, 0, 1);
    board_await(place, 1, 1);
    CHECK(slotshare_release(handle, slot) == SLOTSHARE_OK);
    slotshare_close(handle);
    return true;
}

static void await_waiters(slotshare *handle, int count) {
    while (stat_of(handle, "host:one").waiting != count) {
        nap();
    }
}

static void woken_by_a_release(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot;
    board_set(place, 1, 1);
    for (int round = 1; round <= 20; round++) {
        assert_int_equal(slotshare_acquire(handle, &one, &slot), SLOTSHARE_OK);
        const pid_t pid = child_start(place, wait_for_one, round % 2 ? -1 : 100000);
        await_waiters(handle, 1);
        struct slotshare_explanation why;
        assert_int_equal(slotshare_explain(handle, &one, &why), SLOTSHARE_OK);
        assert_int_equal(why.waiting, 1);
        assert_int_equal(board_get(place, 0), round - 1);
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
        assert_int_equal(child_end(place, pid), 0);
        assert_int_equal(board_get(place, 0), round);
    }
    assert_int_equal(stat_of(handle, "host:one").waiting, 0);
    slotshare_close(handle);
}

static void woken_by_a_death(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const pid_t holder = child_start(place, wait_for_one, 0);
    board_await(place, 0, 1);
    const pid_t waiter = child_start(place, wait_for_one, -1);
    await_waiters(handle, 1);
    assert_int_equal(child_kill(place, holder, SIGKILL), -SIGKILL);
    board_await(place, 0, 2);
    board_set(place, 1, 1);
    assert_int_equal(child_end(place, waiter), 0);
    assert_int_equal(segment_of(handle).slots_reaped, 1);
    slotshare_close(handle);
}

static void time_out(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection connection[2] = {to_host("one"), to_host("closed")};
    slotshare_slot slot;
    slotshare_slot none;
    assert_int_equal(slotshare_acquire_wait(handle, &connection[0], &slot, 0), SLOTSHARE_OK);
    for (int i = 0; i < 2; i++) {
        struct timespec before;
        struct timespec after;
        assert_int_equal(slotshare_acquire_wait(handle, &connection[i], &none, 0), SLOTSHARE_FULL);
        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &before), 0);
        assert_int_equal(slotshare_acquire_wait(handle, &connection[i], &none, 250),
                         SLOTSHARE_FULL);
        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &after), 0);
        /* not before its time; how much later is the machine's affair */
        assert_true((after.tv_sec - before.tv_sec) * 1000 +
                        (after.tv_nsec - before.tv_nsec) / 1000000 >=
                    249);
    }
    assert_int_equal(stat_of(handle, "host:one").refusals, 2);
    assert_int_equal(stat_of(handle, "host:one").waiting, 0);
    assert_int_equal(stat_of(handle, "host:one").in_use, 1);
    slotshare_close(handle);
}

enum { TURNS = 3000, PLAYERS = 2 };

static bool take_turns(struct place *place, int number) {
    slotshare *handle = NULL;
    const struct slotshare_connection one = to_host("one");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < TURNS; i++) {
        slotshare_slot slot;
        CHECK(slotshare_acquire_wait(handle, &one, &slot, -1) == SLOTSHARE_OK);
        CHECK(board_add(place, 2, 1) == 1);
        if (i % 64 == number) {
            nap();
        }
        CHECK(board_add(place, 2, -1) == 0);
        CHECK(slotshare_release(handle, slot) == SLOTSHARE_OK);
    }
    slotshare_close(handle);
    return true;
}

static void ping_pong_over_one_slot(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    pid_t pid[PLAYERS];
    for (int i = 0; i < PLAYERS; i++) {
        pid[i] = child_start(place, take_turns, i);
    }
    for (int i = 0; i < PLAYERS; i++) {
        assert_int_equal(child_end(place, pid[i]), 0);
    }
    assert_int_equal(stat_of(handle, "host:one").takes, PLAYERS * TURNS);
    assert_int_equal(stat_of(handle, "host:one").peak, 1);
    slotshare_close(handle);
}

static void a_killed_waiter_does_not_swallow_the_wake_up(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot;
    board_set(place, 1, 1);
    for (int round = 1; round <= 10; round++) {
        assert_int_equal(slotshare_acquire_wait(handle, &one, &slot, -1), SLOTSHARE_OK);
        const pid_t victim = child_start(place, wait_for_one, -1);
        await_waiters(handle, 1);
        const pid_t heir = child_start(place, wait_for_one, -1);
        await_waiters(handle, 2);
        assert_int_equal(kill(victim, SIGSTOP), 0); /* the wake-up goes to it ... */
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
        (void)child_kill(place, victim, SIGKILL); /* ... and dies with it */
        assert_int_equal(child_end(place, heir), 0);
    }
    slotshare_close(handle);
}

struct sleeper {
    slotshare *handle;
    int result;
};

static void *sleep_for_one(void *arg) {
    struct sleeper *sleeper = arg;
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot;
    sleeper->result = slotshare_acquire_wait(sleeper->handle, &one, &slot, -1);
    if (sleeper->result == SLOTSHARE_OK) {
        sleeper->result = slotshare_release(sleeper->handle, slot);
    }
    return NULL;
}

static void threads_of_one_process_wait_apart(void **state) {
    enum { SLEEPERS = 8 };
    slotshare *handle = place_open(*state);
    const struct slotshare_connection one = to_host("one");
    struct sleeper sleeper[SLEEPERS];
    pthread_t thread[SLEEPERS];
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &one, &slot), SLOTSHARE_OK);
    for (int i = 0; i < SLEEPERS; i++) {
        sleeper[i] = (struct sleeper){.handle = handle, .result = 1};
        assert_int_equal(pthread_create(&thread[i], NULL, sleep_for_one, &sleeper[i]), 0);
    }
    await_waiters(handle, SLEEPERS);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK); /* from one to the next */
    for (int i = 0; i < SLEEPERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(sleeper[i].result, SLOTSHARE_OK);
    }
    slotshare_close(handle);
}

/* A waiter looks again ten times a second by itself; here is one that does not. */
static void *sleep_long(void *arg) {
    struct counter *counter = arg;
    const uint32_t value = wait_prepare(counter);
    if (word_count(atomic_load(&counter->word)) == 1) {
        wait_sleep(counter, value, 1000000);
    }
    return NULL;
}

static void a_release_rouses_the_sleeper_itself(void **state) {
    slotshare *handle = place_open(*state);
    const struct slotshare_connection one = to_host("one");
    slotshare_counter counter;
    slotshare_slot slot;
    assert_int_equal(slotshare_counter_find(handle, &one, &counter), SLOTSHARE_OK);
    for (int round = 0; round < 200; round++) {
        pthread_t thread;
        assert_int_equal(slotshare_counter_acquire(handle, counter, &slot), SLOTSHARE_OK);
        assert_int_equal(
            pthread_create(&thread, NULL, sleep_long, &handle->segment.counters[counter.index]), 0);
        if (round % 4 == 0) {
            nap(); /* it sleeps by now, most likely; otherwise it is on its way */
        }
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(woken_by_a_release, setup, place_teardown),
        cmocka_unit_test_setup_teardown(woken_by_a_death, setup, place_teardown),
        cmocka_unit_test_setup_teardown(time_out, setup, place_teardown),
        cmocka_unit_test_setup_teardown(ping_pong_over_one_slot, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_killed_waiter_does_not_swallow_the_wake_up, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_release_rouses_the_sleeper_itself, setup, place_teardown),
        cmocka_unit_test_setup_teardown(threads_of_one_process_wait_apart, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
