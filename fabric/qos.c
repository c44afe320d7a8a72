/* SPDX-License-Identifier: MIT */
#include "fabric/qos.h"

#define BITS_PER_BYTE   8
#define BYTE_NS         (BITS_PER_BYTE * NS_PER_SEC) /* a byte in bits times nanoseconds */
#define WEIGHT_SCALE    1024      /* shares a weight: the default flow's is divided */
#define SHARE_BPS       1000      /* mode absolute: kbit/s */
#define DEFAULT_FLOW_OF 10        /* mode absolute: this part of the link */
#define MAX_DEBT_BYTES  INT32_MAX /* no turn takes that much; a wrong sum must not wrap */

/* ---- buckets ---- */

static int64_t bytes_in(uint64_t bps, uint64_t ns)
{
	return (int64_t)((unsigned __int128)bps * ns / BYTE_NS);
}

static void rate_init(struct rate *rate, uint64_t bps, uint64_t burst_ns, uint64_t now_ns)
{
	int64_t burst_bytes = MAX(bytes_in(bps, burst_ns), (int64_t)QOS_MIN_BURST_BYTES);

	*rate = (struct rate){
		.bps = bps,
		.tokens = burst_bytes,
		.burst_bytes = burst_bytes,
		.filled_ns = now_ns,
	};
}

/* From the time of the last fill. */
static uint64_t ns_until(const struct rate *rate, int64_t tokens)
{
	unsigned __int128 need;

	if (rate->tokens >= tokens)
		return 0;
	need = (unsigned __int128)(uint64_t)(tokens - rate->tokens) * BYTE_NS - rate->fraction;
	return (uint64_t)((need + rate->bps - 1) / rate->bps);
}

static void rate_fill(struct rate *rate, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns > rate->filled_ns ? now_ns - rate->filled_ns : 0;
	unsigned __int128 gained;

	if (elapsed_ns >= ns_until(rate, rate->burst_bytes)) {
		rate->tokens = rate->burst_bytes;
		rate->fraction = 0;
	} else {
		gained = (unsigned __int128)rate->bps * elapsed_ns + rate->fraction;
		rate->tokens += (int64_t)(gained / BYTE_NS);
		rate->fraction = (uint64_t)(gained % BYTE_NS);
	}
	rate->filled_ns += elapsed_ns;
}

static int64_t less(int64_t bytes, uint64_t n_bytes)
{
	bytes -= (int64_t)MIN(n_bytes, (uint64_t)MAX_DEBT_BYTES);
	return MAX(bytes, -(int64_t)MAX_DEBT_BYTES);
}

/* ---- configuration ---- */

static bool is_rate(uint64_t bps)
{
	return bps == 0 || (bps >= QOS_MIN_RATE_BPS && bps <= QOS_MAX_RATE_BPS);
}

const char *qos_config_error(const struct qos_config *config, enum qos_mode mode)
{
	if (!is_rate(config->max_bps))
		return "has a maximum that is not between 1 Mbit/s and 1 Tbit/s";
	if (!is_rate(config->min_bps))
		return "has a minimum that is not between 1 Mbit/s and 1 Tbit/s";
	if (config->weight > QOS_MAX_WEIGHT)
		return "has a weight above 100";
	if (config->min_bps && mode != QOS_ABSOLUTE)
		return "has a minimum, which only switches of bandwidth mode \"absolute\" know";
	if (config->weight && mode != QOS_WEIGHT)
		return "has a weight, which only switches of bandwidth mode \"weight\" know";
	if (config->max_bps && config->min_bps > config->max_bps)
		return "has a minimum above its maximum";
	return NULL;
}

static bool has_minimums(const struct qos_link *link)
{
	return link->mode != QOS_NONE && link->link_bps != 0;
}

static bool in_default_flow(const struct qos_link *link, const struct qos_port *port)
{
	return link->mode == QOS_WEIGHT ? port->config.weight == 0 : port->config.min_bps == 0;
}

/* What the port is to have before what is left is shared; the default flow is shared by
 * `n_default` ports. */
