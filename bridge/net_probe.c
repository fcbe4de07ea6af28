/* SPDX-License-Identifier: MIT */
#include "net_probe.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>

enum { BYTES = 32 * 1024, HEADER = 8 };

enum step { CONNECTING, SENDING, RECEIVING };

/* All but done is the callback's alone, whose runs do not overlap. */
struct net_probe {
    nng_stream_dialer *dialer;
    nng_stream *stream;
    nng_aio *aio;
    int event_fd;
    enum step step;
    struct tls_side *side; /* NULL: no TLS */
    mbedtls_ssl_context session;
    bool shaken, greeted;
    uint8_t header[HEADER]; /* what every SP transport sends first */
    size_t got;             /* of header */
    /* Bytes on their way between mbedTLS and the stream. */
    uint8_t in[BYTES], out[BYTES];
    size_t in_used, in_read, out_used, out_sent;
    struct net_probe_result result; /* written before done is set */
    atomic_bool done;
};

/* mbedTLS's ways to the stream: what it says is kept until it waits. */
static int put(void *arg, const unsigned char *bytes, size_t size) {
    struct net_probe *probe = arg;
    size_t room = sizeof probe->out - probe->out_used;
    size = size < room ? size : room;
    if (size == 0)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(probe->out + probe->out_used, bytes, size);
    probe->out_used += size;
    return (int)size;
}

