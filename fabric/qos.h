/* SPDX-License-Identifier: MIT
 *
 * qos.h - bandwidth of the ports of a switch: a maximum for what a port sends, a minimum when
 * several want more than the uplink carries, and a limit on storms.
 *
 * What a port sends waits in its own ring (a VM's) or queue (a TAP's), so shaping is deciding when
 * a port may have its next turn and how many bytes it may take: nothing is queued here and nothing
 * is lost by it.
 *
 *   maximum    a token bucket for each port, for all that it sends
 *   minimum    deficit round robin (Shreedhar and Varghese, 1995) for what leaves by the uplink. A
 *              round is worth QOS_ROUND_NS of the link and divided among the ports that want to
 *              send: in mode `weight` by their weights; in mode `absolute` each gets its minimum
 *              and what is left goes by equal shares. What a port does not use, the others get: the
 *              link's own bucket says when the next round may begin. Ports without a minimum share
 *              the default flow, which has weight 1, or a tenth of the link.
 *              Minimums bind when the link's rate is known (link_bps); the link is then paced to
 *              it. Otherwise shares are those of the worker's turns.
 *   storm      broadcast, multicast and flooded unicast frames that a port may send in a second;
 *              the excess of that second is dropped (DROP_STORM). 0: no limit.
 *
 * Bytes are those of frames: without preamble, FCS and gap, and super-frames before they are cut. A
 * link is better given a little less than its nominal rate, or it is its adapter that drops.
 *
 * Pure: time is a parameter, integers only. Memory of zeros is a port or link without limits.
 * Threads: one at a time; qos_storm() next to the others.
 */
#ifndef VIADUCT_FABRIC_QOS_H
#define VIADUCT_FABRIC_QOS_H

#include "base/clock.h"
#include "base/err.h"

#define QOS_MIN_RATE_BPS    1000000ULL /* the least that can be asked for: a turn is 64 KiB */
#define QOS_MAX_RATE_BPS    1000000000000ULL
#define QOS_MAX_WEIGHT      100
#define QOS_BURST_NS        (10 * NS_PER_MS) /* of the maximum's bucket */
#define QOS_LINK_BURST_NS   (2 * NS_PER_MS)  /* of the link's: the adapter has to hold it */
#define QOS_MIN_BURST_BYTES (64 * 1024)      /* of both: about one super-frame */
#define QOS_ROUND_NS        NS_PER_MS        /* at least QOS_MIN_BURST_BYTES */
#define QOS_PACE_NS         NS_PER_MS        /* an empty bucket is asked again when it has that */
#define QOS_NO_LIMIT        UINT32_MAX

enum qos_mode {
	QOS_NONE,
	QOS_WEIGHT,
	QOS_ABSOLUTE,
};

struct qos_config {
	uint64_t max_bps; /* 0: no maximum */
	uint64_t min_bps; /* mode absolute; 0: default flow */
	uint32_t weight;  /* mode weight, 1 to QOS_MAX_WEIGHT; 0: default flow */
	uint32_t storm_fps;
};

/* A token bucket. */
struct rate {
	uint64_t bps;   /* 0: unlimited */
	int64_t tokens; /* bytes; below zero by what was taken at once over them */
	int64_t burst_bytes;
	uint64_t filled_ns;
	uint64_t fraction; /* of a byte: bits times nanoseconds */
};

struct qos_port {
	struct qos_config config;
	struct rate max;
	/* On a link with minimums. */
	uint64_t share;        /* of a round, out of the sum of those who wait for it */
	int64_t deficit;       /* bytes this port may still send of its shares */
	uint64_t round;        /* the last one of which it has its share */
	uint64_t storm_second; /* now_ns / NS_PER_SEC */
	uint32_t storm_frames;
};

struct qos_link {
	enum qos_mode mode;
	uint64_t link_bps; /* 0: unknown */
	struct rate rate;
	int64_t round_bytes;
	uint64_t round;        /* counts them */
	uint64_t round_shares; /* the sum that `share` is out of */
	uint64_t round_end_ns; /* until then it waits for ports that have something left of it */
};

/* NULL, or what is wrong: static text that completes "the bandwidth ...". */
const char *qos_config_error(const struct qos_config *config, enum qos_mode mode);

/* Also for a link in use, before its ports. A rate above QOS_MAX_RATE_BPS counts as that. */
void qos_link_init(struct qos_link *link, enum qos_mode mode, uint64_t link_bps, uint64_t now_ns);
/* Also for a new configuration of a port in use. `config` is one without error. */
void qos_port_init(struct qos_port *port, const struct qos_link *link,
	const struct qos_config *config, uint64_t now_ns);

/* May the port have a turn? The bytes it may take, above 0, at most QOS_NO_LIMIT; or 0, and
 * `ret_at_ns` says when to ask again. A time that is not after now_ns: it waits for a new round,
 * and one may begin. */
uint32_t qos_turn(
	struct qos_link *link, struct qos_port *port, uint64_t now_ns, uint64_t *ret_at_ns);
/* In its turn it took so many, at least one frame, of which so many left by the link. */
void qos_charge(struct qos_link *link, struct qos_port *port, uint64_t taken_bytes,
	uint64_t link_bytes, uint64_t now_ns);
/* Begin a new round: each of the ports that want to send, those that wait for their maximum not
 * among them, gets its share. False: not yet, others still have something left of this round or
 * the link is busy. After a round that began at least one of those without a share has one. */
bool qos_round(struct qos_link *link, struct qos_port *const *wanting, unsigned n, uint64_t now_ns);

/* One more frame of the kind that storms are made of. False: over the limit. */
bool qos_storm(struct qos_port *port, uint64_t now_ns);

#endif
