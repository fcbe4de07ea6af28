/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_CONF_VALUE_H
#define SLOTSHARE_CONF_VALUE_H
/** Values of options. Pure functions, thread-safe. */
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"

/** A whole decimal number, an optional '-' before it. @return false: not one, or out of range. */
bool value_number(const char *text, int64_t min, int64_t max, int64_t *out);

/** Seconds such as 6 or 0.5 (at most three decimals), as milliseconds. @return as above. */
bool value_seconds(const char *text, uint32_t min_ms, uint32_t max_ms, uint32_t *out);

/** "25" or "25%". @return as above. */
bool value_percent(const char *text, uint32_t *out);

/**
 * tcp://host:port or tls+tcp://host:port, an IPv6 address in brackets. *out gets one form of it:
 * scheme and host in lower case, addresses and port as the system writes them.
 *
 * @param out  CONF_URL_MAX + 1 bytes
 * @return NULL, or what is wrong with it.
 */
const char *value_url(const char *text, char *out);

/** Whether a URL from value_url() is of TLS, and its part after "//". */
bool value_url_tls(const char *url);
const char *value_url_address(const char *url);

/** Whether only this machine reaches a URL from value_url(): 127.0.0.0/8, [::1] or localhost. */
bool value_url_loopback(const char *url);

#endif
