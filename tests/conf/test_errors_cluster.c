/* SPDX-License-Identifier: MIT */
/* Errors in [node] and [cluster], each with its line and its words. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX "cluster_max_outbound_connections = "
#define SECTIONS                                                                                   \
    "the sections are [node], [cluster], [defaults], [global], [binding \"B\"], [domain \"D\"], "  \
    "[host \"H\"],"                                                                                \
    " [binding \"B\" domain \"D\"], [binding \"B\" host \"H\"] and [binding_group \"G\"]\n"
#define NO_OPTION                                                                                  \
    ": no \"option = value\": write one on this line, whole (values do not go on over several "    \
    "lines), or begin the line with ';' to make it a comment\n"
#define PLAIN "[cluster]\ntls = off\ninsecure = yes\n" /* three lines */
#define WITHOUT(url)                                                                               \
    "is without TLS: write tls+" url ", and certificate, key and ca in [cluster] (slotshare pki "  \
    "makes them); or \"tls = off\" in [cluster] to do without\n"
#define OPEN(url)                                                                                  \
    "without TLS is open to all who reach it, because it is not a loopback address: write "        \
    "tls+" url                                                                                     \
    " without \"tls = off\"; or \"insecure = yes\" in [cluster] when nobody else is on that "      \
    "network\n"
#define CLUSTER "[node]\nname = a\n" PLAIN "member a = tcp://h:1\n" /* six lines */

static void replication(void **state) {
    (void)state;
    static const char needs[] = "a limit outside the host scopes needs \"replicate = "
                                "outbound_domains\" in [cluster]\n";
    char errors[600];
    (void)snprintf(errors, sizeof errors, "8: %s10: %s12: %s14: %s", needs, needs, needs, needs);
    support_errors(CLUSTER "[global]\n" MAX "-1\n[binding \"b\"]\n" MAX "1\n[domain \"d\"]\n" MAX
                           "1\n[binding \"b\" domain \"d\"]\n" MAX "1\n[host \"h\"]\n" MAX
                           "1\n[binding \"b\" host \"h\"]\n" MAX "1\n",
                   errors);
    support_errors(CLUSTER "replicate = inbound\n[global]\n" MAX "1\n",
                   "7: replicate = inbound: write \"outbound_domains\", nothing else can be "
                   "replicated\n");
}

static void members(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\nname = z\n" PLAIN "member a = tcp://h:1\n",
         "2: this node, \"z\", is not in the member list: add \"member z = tls+tcp://HOST:PORT\" "
         "to "
         "[cluster], or set the right name in [node]\n"},
        {"[cluster]\n[node]\nname = a\n",
         "1: [cluster] has no member that holds slots: add \"member NAME = tls+tcp://HOST:PORT\" "
         "lines, one for each node\n"},
        {PLAIN "witness a = tcp://h:1\n[node]\nname = a\n",
         "1: [cluster] has no member that holds slots: add \"member NAME = tls+tcp://HOST:PORT\" "
         "lines, one for each node\n"},
        {CLUSTER "member b = tcp://i:1\nwitness b = tcp://j:1\n",
         "8: member \"b\" stands here twice, first in line 7: names must differ\n"},
        {CLUSTER "member B = tcp://H.:01\n",
         "7: member \"B\" has the address of \"a\" (line 6): h:1; each member needs its own\n"},
        {"[node]\nname = b\n" PLAIN "member b = tcp://[::1]:1\nmember a = tcp://[0::1]:1\n",
         "7: member \"a\" has the address of \"b\" (line 6): [::1]:1; each member needs its own\n"},
        {CLUSTER "member = tcp://i:1\n", "7: the member has no name: write one\n"},
        {CLUSTER "member b c = tcp://i:1\n",
         "7: \"b c\" is not the name of a member: names hold no space, quote, comma or control "
         "character\n"},
    };
    SUPPORT_WRONG(rows);
}

static void a_node_that_took_the_name_of_its_host(void **state) {
    (void)state;
    char host[256] = "";
    char errors[800];
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    host[strcspn(host, ".")] = '\0';
    (void)snprintf(
        errors, sizeof errors,
        "2: this node, \"%s\" (from the host's name), is not in the member list: add "
        "\"member %s = tls+tcp://HOST:PORT\" to [cluster], or set the right name in [node]\n",
        host, host);
    support_errors("\n" PLAIN "member not-this-host = tcp://h:1\n", errors);
}

static void one_member_too_many(void **state) {
    (void)state;
    char text[8192];
    size_t length = (size_t)snprintf(text, sizeof text, "[node]\nname = m0\n" PLAIN);
    for (int i = 0; i <= CONF_MEMBERS_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "member m%d = tcp://h:%d\n",
                                   i, i + 1);
    support_errors(text, "70: one member too many: a cluster has at most 64\n");
}

