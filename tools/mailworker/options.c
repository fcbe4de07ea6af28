/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: mailworker --binding NAME --destination DOMAIN,MXHOST,ADDRESS:PORT[,WEIGHT]... "
    "[OPTION]...\n"
    "\n"
    "Deliver test messages by SMTP from several processes, each connection under a slot of\n"
    "slotshare. Ends with one line of JSON: messages delivered, refused (no slot in time), "
    "failed.\n"
    "\n"
    "Where and as whom:\n"
    "  --destination DOMAIN,MXHOST,ADDRESS:PORT[,WEIGHT]\n"
    "                          mail for DOMAIN goes to MXHOST, which listens there; may be given\n"
    "                          several times, WEIGHT (default 1) says how often each is chosen\n"
    "  --binding NAME          the sending identity\n"
    "  --source ADDRESS        local IP address to send from\n"
    "  --sender MAILBOX        envelope sender (default mailworker@mailworker.example)\n"
    "How much:\n"
    "  --messages N            end after N messages (default: no bound)\n"
    "  --seconds S             end after S seconds (default: no bound; SIGTERM ends it, too)\n"
    "  --size BYTES            of a message's body (default 1000)\n"
    "  --processes N           worker processes (default 1)\n"
    "  --connections N         connections at once per process (default 1)\n"
    "  --per-connection N      messages on one connection before it is closed (default 10)\n"
    "  --lifetime MS           age at which it is closed even so (default 10000): the cluster can\n"
    "                          count on a connection to end, and so can move its slot\n"
    "The limit:\n"
    "  --name NAME             segment (default slotshare)\n"
    "  --directory DIR         where segments are (default $SLOTSHARE_DIR, else /run/slotshare)\n"
    "  --config FILE           create the segment from this file if there is none (single host)\n"
    "  --wait MS               longest wait for a slot (default 1000)\n"
    "Other:\n"
    "  --log FILE              append 'ID DOMAIN MXHOST' for each message that was delivered\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 when nothing failed (a refusal is no failure), 1 when something did,\n"
    "2 for a wrong command line.\n";

enum {
    OPTION_DESTINATION = 256,
    OPTION_BINDING,
    OPTION_SOURCE,
    OPTION_SENDER,
    OPTION_MESSAGES,
    OPTION_SECONDS,
    OPTION_SIZE,
    OPTION_PROCESSES,
    OPTION_CONNECTIONS,
    OPTION_PER_CONNECTION,
    OPTION_LIFETIME,
    OPTION_NAME,
    OPTION_DIRECTORY,
    OPTION_CONFIG,
    OPTION_WAIT,
    OPTION_LOG,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"destination", required_argument, NULL, OPTION_DESTINATION},
    {"binding", required_argument, NULL, OPTION_BINDING},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"sender", required_argument, NULL, OPTION_SENDER},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"processes", required_argument, NULL, OPTION_PROCESSES},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"per-connection", required_argument, NULL, OPTION_PER_CONNECTION},
    {"lifetime", required_argument, NULL, OPTION_LIFETIME},
    {"name", required_argument, NULL, OPTION_NAME},
    {"directory", required_argument, NULL, OPTION_DIRECTORY},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"log", required_argument, NULL, OPTION_LOG},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool number(const char *text, unsigned long low, unsigned long high, unsigned long *out) {
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out >= low &&
           *out <= high;
}

/* DOMAIN,MXHOST,ADDRESS:PORT[,WEIGHT] */
static bool read_destination(struct options *out, char *text) {
    if (out->destinations == DESTINATIONS_MAX)
        return false;
    struct destination *to = &out->destination[out->destinations];
    char *rest = text;
    to->domain = strsep(&rest, ",");
    to->host = strsep(&rest, ",");
    char *address = strsep(&rest, ",");
    char *colon = address ? strrchr(address, ':') : NULL;
    unsigned long port = 0, weight = 1;
    if (!to->host || !*to->domain || !*to->host || !colon || colon == address)
        return false;
    *colon = '\0';
    if (!number(colon + 1, 1, 65535, &port) || (rest && !number(rest, 1, 1000000, &weight)))
        return false;
    to->address = address;
    to->port = (unsigned)port;
    to->weight = (unsigned)weight;
    out->weights += to->weight;
    out->destinations++;
    return true;
}

static bool read_count(const char *text, unsigned long low, unsigned long high, unsigned *out) {
    unsigned long value = 0;
    if (!number(text, low, high, &value))
        return false;
    *out = (unsigned)value;
    return true;
}

static bool read_number(struct options *out, int option, const char *text) {
    unsigned value = 0;
    bool good = true;
    switch (option) {
    case OPTION_MESSAGES:
        good = read_count(text, 1, 1000000000, &value);
        out->messages = value;
        break;
    case OPTION_SECONDS:
        good = read_count(text, 1, 1000000, &out->seconds);
        break;
    case OPTION_SIZE:
        good = read_count(text, 0, 100000000, &value);
        out->session.size = value;
        break;
    case OPTION_PROCESSES:
        good = read_count(text, 1, 1000, &out->processes);
        break;
    case OPTION_CONNECTIONS:
        good = read_count(text, 1, 1000, &out->connections);
        break;
    case OPTION_PER_CONNECTION:
        good = read_count(text, 1, 1000000, &out->per_connection);
        break;
    case OPTION_LIFETIME:
        good = read_count(text, 1, 86400000, &out->lifetime_ms);
        break;
    default:
        good = read_count(text, 0, 1000000, &value);
        out->session.wait_ms = (int)value;
        break;
    }
    return good;
}

static bool read_option(struct options *out, int option, char *text) {
    switch (option) {
    case OPTION_DESTINATION:
        return read_destination(out, text);
    case OPTION_BINDING:
        out->session.binding = text;
        return true;
    case OPTION_SOURCE:
        out->session.source = text;
        return true;
    case OPTION_SENDER:
        out->session.sender = text;
        return true;
    case OPTION_NAME:
        out->name = text;
        return true;
    case OPTION_DIRECTORY:
        out->directory = text;
        return true;
    case OPTION_CONFIG:
        out->config = text;
        return true;
    case OPTION_LOG:
        out->log = text;
        return true;
    default:
        return read_number(out, option, text);
    }
}

int options_read(struct options *out, int argc, char **argv) {
    *out = (struct options){
        .session = {.sender = "mailworker@mailworker.example", .wait_ms = 1000, .size = 1000},
        .processes = 1,
        .connections = 1,
        .per_connection = 10,
        .lifetime_ms = 10000,
    };
    int option = 0, which = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &which)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return 1;
        }
        if (option == OPTION_VERSION) {
            printf("mailworker %s\n", SLOTSHARE_VERSION);
            return 1;
        }
        if (option == '?' || !read_option(out, option, optarg)) {
            if (option != '?')
                fprintf(stderr, "mailworker: --%s: wrong value near '%s' (see --help)\n",
                        long_options[which].name, optarg);
            return -1;
        }
    }
    if (optind < argc || !out->destinations || !out->session.binding) {
        fprintf(stderr,
                optind < argc
                    ? "mailworker: unexpected argument '%s' (see --help)\n"
                    : "mailworker: --binding and --destination are needed%s (see --help)\n",
                optind < argc ? argv[optind] : "");
        return -1;
    }
    return 0;
}
