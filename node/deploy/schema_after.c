/* SPDX-License-Identifier: MIT
 *
 * schema_after.c - settings of one object that hang together, and what is left out.
 */
#include "node/deploy/schema.h"

#include <stdio.h>
#include <string.h>

#define MEMORY_UNIT_BYTES (2LL << 20)
#define MEMORY_BYTES      (128LL << 20)
#define VRAM_BYTES        (8LL << 20)
#define MIN_VRAM_BYTES    (4LL << 20)
#define MAX_LUNS          64

static struct place_in_file place_of(const struct doc *map, const char *key)
{
	return doc_get(map, key) ? doc_get(map, key)->at : map->at;
}

/* ---- switches ---- */

static void check_switch(
	const struct doc *doc, const struct json *values, struct problems *problems)
{
	const char *type = json_get_string(values, "type", "");
	bool external = strcmp(type, "external") == 0;
	size_t n = json_length(json_get(values, "uplinks"));

	if (external && n == 0)
		problem(problems, doc->at,
			"an external switch needs 'uplink', the network adapter it is bound to");
	if (!external && type[0] && n > 0)
		problem(problems, place_of(doc, doc_get(doc, "uplink") ? "uplink" : "uplinks"),
			"only an external switch has an uplink, and this one is %s; make it "
			"external, or leave the uplink out",
			type);
	if (json_get(values, "team") && n < 2)
		problem(problems, place_of(doc, "team"),
			"a team is made of several uplinks, and this switch has %zu; name them all "
			"in 'uplinks'",
			n);
	if (strcmp(type, "private") == 0 && json_length(json_get(values, "adapters")) > 0)
		problem(problems, place_of(doc, "adapters"),
			"a private switch connects VMs only, so the host has no adapter on it; "
			"make "
			"it internal");
	if (json_get(values, "node") && json_get(values, "nodes"))
		problem(problems, place_of(doc, "nodes"),
			"'node' and 'nodes' are both there; one says where the switch is");
}

struct json *schema_after_switch(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems)
{
	struct json *one = json_get(values, "uplink");

	if (one && json_get(values, "uplinks"))
		problem(problems, place_of(doc, "uplinks"),
			"'uplink' and 'uplinks' are both there; 'uplinks' can name them all");
	if (!json_get(values, "uplinks"))
		json_set(values, "uplinks", json_array_new());
	if (one) {
		json_append(json_get(values, "uplinks"), json_ref(one));
		json_delete(values, "uplink");
	}
	if (!json_get(values, "adapters"))
		json_set(values, "adapters", json_array_new());
	/* The host has one adapter on an internal switch, whatever else it has. */
	if (sound)
		check_switch(doc, values, problems);
	return values;
}

/* ---- policies ---- */

static bool is_failback(const char *text)
{
	unsigned from, to;
	int end = 0;

	if (strcmp(text, "none") == 0 || strcmp(text, "immediate") == 0)
		return true;
	return sscanf(text, "%2u-%2u%n", &from, &to, &end) == 2 && !text[end] && from < 24 &&
	       to < 24 && from != to;
}

struct json *schema_after_policy(
	const struct doc *doc, struct json *values, bool sound _unused_, struct problems *problems)
{
	const char *failback = json_get_string(values, "failback", "none");

	if (!is_failback(failback))
		problem(problems, place_of(doc, "failback"),
			"failback is '%.40s', and must be none, immediate, or the hours of a day "
			"as "
			"22-6",
			failback);
	return values;
}

/* ---- VMs ---- */

static void set_default(struct json *values, const char *key, int64_t value)
{
	if (!json_get(values, key))
		json_set_int(values, key, value);
}

static void check_memory(
	const struct doc *doc, const struct json *values, struct problems *problems)
{
	static const char *const keys[] = {"min_memory_bytes", "memory_bytes", "max_memory_bytes"};
	static const char *const names[] = {"min-memory", "memory", "max-memory"};
	int64_t before = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int64_t bytes = json_get_int(values, keys[i], 0);

		if (bytes % MEMORY_UNIT_BYTES && doc_get(doc, names[i]))
			problem(problems, place_of(doc, names[i]),
				"%s must be a multiple of 2M, the unit in which VMs get memory",
				names[i]);
		if (bytes < before)
			problem(problems, place_of(doc, names[i]),
				"%s is below %s; memory must grow in this order: min-memory, "
				"memory, "
				"max-memory",
				names[i], names[i - 1]);
		before = bytes;
	}
}

static bool lun_is_taken(const struct json *disks, int64_t lun)
{
	for (size_t i = 0; i < json_length(disks); i++) {
		if (json_get_int(json_at(disks, i), "lun", -1) == lun)
			return true;
	}
	return false;
}

/* Disks without a LUN get the lowest that no other disk has. */
static void number_disks(const struct doc *doc, struct json *disks, struct problems *problems)
{
	const struct doc *list = doc_get(doc, "disks");

	for (size_t i = 0; i < json_length(disks); i++) {
		int64_t lun = json_get_int(json_at(disks, i), "lun", -1);

		for (size_t k = 0; lun >= 0 && k < i; k++) {
			if (json_get_int(json_at(disks, k), "lun", -1) == lun)
				problem(problems, place_of(doc_at(list, i), "lun"),
					"LUN %lld is disk %zu's already; choose another, or leave "
					"it "
					"out",
					(long long)lun, k);
		}
	}
	for (size_t i = 0; i < json_length(disks); i++) {
		struct json *disk = json_at(disks, i);
		int64_t lun = 0;

		while (lun < MAX_LUNS && lun_is_taken(disks, lun))
			lun++;
		set_default(disk, "lun", lun);
		if (!json_get(disk, "kind"))
			json_set_string(disk, "kind", "disk");
		if (strcmp(json_get_string(disk, "kind", ""), "dvd") == 0)
			json_set_bool(disk, "read_only", true);
		else if (!json_get(disk, "path"))
			problem(problems, doc_at(list, i)->at,
				"a disk needs 'path', a file or block device; only a DVD drive can "
				"be empty");
		if (!json_get(disk, "read_only"))
			json_set_bool(disk, "read_only", false);
	}
}

struct json *schema_after_vm(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems)
{
	int64_t memory, vram;

	set_default(values, "memory_bytes", MEMORY_BYTES);
	memory = json_get_int(values, "memory_bytes", 0);
	set_default(values, "min_memory_bytes", memory);
	set_default(values, "max_memory_bytes", memory);
	set_default(values, "vram_bytes", VRAM_BYTES);
	set_default(values, "vps", 1);
	if (!json_get(values, "cmdline"))
		json_set_string(values, "cmdline", "");
	if (!json_get(values, "nics"))
		json_set(values, "nics", json_array_new());
	if (!json_get(values, "disks"))
		json_set(values, "disks", json_array_new());
	vram = json_get_int(values, "vram_bytes", 0);
	if (vram & (vram - 1) || (vram && vram < MIN_VRAM_BYTES))
		problem(problems, place_of(doc, "video"),
			"video memory must be 4M, 8M, 16M, 32M or 64M, or 0 for a VM without a "
			"screen");
	if (sound) {
		check_memory(doc, values, problems);
		number_disks(doc, json_get(values, "disks"), problems);
	}
	return values;
}
