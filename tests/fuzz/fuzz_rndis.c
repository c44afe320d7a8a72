/* SPDX-License-Identifier: MIT
 *
 * fuzz_rndis.c - the bytes behind NVSP: control messages, and runs of RNDIS packets with whatever
 * their headers, per-packet information and frames say.
 *
 * Input: a byte - bit 0: data, else control; bits 1 to 3: what the port can - then the message or
 * run.
 */
#include "tests/unit/vmbus/net_up.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define DATA_GPA 0x3000U

/* Twice: once before INITIALIZE. */
static void control(struct net_up *up, const uint8_t *message, size_t size_bytes)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct net_rndis_answer *answer;

		up->vsp->rndis.ready = i;
		(void)net_rndis_handle(&up->vsp->rndis, message, size_bytes);
		while ((answer = net_rndis_answer(&up->vsp->rndis))) {
			if (answer->size_bytes < sizeof(struct rndis_header) ||
				load_le32(answer->bytes + 4) != answer->size_bytes)
				abort();
			net_rndis_answer_sent(&up->vsp->rndis);
		}
	}
}

static void data_run(struct net_up *up, const uint8_t *run, size_t size_bytes)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {DATA_GPA, (uint32_t)size_bytes};

	memcpy(up->channel->memory + DATA_GPA, run, size_bytes);
	net_double_push(
		up->channel, VMBUS_PACKET_GPA_DIRECT, 1, true, &nvsp, sizeof(nvsp), &range, 1);
	net_up_work(up);
	if (up->vsp->queues[0].tx.busy)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct net_up up;

	if (size_bytes == 0 || size_bytes > NET_DOUBLE_MEMORY_BYTES - DATA_GPA)
		return 0;
	net_up_new(&up, data[0] >> 1 & 7);
	net_up_initialise(&up);
	if (data[0] & 1)
		data_run(&up, data + 1, size_bytes - 1);
	else
		control(&up, data + 1, size_bytes - 1);
	net_up_free(&up);
	return 0;
}
