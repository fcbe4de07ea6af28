/* SPDX-License-Identifier: MIT */
/* Limits that change while workers run. */
#include "support.h"

#include "../../shm/control.h"

#define HOST(limit) NODE_SMALL "[host \"one\"]\ncluster_max_outbound_connections = " #limit "\n"

static int reload(struct place *place, slotshare *handle, const char *text) {
    place_config(place, text);
    return slotshare_reload(handle, place->config, place->error, sizeof place->error);
}

static int take(slotshare *handle, const char *host, slotshare_slot *slot) {
    const struct slotshare_connection connection = to_host(host);
    return slotshare_acquire(handle, &connection, slot);
}

static void raised_and_lowered(void **state) {
    struct place *place = *state;
    slotshare_slot slot[6];
    place_config(place, HOST(3));
    slotshare *handle = place_open(place);
    slotshare *other = place_open(place); /* as another process: it need not do anything */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(handle, "one", &slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(take(other, "one", &slot[3]), SLOTSHARE_FULL);
    assert_int_equal(reload(place, handle, HOST(4)), SLOTSHARE_OK);
    assert_int_equal(segment_of(other).rules, 2);
    assert_int_equal(stat_of(other, "host:one").limit, 4);
    assert_int_equal(take(other, "one", &slot[3]), SLOTSHARE_OK);
    assert_int_equal(reload(place, handle, HOST(2)), SLOTSHARE_OK);
    assert_int_equal(stat_of(other, "host:one").in_use, 4); /* nothing is taken away */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(other, "one", &slot[5]), SLOTSHARE_FULL);
        assert_int_equal(slotshare_release(i < 3 ? handle : other, slot[i]), SLOTSHARE_OK);
    }
    assert_int_equal(take(other, "one", &slot[5]), SLOTSHARE_OK); /* 1 + 1 of 2 */
    assert_int_equal(take(other, "one", &slot[4]), SLOTSHARE_FULL);
    slotshare_close(handle);
    slotshare_close(other);
}

static void handles_go_stale_and_scopes_move(void **state) {
    struct place *place = *state;
    slotshare_slot slot[3];
    slotshare_counter counter;
    const struct slotshare_connection one = {NULL, "d.example", "one"};
    place_config(place, NODE_SMALL);
    slotshare *handle = place_open(place);
    assert_int_equal(slotshare_counter_find(handle, &one, &counter), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot[0]), SLOTSHARE_OK);
    assert_int_equal(reload(place, handle, HOST(1)), SLOTSHARE_OK);
    assert_int_equal(slotshare_counter_acquire(handle, counter, &slot[1]), SLOTSHARE_ESTALE);
    assert_int_equal(slotshare_acquire(handle, &one, &slot[1]), SLOTSHARE_OK);
    assert_int_equal(slotshare_acquire(handle, &one, &slot[2]), SLOTSHARE_FULL);
    /* what was taken under the old scope stays counted there, and goes back there */
    assert_int_equal(stat_of(handle, "domain:d.example").in_use, 1);
    assert_int_equal(slotshare_release(handle, slot[0]), SLOTSHARE_OK);
    assert_int_equal(stat_of(handle, "domain:d.example").in_use, 0);
    assert_int_equal(stat_of(handle, "host:one").in_use, 1);
    slotshare_close(handle);
}

static void a_file_with_errors_changes_nothing(void **state) {
    struct place *place = *state;
    slotshare_slot slot;
    place_config(place, HOST(1));
    slotshare *handle = place_open(place);
    assert_int_equal(reload(place, handle, HOST(x)), SLOTSHARE_ECONFIG);
    assert_non_null(strstr(place->error, ":7: "));
    assert_int_equal(segment_of(handle).rules, 1);
    assert_int_equal(reload(place, handle,
                            NODE_SMALL "[cluster]\ntls = off\nmember mta1 = tcp://127.0.0.1:1\n"
                                       "member mta2 = tcp://127.0.0.1:2\n"),
                     SLOTSHARE_ECONFIG);
    assert_int_equal(take(handle, "one", &slot), SLOTSHARE_OK);
    assert_int_equal(take(handle, "one", &slot), SLOTSHARE_FULL);
    slotshare_close(handle);
}

