/* SPDX-License-Identifier: MIT */
/* What lies at the segment's path is hostile until it was checked: an error with words, never a
 * crash, and never a file that is overwritten. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../shm/handle.h"
#include "support.h"

static const char limits[] = NODE_SMALL "[host \"two\"]\ncluster_max_outbound_connections = 2\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, limits);
    }
    return result;
}

static void assert_refused(struct place *place, int expected, const char *words) {
    for (int i = 0; i < 4; i++) { /* with and without a configuration, read-only and not */
        slotshare *handle;
        const int result = place_try(place, &handle, i & 1, i & 2);
        if (result != expected || !strstr(place->error, words) ||
            !strstr(place->error, place->segment)) {
            fail_msg("%d, not %d; '%s' should say '%s'", result, expected, place->error, words);
        }
        assert_null(handle);
    }
}

static void not_a_segment_at_all(void **state) {
    struct place *place = *state;
    static const char text[2 * HEADER_BYTES] = "This is a letter.";
    for (size_t size = 0; size <= sizeof text; size += size < 128 ? 63 : 1021) {
        file_write(place->segment, text, size);
        assert_refused(place, SLOTSHARE_ELAYOUT, "not a slotshare segment");
        struct stat status;
        assert_int_equal(stat(place->segment, &status), 0);
        assert_int_equal(status.st_size, size);
    }
}

static void not_a_file_at_all(void **state) {
    struct place *place = *state;
    slotshare *handle;
    assert_int_equal(mkfifo(place->segment, 0600), 0);
    assert_refused(place, SLOTSHARE_ELAYOUT,
                   "not a regular file"); /* without waiting for a writer */
    assert_int_equal(unlink(place->segment), 0);
    assert_int_equal(symlink(place->config, place->segment), 0);
    assert_refused(place, SLOTSHARE_ESYSTEM, strerror(ELOOP));
    assert_int_equal(unlink(place->segment), 0);
    assert_int_equal(mkdir(place->segment, 0700), 0);
    assert_int_equal(place_try(place, &handle, true, true), SLOTSHARE_ELAYOUT);
    assert_int_equal(place_try(place, &handle, true, false), SLOTSHARE_ESYSTEM);
    assert_non_null(strstr(place->error, strerror(EISDIR)));
}

/* A segment that was used: counters with short and long names, slots held, one owner that died. */
static bool use_and_die(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    slotshare_slot slot;
    char name[200];
    CHECK(place_try(place, &handle, true, false) == SLOTSHARE_OK);
    for (int i = 0; i < 12; i++) {
        memset(name, 'a' + i, sizeof name);
        name[i % 3 ? 5 : 180] = '\0';
        const struct slotshare_connection open = to_domain(name);
        CHECK(slotshare_acquire(handle, &open, &slot) == SLOTSHARE_OK);
    }
    const struct slotshare_connection two = to_host("two");
    CHECK(slotshare_acquire(handle, &two, &slot) == SLOTSHARE_OK);
    return true;
}

static void flip(char *byte, int bits) {
    *byte = (char)((unsigned char)*byte ^ (unsigned char)bits);
}

static char *used_segment(struct place *place, size_t *size) {
    assert_int_equal(child_end(place, child_start(place, use_and_die, 0)), 0);
    return file_read(place->segment, size);
}

static void truncated_and_too_long(void **state) {
    struct place *place = *state;
    size_t size;
    char *bytes = used_segment(place, &size);
    for (size_t length = HEADER_BYTES; length < size; length += HEADER_BYTES) {
        assert_int_equal(truncate(place->segment, (off_t)(size - length)), 0);
        assert_refused(place, size - length < HEADER_BYTES ? SLOTSHARE_ELAYOUT : SLOTSHARE_EDAMAGED,
                       size - length < HEADER_BYTES ? "too short" : "not as long as its header");
    }
    file_write(place->segment, bytes, size);
    assert_int_equal(truncate(place->segment, (off_t)(size + 1)), 0);
    assert_refused(place, SLOTSHARE_EDAMAGED, "not as long as its header");
    free(bytes);
}

static void another_layout(void **state) {
    struct place *place = *state;
    size_t size;
    char *bytes = used_segment(place, &size);
    struct header *header = (struct header *)(void *)bytes;
    header->layout = LAYOUT_VERSION + 41;
    file_write(place->segment, bytes, size);
    char words[80];
    (void)snprintf(words, sizeof words, "layout is version %d", LAYOUT_VERSION + 41);
    assert_refused(place, SLOTSHARE_ELAYOUT, words);
    (void)snprintf(words, sizeof words, "this program's is version %d", LAYOUT_VERSION);
    assert_refused(place, SLOTSHARE_ELAYOUT, words);
    header->layout = LAYOUT_VERSION;
    header->shape ^= 1;
    file_write(place->segment, bytes, size);
    assert_refused(place, SLOTSHARE_ELAYOUT, "shape");
    free(bytes);
}

#define FIELD(name)                                                                                \
    { offsetof(struct header, name), sizeof((struct header *)0)->name }
