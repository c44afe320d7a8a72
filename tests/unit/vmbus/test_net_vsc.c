/* SPDX-License-Identifier: MIT
 *
 * Both halves of the synthetic NIC against each other: the guest library's bus driver and NIC on
 * the real bus and VSP, with nothing in between but memory, a message slot, event flags and
 * doorbells. Guest memory is identity mapped.
 */
#include "base/clock.h"
#include "base/eth_dummy.h"
#include "base/unit.h"
#include "net_frames.h"
#include "vmbus/guest/vsc_net.h"
#include "vmbus/proto/guids.h"
#include "vmbus/vmbus.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#define MAX_DOORBELLS 8
#define PATIENCE_NS   (20 * NS_PER_SEC)

struct rig {
	/* The host. */
	struct gpa_space *space;
	struct vmbus *bus;
	struct unit_registry *units;
	struct netvsp *nic;
	struct eth_dummy *port;
	struct buf saved;

	/* Between them. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool slot_used;
	struct hv_message slot;
	uint64_t events[HV_EVENT_FLAGS_PER_SINT / 64];
	uint32_t doorbell_ids[MAX_DOORBELLS];
	int doorbell_fds[MAX_DOORBELLS];

	/* The guest. */
	struct vsc_bus guest_bus;
	struct vsc_net_memory *memory;
	struct vsc_net net;
	unsigned n_received, n_up, n_down;
	bool ip_checked, transport_checked;
	struct frame last;
};

static struct rig rig;

/* --- host operations --- */

static int host_post(
	_unused_ void *host, _unused_ uint32_t vp_index, const void *payload, size_t size_bytes)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&rig.lock);
	if (!rig.slot_used) {
		rig.slot_used = true;
		rig.slot = (struct hv_message){
			.type = HV_MESSAGE_VMBUS, .payload_bytes = (uint8_t)size_bytes};
		memcpy(rig.slot.payload, payload, size_bytes);
		pthread_cond_broadcast(&rig.changed);
		r = 0;
	}
	pthread_mutex_unlock(&rig.lock);
	return r;
}

static void host_signal(_unused_ void *host, _unused_ uint32_t vp_index, uint32_t relid)
{
	pthread_mutex_lock(&rig.lock);
	rig.events[relid / 64] |= 1ULL << relid % 64;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static int host_doorbell_add(_unused_ void *host, uint32_t connection_id, int event_fd)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&rig.lock);
	for (size_t i = 0; i < MAX_DOORBELLS && r; i++) {
		if (rig.doorbell_ids[i])
			continue;
		rig.doorbell_ids[i] = connection_id;
		rig.doorbell_fds[i] = event_fd;
		r = 0;
	}
	pthread_mutex_unlock(&rig.lock);
	return r;
}

static void host_doorbell_remove(_unused_ void *host, uint32_t connection_id, int event_fd)
{
	pthread_mutex_lock(&rig.lock);
	for (size_t i = 0; i < MAX_DOORBELLS; i++) {
		if (rig.doorbell_ids[i] == connection_id && rig.doorbell_fds[i] == event_fd)
			rig.doorbell_ids[i] = 0;
	}
	pthread_mutex_unlock(&rig.lock);
}

static const struct vmbus_host_ops host_ops = {
	.post_message = host_post,
	.signal = host_signal,
	.doorbell_add = host_doorbell_add,
	.doorbell_remove = host_doorbell_remove,
};

/* --- the guest's hypervisor --- */

static uint16_t guest_post(
	_unused_ void *host, uint32_t connection_id, const void *payload, size_t size_bytes)
{
	return vmbus_post(rig.bus, connection_id, VMBUS_MESSAGE_TYPE, payload, size_bytes);
}

static void guest_signal(_unused_ void *host, uint32_t connection_id)
{
	pthread_mutex_lock(&rig.lock);
	for (size_t i = 0; i < MAX_DOORBELLS; i++) {
		if (rig.doorbell_ids[i] == connection_id)
			eventfd_write(rig.doorbell_fds[i], 1);
	}
	pthread_mutex_unlock(&rig.lock);
}

