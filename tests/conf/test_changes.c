/* SPDX-License-Identifier: MIT */
/* Overrides and drained nodes: as text, in a configuration, in a rule set, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define CLUSTER                                                                                    \
    "[node]\nname = a\n[cluster]\nreplicate = outbound_domains\ntls = off\nmember a = "            \
    "tcp://127.0.0.1:1\n"                                                                          \
    "member b = tcp://127.0.0.2:1\nwitness c = tcp://127.0.0.3:1\n"
#define LIMITS                                                                                     \
    "[host \"x\"]\ncluster_max_outbound_connections = 5\n"                                         \
    "[binding \"bulk\"]\ncluster_max_outbound_connections = 7\ncount_per = binding domain\n"

static struct conf *load(const char *text) {
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    assert_int_equal(conf_load_stored("test.ini", text, strlen(text), NULL, &conf, &errors), 0);
    conf_errors_free(&errors);
    return conf;
}

static struct ruleset compile(const struct conf *conf) {
    void *base = NULL;
    struct ruleset rules;
    assert_int_equal(ruleset_compile(conf, &base, &rules.size), 0);
    rules.base = base;
    assert_true(ruleset_check(&rules));
    return rules;
}

static void expect(const struct ruleset *rules, const char *binding, const char *domain,
                   const char *host, const char *counter, int32_t limit, bool overridden) {
    const struct ruleset_match match = support_resolve(rules, binding, domain, host);
    assert_string_equal(match.counter, counter);
    assert_int_equal(match.limit, limit);
    assert_int_equal(match.overridden, overridden);
}

/* One takes the place of a stanza, and is counted as that; others stand where there is none. */
static void in_effect(void **state) {
    (void)state;
    struct conf *conf =
        load(CLUSTER LIMITS "[changes]\nversion = 7\nauthor = b\n"
                            "[override host \"X.\"]\nlimit = 2\nuntil = 1000\nms = 50\n"
                            "[override binding \"bulk\"]\nlimit = -1\nuntil = 1000\nms = 50\n"
                            "[override binding \"bulk\" domain \"d\"]\nlimit = 3\n"
                            "[override global]\nlimit = 1\n");
    struct ruleset rules = compile(conf);
    expect(&rules, "", "", "x", "host:x", 2, true);
    expect(&rules, "bulk", "e", "", "binding:bulk,domain:e", -1, true);
    expect(&rules, "bulk", "d", "", "binding:bulk,domain:d", 3, true);
    expect(&rules, "other", "d", "y", "domain:d", 1, true);
    const struct ruleset_match match = support_resolve(&rules, "", "", "x");
    assert_int_equal(match.base, 5);
    assert_int_equal(match.until, 1000);
    assert_int_not_equal(match.line, 0);
    assert_int_equal(support_resolve(&rules, "", "d", "").line, 0);
    free((void *)rules.base);
    conf_free(conf);
}

/* Neither the file's text nor its digest know of overrides that have no effect. */
static void digests(void **state) {
    (void)state;
    struct conf *plain = load(CLUSTER LIMITS);
    struct conf *empty = load(CLUSTER LIMITS "[changes]\nversion = 9\nauthor = a\n");
    struct conf *same = load(CLUSTER LIMITS "[changes]\nversion = 9\n[override host \"x\"]\n"
                                            "limit = 5\nuntil = 1\n");
    struct conf *other = load(CLUSTER LIMITS "[changes]\nversion = 9\n[override host \"x\"]\n"
                                             "limit = 4\n");
    struct conf *drained = load(CLUSTER LIMITS "[changes]\nversion = 9\ndrained = b\n");
    char said[400];
    assert_int_equal(conf_digest(plain), conf_digest(empty));
    assert_int_equal(conf_digest(plain), conf_digest(same));
    assert_int_not_equal(conf_digest(plain), conf_digest(other));
    assert_int_not_equal(conf_digest(plain), conf_digest(drained));
    conf_difference(plain, drained, said, sizeof said);
    assert_string_equal(said, "member b is a drained member now");
    struct conf *all[] = {plain, empty, same, other, drained};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        conf_free(all[i]);
}

