/* SPDX-License-Identifier: MIT */
/* What monitors see: every field, and explanations in every situation, on a read-only handle. */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "support.h"

#define LIMITS                                                                                     \
    "[host \"two\"]\ncluster_max_outbound_connections = 2\n"                                       \
    "[host \"closed\"]\ncluster_max_outbound_connections = 0\n"                                    \
    "[binding \"free\"]\ncluster_max_outbound_connections = -1\n"
static const char single[] = NODE_SMALL LIMITS; /* five lines of [node] */
static const char clustered[] = NODE_SMALL LIMITS
    "[cluster]\ntls = off\nreplicate = outbound_domains\nmember mta0 = tcp://127.0.0.1:7000\n"
    "member mta1 = tcp://127.0.0.1:7001\nmember mta2 = tcp://127.0.0.1:7002\n";

static int setup(void **state) {
    int result = place_setup(state);
    if (result == 0) {
        place_config(*state, single);
    }
    return result;
}

static struct slotshare_explanation explain(slotshare *handle, const char *binding,
                                            const char *domain, const char *host) {
    const struct slotshare_connection connection = {binding, domain, host};
    struct slotshare_explanation explanation;
    memset(&explanation, 0x55, sizeof explanation); /* every field must be filled */
    assert_int_equal(slotshare_explain(handle, &connection, &explanation), SLOTSHARE_OK);
    return explanation;
}

