/* SPDX-License-Identifier: MIT
 *
 * Switches, ports and the data path, with ports whose I/O is a list of frames.
 */
#include "fabric/announce.h"
#include "fabric/datapath.h"
#include "fabric/offload.h"
#include "tests/unit/fabric/io_dummy.h"

#include <stdio.h>

#define T0 (1000 * NS_PER_SEC)
static struct fabric fabric;
static struct datapath *dp;
static struct why why;
static unsigned n_shut;
static struct vport *last_shut;

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)data;
	if (event != VPORT_WAS_SHUT)
		return;
	n_shut++;
	last_shut = port;
}

static int setup(void **state)
{
	(void)state;
	n_dummies = n_shut = 0;
	fabric_init(&fabric);
	return datapath_new(on_event, NULL, &dp);
}

static int teardown(void **state)
{
	(void)state;
	fabric_fini(&fabric);
	datapath_free(dp);
	return n_dummies != 0;
}

static struct vswitch *new_switch(const char *name, enum vswitch_type type)
{
	bool external = type == VSWITCH_EXTERNAL;
	struct vswitch *sw;

	assert_int_equal(vswitch_new(&fabric, name, type, external ? name : NULL,
				 external ? &new_dummy()->io : NULL, &sw, &why),
		0);
	return sw;
}

/* vid 0: untagged. The address is 02:...:number. */
static int try_port(
	struct vswitch *sw, unsigned number, unsigned vid, bool muted, struct vport **ret_port)
{
	char id[VPORT_ID_MAX_LEN + 1];
	struct vport_config config = {.id = id, .muted = muted};
	struct dummy *dummy = new_dummy();
	int r;

	snprintf(id, sizeof(id), "%s/VM%u", sw->name, number);
	make_mac(config.mac, number);
	if (vid)
		vlan_policy_access(&config.vlan, vid);
	else
		vlan_policy_untagged(&config.vlan);
	r = vport_new(&fabric, sw, &config, &dummy->io, ret_port, &why);
	if (r < 0)
		io_free(&dummy->io);
	return r;
}

static struct vport *new_port(struct vswitch *sw, unsigned number, unsigned vid)
{
	struct vport *port;

	assert_int_equal(try_port(sw, number, vid, false, &port), 0);
	return port;
}

static struct dummy *dummy_of(const struct vport *port)
{
	return container_of(port->io, struct dummy, io);
}

/* Put a frame where `port` receives it from. */
static struct frame *queue_frame(
	struct vport *port, unsigned dst, unsigned src, int tci, uint32_t mark)
{
	struct dummy *dummy = dummy_of(port);
	struct frame *frame = &dummy->frames[dummy->n_frames];

	*frame = (struct frame){.data = dummy->data[dummy->n_frames]};
	frame->size_bytes = (uint32_t)make_frame(frame->data, dst, src, tci, mark);
	dummy->n_frames++;
	return frame;
}

static void assert_sent(const struct vport *port, unsigned index, int tci, uint32_t mark)
{
	const struct dummy *dummy = dummy_of(port);
	int sent_tci;

	assert_true(index < dummy->n_sent);
	assert_int_equal(read_mark(dummy->sent[index].data, &sent_tci), mark);
	assert_int_equal(sent_tci, tci);
}

/* ---- what there may be ---- */

