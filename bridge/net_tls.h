/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_TLS_H
#define SLOTSHARE_BRIDGE_NET_TLS_H
/**
 * Certificates for tls+tcp://. Both sides must show one that the CA signed; whoever dials also
 * checks that it names the member. nng dials with them (nng_tls_config); who listens, and who looks
 * for the reason why a member cannot be reached, uses mbedTLS itself (struct tls_side), because
 * nng does not tell reasons.
 */
#include <stdbool.h>
#include <stddef.h>

#include <mbedtls/ssl.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "../conf/conf.h"
#include "refusal.h"

/** The files' contents (PEM), read whole, and their paths. Not thread-safe. */
struct net_tls_files {
    char *certificate, *key, *ca;
    char *path[3]; /**< in this order */
};

/** @return true when `url` asks for TLS. */
bool net_tls_wanted(const char *url);

/**
 * Read the files.
 * @param path  of the certificate, the key and the ca; NULL: not configured
 * @return 0; -1: error says which and why.
 */
int net_tls_load(struct net_tls_files *out, const char *const path[3], char *error,
                 size_t error_size);
/** Overwrites the key's memory. */
void net_tls_free(struct net_tls_files *files);
/** Whether both have the same contents. */
bool net_tls_same(const struct net_tls_files *a, const struct net_tls_files *b);

/**
 * Make a configuration for nng to dial with; free it with nng_tls_config_free().
 * @param server_name  whom the certificate of the other side must name
 * @return 0; -1: error says which of the files is wrong.
 */
int net_tls_config(nng_tls_config **out, const struct net_tls_files *files, const char *server_name,
                   char *error, size_t error_size);

/* ---- mbedTLS ---- */

/** One side of TLS: everything that sessions of it share. One thread at a time; but sessions, each
 * with one thread at a time, may be used side by side. */
struct tls_side;

/**
 * Make one from the files.
 * @param self  who this node is: its own certificate must belong to the key, be signed by the ca,
 *              be valid now and name this; NULL: not checked
 * @return NULL: error says which of the files is wrong, and what to do.
 */
struct tls_side *tls_side_open(const struct net_tls_files *files, bool server, const char *self,
                               char *error, size_t error_size);
/** NULL is ignored. */
void tls_side_close(struct tls_side *side);
const mbedtls_ssl_config *tls_side_config(const struct tls_side *side);

/** What the error `code` of a handshake means. */
enum refusal tls_refusal(const mbedtls_ssl_context *session, int code);

/** Whether a certificate names `name`: in a DNS name of its subject alternative names, as mbedTLS
 * compares them, or, when it has none, in its common name. */
bool tls_names(const mbedtls_x509_crt *certificate, const char *name);
/** Have a session write down the first name in the other side's certificate, for people, whatever
 * becomes of it. name: REFUSAL_NAME_MAX + 1 bytes that live as long as the session. */
void tls_keep_name(mbedtls_ssl_context *session, char *name);

#endif
