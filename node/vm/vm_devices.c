/* SPDX-License-Identifier: MIT
 *
 * vm_devices.c - what sits on the bus. Offers keep this order, and so do their units: a guest sees
 * the same machine on every host and after every start.
 */
#include "node/vm/vm.h"

#include <fcntl.h>

static unsigned n_channels(const struct vm *vm)
{
	return MIN(vm->spec.n_vps, (unsigned)VM_MAX_CHANNELS);
}

/* ---- network ---- */

static int duplicate_fds(const int fds[3], int ret_fds[3])
{
	for (unsigned i = 0; i < 3; i++) {
		ret_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (ret_fds[i] < 0) {
			int r = -errno;

			while (i-- > 0)
				close(ret_fds[i]);
			return r;
		}
	}
	return 0;
}

static int build_nic(struct vm *vm, unsigned index, const int fds[3])
{
	struct netvsp_config config = {
		.index = index,
		.n_channels = vm->spec.nics[index].one_queue ? 1 : n_channels(vm),
		.mtu_bytes = vm->spec.nics[index].mtu_bytes,
		.allow_mac_change = vm->spec.nics[index].spoofing,
		.withheld = vm->spec.nics[index].withheld,
		.link_up = true,
		.eth = fabric_client_eth_ops(),
	};
	int own[3];
	int r = duplicate_fds(fds, own);

	if (r == 0)
		r = fabric_client_new(own[0], own[1], own[2], &vm->ports[index]);
	if (r < 0)
		return r;
	/* The network VSP finishes checksums and cuts super-frames itself, where its guest needs
	 * that. */
	fabric_client_set_rx_caps(vm->ports[index], ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6);
	memcpy(config.mac, vm->spec.nics[index].mac, ETH_ADDR_LEN);
	config.port = vm->ports[index];
	r = netvsp_new(vm->bus, &config, &vm->nics[index]);
	return r < 0 ? r : netvsp_register_unit(vm->nics[index], vm->units);
}

/* ---- storage ---- */

static int build_storage(struct vm *vm)
{
	struct storvsp_config config = {
		.index = 0,
		.n_channels = n_channels(vm),
		.disk_ops = &disk_file_ops,
	};
	int r = disk_backend_new(&vm->disk_backend);

	config.backend = vm->disk_backend;
	if (r == 0)
		r = storvsp_new(vm->bus, &config, &vm->storvsp);
	return r < 0 ? r : storvsp_register_unit(vm->storvsp, vm->units);
}

/* ---- integration services ---- */

static uint64_t reference_time(void *data)
{
	return partition_reference_time(((struct vm *)data)->partition);
}

static int build_services(struct vm *vm)
{
	const struct ic_config config = {
		.ops = &vm_ic_ops,
		.data = vm,
		.reference_time = reference_time,
	};
	uint8_t macs[VM_MAX_NICS][ETH_ADDR_LEN];
	int r = ic_new(vm->bus, &config, &vm->ic);

	for (unsigned i = 0; i < vm->spec.n_nics; i++)
		memcpy(macs[i], vm->spec.nics[i].mac, ETH_ADDR_LEN);
	if (r == 0)
		r = ic_set_adapters(vm->ic, (const uint8_t(*)[ETH_ADDR_LEN])macs, vm->spec.n_nics);
	return r < 0 ? r : ic_register_unit(vm->ic, vm->units);
}

/* ---- memory ---- */

static int release_memory(void *data, gpa_t first, uint64_t size_bytes)
{
	return partition_memory_release(((struct vm *)data)->partition, first, size_bytes);
}

static int add_memory(void *data, uint64_t size_bytes, gpa_t *ret_first)
{
	return partition_memory_add(((struct vm *)data)->partition, size_bytes, ret_first);
}

static int build_memory(struct vm *vm)
{
	static const struct dynmem_ops ops = {.release = release_memory, .hot_add = add_memory};
	const struct dynmem_config config = {
		.start_bytes = vm->spec.memory_bytes,
		.limits =
			{
				.min_bytes = vm->spec.min_memory_bytes,
				.max_bytes = vm->spec.max_memory_bytes,
			},
		.ops = &ops,
		.data = vm,
	};
	int r = dynmem_new(vm->bus, &config, &vm->dynmem);

	return r < 0 ? r : dynmem_register_unit(vm->dynmem, vm->units);
}

/* ---- picture, keyboard, mouse ---- */

static int build_display(struct vm *vm)
{
	const struct synthvid_config config = {
		.vram_bytes = (uint32_t)vm->spec.vram_bytes,
	};
	int r = synthvid_new(vm->bus, &config, &vm->video);

	if (r == 0)
		r = synthkbd_new(vm->bus, &vm->keyboard);
	if (r == 0)
		r = synthmouse_new(vm->bus, &vm->mouse);
	if (r == 0)
		r = synthvid_register_unit(vm->video, vm->units);
	if (r == 0)
		r = synthkbd_register_unit(vm->keyboard, vm->units);
	if (r == 0)
		r = synthmouse_register_unit(vm->mouse, vm->units);
	return r < 0 ? r
		     : display_new(vm->video, vm->keyboard, vm->mouse, vm->spec.name, &vm->display);
}

int vm_devices_build(struct vm *vm, const int *nic_fds, const char **ret_what)
{
	int r = 0;

	*ret_what = "a network adapter";
	for (unsigned i = 0; r == 0 && i < vm->spec.n_nics; i++)
		r = build_nic(vm, i, nic_fds + 3 * i);
	if (r < 0)
		return r;
	*ret_what = "the storage controller";
	r = build_storage(vm);
	if (r < 0)
		return r;
	*ret_what = "an integration service";
	r = build_services(vm);
	if (r < 0)
		return r;
	*ret_what = "dynamic memory";
	r = build_memory(vm);
	if (r < 0 || !vm->spec.vram_bytes)
		return r;
	*ret_what = "the display";
	return build_display(vm);
}

void vm_devices_free(struct vm *vm)
{
	display_free(vm->display);
	synthmouse_free(vm->mouse);
	synthkbd_free(vm->keyboard);
	synthvid_free(vm->video);
	dynmem_free(vm->dynmem);
	ic_free(vm->ic);
	storvsp_free(vm->storvsp);
	for (unsigned i = 0; i < STORVSP_MAX_LUNS; i++) {
		if (vm->disks[i])
			disk_close(vm->disks[i]);
	}
	disk_backend_free(vm->disk_backend);
	for (unsigned i = 0; i < VM_MAX_NICS; i++)
		netvsp_free(vm->nics[i]);
}