static bool wait_for_one(struct place *place, int ignored) {
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection one = to_host("one");
    (void)ignored;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    board_set(place, 0, 1);
    CHECK(slotshare_acquire_wait(handle, &one, &slot, -1) == SLOTSHARE_OK);
    slotshare_close(handle);
    return true;
}

static void a_raised_limit_wakes(void **state) {
    struct place *place = *state;
    place_config(place, HOST(0));
    slotshare *handle = place_open(place);
    pid_t waiter = child_start(place, wait_for_one, 0);
    board_await(place, 0, 1);
    assert_int_equal(reload(place, handle, HOST(1)), SLOTSHARE_OK);
    assert_int_equal(child_end(place, waiter), 0);
    slotshare_close(handle);
}

/* Workers look names up, take and give back all the time while the limit goes up and down: never
 * more than the larger of the two limits, and at the end all is exact. */
static bool churn(struct place *place, int seed) {
    slotshare *handle = NULL;
    uint32_t random = (uint32_t)seed + 1;
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    while (board_get(place, 0) == 0) {
        char host[32];
        slotshare_slot slot;
        (void)snprintf(host, sizeof host, "h%u", chance(&random) % 8);
        int result = take(handle, host, &slot);
        CHECK(result == SLOTSHARE_OK || result == SLOTSHARE_FULL);
        CHECK(result != SLOTSHARE_OK || slotshare_release(handle, slot) == SLOTSHARE_OK);
    }
    slotshare_close(handle);
    return true;
}

static int check_counter(const struct slotshare_counter_stat *counter, void *wrong) {
    if (counter->in_use != 0 || (counter->limit != 1 && counter->limit != -1) ||
        counter->peak > 2 || counter->share != counter->limit) {
        (*(int *)wrong)++;
    }
    return 0;
}

static void many_reloads_under_traffic(void **state) {
    struct place *place = *state;
    char text[2][1024];
    pid_t child[3];
    for (int limit = 1; limit <= 2; limit++) {
        size_t used = (size_t)snprintf(text[limit - 1], sizeof text[0], "%s", NODE_SMALL);
        for (int i = 0; i < 8; i++) {
            used += (size_t)snprintf(text[limit - 1] + used, sizeof text[0] - used,
                                     "[host \"h%d\"]\ncluster_max_outbound_connections = %d\n", i,
                                     limit);
        }
    }
    place_config(place, text[0]);
    slotshare *handle = place_open(place);
    for (int i = 0; i < 3; i++) {
        child[i] = child_start(place, churn, i);
    }
    for (int i = 0; i < 200; i++) {
        assert_int_equal(reload(place, handle, text[(i + 1) % 2]), SLOTSHARE_OK);
        nap();
    }
    board_set(place, 0, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(child_end(place, child[i]), 0);
    }
    int wrong = 0;
    assert_int_equal(slotshare_stat_counters(handle, check_counter, &wrong), SLOTSHARE_OK);
    assert_int_equal(wrong, 0);
    slotshare_close(handle);
}

#define CLUSTER(limit)                                                                             \
    NODE_SMALL "[cluster]\ntls = off\nreserve = 50\nmember mta1 = tcp://127.0.0.1:1\n"             \
               "member mta2 = tcp://127.0.0.1:2\n"                                                 \
               "[host \"one\"]\ncluster_max_outbound_connections = " #limit "\n"

static struct conf *load(struct place *place, const char *text) {
    struct conf *conf = NULL;
    struct conf_errors errors;
    place_config(place, text);
    assert_int_equal(conf_load(place->config, &conf, &errors), 0);
    conf_errors_free(&errors);
    return conf;
}

static struct control *open_control(struct place *place, const struct conf *conf) {
    struct control *control = NULL;
    assert_int_equal(
        control_open(&control, conf, NULL, place->directory, place->error, sizeof place->error),
        SLOTSHARE_OK);
    return control;
}

/* One that lasts longer than any test. */
static void give_session(struct control *control) {
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + 600000;
    control_memory_store(control, &memory);
}

