/* SPDX-License-Identifier: MIT */
/* slotshare run: a command that runs only while a slot is held, like flock(1). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"

struct settings {
    const char *name, *directory, *config;
    const char *binding, *domain, *host;
    int64_t wait_ms;
};

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127, BY_SIGNAL = 128 };

#define AT(field) offsetof(struct settings, field)
static const struct option_row option_rows[] = {
    {'n', OPTION_TEXT, "name", "NAME", AT(name), 0, 0,
     "the segment (default: what the configuration says, else slotshare)"},
    {0, OPTION_TEXT, "directory", "DIR", AT(directory), 0, 0,
     "where segments are (default: what the configuration says, else\n"
     "$SLOTSHARE_DIR, else /run/slotshare)"},
    {'c', OPTION_TEXT, "config", "FILE", AT(config), 0, 0,
     "configuration to create the segment from when there is none (one that\n"
     "is there keeps the limits that it was made with); for a single host\n"
     "only, in a cluster the bridge creates the segment"},
    {0, OPTION_TEXT, "binding", "B", AT(binding), 0, 0, "the sending identity"},
    {0, OPTION_TEXT, "domain", "D", AT(domain), 0, 0, "the recipients' domain"},
    {0, OPTION_TEXT, "host", "H", AT(host), 0, 0, "the MX host, as the MX record names it"},
    {'w', OPTION_FOREVER, "wait", "SECONDS", AT(wait_ms), -1, 2147483000,
     "wait so long for a slot, or 'forever' (default: 0)"},
    OPTION_ROW_HELP,
};
#undef AT

static const struct exit_row exit_rows[] = {
    {"n", "the exit status of COMMAND"},
    {"128+n", "COMMAND was ended by signal n"},
    {"64", "wrong usage"},
    {"69", "the segment is missing, removed, damaged, of another version, or its table is full"},
    {"71", "an error of the operating system"},
    {"75", "full: there was no slot, COMMAND was not started; try again later"},
    {"78", "the configuration file has errors"},
    {"126", "COMMAND was found but could not be started"},
    {"127", "COMMAND was not found"},
};

/* Signals that are passed on to the command, and the one that tells of its end. */
static void watched_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGCHLD);
}

/* In the child: become the command. It must not outlive the holder of its slot, and until it has
 * really ended, the slot stays taken: that is what `keep` is for. */
_Noreturn static void become(const char *program, char **command, pid_t parent, int keep,
                             const sigset_t *mask) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || fcntl(keep, F_SETFD, 0) != 0) {
        fprintf(stderr, "%s: cannot tie the command to its slot: %s\n", program, strerror(errno));
        _exit(EX_OSERR);
    }
    if (getppid() != parent) {
        _exit(EX_OSERR); /* the holder died before prctl() took effect */
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    (void)execvp(command[0], command);
    int code = errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
    fprintf(stderr, "%s: cannot run '%s': %s\n", program, command[0], strerror(errno));
    _exit(code);
}

/* A signal typed at the terminal reaches the command by itself: both are in one process group. */
static bool typed(const siginfo_t *info) {
    return info->si_code == SI_KERNEL && (info->si_signo == SIGINT || info->si_signo == SIGQUIT);
}

static int wait_for(const char *program, pid_t child, const sigset_t *watched) {
    for (;;) {
        siginfo_t info;
        int status = 0;
        pid_t done = waitpid(child, &status, WNOHANG);

        if (done == child) {
            return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (done < 0) {
            fprintf(stderr, "%s: cannot wait for the command: %s\n", program, strerror(errno));
            return EX_OSERR;
        }
        if (sigwaitinfo(watched, &info) > 0 && info.si_signo != SIGCHLD && !typed(&info)) {
            (void)kill(child, info.si_signo);
        }
    }
}

static int start(const char *program, char **command, int keep) {
    sigset_t watched;
    sigset_t before;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    pid_t self = getpid();

    watched_signals(&watched);
    /* Who started us may have ignored SIGCHLD: then there would be no status to wait for. */
    (void)sigaction(SIGCHLD, &usual, NULL);
    (void)sigprocmask(SIG_BLOCK, &watched, &before);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        fprintf(stderr, "%s: cannot start a process: %s\n", program, strerror(errno));
        (void)close(keep);
        return EX_OSERR;
    }
    if (child == 0) {
        become(program, command, self, keep, &before);
    }
    (void)close(keep);
    return wait_for(program, child, &watched);
}

