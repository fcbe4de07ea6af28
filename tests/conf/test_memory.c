/* SPDX-License-Identifier: MIT */
/* Every allocation fails once: an error is returned, nothing is lost (the leak sanitizer looks). */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The linker puts these in front of the C library's (--wrap), and so it names them.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
int __real_vasprintf(char **out, const char *format, va_list arguments);
int __wrap_vasprintf(char **out, const char *format, va_list arguments);
int __wrap_asprintf(char **out, const char *format, ...);

static int left = -1; /* allocations until the one that fails; negative: none will */

static bool fails(void) {
    if (left < 0)
        return false;
    return left-- == 0;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size) {
    return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text) {
    return fails() ? NULL : __real_strdup(text);
}

int __wrap_vasprintf(char **out, const char *format, va_list arguments) {
    return fails() ? -1 : __real_vasprintf(out, format, arguments);
}

int __wrap_asprintf(char **out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = fails() ? -1 : __real_vasprintf(out, format, arguments);
    va_end(arguments);
    return length;
}

/* NOLINTEND(bugprone-reserved-identifier) */

static void write_file(char *path, const char *text) {
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static const char good[] = "[node]\nname = a\ndirectory = /d\n[cluster]\nmember a = tcp://h:1\n"
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
        left = n;
        const int result = conf_load(path, &conf, &errors);
        done = left >= 0; /* as many allocations as there are have been tried */
        left = -1;
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
        left = n;
        assert_int_equal(conf_load(path, &conf, &errors), -1);
        done = left >= 0;
        left = -1;
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
    left = 0;
    assert_int_equal(ruleset_compile(conf, &base, &size), -1);
    left = -1;
    assert_null(base);
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(a_file_with_errors),
        cmocka_unit_test(compiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
