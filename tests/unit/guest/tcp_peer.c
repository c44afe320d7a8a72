/* SPDX-License-Identifier: MIT */
#include "tcp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define PEER_RETRY_NS (300 * NS_PER_MS)
#define PEER_MSS      1460

static const uint8_t guest_mac[ETH_MAC_BYTES] = {0x00, 0x15, 0x5d, 0, 0, 1};
static const uint8_t peer_mac[ETH_MAC_BYTES] = {0x02, 0, 0, 0, 0, 2};

static void enqueue(struct sim *sim, bool to_guest, const void *data, size_t size_bytes)
{
	struct sim_frame **at = &sim->queue, *frame;

	frame = malloc(sizeof(*frame));
	assert_non_null(frame);
	memcpy(frame->data, data, size_bytes);
	frame->size_bytes = size_bytes;
	frame->to_guest = to_guest;
	frame->at_ns = sim->now_ns + sim->delay_ns +
		       (sim->jitter_ns ? (uint64_t)random() % sim->jitter_ns : 0);
	while (*at && (*at)->at_ns <= frame->at_ns)
		at = &(*at)->next;
	frame->next = *at;
	*at = frame;
	sim->n_queued++;
}

static void transmit(struct sim *sim, bool to_guest, const void *data, size_t size_bytes)
{
	if (sim->cut || random() % 1000 < (long)sim->loss_permille)
		return;
	enqueue(sim, to_guest, data, size_bytes);
	if (random() % 1000 < (long)sim->double_permille)
		enqueue(sim, to_guest, data, size_bytes);
}

static bool guest_send(void *nic, const void *frame, size_t size_bytes)
{
	struct sim *sim = nic;

	if (sim->link_frames && sim->n_queued >= sim->link_frames)
		return false;
	transmit(sim, false, frame, size_bytes);
	return true;
}

struct sim *sim_new(void)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct net_link link = {guest_send, sim};

	assert_non_null(sim);
	net_init(&sim->guest, &link, guest_mac, SIM_GUEST_IP, 24, 0);
	sim->guest.arp[0] = (struct arp_entry){.ip = SIM_PEER_IP, .resolved = true};
	memcpy(sim->guest.arp[0].mac, peer_mac, ETH_MAC_BYTES);
	sim->guest.arp[0].updated_ns = UINT64_MAX / 2;
	sim->now_ns = NS_PER_S;
	sim->delay_ns = 200 * NS_PER_US;
	srandom(7);
	return sim;
}

void sim_free(struct sim *sim)
{
	while (sim->queue) {
		struct sim_frame *frame = sim->queue;

		sim->queue = frame->next;
		free(frame);
	}
	for (size_t i = 0; i < SIM_N_PEERS; i++)
		free(sim->peers[i].rx);
	free(sim);
}

static size_t build(const struct sim_peer *peer, uint8_t *frame, uint32_t sequence,
	uint32_t acknowledgment, uint8_t flags, uint16_t window, const void *data,
	size_t size_bytes)
{
	struct eth_header *eth = (struct eth_header *)frame;
	struct ipv4_header *ip = (struct ipv4_header *)(eth + 1);
	struct tcp_header *tcp = (struct tcp_header *)(ip + 1);
	uint8_t *payload = (uint8_t *)(tcp + 1);
	size_t tcp_bytes = sizeof(*tcp) + size_bytes;

	memcpy(eth->to, guest_mac, ETH_MAC_BYTES);
	memcpy(eth->from, peer_mac, ETH_MAC_BYTES);
	eth->type = be16(ETHERTYPE_IPV4);
	*tcp = (struct tcp_header){be16(peer->port), be16(peer->remote_port), be32(sequence),
		be32(acknowledgment), 5 << 4, flags, be16(window), 0, 0};
	if (flags & TCP_SYN) {
		static const uint8_t options[] = {TCP_OPTION_NOP, TCP_OPTION_NOP, TCP_OPTION_NOP,
			TCP_OPTION_NOP, TCP_OPTION_MSS, 4, PEER_MSS >> 8, PEER_MSS & 0xff};

		memcpy(payload, options, sizeof(options));
		tcp->data_offset = 7 << 4;
		tcp_bytes += sizeof(options);
	} else if (size_bytes) {
		memcpy(payload, data, size_bytes);
	}
	*ip = (struct ipv4_header){0x45, 0, be16((uint16_t)(sizeof(*ip) + tcp_bytes)), 0, 0, 64,
		IPV4_PROTOCOL_TCP, 0, be32(SIM_PEER_IP), be32(SIM_GUEST_IP)};
	ip->checksum = inet_checksum(inet_sum(0, ip, sizeof(*ip)));
	tcp->checksum = inet_checksum(
		inet_sum(inet_pseudo_sum(SIM_PEER_IP, SIM_GUEST_IP, IPV4_PROTOCOL_TCP, tcp_bytes),
			tcp, tcp_bytes));
	return sizeof(*eth) + sizeof(*ip) + tcp_bytes;
}

