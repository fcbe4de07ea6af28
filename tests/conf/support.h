/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_CONF_SUPPORT_H
#define SLOTSHARE_TESTS_CONF_SUPPORT_H
/** Configurations as text, for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* after those that it needs */

#include "../../conf/conf.h"
#include "../../conf/ruleset.h"

/** Load `length` bytes as a file that is gone afterwards. Results as of conf_load(). The file's
 * name in messages is not the same twice; see support_errors(). */
int support_load(const char *text, size_t length, struct conf **out, struct conf_errors *errors);

/** Load a text that must have no errors; fails the test otherwise. */
struct conf *support_conf(const char *text);

/** Load a text that must have exactly these errors: `expected` holds each as "LINE: message" on a
 * line of its own ("0: message": of the file as a whole). Fails the test otherwise. */
void support_errors(const char *text, const char *expected);
void support_errors_in(const char *text, size_t length, const char *expected);

/** A text that must have these errors and no others, as support_errors() takes them. */
struct support_wrong {
    const char *text, *errors;
};
void support_wrong(const struct support_wrong *wrong, size_t count);
#define SUPPORT_WRONG(rows) support_wrong(rows, sizeof(rows) / sizeof *(rows))

/** Append to a text; fails the test when it does not fit into `size` bytes. */
__attribute__((format(printf, 3, 4))) void support_append(char *text, size_t size,
                                                          const char *format, ...);

/** Compile a text that must have no errors. free() ruleset.base. */
struct ruleset support_rules(const char *text);

/** Resolve; fails the test when the names or the rule set are refused. */
struct ruleset_match support_resolve(const struct ruleset *rules, const char *binding,
                                     const char *domain, const char *host);

#endif