static int refused(const struct command *self, slotshare *handle,
                   const struct slotshare_connection *connection) {
    struct slotshare_explanation why;

    if (slotshare_explain(handle, connection, &why) == SLOTSHARE_OK) {
        fprintf(stderr, "%s: no slot on %s: limit %d (%s), share of this host %d, in use %d\n",
                self->program, why.counter, why.limit, slotshare_scope_name(why.scope), why.share,
                why.in_use);
    } else {
        fprintf(stderr, "%s: no slot\n", self->program);
    }
    return EX_TEMPFAIL;
}

static int run_in_slot(const struct command *self, slotshare *handle,
                       const struct settings *settings, char **command) {
    struct slotshare_connection connection = {settings->binding, settings->domain, settings->host};
    slotshare_slot slot;
    int result = slotshare_acquire_wait(handle, &connection, &slot, (int)settings->wait_ms);

    if (result == SLOTSHARE_FULL) {
        return refused(self, handle, &connection);
    }
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, "");
    }
    int keep = slotshare_keep_fd(handle);
    int status =
        keep >= 0 ? start(self->program, command, keep) : exit_tell(self->program, keep, "");
    result = slotshare_release(handle, slot);
    if (result != SLOTSHARE_OK) {
        /* The command's own status matters more; the slot comes back when this process ends. */
        (void)exit_tell(self->program, result, "");
    }
    return status;
}

static int run(const struct command *self, int argc, char **argv) {
    struct settings settings = {0};
    int first = 0;
    int status = command_options(self, argc, argv, &settings, &first);
    char error[4096] = "";
    slotshare *handle = NULL;

    if (status >= 0) {
        return status;
    }
    struct slotshare_connection connection = {settings.binding, settings.domain, settings.host};
    if (first >= argc) {
        return command_usage(self, "name the command to run");
    }
    if (!command_connection_given(&connection)) {
        return command_usage(self, "say what the slot is for: --binding, --domain, --host");
    }
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    options.directory = settings.directory;
    options.config = settings.config;
    options.error = error;
    options.error_size = sizeof error;
    int result = slotshare_open(&handle, settings.name, &options);
    if (result != SLOTSHARE_OK) {
        return exit_tell(self->program, result, error);
    }
    status = run_in_slot(self, handle, &settings, argv + first);
    slotshare_close(handle);
    return status;
}

const struct command command_run = {
    .name = "run",
    .program = "slotshare run",
    .synopsis = "[OPTION]... [--] COMMAND [ARGUMENT]...",
    .summary = "run a command while holding a slot",
    .details =
        "Takes a slot for a connection of binding B to host H for domain D (leave out what is\n"
        "not known, give at least one), runs COMMAND, and gives the slot back when it has\n"
        "ended. SIGTERM, SIGINT, SIGHUP and SIGQUIT are passed on to COMMAND.\n\n"
        "When this process is killed, the kernel kills COMMAND, too, and the slot comes back\n"
        "when COMMAND and all that it has started have ended (or have closed the descriptor\n"
        "that they inherit for it). A COMMAND that is set-user-ID is not killed.",
    .options = {option_rows, sizeof option_rows / sizeof option_rows[0], true},
    .exits = exit_rows,
    .exit_rows = sizeof exit_rows / sizeof exit_rows[0],
    .run = run,
};
