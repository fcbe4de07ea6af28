/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H
/**
 * The segment's bytes as input. A valid segment, in which counters, slots and owners (living, dead
 * and killed in the middle of something) are in use, is changed as the input says; then all that a
 * worker, a monitor and a bridge do with a segment is done with it. Each call must end, with an
 * error or with a result of its documented range, and touch nothing outside the file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** libFuzzer's entry point; fuzz_main.c calls it without libFuzzer. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What happened so far. */
struct fuzz_tally {
    uint64_t inputs, opened, refused;
};
struct fuzz_tally fuzz_tally(void);

/** Remove the folder. */
void fuzz_end(void);

/* ---- fuzz_segment.c: the valid one, and changes to it ------------------------------------------
 */

extern const char fuzz_limits[]; /* the configuration */

/** Make a segment in `directory` and fill it. @return its bytes; malloc()ed. Aborts on failure. */
uint8_t *fuzz_make(const char *directory, size_t *size);

/** Change the bytes as the input says. @return the size of the file now, at most *size. */
size_t fuzz_change(uint8_t *bytes, size_t bytes_size, const uint8_t *data, size_t size);

/* ---- fuzz_guard.c ---------------------------------------------------------------------------- */

/** From now on each mapping of a file has pages without access before and after it. */
extern bool fuzz_guarded;

#endif
