/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

#define MAX_WINDOW 65535

#define RTO_MIN_NS   (200 * NS_PER_MS)
#define RTO_MAX_NS   (8 * NS_PER_S)
#define MAX_TIMEOUTS 12 /* about a minute */

#define PROBE_AFTER_NS (30 * NS_PER_S)
#define PROBE_EVERY_NS (10 * NS_PER_S)
#define MAX_PROBES     4

uint32_t tcp_window(const struct tcp_connection *c)
{
	return (uint32_t)MIN_OF(c->service->room(c), (size_t)MAX_WINDOW);
}

static bool is_synchronised(const struct tcp_connection *c)
{
	return c->state >= TCP_ESTABLISHED;
}

void tcp_heard(struct tcp_connection *c, uint64_t now_ns)
{
	c->n_probes = 0;
	c->probe_deadline_ns = now_ns + PROBE_AFTER_NS;
}

void tcp_arm_rto(struct tcp_connection *c, uint64_t now_ns)
{
	uint64_t rto_ns = MAX_OF(c->rto_ns, RTO_MIN_NS);

	for (unsigned i = 0; i < c->n_timeouts && rto_ns < RTO_MAX_NS; i++)
		rto_ns *= 2;
	c->rto_deadline_ns = now_ns + MIN_OF(rto_ns, RTO_MAX_NS);
}

/* Fills in header and checksum around `payload_bytes` (options included) behind the header. */
static bool segment_finish(struct net *net, uint32_t ip, struct tcp_header header,
	size_t payload_bytes, uint64_t now_ns)
{
	struct tcp_header *tcp = (struct tcp_header *)ipv4_payload(net);
	size_t size_bytes = sizeof(*tcp) + payload_bytes;

	*tcp = header;
	tcp->checksum = inet_checksum(inet_sum(
		inet_pseudo_sum(net->ip, ip, IPV4_PROTOCOL_TCP, size_bytes), tcp, size_bytes));
	return ipv4_send(net, ip, IPV4_PROTOCOL_TCP, size_bytes, now_ns);
}

static bool segment_send(struct net *net, struct tcp_connection *c, uint32_t sequence,
	size_t data_bytes, uint8_t flags, uint64_t now_ns)
{
	uint8_t *data = ipv4_payload(net) + sizeof(struct tcp_header);
	uint32_t window = tcp_window(c);
	struct tcp_header header = {
		.source = be16(c->local_port),
		.destination = be16(c->remote_port),
		.sequence = be32(sequence),
		.acknowledgment = be32(c->rcv_nxt),
		.data_offset = sizeof(header) / 4 << 4,
		.flags = flags | TCP_ACK,
		.window = be16((uint16_t)window),
	};

	if (data_bytes) {
		size_t at = (c->tx_start + (sequence - c->snd_una)) % TCP_TX_BYTES;
		size_t first = MIN_OF(data_bytes, TCP_TX_BYTES - at);

		memcpy(data, c->tx + at, first);
		memcpy(data + first, c->tx, data_bytes - first);
	}
	if (!segment_finish(net, c->remote_ip, header, data_bytes, now_ns))
		return false;
	c->ack_due = false;
	c->rcv_unacked_bytes = 0;
	c->rcv_edge = c->rcv_nxt + window;
	return true;
}

/* Not snd_nxt, which goes back after a timeout: what lies before the peer's window is not looked
 * at. */
void tcp_acknowledge(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	if (!segment_send(net, c, c->snd_max, 0, 0, now_ns))
		c->ack_due = true;
}

void tcp_send_syn_ack(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	struct tcp_mss_option *option =
		(struct tcp_mss_option *)(ipv4_payload(net) + sizeof(struct tcp_header));
	struct tcp_header header = {
		.source = be16(c->local_port),
		.destination = be16(c->remote_port),
		.sequence = be32(c->snd_una),
		.acknowledgment = be32(c->rcv_nxt),
		.data_offset = (sizeof(header) + sizeof(*option)) / 4 << 4,
		.flags = TCP_SYN | TCP_ACK,
		.window = be16((uint16_t)tcp_window(c)),
	};

	*option = (struct tcp_mss_option){
		.kind = TCP_OPTION_MSS,
		.length = sizeof(*option),
		.mss = be16(IPV4_PAYLOAD_BYTES - sizeof(header)),
	};
	segment_finish(net, c->remote_ip, header, sizeof(*option), now_ns);
	c->rcv_edge = c->rcv_nxt + tcp_window(c);
	tcp_arm_rto(c, now_ns);
}

void tcp_send_reset(struct net *net, uint32_t ip, uint16_t local_port, uint16_t remote_port,
	uint32_t sequence, uint32_t acknowledgment, bool with_ack, uint64_t now_ns)
{
	struct tcp_header header = {
		.source = be16(local_port),
		.destination = be16(remote_port),
		.sequence = be32(sequence),
		.acknowledgment = be32(acknowledgment),
		.data_offset = sizeof(header) / 4 << 4,
		.flags = TCP_RST | (with_ack ? TCP_ACK : 0),
	};

	segment_finish(net, ip, header, 0, now_ns);
}

void tcp_drop(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	tcp_send_reset(net, c->remote_ip, c->local_port, c->remote_port, c->snd_nxt, c->rcv_nxt,
		true, now_ns);
	c->state = TCP_CLOSED;
}

/* Everything the service will ever say is in the buffer. */
static bool is_finishing(const struct tcp_connection *c)
{
	return c->state == TCP_CLOSE_WAIT || c->state == TCP_LAST_ACK;
}

