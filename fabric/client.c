/* SPDX-License-Identifier: MIT */
#include "fabric/client.h"
#include "fabric/shm_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct fabric_client {
	struct shm_port *port;
	uint32_t ring_bytes;
	struct shm_producer to_switch;
	struct shm_consumer from_switch;
	int kick_switch_fd;
	int kick_vm_fd;
	const char *why;       /* atomic: what broke a ring; the two sides tell each other */
	uint64_t n_rx_dropped; /* atomic, the receiving side's */
};

static void kick_switch(struct fabric_client *client)
{
	static const uint64_t one = 1;
	ssize_t written = write(client->kick_switch_fd, &one, sizeof(one));

	/* It fails only at its highest count, and then the switch has been kicked. */
	(void)written;
}

static const char *why_broken(const struct fabric_client *client)
{
	return __atomic_load_n(&client->why, __ATOMIC_RELAXED);
}

/* After each use of a ring. */
static void note_broken(struct fabric_client *client, const char *why)
{
	if (why)
		__atomic_store_n(&client->why, why, __ATOMIC_RELAXED);
}

static bool is_dead(const struct fabric_client *client)
{
	return why_broken(client) ||
	       __atomic_load_n(&client->port->switch_state, __ATOMIC_RELAXED) != SHM_PORT_LIVE;
}

static uint32_t client_caps(void *port _unused_)
{
	return ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
}

static size_t iov_bytes(const struct iovec *iov, unsigned n_iov)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n_iov; i++) {
		if (iov[i].iov_len > ETH_FRAME_MAX_BYTES - bytes)
			return SIZE_MAX;
		bytes += iov[i].iov_len;
	}
	return bytes;
}

static int client_send(
	void *port, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct fabric_client *client = port;
	size_t frame_bytes = iov_bytes(iov, n_iov);
	int r;

	if (frame_bytes > ETH_FRAME_MAX_BYTES)
		return -EMSGSIZE;
	if (frame_bytes < ETH_HEADER_BYTES || is_dead(client))
		return -EINVAL;
	r = shm_producer_put(&client->to_switch, hdr, iov, n_iov);
	note_broken(client, client->to_switch.why);
	return r == -EBADMSG ? -EINVAL : r;
}

static void client_flush(void *port)
{
	struct fabric_client *client = port;

	shm_producer_publish(&client->to_switch);
	if (shm_producer_must_kick(&client->to_switch))
		kick_switch(client);
}

static void give_room_back(struct fabric_client *client)
{
	if (shm_consumer_publish(&client->from_switch))
		kick_switch(client);
}

/* What a VSP may rely on: the checksum request is within the frame. */
static bool hdr_is_sound(const struct eth_hdr *hdr, size_t frame_bytes)
{
	return !(hdr->flags & ETH_HDR_NEEDS_CSUM) ||
	       (size_t)hdr->csum_start + hdr->csum_offset + sizeof(uint16_t) <= frame_bytes;
}

static int client_recv(void *port, struct eth_hdr *ret_hdr, void *data, size_t capacity_bytes,
	size_t *ret_size_bytes)
{
	struct fabric_client *client = port;
	uint32_t frame_bytes;
	struct eth_hdr hdr;

	while (shm_consumer_peek(&client->from_switch, &frame_bytes) == 0) {
		bool fits = frame_bytes <= capacity_bytes && frame_bytes >= ETH_HEADER_BYTES;

		shm_consumer_take(&client->from_switch, &hdr, fits ? data : NULL);
		if (shm_consumer_unpublished(&client->from_switch) >= client->ring_bytes / 8)
			give_room_back(client);
		if (fits && hdr_is_sound(&hdr, frame_bytes)) {
			*ret_hdr = hdr;
			*ret_size_bytes = frame_bytes;
			return 0;
		}
		__atomic_fetch_add(&client->n_rx_dropped, 1, __ATOMIC_RELAXED);
	}
	note_broken(client, client->from_switch.why);
	give_room_back(client);
	return -EAGAIN;
}

