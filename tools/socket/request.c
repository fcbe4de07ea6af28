/* SPDX-License-Identifier: MIT */
/* The protocol: what each line asks for, and its answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service.h"

/* The words of a line. */
struct request {
    const char *verb;
    struct slotshare_connection to;
    const char *hosts, *message, *ends;
    uint64_t id;
    int wait_ms, waiters;
    bool until_exit, untied;
};

static bool number(const char *text, double low, double high, double *out) {
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && errno == 0 && *out >= low && *out <= high;
}

static const char *or_null(const char *text) {
    return *text ? text : NULL;
}

static bool read_numbers(struct request *request, const char *key, const char *value) {
    double found = 0;
    if (strcmp(key, "wait") == 0 && number(value, 0, WAIT_MAX_S, &found)) {
        request->wait_ms = (int)(found * 1000);
    } else if (strcmp(key, "waiters") == 0 && number(value, 0, 1000000, &found)) {
        request->waiters = (int)found;
    } else if (strcmp(key, "id") == 0 && number(value, 1, 9e15, &found)) {
        request->id = (uint64_t)found;
    } else {
        return false;
    }
    return true;
}

static bool read_word(struct request *request, char *word) {
    char *value = strchr(word, '=');
    if (!value) {
        request->untied = strcmp(word, "untied") == 0;
        return request->untied;
    }
    *value++ = '\0';
    if (strcmp(word, "binding") == 0) {
        request->to.binding = or_null(value);
    } else if (strcmp(word, "domain") == 0) {
        request->to.domain = or_null(value);
    } else if (strcmp(word, "host") == 0) {
        request->hosts = value;
    } else if (strcmp(word, "message") == 0 && strlen(value) < MESSAGE_BYTES) {
        request->message = value;
    } else if (strcmp(word, "ends") == 0) {
        for (char *at = value; *at; at++) {
            if (*at == ',') {
                *at = ' ';
            }
        }
        request->ends = value;
    } else if (strcmp(word, "until") == 0 &&
               (strcmp(value, "exit") == 0 || strcmp(value, "close") == 0)) {
        request->until_exit = strcmp(value, "exit") == 0;
    } else {
        return read_numbers(request, word, value);
    }
    return true;
}

