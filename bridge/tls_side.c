/* SPDX-License-Identifier: MIT */
/* mbedTLS: certificates that are checked with a reason, and sessions made of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "net_tls.h"

#ifndef MBEDTLS_THREADING_C
#error "mbedTLS was built without MBEDTLS_THREADING_C: its random numbers serve two threads here"
#endif

struct tls_side {
    mbedtls_ssl_config config;
    mbedtls_x509_crt own, ca;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
};

/* ---- names ---- */

/* What a certificate names may begin with "*." in place of the first part of a name. */
static bool same_name(const char *pattern, size_t length, const char *name) {
    const size_t wanted = strlen(name);
    if (length == wanted && strncasecmp(pattern, name, length) == 0)
        return true;
    const char *rest = strchr(name, '.');
    return length > 2 && pattern[0] == '*' && pattern[1] == '.' && rest != NULL &&
           strlen(rest) == length - 1 && strncasecmp(pattern + 1, rest, length - 1) == 0;
}

enum { TAG_DNS = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2 }; /* dNSName of a GeneralName, RFC 5280 */

/* Calls `take` for each name until it says true. @return what it said last. */
static bool each_name(const mbedtls_x509_crt *certificate,
                      bool (*take)(const char *text, size_t length, void *arg), void *arg) {
    if ((certificate->ext_types & MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0) {
        for (const mbedtls_x509_sequence *item = &certificate->subject_alt_names; item != NULL;
             item = item->next) {
            if (item->buf.tag == TAG_DNS && item->buf.p != NULL &&
                take((const char *)item->buf.p, item->buf.len, arg))
                return true;
        }
        return false;
    }
    for (const mbedtls_x509_name *item = &certificate->subject; item != NULL; item = item->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &item->oid) == 0 && item->val.p != NULL &&
            take((const char *)item->val.p, item->val.len, arg))
            return true;
    }
    return false;
}

struct wanted {
    const char *name;
};

static bool is_name(const char *text, size_t length, void *arg) {
    const struct wanted *wanted = arg;
    return same_name(text, length, wanted->name);
}

bool tls_names(const mbedtls_x509_crt *certificate, const char *name) {
    struct wanted wanted = {name};
    return certificate != NULL && each_name(certificate, is_name, &wanted);
}

struct text {
    char *out;
    size_t size;
};

static bool take_name(const char *text, size_t length, void *arg) {
    const struct text *to = arg;
    (void)snprintf(to->out, to->size, "%.*s", (int)length, text);
    return true;
}

static void name_of(const mbedtls_x509_crt *certificate, char *out, size_t size) {
    struct text to = {out, size};
    out[0] = '\0';
    (void)each_name(certificate, take_name, &to);
}

/* Called for each certificate of a chain; the member's own is at depth 0. Judges nothing. */
static int note_name(void *name, mbedtls_x509_crt *certificate, int depth, uint32_t *flags) {
    (void)flags;
    if (depth == 0)
        name_of(certificate, name, REFUSAL_NAME_MAX + 1);
    return 0;
}

void tls_keep_name(mbedtls_ssl_context *session, char *name) {
    name[0] = '\0';
    mbedtls_ssl_set_verify(session, note_name, name);
}

/* ---- reasons ---- */

static enum refusal flag_refusal(uint32_t flags) {
    if ((flags & (MBEDTLS_X509_BADCERT_MISSING | MBEDTLS_X509_BADCERT_SKIP_VERIFY)) != 0)
        return REFUSAL_NO_CERTIFICATE;
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0)
        return REFUSAL_WRONG_CA;
    if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0)
        return REFUSAL_EXPIRED;
    if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0)
        return REFUSAL_NOT_YET_VALID;
    if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0)
        return REFUSAL_WRONG_NAME;
    return REFUSAL_BAD_CERTIFICATE;
}

enum refusal tls_refusal(const mbedtls_ssl_context *session, int code) {
    switch (code) {
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        return flag_refusal(mbedtls_ssl_get_verify_result(session));
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return REFUSAL_NO_CERTIFICATE;
    case MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE:
        return REFUSAL_BAD_CERTIFICATE;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return REFUSAL_REFUSES_US;
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return REFUSAL_LEFT;
    default:
        return REFUSAL_TLS;
    }
}

/* ---- our own files ---- */

static void say_date(char *out, size_t size, const mbedtls_x509_time *time) {
    (void)snprintf(out, size, "%04d-%02d-%02d %02d:%02d UTC", time->year, time->mon, time->day,
                   time->hour, time->min);
}

