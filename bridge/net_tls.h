/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_NET_TLS_H
#define SLOTSHARE_BRIDGE_NET_TLS_H
/**
 * Certificates for tls+tcp://. Both sides must show one that the CA signed; whoever dials also
 * checks that it names the member.
 */
#include <stdbool.h>
#include <stddef.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "../conf/conf.h"

/** The files' contents (PEM), read whole. Not thread-safe. */
struct net_tls_files {
    char *certificate, *key, *ca;
};

/** @return true when `url` asks for TLS. */
bool net_tls_wanted(const char *url);

/** Read the files that conf names. @return 0; -1: error says which and why. */
int net_tls_load(struct net_tls_files *out, const struct conf *conf, char *error,
                 size_t error_size);
/** Overwrites the key's memory. */
void net_tls_free(struct net_tls_files *files);

/**
 * Make a configuration from them; free it with nng_tls_config_free().
 * @param server_name  whom the certificate of the other side must name; NULL: this is the
 *                     listening side, which sees only that the CA has signed it
 * @return 0; -1: error says which of the files is wrong.
 */
int net_tls_config(nng_tls_config **out, const struct net_tls_files *files, const struct conf *conf,
                   const char *server_name, char *error, size_t error_size);

#endif
