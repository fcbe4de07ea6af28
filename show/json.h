/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_JSON_H
#define SLOTSHARE_SHOW_JSON_H
/**
 * A snapshot for programs: one JSON object. The fields are the columns of view.h. Thread-safe.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "snapshot.h"
#include "view.h"

enum { JSON_FORMAT = 1 /**< counts up when a field changes its meaning */ };

/** @return a new object, the caller's; NULL: no memory */
json_t *json_of(const struct snapshot *snapshot);

/** The rows of one view. @return a new array, the caller's; NULL: no memory */
json_t *json_rows(const struct snapshot *snapshot, enum view_name name);

/** Print it on one line. @return false: no memory, or not written */
bool json_show(FILE *out, const struct snapshot *snapshot);

/** Print what the fields mean, for --help. */
void json_help(FILE *out);

#endif
