/* SPDX-License-Identifier: MIT */
#include "node/vm/vm.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int refuse(char *error, size_t size_bytes, const char *format, ...) _printf_(3, 4);

static int refuse(char *error, size_t size_bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size_bytes, format, args);
	va_end(args);
	return -EINVAL;
}

static int parse_mac(const char *text, uint8_t mac[ETH_ADDR_LEN])
{
	unsigned b[ETH_ADDR_LEN];
	char rest;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
					  &b[3], &b[4], &b[5], &rest) != ETH_ADDR_LEN)
		return -EINVAL;
	for (unsigned i = 0; i < ETH_ADDR_LEN; i++)
		mac[i] = (uint8_t)b[i];
	return mac[0] & 1 ? -EINVAL : 0; /* a group address is nobody's own */
}

/* {csum: "off" | "tx" | "rx" | "both", lso, rsc, rss: bool}: what is absent is on. NULL, or what is
 * wrong. */
static const char *parse_offload(const struct json *offload, struct vm_nic_spec *nic)
{
	static const struct {
		const char *name;
		uint32_t withheld;
	} csums[] = {
		{"both", 0},
		{"tx", NETVSP_CSUM_RX},
		{"rx", NETVSP_CSUM_TX},
		{"off", NETVSP_CSUM_TX | NETVSP_CSUM_RX},
	};
	static const char *const flags[] = {"lso", "rsc", "rss"};
	const struct json *csum = json_get(offload, "csum");
	size_t i = 0;

	if (offload && !json_is_object(offload))
		return "its offload must be an object";
	for (size_t k = 0; k < ARRAY_LEN(flags); k++) {
		if (json_get(offload, flags[k]) && !json_is_bool(json_get(offload, flags[k])))
			return "lso, rsc and rss must be true or false";
	}
	while (csum && i < ARRAY_LEN(csums) && strcmp(json_string(csum, ""), csums[i].name) != 0)
		i++;
	if (i == ARRAY_LEN(csums))
		return "csum must be off, tx, rx or both";
	nic->withheld = csums[i].withheld;
	if (!json_get_bool(offload, "lso", true))
		nic->withheld |= NETVSP_LSO;
	if (!json_get_bool(offload, "rsc", true))
		nic->withheld |= NETVSP_RSC;
	nic->one_queue = !json_get_bool(offload, "rss", true);
	return NULL;
}

static int parse_nics(const struct json *nics, struct vm_spec *spec, char *error, size_t size_bytes)
{
	size_t n = json_length(nics);

	if (n > VM_MAX_NICS)
		return refuse(
			error, size_bytes, "%zu network adapters: at most %d", n, VM_MAX_NICS);
	for (size_t i = 0; i < n; i++) {
		const struct json *nic = json_at(nics, i);
		int64_t mtu = json_get_int(nic, "mtu", 1500);
		const char *why = parse_offload(json_get(nic, "offload"), &spec->nics[i]);

		if (why)
			return refuse(error, size_bytes, "network adapter %zu: %s", i, why);
		if (parse_mac(json_get_string(nic, "mac", ""), spec->nics[i].mac) < 0)
			return refuse(
				error, size_bytes, "network adapter %zu has no usable MAC", i);
		if (mtu < 576 || mtu > 9000)
			return refuse(error, size_bytes,
				"network adapter %zu: MTU %lld is not in 576..9000", i,
				(long long)mtu);
		spec->nics[i].mtu_bytes = (uint32_t)mtu;
		spec->nics[i].spoofing = json_get_bool(nic, "spoofing", false);
	}
	spec->n_nics = (unsigned)n;
	return 0;
}

/* Of start, minimum and maximum the start is needed; what is absent equals it. */
static int parse_memory(
	const struct json *message, struct vm_spec *spec, char *error, size_t size_bytes)
{
	int64_t memory = json_get_int(message, "memory_bytes", 0);
	int64_t min = json_get_int(message, "min_memory_bytes", memory);
	int64_t max = json_get_int(message, "max_memory_bytes", memory);
	int64_t vram = json_get_int(message, "vram_bytes", VM_DEFAULT_VRAM_BYTES);

	if (memory < (int64_t)PARTITION_MIN_RAM_BYTES ||
		memory > (int64_t)PARTITION_MAX_RAM_BYTES || memory % (2 << 20))
		return refuse(error, size_bytes,
			"%lld bytes of memory: a multiple of 2 MiB from 16 MiB to 256 GiB is "
			"needed",
			(long long)memory);
	if (min < (int64_t)PARTITION_MIN_RAM_BYTES || min > memory || max < memory ||
		max > (int64_t)PARTITION_MAX_RAM_BYTES || min % (2 << 20) || max % (2 << 20))
		return refuse(error, size_bytes,
			"memory between %lld and %lld bytes does not fit a start with %lld: all "
			"are multiples of 2 MiB, in this order",
			(long long)min, (long long)max, (long long)memory);
	if (vram < 0 || vram > (int64_t)PARTITION_VRAM_MAX_BYTES || vram & (vram - 1) ||
		(vram && vram < 4 << 20))
		return refuse(error, size_bytes,
			"%lld bytes of video memory: 0 or a power of two from 4 MiB to 64 MiB is "
			"needed",
			(long long)vram);
	spec->memory_bytes = (uint64_t)memory;
	spec->min_memory_bytes = (uint64_t)min;
	spec->max_memory_bytes = (uint64_t)max;
	spec->vram_bytes = (uint64_t)vram;
	return 0;
}

int vm_spec_parse(
	const struct json *message, struct vm_spec *ret_spec, char *error, size_t error_size_bytes)
{
	struct vm_spec spec = {0};
	const char *name = json_get_string(message, "name", "");
	const char *cmdline = json_get_string(message, "cmdline", "");
	int64_t n_vps = json_get_int(message, "vps", 1);
	int r;

	if (!name[0] || strlen(name) > VM_NAME_MAX_LEN)
		return refuse(error, error_size_bytes, "a VM needs a name of at most %d characters",
			VM_NAME_MAX_LEN);
	if (strlen(cmdline) > VM_CMDLINE_MAX_LEN)
		return refuse(error, error_size_bytes, "the command line is over %d characters",
			VM_CMDLINE_MAX_LEN);
	if (n_vps < 1 || n_vps > PARTITION_MAX_VPS)
		return refuse(error, error_size_bytes,
			"%lld virtual processors: 1 to %d are possible", (long long)n_vps,
			PARTITION_MAX_VPS);
	r = parse_memory(message, &spec, error, error_size_bytes);
	if (r < 0)
		return r;
	r = parse_nics(json_get(message, "nics"), &spec, error, error_size_bytes);
	if (r < 0)
		return r;
	strcpy(spec.name, name);
	strcpy(spec.cmdline, cmdline);
	spec.n_vps = (unsigned)n_vps;
	spec.incoming = json_get_bool(message, "incoming", false);
	spec.has_initrd = !spec.incoming && json_get_bool(message, "initrd", false);
	*ret_spec = spec;
	return 0;
}
