/* SPDX-License-Identifier: MIT */
/* A line from a client of the bridge's admin socket: it is a request, or there is a reason. */
#include <string.h>

#include "../../bridge/admin.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *command = NULL, *why = NULL;
    json_t *request = admin_understand((const char *)data, size, &command, &why);

    must((request != NULL) == (why == NULL), "neither a request nor a reason");
    if (request != NULL) {
        must(json_is_object(request) && command != NULL, "a request without a command");
        must(memchr(command, '\n', strlen(command)) == NULL || size > 0, "a command");
    }
    json_decref(request);
    return 0;
}
