/* SPDX-License-Identifier: MIT */
/* Damaged rule sets: ruleset_check() refuses them, and readers of a block that changed after the
 * check end, stay inside it, and return nothing but nonsense. Each block lies in memory of its
 * exact size, so that a sanitizer sees any step outside. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "../../conf/layout.h"

#define MAX "cluster_max_outbound_connections = "
static const char text[] =
    "[node]\nname = a\n[cluster]\ntls = off\ninsecure = yes\nreplicate = outbound_domains\n"
    "member a = tcp://a:1\nmember b = tcp://b:1\nwitness c = tcp://c:1\n"
    "[global]\n" MAX "128\n[binding \"bulk\"]\n" MAX "40\n"
    "[domain \"yahoo.com\"]\n" MAX "10\ncount_per = binding domain\n"
    "[binding \"bulk\" domain \"yahoo.com\"]\n" MAX "30\n"
    "[host \"edge.omniti.com\"]\n" MAX "2\n"
    "[binding \"bulk\" host \"edge.omniti.com\"]\n" MAX "1\n";

static const struct slotshare_connection connections[] = {
    {"bulk", "yahoo.com", "edge.omniti.com"},
    {"x", "yahoo.com", "edge.omniti.com"},
    {"bulk", "yahoo.com", "h"},
    {"bulk", "d", "h"},
    {"x", "yahoo.com", "h"},
    {"x", "d", "h"},
};
enum { CONNECTIONS = sizeof connections / sizeof *connections };

/* Use everything that reads a block. */
static void read_all(const struct ruleset *rules) {
    struct deal_members members;
    uint64_t self = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        struct ruleset_match match;
        struct ruleset_match again;
        struct ruleset_step step[6];
        if (ruleset_resolve(rules, &connections[i], &match) == SLOTSHARE_OK) {
            assert_in_range(match.limit + 1, 0, CONF_LIMIT_MAX + 1);
            assert_in_range(match.scope, SLOTSHARE_SCOPE_BINDING_HOST, SLOTSHARE_SCOPE_NONE);
            assert_int_equal(strnlen(match.counter, sizeof match.counter), match.length);
            (void)ruleset_counter(rules, match.counter, &again);
        }
        (void)ruleset_trace(rules, &connections[i], step);
    }
    const unsigned char *base = rules->base;
    const char *const strings[] = {ruleset_file(rules), ruleset_node(rules),
                                   ruleset_member_name(rules, 1), ruleset_member_url(rules, 2)};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        const unsigned char *at = (const void *)(strings[i] + strlen(strings[i]));
        assert_true(*strings[i] == '\0' || (at >= base && at < base + rules->size));
    }
    (void)ruleset_clustered(rules);
    assert_in_range(ruleset_member_count(rules), 0, CONF_MEMBERS_MAX);
    if (ruleset_members(rules, &members, &self) == SLOTSHARE_OK)
        assert_in_range(members.count, 0, CONF_MEMBERS_MAX);
}

static unsigned char *copy_of(const struct ruleset *rules, size_t size) {
    unsigned char *copy = malloc(size != 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, rules->base, size);
    return copy;
}

/* Make the checksum right again, so that the other checks have to find it. */
static bool check_with_checksum(unsigned char *base, size_t size) {
    struct layout_header *header = (void *)base;
    const struct ruleset rules = {base, size};
    header->checksum = layout_checksum(base, size);
    return ruleset_check(&rules);
}

static void every_byte_changed(void **state) {
    (void)state;
    struct ruleset good = support_rules(text);
    static const unsigned char change[] = {0xff, 0x01, 0x80, 0x20};
    for (size_t at = 0; at < good.size; at++) {
        for (size_t i = 0; i < sizeof change; i++) {
            unsigned char *copy = copy_of(&good, good.size);
            const struct ruleset bad = {copy, good.size};
            copy[at] ^= change[i];
            assert_false(ruleset_check(&bad));
            read_all(&bad);
            (void)check_with_checksum(copy, good.size);
            free(copy);
        }
    }
    free((void *)good.base);
}

static void every_word_extreme(void **state) {
    (void)state;
    struct ruleset good = support_rules(text);
    static const uint32_t extreme[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t at = 0; at + 4 <= good.size; at += 4) {
        for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++) {
            unsigned char *copy = copy_of(&good, good.size);
            const struct ruleset bad = {copy, good.size};
            memcpy(copy + at, &extreme[i], 4);
            read_all(&bad);
            if (check_with_checksum(copy, good.size))
                read_all(&bad);
            free(copy);
        }
    }
    free((void *)good.base);
}

