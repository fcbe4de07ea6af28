/* SPDX-License-Identifier: MIT */
/* Does what no slotshare program does: changes the count of a counter, and no record.
 * Usage: miscount DIRECTORY COUNTER_INDEX DIFFERENCE */
#include <stdio.h>
#include <stdlib.h>

#include "shm/segment.h"

int main(int argc, char **argv) {
    struct segment segment = {0};
    char text[1024] = "";
    const struct error_text error = {text, sizeof text};

    if (argc != 4 || segment_paths(&segment, NULL, argv[1], &error) != SLOTSHARE_OK ||
        segment_map(&segment, false, &error) != SLOTSHARE_OK) {
        fprintf(stderr, "miscount: %s\n", text);
        return EXIT_FAILURE;
    }
    struct counter *counter = counter_at(&segment, (uint32_t)strtoul(argv[2], NULL, 10));
    const uint64_t word = atomic_load(&counter->word);
    const long count = (long)word_count(word) + strtol(argv[3], NULL, 10);
    atomic_store(&counter->word, word_make((uint32_t)count, word_owner(word), word_seq(word)));
    segment_unmap(&segment);
    return EXIT_SUCCESS;
}
