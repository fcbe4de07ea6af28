/* SPDX-License-Identifier: MIT */
/* The table of counters: names of every length, each of them once, whoever inserts and dies. */
#include <signal.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../../shm/counter.h"
#include "../../shm/entry.h"
#include "../../shm/handle.h"
#include "../../shm/lock.h"
#include "../../shm/retire.h"
#include "support.h"

static void letters(char *out, size_t length) {
    for (size_t i = 0; i < length; i++) {
        out[i] = (char)('a' + (i + length) % 26);
    }
    out[length] = '\0';
}

static void names_of_every_length(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = a\ncounters = 4096\nowners = 4\nslots = 64\n");
    slotshare *handle = place_open(place);
    const struct counter_setup setup = {
        .limit = -1, .home = -1, .reserve = -1, .rules = 1, .scope = SLOTSHARE_SCOPE_NONE};
    char name[SLOTSHARE_COUNTER_MAX + 1];
    char copy[SLOTSHARE_COUNTER_MAX + 1];
    uint32_t index[SLOTSHARE_COUNTER_MAX + 1];
    uint32_t generation;
    for (size_t length = 1; length <= SLOTSHARE_COUNTER_MAX; length++) {
        letters(name, length);
        assert_int_equal(counter_find(&handle->segment, name, length, &index[length], &generation),
                         SLOTSHARE_FULL);
        assert_int_equal(counter_insert(&handle->segment, handle->leader, name, length, &setup,
                                        &index[length], &generation),
                         SLOTSHARE_OK);
    }
    for (size_t length = 1; length <= SLOTSHARE_COUNTER_MAX; length++) {
        uint32_t found;
        letters(name, length);
        assert_int_equal(counter_insert(&handle->segment, handle->leader, name, length, &setup,
                                        &found, &generation),
                         SLOTSHARE_OK);
        assert_int_equal(found, index[length]);
        assert_int_equal(counter_name(&handle->segment, found, copy), length);
        assert_string_equal(copy, name);
        for (size_t at = 0; at < length; at += 7) { /* one letter off is another name */
            name[at] ^= 1;
            assert_int_equal(counter_find(&handle->segment, name, length, &found, &generation),
                             SLOTSHARE_FULL);
            name[at] ^= 1;
        }
    }
    slotshare_close(handle);
}

/* ---- many names, many processes, and deaths ---------------------------------------------------
 */

enum { NAMES = 6000, CHILDREN = 8, KILLS = 80, SEED = 1, READY = 2 };

/* Name number i; every fourth is so long that it takes three entries. @return entries. */
static uint32_t make_name(uint32_t i, char *out, size_t size) {
    if (i % 4 != 0) {
        (void)snprintf(out, size, "n%u.example", i);
        return 1;
    }
    (void)snprintf(out, size, "n%u.%0*d.example", i, 220 - 20, 0);
    return 3;
}

static bool insert_for_ever(struct place *place, int number) {
    slotshare *handle = NULL;
    uint32_t seed = (uint32_t)board_add(place, SEED, 7919) + (uint32_t)number;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    for (;;) {
        char name[256];
        slotshare_slot slot;
        (void)make_name(chance(&seed) % NAMES, name, sizeof name);
        const struct slotshare_connection connection = to_domain(name);
        CHECK(slotshare_acquire(handle, &connection, &slot) == SLOTSHARE_OK);
        CHECK(slotshare_release(handle, slot) == SLOTSHARE_OK);
        board_add(place, READY, 1);
    }
}

struct census {
    uint32_t counters, twice, in_use;
    uint8_t seen[NAMES];
};

static int count_name(const struct slotshare_counter_stat *counter, void *arg) {
    struct census *census = arg;
    const bool ours = strncmp(counter->name, "domain:n", 8) == 0;
    const unsigned long i = ours ? strtoul(counter->name + 8, NULL, 10) : NAMES;
    census->counters++;
    census->in_use += (uint32_t)counter->in_use;
    if (i >= NAMES || census->seen[i]++) {
        census->twice++;
    }
    return 0;
}

