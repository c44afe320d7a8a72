/* SPDX-License-Identifier: MIT
 *
 * partition.c - a partition put together and taken apart, and where its parts meet.
 */
#include "node/hv/partition.h"
#include "node/hv/internal.h"

#define TSS_ADDR          0xfffbd000UL /* three pages that VMX without unrestricted guest needs, */
#define IDENTITY_MAP_ADDR 0xfffbc000UL /* and one more */

#define MSI_ADDRESS           0xfee00000U
#define MSI_DESTINATION_SHIFT 12

#define FILTERED_MSR_FIRST 0x40000000U
#define FILTERED_MSR_COUNT 0x200U

static void raise_interrupt(void *data, uint32_t vp_index, uint8_t vector)
{
	struct partition *partition = data;
	struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | vp_index << MSI_DESTINATION_SHIFT,
		.data = vector,
	};

	/* Refused by an APIC that is off: a real one would not listen either. */
	(void)kvm_call(partition->vm_fd, KVM_SIGNAL_MSI, &msi);
}

static uint16_t guest_post_message(void *data, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes)
{
	struct partition *partition = data;

	return partition->ops->post_message(
		partition->data, connection_id, message_type, payload, size_bytes);
}

static uint16_t guest_signal_event(void *data, uint32_t connection_id, uint16_t flag)
{
	struct partition *partition = data;

	if (flag == 0 && doorbell_ring(&partition->doorbells, connection_id))
		return HV_STATUS_SUCCESS;
	return partition->ops->signal_event(partition->data, connection_id, flag);
}

static const struct hv_ops hv_ops = {
	.interrupt = raise_interrupt,
	.post_message = guest_post_message,
	.signal_event = guest_signal_event,
};

/* Every access to the synthetic MSRs comes to us; all others are KVM's. */
static int filter_msrs(int vm_fd)
{
	static uint8_t none_allowed[FILTERED_MSR_COUNT / 8];
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] =
			{
				.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
				.base = FILTERED_MSR_FIRST,
				.nmsrs = FILTERED_MSR_COUNT,
				.bitmap = none_allowed,
			},
	};
	int r = kvm_enable(vm_fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);

	return r < 0 ? r : kvm_call(vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
}

