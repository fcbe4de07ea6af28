/* SPDX-License-Identifier: MIT */
/* Errors in lines, sections and limits, each with its line and its words; all of a file in one
 * pass. */
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
#define CLUSTER                                                                                    \
    "[node]\nname = a\n[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://h:1\n" /* six lines  \
                                                                                      */

static void section_headers(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[nodes]\nname = x\nfoo = 1\n", "1: unknown section [nodes]: " SECTIONS},
        {"[]\n", "1: unknown section []: " SECTIONS},
        {"[\n", "1: unknown section [: " SECTIONS},
        {"[a_very_long_keyword \"x\"]\n",
         "1: unknown section [a_very_long_keyword \"x\"]: " SECTIONS},
        {"[domain \"d\" binding \"b\"]\n",
         "1: unknown section [domain \"d\" binding \"b\"]: " SECTIONS},
        {"[host \"h\" host \"h\"]\n", "1: unknown section [host \"h\" host \"h\"]: " SECTIONS},
        {"[binding \"b\" domain \"d\" host \"h\"]\n",
         "1: section [binding \"b\" domain \"d\" host \"h\"]: after the name there may only stand "
         "']'\n"},
        {"[host edge.omniti.com]\n",
         "1: section [host edge.omniti.com]: names stand in quotes: [host \"mx.example.net\"]\n"},
        {"[host \"h]\n", "1: section [host \"h]: the quote that ends the name is missing\n"},
        {"[binding \"b\" host h]\n",
         "1: section [binding \"b\" host h]: names stand in quotes: [host \"mx.example.net\"]\n"},
        {"[host \"h\"\n", "1: section [host \"h\": the ']' at its end is missing\n"},
        {"[global\n", "1: section [global: the ']' at its end is missing\n"},
        {"[global] " MAX "3\n",
         "1: section [global] " MAX "3: there is text behind its ']': options go on lines of their "
         "own\n"},
        {"[host]\n", "1: section [host]: a name is missing; " SECTIONS},
        {"[binding \"b\" host]\n", "1: section [binding \"b\" host]: a name is missing; " SECTIONS},
        {"[binding_group]\n", "1: section [binding_group]: a name is missing; " SECTIONS},
        {"[global \"g\"]\n", "1: section [global \"g\"]: it has no name; " SECTIONS},
    };
    SUPPORT_WRONG(rows);
}

static void names_in_headers(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[host \"\"]\n", "1: the host has no name: write one\n"},
        {"[binding \"\" domain \"\"]\n", "1: the binding has no name: write one\n"
                                         "1: the domain has no name: write one\n"},
        {"[binding \"a b\"]\n", "1: \"a b\" is not the name of a binding: names hold no space, "
                                "quote, comma or control character\n"},
        {"[domain \"a,b\"]\n", "1: \"a,b\" is not the name of a domain: names hold no space, "
                               "quote, comma or control character\n"},
        {"[host \".\"]\n", "1: \".\" is not the name of a host: names hold no space, quote, comma "
                           "or control character\n"},
        {"[binding_group \"a b\"]\nbindings = x\n",
         "1: \"a b\" is not the name of a binding_group: names hold no space, quote, comma or "
         "control character\n"},
        /* what stands below a header with a bad name is looked at all the same */
        {"[host \"a b\"]\n" MAX "x\n",
         "1: \"a b\" is not the name of a host: names hold no space, quote, comma or control "
         "character\n"
         "2: cluster_max_outbound_connections = x: write -1 (unlimited), 0 (closed) or a number up "
         "to 1048574\n"},
    };
    SUPPORT_WRONG(rows);
}

