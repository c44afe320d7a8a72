/* SPDX-License-Identifier: MIT
 *
 * nic_offload.c - what a VM's adapters may leave to us, with nothing left unsaid. A guest's driver
 * agrees on it when it binds, so what is in force is what its process was started with, and that
 * goes where the guest goes: to another node, into a saved state.
 */
#include "node/svc/nic.h"

#include <string.h>

static const struct {
	const char *name;
	enum nic_offload what;
} flags[] = {{"lso", NIC_LSO}, {"rsc", NIC_RSC}, {"rss", NIC_RSS}};
static const char *const csums[] = {"off", "tx", "rx", "both"};

static bool is_csum(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(csums); i++) {
		if (strcmp(text, csums[i]) == 0)
			return true;
	}
	return false;
}

bool nic_offload_has(const struct json *offload, enum nic_offload what)
{
	const char *csum = json_get_string(offload, "csum", "both");
	bool both = strcmp(csum, "both") == 0;
	bool tx = both || strcmp(csum, "tx") == 0, rx = both || strcmp(csum, "rx") == 0;

	switch (what) {
	case NIC_CSUM_TX:
		return tx;
	case NIC_CSUM_RX:
		return rx;
	/* A segment's checksum is made where it is cut, and checked where several become one. */
	case NIC_LSO:
		return tx && json_get_bool(offload, "lso", true);
	case NIC_RSC:
		return rx && json_get_bool(offload, "rsc", true);
	case NIC_RSS:
		return json_get_bool(offload, "rss", true);
	}
	return false;
}

struct json *nic_offload_complete(const struct json *nic)
{
	const struct json *offload = json_get(nic, "offload");
	struct json *complete = json_object_new();

	json_set_string(complete, "csum", json_get_string(offload, "csum", "both"));
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		json_set_bool(complete, flags[i].name, nic_offload_has(offload, flags[i].what));
	return complete;
}

struct json *nic_offloads(const struct json *config)
{
	const struct json *nics = json_get(config, "nics");
	struct json *list = json_array_new();

	for (size_t i = 0; i < json_length(nics); i++)
		json_append(list, nic_offload_complete(json_at(nics, i)));
	return list;
}

static bool is_complete(const struct json *offload)
{
	struct json *value;
	const char *key;
	void *at = NULL;
	size_t n = 0;

	if (!is_csum(json_get_string(offload, "csum", "")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (!json_is_bool(json_get(offload, flags[i].name)))
			return false;
	}
	while (json_next(offload, &at, &key, &value))
		n++;
	return n == 1 + ARRAY_LEN(flags);
}

bool nic_offloads_are_valid(const struct json *offloads, const struct json *config)
{
	if (!json_is_array(offloads) ||
		json_length(offloads) != json_length(json_get(config, "nics")))
		return false;
	for (size_t i = 0; i < json_length(offloads); i++) {
		if (!is_complete(json_at(offloads, i)))
			return false;
	}
	return true;
}
