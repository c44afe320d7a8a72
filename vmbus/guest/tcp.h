/* SPDX-License-Identifier: MIT
 *
 * tcp.h - a TCP server (RFC 9293, 5681, 6298, 6582) with three services: echo on port 7, discard on
 * port 9, and a source of a known pattern on port 19 (byte n of the stream is n % 251).
 *
 * It never opens a connection and never closes one first, so there is no state for either. It keeps
 * no segments that arrive out of order; the peer sends them again. A connection lives through a
 * silence of about a minute with data under way, and for ever without; a peer that is gone for good
 * is found out by keepalives.
 */
#ifndef VIADUCT_VMBUS_GUEST_TCP_H
#define VIADUCT_VMBUS_GUEST_TCP_H

#include "vmbus/guest/mem.h"

#define TCP_N_CONNECTIONS  8
#define TCP_TX_BYTES       65536 /* a power of two */
#define TCP_PATTERN_PERIOD 251

#define TCP_PORT_ECHO    7
#define TCP_PORT_DISCARD 9
#define TCP_PORT_SOURCE  19

struct net;
struct ipv4_packet;
struct tcp_service;

enum tcp_state {
	TCP_CLOSED,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_CLOSE_WAIT, /* the peer is done; our data is still going out */
	TCP_LAST_ACK,   /* FIN sent */
};

struct tcp_connection {
	enum tcp_state state;
	const struct tcp_service *service;
	uint32_t remote_ip;
	uint16_t remote_port, local_port;
	uint16_t mss; /* what fits a segment to the peer */

	/* Sending. The buffer holds tx_bytes from snd_una on, at tx_start; [snd_una, snd_nxt) is
	 * under way; snd_max is the furthest snd_nxt has been. */
	uint32_t snd_una, snd_nxt, snd_max;
	uint32_t snd_wnd, snd_wl1, snd_wl2;
	uint32_t cwnd, ssthresh;
	uint32_t recover; /* fast recovery ends here */
	bool recovering;
	unsigned n_dup_acks;

	/* Receiving. */
	uint32_t rcv_nxt;
	uint32_t rcv_edge; /* right edge of the window as last told */
	uint32_t rcv_unacked_bytes;
	bool ack_due;

	/* Timers. */
	uint64_t rto_ns, rto_deadline_ns; /* the latter NEVER_NS: off */
	unsigned n_timeouts;              /* in a row */
	uint64_t srtt_ns, rttvar_ns;      /* srtt 0: no sample yet */
	bool timing;                      /* a sample is being taken: */
	uint32_t timed_seq;
	uint64_t timed_ns;
	uint64_t probe_deadline_ns;
	unsigned n_probes;

	uint64_t n_produced; /* bytes a service made up so far */
	size_t tx_start, tx_bytes;
	uint8_t tx[TCP_TX_BYTES];
};

struct tcp {
	struct tcp_connection connections[TCP_N_CONNECTIONS];
	uint64_t n_retransmits;
	uint64_t n_refused; /* connections for which there was no room */
};

void tcp_init(struct tcp *tcp);
void tcp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns);
void tcp_run(struct net *net, uint64_t now_ns);
uint64_t tcp_deadline(const struct tcp *tcp);
unsigned tcp_n_open(const struct tcp *tcp);

/* --- between the files of TCP --- */

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_after(uint32_t a, uint32_t b)
{
	return seq_before(b, a);
}

struct tcp_service {
	uint16_t port;
	/* Bytes it takes now. */
	size_t (*room)(const struct tcp_connection *connection);
	void (*receive)(struct tcp_connection *connection, const uint8_t *data, size_t size_bytes);
	/* Put what there is to say into the buffer. NULL: nothing ever. */
	void (*produce)(struct tcp_connection *connection);
};

const struct tcp_service *tcp_service_find(uint16_t port);

/* Receive window to tell the peer. */
uint32_t tcp_window(const struct tcp_connection *connection);
/* Send what the windows allow, then an acknowledgment if one is still due. */
void tcp_output(struct net *net, struct tcp_connection *connection, uint64_t now_ns);
void tcp_acknowledge(struct net *net, struct tcp_connection *connection, uint64_t now_ns);
void tcp_send_syn_ack(struct net *net, struct tcp_connection *connection, uint64_t now_ns);
/* The segment at snd_una once more. */
void tcp_retransmit(struct net *net, struct tcp_connection *connection, uint64_t now_ns);
void tcp_drop(struct net *net, struct tcp_connection *connection, uint64_t now_ns);
/* Answer a segment that belongs to nothing; `sequence` and `acknowledgment` are of the answer. */
void tcp_send_reset(struct net *net, uint32_t ip, uint16_t local_port, uint16_t remote_port,
	uint32_t sequence, uint32_t acknowledgment, bool with_ack, uint64_t now_ns);
void tcp_arm_rto(struct tcp_connection *connection, uint64_t now_ns);
/* The peer was heard: put off the keepalive. */
void tcp_heard(struct tcp_connection *connection, uint64_t now_ns);

#endif