/* One character more than the longest. */
static void names_that_are_too_long(void **state) {
    (void)state;
    static const struct {
        const char *form, *what;
        int max;
    } rows[] = {
        {"[binding \"%s\"]\n", "binding", SLOTSHARE_BINDING_MAX},
        {"[binding_group \"%s\"]\nbindings = b\n", "binding_group", SLOTSHARE_BINDING_MAX},
        {"[domain \"%s\"]\n", "domain", SLOTSHARE_DOMAIN_MAX},
        {"[host \"%s\"]\n", "host", SLOTSHARE_DOMAIN_MAX},
        {"[node]\nname = %s\n", "node", SLOTSHARE_BINDING_MAX},
        {"[binding_group \"g\"]\nbindings = %s b\n", "binding", SLOTSHARE_BINDING_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[300];
        char text[400];
        char errors[500];
        memset(name, 'n', sizeof name);
        name[rows[i].max + 1] = '\0';
        (void)snprintf(text, sizeof text, rows[i].form, name);
        (void)snprintf(errors, sizeof errors,
                       "%d: the name of the %s is longer than %d characters: \"%s\"\n",
                       strncmp(strchr(text, '\n') + 1, "name", 4) == 0 || i == 5 ? 2 : 1,
                       rows[i].what, rows[i].max, name);
        support_errors(text, errors);
        name[rows[i].max] = '\0';
        (void)snprintf(text, sizeof text, rows[i].form, name);
        conf_free(support_conf(text));
    }
}

static void sections_that_stand_twice(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\n[global]\n[NODE]\n",
         "3: [node] stands here twice, first in line 1: merge them\n"},
        {CLUSTER "[cluster]\nreserve = x\n",
         "7: [cluster] stands here twice, first in line 3: merge them\n"
         "8: reserve = x: write a whole percentage from 0% to 100%\n"},
        {"[global]\n\n[Global]\n" MAX "1\n[global]\n",
         "3: [global] stands here twice, first in line 1: merge them\n"
         "5: [global] stands here twice, first in line 3: merge them\n"},
        {"[domain \"Yahoo.com\"]\n[domain \"yahoo.com.\"]\n",
         "2: [domain \"yahoo.com\"] stands here twice, first in line 1: merge them\n"},
        {"[host \"h\"]\n[domain \"h\"]\n[host \"H\"]\n",
         "3: [host \"h\"] stands here twice, first in line 1: merge them\n"},
        {"[binding \"b\"]\n[binding \"B\"]\n[binding \"b\"]\n",
         "3: [binding \"b\"] stands here twice, first in line 1: merge them\n"},
        {"[binding \"b\" host \"h\"]\n[binding \"b\" host \"h\"]\n"
         "[binding \"b\" domain \"h\"]\n[binding \"b\" domain \"h\"]\n",
         "2: [binding \"b\" host \"h\"] stands here twice, first in line 1: merge them\n"
         "4: [binding \"b\" domain \"h\"] stands here twice, first in line 3: merge them\n"},
        {"[binding_group \"g\"]\nbindings = a\n[binding_group \"g\"]\nbindings = b\n",
         "3: [binding_group \"g\"] stands here twice, first in line 1: merge them\n"},
    };
    SUPPORT_WRONG(rows);
}

static void options_in_general(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"name = a\n[node]\n",
         "1: option \"name\" stands before the first section: put it under one\n"},
        {"[node]\nmember a = tcp://h:1\n", "2: unknown option \"member a\": this section has name, "
                                           "segment, directory, state, log, "
                                           "log_level, listen, "
                                           "http, counters, counters_max, owners, slots\n"},
        {CLUSTER "slots = 3\n",
         "7: unknown option \"slots\": this section has name, replicate, member NAME, witness "
         "NAME, reserve, session, drain, take_over_after, tls, insecure, certificate, key, ca\n"},
        {"[host \"h\"]\nmax_outbound_connections = 3\n",
         "2: unknown option \"max_outbound_connections\": this section has "
         "cluster_max_outbound_connections, count_per, enforce\n"},
        {"[host \"h\"]\n"
         "cluster_max_outbound_connections now = 3\n",
         "2: unknown option \"cluster_max_outbound_connections now\": this section has "
         "cluster_max_outbound_connections, count_per, enforce\n"},
        {"[binding_group \"g\"]\nbindings = a\nbinding = b\n",
         "3: unknown option \"binding\": this section has bindings\n"},
        {"[node]\n= 3\n", "2: unknown option \"\": this section has name, segment, directory, "
                          "state, log, log_level, "
                          "listen, http, counters, counters_max, owners, slots\n"},
        {"[node]\nhttp = 127.0.0.1:80\n", "2: 127.0.0.1:80 is not an address: it does not begin "
                                          "with http://; write http://HOST:PORT\n"},
        {"[node]\nhttp = http://127.0.0.1\n", "2: http://127.0.0.1 is not an address: it has no "
                                              "port; write http://HOST:PORT\n"},
        {"[node]\nslots =\n", "2: slots has no value: write one after '='\n"},
        {"[node]\nslots = ; 3\n", "2: slots has no value: write one after '='\n"},
        {"[node]\nname = a\nslots = 70000\nNAME = b\n",
         "4: name is set twice in this section, first in line 2: remove one\n"},
        {"[host \"h\"]\n" MAX "1\nCluster_Max_Outbound_Connections = 1\n",
         "3: cluster_max_outbound_connections is set twice in this section, first in line 2: "
         "remove one\n"},
    };
    SUPPORT_WRONG(rows);
}

