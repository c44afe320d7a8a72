/* SPDX-License-Identifier: MIT
 *
 * pump.h - a process that holds one end of a switch port, as a VM process does, and pushes frames
 * through it: the load of `tests/bench/run switch`, the same for every switch.
 *
 * The ports differ only behind eth_ops. A pump sleeps on its port's event_fd when there is nothing
 * to do; it does not spin.
 *
 *   blast, sink     as many frames as go; count those that come
 *   ping, echo      one frame outstanding; send it back
 *   send, receive   one TCP stream (pump_stream.c)
 *
 * The first of each pair leads. Frames of an ethertype of their own keep the two together: the
 * leader says hello until it is answered, which also teaches a switch where both are, and says end
 * until that is answered. The stream has TCP's own SYN and FIN for that.
 *
 * Everything is bounded: by run_ns and max_frames, and by deadline_ns in any case.
 */
#ifndef VIADUCT_TESTS_BENCH_PUMP_H
#define VIADUCT_TESTS_BENCH_PUMP_H

#include "base/eth_ops.h"
#include "base/json.h"

#define PUMP_MAX_FLOWS 64
#define PUMP_BURST     64

struct pump_port {
	const struct eth_ops *ops;
	void *port;
	bool kicked; /* event_fd holds kicks, to be read; otherwise it is the device itself */
};

/* "shm:MEMORY,KICK_SWITCH,KICK_VM", "tap:FD" or "packet:FD" (a raw socket with PACKET_VNET_HDR),
 * of inherited descriptors. `offload`: this end takes unfinished checksums and super-frames. What
 * was left in the device by others is thrown away. -EINVAL: no such thing. */
int pump_port_open(const char *spec, bool offload, struct pump_port *ret_port);
void pump_port_close(struct pump_port *port);

/* The device backend, for pump_port.c (pump_device.c). Takes `fd` over, also on failure. */
int pump_device_new(int fd, bool offload, void **ret_port);
void pump_device_free(void *port);
const struct eth_ops *pump_device_eth_ops(void);

struct pump {
	struct pump_port port;
	uint8_t mac[ETH_ADDR_LEN], peer_mac[ETH_ADDR_LEN];
	bool offload;
	bool alone;            /* blast: nobody is there to answer */
	unsigned frame_bytes;  /* blast, ping: without FCS */
	unsigned n_flows;      /* blast: UDP flows that take turns */
	unsigned window_bytes; /* send */
	uint64_t run_ns;
	uint64_t max_frames;  /* 0: any number */
	uint64_t deadline_ns; /* monotonic */
};

/* Each runs one role and adds what it measured to `result`. -ETIMEDOUT: the other did not come. */
int pump_blast(struct pump *pump, struct json *result);
int pump_sink(struct pump *pump, struct json *result);
int pump_ping(struct pump *pump, struct json *result);
int pump_echo(struct pump *pump, struct json *result);
int pump_send(struct pump *pump, struct json *result);
int pump_receive(struct pump *pump, struct json *result);

/* Sleep until one of `events` happened or `until_ns`, which is cut to the deadline. 0; -ETIMEDOUT;
 * -errno. Flush first. */
int pump_wait(struct pump *pump, uint32_t events, uint64_t until_ns);
/* Send one frame, waiting for room. */
int pump_put(struct pump *pump, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov);
/* CPU time of this process. */
uint64_t pump_cpu_ns(void);

#endif
