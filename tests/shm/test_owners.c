/* SPDX-License-Identifier: MIT */
/* Who is alive, and what becomes of the slots of those who are not. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static const char limits[] = NODE_SMALL "[host \"two\"]\ncluster_max_outbound_connections = 2\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, limits);
    }
    return result;
}

/* Take `count` slots of host:two, say so in number[0], and live until number[1] is set. */
static bool hold(struct place *place, int count) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection two = to_host("two");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (int i = 0; i < count; i++) {
        CHECK(slotshare_acquire(handle, &two, &slot) == SLOTSHARE_OK);
    }
    board_add(place, 0, 1);
    board_await(place, 1, 1);
    return true;
}

/* Takes are refused for a while, in which dead owners would be found several times. */
static void assert_stays_full(slotshare *handle) {
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    for (int i = 0; i < 400; i++) {
        assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_FULL);
        nap();
    }
}

/* A take that is refused looks for the dead, at most every tenth of a second over all processes. */
static slotshare_slot acquire_in_time(slotshare *handle) {
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot = {0, 0};
    int result;
    while ((result = slotshare_acquire(handle, &two, &slot)) == SLOTSHARE_FULL) {
        nap();
    }
    assert_int_equal(result, SLOTSHARE_OK);
    return slot;
}

static void slots_of_a_killed_process_come_back(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    for (int round = 1; round <= 5; round++) {
        const pid_t pid = child_start(place, hold, 2);
        board_await(place, 0, round);
        assert_stays_full(handle);
        assert_int_equal(child_kill(place, pid, SIGKILL), -SIGKILL);
        const slotshare_slot slot = acquire_in_time(handle);
        assert_int_equal(stat_of(handle, "host:two").in_use, 1);
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
        assert_int_equal(segment_of(handle).reaps, round);
        assert_int_equal(segment_of(handle).slots_reaped, 2 * round);
        assert_int_equal(segment_of(handle).owners_used, 1);
    }
    slotshare_close(handle);
}

