/* SPDX-License-Identifier: MIT */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#include "deal.h"
#include "value.h"

static int by_member_name(const void *left, const void *right) {
    const struct conf_member *a = left;
    const struct conf_member *b = right;
    const int names = strcmp(a->name, b->name);
    return names != 0 ? names : (a->line < b->line ? -1 : 1);
}

static uint64_t member_hash(const struct conf_member *member) {
    return deal_hash(member->name, strlen(member->name));
}

/* Compare a member with one before it in the list; report at the later line. */
static void check_pair(struct parse *parse, const struct conf_member *a,
                       const struct conf_member *b) {
    const struct conf_member *first = a->line < b->line ? a : b;
    const struct conf_member *second = a->line < b->line ? b : a;
    if (strcmp(a->name, b->name) == 0)
        errors_add(&parse->errors, second->line,
                   "member \"%s\" stands here twice, first in line %u: names must differ", a->name,
                   first->line);
    else if (member_hash(a) == member_hash(b))
        errors_add(&parse->errors, second->line,
                   "members \"%s\" and \"%s\" (line %u) have the same hash: rename one",
                   second->name, first->name, first->line);
    if (*a->url != '\0' && *b->url != '\0' &&
        strcmp(value_url_address(a->url), value_url_address(b->url)) == 0)
        errors_add(&parse->errors, second->line,
                   "member \"%s\" has the address of \"%s\" (line %u): %s; each member needs its "
                   "own",
                   second->name, first->name, first->line, value_url_address(second->url));
}

static void check_self(struct parse *parse) {
    struct conf *conf = parse->conf;
    if (conf->node[0] == '\0')
        return; /* reported */
    for (uint32_t i = 0; i < conf->members; i++) {
        if (strcmp(conf->member[i].name, conf->node) == 0) {
            conf->self = i;
            return;
        }
    }
    conf->self = CONF_SELF_NONE;
    if (parse->absent)
        return;
    const uint32_t line = parse->lines.name != 0 ? parse->lines.name : parse->lines.cluster;
    errors_add(
        &parse->errors, line,
        "this node, \"%s\"%s, is not in the member list: add \"member %s = tls+tcp://HOST:PORT\""
        " to [cluster], or set the right name in [node]",
        conf->node, parse->lines.name != 0 ? "" : " (from the host's name)", conf->node);
}

/* Without its files TLS cannot start; say so now and not when the first peer fails to connect. */
static void check_tls(struct parse *parse) {
    const struct conf *conf = parse->conf;
    uint32_t line = value_url_tls(conf->listen) ? parse->lines.listen : 0;
    for (uint32_t i = 0; i < conf->members; i++)
        if (value_url_tls(conf->member[i].url) && (line == 0 || conf->member[i].line < line))
            line = conf->member[i].line;
    if (line == 0)
        return;
    const char *missing[3] = {conf->certificate != NULL ? "" : " certificate",
                              conf->key != NULL ? "" : " key", conf->ca != NULL ? "" : " ca"};
    if (*missing[0] != '\0' || *missing[1] != '\0' || *missing[2] != '\0')
        errors_add(&parse->errors, line, "tls+tcp needs files that [cluster] does not name:%s%s%s",
                   missing[0], missing[1], missing[2]);
}

/* Without TLS whoever reaches the port reads what is delivered where, and speaks for members. Only
 * what an operator gives is judged: what was committed before this rule was is still read. */
static void check_plain_url(struct parse *parse, const char *url, uint32_t line) {
    if (*url == '\0' || value_url_tls(url) || parse->as_node != NULL)
        return;
    if (!parse->plain)
        errors_add(&parse->errors, line,
                   "%s is without TLS: write tls+%s, and certificate, key and ca in [cluster] "
                   "(slotshare pki makes them); or \"tls = off\" in [cluster] to do without",
                   url, url);
    else if (!parse->insecure && !value_url_loopback(url))
        errors_add(&parse->errors, line,
                   "%s without TLS is open to all who reach it, because it is not a loopback "
                   "address: write tls+%s without \"tls = off\"; or \"insecure = yes\" in "
                   "[cluster] when nobody else is on that network",
                   url, url);
}

