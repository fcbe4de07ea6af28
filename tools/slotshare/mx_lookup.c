/* SPDX-License-Identifier: MIT */
#include "mx_lookup.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/name.h"

enum { PATIENCE_S = 3, TRIES = 2, ADDRESS_MAX = 64, DNS_PORT = 53, PORT_MAX = 65535 };

/* What is needed to ask, and where to say what went wrong. */
struct lookup {
    ldns_resolver *resolver;
    ldns_rdf *name;
    const char *domain;
    char *error;
    size_t error_size;
};

/* ---- the server ---- */

/* @return false: not an address and port. */
static bool split_server(const char *server, char address[ADDRESS_MAX], uint16_t *port) {
    const bool bracket = *server == '[';
    const char *end = bracket ? strchr(server, ']') : strchr(server, ':');
    const char *from = server + bracket;
    if (!bracket && end != NULL && strchr(end + 1, ':') != NULL)
        end = NULL; /* an IPv6 address alone */
    if (bracket && end == NULL)
        return false;
    const size_t length = end != NULL ? (size_t)(end - from) : strlen(from);
    const char *colon = end == NULL ? "" : bracket ? end + 1 : end;
    *port = DNS_PORT;
    if (length == 0 || length >= ADDRESS_MAX)
        return false;
    memcpy(address, from, length);
    address[length] = '\0';
    if (*colon == '\0')
        return true;
    char *rest = NULL;
    const long number = strtol(colon + 1, &rest, 10);
    *port = (uint16_t)number;
    return *colon == ':' && rest != colon + 1 && *rest == '\0' && number > 0 && number <= PORT_MAX;
}

static ldns_resolver *resolver_of(const char *server) {
    char address[ADDRESS_MAX];
    uint16_t port;
    ldns_resolver *out = NULL;
    if (server == NULL)
        return ldns_resolver_new_frm_file(&out, NULL) == LDNS_STATUS_OK ? out : NULL;
    if (!split_server(server, address, &port))
        return NULL;
    ldns_rdf *rdf = ldns_rdf_new_frm_str(LDNS_RDF_TYPE_A, address);
    if (rdf == NULL)
        rdf = ldns_rdf_new_frm_str(LDNS_RDF_TYPE_AAAA, address);
    out = rdf != NULL ? ldns_resolver_new() : NULL;
    if (out != NULL && ldns_resolver_push_nameserver(out, rdf) != LDNS_STATUS_OK) {
        ldns_resolver_deep_free(out);
        out = NULL;
    }
    if (out != NULL)
        ldns_resolver_set_port(out, port);
    ldns_rdf_deep_free(rdf);
    return out;
}

/* ---- one question ---- */

static bool is_answer(const ldns_pkt *query, const ldns_pkt *answer) {
    ldns_rr_list *asked = ldns_pkt_question(query);
    ldns_rr_list *said = ldns_pkt_question(answer);
    return ldns_pkt_qr(answer) && ldns_pkt_id(query) == ldns_pkt_id(answer) &&
           ldns_rr_list_rr_count(said) == 1 &&
           ldns_rr_compare_no_rdata(ldns_rr_list_rr(asked, 0), ldns_rr_list_rr(said, 0)) == 0;
}

/* The records of this type. @return MX_FOUND: *out, to be freed, may be empty; *exists: there is
 * such a name. */
static enum mx_result ask(struct lookup *lookup, ldns_rr_type type, ldns_rr_list **out,
                          bool *exists) {
    ldns_pkt *query = NULL;
    ldns_pkt *answer = NULL;
    const char *why = "no memory";
    *out = NULL;
    *exists = false;
    ldns_status status = ldns_resolver_prepare_query_pkt(&query, lookup->resolver, lookup->name,
                                                         type, LDNS_RR_CLASS_IN, LDNS_RD);
    if (status == LDNS_STATUS_OK)
        status = ldns_resolver_send_pkt(&answer, lookup->resolver, query);
    if (status != LDNS_STATUS_OK || answer == NULL) {
        why = status != LDNS_STATUS_OK ? ldns_get_errorstr_by_id(status) : "no answer";
    } else if (!is_answer(query, answer)) {
        why = "an answer to another question";
    } else {
        const ldns_pkt_rcode code = ldns_pkt_get_rcode(answer);
        const ldns_lookup_table *name = ldns_lookup_by_id(ldns_rcodes, (int)code);
        *exists = code == LDNS_RCODE_NOERROR;
        if (*exists || code == LDNS_RCODE_NXDOMAIN)
            *out = ldns_pkt_rr_list_by_type(answer, type, LDNS_SECTION_ANSWER);
        if (*exists || code == LDNS_RCODE_NXDOMAIN)
            why = NULL; /* NULL is an empty list, too */
        else
            why = name != NULL ? name->name : "an answer that says nothing";
    }
    if (why != NULL)
        (void)snprintf(lookup->error, lookup->error_size,
                       "%s: the name server has not answered: %s; try again later, or ask another "
                       "one (--server)",
                       lookup->domain, why);
    ldns_pkt_free(answer);
    ldns_pkt_free(query);
    return why == NULL ? MX_FOUND : MX_FAILED;
}

