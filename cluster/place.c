/* SPDX-License-Identifier: MIT
 *
 * The picture: nodes and VMs are checked and copied, and what running VMs use of their nodes is
 * counted as they come and move.
 */
#include "cluster/place.h"

#include "cluster/place_impl.h"

#include <stdio.h>
#include <string.h>

int place_new(struct place **ret_place)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -ENOMEM;
	place->vlans = calloc(1, sizeof(*place->vlans));
	place->vlans_room = 1;
	if (!place->vlans || place_texts_init(&place->words) < 0 ||
		place_texts_init(&place->names) < 0 || place_texts_init(&place->vids) < 0 ||
		place_texts_init(&place->groups) < 0) {
		place_free(place);
		return -ENOMEM;
	}
	*ret_place = place;
	return 0;
}

static void free_host(struct place_host *host)
{
	free(host->nets);
	free(host->reach);
}

static void free_guest(struct place_guest *guest)
{
	free(guest->preferred);
	free(guest->possible);
}

void place_free(struct place *place)
{
	if (!place)
		return;
	for (size_t i = 0; i < place->n_hosts; i++)
		free_host(&place->hosts[i]);
	for (size_t i = 0; i < place->n_guests; i++)
		free_guest(&place->guests[i]);
	place_texts_fini(&place->words);
	place_texts_fini(&place->names);
	place_texts_fini(&place->vids);
	place_texts_fini(&place->groups);
	free(place->hosts);
	free(place->guests);
	free(place->vlans);
	free(place->apart);
	free(place);
}

/* ---- what both have ---- */

static bool is_name(const char *name)
{
	return name && name[0] && strlen(name) <= PLACE_NAME_MAX_LEN;
}

/* Room for one more in an array that is doubled when it is full. */
static int make_room(void **array, size_t *room, size_t n, size_t size_bytes)
{
	size_t wanted = *room ? *room : 16;
	void *larger;

	while (wanted <= n)
		wanted *= 2;
	if (wanted == *room)
		return 0;
	larger = reallocarray(*array, wanted, size_bytes);
	if (!larger)
		return -ENOMEM;
	memset((char *)larger + *room * size_bytes, 0, (wanted - *room) * size_bytes);
	*array = larger;
	*room = wanted;
	return 0;
}

static int intern_vlans(struct place *place, const char *vids, uint32_t *ret_number)
{
	struct place_vlans vlans;
	int r;

	if (!vids || !vids[0]) {
		*ret_number = 0;
		return 0;
	}
	if (place_lookup(&place->vids, vids) == 0) {
		if (vlan_list_parse(vids, vlans.map) < 0)
			return -EINVAL;
		r = make_room((void **)&place->vlans, &place->vlans_room, place->vids.n,
			sizeof(*place->vlans));
		if (r < 0)
			return r;
		place->vlans[place->vids.n] = vlans;
	}
	return place_intern(&place->vids, vids, ret_number);
}

/* ---- nodes ---- */

static int by_switch_name(const void *a, const void *b, void *data)
{
	return strcmp(place_word(data, ((const struct place_net *)a)->name),
		place_word(data, ((const struct place_net *)b)->name));
}

/* Of several switches with one logical name the first by name is meant, as everywhere. */
static int copy_switches(
	struct place *place, struct place_host *host, const struct place_node *node)
{
	host->nets = calloc(node->n_switches + 1, sizeof(*host->nets));
	if (!host->nets)
		return -ENOMEM;
	for (size_t i = 0; i < node->n_switches; i++) {
		const struct place_switch *given = &node->switches[i];
		struct place_net *net = &host->nets[i];
		const char *state = given->state ? given->state : "";
		int r;

		if (!is_name(given->name))
			return -EINVAL;
		net->reaches_all = !given->vids;
		r = intern_vlans(place, given->vids, &net->vlans);
		if (r < 0)
			return r;
		if (place_intern(&place->words, given->name, &net->name) < 0 ||
			place_intern(&place->words, given->logical, &net->logical) < 0 ||
			place_intern(&place->words, strcmp(state, "up") == 0 ? "" : state,
				&net->state) < 0)
			return -ENOMEM;
	}
	host->n_nets = node->n_switches;
	qsort_r(host->nets, host->n_nets, sizeof(*host->nets), by_switch_name, place);
	return 0;
}

