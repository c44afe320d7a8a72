/* SPDX-License-Identifier: MIT
 *
 * The guest's library against the real bus and the real network VSP, in one process: this thread is
 * the guest, the bus and its workers are the host, a switch port in memory is the other end.
 */
#include "base/clock.h"
#include "base/eth_dummy.h"
#include "vmbus/guest/vsc_net.h"
#include "vmbus/vmbus.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WAIT_NS       (20 * NS_PER_S)
#define MAX_DOORBELLS 16

static const uint8_t nic_class[] = VMBUS_GUID_NIC;
static const uint8_t mac[] = {0x00, 0x15, 0x5d, 9, 8, 7};

/* What the hypervisor does: a message slot, event flags, doorbells. */
struct machine {
	pthread_mutex_t lock;
	struct hv_message slot;
	bool slot_wanted; /* somebody found it occupied */
	uint64_t events[2048 / 64];
	struct {
		uint32_t connection_id;
		int event_fd;
	} doorbells[MAX_DOORBELLS];
};

struct fixture {
	struct machine machine;
	/* The host's side; made anew when the guest "moves". */
	struct gpa_space *memory;
	struct vmbus *host_bus;
	struct netvsp *vsp;
	struct eth_dummy *port;
	struct unit_registry *units;

	/* The guest's. */
	struct vsc_bus bus;
	struct vsc_net net;
	struct vsc_net_memory *shared;
	unsigned n_received, n_up, n_down;
	size_t last_bytes;
	uint8_t last[1600];
};

/* --- struct vmbus_host_ops --- */

static int host_post(void *host, uint32_t vp_index, const void *payload, size_t size_bytes)
{
	struct machine *machine = host;
	int r = -EAGAIN;

	assert_int_equal(vp_index, 0);
	pthread_mutex_lock(&machine->lock);
	if (machine->slot.type == HV_MESSAGE_NONE) {
		machine->slot.type = HV_MESSAGE_VMBUS;
		machine->slot.payload_bytes = (uint8_t)size_bytes;
		memcpy(machine->slot.payload, payload, size_bytes);
		r = 0;
	} else {
		machine->slot_wanted = true;
	}
	pthread_mutex_unlock(&machine->lock);
	return r;
}

static void host_signal(void *host, uint32_t vp_index, uint32_t relid)
{
	struct machine *machine = host;

	(void)vp_index;
	__atomic_fetch_or(&machine->events[relid / 64], 1ULL << relid % 64, __ATOMIC_SEQ_CST);
}

static int doorbell_add(void *host, uint32_t connection_id, int event_fd)
{
	struct machine *machine = host;
	int r = -ENOSPC;

	pthread_mutex_lock(&machine->lock);
	for (size_t i = 0; i < MAX_DOORBELLS && r; i++) {
		if (machine->doorbells[i].connection_id)
			continue;
		machine->doorbells[i].connection_id = connection_id;
		machine->doorbells[i].event_fd = event_fd;
		r = 0;
	}
	pthread_mutex_unlock(&machine->lock);
	return r;
}

static void doorbell_remove(void *host, uint32_t connection_id, int event_fd)
{
	struct machine *machine = host;

	(void)event_fd;
	pthread_mutex_lock(&machine->lock);
	for (size_t i = 0; i < MAX_DOORBELLS; i++) {
		if (machine->doorbells[i].connection_id == connection_id)
			machine->doorbells[i].connection_id = 0;
	}
	pthread_mutex_unlock(&machine->lock);
}

static const struct vmbus_host_ops host_ops = {
	.post_message = host_post,
	.signal = host_signal,
	.doorbell_add = doorbell_add,
	.doorbell_remove = doorbell_remove,
};

/* --- struct vsc_host_ops --- */

static uint16_t guest_post(
	void *data, uint32_t connection_id, const void *payload, size_t size_bytes)
{
	struct fixture *f = data;

	return vmbus_post(f->host_bus, connection_id, HV_MESSAGE_VMBUS, payload, size_bytes);
}

static void guest_signal(void *data, uint32_t connection_id)
{
	struct machine *machine = &((struct fixture *)data)->machine;
	uint64_t one = 1;

	pthread_mutex_lock(&machine->lock);
	for (size_t i = 0; i < MAX_DOORBELLS; i++) {
		if (machine->doorbells[i].connection_id == connection_id)
			assert_int_equal(
				write(machine->doorbells[i].event_fd, &one, sizeof(one)), 8);
	}
	pthread_mutex_unlock(&machine->lock);
}

static bool take_message(void *data, struct hv_message *ret_message)
{
	struct fixture *f = data;
	bool taken, wanted;

	pthread_mutex_lock(&f->machine.lock);
	taken = f->machine.slot.type != HV_MESSAGE_NONE;
	wanted = taken && f->machine.slot_wanted;
	if (taken) {
		*ret_message = f->machine.slot;
		f->machine.slot.type = HV_MESSAGE_NONE;
		f->machine.slot_wanted = false;
	}
	pthread_mutex_unlock(&f->machine.lock);
	if (wanted)
		vmbus_slot_free(f->host_bus, 0, VMBUS_SINT);
	return taken;
}

