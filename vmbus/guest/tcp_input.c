/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

#define DEFAULT_MSS        536
#define MIN_MSS            88
#define INITIAL_SEGMENTS   10
#define MAX_CWND           (1U << 20)
#define INITIAL_RTO_NS     NS_PER_S
#define DUP_ACKS           3
#define MAX_UNACKED_FRAMES 8U

/* A segment that passed its checks, in host order. */
struct segment {
	uint32_t ip;
	uint16_t remote_port, local_port;
	uint32_t sequence, acknowledgment;
	uint32_t window;
	uint8_t flags;
	uint16_t mss; /* of a SYN */
	const uint8_t *data;
	size_t size_bytes;
};

void tcp_init(struct tcp *tcp)
{
	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++)
		tcp->connections[i].state = TCP_CLOSED;
	tcp->n_retransmits = 0;
	tcp->n_refused = 0;
}

unsigned tcp_n_open(const struct tcp *tcp)
{
	unsigned n = 0;

	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++)
		n += tcp->connections[i].state >= TCP_ESTABLISHED;
	return n;
}

static uint16_t parse_mss(const uint8_t *options, size_t size_bytes)
{
	uint16_t mss = DEFAULT_MSS;

	while (size_bytes && options[0] != TCP_OPTION_END) {
		size_t length = 1;

		if (options[0] != TCP_OPTION_NOP) {
			if (size_bytes < 2 || options[1] < 2 || options[1] > size_bytes)
				break;
			length = options[1];
			if (options[0] == TCP_OPTION_MSS && length == sizeof(struct tcp_mss_option))
				mss = be16(((const struct tcp_mss_option *)options)->mss);
		}
		options += length;
		size_bytes -= length;
	}
	mss = MAX_OF(mss, (uint16_t)MIN_MSS);
	return MIN_OF(mss, (uint16_t)(IPV4_PAYLOAD_BYTES - sizeof(struct tcp_header)));
}

static bool segment_parse(
	struct net *net, const struct ipv4_packet *packet, struct segment *ret_segment)
{
	const struct tcp_header *tcp = (const struct tcp_header *)packet->payload;
	size_t header_bytes;

	if (packet->size_bytes < sizeof(*tcp))
		return false;
	header_bytes = (tcp->data_offset >> 4) * 4U;
	if (header_bytes < sizeof(*tcp) || header_bytes > packet->size_bytes)
		return false;
	if (!packet->transport_checked &&
		inet_checksum(inet_sum(inet_pseudo_sum(packet->source, net->ip, IPV4_PROTOCOL_TCP,
					       packet->size_bytes),
			packet->payload, packet->size_bytes)))
		return false;
	*ret_segment = (struct segment){
		.ip = packet->source,
		.remote_port = be16(tcp->source),
		.local_port = be16(tcp->destination),
		.sequence = be32(tcp->sequence),
		.acknowledgment = be32(tcp->acknowledgment),
		.window = be16(tcp->window),
		.flags = tcp->flags,
		.mss = parse_mss((const uint8_t *)(tcp + 1), header_bytes - sizeof(*tcp)),
		.data = packet->payload + header_bytes,
		.size_bytes = packet->size_bytes - header_bytes,
	};
	return true;
}

static struct tcp_connection *connection_find(struct tcp *tcp, const struct segment *segment)
{
	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++) {
		struct tcp_connection *c = &tcp->connections[i];

		if (c->state != TCP_CLOSED && c->remote_ip == segment->ip &&
			c->remote_port == segment->remote_port &&
			c->local_port == segment->local_port)
			return c;
	}
	return NULL;
}

static struct tcp_connection *connection_free(struct tcp *tcp)
{
	for (size_t i = 0; i < TCP_N_CONNECTIONS; i++) {
		if (tcp->connections[i].state == TCP_CLOSED)
			return &tcp->connections[i];
	}
	return NULL;
}

/* Answers what belongs to no connection, RFC 9293 3.10.7.1. */
static void refuse(struct net *net, const struct segment *segment, uint64_t now_ns)
{
	bool has_ack = segment->flags & TCP_ACK;
	uint32_t length = (uint32_t)segment->size_bytes + !!(segment->flags & TCP_SYN) +
			  !!(segment->flags & TCP_FIN);

	if (segment->flags & TCP_RST)
		return;
	tcp_send_reset(net, segment->ip, segment->local_port, segment->remote_port,
		has_ack ? segment->acknowledgment : 0, segment->sequence + length, !has_ack,
		now_ns);
}

/* Hard to guess is not the aim; not reusing the numbers of a connection just gone is. */
static uint32_t initial_sequence(const struct segment *segment, uint64_t now_ns)
{
	uint64_t x = (uint64_t)segment->ip << 32 | (uint32_t)segment->remote_port << 16 |
		     segment->local_port;

	x *= 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(x >> 32) + (uint32_t)(now_ns / (4 * NS_PER_US));
}