/* A pending set lowers at once and raises when it is committed; a bridge that starts anew between
 * the two finds it. */
static void pending_then_committed(void **state) {
    struct place *place = *state;
    struct conf *conf = load(place, CLUSTER(8));
    struct control *control = open_control(place, conf);
    uint32_t index;
    give_session(control);
    assert_int_equal(control_counter_find(control, "host:one", &index), SLOTSHARE_OK);
    slotshare *watch = place_watch(place);
    assert_int_equal(stat_of(watch, "host:one").share, 4);
    assert_int_equal(control_share_set(control, index, 6, 9), 0);
    struct conf *lower = load(place, CLUSTER(4));
    assert_int_equal(control_reload(control, lower, place->error, sizeof place->error),
                     SLOTSHARE_OK);
    assert_int_equal(stat_of(watch, "host:one").share, 2);
    assert_int_equal(stat_of(watch, "host:one").limit, 8);
    assert_int_equal(control_share_set(control, index, 5, 10), 0); /* not above the pending home */
    assert_int_equal(stat_of(watch, "host:one").share, 2);
    assert_true(control_fits(control));
    control_close(control);
    control = open_control(place, conf);
    assert_true(control_pending(control).size > 0);
    control_commit(control);
    assert_int_equal(control_pending(control).size, 0);
    assert_int_equal(stat_of(watch, "host:one").limit, 4);
    assert_int_equal(stat_of(watch, "host:one").share, 2);
    assert_int_equal(control_reload(control, conf, place->error, sizeof place->error),
                     SLOTSHARE_OK);
    assert_int_equal(stat_of(watch, "host:one").share, 2); /* raises wait for the commitment */
    control_commit(control);
    assert_int_equal(stat_of(watch, "host:one").share, 4);
    struct control_counter counter;
    assert_int_equal(control_counter_read(control, index, &counter), SLOTSHARE_OK);
    assert_false(counter.record);
    slotshare_close(watch);
    control_close(control);
    conf_free(lower);
    conf_free(conf);
}

/* After a reboot of the host, or without its file, a segment is made anew, by a bridge that has
 * promised a lower limit: the first take already finds that. */
static void pending_from_the_first_moment(void **state) {
    struct place *place = *state;
    struct conf *conf = load(place, CLUSTER(8));
    struct conf *lower = load(place, CLUSTER(4));
    struct control *control = NULL;
    assert_int_equal(
        control_claim(&control, conf->segment, place->directory, place->error, sizeof place->error),
        SLOTSHARE_OK);
    assert_int_equal(control_start(control, conf, lower, place->error, sizeof place->error),
                     SLOTSHARE_OK);
    assert_true(control_digest(control) == conf_digest(conf));
    assert_true(control_pending_digest(control) == conf_digest(lower));
    uint32_t index;
    assert_int_equal(control_counter_find(control, "host:one", &index), SLOTSHARE_OK);
    give_session(control);
    slotshare *watch = place_watch(place);
    assert_int_equal(stat_of(watch, "host:one").limit, 8);
    assert_int_equal(stat_of(watch, "host:one").share, 2);
    /* From here on it is as if it had come later. */
    control_withdraw(control);
    control_relax(control);
    assert_int_equal(stat_of(watch, "host:one").share, 4);
    assert_int_equal(control_reload(control, lower, place->error, sizeof place->error),
                     SLOTSHARE_OK);
    assert_int_equal(stat_of(watch, "host:one").share, 2);
    control_commit(control);
    assert_int_equal(stat_of(watch, "host:one").limit, 4);
    slotshare_close(watch);
    control_close(control);
    conf_free(lower);
    conf_free(conf);
}

static int32_t share_of(slotshare *watch, const char *name) {
    return stat_of(watch, name).share;
}

/* What is pending may be replaced by another set, or withdrawn. What has no record goes back to the
 * opening deal; a record keeps the lower share, which others may have been told of. */
