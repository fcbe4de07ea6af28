/* SPDX-License-Identifier: MIT */
#include "parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "name.h"

static const char sections[] =
    "the sections are [node], [cluster], [defaults], [global], [binding \"B\"], [domain \"D\"], "
    "[host \"H\"], "
    "[binding \"B\" domain \"D\"], [binding \"B\" host \"H\"] and [binding_group \"G\"]";

/* A header in pieces: up to two keywords, each with a name. */
struct piece {
    char keyword[16];
    char name[1024];
    bool named;
};
struct header {
    struct piece piece[2];
    int pieces;
    const char *wrong; /* NULL: it could be taken apart */
};

static const char *skip(const char *at) {
    return at + strspn(at, " \t");
}

/* keyword, or keyword "name" */
static const char *take_piece(const char *at, struct header *header) {
    struct piece *piece = &header->piece[header->pieces++];
    const size_t length = strcspn(at, " \t\"]");
    (void)snprintf(piece->keyword, sizeof piece->keyword, "%.*s", (int)length, at);
    if (length == 0 || length >= sizeof piece->keyword)
        (void)snprintf(piece->keyword, sizeof piece->keyword, "?");
    at = skip(at + length);
    if (*at != '"')
        return at;
    const size_t name = strcspn(++at, "\"");
    if (at[name] == '\0') {
        header->wrong = "the quote that ends the name is missing";
        return at;
    }
    (void)snprintf(piece->name, sizeof piece->name, "%.*s", (int)name, at);
    piece->named = true;
    return skip(at + name + 1);
}

static void take_apart(const char *text, struct header *header) {
    *header = (struct header){.pieces = 0};
    const char *at = skip(text + 1);
    at = take_piece(at, header);
    if (header->wrong == NULL && header->piece[0].named && *at != ']' && *at != '\0')
        at = take_piece(at, header);
    if (header->wrong != NULL)
        return;
    if (*at == '\0') {
        header->wrong = "the ']' at its end is missing";
    } else if (*at != ']') {
        header->wrong = header->piece[header->pieces - 1].named
                            ? "after the name there may only stand ']'"
                            : "names stand in quotes: [host \"mx.example.net\"]";
    } else {
        at = skip(at + 1);
        if (*at != '\0' && *at != ';' && *at != '#')
            header->wrong = "there is text behind its ']': options go on lines of their own";
    }
}

void parse_bad_name(struct parse *parse, uint32_t line, const char *what, const char *name,
                    size_t max) {
    if (*name == '\0')
        errors_add(&parse->errors, line, "the %s has no name: write one", what);
    else if (strlen(name) > max)
        errors_add(&parse->errors, line, "the name of the %s is longer than %zu characters: \"%s\"",
                   what, max, name);
    else
        errors_add(&parse->errors, line,
                   "\"%s\" is not the name of a %s: names hold no space, quote, comma or control "
                   "character",
                   name, what);
}

static void take_binding(struct parse *parse, uint32_t line, const char *what,
                         const struct piece *piece, struct section *out) {
    if (name_binding(piece->name, out->binding, SLOTSHARE_BINDING_MAX) <= 0) {
        parse_bad_name(parse, line, what, piece->name, SLOTSHARE_BINDING_MAX);
        out->binding[0] = '\0';
        out->named = false;
    }
}

static void take_name(struct parse *parse, uint32_t line, const struct piece *piece,
                      struct section *out) {
    if (name_domain(piece->name, out->name, SLOTSHARE_DOMAIN_MAX) <= 0) {
        const bool host = strcasecmp(piece->keyword, "host") == 0;
        parse_bad_name(parse, line, host ? "host" : "domain", piece->name, SLOTSHARE_DOMAIN_MAX);
        out->named = false;
    }
}