static void accept_connection(struct net *net, const struct tcp_service *service,
	const struct segment *segment, uint64_t now_ns)
{
	struct tcp_connection *c = connection_free(&net->tcp);

	if (!c) {
		/* The peer tries again, there may be room then. */
		net->tcp.n_refused++;
		return;
	}
	memset(c, 0, offsetof(struct tcp_connection, tx));
	c->state = TCP_SYN_RECEIVED;
	c->service = service;
	c->remote_ip = segment->ip;
	c->remote_port = segment->remote_port;
	c->local_port = segment->local_port;
	c->mss = segment->mss;
	c->rcv_nxt = segment->sequence + 1;
	c->snd_una = initial_sequence(segment, now_ns);
	c->snd_nxt = c->snd_una + 1;
	c->snd_max = c->snd_nxt;
	c->cwnd = INITIAL_SEGMENTS * c->mss;
	c->ssthresh = MAX_CWND;
	c->rto_ns = INITIAL_RTO_NS;
	tcp_send_syn_ack(net, c, now_ns);
}

/* RFC 6298. */
static void sample_rtt(struct tcp_connection *c, uint64_t rtt_ns)
{
	uint64_t error_ns;

	if (c->srtt_ns == 0) {
		c->srtt_ns = MAX_OF(rtt_ns, 1ULL);
		c->rttvar_ns = rtt_ns / 2;
	} else {
		error_ns = rtt_ns > c->srtt_ns ? rtt_ns - c->srtt_ns : c->srtt_ns - rtt_ns;
		c->rttvar_ns = c->rttvar_ns - c->rttvar_ns / 4 + error_ns / 4;
		c->srtt_ns = c->srtt_ns - c->srtt_ns / 8 + rtt_ns / 8;
	}
	c->rto_ns = c->srtt_ns + 4 * c->rttvar_ns;
}

/* Fast recovery, RFC 5681 3.2 and RFC 6582. */
static void duplicate_ack(struct net *net, struct tcp_connection *c, uint64_t now_ns)
{
	if (c->recovering) {
		c->cwnd = MIN_OF(c->cwnd + c->mss, MAX_CWND);
		return;
	}
	if (++c->n_dup_acks != DUP_ACKS)
		return;
	c->recovering = true;
	c->recover = c->snd_max;
	c->ssthresh = MAX_OF((c->snd_max - c->snd_una) / 2, 2U * c->mss);
	c->cwnd = c->ssthresh + DUP_ACKS * c->mss;
	tcp_retransmit(net, c, now_ns);
}

static void grow_cwnd(struct tcp_connection *c, uint32_t acked_bytes)
{
	if (c->cwnd < c->ssthresh)
		c->cwnd += MIN_OF(acked_bytes, 2U * c->mss);
	else
		c->cwnd += MAX_OF((uint32_t)c->mss * c->mss / c->cwnd, 1U);
	c->cwnd = MIN_OF(c->cwnd, MAX_CWND);
}

static void new_ack(
	struct net *net, struct tcp_connection *c, uint32_t acknowledgment, uint64_t now_ns)
{
	uint32_t acked_bytes = acknowledgment - c->snd_una;
	size_t freed = MIN_OF((size_t)acked_bytes, c->tx_bytes);

	c->tx_start = (c->tx_start + freed) % TCP_TX_BYTES;
	c->tx_bytes -= freed;
	c->snd_una = acknowledgment;
	if (seq_before(c->snd_nxt, acknowledgment))
		c->snd_nxt = acknowledgment;
	c->n_dup_acks = 0;
	c->n_timeouts = 0;
	if (c->timing && !seq_before(acknowledgment, c->timed_seq)) {
		c->timing = false;
		sample_rtt(c, now_ns - c->timed_ns);
	}
	if (!c->recovering) {
		grow_cwnd(c, acked_bytes);
	} else if (!seq_before(acknowledgment, c->recover)) {
		c->recovering = false;
		c->cwnd = c->ssthresh;
	} else {
		/* One hole closed, the next one shows. */
		c->cwnd = MAX_OF(c->cwnd > acked_bytes ? c->cwnd - acked_bytes : 0,
				  (uint32_t)c->mss) +
			  c->mss;
		tcp_retransmit(net, c, now_ns);
	}
	if (c->snd_una == c->snd_max)
		c->rto_deadline_ns = NEVER_NS;
	else
		tcp_arm_rto(c, now_ns);
}

static void update_window(struct tcp_connection *c, const struct segment *segment)
{
	if (seq_before(c->snd_wl1, segment->sequence) ||
		(c->snd_wl1 == segment->sequence &&
			!seq_before(segment->acknowledgment, c->snd_wl2))) {
		/* A window that opens again ends the probing. */
		if (c->snd_wnd == 0 && segment->window) {
			c->n_timeouts = 0;
			c->snd_nxt = c->snd_una;
			c->rto_deadline_ns = NEVER_NS;
		}
		c->snd_wnd = segment->window;
		c->snd_wl1 = segment->sequence;
		c->snd_wl2 = segment->acknowledgment;
	}
}

