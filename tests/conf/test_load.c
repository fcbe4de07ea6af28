/* SPDX-License-Identifier: MIT */
/* Files without errors: what is understood, in which forms, and the defaults. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX "cluster_max_outbound_connections = "
#define THREE                                                                                      \
    "[node]\nname = b\n[cluster]\ntls = off\ninsecure = yes\nreplicate = outbound_domains\n"       \
    "member c = tcp://10.0.0.3:7946\nmember a = tcp://10.0.0.1:7946\n"                             \
    "member b = tcp://10.0.0.2:7946\n"

static void defaults(void **state) {
    (void)state;
    struct conf *conf = support_conf("");
    char host[256] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    host[strcspn(host, ".")] = '\0';
    assert_string_equal(conf->node, host);
    assert_string_equal(conf->segment, "slotshare");
    assert_null(conf->directory);
    assert_string_equal(conf->listen, "");
    assert_int_equal(conf->counters, 65536);
    assert_int_equal(conf->counters_max, 16 * 65536);
    assert_int_equal(conf->owners, 1024);
    assert_int_equal(conf->slots, 65536);
    assert_false(conf->clustered);
    assert_int_equal(conf->members, 0);
    assert_int_equal(conf->limits, 0);
    conf_free(conf);
}

static void node_options(void **state) {
    (void)state;
    struct conf *conf =
        support_conf("[Node]\nname = Mta1\nsegment = out.bound-2_x\n"
                     "directory = /var/run/slots\nlisten = TCP://0.0.0.0:1\n"
                     "http = http://[::1]:80\n"
                     "counters = 16\ncounters_max = 16\nowners = 4094\nslots = 1048576\n");
    assert_string_equal(conf->node, "Mta1");
    assert_string_equal(conf->segment, "out.bound-2_x");
    assert_string_equal(conf->directory, "/var/run/slots");
    assert_string_equal(conf->listen, "tcp://0.0.0.0:1");
    assert_string_equal(conf->http, "http://[::1]:80");
    assert_int_equal(conf->counters, 16);
    assert_int_equal(conf->counters_max, 16);
    assert_int_equal(conf->owners, 4094);
    assert_int_equal(conf->slots, 1048576);
    conf_free(conf);
}

static void counters_may_become_sixteen_times_as_many(void **state) {
    (void)state;
    static const unsigned pairs[][2] = {
        {16, 256}, {1048575, 16777200}, {1048576, 16777216}, {16777216, 16777216}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "[node]\ncounters = %u\n", pairs[i][0]);
        struct conf *conf = support_conf(text);
        assert_int_equal(conf->counters_max, pairs[i][1]);
        conf_free(conf);
    }
}

static void cluster_defaults_and_order(void **state) {
    (void)state;
    struct conf *conf = support_conf(THREE);
    assert_true(conf->clustered);
    assert_true(conf->replicate_domains);
    assert_string_equal(conf->cluster, "slotshare");
    assert_int_equal(conf->members, 3);
    assert_string_equal(conf->member[0].name, "a");
    assert_string_equal(conf->member[1].name, "b");
    assert_string_equal(conf->member[2].name, "c");
    assert_string_equal(conf->member[2].url, "tcp://10.0.0.3:7946");
    assert_int_equal(conf->member[2].line, 7);
    assert_int_equal(conf->self, 1);
    assert_int_equal(conf->reserve_percent, 25);
    assert_int_equal(conf->session_ms, 6000);
    assert_int_equal(conf->drain_ms, 30000);
    assert_null(conf->certificate);
    conf_free(conf);
}

static void cluster_options(void **state) {
    (void)state;
    struct conf *conf = support_conf(
        "[cluster]\nname = c1\nReplicate = Outbound_Domains\nreserve = 100%\nsession = 1.25\n"
        "drain = 0.5\ncertificate = /c\nkey = /k\nca = /a\nMEMBER a = TLS+tcp://MTA1.Example.:007\n"
        "witness w = tls+tcp://[2001:DB8:0::1]:65535\n[node]\nname = w\n");
    assert_string_equal(conf->cluster, "c1");
    assert_int_equal(conf->reserve_percent, 100);
    assert_int_equal(conf->session_ms, 1250);
    assert_int_equal(conf->drain_ms, 500);
    assert_string_equal(conf->certificate, "/c");
    assert_string_equal(conf->key, "/k");
    assert_string_equal(conf->ca, "/a");
    assert_string_equal(conf->member[0].url, "tls+tcp://mta1.example:7");
    assert_string_equal(conf->member[1].url, "tls+tcp://[2001:db8::1]:65535");
    assert_false(conf->member[0].witness);
    assert_true(conf->member[1].witness);
    assert_int_equal(conf->self, 1);
    conf_free(conf);
}

static void reserve_of_two_members_is_half(void **state) {
    (void)state;
    struct conf *conf = support_conf("[node]\nname = a\n[cluster]\ntls = off\ninsecure = "
                                     "yes\nmember a = tcp://a:1\nmember b = tcp://b:1\n");
    assert_int_equal(conf->reserve_percent, 50);
    conf_free(conf);
    conf = support_conf(
        "[node]\nname = a\n[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://a:1\n"
        "member b = tcp://b:1\nreserve = 0\n");
    assert_int_equal(conf->reserve_percent, 0);
    conf_free(conf);
    conf = support_conf(
        "[node]\nname = a\n[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://a:1\n"
        "member b = tcp://b:1\nwitness c = tcp://c:1\n");
    assert_int_equal(conf->reserve_percent, 25);
    conf_free(conf);
}

/* Limits of hosts do not need replication; nothing else does without a cluster. */
static void replicate_is_for_clusters(void **state) {
    (void)state;
    conf_free(support_conf("[global]\n" MAX "1\n"));
    conf_free(support_conf("[node]\nname = a\n[cluster]\ntls = off\ninsecure = yes\nmember a = "
                           "tcp://a:1\n[host \"h\"]\n" MAX "1\n[binding \"b\" host \"h\"]\n" MAX
                           "1\n[domain \"d\"]\n"));
}

