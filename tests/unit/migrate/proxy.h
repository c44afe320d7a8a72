/* SPDX-License-Identifier: MIT
 *
 * proxy.h - stands between the two ends of a migration, carries every byte, and does something bad
 * after the n-th.
 */
#ifndef VIADUCT_TESTS_PROXY_H
#define VIADUCT_TESTS_PROXY_H

#include "pair.h"

enum proxy_deed {
	PROXY_CUT_ALL, /* the network, or a host, is gone */
	PROXY_CUT_CONTROL,
	PROXY_CUT_DATA,      /* one of the data connections */
	PROXY_STALL,         /* nothing moves any more, nothing is closed */
	PROXY_CANCEL_SOURCE, /* and go on carrying */
	PROXY_CANCEL_TARGET,
	PROXY_N_DEEDS,
};

struct proxy {
	struct pair *pair;
	enum proxy_deed deed;
	uint64_t after_bytes;
	int cancel_result; /* of the cancel deeds */
	bool done;         /* the deed */
	struct thread thread;
	uint64_t carried_bytes;
	int quit_fd;
	int a[PAIR_MAX_LINKS], b[PAIR_MAX_LINKS]; /* towards the source and the target */
};

/* Connects the ends of `pair` through the proxy; call instead of pair_connect(). */
void proxy_start(struct proxy *proxy, struct pair *pair, unsigned n_links, enum proxy_deed deed,
	uint64_t after_bytes);
/* Closes all; *ret_carried_bytes (may be NULL): what went through. */
void proxy_stop(struct proxy *proxy, uint64_t *ret_carried_bytes);

#endif
