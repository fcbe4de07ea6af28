/* SPDX-License-Identifier: MIT */
/* Slots that must be given back because the share is smaller than what is in use. */
#include <poll.h>
#include <time.h>

#include "support.h"

#include "../../shm/control.h"

enum { MANY = 8 };

#define HOST(limit) NODE_SMALL "[host \"one\"]\ncluster_max_outbound_connections = " #limit "\n"

static const struct slotshare_connection one = {NULL, "d.example", "one"};

static void reload(struct place *place, slotshare *handle, const char *text) {
    place_config(place, text);
    assert_int_equal(slotshare_reload(handle, place->config, place->error, sizeof place->error),
                     SLOTSHARE_OK);
}

static void take(slotshare *handle, slotshare_slot *slot) {
    assert_int_equal(slotshare_acquire(handle, &one, slot), SLOTSHARE_OK);
}

/* How many of these are in excess; *last: one of them. */
static int count(slotshare *handle, const slotshare_slot *slot, int slots, int *last) {
    int found = 0;
    for (int i = 0; i < slots; i++) {
        uint64_t deadline = 0;
        int result = slotshare_excess(handle, slot[i], &deadline);
        if (result == SLOTSHARE_EXCESS) {
            assert_true(deadline == UINT64_MAX); /* nobody waits for it */
            *last = i;
            found++;
        } else {
            assert_int_equal(result, SLOTSHARE_OK);
        }
    }
    return found;
}

/* No more than has to, over two handles as over two processes, and one less with each. */
static void no_more_than_necessary(void **state) {
    struct place *place = *state;
    slotshare_slot mine[MANY], theirs[MANY];
    int at = 0;
    place_config(place, HOST(16));
    slotshare *handle = place_open(place);
    slotshare *other = place_open(place);
    for (int i = 0; i < MANY; i++) {
        take(handle, &mine[i]);
        take(other, &theirs[i]);
    }
    assert_int_equal(count(handle, mine, MANY, &at), 0);
    reload(place, handle, HOST(5));
    assert_int_equal(stat_of(other, "host:one").excess, 2 * MANY - 5);
    int held[2] = {MANY, MANY};
    for (int excess = 2 * MANY - 5; excess > 0; excess--) {
        int here = count(handle, mine, held[0], &at);
        int there = 0;
        int other_at = 0;
        there = count(other, theirs, held[1], &other_at);
        assert_int_equal(here + there, excess);
        if (here > 0) {
            assert_int_equal(slotshare_release(handle, mine[at]), SLOTSHARE_OK);
            assert_int_equal(slotshare_excess(handle, mine[at], NULL), SLOTSHARE_ESTALE);
            mine[at] = mine[--held[0]];
        } else {
            assert_int_equal(slotshare_release(other, theirs[other_at]), SLOTSHARE_OK);
            theirs[other_at] = theirs[--held[1]];
        }
    }
    assert_int_equal(count(handle, mine, held[0], &at), 0);
    assert_int_equal(count(other, theirs, held[1], &at), 0);
    assert_int_equal(stat_of(other, "host:one").excess, 0);
    slotshare_close(handle);
    slotshare_close(other);
}

static void the_longest_held_first(void **state) {
    struct place *place = *state;
    slotshare_slot slot[3];
    place_config(place, HOST(3));
    slotshare *handle = place_open(place);
    for (int i = 0; i < 3; i++) {
        take(handle, &slot[i]);
        /* a tick of the coarse clock and more: what is compared */
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    }
    reload(place, handle, HOST(2));
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_EXCESS);
    assert_int_equal(slotshare_excess(handle, slot[1], NULL), SLOTSHARE_OK);
    assert_int_equal(slotshare_excess(handle, slot[2], NULL), SLOTSHARE_OK);
    /* Another one ends by itself: then this one may stay. */
    assert_int_equal(slotshare_release(handle, slot[2]), SLOTSHARE_OK);
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_OK);
    reload(place, handle, HOST(0));
    assert_int_equal(slotshare_excess(handle, slot[0], NULL), SLOTSHARE_EXCESS);
    assert_int_equal(slotshare_excess(handle, slot[1], NULL), SLOTSHARE_EXCESS);
    slotshare_close(handle);
}

/* The event loop is told of those that it asked about, once each, and of no other. */
static void a_queue_tells(void **state) {
    struct place *place = *state;
    slotshare_slot slot[4];
    slotshare_queue *queue;
    struct slotshare_ready ready;
    place_config(place, HOST(4));
    slotshare *handle = place_open(place);
    assert_int_equal(slotshare_queue_open(handle, &queue), SLOTSHARE_OK);
    for (int i = 0; i < 4; i++) {
        take(handle, &slot[i]);
        assert_int_equal(slotshare_queue_watch(queue, slot[i], &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(slotshare_release(handle, slot[1]), SLOTSHARE_OK); /* forgotten by itself */
    assert_int_equal(slotshare_queue_cancel(queue, &slot[3]), 1);
    assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_FULL);
    reload(place, handle, HOST(0));
    struct pollfd fd = {.fd = slotshare_queue_fd(queue), .events = POLLIN};
    for (int told = 0; told < 2; told++) {
        while (slotshare_queue_next(queue, &ready) != SLOTSHARE_OK) {
            assert_int_equal(poll(&fd, 1, 60000), 1);
        }
        assert_int_equal(ready.result, SLOTSHARE_EXCESS);
        assert_true(ready.cookie == &slot[0] || ready.cookie == &slot[2]);
        assert_memory_equal(&ready.slot, ready.cookie, sizeof ready.slot);
        assert_int_equal(slotshare_release(handle, ready.slot), SLOTSHARE_OK);
    }
    assert_int_equal(stat_of(handle, "host:one").excess, 1); /* that was not asked about */
    assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_FULL);
    slotshare_queue_close(queue);
    slotshare_close(handle);
}

static void nonsense(void **state) {
    struct place *place = *state;
    slotshare_slot slot;
    place_config(place, HOST(1));
    slotshare *handle = place_open(place);
    take(handle, &slot);
    assert_int_equal(slotshare_excess(NULL, slot, NULL), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_queue_watch(NULL, slot, NULL), SLOTSHARE_EINVAL);
    slotshare_slot far = {.record = UINT64_MAX, .tag = slot.tag};
    assert_int_equal(slotshare_excess(handle, far, NULL), SLOTSHARE_ESTALE);
    slotshare_slot other = {.record = slot.record, .tag = slot.tag + ((uint64_t)1 << 32)};
    assert_int_equal(slotshare_excess(handle, other, NULL), SLOTSHARE_ESTALE);
    slotshare_close(handle);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_more_than_necessary),
        TEST(the_longest_held_first),
        TEST(a_queue_tells),
        TEST(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
