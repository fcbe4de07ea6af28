/* SPDX-License-Identifier: MIT */
/* slotshare pki: a small certificate authority for those who have none. All cryptography is done by
 * the openssl tool; this is the order of its calls, and care with files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"

enum { DAYS_CA = 3650, DAYS_MEMBER = 730, NAME_MAX_DNS = 128, EXISTS = 1 };

struct settings {
    const char *directory;
    int64_t days;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'d', OPTION_TEXT, "directory", "DIR", AT(directory), 0, 0,
     "where the files are (default: the current directory)"},
    {0, OPTION_NUMBER, "days", "N", AT(days), 1, 36500,
     "how long the certificate is valid (default: 3650 for the authority,\n"
     "730 for a member)"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "done"},
    {"1", "a file is there already; nothing was changed"},
    {"64", "wrong usage"},
    {"69", "openssl is missing, or failed; nothing was changed"},
    {"71", "an error of the operating system"},
};

/* Own settings: what openssl.cnf of this host says must not matter. */
static const char settings_text[] = "[req]\n"
                                    "distinguished_name = name\n"
                                    "prompt = no\n"
                                    "[name]\n"
                                    "CN = slotshare\n"
                                    "[authority]\n"
                                    "basicConstraints = critical, CA:TRUE, pathlen:0\n"
                                    "keyUsage = critical, keyCertSign, cRLSign\n"
                                    "subjectKeyIdentifier = hash\n"
                                    "[member]\n"
                                    "basicConstraints = critical, CA:FALSE\n"
                                    "keyUsage = critical, digitalSignature\n"
                                    "extendedKeyUsage = serverAuth, clientAuth\n"
                                    "subjectAltName = DNS:%s\n";

/* Files are made in a folder of their own and moved into place when all of them are good. */
struct work {
    const char *program, *directory;
    char folder[PATH_MAX];
    char settings[PATH_MAX], said[PATH_MAX], key[PATH_MAX], request[PATH_MAX],
        certificate[PATH_MAX];
};

static int system_error(const struct work *work, const char *what, const char *path) {
    fprintf(stderr, "%s: cannot %s %s: %s\n", work->program, what, path, strerror(errno));
    return EX_OSERR;
}

static bool join(char out[PATH_MAX], const char *directory, const char *name, const char *end) {
    const int length = snprintf(out, PATH_MAX, "%s/%s%s", directory, name, end);
    return length > 0 && length < PATH_MAX;
}

static int work_begin(struct work *work, const char *member) {
    if (!join(work->folder, work->directory, ".new-XXXXXX", "")) {
        errno = ENAMETOOLONG;
        return system_error(work, "use", work->directory);
    }
    (void)umask(077);
    if (mkdtemp(work->folder) == NULL) {
        work->folder[0] = '\0';
        return system_error(work, "make files in", work->directory);
    }
    if (!join(work->settings, work->folder, "settings", "") ||
        !join(work->said, work->folder, "said", "") || !join(work->key, work->folder, "key", "") ||
        !join(work->request, work->folder, "request", "") ||
        !join(work->certificate, work->folder, "certificate", "")) {
        errno = ENAMETOOLONG;
        return system_error(work, "use", work->directory);
    }
    FILE *out = fopen(work->settings, "we");
    if (out == NULL || fprintf(out, settings_text, member) < 0 || fflush(out) != 0) {
        const int status = system_error(work, "write", work->settings);
        if (out != NULL) {
            (void)fclose(out);
        }
        return status;
    }
    return fclose(out) == 0 ? EX_OK : system_error(work, "write", work->settings);
}

static void work_end(const struct work *work) {
    if (work->folder[0] == '\0') {
        return;
    }
    (void)unlink(work->settings);
    (void)unlink(work->said);
    (void)unlink(work->key);
    (void)unlink(work->request);
    (void)unlink(work->certificate);
    (void)rmdir(work->folder);
}

/* What openssl had to say, when it failed. */
static int openssl_failed(const struct work *work, const char *why) {
    char line[500];
    FILE *said = fopen(work->said, "re");
    fprintf(stderr, "%s: openssl %s\n", work->program, why);
    while (said != NULL && fgets(line, sizeof line, said) != NULL) {
        fprintf(stderr, "  %s", line);
    }
    if (said != NULL) {
        (void)fclose(said);
    }
    return EX_UNAVAILABLE;
}

static int openssl(const struct work *work, char *const *arguments) {
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = 0;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return system_error(work, "start", "openssl");
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, work->said,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    const int why = posix_spawnp(&pid, "openssl", &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (why != 0) {
        fprintf(stderr, "%s: cannot run openssl: %s; apt-get install openssl\n", work->program,
                strerror(why));
        return EX_UNAVAILABLE;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return system_error(work, "wait for", "openssl");
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EX_OK
                                                         : openssl_failed(work, "failed; it said:");
}

static bool serial_make(char out[2 + 2 * 16 + 1]) {
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        return false;
    }
    random[0] = (unsigned char)((random[0] & 0x7f) | 0x40); /* positive, and of full length */
    (void)snprintf(out, 3, "0x");
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(out + 2 + 2 * i, 3, "%02x", random[i]);
    }
    return true;
}

/* Never over a file that is there: a lost key cannot be made again. */
static int put(const struct work *work, const char *from, const char *to) {
    if (link(from, to) == 0) {
        return EX_OK;
    }
    if (errno != EEXIST) {
        return system_error(work, "write", to);
    }
    fprintf(stderr, "%s: %s is there already; remove it first if it is to be made anew\n",
            work->program, to);
    return EXISTS;
}

