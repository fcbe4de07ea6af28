/* SPDX-License-Identifier: MIT */
/* Opening and creating: what is refused, with which words, and that two creators make one
 * segment. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../../shm/lock.h"
#include "support.h"

static const char limits[] = NODE_SMALL "[host \"two\"]\ncluster_max_outbound_connections = 2\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, limits);
    }
    return result;
}

static int try_at(struct place *place, const char *name, const char *directory, bool config) {
    slotshare *handle = (slotshare *)place; /* must be overwritten */
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = directory;
    options.config = config ? place->config : NULL;
    options.error = place->error;
    options.error_size = sizeof place->error;
    place->error[0] = '\0';
    const int result = slotshare_open(&handle, name, &options);
    if (result == SLOTSHARE_OK) {
        slotshare_close(handle);
    } else {
        assert_null(handle);
    }
    return result;
}

static void assert_says(const struct place *place, const char *words) {
    if (!strstr(place->error, words)) {
        fail_msg("'%s' does not say '%s'", place->error, words);
    }
}

static void nothing_there(void **state) {
    struct place *place = *state;
    char none[128];
    (void)snprintf(none, sizeof none, "%s/none", place->directory);
    assert_int_equal(try_at(place, NULL, place->directory, false), SLOTSHARE_ENOSEGMENT);
    assert_says(place, place->segment);
    assert_says(place, "start slotshare-bridge");
    assert_int_equal(try_at(place, NULL, none, false), SLOTSHARE_ENOSEGMENT);
    assert_int_equal(try_at(place, NULL, none, true), SLOTSHARE_ESYSTEM);
    assert_says(place, none);
    assert_says(place, "create the directory");
    slotshare *handle;
    assert_int_equal(place_try(place, &handle, true, true), SLOTSHARE_ENOSEGMENT);
    assert_int_equal(access(place->segment, F_OK), -1); /* read-only creates nothing */
    assert_int_equal(access(place->lock, F_OK), -1);
}

static void bad_names(void **state) {
    struct place *place = *state;
    char longest[SLOTSHARE_NAME_MAX + 2];
    char directory[600];
    memset(longest, 'n', sizeof longest);
    longest[SLOTSHARE_NAME_MAX + 1] = '\0';
    const char *bad[] = {"a/b", "../a", ".", "..", ".a", "a b", "a\n", "\xc3\xa9", longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(try_at(place, bad[i], place->directory, true), SLOTSHARE_ENAME);
        assert_says(place, "letters, digits");
    }
    longest[SLOTSHARE_NAME_MAX] = '\0';
    assert_int_equal(try_at(place, longest, place->directory, true), SLOTSHARE_OK);
    memset(directory, 'd', sizeof directory);
    directory[0] = '/';
    directory[sizeof directory - 1] = '\0';
    assert_int_equal(try_at(place, NULL, directory, true), SLOTSHARE_ENAME);
    assert_says(place, "longer than");
}

static void wrong_options(void **state) {
    struct place *place = *state;
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = place->directory;
    options.config = place->config;
    assert_int_equal(slotshare_open(NULL, NULL, &options), SLOTSHARE_EINVAL);
    const size_t wrong[] = {0, sizeof options - 1, sizeof options + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        slotshare *handle = (slotshare *)place;
        options.size = wrong[i];
        assert_int_equal(slotshare_open(&handle, NULL, &options), SLOTSHARE_EINVAL);
        assert_null(handle);
    }
}

static void the_directory_from_the_environment(void **state) {
    struct place *place = *state;
    assert_int_equal(setenv("SLOTSHARE_DIR", place->directory, 1), 0);
    assert_int_equal(try_at(place, "env", NULL, true), SLOTSHARE_OK);
    assert_int_equal(unsetenv("SLOTSHARE_DIR"), 0);
    assert_int_equal(try_at(place, "env", place->directory, false), SLOTSHARE_OK);
}

static void name_and_directory_from_the_file(void **state) {
    struct place *place = *state;
    char text[256];
    (void)snprintf(text, sizeof text, "[node]\nname = a\nsegment = other\ndirectory = %s\n",
                   place->directory);
    place_config(place, text);
    assert_int_equal(try_at(place, NULL, NULL, true), SLOTSHARE_OK);
    assert_int_equal(try_at(place, "other", place->directory, false), SLOTSHARE_OK);
}

