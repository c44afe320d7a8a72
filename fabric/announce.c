/* SPDX-License-Identifier: MIT */
#include "fabric/announce.h"
#include "base/bytes.h"
#include "fabric/inet.h"

void announce_build(const uint8_t mac[ETH_ADDR_LEN], uint8_t ret_frame[ANNOUNCE_FRAME_BYTES])
{
	uint8_t *arp = ret_frame + ETH_HEADER_BYTES;

	memset(ret_frame, 0, ANNOUNCE_FRAME_BYTES);
	memset(ret_frame, 0xff, ETH_ADDR_LEN);
	memcpy(ret_frame + ETH_ADDR_LEN, mac, ETH_ADDR_LEN);
	store_be16(ret_frame + 2 * ETH_ADDR_LEN, ETHERTYPE_RARP);
	store_be16(arp + ARP_HARDWARE, ARP_HARDWARE_ETHERNET);
	store_be16(arp + ARP_PROTOCOL, ETHERTYPE_IPV4);
	arp[ARP_HARDWARE_BYTES] = ETH_ADDR_LEN;
	arp[ARP_PROTOCOL_BYTES] = 4; /* of an IPv4 address */
	store_be16(arp + ARP_OPERATION, ARP_REVERSE_REQUEST);
	memcpy(arp + ARP_SENDER_MAC, mac, ETH_ADDR_LEN); /* sender: this address, 0.0.0.0 */
	memcpy(arp + ARP_TARGET_MAC, mac, ETH_ADDR_LEN); /* target: the same */
}

void announce_start(struct vport *port, uint64_t now_ns)
{
	port->announcing = (struct announcing){
		.rounds_left = ANNOUNCE_ROUNDS,
		.vid = -1,
		.due_ns = now_ns,
	};
}

void announce_switch(struct vswitch *sw, uint64_t now_ns)
{
	for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
		if (sw->ports[i] && !vport_is_uplink(sw->ports[i]) && !sw->fwd.ports[i].muted)
			announce_start(sw->ports[i], now_ns);
	}
}

static void announce_vlan(struct datapath *dp, struct vport *port, unsigned vid, uint64_t now_ns)
{
	const struct fwd_port *fwd = vport_fwd(port);
	uint8_t data[ANNOUNCE_FRAME_BYTES];
	struct frame frame = {
		.data = data,
		.size_bytes = sizeof(data),
		.tagged = vlan_leaves_tagged(&fwd->vlan, vid),
		.tci = (uint16_t)vid,
	};

	announce_build(fwd->mac, data);
	datapath_inject(dp, port, &frame, now_ns);
}

static void announce_port(struct datapath *dp, struct vport *port, uint64_t now_ns)
{
	struct announcing *announcing = &port->announcing;
	const struct vlan_policy *vlan = &vport_fwd(port)->vlan;

	for (unsigned i = 0; i < ANNOUNCE_FRAMES_A_STEP; i++) {
		announcing->vid = vlan_next(vlan, announcing->vid);
		if (announcing->vid < 0)
			break;
		announce_vlan(dp, port, (unsigned)announcing->vid, now_ns);
	}
	announcing->due_ns = now_ns + ANNOUNCE_STEP_NS;
	if (announcing->vid < 0 || vlan_next(vlan, announcing->vid) < 0) {
		announcing->vid = -1;
		announcing->rounds_left--;
		announcing->due_ns = now_ns + ANNOUNCE_ROUND_NS;
	}
}

uint64_t announce_step(struct fabric *fabric, struct datapath *dp, uint64_t now_ns)
{
	uint64_t next_ns = 0;
	struct vswitch *sw;

	list_for_each(sw, &fabric->switches, siblings) {
		for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
			struct vport *port = sw->ports[i];

			if (!port || !port->announcing.rounds_left)
				continue;
			if (port->announcing.due_ns <= now_ns)
				announce_port(dp, port, now_ns);
			if (port->announcing.rounds_left &&
				(!next_ns || port->announcing.due_ns < next_ns))
				next_ns = port->announcing.due_ns;
		}
	}
	return next_ns;
}
