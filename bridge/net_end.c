/* SPDX-License-Identifier: MIT */
/*
 * The end of a connection that we dialed.
 *
 * nng 1.5.2 may lose a receive when nng_pipe_close(), or nng_dialer_close() with a connection,
 * comes between the parts of a message: the thread that clears away everything that has ended then
 * waits for that receive for ever, no connection is made anew, and descriptors are never closed.
 * Connections that the other side ends are not concerned. So the socket is shut down under nng,
 * which takes that for the other side's end. With TLS it may fail to see such an end; but then
 * nothing comes in any more, and nng_pipe_close() does no harm.
 */
#include "net_internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAVE_LOOKS = 10 }; /* of net_tend(), for a connection that was shut down to end */

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* nng's addresses are in network order, too. */
static bool same_address(const nng_sockaddr *wanted, const union address *is) {
    if (wanted->s_family == NNG_AF_INET)
        return is->any.sa_family == AF_INET && is->four.sin_port == wanted->s_in.sa_port &&
               is->four.sin_addr.s_addr == wanted->s_in.sa_addr;
    return wanted->s_family == NNG_AF_INET6 && is->any.sa_family == AF_INET6 &&
           is->six.sin6_port == wanted->s_in6.sa_port &&
           memcmp(&is->six.sin6_addr, wanted->s_in6.sa_addr, sizeof is->six.sin6_addr) == 0;
}

struct ends {
    nng_sockaddr here, there;
};

/* A copy of the descriptor: the original may be closed and given out anew at any moment. */
static bool shut_if_it_is(int fd, const struct ends *ends) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return false;
    union address here = {.any = {.sa_family = AF_UNSPEC}};
    union address there = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t here_size = sizeof here;
    socklen_t there_size = sizeof there;
    const bool found = getsockname(copy, &here.any, &here_size) == 0 &&
                       getpeername(copy, &there.any, &there_size) == 0 &&
                       same_address(&ends->here, &here) && same_address(&ends->there, &there);
    if (found)
        (void)shutdown(copy, SHUT_RDWR); /* gone by itself meanwhile: as well */
    close(copy);
    return found;
}

static bool shut(const struct ends *ends) {
    DIR *all = opendir("/proc/self/fd");
    bool found = false;
    if (all == NULL)
        return false;
    for (const struct dirent *entry = readdir(all); entry != NULL && !found; entry = readdir(all)) {
        char *end;
        const long fd = strtol(entry->d_name, &end, 10);
        found = *end == '\0' && end != entry->d_name && shut_if_it_is((int)fd, ends);
    }
    (void)closedir(all);
    return found;
}

void net_end_pipe(uint32_t id, unsigned times) {
    const nng_pipe pipe = {.id = id};
    struct ends ends;
    if (times > 0 || nng_pipe_get_addr(pipe, NNG_OPT_LOCADDR, &ends.here) != 0 ||
        nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &ends.there) != 0 || !shut(&ends))
        (void)nng_pipe_close(pipe);
}

void net_peer_leave(struct net_peer *peer) {
    const uint32_t pipe = atomic_load_explicit(&peer->pipe, memory_order_relaxed);
    if (pipe != 0) {
        net_end_pipe(pipe, peer->ends++ / LEAVE_LOOKS);
        return;
    }
    /* It dials again 50 ms after the end; one that is made at this instant is ended by the next
     * call. */
    net_peer_drop_dialer(peer);
    peer->leaving = false;
}