static void each_name_once_whoever_dies(void **state) {
    struct place *place = *state;
    pid_t pid[CHILDREN];
    uint32_t seed = 815;
    place_config(place, "[node]\nname = a\ncounters = 32768\nowners = 64\nslots = 2048\n");
    slotshare *handle = place_open(place);
    for (int i = 0; i < CHILDREN; i++) {
        pid[i] = child_start(place, insert_for_ever, i);
    }
    for (int i = 0; i < KILLS; i++) {
        const uint32_t victim = chance(&seed) % CHILDREN;
        board_await(place, READY, board_get(place, READY) + 1 + chance(&seed) % 200);
        assert_int_equal(child_kill(place, pid[victim], SIGKILL), -SIGKILL);
        pid[victim] = child_start(place, insert_for_ever, (int)victim);
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(child_kill(place, pid[i], SIGKILL), -SIGKILL);
    }
    (void)handle_reap(handle, 0);
    uint32_t entries = 0;
    for (uint32_t i = 0; i < NAMES; i++) { /* those that chance has left out */
        char name[256];
        slotshare_counter counter;
        entries += make_name(i, name, sizeof name);
        const struct slotshare_connection connection = to_domain(name);
        assert_int_equal(slotshare_counter_find(handle, &connection, &counter), SLOTSHARE_OK);
    }
    struct census *census = calloc(1, sizeof *census);
    assert_non_null(census);
    assert_int_equal(slotshare_stat_counters(handle, count_name, census), SLOTSHARE_OK);
    assert_int_equal(census->counters, NAMES);
    assert_int_equal(census->twice, 0);
    assert_int_equal(census->in_use, 0);
    free(census);
    /* no entry is lost to the dead */
    assert_int_equal(segment_of(handle).counters_used, entries);
    /* the hint beside them may be off after deaths among the living, but not so that it does harm
     */
    assert_false(retire_wanted(&handle->segment));
    atomic_store(&handle->segment.header->counters_used, UINT32_MAX); /* one below 0 */
    assert_false(retire_wanted(&handle->segment));
    entry_recount(&handle->segment);
    assert_int_equal(atomic_load(&handle->segment.header->counters_used), entries);
    slotshare_close(handle);
}

/* ---- a full table ---------------------------------------------------------------------------- */

static void full_table_goes_on_serving_what_it_has(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = a\ncounters = 64\ncounters_max = 64\nslots = 256\n"
                        "owners = 4\n");
    slotshare *handle = place_open(place);
    slotshare_slot slot[65];
    char name[65][32];
    assert_int_equal(segment_of(handle).counters_max, 64);
    for (int i = 0; i < 65; i++) { /* each in use: nothing to retire */
        (void)snprintf(name[i], sizeof name[i], "n%d.example", i);
        const struct slotshare_connection connection = to_domain(name[i]);
        assert_int_equal(slotshare_acquire(handle, &connection, &slot[i]),
                         i < 64 ? SLOTSHARE_OK : SLOTSHARE_ECOUNTERS);
    }
    assert_int_equal(segment_of(handle).counters_used, 64);
    for (int i = 0; i < 64; i++) {
        const struct slotshare_connection connection = to_domain(name[i]);
        slotshare_slot second;
        assert_int_equal(slotshare_acquire(handle, &connection, &second), SLOTSHARE_OK);
        assert_int_equal(slotshare_release(handle, second), SLOTSHARE_OK);
    }
    /* a long name needs more room than one that becomes free: nothing of it may stay behind */
    assert_int_equal(slotshare_release(handle, slot[7]), SLOTSHARE_OK);
    char longer[201];
    letters(longer, 200);
    const struct slotshare_connection large = to_domain(longer);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(slotshare_acquire(handle, &large, &slot[64]), SLOTSHARE_ECOUNTERS);
    }
    const struct slotshare_connection late = to_domain(name[64]);
    int result;
    while ((result = slotshare_acquire(handle, &late, &slot[64])) == SLOTSHARE_ECOUNTERS) {
    }
    assert_int_equal(result, SLOTSHARE_OK);
    assert_int_equal(segment_of(handle).counters_used, 64);
    slotshare_close(handle);
}

/* Whoever makes room may be stopped while it does. Here the test itself has its lock, through a
 * description of its own. */
static void a_full_table_waits_for_nobody_for_ever(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = a\ncounters = 64\ncounters_max = 128\nslots = 256\n"
                        "owners = 4\n");
    slotshare *handle = place_open(place);
    slotshare_slot slot;
    char name[32];
    for (int i = 0; i < 64; i++) { /* each in use: nothing to retire */
        (void)snprintf(name, sizeof name, "n%d.example", i);
        const struct slotshare_connection connection = to_domain(name);
        assert_int_equal(slotshare_acquire(handle, &connection, &slot), SLOTSHARE_OK);
    }
    const struct slotshare_connection one_more = to_domain("n64.example");
    const struct slotshare_connection old = to_domain("n0.example");
    int fd = segment_lock_open(&handle->segment);
    assert_int_equal(lock_take(fd, LOCK_RETIRE), 0);
    assert_int_equal(slotshare_acquire(handle, &one_more, &slot), SLOTSHARE_ECOUNTERS);
    assert_int_equal(slotshare_acquire(handle, &old, &slot), SLOTSHARE_OK);
    (void)close(fd);
    assert_int_equal(slotshare_acquire(handle, &one_more, &slot), SLOTSHARE_OK);
    assert_int_equal(segment_of(handle).counters_used, 65);
    slotshare_close(handle);
}

/* ---- a flood of names that share a chain -------------------------------------------------------
 */