static void urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *problem;
    } rows[] = {
        {"h:1", "it does not begin with tcp:// or tls+tcp://"},
        {"udp://h:1", "it does not begin with tcp:// or tls+tcp://"},
        {"tcp://h", "it has no port"},
        {"tcp://[::1]", "it has no port"},
        {"tcp://h:", "its port is not a number from 1 to 65535"},
        {"tcp://h:0", "its port is not a number from 1 to 65535"},
        {"tcp://h:65536", "its port is not a number from 1 to 65535"},
        {"tcp://h:-1", "its port is not a number from 1 to 65535"},
        {"tcp://h:1/", "its port is not a number from 1 to 65535"},
        {"tcp://:1", "there is no host before the port, or it is too long"},
        {"tcp://[]:1", "there is no host before the port, or it is too long"},
        {"tcp://[::g]:1", "what stands in brackets is not an IPv6 address"},
        {"tcp://[fe80::1%eth0]:1", "what stands in brackets is not an IPv6 address"},
        {"tcp://::1:1", "an IPv6 address stands in brackets: [2001:db8::1]"},
        {"tcp://10.0.0.256:1", "the host is not an IPv4 address"},
        {"tcp://10.1:1", "the host is not an IPv4 address"},
        {"tcp://user@h:1", "the host holds a character that host names do not have"},
        {"tcp://*:1", "the host holds a character that host names do not have"},
        {"tcp://.:1", "the host is not an IPv4 address"},
        {"tcp://h i:1", "the host holds a character that host names do not have"},
        {"tls+tcp://\xc3\xa4:1", "the host holds a character that host names do not have"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        char errors[512];
        (void)snprintf(text, sizeof text, "[node]\nname = a\nlisten = %s\n" PLAIN "member a = %s\n",
                       rows[i].url, rows[i].url);
        (void)snprintf(
            errors, sizeof errors,
            "3: %s is not an address: %s; write tcp://HOST:PORT or tls+tcp://HOST:PORT\n"
            "7: %s is not an address: %s; write tcp://HOST:PORT or tls+tcp://HOST:PORT\n",
            rows[i].url, rows[i].problem, rows[i].url, rows[i].problem);
        support_errors(text, errors);
    }
}

static void tls(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\nname = a\n[cluster]\nmember b = tls+tcp://h:1\nmember a = tls+tcp://h:2\n",
         "4: tls+tcp needs files that [cluster] does not name: certificate key ca\n"},
        {"[node]\nname = a\n[cluster]\nkey = /k\nmember b = tcp://h:1\nmember a = tls+tcp://h:2\n"
         "ca = /ca\ntls = off\ninsecure = yes\n",
         "6: tls+tcp needs files that [cluster] does not name: certificate\n"},
        {"[node]\nname = a\nlisten = tls+tcp://h:3\n" PLAIN "member a = tcp://h:2\n"
         "certificate = /c\n",
         "3: tls+tcp needs files that [cluster] does not name: key ca\n"},
        {"[node]\nname = a\n" PLAIN "member a = tcp://h:2\ncertificate = c\nkey = k\nca = a\n"
         "drain = 1\n",
         "7: certificate = c: write a path that begins with '/'\n"
         "8: key = k: write a path that begins with '/'\n"
         "9: ca = a: write a path that begins with '/'\n"},
    };
    SUPPORT_WRONG(rows);
}

static void values(void **state) {
    (void)state;
    static const struct {
        const char *section, *option, *what_to_do;
        const char *bad[7]; /* up to the first NULL */
    } rows[] = {
        {"[node]\nname = a\n",
         "segment",
         "write 1 to 64 letters, digits, '.', '_' and '-'",
         {"a/b", "a b", "\xc3\xa4"}},
        {"[node]\nname = a\n", "directory", "write a path that begins with '/'", {"run", "./a"}},
        {"[node]\nname = a\n",
         "counters",
         "write a number from 16 to 16777216",
         {"15", "16777217", "-16", "1k"}},
        {"[node]\nname = a\n",
         "counters_max",
         "write a number from 16 to 16777216",
         {"15", "16777217"}},
        {"[node]\nname = a\n", "owners", "write a number from 1 to 4094", {"0", "4095", "all"}},
        {"[node]\nname = a\n", "slots", "write a number from 1 to 1048576", {"0", "1048577"}},
        {CLUSTER, "name", "write 1 to 64 letters, digits, '.', '_' and '-'", {"a/b"}},
        {CLUSTER,
         "reserve",
         "write a whole percentage from 0% to 100%",
         {"101%", "-1", "25 %", "0.25", "%", "25%%", "0000000000"}},
        {CLUSTER,
         "session",
         "write seconds from 1 to 3600, such as 6 or 2.5",
         {"0.999", "3600.001", "6s", ".5", "6.", "1.0000", "-1"}},
        {CLUSTER,
         "drain",
         "write seconds from 0 to 86400, such as 30 or 0.5",
         {"-1", "86400.001", "1,5", "1e1", "99999999999", "1.5.5"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < 7 && rows[i].bad[j] != NULL; j++) {
            char text[256];
            char errors[256];
            const int line = strncmp(rows[i].section, CLUSTER, sizeof CLUSTER - 1) == 0 ? 7 : 3;
            (void)snprintf(text, sizeof text, "%s%s = %s\n", rows[i].section, rows[i].option,
                           rows[i].bad[j]);
            (void)snprintf(errors, sizeof errors, "%d: %s = %s: %s\n", line, rows[i].option,
                           rows[i].bad[j], rows[i].what_to_do);
            support_errors(text, errors);
        }
    }
}

static void sizes_that_do_not_fit_together(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\nslots = 10\nowners = 11\n",
         "3: there are fewer slots (10) than owners (11): each owner needs at least one\n"},
        {"[node]\nslots = 1023\n",
         "2: there are fewer slots (1023) than owners (1024): each owner needs at least one\n"},
        {"[node]\ncounters_max = 99\ncounters = 100\n",
         "2: counters_max (99) is below counters (100): the table starts with room for counters "
         "and "
         "grows to counters_max\n"},
    };
    SUPPORT_WRONG(rows);
    conf_free(support_conf("[node]\nowners = 11\nslots = 11\n"));
}

