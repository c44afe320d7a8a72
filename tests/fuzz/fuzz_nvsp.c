/* SPDX-License-Identifier: MIT
 *
 * fuzz_nvsp.c - a guest that says anything to its NIC, and a switch that sends it anything.
 *
 * Input: a byte - bit 0: the NIC is up, else its channel was just opened; bits 1 to 3: what the
 * port can - then steps {operation u8, argument u8, size u16, bytes}.
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
	N_OPERATIONS,
};

static void gpa_direct(struct net_up *up, uint8_t argument, const uint8_t *bytes, size_t n)
{
	const struct net_double_range ranges[] = {
		{DATA_GPA + argument % 16, argument * 37U}, {DATA_GPA + 0x1ff0, argument * 5U}};

	net_double_push(up->channel, VMBUS_PACKET_GPA_DIRECT, 7, argument & 1, bytes, n, ranges,
		argument % 3);
}

static void frame(struct net_up *up, const uint8_t *bytes, size_t n)
{
	struct eth_hdr hdr;

	if (n < sizeof(hdr))
		return;
	memcpy(&hdr, bytes, sizeof(hdr));
	eth_dummy_inject(up->port, &hdr, bytes + sizeof(hdr), n - sizeof(hdr));
}

static void reopen(struct net_up *up)
{
	net_vsp_close(up->vsp);
	net_vsp_open(up->vsp, up->channel);
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
	switch (operation % N_OPERATIONS) {
	case INBAND:
		net_double_push(
			up->channel, VMBUS_PACKET_INBAND, argument, true, bytes, n, NULL, 0);
		break;
	case GPA_DIRECT:
		gpa_direct(up, argument, bytes, n);
		break;
	case COMPLETION:
		net_double_push(up->channel, VMBUS_PACKET_COMPLETION, (1ULL << 32) + argument,
			false, bytes, n, NULL, 0);
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
		up->channel->room = argument == 255 ? NET_DOUBLE_NO_LIMIT : argument;
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
