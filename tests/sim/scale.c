/* SPDX-License-Identifier: MIT */
#include "tests/sim/scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/rs_wire.h"

#define GENERATION 1ULL

/* What happened since the last reset. */
struct meter {
	struct bus *bus;
	uint64_t from_ns; /* the reset, or the first membership change after it */
	bool had_membership;
	uint64_t n_messages, n_chunks, sent_bytes, chunk_bytes;
};

struct row {
	unsigned n_nodes;
	struct meter join, decide, write;
	uint64_t join_all_ns, decide_ns, decide_all_ns, write_ns;
};

static void on_sent(uint32_t id _unused_, const void *bytes, size_t size_bytes, void *data)
{
	struct meter *meter = data;
	struct rs_msg msg;
	uint16_t version;

	meter->n_messages++;
	meter->sent_bytes += size_bytes;
	if (rs_wire_parse(bytes, size_bytes, RS_WIRE_ANY_VERSION, &msg, &version) < 0 ||
		msg.type != RS_WIRE_UPDATE)
		return;
	meter->n_chunks++;
	meter->chunk_bytes += msg.update.size_bytes;
}

static void on_membership(uint32_t id _unused_, size_t n_members _unused_, void *data)
{
	struct meter *meter = data;

	if (!meter->had_membership)
		meter->from_ns = bus_now_ns(meter->bus);
	meter->had_membership = true;
}

static const struct bus_watch watch = {.sent = on_sent, .membership = on_membership};

static void reset(struct meter *meter, struct bus *bus)
{
	*meter = (struct meter){.bus = bus, .from_ns = bus_now_ns(bus)};
}

static void put(struct store *store, uint64_t *version, const char *key, const char *value)
{
	*version += 1U << RS_WRITER_BITS;
	if (store_put(store, key, strlen(key), value, strlen(value), *version) < 0) {
		fprintf(stderr, "the store is full at %s\n", key);
		abort();
	}
}

/* The records that a VM has: what it is made of, who owns it, the address of its adapter. */
static void put_vm(struct store *store, uint64_t *version, unsigned number)
{
	char key[64], value[512], mac[32];

	snprintf(mac, sizeof(mac), "00:15:5d:%02x:%02x:%02x", number >> 16 & 0xff,
		number >> 8 & 0xff, number & 0xff);
	snprintf(key, sizeof(key), "vm/VM%05u", number);
	snprintf(value, sizeof(value),
		"{\"name\":\"VM%05u\",\"kernel\":\"/srv/images/vmlinuz\","
		"\"cmdline\":\"console=ttyS0 root=/dev/sda1\",\"vps\":4,\"vram_bytes\":8388608,"
		"\"memory_bytes\":4294967296,\"min_memory_bytes\":1073741824,"
		"\"max_memory_bytes\":8589934592,\"nics\":[{\"name\":\"nic0\",\"switch\":\"lan\","
		"\"vlan\":100,\"mac\":\"%s\"}],\"disks\":[{\"id\":\"disk0\",\"lun\":0,"
		"\"kind\":\"disk\",\"path\":\"V1:VM%05u/disk0.vhdx\",\"read_only\":false}]}",
		number, mac, number);
	put(store, version, key, value);
	snprintf(key, sizeof(key), "owner/vm/VM%05u", number);
	snprintf(value, sizeof(value), "{\"node\":%u,\"epoch\":7}", 1 + number % 3);
	put(store, version, key, value);
	snprintf(key, sizeof(key), "mac/%s", mac);
	snprintf(value, sizeof(value), "{\"owner\":\"vm/VM%05u/nic0\"}", number);
	put(store, version, key, value);
	snprintf(key, sizeof(key), "maclease/vm/VM%05u/nic0", number);
	snprintf(value, sizeof(value), "{\"mac\":\"%s\"}", mac);
	put(store, version, key, value);
}

static struct store *make_store(unsigned n_vms, struct rs_meta *ret_meta)
{
	struct store *store;

	if (store_new(&store) < 0)
		abort();
	*ret_meta = (struct rs_meta){
		.generation = GENERATION, .promised = GENERATION, .version = GENERATION << 32};
	for (unsigned i = 0; i < n_vms; i++)
		put_vm(store, &ret_meta->version, i);
	return store;
}

static bool all_are(struct bus *bus, bool (*is)(const struct rs *rs))
{
	for (uint32_t id = 1; id <= bus_n_nodes(bus); id++) {
		if (bus_is_running(bus, id) && !is(bus_rs(bus, id)))
			return false;
	}
	return true;
}

static bool is_synced(const struct rs *rs)
{
	return rs_mode(rs) == RS_SYNCED;
}

static bool is_undecided(const struct rs *rs)
{
	return rs_mode(rs) == RS_GATHER || rs_mode(rs) == RS_EXCHANGE;
}

static bool is_decided(const struct rs *rs)
{
	return !is_undecided(rs);
}

