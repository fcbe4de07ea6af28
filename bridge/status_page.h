/* SPDX-License-Identifier: MIT */
#ifndef SLOTSHARE_BRIDGE_STATUS_PAGE_H
#define SLOTSHARE_BRIDGE_STATUS_PAGE_H
/** page/status.html, as it is in the source tree. */
extern const unsigned char status_page[];
extern const unsigned long status_page_size;

#endif