static int copy_reach(struct place *place, struct place_host *host, const struct place_node *node)
{
	host->reach = calloc(node->n_volumes + 1, sizeof(*host->reach));
	if (!host->reach)
		return -ENOMEM;
	for (size_t i = 0; i < node->n_volumes; i++) {
		if (!is_name(node->volumes[i].name))
			return -EINVAL;
		if (place_intern(&place->words, node->volumes[i].name, &host->reach[i].name) < 0 ||
			place_intern(&place->words, node->volumes[i].why_not,
				&host->reach[i].why_not) < 0)
			return -ENOMEM;
	}
	host->n_reach = node->n_volumes;
	return 0;
}

static bool node_is_sane(const struct place *place, const struct place_node *node)
{
	return place->n_guests == 0 && node->id && is_name(node->name) &&
	       node->vm_memory_bytes <= PLACE_MAX_MEMORY &&
	       node->numa_memory_bytes <= PLACE_MAX_MEMORY && node->cpus <= PLACE_MAX_CPUS &&
	       node->numa_cpus <= PLACE_MAX_CPUS && node->n_switches <= PLACE_MAX_SWITCHES &&
	       node->n_volumes <= PLACE_MAX_REACHED;
}

int place_add_node(struct place *place, const struct place_node *node)
{
	struct place_host host = {
		.id = node->id,
		.is_up = node->is_up,
		.is_paused = node->is_paused,
		.has_kvm = node->has_kvm,
		.memory_bytes = node->vm_memory_bytes,
		.numa_memory_bytes = node->numa_memory_bytes,
		.cpus = node->cpus,
		.numa_cpus = node->numa_cpus,
		.max_vms = node->max_vms,
	};
	struct place_host *larger;
	size_t at = 0;
	int r;

	if (!node_is_sane(place, node))
		return -EINVAL;
	if (place_intern(&place->words, node->name, &host.name) < 0 ||
		place_intern(&place->words, node->cpu_digest, &host.cpu_digest) < 0 ||
		place_intern(&place->words, node->why_not, &host.why_not) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < place->n_hosts; i++) {
		if (place->hosts[i].id == node->id || place->hosts[i].name == host.name)
			return -EEXIST;
		at += place->hosts[i].id < node->id;
	}
	r = copy_switches(place, &host, node);
	if (r == 0)
		r = copy_reach(place, &host, node);
	larger = r == 0 ? reallocarray(place->hosts, place->n_hosts + 1, sizeof(*larger)) : NULL;
	if (!larger) {
		free_host(&host);
		return r < 0 ? r : -ENOMEM;
	}
	place->hosts = larger;
	memmove(&larger[at + 1], &larger[at], (place->n_hosts - at) * sizeof(*larger));
	larger[at] = host;
	place->n_hosts++;
	return 0;
}

struct place_host *place_find_host(const struct place *place, uint32_t id)
{
	size_t low = 0, high = place->n_hosts;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (place->hosts[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < place->n_hosts && place->hosts[low].id == id ? &place->hosts[low] : NULL;
}

/* ---- VMs ---- */

static unsigned *apart(
	const struct place *place, const struct place_guest *guest, const struct place_host *host)
{
	return &place->apart[guest->class * place->n_hosts + (size_t)(host - place->hosts)];
}

unsigned place_n_apart(
	const struct place *place, const struct place_guest *guest, const struct place_host *host)
{
	if (!guest->class)
		return 0;
	return *apart(place, guest, host) - (place_runs_on(guest, host) ? 1 : 0);
}

/* Add what the VM uses where it runs to that node's account, or take it off. */
static void count(struct place *place, const struct place_guest *guest, bool is_there)
{
	struct place_host *host = guest->is_running ? place_find_host(place, guest->node_id) : NULL;

	if (!host)
		return;
	if (is_there) {
		host->used_bytes += guest->memory_bytes;
		host->used_vps += guest->vps;
		host->n_running++;
	} else {
		host->used_bytes -= guest->memory_bytes;
		host->used_vps -= guest->vps;
		host->n_running--;
	}
	if (guest->class)
		*apart(place, guest, host) += is_there ? 1U : -1U;
}

static int copy_names(struct place *place, const char *const *names, size_t n, uint32_t **ret_list)
{
	uint32_t *list;

	if (n == 0)
		return 0;
	list = calloc(n, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = is_name(names[i]) ? place_intern(&place->words, names[i], &list[i])
					  : -EINVAL;

		if (r < 0) {
			free(list);
			return r;
		}
	}
	*ret_list = list;
	return 0;
}

static int copy_needs(struct place *place, struct place_guest *guest, const struct place_vm *vm)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < vm->n_nics; i++) {
		const char *name = vm->nics[i].switch_name;

		if (name && strlen(name) > PLACE_NAME_MAX_LEN)
			return -EINVAL;
		r = intern_vlans(place, vm->nics[i].vids, &guest->nics[i].vlans);
		if (r == 0)
			r = place_intern(&place->words, name, &guest->nics[i].name);
	}
	for (size_t i = 0; r == 0 && i < vm->n_volumes; i++)
		r = is_name(vm->volumes[i])
			    ? place_intern(&place->words, vm->volumes[i], &guest->volumes[i])
			    : -EINVAL;
	if (r == 0)
		r = copy_names(place, vm->preferred, vm->n_preferred, &guest->preferred);
	if (r == 0)
		r = copy_names(place, vm->possible, vm->n_possible, &guest->possible);
	return r;
}