static void explanations_on_a_single_host(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *watch = place_watch(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot[2];
    char source[256];
    (void)snprintf(source, sizeof source, "%s:7", place->config);
    for (int i = 0; i <= 2; i++) {
        char reason[64];
        struct slotshare_explanation e = explain(watch, "b", "d.example", "TWO.");
        assert_string_equal(e.counter, "host:two");
        assert_string_equal(e.source, source);
        assert_int_equal(e.scope, SLOTSHARE_SCOPE_HOST);
        assert_int_equal(e.limit, 2);
        assert_int_equal(e.share, 2);
        assert_int_equal(e.reserve, 2);
        assert_int_equal(e.in_use, i);
        assert_int_equal(e.cluster_in_use, i);
        assert_false(e.clustered);
        assert_true(e.session);
        assert_int_equal(e.would_admit != 0, i < 2);
        (void)snprintf(reason, sizeof reason,
                       i < 2 ? "%d of 2 in use on this host: a take would succeed"
                             : "all %d slots of the limit are in use on this host",
                       i);
        assert_string_equal(e.reason, reason);
        if (i < 2) {
            assert_int_equal(slotshare_acquire(handle, &two, &slot[i]), SLOTSHARE_OK);
        }
    }
    struct slotshare_explanation e = explain(watch, NULL, NULL, "closed");
    assert_int_equal(e.limit, 0);
    assert_false(e.would_admit);
    assert_string_equal(e.reason, "the limit is 0: closed");
    e = explain(watch, "free", "d.example", "h.example");
    assert_string_equal(e.counter, "binding:free");
    assert_int_equal(e.scope, SLOTSHARE_SCOPE_BINDING);
    assert_int_equal(e.limit, SLOTSHARE_UNLIMITED);
    assert_int_equal(e.share, SLOTSHARE_UNLIMITED);
    assert_int_equal(e.reserve, SLOTSHARE_UNLIMITED);
    assert_true(e.would_admit);
    assert_non_null(strstr(e.reason, "the limit is -1"));
    e = explain(watch, NULL, "d.example", NULL);
    assert_int_equal(e.scope, SLOTSHARE_SCOPE_NONE);
    assert_string_equal(e.source, "");
    assert_non_null(strstr(e.reason, "no stanza sets a limit"));
    assert_true(e.would_admit);
    assert_int_equal(segment_of(watch).counters_used, 1); /* explaining creates nothing */
    slotshare_close(watch);
    slotshare_close(handle);
}

static void the_segment(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *watch = place_watch(place);
    const struct slotshare_connection two = to_host("two");
    slotshare_slot slot;
    struct slotshare_segment_stat stat;
    memset(&stat, 0x55, sizeof stat);
    assert_int_equal(slotshare_acquire(handle, &two, &slot), SLOTSHARE_OK);
    nap();
    assert_int_equal(slotshare_stat_segment(watch, &stat), SLOTSHARE_OK);
    assert_string_equal(stat.name, "slotshare");
    assert_string_equal(stat.path, place->segment);
    assert_int_equal(stat.layout, 4);
    assert_true(stat.incarnation != 0);
    assert_int_equal(stat.rules, 1);
    assert_true(stat.age_ms >= 1 && stat.age_ms < 100000);
    assert_int_equal(stat.counters_used, 1);
    assert_true(stat.counters_max >= 64);
    assert_int_equal(stat.owners_used, 1);
    assert_int_equal(stat.owners_max, 16);
    assert_int_equal(stat.slots_used, 1);
    assert_int_equal(stat.slots_max, 256);
    assert_int_equal(stat.reaps, 0);
    assert_int_equal(stat.slots_reaped, 0);
    assert_false(stat.clustered);
    assert_string_equal(stat.node, "mta1");
    assert_false(stat.bridge_alive);
    assert_true(stat.session);
    assert_int_equal(stat.session_left_ms, 0);
    assert_string_equal(stat.coordinator, "");
    assert_int_equal(slotshare_stat_segment(NULL, &stat), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_stat_segment(watch, NULL), SLOTSHARE_EINVAL);
    slotshare_close(watch);
    slotshare_close(handle);
}

/* ---- counters, owners, slots -------------------------------------------------------------------
 */

static bool hold_and_wait(struct place *place, int argument) {
    (void)argument;
    slotshare *handle = NULL;
    slotshare_slot slot;
    const struct slotshare_connection two = to_host("two");
    (void)prctl(PR_SET_NAME, "a \"worker\" here");
    CHECK(place_try(place, &handle, false, false) == SLOTSHARE_OK);
    CHECK(slotshare_acquire(handle, &two, &slot) == SLOTSHARE_OK);
    CHECK(slotshare_acquire(handle, &two, &slot) == SLOTSHARE_OK);
    board_set(place, 0, 1);
    CHECK(slotshare_acquire_wait(handle, &two, &slot, -1) == SLOTSHARE_OK);
    return true;
}

struct seen {
    pid_t pid;
    int count, stop_after;
    struct slotshare_owner_stat owner;
    struct slotshare_slot_stat slot;
};

static int see_owner(const struct slotshare_owner_stat *owner, void *arg) {
    struct seen *seen = arg;
    if (owner->pid == seen->pid) {
        seen->owner = *owner;
    }
    return ++seen->count == seen->stop_after;
}

static int see_slot(const struct slotshare_slot_stat *slot, void *arg) {
    struct seen *seen = arg;
    seen->slot = *slot;
    return ++seen->count == seen->stop_after;
}

static int see_counter(const struct slotshare_counter_stat *counter, void *arg) {
    struct seen *seen = arg;
    (void)counter;
    return ++seen->count == seen->stop_after;
}

static void counters_owners_and_slots(void **state) {
    struct place *place = *state;
    slotshare *handle = place_open(place);
    slotshare *watch = place_watch(place);
    char source[256];
    (void)snprintf(source, sizeof source, "%s:7", place->config);
    struct seen seen = {.pid = child_start(place, hold_and_wait, 0)};
    board_await(place, 0, 1);
    while (stat_of(watch, "host:two").waiting != 1) {
        nap();
    }
    struct slotshare_counter_stat counter = stat_of(watch, "host:two");
    assert_string_equal(counter.source, source);
    assert_int_equal(counter.scope, SLOTSHARE_SCOPE_HOST);
    assert_int_equal(counter.limit, 2);
    assert_int_equal(counter.share, 2);
    assert_int_equal(counter.reserve, 2);
    assert_int_equal(counter.in_use, 2);
    assert_int_equal(counter.peak, 2);
    assert_int_equal(counter.cluster_in_use, 2);
    assert_int_equal(counter.contended, 0);
    assert_int_equal(counter.takes, 2);
    assert_int_equal(counter.refusals, 1);
    assert_int_equal(slotshare_stat_owners(watch, see_owner, &seen), SLOTSHARE_OK);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.owner.leader, seen.owner.index);
    assert_int_equal(seen.owner.alive, 1);
    assert_int_equal(seen.owner.bridge, 0);
    assert_int_equal(seen.owner.held, 2);
    assert_true(seen.owner.age_ms < 100000);
    assert_int_equal(seen.owner.waiting, 1);
    assert_int_equal(seen.owner.waiting_on, counter.index);
    assert_string_equal(seen.owner.command, "a \"worker\" here");
    seen.count = 0;
    assert_int_equal(slotshare_stat_slots(watch, see_slot, &seen), SLOTSHARE_OK);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.slot.counter, counter.index);
    assert_int_equal(seen.slot.owner, seen.owner.index);
    assert_int_equal(seen.slot.pid, seen.pid);
    assert_true(seen.slot.age_ms < 100000);
    /* dead, and not yet reaped: it still holds, and everybody sees why */
    assert_int_equal(child_kill(place, seen.pid, SIGKILL), -SIGKILL);
    assert_int_equal(slotshare_stat_owners(watch, see_owner, &seen), SLOTSHARE_OK);
    assert_int_equal(seen.owner.alive, 0);
    assert_int_equal(seen.owner.held, 2);
    /* a visitor that has seen enough */
    const struct slotshare_connection other = to_domain("other.example");
    slotshare_slot slot;
    assert_int_equal(slotshare_acquire(handle, &other, &slot), SLOTSHARE_OK);
    struct seen stop = {.stop_after = 1};
    assert_int_equal(slotshare_stat_counters(watch, see_counter, &stop), SLOTSHARE_OK);
    assert_int_equal(stop.count, 1);
    stop.count = 0;
    assert_int_equal(slotshare_stat_owners(watch, see_owner, &stop), SLOTSHARE_OK);
    assert_int_equal(stop.count, 1);
    stop.count = 0;
    assert_int_equal(slotshare_stat_slots(watch, see_slot, &stop), SLOTSHARE_OK);
    assert_int_equal(stop.count, 1);
    assert_int_equal(slotshare_stat_counters(NULL, see_counter, &stop), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_stat_owners(watch, NULL, &stop), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_stat_slots(watch, NULL, &stop), SLOTSHARE_EINVAL);
    assert_int_equal(slotshare_stat_members(watch, NULL, &stop), SLOTSHARE_EINVAL);
    slotshare_close(watch);
    slotshare_close(handle);
}

