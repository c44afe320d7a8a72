/* SPDX-License-Identifier: MIT */
#include "migrate/link.h"
#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h> /* the kernel's: libc's struct tcp_info is too short */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_PROBES     3

/* On other than TCP these fail, and are not needed there. */
static void tune_tcp(int fd, uint64_t stall_ns)
{
	const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, (int)MIN(stall_ns / NS_PER_MS, (uint64_t)INT_MAX)},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof(options[i].value));
}

int link_init(struct link *link, int fd, int cancel_fd, uint64_t stall_ns)
{
	int flags = fcntl(fd, F_GETFL);

	*link = (struct link){
		.fd = fd,
		.cancel_fd = cancel_fd,
		.stall_ns = stall_ns,
		.active_ns = clock_mono_ns(),
	};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	tune_tcp(fd, stall_ns);
	return 0;
}

void link_close(struct link *link)
{
	link->fd = close_fd(link->fd);
}

int links_init(struct link *links, const int *fds, unsigned n_links, uint64_t stall_ns)
{
	int r = 0;

	for (unsigned i = 0; i < n_links; i++) {
		int error = link_init(&links[i], fds[i], -1, stall_ns);

		r = r < 0 ? r : error;
	}
	return r;
}

void links_close(struct link *links, unsigned n_links)
{
	for (unsigned i = 0; i < n_links; i++)
		link_close(&links[i]);
}

void link_cut(struct link *link)
{
	(void)shutdown(link->fd, SHUT_RDWR);
}

void link_cut_write(struct link *link)
{
	(void)shutdown(link->fd, SHUT_WR);
}

void iov_skip(struct iovec **iov, unsigned *n_iov, size_t n_bytes)
{
	while (*n_iov && n_bytes >= (*iov)->iov_len) {
		n_bytes -= (*iov)->iov_len;
		(*iov)++;
		(*n_iov)--;
	}
	if (n_bytes) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n_bytes;
		(*iov)->iov_len -= n_bytes;
	}
}

/* For poll(): how long the next wait may take. */
static int patience_ms(const struct link *link)
{
	uint64_t wait_ns = link->stall_ns ? link->stall_ns : UINT64_MAX;

	if (link->deadline_ns) {
		uint64_t now_ns = clock_mono_ns();

		wait_ns = MIN(wait_ns, link->deadline_ns > now_ns ? link->deadline_ns - now_ns : 0);
	}
	if (wait_ns == UINT64_MAX)
		return -1;
	return (int)MIN(wait_ns / NS_PER_MS + (wait_ns % NS_PER_MS != 0), (uint64_t)INT_MAX);
}

/* Until `events` or an error is there to be collected. */
static int wait_for(struct link *link, short events)
{
	struct pollfd fds[] = {
		{.fd = link->fd, .events = events},
		{.fd = link->cancel_fd, .events = POLLIN},
	};
	int n;

	do {
		n = poll(fds, ARRAY_LEN(fds), patience_ms(link));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return fds[1].revents ? -ECANCELED : 0;
}

static void note_activity(struct link *link, uint64_t *counter, size_t n_bytes)
{
	__atomic_fetch_add(counter, n_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&link->active_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

static ssize_t try_write(struct link *link, struct iovec *iov, unsigned n_iov)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n_iov, (unsigned)IOV_MAX)};
	ssize_t n;

	do {
		n = sendmsg(link->fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	note_activity(link, &link->sent_bytes, (size_t)n);
	return n;
}

ssize_t link_try_read(struct link *link, struct iovec *iov, unsigned n_iov)
{
	ssize_t n;

	do {
		n = readv(link->fd, iov, (int)MIN(n_iov, (unsigned)IOV_MAX));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	note_activity(link, &link->received_bytes, (size_t)n);
	return n;
}

int link_write(struct link *link, struct iovec *iov, unsigned n_iov)
{
	iov_skip(&iov, &n_iov, 0);
	while (n_iov) {
		ssize_t n = try_write(link, iov, n_iov);
		uint64_t before_ns;
		int r;

		if (n >= 0) {
			iov_skip(&iov, &n_iov, (size_t)n);
			continue;
		}
		if (n != -EAGAIN)
			return (int)n;
		before_ns = clock_mono_ns();
		r = wait_for(link, POLLOUT);
		link->waited_ns += clock_mono_ns() - before_ns;
		if (r < 0)
			return r;
	}
	return 0;
}

uint64_t link_waited_ns(const struct link *link)
{
	return link->waited_ns;
}

uint64_t link_peer_busy_ns(const struct link *link)
{
	struct tcp_info info = {0};
	socklen_t size_bytes = sizeof(info);

	if (getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &size_bytes) < 0)
		return 0;
	return info.tcpi_rwnd_limited * NS_PER_US;
}

ssize_t link_read_some(struct link *link, struct iovec *iov, unsigned n_iov)
{
	for (;;) {
		ssize_t n = link_try_read(link, iov, n_iov);
		int r;

		if (n != -EAGAIN)
			return n;
		r = wait_for(link, POLLIN);
		if (r < 0)
			return r;
	}
}

int link_read(struct link *link, struct iovec *iov, unsigned n_iov)
{
	iov_skip(&iov, &n_iov, 0);
	while (n_iov) {
		ssize_t n = link_read_some(link, iov, n_iov);

		if (n < 0)
			return (int)n;
		iov_skip(&iov, &n_iov, (size_t)n);
	}
	return 0;
}

uint64_t link_sent_bytes(const struct link *link)
{
	return __atomic_load_n(&link->sent_bytes, __ATOMIC_RELAXED);
}

uint64_t link_received_bytes(const struct link *link)
{
	return __atomic_load_n(&link->received_bytes, __ATOMIC_RELAXED);
}

uint64_t link_active_ns(const struct link *link)
{
	return __atomic_load_n(&link->active_ns, __ATOMIC_RELAXED);
}