static void check_plain(struct parse *parse) {
    const struct conf *conf = parse->conf;
    check_plain_url(parse, conf->listen, parse->lines.listen);
    for (uint32_t i = 0; i < conf->members; i++)
        check_plain_url(parse, conf->member[i].url, conf->member[i].line);
    if (parse->insecure && !parse->plain)
        errors_add(&parse->errors, parse->lines.insecure,
                   "insecure = yes says that \"tls = off\" is meant, which is not there: remove "
                   "it, or add that");
}

static void check_members(struct parse *parse) {
    struct conf *conf = parse->conf;
    uint32_t sharing = 0;
    qsort(conf->member, conf->members, sizeof *conf->member, by_member_name);
    for (uint32_t i = 0; i < conf->members; i++) {
        sharing += conf->member[i].witness ? 0 : 1;
        for (uint32_t j = 0; j < i; j++)
            check_pair(parse, &conf->member[j], &conf->member[i]);
    }
    if (sharing == 0)
        errors_add(
            &parse->errors, parse->lines.cluster,
            "[cluster] has no member that holds slots: add \"member NAME = tls+tcp://HOST:PORT\""
            " lines, one for each node");
    else
        check_self(parse);
    if (parse->lines.reserve == 0)
        conf->reserve_percent = conf->members == 2 ? 50 : 25;
}

/* The counter table grows from counters to counters_max; unless told otherwise, 16 times as far. */
static void check_counters(struct parse *parse) {
    enum { GROWTH = 16 };
    struct conf *conf = parse->conf;
    if (parse->lines.counters_max == 0) {
        conf->counters_max = conf->counters < CONF_COUNTERS_MAX / GROWTH ? GROWTH * conf->counters
                                                                         : CONF_COUNTERS_MAX;
    } else if (conf->counters_max != 0 && conf->counters_max < conf->counters) {
        errors_add(&parse->errors, parse->lines.counters_max,
                   "counters_max (%u) is below counters (%u): the table starts with room for "
                   "counters and grows to counters_max",
                   conf->counters_max, conf->counters);
    }
}

void check_cluster(struct parse *parse) {
    const struct conf *conf = parse->conf;
    check_counters(parse);
    if (conf->slots < conf->owners) {
        const uint32_t last =
            parse->lines.slots > parse->lines.owners ? parse->lines.slots : parse->lines.owners;
        errors_add(&parse->errors, last,
                   "there are fewer slots (%u) than owners (%u): each owner needs at least one",
                   conf->slots, conf->owners);
    }
    if (!conf->clustered)
        return;
    check_members(parse);
    check_tls(parse);
    check_plain(parse);
}

static int by_key(const void *left, const void *right) {
    const struct conf_limit *a = &((const struct stanza *)left)->limit;
    const struct conf_limit *b = &((const struct stanza *)right)->limit;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    const int bindings = strcmp(a->binding, b->binding);
    const int domains = bindings != 0 ? bindings : strcmp(a->domain, b->domain);
    return domains != 0 ? domains : strcmp(a->host, b->host);
}

static int by_key_and_line(const void *left, const void *right) {
    const int keys = by_key(left, right);
    if (keys != 0)
        return keys;
    return ((const struct stanza *)left)->line < ((const struct stanza *)right)->line ? -1 : 1;
}

static int by_binding(const void *left, const void *right) {
    return strcmp(((const struct grouped *)left)->binding,
                  ((const struct grouped *)right)->binding);
}

static int by_binding_and_line(const void *left, const void *right) {
    const int names = by_binding(left, right);
    if (names != 0)
        return names;
    return ((const struct grouped *)left)->line < ((const struct grouped *)right)->line ? -1 : 1;
}

static int by_name_and_line(const void *left, const void *right) {
    const struct group *a = left;
    const struct group *b = right;
    const int names = strcmp(a->name, b->name);
    return names != 0 ? names : (a->line < b->line ? -1 : 1);
}

