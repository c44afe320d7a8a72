/* SPDX-License-Identifier: MIT
 *
 * ctl_local.h - a control object in this process, and questions one asks it in tests.
 */
#ifndef VIADUCT_TESTS_FABRIC_CTL_LOCAL_H
#define VIADUCT_TESTS_FABRIC_CTL_LOCAL_H

#include "fabric/ctl.h"
#include "tests/unit/fabric/ctl_support.h"

#include <signal.h>

static struct remote remote;
static struct fabric_ctl *ctl;
static int ctl_closed;

static inline void on_ctl_close(int error, void *data)
{
	(void)data;
	ctl_closed = error;
	loop_stop(remote.loop);
}

static inline int setup(void **state)
{
	int pair[2];

	(void)state;
	remote = (struct remote){0};
	ctl_closed = 0;
	return loop_new(&remote.loop) < 0 || chan_pair(pair) < 0 ||
	       fabric_ctl_new(remote.loop, pair[1], on_ctl_close, NULL, &ctl) < 0 ||
	       chan_new(remote.loop, pair[0], remote_on_message, remote_on_close, &remote,
		       &remote.chan) < 0;
}

static inline int teardown(void **state)
{
	(void)state;
	remote_forget_reply(&remote);
	chan_free(remote.chan);
	fabric_ctl_free(ctl);
	loop_free(remote.loop);
	return 0;
}

static inline void ok(const char *op, const char *text)
{
	if (remote_call(&remote, op, text) < 0)
		fail_msg("%s %s: %s", op, text, remote_error(&remote));
}

/* The JSON object of a port, lent until the next request. */
static inline struct json *port_stats(const char *id)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"port\":\"%s\"}", id);
	ok("port.stats", text);
	return json_get(remote.reply, "port");
}

static inline int64_t dropped(const char *id, const char *reason)
{
	return json_get_int(json_get(port_stats(id), "dropped"), reason, 0);
}

static inline void wait_for_dropped(const char *id, const char *reason, int64_t n)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	while (dropped(id, reason) < n) {
		if (clock_mono_ns() > until_ns)
			fail_msg("%s: %s did not get to %lld", id, reason, (long long)n);
	}
}

static inline void wait_for_rx(const char *id, int64_t n)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	while (json_get_int(port_stats(id), "rx_frames", 0) < n) {
		if (clock_mono_ns() > until_ns)
			fail_msg("the switch did not take %lld frames of %s", (long long)n, id);
	}
}

/* Port VM1/nic0 on switch B, and more keys. */
#define PORT(rest) "{\"switch\":\"B\",\"port\":\"VM1/nic0\",\"mac\":\"00:15:5d:00:00:01\"" rest "}"

#endif