static int get(void *arg, unsigned char *bytes, size_t size) {
    struct net_probe *probe = arg;
    size_t there = probe->in_used - probe->in_read;
    size = size < there ? size : there;
    if (size == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(bytes, probe->in + probe->in_read, size);
    probe->in_read += size;
    return (int)size;
}

static void finish(struct net_probe *probe, int code, enum refusal why) {
    probe->result.code = code;
    probe->result.why = why;
    /* Release: whoever sees done sees result. */
    atomic_store_explicit(&probe->done, true, memory_order_release);
    if (probe->event_fd >= 0) {
        ssize_t written = write(probe->event_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)written; /* a full eventfd is readable all the same */
    }
}

static void fail_tls(struct net_probe *probe, int code) {
    enum refusal why = tls_refusal(&probe->session, code);
    finish(probe, NNG_EPEERAUTH, why == REFUSAL_LEFT ? REFUSAL_REFUSES_US : why);
}

/* Sends what is to be sent, then waits for more. */
static void move_bytes(struct net_probe *probe) {
    nng_iov iov = {.iov_buf = probe->in, .iov_len = sizeof probe->in};
    probe->step = probe->out_sent < probe->out_used ? SENDING : RECEIVING;
    if (probe->step == SENDING) {
        iov.iov_buf = probe->out + probe->out_sent;
        iov.iov_len = probe->out_used - probe->out_sent;
    }
    int code = nng_aio_set_iov(probe->aio, 1, &iov);
    if (code != 0)
        finish(probe, code, REFUSALS);
    else if (probe->step == SENDING)
        nng_stream_send(probe->stream, probe->aio);
    else
        nng_stream_recv(probe->stream, probe->aio);
}

static bool waits(int code) {
    return code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* @return 1: done; 0: it waits for bytes; -1: it has failed, and that was told. */
static int shake(struct net_probe *probe) {
    if (probe->side == NULL || probe->shaken)
        return 1;
    int code = mbedtls_ssl_handshake(&probe->session);
    probe->shaken = code == 0;
    if (code == 0 || waits(code))
        return code == 0 ? 1 : 0;
    fail_tls(probe, code);
    return -1;
}

/* We greet as a subscriber does; a bridge answers as a publisher. @return as above. */
static int greet(struct net_probe *probe) {
    static const uint8_t subscriber[HEADER] = {0, 'S', 'P', 0, 0, 33, 0, 0};
    static const uint8_t publisher[HEADER] = {0, 'S', 'P', 0, 0, 32, 0, 0};
    if (!probe->greeted) {
        int put_in = probe->side != NULL ? mbedtls_ssl_write(&probe->session, subscriber, HEADER)
                                         : put(probe, subscriber, HEADER);
        if (put_in != HEADER) {
            fail_tls(probe, put_in);
            return -1;
        }
        probe->greeted = true;
    }
    while (probe->got < HEADER) {
        uint8_t *to = probe->header + probe->got;
        int got = probe->side != NULL ? mbedtls_ssl_read(&probe->session, to, HEADER - probe->got)
                                      : get(probe, to, HEADER - probe->got);
        if (waits(got))
            return 0;
        if (got <= 0) {
            fail_tls(probe, got == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : got);
            return -1;
        }
        probe->got += (size_t)got;
    }
    /* Of the SP family, and a publisher: anything else is not a bridge. */
    bool bridge = memcmp(probe->header, publisher, HEADER) == 0;
    finish(probe, bridge ? 0 : NNG_EPROTO, REFUSALS);
    return 1;
}

/* Once the TCP connection is there, the first bytes of the other side prove the rest: its
 * listener sends them when both certificates are accepted. */
static void step(void *arg) {
    struct net_probe *probe = arg;
    int result = nng_aio_result(probe->aio);
    if (result != 0) {
        finish(probe, result, REFUSALS);
        return;
    }
    if (probe->step == CONNECTING) {
        probe->stream = nng_aio_get_output(probe->aio, 0);
    } else if (probe->step == SENDING) {
        probe->out_sent += nng_aio_count(probe->aio);
        if (probe->out_sent < probe->out_used) {
            move_bytes(probe);
            return;
        }
    } else {
        probe->in_used = nng_aio_count(probe->aio);
        probe->in_read = 0;
    }
    if (probe->out_sent == probe->out_used)
        probe->out_sent = probe->out_used = 0;
    int done = shake(probe);
    if (done > 0)
        done = greet(probe);
    if (done == 0)
        move_bytes(probe);
}

static int set_up_tls(struct net_probe *probe, const struct net_tls_files *files,
                      const char *member) {
    char error[512];
    probe->side = tls_side_open(files, false, NULL, error, sizeof error);
    if (probe->side == NULL)
        return -1;
    mbedtls_ssl_set_bio(&probe->session, probe, put, get, NULL);
    tls_keep_name(&probe->session, probe->result.name);
    return mbedtls_ssl_setup(&probe->session, tls_side_config(probe->side)) == 0 &&
                   mbedtls_ssl_set_hostname(&probe->session, member) == 0
               ? 0
               : -1;
}

struct net_probe *net_probe_start(const char *url, const struct net_tls_files *files,
                                  const char *member, int event_fd) {
    struct net_probe *probe = calloc(1, sizeof *probe);
    const bool tls = net_tls_wanted(url);
    if (probe == NULL)
        return NULL;
    probe->event_fd = event_fd;
    mbedtls_ssl_init(&probe->session);
    atomic_init(&probe->done, false);
    int rc = nng_stream_dialer_alloc(&probe->dialer, tls ? url + strlen("tls+") : url);
    if (rc == 0 && tls)
        rc = set_up_tls(probe, files, member);
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

bool net_probe_done(const struct net_probe *probe, struct net_probe_result *result) {
    if (!atomic_load_explicit(&probe->done, memory_order_acquire))
        return false;
    *result = probe->result;
    return true;
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
    mbedtls_ssl_free(&probe->session);
    tls_side_close(probe->side);
    free(probe);
}

static const char *words(int code) {
    switch (code) {
    case 0:
        return "it can be reached now";
    case NNG_ECONNREFUSED:
        return "connection refused: no bridge runs there";
    case NNG_EADDRINVAL:
        return "the host in its URL is not known: check the name and the DNS";
    case NNG_ETIMEDOUT:
        return "no answer: host down, packets filtered, or not a bridge";
    case NNG_EUNREACHABLE:
        return "no route to its host";
    case NNG_EPROTO:
        return "something answers there, but it is not a bridge";
    default:
        return nng_strerror(code);
    }
}

const char *net_probe_reason(const struct net_probe_result *result, const char *member, char *text,
                             size_t size) {
    const bool ended = result->code == NNG_ECONNSHUT || result->code == NNG_ECLOSED ||
                       result->code == NNG_ECONNRESET || result->code == NNG_ECONNABORTED;
    if (result->why == REFUSAL_WRONG_NAME)
        (void)snprintf(text, size, "TLS refused: its certificate names \"%s\", and must name %s",
                       result->name, member);
    else if (result->why != REFUSALS)
        (void)snprintf(text, size, "TLS refused: %s", refusal_reason(result->why));
    else if (ended)
        (void)snprintf(text, size,
                       "connection ended by the other side (%s): it may not accept our "
                       "certificate, or not be a bridge",
                       nng_strerror(result->code));
    else
        (void)snprintf(text, size, "%s", words(result->code));
    return text;
}
