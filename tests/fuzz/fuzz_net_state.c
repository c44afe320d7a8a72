/* SPDX-License-Identifier: MIT
 *
 * fuzz_net_state.c - the saved state of a NIC from a host that lies. What is accepted must run, and
 * be the same when it is saved again. Input: a byte - which sub-channels are open - and the state.
 */
#include "tests/unit/vmbus/net_up.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void assert_same(struct net_vsp *vsp, const uint8_t *data, size_t size_bytes)
{
	struct buf again = {0};

	net_vsp_save(vsp, &again);
	if (again.failed || again.size_bytes > size_bytes)
		abort();
	/* Outstanding packets come in the order of their sections, whatever order they had. */
	if (!vsp->recv.n_outstanding && memcmp(again.data, data, again.size_bytes) != 0)
		abort();
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct vmbus_channel *channels[NET_UP_QUEUES] = {NULL};
	uint8_t open = size_bytes ? data[0] : 0;
	struct reader in;
	struct net_up up;

	if (size_bytes == 0)
		return 0;
	data++;
	size_bytes--;
	in = reader_make(data, size_bytes);

	net_up_new(&up, 7);
	net_queue_close(up.vsp->queues);
	channels[0] = up.channel;
	for (unsigned i = 1; i < NET_UP_QUEUES; i++) {
		net_up_channel(&up, i)->is_open = open >> i & 1;
		channels[i] = open >> i & 1 ? net_up_channel(&up, i) : NULL;
	}
	if (net_vsp_restore(up.vsp, &in, channels) == 0) {
		assert_same(up.vsp, data, size_bytes - in.left_bytes);
		net_up_work(&up);
	}
	net_up_free(&up);
	return 0;
}
