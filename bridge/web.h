/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_WEB_H
#define SLOTSHARE_BRIDGE_WEB_H
/**
 * What the bridge shows over HTTP: a status page (/), the same as JSON (/status.json) and as
 * text (/status.txt), what the nodes hold (/nodes.json), metrics for Prometheus (/metrics), and
 * whether it works (/healthz). Reads the segment as shmstat does, in nng's threads; nothing here
 * can change anything, and nobody is asked who he is.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "refusal.h"

struct events;
struct web;

/**
 * Start to serve, until the process ends: nng 1.5.2 stops its server only when all connections have
 * been cleared away, and may wait for that for ever (see net_close()).
 * @param url              http://HOST:PORT
 * @param name, directory  of the segment, which need not be there yet
 * @param events           shown, too; must outlive the web; NULL: none
 * @return 0; -1: *out is NULL and error says why.
 */
int web_open(struct web **out, const char *url, const char *name, const char *directory,
             struct events *events, char *error, size_t error_size);

/** The main loop goes round: say so at least every second. now: control_now(). NULL is ignored. */
void web_alive(struct web *web, uint64_t now);

/** How many connections were refused, of each reason: shown from now on. NULL is ignored. */
void web_refusals(struct web *web, const uint64_t count[REFUSALS]);

/** Readable when somebody asks what only the main loop knows; then web_answer_questions().
 * @return -1: web is NULL */
int web_questions_fd(const struct web *web);

/** Answer those who ask now.
 * @param make  what the nodes hold of this counter ("": of all), and what is waited for: a new
 *              object; NULL: no memory */
void web_answer_questions(struct web *web, json_t *(*make)(void *arg, const char *counter),
                          void *arg);

#endif
