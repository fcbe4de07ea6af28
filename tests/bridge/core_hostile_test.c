/* SPDX-License-Identifier: MIT */
/* What an absurd message, option or call does to the core: nothing. Meant for the sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bridge/core/core.h"

enum { KEYS = 16, MEMBERS = 3, ROUNDS = 60000, LIMIT = 30 };

static const uint64_t hash[MEMBERS] = {11, 22, 33};

struct fuzz {
    struct core *core;
    uint64_t random, now;
    struct core_term term; /* of the last deal that the core sent */
    struct core_vote_request asked;
    uint64_t deal_time;
};

static struct core_options options_of(void) {
    struct core_options options = {.self = 11,
                                   .boot = 5,
                                   .created = 1000,
                                   .seed = 1,
                                   .keys = KEYS,
                                   .timers = core_timers_default(),
                                   .committed = {.epoch = 1,
                                                 .digest = 1,
                                                 .reserve_percent = 25,
                                                 .members = MEMBERS,
                                                 .member = {{11, false}, {22, false}, {33, false}}},
                                   .memory = {.generation = 1}};
    return options;
}

static uint64_t chance(struct fuzz *fuzz, uint64_t below) {
    fuzz->random = fuzz->random * 6364136223846793005u + 1442695040888963407u;
    return (fuzz->random >> 33) % below;
}

static uint64_t odd(struct fuzz *fuzz, uint64_t likely) {
    const uint64_t values[] = {likely, likely, likely, likely, 0, 1, UINT64_MAX, UINT64_MAX / 2};
    return values[chance(fuzz, 8)];
}

static int32_t odd32(struct fuzz *fuzz) {
    const int32_t values[] = {0, 1, 5, 10, 30, -1, INT32_MAX, INT32_MIN};
    return values[chance(fuzz, 8)];
}

static void drain(struct fuzz *fuzz) {
    const struct core_action *action = NULL;
    size_t count = 0;

    while ((action = core_next_action(fuzz->core)) != NULL) {
        assert_true(++count < 100000);
        switch (action->type) {
        case CORE_SET_SHARE:
            assert_true(action->share.key < KEYS);
            assert_in_range(action->share.share, 0, LIMIT); /* not above its own limit */
            if (chance(fuzz, 10) != 0) {
                core_share_applied(fuzz->core, fuzz->now, action->share.key, action->share.grant,
                                   odd32(fuzz));
            }
            break;
        case CORE_READ:
            core_counter_update(fuzz->core, fuzz->now, action->share.key, odd32(fuzz), odd32(fuzz));
            break;
        case CORE_SCAN:
            core_scan_begin(fuzz->core, fuzz->now);
            core_scan_done(fuzz->core, fuzz->now, chance(fuzz, 2) == 0);
            break;
        case CORE_SEND_DEAL:
            fuzz->term = action->deal->term;
            fuzz->deal_time = action->deal->time;
            break;
        case CORE_SEND_VOTE_REQUEST:
            fuzz->asked = action->vote_request;
            break;
        default:
            break;
        }
    }
}

static struct core_term some_term(struct fuzz *fuzz) {
    struct core_term term = fuzz->term;
    if (chance(fuzz, 40) == 0) {
        term.number = odd(fuzz, term.number + chance(fuzz, 3));
        term.candidate = odd(fuzz, 7);
    }
    return term;
}

