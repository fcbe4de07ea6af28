/* SPDX-License-Identifier: MIT */
/* The adapter for Exim's dlfunc, loaded as Exim loads it, without Exim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <slotshare/slotshare.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int exim_function(unsigned char **yield, int argc, unsigned char *argv[]);

static exim_function *hold, *event, *begin, *retry_ip, *refused;
static char folder[] = "/tmp/slotshare-exim-XXXXXX";
static char settings[1200];
static int *logged; /* lines, in this process and its children */

/* As Exim exports it. */
SLOTSHARE_API void log_write(unsigned selector, int flags, const char *format, ...);
void log_write(unsigned selector, int flags, const char *format, ...) {
    (void)selector;
    (void)flags;
    (void)format;
    ++*logged;
}

static const char *call(exim_function *function, int argc, const char *const *argv) {
    unsigned char *copy[8] = {0};
    unsigned char *yield = NULL;
    for (int i = 0; i < argc; i++) {
        memcpy(&copy[i], &argv[i], sizeof copy[i]); /* Exim's have no const, and are not written */
    }
    assert_int_equal(function(&yield, argc, copy), 0);
    assert_non_null(yield);
    return (const char *)yield;
}
#define CALL(function, ...)                                                                        \
    call(function, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                  \
         (const char *[]){__VA_ARGS__})

static const char *connect_event(const char *host, const char *ends) {
    return CALL(event, "tcp:connect", "bulk", "example.org", host, ends, settings);
}

static const char *close_event(const char *host, const char *ends) {
    return CALL(event, "tcp:close", "bulk", "example.org", host, ends, settings);
}

static int in_use(const char *host) {
    const struct slotshare_connection to = {"bulk", "example.org", host};
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    struct slotshare_explanation why = {0};
    slotshare *segment = NULL;
    options.directory = folder;
    options.read_only = 1;
    assert_int_equal(slotshare_open(&segment, NULL, &options), SLOTSHARE_OK);
    assert_int_equal(slotshare_explain(segment, &to, &why), SLOTSHARE_OK);
    slotshare_close(segment);
    return why.in_use;
}

