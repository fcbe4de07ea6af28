/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_OPTIONS_H
#define SLOTSHARE_CONF_OPTIONS_H
/** One option where it stands: what options.c, which knows them all, and options_limit.c share. */
#include "parse.h"

struct option;

struct setting {
    struct parse *parse;
    const struct option *option;
    uint32_t line;
    const char *argument; /**< the word after the option's name, of those that have one */
    const char *value;    /**< never empty */
};

struct option {
    const char *name;
    enum section_kind section;
    void (*set)(const struct setting *setting);
    bool argument; /**< "member NAME = ..." */
    bool repeats;  /**< may stand in its section more than once */
};

/** Reports the option's value, and what to do about it. */
void option_wrong(const struct setting *setting, const char *what_to_do);
/** *out: whether the value is `yes`. @return false: it is neither of the two words. */
bool option_word(const struct setting *setting, const char *yes, const char *no, bool *out);

/* ---- options_limit.c: each takes its value, or reports what is wrong with it ---- */

void option_set_limit(const struct setting *setting);
void option_set_count_per(const struct setting *setting);
void option_set_enforce(const struct setting *setting);
void option_set_enforce_all(const struct setting *setting);
void option_set_bindings(const struct setting *setting);
void option_set_version(const struct setting *setting);
void option_set_author(const struct setting *setting);
void option_set_drained(const struct setting *setting);
void option_set_override_limit(const struct setting *setting);
void option_set_override_until(const struct setting *setting);
void option_set_override_ms(const struct setting *setting);

#endif