static bool take_event(void *data, uint32_t relid)
{
	uint64_t *word = &((struct fixture *)data)->machine.events[relid / 64];
	uint64_t bit = 1ULL << relid % 64;

	return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

static void wait(void *data)
{
	(void)data;
	usleep(100);
}

static uint64_t now_ns(void *data)
{
	(void)data;
	return clock_mono_ns();
}

static const struct vsc_host_ops guest_ops = {
	.post_message = guest_post,
	.signal = guest_signal,
	.take_message = take_message,
	.take_event = take_event,
	.wait = wait,
	.now_ns = now_ns,
};

/* --- the guest's owner --- */

static void on_receive(
	void *owner, const void *frame, size_t size_bytes, bool ip_checked, bool transport_checked)
{
	struct fixture *f = owner;

	(void)ip_checked;
	(void)transport_checked;
	f->n_received++;
	f->last_bytes = size_bytes;
	assert_true(size_bytes <= sizeof(f->last));
	memcpy(f->last, frame, size_bytes);
}

static void on_link_changed(void *owner, bool up)
{
	struct fixture *f = owner;

	f->n_up += up;
	f->n_down += !up;
}

static void on_network_changed(void *owner)
{
	(void)owner;
}

static const struct vsc_net_ops net_ops = {
	.receive = on_receive,
	.link_changed = on_link_changed,
	.network_changed = on_network_changed,
};

/* --- set-up --- */

/* Everything of the host's but the machine and the port; GPAs are addresses of this process. */
static void host_make(struct fixture *f)
{
	struct netvsp_config config = {
		.mtu_bytes = 1500, .link_up = true, .eth = &eth_dummy_ops, .port = f->port};

	memcpy(config.mac, mac, sizeof(mac));
	assert_int_equal(gpa_space_new(&f->memory), 0);
	assert_int_equal(
		gpa_space_add(f->memory, gpa((uintptr_t)f->shared), sizeof(*f->shared), f->shared),
		0);
	assert_int_equal(vmbus_new(f->memory, &host_ops, &f->machine, &f->host_bus), 0);
	assert_int_equal(netvsp_new(f->host_bus, &config, &f->vsp), 0);
	assert_int_equal(unit_registry_new(&f->units), 0);
	assert_int_equal(vmbus_register_unit(f->host_bus, f->units), 0);
	assert_int_equal(netvsp_register_unit(f->vsp, f->units), 0);
}

static void host_unmake(struct fixture *f)
{
	unit_registry_free(f->units);
	netvsp_free(f->vsp);
	vmbus_free(f->host_bus);
	gpa_space_free(f->memory);
}

static int open_nic(struct fixture *f)
{
	return vsc_net_open(&f->net, &f->bus, vsc_bus_find_offer(&f->bus, nic_class, 0), f->shared,
		&net_ops, f);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*state = f;
	pthread_mutex_init(&f->machine.lock, NULL);
	f->shared = aligned_alloc(4096, sizeof(*f->shared));
	assert_non_null(f->shared);
	memset(f->shared, 0, sizeof(*f->shared));
	assert_int_equal(eth_dummy_new(0, &f->port), 0);
	host_make(f);
	assert_int_equal(unit_start_all(f->units), 0);
	assert_int_equal(vsc_bus_connect(&f->bus, &guest_ops, f), 0);
	assert_int_equal(vsc_bus_request_offers(&f->bus), 0);
	assert_int_equal(open_nic(f), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unit_stop_all(f->units);
	host_unmake(f);
	eth_dummy_free(f->port);
	free(f->shared);
	free(f);
	return 0;
}

static void poll_until(struct fixture *f, const unsigned *counter, unsigned value)
{
	uint64_t end_ns = clock_mono_ns() + WAIT_NS;

	while (*counter < value) {
		assert_true(clock_mono_ns() < end_ns);
		vsc_bus_poll(&f->bus);
		if (!vsc_net_poll(&f->net))
			usleep(50);
	}
}

static void send_frame(struct fixture *f, const void *frame, size_t size_bytes)
{
	uint64_t end_ns = clock_mono_ns() + WAIT_NS;

	while (!vsc_net_send(&f->net, frame, size_bytes)) {
		assert_true(clock_mono_ns() < end_ns);
		if (!vsc_net_poll(&f->net))
			usleep(50);
	}
}

static size_t take_frame(struct fixture *f, uint8_t *ret_frame, size_t capacity)
{
	uint64_t end_ns = clock_mono_ns() + WAIT_NS;
	struct eth_hdr hdr;
	size_t size_bytes;

	while (eth_dummy_take(f->port, &hdr, ret_frame, capacity, &size_bytes)) {
		assert_true(clock_mono_ns() < end_ns);
		vsc_net_poll(&f->net);
	}
	return size_bytes;
}

static void inject(struct fixture *f, const void *frame, size_t size_bytes)
{
	struct eth_hdr hdr = {0};

	assert_int_equal(eth_dummy_inject(f->port, &hdr, frame, size_bytes), 0);
}

/* --- the tests --- */

static void test_agreement(void **state)
{
	struct fixture *f = *state;
	struct vmbus_info bus_info;
	struct netvsp_info nic_info;

	vmbus_get_info(f->host_bus, &bus_info);
	netvsp_get_info(f->vsp, &nic_info);
	assert_int_equal(f->bus.version, VMBUS_VERSION_5_3);
	assert_int_equal(bus_info.version, VMBUS_VERSION_5_3);
	assert_int_equal(f->net.version, NVSP_VERSION_61);
	assert_int_equal(nic_info.nvsp_version, NVSP_VERSION_61);
	assert_true(nic_info.ready);
	assert_int_equal(bus_info.n_protocol_errors + nic_info.n_protocol_errors, 0);
	assert_int_equal(f->net.n_errors, 0);
	assert_memory_equal(f->net.mac, mac, sizeof(mac));
	assert_int_equal(f->net.mtu, 1500);
	assert_true(f->net.link_up);
}

static void test_frames(void **state)
{
	struct fixture *f = *state;
	uint8_t out[1514], in[1600];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 3);
	for (size_t n = 60; n <= sizeof(out); n += 97) {
		send_frame(f, out, n);
		assert_int_equal(take_frame(f, in, sizeof(in)), n);
		assert_memory_equal(in, out, n);
		memset(out, 0xff, 6);
		inject(f, out, n);
		poll_until(f, &f->n_received, f->n_received + 1);
		assert_int_equal(f->last_bytes, n);
		assert_memory_equal(f->last, out, n);
	}
}

/* More of both than buffers and rings hold; nothing is lost while both sides keep up. */
static void test_flood(void **state)
{
	struct fixture *f = *state;
	unsigned n = 5000, injected = 0;
	uint8_t frame[100] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, in[1600];

	for (unsigned i = 0; i < n; i++) {
		memcpy(frame + 20, &i, sizeof(i));
		send_frame(f, frame, sizeof(frame));
		if (injected - f->n_received < 200) {
			inject(f, frame, sizeof(frame));
			injected++;
		}
		vsc_net_poll(&f->net);
	}
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(take_frame(f, in, sizeof(in)), sizeof(frame));
		assert_memory_equal(in + 20, &i, sizeof(i));
	}
	poll_until(f, &f->n_received, injected);
	assert_int_equal(f->net.n_errors, 0);
}

