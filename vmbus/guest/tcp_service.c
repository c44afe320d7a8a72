/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/tcp.h"

#define DISCARD_ROOM_BYTES 65535

/* Appends as much as fits. */
static void buffer_add(struct tcp_connection *c, const uint8_t *data, size_t size_bytes)
{
	size_t at = (c->tx_start + c->tx_bytes) % TCP_TX_BYTES;
	size_t first = MIN_OF(size_bytes, TCP_TX_BYTES - at);

	memcpy(c->tx + at, data, first);
	memcpy(c->tx, data + first, size_bytes - first);
	c->tx_bytes += size_bytes;
}

static size_t echo_room(const struct tcp_connection *c)
{
	return TCP_TX_BYTES - c->tx_bytes;
}

static size_t discard_room(const struct tcp_connection *c)
{
	(void)c;
	return DISCARD_ROOM_BYTES;
}

static void discard_receive(struct tcp_connection *c, const uint8_t *data, size_t size_bytes)
{
	(void)c;
	(void)data;
	(void)size_bytes;
}

static void source_produce(struct tcp_connection *c)
{
	uint8_t pattern[TCP_PATTERN_PERIOD];
	size_t room;

	/* Refilling in large pieces is cheaper than after every acknowledgment. */
	if (c->state != TCP_ESTABLISHED || c->tx_bytes > TCP_TX_BYTES / 2)
		return;
	while ((room = TCP_TX_BYTES - c->tx_bytes)) {
		size_t n = MIN_OF(room, sizeof(pattern));

		for (size_t i = 0; i < n; i++)
			pattern[i] = (uint8_t)((c->n_produced + i) % TCP_PATTERN_PERIOD);
		buffer_add(c, pattern, n);
		c->n_produced += n;
	}
}

static const struct tcp_service services[] = {
	{TCP_PORT_ECHO, echo_room, buffer_add, NULL},
	{TCP_PORT_DISCARD, discard_room, discard_receive, NULL},
	{TCP_PORT_SOURCE, discard_room, discard_receive, source_produce},
};

const struct tcp_service *tcp_service_find(uint16_t port)
{
	for (size_t i = 0; i < N_ELEMENTS(services); i++) {
		if (services[i].port == port)
			return &services[i];
	}
	return NULL;
}