static void test_switch_rules(void **state)
{
	struct dummy *dummy = new_dummy();
	struct vswitch *sw, *other;
	struct vport *port;

	(void)state;
	sw = new_switch("A", VSWITCH_EXTERNAL);
	assert_ptr_equal(vswitch_find(&fabric, "A"), sw);
	assert_int_equal(vswitch_uplink(sw)->slot, 0);
	assert_int_equal(
		vswitch_new(&fabric, "A", VSWITCH_PRIVATE, NULL, NULL, &other, &why), -EEXIST);
	assert_int_equal(
		vswitch_new(&fabric, "B", VSWITCH_EXTERNAL, "A", &dummy->io, &other, &why), -EBUSY);
	assert_string_equal(why.text, "A is the uplink of switch A already");
	assert_int_equal(
		vswitch_new(&fabric, "B", VSWITCH_EXTERNAL, NULL, &dummy->io, &other, &why),
		-EINVAL);
	assert_int_equal(
		vswitch_new(&fabric, "B", VSWITCH_PRIVATE, "eth1", NULL, &other, &why), -EINVAL);
	assert_int_equal(
		vswitch_new(&fabric, "B", VSWITCH_INTERNAL, "eth1", NULL, &other, &why), -EINVAL);
	assert_int_equal(
		vswitch_new(&fabric, "", VSWITCH_PRIVATE, NULL, NULL, &other, &why), -EINVAL);
	assert_int_equal(
		vswitch_new(&fabric, "a\nb", VSWITCH_PRIVATE, NULL, NULL, &other, &why), -EINVAL);
	io_free(&dummy->io);
	port = new_port(sw, 1, 2);
	assert_int_equal(vswitch_delete(&fabric, sw, &why), -EBUSY);
	vport_free(port);
	assert_int_equal(vswitch_delete(&fabric, sw, &why), 0);
	assert_null(vswitch_find(&fabric, "A"));
	assert_int_equal(n_dummies, 0);
}

static void test_port_rules(void **state)
{
	struct vswitch *a = new_switch("A", VSWITCH_PRIVATE);
	struct vswitch *b = new_switch("B", VSWITCH_PRIVATE);
	struct vport *port = new_port(a, 1, 2), *other;
	struct vport_config config = {.id = "A/VM1"};
	struct dummy *dummy = new_dummy();

	(void)state;
	assert_ptr_equal(vport_find(&fabric, "A/VM1"), port);
	make_mac(config.mac, 9);
	assert_int_equal(vport_new(&fabric, b, &config, &dummy->io, &other, &why), -EEXIST);
	config.id = "A/VM9";
	config.mac[0] |= 1;
	assert_int_equal(vport_new(&fabric, b, &config, &dummy->io, &other, &why), -EINVAL);
	memset(config.mac, 0, ETH_ADDR_LEN);
	assert_int_equal(vport_new(&fabric, b, &config, &dummy->io, &other, &why), -EINVAL);
	make_mac(config.mac, 1);
	vlan_policy_access(&config.vlan, 2);
	assert_int_equal(vport_new(&fabric, a, &config, &dummy->io, &other, &why), -EADDRINUSE);
	/* On another switch, or in another VLAN, it is a different address. */
	assert_int_equal(vport_new(&fabric, b, &config, &dummy->io, &other, &why), 0);
	dummy = new_dummy();
	config.id = "A/VM10";
	vlan_policy_access(&config.vlan, 3);
	assert_int_equal(vport_new(&fabric, a, &config, &dummy->io, &other, &why), 0);
	config.vlan = vport_fwd(port)->vlan;
	config.spoofing = true;
	assert_int_equal(vport_reconfigure(other, &config, T0, &why), -EADDRINUSE);
	assert_int_equal(vport_fwd(other)->vlan.pvid, 3);
	assert_false(vport_fwd(other)->spoofing);
}

static void test_most_ports(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *port;

	(void)state;
	for (unsigned i = 1; i < FWD_MAX_PORTS; i++)
		new_port(sw, i, 2);
	assert_int_equal(try_port(sw, 999, 2, false, &port), -ENOSPC);
	vport_free(vport_find(&fabric, "A/VM100"));
	assert_int_equal(try_port(sw, 999, 2, false, &port), 0);
	assert_int_equal(port->slot, 100);
}

static void test_muted_address_is_free_for_another(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_PRIVATE);
	struct vport *a = new_port(sw, 1, 0), *b = new_port(sw, 2, 0), *twin;
	struct vport_config config = {.id = "twin", .muted = true};

	(void)state;
	make_mac(config.mac, 1);
	vlan_policy_untagged(&config.vlan);
	assert_int_equal(vport_new(&fabric, sw, &config, &new_dummy()->io, &twin, &why), 0);
	assert_int_equal(vport_open(twin, &why), -EADDRINUSE);
	queue_frame(b, 1, 2, -1, 1);
	datapath_serve(dp, b, T0);
	assert_int_equal(dummy_of(a)->n_sent, 1);
	vport_mute(a);
	assert_int_equal(vport_open(twin, &why), 0);
	queue_frame(b, 1, 2, -1, 2);
	datapath_serve(dp, b, T0);
	assert_int_equal(dummy_of(a)->n_sent, 1);
	assert_sent(twin, 0, -1, 2);
	assert_int_equal(vport_open(a, &why), -EADDRINUSE);
}

