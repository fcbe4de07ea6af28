/* SPDX-License-Identifier: MIT */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

/* Where things go in the new block. */
struct writer {
    unsigned char *base;
    struct layout_header *header;
    struct layout_rule *rule;
    uint64_t *cell;
    struct layout_member *member;
    char *strings;
    uint32_t used; /* of the strings */
};

static const char *limit_name(const struct conf_limit *limit) {
    return *limit->host != '\0' ? limit->host : limit->domain;
}

static size_t strings_size(const struct conf *conf, const char *changes) {
    size_t size = strlen(conf->file) + 1 + strlen(conf->node) + 1 + strlen(changes) + 1;
    for (size_t i = 0; i < conf->limits; i++)
        size += strlen(conf->limit[i].binding) + 1 + strlen(limit_name(&conf->limit[i])) + 1;
    for (uint32_t i = 0; i < conf->members; i++)
        size += strlen(conf->member[i].name) + 1 + strlen(conf->member[i].url) + 1;
    return (size + 7) / 8 * 8;
}

static struct layout_string add_string(struct writer *writer, const char *text) {
    const struct layout_string string = {writer->used, (uint32_t)strlen(text)};
    memcpy(writer->strings + string.offset, text, string.length + 1);
    writer->used += string.length + 1;
    return string;
}

static uint64_t hash_or_none(const char *name) {
    return *name != '\0' ? hash_name(name, strlen(name)) : 0;
}

static void add_cell(struct writer *writer, uint32_t rule, uint64_t key) {
    const uint32_t mask = writer->header->cells - 1;
    uint32_t at = (uint32_t)key & mask;
    uint32_t probe = 1;
    for (; writer->cell[at] != 0; probe++)
        at = (at + 1) & mask;
    writer->cell[at] = layout_tag(key) | (rule + 1);
    if (probe > writer->header->probes)
        writer->header->probes = probe;
}

static void add_rules(struct writer *writer, const struct conf *conf) {
    for (uint32_t i = 0; i < writer->header->rules; i++) {
        const struct conf_limit *limit = &conf->limit[i];
        struct layout_rule *rule = &writer->rule[i];
        const uint32_t scope = (uint32_t)limit->scope;
        *rule = (struct layout_rule){
            .key = layout_key(scope, hash_or_none(limit->binding), hash_or_none(limit_name(limit))),
            .limit = limit->limit,
            .line = limit->line,
            .binding = add_string(writer, limit->binding),
            .name = add_string(writer, limit_name(limit)),
            .scope = scope,
            .parts = limit->parts,
            .flags = (limit->overridden ? LAYOUT_OVERRIDDEN : 0u) |
                     (limit->observed ? LAYOUT_OBSERVED : 0u),
            .base = limit->base,
            .until = limit->until,
            .ms = limit->ms,
        };
        writer->header->scopes |= 1u << scope;
        add_cell(writer, i, rule->key);
    }
}

static void add_members(struct writer *writer, const struct conf *conf) {
    for (uint32_t i = 0; i < conf->members; i++) {
        const struct conf_member *member = &conf->member[i];
        writer->member[i] = (struct layout_member){
            .hash = deal_hash(member->name, strlen(member->name)),
            .name = add_string(writer, member->name),
            .url = add_string(writer, member->url),
            .witness = member->witness || member->drained ? 1 : 0,
            .drained = member->drained ? 1 : 0,
        };
    }
}

static uint32_t cells_for(size_t rules) {
    uint32_t cells = 8;
    while (cells < rules * 2)
        cells *= 2;
    return cells;
}

static int compile(const struct conf *conf, const char *changes, void **out, size_t *size) {
    const uint32_t cells = cells_for(conf->limits);
    const size_t strings = strings_size(conf, changes);
    const size_t rules_at = sizeof(struct layout_header);
    const size_t cells_at = rules_at + conf->limits * sizeof(struct layout_rule);
    const size_t members_at = cells_at + cells * sizeof(uint64_t);
    const size_t strings_at = members_at + conf->members * sizeof(struct layout_member);
    unsigned char *base =
        strings_at + strings <= UINT32_MAX ? calloc(1, strings_at + strings) : NULL;
    if (base == NULL)
        return -1;
    struct writer writer = {
        .base = base,
        .header = (void *)base,
        .rule = (void *)(base + rules_at),
        .cell = (void *)(base + cells_at),
        .member = (void *)(base + members_at),
        .strings = (char *)base + strings_at,
    };
    *writer.header = (struct layout_header){
        .magic = LAYOUT_MAGIC,
        .digest = conf_digest(conf),
        .version = LAYOUT_VERSION,
        .size = (uint32_t)(strings_at + strings),
        .rules = (uint32_t)conf->limits,
        .cells = cells,
        .members = conf->members,
        .strings = (uint32_t)strings,
        .clustered = conf->clustered ? 1 : 0,
        .self = conf->self,
        .reserve_percent = conf->reserve_percent,
        .file = add_string(&writer, conf->file),
        .node = add_string(&writer, conf->node),
        .changes = add_string(&writer, changes),
        .flags = conf->drained ? LAYOUT_DRAINED : 0,
    };
    add_rules(&writer, conf);
    add_members(&writer, conf);
    writer.header->checksum = layout_checksum(base, writer.header->size);
    *out = base;
    *size = writer.header->size;
    return 0;
}

int ruleset_compile(const struct conf *conf, void **out, size_t *size) {
    char *changes = malloc(CONF_CHANGES_TEXT);
    if (changes == NULL)
        return -1;
    (void)conf_changes_text(&conf->changes, changes);
    const int result = compile(conf, changes, out, size);
    free(changes);
    return result;
}
