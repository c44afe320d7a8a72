/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_rig.h"
#include "vmbus/proto/guids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct vmbus_channel *channel;
static struct eth_dummy *port;
static struct unit_registry *registry;
static struct netvsp *nic;
static struct net_double_packet packet;
static struct netvsp_info info;

static struct netvsp_config config(unsigned index)
{
	struct netvsp_config made = {
		.index = index,
		.mtu_bytes = 1500,
		.link_up = true,
		.eth = &eth_dummy_ops,
		.port = port,
	};

	memcpy(made.mac, frame_dst, sizeof(made.mac));
	return made;
}

/* The double is channel and bus in one. */
static struct vmbus *bus(void)
{
	return (void *)channel;
}

static int setup(void **state)
{
	struct netvsp_config made;

	(void)state;
	channel = net_double_new();
	assert_int_equal(eth_dummy_new(RIG_ALL_CAPS, &port), 0);
	assert_int_equal(unit_registry_new(&registry), 0);
	made = config(3);
	assert_int_equal(netvsp_new(bus(), &made, &nic), 0);
	assert_int_equal(netvsp_register_unit(nic, registry), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unit_registry_free(registry);
	netvsp_free(nic);
	net_double_free(channel);
	eth_dummy_free(port);
	return 0;
}

static void open_channel(void)
{
	assert_int_equal(channel->ops->open(channel->device, channel), 0);
	channel->is_open = true;
}

/* Until it comes to rest. */
static void work(void)
{
	for (unsigned i = 0; i < 100; i++) {
		if (!channel->ops->work(channel->device, channel))
			return;
	}
	fail_msg("the VSP does not come to rest");
}

static void negotiate(void)
{
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_61, NVSP_VERSION_61};

	net_double_push(channel, VMBUS_PACKET_INBAND, 1, true, &init, sizeof(init), NULL, 0);
	work();
}

static void the_offer_names_the_nic(void **state)
{
	static const uint8_t nic_class[16] = VMBUS_GUID_NIC;
	uint8_t first[16], again[16], second[16];
	struct netvsp_config made;

	(void)state;
	assert_memory_equal(channel->offer.class_guid, nic_class, 16);
	memcpy(first, channel->offer.instance_guid, 16);
	netvsp_free(nic);
	made = config(3);
	assert_int_equal(netvsp_new(bus(), &made, &nic), 0);
	memcpy(again, channel->offer.instance_guid, 16);
	netvsp_free(nic);
	made = config(4);
	assert_int_equal(netvsp_new(bus(), &made, &nic), 0);
	memcpy(second, channel->offer.instance_guid, 16);
	assert_memory_equal(first, again, 16);
	assert_memory_not_equal(first, second, 16);
}

static void strange_configurations_are_refused(void **state)
{
	struct netvsp_config bad[5];
	struct netvsp *none;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = config(9);
	bad[0].mtu_bytes = 575;
	bad[1].mtu_bytes = 9001;
	bad[2].mac[0] |= 1;
	memset(bad[3].mac, 0, sizeof(bad[3].mac));
	bad[4].n_channels = NETVSP_MAX_CHANNELS + 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(netvsp_new(bus(), &bad[i], &none), -EINVAL);
}

static void info_follows_the_guest(void **state)
{
	(void)state;
	netvsp_get_info(nic, &info);
	assert_int_equal(info.nvsp_version, 0);
	assert_false(info.ready);
	assert_true(info.link_up);
	open_channel();
	negotiate();
	netvsp_get_info(nic, &info);
	assert_int_equal(info.nvsp_version, NVSP_VERSION_61);
	assert_true(net_double_take(channel, &packet));
	channel->ops->close(channel->device, channel);
	netvsp_get_info(nic, &info);
	assert_int_equal(info.nvsp_version, 0);
	work();
}

/* Sub-channels are added with the offer, and have no event source of their own. */
static void sub_channels_are_added(void **state)
{
	struct netvsp_config made = config(6);

	(void)state;
	assert_int_equal(channel->n_subs, 0);
	netvsp_free(nic);
	made.n_channels = NETVSP_MAX_CHANNELS - 1;
	assert_int_equal(netvsp_new(bus(), &made, &nic), 0);
	assert_int_equal(channel->n_subs, NETVSP_MAX_CHANNELS - 2);
	for (unsigned i = 0; i < channel->n_subs; i++) {
		const struct vmbus_channel *sub = channel->subs[i];

		assert_null(sub->ops->event_fd);
		assert_int_equal(sub->ops->open(sub->device, channel->subs[i]), -EINVAL);
	}
	netvsp_get_info(nic, &info);
	assert_int_equal(info.n_queues, NETVSP_MAX_CHANNELS - 1);
	assert_memory_equal(info.mac, made.mac, ETH_ADDR_LEN);
	assert_int_equal(info.mtu_bytes, 1500);
}