static void a_clustered_file_is_for_the_bridge(void **state) {
    struct place *place = *state;
    place_config(place, NODE_SMALL "[cluster]\ntls = off\nreplicate = outbound_domains\n"
                                   "member mta1 = tcp://127.0.0.1:7946\n");
    assert_int_equal(try_at(place, NULL, place->directory, true), SLOTSHARE_ECONFIG);
    assert_says(place, "[cluster]");
    assert_says(place, "slotshare-bridge");
    assert_int_equal(access(place->segment, F_OK), -1);
}

static void errors_of_the_file_are_told_whole_or_cut(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = a\ncolour = red\n[host \"x\"]\n"
                        "cluster_max_outbound_connections = many\n");
    assert_int_equal(try_at(place, NULL, place->directory, true), SLOTSHARE_ECONFIG);
    assert_says(place, ".ini:3: ");
    assert_says(place, ".ini:5: ");
    assert_non_null(strchr(place->error, '\n'));
    char whole[sizeof place->error];
    memcpy(whole, place->error, sizeof whole);
    const size_t length = strlen(whole);
    for (size_t size = 0; size <= length + 1; size++) {
        char text[sizeof place->error];
        memset(text, '#', sizeof text);
        slotshare *handle;
        struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
        options.directory = place->directory;
        options.config = place->config;
        options.error = text;
        options.error_size = size;
        assert_int_equal(slotshare_open(&handle, NULL, &options), SLOTSHARE_ECONFIG);
        if (size > 0) {
            assert_int_equal(strlen(text), size - 1);
            assert_memory_equal(text, whole, size - 1);
        }
        assert_int_equal(text[size], '#'); /* not one byte further */
    }
    assert_int_equal(unlink(place->config), 0);
    assert_int_equal(try_at(place, NULL, place->directory, true), SLOTSHARE_ECONFIG);
    assert_says(place, place->config);
}

/* ---- creating -------------------------------------------------------------------------------- */

enum { CREATORS = 8, START = 0, INCARNATION = 10 };

static bool create_at_once(struct place *place, int number) {
    slotshare *handle = NULL;
    struct slotshare_segment_stat stat;
    board_add(place, START, 1);
    while (board_get(place, START) < CREATORS) {
    }
    if (place_try(place, &handle, true, false) != SLOTSHARE_OK) {
        (void)fprintf(stderr, "%s\n", place->error);
    }
    CHECK(handle);
    CHECK(slotshare_stat_segment(handle, &stat) == SLOTSHARE_OK);
    board_set(place, INCARNATION + number, (int64_t)stat.incarnation);
    slotshare_close(handle);
    return true;
}

static void create_together(struct place *place) {
    pid_t pid[CREATORS];
    board_set(place, START, 0);
    for (int i = 0; i < CREATORS; i++) {
        pid[i] = child_start(place, create_at_once, i);
    }
    for (int i = 0; i < CREATORS; i++) {
        assert_int_equal(child_end(place, pid[i]), 0);
        assert_int_equal(board_get(place, INCARNATION + i), board_get(place, INCARNATION));
    }
}

static void creators_at_once_make_one_segment(void **state) {
    struct place *place = *state;
    for (int round = 0; round < 20; round++) {
        create_together(place);
        assert_int_equal(unlink(place->segment), 0);
    }
}

static void what_a_killed_creator_left_is_no_obstacle(void **state) {
    struct place *place = *state;
    char half[160];
    (void)snprintf(half, sizeof half, "%s.new", place->segment);
    file_write(half, "half", 4);
    slotshare_close(place_open(place));
    assert_int_equal(access(half, F_OK), -1);
}

/* Another lock file of the same name: every owner would look dead, and its slots come back while
 * its connections are open. */
static void lock_file_replaced(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *other;
    const struct slotshare_connection one = to_host("one");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &one, &slot), SLOTSHARE_OK);
    assert_int_equal(unlink(place->lock), 0);
    for (int again = 0; again < 2; again++) { /* gone, and then a foreign one */
        assert_int_equal(place_try(place, &other, true, false), SLOTSHARE_EGONE);
        assert_says(place, place->lock);
        file_write(place->lock, "foreign!", 8);
    }
    slotshare *watch = place_watch(place);
    assert_int_equal(segment_of(watch).slots_used, 1); /* nobody reaped the living */
    slotshare_close(watch);
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK);
    slotshare_close(handle);
}

/* Whoever creates the segment may be stopped while it does. Here the test itself has its lock,
 * through a description of its own. */