/* Steps until that is so; the time since the meter began. 0: it never is. */
static uint64_t measure(
	struct bus *bus, struct meter *meter, bool (*is)(const struct rs *rs), bool from_change)
{
	while (!all_are(bus, is) || (from_change && !meter->had_membership)) {
		if (!bus_step(bus))
			return 0;
	}
	return bus_now_ns(bus) - meter->from_ns;
}

/* The last node starts with nothing on its disk. */
static bool measure_join(struct bus *bus, struct meter *meter, struct row *row)
{
	uint32_t last = bus_n_nodes(bus);

	reset(meter, bus);
	bus_start(bus, last);
	while (rs_mode(bus_rs(bus, last)) != RS_SYNCED) {
		if (!bus_step(bus))
			return false;
	}
	row->join_all_ns = measure(bus, meter, rs_is_complete, false);
	bus_settle(bus);
	row->join = *meter;
	return row->join_all_ns;
}

static void step_to_change(struct bus *bus, const struct meter *meter)
{
	while (!meter->had_membership && bus_step(bus))
		continue;
}

/* One process is gone: from when the first of the others hears of that. */
static bool measure_decision(struct bus *bus, struct meter *meter, struct row *row)
{
	reset(meter, bus);
	bus_kill(bus, bus_n_nodes(bus));
	step_to_change(bus, meter);
	/* Everybody has to hear of it before anybody can have decided. */
	while (!all_are(bus, is_undecided) && bus_step(bus))
		continue;
	row->decide_ns = measure(bus, meter, is_decided, true);
	row->decide = *meter;
	row->decide_all_ns = measure(bus, meter, rs_is_complete, true);
	bus_settle(bus);
	return row->decide_ns && all_are(bus, is_synced);
}

static bool measure_write(struct bus *bus, struct meter *meter, struct row *row)
{
	struct bus_outcome outcome;

	reset(meter, bus);
	if (bus_write(bus, 1, "vm/VM00000", RS_ANY_VERSION, "{\"name\":\"VM00000\"}", &outcome) < 0)
		return false;
	while (!outcome.n_done) {
		if (!bus_step(bus))
			return false;
	}
	row->write_ns = bus_now_ns(bus) - meter->from_ns;
	row->write = *meter;
	return outcome.error == 0;
}

static bool measure_all(const struct store *store, const struct rs_meta *meta, struct row *row)
{
	struct bus *bus = bus_new(row->n_nodes, 1);
	struct meter meter;
	bool ok;

	reset(&meter, bus);
	bus_set_watch(bus, &watch, &meter);
	bus_set_pace(bus, BUS_PACE_LAN);
	bus_set_silence(bus, RS_SILENCE_NS);
	bus_set_lean(bus);
	for (uint32_t id = 1; id < row->n_nodes; id++) {
		bus_preload(bus, id, store, meta);
		bus_start(bus, id);
	}
	bus_settle(bus);
	ok = all_are(bus, rs_is_complete) && measure_join(bus, &meter, row) &&
	     measure_write(bus, &meter, row);
	if (ok) {
		bus_settle(bus);
		ok = measure_decision(bus, &meter, row);
	}
	bus_free(bus);
	return ok;
}

static void print_header(unsigned n_vms, const struct store *store)
{
	printf("%u VMs, %zu keys, a store of %zu bytes; times are simulated, in ms\n\n", n_vms,
		store_n_keys(store), store_snapshot_bytes(store));
	printf("%5s | %39s | %26s | %17s\n", "", "an empty node starts", "a process dies",
		"a write");
	printf("%5s | %10s %6s %8s %8s | %8s %8s %8s | %8s %8s\n", "nodes", "bytes", "chunks",
		"messages", "joined", "messages", "decided", "complete", "messages", "done");
}

static double ms(uint64_t ns)
{
	return (double)ns / (double)NS_PER_MS;
}

static void print_row(const struct row *row)
{
	printf("%5u | %10" PRIu64 " %6" PRIu64 " %8" PRIu64 " %8.2f | %8" PRIu64
	       " %8.2f %8.2f | %8" PRIu64 " %8.2f\n",
		row->n_nodes, row->join.chunk_bytes, row->join.n_chunks, row->join.n_messages,
		ms(row->join_all_ns), row->decide.n_messages, ms(row->decide_ns),
		ms(row->decide_all_ns), row->write.n_messages, ms(row->write_ns));
}

bool scale_print(unsigned n_vms)
{
	static const unsigned sizes[] = {3, 5, 16, 32, 64};
	struct rs_meta meta;
	struct store *store = make_store(n_vms, &meta);
	bool ok = true;

	print_header(n_vms, store);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct row row = {.n_nodes = sizes[i]};

		if (measure_all(store, &meta, &row))
			print_row(&row);
		else if (sizes[i] > RS_MAX_MEMBERS)
			printf("%5u | stays without a store: there is room for %u members\n",
				sizes[i], RS_MAX_MEMBERS);
		else
			ok = false;
		fflush(stdout);
	}
	store_free(store);
	return ok;
}
