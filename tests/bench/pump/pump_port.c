/* SPDX-License-Identifier: MIT */
#include "pump.h"
#include "base/clock.h"
#include "fabric/client.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static int open_shm(const char *spec, bool offload, struct pump_port *ret_port)
{
	struct fabric_client *client;
	int fds[3], r;

	if (sscanf(spec, "%d,%d,%d", &fds[0], &fds[1], &fds[2]) != 3)
		return -EINVAL;
	r = fabric_client_new(fds[0], fds[1], fds[2], &client);
	if (r < 0)
		return r;
	if (offload)
		fabric_client_set_rx_caps(client, ETH_CAP_CSUM | ETH_CAP_TSO4);
	*ret_port = (struct pump_port){
		.ops = fabric_client_eth_ops(),
		.port = client,
		.kicked = true,
	};
	return 0;
}

static int open_device(const char *spec, bool offload, struct pump_port *ret_port)
{
	struct pump_port port = {.ops = pump_device_eth_ops()};
	int fd, r;

	if (sscanf(spec, "%d", &fd) != 1)
		return -EINVAL;
	r = pump_device_new(fd, offload, &port.port);
	if (r == 0)
		*ret_port = port;
	return r;
}

int pump_port_open(const char *spec, bool offload, struct pump_port *ret_port)
{
	static const struct {
		const char *prefix;
		int (*open)(const char *spec, bool offload, struct pump_port *ret_port);
	} kinds[] = {{"shm:", open_shm}, {"tap:", open_device}, {"packet:", open_device}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(spec, kinds[i].prefix, len) == 0)
			return kinds[i].open(spec + len, offload, ret_port);
	}
	return -EINVAL;
}

void pump_port_close(struct pump_port *port)
{
	if (port->kicked)
		fabric_client_free(port->port);
	else
		pump_device_free(port->port);
}

static void read_kicks(int fd)
{
	uint64_t kicks[64];
	ssize_t got;

	do
		got = read(fd, kicks, sizeof(kicks));
	while (got == sizeof(kicks));
}

int pump_wait(struct pump *pump, uint32_t events, uint64_t until_ns)
{
	const struct eth_ops *ops = pump->port.ops;
	struct pollfd poll_fd = {.fd = ops->event_fd(pump->port.port), .events = POLLIN};
	uint64_t now_ns = clock_mono_ns(), left_ns;
	struct timespec timeout;
	int n;

	until_ns = MIN(until_ns, pump->deadline_ns);
	if (now_ns >= until_ns)
		return -ETIMEDOUT;
	if (ops->arm(pump->port.port, events))
		return 0;
	left_ns = until_ns - now_ns;
	timeout = (struct timespec){
		.tv_sec = (time_t)(left_ns / NS_PER_SEC),
		.tv_nsec = (long)(left_ns % NS_PER_SEC),
	};
	n = ppoll(&poll_fd, 1, &timeout, NULL);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL))
		return -EIO;
	if (pump->port.kicked)
		read_kicks(poll_fd.fd);
	return 0;
}

int pump_put(struct pump *pump, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	int r;

	while ((r = pump->port.ops->send(pump->port.port, hdr, iov, n_iov)) == -EAGAIN) {
		pump->port.ops->flush(pump->port.port);
		r = pump_wait(pump, ETH_ROOM, pump->deadline_ns);
		if (r < 0)
			return r;
	}
	return r;
}

uint64_t pump_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * NS_PER_SEC + (uint64_t)used.tv_nsec;
}