/* The key, then the certificate that makes it of use. */
static int put_both(const struct work *work, const char *key, const char *certificate) {
    if (chmod(work->certificate, 0644) != 0) {
        return system_error(work, "write", work->certificate);
    }
    int status = put(work, work->key, key);
    if (status == EX_OK) {
        status = put(work, work->certificate, certificate);
        if (status != EX_OK) {
            (void)unlink(key);
        }
    }
    return status;
}

#define KEY_ARGUMENTS "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"

static int make_authority(struct work *work, const struct settings *settings) {
    char days[24], key[PATH_MAX], certificate[PATH_MAX];
    (void)snprintf(days, sizeof days, "%lld",
                   (long long)(settings->days != 0 ? settings->days : DAYS_CA));
    char *const arguments[] = {
        "openssl",         "req",         "-x509",     KEY_ARGUMENTS, "-config",
        work->settings,    "-extensions", "authority", "-subj",       "/CN=slotshare authority",
        "-days",           days,          "-keyout",   work->key,     "-out",
        work->certificate, NULL};
    int status = work_begin(work, "authority");
    if (status == EX_OK) {
        status = openssl(work, arguments);
    }
    if (status == EX_OK && join(key, work->directory, "ca", ".key") &&
        join(certificate, work->directory, "ca", ".pem")) {
        status = put_both(work, key, certificate);
        if (status == EX_OK) {
            printf("%s: the certificate that every member needs (ca = in [cluster])\n"
                   "%s: signs the members' certificates; keep it away from the mail servers\n"
                   "Next: slotshare pki member NAME, for each member\n",
                   certificate, key);
        }
    }
    return status;
}

static int sign_member(struct work *work, const char *days, const char *ca_key, const char *ca) {
    char serial[2 + 2 * 16 + 1];
    char *const ask[] = {"openssl", "req",     "-new", KEY_ARGUMENTS, "-config", work->settings,
                         "-keyout", work->key, "-out", work->request, NULL};
    if (!serial_make(serial)) {
        return system_error(work, "get", "random numbers");
    }
    char *const sign[] = {
        "openssl",         "x509",     "-req",         "-in",         work->request, "-CA",
        (char *)ca,        "-CAkey",   (char *)ca_key, "-set_serial", serial,        "-days",
        (char *)days,      "-extfile", work->settings, "-extensions", "member",      "-out",
        work->certificate, NULL};
    const int status = openssl(work, ask);
    return status == EX_OK ? openssl(work, sign) : status;
}

static int make_member(struct work *work, const struct settings *settings, const char *name) {
    char days[24], ca[PATH_MAX], ca_key[PATH_MAX], key[PATH_MAX], certificate[PATH_MAX];
    (void)snprintf(days, sizeof days, "%lld",
                   (long long)(settings->days != 0 ? settings->days : DAYS_MEMBER));
    if (!join(ca, work->directory, "ca", ".pem") || !join(ca_key, work->directory, "ca", ".key") ||
        !join(key, work->directory, name, ".key") ||
        !join(certificate, work->directory, name, ".pem")) {
        errno = ENAMETOOLONG;
        return system_error(work, "use", work->directory);
    }
    if (access(ca, R_OK) != 0 || access(ca_key, R_OK) != 0) {
        fprintf(stderr,
                "%s: cannot read %s and %s: %s; 'slotshare pki init' makes them, --directory says "
                "where they are\n",
                work->program, ca, ca_key, strerror(errno));
        return EX_UNAVAILABLE;
    }
    int status = work_begin(work, name);
    if (status == EX_OK) {
        status = sign_member(work, days, ca_key, ca);
    }
    if (status == EX_OK) {
        status = put_both(work, key, certificate);
    }
    if (status == EX_OK) {
        printf("%s, %s: for the member %s alone, valid for %s days. On its host, with %s:\n"
               "    [cluster]\n"
               "    certificate = /etc/slotshare/%s.pem\n"
               "    key = /etc/slotshare/%s.key     ; readable by the bridge's user only\n"
               "    ca = /etc/slotshare/ca.pem\n",
               certificate, key, name, days, ca, name, name);
    }
    return status;
}

static bool good_name(const char *name) {
    const size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX_DNS && *name != '-' && *name != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length &&
           strcmp(name, "ca") != 0;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {.directory = "."};
    struct work work = {.program = self->program};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    work.directory = settings.directory;
    if (argc - first == 1 && strcmp(argv[first], "init") == 0) {
        status = make_authority(&work, &settings);
    } else if (argc - first == 2 && strcmp(argv[first], "member") == 0) {
        if (!good_name(argv[first + 1])) {
            return command_usage(self, "a member's name here is made of letters, digits, '.', '_' "
                                       "and '-', and is not 'ca'");
        }
        status = make_member(&work, &settings, argv[first + 1]);
    } else {
        return command_usage(self, "say 'init', or 'member NAME'");
    }
    work_end(&work);
    return exit_flush(self->program, status);
}

const struct command command_pki = {
    .name = "pki",
    .program = "slotshare pki",
    .synopsis = "[OPTION]... init\n[OPTION]... member NAME",
    .summary = "make certificates for the members of a cluster",
    .details =
        "For those who have no certificate authority: 'init' makes one (ca.pem, ca.key), and\n"
        "'member' a key and a certificate for one member (NAME.pem, NAME.key), by the openssl\n"
        "tool. NAME is the member's name in [cluster]. Files that are there are never replaced.\n"
        "A member's certificate that is about to end is made anew the same way, somewhere else\n"
        "or after the old one was removed.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
