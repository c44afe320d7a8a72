/* SPDX-License-Identifier: MIT */
#include "fabric/forward.h"
#include "fabric/pvlan.h"
#include "tests/unit/fabric/forward_check.h"
#include "tests/unit/fabric/support.h"

#include <stdio.h>

#define T0 (1000 * NS_PER_SEC)

static struct fwd_switch sw;
static struct fwd_result result;

static int setup(void **state)
{
	(void)state;
	sw = (struct fwd_switch){0};
	return fdb_new(1024, 99, &sw.fdb);
}

static int teardown(void **state)
{
	(void)state;
	fdb_free(sw.fdb);
	return 0;
}

/* A port whose address is its number plus one. */
static struct fwd_port *add_port(unsigned index)
{
	struct fwd_port *port = &sw.ports[index];

	*port = (struct fwd_port){.present = true};
	make_mac(port->mac, index + 1);
	if (sw.n_slots <= index)
		sw.n_slots = index + 1;
	return port;
}

static void pin_port(unsigned index)
{
	assert_int_equal(
		fdb_pin(sw.fdb, fwd_pin_vid(&sw.ports[index]), sw.ports[index].mac, index), 0);
}

static void add_untagged(unsigned index)
{
	vlan_policy_untagged(&add_port(index)->vlan);
	pin_port(index);
}

static void add_access(unsigned index, unsigned vid)
{
	assert_int_equal(vlan_policy_access(&add_port(index)->vlan, vid), 0);
	pin_port(index);
}

static void add_trunk(unsigned index, unsigned native_vid, const char *allowed)
{
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)];

	assert_int_equal(vlan_list_parse(allowed, map), 0);
	assert_int_equal(vlan_policy_trunk(&add_port(index)->vlan, native_vid, map), 0);
	pin_port(index);
}

static void add_uplink(unsigned index)
{
	struct fwd_port *port = add_port(index);

	memset(port->mac, 0, sizeof(port->mac));
	port->spoofing = true;
	vlan_policy_uplink(&port->vlan);
}

static enum drop decide(unsigned in, const struct fwd_key *key, uint64_t now_ns)
{
	enum drop drop = forward(&sw, in, key, now_ns, &result);
	const char *wrong = check_decision(&sw, in, key, drop, &result);

	if (wrong)
		fail_msg("%s", wrong);
	if (result.learn)
		fdb_learn(sw.fdb, result.fid, key->src, in, now_ns);
	return drop;
}

/* tci < 0: without a tag. */
static enum drop send(unsigned in, unsigned dst, unsigned src, int tci)
{
	struct fwd_key key = {.tagged = tci >= 0, .tci = (uint16_t)MAX(tci, 0)};

	make_address(key.dst, dst);
	make_address(key.src, src);
	return decide(in, &key, T0);
}

#define assert_out(i, index, is_tagged)                                                            \
	do {                                                                                       \
		assert_true(result.n_out > (i));                                                   \
		assert_int_equal(result.out[i].port, index);                                       \
		assert_int_equal(result.out[i].tagged, is_tagged);                                 \
	} while (0)

static void test_unicast_reaches_only_its_owner(void **state)
{
	(void)state;
	add_untagged(0);
	add_untagged(1);
	add_untagged(2);
	assert_int_equal(send(0, 3, 1, -1), DROP_NONE);
	assert_int_equal(result.n_out, 1);
	assert_out(0, 2, false);
}

static void test_broadcast_stays_in_its_vlan(void **state)
{
	(void)state;
	add_access(0, 2);
	add_access(1, 3);
	add_access(2, 2);
	add_untagged(3);
	add_uplink(4);
	add_trunk(5, 0, "2-4");
	add_trunk(6, 2, "7");
	add_trunk(7, 0, "3");
	assert_int_equal(send(0, BROADCAST, 1, -1), DROP_NONE);
	assert_int_equal(result.n_out, 4);
	assert_out(0, 2, false);
	assert_out(1, 4, true);
	assert_out(2, 5, true);
	assert_out(3, 6, false);
	assert_int_equal(result.tci, 2);
}

static void test_same_address_in_another_vlan_is_unreachable(void **state)
{
	(void)state;
	add_access(0, 2);
	add_access(1, 3);
	assert_int_equal(send(0, 2, 1, -1), DROP_NOWHERE);
}

static void test_unknown_unicast_spares_ports_with_known_addresses(void **state)
{
	(void)state;
	add_untagged(0);
	add_untagged(1);
	add_uplink(2);
	add_untagged(3);
	sw.ports[3].spoofing = true;
	assert_int_equal(send(0, 77, 1, -1), DROP_NONE);
	assert_int_equal(result.n_out, 2);
	assert_out(0, 2, false);
	assert_out(1, 3, false);
	/* Nobody to take it. */
	sw.ports[3].spoofing = false;
	assert_int_equal(send(2, 77, 88, -1), DROP_NOWHERE);
}

