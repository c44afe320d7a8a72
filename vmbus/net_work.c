/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

/* The channel failed for good: say so once, then do nothing until the guest opens it anew. */
static void set_broken(struct net_vsp *vsp)
{
	vsp->broken = true;
	vsp->stats.n_protocol_errors++;
}

/* 0: all are sent; -EAGAIN; -EBADMSG. */
static int send_completions(struct net_vsp *vsp)
{
	unsigned n_sent = 0;
	int r = 0;

	for (; n_sent < vsp->n_completions; n_sent++) {
		const struct net_completion *completion = &vsp->completions[n_sent];

		r = vmbus_channel_complete(vsp->channel, completion->transaction_id,
			completion->bytes, completion->size_bytes);
		if (r)
			break;
	}
	vsp->n_completions -= n_sent;
	memmove(vsp->completions, vsp->completions + n_sent,
		vsp->n_completions * sizeof(vsp->completions[0]));
	return r;
}

/* 0: the packet is done; -EAGAIN: the port is full. */
static int continue_tx(struct net_vsp *vsp)
{
	const struct net_tx_source source = {.channel = vsp->channel, .send = &vsp->send};
	struct nvsp_send_rndis_pkt_complete answer = {
		.type = NVSP_SEND_RNDIS_PKT_COMPLETE,
		.status = NVSP_STATUS_SUCCESS,
	};
	int r;

	r = net_tx_run(&vsp->tx, &source, vsp->rndis.link_up);
	if (r == -EAGAIN)
		return r;
	if (r) {
		answer.status = NVSP_STATUS_INVALID_RNDIS_PKT;
		vsp->stats.n_protocol_errors++;
	}
	net_vsp_complete(vsp, &answer, sizeof(answer));
	net_tx_end(&vsp->tx);
	return 0;
}

/* Packets of the guest. 0: no more of them now; -EINPROGRESS: a burst is done and there may be
 * more; -EAGAIN: the port or the ring is full; -EBADMSG. */
static int run_ring(struct net_vsp *vsp)
{
	for (unsigned n = 0; n < NET_RING_BURST; n++) {
		int r = 0;

		/* Room for the completion of what comes next. */
		if (vsp->n_completions == NET_MAX_COMPLETIONS)
			r = send_completions(vsp);
		if (r == 0 && !vsp->tx.busy) {
			r = vmbus_channel_recv(vsp->channel, &vsp->tx.packet);
			if (r == -EAGAIN)
				return 0;
			if (r == 0)
				net_vsp_handle_packet(vsp);
		}
		if (r == 0 && vsp->tx.busy)
			r = continue_tx(vsp);
		if (r)
			return r;
	}
	return -EINPROGRESS;
}

/* 0: all are sent, or there is no buffer for them; -EAGAIN; -EBADMSG. */
static int send_answers(struct net_vsp *vsp)
{
	const struct net_rx_sink sink = {vsp->channel, &vsp->recv, &vsp->rndis};

	while (net_recv_buf_ready(&vsp->recv)) {
		const struct net_rndis_answer *answer = net_rndis_answer(&vsp->rndis);
		int r;

		if (!answer)
			return 0;
		r = net_rx_send_answer(&sink, answer);
		if (r == -EAGAIN || r == -EBADMSG)
			return r;
		net_rndis_answer_sent(&vsp->rndis);
	}
	return 0;
}

static int run_port(struct net_vsp *vsp)
{
	const struct net_rx_sink sink = {vsp->channel, &vsp->recv, &vsp->rndis};
	int r;

	r = net_rx_run(&vsp->rx, &sink, NET_PORT_BURST);
	vsp->rx_blocked = r == -EAGAIN;
	return r;
}

bool net_vsp_work(struct net_vsp *vsp)
{
	int (*const steps[])(struct net_vsp *) = {
		run_ring,
		send_completions,
		send_answers,
		run_port,
	};
	uint64_t n_tx_before = vsp->stats.tx_frames;
	bool more = false;

	if (!vsp->channel || vsp->broken)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(steps) && !vsp->broken; i++) {
		int r = steps[i](vsp);

		if (r == -EINPROGRESS)
			more = true;
		else if (r && r != -EAGAIN)
			set_broken(vsp);
	}
	if (vsp->stats.tx_frames != n_tx_before)
		vsp->port.ops->flush(vsp->port.port);
	return more && !vsp->broken;
}

bool net_vsp_arm(struct net_vsp *vsp)
{
	uint32_t events = 0;

	if (!vsp->channel || vsp->broken)
		return false;
	/* Frames that have nowhere to go must not keep the worker awake: the guest's next
	 * completion, or room in the ring, will. */
	if (!vsp->rx_blocked)
		events |= ETH_FRAMES;
	if (vsp->tx.busy)
		events |= ETH_ROOM;
	return events && vsp->port.ops->arm(vsp->port.port, events);
}
