/* SPDX-License-Identifier: MIT */
/* Every allocation fails once, every descriptor is one too many once, and the disk is too full:
 * errors are returned, counts stay exact, nothing is lost (the leak sanitizer looks). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../alloc.h"
#include "support.h"

static const char first[] = NODE_SMALL "[host \"a\"]\ncluster_max_outbound_connections = 3\n";
static const char second[] = NODE_SMALL "[host \"a\"]\ncluster_max_outbound_connections = 4\n";
static const struct slotshare_connection a = {NULL, NULL, "a"};
static const struct slotshare_connection b = {"b", "d.example", "h.example"};

/* It went well, or it says why not. */
static bool went_well(int result) {
    if (result != SLOTSHARE_OK && result != SLOTSHARE_ESYSTEM && result != SLOTSHARE_ECONFIG) {
        fail_msg("returned %d: %s", result, slotshare_strerror(result));
    }
    return result == SLOTSHARE_OK;
}

static void use_queue(slotshare *handle) {
    slotshare_queue *queue = NULL;
    int cookie;
    if (!went_well(slotshare_queue_open(handle, &queue))) {
        assert_null(queue);
        return;
    }
    if (went_well(slotshare_queue_add(queue, &a, &cookie, 20))) {
        struct pollfd wait = {.fd = slotshare_queue_fd(queue), .events = POLLIN};
        struct slotshare_ready ready;
        assert_int_equal(poll(&wait, 1, 20000), 1);
        assert_int_equal(slotshare_queue_next(queue, &ready), SLOTSHARE_OK);
        if (ready.result != SLOTSHARE_FULL && went_well(ready.result)) {
            assert_int_equal(slotshare_release(handle, ready.slot), SLOTSHARE_OK);
        }
    }
    if (went_well(slotshare_queue_add(queue, &b, &cookie, 1000))) {
        assert_int_equal(slotshare_queue_cancel(queue, &cookie), 1);
    }
    slotshare_queue_close(queue);
}

static int count_one(const struct slotshare_counter_stat *counter, void *arg) {
    *(int *)arg += counter->in_use;
    return 0;
}

static int see_owner(const struct slotshare_owner_stat *owner, void *arg) {
    (void)owner;
    (void)arg;
    return 0;
}

/* The calls of the API, on a handle that is open. @return how many slots it holds. */
static int use(struct place *place, slotshare *handle) {
    slotshare_slot slot;
    slotshare_counter counter;
    struct slotshare_explanation why;
    struct slotshare_segment_stat segment;
    char text[512];
    int held = 0, seen = 0;
    held += went_well(slotshare_acquire(handle, &a, &slot));
    held += went_well(slotshare_acquire_wait(handle, &b, &slot, 10));
    if (went_well(slotshare_counter_find(handle, &a, &counter)) &&
        went_well(slotshare_counter_acquire(handle, counter, &slot))) {
        assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    }
    use_queue(handle);
    (void)went_well(slotshare_explain(handle, &a, &why));
    (void)went_well(slotshare_stat_segment(handle, &segment));
    (void)went_well(slotshare_stat_counters(handle, count_one, &seen));
    (void)went_well(slotshare_stat_owners(handle, see_owner, NULL));
    place_config(place, second);
    (void)went_well(slotshare_reload(handle, place->config, text, sizeof text));
    place_config(place, first);
    return held;
}

static void exact(slotshare *handle, int held) {
    int in_use = 0;
    assert_int_equal(slotshare_stat_counters(handle, count_one, &in_use), SLOTSHARE_OK);
    assert_int_equal(in_use, held);
}

static int count_files(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void remove_segment(const struct place *place) {
    (void)unlink(place->segment);
    (void)unlink(place->lock);
}

static void allocations_fail(void **state) {
    struct place *place = *state;
    int files = count_files();
    place_config(place, first);
    for (int n = 0, done = 0; !done; n++) {
        slotshare *handle = NULL;
        int held = 0;
        alloc_fail(n);
        bool open = went_well(place_try(place, &handle, true, false));
        if (open) {
            held = use(place, handle);
        }
        done = alloc_all();
        assert_true(open || (!handle && place->error[0]));
        if (open) {
            exact(handle, held);
            slotshare_close(handle);
        }
        slotshare *again = place_open(place); /* what failed has left nothing behind */
        exact(again, 0);
        slotshare_close(again);
        assert_int_equal(count_files(), files);
        if (n % 2) {
            remove_segment(place); /* so that it is opened and created in turn */
        }
    }
}

static void limit_files(rlim_t most) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void descriptors_run_out(void **state) {
    enum { MOST = 24 };
    struct place *place = *state;
    struct rlimit before;
    int files = count_files();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    place_config(place, first);
    for (int n = 0; n <= MOST; n++) {
        slotshare *handle = NULL;
        remove_segment(place);
        limit_files((rlim_t)files + (rlim_t)n);
        int result = place_try(place, &handle, true, false);
        if (went_well(result)) {
            slotshare_slot slot;
            int held = went_well(slotshare_acquire(handle, &a, &slot));
            use_queue(handle);
            exact(handle, held);
            slotshare_close(handle);
        }
        limit_files(before.rlim_cur);
        assert_int_equal(count_files(), files);
        assert_true(n < MOST || result == SLOTSHARE_OK);
    }
}

/* No file may become as large as a segment: that stands for a disk that is full. */
static void the_disk_is_full(void **state) {
    struct place *place = *state;
    struct rlimit before, limit;
    struct stat whole, left;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    place_config(place, first);
    slotshare_close(place_open(place));
    assert_int_equal(stat(place->segment, &whole), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (off_t size = 0; size < whole.st_size; size += whole.st_size / 8) {
        slotshare *handle = NULL;
        remove_segment(place);
        limit = before;
        limit.rlim_cur = (rlim_t)size;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int result = place_try(place, &handle, true, false);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(result, SLOTSHARE_ESYSTEM);
        assert_true(!handle && place->error[0]);
        assert_int_not_equal(stat(place->segment, &left), 0); /* nothing half made */
    }
    slotshare_close(place_open(place));
    (void)signal(SIGXFSZ, handler);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(allocations_fail, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(descriptors_run_out, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_disk_is_full, place_setup, place_teardown),
    };
    (void)alarm(250);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