/* What inih would cut, join, split or leave out. */
static void lines(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[node]\nname\n", "2" NO_OPTION},
        {"[node]\nname ;= a\n", "2" NO_OPTION},
        {"[node]\nname a", "2" NO_OPTION},
        {"[binding_group \"g\"]\nbindings = a\n  b\n", "3" NO_OPTION},
        {"[node]\nname: a\n", "2: ':' after \"name\": write \"option = value\", with '='\n"},
        {"[node]\nname = a # the name\n",
         "2: '#' after a value: a comment behind a value begins with ';'\n"},
        {"[node]\nname =#a\n", "2: '#' after a value: a comment behind a value begins with ';'\n"},
        {"[node]\nname = a\001\n",
         "2: holds the control character 0x01: save the file as plain text (UTF-8)\n"},
        {"[node]\rname = a\r",
         "1: holds the control character 0x0d: save the file as plain text (UTF-8)\n"},
        {"; \x7f\n", "1: holds the control character 0x7f: save the file as plain text (UTF-8)\n"},
        {"[node]\n\xef\xbb\xbfname = a\n", "2: unknown option \"\xef\xbb\xbfname\": this section "
                                           "has name, segment, directory, state, log, log_level, "
                                           "listen, http, counters, counters_max, owners, slots\n"},
    };
    SUPPORT_WRONG(rows);
    static const char with_nul[] = "[node]\nname = a\0b\n[nodd]\n";
    support_errors_in(with_nul, sizeof with_nul - 1,
                      "2: holds the control character 0x00: save the file as plain text (UTF-8)\n"
                      "3: unknown section [nodd]: " SECTIONS);
}

