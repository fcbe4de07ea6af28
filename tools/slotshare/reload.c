/* SPDX-License-Identifier: MIT */
/* slotshare reload: a configuration file that has changed. On a single host it is loaded here; in a
 * cluster the bridge reads its file and proposes it to the other members. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ask.h"
#include "command.h"
#include "conf/conf.h"

struct settings {
    const char *name, *directory, *config;
    int64_t wait_ms;
};

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'n', OPTION_TEXT, "name", "NAME", AT(name), 0, 0,
     "the segment (default: what FILE says, else slotshare)"},
    {0, OPTION_TEXT, "directory", "DIR", AT(directory), 0, 0,
     "where segments are (default: what FILE says, else $SLOTSHARE_DIR, else\n"
     "/run/slotshare)"},
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "the configuration file; in a cluster the bridge's own"},
    {'w', OPTION_SECONDS, "wait", "SECONDS", AT(wait_ms), 0, INT64_C(86400000),
     "in a cluster: wait so long for all members (default: 2)"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"0", "every later take obeys the new limits; in a cluster: all members have committed"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, of another version, or its table is full;\n"
           "         or no bridge answers"},
    {"71", "an error of the operating system"},
    {"75", "in a cluster: not committed yet; what is waited for is printed"},
    {"78", "the configuration file has errors, or the certificates are of no use; the old ones\n"
           "         stay in force"},
};

static int reload_single(const struct command *self, const struct settings *settings) {
    char error[4096] = "";
    slotshare *handle = NULL;
    const int status =
        command_open(self->program, settings->name, settings->directory, false, &handle);
    if (status != EX_OK) {
        return status;
    }
    const int result = slotshare_reload(handle, settings->config, error, sizeof error);
    slotshare_close(handle);
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, error);
    }
    printf("%s: loaded\n", settings->config);
    return EX_OK;
}

/* The bridge reads its own file: whoever names another one means something else. */
static int same_file(const struct ask *ask, const char *config) {
    json_t *status = NULL;
    int result = ask_bridge(ask, json_pack("{s:s}", "command", "status"), &status);
    if (result != EX_OK) {
        return result;
    }
    char *own = realpath(config, NULL);
    if (own == NULL || strcmp(own, ask_text(status, "file")) != 0) {
        fprintf(stderr, "%s: the bridge reads %s, not %s: change that file\n", ask->program,
                ask_text(status, "file"), own != NULL ? own : config);
        result = EX_USAGE;
    }
    free(own);
    json_decref(status);
    return result;
}

static int reload_cluster(const struct command *self, const struct settings *settings,
                          const struct conf *conf) {
    struct ask ask;
    if (!ask_init(&ask, self->program, settings->name, settings->directory)) {
        return EX_USAGE;
    }
    if (conf == NULL && !ask_possible(&ask)) {
        return command_usage(self, "name the configuration file: --config FILE");
    }
    int status = conf != NULL ? same_file(&ask, settings->config) : EX_OK;
    return status == EX_OK ? ask_reload(&ask, settings->wait_ms) : status;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {.wait_ms = 2000};
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);

    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return command_usage(self, "takes no operand");
    }
    /* Errors are told by whoever is to load it. */
    if (settings.config != NULL) {
        (void)conf_load(settings.config, &conf, &errors);
        conf_errors_free(&errors);
    }
    if (conf != NULL) {
        settings.name = settings.name != NULL ? settings.name : conf->segment;
        settings.directory = settings.directory != NULL ? settings.directory : conf->directory;
    }
    if (settings.config == NULL || (conf != NULL && conf->clustered)) {
        status = reload_cluster(self, &settings, conf);
    } else {
        status = reload_single(self, &settings);
    }
    conf_free(conf);
    return exit_flush(self->program, status);
}

const struct command command_reload = {
    .name = "reload",
    .program = "slotshare reload",
    .synopsis = "[OPTION]... [--config FILE]",
    .summary = "load a configuration file that has changed",
    .details =
        "The whole set of limits changes at once. Slots that are held stay counted where\n"
        "they are; a limit that was lowered below what is held refuses until the count is\n"
        "under it. No worker restarts. Sizes in [node] take effect when the segment is made\n"
        "the next time.\n"
        "\n"
        "On a single host, name FILE. In a cluster the bridge reads the file that it was\n"
        "started with (SIGHUP does the same), keeps to the lower of old and new limits at\n"
        "once, and proposes it to the other members. It is committed when all of them have\n"
        "loaded the same file and are under the new limits; until then another file, or the\n"
        "old one again, may be loaded in its place. What it waits for is printed.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], false},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