/* ---- frames ---- */

static void test_tags_are_edited(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *uplink = vswitch_uplink(sw);
	struct vport *a = new_port(sw, 1, 2), *b = new_port(sw, 2, 2), *c = new_port(sw, 3, 3);

	(void)state;
	queue_frame(a, BROADCAST, 1, -1, 1);
	queue_frame(a, 2, 1, 0x6000, 2);
	queue_frame(a, 77, 1, 0x6000, 3);
	queue_frame(a, 3, 1, -1, 4);
	assert_true(datapath_serve(dp, a, T0));
	assert_false(datapath_serve(dp, a, T0));
	assert_int_equal(dummy_of(uplink)->n_sent, 3);
	assert_sent(uplink, 0, 2, 1);
	assert_sent(uplink, 1, 0x6002, 3);
	/* The address of a port in VLAN 3 is unknown in VLAN 2. */
	assert_sent(uplink, 2, 2, 4);
	assert_int_equal(dummy_of(b)->n_sent, 2);
	assert_sent(b, 0, -1, 1);
	assert_sent(b, 1, -1, 2);
	assert_int_equal(dummy_of(c)->n_sent, 0);
	queue_frame(uplink, 3, 50, 3, 5);
	queue_frame(uplink, 3, 50, 2, 6);
	queue_frame(uplink, 3, 50, -1, 7);
	datapath_serve(dp, uplink, T0);
	assert_int_equal(dummy_of(c)->n_sent, 1);
	assert_sent(c, 0, -1, 5);
	assert_int_equal(uplink->rx_frames, 3);
	assert_int_equal(uplink->dropped[DROP_NOWHERE], 2);
}

static void test_counters(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_PRIVATE);
	struct vport *a = new_port(sw, 1, 2);

	(void)state;
	new_port(sw, 2, 2);
	queue_frame(a, 2, 1, -1, 1)->size_bytes = 13;
	queue_frame(a, 2, 1, -1, 1)->size_bytes = ETH_FRAME_MAX_BYTES + 1;
	queue_frame(a, 2, 9, -1, 1);
	queue_frame(a, 2, 1, 2, 1);
	queue_frame(a, 9, 1, -1, 1);
	queue_frame(a, 1, 1, -1, 1);
	queue_frame(a, 2, 1, -1, 1)->hdr.gso_type = 99;
	datapath_serve(dp, a, T0);
	assert_int_equal(a->rx_frames, 7);
	assert_int_equal(a->dropped[DROP_RUNT], 1);
	assert_int_equal(a->dropped[DROP_GIANT], 1);
	assert_int_equal(a->dropped[DROP_SPOOFED], 1);
	assert_int_equal(a->dropped[DROP_TAGGED], 1);
	assert_int_equal(a->dropped[DROP_NOWHERE], 1);
	assert_int_equal(a->dropped[DROP_HAIRPIN], 1);
	assert_int_equal(a->dropped[DROP_OFFLOAD], 1);
}

static void test_broken_io_shuts_only_its_port(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_PRIVATE);
	struct vport *a = new_port(sw, 1, 0), *b = new_port(sw, 2, 0), *c = new_port(sw, 3, 0);

	(void)state;
	dummy_of(b)->send_error = -EBADMSG;
	queue_frame(a, BROADCAST, 1, -1, 1);
	queue_frame(a, BROADCAST, 1, -1, 2);
	assert_true(datapath_serve(dp, a, T0));
	assert_true(b->shut);
	assert_int_equal(n_shut, 1);
	assert_ptr_equal(last_shut, b);
	assert_int_equal(dummy_of(c)->n_sent, 2);
	assert_int_equal(vport_open(b, &why), -EPIPE);
	assert_string_equal(why.text, "port A/VM2 is shut: send failed");
	/* What came with the error still counts. */
	dummy_of(a)->recv_error = -EBADMSG;
	queue_frame(a, 3, 1, -1, 3);
	assert_false(datapath_serve(dp, a, T0));
	assert_sent(c, 2, -1, 3);
	assert_true(a->shut);
	dummy_of(c)->flush_error = -EBADMSG;
	queue_frame(c, 1, 3, -1, 4);
	datapath_serve(dp, c, T0);
	assert_false(c->shut);
	assert_int_equal(c->dropped[DROP_NOWHERE], 1);
	assert_int_equal(n_shut, 2);
}

