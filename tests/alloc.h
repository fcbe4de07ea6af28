/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_TESTS_ALLOC_H
#define SLOTSHARE_TESTS_ALLOC_H
/** Allocations that fail: link with slotshare_failing_alloc(TARGET), which puts these in front of
 * the C library's. Thread-safe. */
#include <stdbool.h>

/** Of the allocations that follow, the n-th (from 0) fails, and no other. */
void alloc_fail(int n);

/** None will fail any more. @return false: one has failed. */
bool alloc_all(void);

#endif
