/* SPDX-License-Identifier: MIT */
/* segment_fuzz [FIRST [COUNT]]: inputs made from the numbers FIRST, FIRST + 1, ...; the same number
 * makes the same input. For use without libFuzzer. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

enum { INPUT_MAX = 160 };

/* Told when a signal ends the program: which input it was. */
static char last_words[64];

static void tell(int number) {
    ssize_t written = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)written;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static uint64_t mix(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t make(uint64_t number, uint8_t out[INPUT_MAX]) {
    uint64_t state = number;
    /* Mostly a few changes: many at once are found out at the first look. */
    size_t size = number == 0 ? 0 : 4 + mix(&state) % (mix(&state) % 4 ? 24 : INPUT_MAX - 4);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)mix(&state);
    }
    return size;
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    uint8_t input[INPUT_MAX];
    static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], tell);
    }
    for (uint64_t i = first; i < first + count; i++) {
        (void)snprintf(last_words, sizeof last_words, "segment_fuzz: input %llu\n",
                       (unsigned long long)i);
        (void)LLVMFuzzerTestOneInput(input, make(i, input));
    }
    struct fuzz_tally tally = fuzz_tally();
    printf("%llu inputs: %llu opens, %llu refusals, no crash, no endless loop, no write outside\n",
           (unsigned long long)tally.inputs, (unsigned long long)tally.opened,
           (unsigned long long)tally.refused);
    return tally.opened == 0 || (count > 100 && tally.refused == 0);
}