static void lines_that_are_too_long(void **state) {
    (void)state;
    static const int lengths[] = {199, 200, 201, 400, 1022, 1023, 1024, 1025, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char text[6000] = "[node]\ndirectory = /";
        const size_t start = strlen("[node]\n");
        memset(text + strlen(text), 'd', (size_t)lengths[i] - strlen("directory = /"));
        text[start + (size_t)lengths[i]] = '\0';
        support_append(text, sizeof text, "\nslots = x\n");
        support_errors(text,
                       "2: longer than 198 characters: shorten it, or put a comment on a line "
                       "of its own\n"
                       "3: slots = x: write a number from 1 to 1048576\n");
    }
    char name[1021];
    char header[2000] = "";
    memset(name, 'h', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    support_append(header, sizeof header, "[host \"%s\"]\n" MAX "x\n[global]\n" MAX "y\n", name);
    support_errors(header, "1: a section header of more than 1023 characters: names are never that "
                           "long\n"
                           "4: cluster_max_outbound_connections = y: write -1 (unlimited), 0 "
                           "(closed) or a number up to 1048574\n");
}

static void limits(void **state) {
    (void)state;
    static const char *const bad[] = {"-2",   "1048575", "1.5",   "ten",
                                      "0x10", "+1",      "1 000", "--1",
                                      "-",    "5;",      "1e3",   "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        char errors[200];
        (void)snprintf(text, sizeof text, "[global]\n" MAX "%s\n", bad[i]);
        (void)snprintf(errors, sizeof errors,
                       "2: cluster_max_outbound_connections = %s: write -1 (unlimited), 0 (closed) "
                       "or a number up to 1048574\n",
                       bad[i]);
        support_errors(text, errors);
    }
}

static void count_per(void **state) {
    (void)state;
    static const char hosts[] = ": only [binding], [domain] and [global] can be counted in another "
                                "way; remove it here\n";
    char errors[400];
    (void)snprintf(errors, sizeof errors, "3: count_per = binding%s6: count_per = domain%s", hosts,
                   hosts);
    support_errors("[host \"h\"]\n" MAX "1\ncount_per = binding\n"
                   "[binding \"b\" domain \"d\"]\n" MAX "1\ncount_per = domain\n",
                   errors);
    const struct support_wrong rows[] = {
        {"[binding \"b\"]\n" MAX "1\ncount_per = domain\n",
         "3: count_per = domain: write \"binding\" or \"binding domain\" here\n"},
        {"[domain \"d\"]\n" MAX "1\ncount_per = binding\n",
         "3: count_per = binding: write \"domain\" or \"binding domain\" here\n"},
        {"[global]\n" MAX "1\ncount_per = host\n",
         "3: count_per = host: write \"domain\" or \"binding domain\" here\n"},
        {"[global]\n" MAX "1\ncount_per = domain,binding\n",
         "3: count_per = domain,binding: write \"domain\" or \"binding domain\" here\n"},
        {"[global]\ncount_per = domain\n",
         "2: count_per without cluster_max_outbound_connections in the same section: add it, or "
         "remove count_per\n"},
    };
    SUPPORT_WRONG(rows);
}

static void enforce(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[host \"h\"]\n" MAX "1\nenforce = maybe\n",
         "3: enforce = maybe: write yes, or no to only count what would be refused\n"},
        {"[defaults]\nenforce = 1\n",
         "2: enforce = 1: write yes, or no to only count what would be refused\n"},
        {"[host \"h\"]\nenforce = no\n",
         "2: enforce without cluster_max_outbound_connections in the same section: add it, or "
         "remove enforce; for all sections, write enforce in [defaults]\n"},
        {"[host \"h\"]\n" MAX "1\nenforce = no\nenforce = yes\n",
         "4: enforce is set twice in this section, first in line 3: remove one\n"},
        {"[defaults]\n" MAX "1\n",
         "2: unknown option \"cluster_max_outbound_connections\": this section has enforce\n"},
        {"[defaults]\nenforce = no\n[defaults]\n",
         "3: [defaults] stands here twice, first in line 1: merge them\n"},
        {"[defaults \"x\"]\n", "1: section [defaults \"x\"]: it has no name; " SECTIONS},
        {"[node]\nenforce = no\n",
         "2: unknown option \"enforce\": this section has name, segment, directory, state, log, "
         "log_level, listen, http, counters, counters_max, owners, slots\n"},
    };
    SUPPORT_WRONG(rows);
}

static void groups(void **state) {
    (void)state;
    const struct support_wrong rows[] = {
        {"[binding \"b2\"]\n" MAX "1\n[binding_group \"g\"]\nbindings = b1 b2\n",
         "2: binding \"b2\" is in binding_group \"g\" (line 4), and the option is not valid there: "
         "remove it here, or the binding from the group\n"},
        {"[binding_group \"g\"]\nbindings = b1 b2\n[binding \"b1\"]\n" MAX "-1\n",
         "4: binding \"b1\" is in binding_group \"g\" (line 2), and the option is not valid there: "
         "remove it here, or the binding from the group\n"},
        {"[binding_group \"g\"]\nbindings = a b\nbindings = c a\n[binding_group \"h\"]\n"
         "bindings = b\n",
         "3: binding \"a\" is in a binding_group already, in \"g\" (line 2): remove it from one\n"
         "5: binding \"b\" is in a binding_group already, in \"g\" (line 2): remove it from one\n"},
        {"[binding_group \"g\"]\n[binding_group \"h\"]\n",
         "1: this binding_group has no bindings: write \"bindings = A B\"\n"
         "2: this binding_group has no bindings: write \"bindings = A B\"\n"},
        {"[binding_group \"g\"]\nbindings = a, b\n",
         "2: \"a,\" is not the name of a binding: names hold no space, quote, comma or control "
         "character\n"},
    };
    SUPPORT_WRONG(rows);
}

