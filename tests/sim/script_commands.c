/* SPDX-License-Identifier: MIT */
#include "tests/sim/script.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/sim/fleet.h"
#include "tests/sim/history.h"

/* Bit id - 1 for each. */
typedef uint64_t node_set;

bool script_mode(const char *word, enum rs_mode *ret_mode)
{
	static const char *const names[] = {
		[RS_DOWN] = "down",
		[RS_GATHER] = "gather",
		[RS_EXCHANGE] = "exchange",
		[RS_UPDATE] = "update",
		[RS_SYNCED] = "synced",
		[RS_NO_QUORUM] = "no-quorum",
		[RS_OUTDATED] = "outdated",
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(word, names[i]) == 0) {
			*ret_mode = (enum rs_mode)i;
			return true;
		}
	}
	return false;
}

uint32_t script_node(struct script *script, const char *word)
{
	char *end;
	unsigned long id = strtoul(word, &end, 10);

	if (*end == '\0' && id >= 1 && id <= bus_n_nodes(script->sim->bus))
		return (uint32_t)id;
	script_fail(script, "'%s' is no node", word);
	return 0;
}

/* "{1,2}" or "1". */
static node_set parse_set(struct script *script, const char *word)
{
	char text[256], *rest = NULL, *item;
	node_set set = 0;
	uint32_t id;

	snprintf(text, sizeof(text), "%s", word);
	for (item = strtok_r(text, "{,}", &rest); item; item = strtok_r(NULL, "{,}", &rest)) {
		id = script_node(script, item);
		if (id)
			set |= 1ULL << (id - 1);
	}
	return set;
}

static bool has(node_set set, uint32_t id)
{
	return set >> (id - 1) & 1;
}

/* Each node of the arguments. */
static void for_each_node(struct script *script, char *const *words, size_t n_words,
	void (*fn)(struct script *script, uint32_t id))
{
	for (size_t i = 1; i < n_words; i++) {
		node_set set = parse_set(script, words[i]);

		for (uint32_t id = 1; id <= bus_n_nodes(script->sim->bus); id++) {
			if (has(set, id))
				fn(script, id);
		}
	}
}

static void start_one(struct script *script, uint32_t id)
{
	if (bus_is_running(script->sim->bus, id))
		script_fail(script, "node %u runs", id);
	else
		sim_start(script->sim, id);
}

static bool must_run(struct script *script, uint32_t id)
{
	if (id && bus_is_running(script->sim->bus, id))
		return true;
	script_fail(script, "node %u does not run", id);
	return false;
}

static void crash_one(struct script *script, uint32_t id)
{
	if (must_run(script, id))
		sim_kill(script->sim, id);
}

static void hang_one(struct script *script, uint32_t id)
{
	bus_hang(script->sim->bus, id, true);
}

static void wake_one(struct script *script, uint32_t id)
{
	bus_hang(script->sim->bus, id, false);
}

static void disconnect_one(struct script *script, uint32_t id)
{
	if (must_run(script, id))
		bus_disconnect(script->sim->bus, id);
}

static void connect_one(struct script *script, uint32_t id)
{
	if (must_run(script, id) && !bus_is_connected(script->sim->bus, id))
		bus_connect(script->sim->bus, id);
}

static void fail_disk_one(struct script *script, uint32_t id)
{
	sim_log(script->sim, id, "has a disk that fails");
	bus_fail_disk(script->sim->bus, id, true);
}

static void stall_disk_one(struct script *script, uint32_t id)
{
	sim_log(script->sim, id, "has a disk that does not answer");
	bus_stall_disk(script->sim->bus, id, true);
}

static void repair_disk_one(struct script *script, uint32_t id)
{
	sim_log(script->sim, id, "has a disk that works");
	bus_stall_disk(script->sim->bus, id, false);
	bus_fail_disk(script->sim->bus, id, false);
}

static void do_partition(struct script *script, char *const *words, size_t n_words)
{
	unsigned sides[BUS_MAX_NODES + 1] = {};

	for (size_t i = 1; i < n_words; i++) {
		node_set set = parse_set(script, words[i]);

		for (uint32_t id = 1; id <= bus_n_nodes(script->sim->bus); id++) {
			if (has(set, id))
				sides[id] = (unsigned)i;
		}
		sim_log(script->sim, 0, "side %zu of the network: %s", i, words[i]);
	}
	bus_split(script->sim->bus, sides);
}

static void do_merge(struct script *script, char *const *words _unused_, size_t n_words _unused_)
{
	sim_log(script->sim, 0, "the network is one again");
	bus_heal(script->sim->bus);
}

static void do_slow(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);
	unsigned factor = (unsigned)strtoul(words[2], NULL, 10);

	sim_log(script->sim, id, "is %u times slower", factor);
	if (id && factor > 0)
		bus_slow(script->sim->bus, id, factor);
}