static void limits_are_sorted_by_scope_and_name(void **state) {
    (void)state;
    struct conf *conf = support_conf(
        "[global]\n" MAX "1\n[domain \"B\"]\n" MAX "2\n[domain \"a.\"]\n" MAX "3\n[binding \"x\"]\n"
        "[binding \"b\" host \"h\"]\n" MAX "1048574\n[binding \"B\" host \"h\"]\n" MAX "-1\n");
    assert_int_equal(conf->limits, 5);
    static const struct {
        int scope, limit, line;
        const char *binding, *domain, *host;
    } row[] = {
        {1, -1, 11, "B", "", "h"}, {1, 1048574, 9, "b", "", "h"}, {5, 3, 6, "", "a", ""},
        {5, 2, 4, "", "b", ""},    {6, 1, 2, "", "", ""},
    };
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(conf->limit[i].scope, row[i].scope);
        assert_int_equal(conf->limit[i].limit, row[i].limit);
        assert_int_equal(conf->limit[i].line, row[i].line);
        assert_string_equal(conf->limit[i].binding, row[i].binding);
        assert_string_equal(conf->limit[i].domain, row[i].domain);
        assert_string_equal(conf->limit[i].host, row[i].host);
    }
    conf_free(conf);
}

static void groups(void **state) {
    (void)state;
    /* The binding's own section cannot set the option; those of its pairs can. */
    conf_free(support_conf("[binding_group \"g\"]\nbindings = b c\nbindings =\td\n"
                           "[binding_group \"G\"]\nbindings = B\n"
                           "[binding \"b\"]\n[binding \"x\"]\n" MAX "1\n"
                           "[binding \"b\" domain \"d\"]\n" MAX "1\n"
                           "[binding \"b\" host \"h\"]\n" MAX "1\n"));
}

/* Everything that editors and people do to a file without changing what it says. */
static void forms_of_lines(void **state) {
    (void)state;
    struct conf *conf =
        support_conf("\xef\xbb\xbf; a comment behind a byte order mark\r\n"
                     "# another\r\n"
                     "\r\n"
                     " \t [ Binding  \"b;]#=:\"\tDOMAIN \"d\" ] ; comment ] \" here\r\n"
                     "    cluster_MAX_outbound_connections=5\t;comment = 3\r\n"
                     "[domain \"e\"]# comment\n"
                     "\tcount_per   =   domain  \t \n"
                     "; " MAX "7\n"
                     "#" MAX "8\n"
                     "  ; " MAX "9\n" MAX "6"); /* no newline at the end */
    assert_int_equal(conf->limits, 2);
    assert_string_equal(conf->limit[0].binding, "b;]#=:");
    assert_string_equal(conf->limit[0].domain, "d");
    assert_int_equal(conf->limit[0].limit, 5);
    assert_int_equal(conf->limit[0].line, 5);
    assert_string_equal(conf->limit[1].domain, "e");
    assert_int_equal(conf->limit[1].limit, 6);
    assert_int_equal(conf->limit[1].line, 11);
    conf_free(conf);
}

static void long_lines_that_are_not_cut(void **state) {
    (void)state;
    char text[8192];
    char comment[3000];
    char directory[186]; /* makes a line of 198, the longest */
    memset(comment, 'c', sizeof comment - 1);
    comment[sizeof comment - 1] = '\0';
    memset(directory, '/', sizeof directory - 1);
    directory[sizeof directory - 1] = '\0';
    (void)snprintf(text, sizeof text, "; %s\n[node]\n#%s\ndirectory = /%s\n", comment, comment,
                   directory);
    struct conf *conf = support_conf(text);
    assert_int_equal(strlen(conf->directory), 186);
    conf_free(conf);
}

/* More stanzas than any array begins with, each found again. */
static void many_limits(void **state) {
    (void)state;
    enum { COUNT = 20000, EACH = 72 };
    char *text = malloc((size_t)COUNT * EACH);
    assert_non_null(text);
    size_t length = 0;
    for (int i = 0; i < COUNT; i++)
        length += (size_t)snprintf(text + length, EACH, "[domain \"d%d\"]\n" MAX "%d\n", i, i);
    struct ruleset rules = support_rules(text);
    free(text);
    for (int i = 0; i < COUNT; i++) {
        char domain[16];
        (void)snprintf(domain, sizeof domain, "D%d.", i);
        assert_int_equal(support_resolve(&rules, "b", domain, "h").limit, i);
    }
    assert_int_equal(support_resolve(&rules, "b", "d20000", "h").limit, -1);
    free((void *)rules.base);
}

