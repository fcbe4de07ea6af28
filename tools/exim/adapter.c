/* SPDX-License-Identifier: MIT */
/*
 * What Exim calls: ${dlfunc{.../slotshare-exim.so}{NAME}{ARGUMENT}...}. Exim's configuration in
 * slotshare.conf here shows where; README.md here says why.
 *
 * Exim's protocol: a function gets up to seven arguments and sets *yield to the text that takes the
 * place of the expansion, which Exim does not change or free.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/connection.h"
#include "exim.h"

enum { EXIM_OK = 0 };
enum { ARGUMENTS_MAX = 7 };

typedef int exim_function(unsigned char **yield, int argc, unsigned char *argv[]);
SLOTSHARE_API exim_function slotshare_hold, slotshare_event, slotshare_begin, slotshare_retry_ip,
    slotshare_refused;

/* Exim wants a pointer to text that it might write to; it does not. */
static int answer(unsigned char **yield, const char *text) {
    static char copy[2 * TEXT_BYTES];
    if (yield) {
        (void)snprintf(copy, sizeof copy, "%s", text);
        *yield = (unsigned char *)copy;
    }
    return EXIM_OK;
}

static const char *argument(int argc, unsigned char *argv[], int i) {
    return argv && i < argc && i < ARGUMENTS_MAX && argv[i] ? (const char *)argv[i] : "";
}

static const char *or_null(const char *text) {
    return text[0] ? text : NULL;
}

/* Without an answer from slotshare, the operator has chosen. */
static bool refuse(const struct settings *settings, int result) {
    if (result == SLOTSHARE_OK) {
        return false;
    }
    if (result == SLOTSHARE_FULL) {
        return true;
    }
    if (result != SLOTSHARE_ENOSEGMENT) { /* that one was logged */
        segment_trouble(settings, result);
    }
    return settings->hold;
}

/* hold_domains: {BINDING}{DOMAIN}{HOSTS}{SETTINGS} -> "*": hold; "": do not.
 * HOSTS: in any order, with blanks, commas or newlines between; none: any host. */
int slotshare_hold(unsigned char **yield, int argc, unsigned char *argv[]) {
    struct settings settings;
    const char *hosts = argument(argc, argv, 2);
    char host[HOST_BYTES];
    struct slotshare_connection connection = {.binding = or_null(argument(argc, argv, 0)),
                                              .domain = or_null(argument(argc, argv, 1))};

    refused_begin();
    settings_read(&settings, argument(argc, argv, 3));
    bool hold = false;
    do {
        hosts += strspn(hosts, " ,\t\r\n");
        size_t length = strcspn(hosts, " ,\t\r\n");
        if (length < sizeof host) {
            memcpy(host, hosts, length);
            host[length] = '\0';
            connection.host = or_null(host);
            hold = refuse(&settings, slot_look(&settings, &connection));
        }
        hosts += length;
        hosts += strspn(hosts, " ,\t\r\n");
    } while (hold && *hosts);
    return answer(yield, hold ? "*" : "");
}

static int connecting(unsigned char **yield, int argc, unsigned char *argv[]) {
    struct settings settings;
    const char *host = argument(argc, argv, 3);
    struct slotshare_connection connection = {.binding = or_null(argument(argc, argv, 1)),
                                              .domain = or_null(argument(argc, argv, 2)),
                                              .host = or_null(host)};
    char address[CONNECTION_ADDRESS];
    unsigned port = 0;

    settings_read(&settings, argument(argc, argv, 5));
    /* Before there is a connection Exim knows no local end; it has a number in its place. */
    (void)connection_remote(argument(argc, argv, 4), address, &port);
    if (!refuse(&settings, slot_take(&settings, &connection, address, port))) {
        return answer(yield, "");
    }
    refused_add(host);
    return answer(yield, "slotshare: no slot is free");
}

/* event_action: {EVENT}{BINDING}{DOMAIN}{HOST}{ENDS}{SETTINGS} -> "": go on; else: do not connect.
 * ENDS: "LOCAL PORT REMOTE PORT", of which only the last two are needed at tcp:connect. */
int slotshare_event(unsigned char **yield, int argc, unsigned char *argv[]) {
    const char *event = argument(argc, argv, 0);
    const char *ends = argument(argc, argv, 4);

    if (strcmp(event, "tcp:connect") == 0) {
        return connecting(yield, argc, argv);
    }
    if (strcmp(event, "tcp:close") == 0) {
        slot_closed(ends);
    } else if (strcmp(event, "msg:host:defer") == 0) {
        slot_failed(NULL, 0);
    }
    return answer(yield, "");
}

/* multi_domain: -> "false". Expanded in the process that will write the retry database, before it
 * makes the ones that deliver: what those are refused is to be known there. */
int slotshare_begin(unsigned char **yield, int argc, unsigned char *argv[]) {
    (void)argc;
    (void)argv;
    refused_begin();
    return answer(yield, "false");
}

/* retry_include_ip_address: {HOST} -> "no" after a refusal: then the retry record that Exim is
 * about to write has another name than those of real failures, one that is never looked up. */
int slotshare_retry_ip(unsigned char **yield, int argc, unsigned char *argv[]) {
    return answer(yield, refused_has(argument(argc, argv, 0)) ? "no" : "yes");
}

/* The pattern of the retry rule for such records. */
int slotshare_refused(unsigned char **yield, int argc, unsigned char *argv[]) {
    (void)argc;
    (void)argv;
    if (yield) {
        *yield = (unsigned char *)refused_pattern();
    }
    return EXIM_OK;
}