static void a_creator_that_does_not_go_on(void **state) {
    struct place *place = *state;
    slotshare *handle;
    int fd = lock_file_open(place->lock, true);
    assert_int_equal(lock_take(fd, LOCK_CREATE), 0);
    assert_int_equal(place_try(place, &handle, true, false), SLOTSHARE_ESYSTEM);
    assert_says(place, place->lock);
    assert_says(place, "look for one that is stopped");
    assert_int_equal(access(place->segment, F_OK), -1);
    (void)close(fd);
    slotshare_close(place_open(place));
}

static void removed_while_it_is_used(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *other;
    struct slotshare_segment_stat stat;
    assert_int_equal(unlink(place->segment), 0);
    assert_int_equal(place_try(place, &other, false, false), SLOTSHARE_ENOSEGMENT);
    assert_int_equal(place_try(place, &other, true, false), SLOTSHARE_EBUSY);
    assert_says(place, "grep -l slotshare.seg /proc/");
    assert_says(place, "End these processes");
    assert_int_equal(access(place->segment, F_OK), -1);
    assert_int_equal(slotshare_stat_segment(handle, &stat), SLOTSHARE_EGONE);
    const uint64_t before = stat.incarnation;
    slotshare_close(handle);
    handle = place_open(place);
    assert_true(segment_of(handle).incarnation != before);
    slotshare_close(handle);
}

static bool fill_disk(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    char half[160];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", place->directory, "tmpfs", 0, "size=64k,mode=0700") != 0) {
        board_set(place, 0, errno);
        return true;
    }
    (void)snprintf(half, sizeof half, "%s.new", place->segment);
    place_config(place, limits);
    CHECK(place_try(place, &handle, true, false) == SLOTSHARE_ESYSTEM);
    CHECK(strstr(place->error, strerror(ENOSPC)));
    CHECK(strstr(place->error, "make counters, owners or slots in [node] smaller"));
    CHECK(access(place->segment, F_OK) != 0);
    CHECK(access(half, F_OK) != 0);
    return true;
}

static void a_full_disk_is_an_error_now(void **state) {
    struct place *place = *state;
    assert_int_equal(child_end(place, child_start(place, fill_disk, 0)), 0);
    if (board_get(place, 0) != 0) {
        print_message("skipped: no mount namespace here: %s\n", strerror((int)board_get(place, 0)));
        skip();
    }
}

/* ---- read-only ------------------------------------------------------------------------------- */

static void read_only_looks_and_does_not_touch(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_OK);
    size_t size;
    char *before = file_read(place->segment, &size);
    slotshare *watch = place_watch(place);
    slotshare_slot none;
    slotshare_counter counter = {0, 2, 1};
    struct slotshare_explanation explanation;
    assert_int_equal(slotshare_acquire(watch, &two, &none), SLOTSHARE_EREADONLY);
    assert_int_equal(slotshare_acquire_wait(watch, &two, &none, 10), SLOTSHARE_EREADONLY);
    assert_int_equal(slotshare_counter_find(watch, &two, &counter), SLOTSHARE_EREADONLY);
    assert_int_equal(slotshare_counter_acquire(watch, counter, &none), SLOTSHARE_EREADONLY);
    assert_int_equal(slotshare_release(watch, slot), SLOTSHARE_EREADONLY);
    assert_int_equal(slotshare_explain(watch, &two, &explanation), SLOTSHARE_OK);
    assert_int_equal(explanation.in_use, 1);
    assert_int_equal(stat_of(watch, "host:two").in_use, 1);
    assert_int_equal(segment_of(watch).owners_used, 1);
    slotshare_close(watch);
    char *after = file_read(place->segment, &size);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_there, setup, place_teardown),
        cmocka_unit_test_setup_teardown(bad_names, setup, place_teardown),
        cmocka_unit_test_setup_teardown(wrong_options, setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_directory_from_the_environment, setup, place_teardown),
        cmocka_unit_test_setup_teardown(name_and_directory_from_the_file, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_clustered_file_is_for_the_bridge, setup, place_teardown),
        cmocka_unit_test_setup_teardown(errors_of_the_file_are_told_whole_or_cut, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(creators_at_once_make_one_segment, setup, place_teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_creator_left_is_no_obstacle, setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(lock_file_replaced, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_creator_that_does_not_go_on, setup, place_teardown),
        cmocka_unit_test_setup_teardown(removed_while_it_is_used, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_an_error_now, setup, place_teardown),
        cmocka_unit_test_setup_teardown(read_only_looks_and_does_not_touch, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