static void test_uplink_learns(void **state)
{
	(void)state;
	add_access(0, 2);
	add_uplink(1);
	add_access(2, 2);
	sw.ports[2].spoofing = true;
	assert_int_equal(send(1, 1, 77, 2), DROP_NONE);
	assert_out(0, 0, false);
	assert_true(result.learn);
	assert_int_equal(send(0, 77, 1, -1), DROP_NONE);
	assert_int_equal(result.n_out, 1);
	assert_out(0, 1, true);
	/* What is behind the uplink does not come back from it. */
	assert_int_equal(send(1, 77, 78, 2), DROP_HAIRPIN);
}

static void test_own_addresses_cannot_be_taken(void **state)
{
	(void)state;
	add_access(0, 2);
	add_uplink(1);
	add_access(2, 2);
	add_trunk(3, 0, "2");
	assert_int_equal(send(1, BROADCAST, 1, 2), DROP_NONE);
	assert_int_equal(send(1, BROADCAST, 4, 2), DROP_NONE);
	assert_false(result.learn);
	assert_int_equal(send(2, 1, 3, -1), DROP_NONE);
	assert_out(0, 0, false);
	assert_int_equal(send(2, 4, 3, -1), DROP_NONE);
	assert_out(0, 3, true);
	/* In a VLAN that the trunk does not carry, its address is anybody's. */
	assert_int_equal(send(1, BROADCAST, 4, 9), DROP_NOWHERE);
	assert_true(result.learn);
}

static void test_spoofing(void **state)
{
	(void)state;
	add_untagged(0);
	add_untagged(1);
	assert_int_equal(send(0, 2, 50, -1), DROP_SPOOFED);
	sw.ports[0].spoofing = true;
	assert_int_equal(send(0, 2, 50, -1), DROP_NONE);
	assert_int_equal(send(1, 50, 2, -1), DROP_NONE);
	assert_out(0, 0, false);
}

static void test_bad_sources(void **state)
{
	struct fwd_key key = {.src = {0}};

	(void)state;
	add_untagged(0);
	add_untagged(1);
	sw.ports[0].spoofing = true;
	make_address(key.dst, 2);
	assert_int_equal(decide(0, &key, T0), DROP_SOURCE);
	key.src[0] = 3;
	assert_int_equal(decide(0, &key, T0), DROP_SOURCE);
	assert_int_equal(fdb_n_learned(sw.fdb), 0);
}

static void test_tags_from_access_ports(void **state)
{
	(void)state;
	add_access(0, 2);
	add_access(1, 2);
	add_untagged(2);
	add_untagged(3);
	assert_int_equal(send(0, 2, 1, 2), DROP_TAGGED);
	assert_int_equal(send(0, 2, 1, 3), DROP_TAGGED);
	assert_int_equal(send(0, 2, 1, 4095), DROP_TAGGED);
	assert_int_equal(send(2, 4, 3, 1), DROP_TAGGED);
	/* A priority tag is no tag, and does not survive where there is none. */
	assert_int_equal(send(0, 2, 1, 0xa000), DROP_NONE);
	assert_out(0, 1, false);
	assert_int_equal(send(2, 4, 3, 0), DROP_NONE);
	assert_out(0, 3, false);
}

static void test_priority_is_kept_in_tags(void **state)
{
	(void)state;
	add_access(0, 2);
	add_trunk(1, 0, "2");
	assert_int_equal(send(0, 2, 1, 0xb000), DROP_NONE);
	assert_out(0, 1, true);
	assert_int_equal(result.tci, 0xb002);
}

static void test_trunks(void **state)
{
	(void)state;
	add_trunk(0, 10, "20-22");
	add_trunk(1, 20, "10,22");
	assert_int_equal(send(0, 2, 1, -1), DROP_NONE);
	assert_out(0, 1, true);
	assert_int_equal(result.tci, 10);
	assert_int_equal(send(0, 2, 1, 20), DROP_NONE);
	assert_out(0, 1, false);
	assert_int_equal(send(0, 2, 1, 22), DROP_NONE);
	assert_out(0, 1, true);
	assert_int_equal(send(0, 2, 1, 10), DROP_NONE);
	assert_out(0, 1, true);
	assert_int_equal(send(0, 2, 1, 21), DROP_NOWHERE);
	assert_int_equal(send(0, 2, 1, 23), DROP_VLAN);
	assert_int_equal(send(0, 2, 1, 4095), DROP_VLAN);
	assert_int_equal(send(1, 1, 2, 21), DROP_VLAN);
}

