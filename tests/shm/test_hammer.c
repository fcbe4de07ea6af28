/* SPDX-License-Identifier: MIT */
/* Many threads of many processes at one limit. The test keeps books of its own: a thread adds one
 * after it was given a slot and subtracts one before it gives it back, so the books never show
 * more than are held. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "support.h"

enum { PROCESSES = 6, THREADS = 4, LIMIT = 5, ROUNDS = 3000, HELD = 0, OVER = 1, READY = 2 };

static const char limits[] = "[node]\nname = mta1\ncounters = 64\nowners = 200\nslots = 4096\n"
                             "[host \"hot\"]\ncluster_max_outbound_connections = 5\n";

struct worker {
    struct place *place;
    slotshare *handle;
    uint32_t seed;
    int taken, failed;
};

static void use(struct worker *worker, const slotshare_slot slot) {
    if (board_add(worker->place, HELD, 1) > LIMIT) {
        board_add(worker->place, OVER, 1);
    }
    if (chance(&worker->seed) % 8 == 0) {
        (void)usleep(chance(&worker->seed) % 200);
    }
    board_add(worker->place, HELD, -1);
    worker->failed += slotshare_release(worker->handle, slot) != SLOTSHARE_OK;
    worker->taken++;
}

static void *work(void *arg) {
    struct worker *worker = arg;
    const struct slotshare_connection hot = to_host("hot");
    slotshare_counter counter;
    worker->failed += slotshare_counter_find(worker->handle, &hot, &counter) != SLOTSHARE_OK;
    for (int i = 0; i < ROUNDS; i++) {
        slotshare_slot slot;
        int result = SLOTSHARE_FULL;
        switch (chance(&worker->seed) % 3) {
        case 0:
            result = slotshare_acquire(worker->handle, &hot, &slot);
            break;
        case 1:
            result = slotshare_counter_acquire(worker->handle, counter, &slot);
            break;
        default:
            result = slotshare_acquire_wait(worker->handle, &hot, &slot, 1);
            break;
        }
        if (result == SLOTSHARE_OK) {
            use(worker, slot);
        } else {
            worker->failed += result != SLOTSHARE_FULL;
        }
    }
    return NULL;
}

static bool hammer(struct place *place, int number) {
    slotshare *handle = NULL;
    struct worker worker[THREADS];
    pthread_t thread[THREADS];
    CHECK(place_try(place, &handle, true, false) == SLOTSHARE_OK);
    board_add(place, READY, 1);
    board_await(place, READY, PROCESSES);
    for (int i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){
            .place = place, .handle = handle, .seed = (uint32_t)(number * THREADS + i + 1)};
        CHECK(pthread_create(&thread[i], NULL, work, &worker[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        CHECK(worker[i].failed == 0);
        CHECK(worker[i].taken > 0);
    }
    slotshare_close(handle);
    return true;
}

static void never_over_the_limit(void **state) {
    struct place *place = *state;
    pid_t pid[PROCESSES];
    place_config(place, limits);
    for (int i = 0; i < PROCESSES; i++) {
        pid[i] = child_start(place, hammer, i);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(child_end(place, pid[i]), 0);
    }
    assert_int_equal(board_get(place, OVER), 0);
    assert_int_equal(board_get(place, HELD), 0);
    slotshare *handle = place_open(place);
    const struct slotshare_counter_stat stat = stat_of(handle, "host:hot");
    assert_int_equal(stat.in_use, 0);
    assert_int_equal(stat.peak, LIMIT);
    assert_int_equal(stat.waiting, 0);
    assert_int_equal(segment_of(handle).slots_used, 0);
    assert_int_equal(segment_of(handle).owners_used, 1);
    assert_int_equal(segment_of(handle).reaps, 0);
    slotshare_close(handle);
}

/* ---- with deaths ----------------------------------------------------------------------------- */

enum { CHILDREN = 8, KILLS = 60 };

static bool take_and_give_for_ever(struct place *place, int number) {
    (void)number;
    slotshare *handle = NULL;
    const struct slotshare_connection hot = to_host("hot");
    CHECK(place_try(place, &handle, true, false) == SLOTSHARE_OK);
    for (;;) {
        slotshare_slot slot;
        const int result = slotshare_acquire_wait(handle, &hot, &slot, 20);
        if (result == SLOTSHARE_OK) {
            board_add(place, READY, 1);
            CHECK(slotshare_release(handle, slot) == SLOTSHARE_OK);
        } else {
            CHECK(result == SLOTSHARE_FULL);
        }
    }
}

/* Killed anywhere, again and again, by somebody who does not look. In the end nothing is missing
 * and nothing is left over: exactly the limit can be taken. */
static void killed_anywhere_leaves_nothing(void **state) {
    struct place *place = *state;
    pid_t pid[CHILDREN];
    uint32_t seed = 4711;
    place_config(place, limits);
    slotshare *handle = place_open(place);
    for (int i = 0; i < CHILDREN; i++) {
        pid[i] = child_start(place, take_and_give_for_ever, i);
    }
    for (int i = 0; i < KILLS; i++) {
        const uint32_t victim = chance(&seed) % CHILDREN;
        board_await(place, READY, board_get(place, READY) + 1 + chance(&seed) % 100);
        assert_int_equal(child_kill(place, pid[victim], SIGKILL), -SIGKILL);
        pid[victim] = child_start(place, take_and_give_for_ever, (int)victim);
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(child_kill(place, pid[i], SIGKILL), -SIGKILL);
    }
    const struct slotshare_connection hot = to_host("hot");
    slotshare_slot slot[LIMIT + 1];
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(slotshare_acquire_wait(handle, &hot, &slot[i], -1), SLOTSHARE_OK);
    }
    assert_int_equal(slotshare_acquire_wait(handle, &hot, &slot[LIMIT], 300), SLOTSHARE_FULL);
    const struct slotshare_counter_stat stat = stat_of(handle, "host:hot");
    assert_int_equal(stat.in_use, LIMIT);
    assert_int_equal(stat.peak, LIMIT);
    assert_int_equal(segment_of(handle).slots_used, LIMIT);
    assert_int_equal(segment_of(handle).owners_used, 1);
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(never_over_the_limit, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(killed_anywhere_leaves_nothing, place_setup,
                                        place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