static void segment_sent(struct tcp_connection *c, uint32_t end, uint64_t now_ns)
{
	if (seq_after(end, c->snd_max)) {
		if (!c->timing) {
			c->timing = true;
			c->timed_seq = end;
			c->timed_ns = now_ns;
		}
		c->snd_max = end;
	}
	c->snd_nxt = end;
	if (c->rto_deadline_ns == NEVER_NS)
		tcp_arm_rto(c, now_ns);
}

/* Send the next segment if the windows allow one. */
static bool output_one(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	uint32_t in_flight = c->snd_nxt - c->snd_una;
	uint32_t window = MIN_OF(c->snd_wnd, c->cwnd);
	size_t room = window > in_flight ? window - in_flight : 0;
	size_t unsent = in_flight < c->tx_bytes ? c->tx_bytes - in_flight : 0;
	size_t allowed = MIN_OF(room, (size_t)c->mss);
	size_t n = MIN_OF(unsent, allowed);
	bool fin = is_finishing(c) && n == unsent && in_flight <= c->tx_bytes;
	uint8_t flags = (fin ? TCP_FIN : 0) | (n && n == unsent ? TCP_PSH : 0);

	if (n == 0 && !fin)
		return false;
	/* Not a small segment because of a small window: more room is on its way. */
	if (n < unsent && n < c->mss && in_flight)
		return false;
	if (!segment_send(net, c, c->snd_nxt, n, flags, now_ns))
		return false;
	if (fin)
		c->state = TCP_LAST_ACK;
	segment_sent(c, c->snd_nxt + (uint32_t)n + fin, now_ns);
	return true;
}

/* The window grew by enough to be worth a segment of its own. */
static bool window_update_due(const struct tcp_connection *c)
{
	uint32_t edge = c->rcv_nxt + tcp_window(c);

	return seq_after(edge, c->rcv_edge) && edge - c->rcv_edge >= 2U * c->mss &&
	       c->rcv_edge - c->rcv_nxt < TCP_TX_BYTES / 2;
}

void tcp_output(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	if (!is_synchronised(c))
		return;
	if (c->service->produce)
		c->service->produce(c);
	while (output_one(net, c, now_ns))
		;
	/* A closed window stops everything: somebody has to ask whether it is still closed. */
	if (c->rto_deadline_ns == NEVER_NS && c->tx_bytes && c->snd_wnd == 0)
		tcp_arm_rto(c, now_ns);
	if (c->ack_due || window_update_due(c))
		tcp_acknowledge(net, c, now_ns);
}

void tcp_retransmit(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	size_t n = MIN_OF(c->tx_bytes, (size_t)c->mss);
	bool fin = c->state == TCP_LAST_ACK && n == c->tx_bytes;

	c->timing = false;
	net->tcp.n_retransmits++;
	segment_send(net, c, c->snd_una, n, fin ? TCP_FIN : 0, now_ns);
	tcp_arm_rto(c, now_ns);
}

static void rto_expired(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	uint32_t in_flight = c->snd_max - c->snd_una;

	if (++c->n_timeouts > MAX_TIMEOUTS) {
		tcp_drop(net, c, now_ns);
		return;
	}
	if (c->state == TCP_SYN_RECEIVED) {
		net->tcp.n_retransmits++;
		tcp_send_syn_ack(net, c, now_ns);
		return;
	}
	if (c->snd_wnd == 0 && c->tx_bytes) {
		/* One byte beyond the window; its acknowledgment carries the window. */
		segment_send(net, c, c->snd_una, 1, 0, now_ns);
		c->snd_nxt = c->snd_una + 1;
		c->snd_max = seq_after(c->snd_nxt, c->snd_max) ? c->snd_nxt : c->snd_max;
		tcp_arm_rto(c, now_ns);
		return;
	}
	/* Start over from the first byte that is not acknowledged. */
	c->ssthresh = MAX_OF(in_flight / 2, 2U * c->mss);
	c->cwnd = c->mss;
	c->recovering = false;
	c->n_dup_acks = 0;
	tcp_retransmit(net, c, now_ns);
	c->snd_nxt = c->snd_una + (uint32_t)MIN_OF(c->tx_bytes, (size_t)c->mss) +
		     (c->state == TCP_LAST_ACK && c->tx_bytes <= c->mss);
}

static void probe(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	if (++c->n_probes > MAX_PROBES) {
		tcp_drop(net, c, now_ns);
		return;
	}
	c->probe_deadline_ns = now_ns + PROBE_EVERY_NS;
	segment_send(net, c, c->snd_una - 1, 0, 0, now_ns);
}

void tcp_run(struct net *net, uint64_t now_ns)
{
	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++) {
		struct tcp_connection *c = &net->tcp.connections[i];

		if (c->state != TCP_CLOSED && now_ns >= c->rto_deadline_ns)
			rto_expired(net, c, now_ns);
		if (is_synchronised(c) && now_ns >= c->probe_deadline_ns)
			probe(net, c, now_ns);
		tcp_output(net, c, now_ns);
	}
}

uint64_t tcp_deadline(const struct tcp *tcp)
{
	uint64_t deadline = NEVER_NS;

	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++) {
		const struct tcp_connection *c = &tcp->connections[i];

		if (c->state == TCP_CLOSED)
			continue;
		deadline = MIN_OF(deadline, c->rto_deadline_ns);
		if (is_synchronised(c))
			deadline = MIN_OF(deadline, c->probe_deadline_ns);
	}
	return deadline;
}