static void test_link(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(netvsp_set_link(f->vsp, false), 0);
	poll_until(f, &f->n_down, 1);
	assert_false(vsc_net_send(&f->net, "x", 1));
	assert_int_equal(netvsp_set_link(f->vsp, true), 0);
	poll_until(f, &f->n_up, 1);
	assert_true(f->net.link_up);
}

static void test_again(void **state)
{
	struct fixture *f = *state;
	struct vmbus_info info;

	for (int i = 0; i < 3; i++) {
		vsc_net_close(&f->net);
		vmbus_get_info(f->host_bus, &info);
		assert_int_equal(info.n_open_channels, 0);
		assert_int_equal(open_nic(f), 0);
		test_frames(state);
	}
	vsc_net_close(&f->net);
	assert_int_equal(vsc_bus_unload(&f->bus), 0);
	vmbus_get_info(f->host_bus, &info);
	assert_false(info.connected);
	assert_int_equal(info.n_protocol_errors, 0);
	/* A new kernel in the same machine. */
	assert_int_equal(vsc_bus_connect(&f->bus, &guest_ops, f), 0);
	assert_int_equal(vsc_bus_request_offers(&f->bus), 0);
	assert_int_equal(open_nic(f), 0);
	test_frames(state);
}

/* The host is saved, thrown away and made anew around the guest, which notices nothing: frames on
 * their way in either direction arrive. */
static void test_moves(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[200] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, in[1600];

	for (uint8_t i = 0; i < 5; i++) {
		const char *culprit = "";
		struct reader reader;
		struct buf saved = {0};

		frame[30] = i;
		send_frame(f, frame, sizeof(frame));
		inject(f, frame, sizeof(frame));
		assert_int_equal(unit_stop_all(f->units), 0);
		assert_int_equal(unit_save_all(f->units, &saved), 0);
		host_unmake(f);
		memset(f->machine.doorbells, 0, sizeof(f->machine.doorbells));
		host_make(f);
		reader = reader_make(saved.data, saved.size_bytes);
		assert_int_equal(unit_restore_all(f->units, &reader, &culprit), 0);
		buf_fini(&saved);
		/* The guest goes on while nobody listens. */
		send_frame(f, frame, sizeof(frame) - 1);
		assert_int_equal(unit_start_all(f->units), 0);
		assert_int_equal(take_frame(f, in, sizeof(in)), sizeof(frame));
		assert_int_equal(in[30], i);
		assert_int_equal(take_frame(f, in, sizeof(in)), sizeof(frame) - 1);
		poll_until(f, &f->n_received, i + 1U);
		assert_int_equal(f->last[30], i);
	}
	test_flood(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_agreement, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moves, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
