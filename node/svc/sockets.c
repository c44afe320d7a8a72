/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKETS_MAX 16

/* The sockets come up one after the other, so the first one accepted is the first one connected:
 * the migration's control connection. */
struct sockets {
	struct loop *loop;
	struct sockaddr_in local, remote;
	bool accepting;
	int listener;
	int pending; /* connecting */
	int fds[SOCKETS_MAX];
	size_t n_fds, n_wanted;
	uint64_t timer;
	sockets_fn fn;
	void *data;
};

static int parse_address(const char *text, uint16_t port, struct sockaddr_in *ret)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

void sockets_free(struct sockets *s)
{
	if (!s)
		return;
	loop_timer_remove(s->loop, s->timer);
	if (s->listener >= 0)
		loop_fd_remove(s->loop, s->listener);
	if (s->pending >= 0)
		loop_fd_remove(s->loop, s->pending);
	close_fd(s->listener);
	close_fd(s->pending);
	for (size_t i = 0; i < s->n_fds; i++)
		close_fd(s->fds[i]);
	free(s);
}

/* The callback may free `s`: nothing touches it afterwards. */
static void finish(struct sockets *s, int error)
{
	int fds[SOCKETS_MAX];
	size_t n = s->n_fds;
	char text[200], local[INET_ADDRSTRLEN], remote[INET_ADDRSTRLEN];

	loop_timer_remove(s->loop, s->timer);
	s->timer = 0;
	if (error == 0) {
		memcpy(fds, s->fds, sizeof(fds));
		s->n_fds = 0;
		s->fn(0, NULL, fds, n, s->data);
		return;
	}
	inet_ntop(AF_INET, &s->local.sin_addr, local, sizeof(local));
	inet_ntop(AF_INET, &s->remote.sin_addr, remote, sizeof(remote));
	snprintf(text, sizeof(text), "%s %s %s: %s (%zu of %zu connections made)", local,
		s->accepting ? "waited for" : "could not connect to", remote, strerror(-error), n,
		s->n_wanted);
	s->fn(error, text, NULL, 0, s->data);
}

static void on_timeout(void *data)
{
	struct sockets *s = data;

	s->timer = 0;
	finish(s, -ETIMEDOUT);
}

static int sockets_make(struct loop *loop, const char *local, const char *remote, size_t n,
	uint64_t timeout_ns, sockets_fn fn, void *data, struct sockets **ret)
{
	struct sockets *s;
	int r;

	if (n < 1 || n > SOCKETS_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->listener = s->pending = -1;
	s->n_wanted = n;
	s->fn = fn;
	s->data = data;
	r = parse_address(local, 0, &s->local);
	if (r == 0)
		r = parse_address(remote, 0, &s->remote);
	if (r == 0)
		r = loop_timer_add(loop, timeout_ns, on_timeout, s, &s->timer);
	if (r < 0) {
		sockets_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* ---- connecting ---- */

static int connect_next(struct sockets *s);

static void on_connected(int fd, short revents _unused_, void *data)
{
	struct sockets *s = data;
	int error = 0;
	socklen_t size = sizeof(error);
	int r;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	loop_fd_remove(s->loop, fd);
	if (error) {
		s->pending = close_fd(s->pending);
		finish(s, -error);
		return;
	}
	s->fds[s->n_fds++] = take_fd(&s->pending);
	r = s->n_fds == s->n_wanted ? 0 : connect_next(s);
	if (r < 0 || s->n_fds == s->n_wanted)
		finish(s, r);
}

static int connect_next(struct sockets *s)
{
	/* Bound to the network's own address, so that no other path can be taken. */
	s->pending = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->pending < 0)
		return -errno;
	if (bind(s->pending, (struct sockaddr *)&s->local, sizeof(s->local)) < 0)
		return -errno;
	if (connect(s->pending, (struct sockaddr *)&s->remote, sizeof(s->remote)) < 0 &&
		errno != EINPROGRESS)
		return -errno;
	return loop_fd_add(s->loop, s->pending, POLLOUT, on_connected, s);
}

int sockets_connect(struct loop *loop, const char *local, const char *remote, uint16_t port,
	size_t n, uint64_t timeout_ns, sockets_fn fn, void *data, struct sockets **ret_sockets)
{
	struct sockets *s;
	int r = sockets_make(loop, local, remote, n, timeout_ns, fn, data, &s);

	if (r < 0)
		return r;
	s->remote.sin_port = htons(port);
	r = connect_next(s);
	if (r < 0) {
		sockets_free(s);
		return r;
	}
	*ret_sockets = s;
	return 0;
}

/* ---- accepting ---- */

static void on_listener(int fd, short revents _unused_, void *data)
{
	struct sockets *s = data;
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	int got = accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (got < 0)
		return;
	/* The job key authenticates; the address check only keeps strangers from using up the
	 * places. */
	if (size != sizeof(from) || from.sin_addr.s_addr != s->remote.sin_addr.s_addr) {
		close(got);
		return;
	}
	s->fds[s->n_fds++] = got;
	if (s->n_fds == s->n_wanted) {
		loop_fd_remove(s->loop, s->listener);
		s->listener = close_fd(s->listener);
		finish(s, 0);
	}
}

int sockets_accept(struct loop *loop, const char *local, const char *remote, size_t n,
	uint64_t timeout_ns, sockets_fn fn, void *data, uint16_t *ret_port,
	struct sockets **ret_sockets)
{
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);
	struct sockets *s;
	int r = sockets_make(loop, local, remote, n, timeout_ns, fn, data, &s);

	if (r < 0)
		return r;
	s->accepting = true;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0 ||
		bind(s->listener, (struct sockaddr *)&s->local, sizeof(s->local)) < 0 ||
		listen(s->listener, SOCKETS_MAX) < 0 ||
		getsockname(s->listener, (struct sockaddr *)&bound, &size) < 0)
		r = -errno;
	else
		r = loop_fd_add(loop, s->listener, POLLIN, on_listener, s);
	if (r < 0) {
		sockets_free(s);
		return r;
	}
	*ret_port = ntohs(bound.sin_port);
	*ret_sockets = s;
	return 0;
}