/* ---- the answers ---- */

/* @return false: it names no host (an MX to the root, RFC 7505) */
static bool take_mx(const ldns_rr *rr, struct mx_host *out) {
    const ldns_rdf *preference = ldns_rr_rdf(rr, 0);
    const ldns_rdf *name = ldns_rr_rdf(rr, 1);
    char *text = name != NULL ? ldns_rdf2str(name) : NULL;
    const bool good = text != NULL && strcmp(text, ".") != 0 &&
                      name_domain(text, out->name, SLOTSHARE_DOMAIN_MAX) > 0;
    out->preference = preference != NULL ? ldns_rdf2native_int16(preference) : 0;
    out->ttl = ldns_rr_ttl(rr);
    free(text);
    return good;
}

static int by_preference(const void *one, const void *other) {
    const struct mx_host *a = one;
    const struct mx_host *b = other;
    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return strcmp(a->name, b->name);
}

static enum mx_result nowhere(struct lookup *lookup, const char *why) {
    (void)snprintf(lookup->error, lookup->error_size, "%s: %s", lookup->domain, why);
    return MX_NOWHERE;
}

static enum mx_result take_all(struct lookup *lookup, const ldns_rr_list *records,
                               struct mx_list *out) {
    const size_t all = ldns_rr_list_rr_count(records);
    out->host = calloc(all, sizeof *out->host);
    for (size_t i = 0; out->host != NULL && i < all; i++)
        out->count += take_mx(ldns_rr_list_rr(records, i), &out->host[out->count]);
    if (out->host == NULL || out->count == 0)
        return nowhere(lookup, "accepts no mail: its MX record names no host");
    qsort(out->host, out->count, sizeof *out->host, by_preference);
    return MX_FOUND;
}

/* Without an MX record the domain's own address is the host (RFC 5321, 5.1). */
static enum mx_result take_address(struct lookup *lookup, struct mx_list *out) {
    static const ldns_rr_type types[] = {LDNS_RR_TYPE_AAAA, LDNS_RR_TYPE_A};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        ldns_rr_list *records = NULL;
        bool exists;
        const enum mx_result result = ask(lookup, types[i], &records, &exists);
        if (result == MX_FOUND && ldns_rr_list_rr_count(records) > 0 && out->count == 0) {
            out->host = calloc(1, sizeof *out->host);
            out->implicit = true;
            if (out->host != NULL) {
                out->count = 1;
                out->host[0].ttl = ldns_rr_ttl(ldns_rr_list_rr(records, 0));
                (void)name_domain(lookup->domain, out->host[0].name, SLOTSHARE_DOMAIN_MAX);
            }
        }
        ldns_rr_list_deep_free(records);
        if (result != MX_FOUND)
            return result;
    }
    return out->count > 0 ? MX_FOUND
                          : nowhere(lookup, "has neither an MX record nor an address: mail to it "
                                            "has nowhere to go");
}

static enum mx_result look(struct lookup *lookup, struct mx_list *out) {
    ldns_rr_list *records = NULL;
    bool exists;
    enum mx_result result = ask(lookup, LDNS_RR_TYPE_MX, &records, &exists);
    if (result == MX_FOUND && !exists)
        result = nowhere(lookup, "there is no such domain");
    else if (result == MX_FOUND)
        result = ldns_rr_list_rr_count(records) > 0 ? take_all(lookup, records, out)
                                                    : take_address(lookup, out);
    ldns_rr_list_deep_free(records);
    return result;
}

enum mx_result mx_lookup(const char *domain, const char *server, struct mx_list *out, char *error,
                         size_t error_size) {
    char name[SLOTSHARE_DOMAIN_MAX + 1];
    struct lookup lookup = {.domain = name, .error = error, .error_size = error_size};
    enum mx_result result = MX_WRONG;
    *out = (struct mx_list){0};
    if (name_domain(domain, name, SLOTSHARE_DOMAIN_MAX) <= 0 ||
        (lookup.name = ldns_dname_new_frm_str(name)) == NULL) {
        (void)snprintf(error, error_size, "this is not a domain");
        return MX_WRONG;
    }
    lookup.resolver = resolver_of(server);
    if (lookup.resolver == NULL) {
        (void)snprintf(error, error_size,
                       server != NULL ? "%s is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"
                                      : "%s names no name server that could be asked",
                       server != NULL ? server : "/etc/resolv.conf");
    } else {
        ldns_resolver_set_timeout(lookup.resolver, (struct timeval){.tv_sec = PATIENCE_S});
        ldns_resolver_set_retry(lookup.resolver, TRIES);
        result = look(&lookup, out);
        ldns_resolver_deep_free(lookup.resolver);
    }
    ldns_rdf_deep_free(lookup.name);
    return result;
}

void mx_free(struct mx_list *list) {
    free(list->host);
    *list = (struct mx_list){0};
}
