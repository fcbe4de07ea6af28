/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_READER_H
#define SLOTSHARE_CONF_READER_H
/**
 * The lines of an INI file, through inih. inih cuts section names at 49 characters, splits long
 * lines, joins indented ones, gives no line numbers and drops what it does not understand; so we
 * read each raw line first, hand it to inih one at a time, and report whatever would be lost.
 */
#include <stdint.h>
#include <stdio.h>

#include "errors.h"

/** What is found, in the order of the file. The strings are valid during the call only. */
struct reader_events {
    /** A section header as it stands in the file, from its '['; NULL: one that was reported. */
    void (*section)(void *user, uint32_t line, const char *header);
    /** An option, spaces around its name and value and comments removed. */
    void (*option)(void *user, uint32_t line, const char *name, const char *value);
};

/** Read all of `file`; what is wrong with its lines goes to `errors`. */
void reader_run(FILE *file, struct errors *errors, const struct reader_events *events, void *user);

#endif
