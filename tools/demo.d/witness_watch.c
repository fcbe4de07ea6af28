/* SPDX-License-Identifier: MIT */
#include "witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool among(const uint32_t *address, unsigned count, uint32_t wanted) {
    for (unsigned i = 0; i < count; i++) {
        if (address[i] == wanted)
            return true;
    }
    return count == 0;
}

uint64_t watch_match(const struct witness *witness, uint32_t from, uint32_t to) {
    uint64_t match = 0;
    for (unsigned i = 0; i < witness->watches; i++) {
        const struct watch *watch = &witness->watch[i];
        for (unsigned j = 0; j < watch->rules; j++) {
            const struct rule *rule = &watch->rule[j];
            if (among(rule->from, rule->froms, from) && among(rule->to, rule->tos, to))
                match |= (uint64_t)1 << i;
        }
    }
    return match;
}

/*
 * The kernel walks its table while connections come and go, so one look may find a connection
 * that closed early in the walk and another that opened late in it, though they were never open
 * together: a limit kept to the letter would look broken. A socket that two looks in a row have
 * found was open all the time in between; all such sockets were open together. So this count is
 * never too high. It leaves out connections that are shorter than the time between two looks.
 */
void watch_count(struct witness *witness) {
    const struct look *new = &witness->look[witness->latest];
    const struct look *old = &witness->look[witness->latest ^ 1];
    for (unsigned i = 0; i < witness->watches; i++)
        witness->watch[i].now = 0;
    for (size_t a = 0, b = 0; a < old->count && b < new->count;) {
        if (old->seen[a].cookie != new->seen[b].cookie) {
            if (old->seen[a].cookie < new->seen[b].cookie)
                a++;
            else
                b++;
            continue;
        }
        for (unsigned i = 0; i < witness->watches; i++)
            witness->watch[i].now += (unsigned)(new->seen[b].watch >> i & 1);
        a++;
        b++;
    }
    for (unsigned i = 0; i < witness->watches; i++) {
        struct watch *watch = &witness->watch[i];
        watch->most = watch->now > watch->most ? watch->now : watch->most;
        watch->highest = watch->now > watch->highest ? watch->now : watch->highest;
        watch->over += watch->limit >= 0 && watch->now > (unsigned long)watch->limit;
    }
}

/* "127.0.0.1+127.0.0.2" or "*" */
static bool read_addresses(char *text, uint32_t *address, unsigned *count) {
    *count = 0;
    if (!strcmp(text, "*"))
        return true;
    char *part = NULL;
    while ((part = strsep(&text, "+"))) {
        if (*count == ADDRESSES_MAX || inet_pton(AF_INET, part, &address[*count]) != 1)
            return false;
        (*count)++;
    }
    return true;
}

bool watch_read(struct witness *witness, char *text) {
    if (witness->watches == WATCHES_MAX)
        return false;
    struct watch *watch = &witness->watch[witness->watches];
    watch->name = strsep(&text, ";");
    char *limit = strsep(&text, ";");
    if (!limit || !text)
        return false;
    char *end = limit;
    errno = 0;
    watch->limit = strcmp(limit, "-") ? strtol(limit, &end, 10) : -1;
    if (errno || (watch->limit >= 0 && (*end || end == limit)) || watch->limit < -1)
        return false;
    char *part = NULL;
    while ((part = strsep(&text, ";"))) {
        struct rule *rule = &watch->rule[watch->rules];
        char *from = strsep(&part, "/");
        if (watch->rules == RULES_MAX || !part || !read_addresses(from, rule->from, &rule->froms) ||
            !read_addresses(part, rule->to, &rule->tos))
            return false;
        watch->rules++;
    }
    witness->watches++;
    return true;
}