/* A UDP datagram of 40 bytes whose checksum is not finished. */
static struct frame *queue_csum_frame(struct vport *port, unsigned dst, unsigned src)
{
	struct frame *frame = queue_frame(port, dst, src, -1, 0);
	uint8_t *ip = frame->data + 14;

	frame->size_bytes = 54;
	store_be16(ip - 2, 0x0800);
	ip[0] = 0x45;
	ip[9] = 17;
	frame->hdr =
		(struct eth_hdr){.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	return frame;
}

static void test_csum_is_finished_for_all_when_one_needs_it(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_PRIVATE);
	struct vport *a = new_port(sw, 1, 0), *b = new_port(sw, 2, 0), *c = new_port(sw, 3, 0);
	const struct sent *to_b, *to_c;
	uint16_t sum;

	(void)state;
	queue_csum_frame(a, 2, 1);
	datapath_serve(dp, a, T0);
	assert_int_equal(dummy_of(b)->sent[0].hdr.flags, ETH_HDR_NEEDS_CSUM);
	dummy_of(c)->caps = 0;
	queue_csum_frame(a, BROADCAST, 1);
	datapath_serve(dp, a, T0);
	to_b = &dummy_of(b)->sent[1];
	to_c = &dummy_of(c)->sent[0];
	assert_int_equal(to_b->hdr.flags, 0);
	assert_int_equal(to_c->hdr.flags, 0);
	assert_memory_equal(to_b->data, to_c->data, 54);
	sum = csum_add(0, to_c->data + 34, 20);
	assert_int_equal(sum, 0xffff);
}

#define PAYLOAD_BYTES 7000
#define MSS           1000

static struct frame *queue_super_frame(struct vport *port, unsigned dst, unsigned src, int tci)
{
	struct frame *frame = queue_frame(port, dst, src, tci, 0);
	uint8_t *ip = frame->data + (tci >= 0 ? 18 : 14);

	store_be16(ip - 2, 0x0800);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	ip[9] = 6;
	ip[32] = 0x50;
	for (unsigned i = 0; i < PAYLOAD_BYTES; i++)
		ip[40 + i] = (uint8_t)(i / MSS);
	frame->size_bytes = (uint32_t)(ip - frame->data) + 40 + PAYLOAD_BYTES;
	frame->hdr = (struct eth_hdr){
		.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = ETH_GSO_TCPV4,
		.gso_size = MSS,
		.csum_start = (uint16_t)(ip + 20 - frame->data),
		.csum_offset = 16,
	};
	return frame;
}

/* All but the first `head_bytes` are elsewhere, in `n_tail` pieces. */
static void split(struct frame *frame, uint32_t head_bytes, unsigned n_tail)
{
	static uint8_t elsewhere[2][16384];
	uint32_t first_bytes = (frame->size_bytes - head_bytes) / n_tail, second_bytes;

	second_bytes = frame->size_bytes - head_bytes - first_bytes;
	memcpy(elsewhere[0], frame->data + head_bytes, first_bytes);
	memcpy(elsewhere[1], frame->data + head_bytes + first_bytes, second_bytes);
	/* Nobody may look here. */
	memset(frame->data + head_bytes, 0xee, frame->size_bytes - head_bytes);
	frame->tail_bytes = first_bytes + second_bytes;
	frame->n_tail = n_tail;
	frame->tail[0] = (struct iovec){elsewhere[0], first_bytes};
	frame->tail[1] = (struct iovec){elsewhere[1], second_bytes};
	frame->size_bytes = head_bytes;
}

