/* SPDX-License-Identifier: MIT
 *
 * irqchip.c - the interrupt controllers that KVM keeps for the whole partition. Saved form: for
 * each of the two PICs and the IOAPIC its length u32 and struct kvm_irqchip.
 */
#include "node/hv/internal.h"

static const uint32_t chips[] = {
	KVM_IRQCHIP_PIC_MASTER,
	KVM_IRQCHIP_PIC_SLAVE,
	KVM_IRQCHIP_IOAPIC,
};

int irqchip_save(const struct partition *partition, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(chips); i++) {
		struct kvm_irqchip chip = {.chip_id = chips[i]};
		int r = kvm_call(partition->vm_fd, KVM_GET_IRQCHIP, &chip);

		if (r < 0)
			return r;
		buf_le32(out, sizeof(chip));
		buf_bytes(out, &chip, sizeof(chip));
	}
	return 0;
}

int irqchip_restore(const struct partition *partition, struct reader *in)
{
	for (size_t i = 0; i < ARRAY_LEN(chips); i++) {
		struct kvm_irqchip chip;
		uint32_t size_bytes = reader_le32(in);

		reader_bytes(in, &chip, sizeof(chip));
		if (!reader_ok(in) || size_bytes != sizeof(chip) || chip.chip_id != chips[i])
			return -EBADMSG;
		if (kvm_call(partition->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			return -EBADMSG;
	}
	return 0;
}