static uint64_t minimum_share(
	const struct qos_link *link, const struct qos_port *port, unsigned n_default)
{
	bool is_default = in_default_flow(link, port);
	uint64_t share;

	if (link->mode == QOS_WEIGHT)
		share = (is_default ? 1 : port->config.weight) * (uint64_t)WEIGHT_SCALE;
	else
		share = (is_default ? link->link_bps / DEFAULT_FLOW_OF : port->config.min_bps) /
			SHARE_BPS;
	if (is_default)
		share /= n_default;
	/* A minimum that the maximum keeps it from using is better used by others. */
	if (link->mode == QOS_ABSOLUTE && port->config.max_bps)
		share = MIN(share, port->config.max_bps / SHARE_BPS);
	return MAX(share, 1ULL);
}

void qos_link_init(struct qos_link *link, enum qos_mode mode, uint64_t link_bps, uint64_t now_ns)
{
	/* Ports know rounds by their number, so that goes on. */
	uint64_t round = link->round + 1;

	link_bps = MIN(link_bps, QOS_MAX_RATE_BPS);
	if (link_bps)
		link_bps = MAX(link_bps, QOS_MIN_RATE_BPS);
	*link = (struct qos_link){
		.mode = mode,
		.link_bps = link_bps,
		.round_bytes = MAX(bytes_in(link_bps, QOS_ROUND_NS), (int64_t)QOS_MIN_BURST_BYTES),
		.round = round,
		.round_shares = 1,
		.round_end_ns = now_ns,
	};
	rate_init(&link->rate, link_bps, QOS_LINK_BURST_NS, now_ns);
}

void qos_port_init(struct qos_port *port, const struct qos_link *link,
	const struct qos_config *config, uint64_t now_ns)
{
	struct qos_port before = *port;

	*port = (struct qos_port){
		.config = *config,
		.round = link->round,
		.storm_second = before.storm_second,
		.storm_frames = before.storm_frames,
		/* What it took over its share it still owes. */
		.deficit = MIN(before.deficit, 0),
	};
	rate_init(&port->max, config->max_bps, QOS_BURST_NS, now_ns);
	if (has_minimums(link))
		port->share = minimum_share(link, port, 1);
}

/* ---- turns ---- */

/* What its share of a round is worth. */
static int64_t quantum(const struct qos_link *link, const struct qos_port *port)
{
	uint64_t round_bytes = (uint64_t)link->round_bytes;
	uint64_t bytes = round_bytes * port->share / link->round_shares;

	bytes = MIN(bytes, round_bytes);
	return (int64_t)MAX(bytes, 1ULL);
}

/* A port that was not there when the round began joins it. Those it missed pay for what it took
 * over its share before, but cannot be saved up. */
static void join_round(const struct qos_link *link, struct qos_port *port)
{
	uint64_t n_missed = link->round > port->round ? link->round - port->round : 0;
	int64_t add = quantum(link, port);

	if (n_missed == 0)
		return;
	port->deficit += (int64_t)MIN(n_missed, (uint64_t)MAX_DEBT_BYTES) * add;
	port->deficit = MIN(port->deficit, add);
	port->round = link->round;
}

/* So many bytes are worth a turn. */
static int64_t pace_bytes(const struct rate *rate)
{
	int64_t bytes = bytes_in(rate->bps, QOS_PACE_NS);

	bytes = MIN(bytes, rate->burst_bytes / 2);
	return MAX(bytes, 1L);
}

static bool waits_for_maximum(struct qos_port *port, uint64_t now_ns)
{
	if (!port->max.bps)
		return false;
	rate_fill(&port->max, now_ns);
	/* Who takes the last few as they come in never sleeps. */
	return port->max.tokens <= pace_bytes(&port->max) / 8;
}

uint32_t qos_turn(
	struct qos_link *link, struct qos_port *port, uint64_t now_ns, uint64_t *ret_at_ns)
{
	int64_t most_bytes = QOS_NO_LIMIT;