static void another_version_of_the_state_is_refused(void **state)
{
	struct buf saved = {0};
	struct reader in;
	size_t at;

	(void)state;
	assert_int_equal(unit_save_all(registry, &saved), 0);
	/* {n u32, name length u8, name, version u32} */
	at = 4 + 1 + saved.data[4];
	assert_int_equal(load_le32(saved.data + at), NET_STATE_VERSION);
	store_le32(saved.data + at, 1);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(unit_restore_all(registry, &in, NULL), -EBADMSG);
	buf_fini(&saved);
}

static void a_link_change_wakes_the_worker(void **state)
{
	unsigned n_kicks = channel->n_kicks;

	(void)state;
	assert_int_equal(netvsp_set_link(nic, false), 0);
	assert_int_equal(channel->n_kicks, n_kicks + 1);
	netvsp_get_info(nic, &info);
	assert_false(info.link_up);
}

static void it_waits_on_the_port(void **state)
{
	const struct eth_hdr hdr = {0};
	struct frame frame;

	(void)state;
	assert_int_equal(channel->ops->event_fd(channel->device), eth_dummy_ops.event_fd(port));
	open_channel();
	assert_false(channel->ops->arm(channel->device, channel));
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	assert_int_equal(eth_dummy_inject(port, &hdr, frame.bytes, frame.size_bytes), 0);
	assert_true(channel->ops->arm(channel->device, channel));
}

/* After stop() nothing changes, though the bus's worker may still call. */
static void stopped_means_stopped(void **state)
{
	struct buf before = {0}, after = {0};
	unsigned n_kicks;

	(void)state;
	assert_int_equal(unit_start_all(registry), 0);
	open_channel();
	assert_int_equal(unit_stop_all(registry), 0);
	assert_int_equal(unit_save_all(registry, &before), 0);
	negotiate();
	work();
	assert_false(channel->ops->arm(channel->device, channel));
	assert_int_equal(net_double_n_queued(channel), 1);
	assert_int_equal(unit_save_all(registry, &after), 0);
	assert_int_equal(before.size_bytes, after.size_bytes);
	assert_memory_equal(before.data, after.data, after.size_bytes);
	buf_fini(&before);
	buf_fini(&after);

	n_kicks = channel->n_kicks;
	assert_int_equal(unit_start_all(registry), 0);
	assert_true(channel->n_kicks > n_kicks);
	work();
	assert_true(net_double_take(channel, &packet));
	assert_int_equal(unit_stop_all(registry), 0);
}

static void the_unit_moves_the_nic(void **state)
{
	const char *culprit = NULL;
	struct buf saved = {0};
	struct netvsp_config made;
	struct reader in;

	open_channel();
	negotiate();
	assert_true(net_double_take(channel, &packet));
	assert_int_equal(unit_save_all(registry, &saved), 0);
	teardown(state);
	setup(state);
	channel->is_open = true; /* the bus restored it before */
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(unit_restore_all(registry, &in, &culprit), 0);
	netvsp_get_info(nic, &info);
	assert_int_equal(info.nvsp_version, NVSP_VERSION_61);

	/* As the unit of another index it has no home. */
	unit_registry_free(registry);
	netvsp_free(nic);
	assert_int_equal(unit_registry_new(&registry), 0);
	made = config(5);
	assert_int_equal(netvsp_new(bus(), &made, &nic), 0);
	assert_int_equal(netvsp_register_unit(nic, registry), 0);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_not_equal(unit_restore_all(registry, &in, &culprit), 0);
	buf_fini(&saved);
}

static void broken_rings_are_reported(void **state)
{
	(void)state;
	open_channel();
	channel->broken = true;
	work();
	work();
	netvsp_get_info(nic, &info);
	assert_int_equal(info.n_protocol_errors, 1);
	assert_false(channel->ops->arm(channel->device, channel));
}

static void a_gpadl_is_let_go(void **state)
{
	(void)state;
	open_channel();
	channel->ops->gpadl_gone(channel->device, channel, 77);
	netvsp_get_info(nic, &info);
	assert_int_equal(info.n_protocol_errors, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_offer_names_the_nic),
		TEST(strange_configurations_are_refused),
		TEST(info_follows_the_guest),
		TEST(sub_channels_are_added),
		TEST(another_version_of_the_state_is_refused),
		TEST(a_link_change_wakes_the_worker),
		TEST(it_waits_on_the_port),
		TEST(stopped_means_stopped),
		TEST(the_unit_moves_the_nic),
		TEST(broken_rings_are_reported),
		TEST(a_gpadl_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
