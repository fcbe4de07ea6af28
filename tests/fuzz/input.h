/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H
/** What every target needs: numbers taken from the input, and a way to say that something is wrong.
 * When the input is used up all numbers are 0. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** libFuzzer's entry point. @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t input_byte(struct input *input) {
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

/** Of so many bytes, 8 at most; the first is the lowest. */
static inline uint64_t input_number(struct input *input, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) {
        number |= (uint64_t)input_byte(input) << 8 * i;
    }
    return number;
}

/** @return 0 to below - 1. below: 1 to 256 */
static inline unsigned input_below(struct input *input, unsigned below) {
    return input_byte(input) % below;
}

/** Ends the program, which libFuzzer reports as a crash with its input. */
static inline void must(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "fuzz: %s\n", what);
        abort();
    }
}

#endif
