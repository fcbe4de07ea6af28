/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_PARSE_H
#define SLOTSHARE_CONF_PARSE_H
/**
 * Inside conf_load(): what is known of a file while it is read, and the steps that add to it.
 * Steps report to parse->errors and go on, so that one pass shows every error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "errors.h"

enum section_kind {
    SECTION_NONE = 0, /* before the first header */
    SECTION_BROKEN,   /* reported already: its options cannot be judged */
    SECTION_NODE,
    SECTION_CLUSTER,
    SECTION_DEFAULTS,
    SECTION_SCOPE,
    SECTION_GROUP,
    SECTION_CHANGES, /* this one and the next only in what conf_changes_text() has written */
    SECTION_OVERRIDE,
};

/** A section header, understood. */
struct section {
    enum section_kind kind;
    enum slotshare_scope scope; /**< of SECTION_SCOPE and SECTION_OVERRIDE */
    bool named;                 /**< its names are in order; if not, that was reported */
    char binding[SLOTSHARE_BINDING_MAX + 1]; /**< or the group's name */
    char name[SLOTSHARE_DOMAIN_MAX + 1];     /**< domain or host */
};

/** A stanza of a scope, whether it sets the option or not. */
struct stanza {
    struct conf_limit limit; /**< line 0: does not set the option */
    uint32_t line;           /**< of the header */
    uint32_t count_per_line; /**< 0: not set */
    uint32_t enforce_line;   /**< 0: not set */
    bool named;              /**< its names are in order */
};

/** A binding_group. */
struct group {
    char name[SLOTSHARE_BINDING_MAX + 1]; /**< "": one that was reported */
    uint32_t line;
    bool filled; /**< it has the option bindings */
};

/** A binding in a binding_group. */
struct grouped {
    char binding[SLOTSHARE_BINDING_MAX + 1];
    char group[SLOTSHARE_BINDING_MAX + 1];
    uint32_t line;
};

/** Where the single sections and those options stand that are checked against others; 0: not. */
struct parse_lines {
    uint32_t node, cluster, defaults;
    uint32_t name, counters_max, owners, slots, listen, reserve, insecure;
};

enum { PARSE_OPTIONS_MAX = 40 };

struct parse {
    struct errors errors;
    struct conf *conf;
    const char *as_node;              /**< this node's name in any case; NULL: as [node] says */
    bool absent;                      /**< this node need not be a member */
    bool plain;                       /**< tls = off */
    bool insecure;                    /**< insecure = yes */
    bool stored;                      /**< sections of changes may stand there */
    bool observe;                     /**< [defaults] says enforce = no */
    struct section section;           /**< the one being read */
    uint32_t seen[PARSE_OPTIONS_MAX]; /**< lines of the options of this section */
    struct parse_lines lines;
    struct stanza *stanza;
    size_t stanzas, stanza_capacity;
    struct grouped *grouped;
    size_t groupeds, grouped_capacity;
    struct group *group;
    size_t groups, group_capacity;
};

/** A configuration that says nothing yet: the defaults. @return NULL: memory is out. */
struct conf *conf_new(const char *path);

/** Understand a header such as [binding "bulk" domain "yahoo.com"]. */
void section_parse(struct parse *parse, uint32_t line, const char *header, struct section *out);

/** What a scope counts unless count_per says otherwise: enum conf_part bits. */
uint8_t parse_parts(enum slotshare_scope scope);

/** How a scope's section is written, for messages; at least SECTION_TEXT bytes at out. */
enum { SECTION_TEXT = CONF_SECTION_TEXT };
const char *section_text(const struct conf_limit *limit, char *out);

/** One option of the current section. */
void option_parse(struct parse *parse, uint32_t line, const char *name, const char *value);

/** What can only be seen in the file as a whole: [node] and [cluster]. */
void check_cluster(struct parse *parse);

/** The same for scopes and groups; moves the limits to parse->conf. */
void check_limits(struct parse *parse);

/** Make room for one more in a growing array. @return the array; NULL (and the error noted) when
 * memory is out, then the old one stays. */
void *parse_grow(struct parse *parse, void *array, size_t count, size_t *capacity, size_t size);

/** Report a binding's, domain's or host's name that name_binding() or name_domain() refused. */
void parse_bad_name(struct parse *parse, uint32_t line, const char *what, const char *name,
                    size_t max);

#endif
