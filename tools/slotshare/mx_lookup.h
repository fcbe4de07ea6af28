/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLOTSHARE_MX_LOOKUP_H
#define TOOLS_SLOTSHARE_MX_LOOKUP_H
/**
 * The MX hosts of a domain, asked of the name servers of this host by libldns: it says the TTL of
 * each record, takes another server and port, falls back to TCP, and starts no threads. Not
 * thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <slotshare/slotshare.h>

struct mx_host {
    char name[SLOTSHARE_DOMAIN_MAX + 1]; /**< in lower case, without a final dot */
    unsigned preference;
    uint32_t ttl; /**< seconds, as the server said: of a cache what is left */
};

struct mx_list {
    struct mx_host *host; /**< by preference, then name; mx_free() it */
    size_t count;
    bool implicit; /**< there is no MX record: the domain's own address is where mail goes */
};

enum mx_result {
    MX_FOUND,
    MX_NOWHERE, /**< no mail can be delivered there: error says why */
    MX_FAILED,  /**< no name server has answered: error says why, and to try again */
    MX_WRONG    /**< not a domain, or not a server: error says why */
};

/**
 * @param domain  as people write it
 * @param server  ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT of the name server to ask; NULL: those of
 *                /etc/resolv.conf
 */
enum mx_result mx_lookup(const char *domain, const char *server, struct mx_list *out, char *error,
                         size_t error_size);
void mx_free(struct mx_list *list);

#endif
