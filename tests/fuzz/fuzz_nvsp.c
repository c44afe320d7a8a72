/* SPDX-License-Identifier: MIT
 *
 * fuzz_nvsp.c - a guest that says anything to its NIC, and a switch that sends it anything.
 *
 * Input: a byte - bit 0: the NIC is up with all its queues, else its channel was just opened; bits
 * 1 to 3: what the port can - then steps {operation u8, argument u8, size u16, bytes}. The two
 * highest bits of the operation are the queue.
 */
#include "tests/unit/vmbus/net_up.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define DATA_GPA  0x3000U
#define MAX_STEPS 64

enum operation {
	INBAND,
	GPA_DIRECT,
	COMPLETION,
	MEMORY,       /* write where GPA_DIRECT reads */
	SEND_SECTION, /* write a send section */
	FRAME,        /* eth_hdr and a frame, from the switch */
	RING_ROOM,
	PORT_ROOM,
	LINK,
	GPADL_GONE,
	REOPEN,
	OPEN_SUB,
	CLOSE_SUB,
	STATE, /* saved, restored, gone on with */
	N_OPERATIONS,
};

static void gpa_direct(
	struct net_up *up, unsigned queue, uint8_t argument, const uint8_t *bytes, size_t n)
{
	const struct net_double_range ranges[] = {
		{DATA_GPA + argument % 16, argument * 37U}, {DATA_GPA + 0x1ff0, argument * 5U}};

	net_double_push(net_up_channel(up, queue), VMBUS_PACKET_GPA_DIRECT, 7, argument & 1, bytes,
		n, ranges, argument % 3);
}

static void frame(struct net_up *up, const uint8_t *bytes, size_t n)
{
	struct eth_hdr hdr;

	if (n < sizeof(hdr))
		return;
	memcpy(&hdr, bytes, sizeof(hdr));
	eth_dummy_inject(up->port, &hdr, bytes + sizeof(hdr), n - sizeof(hdr));
}

static void close_sub(struct net_up *up, unsigned queue)
{
	if (!net_up_channel(up, queue)->is_open)
		return;
	net_queue_close(&up->vsp->queues[queue]);
	net_up_channel(up, queue)->is_open = false;
}

/* What was saved is taken back, and is the same when it is saved again. */
static void state(struct net_up *up)
{
	struct vmbus_channel *channels[NET_UP_QUEUES] = {up->channel};
	struct buf saved = {0}, again = {0};
	struct reader in;

	for (unsigned i = 1; i < NET_UP_QUEUES; i++) {
		if (net_up_channel(up, i)->is_open)
			channels[i] = net_up_channel(up, i);
	}
	net_vsp_save(up->vsp, &saved);
	net_queue_close(up->vsp->queues);
	in = reader_make(saved.data, saved.size_bytes);
	if (net_vsp_restore(up->vsp, &in, channels) || !reader_done(&in))
		abort();
	net_vsp_save(up->vsp, &again);
	if (again.size_bytes != saved.size_bytes ||
		memcmp(again.data, saved.data, saved.size_bytes) != 0)
		abort();
	buf_fini(&saved);
	buf_fini(&again);
}

static void reopen(struct net_up *up)
{
	for (unsigned i = 1; i < NET_UP_QUEUES; i++)
		close_sub(up, i);
	net_queue_close(up->vsp->queues);
	up->channel->n_offered = 0;
	net_queue_open(up->vsp->queues, up->channel);
}

static void gpadl_gone(struct net_up *up, uint32_t gpadl_id)
{
	net_vsp_gpadl_gone(up->vsp, gpadl_id);
	net_double_gpadl_drop(up->channel, gpadl_id);
}

static void send_section(struct net_up *up, uint8_t argument, const uint8_t *bytes, size_t n)
{
	const struct vmbus_gpadl *gpadl;

	if (vmbus_channel_gpadl(up->channel, NET_UP_SEND_GPADL, &gpadl) == 0)
		(void)vmbus_gpadl_write(
			gpadl, argument % 4 * NET_SEND_SECTION_BYTES, bytes, MIN(n, (size_t)6144));
}

static void step(
	struct net_up *up, uint8_t operation, uint8_t argument, const uint8_t *bytes, size_t n)
{
	unsigned queue = (operation >> 6) % NET_UP_QUEUES;

	switch ((operation & 0x3F) % N_OPERATIONS) {
	case INBAND:
		net_double_push(net_up_channel(up, queue), VMBUS_PACKET_INBAND, argument, true,
			bytes, n, NULL, 0);
		break;
	case GPA_DIRECT:
		gpa_direct(up, queue, argument, bytes, n);
		break;
	case COMPLETION:
		net_double_push(net_up_channel(up, queue), VMBUS_PACKET_COMPLETION,
			(1ULL << 32) + argument, false, bytes, n, NULL, 0);
		break;
	case MEMORY:
		memcpy(up->channel->memory + DATA_GPA, bytes, n);
		break;
	case SEND_SECTION:
		send_section(up, argument, bytes, n);
		break;
	case FRAME:
		frame(up, bytes, n);
		break;
	case RING_ROOM:
		net_up_channel(up, queue)->room = argument == 255 ? NET_DOUBLE_NO_LIMIT : argument;
		break;
	case PORT_ROOM:
		eth_dummy_set_room(up->port, argument == 255 ? ETH_DUMMY_UNLIMITED : argument);
		break;
	case LINK:
		up->vsp->rndis.link_up = argument & 1;
		break;
	case GPADL_GONE:
		gpadl_gone(up, argument & 1 ? NET_UP_RECV_GPADL : NET_UP_SEND_GPADL);
		break;
	case REOPEN:
		reopen(up);
		break;
	case OPEN_SUB:
		if (queue && !net_up_channel(up, queue)->is_open)
			net_up_open_sub(up, queue);
		break;
	case CLOSE_SUB:
		if (queue)
			close_sub(up, queue);
		break;
	case STATE:
		state(up);
		break;
	}
	net_up_work(up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	uint8_t start = reader_u8(&in);
	struct net_up up;

	net_up_new(&up, start >> 1 & 7);
	if (start & 1)
		net_up_initialise(&up);
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes >= 4; i++) {
		uint8_t operation = reader_u8(&in);
		uint8_t argument = reader_u8(&in);
		size_t n = MIN((size_t)reader_le16(&in), in.left_bytes);

		step(&up, operation, argument, reader_take(&in, n), n);
	}
	net_up_free(&up);
	return 0;
}
