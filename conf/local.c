/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "conf.h"

/* @return false: memory is out, *to is as it was. */
static bool copy_text(char **to, const char *from) {
    char *copy = from != NULL ? strdup(from) : NULL;
    if (from != NULL && copy == NULL)
        return false;
    free(*to);
    *to = copy;
    return true;
}

static void take_urls(struct conf *to, const struct conf *from) {
    for (uint32_t i = 0; i < to->members; i++) {
        for (uint32_t j = 0; j < from->members; j++) {
            if (strcmp(to->member[i].name, from->member[j].name) == 0)
                memcpy(to->member[i].url, from->member[j].url, sizeof to->member[i].url);
        }
    }
}

int conf_take_local(struct conf *to, const struct conf *from) {
    if (!copy_text(&to->directory, from->directory) || !copy_text(&to->state, from->state) ||
        !copy_text(&to->certificate, from->certificate) || !copy_text(&to->key, from->key) ||
        !copy_text(&to->ca, from->ca))
        return -1;
    memcpy(to->segment, from->segment, sizeof to->segment);
    memcpy(to->listen, from->listen, sizeof to->listen);
    to->counters = from->counters;
    to->counters_max = from->counters_max;
    to->owners = from->owners;
    to->slots = from->slots;
    take_urls(to, from);
    return 0;
}