/* Without TLS only in so many words, and then only where nobody else is. */
static void plain(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\nname = a\nlisten = tcp://0.0.0.0:1\n[cluster]\nmember a = tcp://127.0.0.1:1\n",
         "3: tcp://0.0.0.0:1 " WITHOUT("tcp://0.0.0.0:1") "5: tcp://127.0.0.1:1 " WITHOUT(
             "tcp://127.0.0.1:1")},
        {"[node]\nname = a\n[cluster]\ntls = ON\nmember a = tcp://[::1]:1\n",
         "5: tcp://[::1]:1 " WITHOUT("tcp://[::1]:1")},
        {"[node]\nname = a\n[cluster]\ntls = off\nmember a = tcp://127.9.9.9:1\n"
         "member b = tcp://localhost:1\nmember c = tcp://[::1]:1\nmember d = tcp://h:1\n"
         "member e = tcp://localhost.h:1\nmember f = tcp://128.0.0.1:1\nmember g = tcp://[::2]:1\n",
         "8: tcp://h:1 " OPEN("tcp://h:1") "9: tcp://localhost.h:1 " OPEN("tcp://localhost.h:1") //
         "10: tcp://128.0.0.1:1 " OPEN("tcp://128.0.0.1:1")                                      //
         "11: tcp://[::2]:1 " OPEN("tcp://[::2]:1")},
        {"[node]\nname = a\n[cluster]\ninsecure = no\nmember a = tcp://h:1\ntls = off\n",
         "5: tcp://h:1 " OPEN("tcp://h:1")},
        {"[node]\nname = a\n[cluster]\ninsecure = yes\nmember a = tls+tcp://h:1\n"
         "certificate = /c\nkey = /k\nca = /a\n",
         "4: insecure = yes says that \"tls = off\" is meant, which is not there: remove it, or "
         "add "
         "that\n"},
        {CLUSTER "tls = off\n",
         "7: tls is set twice in this section, first in line 4: remove one\n"},
        {"[node]\nname = a\n[cluster]\ntls = no\ninsecure = on\nmember a = tls+tcp://h:1\n"
         "certificate = /c\nkey = /k\nca = /a\n",
         "4: tls = no: write on or off\n5: insecure = on: write yes or no\n"},
    };
    SUPPORT_WRONG(rows);
    conf_free(support_conf("[node]\nname = a\n[cluster]\ntls = off\nmember a = tcp://127.0.0.1:1\n"
                           "member b = tcp://localhost:1\n"));
    conf_free(support_conf("[node]\nname = a\n" PLAIN "member a = tcp://h:1\n"));
    conf_free(support_conf("[node]\nname = a\n[cluster]\ntls = on\nmember a = tls+tcp://h:1\n"
                           "certificate = /c\nkey = /k\nca = /a\n"));
}

/* What a cluster committed before there was that rule is still read. */
static void stored_before(void **state) {
    static const char text[] = "[cluster]\nmember a = tcp://h:1\n";
    struct conf *conf = NULL;
    struct conf_errors errors;
    (void)state;
    assert_int_equal(conf_load_text("f", text, sizeof text - 1, "a", &conf, &errors), 0);
    conf_errors_free(&errors);
    conf_free(conf);
    assert_int_equal(conf_load_text("f", text, sizeof text - 1, NULL, &conf, &errors), -1);
    conf_errors_free(&errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replication),
        cmocka_unit_test(members),
        cmocka_unit_test(a_node_that_took_the_name_of_its_host),
        cmocka_unit_test(one_member_too_many),
        cmocka_unit_test(urls),
        cmocka_unit_test(tls),
        cmocka_unit_test(plain),
        cmocka_unit_test(stored_before),
        cmocka_unit_test(values),
        cmocka_unit_test(sizes_that_do_not_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
