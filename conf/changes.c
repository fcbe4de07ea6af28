/* SPDX-License-Identifier: MIT */
/* What operators change without the file: overrides of limits, and nodes that are drained. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* A stanza as the override would be one. */
static struct conf_limit stanza_of(const struct conf_override *override) {
    struct conf_limit limit = {
        .scope = override->scope, .limit = override->limit, .parts = parse_parts(override->scope)};
    bool host = override->scope <= SLOTSHARE_SCOPE_HOST;
    memcpy(limit.binding, override->binding, sizeof limit.binding);
    memcpy(host ? limit.host : limit.domain, override->name, sizeof override->name);
    limit.overridden = true;
    limit.base = SLOTSHARE_UNLIMITED;
    limit.until = override->until;
    limit.ms = override->ms;
    return limit;
}

static int order_of(const void *left, const void *right) {
    const struct conf_limit *a = left;
    const struct conf_limit *b = right;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    const int bindings = strcmp(a->binding, b->binding);
    const int domains = bindings != 0 ? bindings : strcmp(a->domain, b->domain);
    return domains != 0 ? domains : strcmp(a->host, b->host);
}

const char *conf_override_problem(const struct conf *conf, const struct conf_override *override) {
    if (conf->clustered && !conf->replicate_domains && override->scope > SLOTSHARE_SCOPE_HOST)
        return "a limit outside the host scopes needs \"replicate = outbound_domains\" in "
               "[cluster]";
    return NULL;
}

static void apply_override(struct conf *conf, const struct conf_override *override) {
    const struct conf_limit new = stanza_of(override);
    size_t at = 0;
    while (at < conf->limits && order_of(&conf->limit[at], &new) < 0)
        at++;
    struct conf_limit *limit = &conf->limit[at];
    if (at < conf->limits && order_of(limit, &new) == 0) {
        /* counted as the file says */
        limit->base = limit->overridden ? limit->base : limit->limit;
        limit->limit = new.limit;
        limit->overridden = true;
        limit->until = new.until;
        limit->ms = new.ms;
        return;
    }
    memmove(limit + 1, limit, (conf->limits - at) * sizeof *limit);
    *limit = new;
    conf->limits++;
}

static bool is_drained(const struct conf_changes *changes, const char *name) {
    for (uint32_t i = 0; i < changes->drains; i++) {
        if (strcmp(changes->drain[i], name) == 0)
            return true;
    }
    return false;
}

/* Some node must hold slots: with nobody to hold them there would be nothing to deal. */
static void apply_drains(struct conf *conf) {
    uint32_t left = 0;
    if (!conf->clustered) {
        conf->drained = is_drained(&conf->changes, conf->node);
        return;
    }
    for (uint32_t i = 0; i < conf->members; i++)
        left += !conf->member[i].witness && !is_drained(&conf->changes, conf->member[i].name);
    for (uint32_t i = 0; left > 0 && i < conf->members; i++) {
        struct conf_member *member = &conf->member[i];
        member->drained = !member->witness && is_drained(&conf->changes, member->name);
        conf->drained = conf->drained || (member->drained && i == conf->self);
    }
}

int conf_changes_apply(struct conf *conf) {
    const struct conf_changes *changes = &conf->changes;
    if (changes->overrides > 0) {
        struct conf_limit *grown =
            reallocarray(conf->limit, conf->limits + changes->overrides, sizeof *grown);
        if (grown == NULL)
            return -1;
        conf->limit = grown;
    }
    for (uint32_t i = 0; i < changes->overrides; i++) {
        if (conf_override_problem(conf, &changes->override[i]) == NULL)
            apply_override(conf, &changes->override[i]);
    }
    apply_drains(conf);
    return 0;
}

struct conf_override *conf_override_find(struct conf_changes *changes,
                                         const struct conf_override *like) {
    for (uint32_t i = 0; i < changes->overrides; i++) {
        struct conf_override *override = &changes->override[i];
        if (override->scope == like->scope && strcmp(override->binding, like->binding) == 0 &&
            strcmp(override->name, like->name) == 0)
            return override;
    }
    return NULL;
}

void conf_override_section(const struct conf_override *override, char *out) {
    const struct conf_limit limit = stanza_of(override);
    (void)section_text(&limit, out);
}

bool conf_changes_newer(const struct conf_changes *a, const struct conf_changes *b) {
    return a->version != b->version ? a->version > b->version : strcmp(a->author, b->author) > 0;
}

/* ---- as text ---- */

size_t conf_changes_text(const struct conf_changes *changes, char *out) {
    /* An override takes at most CONF_SECTION_TEXT and some 80 bytes, a drained node 140. */
    _Static_assert(CONF_OVERRIDES_MAX * (CONF_SECTION_TEXT + 80) + 256 <= CONF_CHANGES_TEXT - 12288,
                   "the overrides fit");
    size_t used = 0;
    out[0] = '\0';
    if (changes->version == 0)
        return 0;
    used += (size_t)snprintf(out, CONF_CHANGES_TEXT, "[changes]\nversion = %" PRIu64 "\n",
                             changes->version);
    if (*changes->author != '\0')
        used += (size_t)snprintf(out + used, CONF_CHANGES_TEXT - used, "author = %s\n",
                                 changes->author);
    for (uint32_t i = 0; i < changes->drains; i++)
        used += (size_t)snprintf(out + used, CONF_CHANGES_TEXT - used, "drained = %s\n",
                                 changes->drain[i]);
    for (uint32_t i = 0; i < changes->overrides; i++) {
        const struct conf_override *override = &changes->override[i];
        char section[CONF_SECTION_TEXT];
        conf_override_section(override, section);
        used +=
            (size_t)snprintf(out + used, CONF_CHANGES_TEXT - used,
                             "[override %s\nlimit = %d\nuntil = %" PRIu64 "\nms = %" PRIu64 "\n",
                             section + 1, (int) override->limit, override->until, override->ms);
    }
    return used;
}