/* A dead port has nothing to wake up for but whoever waits for room: what is sent is refused. */
static uint32_t client_arm(void *port, uint32_t events)
{
	struct fabric_client *client = port;
	uint32_t ready = 0;

	if (is_dead(client))
		return events & ETH_ROOM;
	if (events & ETH_FRAMES) {
		give_room_back(client);
		if (shm_consumer_arm(&client->from_switch))
			ready |= ETH_FRAMES;
		note_broken(client, client->from_switch.why);
	}
	if (events & ETH_ROOM) {
		client_flush(client);
		if (shm_producer_arm(&client->to_switch))
			ready |= ETH_ROOM;
		note_broken(client, client->to_switch.why);
	}
	return ready;
}

static int client_event_fd(void *port)
{
	return ((struct fabric_client *)port)->kick_vm_fd;
}

const struct eth_ops *fabric_client_eth_ops(void)
{
	static const struct eth_ops ops = {
		.caps = client_caps,
		.send = client_send,
		.flush = client_flush,
		.recv = client_recv,
		.arm = client_arm,
		.event_fd = client_event_fd,
	};

	return &ops;
}

void fabric_client_set_rx_caps(struct fabric_client *client, uint32_t caps)
{
	__atomic_store_n(&client->port->vm_caps, caps, __ATOMIC_RELAXED);
}

void fabric_client_get_info(const struct fabric_client *client, struct fabric_client_info *ret_info)
{
	const char *why = why_broken(client);

	ret_info->dead = is_dead(client);
	ret_info->reason = ret_info->dead ? why ?: "the switch shut the port" : NULL;
	ret_info->n_rx_dropped = __atomic_load_n(&client->n_rx_dropped, __ATOMIC_RELAXED);
}

/* Sealed, or the other side could make our accesses fault. */
static int map_port(int fd, struct shm_port **ret_port, uint32_t *ret_ring_bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct shm_port *port;
	uint32_t ring_bytes;
	struct stat status;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0 ||
		status.st_size < (off_t)shm_port_size_bytes(SHM_PORT_RING_MIN_BYTES) ||
		status.st_size > (off_t)shm_port_size_bytes(SHM_PORT_RING_MAX_BYTES))
		return -EINVAL;
	port = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (port == MAP_FAILED)
		return -errno;
	ring_bytes = __atomic_load_n(&port->ring_bytes, __ATOMIC_RELAXED);
	if (port->magic != SHM_PORT_MAGIC || port->version != SHM_PORT_VERSION ||
		!shm_ring_size_is_valid(ring_bytes) ||
		status.st_size != (off_t)shm_port_size_bytes(ring_bytes)) {
		munmap(port, (size_t)status.st_size);
		return -EINVAL;
	}
	*ret_port = port;
	*ret_ring_bytes = ring_bytes;
	return 0;
}

int fabric_client_new(
	int memory_fd, int kick_switch_fd, int kick_vm_fd, struct fabric_client **ret_client)
{
	struct fabric_client *client = calloc(1, sizeof(*client));
	int flags = fcntl(kick_vm_fd, F_GETFL);
	int r = client ? map_port(memory_fd, &client->port, &client->ring_bytes) : -ENOMEM;

	close_fd(memory_fd);
	if (r == 0 && (flags < 0 || fcntl(kick_vm_fd, F_SETFL, flags | O_NONBLOCK) < 0))
		r = -EINVAL;
	if (r < 0) {
		if (client && client->port)
			munmap(client->port, shm_port_size_bytes(client->ring_bytes));
		close_fd(kick_switch_fd);
		close_fd(kick_vm_fd);
		free(client);
		return r;
	}
	client->kick_switch_fd = kick_switch_fd;
	client->kick_vm_fd = kick_vm_fd;
	shm_producer_init(&client->to_switch, &client->port->to_switch,
		shm_port_ring(client->port, client->ring_bytes, 0), client->ring_bytes);
	shm_consumer_init(&client->from_switch, &client->port->to_vm,
		shm_port_ring(client->port, client->ring_bytes, 1), client->ring_bytes);
	*ret_client = client;
	return 0;
}

void fabric_client_free(struct fabric_client *client)
{
	if (!client)
		return;
	munmap(client->port, shm_port_size_bytes(client->ring_bytes));
	close_fd(client->kick_switch_fd);
	close_fd(client->kick_vm_fd);
	free(client);
}
