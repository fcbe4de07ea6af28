/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHM_HOT_H
#define SLOTSHARE_SHM_HOT_H
/**
 * A take and a give-back are some dozens of instructions each, over several files. HOT puts them
 * into one function (in libslotshare.so across files, by link-time optimisation), and COLD keeps
 * out of it what is rarely needed, so that saving registers for it costs the others nothing.
 */
#define HOT __attribute__((hot, flatten))
#define COLD __attribute__((noinline, cold))

#define LIKELY(condition) __builtin_expect((condition), 1)
#define UNLIKELY(condition) __builtin_expect((condition), 0)

#endif