static void check_super_frames(unsigned n_tail)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *uplink = vswitch_uplink(sw);
	struct vport *a = new_port(sw, 1, 2), *b = new_port(sw, 2, 2), *c = new_port(sw, 3, 2);
	struct frame *frame;

	dummy_of(b)->caps = 0;
	dummy_of(c)->caps = ETH_CAP_CSUM | ETH_CAP_TSO6;
	frame = queue_super_frame(a, BROADCAST, 1, -1);
	if (n_tail)
		split(frame, 100, n_tail);
	datapath_serve(dp, a, T0);
	/* Whole where it can stay so, with the checksum's place moved by the tag. */
	assert_int_equal(dummy_of(uplink)->n_sent, 1);
	assert_int_equal(dummy_of(uplink)->sent[0].size_bytes, 18 + 40 + PAYLOAD_BYTES);
	assert_int_equal(dummy_of(uplink)->sent[0].hdr.gso_type, ETH_GSO_TCPV4);
	assert_int_equal(dummy_of(uplink)->sent[0].hdr.csum_start, 38);
	assert_int_equal(dummy_of(uplink)->sent[0].hdr.hdr_len, 58);
	assert_int_equal(dummy_of(b)->n_sent, PAYLOAD_BYTES / MSS);
	assert_int_equal(dummy_of(c)->n_sent, PAYLOAD_BYTES / MSS);
	for (unsigned i = 0; i < PAYLOAD_BYTES / MSS; i++) {
		const struct sent *to_b = &dummy_of(b)->sent[i], *to_c = &dummy_of(c)->sent[i];

		assert_int_equal(to_b->size_bytes, 14 + 40 + MSS);
		assert_int_equal(to_b->data[14 + 40 + MSS - 1], i);
		assert_int_equal(to_b->hdr.flags, 0);
		assert_int_equal(to_c->hdr.flags, ETH_HDR_NEEDS_CSUM);
		assert_int_equal(to_c->hdr.csum_start, 34);
		assert_int_equal(load_be32(to_b->data + 38), i * MSS);
		assert_int_equal(dummy_of(uplink)->sent[0].data[18 + 40 + i * MSS], i);
	}
	assert_int_equal(a->rx_bytes, 14 + 40 + PAYLOAD_BYTES);
}

static void test_super_frames(void **state)
{
	(void)state;
	check_super_frames(0);
}

static void test_super_frames_in_pieces(void **state)
{
	(void)state;
	check_super_frames(1);
}

static void test_super_frames_in_more_pieces(void **state)
{
	(void)state;
	check_super_frames(2);
}

static void test_segments_are_tagged(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *uplink = vswitch_uplink(sw);
	struct vport *a = new_port(sw, 1, 2);

	(void)state;
	dummy_of(uplink)->caps = ETH_CAP_CSUM;
	queue_super_frame(a, 50, 1, 0xe000);
	datapath_serve(dp, a, T0);
	assert_int_equal(dummy_of(uplink)->n_sent, PAYLOAD_BYTES / MSS);
	for (unsigned i = 0; i < PAYLOAD_BYTES / MSS; i++) {
		const struct sent *sent = &dummy_of(uplink)->sent[i];

		assert_int_equal(load_be16(sent->data + 12), 0x8100);
		assert_int_equal(load_be16(sent->data + 14), 0xe002);
		assert_int_equal(sent->data[18 + 40], i);
		assert_int_equal(sent->hdr.csum_start, 38);
	}
}

/* More segments than the scratch memory holds: it is flushed on the way. */
static void test_many_segments(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_PRIVATE);
	struct vport *a = new_port(sw, 1, 0), *b = new_port(sw, 2, 0);
	const unsigned n_segments =
		(PAYLOAD_BYTES + GSO_MIN_PAYLOAD_BYTES - 1) / GSO_MIN_PAYLOAD_BYTES;
	uint64_t expected = 0;

	(void)state;
	dummy_of(b)->caps = 0;
	for (unsigned i = 0; i < IO_BATCH_FRAMES; i++) {
		queue_super_frame(a, 2, 1, -1)->hdr.gso_size = GSO_MIN_PAYLOAD_BYTES;
		for (unsigned k = 0; k < n_segments; k++)
			expected += k * GSO_MIN_PAYLOAD_BYTES;
	}
	datapath_serve(dp, a, T0);
	assert_int_equal(dummy_of(b)->n_sent, IO_BATCH_FRAMES * n_segments);
	assert_int_equal(dummy_of(b)->sequence_sum, expected);
}