void sim_inject(struct sim *sim, const struct sim_peer *peer, uint32_t sequence,
	uint32_t acknowledgment, uint8_t flags, uint16_t window, const void *data,
	size_t size_bytes)
{
	uint8_t frame[ETH_FRAME_BYTES];
	size_t n = build(peer, frame, sequence, acknowledgment, flags, window, data, size_bytes);

	net_input(&sim->guest, frame, n, 0, sim->now_ns);
	net_run(&sim->guest, sim->now_ns);
}

static void peer_emit(
	struct sim *sim, struct sim_peer *peer, uint32_t sequence, uint8_t flags, size_t size_bytes)
{
	uint8_t frame[ETH_FRAME_BYTES];
	const uint8_t *data = size_bytes ? peer->tx + (sequence - peer->iss - 1) : NULL;
	size_t n =
		build(peer, frame, sequence, peer->rcv_nxt, flags, peer->window, data, size_bytes);

	transmit(sim, true, frame, n);
}

/* Everything the guest's window allows, then FIN. */
static void peer_output(struct sim *sim, struct sim_peer *peer)
{
	uint32_t end = peer->iss + 1 + (uint32_t)peer->tx_bytes;

	while (seq_before(peer->snd_nxt, end)) {
		uint32_t in_flight = peer->snd_nxt - peer->snd_una;
		size_t left = end - peer->snd_nxt;
		size_t room = peer->snd_wnd > in_flight ? peer->snd_wnd - in_flight : 0;
		size_t n = left < PEER_MSS ? left : PEER_MSS;

		if (n > room)
			break;
		peer_emit(sim, peer, peer->snd_nxt, TCP_ACK, n);
		peer->snd_nxt += (uint32_t)n;
	}
	if (peer->close_when_sent && peer->snd_nxt == end) {
		peer_emit(sim, peer, peer->snd_nxt, TCP_ACK | TCP_FIN, 0);
		peer->snd_nxt++;
	}
}

static void peer_retry(struct sim *sim, struct sim_peer *peer)
{
	uint32_t end = peer->iss + 1 + (uint32_t)peer->tx_bytes;

	peer->retry_ns = sim->now_ns + PEER_RETRY_NS;
	if (!peer->established) {
		peer_emit(sim, peer, peer->iss, TCP_SYN, 0);
		return;
	}
	if (peer->snd_una == end + peer->close_when_sent)
		return;
	if (seq_before(peer->snd_una, end) && peer->snd_wnd == 0) {
		peer_emit(sim, peer, peer->snd_una, TCP_ACK, 1);
		return;
	}
	peer->snd_nxt = peer->snd_una;
	peer_output(sim, peer);
}

struct sim_peer *sim_connect(struct sim *sim, uint16_t remote_port, const uint8_t *data,
	size_t size_bytes, bool close_when_sent)
{
	for (size_t i = 0; i < SIM_N_PEERS; i++) {
		struct sim_peer *peer = &sim->peers[i];

		if (peer->open)
			continue;
		*peer = (struct sim_peer){.open = true,
			.port = (uint16_t)(40000 + i),
			.remote_port = remote_port,
			.tx = data,
			.tx_bytes = size_bytes,
			.close_when_sent = close_when_sent,
			.iss = 0xfffffff0U + (uint32_t)i,
			.window = 65535,
			.rx = malloc(SIM_MAX_RX)};
		assert_non_null(peer->rx);
		peer->snd_una = peer->iss;
		peer->snd_nxt = peer->iss + 1;
		peer_retry(sim, peer);
		return peer;
	}
	fail();
	return NULL;
}

static void peer_receive(struct sim *sim, struct sim_peer *peer, const struct tcp_header *tcp,
	const uint8_t *data, size_t size_bytes)
{
	uint32_t sequence = be32(tcp->sequence);
	bool fin = tcp->flags & TCP_FIN;

	/* An empty segment from the past is a keepalive. */
	if (size_bytes == 0 && !fin && !seq_before(sequence, peer->rcv_nxt))
		return;
	if (seq_before(sequence, peer->rcv_nxt) &&
		seq_after(sequence + (uint32_t)size_bytes, peer->rcv_nxt)) {
		size_t skip = peer->rcv_nxt - sequence;

		data += skip;
		size_bytes -= skip;
		sequence = peer->rcv_nxt;
	}
	if (sequence == peer->rcv_nxt && !peer->fin_received && size_bytes <= peer->window) {
		if (peer->rx_bytes + size_bytes <= SIM_MAX_RX)
			memcpy(peer->rx + peer->rx_bytes, data, size_bytes);
		peer->rx_bytes += size_bytes;
		peer->rcv_nxt += (uint32_t)size_bytes + fin;
		peer->fin_received = fin;
	}
	peer_emit(sim, peer, peer->snd_nxt, TCP_ACK, 0);
}

