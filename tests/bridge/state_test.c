/* SPDX-License-Identifier: MIT */
/* What the bridge remembers on the disk: whole or not there, and refused when it is not its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bridge/state.h"

struct place {
    char directory[128], error[1000], path[200];
};

static int setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->directory, sizeof place->directory, "/tmp/slotshare-state-XXXXXX");
    *state = place;
    return place == NULL || mkdtemp(place->directory) == NULL;
}

static int teardown(void **state) {
    static const char *const names[] = {"seg.committed", "seg.promised", "seg.committed.new",
                                        "other", "real"};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(place->path, sizeof place->path, "%s/%s", place->directory, names[i]);
        if (unlink(place->path) != 0)
            (void)rmdir(place->path);
    }
    int result = rmdir(place->directory);
    free(place);
    return result;
}

static struct state *open_as(struct place *place, const char *node, const char *cluster) {
    struct state *state = NULL;
    int result = state_open(&state, place->directory, "seg", node, cluster, place->error,
                            sizeof place->error);
    assert_int_equal(result, state != NULL ? 0 : -1);
    return state;
}

static void refused(struct place *place, const char *why) {
    assert_null(open_as(place, "mta1", "east"));
    if (strstr(place->error, why) == NULL)
        fail_msg("'%s' does not say '%s'", place->error, why);
}

static int load(struct place *place, const struct state *state, enum state_file file,
                struct state_saved *out) {
    return state_load(state, file, out, place->error, sizeof place->error);
}

static void store(struct place *place, const struct state *state, enum state_file file,
                  uint64_t epoch, const char *text) {
    assert_int_equal(state_store(state, file, epoch, 77 + epoch, text, strlen(text), place->error,
                                 sizeof place->error),
                     0);
}

static void stored_and_loaded(void **arg) {
    struct place *place = *arg;
    struct state *state = open_as(place, "mta1", "east");
    struct state_saved saved;
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), 0);
    store(place, state, STATE_COMMITTED, 1, "[node]\n");
    store(place, state, STATE_COMMITTED, 3, "[cluster]\nno newline at the end");
    store(place, state, STATE_PROMISED, 4, "");
    state_close(state);
    state = open_as(place, "mta1", "east");
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), 1);
    assert_true(saved.epoch == 3 && saved.digest == 80);
    assert_string_equal(saved.text, "[cluster]\nno newline at the end");
    assert_int_equal(saved.size, strlen(saved.text));
    assert_ptr_equal(strchr(saved.whole, '\n') + 1, saved.text);
    free(saved.whole);
    assert_int_equal(load(place, state, STATE_PROMISED, &saved), 1);
    assert_true(saved.epoch == 4 && saved.size == 0);
    free(saved.whole);
    assert_int_equal(state_drop(state, STATE_PROMISED, place->error, sizeof place->error), 0);
    assert_int_equal(state_drop(state, STATE_PROMISED, place->error, sizeof place->error), 0);
    assert_int_equal(load(place, state, STATE_PROMISED, &saved), 0);
    state_close(state);
}

/* What a bridge left that died while it wrote is no obstacle, and no state. */
static void half_written(void **arg) {
    struct place *place = *arg;
    struct state_saved saved;
    struct state *state = open_as(place, "mta1", "east");
    (void)snprintf(place->path, sizeof place->path, "%s/seg.committed.new", place->directory);
    FILE *half = fopen(place->path, "w");
    assert_non_null(half);
    assert_true(fputs("; slotshare state 1: ep", half) >= 0);
    assert_int_equal(fclose(half), 0);
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), 0);
    store(place, state, STATE_COMMITTED, 2, "text");
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), 1);
    free(saved.whole);
    assert_int_equal(access(place->path, F_OK), -1);
    state_close(state);
}

/* Every byte of a file is changed, and the file cut everywhere: never taken for another state. */
static void damaged(void **arg) {
    struct place *place = *arg;
    struct state *state = open_as(place, "mta1", "east");
    struct state_saved saved;
    char bytes[400];
    store(place, state, STATE_COMMITTED, 12, "[cluster]\nreserve = 5\n");
    FILE *file = fopen(state_path(state, STATE_COMMITTED), "r");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    assert_true(size > 60 && size < sizeof bytes);
    for (size_t i = 0; size > 0 && i < 2 * size; i++) {
        file = fopen(state_path(state, STATE_COMMITTED), "w");
        assert_non_null(file);
        bytes[i % size] ^= i < size ? 1 : 0;
        size_t length = i < size ? size : i - size;
        assert_int_equal(fwrite(bytes, 1, length, file), length);
        assert_int_equal(fclose(file), 0);
        bytes[i % size] ^= i < size ? 1 : 0;
        assert_int_equal(load(place, state, STATE_COMMITTED, &saved), -1);
        assert_non_null(strstr(place->error, "seg.committed"));
    }
    state_close(state);
}

static void of_another_node(void **arg) {
    struct place *place = *arg;
    struct state *state = open_as(place, "mta1", "east");
    struct state_saved saved;
    store(place, state, STATE_COMMITTED, 12, "text");
    state_close(state);
    state = open_as(place, "mta2", "east");
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), -1);
    assert_non_null(strstr(place->error, "is the state of node mta1 in cluster east"));
    state_close(state);
    state = open_as(place, "mta1", "west");
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), -1);
    state_close(state);
}

static void bad_directories(void **arg) {
    struct place *place = *arg;
    char real[64];
    memcpy(real, place->directory, sizeof real);
    assert_int_equal(chmod(real, 0770), 0);
    refused(place, "others may write to it");
    assert_int_equal(chmod(real, 0700), 0);
    struct state *state = open_as(place, "mta1", "east");
    struct state_saved saved;
    /* A link in the place of a file is not followed. */
    (void)snprintf(place->path, sizeof place->path, "%s/seg.committed", real);
    assert_int_equal(symlink("/etc/passwd", place->path), 0);
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), -1);
    store(place, state, STATE_COMMITTED, 2, "text"); /* it is replaced, not written through */
    assert_int_equal(load(place, state, STATE_COMMITTED, &saved), 1);
    free(saved.whole);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(
        state_store(state, STATE_COMMITTED, 1, 1, "", 0, place->error, sizeof place->error), -1);
    state_close(state);
    (void)snprintf(place->directory, sizeof place->directory, "%s/other", real);
    refused(place, "install -d -m 0700");
    assert_int_equal(symlink(real, place->directory), 0);
    refused(place, "a symbolic link");
    (void)snprintf(place->directory, sizeof place->directory, "%s/real", real);
    FILE *file = fopen(place->directory, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    refused(place, "not a directory");
    memcpy(place->directory, real, sizeof real); /* short enough: setup() made it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_and_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(half_written, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(of_another_node, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_directories, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
