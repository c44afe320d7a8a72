/* SPDX-License-Identifier: MIT
 *
 * ctl_support.h - the node service's side of the control interface, and VMs to go with it, for
 * tests. Everything waits for at most WAIT_MS.
 */
#ifndef VIADUCT_TESTS_FABRIC_CTL_SUPPORT_H
#define VIADUCT_TESTS_FABRIC_CTL_SUPPORT_H

#include "base/chan.h"
#include "base/clock.h"
#include "fabric/client.h"
#include "tests/unit/fabric/support.h"

#include <poll.h>
#include <stdio.h>

#define WAIT_MS 10000

struct remote {
	struct loop *loop;
	struct chan *chan;
	/* The last answer. */
	int error;
	struct json *reply;
	int fds[CHAN_MAX_FDS]; /* the first n_fds, ours to close */
	size_t n_fds;
	/* Events and the end of the channel, as they come. */
	char event[64], event_text[256];
	bool closed;
	bool timed_out;
};

static inline void remote_forget_reply(struct remote *remote)
{
	for (size_t i = 0; i < remote->n_fds; i++)
		close_fd(remote->fds[i]);
	remote->n_fds = 0;
	json_unref(take_ptr(remote->reply));
}

static inline void remote_on_reply(
	int error, const struct json *reply, int *fds, size_t n_fds, void *data)
{
	struct remote *remote = data;

	remote->error = error;
	remote->reply = reply ? json_copy(reply) : NULL;
	for (size_t i = 0; i < n_fds; i++)
		remote->fds[i] = take_fd(&fds[i]);
	remote->n_fds = n_fds;
	loop_stop(remote->loop);
}

static inline void remote_on_message(struct chan *chan, uint64_t id, const char *op,
	const struct json *message, int *fds, size_t n_fds, void *data)
{
	struct remote *remote = data;

	(void)chan, (void)id, (void)fds, (void)n_fds;
	snprintf(remote->event, sizeof(remote->event), "%s", op);
	snprintf(remote->event_text, sizeof(remote->event_text), "%s: %s",
		json_get_string(message, "port", "?"), json_get_string(message, "reason", "?"));
	loop_stop(remote->loop);
}

static inline void remote_on_close(struct chan *chan, int error, void *data)
{
	struct remote *remote = data;

	(void)chan, (void)error;
	remote->closed = true;
	loop_stop(remote->loop);
}

static inline void remote_on_timeout(void *data)
{
	struct remote *remote = data;

	remote->timed_out = true;
	loop_stop(remote->loop);
}

/* Run the loop until something stops it. */
static inline void remote_run(struct remote *remote)
{
	uint64_t timer;

	remote->timed_out = false;
	assert_int_equal(loop_timer_add(remote->loop, WAIT_MS * NS_PER_MS, remote_on_timeout,
				 remote, &timer),
		0);
	loop_run(remote->loop);
	loop_timer_remove(remote->loop, timer);
	if (remote->timed_out)
		fail_msg("nothing came for %u ms", WAIT_MS);
}

/* Ask, and wait for the answer. `text` is a JSON object. Returns 0 or the answer's -errno. */
static inline int remote_call_fds(
	struct remote *remote, const char *op, const char *text, const int *fds, size_t n_fds)
{
	struct json *message;

	remote_forget_reply(remote);
	assert_int_equal(json_parse(text, strlen(text), &message), 0);
	assert_int_equal(chan_call(remote->chan, op, message, fds, n_fds, WAIT_MS * NS_PER_MS,
				 remote_on_reply, remote),
		0);
	remote->error = 1;
	while (remote->error > 0)
		remote_run(remote);
	return remote->error;
}

static inline int remote_call(struct remote *remote, const char *op, const char *text)
{
	return remote_call_fds(remote, op, text, NULL, 0);
}

/* What went wrong. */
static inline const char *remote_error(const struct remote *remote)
{
	return json_get_string(remote->reply, "error", "");
}

/* Make a client of the port that was just added. */
static inline struct fabric_client *remote_take_client(struct remote *remote)
{
	struct fabric_client *client;

	assert_int_equal(remote->n_fds, 3);
	remote->n_fds = 0;
	assert_int_equal(
		fabric_client_new(remote->fds[0], remote->fds[1], remote->fds[2], &client), 0);
	return client;
}

/* port.add with the address 02:...:number and more keys, `rest`. */
static inline struct fabric_client *remote_add_vm(
	struct remote *remote, const char *sw, unsigned number, const char *rest)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{\"switch\":\"%s\",\"port\":\"VM%u/nic0\",\"mac\":\"02:00:00:00:%02x:%02x\"%s%s}",
		sw, number, number >> 8 & 0xff, number & 0xff, rest[0] ? "," : "", rest);
	if (remote_call(remote, "port.add", text) < 0)
		fail_msg("port.add: %s", remote_error(remote));
	return remote_take_client(remote);
}

/* ---- a VM ---- */

static inline void vm_wait(struct fabric_client *client, bool want_space)
{
	const struct eth_ops *eth = fabric_client_eth_ops();
	struct pollfd pollfd = {.fd = eth->event_fd(client), .events = POLLIN};
	uint64_t kick;

	if (eth->arm(client, want_space ? ETH_FRAMES | ETH_ROOM : ETH_FRAMES))
		return;
	if (poll(&pollfd, 1, WAIT_MS) != 1)
		fail_msg("no kick came for %u ms", WAIT_MS);
	(void)!read(pollfd.fd, &kick, sizeof(kick));
}

static inline void vm_send(
	struct fabric_client *client, unsigned dst, unsigned src, int tci, uint32_t mark)
{
	static const struct eth_hdr none;
	const struct eth_ops *eth = fabric_client_eth_ops();
	uint8_t frame[128];
	struct iovec iov = {frame, make_frame(frame, dst, src, tci, mark)};
	int r;

	while ((r = eth->send(client, &none, &iov, 1)) == -EAGAIN)
		vm_wait(client, true);
	assert_int_equal(r, 0);
	eth->flush(client);
}

/* The next frame must be this one. */
static inline void vm_expect(struct fabric_client *client, int tci, uint32_t mark)
{
	const struct eth_ops *eth = fabric_client_eth_ops();
	uint8_t frame[2048];
	struct eth_hdr hdr;
	size_t size_bytes;
	int got_tci;

	while (eth->recv(client, &hdr, frame, sizeof(frame), &size_bytes) == -EAGAIN)
		vm_wait(client, false);
	assert_int_equal(read_mark(frame, &got_tci), mark);
	assert_int_equal(got_tci, tci);
}

#endif
