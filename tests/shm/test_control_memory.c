/* SPDX-License-Identifier: MIT */
/* Every allocation of the bridge's side of a segment fails once: an error with a text, the bridge's
 * place is free again, and counts and shares are exact for whoever comes next. */
#include <unistd.h>

#include "../alloc.h"
#include "support.h"

#define MEMBERS                                                                                    \
    "[cluster]\ntls = off\nreplicate = outbound_domains\nmember mta1 = tcp://127.0.0.1:7001\n"     \
    "member mta2 = tcp://127.0.0.1:7002\n"
static const char first[] =
    NODE_SMALL MEMBERS "[host \"a\"]\ncluster_max_outbound_connections = 24\n";
static const char second[] =
    NODE_SMALL MEMBERS "[host \"a\"]\ncluster_max_outbound_connections = 8\n";

/* It went well, or it says why not. */
static bool went_well(int result, const char *text) {
    if (result != SLOTSHARE_OK && result != SLOTSHARE_ESYSTEM && result != SLOTSHARE_ECONFIG) {
        fail_msg("returned %d: %s", result, slotshare_strerror(result));
    }
    assert_true(result == SLOTSHARE_OK || text[0]);
    return result == SLOTSHARE_OK;
}

static struct conf *load(struct place *place, const char *text) {
    struct conf *conf = NULL;
    struct conf_errors errors;
    place_config(place, text);
    assert_int_equal(conf_load(place->config, &conf, &errors), 0);
    conf_errors_free(&errors);
    return conf;
}

static int add(const struct control_counter *counter, void *arg) {
    *(int *)arg += counter->in_use;
    return 0;
}

/* The calls of a bridge; two slots are in use. */
static void serve(struct place *place, struct control *control, const struct conf *next) {
    struct control_memory memory;
    uint32_t index = 0;
    int sum = 0;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + 600000;
    control_memory_store(control, &memory);
    assert_int_equal(control_counter_find(control, "host:a", &index), SLOTSHARE_OK);
    assert_true(control_pin(control, index, "host:a"));
    assert_int_equal(control_share_set(control, index, 5, 1), 2);
    control_each_busy(control, add, &sum);
    assert_int_equal(sum, 2);
    uint32_t counters = 0;
    uint32_t *oldest = control_oldest(control, &counters);
    assert_true(index < counters && (oldest == NULL || oldest[index] > 0));
    free(oldest);
    place->error[0] = '\0';
    if (went_well(control_reload(control, next, place->error, sizeof place->error), place->error)) {
        assert_true(control_fits(control));
        control_withdraw(control);
        control_relax(control);
    }
    (void)control_reap(control);
    (void)control_retire(control);
    control_unpin(control, index);
}

static void allocations_fail(void **state) {
    struct place *place = *state;
    struct conf *next = load(place, second), *conf = load(place, first);
    struct control *control = bridge_open(place);
    struct slotshare_connection a = to_host("a");
    slotshare *worker = NULL;
    slotshare_slot slot[3];
    assert_int_equal(place_try(place, &worker, false, false), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(worker, &a, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(worker, &a, &slot[1]), SLOTSHARE_OK);
    control_close(control);
    for (int n = 0, done = 0; !done; n++) {
        place->error[0] = '\0';
        alloc_fail(n);
        int result =
            control_open(&control, conf, NULL, place->directory, place->error, sizeof place->error);
        if (went_well(result, place->error)) {
            serve(place, control, next);
        }
        done = alloc_all();
        assert_true((control != NULL) == (result == SLOTSHARE_OK));
        assert_true(!done || control);
        control_close(control);
        control = bridge_open(place); /* the place is free, and the next one finds everything */
        assert_int_equal(stat_of(worker, "host:a").in_use, 2);
        control_close(control);
    }
    assert_int_equal(slotshare_release(worker, slot[0]), SLOTSHARE_OK);
    assert_int_equal(slotshare_release(worker, slot[1]), SLOTSHARE_OK);
    assert_int_equal(stat_of(worker, "host:a").in_use, 0);
    slotshare_close(worker);
    conf_free(conf);
    conf_free(next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(allocations_fail, place_setup, place_teardown),
    };
    (void)alarm(250);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
