/* SPDX-License-Identifier: MIT */
/* Real sockets on the loopback interface, mutual TLS. Certificates are made by openssl(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "net_support.h"

static int set_up(void **state) {
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_non_null(cluster);
    cluster_make(cluster, 3, "tls+tcp");
    *state = cluster;
    return 0;
}

static int tear_down(void **state) {
    cluster_remove(*state);
    free(*state);
    return 0;
}

static void use_files(struct cluster *cluster, uint32_t i, const char *certificate, const char *key,
                      const char *ca) {
    struct conf *conf = &cluster->conf[i];
    free(conf->certificate);
    free(conf->key);
    free(conf->ca);
    assert_true(asprintf(&conf->certificate, "%s/%s", cluster->directory, certificate) > 0);
    assert_true(asprintf(&conf->key, "%s/%s", cluster->directory, key) > 0);
    assert_true(asprintf(&conf->ca, "%s/%s", cluster->directory, ca) > 0);
}

static void expect_refused(struct cluster *cluster, const char *text) {
    char error[1024] = "";
    struct net *net = NULL;
    assert_int_equal(net_open(&net, &cluster->conf[0], &cluster->log[0], error, sizeof error), -1);
    assert_null(net);
    if (strstr(error, text) == NULL)
        fail_msg("'%s' is not in: %s", text, error);
}

static uint64_t refused(const struct cluster *cluster, uint32_t i, enum refusal why) {
    uint64_t count[REFUSALS];
    net_refusals(cluster->net[i], count);
    return count[why];
}

static void everybody_is_heard(void **state) {
    struct cluster *cluster = *state;
    for (uint32_t i = 0; i < 3; i++)
        cluster_open(cluster, i);
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            if (from != to)
                expect_heard(cluster, from, to, "hello");
        }
    }
    cluster_close(cluster, 0);
    cluster_open(cluster, 0);
    expect_heard(cluster, 0, 1, "again");
    expect_heard(cluster, 1, 0, "again");
}

/* More than a connection takes at once: what is heard is whole, in its order, and the newest too.
 */
static void too_much(void **state) {
    struct cluster *cluster = *state;
    enum { COUNT = 500, SIZE = 100000 };
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "hello");
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (uint32_t i = 1; i <= COUNT; i++) {
        memset(bytes, (int)(i % 256), SIZE);
        memcpy(bytes, &i, sizeof i);
        assert_int_equal(net_publish(cluster->net[0], bytes, SIZE), 0);
    }
    net_send(cluster->net[0]);
    uint32_t last = 0;
    struct net_message message;
    for (uint64_t end = now_ms() + 60000; now_ms() < end && last != COUNT; pause_ms(1)) {
        while (net_receive(cluster->net[1], 0, now_ms(), &message)) {
            uint32_t number;
            if (message.size < 100)
                continue; /* one more hello */
            assert_int_equal(message.size, SIZE);
            memcpy(&number, message.bytes, sizeof number);
            assert_in_range(number, last + 1, COUNT);
            memset(bytes, (int)(number % 256), SIZE);
            memcpy(bytes, &number, sizeof number);
            assert_memory_equal(message.bytes, bytes, SIZE);
            last = number;
        }
    }
    assert_int_equal(last, COUNT);
    free(bytes);
}

/* A member with a good certificate of the CA cannot pass for another member. */
static void wrong_name(void **state) {
    struct cluster *cluster = *state;
    use_files(cluster, 0, "m2.crt", "m2.key", "ca.crt");
    (void)snprintf(cluster->conf[0].node, sizeof cluster->conf[0].node,
                   "m2"); /* an impostor checks its own files by its own name */
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_logged(cluster, 1, "event=member_unreachable member=m0");
    expect_logged(cluster, 1, "TLS refused: its certificate names \\\"m2\\\", and must name m0");
    assert_true(refused(cluster, 1, REFUSAL_WRONG_NAME) > 0);
    assert_false(net_connected(cluster->net[1], 0));
    /* The other direction is open: listeners learn only that the CA has signed it. */
    expect_heard(cluster, 1, 0, "hello");
}

/* Whom our CA has not signed hears nothing of us and says nothing to us. */
static void foreign_ca(void **state) {
    struct cluster *cluster = *state;
    make_ca(cluster, "other");
    make_certificate(cluster, "other", "foreign", "m0");
    use_files(cluster, 0, "foreign.crt", "foreign.key", "other.crt");
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    cluster_open(cluster, 2);
    expect_logged(cluster, 0, "event=member_unreachable member=m1");
    expect_logged(cluster, 1, "event=member_unreachable member=m0");
    expect_heard(cluster, 2, 1, "hello");
    assert_false(net_connected(cluster->net[1], 0));
    assert_false(net_connected(cluster->net[0], 1));
}