static int create_vm(struct partition *partition, int kvm_fd)
{
	uint64_t identity_map = IDENTITY_MAP_ADDR;
	int r;

	partition->vm_fd = kvm_call(kvm_fd, KVM_CREATE_VM, NULL);
	if (partition->vm_fd < 0)
		return partition->vm_fd;
	r = kvm_call_number(partition->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (r == 0)
		r = kvm_call(partition->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	if (r == 0 && partition->caps.can_disable_pmu)
		r = kvm_enable(partition->vm_fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
	if (r == 0)
		r = kvm_enable(partition->vm_fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	if (r == 0)
		r = kvm_call(partition->vm_fd, KVM_CREATE_IRQCHIP, NULL);
	return r == 0 ? filter_msrs(partition->vm_fd) : r;
}

static int create_vps(struct partition *partition, int kvm_fd)
{
	int r = cpuid_from_kvm(kvm_fd, partition->n_vps, &partition->cpuid);

	for (unsigned i = 0; r == 0 && i < partition->n_vps; i++) {
		struct vp *vp = &partition->vps[i];

		r = vp_init(vp, partition, i);
		if (r == 0)
			r = kvm_enable(vp->fd, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
		if (r == 0)
			r = cpuid_set(&partition->cpuid, i, vp->fd);
	}
	if (r == 0)
		r = msr_list_init(&partition->msrs, kvm_fd, partition->vps[0].fd);
	return r == 0 ? tsc_init(partition) : r;
}

static int compose(struct partition *partition, const struct partition_config *config)
{
	int r = create_vm(partition, config->kvm_fd);

	if (r == 0)
		r = mem_init(partition, config);
	if (r == 0)
		r = create_vps(partition, config->kvm_fd);
	if (r == 0)
		r = hv_new(partition->memory, partition->n_vps, partition->tsc_khz * 1000, &hv_ops,
			partition, &partition->hv);
	if (r == 0)
		r = ports_init(partition);
	if (r == 0)
		r = alarm_init(partition);
	for (unsigned i = 0; r == 0 && i < partition->n_vps; i++)
		r = vp_start_thread(&partition->vps[i]);
	return r;
}

static bool video_is_valid(uint64_t bytes)
{
	return bytes % (1U << 20) == 0 && (bytes & (bytes - 1)) == 0 &&
	       bytes <= PARTITION_VRAM_MAX_BYTES;
}

static bool config_is_valid(const struct partition_config *config)
{
	return config->n_vps >= 1 && config->n_vps <= PARTITION_MAX_VPS &&
	       config->ram_bytes >= PARTITION_MIN_RAM_BYTES &&
	       config->ram_bytes <= PARTITION_MAX_RAM_BYTES &&
	       config->ram_bytes % PARTITION_RAM_UNIT_BYTES == 0 &&
	       config->max_ram_bytes <= PARTITION_MAX_RAM_BYTES &&
	       (config->max_ram_bytes == 0 || config->max_ram_bytes >= config->ram_bytes) &&
	       video_is_valid(config->vram_bytes);
}

int partition_new(const struct partition_config *config, struct partition **ret_partition,
	const char **ret_missing)
{
	struct partition *partition;
	struct kvm_caps caps;
	const char *missing = NULL;
	int r;

	if (!config_is_valid(config))
		return -EINVAL;
	r = kvm_check(config->kvm_fd, &caps, &missing);
	if (r == 0 && config->n_vps > caps.max_vps) {
		missing = "so many VPs";
		r = -ENOTSUP;
	}
	if (r < 0) {
		if (ret_missing)
			*ret_missing = missing;
		return r;
	}
	partition = calloc(1, sizeof(*partition));
	if (!partition)
		return -ENOMEM;
	partition->ops = config->ops;
	partition->data = config->data;
	partition->vm_fd = -1;
	partition->caps = caps;
	partition->n_vps = config->n_vps;
	pthread_mutex_init(&partition->memory_lock, NULL);
	pthread_mutex_init(&partition->serial_lock, NULL);
	pthread_mutex_init(&partition->chipset_lock, NULL);
	pthread_cond_init(&partition->alarm.changed, NULL);
	chipset_init(&partition->chipset, PARTITION_VRAM_GPA, config->vram_bytes);
	doorbells_init(&partition->doorbells);
	partition->vps = calloc(config->n_vps, sizeof(*partition->vps));
	partition->guest_tsc = calloc(config->n_vps, sizeof(*partition->guest_tsc));
	r = partition->vps && partition->guest_tsc ? compose(partition, config) : -ENOMEM;
	if (r < 0) {
		partition_free(partition);
		return r;
	}
	*ret_partition = partition;
	return 0;
}

void partition_free(struct partition *partition)
{
	if (!partition)
		return;
	for (unsigned i = 0; partition->vps && i < partition->n_vps; i++)
		vp_fini(&partition->vps[i]);
	alarm_fini(partition);
	if (partition->dirty_maps)
		(void)partition_dirty_stop(partition);
	hv_free(partition->hv);
	close_fd(partition->vm_fd);
	mem_free(partition->memory);
	doorbells_fini(&partition->doorbells);
	pthread_cond_destroy(&partition->alarm.changed);
	pthread_mutex_destroy(&partition->chipset_lock);
	pthread_mutex_destroy(&partition->serial_lock);
	pthread_mutex_destroy(&partition->memory_lock);
	free(partition->guest_tsc);
	free(partition->vps);
	free(partition);
}

void partition_end(struct partition *partition, enum partition_end end, const char *text)
{
	if (__atomic_exchange_n(&partition->has_ended, true, __ATOMIC_SEQ_CST))
		return;
	for (unsigned i = 0; i < partition->n_vps; i++)
		vp_kick(&partition->vps[i]);
	partition->ops->ended(partition->data, end, text);
}

struct gpa_space *partition_memory(struct partition *partition)
{
	return partition->memory;
}

unsigned partition_n_vps(const struct partition *partition)
{
	return partition->n_vps;
}

int partition_post_message(struct partition *partition, uint32_t vp_index, unsigned sint,
	uint32_t message_type, const void *payload, size_t size_bytes)
{
	return hv_synic_post(partition->hv, vp_index, sint, message_type, payload, size_bytes);
}

int partition_signal_flag(
	struct partition *partition, uint32_t vp_index, unsigned sint, unsigned flag)
{
	return hv_synic_signal(partition->hv, vp_index, sint, flag);
}

int partition_doorbell_add(struct partition *partition, uint32_t connection_id, int event_fd)
{
	return doorbell_add(&partition->doorbells, partition->vm_fd, connection_id, event_fd);
}

void partition_doorbell_remove(struct partition *partition, uint32_t connection_id, int event_fd)
{
	doorbell_remove(&partition->doorbells, partition->vm_fd, connection_id, event_fd);
}

uint64_t partition_reference_time(struct partition *partition)
{
	return hv_reference_time(partition->hv);
}

uint64_t partition_tsc_khz(const struct partition *partition)
{
	return partition->tsc_khz;
}

uint64_t partition_cpuid_digest(const struct partition *partition)
{
	return cpuid_digest(&partition->cpuid);
}
