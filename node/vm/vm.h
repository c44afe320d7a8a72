/* SPDX-License-Identifier: MIT
 *
 * vm.h - one virtual machine in its own process: a partition, its bus, its devices, and both ends
 * of its own migration. viaduct-vmhost is composed of the files of this folder:
 *
 *   vm_spec.c     what the node service asks for, validated
 *   vm.c          the composition: partition, bus, devices, and their life
 *   vm_devices.c  the devices, in the order in which they start
 *   vm_disk.c     disks that come and go
 *   vm_guest.c    what is asked of, and learnt from, the guest's integration services
 *   vm_serial.c   the serial port
 *   vm_away.c     how long the guest was not there
 *   vm_info.c     what the VM tells about itself
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
#include "csv/disk.h"
#include "fabric/client.h"
#include "migrate/migrate.h"
#include "node/hv/partition.h"
#include "node/vm/display.h"
#include "vmbus/dynmem.h"
#include "vmbus/ic.h"
#include "vmbus/storvsp.h"
#include "vmbus/synthinput.h"
#include "vmbus/synthvid.h"
#include "vmbus/vmbus.h"

#include <pthread.h>

#define VM_MAX_NICS                 4
#define VM_NAME_MAX_LEN             63
#define VM_CMDLINE_MAX_LEN          1023
#define VM_SERIAL_PENDING_MAX_BYTES (256U << 10)
/* More channels than this do not make a device quicker, they only cost threads. */
#define VM_MAX_CHANNELS       4
#define VM_DEFAULT_VRAM_BYTES (8U << 20)

struct vm_nic_spec {
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	bool spoofing;     /* the guest may use other addresses */
	uint32_t withheld; /* enum netvsp_offload bits that it is not offered */
	bool one_queue;    /* no receive-side scaling */
};

struct vm_spec {
	char name[VM_NAME_MAX_LEN + 1];
	unsigned n_vps;
	uint64_t memory_bytes; /* at the start; between the two limits */
	uint64_t min_memory_bytes, max_memory_bytes;
	uint64_t vram_bytes; /* 0: no display */
	char cmdline[VM_CMDLINE_MAX_LEN + 1];
	bool incoming;   /* wait for state instead of booting */
	bool has_initrd; /* its descriptor follows the kernel's */
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

struct vm_away {
	bool stopped;      /* since `since_ns` */
	uint64_t since_ns; /* wall clock, so that it means the same on the other host */
	uint64_t last_ns;  /* how long the last stop was */
};

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
	struct disk_backend *disk_backend;
	struct storvsp *storvsp;
	struct ic *ic;
	struct dynmem *dynmem;
	/* NULL without a display. */
	struct synthvid *video;
	struct synthkbd *keyboard;
	struct synthmouse *mouse;
	struct display *display;

	pthread_mutex_t lock;
	enum vm_state state; /* under lock */
	struct vm_away away; /* under lock */

	/* Loop thread only. */
	struct mig_source *source;
	struct mig_target *target;
	struct disk *disks[STORVSP_MAX_LUNS]; /* what is attached where; NULL for an empty drive */
	bool luns[STORVSP_MAX_LUNS];

	pthread_mutex_t serial_lock;
	struct buf serial;     /* under serial_lock: output not yet sent to the service */
	bool serial_scheduled; /* under serial_lock */
	uint64_t serial_dropped_bytes;
};

/* Build everything from descriptors that the service opened: {kvm, 3 for each NIC, kernel unless
 * incoming, initial RAM disk if there is one}. All descriptors stay the caller's (those kept are
 * duplicated). Disks follow one by one. */
int vm_build(struct vm *vm, const struct vm_spec *spec, const int *fds, size_t n_fds, char *error,
	size_t error_size_bytes);
void vm_destroy(struct vm *vm);

/* Under no lock; each takes `lock`. -EINVAL in a state where it makes no sense. */
int vm_start(struct vm *vm); /* STOPPED or PAUSED -> RUNNING */
int vm_pause(struct vm *vm); /* RUNNING -> PAUSED */

/* vm_devices.c: everything behind the bus, units included. *ret_what says what could not be made.
 */
int vm_devices_build(struct vm *vm, const int *nic_fds, const char **ret_what);
void vm_devices_free(struct vm *vm);

/* vm_away.c: the unit "away", first of all. */
int vm_away_register(struct vm *vm);

/* vm_info.c */
struct json *vm_info(struct vm *vm);

/* vm_serial.c: `bytes` came from the guest; on a VP's thread. */
void vm_serial_output(void *data, const void *bytes, size_t size_bytes);
void vm_serial_flush(struct vm *vm); /* loop thread */

/* One request of the service. `reply` and `error` may be left alone; a handler that answers later
 * sets `deferred` and answers through the channel. */
struct vm_request {
	uint64_t id;
	const struct json *message;
	int *fds;
	size_t n_fds;
	struct json *reply;
	bool deferred;
	char error[256];
};

/* vm_disk.c */
int vm_op_disk_attach(struct vm *vm, struct vm_request *q);
int vm_op_disk_detach(struct vm *vm, struct vm_request *q);
int vm_op_disk_medium(struct vm *vm, struct vm_request *q);
int vm_op_disk_resized(struct vm *vm, struct vm_request *q);
/* vm_guest.c */
int vm_op_shutdown(struct vm *vm, struct vm_request *q);
int vm_op_freeze(struct vm *vm, struct vm_request *q);
int vm_op_thaw(struct vm *vm, struct vm_request *q);
int vm_op_item(struct vm *vm, struct vm_request *q);
int vm_op_memory(struct vm *vm, struct vm_request *q);
int vm_op_type(struct vm *vm, struct vm_request *q);
int vm_op_screenshot(struct vm *vm, struct vm_request *q);
int vm_op_viewer(struct vm *vm, struct vm_request *q);
extern const struct ic_ops vm_ic_ops;
/* Tell the guest that it will be, or was, moved. */
void vm_announce_move(struct vm *vm, const char *to);
void vm_announce_back(struct vm *vm);
void vm_announce_stay(struct vm *vm);
/* vm_serial.c */
int vm_op_serial(struct vm *vm, struct vm_request *q);

/* Serve the control channel: vm_control.c. */
void vm_on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data);

/* vm_migrate.c */
extern const struct mig_vm_ops vm_mig_ops;
int vm_migrate_out(struct vm *vm, const struct json *message, int *fds, size_t n_fds);
int vm_migrate_in(struct vm *vm, const struct json *message, int *fds, size_t n_fds);
int vm_migrate_params(struct vm *vm, const struct json *message, struct mig_params *ret_params);

#endif