/* "lag SET MICROSECONDS" */
static void do_lag(struct script *script, char *const *words, size_t n_words _unused_)
{
	node_set set = parse_set(script, words[1]);
	uint64_t lag_us = strtoull(words[2], NULL, 10);

	for (uint32_t id = 1; id <= bus_n_nodes(script->sim->bus); id++) {
		if (!has(set, id))
			continue;
		sim_log(script->sim, id, "gets messages %s us late", words[2]);
		bus_lag(script->sim->bus, id, lag_us * NS_PER_US);
	}
}

/* "device VOTES [NODE|none]": for everybody, or for the side with that node. */
static void do_device(struct script *script, char *const *words, size_t n_words)
{
	uint32_t votes = (uint32_t)strtoul(words[1], NULL, 10), id = 0;

	if (n_words > 2 && strcmp(words[2], "none") == 0)
		id = BUS_NO_SIDE;
	else if (n_words > 2)
		id = script_node(script, words[2]);
	sim_log(script->sim, 0, "the quorum device has %u votes%s%s", votes,
		n_words > 2 ? ", for the side of " : "", n_words > 2 ? words[2] : "");
	bus_set_device_side(script->sim->bus, id);
	bus_set_device_votes(script->sim->bus, votes);
}

/* "speaks SET OLDEST NEWEST": processes that start from now on. */
static void do_speaks(struct script *script, char *const *words, size_t n_words _unused_)
{
	node_set set = parse_set(script, words[1]);
	uint16_t oldest = (uint16_t)strtoul(words[2], NULL, 10);
	uint16_t newest = (uint16_t)strtoul(words[3], NULL, 10);

	for (uint32_t id = 1; id <= bus_n_nodes(script->sim->bus); id++) {
		if (!has(set, id))
			continue;
		sim_log(script->sim, id, "will speak versions %u to %u", oldest, newest);
		bus_set_speaks(script->sim->bus, id, oldest, newest);
	}
}

/* "raise NODE FLOOR" */
static void do_raise(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);
	char value[64];

	snprintf(value, sizeof(value), "{\"floor\":%s}", words[2]);
	if (must_run(script, id))
		history_write(script->sim->history, id, RS_PROTOCOL_KEY, RS_ANY_VERSION, value,
			NULL, NULL);
}

static void write_value(
	struct script *script, char *const *words, uint64_t expected, const char *value)
{
	uint32_t id = script_node(script, words[1]);

	if (must_run(script, id))
		history_write(script->sim->history, id, words[2], expected, value, NULL, NULL);
}

static void do_write(struct script *script, char *const *words, size_t n_words _unused_)
{
	write_value(script, words, RS_ANY_VERSION, words[3]);
}

static void do_create(struct script *script, char *const *words, size_t n_words _unused_)
{
	write_value(script, words, 0, words[3]);
}

static uint64_t version_at(struct script *script, char *const *words)
{
	uint32_t id = script_node(script, words[1]);

	return must_run(script, id) ? bus_version(script->sim->bus, id, words[2]) : 0;
}

static void do_replace(struct script *script, char *const *words, size_t n_words _unused_)
{
	write_value(script, words, version_at(script, words), words[3]);
}

static void do_delete(struct script *script, char *const *words, size_t n_words _unused_)
{
	write_value(script, words, version_at(script, words), NULL);
}

/* "fill NODE N BYTES": keys that the log does not speak of. */
static void do_fill(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);
	unsigned n_keys = (unsigned)strtoul(words[2], NULL, 10);
	size_t value_bytes = strtoul(words[3], NULL, 10);
	char *value, key[RS_KEY_MAX_LEN];

	if (!must_run(script, id) || value_bytes < 2 || value_bytes > RS_VALUE_MAX_BYTES)
		return;
	value = calloc(1, value_bytes + 1);
	if (!value)
		abort();
	memset(value, 'x', value_bytes);
	value[0] = value[value_bytes - 1] = '"';
	sim_log(script->sim, id, "writes %u keys of %zu bytes", n_keys, value_bytes);
	for (unsigned i = 0; i < n_keys; i++) {
		snprintf(key, sizeof(key), SIM_QUIET_PREFIX "%05u", i);
		history_write(script->sim->history, id, key, RS_ANY_VERSION, value, NULL, NULL);
	}
	free(value);
}

static void do_claim(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);

	if (must_run(script, id))
		fleet_claim(script->sim->fleet, id, words[2]);
}

static void do_move(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);
	uint32_t to = strcmp(words[3], "0") == 0 ? 0 : script_node(script, words[3]);

	if (must_run(script, id))
		fleet_move(script->sim->fleet, id, words[2], to);
}

static void do_look(struct script *script, char *const *words, size_t n_words _unused_)
{
	uint32_t id = script_node(script, words[1]);

	if (must_run(script, id))
		fleet_look(script->sim->fleet, id, words[2]);
}