static void a_stopped_process_keeps_its_slots(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const pid_t pid = child_start(place, hold, 2);
    board_await(place, 0, 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    assert_stays_full(handle);
    assert_int_equal(segment_of(handle).reaps, 0);
    assert_int_equal(kill(pid, SIGCONT), 0);
    board_set(place, 1, 1);
    assert_int_equal(child_end(place, pid), 0); /* without closing */
    (void)acquire_in_time(handle);
    assert_int_equal(segment_of(handle).slots_reaped, 2);
    slotshare_close(handle);
}

static void a_zombie_is_dead(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const pid_t pid = child_start(place, hold, 2);
    board_await(place, 0, 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    (void)acquire_in_time(handle);
    assert_int_equal(child_end(place, pid), -SIGKILL); /* it was there all the time */
    slotshare_close(handle);
}

static void close_gives_back(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *other = place_open(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(other, &two, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(other, &two, &slot), SLOTSHARE_OK);
    assert_int_equal(segment_of(handle).owners_used, 2);
    slotshare_close(other);
    assert_int_equal(stat_of(handle, "host:two").in_use, 0);
    assert_int_equal(segment_of(handle).owners_used, 1);
    assert_int_equal(segment_of(handle).slots_used, 0);
    assert_int_equal(segment_of(handle).reaps, 0);
    slotshare_close(handle);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static slotshare *inherited; /* the only way into a child of this very process */

static bool use_inherited(struct place *place, int argument) {
    (void)argument;
    const struct slotshare_connection two = to_host("two");
    const slotshare_slot parents = {(uint64_t)board_get(place, 0), (uint64_t)board_get(place, 1)};
    slotshare_slot own;
    uint32_t leader;
    CHECK(owners_of(inherited, getpid(), &leader) == 0);
    CHECK(slotshare_release(inherited, parents) == SLOTSHARE_ESTALE);
    CHECK(owners_of(inherited, getpid(), &leader) == 1); /* attached by itself */
    CHECK(slotshare_acquire(inherited, &two, &own) == SLOTSHARE_OK);
    CHECK(own.record != parents.record);
    CHECK(slotshare_acquire(inherited, &two, &own) == SLOTSHARE_FULL);
    slotshare_close(inherited);
    return true;
}

static void a_forked_child_is_an_owner_of_its_own(void **state) {
    struct place *place = *state;
    inherited = place_open(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(inherited, &two, &slot), SLOTSHARE_OK);
    board_set(place, 0, (int64_t)slot.record);
    board_set(place, 1, (int64_t)slot.tag);
    assert_int_equal(child_end(place, child_start(place, use_inherited, 0)), 0);
    assert_int_equal(stat_of(inherited, "host:two").in_use, 1);
    assert_int_equal(stat_of(inherited, "host:two").peak, 2);
    assert_int_equal(segment_of(inherited).owners_used, 1);
    assert_int_equal(slotshare_release(inherited, slot), SLOTSHARE_OK);
    slotshare_close(inherited);
}

static bool hold_and_fork(struct place *place, int argument) {
    (void)argument;
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    CHECK(place_try(place, &inherited, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire(inherited, &two, &slot) == SLOTSHARE_OK);
    CHECK(slotshare_acquire(inherited, &two, &slot) == SLOTSHARE_OK);
    const pid_t pid = fork();
    if (pid == 0) { /* lives on, and never uses the handle */
        (void)alarm(100);
        board_await(place, 1, 1);
        _exit(0);
    }
    board_set(place, 0, pid);
    board_await(place, 1, 1);
    return true;
}

static void a_child_that_lives_on_does_not_hide_its_parents_death(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const pid_t pid = child_start(place, hold_and_fork, 0);
    board_await(place, 0, 1);
    assert_stays_full(handle);
    assert_int_equal(child_kill(place, pid, SIGKILL), -SIGKILL);
    const pid_t grandchild = (pid_t)board_get(place, 0);
    child_adopt(place, grandchild);
    (void)acquire_in_time(handle);
    assert_int_equal(kill(grandchild, 0), 0);
    board_set(place, 1, 1);
    assert_int_equal(child_end(place, grandchild), 0);
    slotshare_close(handle);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct visit {
    slotshare *handle;
    slotshare_slot slot;
    int result;
    pthread_barrier_t *taken, *seen; /* NULL: end at once */
};

static void *take_in_thread(void *arg) {
    struct visit *visit = arg;
    const struct slotshare_connection open = to_domain("open");
    visit->result = slotshare_acquire(visit->handle, &open, &visit->slot);
    if (visit->taken) {
        (void)pthread_barrier_wait(visit->taken);
        (void)pthread_barrier_wait(visit->seen);
    }
    return NULL;
}

static void a_thread_that_ends_leaves_its_slots(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    struct visit visit[20];
    for (int i = 0; i < 20; i++) { /* one after another: they share two records at most */
        pthread_t thread;
        visit[i] = (struct visit){.handle = handle, .result = 1};
        assert_int_equal(pthread_create(&thread, NULL, take_in_thread, &visit[i]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(visit[i].result, SLOTSHARE_OK);
    }
    assert_int_equal(stat_of(handle, "domain:open").in_use, 20);
    assert_true(segment_of(handle).owners_used <= 2);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(slotshare_release(handle, visit[i].slot), SLOTSHARE_OK);
    }
    assert_int_equal(stat_of(handle, "domain:open").in_use, 0);
    slotshare_close(handle);
}

/* A thread of the child is the first to use the handle there, the forking one the second. */
static bool two_threads_after_fork(struct place *place, int argument) {
    (void)place;
    (void)argument;
    pthread_barrier_t barrier[2];
    pthread_t thread;
    CHECK(pthread_barrier_init(&barrier[0], NULL, 2) == 0);
    CHECK(pthread_barrier_init(&barrier[1], NULL, 2) == 0);
    struct visit first = {.handle = inherited, .taken = &barrier[0], .seen = &barrier[1]};
    struct visit second = {.handle = inherited};
    CHECK(pthread_create(&thread, NULL, take_in_thread, &first) == 0);
    (void)pthread_barrier_wait(&barrier[0]);
    (void)take_in_thread(&second);
    uint32_t leader;
    const int owners = owners_of(inherited, getpid(), &leader);
    (void)pthread_barrier_wait(&barrier[1]);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(first.result == SLOTSHARE_OK && second.result == SLOTSHARE_OK);
    CHECK(owners == 2); /* no two threads ever share a record */
    slotshare_close(inherited);
    return true;
}

static void threads_of_a_forked_child_keep_apart(void **state) {
    struct place *place = *state;
    const struct slotshare_connection open = to_domain("open");
    slotshare_slot slot;
    inherited = place_open(place);
    assert_int_equal(slotshare_acquire(inherited, &open, &slot), SLOTSHARE_OK);
    assert_int_equal(child_end(place, child_start(place, two_threads_after_fork, 0)), 0);
    assert_int_equal(stat_of(inherited, "domain:open").in_use, 1);
    slotshare_close(inherited);
}

/* ---- a full table ---------------------------------------------------------------------------- */

static void owner_table_full(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = mta1\nowners = 3\nslots = 64\ncounters = 64\n");
    slotshare *handle = place_open(place);
    slotshare *refused = handle;
    pid_t pid[2];
    for (int i = 0; i < 2; i++) {
        pid[i] = child_start(place, hold, 0); /* the dead of whom no slot tells */
    }
    board_await(place, 0, 2);
    assert_int_equal(place_try(place, &refused, true, false), SLOTSHARE_EOWNERS);
    assert_null(refused);
    assert_non_null(strstr(place->error, "all 3 owner records are in use"));
    assert_non_null(strstr(place->error, "raise owners in [node]"));
    /* for one more thread there is no room either */
    struct visit visit = {.handle = handle};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_in_thread, &visit), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(visit.result, SLOTSHARE_EOWNERS);
    assert_int_equal(child_kill(place, pid[0], SIGKILL), -SIGKILL);
    slotshare_close(place_open(place)); /* at once */
    board_set(place, 1, 1);
    assert_int_equal(child_end(place, pid[1]), 0);
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slots_of_a_killed_process_come_back, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_stopped_process_keeps_its_slots, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_zombie_is_dead, setup, place_teardown),
        cmocka_unit_test_setup_teardown(close_gives_back, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_forked_child_is_an_owner_of_its_own, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_child_that_lives_on_does_not_hide_its_parents_death,
                                        setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_thread_that_ends_leaves_its_slots, setup, place_teardown),
        cmocka_unit_test_setup_teardown(threads_of_a_forked_child_keep_apart, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(owner_table_full, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
