/* SPDX-License-Identifier: MIT
 *
 * fuzz_net_state.c - the saved state of a NIC from a host that lies. What is accepted must run, and
 * be the same when it is saved again. Input: the state.
 */
#include "tests/unit/vmbus/net_up.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void assert_same(const struct net_vsp *vsp, const uint8_t *data, size_t size_bytes)
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
	struct reader in = reader_make(data, size_bytes);
	struct net_up up;

	net_up_new(&up, 7);
	net_vsp_close(up.vsp);
	if (net_vsp_restore(up.vsp, &in, up.channel) == 0) {
		assert_same(up.vsp, data, size_bytes - in.left_bytes);
		net_up_work(&up);
	}
	net_up_free(&up);
	return 0;
}