/* False: the connection is gone, or the segment is not to be looked at further. */
static bool input_ack(
	struct net *net, struct tcp_connection *c, const struct segment *segment, uint64_t now_ns)
{
	uint32_t acknowledgment = segment->acknowledgment;

	if (c->state == TCP_SYN_RECEIVED) {
		if (acknowledgment != c->snd_nxt) {
			refuse(net, segment, now_ns);
			return false;
		}
		c->state = TCP_ESTABLISHED;
		c->snd_una = acknowledgment;
		c->n_timeouts = 0;
		c->rto_deadline_ns = NEVER_NS;
		c->snd_wl1 = segment->sequence - 1;
	}
	if (seq_after(acknowledgment, c->snd_max)) {
		tcp_acknowledge(net, c, now_ns);
		return false;
	}
	if (seq_after(acknowledgment, c->snd_una)) {
		new_ack(net, c, acknowledgment, now_ns);
		if (c->state == TCP_LAST_ACK && c->snd_una == c->snd_max) {
			c->state = TCP_CLOSED;
			return false;
		}
	} else if (acknowledgment == c->snd_una && segment->size_bytes == 0 &&
		   !(segment->flags & TCP_FIN) && segment->window == c->snd_wnd && c->snd_wnd &&
		   c->snd_max != c->snd_una) {
		duplicate_ack(net, c, now_ns);
	}
	/* Asking a closed window may take for ever, as long as there are answers. */
	if (c->snd_wnd == 0)
		c->n_timeouts = MIN_OF(c->n_timeouts, 4U);
	update_window(c, segment);
	return true;
}

static void input_data(
	struct net *net, struct tcp_connection *c, const struct segment *segment, uint64_t now_ns)
{
	size_t skip = c->rcv_nxt - segment->sequence;
	size_t length = segment->size_bytes - skip;
	size_t n = MIN_OF(length, (size_t)tcp_window(c));

	if (c->state != TCP_ESTABLISHED) {
		c->ack_due |= segment->size_bytes > 0 || segment->flags & TCP_FIN;
		return;
	}
	if (length) {
		c->service->receive(c, segment->data + skip, n);
		c->rcv_nxt += (uint32_t)n;
		c->rcv_unacked_bytes += (uint32_t)n;
		c->ack_due = true;
	}
	if (segment->flags & TCP_FIN && n == length) {
		c->rcv_nxt++;
		c->state = TCP_CLOSE_WAIT;
		c->ack_due = true;
	}
	if (c->rcv_unacked_bytes >= MAX_UNACKED_FRAMES * c->mss)
		tcp_output(net, c, now_ns);
}

/* A reset is believed only exactly where the peer would send it, RFC 5961. */
static void input_reset(
	struct net *net, struct tcp_connection *c, const struct segment *segment, uint64_t now_ns)
{
	if (segment->sequence == c->rcv_nxt)
		c->state = TCP_CLOSED;
	else if (segment->sequence - c->rcv_nxt < tcp_window(c))
		tcp_acknowledge(net, c, now_ns);
}

static void connection_input(
	struct net *net, struct tcp_connection *c, const struct segment *segment, uint64_t now_ns)
{
	uint32_t end =
		segment->sequence + (uint32_t)segment->size_bytes + !!(segment->flags & TCP_FIN);

	if (segment->flags & TCP_RST) {
		input_reset(net, c, segment, now_ns);
		return;
	}
	if (segment->flags & TCP_SYN) {
		if (c->state == TCP_SYN_RECEIVED && segment->sequence + 1 == c->rcv_nxt)
			tcp_send_syn_ack(net, c, now_ns);
		else
			tcp_acknowledge(net, c, now_ns);
		return;
	}
	if (!(segment->flags & TCP_ACK))
		return;
	tcp_heard(c, now_ns);
	if (seq_before(end, c->rcv_nxt) || (end == c->rcv_nxt && segment->sequence != c->rcv_nxt)) {
		/* Nothing new: the peer did not hear our answer, or wants to know whether we live.
		 */
		tcp_acknowledge(net, c, now_ns);
		return;
	}
	if (seq_after(segment->sequence, c->rcv_nxt)) {
		/* A hole before it. What it acknowledges counts nevertheless. */
		if (segment->sequence - c->rcv_nxt > tcp_window(c) ||
			input_ack(net, c, segment, now_ns))
			tcp_acknowledge(net, c, now_ns);
		return;
	}
	if (input_ack(net, c, segment, now_ns))
		input_data(net, c, segment, now_ns);
}

void tcp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns)
{
	const struct tcp_service *service;
	struct tcp_connection *c;
	struct segment segment;

	if (!segment_parse(net, packet, &segment)) {
		net->counters.malformed++;
		return;
	}
	if (packet->broadcast)
		return;
	c = connection_find(&net->tcp, &segment);
	if (c) {
		connection_input(net, c, &segment, now_ns);
		return;
	}
	service = tcp_service_find(segment.local_port);
	if (service && (segment.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
		accept_connection(net, service, &segment, now_ns);
	else
		refuse(net, &segment, now_ns);
}