static bool guest_take_message(_unused_ void *host, struct hv_message *ret_message)
{
	bool used;

	pthread_mutex_lock(&rig.lock);
	used = rig.slot_used;
	if (used)
		*ret_message = rig.slot;
	rig.slot_used = false;
	pthread_mutex_unlock(&rig.lock);
	if (used)
		vmbus_slot_free(rig.bus, 0, VMBUS_SINT);
	return used;
}

static bool guest_take_event(_unused_ void *host, uint32_t relid)
{
	uint64_t flag = 1ULL << relid % 64;
	bool set;

	pthread_mutex_lock(&rig.lock);
	set = rig.events[relid / 64] & flag;
	rig.events[relid / 64] &= ~flag;
	pthread_mutex_unlock(&rig.lock);
	return set;
}

/* Until something comes, or a moment. */
static void guest_wait(_unused_ void *host)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)NS_PER_MS;
	if (until.tv_nsec >= (long)NS_PER_SEC) {
		until.tv_nsec -= (long)NS_PER_SEC;
		until.tv_sec++;
	}
	pthread_mutex_lock(&rig.lock);
	if (!rig.slot_used)
		pthread_cond_timedwait(&rig.changed, &rig.lock, &until);
	pthread_mutex_unlock(&rig.lock);
}

static uint64_t guest_now_ns(_unused_ void *host)
{
	return clock_mono_ns();
}

static const struct vsc_host_ops guest_ops = {
	.post_message = guest_post,
	.signal = guest_signal,
	.take_message = guest_take_message,
	.take_event = guest_take_event,
	.wait = guest_wait,
	.now_ns = guest_now_ns,
};

/* --- the guest's owner of the NIC --- */

static void on_receive(_unused_ void *owner, const void *frame, size_t size_bytes, bool ip_checked,
	bool transport_checked)
{
	rig.n_received++;
	rig.ip_checked = ip_checked;
	rig.transport_checked = transport_checked;
	frame_parse(&rig.last, frame, size_bytes);
}

static void on_link_changed(_unused_ void *owner, bool up)
{
	rig.n_up += up;
	rig.n_down += !up;
}

static void on_network_changed(_unused_ void *owner)
{
}

static const struct vsc_net_ops net_ops = {
	.receive = on_receive,
	.link_changed = on_link_changed,
	.network_changed = on_network_changed,
};

/* Poll until the counter gets there. */
static void poll_until(const unsigned *counter, unsigned n)
{
	uint64_t deadline_ns = clock_mono_ns() + PATIENCE_NS;

	while (*counter < n) {
		if (!vsc_net_poll(&rig.net) && !vsc_bus_poll(&rig.guest_bus))
			guest_wait(NULL);
		if (clock_mono_ns() > deadline_ns)
			fail_msg("the guest waited in vain");
	}
}

/* --- fixture --- */

static void new_host(void)
{
	struct netvsp_config config = {
		.mtu_bytes = 1500, .link_up = true, .eth = &eth_dummy_ops, .port = rig.port};

	memcpy(config.mac, frame_dst, sizeof(config.mac));
	assert_int_equal(vmbus_new(rig.space, &host_ops, NULL, &rig.bus), 0);
	assert_int_equal(unit_registry_new(&rig.units), 0);
	assert_int_equal(vmbus_register_unit(rig.bus, rig.units), 0);
	assert_int_equal(netvsp_new(rig.bus, &config, &rig.nic), 0);
	assert_int_equal(netvsp_register_unit(rig.nic, rig.units), 0);
}

static void free_host(void)
{
	unit_registry_free(rig.units);
	netvsp_free(rig.nic);
	vmbus_free(rig.bus);
}

static int open_nic(void)
{
	static const uint8_t nic_class[] = VMBUS_GUID_NIC;
	struct vsc_offer *offer = vsc_bus_find_offer(&rig.guest_bus, nic_class, 0);

	assert_non_null(offer);
	return vsc_net_open(&rig.net, &rig.guest_bus, offer, rig.memory, &net_ops, NULL);
}

