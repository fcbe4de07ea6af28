/* SPDX-License-Identifier: MIT */
/* The same limit as a lease in Redis, as KumoMTA takes it: one script that drops the leases that
 * have run out, counts the rest, and adds one. Against a server of our own on the loopback. */
#include "bench.h"

#include <string.h>

#ifndef SLOTSHARE_HIREDIS

int case_redis(struct bench *bench, struct report *report, const struct bench_case *self) {
    (void)bench;
    struct result line = {.name = self->name, .what = self->what, .unit = "ns"};
    (void)snprintf(line.skipped, sizeof line.skipped,
                   "built without hiredis: apt-get install libhiredis-dev redis-server, then "
                   "configure and build again");
    report_add(report, &line);
    return 0;
}

#else

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slotshare/slotshare.h>

enum { LEASE_S = 60, LIMIT = 1000, PATIENCE_MS = 5000, NOT_FOUND = 127 };

static const char script[] = "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])\n"
                             "if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[3]) then\n"
                             "  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])\n"
                             "  return 1\n"
                             "end\n"
                             "return 0\n";

struct state {
    redisContext *context;
    char sha[48];
    uint64_t lease;
};

static void *start(struct bench *bench, const struct subject *subject, unsigned worker) {
    (void)worker;
    struct state *state = calloc(1, sizeof *state);
    redisContext *context = redisConnect("127.0.0.1", (int)subject->number);
    redisReply *reply = NULL;
    if (state && context && !context->err) {
        reply = redisCommand(context, "SCRIPT LOAD %s", script);
    }
    if (!reply || reply->type != REDIS_REPLY_STRING || reply->len >= sizeof state->sha) {
        (void)bench_fail(bench, "redis: %s",
                         context && context->err ? context->errstr : "cannot load the script");
        freeReplyObject(reply);
        if (context) {
            redisFree(context);
        }
        free(state);
        return NULL;
    }
    memcpy(state->sha, reply->str, reply->len + 1);
    state->context = context;
    freeReplyObject(reply);
    return state;
}

static bool is_one(redisReply *reply) {
    bool one = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return one;
}

static int run(void *arg, uint32_t times) {
    struct state *state = arg;
    for (uint32_t i = 0; i < times; i++) {
        long long now = (long long)time(NULL);
        unsigned long long lease = ++state->lease;
        redisReply *taken =
            redisCommand(state->context, "EVALSHA %s 1 bench-lease %lld %lld %d lease-%llu",
                         state->sha, now, now + LEASE_S, LIMIT, lease);
        if (!is_one(taken) ||
            !is_one(redisCommand(state->context, "ZREM bench-lease lease-%llu", lease))) {
            return SLOTSHARE_ESYSTEM;
        }
    }
    return 0;
}

static void stop(void *arg) {
    struct state *state = arg;
    redisFree(state->context);
    free(state);
}

/* ---- a server of our own ----------------------------------------------------------------------
 */

static unsigned free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)(void *)&address, sizeof address) == 0 &&
                getsockname(fd, (struct sockaddr *)(void *)&address, &length) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good ? ntohs(address.sin_port) : 0;
}

_Noreturn static void become_server(const struct bench *bench, unsigned port) {
    char text[16];
    (void)snprintf(text, sizeof text, "%u", port);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    (void)execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", text, "--save",
                 "", "--appendonly", "no", "--dir", bench->directory, (char *)NULL);
    _exit(NOT_FOUND);
}

/* @return 1 when it answers, 0 when there is no such program, -1 after bench_fail(). */
static int await_server(struct bench *bench, pid_t pid, unsigned port) {
    for (int waited = 0; waited < PATIENCE_MS; waited += 20) {
        int status = 0;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND
                       ? 0
                       : bench_fail(bench, "redis-server ended by itself");
        }
        redisContext *context = redisConnect("127.0.0.1", (int)port);
        bool answers = context && !context->err;
        if (context) {
            redisFree(context);
        }
        if (answers) {
            return 1;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return bench_fail(bench, "redis-server does not answer");
}

static int compare(struct bench *bench, struct report *report, struct result *line, unsigned port) {
    struct subject slot = subject_handle;
    const struct subject lease = {.name = "a lease in Redis, by a script",
                                  .start = start,
                                  .run = run,
                                  .stop = stop,
                                  .waits = true,
                                  .batch = 1,
                                  .number = port};
    slot.segment = "redis";
    slot.host = "free.example";
    line->peer = lease.name;
    if (segment_host(bench, slot.segment, 1024,
                     "[host \"free.example\"]\ncluster_max_outbound_connections = 1000\n") != 0 ||
        measure(bench, &slot, &lease, 1, &line->measured) != 0) {
        return -1;
    }
    report_add(report, line);
    return 0;
}

int case_redis(struct bench *bench, struct report *report, const struct bench_case *self) {
    struct result line = {.name = self->name,
                          .what = self->what,
                          .unit = "ns",
                          .processes = 1,
                          .wanted_ratio = 0.0001};
    unsigned port = free_port();
    pid_t pid = port ? fork() : -1;
    if (pid < 0) {
        return bench_fail(bench, "cannot start redis-server: %s", strerror(errno));
    }
    if (pid == 0) {
        become_server(bench, port);
    }
    int result = await_server(bench, pid, port);
    if (result == 0) {
        (void)snprintf(line.skipped, sizeof line.skipped,
                       "there is no redis-server: apt-get install redis-server");
        report_add(report, &line);
    } else if (result > 0) {
        result = compare(bench, report, &line, port);
        (void)kill(pid, SIGTERM);
        (void)waitpid(pid, NULL, 0);
    }
    return result;
}

#endif