/* Every form a header can have. */
static const struct form {
    const char *keyword[2]; /* the second may be NULL */
    bool named;
    enum section_kind kind;
    enum slotshare_scope scope;
} forms[] = {
    {{"node", NULL}, false, SECTION_NODE, SLOTSHARE_SCOPE_NONE},
    {{"cluster", NULL}, false, SECTION_CLUSTER, SLOTSHARE_SCOPE_NONE},
    {{"defaults", NULL}, false, SECTION_DEFAULTS, SLOTSHARE_SCOPE_NONE},
    {{"global", NULL}, false, SECTION_SCOPE, SLOTSHARE_SCOPE_GLOBAL},
    {{"binding", NULL}, true, SECTION_SCOPE, SLOTSHARE_SCOPE_BINDING},
    {{"domain", NULL}, true, SECTION_SCOPE, SLOTSHARE_SCOPE_DOMAIN},
    {{"host", NULL}, true, SECTION_SCOPE, SLOTSHARE_SCOPE_HOST},
    {{"binding", "domain"}, true, SECTION_SCOPE, SLOTSHARE_SCOPE_BINDING_DOMAIN},
    {{"binding", "host"}, true, SECTION_SCOPE, SLOTSHARE_SCOPE_BINDING_HOST},
    {{"binding_group", NULL}, true, SECTION_GROUP, SLOTSHARE_SCOPE_NONE},
    {{"changes", NULL}, false, SECTION_CHANGES, SLOTSHARE_SCOPE_NONE},
};

/* What stands behind "[override ", of those sections that do not come from a file; else NULL. */
static const char *overrides(const struct parse *parse, const char *text) {
    static const char prefix[] = "[override ";
    enum { LENGTH = sizeof prefix - 1 };
    /* Its last character takes the place of a '['. */
    return parse->stored && strncmp(text, prefix, LENGTH) == 0 ? text + LENGTH - 1 : NULL;
}

static const struct form *find_form(const struct header *header) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *form = &forms[i];
        const int pieces = form->keyword[1] != NULL ? 2 : 1;
        if (pieces == header->pieces &&
            strcasecmp(form->keyword[0], header->piece[0].keyword) == 0 &&
            (pieces == 1 || strcasecmp(form->keyword[1], header->piece[1].keyword) == 0))
            return form;
    }
    return NULL;
}

static void take_names(struct parse *parse, uint32_t line, const struct header *header,
                       struct section *out) {
    const struct piece *first = &header->piece[0];
    if (out->kind == SECTION_GROUP)
        take_binding(parse, line, "binding_group", first, out);
    else if (strcasecmp(first->keyword, "binding") == 0)
        take_binding(parse, line, "binding", first, out);
    else
        take_name(parse, line, first, out);
    if (header->pieces == 2)
        take_name(parse, line, &header->piece[1], out);
}

void section_parse(struct parse *parse, uint32_t line, const char *text, struct section *out) {
    struct header header;
    *out = (struct section){.kind = SECTION_BROKEN, .named = true};
    const char *inner = overrides(parse, text);
    take_apart(inner != NULL ? inner : text, &header);
    const struct form *form = find_form(&header);
    if (form == NULL || (form->kind == SECTION_CHANGES && !parse->stored) ||
        (inner != NULL && form->kind != SECTION_SCOPE)) {
        errors_add(&parse->errors, line, "unknown section %s: %s", text, sections);
        return;
    }
    if (header.wrong != NULL) {
        errors_add(&parse->errors, line, "section %s: %s", text, header.wrong);
        return;
    }
    const struct piece *last = &header.piece[header.pieces - 1];
    if (form->named != header.piece[0].named || form->named != last->named) {
        errors_add(&parse->errors, line, "section %s: %s; %s", text,
                   form->named ? "a name is missing" : "it has no name", sections);
        return;
    }
    out->kind = inner != NULL ? SECTION_OVERRIDE : form->kind;
    out->scope = form->scope;
    if (form->named)
        take_names(parse, line, &header, out);
}

const char *section_text(const struct conf_limit *limit, char *out) {
    const bool binding = *limit->binding != '\0';
    const bool host = *limit->host != '\0';
    const bool name = host || *limit->domain != '\0';
    if (!binding && !name)
        (void)snprintf(out, SECTION_TEXT, "[global]");
    else if (!name)
        (void)snprintf(out, SECTION_TEXT, "[binding \"%s\"]", limit->binding);
    else
        (void)snprintf(out, SECTION_TEXT, "[%s%s%s%s \"%s\"]", binding ? "binding \"" : "",
                       limit->binding, binding ? "\" " : "", host ? "host" : "domain",
                       host ? limit->host : limit->domain);
    return out;
}
