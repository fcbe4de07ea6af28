/* SPDX-License-Identifier: MIT */
#include "ruleset.h"

#include <string.h>

#include "name.h"
#include "view.h"

/* A connection's names in the form that is compared, each hashed once: in the order of the bits of
 * enum conf_part, and an empty one for scopes that name only one thing or none. */
enum { BINDING, DOMAIN, HOST, PARTS, NONE = PARTS };
struct name {
    uint64_t hash; /* 0: not known */
    uint32_t length;
    char text[SLOTSHARE_DOMAIN_MAX + 1];
};
struct names {
    struct name part[PARTS + 1];
    unsigned known; /* enum conf_part bits */
};

/* What a scope names, by scope. */
static const struct {
    uint8_t binding, name; /* places in struct names */
    uint8_t parts;         /* enum conf_part bits */
} scope_names[] = {
    {NONE, NONE, 0},
    {BINDING, HOST, CONF_PART_BINDING | CONF_PART_HOST},
    {NONE, HOST, CONF_PART_HOST},
    {BINDING, DOMAIN, CONF_PART_BINDING | CONF_PART_DOMAIN},
    {BINDING, NONE, CONF_PART_BINDING},
    {NONE, DOMAIN, CONF_PART_DOMAIN},
    {NONE, NONE, 0},
};

/* The other way round: the scopes (bit s: scope s) that apply when these parts are known. */
enum { B_H = 2, H = 4, B_D = 8, B = 16, D = 32, G = 64 };
static const uint8_t applicable[8] = {
    G, G | B, G | D, G | D | B | B_D, G | H, G | B | H | B_H, G | D | H, G | D | B | B_D | H | B_H,
};

static bool take(struct names *names, unsigned which, int length) {
    struct name *name = &names->part[which];
    if (length < 0)
        return false;
    name->length = (uint32_t)length;
    name->hash = length > 0 ? hash_name(name->text, (size_t)length) : 0;
    names->known |= length > 0 ? 1u << which : 0u;
    return true;
}

static bool names_take(struct names *names, const struct slotshare_connection *connection) {
    struct name *part = names->part;
    names->known = 0;
    part[NONE].hash = 0;
    part[NONE].length = 0;
    return take(names, BINDING,
                name_binding(connection->binding, part[BINDING].text, SLOTSHARE_BINDING_MAX)) &&
           take(names, DOMAIN,
                name_domain(connection->domain, part[DOMAIN].text, SLOTSHARE_DOMAIN_MAX)) &&
           take(names, HOST, name_domain(connection->host, part[HOST].text, SLOTSHARE_DOMAIN_MAX));
}

static bool same(const struct view *view, const struct layout_string *string,
                 const struct name *name) {
    uint32_t length = 0;
    const char *text = view_string(view, string, &length);
    return text != NULL && length == name->length && memcmp(text, name->text, length) == 0;
}

/* The rule of a scope for these names. @return NULL: none. */
static inline const struct layout_rule *find(const struct view *view, uint32_t scope,
                                             const struct names *names) {
    const struct name *binding = &names->part[scope_names[scope].binding];
    const struct name *name = &names->part[scope_names[scope].name];
    const uint64_t key = layout_key(scope, binding->hash, name->hash);
    for (uint32_t probe = 0; probe < view->probes; probe++) {
        const uint64_t cell = load64(&view->cell[((uint32_t)key + probe) & (view->cells - 1)]);
        if (cell == 0)
            return NULL;
        const uint32_t index = (uint32_t)cell - 1;
        if (layout_tag(cell) != layout_tag(key) || index >= view->rules)
            continue;
        const struct layout_rule *rule = &view->rule[index];
        if (load32(&rule->scope) == scope && same(view, &rule->binding, binding) &&
            same(view, &rule->name, name))
            return rule;
    }
    return NULL;
}

static int32_t rule_limit(const struct layout_rule *rule) {
    const int32_t limit = __atomic_load_n(&rule->limit, __ATOMIC_RELAXED);
    return limit >= -1 && limit <= CONF_LIMIT_MAX ? limit : 0; /* damaged: closed, not open */
}

/* As conf_observes(). */
static bool rule_observed(uint32_t flags, int32_t limit) {
    return (flags & LAYOUT_OBSERVED) != 0 && (flags & LAYOUT_OVERRIDDEN) == 0 && limit >= 0;
}

/* The prefixes are copied whole, as one word; what is too much is overwritten. */
static void counter_name(const struct names *names, unsigned parts, struct ruleset_match *out) {
    static const struct {
        char text[8];
        uint32_t length;
    } prefix[PARTS] = {{"binding:", 8}, {"domain:", 7}, {"host:", 5}};
    char *to = out->counter;
    for (unsigned i = 0; i < PARTS; i++) {
        const struct name *name = &names->part[i];
        if ((parts & names->known & (1u << i)) == 0)
            continue;
        if (to != out->counter)
            *to++ = ',';
        memcpy(to, prefix[i].text, sizeof prefix[i].text);
        to += prefix[i].length;
        memcpy(to, name->text, name->length);
        to += name->length;
    }
    if (to == out->counter) {
        memcpy(to, "global", 6);
        to += 6;
    }
    *to = '\0';
    out->length = (uint16_t)(to - out->counter);
}