static void cut_at_every_length(void **state) {
    (void)state;
    struct ruleset good = support_rules(text);
    for (size_t size = 0; size < good.size; size++) {
        unsigned char *copy = copy_of(&good, size);
        const struct ruleset bad = {copy, size};
        assert_false(ruleset_check(&bad));
        read_all(&bad);
        if (size >= sizeof(struct layout_header)) {
            ((struct layout_header *)(void *)copy)->size = (uint32_t)size;
            assert_false(check_with_checksum(copy, size));
        }
        free(copy);
    }
    free((void *)good.base);
}

static void random_bytes(void **state) {
    (void)state;
    uint64_t seed = 1;
    struct ruleset good = support_rules(text);
    for (int run = 0; run < 20000; run++) {
        unsigned char *copy = copy_of(&good, good.size);
        const struct ruleset bad = {copy, good.size};
        for (int i = 0; i < 1 + run % 16; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            copy[(seed >> 33) % good.size] = (unsigned char)(seed >> 25);
        }
        read_all(&bad);
        (void)check_with_checksum(copy, good.size);
        free(copy);
    }
    free((void *)good.base);
}

/* Each lie is one that only the check named beside it can see: the checksum is right. */
static void lies_with_a_right_checksum(void **state) {
    (void)state;
    struct ruleset good = support_rules(text);
    enum { LIES = 25 };
    for (int lie = 0; lie <= LIES; lie++) {
        unsigned char *copy = copy_of(&good, good.size);
        struct layout_header *header = (void *)copy;
        struct layout_rule *rule = (void *)(header + 1);
        uint64_t *cell = (void *)(rule + header->rules);
        struct layout_member *member = (void *)(cell + header->cells);
        char *strings = (char *)(member + header->members);
        uint32_t used = 0;
        while (cell[used] == 0)
            used++;
        const struct layout_member first = member[0];
        switch (lie) {
        case 0:
            break; /* none: the block is good */
        case 1:
            header->version++;
            break;
        case 2:
            header->size--;
            break;
        case 3:
            header->rules--;
            break;
        case 4:
            header->cells = 12;
            break;
        case 5:
            header->strings -= 8;
            break;
        case 6:
            header->probes = 0;
            break;
        case 7:
            header->probes = header->cells + 1;
            break;
        case 8:
            header->clustered = 2;
            break;
        case 9:
            header->clustered = 0;
            break;
        case 10:
            header->self = header->members;
            break;
        case 11:
            header->reserve_percent = 101;
            break;
        case 12:
            header->scopes ^= 2;
            break;
        case 13:
            header->node.length = header->strings;
            break;
        case 14:
            header->file.length++;
            break;
        case 15:
            cell[used] = 0;
            break;
        case 16:
            cell[used] ^= UINT64_C(1) << 40;
            break;
        case 17:
            rule[0].limit = -2;
            break;
        case 18:
            rule[0].limit = CONF_LIMIT_MAX + 1;
            break;
        case 19:
            rule[0].scope = SLOTSHARE_SCOPE_HOST;
            break;
        case 20:
            rule[0].parts = 0;
            break;
        case 21:
            strings[rule[0].name.offset] = 'E';
            break;
        case 22:
            member[0] = member[1];
            member[1] = first;
            break;
        case 23:
            member[0].hash++;
            break;
        case 24: /* one rule in two cells */
            for (used = 0; cell[used] != 0;)
                used++;
            cell[used] = 1;
            break;
        default:
            member[0].witness = 2;
            break;
        }
        assert_int_equal(check_with_checksum(copy, good.size), lie == 0);
        free(copy);
    }
    free((void *)good.base);
}

static void no_block_at_all(void **state) {
    (void)state;
    struct ruleset_match match;
    struct deal_members members;
    uint64_t self = 7;
    const struct ruleset none = {NULL, 0};
    read_all(&none);
    assert_false(ruleset_check(&none));
    assert_int_equal(ruleset_resolve(&none, &connections[0], &match), SLOTSHARE_EDAMAGED);
    assert_int_equal(ruleset_counter(&none, "global", &match), SLOTSHARE_EDAMAGED);
    assert_int_equal(ruleset_members(&none, &members, &self), SLOTSHARE_EDAMAGED);
    assert_int_equal(self, 0);
    /* not aligned */
    struct ruleset good = support_rules(text);
    unsigned char *copy = malloc(good.size + 8);
    assert_non_null(copy);
    memcpy(copy + 1, good.base, good.size);
    const struct ruleset odd = {copy + 1, good.size};
    assert_false(ruleset_check(&odd));
    assert_int_equal(ruleset_resolve(&odd, &connections[0], &match), SLOTSHARE_EDAMAGED);
    free(copy);
    free((void *)good.base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_changed),         cmocka_unit_test(every_word_extreme),
        cmocka_unit_test(cut_at_every_length),        cmocka_unit_test(random_bytes),
        cmocka_unit_test(lies_with_a_right_checksum), cmocka_unit_test(no_block_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