static int check_own(struct tls_side *side, const struct net_tls_files *files, const char *self,
                     char *error, size_t size) {
    uint32_t flags = 0;
    char date[64];
    const char *of_no_use = "certificate = %s is of no use: it %s%s%s; slotshare pki makes one";
    if (mbedtls_x509_crt_verify(&side->own, &side->ca, NULL, NULL, &flags, NULL, NULL) == 0)
        flags = 0;
    if (mbedtls_pk_check_pair(&side->own.pk, &side->key) != 0) {
        (void)snprintf(error, size, of_no_use, files->path[0],
                       "does not belong to key = ", files->path[1], "");
    } else if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
        (void)snprintf(error, size, of_no_use, files->path[0],
                       "was not signed by ca = ", files->path[2], "");
    } else if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) {
        say_date(date, sizeof date, &side->own.valid_to);
        (void)snprintf(error, size, of_no_use, files->path[0], "was valid until ", date, "");
    } else if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0) {
        say_date(date, sizeof date, &side->own.valid_from);
        (void)snprintf(error, size, of_no_use, files->path[0], "is valid from ", date,
                       ": is this host's clock right?");
    } else if (!tls_names(&side->own, self)) {
        char named[REFUSAL_NAME_MAX + 1];
        name_of(&side->own, named, sizeof named);
        (void)snprintf(error, size,
                       "certificate = %s is of no use: it names \"%s\" (subject alternative name), "
                       "and must name %s; slotshare pki makes one",
                       files->path[0], named, self);
    } else if (flags != 0) {
        (void)snprintf(error, size, of_no_use, files->path[0], "is not one for this use, or weak",
                       "", "");
    } else {
        return 0;
    }
    return -1;
}

static int parse_files(struct tls_side *side, const struct net_tls_files *files, char *error,
                       size_t size) {
    char why[128];
    /* PEM is told from other forms by the NUL, which counts. */
    int rc =
        mbedtls_x509_crt_parse(&side->ca, (const unsigned char *)files->ca, strlen(files->ca) + 1);
    if (rc != 0) {
        mbedtls_strerror(rc, why, sizeof why);
        (void)snprintf(error, size, "ca = %s holds no PEM certificate (%s)", files->path[2], why);
        return -1;
    }
    rc = mbedtls_x509_crt_parse(&side->own, (const unsigned char *)files->certificate,
                                strlen(files->certificate) + 1);
    if (rc == 0)
        rc = mbedtls_pk_parse_key(&side->key, (const unsigned char *)files->key,
                                  strlen(files->key) + 1, NULL, 0);
    if (rc == 0)
        return 0;
    mbedtls_strerror(rc, why, sizeof why);
    (void)snprintf(error, size,
                   "certificate = %s or key = %s is not what its name says: a PEM certificate and "
                   "its PEM private key without a passphrase are needed (%s)",
                   files->path[0], files->path[1], why);
    return -1;
}

static int set_up(struct tls_side *side, bool server) {
    int rc = mbedtls_ctr_drbg_seed(&side->random, mbedtls_entropy_func, &side->entropy, NULL, 0);
    if (rc == 0)
        rc = mbedtls_ssl_config_defaults(&side->config,
                                         server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc != 0)
        return rc;
    mbedtls_ssl_conf_rng(&side->config, mbedtls_ctr_drbg_random, &side->random);
    mbedtls_ssl_conf_min_version(&side->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3); /* TLS 1.2 */
    mbedtls_ssl_conf_authmode(&side->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&side->config, &side->ca, NULL);
    return mbedtls_ssl_conf_own_cert(&side->config, &side->own, &side->key);
}

struct tls_side *tls_side_open(const struct net_tls_files *files, bool server, const char *self,
                               char *error, size_t error_size) {
    struct tls_side *side = calloc(1, sizeof *side);
    if (side == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return NULL;
    }
    mbedtls_ssl_config_init(&side->config);
    mbedtls_x509_crt_init(&side->own);
    mbedtls_x509_crt_init(&side->ca);
    mbedtls_pk_init(&side->key);
    mbedtls_entropy_init(&side->entropy);
    mbedtls_ctr_drbg_init(&side->random);
    int result = parse_files(side, files, error, error_size);
    if (result == 0 && self != NULL)
        result = check_own(side, files, self, error, error_size);
    if (result == 0 && set_up(side, server) != 0) {
        (void)snprintf(error, error_size, "cannot set up TLS: no memory, or no random numbers");
        result = -1;
    }
    if (result == 0)
        return side;
    tls_side_close(side);
    return NULL;
}

void tls_side_close(struct tls_side *side) {
    if (side == NULL)
        return;
    mbedtls_ssl_config_free(&side->config);
    mbedtls_x509_crt_free(&side->own);
    mbedtls_x509_crt_free(&side->ca);
    mbedtls_pk_free(&side->key); /* overwrites it */
    mbedtls_ctr_drbg_free(&side->random);
    mbedtls_entropy_free(&side->entropy);
    free(side);
}

const mbedtls_ssl_config *tls_side_config(const struct tls_side *side) {
    return &side->config;
}
