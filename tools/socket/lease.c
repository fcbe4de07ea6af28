/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service.h"

static void free_lease(struct service *service, struct lease *lease) {
    struct lease **link = &service->leases;

    while (*link != lease) {
        link = &(*link)->next;
    }
    *link = lease->next;
    if (lease->segment == service->segment && service->handle) {
        /* Stale: whatever became of the slot, it is nobody's here. */
        (void)slotshare_release(service->handle, lease->slot);
    }
    if (lease->pidfd >= 0) {
        (void)close(lease->pidfd);
    }
    free(lease);
}

/* A process that has ended makes its pidfd readable. */
static int watch_process(struct service *service, pid_t pid) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = &event_process};
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0 && epoll_ctl(service->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static bool has_ended(const struct lease *lease) {
    struct pollfd look = {.fd = lease->pidfd, .events = POLLIN};
    return lease->pidfd >= 0 && poll(&look, 1, 0) > 0;
}

struct lease *lease_new(struct service *service, struct client *client, slotshare_slot slot,
                        bool until_exit) {
    struct lease *lease = calloc(1, sizeof *lease);
    int pidfd = lease && until_exit ? watch_process(service, client->pid) : -1;

    if (!lease || (until_exit && pidfd < 0)) {
        (void)slotshare_release(service->handle, slot);
        free(lease);
        return NULL;
    }
    *lease = (struct lease){.next = service->leases,
                            .id = ++service->last_id,
                            .segment = service->segment,
                            .slot = slot,
                            .client = until_exit ? NULL : client,
                            .pid = until_exit ? client->pid : 0,
                            .pidfd = pidfd};
    service->leases = lease;
    return lease;
}

void lease_end(struct service *service, struct lease *lease) {
    lease->over = true;
    lease->client = NULL;
    /* UNKNOWN does not come: without an answer from the kernel no lease is tied. If it does, the
     * next look may know more. */
    if (!lease->tied || connection_state(&lease->ends) == CONNECTION_GONE) {
        free_lease(service, lease);
    }
}

void lease_client_gone(struct service *service, const struct client *client) {
    struct lease *next = NULL;
    for (struct lease *lease = service->leases; lease; lease = next) {
        next = lease->next;
        if (lease->client == client) {
            lease_end(service, lease);
        }
    }
}

void lease_look(struct service *service, bool all_processes) {
    struct lease *next = NULL;
    for (struct lease *lease = service->leases; lease; lease = next) {
        next = lease->next;
        if (lease->over || (all_processes && has_ended(lease))) {
            lease_end(service, lease);
        }
    }
}

struct lease *lease_find(struct service *service, const struct client *client, uint64_t id) {
    for (struct lease *lease = service->leases; lease; lease = lease->next) {
        bool own = !lease->over &&
                   (lease->client == client || (lease->pid != 0 && lease->pid == client->pid));
        if (own && (id ? lease->id == id : !lease->tied)) {
            return lease;
        }
    }
    return NULL;
}

struct lease *lease_of_ends(struct service *service, const struct connection_ends *ends) {
    for (struct lease *lease = service->leases; lease; lease = lease->next) {
        if (lease->tied && memcmp(&lease->ends, ends, sizeof *ends) == 0) {
            return lease;
        }
    }
    return NULL;
}

bool lease_polls(const struct service *service) {
    for (const struct lease *lease = service->leases; lease; lease = lease->next) {
        if (lease->over) {
            return true;
        }
    }
    return false;
}
