/* SPDX-License-Identifier: MIT */
#include "node/hv/ports.h"

#include "node/hv/internal.h"

static void serial_update_irq_locked(struct partition *partition)
{
	bool level = uart16550_irq(&partition->uart);
	struct kvm_irq_level line = {.irq = SERIAL_IRQ, .level = level};

	if (level == partition->serial_irq)
		return;
	partition->serial_irq = level;
	(void)kvm_call(partition->vm_fd, KVM_IRQ_LINE, &line);
}

static void serial_access(void *opaque, struct vp *vp _unused_, struct io_access *access)
{
	struct partition *partition = opaque;
	uint8_t sent[sizeof(access->value)];
	size_t n_sent = 0;

	pthread_mutex_lock(&partition->serial_lock);
	for (unsigned i = 0; i < access->size_bytes; i++) {
		unsigned reg = access->port - SERIAL_PORT + i;
		uint8_t byte = (uint8_t)(access->value >> 8 * i);

		if (access->is_write) {
			if (uart16550_write(&partition->uart, reg, byte))
				sent[n_sent++] = byte;
		} else {
			byte = uart16550_read(&partition->uart, reg);
			access->value &= ~(0xffU << 8 * i);
			access->value |= (uint32_t)byte << 8 * i;
		}
	}
	serial_update_irq_locked(partition);
	pthread_mutex_unlock(&partition->serial_lock);
	if (n_sent)
		partition->ops->serial_output(partition->data, sent, n_sent);
}

int partition_serial_input(struct partition *partition, const void *bytes, size_t size_bytes)
{
	int r;

	pthread_mutex_lock(&partition->serial_lock);
	r = uart16550_receive(&partition->uart, bytes, size_bytes);
	serial_update_irq_locked(partition);
	pthread_mutex_unlock(&partition->serial_lock);
	return r;
}

/* After the interrupt controllers: the line's level is theirs to remember, its source is ours. */
int ports_restore_serial(struct partition *partition, struct reader *in)
{
	int r;

	pthread_mutex_lock(&partition->serial_lock);
	r = uart16550_restore(&partition->uart, in);
	if (r == 0)
		serial_update_irq_locked(partition);
	pthread_mutex_unlock(&partition->serial_lock);
	return r;
}

static void chipset_port_access(void *opaque, struct vp *vp _unused_, struct io_access *access)
{
	struct partition *partition = opaque;
	enum chipset_event event;

	pthread_mutex_lock(&partition->chipset_lock);
	event = chipset_access(&partition->chipset, access, alarm_utc_ns());
	alarm_update_locked(partition);
	pthread_mutex_unlock(&partition->chipset_lock);
	if (event == CHIPSET_POWEROFF)
		partition_end(partition, PARTITION_END_POWEROFF, "the guest powered off");
	else if (event == CHIPSET_RESET)
		partition_end(partition, PARTITION_END_RESET, "the guest asked for a reset");
}

/* After the interrupt controllers, as the serial port. */
int ports_restore_chipset(struct partition *partition, struct reader *in)
{
	int r;

	pthread_mutex_lock(&partition->chipset_lock);
	r = chipset_restore(&partition->chipset, in);
	if (r == 0)
		alarm_update_locked(partition);
	pthread_mutex_unlock(&partition->chipset_lock);
	return r;
}

static struct kvm_regs *regs_to_change(struct vp *vp)
{
	vp->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	return &vp->run->s.regs.regs;
}

static void hypercall_access(void *opaque, struct vp *vp, struct io_access *access)
{
	struct partition *partition = opaque;
	struct kvm_regs *regs;

	if (!access->is_write)
		return;
	regs = regs_to_change(vp);
	regs->rax = hv_hypercall(partition->hv, regs->rcx, regs->rdx, regs->r8);
}

/* Signals that no doorbell in the kernel took. */
static void doorbell_access(void *opaque, struct vp *vp, struct io_access *access)
{
	struct partition *partition = opaque;

	if (!access->is_write || access->size_bytes != sizeof(access->value))
		return;
	regs_to_change(vp)->rcx =
		partition->hv->ops->signal_event(partition->hv->data, access->value, 0);
}

int ports_init(struct partition *partition)
{
	static const struct {
		uint16_t first, n_ports;
		io_handler_fn handler;
	} table[] = {
		{HV_HYPERCALL_PORT, 1, hypercall_access},
		{HV_DOORBELL_PORT, 1, doorbell_access},
		{SERIAL_PORT, SERIAL_N_PORTS, serial_access},
	};
	int r = 0;

	uart16550_init(&partition->uart);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(table); i++)
		r = io_bus_add(&partition->ports, table[i].first, table[i].n_ports,
			table[i].handler, partition);
	for (size_t i = 0; r == 0 && i < CHIPSET_N_RANGES; i++)
		r = io_bus_add(&partition->ports, chipset_ranges[i].first,
			chipset_ranges[i].n_ports, chipset_port_access, partition);
	return r;
}
