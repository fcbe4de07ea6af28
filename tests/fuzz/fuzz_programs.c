/* SPDX-License-Identifier: MIT */
/* Command lines of whole programs, shmstat's and slotshare-bridge's, up to where they would open
 * something. The first byte chooses, the rest is words with a NUL after each. */
#include <setjmp.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "../../bridge/daemon.h"
#include "../../bridge/events.h"
#include "../../show/snapshot.h"
#include "input.h"

enum { WORDS_MAX = 24, ROOM = 4096 };

/* Their main(), by the names that the build gives them, and what they call instead. */
int shmstat_main(int argc, char **argv);
int bridge_main(int argc, char **argv);
_Noreturn void bridge_exit(int status);
struct events *bridge_events(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's --wrap names it. */
int __wrap_source_open(struct source *source, const char *name, const char *directory);

static sigjmp_buf ended;
static int end_status;

/* With the mask of signals that was there before: the bridge blocks some. */
void bridge_exit(int status) {
    end_status = status;
    siglongjmp(ended, 1);
}

struct events *bridge_events(void) {
    return NULL;
}

int daemon_open(struct daemon **out, const struct daemon_options *options, struct log *log,
                struct conf_errors *errors) {
    must(options->config != NULL, "a bridge without a configuration");
    must(log->level >= LOG_LEVEL_ERROR && log->level <= LOG_LEVEL_DEBUG, "a log level");
    *out = NULL;
    (void)errors;
    return -1;
}

enum daemon_end daemon_run(struct daemon *daemon, struct watchdog *dog) {
    must(daemon != NULL && dog != NULL, "a bridge that was not opened runs");
    return DAEMON_STOPPED;
}

int watchdog_start(struct watchdog *dog, uint32_t ticks_max, uint32_t tick_ms, int fd) {
    must(false, "a bridge that was not opened is watched");
    (void)dog;
    (void)ticks_max;
    (void)tick_ms;
    (void)fd;
    return -1;
}

void daemon_close(struct daemon *daemon) {
    must(daemon != NULL, "a bridge that was not opened is closed");
}

/* There is no segment. */
int __wrap_source_open(struct source *source, const char *name, const char *directory) {
    must(name == NULL || strlen(name) < ROOM, "a name");
    must(directory == NULL || strlen(directory) < ROOM, "a directory");
    memset(source, 0, sizeof *source);
    return SLOTSHARE_ENOSEGMENT;
}

static void bridge(int argc, char **argv) {
    optind = 0; /* GNU: start anew */
    if (sigsetjmp(ended, 1) == 0) {
        end_status = bridge_main(argc, argv);
    }
    must(end_status >= 0 && end_status <= 2, "the bridge's exit status");
}

static void shmstat(int argc, char **argv) {
    int status = shmstat_main(argc, argv);
    /* 3: what a monitoring system knows as UNKNOWN. */
    must(status == EX_OK || status == 3 || status == EX_USAGE || status == EX_UNAVAILABLE,
         "shmstat's exit status");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char words[ROOM + 1], name[] = "program";
    struct input input = {data, size};
    char *argv[WORDS_MAX + 2] = {name};
    int argc = 1;

    uint8_t choice = input_byte(&input);
    size_t length = input.left < ROOM ? input.left : ROOM;
    if (length > 0) {
        memcpy(words, input.at, length);
    }
    words[length] = '\0';
    for (size_t at = 0; at < length && argc <= WORDS_MAX; at += strlen(words + at) + 1) {
        argv[argc++] = words + at;
    }
    argv[argc] = NULL;
    if (choice % 2 == 0) {
        bridge(argc, argv);
    } else {
        shmstat(argc, argv);
    }
    return 0;
}