static int make_class(struct place *place, const char *name, uint32_t *ret_class)
{
	int r;

	if (!name || !name[0]) {
		*ret_class = 0;
		return 0;
	}
	r = make_room((void **)&place->apart, &place->apart_room,
		(place->groups.n + 1) * (place->n_hosts + 1), sizeof(*place->apart));
	return r < 0 ? r : place_intern(&place->groups, name, ret_class);
}

static bool vm_is_sane(const struct place_vm *vm)
{
	return is_name(vm->name) && vm->memory_bytes <= PLACE_MAX_MEMORY &&
	       vm->vps <= PLACE_MAX_CPUS && vm->n_nics <= PLACE_MAX_NICS &&
	       vm->n_volumes <= PLACE_MAX_VOLUMES && vm->n_preferred <= PLACE_MAX_LISTED &&
	       vm->n_possible <= PLACE_MAX_LISTED &&
	       (!vm->anti_affinity || strlen(vm->anti_affinity) <= PLACE_NAME_MAX_LEN) &&
	       (unsigned)vm->priority <= PLACE_HIGH;
}

int place_add_vm(struct place *place, const struct place_vm *vm)
{
	struct place_guest guest = {
		.node_id = vm->node_id,
		.is_running = vm->is_running,
		.memory_bytes = vm->memory_bytes,
		.vps = vm->vps,
		.priority = vm->priority,
		.n_nics = vm->n_nics,
		.n_volumes = vm->n_volumes,
		.n_preferred = vm->n_preferred,
		.n_possible = vm->n_possible,
	};
	int r;

	if (!vm_is_sane(vm) || place->n_guests == PLACE_MAX_VMS)
		return -EINVAL;
	if (place_lookup(&place->names, vm->name))
		return -EEXIST;
	r = make_room((void **)&place->guests, &place->guests_room, place->n_guests,
		sizeof(*place->guests));
	if (r == 0)
		r = place_intern(&place->words, vm->cpu_digest, &guest.cpu_digest);
	if (r == 0)
		r = make_class(place, vm->anti_affinity, &guest.class);
	if (r == 0)
		r = copy_needs(place, &guest, vm);
	if (r == 0)
		r = place_intern(&place->names, vm->name, &guest.name);
	if (r < 0) {
		free_guest(&guest);
		return r;
	}
	place->guests[place->n_guests++] = guest;
	count(place, &guest, true);
	return 0;
}

struct place_guest *place_find_guest(const struct place *place, const char *name)
{
	uint32_t number = place_lookup(&place->names, name);

	return number ? &place->guests[number - 1] : NULL;
}

int place_move(struct place *place, const char *vm, uint32_t node_id)
{
	struct place_guest *guest = place_find_guest(place, vm);

	if (!guest || !place_find_host(place, node_id))
		return -ENOENT;
	count(place, guest, false);
	guest->node_id = node_id;
	guest->is_running = true;
	count(place, guest, true);
	return 0;
}

static int by_priority(const void *a, const void *b)
{
	const struct place_listed *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return strcmp(x->name, y->name);
}

int place_list(const struct place *place, struct place_listed **ret_vms, size_t *ret_n)
{
	struct place_listed *list = calloc(place->n_guests + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < place->n_guests; i++) {
		const struct place_guest *guest = &place->guests[i];

		list[i] = (struct place_listed){
			.name = place->names.texts[guest->name],
			.node_id = guest->node_id,
			.is_running = guest->is_running,
			.priority = guest->priority,
		};
	}
	qsort(list, place->n_guests, sizeof(*list), by_priority);
	*ret_vms = list;
	*ret_n = place->n_guests;
	return 0;
}
