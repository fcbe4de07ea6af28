/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TOOLS_DEMO_WITNESS_H
#define SLOTSHARE_TOOLS_DEMO_WITNESS_H
/** The two halves of demo-witness: asking the kernel, and counting what it said. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCHES_MAX = 64, RULES_MAX = 16, ADDRESSES_MAX = 16 };

/** A connection that was open when the kernel was asked. */
struct seen {
    uint64_t cookie; /**< the kernel's own number of the socket, never used twice */
    uint64_t watch;  /**< bit i: it counts on watch i */
};

/** All that one look at the kernel found, sorted by cookie. */
struct look {
    struct seen *seen;
    size_t count, room;
};

/** From these addresses to those, network order; none: any. */
struct rule {
    uint32_t from[ADDRESSES_MAX], to[ADDRESSES_MAX];
    unsigned froms, tos;
};

/** What is counted together. */
struct watch {
    const char *name;
    long limit; /**< -1: none */
    struct rule rule[RULES_MAX];
    unsigned rules;
    unsigned now;     /**< at the last look */
    unsigned most;    /**< the most since the last report */
    unsigned highest; /**< the most ever */
    uint64_t over;    /**< looks that found more than the limit */
};

struct witness {
    int socket;    /**< NETLINK_SOCK_DIAG */
    uint16_t port; /**< of the servers */
    struct watch watch[WATCHES_MAX];
    unsigned watches;
    struct look look[2]; /**< the last two, by turns */
    unsigned latest;
};

/** @return false, after a message on stderr, when this kernel cannot be asked. */
bool kernel_open(struct witness *witness);

/** Look once: fill look[latest ^ 1] and make it the latest. @return false after a message. */
bool kernel_look(struct witness *witness);

/** Which watches a connection counts on. Addresses in network order. */
uint64_t watch_match(const struct witness *witness, uint32_t from, uint32_t to);

/** Count what was open in both of the last two looks. */
void watch_count(struct witness *witness);

/** Read "NAME;LIMIT;FROM+FROM/TO+TO;..." (LIMIT '-': none, FROM or TO '*': any). Splits text in
 * place and keeps the name. @return false when it is not of that form. */
bool watch_read(struct witness *witness, char *text);

#endif
