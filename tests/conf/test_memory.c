/* SPDX-License-Identifier: MIT */
/* Every allocation fails once: an error is returned, nothing is lost (the leak sanitizer looks). */
#include "../alloc.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_file(char *path, const char *text) {
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static const char good[] =
    "[node]\nname = a\ndirectory = /d\n[cluster]\ntls = off\ninsecure = yes\nmember a = tcp://h:1\n"
    "key = /k\nca = /c\ncertificate = /f\nreplicate = outbound_domains\n"
    "[global]\ncluster_max_outbound_connections = 1\n"
    "[binding_group \"g\"]\nbindings = b c\n"
    "[host \"h\"]\ncluster_max_outbound_connections = 1\n";

static void a_good_file(void **state) {
    (void)state;
    char path[] = "/tmp/slotshare-conf-XXXXXX";
    write_file(path, good);
    for (int n = 0, done = 0; !done; n++) {
        struct conf *conf = NULL;
        struct conf_errors errors;
        alloc_fail(n);
        const int result = conf_load(path, &conf, &errors);
        done = alloc_all(); /* as many allocations as there are have been tried */
        assert_int_equal(result, done ? 0 : -1);
        assert_int_equal(conf != NULL, done);
        if (errors.count > 0)
            assert_non_null(strstr(errors.line[errors.count - 1], ": not read whole: memory is"));
        conf_errors_free(&errors);
        conf_free(conf);
    }
    assert_int_equal(unlink(path), 0);
}

static void a_file_with_errors(void **state) {
    (void)state;
    char path[] = "/tmp/slotshare-conf-XXXXXX";
    write_file(path, "[node]\nslots = x\n[cluster]\nfoo = 1\n[host \"\"]\n");
    for (int n = 0, done = 0; !done; n++) {
        struct conf *conf = NULL;
        struct conf_errors errors;
        alloc_fail(n);
        assert_int_equal(conf_load(path, &conf, &errors), -1);
        done = alloc_all();
        assert_null(conf);
        if (done)
            assert_int_equal(errors.count, 4);
        conf_errors_free(&errors);
    }
    assert_int_equal(unlink(path), 0);
}

static void compiling(void **state) {
    (void)state;
    struct conf *conf = support_conf(good);
    void *base = NULL;
    size_t size = 0;
    alloc_fail(0);
    assert_int_equal(ruleset_compile(conf, &base, &size), -1);
    assert_false(alloc_all());
    assert_null(base);
    conf_free(conf);
}

static const char changes[] = "[changes]\nversion = 7\nauthor = a\n"
                              "[override host \"h\"]\nlimit = 2\nuntil = 1000\nms = 50\n"
                              "[override global]\nlimit = 1\n";

/* What operators have changed, into a rule set and back, with what is the node's own. */
static bool there_and_back(const char *text, const struct conf *own) {
    struct conf *conf = NULL, *back = NULL;
    struct conf_errors errors = {0};
    struct ruleset rules = {0};
    void *base = NULL;
    bool done = conf_load_stored("x.ini", text, strlen(text), "a", &conf, &errors) == 0;
    conf_errors_free(&errors);
    done =
        done && conf_take_local(conf, own) == 0 && ruleset_compile(conf, &base, &rules.size) == 0;
    rules.base = base;
    done = done && ruleset_decompile(&rules, &back) == 0 && conf_changes_apply(back) == 0;
    if (done) {
        assert_string_equal(conf->directory, own->directory);
        assert_int_equal(back->changes.overrides, 2);
        assert_int_equal(back->limits, conf->limits);
    }
    conf_free(back);
    free(base);
    conf_free(conf);
    return done;
}

static void what_was_changed(void **state) {
    (void)state;
    char text[sizeof good + sizeof changes];
    (void)snprintf(text, sizeof text, "%s%s", good, changes);
    struct conf *own = support_conf(good);
    int n = 0;
    for (bool done = false; !done; n++) {
        alloc_fail(n);
        const bool went_well = there_and_back(text, own);
        done = alloc_all();
        assert_int_equal(went_well, done);
    }
    assert_in_range(n, 10, 100000);
    assert_string_equal(own->directory, "/d");
    conf_free(own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(a_file_with_errors),
        cmocka_unit_test(compiling),
        cmocka_unit_test(what_was_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
