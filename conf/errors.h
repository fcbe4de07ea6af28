/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_ERRORS_H
#define SLOTSHARE_CONF_ERRORS_H
/** Collects what is wrong with one file while it is read. Not thread-safe on one object. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"

enum { ERRORS_MAX = 1000 }; /* more than that, and it is not a configuration file */

struct error_item;

struct errors {
    const char *file; /**< its path; must live as long as this */
    struct error_item *item;
    size_t count, capacity;
    bool cut;       /**< there were more than ERRORS_MAX */
    bool no_memory; /**< something could not be allocated: the outcome is an error in any case */
};

/** Add one. line 0: of the file as a whole. Both texts are copied. */
__attribute__((format(printf, 3, 4))) void errors_add(struct errors *errors, uint32_t line,
                                                      const char *format, ...);

/** Any yet? */
bool errors_any(const struct errors *errors);

/** Hand all over, sorted by line, and empty the collection. When memory is out, out->count may
 * be 0 although there were errors. */
void errors_finish(struct errors *errors, struct conf_errors *out);

#endif
