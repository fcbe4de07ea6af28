/* SPDX-License-Identifier: MIT */
/*
 * The sockets of this machine as sock_diag(7) tells them: senders' ends of connections to the
 * servers' port.
 *
 * What counts is the sender's end, and only while the sender has its socket open: SYN_SENT,
 * ESTABLISHED, and CLOSE_WAIT (the server hung up, the sender has not closed yet). Once the sender
 * has called close(), or has been killed, its end is in FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK or
 * TIME_WAIT: the kernel winds the connection up, no process holds it, and a new one may be opened.
 * The server's end is left out: it is the same connection a second time, and it closes later.
 */
#include "witness.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_MAX = 65536 };

bool kernel_open(struct witness *witness) {
    witness->socket = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (witness->socket < 0)
        perror("demo-witness: this kernel has no sock_diag (modules inet_diag, tcp_diag)");
    return witness->socket >= 0;
}

static bool ask(const struct witness *witness) {
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.sdiag_family = AF_INET,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1U << TCP_SYN_SENT | 1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT,
                 .id = {.idiag_dport = htons(witness->port)}},
    };
    return send(witness->socket, &request, sizeof request, 0) == (ssize_t)sizeof request;
}

static bool add(struct look *look, uint64_t cookie, uint64_t watch) {
    if (look->count == look->room) {
        size_t room = look->room ? 2 * look->room : 256;
        struct seen *seen = realloc(look->seen, room * sizeof *seen);
        if (!seen)
            return false;
        look->seen = seen;
        look->room = room;
    }
    look->seen[look->count++] = (struct seen){.cookie = cookie, .watch = watch};
    return true;
}

/* @return 1: more to come; 0: that was all; -1: an error, errno says which */
static int read_reply(const struct witness *witness, struct look *look, const void *reply,
                      size_t length) {
    const struct nlmsghdr *head = reply;
    for (; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
        if (head->nlmsg_type == NLMSG_DONE)
            return 0;
        if (head->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(head);
            errno = head->nlmsg_len >= NLMSG_LENGTH(sizeof *error) ? -error->error : EPROTO;
            return -1;
        }
        if (head->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            continue;
        const struct inet_diag_msg *found = NLMSG_DATA(head);
        uint64_t cookie =
            (uint64_t)found->id.idiag_cookie[1] << 32 | (uint64_t)found->id.idiag_cookie[0];
        uint64_t watch = watch_match(witness, found->id.idiag_src[0], found->id.idiag_dst[0]);
        if (found->id.idiag_dport == htons(witness->port) && watch && !add(look, cookie, watch)) {
            errno = ENOMEM;
            return -1;
        }
    }
    return 1;
}

static int by_cookie(const void *a, const void *b) {
    const struct seen *left = a, *right = b;
    return left->cookie < right->cookie ? -1 : left->cookie > right->cookie;
}

bool kernel_look(struct witness *witness) {
    _Alignas(struct nlmsghdr) char reply[REPLY_MAX];
    struct look *look = &witness->look[witness->latest ^ 1];
    int more = ask(witness) ? 1 : -1;
    look->count = 0;
    while (more > 0) {
        ssize_t length = recv(witness->socket, reply, sizeof reply, 0);
        if (length < 0 && errno == EINTR)
            continue;
        more = length < 0 ? -1 : read_reply(witness, look, reply, (size_t)length);
    }
    if (more < 0) {
        perror("demo-witness: asking the kernel for its sockets (sock_diag)");
        return false;
    }
    if (look->count)
        qsort(look->seen, look->count, sizeof *look->seen, by_cookie);
    witness->latest ^= 1;
    return true;
}
