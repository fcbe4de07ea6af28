/* SPDX-License-Identifier: MIT */
/* What members must agree on, as a number and as a difference for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define MEMBERS "member a = tcp://10.0.0.1:1\nmember b = tcp://10.0.0.2:1\n"
#define LIMITS                                                                                     \
    "[host \"x\"]\ncluster_max_outbound_connections = 5\n"                                         \
    "[binding \"bulk\"]\ncluster_max_outbound_connections = 7\n"
#define CLUSTER "[cluster]\ntls = off\ninsecure = yes\nreplicate = outbound_domains\n"
static const char base[] = "[node]\nname = a\n" CLUSTER MEMBERS LIMITS;

static struct conf *with(const char *text) {
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    assert_int_equal(conf_load_text("test.ini", text, strlen(text), NULL, &conf, &errors), 0);
    conf_errors_free(&errors);
    return conf;
}

/* difference: NULL: the digest stays the same. */
static void changes(const char *text, const char *difference) {
    char said[400];
    struct conf *before = with(base);
    struct conf *after = with(text);
    assert_int_equal(conf_digest(before) == conf_digest(after), difference == NULL);
    conf_difference(before, after, said, sizeof said);
    assert_string_equal(said, difference != NULL ? difference : "nothing");
    conf_free(before);
    conf_free(after);
}

static void what_counts(void **state) {
    (void)state;
    changes(base, NULL);
    changes("; a comment\n[binding \"bulk\"]\ncluster_max_outbound_connections = 7\n"
            "[host \"X.\"]\ncluster_max_outbound_connections = 5\n[node]\nname = b\nslots = 9000\n"
            "[cluster]\ntls = off\ninsecure = yes\nmember b = tcp://elsewhere:9\nreplicate = "
            "outbound_domains\n"
            "member a = tcp://10.0.0.7:1\nreserve = 50%\n",
            NULL);
    changes("[node]\nname = a\n" CLUSTER "session = 3\ndrain = 9\nreserve = 20\n" MEMBERS LIMITS,
            "reserve 50 -> 20%, session 6000 -> 3000 ms, drain 30000 -> 9000 ms");
    changes("[node]\nname = a\n" CLUSTER "take_over_after = 60\n" MEMBERS LIMITS,
            "take_over_after 0 -> 60000 ms");
    changes("[node]\nname = a\n" CLUSTER "name = other\n" MEMBERS LIMITS,
            "name slotshare -> other");
    changes("[node]\nname = a\n" CLUSTER "reserve = 50\nmember a = tcp://10.0.0.1:1\n"
            "witness c = tcp://10.0.0.3:1\n" LIMITS,
            "member b removed, witness c added");
    changes("[node]\nname = a\n" CLUSTER "member a = tcp://10.0.0.1:1\n"
            "witness b = tcp://10.0.0.2:1\n" LIMITS,
            "member b is a witness now");
    changes("[node]\nname = a\n" CLUSTER MEMBERS
            "[host \"x\"]\ncluster_max_outbound_connections = 4\n"
            "[binding \"bulk\"]\ncluster_max_outbound_connections = 7\n"
            "count_per = binding domain\n[global]\ncluster_max_outbound_connections = -1\n",
            "limit of [host \"x\"] 5 -> 4, count_per of [binding \"bulk\"] changed, limit -1 of "
            "[global] added");
    changes("[defaults]\nenforce = yes\n[node]\nname = a\n" CLUSTER MEMBERS LIMITS, NULL);
    changes("[node]\nname = a\n" CLUSTER MEMBERS LIMITS "enforce = no\n",
            "limit of [binding \"bulk\"] enforced -> only observed");
    changes("[defaults]\nenforce = no\n[node]\nname = a\n" CLUSTER MEMBERS LIMITS "enforce = yes\n",
            "limit of [host \"x\"] enforced -> only observed");
    changes("[node]\nname = a\n" CLUSTER MEMBERS
            "[host \"x\"]\ncluster_max_outbound_connections = 4\nenforce = no\n"
            "[binding \"bulk\"]\ncluster_max_outbound_connections = 7\n",
            "limit of [host \"x\"] 5 -> 4, limit of [host \"x\"] enforced -> only observed");
    changes("[node]\nname = a\n" CLUSTER MEMBERS, "limit 5 of [host \"x\"] removed, limit 7 of "
                                                  "[binding \"bulk\"] removed");
}

/* While a cluster is upgraded two versions read the same file, and must give it the same number. */
static void a_file_keeps_its_number(void **state) {
    (void)state;
    struct conf *conf = with(base);
    assert_true(conf_digest(conf) == UINT64_C(0xbe04164fa2106518));
    conf_free(conf);
}

static void many_are_cut(void **state) {
    (void)state;
    char text[2000];
    char said[400];
    (void)snprintf(text, sizeof text, "%s", base);
    for (int i = 0; i < 20; i++)
        support_append(text, sizeof text,
                       "[host \"h%02d\"]\ncluster_max_outbound_connections = 1\n", i);
    struct conf *before = with(base);
    struct conf *after = with(text);
    conf_difference(before, after, said, sizeof said);
    assert_non_null(strstr(said, "h04"));
    assert_null(strstr(said, "h05"));
    assert_non_null(strstr(said, ", and 15 more"));
    for (size_t size = 0; size < 60; size++) {
        memset(said, 'x', sizeof said);
        conf_difference(before, after, said, size);
        assert_true(size == 0 || strlen(said) < size);
        assert_int_equal(said[size], 'x');
    }
    conf_free(before);
    conf_free(after);
}

/* A configuration that takes this node out of the cluster; and one read in another's name. */
static void names(void **state) {
    (void)state;
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    assert_int_equal(conf_load_text("t", base, sizeof base - 1, "b", &conf, &errors), 0);
    assert_string_equal(conf->node, "b");
    assert_int_equal(conf->self, 1);
    conf_free(conf);
    assert_int_equal(conf_load_text("t", base, sizeof base - 1, "gone", &conf, &errors), 0);
    assert_true(conf->self == CONF_SELF_NONE);
    conf_free(conf);
    struct ruleset rules = support_rules(base);
    conf = with(base);
    assert_true(ruleset_digest(&rules) == conf_digest(conf));
    conf_free(conf);
    free(*(void **)(void *)&rules.base);
    assert_int_equal(conf_load_text("t", "", 0, NULL, &conf, &errors), 0);
    assert_string_equal(conf->state, "/var/lib/slotshare");
    conf_free(conf);
    assert_int_equal(conf_load_text("t", "[what", 5, NULL, &conf, &errors), -1);
    assert_int_equal(errors.count, 1);
    conf_errors_free(&errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_counts),
        cmocka_unit_test(a_file_keeps_its_number),
        cmocka_unit_test(many_are_cut),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