enum { FLOOD = 200, CHAIN_MAX = 12 };

static uint32_t longest_chain(const struct segment *segment) {
    uint32_t longest = 0;
    for (uint32_t bucket = 0; bucket < segment->bucket_count; bucket++) {
        uint32_t length = 0;
        for (uint32_t next = bucket_first(atomic_load(&segment->buckets[bucket])); next != NONE;
             next = atomic_load(&segment->counters[next - 1].next)) {
            length++;
        }
        longest = length > longest ? length : longest;
    }
    return longest;
}

static uint64_t hash_of(const char *domain, const unsigned char *secret, size_t secret_size) {
    char counter[256] = {0};
    int length = snprintf(counter, sizeof counter, "domain:%s", domain);
    assert_in_range(length, 1, sizeof counter - 1);
    return XXH3_64bits_withSecret(counter, (size_t)length, secret, secret_size);
}

/* Whoever sends mail to many domains picks the names of counters. Here he knows the secret, or
 * knows all but that: names which all fall into one chain with one secret lie spread with another.
 * With 200 names in 4,096 chains more than 12 in one have a chance of less than one in 10^20. */
static void flooding_needs_the_secret(void **state) {
    struct place *place = *state;
    unsigned char known[sizeof((struct header *)0)->secret];
    char name[FLOOD][32];
    place_config(place, "[node]\nname = a\ncounters = 16384\ncounters_max = 16384\nslots = 64\n"
                        "owners = 4\n");
    slotshare *handle = place_open(place);
    const struct segment *segment = &handle->segment;
    assert_true(segment->bucket_count >= 4096);
    for (int own = 0; own < 2; own++) {
        memset(known, 'k', sizeof known);
        if (own) {
            memcpy(known, segment->header->secret, sizeof known);
        }
        for (uint32_t i = 0, found = 0; found < FLOOD; i++) {
            (void)snprintf(name[found], sizeof name[0], "%c%u.example", own ? 'o' : 'f', i);
            found += hash_of(name[found], known, sizeof known) % segment->bucket_count == 7;
        }
        slotshare_counter at[FLOOD];
        for (int round = 0; round < 2; round++) { /* each is found again, in whatever chain */
            for (int i = 0; i < FLOOD; i++) {
                const struct slotshare_connection connection = to_domain(name[i]);
                slotshare_counter counter;
                assert_int_equal(slotshare_counter_find(handle, &connection, &counter),
                                 SLOTSHARE_OK);
                assert_true(round == 0 || counter.index == at[i].index);
                at[i] = counter;
            }
        }
        if (own) { /* the test would see a long chain */
            assert_true(longest_chain(segment) >= FLOOD);
        } else {
            assert_in_range(longest_chain(segment), 1, CHAIN_MAX);
        }
    }
    slotshare_close(handle);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void damaged_chains_end(void **state) {
    struct place *place = *state;
    place_config(place, "[node]\nname = a\ncounters = 64\ncounters_max = 64\nslots = 64\n"
                        "owners = 4\n");
    slotshare *handle = place_open(place);
    const struct segment *segment = &handle->segment;
    const struct slotshare_connection known = to_domain("known.example");
    slotshare_counter counter;
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &known, &slot), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_find(handle, &known, &counter), SLOTSHARE_OK);
    struct counter *entry = &segment->counters[counter.index];
    const uint32_t links[] = {65, UINT32_MAX, counter.index + 1};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        /* every chain leads to this entry, which leads nowhere or to itself */
        atomic_store(&entry->next, links[i]);
        for (uint32_t bucket = 0; bucket < segment->bucket_count; bucket++) {
            atomic_store(&segment->buckets[bucket], bucket_make(9, counter.index + 1));
        }
        const struct slotshare_connection other = to_domain("other.example");
        struct slotshare_explanation explanation;
        slotshare_slot none;
        assert_int_equal(slotshare_acquire(handle, &other, &none), SLOTSHARE_EDAMAGED);
        assert_int_equal(slotshare_explain(handle, &other, &explanation), SLOTSHARE_EDAMAGED);
        assert_int_equal(slotshare_explain(handle, &known, &explanation), SLOTSHARE_OK);
        for (uint32_t bucket = 0; bucket < segment->bucket_count; bucket++) {
            atomic_store(&segment->buckets[bucket], bucket_make(9, links[i] == 65 ? 65 : 4711));
        }
        assert_int_equal(slotshare_acquire(handle, &other, &none), SLOTSHARE_EDAMAGED);
    }
    assert_int_equal(slotshare_release(handle, slot), SLOTSHARE_OK); /* needs no chain */
    slotshare_close(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_of_every_length, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(each_name_once_whoever_dies, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(full_table_goes_on_serving_what_it_has, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_full_table_waits_for_nobody_for_ever, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(flooding_needs_the_secret, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(damaged_chains_end, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
