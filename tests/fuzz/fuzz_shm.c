/* SPDX-License-Identifier: MIT
 *
 * fuzz_shm.c - two VMs whose processes do what they like with the memory that they share with the
 * switch, and a switch that takes turns at their ports. Whatever is in there, frames that arrive
 * are frames, and a port that is shut says why.
 *
 * Input: steps, each a byte (port, what) and what goes with it.
 */
#include "base/bytes.h"
#include "fabric/client.h"
#include "fabric/datapath.h"
#include "fabric/shm_ring.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define N_PORTS    2
#define RING_BYTES SHM_PORT_RING_MIN_BYTES
#define MAX_STEPS  200
#define NOW_NS     (1000 * NS_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct vm {
	struct vport *port;
	struct fabric_client *client;
	struct shm_port *memory;
};

static struct fabric fabric;
static struct datapath *dp;
static struct vm vms[N_PORTS];

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)data;
	check(event == VPORT_WAS_SHUT, "something else than a shut port");
	check(port->shut && io_reason(port->io), "a port was shut without a reason");
}

static void add_vm(struct vswitch *sw, unsigned index)
{
	static const char *const ids[N_PORTS] = {"VM0", "VM1"};
	struct vport_config config = {
		.id = ids[index], .mac = {2, 0, 0, 0, 0, (uint8_t)index}, .spoofing = index};
	struct vm *vm = &vms[index];
	struct why why;
	struct io *io;
	int fds[3];

	vlan_policy_uplink(&config.vlan);
	check(io_shm_new(RING_BYTES, &io, fds) == 0, "no port");
	vm->memory = mmap(NULL, shm_port_size_bytes(RING_BYTES), PROT_READ | PROT_WRITE, MAP_SHARED,
		fds[0], 0);
	check(vm->memory != MAP_FAILED, "no memory");
	check(vport_new(&fabric, sw, &config, io, &vm->port, &why) == 0, "no port of the switch");
	check(fabric_client_new(fds[0], fds[1], fds[2], &vm->client) == 0, "no client");
}

/* The switch is dear to make, and keeps nothing of ports that are gone. */
static struct vswitch *get_switch(void)
{
	static struct vswitch *sw;
	struct why why;

	if (sw)
		return sw;
	signal(SIGPIPE, SIG_IGN);
	fabric_init(&fabric);
	check(datapath_new(on_event, NULL, &dp) == 0, "no data path");
	check(vswitch_new(&fabric, "S", VSWITCH_INTERNAL, NULL, NULL, &sw, &why) == 0, "no switch");
	return sw;
}

static void begin(void)
{
	for (unsigned i = 0; i < N_PORTS; i++)
		add_vm(get_switch(), i);
}

static void end(void)
{
	for (unsigned i = 0; i < N_PORTS; i++) {
		fabric_client_free(vms[i].client);
		munmap(vms[i].memory, shm_port_size_bytes(RING_BYTES));
		vport_free(vms[i].port);
	}
}

/* An index or a wish of either ring, or what the VM takes. */
static void set_field(struct shm_port *memory, struct reader *in)
{
	uint32_t *const fields[] = {&memory->to_switch.head, &memory->to_switch.want_space,
		&memory->to_switch.tail, &memory->to_vm.tail, &memory->to_vm.want_data,
		&memory->to_vm.head, &memory->vm_caps, &memory->ring_bytes};
	unsigned which = reader_u8(in) % ARRAY_LEN(fields);

	*fields[which] = reader_le32(in);
}

static void scribble(struct shm_port *memory, struct reader *in)
{
	uint32_t at = reader_le32(in) % RING_BYTES;
	size_t size_bytes = MIN((size_t)reader_u8(in), (size_t)(RING_BYTES - at));
	const void *bytes = reader_take(in, size_bytes);

	if (bytes)
		memcpy(shm_port_ring(memory, RING_BYTES, 0) + at, bytes, size_bytes);
}

/* As the protocol has it, so that what is behind the ring's checks is reached, too. */
static void send_frame(struct vm *vm, struct reader *in)
{
	static uint8_t frame[ETH_FRAME_MAX_BYTES];
	uint8_t hdr_bytes[10] = {0};
	struct eth_hdr hdr;
	uint32_t size_bytes = reader_le32(in) % (ETH_FRAME_MAX_BYTES + 1U);
	size_t given_bytes = MIN((size_t)reader_u8(in), (size_t)size_bytes);
	const struct iovec iov = {frame, size_bytes};
	const void *bytes = reader_take(in, sizeof(hdr_bytes));

	if (bytes)
		memcpy(&hdr, bytes, sizeof(hdr));
	else
		hdr = (struct eth_hdr){0};
	memset(frame, 0, sizeof(frame));
	bytes = reader_take(in, given_bytes);
	if (bytes)
		memcpy(frame, bytes, given_bytes);
	(void)fabric_client_eth_ops()->send(vm->client, &hdr, &iov, 1);
	fabric_client_eth_ops()->flush(vm->client);
}

static void receive(struct vm *vm)
{
	static uint8_t frame[ETH_FRAME_MAX_BYTES];
	struct eth_hdr hdr;
	size_t size_bytes;

	/* It may have been told that there is no end of frames. */
	for (unsigned i = 0; i < 1000; i++) {
		if (fabric_client_eth_ops()->recv(
			    vm->client, &hdr, frame, sizeof(frame), &size_bytes) < 0)
			break;
		check(size_bytes <= sizeof(frame), "a frame that is none");
	}
}

static void step(struct reader *in)
{
	uint8_t what = reader_u8(in);
	struct vm *vm = &vms[what & 1];

	switch (what >> 1 & 7) {
	case 0:
		set_field(vm->memory, in);
		break;
	case 1:
		scribble(vm->memory, in);
		break;
	case 2:
	case 3:
	case 4:
		send_frame(vm, in);
		break;
	case 5:
		receive(vm);
		break;
	default:
		(void)datapath_serve(dp, vm->port, NOW_NS);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);

	begin();
	for (unsigned i = 0; i < MAX_STEPS && in.left_bytes > 0; i++)
		step(&in);
	for (unsigned i = 0; i < N_PORTS; i++) {
		(void)datapath_serve(dp, vms[i].port, NOW_NS);
		receive(&vms[i]);
	}
	end();
	return 0;
}