static void test_nested_tags_do_not_hop(void **state)
{
	struct fwd_key key = {.inner_tag = true};

	(void)state;
	add_trunk(0, 10, "20");
	add_trunk(1, 10, "20");
	add_access(2, 20);
	add_access(3, 20);
	make_address(key.src, 1);
	make_address(key.dst, BROADCAST);
	/* Native VLAN, the inner tag would be all that is left. */
	assert_int_equal(decide(0, &key, T0), DROP_NOWHERE);
	key.tagged = true;
	key.tci = 10;
	assert_int_equal(decide(0, &key, T0), DROP_NOWHERE);
	/* Behind a tag that stays it is payload. */
	key.tci = 20;
	assert_int_equal(decide(0, &key, T0), DROP_NONE);
	assert_int_equal(result.n_out, 1);
	assert_out(0, 1, true);
	/* Access ports send none, not even behind a priority tag. */
	make_address(key.src, 3);
	key.tci = 0;
	assert_int_equal(decide(2, &key, T0), DROP_TAGGED);
	key.tagged = false;
	assert_int_equal(decide(2, &key, T0), DROP_TAGGED);
}

/* Isolated 1 and 2, a community 3 and 4, another 5, promiscuous 6, a trunk to the next switch. */
static void add_private(void)
{
	uint64_t secondaries[BITMAP_WORDS(VLAN_N_VIDS)] = {0};

	for (unsigned i = 0; i < 6; i++)
		add_port(i);
	vlan_policy_isolated(&sw.ports[0].vlan, 100, 101);
	vlan_policy_isolated(&sw.ports[1].vlan, 100, 101);
	vlan_policy_community(&sw.ports[2].vlan, 100, 102);
	vlan_policy_community(&sw.ports[3].vlan, 100, 102);
	vlan_policy_community(&sw.ports[4].vlan, 100, 103);
	for (unsigned vid = 101; vid <= 103; vid++)
		bitmap_set(secondaries, vid);
	vlan_policy_promiscuous(&sw.ports[5].vlan, 100, secondaries);
	for (unsigned i = 0; i < 6; i++)
		pin_port(i);
	add_uplink(6);
	pvlan_map(&sw);
}

static void test_private_vlans(void **state)
{
	/* Who hears a broadcast of whom: a bit a port. */
	static const unsigned hear[] = {0x60, 0x60, 0x68, 0x64, 0x60, 0x5f};

	(void)state;
	add_private();
	for (unsigned in = 0; in < 6; in++) {
		unsigned heard = 0;

		send(in, BROADCAST, in + 1, -1);
		for (unsigned i = 0; i < result.n_out; i++)
			heard |= 1U << result.out[i].port;
		assert_int_equal(heard, hear[in]);
		for (unsigned out = 0; out < 6; out++) {
			if (out != in)
				assert_int_equal(send(in, out + 1, in + 1, -1) == DROP_NONE,
					hear[in] >> out & 1);
		}
	}
	/* On the wire: what comes from an isolated port has the secondary VLAN's tag. */
	send(0, BROADCAST, 1, -1);
	assert_int_equal(result.tci, 101);
	assert_out(1, 6, true);
	/* An address behind the uplink, heard in a secondary VLAN, is known in the primary. */
	send(6, BROADCAST, 77, 101);
	send(5, 77, 6, -1);
	assert_int_equal(result.n_out, 1);
	assert_out(0, 6, true);
	assert_int_equal(result.tci, 100);
}

