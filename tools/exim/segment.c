/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "exim.h"

/* dlfunc gives no place to keep anything: what an Exim process knows has to be here. */
static struct {
    slotshare *handle;
    bool damaged; /* the segment is not to be touched again by this process or its children */
    bool told;    /* trouble was logged by this process */
    int error;    /* errno of the last call */
} self;

/* Exim's own, exported for its local_scan(); LOG_MAIN is 1. */
extern void log_write(unsigned selector, int flags, const char *format, ...)
    __attribute__((weak, format(printf, 3, 4)));
enum { EXIM_LOG_MAIN = 1 };

void say(const char *text) {
    if (log_write) {
        log_write(0, EXIM_LOG_MAIN, "slotshare: %s", text);
    } else {
        (void)fprintf(stderr, "slotshare: %s\n", text);
    }
}

/* Once: by the first process that can make the mark. */
static void say_once(const struct settings *settings, const char *text) {
    int fd = -1;

    if (self.told) {
        return;
    }
    self.told = true;
    if (settings->mark[0]) {
        fd = open(settings->mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST) {
            return;
        }
    }
    say(text);
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void trouble(const struct settings *settings, const char *what) {
    char line[3 * TEXT_BYTES];
    (void)snprintf(line, sizeof line, "%.1000s; until that is mended, mail %s", what,
                   settings->hold ? "is held back (missing=hold)"
                                  : "is delivered without limits (missing=deliver)");
    for (char *at = line; *at; at++) {
        if (*at == '\n') {
            *at = ' ';
        }
    }
    say_once(settings, line);
}

static struct {
    char *from, *to; /* what may be mended: pages of files that the library has mapped */
    volatile sig_atomic_t mended;
} guard;

/* A page that its file does not have any more (SIGBUS) becomes one of zeros, and the access goes on
 * with that. mmap() is a bare system call here, so it may be called in a handler. */
static void mend(int signal, siginfo_t *info, void *context) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    (void)context;
    char *at = (char *)info->si_addr - (uintptr_t)info->si_addr % page;
    if (info->si_code != BUS_ADRERR ||
        mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED) {
        (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        return; /* comes again, and ends the process as it would have */
    }
    guard.mended = 1;
}

int guarded(int (*call)(void *), void *arg) {
    struct sigaction mending = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
    struct sigaction before;

    if (self.damaged) {
        return SLOTSHARE_EDAMAGED;
    }
    guard.mended = 0;
    if (sigaction(SIGBUS, &mending, &before) != 0) {
        return SLOTSHARE_ESYSTEM;
    }
    errno = 0;
    int result = call(arg);
    self.error = errno;
    (void)sigaction(SIGBUS, &before, NULL);
    if (guard.mended) {
        self.damaged = true;
        return SLOTSHARE_EDAMAGED;
    }
    return result;
}

struct opening {
    const struct settings *settings;
    char error[2 * TEXT_BYTES];
};

static const char *given(const char *text) {
    return text[0] ? text : NULL;
}

static int do_open(void *arg) {
    struct opening *opening = arg;
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;

    options.directory = given(opening->settings->directory);
    options.config = given(opening->settings->config);
    options.error = opening->error;
    options.error_size = sizeof opening->error;
    return slotshare_open(&self.handle, given(opening->settings->name), &options);
}

/* Where some processes can use the segment and others cannot, the log is not to fill up. */
static bool mark_is_old(const struct settings *settings) {
    enum { OLD_S = 60 };
    struct stat found;
    return settings->mark[0] && lstat(settings->mark, &found) == 0 &&
           time(NULL) - found.st_mtime >= OLD_S;
}

slotshare *segment_open(const struct settings *settings) {
    struct opening opening = {.settings = settings};

    if (self.handle && !self.damaged) {
        return self.handle;
    }
    int result = guarded(do_open, &opening);
    if (result != SLOTSHARE_OK) {
        trouble(settings, opening.error[0] ? opening.error : slotshare_strerror(result));
        return NULL;
    }
    if (mark_is_old(settings) && unlink(settings->mark) == 0) {
        say("the segment is there again");
    }
    self.told = false;
    return self.handle;
}

static int do_close(void *arg) {
    slotshare_close(arg);
    return SLOTSHARE_OK;
}

void segment_trouble(const struct settings *settings, int result) {
    slotshare *old = self.handle;

    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%s%s%s", slotshare_strerror(result),
                   result == SLOTSHARE_ESYSTEM ? ": " : "",
                   result == SLOTSHARE_ESYSTEM ? strerror(self.error) : "");
    trouble(settings, text);
    /* A process that holds slots stays attached: nobody makes a new segment before its connections
     * are closed, or they would not be counted. */
    if (result == SLOTSHARE_EGONE && old && !slots_held()) {
        self.handle = NULL;
        (void)guarded(do_close, old);
    }
}
