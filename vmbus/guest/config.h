/* SPDX-License-Identifier: MIT
 *
 * config.h - what the command line can say. Words are separated by blanks; words without meaning
 * here are left alone, because loaders add their own.
 */
#ifndef VIADUCT_VMBUS_GUEST_CONFIG_H
#define VIADUCT_VMBUS_GUEST_CONFIG_H

#include "vmbus/guest/mem.h"

#define MAX_NICS       2
#define NAME_MAX_BYTES 16

struct nic_config {
	uint32_t ip; /* host order; 0: none, the NIC stays silent */
	uint8_t prefix_length;
	uint32_t gateway; /* 0: none */
};

struct config {
	char name[NAME_MAX_BYTES];
	struct nic_config nics[MAX_NICS]; /* ip= gw= and ip1= gw1= */
	uint32_t dirty_pages_per_s;
	uint32_t working_set_mb;
	bool status;      /* print a line every second */
	uint64_t tsc_khz; /* 0: find out */
};

/* 0; -EINVAL when a known word has a bad value, *ret_bad then points at it in `line`. Such a word
 * keeps its default, all others are taken. ret_bad may be NULL. */
int config_parse(const char *line, struct config *ret_config, const char **ret_bad);

#endif