/* "expect synced SET": with each other, with all writes confirmed, and with nobody else. */
static void expect_synced(struct script *script, node_set set)
{
	struct bus *bus = script->sim->bus;

	for (uint32_t id = 1; id <= bus_n_nodes(bus); id++) {
		if (!has(set, id))
			continue;
		if (!bus_is_running(bus, id) || !rs_is_complete(bus_rs(bus, id)))
			script_fail(script, "node %u is not synced with everybody", id);
		for (uint32_t other = 1; other <= bus_n_nodes(bus) && !script->failed; other++) {
			if (rs_member_is_synced(bus_rs(bus, id), other) != has(set, other))
				script_fail(script, "node %u is wrong about node %u", id, other);
		}
	}
}

static void expect_value(struct script *script, node_set set, const char *key, const char *value)
{
	struct bus *bus = script->sim->bus;

	for (uint32_t id = 1; id <= bus_n_nodes(bus); id++) {
		if (has(set, id) && must_run(script, id) &&
			strcmp(bus_get(bus, id, key), value) != 0)
			script_fail(
				script, "%s is '%s' at node %u", key, bus_get(bus, id, key), id);
	}
}

static void expect_mode(struct script *script, node_set set, const char *name)
{
	struct bus *bus = script->sim->bus;
	enum rs_mode mode;

	if (!script_mode(name, &mode)) {
		script_fail(script, "'%s' is no mode", name);
		return;
	}
	for (uint32_t id = 1; id <= bus_n_nodes(bus); id++) {
		if (has(set, id) && must_run(script, id) && rs_mode(bus_rs(bus, id)) != mode)
			script_fail(script, "node %u is not in mode '%s'", id, name);
	}
}

static void do_expect(struct script *script, char *const *words, size_t n_words)
{
	node_set set = n_words > 2 ? parse_set(script, words[2]) : 0;

	if (n_words == 3 && strcmp(words[1], "synced") == 0)
		expect_synced(script, set);
	else if (n_words == 5 && strcmp(words[1], "value") == 0)
		expect_value(script, set, words[3], words[4]);
	else if (n_words == 4 && strcmp(words[1], "absent") == 0)
		expect_value(script, set, words[3], "");
	else if (n_words == 4 && strcmp(words[1], "mode") == 0)
		expect_mode(script, set, words[3]);
	else
		script_fail(script, "'expect' wants synced, value, absent or mode");
}

static const struct {
	const char *name;
	size_t min_words, max_words; /* itself included */
	void (*fn)(struct script *script, char *const *words, size_t n_words);
	void (*each)(struct script *script, uint32_t id); /* in its place: of each node named */
} commands[] = {
	{"start", 2, SCRIPT_MAX_WORDS, .each = start_one},
	{"crash", 2, SCRIPT_MAX_WORDS, .each = crash_one},
	{"hang", 2, SCRIPT_MAX_WORDS, .each = hang_one},
	{"wake", 2, SCRIPT_MAX_WORDS, .each = wake_one},
	{"disconnect", 2, SCRIPT_MAX_WORDS, .each = disconnect_one},
	{"connect", 2, SCRIPT_MAX_WORDS, .each = connect_one},
	{"disk-fails", 2, SCRIPT_MAX_WORDS, .each = fail_disk_one},
	{"disk-works", 2, SCRIPT_MAX_WORDS, .each = repair_disk_one},
	{"disk-stalls", 2, SCRIPT_MAX_WORDS, .each = stall_disk_one},
	{"partition", 2, SCRIPT_MAX_WORDS, do_partition},
	{"merge", 1, 1, do_merge},
	{"slow", 3, 3, do_slow},
	{"lag", 3, 3, do_lag},
	{"device", 2, 3, do_device},
	{"speaks", 4, 4, do_speaks},
	{"raise", 3, 3, do_raise},
	{"write", 4, 4, do_write},
	{"create", 4, 4, do_create},
	{"replace", 4, 4, do_replace},
	{"delete", 3, 3, do_delete},
	{"fill", 4, 4, do_fill},
	{"claim", 3, 3, do_claim},
	{"move", 4, 4, do_move},
	{"look", 3, 3, do_look},
	{"expect", 3, 5, do_expect},
};

void script_command(struct script *script, char *const *words, size_t n_words)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(words[0], commands[i].name) != 0)
			continue;
		if (n_words < commands[i].min_words || n_words > commands[i].max_words)
			script_fail(script, "'%s' does not fit so many arguments", words[0]);
		else if (commands[i].each)
			for_each_node(script, words, n_words, commands[i].each);
		else
			commands[i].fn(script, words, n_words);
		return;
	}
	script_fail(script, "'%s' is no command", words[0]);
}