static const struct {
    size_t offset, size;
} fixed[] = {FIELD(magic),           FIELD(layout),        FIELD(header_bytes),
             FIELD(shape),           FIELD(size),          FIELD(owners_offset),
             FIELD(chunks_offset),   FIELD(slots_offset),  FIELD(buckets_offset),
             FIELD(counters_offset), FIELD(wanted_offset), FIELD(rules_offset),
             FIELD(owners),          FIELD(chunks),        FIELD(slots),
             FIELD(buckets),         FIELD(counters),      FIELD(rules_bytes)};

static void sizes_and_offsets_that_do_not_fit(void **state) {
    struct place *place = *state;
    size_t size;
    char *bytes = used_segment(place, &size);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        for (size_t bit = 0; bit < 8 * fixed[i].size; bit++) {
            slotshare *handle;
            flip(&bytes[fixed[i].offset + bit / 8], 1 << bit % 8);
            file_write(place->segment, bytes, size);
            const int result = place_try(place, &handle, bit % 2, bit % 3 == 0);
            assert_true(result == SLOTSHARE_ELAYOUT || result == SLOTSHARE_EDAMAGED);
            assert_null(handle);
            assert_non_null(strstr(place->error, "emove")); /* what to do */
            flip(&bytes[fixed[i].offset + bit / 8], 1 << bit % 8);
        }
    }
    free(bytes);
}

static void under_another_name(void **state) {
    struct place *place = *state;
    slotshare *handle;
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    char other[160];
    options.directory = place->directory;
    options.error = place->error;
    options.error_size = sizeof place->error;
    slotshare_close(place_open(place));
    (void)snprintf(other, sizeof other, "%s/other.seg", place->directory);
    assert_int_equal(rename(place->segment, other), 0);
    assert_int_equal(slotshare_open(&handle, "other", &options), SLOTSHARE_EDAMAGED);
    assert_non_null(strstr(place->error, "'slotshare' under another name"));
}

/* ---- another boot ---------------------------------------------------------------------------- */

enum { CREATORS = 8 };

static bool open_once(struct place *place, int number) {
    slotshare *handle = NULL;
    struct slotshare_segment_stat stat;
    board_add(place, 0, 1);
    while (board_get(place, 0) < CREATORS) {
    }
    if (place_try(place, &handle, true, false) != SLOTSHARE_OK) {
        (void)fprintf(stderr, "%s\n", place->error);
    }
    CHECK(handle);
    CHECK(slotshare_stat_segment(handle, &stat) == SLOTSHARE_OK);
    board_set(place, 10 + number, (int64_t)stat.incarnation);
    slotshare_close(handle);
    return true;
}

