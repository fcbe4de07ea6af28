/* SPDX-License-Identifier: MIT */
#include "net_internal.h"

#include <errno.h>
#include <unistd.h>

enum {
    PROBE_FIRST_MS = 2000, /* without a connection before the reason is looked for */
    PROBE_EVERY_MS = 15000,
    LOST_PROBES = 3,         /* that succeed while no connection comes about */
    LOST_ENDS = 2,           /* of one connection that is still there afterwards */
    SHUT_MS = 1000,          /* after which one that was shut down must have ended */
    PAUSE_MS = 1000,         /* between two looks: this process has stood still */
    SAME_REASON_MS = 300000, /* between two lines that say the same */
    FLAP_MS = 1000,          /* between two lines about one member's connection */
};

static void log_member(const struct net *net, enum log_level level, const char *event,
                       const struct net_peer *peer, const char *reason, uint64_t suppressed) {
    struct log_line line;
    log_begin(net->log, &line, level, event);
    log_text(&line, "member", peer->member.name);
    log_text(&line, "url", peer->member.url);
    log_text(&line, "reason", reason);
    if (suppressed > 0)
        log_uint(&line, "suppressed", suppressed);
    log_end(&line);
}

/* Tell about a connection that came or went since the last look. */
static void note_change(struct net *net, struct net_peer *peer, uint32_t pipe, uint64_t now) {
    uint64_t suppressed = 0;
    bool came = pipe != 0;
    peer->known_pipe = pipe;
    peer->since = now;
    peer->next_probe = now + PROBE_FIRST_MS;
    peer->lost = 0;
    if (came)
        peer->reason = -1;
    if (log_rate_ok(came ? &peer->came_rate : &peer->went_rate, now, FLAP_MS, &suppressed))
        log_member(net, came ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                   came ? "member_connected" : "member_disconnected", peer, NULL, suppressed);
}

/* The end of a host says nothing to a socket that only reads: the silence has to. */
static void end_silent(struct net *net, struct net_peer *peer, uint64_t now) {
    const uint64_t last = peer->heard > peer->since ? peer->heard : peer->since;
    uint64_t suppressed = 0;
    if (peer->ended != peer->known_pipe)
        peer->ends = 0;
    if (now < last + (peer->ends == 1 ? SHUT_MS : NET_SILENT_MS))
        return;
    if (peer->ends == 0 && log_rate_ok(&peer->silent_rate, now, FLAP_MS, &suppressed))
        log_member(net, LOG_LEVEL_WARNING, "member_silent", peer,
                   "nothing heard on an open connection: making it anew", suppressed);
    peer->since = now;
    peer->ended = peer->known_pipe;
    /* nng 1.5.2 does not always end what has ended. */
    if (peer->ends == LOST_ENDS)
        peer->lost = LOST_PROBES;
    else
        net_end_pipe(peer->known_pipe, peer->ends++);
}

/* Silence is what we would have heard. After a pause (stopped, suspended, a slow disk) what was
 * said meanwhile lies there unread. */
static void note_pause(struct net *net, uint64_t now) {
    const bool paused = net->tended != 0 && now > net->tended + PAUSE_MS;
    net->tended = now;
    for (uint32_t i = 0; paused && i < net->peers; i++) {
        struct net_peer *peer = &net->peer[i];
        peer->since = now;
        if (peer->next_probe < now + PROBE_FIRST_MS)
            peer->next_probe = now + PROBE_FIRST_MS;
    }
}

/* Dial anew: with new certificates, or because nng has lost the dialer. */
static void renew_dialer(struct net *net, struct net_peer *peer) {
    char error[512];
    if (net_peer_dial(net, peer, error, sizeof error) != 0)
        log_member(net, LOG_LEVEL_ERROR, "member_not_connected", peer, error, 0);
}

static void note_reason(struct net *net, struct net_peer *peer,
                        const struct net_probe_result *result, uint64_t now) {
    char text[512];
    const int reason = result->code * (REFUSALS + 1) + (int)result->why;
    peer->lost = result->code == 0 ? peer->lost + 1 : 0;
    /* A dialer of nng 1.5.2 whose connection was ended at the wrong moment does not dial again. */
    if (result->code == 0)
        renew_dialer(net, peer);
    if (result->why != REFUSALS)
        (void)refusal_note(&net->book, result->why, NULL, NULL, now);
    if (reason == peer->reason && now < peer->next_log)
        return;
    peer->reason = reason;
    peer->next_log = now + SAME_REASON_MS;
    if (result->code != 0)
        log_member(net, LOG_LEVEL_WARNING, "member_unreachable", peer,
                   net_probe_reason(result, peer->member.name, text, sizeof text), 0);
}

static void find_reason(struct net *net, struct net_peer *peer, uint64_t now) {
    struct net_probe_result result;
    if (peer->next_probe == 0)
        peer->next_probe = now + PROBE_FIRST_MS;
    if (peer->probe != NULL && net_probe_done(peer->probe, &result)) {
        net_probe_free(peer->probe);
        peer->probe = NULL;
        peer->next_probe = now + PROBE_EVERY_MS;
        note_reason(net, peer, &result, now);
    }
    if (peer->probe == NULL && now >= peer->next_probe) {
        peer->probe =
            net_probe_start(peer->member.url, &net->files, peer->member.name, net->event_fd);
        peer->next_probe = now + PROBE_EVERY_MS;
    }
}

static void tell_refusals(struct net *net) {
    struct refusal_news news;
    while (refusal_next(&net->book, &news)) {
        struct log_line line;
        log_begin(net->log, &line, LOG_LEVEL_WARNING, "connection_refused");
        log_text(&line, "from", news.address);
        log_text(&line, "code", refusal_code(news.why));
        log_text(&line, "certificate", news.name[0] != '\0' ? news.name : NULL);
        log_text(&line, "reason", refusal_reason(news.why));
        if (news.suppressed > 0)
            log_uint(&line, "suppressed", news.suppressed);
        log_end(&line);
    }
}

void net_tend(struct net *net, uint64_t now_ms) {
    uint64_t ignored;
    while (read(net->event_fd, &ignored, sizeof ignored) < 0 && errno == EINTR)
        ;
    note_pause(net, now_ms);
    for (uint32_t i = 0; i < net->peers; i++) {
        struct net_peer *peer = &net->peer[i];
        if (peer->leaving)
            net_peer_leave(peer);
        if (!peer->used)
            continue;
        uint32_t pipe = atomic_load_explicit(&peer->pipe, memory_order_relaxed);
        /* One that has just been made, with certificates that are stale, is in nobody's way. */
        if (peer->stale && pipe == 0)
            renew_dialer(net, peer);
        else if (peer->stale && pipe != peer->known_pipe)
            net_end_pipe(pipe, 0);
        if (pipe != peer->known_pipe)
            note_change(net, peer, pipe, now_ms);
        if (pipe != 0)
            end_silent(net, peer, now_ms);
        else
            find_reason(net, peer, now_ms);
    }
    tell_refusals(net);
    net_watch_files(net, now_ms);
}

bool net_stuck(const struct net *net) {
    for (uint32_t i = 0; i < net->peers; i++) {
        if (net->peer[i].used && net->peer[i].lost >= LOST_PROBES)
            return true;
    }
    return false;
}
