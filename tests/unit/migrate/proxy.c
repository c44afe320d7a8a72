/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>

static void cut(struct proxy *p, unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++) {
		shutdown(p->a[i], SHUT_RDWR);
		shutdown(p->b[i], SHUT_RDWR);
	}
}

/* True: carry on. */
static bool do_deed(struct proxy *p)
{
	unsigned n = p->pair->n_links;

	p->done = true;
	switch (p->deed) {
	case PROXY_CUT_ALL:
		cut(p, 0, n);
		return true;
	case PROXY_CUT_CONTROL:
		cut(p, 0, 1);
		return true;
	case PROXY_CUT_DATA:
		cut(p, n - 1, n);
		return true;
	case PROXY_CANCEL_SOURCE:
		p->cancel_result = mig_source_cancel(p->pair->source);
		return true;
	case PROXY_CANCEL_TARGET:
		p->cancel_result = mig_target_cancel(p->pair->target);
		return true;
	default:
		return false;
	}
}

static void forward(struct proxy *p, int from, int to, bool *open)
{
	uint8_t bytes[16384];
	size_t limit = sizeof(bytes);
	ssize_t n, at, sent;

	if (!p->done && p->after_bytes - p->carried_bytes < limit)
		limit = (size_t)(p->after_bytes - p->carried_bytes);
	n = read(from, bytes, limit);
	if (n <= 0) {
		*open = false;
		shutdown(to, SHUT_WR);
		return;
	}
	p->carried_bytes += (uint64_t)n;
	for (at = 0; at < n; at += sent) {
		sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);
		if (sent < 0)
			return;
	}
}

static void proxy_main(void *data)
{
	struct proxy *p = data;
	unsigned n = p->pair->n_links;
	bool open[2 * PAIR_MAX_LINKS];
	bool carries = true;

	memset(open, true, sizeof(open));
	for (;;) {
		struct pollfd fds[2 * PAIR_MAX_LINKS + 1];

		if (!p->done && p->carried_bytes == p->after_bytes)
			carries = do_deed(p);
		for (unsigned i = 0; i < 2 * n; i++) {
			int fd = i % 2 ? p->b[i / 2] : p->a[i / 2];

			fds[i] = (struct pollfd){
				.fd = open[i] && carries ? fd : -1, .events = POLLIN};
		}
		fds[2 * n] = (struct pollfd){.fd = p->quit_fd, .events = POLLIN};
		if (poll(fds, 2 * n + 1, -1) < 0 || fds[2 * n].revents)
			return;
		for (unsigned i = 0; i < 2 * n; i++) {
			if (!fds[i].revents || (!p->done && p->carried_bytes == p->after_bytes))
				continue;
			forward(p, fds[i].fd, i % 2 ? p->a[i / 2] : p->b[i / 2], &open[i]);
		}
	}
}

void proxy_start(struct proxy *p, struct pair *pair, unsigned n_links, enum proxy_deed deed,
	uint64_t after_bytes)
{
	*p = (struct proxy){.pair = pair, .deed = deed, .after_bytes = after_bytes};
	pair->n_links = n_links;
	for (unsigned i = 0; i < n_links; i++) {
		int near[2], far[2];

		pair_sockets(PAIR_SOCKETPAIR, near);
		pair_sockets(PAIR_SOCKETPAIR, far);
		pair->source_fds[i] = near[0];
		p->a[i] = near[1];
		p->b[i] = far[1];
		pair->target_fds[i] = far[0];
	}
	p->quit_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(p->quit_fd >= 0);
	pair_start(pair);
	assert_int_equal(thread_start(&p->thread, "proxy", proxy_main, p), 0);
}

void proxy_stop(struct proxy *p, uint64_t *ret_carried_bytes)
{
	assert_int_equal(eventfd_write(p->quit_fd, 1), 0);
	thread_join(&p->thread);
	for (unsigned i = 0; i < p->pair->n_links; i++) {
		close(p->a[i]);
		close(p->b[i]);
	}
	close(p->quit_fd);
	if (ret_carried_bytes)
		*ret_carried_bytes = p->carried_bytes;
}
