/* SPDX-License-Identifier: MIT */
/* What the options of limits say, in files and in changes to them. */
#include "options.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "name.h"
#include "value.h"

static struct stanza *current_stanza(const struct setting *setting) {
    return &setting->parse->stanza[setting->parse->stanzas - 1];
}

void option_set_limit(const struct setting *setting) {
    int64_t value = 0;
    struct stanza *stanza = current_stanza(setting);
    if (value_number(setting->value, -1, CONF_LIMIT_MAX, &value)) {
        stanza->limit.limit = (int32_t)value;
    } else {
        char what_to_do[96];
        (void)snprintf(what_to_do, sizeof what_to_do,
                       "write -1 (unlimited), 0 (closed) or a number up to %d", CONF_LIMIT_MAX);
        option_wrong(setting, what_to_do);
    }
    stanza->limit.line = setting->line;
}

static uint8_t part_of(const char *word, size_t length) {
    if (length == 7 && strncasecmp(word, "binding", length) == 0)
        return CONF_PART_BINDING;
    if (length == 6 && strncasecmp(word, "domain", length) == 0)
        return CONF_PART_DOMAIN;
    return 0;
}

void option_set_count_per(const struct setting *setting) {
    struct stanza *stanza = current_stanza(setting);
    const uint8_t least = stanza->limit.parts; /* what the scope itself names */
    stanza->count_per_line = setting->line;
    if (stanza->limit.scope < SLOTSHARE_SCOPE_BINDING) {
        option_wrong(setting,
                     "only [binding], [domain] and [global] can be counted in another way; "
                     "remove it here");
        return;
    }
    uint8_t parts = 0;
    bool known = true;
    for (const char *at = setting->value; *at != '\0'; at += strspn(at, " \t")) {
        const size_t length = strcspn(at, " \t");
        const uint8_t part = part_of(at, length);
        known = known && part != 0;
        parts |= part;
        at += length;
    }
    if (known && (parts & least) == least)
        stanza->limit.parts = parts;
    else
        option_wrong(setting, least == CONF_PART_BINDING
                                  ? "write \"binding\" or \"binding domain\" here"
                                  : "write \"domain\" or \"binding domain\" here");
}

void option_set_enforce(const struct setting *setting) {
    struct stanza *stanza = current_stanza(setting);
    bool enforce = true;
    stanza->enforce_line = setting->line;
    if (!option_word(setting, "yes", "no", &enforce))
        option_wrong(setting, "write yes, or no to only count what would be refused");
    stanza->limit.observed = !enforce;
}

void option_set_enforce_all(const struct setting *setting) {
    bool enforce = true;
    if (!option_word(setting, "yes", "no", &enforce))
        option_wrong(setting, "write yes, or no to only count what would be refused");
    setting->parse->observe = !enforce;
}

void option_set_bindings(const struct setting *setting) {
    struct parse *parse = setting->parse;
    parse->group[parse->groups - 1].filled = true;
    for (const char *at = setting->value; *at != '\0'; at += strspn(at, " \t")) {
        const size_t length = strcspn(at, " \t");
        char name[256];
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        at += length;
        struct grouped *grouped = parse_grow(parse, parse->grouped, parse->groupeds,
                                             &parse->grouped_capacity, sizeof *grouped);
        if (grouped == NULL)
            return;
        parse->grouped = grouped;
        grouped = &grouped[parse->groupeds];
        *grouped = (struct grouped){.line = setting->line};
        memcpy(grouped->group, parse->section.binding, sizeof grouped->group);
        if (name_binding(name, grouped->binding, SLOTSHARE_BINDING_MAX) > 0)
            parse->groupeds++;
        else
            parse_bad_name(parse, setting->line, "binding", name, SLOTSHARE_BINDING_MAX);
    }
}

/* ---- what conf_changes_text() has written ---- */

static uint64_t whole_number(const struct setting *setting) {
    int64_t value = 0;
    if (!value_number(setting->value, 0, INT64_C(1000000000000000), &value))
        option_wrong(setting, "write a number");
    return (uint64_t)value;
}

void option_set_version(const struct setting *setting) {
    setting->parse->conf->changes.version = whole_number(setting);
}

void option_set_author(const struct setting *setting) {
    struct conf_changes *changes = &setting->parse->conf->changes;
    if (name_binding(setting->value, changes->author, SLOTSHARE_BINDING_MAX) < 0)
        changes->author[0] = '\0';
}

void option_set_drained(const struct setting *setting) {
    struct conf_changes *changes = &setting->parse->conf->changes;
    if (changes->drains == CONF_MEMBERS_MAX)
        option_wrong(setting, "one node too many");
    else if (name_binding(setting->value, changes->drain[changes->drains], SLOTSHARE_BINDING_MAX) <=
             0)
        parse_bad_name(setting->parse, setting->line, "node", setting->value,
                       SLOTSHARE_BINDING_MAX);
    else
        changes->drains++;
}

static struct conf_override *current_override(const struct setting *setting) {
    struct conf_changes *changes = &setting->parse->conf->changes;
    return &changes->override[changes->overrides - 1];
}

void option_set_override_limit(const struct setting *setting) {
    int64_t value = 0;
    if (!value_number(setting->value, -1, CONF_LIMIT_MAX, &value))
        option_wrong(setting, "write a limit");
    current_override(setting)->limit = (int32_t)value;
}

void option_set_override_until(const struct setting *setting) {
    current_override(setting)->until = whole_number(setting);
}

void option_set_override_ms(const struct setting *setting) {
    current_override(setting)->ms = whole_number(setting);
}