static void peer_input(struct sim *sim, struct sim_peer *peer, const struct tcp_header *tcp,
	const uint8_t *data, size_t size_bytes)
{
	uint32_t acknowledgment = be32(tcp->acknowledgment);

	if (tcp->flags & TCP_RST) {
		peer->reset = true;
		return;
	}
	if (tcp->flags & TCP_SYN) {
		assert_int_equal(acknowledgment, peer->iss + 1);
		if (!peer->established) {
			peer->established = true;
			peer->irs = be32(tcp->sequence);
			peer->rcv_nxt = peer->irs + 1;
			peer->snd_una = acknowledgment;
		}
		peer->snd_wnd = be16(tcp->window);
		peer_emit(sim, peer, peer->snd_nxt, TCP_ACK, 0);
		peer_output(sim, peer);
		return;
	}
	if (!peer->established)
		return;
	assert_false(seq_after(acknowledgment, peer->snd_nxt) && peer->snd_wnd);
	if (!seq_before(acknowledgment, peer->snd_una)) {
		if (acknowledgment != peer->snd_una)
			peer->retry_ns = sim->now_ns + PEER_RETRY_NS;
		peer->snd_una = acknowledgment;
		if (seq_before(peer->snd_nxt, acknowledgment))
			peer->snd_nxt = acknowledgment;
		peer->snd_wnd = be16(tcp->window);
		peer->fin_acked = peer->close_when_sent &&
				  acknowledgment == peer->iss + 2 + (uint32_t)peer->tx_bytes;
	}
	peer_receive(sim, peer, tcp, data, size_bytes);
	peer_output(sim, peer);
}

static void to_peers(struct sim *sim, const uint8_t *frame)
{
	const struct ipv4_header *ip = (const struct ipv4_header *)(frame + ETH_HEADER_BYTES);
	const struct tcp_header *tcp = (const struct tcp_header *)(ip + 1);
	size_t tcp_bytes = be16(ip->length) - sizeof(*ip);
	size_t header_bytes = (tcp->data_offset >> 4) * 4U;

	assert_int_equal(ip->protocol, IPV4_PROTOCOL_TCP);
	assert_int_equal(inet_checksum(inet_sum(0, ip, sizeof(*ip))), 0);
	assert_int_equal(inet_checksum(inet_sum(inet_pseudo_sum(SIM_GUEST_IP, SIM_PEER_IP,
							IPV4_PROTOCOL_TCP, tcp_bytes),
				 tcp, tcp_bytes)),
		0);
	sim->n_to_peer++;
	if (sim->tap)
		sim->tap(sim, tcp, tcp_bytes - header_bytes);
	for (size_t i = 0; i < SIM_N_PEERS; i++) {
		struct sim_peer *peer = &sim->peers[i];

		if (peer->open && !peer->reset && peer->port == be16(tcp->destination))
			peer_input(sim, peer, tcp, (const uint8_t *)tcp + header_bytes,
				tcp_bytes - header_bytes);
	}
}

/* False: nothing will ever happen again. */
static bool step(struct sim *sim, uint64_t end_ns)
{
	uint64_t next_ns = net_deadline(&sim->guest);
	struct sim_frame *frame = sim->queue;

	if (frame)
		next_ns = MIN_OF(next_ns, frame->at_ns);
	for (size_t i = 0; i < SIM_N_PEERS; i++) {
		if (sim->peers[i].open && !sim->peers[i].reset)
			next_ns = MIN_OF(next_ns, sim->peers[i].retry_ns);
	}
	if (next_ns > end_ns)
		return false;
	sim->now_ns = MAX_OF(sim->now_ns, next_ns);
	if (frame && frame->at_ns <= sim->now_ns) {
		sim->queue = frame->next;
		sim->n_queued--;
		if (frame->to_guest)
			net_input(&sim->guest, frame->data, frame->size_bytes, 0, sim->now_ns);
		else
			to_peers(sim, frame->data);
		free(frame);
	}
	for (size_t i = 0; i < SIM_N_PEERS; i++) {
		struct sim_peer *peer = &sim->peers[i];

		if (peer->open && !peer->reset && sim->now_ns >= peer->retry_ns)
			peer_retry(sim, peer);
	}
	net_run(&sim->guest, sim->now_ns);
	return true;
}

bool sim_run(struct sim *sim, uint64_t for_ns, bool (*done)(struct sim *sim))
{
	uint64_t end_ns = sim->now_ns + for_ns;

	while (!done || !done(sim)) {
		if (!step(sim, end_ns)) {
			sim->now_ns = end_ns;
			return false;
		}
	}
	return true;
}
