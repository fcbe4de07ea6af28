/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_SHOW_METRICS_H
#define SLOTSHARE_SHOW_METRICS_H
/**
 * What is in a segment as OpenMetrics text
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/), for Prometheus and its like. One table
 * of metrics makes the text and its description. Thread-safe as the functions of <slotshare/stat.h>
 * are.
 */
#include <stddef.h>
#include <stdio.h>

#include <slotshare/stat.h>

enum { METRICS_COUNTERS = 1000 /**< counters shown, unless somebody asks for another number */ };

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/**
 * Write all metrics, "# EOF" last. Of the counters, the `counters_max` that are most in use are
 * shown; how many were left out is a metric of its own.
 *
 * @param more  writes the metrics of the caller's own, with `arg`; NULL: none
 * @return SLOTSHARE_OK, also when some entries of the segment made no sense and were left out;
 *         SLOTSHARE_EGONE, SLOTSHARE_EDAMAGED, SLOTSHARE_EINVAL of slotshare_stat_segment(), and
 *         nothing was written; SLOTSHARE_ESYSTEM: no memory. What cannot be written is seen by
 *         ferror(out).
 */
int metrics_write(FILE *out, slotshare *handle, size_t counters_max,
                  void (*more)(FILE *out, void *arg), void *arg);

/** For qsort(): counters (struct slotshare_counter_stat, or what begins with one), those most in
 * use first, then those waited for; by name, so that a tie falls the same way each time. */
int metrics_by_use(const void *one, const void *other);

/** Each metric: its name, and what it means. For people. */
void metrics_describe(FILE *out);

#endif
