/* SPDX-License-Identifier: MIT
 *
 * vm.h - one virtual machine in its own process: a partition, its bus, its devices, and both ends
 * of its own migration. viaduct-vmhost is composed of the files of this folder:
 *
 *   vm_spec.c     what the node service asks for, validated
 *   vm.c          the composition: partition + bus + network adapters, and their life
 *   vm_control.c  the operations of the control channel
 *   vm_migrate.c  the VM as migrate/ sees it, and migration events
 *   main.c        set up, serve
 *
 * Threads: the loop thread serves the control channel. VP threads, ring workers and migration
 * threads run beside it. `lock` serialises everything that starts, stops, saves or restores the VM,
 * because migration threads do that too; VP callbacks never take it.
 */
#ifndef VIADUCT_NODE_VM_VM_H
#define VIADUCT_NODE_VM_VM_H

#include "base/chan.h"
#include "fabric/client.h"
#include "migrate/migrate.h"
#include "node/hv/partition.h"
#include "vmbus/vmbus.h"

#include <pthread.h>

#define VM_MAX_NICS                 4
#define VM_NAME_MAX_LEN             63
#define VM_CMDLINE_MAX_LEN          1023
#define VM_SERIAL_PENDING_MAX_BYTES (256U << 10)

struct vm_nic_spec {
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
};

struct vm_spec {
	char name[VM_NAME_MAX_LEN + 1];
	unsigned n_vps;
	uint64_t memory_bytes;
	char cmdline[VM_CMDLINE_MAX_LEN + 1];
	bool incoming; /* wait for state instead of booting */
	unsigned n_nics;
	struct vm_nic_spec nics[VM_MAX_NICS];
};

/* 0, or -EINVAL with one sentence in `error`. */
int vm_spec_parse(
	const struct json *message, struct vm_spec *ret_spec, char *error, size_t error_size_bytes);

enum vm_state {
	VM_EMPTY,   /* not configured yet */
	VM_STOPPED, /* complete, VPs never ran here */
	VM_RUNNING,
	VM_PAUSED,
	VM_ENDED, /* the guest ended or the partition failed */
};
const char *vm_state_name(enum vm_state state);

struct vm {
	/* Constant after configuration. */
	struct loop *loop;
	struct chan *chan;
	struct vm_spec spec;
	struct partition *partition;
	struct vmbus *bus;
	struct unit_registry *units;
	struct fabric_client *ports[VM_MAX_NICS];
	struct netvsp *nics[VM_MAX_NICS];

	pthread_mutex_t lock;
	enum vm_state state; /* under lock */

	/* Loop thread only. */
	struct mig_source *source;
	struct mig_target *target;

	pthread_mutex_t serial_lock;
	struct buf serial;     /* under serial_lock: output not yet sent to the service */
	bool serial_scheduled; /* under serial_lock */
	uint64_t serial_dropped_bytes;
};

/* Build everything from descriptors that the service opened: {kvm, 3 for each NIC, kernel unless
 * incoming}. All descriptors stay the caller's (those kept are duplicated). */
int vm_build(struct vm *vm, const struct vm_spec *spec, const int *fds, size_t n_fds, char *error,
	size_t error_size_bytes);
void vm_destroy(struct vm *vm);

/* Under no lock; each takes `lock`. -EINVAL in a state where it makes no sense. */
int vm_start(struct vm *vm); /* STOPPED or PAUSED -> RUNNING */
int vm_pause(struct vm *vm); /* RUNNING -> PAUSED */
struct json *vm_info(struct vm *vm);

/* Serve the control channel: vm_control.c. */
void vm_on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data);

/* vm_migrate.c */
extern const struct mig_vm_ops vm_mig_ops;
int vm_migrate_out(struct vm *vm, const struct json *message, int *fds, size_t n_fds);
int vm_migrate_in(struct vm *vm, const struct json *message, int *fds, size_t n_fds);
int vm_migrate_params(struct vm *vm, const struct json *message, struct mig_params *ret_params);

#endif
