/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_TEXT_H
#define SLOTSHARE_SHOW_TEXT_H
/**
 * Text for people. Names and commands come from a segment and from other processes: what is not
 * printable in the locale is shown as '?', so that it cannot steer a terminal. Thread-safe.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/** Room for text_age(). */
enum { TEXT_AGE_MAX = 32 };

/**
 * Copy `in` as far as it fits into `columns` of a terminal and `size` bytes.
 *
 * @param more  what stands at the end of a text that was cut, one column wide; NULL: nothing
 * @return columns used
 */
int text_fit(char *out, size_t size, const char *in, int columns, const char *more);

/** A duration, at most two units: "0.4s", "12s", "3m 12s", "5h 2m", "12d 3h". */
void text_age(char out[TEXT_AGE_MAX], uint64_t ms);

/** A JSON string, whatever the bytes: those that are not UTF-8 become '?'. @return NULL: no memory.
 */
json_t *text_json(const char *in);

#endif