static const char *path(const char *name) {
    static char text[512];
    (void)snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void set(const char *words) {
    (void)snprintf(settings, sizeof settings, "directory=%s config=%s/conf wait=0.2 %s", folder,
                   folder, words);
}

static int fresh(void **state) {
    (void)state;
    (void)unlink(path("slotshare.seg"));
    (void)unlink(path("slotshare.lock"));
    (void)unlink(path("mark"));
    *logged = 0;
    set("waiters=0 missing=deliver");
    return 0;
}

/* What an Exim process does is done in one: true when it ended well. */
static bool in_child(void (*work)(void)) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        work();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void take_and_give(void) {
    static const char ends[] = " 0 192.0.2.1 25";
    static const char closed[] = "192.0.2.9 40000 192.0.2.1 25";
    MUST(strcmp(CALL(begin, ""), "false") == 0);
    MUST(strcmp(CALL(hold, "bulk", "example.org", "one.example", settings), "") == 0);
    MUST(strcmp(connect_event("one.example", ends), "") == 0);
    MUST(in_use("one.example") == 1);
    MUST(strcmp(CALL(hold, "bulk", "example.org", "one.example", settings), "*") == 0);
    MUST(strcmp(CALL(hold, "bulk", "example.org", "one.example two.example", settings), "") == 0);
    MUST(strcmp(CALL(retry_ip, "one.example"), "yes") == 0);
    MUST(strcmp(close_event("one.example", closed), "") == 0);
    MUST(in_use("one.example") == 0);
    MUST(strcmp(close_event("one.example", closed), "") == 0);
    MUST(in_use("one.example") == 0);
    /* A connection that was refused has no tcp:close. */
    MUST(strcmp(connect_event("one.example", ends), "") == 0);
    MUST(strcmp(CALL(event, "msg:host:defer", "bulk", "", "one.example", "", settings), "") == 0);
    MUST(in_use("one.example") == 0);
    MUST(strcmp(connect_event("one.example", ends), "") == 0);
    MUST(strcmp(connect_event("two.example", " 0 192.0.2.2 25"), "") == 0);
    MUST(in_use("one.example") == 0 && in_use("two.example") == 1);
    MUST(strcmp(CALL(event, "smtp:connect", "bulk", "", "x", "", settings), "") == 0);
}

static void test_take_and_give(void **state) {
    (void)state;
    assert_true(in_child(take_and_give));
    assert_int_equal(*logged, 0);
}

static void be_refused(void) {
    MUST(strstr(connect_event("one.example", " 0 192.0.2.1 25"), "no slot"));
    MUST(strcmp(CALL(retry_ip, "ONE.example"), "no") == 0);
}

static void refusal(void) {
    (void)CALL(begin, "");
    MUST(strcmp(CALL(refused, ""), "^(?!)") == 0);
    MUST(strcmp(connect_event("one.example", " 0 192.0.2.1 25"), "") == 0);
    MUST(in_child(be_refused)); /* the parent learns of it */
    MUST(strcmp(CALL(retry_ip, "one.example"), "no") == 0);
    MUST(strcmp(CALL(retry_ip, "two.example"), "yes") == 0);
    MUST(strcmp(CALL(refused, ""), "^\\*@(?:one\\.example)(?![^/])") == 0);
}

static void test_refusal(void **state) {
    (void)state;
    assert_true(in_child(refusal));
}

/* A real connection that is passed on: the slot lasts as long as the process that got it. */
static int server, ready[2], end[2];

static void pass_connection(void) {
    struct sockaddr_in to = {0};
    struct sockaddr_in from = {0};
    socklen_t size = sizeof to;
    char ends[128];
    MUST(getsockname(server, (struct sockaddr *)&to, &size) == 0);
    (void)snprintf(ends, sizeof ends, " 0 127.0.0.1 %d", ntohs(to.sin_port));
    MUST(strcmp(connect_event("one.example", ends), "") == 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&from, &size) == 0);
    pid_t next = fork();
    if (next == 0) {
        /* As Exim's: another program, that has the socket as its standard input. */
        (void)dup2(fd, 0);
        (void)dup2(end[0], 3);
        (void)close(fd);
        (void)execl("/bin/sh", "sh", "-c", "read end <&3", (char *)NULL);
        _exit(1);
    }
    (void)close(fd);
    (void)snprintf(ends, sizeof ends, "127.0.0.1 %d 127.0.0.1 %d", ntohs(from.sin_port),
                   ntohs(to.sin_port));
    MUST(strcmp(close_event("one.example", ends), "") == 0);
    MUST(in_use("one.example") == 1);
    MUST(write(ready[1], "x", 1) == 1);
}

static void try_one(void) {
    MUST(strcmp(connect_event("one.example", " 0 192.0.2.1 25"), "") == 0);
}

static void test_passed_on(void **state) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char byte;
    (void)state;
    server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(server, 5), 0);
    assert_int_equal(pipe(ready) | pipe(end), 0);
    assert_true(in_child(pass_connection)); /* has ended */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(in_child(try_one)); /* tries for wait=0.2, and reaps who is dead */
    assert_int_equal(in_use("one.example"), 1);
    assert_int_equal(write(end[1], "\n", 1), 1);
    while (!in_child(try_one)) {
        (void)usleep(1000); /* the test's time limit is the bound */
    }
    for (int i = 0; i < 2; i++) {
        (void)close(ready[i]);
        (void)close(end[i]);
    }
    (void)close(server);
}

