/* SPDX-License-Identifier: MIT */
/* Names in the form in which they are compared, against a plain version of the same rules. */
#include "support.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../../conf/name.h"

typedef int (*name_function)(const char *in, char *out, size_t max);

static int plainly(const char *in, char *out, size_t max, bool domain) {
    size_t length = strlen(in);
    if (domain && length > 0 && in[length - 1] == '.') {
        length--;
        if (length == 0)
            return -1;
    }
    if (length > max)
        return -1;
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)in[i];
        if (byte < 0x21 || byte == 0x7f || byte == '"' || byte == ',')
            return -1;
        const bool upper = byte >= 'A' && byte <= 'Z';
        out[i] = (char)(domain && upper ? byte - 'A' + 'a' : byte);
    }
    out[length] = '\0';
    return (int)length;
}

static void compare(const char *in, size_t max, bool domain) {
    const name_function function = domain ? name_domain : name_binding;
    char expected[400];
    char *out = malloc(max + 1); /* of the size promised, so that a sanitizer sees one more */
    assert_non_null(out);
    const int length = plainly(in, expected, max, domain);
    assert_int_equal(function(in, out, max), length);
    if (length >= 0)
        assert_string_equal(out, expected);
    free(out);
}

static void every_byte_at_every_place(void **state) {
    (void)state;
    for (size_t length = 1; length <= 20; length++) {
        for (size_t at = 0; at < length; at++) {
            for (int byte = 1; byte < 256; byte++) {
                char *in = malloc(length + 1); /* its end is where a sanitizer looks */
                assert_non_null(in);
                memset(in, 'Q', length);
                in[length] = '\0';
                in[at] = (char)byte;
                compare(in, 255, true);
                compare(in, 255, false);
                free(in);
            }
        }
    }
}

static void every_length_around_the_longest(void **state) {
    (void)state;
    for (size_t max = 1; max < 40; max++) {
        for (size_t length = 0; length < 50; length++) {
            char in[64];
            memset(in, 'M', length);
            in[length] = '\0';
            compare(in, max, true);
            compare(in, max, false);
            in[length] = '.';
            in[length + 1] = '\0';
            compare(in, max, true);
            compare(in, max, false);
        }
    }
}

static void empty_and_missing_names(void **state) {
    (void)state;
    char out[8] = "x";
    assert_int_equal(name_binding(NULL, out, 7), 0);
    assert_string_equal(out, "");
    out[0] = 'x';
    assert_int_equal(name_domain("", out, 7), 0);
    assert_string_equal(out, "");
    assert_int_equal(name_domain(".", out, 7), -1);
    assert_int_equal(name_domain("a..", out, 7), 2);
    assert_string_equal(out, "a.");
    assert_int_equal(name_binding(".", out, 7), 1);
}

static void a_name_can_be_changed_in_place(void **state) {
    (void)state;
    for (size_t length = 1; length < 40; length++) {
        char name[64];
        memset(name, 'Z', length);
        name[length] = '\0';
        assert_int_equal(name_domain(name, name, 63), length);
        assert_int_equal(strspn(name, "z"), length);
    }
}

static void segments(void **state) {
    (void)state;
    char name[SLOTSHARE_NAME_MAX + 2];
    assert_true(name_segment("slotshare"));
    assert_true(name_segment("A-z_0.9"));
    assert_false(name_segment(""));
    assert_false(name_segment("a/b"));
    assert_false(name_segment("a b"));
    assert_false(name_segment("\xc3\xa4"));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(name_segment(name));
    name[SLOTSHARE_NAME_MAX] = '\0';
    assert_true(name_segment(name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(every_length_around_the_longest),
        cmocka_unit_test(empty_and_missing_names),
        cmocka_unit_test(a_name_can_be_changed_in_place),
        cmocka_unit_test(segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