/* It trusts us, but its own certificate is not of our CA: our listener refuses it. */
static void foreign_client(void **state) {
    struct cluster *cluster = *state;
    make_ca(cluster, "other");
    make_certificate(cluster, "other", "foreign", "m0");
    /* Its own check needs its own CA, so give it both. */
    char command[512];
    (void)snprintf(command, sizeof command, "cd %s && cat ca.crt other.crt >both.crt",
                   cluster->directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own directory */
    use_files(cluster, 0, "foreign.crt", "foreign.key", "both.crt");
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_logged(cluster, 0, "event=member_unreachable member=m1");
    assert_false(net_connected(cluster->net[0], 1));
}

static void bad_files(void **state) {
    struct cluster *cluster = *state;
    use_files(cluster, 0, "none.crt", "m0.key", "ca.crt");
    expect_refused(cluster, "cannot read certificate = /tmp/slotshare-net-");
    expect_refused(cluster, "No such file or directory");
    use_files(cluster, 0, "m0.crt", "m0.key", ".");
    expect_refused(cluster, "cannot read ca = ");
    use_files(cluster, 0, "m0.crt", "m0.key", "m0.key");
    expect_refused(cluster, "holds no PEM certificate");
    use_files(cluster, 0, "m0.csr", "m0.key", "ca.crt");
    expect_refused(cluster, "a PEM certificate and its PEM private key");
    use_files(cluster, 0, "m0.crt", "m1.key", "ca.crt");
    expect_refused(cluster, "is of no use: it does not belong to key = ");
    use_files(cluster, 0, "m1.crt", "m1.key", "ca.crt");
    expect_refused(cluster, "and must name m0");
    make_ca(cluster, "other");
    use_files(cluster, 0, "m0.crt", "m0.key", "other.crt");
    expect_refused(cluster, "is of no use: it was not signed by ca = ");
    use_files(cluster, 0, "m0.crt", "m0.key", "ca.crt");
    const mode_t open_to_others[] = {0604, 0644, 0620, 0660, 0602};
    for (size_t i = 0; i < sizeof open_to_others / sizeof *open_to_others; i++) {
        assert_int_equal(chmod(cluster->conf[0].key, open_to_others[i]), 0);
        expect_refused(cluster, "others can read it; chmod 0600");
    }
    free(cluster->conf[0].key);
    cluster->conf[0].key = NULL;
    expect_refused(cluster, "needs key = FILE");
}

/* New certificates, of a new authority, while connections are there: these stay, and the next ones
 * are made with the new ones, on both sides. */
static void renewed(void **state) {
    struct cluster *cluster = *state;
    char error[1024];
    cluster_open(cluster, 0);
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "hello");
    expect_heard(cluster, 1, 0, "hello");
    make_ca(cluster, "other");
    make_certificate(cluster, "other", "new0", "m0");
    make_certificate(cluster, "other", "new1", "m1");
    assert_int_equal(net_renew(cluster->net[0], &cluster->conf[0], error, sizeof error),
                     NET_RENEWAL_SAME);
    use_files(cluster, 0, "new0.crt", "new0.key", "ca.crt");
    assert_int_equal(net_renew(cluster->net[0], &cluster->conf[0], error, sizeof error),
                     NET_RENEWAL_BAD);
    assert_non_null(strstr(error, "was not signed by ca = "));
    expect_logged(cluster, 0, "event=certificates_refused");
    use_files(cluster, 0, "new0.crt", "new0.key", "other.crt");
    assert_int_equal(net_renew(cluster->net[0], &cluster->conf[0], error, sizeof error),
                     NET_RENEWAL_NEW);
    expect_logged(cluster, 0, "event=certificates_renewed");
    expect_heard(cluster, 0, 1, "after");
    expect_heard(cluster, 1, 0, "after");
    char *log = cluster_log(cluster, 0);
    assert_null(strstr(log, "event=member_disconnected"));
    free(log);
    cluster_close(cluster, 1);
    use_files(cluster, 1, "new1.crt", "new1.key", "other.crt");
    cluster_open(cluster, 1);
    expect_heard(cluster, 0, 1, "new");
    expect_heard(cluster, 1, 0, "new");
    /* With the old ones nobody comes in any more. */
    cluster_open(cluster, 2);
    expect_logged(cluster, 2, "event=member_unreachable member=m0");
    assert_false(net_connected(cluster->net[2], 0));
}

/* A member that the others do not know yet is refused, and let in once they do: at the wrong moment
 * nng's dialers give up for good. */
static void known_later(void **state) {
    struct cluster *cluster = *state;
    const struct conf_member late = cluster->conf[1].member[0];
    struct net_message message;
    char error[512];
    uint32_t index = 0;
    (void)snprintf(cluster->conf[1].member[0].name, sizeof late.name, "another");
    cluster_open(cluster, 1);
    cluster_open(cluster, 0);
    expect_logged(cluster, 0, "event=member_unreachable member=m1");
    expect_logged(cluster, 1, "code=wrong-name certificate=m0");
    assert_int_equal(net_add(cluster->net[1], &late, &index, error, sizeof error), 0);
    expect_heard(cluster, 1, 0, "welcome");
    assert_false(net_receive(cluster->net[1], 0, now_ms(), &message)); /* m0 is not "another" */
}

/* A plain connection to a TLS port gets nothing. */
static void plain_client(void **state) {
    struct cluster *cluster = *state;
    cluster_open(cluster, 0);
    (void)snprintf(cluster->conf[1].member[0].url, CONF_URL_MAX, "tcp://127.0.0.1:%u",
                   cluster->port[0]);
    cluster_open(cluster, 1);
    expect_logged(cluster, 1, "event=member_unreachable member=m0");
    assert_false(net_connected(cluster->net[1], 0));
    cluster_open(cluster, 2);
    expect_heard(cluster, 0, 2, "hello");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everybody_is_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_ca, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(renewed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(known_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plain_client, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