static void test_private_vlans_agree(void **state)
{
	struct vlan_policy vlan;
	unsigned vid, other;

	(void)state;
	add_private();
	vlan_policy_access(&vlan, 102);
	assert_true(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
	assert_int_equal(vid, 102);
	vlan_policy_access(&vlan, 100);
	assert_true(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
	vlan_policy_isolated(&vlan, 200, 101);
	assert_true(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
	vlan_policy_isolated(&vlan, 101, 104);
	assert_true(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
	vlan_policy_community(&vlan, 100, 104);
	assert_false(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
	vlan_policy_access(&vlan, 5);
	assert_false(pvlan_conflicts(&sw, 7, &vlan, &vid, &other));
}

static void test_muted(void **state)
{
	(void)state;
	add_untagged(0);
	add_untagged(1);
	add_untagged(2);
	sw.ports[1].muted = true;
	assert_int_equal(send(1, 1, 2, -1), DROP_MUTED);
	assert_int_equal(send(0, 2, 1, -1), DROP_NOWHERE);
	assert_int_equal(send(0, BROADCAST, 1, -1), DROP_NONE);
	assert_int_equal(result.n_out, 1);
	assert_out(0, 2, false);
}

static void test_bridge_addresses_are_not_forwarded(void **state)
{
	struct fwd_key key = {.dst = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e}};

	(void)state;
	add_untagged(0);
	add_uplink(1);
	make_address(key.src, 1);
	assert_int_equal(decide(0, &key, T0), DROP_RESERVED);
	key.dst[5] = 0x10;
	assert_int_equal(decide(0, &key, T0), DROP_NONE);
}

static void test_hairpin(void **state)
{
	(void)state;
	add_untagged(0);
	add_untagged(1);
	assert_int_equal(send(0, 1, 1, -1), DROP_HAIRPIN);
}

static void test_aged_entry_is_flooded_again(void **state)
{
	struct fwd_key key = {0};

	(void)state;
	add_untagged(0);
	add_uplink(1);
	add_untagged(2);
	sw.ports[2].spoofing = true;
	send(1, 1, 77, -1);
	make_address(key.dst, 77);
	make_address(key.src, 1);
	assert_int_equal(decide(0, &key, T0 + FDB_AGE_NS - 1), DROP_NONE);
	assert_int_equal(result.n_out, 1);
	assert_int_equal(decide(0, &key, T0 + FDB_AGE_NS), DROP_NONE);
	assert_int_equal(result.n_out, 2);
}

/* ---- a second switch, as simple as can be, that must always agree ---- */

struct model_entry {
	int vid;
	uint8_t mac[ETH_ADDR_LEN];
	unsigned port;
};

static struct model_entry model[256];
static unsigned n_model;

/* The primary VLAN of a secondary one that some port speaks of. */
static int model_fid(int vid)
{
	for (unsigned i = 0; i < sw.n_slots; i++) {
		const struct vlan_policy *vlan = &sw.ports[i].vlan;

		if (vlan->mode > VLAN_TRUNK && vid != vlan->primary &&
			(vid == vlan->pvid || bitmap_test(vlan->allowed, (size_t)vid)))
			return vlan->primary;
	}
	return vid;
}

/* The port that was given the address, or -1. */
static int model_owner(int vid, const uint8_t mac[ETH_ADDR_LEN])
{
	for (unsigned i = 0; i < sw.n_slots; i++) {
		const struct vlan_policy *vlan = &sw.ports[i].vlan;

		if (sw.ports[i].muted || memcmp(sw.ports[i].mac, mac, ETH_ADDR_LEN) != 0)
			continue;
		if (vlan->mode == VLAN_TRUNK ? vlan_carries(vlan, (unsigned)vid)
					     : model_fid(vid) == model_fid(vlan->pvid))
			return (int)i;
	}
	return -1;
}

static const unsigned some_vids[] = {0, 1, 2, 3, 4, 100, 4094, 4095};

/* Is the address one of ours in any of the VLANs whose addresses are known together? */
static bool model_owns(int vid, const uint8_t mac[ETH_ADDR_LEN])
{
	for (size_t i = 0; i < ARRAY_LEN(some_vids); i++) {
		if (model_fid((int)some_vids[i]) == model_fid(vid) &&
			model_owner((int)some_vids[i], mac) >= 0)
			return true;
	}
	return false;
}

static int model_find(int vid, const uint8_t mac[ETH_ADDR_LEN])
{
	int owner = model_owner(vid, mac);

	if (owner >= 0)
		return owner;
	for (unsigned i = 0; i < n_model; i++) {
		if (model[i].vid == model_fid(vid) && memcmp(model[i].mac, mac, ETH_ADDR_LEN) == 0)
			return (int)model[i].port;
	}
	return -1;
}

static void model_learn(int vid, const uint8_t mac[ETH_ADDR_LEN], unsigned port)
{
	unsigned i = 0;

	vid = model_fid(vid);
	while (i < n_model && (model[i].vid != vid || memcmp(model[i].mac, mac, ETH_ADDR_LEN) != 0))
		i++;
	assert_true(i < ARRAY_LEN(model));
	model[i].vid = vid;
	memcpy(model[i].mac, mac, ETH_ADDR_LEN);
	model[i].port = port;
	n_model = MAX(n_model, i + 1);
}

/* Whether the model sends a frame of `vid` from `in` to `out`. */
static bool model_sends(unsigned in, unsigned out, const struct fwd_key *key, int vid)
{
	const struct fwd_port *port = &sw.ports[out];
	int at = key->dst[0] & 1 ? -1 : model_find(vid, key->dst);

	if (out == in || port->muted || !vlan_carries(&port->vlan, (unsigned)vid))
		return false;
	if (key->inner_tag && (port->vlan.mode != VLAN_TRUNK || vid == port->vlan.pvid))
		return false;
	if (key->dst[0] & 1)
		return true;
	return at >= 0 ? (unsigned)at == out : port->spoofing;
}

static void compare_with_model(unsigned in, const struct fwd_key *key)
{
	int vid = check_ingress_vlan(&sw.ports[in], key);
	bool comes_in =
		vid >= 0 && !sw.ports[in].muted &&
		(sw.ports[in].spoofing || memcmp(key->src, sw.ports[in].mac, ETH_ADDR_LEN) == 0);
	unsigned n_expected = 0;

	for (unsigned out = 0; comes_in && out < sw.n_slots; out++)
		n_expected += model_sends(in, out, key, vid);
	assert_int_equal(result.n_out, n_expected);
	for (unsigned i = 0; i < result.n_out; i++)
		assert_true(model_sends(in, result.out[i].port, key, vid));
	if (comes_in && !model_owns(vid, key->src))
		model_learn(vid, key->src, in);
}

static void random_port(uint64_t *seed, unsigned index)
{
	struct fwd_port *port = add_port(index);
	uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	unsigned vid, other;

	for (unsigned i = 1; i < 7; i++) {
		if (random_below(seed, 2))
			bitmap_set(allowed, some_vids[i]);
	}
	switch (random_below(seed, 6)) {
	case 0:
		vlan_policy_untagged(&port->vlan);
		break;
	case 1:
		vlan_policy_access(&port->vlan, some_vids[1 + random_below(seed, 6)]);
		break;
	case 2:
		vlan_policy_isolated(&port->vlan, 100, 1 + random_below(seed, 2));
		break;
	case 3:
		vlan_policy_community(&port->vlan, 100, 3 + random_below(seed, 2));
		break;
	case 4:
		bitmap_clear(allowed, 100);
		vlan_policy_promiscuous(&port->vlan, 100, allowed);
		break;
	default:
		vlan_policy_trunk(&port->vlan, some_vids[random_below(seed, 7)], allowed);
	}
	/* Such a port would have been refused. */
	if (pvlan_conflicts(&sw, index, &port->vlan, &vid, &other))
		vlan_policy_untagged(&port->vlan);
	pvlan_map(&sw);
	port->spoofing = random_below(seed, 4) == 0;
	port->muted = random_below(seed, 8) == 0;
	if (!port->muted)
		pin_port(index);
}

static void random_key(uint64_t *seed, unsigned in, struct fwd_key *key)
{
	*key = (struct fwd_key){
		.tagged = random_below(seed, 2),
		.inner_tag = random_below(seed, 8) == 0,
	};
	make_address(key->dst, random_below(seed, 8) ? 1 + random_below(seed, 16) : BROADCAST);
	make_address(key->src, random_below(seed, 4) ? in + 1 : 1 + random_below(seed, 16));
	if (key->tagged)
		key->tci = (uint16_t)(random_below(seed, 16) << 12 |
				      some_vids[random_below(seed, ARRAY_LEN(some_vids))]);
}

/* A million frames in all. */
#define N_ROUNDS 5000
#define N_FRAMES 200

static void test_random_switches(void **state)
{
	uint64_t seed = 20240601;

	for (unsigned round = 0; round < N_ROUNDS; round++) {
		unsigned n_ports = 2 + random_below(&seed, 10);

		assert_int_equal(setup(state), 0);
		n_model = 0;
		for (unsigned i = 0; i < n_ports; i++)
			random_port(&seed, i);
		if (random_below(&seed, 2))
			add_uplink(n_ports++);
		for (unsigned i = 0; i < N_FRAMES; i++) {
			unsigned in = random_below(&seed, n_ports);
			struct fwd_key key;

			random_key(&seed, in, &key);
			decide(in, &key, T0 + i);
			compare_with_model(in, &key);
		}
		teardown(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_unicast_reaches_only_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broadcast_stays_in_its_vlan, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_same_address_in_another_vlan_is_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_unknown_unicast_spares_ports_with_known_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uplink_learns, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_own_addresses_cannot_be_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoofing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags_from_access_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_priority_is_kept_in_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trunks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nested_tags_do_not_hop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_vlans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_vlans_agree, setup, teardown),
		cmocka_unit_test_setup_teardown(test_muted, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_bridge_addresses_are_not_forwarded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hairpin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aged_entry_is_flooded_again, setup, teardown),
		cmocka_unit_test(test_random_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
