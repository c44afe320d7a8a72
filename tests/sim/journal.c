/* SPDX-License-Identifier: MIT
 *
 * The log of a simulation: who saw what, decided what and was told what, when.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cluster/rs_core.h"
#include "tests/sim/sim.h"

#define VALUE_MAX_SHOWN 40

void sim_log(struct sim *sim, uint32_t id, const char *format, ...)
{
	uint64_t now_us = bus_now_ns(sim->bus) / 1000;
	char text[400];
	va_list args;
	int len;

	if (!sim->is_logged)
		return;
	len = snprintf(text, sizeof(text), "%4" PRIu64 ".%06" PRIu64 "  ", now_us / 1000000,
		now_us % 1000000);
	buf_bytes(&sim->log, text, (size_t)len);
	if (id) {
		len = snprintf(text, sizeof(text), "node %u  ", id);
		buf_bytes(&sim->log, text, (size_t)len);
	}
	va_start(args, format);
	len = vsnprintf(text, sizeof(text) - 1, format, args);
	va_end(args);
	len = MIN(len, (int)sizeof(text) - 2);
	text[len] = '\n';
	buf_bytes(&sim->log, text, (size_t)len + 1);
}

bool sim_is_quiet(const char *key)
{
	return strncmp(key, SIM_QUIET_PREFIX, strlen(SIM_QUIET_PREFIX)) == 0;
}

const char *journal_version(uint64_t version)
{
	static char texts[4][48];
	static unsigned turn;
	char *text = texts[turn++ % ARRAY_LEN(texts)];

	if (version == 0)
		return "none";
	snprintf(text, sizeof(texts[0]), "%u.%u.%u", (unsigned)(version >> 32),
		(unsigned)(version >> RS_WRITER_BITS & RS_MAX_POSITION),
		(unsigned)(version & ((1U << RS_WRITER_BITS) - 1)));
	return text;
}

static void list_peers(const struct rs *rs, bool (*wanted)(const struct rs *rs, size_t i),
	char *text, size_t size_bytes)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < rs->n_peers && len < size_bytes; i++) {
		if (!wanted || wanted(rs, i))
			len += (size_t)snprintf(text + len, size_bytes - len, "%s%u",
				len ? "," : "", rs->peers[i].id);
	}
}

static bool has_other_store(const struct rs *rs, size_t i)
{
	return memcmp(rs->peers[i].state.digest, rs->peers[rs->leader].state.digest,
		       RS_DIGEST_BYTES) != 0;
}

static void log_decision(struct sim *sim, uint32_t id, const struct rs *rs)
{
	const struct rs_peer *leader = &rs->peers[rs->leader];
	char peers[200], others[200], protocol[32] = "";

	if (rs->protocol != RS_WIRE_NEWEST)
		snprintf(protocol, sizeof(protocol), ", protocol %u", rs->protocol);
	list_peers(rs, NULL, peers, sizeof(peers));
	list_peers(rs, has_other_store, others, sizeof(others));
	sim_log(sim, id,
		"decides: generation %" PRIu64 " of {%s}, store of node %u (generation %" PRIu64
		", version %s)%s%s%s%s",
		rs->epoch.generation, peers, leader->id, leader->state.generation,
		journal_version(leader->state.version), others[0] ? ", handed to {" : "", others,
		others[0] ? "}" : "", protocol);
}

static void log_mode(struct sim *sim, uint32_t id, const struct rs *rs, enum rs_mode was)
{
	char peers[200];

	list_peers(rs, NULL, peers, sizeof(peers));
	switch (rs->mode) {
	case RS_DOWN:
		sim_log(sim, id, "is in no group");
		break;
	case RS_GATHER:
		break;
	case RS_EXCHANGE:
		sim_log(sim, id, "is asked for generation %" PRIu64 " of {%s} by node %u",
			rs->epoch.generation, peers, rs->epoch.initiator);
		break;
	case RS_UPDATE:
		log_decision(sim, id, rs);
		break;
	case RS_SYNCED:
		if (was == RS_UPDATE)
			sim_log(sim, id, "has taken the store over: %zu keys",
				store_n_keys(rs->store));
		else
			log_decision(sim, id, rs);
		break;
	case RS_NO_QUORUM:
		sim_log(sim, id, "decides: no quorum in {%s}, reads only", peers);
		break;
	case RS_OUTDATED:
		sim_log(sim, id, "cannot speak version %u of the protocol", rs_needed(rs));
		break;
	}
}

void journal_changed(struct sim *sim, uint32_t id)
{
	struct rs *rs = bus_rs(sim->bus, id);
	bool complete = rs_is_complete(rs);

	if (!sim->is_logged)
		return;
	/* EXCHANGE again is another epoch. */
	if (rs->mode != sim->modes[id])
		log_mode(sim, id, rs, sim->modes[id]);
	sim->modes[id] = rs->mode;
	if (complete && !sim->complete[id])
		sim_log(sim, id, "knows that all have the store");
	sim->complete[id] = complete;
}

/* A write that came back too late for the epoch it was sent in. */
void journal_sent(struct sim *sim, uint32_t id, const void *bytes, size_t size_bytes)
{
	struct rs_msg msg;
	uint16_t version;

	if (!sim->is_logged ||
		rs_wire_parse(bytes, size_bytes, RS_WIRE_ANY_VERSION, &msg, &version) < 0 ||
		msg.type != RS_WIRE_WRITE)
		return;
	if (msg.write.ticket <= sim->tickets[id])
		sim_log(sim, id, "sends the write of %.*s again", (int)msg.write.key_len,
			msg.write.key);
	sim->tickets[id] = MAX(sim->tickets[id], msg.write.ticket);
}

void journal_applied(struct sim *sim, uint32_t id, const char *key, const struct store_entry *entry)
{
	if (!sim->is_logged || sim_is_quiet(key))
		return;
	if (entry)
		sim_log(sim, id, "has %s = %.*s, version %s", key,
			MIN((int)entry->value_bytes, VALUE_MAX_SHOWN), entry->value,
			journal_version(entry->version));
	else
		sim_log(sim, id, "has no %s any more", key);
}