static void without_segment(void) {
    bool held = strstr(settings, "missing=hold") != NULL;
    MUST((strcmp(connect_event("one.example", " 0 192.0.2.1 25"), "") != 0) == held);
    MUST((strcmp(CALL(hold, "b", "d", "h", settings), "*") == 0) == held);
    (void)close_event("one.example", "192.0.2.9 40000 192.0.2.1 25");
}

static void test_missing(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        *logged = 0;
        (void)snprintf(settings, sizeof settings, "directory=%s mark=%s/mark missing=%s", folder,
                       folder, i ? "hold" : "deliver");
        for (int process = 0; process < 5; process++) {
            assert_true(in_child(without_segment));
        }
        assert_int_equal(*logged, 1);
        (void)unlink(path("mark"));
    }
}

static void test_back_again(void **state) {
    char text[600];
    (void)state;
    (void)snprintf(settings, sizeof settings, "directory=%s mark=%s/mark", folder, folder);
    assert_true(in_child(without_segment));
    (void)snprintf(text, sizeof text, "mark=%s/mark", folder);
    set(text);
    assert_true(in_child(try_one));
    assert_int_equal(*logged, 1); /* not yet: it may come and go */
    const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path("mark"), long_ago, 0), 0);
    assert_true(in_child(try_one));
    assert_true(in_child(try_one));
    assert_int_equal(*logged, 2); /* gone, and there again */
    assert_int_equal(access(path("mark"), F_OK), -1);
}

static unsigned seed;

static unsigned draw(unsigned below) {
    seed = seed * 1103515245U + 12345U;
    return (seed >> 16) % below;
}

/* Words that mean something, whole or broken, and bytes that mean nothing. */
static void random_text(char *text, size_t size) {
    static const char *const words[] = {"tcp:connect",
                                        "tcp:close",
                                        "msg:host:defer",
                                        "bulk",
                                        "example.org",
                                        "one.example",
                                        " 0 192.0.2.1 25",
                                        "192.0.2.9 40000 192.0.2.1 25",
                                        "::1 1 ::1 99999",
                                        "wait=0",
                                        "wait=-1",
                                        "waiters=nan",
                                        "missing=hold",
                                        "name=../../x",
                                        "mark=/",
                                        "\n",
                                        " ",
                                        "=",
                                        "%n%s",
                                        ""};
    size_t length = 0;
    text[0] = '\0';
    for (unsigned parts = draw(5); parts > 0; parts--) {
        if (draw(4)) {
            const char *word = words[draw(sizeof words / sizeof words[0])];
            (void)snprintf(text + length, size - length, "%s", word);
        } else {
            for (unsigned more = draw(2000); more > 0 && length < size - 1; more--) {
                text[length++] = (char)(1 + draw(255));
            }
            text[length] = '\0';
        }
        length = strlen(text);
    }
}

static void random_calls(void) {
    exim_function *const all[] = {hold, event, event, event, begin, retry_ip, refused};
    enum { ARGUMENTS = 8, BYTES = 16384 };
    static char text[ARGUMENTS][BYTES];
    for (int i = 0; i < 400; i++) {
        unsigned char *argv[ARGUMENTS];
        unsigned char *yield = NULL;
        int argc = (int)draw(ARGUMENTS + 1);
        exim_function *function = all[draw(sizeof all / sizeof all[0])];
        for (int a = 0; a < ARGUMENTS; a++) {
            random_text(text[a], BYTES);
            argv[a] = (unsigned char *)text[a];
        }
        if (draw(2)) {
            (void)snprintf(text[function == hold ? 3 : 5], BYTES, "%s wait=0", settings);
        }
        MUST(function(&yield, argc, argv) == 0 && yield && strlen((char *)yield) < 100000);
    }
}

static void test_arguments(void **state) {
    (void)state;
    assert_int_equal(chdir(folder), 0); /* should a name lead somewhere */
    for (seed = 1; seed < 60000; seed += 1000) {
        if (!in_child(random_calls)) {
            fail_msg("a process ended badly: seed %u", seed);
        }
    }
}

