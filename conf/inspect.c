/* SPDX-License-Identifier: MIT */
#include "ruleset.h"

#include <string.h>

#include "name.h"
#include "view.h"

static const char *string_or_empty(const struct view *view, const struct layout_string *string) {
    uint32_t length = 0;
    const char *text = view_string(view, string, &length);
    return text != NULL ? text : "";
}

const char *ruleset_file(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) ? string_or_empty(&view, &view.header->file) : "";
}

const char *ruleset_node(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) ? string_or_empty(&view, &view.header->node) : "";
}

uint64_t ruleset_digest(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) ? load64(&view.header->digest) : 0;
}

bool ruleset_clustered(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) && load32(&view.header->clustered) != 0;
}

int ruleset_members(const struct ruleset *rules, struct deal_members *out, uint64_t *self) {
    struct view view;
    out->count = 0;
    out->reserve_percent = 0;
    *self = 0;
    if (!view_open(rules, &view))
        return SLOTSHARE_EDAMAGED;
    const uint32_t self_index = load32(&view.header->self);
    out->reserve_percent = load32(&view.header->reserve_percent);
    for (uint32_t i = 0; i < view.members; i++) {
        const struct layout_member *member = &view.member[i];
        if (load32(&member->witness) != 0)
            continue;
        const uint64_t hash = load64(&member->hash);
        out->hash[out->count++] = hash;
        *self = i == self_index ? hash : *self;
    }
    return SLOTSHARE_OK;
}

bool ruleset_drained(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) && (load32(&view.header->flags) & LAYOUT_DRAINED) != 0;
}

bool ruleset_member_drained(const struct ruleset *rules, uint32_t i) {
    struct view view;
    return view_open(rules, &view) && i < view.members && load32(&view.member[i].drained) != 0;
}

const char *ruleset_changes(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) ? string_or_empty(&view, &view.header->changes) : "";
}

uint32_t ruleset_member_count(const struct ruleset *rules) {
    struct view view;
    return view_open(rules, &view) ? view.members : 0;
}

const char *ruleset_member_name(const struct ruleset *rules, uint32_t i) {
    struct view view;
    if (!view_open(rules, &view) || i >= view.members)
        return "";
    return string_or_empty(&view, &view.member[i].name);
}

const char *ruleset_member_url(const struct ruleset *rules, uint32_t i) {
    struct view view;
    if (!view_open(rules, &view) || i >= view.members)
        return "";
    return string_or_empty(&view, &view.member[i].url);
}

/* A string that is there, has no NUL inside, and is at most `max` long. Copied before it is looked
 * at, when there is a copy to make: the block may change. */
static bool whole(const struct view *view, const struct layout_string *string, char *copy,
                  size_t max) {
    uint32_t length = 0;
    const char *text = view_string(view, string, &length);
    if (text == NULL || length > max)
        return false;
    if (copy == NULL)
        return strnlen(text, length) == length;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return strlen(copy) == length;
}

/* A binding's, or a domain's or host's name in the form that is compared; "" is one.
 * @return its hash; 0: it is empty, or (*ok is false then) it is not in order. */
static uint64_t check_name(const struct view *view, const struct layout_string *string,
                           bool binding, char copy[SLOTSHARE_DOMAIN_MAX + 1], bool *ok) {
    char form[SLOTSHARE_DOMAIN_MAX + 1];
    const size_t max = binding ? SLOTSHARE_BINDING_MAX : SLOTSHARE_DOMAIN_MAX;
    int length = -1;
    if (whole(view, string, copy, max))
        length = binding ? name_binding(copy, form, max) : name_domain(copy, form, max);
    if (length < 0 || strcmp(copy, form) != 0) {
        *ok = false;
        return 0;
    }
    return length > 0 ? hash_name(form, (size_t)length) : 0;
}

/* The cell of a rule can be reached by its key. */
static bool reachable(const struct view *view, uint32_t index, uint64_t key) {
    for (uint32_t probe = 0; probe < view->probes; probe++) {
        const uint64_t cell = load64(&view->cell[((uint32_t)key + probe) & (view->cells - 1)]);
        if (cell == (layout_tag(key) | (index + 1)))
            return true;
        if (cell == 0)
            return false;
    }
    return false;
}

static bool check_rule(const struct view *view, uint32_t index, uint32_t *scopes) {
    /* by scope, what its rules name: 1: a binding, 2: a domain or host */
    static const unsigned char named[] = {0, 3, 2, 3, 1, 2, 0};
    const struct layout_rule *rule = &view->rule[index];
    const uint32_t scope = load32(&rule->scope); /* once: it is an index */
    if (scope < 1 || scope > SLOTSHARE_SCOPE_GLOBAL || rule->limit < -1 ||
        rule->limit > CONF_LIMIT_MAX || rule->parts == 0 || rule->parts > 7 ||
        rule->flags > (LAYOUT_OVERRIDDEN | LAYOUT_OBSERVED) || rule->base < -1 ||
        rule->base > CONF_LIMIT_MAX)
        return false;
    *scopes |= 1u << scope;
    bool ok = true;
    char copy[SLOTSHARE_DOMAIN_MAX + 1];
    const uint64_t binding = check_name(view, &rule->binding, true, copy, &ok);
    const uint64_t name = check_name(view, &rule->name, false, copy, &ok);
    const unsigned has = (binding != 0 ? 1u : 0u) | (name != 0 ? 2u : 0u);
    return ok && has == named[scope] && rule->key == layout_key(scope, binding, name) &&
           reachable(view, index, rule->key);
}

static bool check_rules(const struct view *view) {
    uint32_t scopes = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < view->rules; i++) {
        if (!check_rule(view, i, &scopes))
            return false;
    }
    for (uint32_t i = 0; i < view->cells; i++)
        used += view->cell[i] != 0 ? 1 : 0;
    return used == view->rules && scopes == view->header->scopes;
}

static bool check_members(const struct view *view) {
    const struct layout_header *header = view->header;
    char names[2][SLOTSHARE_DOMAIN_MAX + 1] = {"", ""};
    for (uint32_t i = 0; i < view->members; i++) {
        const struct layout_member *member = &view->member[i];
        bool ok = whole(view, &member->url, NULL, CONF_URL_MAX) && member->witness <= 1 &&
                  member->drained <= member->witness;
        const uint64_t hash = check_name(view, &member->name, true, names[i % 2], &ok);
        if (!ok || hash == 0 || hash != member->hash)
            return false;
        /* in the order of the names, none twice; none is empty */
        if (strcmp(names[i % 2], names[1 - i % 2]) <= 0)
            return false;
    }
    if (header->clustered > 1 || header->reserve_percent > 100)
        return false;
    if (header->clustered == 0)
        return view->members == 0;
    return header->self < view->members || header->self == CONF_SELF_NONE;
}

bool ruleset_check(const struct ruleset *rules) {
    struct view view;
    if (!view_open(rules, &view) || view.header->size != rules->size)
        return false;
    const size_t used = (size_t)(view.string - (const char *)rules->base) + view.strings;
    if (used != rules->size || view.header->checksum != layout_checksum(rules->base, rules->size))
        return false;
    return view.header->flags <= LAYOUT_DRAINED &&
           whole(&view, &view.header->file, NULL, rules->size) &&
           whole(&view, &view.header->changes, NULL, CONF_CHANGES_TEXT) &&
           whole(&view, &view.header->node, NULL, SLOTSHARE_BINDING_MAX) && check_rules(&view) &&
           check_members(&view);
}
