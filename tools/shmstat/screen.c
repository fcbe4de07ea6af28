/* SPDX-License-Identifier: MIT */
/* The live display: readings, keys and signals as they come. */
#include "screen.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "screen_terminal.h"

enum {
    INTERVAL_MS = 1000,
    ESCAPE_MS = 25,
    PATIENCE_MS = 500, /* for the bridge: keys wait meanwhile */
};

static int64_t now_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wanted(const struct screen *screen, const struct view *view, const void *row) {
    if (screen->view == VIEW_SLOTS && screen->chosen[0] != '\0' &&
        strcmp(((const struct slot_row *)row)->counter, screen->chosen) != 0) {
        return false;
    }
    return screen->filter[0] == '\0' || view_matches(view, row, screen->filter);
}

void screen_arrange(struct screen *screen) {
    const struct view *view = view_get(screen->view);
    const struct screen_view *look = &screen->look[screen->view];
    size_t count = 0;
    const char *rows = view_rows(&screen->snapshot, screen->view, &count);

    screen->shown = 0;
    if (count > screen->order_room) {
        size_t *grown = reallocarray(screen->order, count, sizeof *grown);

        if (grown == NULL) {
            snprintf(screen->trouble, sizeof screen->trouble, "no memory to sort %zu rows", count);
            return;
        }
        screen->order = grown;
        screen->order_room = count;
    }
    for (size_t i = 0; i < count; i++) {
        if (wanted(screen, view, rows + i * view->row_size)) {
            screen->order[screen->shown++] = i;
        }
    }
    view_sort(view, rows, screen->order, screen->shown, look->sort, look->reverse);
}

const void *screen_row(const struct screen *screen) {
    const struct screen_view *look = &screen->look[screen->view];
    size_t count = 0;
    const char *rows = view_rows(&screen->snapshot, screen->view, &count);

    if (look->cursor >= screen->shown) {
        return NULL;
    }
    return rows + screen->order[look->cursor] * view_get(screen->view)->row_size;
}

/* Ask the bridge for what is on the screen. */
static void ask_again(struct screen *screen) {
    const bool from = screen->settings->from != NULL;
    const unsigned what =
        (from ? CLUSTER_FROM : 0) | (screen->view == VIEW_NODES    ? CLUSTER_NODES
                                     : screen->view == VIEW_EVENTS ? CLUSTER_EVENTS
                                                                   : 0);
    const char *counter = screen->chosen[0] != '\0' ? screen->chosen : NULL;
    bool refused = false;

    screen->untold[0] = '\0';
    if (what != 0 &&
        !cluster_ask(screen->settings, what, counter, &screen->snapshot, &refused, screen->untold,
                     sizeof screen->untold) &&
        from) {
        /* What is here must not look like what is there. */
        screen->snapshot.counters = screen->snapshot.owners = screen->snapshot.slots = 0;
        snprintf(screen->trouble, sizeof screen->trouble, "%s", screen->untold);
    }
}

static void read_again(struct screen *screen) {
    struct snapshot_choice choice = {screen->idle || screen->settings->from != NULL,
                                     screen->counter};

    if (snapshot_read(screen->source, &choice, &screen->snapshot) != SLOTSHARE_OK) {
        const char *why = screen->source->error;
        snprintf(screen->trouble, sizeof screen->trouble, "%s: %.*s",
                 screen->source->handle == NULL ? "the segment is gone" : "cannot read",
                 (int)strcspn(why, "\n"), why);
        return;
    }
    if (screen->source->replaced) {
        snprintf(screen->message, sizeof screen->message,
                 "the segment was replaced: this is the new one");
    }
    screen->trouble[0] = '\0';
    ask_again(screen);
}

static void read_keys(struct screen *screen) {
    wint_t key = 0;
    int kind;

    while (!screen->quit && (kind = get_wch(&key)) != ERR) {
        if (kind == KEY_CODE_YES && key == KEY_RESIZE) {
            continue;
        }
        screen_key(screen, kind == KEY_CODE_YES, key);
        screen_arrange(screen);
    }
}

