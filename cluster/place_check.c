/* SPDX-License-Identifier: MIT
 *
 * What speaks against a VM on a node: the table of checks, most fundamental first. A check that
 * only counts makes no text.
 */
#include "cluster/place_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB                20
#define MISSING_MAX_LEN    60 /* a longer list of VLANs is cut short */
#define UTF8_IS_PART(byte) (((byte)&0xc0) == 0x80)

struct findings {
	const struct place *place;
	const struct place_guest *guest;
	const struct place_host *host;
	struct place_reason *reasons; /* NULL: only counted */
	size_t n, max;
};

/* A text that was cut is not cut within a character. */
static void trim(char *text)
{
	size_t end = strlen(text);

	if (end < PLACE_REASON_MAX_LEN)
		return;
	while (end > 0 && UTF8_IS_PART((unsigned char)text[end - 1]))
		end--;
	if (end > 0 && (unsigned char)text[end - 1] >= 0x80)
		end--;
	text[end] = '\0';
}

static _printf_(2, 3) void found(struct findings *f, const char *format, ...)
{
	va_list args;

	if (f->n < f->max && f->reasons) {
		va_start(args, format);
		vsnprintf(f->reasons[f->n].text, sizeof(f->reasons[f->n].text), format, args);
		va_end(args);
		trim(f->reasons[f->n].text);
	}
	if (f->n < f->max)
		f->n++;
}

static const char *vm_name(const struct findings *f)
{
	return f->place->names.texts[f->guest->name];
}

static bool is_there(const struct findings *f)
{
	return place_runs_on(f->guest, f->host);
}

static void check_node(struct findings *f)
{
	if (!f->host->is_up)
		found(f, "it is down");
	if (f->host->is_paused && !is_there(f))
		found(f, "it is paused");
	if (f->host->why_not)
		found(f, "%s", place_word(f->place, f->host->why_not));
	if (!f->host->has_kvm)
		found(f, "it has no usable /dev/kvm");
}

static void check_owners(struct findings *f)
{
	for (size_t i = 0; i < f->guest->n_possible; i++) {
		if (f->guest->possible[i] == f->host->name)
			return;
	}
	if (f->guest->n_possible > 0)
		found(f, "it is not among %s's possible owners", vm_name(f));
}

static void check_room(struct findings *f)
{
	const struct place_host *host = f->host;
	uint64_t free_bytes = place_free_bytes(f->guest, host);

	if (is_there(f))
		return;
	if (host->max_vms && host->n_running >= host->max_vms)
		found(f, "it runs %u VM%s already, and %u is its limit", host->n_running,
			host->n_running == 1 ? "" : "s", host->max_vms);
	if (f->guest->memory_bytes > free_bytes)
		found(f, "it has %" PRIu64 " MiB free of %" PRIu64 " MiB, %s needs %" PRIu64 " MiB",
			free_bytes >> MIB, host->memory_bytes >> MIB, vm_name(f),
			(f->guest->memory_bytes + (1 << MIB) - 1) >> MIB);
	if (host->cpus && f->guest->vps > host->cpus)
		found(f, "it has %u %s, %s has %u virtual ones", host->cpus,
			host->cpus == 1 ? "processor" : "processors", vm_name(f), f->guest->vps);
}

static void check_processors(struct findings *f)
{
	if (f->guest->cpu_digest && f->host->cpu_digest &&
		f->guest->cpu_digest != f->host->cpu_digest)
		found(f, "its processors look different (CPUID differs)");
}

static void check_volume(struct findings *f, uint32_t volume)
{
	for (size_t i = 0; i < f->host->n_reach; i++) {
		const struct place_reach *reach = &f->host->reach[i];

		if (reach->name != volume)
			continue;
		if (reach->why_not)
			found(f, "volume %s is not reachable: %s", place_word(f->place, volume),
				place_word(f->place, reach->why_not));
		return;
	}
	found(f, "volume %s is not known there", place_word(f->place, volume));
}

static void check_volumes(struct findings *f)
{
	for (size_t i = 0; i < f->guest->n_volumes; i++) {
		bool is_first = true;

		for (size_t j = 0; j < i; j++)
			is_first = is_first && f->guest->volumes[j] != f->guest->volumes[i];
		if (is_first)
			check_volume(f, f->guest->volumes[i]);
	}
}

