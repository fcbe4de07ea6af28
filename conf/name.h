/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_NAME_H
#define SLOTSHARE_CONF_NAME_H
/**
 * Names in the one form in which they are compared and counted. Bindings keep their case; domains
 * and hosts are lower-cased (ASCII) and lose one final dot. No name may hold a control character,
 * a space, '"' or ',' (these separate names elsewhere). All functions are thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>

/**
 * @param in   NULL or "" gives "" and length 0
 * @param out  at least max + 1 bytes; may be `in` itself. Undefined when -1 is returned.
 * @return the length, or -1 when it is longer than max or holds a character that names may not
 *         (a domain that is nothing but a dot is no name either).
 */
int name_binding(const char *in, char *out, size_t max);
int name_domain(const char *in, char *out, size_t max); /* domains and hosts */

/** Names of segments and clusters: 1 to SLOTSHARE_NAME_MAX letters, digits, '.', '_', '-'. */
bool name_segment(const char *name);

#endif