static int setup(void **state)
{
	size_t size_bytes = ALIGN_UP(sizeof(*rig.memory), GPA_PAGE_SIZE);

	(void)state;
	memset(&rig, 0, sizeof(rig));
	pthread_mutex_init(&rig.lock, NULL);
	pthread_cond_init(&rig.changed, NULL);
	assert_int_equal(eth_dummy_new(ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6, &rig.port), 0);
	rig.memory = aligned_alloc(GPA_PAGE_SIZE, size_bytes);
	assert_non_null(rig.memory);
	memset(rig.memory, 0, size_bytes);
	assert_int_equal(gpa_space_new(&rig.space), 0);
	assert_int_equal(
		gpa_space_add(rig.space, gpa((uintptr_t)rig.memory), size_bytes, rig.memory), 0);
	new_host();
	assert_int_equal(unit_start_all(rig.units), 0);
	assert_int_equal(vsc_bus_connect(&rig.guest_bus, &guest_ops, NULL), 0);
	assert_int_equal(vsc_bus_request_offers(&rig.guest_bus), 0);
	assert_int_equal(open_nic(), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(unit_stop_all(rig.units), 0);
	free_host();
	gpa_space_free(rig.space);
	free(rig.memory);
	eth_dummy_free(rig.port);
	buf_fini(&rig.saved);
	pthread_cond_destroy(&rig.changed);
	pthread_mutex_destroy(&rig.lock);
	return 0;
}

static void inject(const struct eth_hdr *hdr, const struct frame_spec *spec, bool partial)
{
	static const struct eth_hdr plain;
	static struct frame frame;
	struct eth_hdr filled = hdr ? *hdr : plain;

	frame_make(&frame, spec);
	if (partial) {
		frame_make_partial(&frame, true);
		filled.csum_start = (uint16_t)frame.l4_at;
		filled.csum_offset = spec->udp ? 6 : 16;
	}
	assert_int_equal(eth_dummy_inject(rig.port, &filled, frame.bytes, frame.size_bytes), 0);
}

static void send(size_t payload_bytes)
{
	static struct frame frame;
	uint64_t deadline_ns = clock_mono_ns() + PATIENCE_NS;

	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = payload_bytes});
	while (!vsc_net_send(&rig.net, frame.bytes, frame.size_bytes)) {
		if (!vsc_net_poll(&rig.net))
			guest_wait(NULL);
		if (clock_mono_ns() > deadline_ns)
			fail_msg("no room to send");
	}
}

/* A frame that was sent with this payload size is next at the port. */
static void expect_at_port(size_t payload_bytes)
{
	uint64_t deadline_ns = clock_mono_ns() + PATIENCE_NS;
	static struct frame frame, seen;
	struct eth_hdr hdr;
	size_t size_bytes;

	while (eth_dummy_take(rig.port, &hdr, seen.bytes, sizeof(seen.bytes), &size_bytes)) {
		guest_wait(NULL);
		if (clock_mono_ns() > deadline_ns)
			fail_msg("nothing came out");
	}
	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = payload_bytes});
	assert_int_equal(size_bytes, frame.size_bytes);
	assert_memory_equal(seen.bytes, frame.bytes, size_bytes);
}

static struct netvsp_info info(void)
{
	struct netvsp_info now;

	netvsp_get_info(rig.nic, &now);
	return now;
}

/* --- tests --- */

static void they_agree(void **state)
{
	(void)state;
	assert_int_equal(rig.net.version, NVSP_VERSION_61);
	assert_memory_equal(rig.net.mac, frame_dst, 6);
	assert_int_equal(rig.net.mtu, 1500);
	assert_true(rig.net.link_up);
	assert_int_equal(info().nvsp_version, NVSP_VERSION_61);
	assert_true(info().ready);
	assert_int_not_equal(info().packet_filter, 0);
	assert_int_equal(info().n_protocol_errors, 0);
	assert_int_equal(rig.net.n_errors, 0);
}

