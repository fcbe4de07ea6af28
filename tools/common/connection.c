/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_BYTES = 4096, ANSWER_MS = 1000 };

static bool read_end(const char *address, unsigned port, int *family, struct in6_addr *out,
                     in_port_t *out_port) {
    memset(out, 0, sizeof *out);
    *family = strchr(address, ':') ? AF_INET6 : AF_INET;
    *out_port = htons((uint16_t)port);
    return port > 0 && port <= 65535 && inet_pton(*family, address, out) == 1;
}

/* The next word of *text, cut when it is too long to be an address. @return false: no more. */
static bool next_word(const char **text, char word[CONNECTION_ADDRESS]) {
    *text += strspn(*text, " ");
    size_t length = strcspn(*text, " ");
    size_t kept = length < CONNECTION_ADDRESS ? length : CONNECTION_ADDRESS - 1;

    memcpy(word, *text, kept);
    word[kept] = '\0';
    *text += length;
    return length > 0;
}

static bool read_port(const char *word, unsigned *port) {
    char *end = NULL;
    unsigned long value = strtoul(word, &end, 10);
    bool good = word[0] >= '0' && word[0] <= '9' && *end == '\0' && value <= UINT16_MAX;
    *port = good ? (unsigned)value : 0;
    return good;
}

bool connection_remote(const char *text, char address[CONNECTION_ADDRESS], unsigned *port) {
    char word[CONNECTION_ADDRESS];
    char before[CONNECTION_ADDRESS] = "";
    bool found = false;

    address[0] = '\0';
    *port = 0;
    while (next_word(&text, word)) {
        unsigned number = 0;
        if (before[0] && read_port(word, &number)) {
            memcpy(address, before, sizeof before);
            *port = number;
            found = true;
        }
        memcpy(before, word, sizeof before);
    }
    return found;
}

bool connection_read(struct connection_ends *out, const char *text) {
    char word[4][CONNECTION_ADDRESS];
    unsigned local_port = 0;
    unsigned remote_port = 0;
    int family = 0;

    memset(out, 0, sizeof *out);
    for (int i = 0; i < 4; i++) {
        if (!next_word(&text, word[i])) {
            return false;
        }
    }
    return text[strspn(text, " ")] == '\0' && read_port(word[1], &local_port) &&
           read_port(word[3], &remote_port) &&
           read_end(word[0], local_port, &out->family, &out->local, &out->local_port) &&
           read_end(word[2], remote_port, &family, &out->remote, &out->remote_port) &&
           family == out->family;
}

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static bool ask(int netlink, const struct connection_ends *ends) {
    struct question question = {
        .head = {.nlmsg_len = sizeof question,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = (uint8_t)ends->family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = ~0U,
                 .id = {.idiag_sport = ends->local_port,
                        .idiag_dport = ends->remote_port,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    memcpy(question.body.id.idiag_src, &ends->local, sizeof ends->local);
    memcpy(question.body.id.idiag_dst, &ends->remote, sizeof ends->remote);
    return send(netlink, &question, sizeof question, 0) == (ssize_t)sizeof question;
}

/* The kernel looks for listening sockets, too, when there is no connection: those are not ours. */
static bool is_open(const struct inet_diag_msg *found, const struct connection_ends *ends) {
    bool same =
        found->id.idiag_sport == ends->local_port && found->id.idiag_dport == ends->remote_port;
    return same && (found->idiag_state == TCP_SYN_SENT || found->idiag_state == TCP_ESTABLISHED ||
                    found->idiag_state == TCP_CLOSE_WAIT);
}

static enum connection_state hear(int netlink, const struct connection_ends *ends) {
    _Alignas(struct nlmsghdr) char reply[REPLY_BYTES] = {0};
    ssize_t length = 0;

    do {
        length = recv(netlink, reply, sizeof reply, 0);
    } while (length < 0 && errno == EINTR);
    const struct nlmsghdr *head = (const struct nlmsghdr *)reply;
    if (length < (ssize_t)sizeof *head || !NLMSG_OK(head, (size_t)length)) {
        return CONNECTION_UNKNOWN;
    }
    if (head->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(head);
        errno = head->nlmsg_len >= NLMSG_LENGTH(sizeof *error) ? -error->error : EPROTO;
        return errno == ENOENT ? CONNECTION_GONE : CONNECTION_UNKNOWN;
    }
    if (head->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
        errno = EPROTO;
        return CONNECTION_UNKNOWN;
    }
    return is_open(NLMSG_DATA(head), ends) ? CONNECTION_OPEN : CONNECTION_GONE;
}

enum connection_state connection_state(const struct connection_ends *ends) {
    const struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    enum connection_state state = CONNECTION_UNKNOWN;

    if (netlink < 0) {
        return CONNECTION_UNKNOWN;
    }
    if (setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        ask(netlink, ends)) {
        state = hear(netlink, ends);
    }
    int error = errno;
    (void)close(netlink);
    errno = error;
    return state;
}

static bool leads_to(int fd, const struct connection_ends *ends) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {0};
    socklen_t size = sizeof peer;

    if (getpeername(fd, &peer.any, &size) != 0 || peer.any.sa_family != ends->family) {
        return false;
    }
    if (ends->family == AF_INET) {
        return peer.v4.sin_port == ends->remote_port &&
               memcmp(&peer.v4.sin_addr, &ends->remote, sizeof peer.v4.sin_addr) == 0;
    }
    return peer.v6.sin6_port == ends->remote_port &&
           memcmp(&peer.v6.sin6_addr, &ends->remote, sizeof peer.v6.sin6_addr) == 0;
}

bool connection_mine(const char *address, unsigned port) {
    struct connection_ends ends = {0};

    if (!read_end(address, port, &ends.family, &ends.remote, &ends.remote_port)) {
        return false;
    }
    DIR *open = opendir("/proc/self/fd");
    if (!open) {
        return true; /* cannot look: rather think that it is open */
    }
    bool found = false;
    for (const struct dirent *entry = readdir(open); entry && !found; entry = readdir(open)) {
        found = entry->d_name[0] != '.' && leads_to((int)strtol(entry->d_name, NULL, 10), &ends);
    }
    (void)closedir(open);
    return found;
}
