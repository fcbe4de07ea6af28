/* SPDX-License-Identifier: MIT */
/*
 * Exim writes its retry database in the parent, after the child that was refused a slot has ended.
 * So the parent prepares a page that it shares with its children.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exim.h"

enum { REFUSED_MAX = 64 };

struct page {
    pid_t owner;
    _Atomic uint32_t count; /* of places given out; a name is complete when its `ready` is set */
    struct {
        _Atomic uint32_t ready;
        char host[HOST_BYTES];
    } row[REFUSED_MAX];
};

/* dlfunc gives no place to keep anything: what an Exim process knows has to be here. */
static struct page *page;

void refused_begin(void) {
    if (page && page->owner == getpid()) {
        return;
    }
    void *made =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        page = NULL; /* the retry rule for refusals will not be found: Exim's usual ones apply */
        return;
    }
    if (page) {
        (void)munmap(page, sizeof *page); /* of the process that forked us: not ours to share */
    }
    page = made;
    page->owner = getpid();
}

/* release and acquire: who sees `ready` sees the name. */
static const char *row_host(uint32_t i) {
    bool ready = atomic_load_explicit(&page->row[i].ready, memory_order_acquire) != 0;
    return ready ? page->row[i].host : NULL;
}

bool refused_has(const char *host) {
    for (uint32_t i = 0; page && host && i < REFUSED_MAX; i++) {
        const char *found = row_host(i);
        if (found && strcasecmp(found, host) == 0) {
            return true;
        }
    }
    return false;
}

void refused_add(const char *host) {
    if (!page) {
        refused_begin();
    }
    if (!page || !host || strlen(host) >= HOST_BYTES || refused_has(host)) {
        return;
    }
    uint32_t i = atomic_fetch_add_explicit(&page->count, 1, memory_order_relaxed);
    if (i >= REFUSED_MAX) {
        return; /* of so many hosts at once the rest is left to Exim's usual rules */
    }
    memcpy(page->row[i].host, host, strlen(host) + 1);
    atomic_store_explicit(&page->row[i].ready, 1, memory_order_release);
}

char *refused_pattern(void) {
    static char text[REFUSED_MAX * (2 * HOST_BYTES + 1) + 32];
    static const char end[] =
        ")(?![^/])";                    /* Exim adds "/" and the interface, if one is configured */
    static const char none[] = "^(?!)"; /* matches nothing */
    size_t length = 0;
    const char *between = "^\\*@(?:";

    for (uint32_t i = 0; page && i < REFUSED_MAX; i++) {
        const char *host = row_host(i);
        if (!host) {
            continue;
        }
        length += (size_t)snprintf(text + length, sizeof text - length, "%s", between);
        for (; *host; host++) {
            /* A backslash before a character that is no letter or digit takes its meaning away. */
            if (!isalnum((unsigned char)*host)) {
                text[length++] = '\\';
            }
            text[length++] = (char)tolower((unsigned char)*host);
        }
        between = "|";
    }
    if (length == 0) {
        memcpy(text, none, sizeof none);
        return text;
    }
    memcpy(text + length, end, sizeof end);
    return text;
}
