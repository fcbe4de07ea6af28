/* SPDX-License-Identifier: MIT */
#include "net_probe.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct net_probe {
    nng_stream_dialer *dialer;
    nng_stream *stream;
    nng_aio *aio;
    int event_fd;
    bool connected;    /* only read and written by the callback, whose runs do not overlap */
    uint8_t header[8]; /* what every SP transport sends first */
    size_t got;        /* of header */
    int result;        /* written before done is set */
    atomic_bool done;
};

static void finish(struct net_probe *probe, int result) {
    probe->result = result;
    /* Release: whoever sees done sees result. */
    atomic_store_explicit(&probe->done, true, memory_order_release);
    if (probe->event_fd >= 0) {
        ssize_t written = write(probe->event_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)written; /* a full eventfd is readable all the same */
    }
}

/* Once the TCP connection is there, the first bytes of the other side prove the rest: its
 * listener sends them when both certificates are accepted. */
static void step(void *arg) {
    struct net_probe *probe = arg;
    int result = nng_aio_result(probe->aio);
    if (probe->connected && result == 0)
        probe->got += nng_aio_count(probe->aio);
    if (result != 0 || probe->got == sizeof probe->header) {
        /* Of the SP family, and a publisher: anything else is not a bridge. */
        static const uint8_t publisher[8] = {0, 'S', 'P', 0, 0, 32, 0, 0};
        if (result == 0 && memcmp(probe->header, publisher, sizeof publisher) != 0)
            result = NNG_EPROTO;
        finish(probe, result);
        return;
    }
    if (!probe->connected) {
        probe->connected = true;
        probe->stream = nng_aio_get_output(probe->aio, 0);
    }
    nng_iov iov = {.iov_buf = probe->header + probe->got,
                   .iov_len = sizeof probe->header - probe->got};
    result = nng_aio_set_iov(probe->aio, 1, &iov);
    if (result != 0) {
        finish(probe, result);
        return;
    }
    nng_stream_recv(probe->stream, probe->aio);
}

struct net_probe *net_probe_start(const char *url, nng_tls_config *tls, int event_fd) {
    struct net_probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return NULL;
    probe->event_fd = event_fd;
    atomic_init(&probe->done, false);
    int rc = nng_stream_dialer_alloc(&probe->dialer, url);
    if (rc == 0 && tls != NULL)
        rc = nng_stream_dialer_set_ptr(probe->dialer, NNG_OPT_TLS_CONFIG, tls);
    if (rc == 0)
        rc = nng_aio_alloc(&probe->aio, step, probe);
    if (rc != 0) {
        net_probe_free(probe);
        return NULL;
    }
    nng_aio_set_timeout(probe->aio, NET_PROBE_TIMEOUT_MS);
    nng_stream_dialer_dial(probe->dialer, probe->aio);
    return probe;
}

bool net_probe_done(const struct net_probe *probe, int *result) {
    if (!atomic_load_explicit(&probe->done, memory_order_acquire))
        return false;
    *result = probe->result;
    return true;
}

int net_probe_wait(struct net_probe *probe) {
    int result = 0;
    /* Two steps, each waited for by itself, so look again after the first. */
    while (!net_probe_done(probe, &result))
        nng_aio_wait(probe->aio);
    return result;
}

void net_probe_free(struct net_probe *probe) {
    if (probe == NULL)
        return;
    if (probe->aio != NULL)
        nng_aio_stop(probe->aio);
    if (probe->stream != NULL)
        nng_stream_free(probe->stream);
    if (probe->dialer != NULL)
        nng_stream_dialer_free(probe->dialer);
    if (probe->aio != NULL)
        nng_aio_free(probe->aio);
    free(probe);
}

const char *net_probe_reason(int result, const char *member, char *text, size_t size) {
    switch (result) {
    case 0:
        (void)snprintf(text, size, "it can be reached now");
        break;
    case NNG_ECONNREFUSED:
        (void)snprintf(text, size, "connection refused: no bridge runs there");
        break;
    case NNG_EADDRINVAL:
        (void)snprintf(text, size, "the host in its URL is not known: check the name and the DNS");
        break;
    case NNG_ETIMEDOUT:
        (void)snprintf(text, size, "no answer: host down, packets filtered, or not a bridge");
        break;
    case NNG_EUNREACHABLE:
        (void)snprintf(text, size, "no route to its host");
        break;
    case NNG_EPEERAUTH:
    case NNG_ECRYPTO:
        (void)snprintf(text, size,
                       "TLS refused (%s): its certificate must be signed by our ca and name %s, "
                       "and ours must be signed by its ca",
                       nng_strerror(result), member);
        break;
    case NNG_ECONNSHUT:
    case NNG_ECLOSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
        (void)snprintf(text, size,
                       "connection ended by the other side (%s): it may not accept our "
                       "certificate, or not be a bridge",
                       nng_strerror(result));
        break;
    case NNG_EPROTO:
        (void)snprintf(text, size, "something answers there, but it is not a bridge");
        break;
    default:
        (void)snprintf(text, size, "%s", nng_strerror(result));
        break;
    }
    return text;
}
