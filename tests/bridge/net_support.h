/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_BRIDGE_NET_SUPPORT_H
#define SLOTSHARE_TESTS_BRIDGE_NET_SUPPORT_H
/** A small cluster on the loopback interface for tests: configurations, certificates, a log that
 * can be read. Every function fails the test when it cannot do its work. */
#include "../../bridge/net.h"

struct cluster {
    char directory[64]; /**< temporary; holds certificates and logs */
    uint32_t members;   /**< m0, m1, ... */
    uint16_t port[8];
    struct conf conf[8];
    struct log log[8];
    struct net *net[8];
};

/** Certificates as FILE.crt and FILE.key in the cluster's directory, signed by CA.crt there. */
void make_ca(const struct cluster *cluster, const char *ca);
void make_certificate(const struct cluster *cluster, const char *ca, const char *file,
                      const char *name);

/** scheme: "tcp" or "tls+tcp". With TLS there is a CA "ca", and m0.crt names m0, and so on. */
void cluster_make(struct cluster *cluster, uint32_t members, const char *scheme);
/** Closes what is open, and removes the directory. */
void cluster_remove(struct cluster *cluster);

/** net_open() of member i, which must work. */
void cluster_open(struct cluster *cluster, uint32_t i);
void cluster_close(struct cluster *cluster, uint32_t i);

/** Member `from` publishes, and `to` reads, until `to` has got exactly this text from it. */
void expect_heard(struct cluster *cluster, uint32_t from, uint32_t to, const char *text);

/** All that member i has logged. Free it. */
char *cluster_log(const struct cluster *cluster, uint32_t i);
/** net_tend() of member i until its log holds `text`. */
void expect_logged(struct cluster *cluster, uint32_t i, const char *text);

/** Milliseconds, for net_tend() and net_receive(). */
uint64_t now_ms(void);
void pause_ms(unsigned ms);
/** Connect to a port of the loopback interface. */
int connect_port(uint16_t port);
/** Listen on a free port of the loopback interface. */
int listen_port(uint16_t *port);

#endif