static void send_heartbeat(struct fuzz *fuzz) {
    struct core_record record[KEYS + 8];
    uint32_t records = (uint32_t)chance(fuzz, 6);

    records = chance(fuzz, 50) == 0 ? KEYS + 8 : records;
    for (uint32_t i = 0; i < KEYS + 8; i++) {
        record[i] = (struct core_record){.key = chance(fuzz, 20) == 0 ? (uint32_t)odd(fuzz, i) : i,
                                         .held = odd32(fuzz),
                                         .in_use = odd32(fuzz),
                                         .wants = odd32(fuzz),
                                         .limit = odd32(fuzz),
                                         .grant = odd(fuzz, chance(fuzz, 100))};
    }
    struct core_heartbeat heartbeat = {.from = hash[chance(fuzz, 3)],
                                       .boot = odd(fuzz, 9),
                                       .generation = 1,
                                       .sequence = odd(fuzz, fuzz->now),
                                       .term = some_term(fuzz),
                                       .session = {some_term(fuzz), odd(fuzz, 1)},
                                       .epoch = odd(fuzz, 1),
                                       .epoch_digest = odd(fuzz, 1),
                                       .proposed = odd(fuzz, 0),
                                       .ready = odd(fuzz, 0),
                                       .vouched = (uint32_t)chance(fuzz, 3),
                                       .vouched_dead = hash,
                                       .echo_term = some_term(fuzz),
                                       .echo_time = odd(fuzz, fuzz->deal_time),
                                       .join = (enum core_join)chance(fuzz, 6),
                                       .leaving = chance(fuzz, 10) == 0,
                                       .incomplete = chance(fuzz, 10) == 0,
                                       .records = records,
                                       .record = record};
    core_on_heartbeat(fuzz->core, fuzz->now, &heartbeat);
}

static void send_deal(struct fuzz *fuzz) {
    struct core_grant grant[KEYS + 8];
    uint32_t contended[KEYS];
    struct core_part part[2] = {{0}};

    for (uint32_t i = 0; i < KEYS + 8; i++) {
        grant[i] = (struct core_grant){chance(fuzz, 20) == 0 ? (uint32_t)odd(fuzz, i) : i,
                                       odd32(fuzz), odd(fuzz, chance(fuzz, 100))};
        contended[i % KEYS] = (uint32_t)odd(fuzz, i);
    }
    struct core_term term = some_term(fuzz);
    term.number += chance(fuzz, 30) == 0 ? 1 : 0;
    for (int i = 0; i < 2; i++) {
        part[i] = (struct core_part){.to = 11,
                                     .boot = odd(fuzz, 5),
                                     .ack = odd(fuzz, 1 + chance(fuzz, 2000)),
                                     .session = {term, odd(fuzz, 1)},
                                     .admission = chance(fuzz, 2) == 0,
                                     .grant_floor = odd(fuzz, 3),
                                     .heard = odd(fuzz, 7),
                                     .grants = (uint32_t)chance(fuzz, KEYS + 8),
                                     .grant = grant};
    }
    struct core_deal deal = {.from = hash[1 + chance(fuzz, 2)],
                             .term = term,
                             .time = odd(fuzz, fuzz->now),
                             .epoch = odd(fuzz, 1),
                             .epoch_digest = odd(fuzz, 1),
                             .agreed = odd(fuzz, 2),
                             .agreed_digest = odd(fuzz, 2),
                             .minority = chance(fuzz, 10) == 0,
                             .whole = chance(fuzz, 2) == 0,
                             .contended = KEYS,
                             .contended_key = contended,
                             .parts = 2,
                             .part = part};
    core_on_deal(fuzz->core, fuzz->now, &deal);
}

static void send_votes(struct fuzz *fuzz) {
    struct core_vote_request request = {hash[chance(fuzz, 3)], odd(fuzz, 1), odd(fuzz, 1),
                                        some_term(fuzz),       odd(fuzz, 1), chance(fuzz, 5) == 0};
    struct core_vote vote = {.from = hash[chance(fuzz, 3)],
                             .to = 11,
                             .to_boot = 5,
                             .to_generation = 1,
                             .round = odd(fuzz, fuzz->asked.round),
                             .granted = chance(fuzz, 8) != 0,
                             .term = some_term(fuzz)};
    if (chance(fuzz, 5) == 0) {
        core_on_vote_request(fuzz->core, fuzz->now, &request);
        drain(fuzz);
    }
    core_on_vote(fuzz->core, fuzz->now, &vote);
}

