/* SPDX-License-Identifier: MIT */
/* Scopes, precedence, fallback, what is counted, and the way back from a counter's name. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#define MAX "cluster_max_outbound_connections = "

static const char all_scopes[] = "[global]\n" MAX "128\n"
                                 "[binding \"bulk\"]\n" MAX "40\n"
                                 "[domain \"yahoo.com\"]\n" MAX "10\n"
                                 "[binding \"bulk\" domain \"yahoo.com\"]\n" MAX "30\n"
                                 "[host \"mx.yahoo.com\"]\n" MAX "2\n"
                                 "[binding \"bulk\" host \"mx.yahoo.com\"]\n" MAX "1\n";

struct expected {
    const char *binding, *domain, *host;
    enum slotshare_scope scope;
    int limit;
    unsigned line;
    const char *counter;
};

static void expect(const struct ruleset *rules, const struct expected *row, size_t rows) {
    for (size_t i = 0; i < rows; i++) {
        const struct ruleset_match match =
            support_resolve(rules, row[i].binding, row[i].domain, row[i].host);
        assert_string_equal(match.counter, row[i].counter);
        assert_int_equal(match.scope, row[i].scope);
        assert_int_equal(match.limit, row[i].limit);
        assert_int_equal(match.line, row[i].line);
    }
}
#define EXPECT(rules, rows) expect(rules, rows, sizeof(rows) / sizeof *(rows))

static void each_scope_wins_in_its_order(void **state) {
    (void)state;
    struct ruleset rules = support_rules(all_scopes);
    const struct expected rows[] = {
        {"bulk", "yahoo.com", "mx.yahoo.com", SLOTSHARE_SCOPE_BINDING_HOST, 1, 12,
         "binding:bulk,host:mx.yahoo.com"},
        {"other", "yahoo.com", "mx.yahoo.com", SLOTSHARE_SCOPE_HOST, 2, 10, "host:mx.yahoo.com"},
        {"bulk", "yahoo.com", "mx2.yahoo.com", SLOTSHARE_SCOPE_BINDING_DOMAIN, 30, 8,
         "binding:bulk,domain:yahoo.com"},
        {"bulk", "example.com", "mx2.yahoo.com", SLOTSHARE_SCOPE_BINDING, 40, 4, "binding:bulk"},
        {"other", "yahoo.com", "mx2.yahoo.com", SLOTSHARE_SCOPE_DOMAIN, 10, 6, "domain:yahoo.com"},
        {"other", "example.com", "mx", SLOTSHARE_SCOPE_GLOBAL, 128, 2, "domain:example.com"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void unknown_names_leave_the_scopes_that_need_neither(void **state) {
    (void)state;
    struct ruleset rules = support_rules(all_scopes);
    const struct expected rows[] = {
        {"bulk", "yahoo.com", NULL, SLOTSHARE_SCOPE_BINDING_DOMAIN, 30, 8,
         "binding:bulk,domain:yahoo.com"},
        {"bulk", "", "mx.yahoo.com", SLOTSHARE_SCOPE_BINDING_HOST, 1, 12,
         "binding:bulk,host:mx.yahoo.com"},
        {NULL, NULL, "mx.yahoo.com", SLOTSHARE_SCOPE_HOST, 2, 10, "host:mx.yahoo.com"},
        {"bulk", NULL, NULL, SLOTSHARE_SCOPE_BINDING, 40, 4, "binding:bulk"},
        {NULL, "yahoo.com", NULL, SLOTSHARE_SCOPE_DOMAIN, 10, 6, "domain:yahoo.com"},
        {NULL, "example.com", NULL, SLOTSHARE_SCOPE_GLOBAL, 128, 2, "domain:example.com"},
        {NULL, NULL, NULL, SLOTSHARE_SCOPE_GLOBAL, 128, 2, "global"},
        {"other", NULL, "mx", SLOTSHARE_SCOPE_GLOBAL, 128, 2, "global"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

/* One of each scope, the strongest first. */
static const char *const stanza[] = {
    "[binding \"b\" host \"h\"]\n" MAX "1\n",
    "[host \"h\"]\n" MAX "2\n",
    "[binding \"b\" domain \"d\"]\n" MAX "3\n",
    "[binding \"b\"]\n" MAX "4\n",
    "[domain \"d\"]\n" MAX "5\n",
    "[global]\n" MAX "6\n",
};