/* @return NULL: good; else what is wrong */
static const char *read_request(struct request *request, char *line) {
    char *rest = NULL;
    *request = (struct request){.hosts = "", .message = "", .waiters = 0};
    request->verb = strtok_r(line, " \t\r", &rest);
    if (!request->verb) {
        return "an empty line";
    }
    for (char *word = strtok_r(NULL, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
        if (!read_word(request, word)) {
            return word;
        }
    }
    return NULL;
}

static int waiting(const struct service *service, const struct slotshare_explanation *why) {
    int count = 0;
    for (const struct client *client = service->clients; client; client = client->next) {
        count += client->waits && strcmp(client->counter, why->counter) == 0;
    }
    return why->waiting > count ? why->waiting : count;
}

static void forget(struct service *service, const char *message) {
    for (unsigned i = 0; i < REFUSED_MAX; i++) {
        if (strcmp(service->refused[i].message, message) == 0) {
            service->refused[i].until = 0;
        }
    }
}

/* look: is there room to any of the hosts? A message that is looked at anew was not refused yet. */
static void look(struct service *service, struct client *client, struct request *request) {
    int result = SLOTSHARE_FULL;
    char hosts[LINE_BYTES];
    char *rest = NULL;

    if (request->message[0]) {
        forget(service, request->message);
    }
    (void)snprintf(hosts, sizeof hosts, "%s", request->hosts);
    char *host = strtok_r(hosts, ",", &rest);
    do {
        struct slotshare_explanation why;
        request->to.host = host;
        result = slotshare_explain(service->handle, &request->to, &why);
        if (result == SLOTSHARE_OK && !why.would_admit &&
            waiting(service, &why) >= request->waiters) {
            result = SLOTSHARE_FULL;
        }
        host = host ? strtok_r(NULL, ",", &rest) : NULL;
    } while (result == SLOTSHARE_FULL && host);
    if (result == SLOTSHARE_OK || result == SLOTSHARE_FULL) {
        client_say(client, result == SLOTSHARE_OK ? "yes\n" : "no\n");
    } else {
        service_trouble(service, result);
        client_say(client, "error %s\n", slotshare_strerror(result));
    }
}

static void refuse(struct service *service, struct client *client) {
    if (client->message[0]) {
        struct refusal *refusal = &service->refused[service->refused_next++ % REFUSED_MAX];
        refusal->until = service_clock() + REFUSED_S * INT64_C(1000);
        memcpy(refusal->host, client->host, sizeof refusal->host);
        memcpy(refusal->message, client->message, sizeof refusal->message);
    }
    client_say(client, "full\n");
}

static void granted(struct service *service, struct client *client, slotshare_slot slot) {
    const struct lease *lease = lease_new(service, client, slot, client->until_exit);
    if (lease) {
        client_say(client, "ok %llu\n", (unsigned long long)lease->id);
    } else {
        client_say(client, "error the process has ended, or there is no memory\n");
    }
}

static void answer_take(struct service *service, struct client *client, int result,
                        slotshare_slot slot) {
    if (result == SLOTSHARE_OK) {
        granted(service, client, slot);
    } else if (result == SLOTSHARE_FULL) {
        refuse(service, client);
    } else {
        service_trouble(service, result);
        client_say(client, "error %s\n", slotshare_strerror(result));
    }
}

static void take(struct service *service, struct client *client, struct request *request) {
    slotshare_slot slot = {0};
    struct slotshare_explanation why;

    request->to.host = or_null(request->hosts);
    (void)snprintf(client->host, sizeof client->host, "%s", request->hosts);
    (void)snprintf(client->message, sizeof client->message, "%s", request->message);
    client->until_exit = request->until_exit;
    int result = slotshare_acquire(service->handle, &request->to, &slot);
    if (result == SLOTSHARE_FULL && request->wait_ms > 0 &&
        slotshare_explain(service->handle, &request->to, &why) == SLOTSHARE_OK &&
        slotshare_queue_add(service->queue, &request->to, client, request->wait_ms) ==
            SLOTSHARE_OK) {
        client->waits = true;
        memcpy(client->counter, why.counter, sizeof client->counter);
        return;
    }
    answer_take(service, client, result, slot);
}

void request_ready(struct service *service, const struct slotshare_ready *ready) {
    struct client *client = ready->cookie;

    client->waits = false;
    answer_take(service, client, ready->result, ready->slot);
    client_serve(service, client);
}

/* tie: the newest slot (or id) belongs to this connection, and goes back no earlier. */
static void tie(struct service *service, struct client *client, const struct request *request) {
    struct lease *lease = lease_find(service, client, request->id);
    struct connection_ends ends;

    if (!lease) {
        client_say(client, "error no such slot\n");
    } else if (!request->ends || !connection_read(&ends, request->ends)) {
        client_say(client, "error ends=LOCALADDRESS,PORT,REMOTEADDRESS,PORT\n");
    } else if (connection_state(&ends) == CONNECTION_UNKNOWN) {
        client_say(client, "error cannot ask the kernel for connections: %s\n", strerror(errno));
    } else {
        lease->tied = true;
        lease->ends = ends;
        client_say(client, "ok\n");
    }
}

static void give(struct service *service, struct client *client, const struct request *request) {
    struct connection_ends ends;
    struct lease *lease = NULL;

    if (request->untied) {
        while ((lease = lease_find(service, client, 0))) {
            lease_end(service, lease);
        }
    } else if (request->ends) {
        /* Whoever took it: the kernel decides, so nobody can give back what is in use. */
        lease = connection_read(&ends, request->ends) ? lease_of_ends(service, &ends) : NULL;
        lease = lease ? lease : lease_find(service, client, 0);
        if (lease) {
            lease_end(service, lease);
        }
    } else {
        lease = request->id ? lease_find(service, client, request->id) : NULL;
        if (!lease) {
            client_say(client, "error no such slot\n");
            return;
        }
        lease_end(service, lease);
    }
    client_say(client, "ok\n");
}

static void refused(struct service *service, struct client *client, const struct request *request) {
    const char *between = "";
    int64_t now = service_clock();

    for (unsigned i = 0; i < REFUSED_MAX; i++) {
        const struct refusal *refusal = &service->refused[i];
        if (refusal->until > now && strcmp(refusal->message, request->message) == 0 &&
            client->out_length + HOST_BYTES + 2 < sizeof client->out) {
            client_say(client, "%s%s", between, refusal->host);
            between = ",";
        }
    }
    client_say(client, "\n");
}

void request_answer(struct service *service, struct client *client, char *line) {
    struct request request;
    const char *wrong = read_request(&request, line);

    if (wrong) {
        client_say(client, "error not understood: %.200s\n", wrong);
    } else if (strcmp(request.verb, "give") == 0) {
        give(service, client, &request);
    } else if (strcmp(request.verb, "tie") == 0) {
        tie(service, client, &request);
    } else if (strcmp(request.verb, "refused") == 0) {
        refused(service, client, &request);
    } else if (strcmp(request.verb, "look") != 0 && strcmp(request.verb, "take") != 0) {
        client_say(client, "error no such verb: look, take, tie, give, refused\n");
    } else if (!service_segment(service)) {
        client_say(client, "error there is no segment\n");
    } else if (strcmp(request.verb, "look") == 0) {
        look(service, client, &request);
    } else {
        take(service, client, &request);
    }
}
