/* SPDX-License-Identifier: MIT */
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "name.h"
#include "parse.h"
#include "reader.h"

void *parse_grow(struct parse *parse, void *array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return array;
    const size_t larger = *capacity * 2 + 16;
    void *grown = reallocarray(array, larger, size);
    if (grown == NULL)
        parse->errors.no_memory = true;
    else
        *capacity = larger;
    return grown;
}

/* What a scope counts unless count_per says otherwise: what the stanza names; of [global] each
 * domain. */
uint8_t parse_parts(enum slotshare_scope scope) {
    switch (scope) {
    case SLOTSHARE_SCOPE_BINDING_HOST:
        return CONF_PART_BINDING | CONF_PART_HOST;
    case SLOTSHARE_SCOPE_HOST:
        return CONF_PART_HOST;
    case SLOTSHARE_SCOPE_BINDING_DOMAIN:
        return CONF_PART_BINDING | CONF_PART_DOMAIN;
    case SLOTSHARE_SCOPE_BINDING:
        return CONF_PART_BINDING;
    default:
        return CONF_PART_DOMAIN;
    }
}

static bool add_stanza(struct parse *parse, uint32_t line) {
    const struct section *section = &parse->section;
    struct stanza *stanza =
        parse_grow(parse, parse->stanza, parse->stanzas, &parse->stanza_capacity, sizeof *stanza);
    if (stanza == NULL)
        return false;
    parse->stanza = stanza;
    stanza = &stanza[parse->stanzas++];
    *stanza = (struct stanza){.line = line, .named = section->named};
    struct conf_limit *limit = &stanza->limit;
    const bool host = section->scope <= SLOTSHARE_SCOPE_HOST;
    limit->scope = section->scope;
    limit->parts = parse_parts(section->scope);
    memcpy(limit->binding, section->binding, sizeof limit->binding);
    memcpy(host ? limit->host : limit->domain, section->name, sizeof section->name);
    return true;
}

static bool add_override(struct parse *parse, uint32_t line) {
    const struct section *section = &parse->section;
    struct conf_changes *changes = &parse->conf->changes;
    struct conf_override override = {.scope = section->scope};
    memcpy(override.binding, section->binding, sizeof override.binding);
    memcpy(override.name, section->name, sizeof override.name);
    if (changes->overrides < CONF_OVERRIDES_MAX && conf_override_find(changes, &override) == NULL) {
        changes->override[changes->overrides++] = override;
        return true;
    }
    errors_add(&parse->errors, line, "more than %d overrides, or the same twice",
               CONF_OVERRIDES_MAX);
    return false;
}

static bool add_group(struct parse *parse, uint32_t line) {
    struct group *group =
        parse_grow(parse, parse->group, parse->groups, &parse->group_capacity, sizeof *group);
    if (group == NULL)
        return false;
    parse->group = group;
    group = &group[parse->groups++];
    *group = (struct group){.line = line};
    memcpy(group->name, parse->section.binding, sizeof group->name);
    return true;
}

/* A section that there can be only one of. */
static void single(struct parse *parse, uint32_t line, const char *name, uint32_t *first) {
    if (*first != 0)
        errors_add(&parse->errors, line, "[%s] stands here twice, first in line %u: merge them",
                   name, *first);
    else
        *first = line;
}

static void on_section(void *user, uint32_t line, const char *header) {
    struct parse *parse = user;
    parse->section = (struct section){.kind = SECTION_BROKEN};
    memset(parse->seen, 0, sizeof parse->seen);
    if (header != NULL)
        section_parse(parse, line, header, &parse->section);
    bool whole = true;
    switch (parse->section.kind) {
    case SECTION_NODE:
        single(parse, line, "node", &parse->lines.node);
        break;
    case SECTION_CLUSTER:
        single(parse, line, "cluster", &parse->lines.cluster);
        parse->conf->clustered = true;
        break;
    case SECTION_DEFAULTS:
        single(parse, line, "defaults", &parse->lines.defaults);
        break;
    case SECTION_SCOPE:
        whole = add_stanza(parse, line);
        break;
    case SECTION_GROUP:
        whole = add_group(parse, line);
        break;
    case SECTION_OVERRIDE:
        whole = add_override(parse, line);
        break;
    default:
        break;
    }
    if (!whole)
        parse->section.kind = SECTION_BROKEN;
}

static void on_option(void *user, uint32_t line, const char *name, const char *value) {
    option_parse(user, line, name, value);
}

static void default_node(struct parse *parse) {
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    host[strcspn(host, ".")] = '\0';
    if (name_binding(host, parse->conf->node, SLOTSHARE_BINDING_MAX) > 0)
        return;
    parse->conf->node[0] = '\0';
    errors_add(&parse->errors, 0,
               "this host's name (\"%s\") cannot be the node's name: write name = in [node]", host);
}