/* Two of the three parts at most, of which one may be a binding. */
static_assert(8 + SLOTSHARE_BINDING_MAX + 1 + 7 + SLOTSHARE_DOMAIN_MAX <= SLOTSHARE_COUNTER_MAX,
              "every counter's name fits");

static void resolve(const struct view *view, const struct names *names, struct ruleset_match *out) {
    out->scope = SLOTSHARE_SCOPE_NONE;
    out->limit = SLOTSHARE_UNLIMITED;
    out->line = 0;
    out->overridden = false;
    out->observed = false;
    out->parts = CONF_PART_DOMAIN; /* as if [global] said -1 */
    unsigned left = load32(&view->header->scopes) & applicable[names->known];
    for (; left != 0; left &= left - 1) {
        const uint32_t scope = (uint32_t)__builtin_ctz(left);
        const struct layout_rule *rule = find(view, scope, names);
        if (rule == NULL)
            continue;
        const unsigned parts = load32(&rule->parts);
        out->scope = (enum slotshare_scope)scope;
        out->limit = rule_limit(rule);
        out->line = load32(&rule->line);
        const uint32_t flags = load32(&rule->flags);
        out->observed = rule_observed(flags, out->limit);
        if ((flags & LAYOUT_OVERRIDDEN) != 0) {
            out->overridden = true;
            out->base = __atomic_load_n(&rule->base, __ATOMIC_RELAXED);
            out->until = load64(&rule->until);
        }
        out->parts = (uint8_t)(scope < SLOTSHARE_SCOPE_BINDING
                                   ? scope_names[scope].parts
                                   : parts & (CONF_PART_BINDING | CONF_PART_DOMAIN));
        break;
    }
    counter_name(names, out->parts, out);
}

int ruleset_resolve(const struct ruleset *rules, const struct slotshare_connection *connection,
                    struct ruleset_match *out) {
    struct names names;
    struct view view;
    if (!names_take(&names, connection))
        return SLOTSHARE_ENAME;
    if (!view_open(rules, &view))
        return SLOTSHARE_EDAMAGED;
    resolve(&view, &names, out);
    return SLOTSHARE_OK;
}

int ruleset_trace(const struct ruleset *rules, const struct slotshare_connection *connection,
                  struct ruleset_step step[6]) {
    struct names names;
    struct view view;
    if (!names_take(&names, connection))
        return SLOTSHARE_ENAME;
    if (!view_open(rules, &view))
        return SLOTSHARE_EDAMAGED;
    for (uint32_t scope = 1; scope <= SLOTSHARE_SCOPE_GLOBAL; scope++) {
        struct ruleset_step *to = &step[scope - 1];
        *to = (struct ruleset_step){.scope = (enum slotshare_scope)scope,
                                    .applies = (applicable[names.known] & 1u << scope) != 0,
                                    .limit = SLOTSHARE_UNLIMITED};
        const struct layout_rule *rule = to->applies ? find(&view, scope, &names) : NULL;
        if (rule == NULL)
            continue;
        to->set = true;
        to->limit = rule_limit(rule);
        to->line = load32(&rule->line);
        const uint32_t flags = load32(&rule->flags);
        to->observed = rule_observed(flags, to->limit);
        to->until = (flags & LAYOUT_OVERRIDDEN) != 0 ? load64(&rule->until) : 0;
    }
    return SLOTSHARE_OK;
}

/* The names that a counter's name is made of. `copy` holds them; its commas become NULs. */
static bool split(char *copy, struct slotshare_connection *out) {
    *out = (struct slotshare_connection){NULL, NULL, NULL};
    for (char *rest = copy, *part = NULL; (part = strsep(&rest, ",")) != NULL;) {
        if (strncmp(part, "binding:", 8) == 0)
            out->binding = part + 8;
        else if (strncmp(part, "domain:", 7) == 0)
            out->domain = part + 7;
        else if (strncmp(part, "host:", 5) == 0)
            out->host = part + 5;
        else
            return false;
    }
    return true;
}

int ruleset_counter(const struct ruleset *rules, const char *name, struct ruleset_match *out) {
    struct slotshare_connection connection = {NULL, NULL, NULL};
    char copy[SLOTSHARE_COUNTER_MAX + 1];
    const size_t length = strnlen(name, sizeof copy);
    if (length == sizeof copy)
        return SLOTSHARE_ENAME;
    memcpy(copy, name, length + 1);
    if (strcmp(name, "global") != 0 && !split(copy, &connection))
        return SLOTSHARE_ENAME;
    /* The names that a winning stanza counts by are all it takes to find that stanza again: what
     * is left out can only be a name of scopes that did not win. So the way back is the way in. */
    const int result = ruleset_resolve(rules, &connection, out);
    if (result == SLOTSHARE_OK && strcmp(out->counter, name) != 0)
        return SLOTSHARE_ENAME;
    return result;
}
