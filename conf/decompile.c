/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "ruleset.h"
#include "view.h"

static bool copy_string(const struct view *view, const struct layout_string *string, char *out,
                        size_t size) {
    uint32_t length = 0;
    const char *text = view_string(view, string, &length);
    if (text == NULL || length >= size)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* @return false: it makes no sense. */
static bool take_rule(const struct view *view, const struct layout_rule *rule,
                      struct conf_limit *out) {
    *out = (struct conf_limit){.scope = (enum slotshare_scope)rule->scope,
                               .limit = rule->limit,
                               .parts = (uint8_t)rule->parts,
                               .line = rule->line,
                               .observed = (rule->flags & LAYOUT_OBSERVED) != 0};
    if ((rule->flags & LAYOUT_OVERRIDDEN) != 0)
        out->limit = rule->base;
    const bool host = rule->scope <= SLOTSHARE_SCOPE_HOST;
    return copy_string(view, &rule->binding, out->binding, sizeof out->binding) &&
           copy_string(view, &rule->name, host ? out->host : out->domain,
                       host ? sizeof out->host : sizeof out->domain);
}

static bool take_rules(const struct view *view, struct conf *conf) {
    conf->limit = calloc(view->rules > 0 ? view->rules : 1, sizeof *conf->limit);
    if (conf->limit == NULL)
        return false;
    for (uint32_t i = 0; i < view->rules; i++) {
        const struct layout_rule *rule = &view->rule[i];
        /* line 0: only an override says it */
        if (rule->line != 0 && !take_rule(view, rule, &conf->limit[conf->limits++]))
            return false;
    }
    return true;
}

int ruleset_decompile(const struct ruleset *rules, struct conf **out) {
    struct view view;
    *out = NULL;
    if (!ruleset_check(rules) || !view_open(rules, &view))
        return -1;
    struct conf *conf = conf_new(ruleset_file(rules));
    if (conf == NULL)
        return -1;
    const char *changes = ruleset_changes(rules);
    if (copy_string(&view, &view.header->node, conf->node, sizeof conf->node) &&
        take_rules(&view, conf) &&
        conf_changes_parse(changes, strlen(changes), &conf->changes) == 0) {
        *out = conf;
        return 0;
    }
    conf_free(conf);
    return -1;
}