/* Another process damages the segment while this one works with it. */
static void damage(void) {
    struct stat stat;
    int fd = open(path("slotshare.seg"), O_RDWR | O_CLOEXEC);
    MUST(fd >= 0 && fstat(fd, &stat) == 0);
    if (draw(3) == 0) {
        MUST(ftruncate(fd, (off_t)draw((unsigned)stat.st_size)) == 0);
    } else {
        for (unsigned n = 1 + draw(200); n > 0; n--) {
            uint64_t junk = draw(2) ? (uint64_t)draw(65536) << draw(48) : ~0ULL * draw(2);
            /* mostly where there is something: the header, and the first of each table */
            off_t at = draw(2) ? (off_t)draw(65536) : (off_t)draw((unsigned)stat.st_size);
            MUST(pwrite(fd, &junk, sizeof junk, at) == (ssize_t)sizeof junk);
        }
    }
    (void)close(fd);
}

static void work_on_damaged(void) {
    static const char ends[] = " 0 192.0.2.1 25";
    (void)CALL(begin, "");
    (void)connect_event("one.example", ends);
    (void)connect_event("two.example", ends);
    damage();
    for (int i = 0; i < 3; i++) {
        (void)CALL(hold, "bulk", "example.org", "one.example two.example", settings);
        (void)connect_event("two.example", ends);
        (void)close_event("two.example", "192.0.2.9 40000 192.0.2.1 25");
        (void)connect_event("three.example", ends);
        pid_t pid = fork(); /* Exim goes on forking */
        if (pid == 0) {
            (void)connect_event("one.example", ends);
            _exit(0);
        }
        int status = 0;
        MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    }
}

static void test_damage(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 60; i++) {
        (void)unlink(path("slotshare.seg"));
        (void)unlink(path("slotshare.lock"));
        seed = i * 7919;
        set("waiters=0 wait=0.001");
        if (!in_child(work_on_damaged)) {
            fail_msg("a process ended badly: damage %u", i);
        }
    }
}

static exim_function *find(void *module, const char *name) {
    void *found = dlsym(module, name);
    exim_function *function = NULL;
    assert_non_null(found);
    memcpy(&function, &found, sizeof function); /* ISO C has no cast for this */
    return function;
}

static int set_up(void **state) {
    char name[512];
    const char *build = getenv("SLOTSHARE_BUILD");
    (void)state;
    (void)snprintf(name, sizeof name, "%s/lib/slotshare-exim.so", build ? build : ".");
    void *module = dlopen(name, RTLD_NOW); /* as Exim does */
    if (!module || !mkdtemp(folder)) {
        (void)fprintf(stderr, "%s\n", module ? folder : dlerror());
        return 1;
    }
    hold = find(module, "slotshare_hold");
    event = find(module, "slotshare_event");
    begin = find(module, "slotshare_begin");
    retry_ip = find(module, "slotshare_retry_ip");
    refused = find(module, "slotshare_refused");
    FILE *conf = fopen(path("conf"), "we");
    if (!conf) {
        return 1;
    }
    (void)fputs("[node]\ncounters = 64\nowners = 64\nslots = 64\n"
                "[host \"one.example\"]\ncluster_max_outbound_connections = 1\n"
                "[host \"two.example\"]\ncluster_max_outbound_connections = 2\n",
                conf);
    (void)fclose(conf);
    return 0;
}

static int tear_down(void **state) {
    char command[600];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") | system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_take_and_give, fresh),
        cmocka_unit_test_setup(test_refusal, fresh),
        cmocka_unit_test_setup(test_passed_on, fresh),
        cmocka_unit_test_setup(test_missing, fresh),
        cmocka_unit_test_setup(test_back_again, fresh),
        cmocka_unit_test_setup(test_arguments, fresh),
        cmocka_unit_test_setup(test_damage, fresh),
    };
    static int *shared;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    logged = shared;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
