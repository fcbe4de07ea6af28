/* SPDX-License-Identifier: MIT */
/* A configuration file. It is refused with errors that say where, or it is taken; then it compiles
 * into rules that pass their own check, every limit is found under its names, and the same text
 * gives the same digest. */
#include <string.h>

#include "../../conf/conf.h"
#include "../../conf/ruleset.h"
#include "input.h"

static void refused(const struct conf *conf, const struct conf_errors *errors) {
    must(conf == NULL && errors->count > 0, "refused without a word");
    for (size_t i = 0; i < errors->count; i++) {
        must(strncmp(errors->line[i], "fuzz.ini:", 9) == 0, "an error that does not say where");
        must(strchr(errors->line[i], '\n') == NULL, "an error of two lines");
    }
}

static void resolve(const struct ruleset *rules, const struct conf_limit *limit) {
    struct ruleset_match match, again;
    struct ruleset_step steps[6];
    const struct slotshare_connection to = {limit->binding[0] != '\0' ? limit->binding : NULL,
                                            limit->domain[0] != '\0' ? limit->domain : NULL,
                                            limit->host[0] != '\0' ? limit->host : NULL};
    must(ruleset_resolve(rules, &to, &match) == SLOTSHARE_OK, "a limit cannot be resolved");
    must(match.scope == limit->scope && match.limit == limit->limit && match.line == limit->line,
         "a limit is not found under its names");
    must(ruleset_trace(rules, &to, steps) == SLOTSHARE_OK, "a limit cannot be traced");
    int found = ruleset_counter(rules, match.counter, &again);
    must(found == SLOTSHARE_OK || found == SLOTSHARE_ENAME, "a counter's name");
}

static void taken(struct conf *conf, const uint8_t *data, size_t size) {
    void *base = NULL;
    struct ruleset rules = {NULL, 0};
    struct conf *second = NULL;
    struct conf_errors errors = {0};
    char text[300];

    must(ruleset_compile(conf, &base, &rules.size) == 0, "it does not compile");
    rules.base = base;
    must(ruleset_check(&rules), "what was compiled is not whole");
    must(ruleset_digest(&rules) == conf_digest(conf), "two digests of one file");
    for (size_t i = 0; i < conf->limits && i < 50; i++) {
        resolve(&rules, &conf->limit[i]);
    }
    must(conf_load_text("fuzz.ini", (const char *)data, size, "mta1", &second, &errors) == 0 &&
             conf_digest(second) == conf_digest(conf),
         "the same text is another one the second time");
    conf_difference(conf, second, text, sizeof text);
    must(strcmp(text, "nothing") == 0, "the same text differs from itself");
    conf_errors_free(&errors);
    conf_free(second);
    free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct conf *conf = NULL;
    struct conf_errors errors = {0};

    if (conf_load_text("fuzz.ini", (const char *)data, size, "mta1", &conf, &errors) != 0) {
        refused(conf, &errors);
    } else {
        taken(conf, data, size);
    }
    conf_errors_free(&errors);
    conf_free(conf);
    return 0;
}