static bool on_tmpfs(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

/* No tmpfs outlives a boot: there a boot id that differs is a container's, or a service's. */
static void of_another_view_of_proc(void **state) {
    struct place *place = *state;
    size_t size;
    slotshare *handle;
    char *bytes = used_segment(place, &size);
    struct header *header = (struct header *)(void *)bytes;
    char directory[] = "/dev/shm/slotshare-damage-XXXXXX";
    char segment[100];
    header->boot_id[3] ^= 0x10;
    if (!on_tmpfs("/dev/shm") || !mkdtemp(directory)) {
        free(bytes);
        skip();
        return; /* skip() does, but its header does not say so */
    }
    (void)snprintf(segment, sizeof segment, "%s/slotshare.seg", directory);
    file_write(segment, bytes, size);
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = directory;
    options.read_only = true;
    const int result = slotshare_open(&handle, NULL, &options);
    const uint64_t incarnation = result == SLOTSHARE_OK ? segment_of(handle).incarnation : 0;
    slotshare_close(handle);
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(result, SLOTSHARE_OK);
    assert_true(incarnation == header->incarnation);
    free(bytes);
}

static void of_another_boot(void **state) {
    struct place *place = *state;
    if (on_tmpfs(place->directory)) {
        skip();
    }
    size_t size;
    char *bytes = used_segment(place, &size);
    struct header *header = (struct header *)(void *)bytes;
    header->boot_id[3] ^= 0x10;
    for (int round = 0; round < 20; round++) {
        slotshare *handle;
        pid_t pid[CREATORS];
        file_write(place->segment, bytes, size);
        assert_int_equal(place_try(place, &handle, false, false), SLOTSHARE_ENOSEGMENT);
        assert_non_null(strstr(place->error, "before the last boot"));
        board_set(place, 0, 0);
        for (int i = 0; i < CREATORS; i++) { /* all at once: one new segment */
            pid[i] = child_start(place, open_once, i);
        }
        for (int i = 0; i < CREATORS; i++) {
            assert_int_equal(child_end(place, pid[i]), 0);
            assert_true(board_get(place, 10 + i) == board_get(place, 10));
        }
        assert_true(board_get(place, 10) != (int64_t)header->incarnation);
        handle = place_open(place);
        assert_int_equal(segment_of(handle).counters_used, 0);
        assert_int_equal(segment_of(handle).slots_used, 0);
        slotshare_close(handle);
        assert_int_equal(unlink(place->segment), 0);
    }
    free(bytes);
}

/* ---- damage inside --------------------------------------------------------------------------- */

static int look(const struct slotshare_counter_stat *counter, void *arg) {
    (void)arg;
    assert_true(strlen(counter->name) <= SLOTSHARE_COUNTER_MAX);
    return 0;
}

static int look_owner(const struct slotshare_owner_stat *owner, void *arg) {
    (void)arg;
    assert_true(strlen(owner->command) < sizeof owner->command);
    return 0;
}

static int look_slot(const struct slotshare_slot_stat *slot, void *arg) {
    (void)arg;
    assert_true(slot->counter < 64);
    return 0;
}

/* Every call once, on names that are there and on new ones. Any result will do: what counts is that
 * each call comes back. */
static void use_everything(slotshare *handle) {
    const char *name[] = {"bbbbb", "new.example", "ccccc", "another.example.org"};
    slotshare_slot slot[8];
    int taken = 0;
    struct slotshare_segment_stat stat;
    struct slotshare_explanation explanation;
    for (int i = 0; i < 4; i++) {
        const struct slotshare_connection connection = {NULL, name[i], i % 2 ? "two" : NULL};
        (void)slotshare_explain(handle, &connection, &explanation);
        struct slotshare_step step[SLOTSHARE_STEPS];
        (void)slotshare_explain_steps(handle, &connection, step);
        taken += slotshare_acquire(handle, &connection, &slot[taken]) == SLOTSHARE_OK;
        taken += slotshare_acquire_wait(handle, &connection, &slot[taken], 1) == SLOTSHARE_OK;
    }
    (void)slotshare_stat_segment(handle, &stat);
    (void)slotshare_stat_counters(handle, look, NULL);
    (void)slotshare_stat_owners(handle, look_owner, NULL);
    (void)slotshare_stat_slots(handle, look_slot, NULL);
    for (int i = 0; i < taken; i++) {
        (void)slotshare_release(handle, slot[i]);
    }
    if (!handle->segment.read_only) {
        (void)handle_reap(handle, 0);
    }
}

static void open_and_use(struct place *place) {
    slotshare *handle;
    if (place_try(place, &handle, false, true) == SLOTSHARE_OK) {
        use_everything(handle);
        slotshare_close(handle);
    }
    if (place_try(place, &handle, false, false) == SLOTSHARE_OK) {
        use_everything(handle);
        slotshare_close(handle);
    }
}

static void any_byte_of_the_header(void **state) {
    struct place *place = *state;
    size_t size;
    char *bytes = used_segment(place, &size);
    for (size_t at = 0; at < sizeof(struct header); at++) {
        flip(&bytes[at], at % 2 ? 0xff : 1 << at % 8);
        file_write(place->segment, bytes, size);
        open_and_use(place);
        flip(&bytes[at], at % 2 ? 0xff : 1 << at % 8);
    }
    free(bytes);
}

static void any_words_of_the_rest(void **state) {
    struct place *place = *state;
    size_t size;
    uint32_t seed = 20251122;
    char *bytes = used_segment(place, &size);
    char *damaged = malloc(size);
    assert_non_null(damaged);
    const size_t tables = ((struct header *)(void *)bytes)->rules_offset - HEADER_BYTES;
    for (int round = 0; round < 600; round++) {
        memcpy(damaged, bytes, size);
        for (uint32_t i = 0; i < 1 + chance(&seed) % 200; i++) {
            const uint32_t kind = chance(&seed) % 4;
            const size_t at = HEADER_BYTES + chance(&seed) % (tables / 4) * 4;
            const uint32_t word = kind == 0   ? chance(&seed) % 80 /* an index, perhaps */
                                  : kind == 1 ? chance(&seed)
                                  : kind == 2 ? UINT32_MAX
                                              : 1U << chance(&seed) % 32;
            memcpy(damaged + at, &word, sizeof word);
        }
        file_write(place->segment, damaged, size);
        open_and_use(place);
    }
    free(damaged);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(not_a_segment_at_all, setup, place_teardown),
        cmocka_unit_test_setup_teardown(not_a_file_at_all, setup, place_teardown),
        cmocka_unit_test_setup_teardown(truncated_and_too_long, setup, place_teardown),
        cmocka_unit_test_setup_teardown(another_layout, setup, place_teardown),
        cmocka_unit_test_setup_teardown(sizes_and_offsets_that_do_not_fit, setup, place_teardown),
        cmocka_unit_test_setup_teardown(under_another_name, setup, place_teardown),
        cmocka_unit_test_setup_teardown(of_another_boot, setup, place_teardown),
        cmocka_unit_test_setup_teardown(of_another_view_of_proc, setup, place_teardown),
        cmocka_unit_test_setup_teardown(any_byte_of_the_header, setup, place_teardown),
        cmocka_unit_test_setup_teardown(any_words_of_the_rest, setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
