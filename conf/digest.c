/* SPDX-License-Identifier: MIT */
/* What the members of a cluster must agree on: as a number, and as a difference for people. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "parse.h"

/* ---- as a number ---- */

static void add_number(uint64_t *digest, uint64_t number) {
    *digest = hash_pair(*digest, number);
}

static void add_text(uint64_t *digest, const char *text) {
    *digest = hash_pair(*digest, hash_name(text, strlen(text)));
}

/* Members and limits are sorted, so the order in the file plays no part. Counting both keeps the
 * sequence of numbers from being read in two ways. What later versions add is added only where it
 * is not the default: while a cluster is upgraded, two versions give the same number to the same
 * file. */
uint64_t conf_digest(const struct conf *conf) {
    uint64_t digest = 1; /* the edition of this rule */
    add_text(&digest, conf->cluster);
    add_number(&digest, conf->reserve_percent);
    add_number(&digest, conf->session_ms);
    add_number(&digest, conf->drain_ms);
    add_number(&digest, conf->take_over_after_ms);
    add_number(&digest, conf->members);
    for (uint32_t i = 0; i < conf->members; i++) {
        add_text(&digest, conf->member[i].name);
        add_number(&digest,
                   (conf->member[i].witness ? 1u : 0u) | (conf->member[i].drained ? 2u : 0u));
    }
    add_number(&digest, conf->limits);
    for (size_t i = 0; i < conf->limits; i++) {
        const struct conf_limit *limit = &conf->limit[i];
        add_number(&digest, (uint64_t)limit->scope << 8 | (conf_observes(limit) ? 0x80u : 0u) |
                                limit->parts);
        add_number(&digest, (uint32_t)limit->limit);
        add_text(&digest, limit->binding);
        add_text(&digest, limit->domain);
        add_text(&digest, limit->host);
    }
    return digest != 0 ? digest : 1;
}

/* ---- for people ---- */

enum { SHOWN = 5 };

struct differences {
    char *out;
    size_t size, length;
    unsigned count;
};

__attribute__((format(printf, 2, 3))) static void add(struct differences *to, const char *format,
                                                      ...) {
    if (to->count++ >= SHOWN || to->length + 1 >= to->size)
        return;
    va_list args;
    va_start(args, format);
    if (to->count > 1)
        to->length += (size_t)snprintf(to->out + to->length, to->size - to->length, "%s", ", ");
    if (to->length < to->size) {
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start() is above */
        const int more = vsnprintf(to->out + to->length, to->size - to->length, format, args);
        to->length += more > 0 ? (size_t)more : 0;
    }
    va_end(args);
    if (to->length >= to->size)
        to->length = to->size - 1;
}

static void add_number_change(struct differences *to, const char *name, const char *unit,
                              uint32_t from, uint32_t now) {
    if (from != now)
        add(to, "%s %u -> %u%s", name, from, now, unit);
}

static const char *kind(const struct conf_member *member) {
    return member->witness ? "witness" : member->drained ? "drained member" : "member";
}

/* Both lists are sorted by name. */
static void compare_members(struct differences *to, const struct conf *from,
                            const struct conf *now) {
    uint32_t i = 0;
    uint32_t j = 0;
    while (i < from->members || j < now->members) {
        const struct conf_member *a = i < from->members ? &from->member[i] : NULL;
        const struct conf_member *b = j < now->members ? &now->member[j] : NULL;
        const int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(a->name, b->name);
        if (order < 0)
            add(to, "%s %s removed", kind(a), a->name);
        else if (order > 0)
            add(to, "%s %s added", kind(b), b->name);
        else if (a->witness != b->witness || a->drained != b->drained)
            add(to, "%s %s is a %s now", kind(a), a->name, kind(b));
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
}

static int order_of(const struct conf_limit *a, const struct conf_limit *b) {
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    const int bindings = strcmp(a->binding, b->binding);
    const int domains = bindings != 0 ? bindings : strcmp(a->domain, b->domain);
    return domains != 0 ? domains : strcmp(a->host, b->host);
}

static void compare_limit(struct differences *to, const struct conf_limit *a,
                          const struct conf_limit *b) {
    char text[SECTION_TEXT];
    (void)section_text(a, text);
    if (a->limit != b->limit)
        add(to, "limit of %s %d -> %d", text, (int)a->limit, (int)b->limit);
    if (conf_observes(a) != conf_observes(b))
        add(to, "limit of %s %s", text,
            conf_observes(b) ? "enforced -> only observed" : "only observed -> enforced");
    if (a->parts != b->parts)
        add(to, "count_per of %s changed", text);
}

static void compare_limits(struct differences *to, const struct conf *from,
                           const struct conf *now) {
    char text[SECTION_TEXT];
    size_t i = 0;
    size_t j = 0;
    while (i < from->limits || j < now->limits) {
        const struct conf_limit *a = i < from->limits ? &from->limit[i] : NULL;
        const struct conf_limit *b = j < now->limits ? &now->limit[j] : NULL;
        const int order = a == NULL ? 1 : b == NULL ? -1 : order_of(a, b);
        if (order < 0)
            add(to, "limit %d of %s removed", (int)a->limit, section_text(a, text));
        else if (order > 0 && b != NULL)
            add(to, "limit %d of %s added", (int)b->limit, section_text(b, text));
        else if (a == NULL || b == NULL)
            break; /* not reached: one of them is there, and the order says which */
        else
            compare_limit(to, a, b);
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
}

void conf_difference(const struct conf *from, const struct conf *now, char *out, size_t size) {
    struct differences to = {.out = out, .size = size};
    if (size == 0)
        return;
    out[0] = '\0';
    if (strcmp(from->cluster, now->cluster) != 0)
        add(&to, "name %s -> %s", from->cluster, now->cluster);
    add_number_change(&to, "reserve", "%", from->reserve_percent, now->reserve_percent);
    add_number_change(&to, "session", " ms", from->session_ms, now->session_ms);
    add_number_change(&to, "drain", " ms", from->drain_ms, now->drain_ms);
    add_number_change(&to, "take_over_after", " ms", from->take_over_after_ms,
                      now->take_over_after_ms);
    compare_members(&to, from, now);
    compare_limits(&to, from, now);
    if (to.count > SHOWN) {
        const unsigned more = to.count - SHOWN;
        to.count = SHOWN - 1; /* room for one more */
        add(&to, "and %u more", more);
    }
    if (to.length == 0)
        add(&to, "nothing");
}