/* Take the stanzas away one after another, the strongest first. */
static void every_fallback(void **state) {
    (void)state;
    static const char *const counter[] = {"binding:b,host:h", "host:h",   "binding:b,domain:d",
                                          "binding:b",        "domain:d", "domain:d"};
    for (unsigned present = 0; present < 64; present++) {
        char text[600] = "";
        int first = -1;
        for (int i = 5; i >= 0; i--) {
            if ((present & (1u << i)) == 0)
                continue;
            support_append(text, sizeof text, "%s", stanza[i]);
            first = i;
        }
        struct ruleset rules = support_rules(text);
        const struct ruleset_match match = support_resolve(&rules, "b", "d", "h");
        assert_int_equal(match.scope, first >= 0 ? first + 1 : SLOTSHARE_SCOPE_NONE);
        assert_int_equal(match.limit, first >= 0 ? first + 1 : SLOTSHARE_UNLIMITED);
        assert_string_equal(match.counter, first >= 0 ? counter[first] : "domain:d");
        free((void *)rules.base);
    }
}

/* The manual's own example. */
static void edge_omniti_com(void **state) {
    (void)state;
    struct ruleset rules =
        support_rules("[host \"edge.omniti.com\"]\n  Cluster_Max_Outbound_Connections = 2\n");
    const struct expected rows[] = {
        {"any", "messagesystems.com", "edge.omniti.com", SLOTSHARE_SCOPE_HOST, 2, 2,
         "host:edge.omniti.com"},
        {"any", "messagesystems.com", "EDGE.Omniti.Com.", SLOTSHARE_SCOPE_HOST, 2, 2,
         "host:edge.omniti.com"},
        {"any", "messagesystems.com", "edge2.omniti.com", SLOTSHARE_SCOPE_NONE, -1, 0,
         "domain:messagesystems.com"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void nothing_set_is_unlimited(void **state) {
    (void)state;
    struct ruleset rules = support_rules("");
    const struct expected rows[] = {
        {"b", "d", "h", SLOTSHARE_SCOPE_NONE, -1, 0, "domain:d"},
        {"b", "", "h", SLOTSHARE_SCOPE_NONE, -1, 0, "global"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void minus_one_and_zero_are_values(void **state) {
    (void)state;
    struct ruleset rules = support_rules("[global]\n" MAX "5\n"
                                         "[domain \"free.example\"]\n" MAX "-1\n"
                                         "[domain \"closed.example\"]\n" MAX "0\n"
                                         "[host \"free.example\"]\n" MAX "-1\n"
                                         "[binding \"b\"]\n" MAX "0\n");
    const struct expected rows[] = {
        {NULL, "free.example", NULL, SLOTSHARE_SCOPE_DOMAIN, -1, 4, "domain:free.example"},
        {NULL, "closed.example", NULL, SLOTSHARE_SCOPE_DOMAIN, 0, 6, "domain:closed.example"},
        {"b", "x", "free.example", SLOTSHARE_SCOPE_HOST, -1, 8, "host:free.example"},
        {"b", "x", "h", SLOTSHARE_SCOPE_BINDING, 0, 10, "binding:b"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void a_scope_that_does_not_set_the_option_is_passed_over(void **state) {
    (void)state;
    struct ruleset rules = support_rules("[host \"h\"]\n[binding \"b\" host \"h\"]\n"
                                         "[binding \"b\"]\n[domain \"d\"]\n" MAX "3\n");
    const struct expected rows[] = {
        {"b", "d", "h", SLOTSHARE_SCOPE_DOMAIN, 3, 5, "domain:d"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void count_per_changes_what_is_counted(void **state) {
    (void)state;
    struct ruleset rules = support_rules("[global]\n" MAX "9\nCount_Per = Binding Domain\n"
                                         "[binding \"b\"]\ncount_per = domain  binding\n" MAX "4\n"
                                         "[binding \"plain\"]\ncount_per = binding\n" MAX "4\n"
                                         "[domain \"d\"]\n" MAX "5\ncount_per = binding domain\n");
    const struct expected rows[] = {
        {"b", "d", "h", SLOTSHARE_SCOPE_BINDING, 4, 6, "binding:b,domain:d"},
        {"b", "e", "h", SLOTSHARE_SCOPE_BINDING, 4, 6, "binding:b,domain:e"},
        {"b", "", "h", SLOTSHARE_SCOPE_BINDING, 4, 6, "binding:b"},
        {"plain", "d", "h", SLOTSHARE_SCOPE_BINDING, 4, 9, "binding:plain"},
        {"x", "d", "h", SLOTSHARE_SCOPE_DOMAIN, 5, 11, "binding:x,domain:d"},
        {"", "d", "h", SLOTSHARE_SCOPE_DOMAIN, 5, 11, "domain:d"},
        {"x", "y", "h", SLOTSHARE_SCOPE_GLOBAL, 9, 2, "binding:x,domain:y"},
        {"x", "", "h", SLOTSHARE_SCOPE_GLOBAL, 9, 2, "binding:x"},
        {"", "", "h", SLOTSHARE_SCOPE_GLOBAL, 9, 2, "global"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void bindings_keep_their_case_and_domains_do_not(void **state) {
    (void)state;
    struct ruleset rules = support_rules("[binding \"Bulk\" domain \"Yahoo.COM.\"]\n" MAX "3\n");
    const struct expected rows[] = {
        {"Bulk", "YAHOO.com", "", SLOTSHARE_SCOPE_BINDING_DOMAIN, 3, 2,
         "binding:Bulk,domain:yahoo.com"},
        {"bulk", "yahoo.com.", "", SLOTSHARE_SCOPE_NONE, -1, 0, "domain:yahoo.com"},
    };
    EXPECT(&rules, rows);
    free((void *)rules.base);
}

static void bad_names_are_refused(void **state) {
    (void)state;
    struct ruleset rules = support_rules(all_scopes);
    char long_name[SLOTSHARE_DOMAIN_MAX + 3];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    const struct slotshare_connection bad[] = {
        {"a b", "d", "h"},   {"b", "d,e", "h"},   {"b", "d", "h\n"},   {"b", "d", "."},
        {long_name, "", ""}, {"", long_name, ""}, {"", "", long_name},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ruleset_match match;
        struct ruleset_step step[6];
        assert_int_equal(ruleset_resolve(&rules, &bad[i], &match), SLOTSHARE_ENAME);
        assert_int_equal(ruleset_trace(&rules, &bad[i], step), SLOTSHARE_ENAME);
    }
    free((void *)rules.base);
}

static void trace_shows_every_scope(void **state) {
    (void)state;
    struct ruleset rules = support_rules("[global]\n" MAX "128\n[binding \"b\"]\n" MAX "-1\n"
                                         "[host \"h\"]\n" MAX "2\n[domain \"d\"]\n");
    const struct slotshare_connection connection = {"b", "", "h"};
    struct ruleset_step step[6];
    assert_int_equal(ruleset_trace(&rules, &connection, step), SLOTSHARE_OK);
    const struct ruleset_step expected[6] = {
        {SLOTSHARE_SCOPE_BINDING_HOST, true, false, false, -1, 0, 0},
        {SLOTSHARE_SCOPE_HOST, true, true, false, 2, 6, 0},
        {SLOTSHARE_SCOPE_BINDING_DOMAIN, false, false, false, -1, 0, 0},
        {SLOTSHARE_SCOPE_BINDING, true, true, false, -1, 4, 0},
        {SLOTSHARE_SCOPE_DOMAIN, false, false, false, -1, 0, 0},
        {SLOTSHARE_SCOPE_GLOBAL, true, true, false, 128, 2, 0},
    };
    for (int i = 0; i < 6; i++) {
        assert_int_equal(step[i].scope, expected[i].scope);
        assert_int_equal(step[i].applies, expected[i].applies);
        assert_int_equal(step[i].set, expected[i].set);
        assert_int_equal(step[i].limit, expected[i].limit);
        assert_int_equal(step[i].line, expected[i].line);
    }
    free((void *)rules.base);
}

/* A section says whether it is enforced; if not, [defaults] does, wherever it stands. */
static void observed_as_the_section_says(void **state) {
    (void)state;
    struct ruleset rules =
        support_rules("[host \"a\"]\n" MAX "1\nenforce = NO\n[host \"b\"]\n" MAX "1\n");
    assert_true(support_resolve(&rules, "", "", "a").observed);
    assert_false(support_resolve(&rules, "", "", "b").observed);
    assert_false(support_resolve(&rules, "", "", "c").observed);
    struct ruleset all = support_rules("[host \"a\"]\nenforce = yes\n" MAX "1\n[host \"b\"]\n" MAX
                                       "1\n[host \"c\"]\n" MAX "-1\n[defaults]\nenforce = no\n");
    assert_false(support_resolve(&all, "", "", "a").observed);
    assert_true(support_resolve(&all, "", "", "b").observed);
    assert_false(support_resolve(&all, "", "", "c").observed); /* nothing to observe */
    const struct slotshare_connection to_b = {"", "", "b"};
    struct ruleset_step step[6];
    assert_int_equal(ruleset_trace(&all, &to_b, step), SLOTSHARE_OK);
    assert_true(step[1].observed);
    struct ruleset_match match;
    assert_int_equal(ruleset_counter(&all, "host:b", &match), SLOTSHARE_OK);
    assert_true(match.observed);
    free((void *)rules.base);
    free((void *)all.base);
}

/* Whatever stanzas there are: a counter's name alone gives the limit that its connections have. */
static void a_counter_name_finds_its_limit(void **state) {
    (void)state;
    static const char *const binding[] = {"", "b", "c"}, *const domain[] = {"", "d", "e"},
                             *const host[] = {"", "h", "i"};
    for (unsigned set = 0; set < 64 * 8; set++) {
        char text[800] = "";
        for (unsigned i = 0; i < 6; i++) {
            if ((set & (1u << i)) == 0)
                continue;
            support_append(text, sizeof text, "%s", stanza[i]);
            if (i >= 3 && (set & (64u << (i - 3))) != 0)
                support_append(text, sizeof text, "count_per = binding domain\n");
        }
        struct ruleset rules = support_rules(text);
        for (int i = 0; i < 27; i++) {
            const struct ruleset_match match =
                support_resolve(&rules, binding[i % 3], domain[i / 3 % 3], host[i / 9]);
            struct ruleset_match again;
            assert_int_equal(ruleset_counter(&rules, match.counter, &again), SLOTSHARE_OK);
            assert_int_equal(again.limit, match.limit);
            assert_int_equal(again.scope, match.scope);
            assert_int_equal(again.line, match.line);
            assert_int_equal(again.parts, match.parts);
            assert_string_equal(again.counter, match.counter);
        }
        free((void *)rules.base);
    }
}

static void names_that_no_counter_has_are_refused(void **state) {
    (void)state;
    struct ruleset rules = support_rules(all_scopes);
    char long_name[600] = "domain:";
    memset(long_name + 7, 'x', sizeof long_name - 8);
    long_name[sizeof long_name - 1] = '\0';
    const char *const bad[] = {
        "",                              /* empty */
        "domain:",                       /* no name */
        "domain",                        /* no colon */
        "Global",                        /* case */
        "domain:YAHOO.com",              /* not in the form that is compared */
        "domain:yahoo.com.",             /* the same */
        "host:other",                    /* no stanza counts by it */
        "binding:other",                 /* the same */
        "domain:yahoo.com,binding:bulk", /* order */
        "binding:bulk,domain:other.com", /* counted by binding alone */
        "binding:bulk,",                 /* an empty part */
        "domain:a,domain:b",             /* twice */
        "domain:yahoo.com,host:mx.yahoo.com",
        "user:me",    /* no such part */
        "domain:a b", /* not a name */
        long_name,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ruleset_match match;
        assert_int_equal(ruleset_counter(&rules, bad[i], &match), SLOTSHARE_ENAME);
    }
    free((void *)rules.base);
}

static void longest_names_are_kept_whole(void **state) {
    (void)state;
    char binding[SLOTSHARE_BINDING_MAX + 1];
    char domain[SLOTSHARE_DOMAIN_MAX + 1];
    char text[1200];
    memset(binding, 'b', sizeof binding - 1);
    memset(domain, 'd', sizeof domain - 1);
    binding[sizeof binding - 1] = domain[sizeof domain - 1] = '\0';
    text[0] = '\0';
    for (int i = 0; i < 2; i++) { /* two that differ in their last characters only */
        domain[sizeof domain - 2] = (char)('x' + i);
        support_append(text, sizeof text, "[binding \"%s\" domain \"%s\"]\n" MAX "%d\n", binding,
                       domain, 7 + i);
    }
    struct ruleset rules = support_rules(text);
    for (int i = 0; i < 2; i++) {
        domain[sizeof domain - 2] = (char)('x' + i);
        const struct ruleset_match match = support_resolve(&rules, binding, domain, domain);
        assert_int_equal(match.limit, 7 + i);
        assert_int_equal(match.length, 8 + 128 + 1 + 7 + 255);
        struct ruleset_match again;
        assert_int_equal(ruleset_counter(&rules, match.counter, &again), SLOTSHARE_OK);
        assert_int_equal(again.limit, 7 + i);
    }
    free((void *)rules.base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scope_wins_in_its_order),
        cmocka_unit_test(unknown_names_leave_the_scopes_that_need_neither),
        cmocka_unit_test(every_fallback),
        cmocka_unit_test(edge_omniti_com),
        cmocka_unit_test(nothing_set_is_unlimited),
        cmocka_unit_test(minus_one_and_zero_are_values),
        cmocka_unit_test(a_scope_that_does_not_set_the_option_is_passed_over),
        cmocka_unit_test(count_per_changes_what_is_counted),
        cmocka_unit_test(bindings_keep_their_case_and_domains_do_not),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(trace_shows_every_scope),
        cmocka_unit_test(observed_as_the_section_says),
        cmocka_unit_test(a_counter_name_finds_its_limit),
        cmocka_unit_test(names_that_no_counter_has_are_refused),
        cmocka_unit_test(longest_names_are_kept_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
