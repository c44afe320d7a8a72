/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/nic.h"
#include "vmbus/guest/clock.h"
#include "vmbus/guest/vsc_hv.h"
#include "vmbus/guest/vsc_net.h"

struct nic {
	bool ready;
	struct vsc_offer *tried; /* the offer that was, or could not be, opened */
	struct vsc_net vsc;
	struct net net;
};

static const uint8_t nic_class[VMBUS_GUID_BYTES] = VMBUS_GUID_NIC;

static struct vsc_bus bus;
static struct nic nics[MAX_NICS];
static struct vsc_net_memory memories[MAX_NICS];
static const struct config *configuration;
static void (*print_line)(const char *line);

static void on_receive(
	void *owner, const void *frame, size_t size_bytes, bool ip_checked, bool transport_checked)
{
	struct nic *nic = owner;
	unsigned checked =
		(ip_checked ? NET_IP_CHECKED : 0) | (transport_checked ? NET_TRANSPORT_CHECKED : 0);

	if (nic->ready)
		net_input(&nic->net, frame, size_bytes, checked, clock_ns());
}

static void on_link_changed(void *owner, bool up)
{
	struct nic *nic = owner;

	if (nic->ready && up)
		net_announce(&nic->net);
}

static void on_network_changed(void *owner)
{
	struct nic *nic = owner;

	if (nic->ready)
		net_announce(&nic->net);
}

static const struct vsc_net_ops vsc_ops = {
	.receive = on_receive,
	.link_changed = on_link_changed,
	.network_changed = on_network_changed,
};

static bool link_send(void *nic, const void *frame, size_t size_bytes)
{
	return vsc_net_send(&((struct nic *)nic)->vsc, frame, size_bytes);
}

static void report(unsigned index, int error)
{
	char line[160];
	struct text text = text_on(line, sizeof(line));
	const struct nic *nic = &nics[index];

	text_add(&text, "nic");
	text_u64(&text, index);
	if (error < 0) {
		text_field(&text, "errno", (uint64_t)-error);
	} else {
		text_add(&text, " mac=");
		text_mac(&text, nic->net.mac);
		text_add(&text, " ip=");
		text_ipv4(&text, nic->net.ip);
		text_add(&text, nic->vsc.link_up ? " link=up" : " link=down");
	}
	print_line(line);
}

static void nic_open(unsigned index, struct vsc_offer *offer)
{
	const struct nic_config *config = &configuration->nics[index];
	struct nic *nic = &nics[index];
	struct net_link link = {.send = link_send, .nic = nic};
	int r;

	nic->tried = offer;
	r = vsc_net_open(&nic->vsc, &bus, offer, &memories[index], &vsc_ops, nic);
	if (r == 0) {
		net_init(&nic->net, &link, nic->vsc.mac, config->ip, config->prefix_length,
			config->gateway);
		nic->ready = true;
		net_announce(&nic->net);
	}
	report(index, r);
}

/* The n-th NIC on offer becomes the n-th of the guest; one that went leaves its place to the next
 * that comes. */
static void find_nics(void)
{
	struct vsc_offer *offer;

	for (unsigned i = 0; i < MAX_NICS; i++) {
		if (nics[i].ready && !vsc_channel_is_open(&nics[i].vsc.channel))
			nics[i].ready = false;
		if (nics[i].tried && !nics[i].tried->relid)
			nics[i].tried = NULL;
	}
	for (unsigned n = 0; (offer = vsc_bus_find_offer(&bus, nic_class, n)); n++) {
		unsigned place = MAX_NICS;
		bool tried = false;

		for (unsigned i = 0; i < MAX_NICS; i++) {
			tried |= nics[i].tried == offer;
			if (!nics[i].tried && place == MAX_NICS)
				place = i;
		}
		if (!tried && place < MAX_NICS)
			nic_open(place, offer);
	}
}

void nics_init(const struct config *config, void (*print)(const char *line))
{
	configuration = config;
	print_line = print;
	if (vsc_bus_connect(&bus, &vsc_hv_ops, NULL) || vsc_bus_request_offers(&bus)) {
		bus.version = 0;
		print("err vmbus");
		return;
	}
	find_nics();
}

bool nics_poll(void)
{
	bool any = false;

	if (!bus.version)
		return false;
	if (vsc_bus_poll(&bus)) {
		find_nics();
		any = true;
	}
	for (unsigned i = 0; i < MAX_NICS; i++)
		any |= nics[i].ready && vsc_net_poll(&nics[i].vsc);
	return any;
}

void nics_run(uint64_t now_ns)
{
	for (unsigned i = 0; i < MAX_NICS; i++) {
		if (nics[i].ready)
			net_run(&nics[i].net, now_ns);
	}
}

uint64_t nics_deadline(void)
{
	uint64_t deadline = NEVER_NS;

	for (unsigned i = 0; i < MAX_NICS; i++) {
		if (nics[i].ready)
			deadline = MIN_OF(deadline, net_deadline(&nics[i].net));
	}
	return deadline;
}

struct net *nics_get(unsigned index, struct shell_nic_facts *ret_facts)
{
	struct nic *nic;

	if (index >= MAX_NICS || !nics[index].ready)
		return NULL;
	nic = &nics[index];
	*ret_facts = (struct shell_nic_facts){
		.link_up = nic->vsc.link_up,
		.nvsp_version = nic->vsc.version,
		.mtu = nic->vsc.mtu,
		.n_errors = nic->vsc.n_errors + nic->vsc.broken,
	};
	return &nic->net;
}

void nics_fini(void)
{
	if (!bus.version)
		return;
	for (unsigned i = 0; i < MAX_NICS; i++) {
		if (nics[i].ready)
			vsc_net_close(&nics[i].vsc);
		nics[i].ready = false;
	}
	vsc_bus_unload(&bus);
}

uint32_t nics_bus_version(void)
{
	return bus.version;
}
