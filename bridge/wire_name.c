/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../conf/name.h"
#include "wire.h"

/* One "part:name", which must be in the form that is compared. */
static bool part_ok(const char *text, size_t length, const char *part, size_t max,
                    int (*normal)(const char *, char *, size_t)) {
    char name[SLOTSHARE_DOMAIN_MAX + 1];
    char same[SLOTSHARE_DOMAIN_MAX + 1];
    size_t prefix = strlen(part);
    if (length <= prefix || length - prefix > max || strncmp(text, part, prefix) != 0)
        return false;
    memcpy(name, text + prefix, length - prefix);
    name[length - prefix] = '\0';
    int got = normal(name, same, max);
    return got >= 0 && (size_t)got == length - prefix && strcmp(name, same) == 0;
}

bool wire_counter_name_ok(const char *name) {
    static const struct {
        const char *part;
        size_t max;
        int (*normal)(const char *, char *, size_t);
    } parts[] = {{"binding:", SLOTSHARE_BINDING_MAX, name_binding},
                 {"domain:", SLOTSHARE_DOMAIN_MAX, name_domain},
                 {"host:", SLOTSHARE_DOMAIN_MAX, name_domain}};
    size_t next = 0;
    if (strcmp(name, "global") == 0)
        return true;
    if (*name == '\0' || strlen(name) > SLOTSHARE_COUNTER_MAX)
        return false;
    /* The parts come in this order, each at most once. */
    while (*name != '\0') {
        size_t length = strcspn(name, ",");
        while (next < 3 &&
               !part_ok(name, length, parts[next].part, parts[next].max, parts[next].normal))
            next++;
        if (next++ >= 3)
            return false;
        name += length;
        if (*name == ',' && *++name == '\0')
            return false;
    }
    return true;
}