static void check_groups(struct parse *parse) {
    if (parse->groups > 1)
        qsort(parse->group, parse->groups, sizeof *parse->group, by_name_and_line);
    for (size_t i = 0; i < parse->groups; i++) {
        const struct group *group = &parse->group[i];
        if (!group->filled)
            errors_add(&parse->errors, group->line,
                       "this binding_group has no bindings: write \"bindings = A B\"");
        if (i > 0 && *group->name != '\0' && strcmp(group->name, group[-1].name) == 0)
            errors_add(&parse->errors, group->line,
                       "[binding_group \"%s\"] stands here twice, first in line %u: merge them",
                       group->name, group[-1].line);
    }
    if (parse->groupeds > 1)
        qsort(parse->grouped, parse->groupeds, sizeof *parse->grouped, by_binding_and_line);
    for (size_t i = 1; i < parse->groupeds; i++)
        if (by_binding(&parse->grouped[i], &parse->grouped[i - 1]) == 0)
            errors_add(&parse->errors, parse->grouped[i].line,
                       "binding \"%s\" is in a binding_group already, in \"%s\" (line %u): remove "
                       "it from one",
                       parse->grouped[i].binding, parse->grouped[i - 1].group,
                       parse->grouped[i - 1].line);
}

/* The manual: not valid when defined in a binding contained within a binding_group. */
static void check_grouped(struct parse *parse, const struct stanza *stanza) {
    struct grouped key;
    if (stanza->limit.scope != SLOTSHARE_SCOPE_BINDING || parse->groupeds == 0)
        return;
    memcpy(key.binding, stanza->limit.binding, sizeof key.binding);
    const struct grouped *found =
        bsearch(&key, parse->grouped, parse->groupeds, sizeof *parse->grouped, by_binding);
    if (found != NULL)
        errors_add(&parse->errors, stanza->limit.line,
                   "binding \"%s\" is in binding_group \"%s\" (line %u), and the option is not "
                   "valid there: remove it here, or the binding from the group",
                   key.binding, found->group, found->line);
}

static void check_stanza(struct parse *parse, const struct stanza *stanza,
                         const struct stanza *before) {
    char text[SECTION_TEXT];
    if (stanza->named && before != NULL && before->named && by_key(before, stanza) == 0)
        errors_add(&parse->errors, stanza->line,
                   "%s stands here twice, first in line %u: merge them",
                   section_text(&stanza->limit, text), before->line);
    if (stanza->limit.line == 0) {
        if (stanza->count_per_line != 0)
            errors_add(&parse->errors, stanza->count_per_line,
                       "count_per without cluster_max_outbound_connections in the same section: "
                       "add it, or remove count_per");
        if (stanza->enforce_line != 0)
            errors_add(&parse->errors, stanza->enforce_line,
                       "enforce without cluster_max_outbound_connections in the same section: add "
                       "it, or remove enforce; for all sections, write enforce in [defaults]");
        return;
    }
    if (stanza->named)
        check_grouped(parse, stanza);
    if (parse->conf->clustered && !parse->conf->replicate_domains &&
        stanza->limit.scope > SLOTSHARE_SCOPE_HOST)
        errors_add(&parse->errors, stanza->limit.line,
                   "a limit outside the host scopes needs \"replicate = outbound_domains\" in "
                   "[cluster]");
}

void check_limits(struct parse *parse) {
    struct conf *conf = parse->conf;
    check_groups(parse);
    if (parse->stanzas == 0)
        return;
    conf->limit = calloc(parse->stanzas, sizeof *conf->limit);
    if (conf->limit == NULL) {
        parse->errors.no_memory = true;
        return;
    }
    qsort(parse->stanza, parse->stanzas, sizeof *parse->stanza, by_key_and_line);
    for (size_t i = 0; i < parse->stanzas; i++) {
        const struct stanza *stanza = &parse->stanza[i];
        check_stanza(parse, stanza, i > 0 ? stanza - 1 : NULL);
        if (stanza->limit.line == 0)
            continue;
        struct conf_limit *limit = &conf->limit[conf->limits++];
        *limit = stanza->limit;
        limit->observed = stanza->enforce_line != 0 ? limit->observed : parse->observe;
    }
}