struct conf *conf_new(const char *path) {
    struct conf *conf = calloc(1, sizeof *conf);
    if (conf == NULL)
        return NULL;
    conf->file = strdup(path);
    conf->state = strdup("/var/lib/slotshare");
    if (conf->file == NULL || conf->state == NULL) {
        conf_free(conf);
        return NULL;
    }
    (void)snprintf(conf->segment, sizeof conf->segment, "slotshare");
    (void)snprintf(conf->cluster, sizeof conf->cluster, "slotshare");
    conf->log_level = 3;
    conf->counters = 65536;
    conf->owners = 1024;
    conf->slots = 65536;
    conf->session_ms = 6000;
    conf->drain_ms = 30000;
    return conf;
}

static void read_all(struct parse *parse, FILE *file) {
    static const struct reader_events events = {on_section, on_option};
    reader_run(file, &parse->errors, &events, parse);
    if (parse->as_node != NULL) {
        if (name_binding(parse->as_node, parse->conf->node, SLOTSHARE_BINDING_MAX) <= 0)
            parse->conf->node[0] = '\0';
    } else if (parse->lines.name == 0) {
        default_node(parse);
    }
    check_cluster(parse);
    check_limits(parse);
    if (!errors_any(&parse->errors) && conf_changes_apply(parse->conf) != 0)
        parse->errors.no_memory = true;
}

static void parse_free(struct parse *parse) {
    free(parse->stanza);
    free(parse->grouped);
    free(parse->group);
    free(parse);
}

/* What may be there: only what a file has; the same without this node among the members; changes
 * besides. */
enum kind { KIND_FILE, KIND_TEXT, KIND_STORED };

/* file: NULL, with errno, when there is none to read. */
static int load(const char *path, FILE *file, const char *node, enum kind kind, struct conf **out,
                struct conf_errors *errors) {
    const int why = errno;
    *out = NULL;
    struct parse *parse = calloc(1, sizeof *parse);
    if (parse == NULL) {
        *errors = (struct conf_errors){NULL, 0};
        return -1;
    }
    parse->errors.file = path;
    parse->as_node = node;
    parse->absent = kind != KIND_FILE;
    parse->stored = kind == KIND_STORED;
    parse->conf = conf_new(path);
    if (parse->conf == NULL)
        parse->errors.no_memory = true;
    else if (file == NULL)
        errors_add(&parse->errors, 0,
                   "cannot be opened: %s; name a file that is there and that this user may read",
                   strerror(why));
    else
        read_all(parse, file);
    const bool failed = errors_any(&parse->errors);
    errors_finish(&parse->errors, errors);
    if (failed)
        conf_free(parse->conf);
    else
        *out = parse->conf;
    parse_free(parse);
    return failed ? -1 : 0;
}

int conf_load(const char *path, struct conf **out, struct conf_errors *errors) {
    FILE *file = fopen(path, "re");
    const int result = load(path, file, NULL, KIND_FILE, out, errors);
    if (file != NULL)
        (void)fclose(file);
    return result;
}

static FILE *open_text(const char *text, size_t size) {
    static char empty[] = "\n";
    union {
        const char *in;
        void *out;
    } const bytes = {.in =
                         text}; /* fmemopen() takes what it may write to; with "r" it never does */
    return size > 0 ? fmemopen(bytes.out, size, "r") : fmemopen(empty, 1, "r");
}

static int load_text(const char *path, const char *text, size_t size, const char *node,
                     enum kind kind, struct conf **out, struct conf_errors *errors) {
    FILE *file = open_text(text, size);
    const int result = load(path, file, node, kind, out, errors);
    if (file != NULL)
        (void)fclose(file);
    return result;
}

int conf_load_text(const char *path, const char *text, size_t size, const char *node,
                   struct conf **out, struct conf_errors *errors) {
    return load_text(path, text, size, node, KIND_TEXT, out, errors);
}

int conf_load_stored(const char *path, const char *text, size_t size, const char *node,
                     struct conf **out, struct conf_errors *errors) {
    return load_text(path, text, size, node, KIND_STORED, out, errors);
}

int conf_changes_parse(const char *text, size_t size, struct conf_changes *out) {
    static const struct reader_events events = {on_section, on_option};
    struct parse *parse = calloc(1, sizeof *parse);
    struct conf_errors errors;
    FILE *file = open_text(text, size);
    bool good = false;
    memset(out, 0, sizeof *out);
    if (parse != NULL && file != NULL) {
        parse->errors.file = "changes";
        parse->stored = true;
        parse->conf = conf_new("changes");
        if (parse->conf != NULL) {
            reader_run(file, &parse->errors, &events, parse);
            good = !errors_any(&parse->errors);
            if (good)
                *out = parse->conf->changes;
        }
        errors_finish(&parse->errors, &errors);
        conf_errors_free(&errors);
        conf_free(parse->conf);
    }
    if (file != NULL)
        (void)fclose(file);
    if (parse != NULL)
        parse_free(parse);
    return good ? 0 : -1;
}

void conf_free(struct conf *conf) {
    if (conf == NULL)
        return;
    free(conf->file);
    free(conf->directory);
    free(conf->state);
    free(conf->certificate);
    free(conf->key);
    free(conf->ca);
    free(conf->limit);
    free(conf);
}
