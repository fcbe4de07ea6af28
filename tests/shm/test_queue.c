/* SPDX-License-Identifier: MIT */
/* Slots for event loops. */
#include "support.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static const struct slotshare_connection one = {NULL, NULL, "one"};

static bool readable(const slotshare_queue *queue, int timeout_ms) {
    struct pollfd wait = {.fd = slotshare_queue_fd(queue), .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1;
}

static slotshare *open_limited(struct place *place) {
    place_config(place, "[node]\nname = mta1\ncounters = 64\nowners = 8\nslots = 128\n"
                        "[host \"one\"]\ncluster_max_outbound_connections = 1\n"
                        "[host \"none\"]\ncluster_max_outbound_connections = 0\n");
    return place_open(place);
}

static void first_come_first_served(void **state) {
    slotshare *handle = open_limited(*state);
    slotshare_queue *queue;
    slotshare_slot held;
    int cookie[3];
    struct slotshare_ready ready;
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &one, &held), SLOTSHARE_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(slotshare_queue_add(queue, &one, &cookie[i], -1), SLOTSHARE_OK);
    }
    assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_FULL);
    assert_false(readable(queue, 50));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(slotshare_release(handle, held), SLOTSHARE_OK);
        assert_true(readable(queue, 10000));
        assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_OK);
        assert_ptr_equal(ready.cookie, &cookie[i]);
        assert_int_equal(ready.result, SLOTSHARE_OK);
        assert_false(readable(queue, 0));
        held = ready.slot;
    }
    assert_int_equal(slotshare_release(handle, held), SLOTSHARE_OK);
    slotshare_queue_close(queue);
    slotshare_close(handle);
}

static void late_withdrawn_and_unfetched(void **state) {
    slotshare *handle = open_limited(*state);
    slotshare_queue *queue;
    slotshare_slot held;
    int cookie[4];
    struct slotshare_ready ready;
    const struct slotshare_connection none = {NULL, NULL, "none"};
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &one, &held), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &none, &cookie[0], 30), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &one, &cookie[1], -1), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &one, &cookie[2], -1), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_cancel(queue, &cookie[1]), 1);
    assert_int_equal(slotshare_queue_cancel(queue, &cookie[1]), 0);
    assert_true(readable(queue, 10000)); /* the first one's time is over */
    assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_OK);
    assert_ptr_equal(ready.cookie, &cookie[0]);
    assert_int_equal(ready.result, SLOTSHARE_FULL);
    assert_int_equal(slotshare_release(handle, held), SLOTSHARE_OK);
    assert_true(readable(queue, 10000));
    assert_int_equal(slotshare_queue_cancel(queue, &cookie[2]), 1); /* taken, and given back */
    assert_int_equal(slotshare_acquire_wait(handle, &one, &held, 10000), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &one, &cookie[3], -1), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(handle, held), SLOTSHARE_OK);
    assert_true(readable(queue, 10000));
    slotshare_queue_close(queue); /* gives back what was not fetched */
    assert_int_equal(slotshare_acquire(handle, &one, &held), SLOTSHARE_OK);
    slotshare_close(handle);
}

static bool hold_and_sleep(struct place *place, int hold) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    (void)hold;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire(handle, &one, &slot) == SLOTSHARE_OK);
    board_set(place, 0, 1);
    (void)pause();
    return true;
}

/* The holder is killed and nobody else asks: the queue itself notices. */
static void a_dead_holder(void **state) {
    struct place *place = *state;
    slotshare *handle = open_limited(place);
    slotshare_queue *queue;
    struct slotshare_ready ready;
    pid_t holder = child_start(place, hold_and_sleep, 0);
    board_await(place, 0, 1);
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &one, NULL, -1), SLOTSHARE_OK);
    assert_false(readable(queue, 200));
    assert_int_equal(child_kill(place, holder, SIGKILL), -SIGKILL);
    assert_true(readable(queue, 10000));
    assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_OK);
    assert_int_equal(ready.result, SLOTSHARE_OK);
    slotshare_queue_close(queue);
    slotshare_close(handle);
}

static void arguments(void **state) {
    slotshare *handle = open_limited(*state);
    slotshare_queue *queue;
    const struct slotshare_connection bad = {NULL, NULL, "a b"};
    assert_int_equal(slotshare_queue_open(NULL, &queue), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_queue_open(handle, NULL), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    assert_int_equal(slotshare_queue_add(queue, &bad, NULL, -1), SLOTSHARE_ENAME);
    assert_int_equal(slotshare_queue_add(queue, NULL, NULL, -1), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_queue_next(queue, NULL), SLOTSHARE_EINVAL);
    slotshare_queue_close(queue);
    slotshare_queue_close(NULL);
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_come_first_served, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(late_withdrawn_and_unfetched, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_dead_holder, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(arguments, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