static void read_signal(struct screen *screen, int fd) {
    struct signalfd_siginfo info;
    struct winsize size;

    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return;
    }
    if (info.ssi_signo != SIGWINCH) {
        screen->quit = true;
    } else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        (void)resizeterm(size.ws_row, size.ws_col);
    }
}

/* Sleep until a key, a signal, or the time for the next reading. */
static void wait_for_something(struct screen *screen, int signals, int64_t next) {
    struct pollfd fd[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};
    int64_t left = next - now_ms();
    int timeout = screen->paused ? -1 : (int)(left > 0 ? left : 0);

    if (poll(fd, 2, timeout) <= 0) {
        return;
    }
    if ((fd[1].revents & POLLIN) != 0) {
        read_signal(screen, signals);
    }
    if ((fd[0].revents & POLLIN) != 0) {
        read_keys(screen);
    }
    if ((fd[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        screen->quit = true; /* the terminal has gone */
    }
}

static void loop(struct screen *screen, int signals, int64_t count) {
    int64_t next = now_ms();
    int64_t readings = 0;

    while (!screen->quit) {
        if (screen->again || (!screen->paused && now_ms() >= next)) {
            if (count > 0 && readings == count) {
                return;
            }
            read_again(screen);
            screen->again = false;
            readings++;
            next = now_ms() + screen->interval_ms;
        }
        screen_arrange(screen);
        screen_draw(screen);
        wait_for_something(screen, signals, next);
    }
}

static void set_colours(struct screen *screen) {
    const char *no_color = getenv("NO_COLOR");

    screen->colour = (no_color == NULL || no_color[0] == '\0') && has_colors();
    if (screen->colour) {
        start_color();
        short background = use_default_colors() == OK ? -1 : COLOR_BLACK;
        init_pair(1, COLOR_RED, background);
        init_pair(2, COLOR_YELLOW, background);
        init_pair(3, COLOR_GREEN, background);
    }
}

static int on_terminal(struct screen *screen, int signals, int64_t count) {
    SCREEN *terminal = screen_terminal_known() ? newterm(NULL, stdout, stdin) : NULL;

    if (terminal == NULL) {
        const char *term = getenv("TERM");
        fprintf(stderr,
                "shmstat: no live display on a terminal of type '%s'; set TERM, or use --once\n",
                term != NULL ? term : "");
        return EX_OSERR;
    }
    (void)set_term(terminal);
    set_colours(screen);
    set_escdelay(ESCAPE_MS);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    loop(screen, signals, count);
    endwin();
    delscreen(terminal);
    return EX_OK;
}

int screen_run(struct source *source, const struct settings *settings) {
    struct screen *screen = calloc(1, sizeof *screen);
    sigset_t watched;
    sigset_t before;

    /* Signals are read like keys, so that the terminal is always left as it was found. */
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    sigaddset(&watched, SIGWINCH);
    (void)sigprocmask(SIG_BLOCK, &watched, &before);
    int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    int status = EX_OSERR;
    if (screen == NULL || signals < 0) {
        fprintf(stderr, "shmstat: cannot set up the live display: %s\n", strerror(errno));
    } else {
        struct settings quick = *settings;
        quick.patience_ms = PATIENCE_MS;
        screen->source = source;
        screen->settings = &quick;
        screen->counter = settings->counter;
        screen->idle = settings->idle;
        screen->ascii = settings->ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
        screen->interval_ms = settings->interval_ms != 0 ? settings->interval_ms : INTERVAL_MS;
        if (settings->counter != NULL) {
            screen->view = VIEW_SLOTS;
            snprintf(screen->chosen, sizeof screen->chosen, "%s", settings->counter);
        }
        for (int view = 0; view < VIEWS; view++) {
            screen->look[view].sort = view_get((enum view_name)view)->sort;
        }
        status = on_terminal(screen, signals, settings->count);
        snapshot_free(&screen->snapshot);
        free(screen->order);
    }
    free(screen);
    if (signals >= 0) {
        close(signals);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