static void all_errors_in_one_pass_in_the_order_of_the_lines(void **state) {
    (void)state;
    support_errors("stray = 1\n"
                   "[node]\n"
                   "name = nobody\n"
                   "slots = few\n"
                   "[cluster]\n"
                   "member a = tcp://h\n"
                   "member b = tls+tcp://b:1\n"
                   "member c = tls+tcp://b:1\n"
                   "[domain \"d\"]\n"
                   "cluster_max_outbound_connections = many\n"
                   "[domain \"D\"]\n"
                   "[frobnicate]\n"
                   "anything\n",
                   "1: option \"stray\" stands before the first section: put it under one\n"
                   "3: this node, \"nobody\", is not in the member list: add \"member nobody = "
                   "tls+tcp://HOST:PORT\" to [cluster], or set the right name in [node]\n"
                   "4: slots = few: write a number from 1 to 1048576\n"
                   "6: tcp://h is not an address: it has no port; write tcp://HOST:PORT or "
                   "tls+tcp://HOST:PORT\n"
                   "7: tls+tcp needs files that [cluster] does not name: certificate key ca\n"
                   "8: member \"c\" has the address of \"b\" (line 7): b:1; each member needs its "
                   "own\n"
                   "10: cluster_max_outbound_connections = many: write -1 (unlimited), 0 (closed) "
                   "or a number up to 1048574\n"
                   "10: a limit outside the host scopes needs \"replicate = outbound_domains\" in "
                   "[cluster]\n"
                   "11: [domain \"d\"] stands here twice, first in line 9: merge them\n"
                   "12: unknown section [frobnicate]: " SECTIONS "13" NO_OPTION);
}

static void files_that_cannot_be_read(void **state) {
    (void)state;
    static const struct {
        const char *path, *error;
    } rows[] = {
        {"/nonexistent/slotshare.ini", "/nonexistent/slotshare.ini: cannot be opened: No such file "
                                       "or directory; name a file that "
                                       "is there and that this user may read"},
        {"/", "/: cannot be read: Is a directory; name a file that is there and that this user may "
              "read"},
        {"/dev/zero", "/dev/zero: larger than 16 MiB: this is not a configuration file, name "
                      "another one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct conf *conf = NULL;
        struct conf_errors errors;
        assert_int_equal(conf_load(rows[i].path, &conf, &errors), -1);
        assert_null(conf);
        assert_int_equal(errors.count, 1);
        assert_string_equal(errors.line[0], rows[i].error);
        conf_errors_free(&errors);
        assert_int_equal(errors.count, 0);
    }
}

static void an_error_names_the_file_as_it_was_given(void **state) {
    (void)state;
    char path[] = "/tmp/slotshare-conf-XXXXXX";
    char expected[100];
    struct conf *conf = NULL;
    struct conf_errors errors;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\n[x]\n", 5), 5);
    assert_int_equal(close(fd), 0);
    assert_int_equal(conf_load(path, &conf, &errors), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(errors.count, 1);
    const int length = snprintf(expected, sizeof expected, "%s:2: unknown section [x]: ", path);
    assert_int_equal(strncmp(errors.line[0], expected, (size_t)length), 0);
    conf_errors_free(&errors);
}

static void a_thousand_errors_are_enough(void **state) {
    (void)state;
    const size_t lines = 1500;
    char *text = malloc(2 * lines);
    assert_non_null(text);
    for (size_t i = 0; i < 2 * lines; i += 2) {
        text[i] = 'x';
        text[i + 1] = '\n';
    }
    struct conf *conf = NULL;
    struct conf_errors errors;
    assert_int_equal(support_load(text, 2 * lines, &conf, &errors), -1);
    free(text);
    assert_int_equal(errors.count, 1001);
    assert_non_null(strstr(errors.line[999], ":1000: no "));
    assert_non_null(strstr(errors.line[1000], ": more than 1000 errors: the rest is not shown"));
    conf_errors_free(&errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(section_headers),
        cmocka_unit_test(names_in_headers),
        cmocka_unit_test(names_that_are_too_long),
        cmocka_unit_test(sections_that_stand_twice),
        cmocka_unit_test(options_in_general),
        cmocka_unit_test(lines),
        cmocka_unit_test(lines_that_are_too_long),
        cmocka_unit_test(limits),
        cmocka_unit_test(count_per),
        cmocka_unit_test(enforce),
        cmocka_unit_test(groups),
        cmocka_unit_test(all_errors_in_one_pass_in_the_order_of_the_lines),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(an_error_names_the_file_as_it_was_given),
        cmocka_unit_test(a_thousand_errors_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