/* By name, else by logical name. */
static const struct place_net *find_net(const struct place_host *host, uint32_t name)
{
	for (size_t i = 0; i < host->n_nets; i++) {
		if (host->nets[i].name == name)
			return &host->nets[i];
	}
	for (size_t i = 0; i < host->n_nets; i++) {
		if (host->nets[i].logical == name)
			return &host->nets[i];
	}
	return NULL;
}

static void report_vlans(struct findings *f, const struct place_net *net,
	const uint64_t missing[BITMAP_WORDS(VLAN_N_VIDS)], unsigned n)
{
	const char *name = place_word(f->place, net->name);
	_cleanup_free_ char *list = f->reasons ? vlan_list_format(missing) : NULL;

	if (list && strlen(list) > MISSING_MAX_LEN)
		found(f, "switch %s does not reach VLANs %.*s and others (%u altogether)", name,
			(int)strcspn(list, ","), list, n);
	else
		found(f, "switch %s does not reach VLAN%s %s", name, n == 1 ? "" : "s",
			list ? list : "");
}

static void check_vlans(struct findings *f, const struct place_net *net, uint32_t wanted)
{
	const uint64_t *need = f->place->vlans[wanted].map, *has = f->place->vlans[net->vlans].map;
	uint64_t missing[BITMAP_WORDS(VLAN_N_VIDS)];
	unsigned n = 0;

	/* Where it is people have put it, and no other host may be there to know better. */
	if (net->reaches_all || !wanted || f->guest->node_id == f->host->id)
		return;
	for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
		missing[i] = need[i] & ~has[i];
		n += (unsigned)__builtin_popcountll(missing[i]);
	}
	if (n > 0)
		report_vlans(f, net, missing, n);
}

static void check_nic(struct findings *f, size_t nic)
{
	uint32_t name = f->guest->nics[nic].name, vlans = f->guest->nics[nic].vlans;
	const struct place_net *net = find_net(f->host, name);
	bool is_first = true;

	for (size_t i = 0; i < nic; i++) {
		is_first = is_first && f->guest->nics[i].name != name;
		if (f->guest->nics[i].name == name && f->guest->nics[i].vlans == vlans)
			return;
	}
	if (net && !net->state)
		check_vlans(f, net, vlans);
	else if (net && is_first)
		found(f, "switch %s cannot be used: %s", place_word(f->place, net->name),
			place_word(f->place, net->state));
	else if (is_first)
		found(f, "it has no switch called '%s', nor one with that logical name",
			place_word(f->place, name));
}

static void check_nics(struct findings *f)
{
	for (size_t i = 0; i < f->guest->n_nics; i++) {
		if (f->guest->nics[i].name) /* else it is connected to nothing */
			check_nic(f, i);
	}
}

static void (*const checks[])(struct findings *f) = {
	check_node,
	check_owners,
	check_room,
	check_processors,
	check_volumes,
	check_nics,
};

static void check_all(struct findings *f)
{
	for (size_t i = 0; i < ARRAY_LEN(checks) && f->n < f->max; i++)
		checks[i](f);
}

bool place_fits(
	const struct place *place, const struct place_guest *guest, const struct place_host *host)
{
	struct findings f = {.place = place, .guest = guest, .host = host, .max = 1};

	check_all(&f);
	return f.n == 0;
}

static int look(const struct place *place, const char *vm, uint32_t node_id,
	struct place_reason *reasons, size_t max)
{
	struct findings f = {
		.place = place,
		.guest = place_find_guest(place, vm),
		.host = place_find_host(place, node_id),
		.reasons = reasons,
		.max = max,
	};

	if (!f.guest || !f.host)
		return -ENOENT;
	check_all(&f);
	return (int)f.n;
}

int place_why_not(const struct place *place, const char *vm, uint32_t node_id,
	struct place_reason *ret_reasons, size_t max)
{
	if (max == 0)
		return -EINVAL;
	return look(place, vm, node_id, ret_reasons, max);
}

int place_count_reasons(const struct place *place, const char *vm, uint32_t node_id)
{
	return look(place, vm, node_id, NULL, PLACE_MAX_REASONS);
}
