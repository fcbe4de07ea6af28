/* SPDX-License-Identifier: MIT */
/* The node's name when [node] has none: the host's, whatever that is. */
#include "support.h"

#include <stdio.h>

static const char *host; /* NULL: the call fails */

/* The linker puts this in front of the C library's (--wrap), and so it names it.
 * NOLINTNEXTLINE(bugprone-reserved-identifier) */
int __wrap_gethostname(char *name, size_t length);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
int __wrap_gethostname(char *name, size_t length) {
    if (host == NULL)
        return -1;
    (void)snprintf(name, length, "%s", host);
    return 0;
}

static void up_to_its_first_dot(void **state) {
    (void)state;
    host = "Mta7.mail.example.com";
    struct conf *conf = support_conf("[node]\nslots = 2000\n");
    assert_string_equal(conf->node, "Mta7");
    conf_free(conf);
    host = "plain";
    conf = support_conf("[cluster]\ntls = off\ninsecure = yes\nmember plain = tcp://h:1\n");
    assert_string_equal(conf->node, "plain");
    conf_free(conf);
}

static void one_that_is_no_name(void **state) {
    (void)state;
    static const char *const bad[] = {NULL, "", ".example.com", "a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char errors[128];
        host = bad[i];
        (void)snprintf(errors, sizeof errors,
                       "0: this host's name (\"%s\") cannot be the node's name: write name = in "
                       "[node]\n",
                       i == 3 ? "a b" : "");
        support_errors("[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://h:1\n", errors);
        conf_free(support_conf("[node]\nname = a\n")); /* then it does not matter */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_its_first_dot),
        cmocka_unit_test(one_that_is_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
