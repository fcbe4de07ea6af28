/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_PLACE_H
#define TESTS_FUZZ_PLACE_H
#include <slotshare/slotshare.h>

/** A segment made from this configuration, in a folder of its own that goes when the program ends.
 * Once in a program. @return open; aborts when it cannot be had. */
slotshare *place_open(const char *config);

#endif