/* A drained member holds no share; but not all of them, and a witness never did. */
static void drains(void **state) {
    (void)state;
    struct deal_members members;
    uint64_t self = 0;
    struct conf *conf = load(CLUSTER LIMITS "[changes]\nversion = 1\ndrained = a\ndrained = c\n");
    struct ruleset rules = compile(conf);
    assert_true(ruleset_drained(&rules));
    assert_true(ruleset_member_drained(&rules, 0));
    assert_false(ruleset_member_drained(&rules, 1));
    assert_false(ruleset_member_drained(&rules, 2));
    assert_int_equal(ruleset_members(&rules, &members, &self), SLOTSHARE_OK);
    assert_int_equal(members.count, 1);
    assert_int_equal(self, 0);
    free((void *)rules.base);
    conf_free(conf);
    conf = load(CLUSTER LIMITS "[changes]\nversion = 1\ndrained = a\ndrained = b\n");
    assert_false(conf->drained);
    assert_false(conf->member[0].drained || conf->member[1].drained);
    conf_free(conf);
}

static void outside_the_host_scopes(void **state) {
    (void)state;
    struct conf *conf =
        load("[node]\nname = a\n[cluster]\ntls = off\nmember a = tcp://127.0.0.1:1\n"
             "[changes]\nversion = 1\n[override domain \"d\"]\nlimit = 1\n"
             "[override host \"h\"]\nlimit = 1\n");
    struct ruleset rules = compile(conf);
    expect(&rules, "", "d", "", "domain:d", -1, false);
    expect(&rules, "", "d", "h", "host:h", 1, true);
    assert_non_null(conf_override_problem(conf, &conf->changes.override[0]));
    free((void *)rules.base);
    conf_free(conf);
}

/* The largest there can be. */
static void as_text(void **state) {
    (void)state;
    char *text = malloc(CONF_CHANGES_TEXT);
    struct conf_changes *changes = calloc(1, sizeof *changes);
    struct conf_changes *back = malloc(sizeof *back);
    assert_true(text != NULL && changes != NULL && back != NULL);
    assert_int_equal(conf_changes_text(changes, text), 0);
    changes->version = INT64_C(999999999999999);
    changes->overrides = CONF_OVERRIDES_MAX;
    changes->drains = CONF_MEMBERS_MAX;
    memset(changes->author, 'a', SLOTSHARE_BINDING_MAX);
    for (uint32_t i = 0; i < CONF_OVERRIDES_MAX; i++) {
        struct conf_override *override = &changes->override[i];
        override->scope = SLOTSHARE_SCOPE_BINDING_DOMAIN;
        memset(override->binding, '=', SLOTSHARE_BINDING_MAX); /* a name may hold that */
        memset(override->name, 'n', SLOTSHARE_DOMAIN_MAX);
        (void)snprintf(override->name, 8, "%u", i + 1000000);
        override->name[7] = 'n';
        override->limit = CONF_LIMIT_MAX;
        override->until = override->ms = INT64_C(999999999999999);
    }
    for (uint32_t i = 0; i < CONF_MEMBERS_MAX; i++)
        memset(changes->drain[i], 'm', SLOTSHARE_BINDING_MAX);
    size_t size = conf_changes_text(changes, text);
    assert_true(size > 0 && size < CONF_CHANGES_TEXT);
    assert_int_equal(strlen(text), size);
    assert_int_equal(conf_changes_parse(text, size, back), 0);
    assert_memory_equal(changes, back, sizeof *back);
    free(back);
    free(changes);
    free(text);
}

static void nonsense(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[changes]\nversion = x\n",
        "[changes]\nversion = -1\n",
        "[changes]\nlimit = 1\n",
        "[override host \"a\"]\nlimit = -2\n",
        "[override host \"a\"]\nlimit = 1\n[override host \"A\"]\nlimit = 1\n",
        "[override node]\nname = a\n",
        "[override cluster]\n",
        "[override binding_group \"a\"]\n",
        "[override changes]\n",
        "[override host \"a b\"]\nlimit = 1\n",
        "[override]\n",
        "[changes]\n\x01\n",
    };
    struct conf_changes *changes = malloc(sizeof *changes);
    assert_non_null(changes);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(conf_changes_parse(texts[i], strlen(texts[i]), changes), -1);
    assert_int_equal(conf_changes_parse("", 0, changes), 0);
    assert_int_equal(changes->version, 0);
    free(changes);
}