/* ---- a cluster --------------------------------------------------------------------------------
 */

struct members {
    int count;
    struct slotshare_member_stat member[4];
};

static int see_member(const struct slotshare_member_stat *member, void *arg) {
    struct members *members = arg;
    members->member[members->count++ % 4] = *member;
    return 0;
}

static void a_cluster(void **state) {
    struct place *place = *state;
    place_config(place, clustered);
    struct control *control = bridge_open(place);
    slotshare *watch = place_watch(place);
    uint32_t index;
    struct members members = {0};
    struct slotshare_segment_stat stat = segment_of(watch);
    assert_true(stat.clustered && stat.bridge_alive && !stat.session);
    assert_string_equal(stat.coordinator, "");
    assert_int_equal(stat.session_left_ms, 0);
    struct control_memory memory;
    control_memory_load(control, &memory);
    memory.session_end = control_now() + 600000;
    control_memory_store(control, &memory);
    control_coordinator(control, 2);
    control_member_heard(control, 2, control_now());
    control_member_heard(control, 0, 1);
    control_member_heard(control, 4000000, 1);
    assert_int_equal(control_counter_find(control, "host:two", &index), SLOTSHARE_OK);
    control_cluster_in_use(control, index, 17);
    control_contended(control, index, true);
    stat = segment_of(watch);
    assert_true(stat.session);
    assert_true(stat.session_left_ms > 500000 && stat.session_left_ms <= 600000);
    assert_string_equal(stat.coordinator, "mta2");
    assert_int_equal(stat_of(watch, "host:two").cluster_in_use, 17);
    assert_int_equal(stat_of(watch, "host:two").contended, 1);
    assert_int_equal(stat_of(watch, "host:two").reserve, 0);
    assert_int_equal(explain(watch, NULL, NULL, "two").cluster_in_use, 17);
    assert_int_equal(control_share_set(control, index, 0, 1), 0);
    struct slotshare_explanation e = explain(watch, NULL, NULL, "two");
    assert_false(e.would_admit);
    assert_non_null(strstr(e.reason, "share of the limit 2 is 0 now (17 in use in the cluster)"));
    assert_int_equal(slotshare_stat_members(watch, see_member, &members), SLOTSHARE_OK);
    assert_int_equal(members.count, 3);
    static const char *const url[] = {"tcp://127.0.0.1:7000", "tcp://127.0.0.1:7001",
                                      "tcp://127.0.0.1:7002"};
    for (int i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "mta%d", i);
        assert_string_equal(members.member[i].name, name);
        assert_string_equal(members.member[i].url, url[i]);
        assert_int_equal(members.member[i].self, i == 1);
        assert_int_equal(members.member[i].coordinator, i == 2);
        assert_int_equal(members.member[i].connected, i != 0); /* 0 was heard long ago */
    }
    assert_int_equal(members.member[1].heard_ms, -1);
    assert_true(members.member[0].heard_ms > 2000);
    assert_true(members.member[2].heard_ms >= 0);
    struct seen seen = {.pid = getpid()};
    assert_int_equal(slotshare_stat_owners(watch, see_owner, &seen), SLOTSHARE_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.owner.bridge, 1);
    control_coordinator(control, -1);
    memory.session_end = control_now() - 5000;
    control_memory_store(control, &memory);
    control_close(control);
    stat = segment_of(watch);
    assert_true(!stat.session && !stat.bridge_alive && stat.clustered);
    assert_true(stat.session_left_ms <= -5000);
    assert_string_equal(stat.coordinator, "");
    slotshare_close(watch);
}

/* ---- words ------------------------------------------------------------------------------------
 */

static void words_for_results_and_scopes(void **state) {
    (void)state;
    const char *unknown = slotshare_strerror(4711);
    for (int i = SLOTSHARE_EBUSY; i <= SLOTSHARE_FULL; i++) {
        assert_string_not_equal(slotshare_strerror(i), unknown);
        for (int j = SLOTSHARE_EBUSY; j < i; j++) {
            assert_string_not_equal(slotshare_strerror(i), slotshare_strerror(j));
        }
    }
    assert_string_equal(slotshare_scope_name(SLOTSHARE_SCOPE_BINDING_HOST), "binding::host");
    assert_string_equal(slotshare_scope_name(SLOTSHARE_SCOPE_GLOBAL), "global");
    assert_string_equal(slotshare_scope_name((enum slotshare_scope)99), "none");
    assert_string_equal(slotshare_version(), SLOTSHARE_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(explanations_on_a_single_host, setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_segment, setup, place_teardown),
        cmocka_unit_test_setup_teardown(counters_owners_and_slots, setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_cluster, setup, place_teardown),
        cmocka_unit_test(words_for_results_and_scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