	if (waits_for_maximum(port, now_ns)) {
		*ret_at_ns = port->max.filled_ns + ns_until(&port->max, pace_bytes(&port->max));
		return 0;
	}
	if (port->max.bps)
		most_bytes = MIN(most_bytes, port->max.tokens);
	if (!has_minimums(link))
		return (uint32_t)most_bytes;
	if (port->deficit <= 0)
		join_round(link, port);
	if (port->deficit <= 0) {
		rate_fill(&link->rate, now_ns);
		*ret_at_ns = link->rate.filled_ns + ns_until(&link->rate, 0);
		return 0;
	}
	return (uint32_t)MIN(most_bytes, port->deficit);
}

void qos_charge(struct qos_link *link, struct qos_port *port, uint64_t taken_bytes,
	uint64_t link_bytes, uint64_t now_ns)
{
	if (port->max.bps) {
		rate_fill(&port->max, now_ns);
		port->max.tokens = less(port->max.tokens, taken_bytes);
	}
	if (has_minimums(link)) {
		rate_fill(&link->rate, now_ns);
		link->rate.tokens = less(link->rate.tokens, link_bytes);
		port->deficit = less(port->deficit, link_bytes);
	}
}

/* The shares of those that want to send. Returns the sum of those that wait for theirs. */
static uint64_t share_out(
	struct qos_link *link, struct qos_port *const *wanting, unsigned n, uint64_t now_ns)
{
	uint64_t link_shares = link->link_bps / SHARE_BPS, sum = 0, waiting = 0, rest = 0;
	unsigned n_default = 0;

	for (unsigned i = 0; i < n; i++)
		n_default += in_default_flow(link, wanting[i]);
	for (unsigned i = 0; i < n; i++) {
		wanting[i]->share = minimum_share(link, wanting[i], n_default);
		sum += wanting[i]->share;
	}
	if (link->mode == QOS_ABSOLUTE && n > 0 && sum < link_shares)
		rest = (link_shares - sum) / n;
	for (unsigned i = 0; i < n; i++) {
		wanting[i]->share += rest;
		if (wanting[i]->deficit <= 0 && !waits_for_maximum(wanting[i], now_ns))
			waiting += wanting[i]->share;
	}
	return waiting;
}

static bool others_have_shares(struct qos_port *const *wanting, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (wanting[i]->deficit > 0)
			return true;
	}
	return false;
}

/* So many rounds until the first of those that wait has something: who took a super-frame over its
 * share may owe several. */
static int64_t rounds_needed(
	const struct qos_link *link, struct qos_port *const *wanting, unsigned n, uint64_t now_ns)
{
	int64_t fewest = INT64_MAX;

	for (unsigned i = 0; i < n; i++) {
		int64_t add = quantum(link, wanting[i]);

		if (wanting[i]->deficit <= 0 && !waits_for_maximum(wanting[i], now_ns))
			fewest = MIN(fewest, (add - wanting[i]->deficit) / add);
	}
	return fewest;
}

bool qos_round(struct qos_link *link, struct qos_port *const *wanting, unsigned n, uint64_t now_ns)
{
	uint64_t shares;
	int64_t rounds;

	if (!has_minimums(link))
		return false;
	rate_fill(&link->rate, now_ns);
	if (link->rate.tokens < 0 ||
		(now_ns < link->round_end_ns && others_have_shares(wanting, n)))
		return false;
	shares = share_out(link, wanting, n, now_ns);
	if (shares == 0)
		return false;
	link->round_shares = shares;
	rounds = rounds_needed(link, wanting, n, now_ns);
	link->round += (uint64_t)rounds;
	link->round_end_ns = now_ns + (uint64_t)link->round_bytes * BYTE_NS / link->link_bps;
	for (unsigned i = 0; i < n; i++) {
		struct qos_port *port = wanting[i];
		int64_t most_bytes = MAX(link->round_bytes, port->deficit);

		port->deficit = MIN(port->deficit + rounds * quantum(link, port), most_bytes);
		port->round = link->round;
	}
	return true;
}

/* ---- storms ---- */

bool qos_storm(struct qos_port *port, uint64_t now_ns)
{
	uint64_t second = now_ns / NS_PER_SEC;

	if (port->config.storm_fps == 0)
		return true;
	if (second != port->storm_second) {
		port->storm_second = second;
		port->storm_frames = 0;
	}
	if (port->storm_frames >= port->config.storm_fps)
		return false;
	port->storm_frames++;
	return true;
}
