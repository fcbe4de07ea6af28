/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <string.h>
#include <unistd.h>

#include "input.h"

enum { PATHS = 300 };

/* libFuzzer ends the program by itself: what is to be removed must be known at exit. */
static char directory[PATHS - 40];

static void remove_all(void) {
    static const char *const names[] = {"fuzz.seg", "fuzz.lock", "fuzz.conf"};
    char path[PATHS];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

slotshare *place_open(const char *config) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char path[PATHS], error[1024] = "";
    struct slotshare_options options = SLOTSHARE_OPTIONS_INIT;
    slotshare *handle = NULL;

    (void)snprintf(directory, sizeof directory, "%s/slotshare-fuzz.XXXXXX", parent);
    must(mkdtemp(directory) != NULL && atexit(remove_all) == 0, "mkdtemp");
    (void)snprintf(path, sizeof path, "%s/fuzz.conf", directory);
    FILE *file = fopen(path, "we");
    must(file != NULL && fputs(config, file) >= 0 && fclose(file) == 0, path);
    options.directory = directory;
    options.config = path;
    options.error = error;
    options.error_size = sizeof error;
    must(slotshare_open(&handle, "fuzz", &options) == SLOTSHARE_OK, error);
    return handle;
}
