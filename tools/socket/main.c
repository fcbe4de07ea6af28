/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/exits.h"
#include "common/options.h"
#include "service.h"

static const char program[] = "slotshare-socket";
enum { EVENTS = 64, RETRY_MS = 1000, BACKLOG = 128, MODE = 0660 };

char event_listen, event_queue, event_signal, event_process;

struct settings {
    const char *name, *directory, *config, *socket, *group;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'s', OPTION_TEXT, "socket", "PATH", AT(socket), 0, 0,
     "where to listen (default: /run/slotshare/socket)"},
    {'g', OPTION_TEXT, "group", "GROUP", AT(group), 0, 0,
     "who may connect, besides this user: a group (default: that of the folder)"},
    OPTION_ROW_NAME(AT(name)),
    OPTION_ROW_DIRECTORY(AT(directory)),
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "configuration to create the segment from when there is none; for a single\n"
     "host only, in a cluster the bridge creates the segment"},
    OPTION_ROW_HELP,
};
#undef AT
static const struct option_table table = {option_rows, sizeof option_rows / sizeof option_rows[0],
                                          false};

static const struct exit_row exit_rows[] = {
    {"0", "ended by SIGTERM or SIGINT"},
    {"64", "wrong usage"},
    {"71", "an error of the operating system"},
};

int64_t service_clock(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool watch(struct service *service, int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(service->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool service_segment(struct service *service) {
    char error[LINE_BYTES] = "";
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;

    if (service->handle || service_clock() < service->retry_at) {
        return service->handle != NULL;
    }
    options.directory = service->directory;
    options.config = service->config;
    options.error = error;
    options.error_size = sizeof error;
    int result = slotshare_open(&service->handle, service->name, &options);
    if (result == SLOTSHARE_OK) {
        result = slotshare_queue_open(service->handle, &service->queue);
    }
    if (result == SLOTSHARE_OK &&
        !watch(service, slotshare_queue_fd(service->queue), &event_queue)) {
        result = SLOTSHARE_ESYSTEM;
    }
    service->segment++;
    if (result != SLOTSHARE_OK) {
        slotshare_queue_close(service->queue);
        slotshare_close(service->handle);
        service->queue = NULL;
        service->handle = NULL;
        service->retry_at = service_clock() + RETRY_MS;
    }
    if ((result != SLOTSHARE_OK) != service->told) {
        service->told = result != SLOTSHARE_OK;
        fprintf(stderr, "%s: %s\n", program,
                result == SLOTSHARE_OK ? "the segment is there again"
                : error[0]             ? error
                                       : slotshare_strerror(result));
    }
    return result == SLOTSHARE_OK;
}

void service_trouble(struct service *service, int result) {
    if (result != SLOTSHARE_EGONE && result != SLOTSHARE_EDAMAGED) {
        return;
    }
    fprintf(stderr, "%s: %s\n", program, slotshare_strerror(result));
    for (struct client *client = service->clients; client; client = client->next) {
        if (client->waits) {
            client->waits = false;
            client_say(client, "error %s\n", slotshare_strerror(result));
        }
    }
    slotshare_queue_close(service->queue);
    slotshare_close(service->handle);
    service->queue = NULL;
    service->handle = NULL;
    service->segment++; /* its leases are of no segment any more */
}

static void welcome(struct service *service) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(service->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    struct client *client = service->client_count < CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    if (!client || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        !watch(service, fd, client)) {
        free(client);
        (void)close(fd); /* they see the end and go on as if there were no service */
        return;
    }
    client->fd = fd;
    client->pid = peer.pid;
    client->next = service->clients;
    service->clients = client;
    service->client_count++;
}

static void sweep(struct service *service) {
    struct client **link = &service->clients;
    while (*link) {
        struct client *client = *link;
        if (client->gone) {
            *link = client->next;
            service->client_count--;
            free(client);
        } else {
            link = &client->next;
        }
    }
}

static void fetch(struct service *service) {
    struct slotshare_ready ready;
    while (service->queue && slotshare_queue_next(service->queue, &ready) == SLOTSHARE_OK) {
        request_ready(service, &ready);
    }
}

/* One event. @return false: it is time to end. */
static bool handle(struct service *service, const struct epoll_event *event) {
    void *what = event->data.ptr;
    if (what == &event_signal) {
        return false;
    }
    if (what == &event_listen) {
        welcome(service);
    } else if (what == &event_queue) {
        fetch(service);
    } else if (what == &event_process) {
        lease_look(service, true);
    } else if (event->events & (EPOLLHUP | EPOLLERR)) {
        client_drop(service, what); /* nobody reads the answers */
    } else {
        client_serve(service, what);
    }
    return true;
}

static int serve(struct service *service) {
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(service->epoll, events, EVENTS, lease_polls(service) ? POLL_MS : -1);
        if (count < 0 && errno != EINTR) {
            perror(program);
            return EX_OSERR;
        }
        for (int i = 0; i < count; i++) {
            if (!handle(service, &events[i])) {
                return EX_OK;
            }
        }
        lease_look(service, false);
        sweep(service);
    }
}

static bool listen_at(struct service *service, const char *path, const char *group) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct group *found = group ? getgrnam(group) : NULL;

    if (strlen(path) >= sizeof address.sun_path || (group && !found)) {
        fprintf(stderr, "%s: %s\n", program, found ? "the path is too long" : "no such group");
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* One that answers is another service; one that does not is left from a service that died. */
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        fprintf(stderr, "%s: another service listens at %s\n", program, path);
        (void)close(fd);
        return false;
    }
    (void)unlink(path);
    mode_t before = umask(0777); /* nobody may connect before group and mode are right */
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)umask(before);
    good = good && (!found || chown(path, (uid_t)-1, found->gr_gid) == 0) &&
           chmod(path, MODE) == 0 && listen(fd, BACKLOG) == 0 && watch(service, fd, &event_listen);
    if (!good) {
        fprintf(stderr, "%s: %s: %s\n", program, path, strerror(errno));
    }
    service->listen = fd;
    return good;
}

static bool watch_signals(struct service *service) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
    return fd >= 0 && watch(service, fd, &event_signal);
}

static void help(void) {
    printf("Usage: %s [OPTION]...\n\n"
           "Slots for programs that cannot load libslotshare, over lines on a Unix socket:\n"
           "look, take, tie, give, refused. tools/socket/README.md is the protocol.\n\n",
           program);
    options_help(stdout, &table);
    putchar('\n');
    exits_help(stdout, exit_rows, sizeof exit_rows / sizeof exit_rows[0]);
}

int main(int argc, char **argv) {
    struct settings settings = {.socket = "/run/slotshare/socket"};
    static struct service service;
    int first = options_parse(program, &table, argc, argv, &settings);

    if (first == OPTIONS_HELP) {
        help();
        return exit_flush(program, EX_OK);
    }
    if (first == OPTIONS_WRONG || first < argc) {
        if (first != OPTIONS_WRONG) {
            fprintf(stderr, "%s: takes no operands; see '%s --help'\n", program, program);
        }
        return EX_USAGE;
    }
    service.name = settings.name;
    service.directory = settings.directory;
    service.config = settings.config;
    service.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (service.epoll < 0 || !watch_signals(&service)) {
        perror(program);
        return EX_OSERR;
    }
    if (!listen_at(&service, settings.socket, settings.group)) {
        return EX_OSERR;
    }
    (void)service_segment(&service); /* told now, should there be none; and tried again later */
    int status = serve(&service);
    (void)unlink(settings.socket);
    slotshare_queue_close(service.queue);
    slotshare_close(service.handle);
    return status;
}