static void frames_in_both_directions(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		size_t payload_bytes = 50 + i % 1400;

		send(payload_bytes);
		inject(NULL, &(struct frame_spec){.udp = true, .payload_bytes = payload_bytes},
			false);
		expect_at_port(payload_bytes);
		poll_until(&rig.n_received, i + 1);
		assert_int_equal(rig.last.size_bytes, 42 + payload_bytes);
		assert_true(frame_checksums_ok(&rig.last));
	}
	assert_int_equal(info().tx_frames, 1000);
	assert_int_equal(info().rx_frames, 1000);
	assert_int_equal(info().n_protocol_errors + rig.net.n_errors, 0);
}

static void a_guest_without_offloads_gets_ready_frames(void **state)
{
	const struct eth_hdr partial = {.flags = ETH_HDR_NEEDS_CSUM};
	const struct eth_hdr super = {
		.flags = ETH_HDR_NEEDS_CSUM, .gso_type = ETH_GSO_TCPV4, .gso_size = 1448};

	(void)state;
	inject(&partial, &(struct frame_spec){.udp = true, .payload_bytes = 333}, true);
	poll_until(&rig.n_received, 1);
	assert_true(frame_checksums_ok(&rig.last));
	assert_false(rig.ip_checked || rig.transport_checked); /* it wants to see for itself */

	inject(&super, &(struct frame_spec){.payload_bytes = 60000}, true);
	poll_until(&rig.n_received, 1 + 42);
	assert_true(frame_checksums_ok(&rig.last));
	assert_int_equal(info().rx_dropped, 0);
}

static void the_link_goes_and_comes(void **state)
{
	(void)state;
	netvsp_set_link(rig.nic, false);
	poll_until(&rig.n_down, 1);
	netvsp_set_link(rig.nic, true);
	poll_until(&rig.n_up, 1);
	send(100);
	expect_at_port(100);
}

static void it_closes_and_opens_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		vsc_net_close(&rig.net);
		assert_int_equal(info().nvsp_version, 0);
		assert_int_equal(open_nic(), 0);
		send(100 + i);
		expect_at_port(100 + i);
	}
	assert_int_equal(info().n_protocol_errors, 0);
	assert_int_equal(vsc_bus_unload(&rig.guest_bus), 0);
	assert_int_equal(info().nvsp_version, 0);
}

static void move(void)
{
	struct reader in;

	assert_int_equal(unit_stop_all(rig.units), 0);
	buf_reset(&rig.saved);
	assert_int_equal(unit_save_all(rig.units, &rig.saved), 0);
	free_host();
	new_host();
	in = reader_make(rig.saved.data, rig.saved.size_bytes);
	assert_int_equal(unit_restore_all(rig.units, &in, NULL), 0);
	assert_int_equal(unit_start_all(rig.units), 0);
}

/* The guest notices nothing: each frame arrives once, in order, in both directions. */
static void it_moves_amid_traffic(void **state)
{
	unsigned n_out = 0, n_in = 0;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		eth_dummy_set_room(rig.port, round % 5);
		for (unsigned i = 0; i < 20; i++, n_out++)
			send(100 + n_out);
		for (unsigned i = 0; i < 100; i++, n_in++)
			inject(NULL, &(struct frame_spec){.udp = true, .payload_bytes = 64}, false);
		move();
		eth_dummy_set_room(rig.port, ETH_DUMMY_UNLIMITED);
		for (unsigned i = 20; i > 0; i--)
			expect_at_port(100 + n_out - i);
		poll_until(&rig.n_received, n_in);
	}
	assert_int_equal(rig.n_received, n_in);
	assert_int_equal(info().n_protocol_errors + rig.net.n_errors, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(they_agree),
		TEST(frames_in_both_directions),
		TEST(a_guest_without_offloads_gets_ready_frames),
		TEST(the_link_goes_and_comes),
		TEST(it_closes_and_opens_again),
		TEST(it_moves_amid_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
