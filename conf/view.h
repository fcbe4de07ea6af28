/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_VIEW_H
#define SLOTSHARE_CONF_VIEW_H
/**
 * The parts of a rule set, found and bounds-checked. Numbers are read by relaxed atomic loads, once
 * each, so that what was checked is what is used even when the block is overwritten meanwhile.
 */
#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct view {
    const struct layout_header *header;
    const struct layout_rule *rule;
    const uint64_t *cell;
    const struct layout_member *member;
    const char *string;
    uint32_t rules, cells, members, strings, probes;
};

static inline uint32_t load32(const uint32_t *from) {
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static inline uint64_t load64(const uint64_t *from) {
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

/** @return false: not a rule set, or its parts do not lie within it. */
static inline bool view_open(const struct ruleset *rules, struct view *out) {
    const struct layout_header *header = rules->base;
    if (header == NULL || (uintptr_t)header % 8 != 0 || rules->size < sizeof *header ||
        load64(&header->magic) != LAYOUT_MAGIC || load32(&header->version) != LAYOUT_VERSION)
        return false;
    out->header = header;
    out->rules = load32(&header->rules);
    out->cells = load32(&header->cells);
    out->members = load32(&header->members);
    out->strings = load32(&header->strings);
    out->probes = load32(&header->probes);
    const uint64_t cells_at = sizeof *header + out->rules * (uint64_t)sizeof *out->rule;
    const uint64_t members_at = cells_at + out->cells * (uint64_t)sizeof *out->cell;
    const uint64_t strings_at = members_at + out->members * (uint64_t)sizeof *out->member;
    const unsigned char *base = rules->base;
    if (strings_at + out->strings > rules->size || out->cells == 0 ||
        (out->cells & (out->cells - 1)) != 0 || out->probes > out->cells ||
        out->members > CONF_MEMBERS_MAX)
        return false;
    out->rule = (const void *)(base + sizeof *header);
    out->cell = (const void *)(base + cells_at);
    out->member = (const void *)(base + members_at);
    out->string = (const char *)base + strings_at;
    return true;
}

/** A string of the block, or NULL when it does not lie in the block with a NUL behind it. */
static inline const char *view_string(const struct view *view, const struct layout_string *string,
                                      uint32_t *length) {
    const uint32_t offset = load32(&string->offset);
    *length = load32(&string->length);
    if ((uint64_t)offset + *length >= view->strings || view->string[offset + *length] != '\0')
        return NULL;
    return view->string + offset;
}

#endif
