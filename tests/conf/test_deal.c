/* SPDX-License-Identifier: MIT */
/* The opening deal: the homes of all members are the limit, whoever computes them. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "../../conf/deal.h"

static void fill(struct deal_members *members, uint32_t count, uint32_t percent) {
    *members = (struct deal_members){.count = count, .reserve_percent = percent};
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        const int length = snprintf(name, sizeof name, "mta%u", i);
        members->hash[i] = deal_hash(name, (size_t)length);
    }
}

static void homes_sum_to_the_limit(void **state) {
    (void)state;
    static const int32_t big[] = {1000, 4095, 65535, 1000003, CONF_LIMIT_MAX};
    for (uint32_t count = 1; count <= CONF_MEMBERS_MAX; count++) {
        struct deal_members members;
        fill(&members, count, 100);
        for (int32_t i = 0; i < 205; i++) {
            const int32_t limit = i < 200 ? i : big[i - 200];
            int64_t homes = 0;
            int64_t reserves = 0;
            for (uint32_t j = 0; j < count; j++) {
                const int32_t home = deal_home(&members, members.hash[j], 17 + (uint64_t)i, limit);
                const int32_t least = limit / (int32_t)count;
                assert_in_range(home, least, least + 1);
                homes += home;
                for (uint32_t percent = 0; percent <= 100; percent += 5) {
                    members.reserve_percent = percent;
                    const int32_t reserve = deal_reserve(&members, members.hash[j], limit);
                    assert_in_range(reserve, 0, home);
                    assert_int_equal(reserve, (int64_t)limit * percent / (100 * (int64_t)count));
                }
                reserves += deal_reserve(&members, members.hash[j], limit);
            }
            assert_int_equal(homes, limit);
            assert_true(reserves <= limit);
        }
    }
}

static void the_order_of_the_list_does_not_matter(void **state) {
    (void)state;
    struct deal_members members;
    struct deal_members turned;
    fill(&members, 7, 25);
    turned = members;
    for (uint32_t i = 0; i < 7; i++)
        turned.hash[i] = members.hash[6 - i];
    for (uint64_t counter = 1; counter < 500; counter++)
        for (uint32_t i = 0; i < 7; i++)
            assert_int_equal(deal_home(&members, members.hash[i], counter, 3),
                             deal_home(&turned, members.hash[i], counter, 3));
}

/* With a limit of 1 over 5 members each should win about a fifth of 10000 counters: the limits
 * below are more than six standard deviations (40) away, and the outcome is always the same. */
static void remainders_go_to_different_members(void **state) {
    (void)state;
    struct deal_members members;
    fill(&members, 5, 25);
    int won[5] = {0};
    for (int counter = 0; counter < 10000; counter++) {
        char name[32];
        const int length = snprintf(name, sizeof name, "domain:d%d.example", counter);
        const uint64_t hash = deal_hash(name, (size_t)length);
        for (uint32_t i = 0; i < 5; i++)
            won[i] += deal_home(&members, members.hash[i], hash, 1);
    }
    for (uint32_t i = 0; i < 5; i++)
        assert_in_range(won[i], 1750, 2250);
}

/* What makes it rendezvous hashing: without one member, nobody else loses what it had. */
static void a_member_less_moves_only_its_own(void **state) {
    (void)state;
    struct deal_members all;
    struct deal_members rest;
    fill(&all, 6, 25);
    fill(&rest, 5, 25);
    for (uint64_t counter = 1; counter < 1000; counter++)
        for (uint32_t i = 0; i < 5; i++)
            assert_true(deal_home(&rest, rest.hash[i], counter, 1) >=
                        deal_home(&all, all.hash[i], counter, 1));
}

static void unlimited_strangers_and_empty_lists(void **state) {
    (void)state;
    struct deal_members members;
    fill(&members, 3, 25);
    assert_int_equal(deal_home(&members, members.hash[0], 1, -1), -1);
    assert_int_equal(deal_reserve(&members, members.hash[0], -1), -1);
    assert_int_equal(deal_home(&members, 0, 1, 100), 0);
    assert_int_equal(deal_reserve(&members, 0, 100), 0);
    assert_int_equal(deal_home(&members, deal_hash("other", 5), 1, 100), 0);
    members.count = 0;
    assert_int_equal(deal_home(&members, members.hash[0], 1, 100), 0);
    assert_int_equal(deal_reserve(&members, members.hash[0], 100), 0);
}

/* Nodes of different versions must agree: these numbers may never change. */
static void hashes_and_homes_are_fixed(void **state) {
    (void)state;
    struct deal_members members;
    fill(&members, 3, 25);
    assert_int_equal(deal_hash("", 0), UINT64_C(0x2d06800538d394c2));
    assert_int_equal(deal_hash("mta1", 4), UINT64_C(0x88ca7ca5920eefa5));
    assert_int_equal(deal_hash("domain:yahoo.com", 16), UINT64_C(0x87048aa1fd4116f2));
    const uint64_t counter = deal_hash("domain:yahoo.com", 16);
    assert_int_equal(deal_home(&members, members.hash[0], counter, 10), 3);
    assert_int_equal(deal_home(&members, members.hash[1], counter, 10), 3);
    assert_int_equal(deal_home(&members, members.hash[2], counter, 10), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(homes_sum_to_the_limit),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(remainders_go_to_different_members),
        cmocka_unit_test(a_member_less_moves_only_its_own),
        cmocka_unit_test(unlimited_strangers_and_empty_lists),
        cmocka_unit_test(hashes_and_homes_are_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
