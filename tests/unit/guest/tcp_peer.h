/* SPDX-License-Identifier: MIT
 *
 * tcp_peer.h - for tests of the guest's TCP: a client written on its own, a wire that loses,
 * delays, reorders and doubles frames, and a clock that jumps from event to event.
 */
#ifndef VIADUCT_TESTS_GUEST_TCP_PEER_H
#define VIADUCT_TESTS_GUEST_TCP_PEER_H

#include "vmbus/guest/net.h"

#define SIM_GUEST_IP 0x0a140001
#define SIM_PEER_IP  0x0a140002
#define SIM_N_PEERS  12
#define SIM_MAX_RX   (2 << 20)

struct sim_peer {
	uint16_t port;
	uint16_t remote_port;
	bool open, established, reset;

	const uint8_t *tx;
	size_t tx_bytes;
	bool close_when_sent;
	uint32_t iss, snd_una, snd_nxt; /* sequence numbers; data starts at iss + 1 */
	uint32_t snd_wnd;
	uint64_t retry_ns;

	uint32_t irs, rcv_nxt;
	uint16_t window;
	bool fin_received, fin_acked;
	uint8_t *rx; /* the first SIM_MAX_RX bytes, as long as they come in whole segments */
	size_t rx_bytes;
};

struct sim_frame {
	uint64_t at_ns;
	bool to_guest;
	size_t size_bytes;
	uint8_t data[ETH_FRAME_BYTES];
	struct sim_frame *next;
};

struct sim {
	struct net guest;
	struct sim_peer peers[SIM_N_PEERS];
	uint64_t now_ns;
	struct sim_frame *queue; /* by time */
	size_t n_queued;

	unsigned loss_permille, double_permille;
	uint64_t delay_ns, jitter_ns;
	bool cut;           /* nothing passes */
	size_t link_frames; /* frames the guest's link takes before it is full; 0: no bound */
	uint64_t n_to_peer;
	/* Looks at every frame on its way to the peers; NULL: nobody does. */
	void (*tap)(struct sim *sim, const struct tcp_header *tcp, size_t data_bytes);
	uint64_t tapped;
};

struct sim *sim_new(void);
void sim_free(struct sim *sim);
/* Start connecting; the data goes out once connected. */
struct sim_peer *sim_connect(struct sim *sim, uint16_t remote_port, const uint8_t *data,
	size_t size_bytes, bool close_when_sent);
/* Run until the condition holds or that much virtual time has passed; false then. */
bool sim_run(struct sim *sim, uint64_t for_ns, bool (*done)(struct sim *sim));
/* One segment of the tester's making, delivered at once. */
void sim_inject(struct sim *sim, const struct sim_peer *peer, uint32_t sequence,
	uint32_t acknowledgment, uint8_t flags, uint16_t window, const void *data,
	size_t size_bytes);

#endif