/* ---- announcements ---- */

static void test_announce_frame(void **state)
{
	static const uint8_t expected[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 5,
		0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 5};
	uint8_t frame[ANNOUNCE_FRAME_BYTES], mac[ETH_ADDR_LEN];

	(void)state;
	make_mac(mac, 5);
	announce_build(mac, frame);
	assert_memory_equal(frame, expected, sizeof(expected));
}

static void test_opened_port_is_announced(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *uplink = vswitch_uplink(sw), *neighbour = new_port(sw, 2, 7), *port;
	uint64_t now_ns = T0;
	unsigned n_steps = 0;

	(void)state;
	assert_int_equal(try_port(sw, 1, 7, true, &port), 0);
	/* Its address was behind the uplink; muted, it hears and says nothing. */
	queue_frame(uplink, 2, 1, 7, 1);
	queue_frame(uplink, 1, 50, 7, 2);
	datapath_serve(dp, uplink, now_ns);
	queue_frame(port, 2, 1, -1, 3);
	datapath_serve(dp, port, now_ns);
	assert_int_equal(port->dropped[DROP_MUTED], 1);
	assert_int_equal(dummy_of(port)->n_sent, 0);
	queue_frame(neighbour, 1, 2, -1, 4);
	datapath_serve(dp, neighbour, now_ns);
	assert_sent(uplink, 0, 7, 4);

	assert_int_equal(vport_open(port, &why), 0);
	announce_start(port, now_ns);
	while ((now_ns = announce_step(&fabric, dp, now_ns)))
		n_steps++;
	assert_int_equal(n_steps, ANNOUNCE_ROUNDS - 1);
	assert_int_equal(dummy_of(port)->n_sent, 0);
	assert_int_equal(dummy_of(uplink)->n_sent, 1 + ANNOUNCE_ROUNDS);
	assert_int_equal(load_be32(dummy_of(uplink)->sent[1].data + 12), 0x81000007);
	assert_int_equal(load_be16(dummy_of(uplink)->sent[1].data + 16), 0x8035);
	assert_int_equal(dummy_of(neighbour)->n_sent, 1 + ANNOUNCE_ROUNDS);
	assert_int_equal(load_be16(dummy_of(neighbour)->sent[1].data + 12), 0x8035);

	queue_frame(neighbour, 1, 2, -1, 5);
	datapath_serve(dp, neighbour, T0);
	assert_sent(port, 0, -1, 5);
	vport_mute(port);
	queue_frame(neighbour, 1, 2, -1, 6);
	datapath_serve(dp, neighbour, T0);
	assert_int_equal(dummy_of(port)->n_sent, 1);
}

static void test_trunk_is_announced_in_all_its_vlans(void **state)
{
	struct vswitch *sw = new_switch("A", VSWITCH_EXTERNAL);
	struct vport *uplink = vswitch_uplink(sw), *port;
	struct vport_config config = {.id = "trunk"};
	uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)];
	bool seen[VLAN_N_VIDS] = {false};
	uint64_t now_ns = T0;
	unsigned n = 0;

	(void)state;
	vlan_list_parse("1-4094", allowed);
	vlan_policy_trunk(&config.vlan, 9, allowed);
	make_mac(config.mac, 1);
	assert_int_equal(vport_new(&fabric, sw, &config, &new_dummy()->io, &port, &why), 0);
	announce_start(port, now_ns);
	while (n < 4094) {
		struct dummy *dummy = dummy_of(uplink);

		dummy->n_sent = 0;
		now_ns = announce_step(&fabric, dp, now_ns);
		assert_in_range(dummy->n_sent, 1, ANNOUNCE_FRAMES_A_STEP);
		for (unsigned i = 0; i < dummy->n_sent; i++) {
			unsigned vid = load_be16(dummy->sent[i].data + 14);

			assert_int_equal(load_be16(dummy->sent[i].data + 12), 0x8100);
			assert_false(seen[vid]);
			seen[vid] = true;
		}
		n += dummy->n_sent;
	}
	assert_int_equal(n, 4094);
	vport_mute(port);
	assert_int_equal(announce_step(&fabric, dp, now_ns), 0);
}