static void fuzz_one(uint64_t seed) {
    struct core_options options = options_of();
    struct fuzz fuzz = {.random = seed, .now = 1000};

    fuzz.core = core_create(&options, fuzz.now);
    assert_non_null(fuzz.core);
    for (uint32_t key = 0; key < KEYS - 2; key++) { /* two that nobody explained */
        assert_true(core_counter_define(fuzz.core, key, key + 100, LIMIT, LIMIT));
    }
    for (int i = 0; i < ROUNDS; i++) {
        switch (chance(&fuzz, 5)) {
        case 0:
            send_heartbeat(&fuzz);
            break;
        case 1:
            if (chance(&fuzz, 10) == 0) {
                send_deal(&fuzz);
            }
            break;
        case 2:
            send_votes(&fuzz);
            break;
        case 3:
            core_counter_update(fuzz.core, fuzz.now, (uint32_t)odd(&fuzz, chance(&fuzz, KEYS)),
                                odd32(&fuzz), odd32(&fuzz));
            break;
        default:
            fuzz.now += chance(&fuzz, 100);
            core_tick(fuzz.core, fuzz.now);
            break;
        }
        drain(&fuzz);
        for (uint32_t key = 0; key < KEYS; key++) {
            assert_in_range(core_cap(fuzz.core, fuzz.now, key), 0, CONF_LIMIT_MAX);
        }
    }
    const uint32_t *watched = NULL;
    assert_true(core_watched(fuzz.core, &watched) <= KEYS);
    struct core_stats stats = core_stats(fuzz.core);
    assert_true(stats.ignored > 0 && stats.takeovers > 0 && stats.admissions > 0);
    core_destroy(fuzz.core);
}

static void test_lies(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        fuzz_one(seed);
    }
}

static void test_options_out_of_range(void **state) {
    struct core_options options = options_of();
    (void)state;

    options.keys = 0;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.keys = CORE_KEYS_MAX + 1;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.self = 0;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.timers.grace = 0;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.committed.member[2].hash = 11;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.committed.members = CORE_MEMBERS_MAX + 1;
    assert_null(core_create(&options, 0));
    options = options_of();
    options.committed.reserve_percent = 101;
    assert_null(core_create(&options, 0));
}

static void test_counters_out_of_range(void **state) {
    struct core_options options = options_of();
    struct core *core = core_create(&options, 1000);
    (void)state;

    assert_non_null(core);
    assert_false(core_counter_define(core, KEYS, 1, 30, 30));
    assert_false(core_counter_define(core, 0, 1, -1, 30));
    assert_false(core_counter_define(core, 0, 1, 30, CONF_LIMIT_MAX + 1));
    assert_true(core_counter_define(core, 0, 1, 30, 30));
    assert_false(core_counter_define(core, 0, 2, 30, 30)); /* another counter's */
    assert_true(core_counter_forget(core, 0));
    assert_true(core_counter_define(core, 0, 2, 30, 30));
    core_counter_update(core, 1000, 0, 0, 31);
    assert_false(core_counter_forget(core, 0)); /* wanted */
    core_share_applied(core, 1000, 0, 7, 3);    /* never asked for */
    assert_int_equal(core_cap(core, 1000, KEYS), 0);
    core_destroy(core);
}

static void test_pending_configurations(void **state) {
    struct core_options options = options_of();
    struct core *core = core_create(&options, 1000);
    struct core_membership next = options.committed;
    (void)state;

    assert_non_null(core);
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_SAME);
    next.digest = 0;
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_BAD);
    next.digest = 2;
    next.member[0].hash = 0;
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_BAD);
    next.member[0].hash = 44;
    assert_int_equal(core_config_check(core, &next), CORE_CONFIG_PROPOSED);
    assert_int_equal(core_config_state(core).pending_digest, 0); /* only asked */
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_PROPOSED);
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_SAME);
    next.digest = 3; /* another file in its place */
    next.member[0].hash = 55;
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_PROPOSED);
    assert_int_equal(core_config_state(core).pending_digest, 3);
    assert_int_equal(core_config_propose(core, 1000, &options.committed), CORE_CONFIG_WITHDRAWN);
    assert_int_equal(core_config_state(core).pending_digest, 0);
    next.member[0].hash = 44;
    next.member[1].hash = 45;
    next.member[2].hash = 46; /* nobody stays */
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_BAD);
    next.members = CORE_MEMBERS_MAX; /* alone good, but too many with those committed */
    for (uint32_t i = 0; i < next.members; i++) {
        next.member[i].hash = i == 0 ? 11 : 100 + i;
    }
    assert_int_equal(core_config_propose(core, 1000, &next), CORE_CONFIG_BAD);
    core_destroy(core);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_options_out_of_range),
        cmocka_unit_test(test_counters_out_of_range),
        cmocka_unit_test(test_pending_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