/* In a file of people they are unknown. */
static void not_in_a_file(void **state) {
    (void)state;
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    static const char text[] = "[changes]\nversion = 1\n[override host \"a\"]\nlimit = 1\n";
    assert_int_equal(conf_load_text("t", text, sizeof text - 1, NULL, &conf, &errors), -1);
    assert_int_equal(errors.count, 2);
    conf_errors_free(&errors);
}

static void newer(void **state) {
    (void)state;
    struct conf_changes *two = calloc(2, sizeof *two);
    if (two == NULL) {
        fail_msg("no memory");
        return;
    }
    assert_false(conf_changes_newer(&two[0], &two[1]));
    two[0].version = 1;
    assert_true(conf_changes_newer(&two[0], &two[1]) && !conf_changes_newer(&two[1], &two[0]));
    two[1].version = 1;
    two[0].author[0] = 'x';
    assert_true(conf_changes_newer(&two[0], &two[1]) && !conf_changes_newer(&two[1], &two[0]));
    free(two);
}

/* What a single host's rule set knows is enough to go on without an override. */
static void back_from_a_rule_set(void **state) {
    (void)state;
    struct conf *conf = load("[node]\nname = a\n" LIMITS "[changes]\nversion = 2\ndrained = a\n"
                             "[override host \"x\"]\nlimit = 9\nms = 77\n"
                             "[override domain \"d\"]\nlimit = 1\n");
    struct conf *back = NULL;
    struct ruleset rules = compile(conf);
    assert_true(ruleset_drained(&rules));
    assert_int_equal(ruleset_decompile(&rules, &back), 0);
    assert_int_equal(back->changes.overrides, 2);
    assert_int_equal(back->changes.override[0].ms, 77);
    assert_int_equal(back->limits, 2);
    struct ruleset without = compile(back);
    expect(&without, "", "", "x", "host:x", 5, false);
    expect(&without, "bulk", "d", "", "binding:bulk,domain:d", 7, false);
    assert_int_equal(conf_changes_apply(back), 0);
    struct ruleset again = compile(back);
    expect(&again, "", "", "x", "host:x", 9, true);
    expect(&again, "", "d", "", "domain:d", 1, true);
    const struct ruleset all[] = {rules, without, again};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free((void *)all[i].base);
    conf_free(conf);
    conf_free(back);
}

/* Who sets an override means it: it is enforced, and when it ends the file's word counts again. */
static void an_override_is_enforced(void **state) {
    (void)state;
    static const char file[] = CLUSTER LIMITS "enforce = no\n";
    static const char more[] = "[changes]\nversion = 2\n[override binding \"bulk\"]\nlimit = 7\n";
    char text[1000];
    (void)snprintf(text, sizeof text, "%s%s", file, more);
    struct conf *without = load(file);
    struct conf *with = load(text);
    assert_true(conf_digest(without) != conf_digest(with)); /* of the same limit */
    struct ruleset now = compile(with);
    struct ruleset before = compile(without);
    assert_true(support_resolve(&before, "bulk", "d", "").observed);
    assert_false(support_resolve(&now, "bulk", "d", "").observed);
    struct conf *back = NULL;
    assert_int_equal(ruleset_decompile(&now, &back), 0);
    struct ruleset after = compile(back);
    assert_true(support_resolve(&after, "bulk", "d", "").observed);
    assert_false(support_resolve(&after, "", "", "x").observed);
    const struct ruleset all[] = {now, before, after};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free((void *)all[i].base);
    conf_free(without);
    conf_free(with);
    conf_free(back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_effect),
        cmocka_unit_test(digests),
        cmocka_unit_test(drains),
        cmocka_unit_test(outside_the_host_scopes),
        cmocka_unit_test(as_text),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(not_in_a_file),
        cmocka_unit_test(newer),
        cmocka_unit_test(back_from_a_rule_set),
        cmocka_unit_test(an_override_is_enforced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
