/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_WIRE_MAKE_H
#define TESTS_FUZZ_WIRE_MAKE_H
#include "input.h"

/** An envelope of some kind, as protobuf-c packs it: well formed, its contents as the input says.
 * @return its bytes in out, at most room. */
size_t wire_make(struct input *input, const char *cluster, const char *from, uint8_t *out,
                 size_t room);

#endif