static void pending_then_replaced(void **state) {
    struct place *place = *state;
    char *error = place->error;
    struct conf *eight = load(place, CLUSTER(8));
    struct conf *four = load(place, CLUSTER(4));
    struct conf *two = load(place, CLUSTER(2));
    struct control *control = open_control(place, eight);
    uint32_t index;
    give_session(control);
    assert_int_equal(control_counter_find(control, "host:one", &index), SLOTSHARE_OK);
    slotshare *watch = place_watch(place);
    assert_int_equal(control_pending_digest(control), 0);
    assert_true(control_digest(control) == conf_digest(eight));
    control_withdraw(control); /* nothing */
    control_relax(control);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(control_reload(control, four, error, sizeof place->error), SLOTSHARE_OK);
        assert_int_equal(share_of(watch, "host:one"), 2);
        assert_true(control_pending_digest(control) == conf_digest(four));
        assert_int_equal(control_reload(control, two, error, sizeof place->error), SLOTSHARE_OK);
        assert_int_equal(share_of(watch, "host:one"), 1);
        assert_int_equal(control_reload(control, four, error, sizeof place->error), SLOTSHARE_OK);
        assert_int_equal(share_of(watch, "host:one"), 1);
        control_relax(control);
        assert_int_equal(share_of(watch, "host:one"), 2);
        control_withdraw(control);
        assert_int_equal(share_of(watch, "host:one"), 2);
        control_relax(control);
        assert_int_equal(share_of(watch, "host:one"), 4);
    }
    assert_int_equal(control_share_set(control, index, 6, 9), 0);
    assert_int_equal(control_reload(control, two, error, sizeof place->error), SLOTSHARE_OK);
    control_withdraw(control);
    control_relax(control);
    assert_int_equal(share_of(watch, "host:one"), 1);
    control_record_drop(control, index);
    /* A bridge that died while it withdrew: the next one makes good for it. */
    control_close(control);
    control = open_control(place, eight);
    assert_int_equal(share_of(watch, "host:one"), 4);
    /* What was committed elsewhere is committed here when the bridge starts. */
    assert_int_equal(control_reload(control, two, error, sizeof place->error), SLOTSHARE_OK);
    control_close(control);
    control = open_control(place, two);
    assert_int_equal(control_pending_digest(control), 0);
    assert_int_equal(stat_of(watch, "host:one").limit, 2);
    assert_int_equal(share_of(watch, "host:one"), 1);
    assert_int_equal(control_refresh(control, two, error, sizeof place->error), SLOTSHARE_OK);
    assert_int_equal(share_of(watch, "host:one"), 1);
    slotshare_close(watch);
    control_close(control);
    conf_free(two);
    conf_free(four);
    conf_free(eight);
}

/* A configuration without this node leaves it nothing. */
static void taken_out_of_the_cluster(void **state) {
    static const char without[] =
        NODE_SMALL "[cluster]\ntls = off\nmember other = tcp://127.0.0.1:7001\n"
                   "member third = tcp://127.0.0.1:7003\n"
                   "[host \"one\"]\ncluster_max_outbound_connections = 8\n";
    struct place *place = *state;
    struct conf *conf = load(place, CLUSTER(8));
    struct conf *out = NULL;
    struct conf_errors errors = {0};
    assert_int_equal(conf_load_text("test", without, strlen(without), "mta1", &out, &errors), 0);
    assert_true(out->self == CONF_SELF_NONE);
    struct control *control = open_control(place, conf);
    uint32_t index;
    assert_int_equal(control_counter_find(control, "host:one", &index), SLOTSHARE_OK);
    slotshare *watch = place_watch(place);
    assert_int_equal(control_reload(control, out, place->error, sizeof place->error), SLOTSHARE_OK);
    assert_int_equal(share_of(watch, "host:one"), 0);
    control_commit(control);
    assert_int_equal(stat_of(watch, "host:one").limit, 8);
    assert_int_equal(share_of(watch, "host:one"), 0);
    slotshare_close(watch);
    control_close(control);
    conf_free(out);
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(raised_and_lowered, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(handles_go_stale_and_scopes_move, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_file_with_errors_changes_nothing, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(a_raised_limit_wakes, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(many_reloads_under_traffic, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(pending_then_committed, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(pending_from_the_first_moment, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(pending_then_replaced, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(taken_out_of_the_cluster, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
