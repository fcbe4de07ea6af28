/* SPDX-License-Identifier: MIT */
/* slotshare-bridge: the daemon's command line. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon.h"
#include "events.h"
#include "notify.h"
#include "watchdog.h"

enum { EXIT_START = 1, EXIT_USAGE = 2, EXIT_GONE = 3, EXIT_RESTART = 4, EXIT_BROKEN = 5 };

static const char help[] =
    "Usage: slotshare-bridge --config FILE [OPTION...]\n"
    "Joins this host's slotshare segment to those of the other members, so that all of them\n"
    "together keep to the limits in FILE. Runs in the foreground; logs to standard error or to "
    "syslog.\n"
    "\n"
    "  -c, --config FILE     the configuration, with a [cluster] section\n"
    "  -n, --name NAME       name of the segment, instead of the configured one\n"
    "  -d, --directory DIR   where segments live, instead of the configured one\n"
    "                        (default: $SLOTSHARE_DIR, else /run/slotshare)\n"
    "      --found           this file is the first configuration of a new cluster: do not wait\n"
    "                        until all members have started with the same file\n"
    "  -l, --log-level L     error, warning, notice, info or debug, whatever FILE says (there: "
    "info\n"
    "                        unless log_level says otherwise)\n"
    "      --log WHERE       stderr or syslog, whatever FILE says\n"
    "      --foreground      accepted; there is no other mode\n"
    "  -h, --help            show this and end\n"
    "  -V, --version         show the version and end\n"
    "\n"
    "SIGTERM or SIGINT: hand back what is not in use, and end.\n"
    "SIGHUP: read FILE and the certificates again, and propose it to the other members\n"
    "(slotshare reload does the same, and tells what became of it).\n"
    "\n"
    "Exit status:\n"
    "  0  ended by SIGTERM or SIGINT\n"
    "  1  could not start: configuration, segment, certificates or port\n"
    "  2  wrong usage\n"
    "  3  the segment was removed or replaced while it ran\n"
    "  4  the network got stuck: start it again\n"
    "  5  what the cluster has committed could not be stored: see the log\n"
    "When its main loop stands still for a minute it ends itself by SIGABRT, and says so in the\n"
    "log: start it again. Have it run by something that does (systemd, runit, s6, Docker, ...).\n";

struct arguments {
    struct daemon_options options;
    struct log log;
    struct watchdog dog; /* kept to the end, which it watches, too */
};

/* @return -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *out) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},    {"name", required_argument, NULL, 'n'},
        {"directory", required_argument, NULL, 'd'}, {"log-level", required_argument, NULL, 'l'},
        {"log", required_argument, NULL, 'L'},       {"foreground", no_argument, NULL, 'f'},
        {"found", no_argument, NULL, 'F'},           {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:n:d:l:hV", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->options.config = optarg;
            break;
        case 'n':
            out->options.name = optarg;
            break;
        case 'd':
            out->options.directory = optarg;
            break;
        case 'l':
            out->log.fixed_level = true;
            if (log_level_parse(optarg, &out->log.level))
                break;
            (void)fprintf(stderr,
                          "slotshare-bridge: --log-level is error, warning, notice, info or "
                          "debug, not "
                          "'%s'\n",
                          optarg);
            return EXIT_USAGE;
        case 'L':
            out->log.fixed_sink = true;
            out->log.to_syslog = strcmp(optarg, "syslog") == 0;
            if (out->log.to_syslog || strcmp(optarg, "stderr") == 0)
                break;
            (void)fprintf(stderr, "slotshare-bridge: --log is stderr or syslog, not '%s'\n",
                          optarg);
            return EXIT_USAGE;
        case 'f':
            break;
        case 'F':
            out->options.found = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : EXIT_START;
        case 'V':
            (void)puts("slotshare-bridge " SLOTSHARE_VERSION);
            return fflush(stdout) == 0 ? 0 : EXIT_START;
        default:
            (void)fputs("Try 'slotshare-bridge --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (out->options.config != NULL && optind == argc)
        return -1;
    (void)fprintf(stderr, "slotshare-bridge: %s%s\nTry 'slotshare-bridge --help'.\n",
                  optind < argc ? "unexpected argument: " : "--config FILE is missing",
                  optind < argc ? argv[optind] : "");
    return EXIT_USAGE;
}

static int block_signals(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    return signal(SIGPIPE, SIG_IGN) != SIG_ERR && sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ? 0
                                                                                              : -1;
}

static int run(struct arguments *arguments) {
    static const int status[] = {[DAEMON_STOPPED] = 0,
                                 [DAEMON_GONE] = EXIT_GONE,
                                 [DAEMON_STUCK] = EXIT_RESTART,
                                 [DAEMON_BROKEN] = EXIT_BROKEN};
    struct conf_errors errors = {0};
    struct daemon *daemon = NULL;
    openlog("slotshare-bridge", LOG_PID, LOG_DAEMON);
    int result = daemon_open(&daemon, &arguments->options, &arguments->log, &errors);
    for (size_t i = 0; i < errors.count; i++)
        (void)fprintf(stderr, "%s\n", errors.line[i]);
    conf_errors_free(&errors);
    if (result != 0)
        return EXIT_START;
    result = watchdog_start(&arguments->dog, WATCHDOG_TICKS, WATCHDOG_TICK_MS, arguments->log.fd);
    if (result != 0) {
        (void)fprintf(stderr, "slotshare-bridge: cannot start the watchdog: %s\n",
                      strerror(result));
        return EXIT_START;
    }
    notify_send("READY=1");
    enum daemon_end end = daemon_run(daemon, &arguments->dog);
    notify_send("STOPPING=1");
    daemon_close(daemon);
    log_event(&arguments->log, LOG_LEVEL_NOTICE, "stopped", NULL);
    return status[end];
}

int main(int argc, char **argv) {
    struct log_limits limits = {0};
    struct arguments arguments = {
        .log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .limits = &limits}};
    /* First: a reload that is asked for in the first milliseconds must not end it. */
    if (block_signals() != 0) {
        (void)fprintf(stderr, "slotshare-bridge: cannot block signals: %s\n", strerror(errno));
        return EXIT_START;
    }
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    arguments.log.events = events_create(); /* kept to the end; NULL: none are kept */
    status = run(&arguments);
    /* Not exit(): the network library's threads still run, and need no farewell. */
    _exit(status);
}
