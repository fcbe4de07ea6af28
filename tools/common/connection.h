/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_COMMON_CONNECTION_H
#define TOOLS_COMMON_CONNECTION_H
/**
 * Is a TCP connection still open at this end? The kernel is asked (sock_diag), so it does not
 * matter which process has the socket, or how many. No privilege is needed; the answer is about
 * this process's network namespace. Thread-safe.
 */
#include <netinet/in.h>
#include <stdbool.h>

/** The two ends of a TCP connection; both of one family, AF_INET or AF_INET6. */
struct connection_ends {
    int family;
    struct in6_addr local, remote;     /**< for AF_INET the first four bytes */
    in_port_t local_port, remote_port; /**< network order */
};

/**
 * Read "LOCALADDRESS LOCALPORT REMOTEADDRESS REMOTEPORT", each once, with blanks between.
 * @return false: it is not of that form, or the families differ.
 */
bool connection_read(struct connection_ends *out, const char *text);

/** Room for an address as text. */
enum { CONNECTION_ADDRESS = INET6_ADDRSTRLEN };

/**
 * The last address of such a text and the port after it, whatever stands before.
 * @return false: there is none; then address is empty and port 0.
 */
bool connection_remote(const char *text, char address[CONNECTION_ADDRESS], unsigned *port);

/** What connection_state() found. */
enum connection_state {
    CONNECTION_GONE,   /**< no process has it open: unknown to the kernel, or it winds it up */
    CONNECTION_OPEN,   /**< being opened, open, or closed by the other side only */
    CONNECTION_UNKNOWN /**< the kernel could not be asked; errno says why */
};

/** Ask the kernel. */
enum connection_state connection_state(const struct connection_ends *ends);

/**
 * Has this process itself a TCP socket that is connected to this address and port (as text and in
 * host order)? @return false also when the text is not an address.
 */
bool connection_mine(const char *address, unsigned port);

#endif