static void the_most_members(void **state) {
    (void)state;
    char text[8192];
    size_t length = (size_t)snprintf(text, sizeof text,
                                     "[node]\nname = m09\n[cluster]\ntls = off\ninsecure = yes\n");
    for (int i = CONF_MEMBERS_MAX - 1; i >= 0; i--)
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "member m%02d = tcp://h:%d\n", i, i + 1);
    struct conf *conf = support_conf(text);
    assert_int_equal(conf->members, CONF_MEMBERS_MAX);
    assert_int_equal(conf->self, 9);
    conf_free(conf);
}

static void a_rule_set_tells_what_it_was_made_of(void **state) {
    (void)state;
    struct ruleset rules = support_rules(THREE "witness d = tcp://10.0.0.4:7946\n");
    struct deal_members members;
    uint64_t self = 0;
    assert_string_equal(ruleset_node(&rules), "b");
    assert_int_equal(strncmp(ruleset_file(&rules), "/tmp/", 5), 0);
    assert_true(ruleset_clustered(&rules));
    assert_int_equal(ruleset_member_count(&rules), 4);
    assert_string_equal(ruleset_member_name(&rules, 2), "c");
    assert_string_equal(ruleset_member_url(&rules, 3), "tcp://10.0.0.4:7946");
    assert_string_equal(ruleset_member_name(&rules, 4), "");
    assert_string_equal(ruleset_member_url(&rules, 4), "");
    assert_int_equal(ruleset_members(&rules, &members, &self), SLOTSHARE_OK);
    assert_int_equal(members.count, 3);
    assert_int_equal(members.reserve_percent, 25);
    assert_int_equal(members.hash[0], deal_hash("a", 1));
    assert_int_equal(self, deal_hash("b", 1));
    free((void *)rules.base);

    rules = support_rules(
        "[node]\nname = w\n[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://a:1\n"
        "witness w = tcp://w:1\n");
    assert_int_equal(ruleset_members(&rules, &members, &self), SLOTSHARE_OK);
    assert_int_equal(members.count, 1);
    assert_int_equal(self, 0);
    free((void *)rules.base);

    rules = support_rules("");
    assert_false(ruleset_clustered(&rules));
    assert_int_equal(ruleset_member_count(&rules), 0);
    assert_int_equal(ruleset_members(&rules, &members, &self), SLOTSHARE_OK);
    assert_int_equal(members.count, 0);
    assert_int_equal(self, 0);
    free((void *)rules.base);
}

static void the_same_file_gives_the_same_bytes(void **state) {
    (void)state;
    void *base[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    struct conf *conf = support_conf(THREE "[global]\n" MAX "1\n[host \"h\"]\n" MAX "2\n");
    for (int i = 0; i < 2; i++)
        assert_int_equal(ruleset_compile(conf, &base[i], &size[i]), 0);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(base[0], base[1], size[0]);
    free(base[1]);
    conf->limit[0].limit = 3;
    assert_int_equal(ruleset_compile(conf, &base[1], &size[1]), 0);
    assert_memory_not_equal(base[0], base[1], size[0]);
    free(base[0]);
    free(base[1]);
    conf_free(conf);
}

static void the_example_has_no_errors(void **state) {
    (void)state;
    char path[512];
    const char *source = getenv("SLOTSHARE_SOURCE");
    assert_non_null(source);
    (void)snprintf(path, sizeof path, "%s/conf/slotshare.ini.example", source);
    struct conf *conf = NULL;
    struct conf_errors errors;
    const int result = conf_load(path, &conf, &errors);
    for (size_t i = 0; i < errors.count; i++)
        print_error("%s\n", errors.line[i]);
    conf_errors_free(&errors);
    assert_int_equal(result, 0);
    assert_string_equal(conf->file, path);
    assert_int_equal(conf->members, 3);
    assert_int_equal(conf->limits, 8);
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(node_options),
        cmocka_unit_test(counters_may_become_sixteen_times_as_many),
        cmocka_unit_test(cluster_defaults_and_order),
        cmocka_unit_test(cluster_options),
        cmocka_unit_test(reserve_of_two_members_is_half),
        cmocka_unit_test(replicate_is_for_clusters),
        cmocka_unit_test(limits_are_sorted_by_scope_and_name),
        cmocka_unit_test(groups),
        cmocka_unit_test(forms_of_lines),
        cmocka_unit_test(long_lines_that_are_not_cut),
        cmocka_unit_test(many_limits),
        cmocka_unit_test(the_most_members),
        cmocka_unit_test(a_rule_set_tells_what_it_was_made_of),
        cmocka_unit_test(the_same_file_gives_the_same_bytes),
        cmocka_unit_test(the_example_has_no_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
