/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "name.h"

#define DIGITS "0123456789"

bool value_number(const char *text, int64_t min, int64_t max, int64_t *out) {
    const char *digits = *text == '-' ? text + 1 : text;
    const size_t length = strspn(digits, DIGITS);
    if (length == 0 || length > 18 || digits[length] != '\0')
        return false;
    const int64_t value = strtoll(text, NULL, 10); /* 18 digits always fit */
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool value_seconds(const char *text, uint32_t min_ms, uint32_t max_ms, uint32_t *out) {
    const size_t whole = strspn(text, DIGITS);
    const char *rest = text + whole;
    char decimals[4] = "000";
    if (*rest == '.') {
        const size_t count = strspn(++rest, DIGITS);
        if (count == 0 || count > 3)
            return false;
        memcpy(decimals, rest, count);
        rest += count;
    }
    if (whole == 0 || whole > 9 || *rest != '\0')
        return false;
    const int64_t value = strtoll(text, NULL, 10) * 1000 + strtoll(decimals, NULL, 10);
    if (value < min_ms || value > max_ms)
        return false;
    *out = (uint32_t)value;
    return true;
}

bool value_percent(const char *text, uint32_t *out) {
    char digits[8];
    const size_t length = strspn(text, DIGITS);
    if (length >= sizeof digits || strcmp(text + length + (text[length] == '%'), "") != 0)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    int64_t value = 0;
    if (!value_number(digits, 0, 100, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

/* The host part, in lower case. Addresses take the form that inet_ntop() gives them, so that one
 * address is always one text. */
static const char *take_host(const char *text, size_t length, char *host, size_t size) {
    unsigned char address[16];
    char copy[CONF_URL_MAX + 1];
    const bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    const size_t inner = bracketed ? length - 2 : length;
    if (inner == 0 || inner >= sizeof copy)
        return "there is no host before the port, or it is too long";
    memcpy(copy, bracketed ? text + 1 : text, inner);
    copy[inner] = '\0';
    if (bracketed) {
        if (inet_pton(AF_INET6, copy, address) != 1)
            return "what stands in brackets is not an IPv6 address";
        (void)inet_ntop(AF_INET6, address, copy, sizeof copy);
        (void)snprintf(host, size, "[%s]", copy);
        return NULL;
    }
    if (strchr(copy, ':') != NULL)
        return "an IPv6 address stands in brackets: [2001:db8::1]";
    if (strspn(copy, DIGITS ".") == inner && inet_pton(AF_INET, copy, address) != 1)
        return "the host is not an IPv4 address";
    if (name_domain(copy, copy, sizeof copy - 1) <= 0 ||
        strspn(copy, "abcdefghijklmnopqrstuvwxyz" DIGITS ".-_") != strlen(copy))
        return "the host holds a character that host names do not have";
    (void)snprintf(host, size, "%s", copy);
    return NULL;
}

const char *value_url(const char *text, char *out) {
    const bool tls = strncasecmp(text, "tls+tcp://", 10) == 0;
    if (!tls && strncasecmp(text, "tcp://", 6) != 0)
        return "it does not begin with tcp:// or tls+tcp://";
    const char *address = text + (tls ? 10 : 6);
    const char *colon = strrchr(address, ':');
    int64_t port = 0;
    if (colon == NULL || strchr(colon, ']') != NULL)
        return "it has no port";
    if (!value_number(colon + 1, 1, 65535, &port))
        return "its port is not a number from 1 to 65535";
    char host[CONF_URL_MAX + 4];
    const char *wrong = take_host(address, (size_t)(colon - address), host, sizeof host);
    if (wrong != NULL)
        return wrong;
    const int length =
        snprintf(out, CONF_URL_MAX + 1, "%s://%s:%d", tls ? "tls+tcp" : "tcp", host, (int)port);
    return length <= CONF_URL_MAX ? NULL : "it is too long";
}

bool value_url_tls(const char *url) {
    return strncmp(url, "tls", 3) == 0;
}

bool value_url_loopback(const char *url) {
    const char *address = value_url_address(url);
    char host[CONF_URL_MAX + 1];
    unsigned char bytes[4];
    (void)snprintf(host, sizeof host, "%.*s", (int)(strrchr(address, ':') - address), address);
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, bytes) == 1 && bytes[0] == 127;
}

const char *value_url_address(const char *url) {
    return strstr(url, "//") + 2;
}
