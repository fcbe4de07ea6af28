/* SPDX-License-Identifier: MIT */
/* A rule set that is overwritten by another while it is read: every reader ends, stays inside the
 * block, and returns what fits its types. The plain reads of names race, as ruleset.h says; so this
 * is nothing for the thread sanitizer. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MAX "cluster_max_outbound_connections = "

struct shared {
    struct ruleset block; /* of the size of the larger version */
    struct ruleset version[2];
    atomic_bool stop;
    atomic_ulong writes;
};

/* Back and forth between the versions. */
static void *writer(void *arg) {
    struct shared *shared = arg;
    for (unsigned turn = 0; !atomic_load(&shared->stop); turn++) {
        const struct ruleset *from = &shared->version[turn % 2];
        memcpy((void *)shared->block.base, from->base, from->size);
        atomic_fetch_add(&shared->writes, 1);
    }
    return NULL;
}

static void read_once(const struct ruleset *rules, const struct slotshare_connection *connection) {
    struct ruleset_match match;
    struct ruleset_match again;
    struct ruleset_step step[6];
    struct deal_members members;
    uint64_t self = 0;
    if (ruleset_resolve(rules, connection, &match) == SLOTSHARE_OK) {
        assert_in_range(match.limit + 1, 0, CONF_LIMIT_MAX + 1);
        assert_int_equal(strnlen(match.counter, sizeof match.counter), match.length);
        (void)ruleset_counter(rules, match.counter, &again);
    }
    (void)ruleset_trace(rules, connection, step);
    if (ruleset_members(rules, &members, &self) == SLOTSHARE_OK)
        assert_in_range(members.count, 0, CONF_MEMBERS_MAX);
    (void)ruleset_check(rules);
}

static void readers_survive_a_writer(void **state) {
    (void)state;
    static const struct slotshare_connection connections[] = {
        {"bulk", "yahoo.com", "mx"}, {"b", "d", "mx"}, {"x", "yahoo.com", "h"}, {"x", "y", "z"}};
    struct shared shared = {
        .version = {support_rules("[node]\nname = a\n[cluster]\ntls = off\ninsecure = "
                                  "yes\nreplicate = outbound_domains\n"
                                  "member a = tcp://a:1\nmember b = tcp://b:1\n[global]\n" MAX
                                  "9\n[domain \"yahoo.com\"]\n" MAX "1048574\n"
                                  "[binding \"bulk\"]\n" MAX "-1\n[host \"mx\"]\n" MAX "2\n"),
                    support_rules("[binding \"b\" host \"mx\"]\n" MAX "0\n")}};
    const size_t size = shared.version[0].size;
    assert_true(shared.version[1].size < size);
    shared.block = (struct ruleset){malloc(size), size};
    assert_non_null(shared.block.base);
    memcpy((void *)shared.block.base, shared.version[0].base, size);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, writer, &shared), 0);
    for (size_t i = 0; i < 100000 || atomic_load(&shared.writes) < 1000; i++)
        read_once(&shared.block, &connections[i % 4]);
    atomic_store(&shared.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    free((void *)shared.block.base);
    free((void *)shared.version[0].base);
    free((void *)shared.version[1].base);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_survive_a_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