/* ---- multicast ---- */

/* An IPv4 packet to a group: IGMP of `type`, or UDP without content when that is 0. */
static void queue_multicast(
	struct vport *port, unsigned src, uint8_t type, uint8_t code, uint32_t group)
{
	const uint32_t dst = type == 0x11 ? 0xe0000001 : group; /* queries ask all systems */
	struct frame *frame = queue_frame(port, 0, src, -1, 0);
	uint8_t *ip = frame->data + ETH_HEADER_BYTES, *igmp = ip + 20;
	uint16_t csum;

	frame->size_bytes = ETH_HEADER_BYTES + 28;
	memset(ip, 0, 28);
	memcpy(frame->data, (const uint8_t[]){0x01, 0x00, 0x5e}, 3);
	frame->data[3] = (uint8_t)(dst >> 16 & 0x7f);
	store_be16(frame->data + 4, (uint16_t)dst);
	store_be16(frame->data + 12, 0x0800);
	ip[0] = 0x45;
	store_be16(ip + 2, 28);
	ip[8] = 1;
	ip[9] = type ? 2 : 17;
	store_be32(ip + 12, 0x0a000000 + src);
	store_be32(ip + 16, dst);
	igmp[0] = type;
	igmp[1] = code;
	store_be32(igmp + 4, type == 0x11 ? 0 : group);
	csum = (uint16_t)~csum_add(0, igmp, 8);
	if (type)
		memcpy(igmp + 2, &csum, sizeof(csum));
}

static void test_multicast_goes_where_it_is_wanted(void **state)
{
	const uint32_t group = 0xef010203;
	const uint64_t settled_ns = T0 + 60 * NS_PER_SEC;
	struct vswitch *sw = new_switch("A", VSWITCH_INTERNAL);
	struct vport *port[5];
	unsigned before[5];

	(void)state;
	for (unsigned i = 1; i < 5; i++)
		port[i] = new_port(sw, i, 2);
	/* Nobody has asked who wants what: all get it. */
	queue_multicast(port[2], 2, 0, 0, group);
	datapath_serve(dp, port[2], T0);
	assert_int_equal(dummy_of(port[3])->n_sent, 1);
	queue_multicast(port[4], 4, 0x11, 100, 0);
	datapath_serve(dp, port[4], T0);
	queue_multicast(port[4], 4, 0x11, 100, 0);
	datapath_serve(dp, port[4], settled_ns - NS_PER_SEC);
	/* A report is for the one who asked. */
	for (unsigned i = 1; i < 5; i++)
		before[i] = dummy_of(port[i])->n_sent;
	queue_multicast(port[1], 1, 0x16, 0, group);
	datapath_serve(dp, port[1], settled_ns);
	assert_int_equal(dummy_of(port[4])->n_sent, before[4] + 1);
	assert_int_equal(dummy_of(port[2])->n_sent, before[2]);
	assert_int_equal(dummy_of(port[3])->n_sent, before[3]);
	/* What is sent to the group is for who reported, and for the one who asks. */
	queue_multicast(port[2], 2, 0, 0, group);
	datapath_serve(dp, port[2], settled_ns);
	assert_int_equal(dummy_of(port[1])->n_sent, before[1] + 1);
	assert_int_equal(dummy_of(port[4])->n_sent, before[4] + 2);
	assert_int_equal(dummy_of(port[3])->n_sent, before[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_switch_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_most_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_muted_address_is_free_for_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags_are_edited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_broken_io_shuts_only_its_port, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_csum_is_finished_for_all_when_one_needs_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_super_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_super_frames_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_super_frames_in_more_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segments_are_tagged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_segments, setup, teardown),
		cmocka_unit_test(test_announce_frame),
		cmocka_unit_test_setup_teardown(test_opened_port_is_announced, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_trunk_is_announced_in_all_its_vlans, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_multicast_goes_where_it_is_wanted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
