/* SPDX-License-Identifier: MIT */
#include "node/hv/acpi.h"
#include "node/hv/boot.h"
#include "node/hv/chipset.h"
#include "node/hv/partition.h"

#include <string.h>

#define OEM_ID     "VIADCT"
#define TABLE_ID   "VIADUCT "
#define CREATOR_ID "VIAD"

#define TABLE_ALIGNMENT 64ULL
#define LAPIC_GPA       0xfee00000U
#define IOAPIC_GPA      0xfec00000U
#define ALL_PROCESSORS  0xff

/* Compiled from dsdt.asl; see dsdt.S. */
extern const uint8_t acpi_dsdt[], acpi_dsdt_end[];
extern const uint8_t acpi_dsdt_video[], acpi_dsdt_video_end[];

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t size_bytes;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert_size(struct acpi_rsdp, 36);
#define RSDP_V1_BYTES 20

struct acpi_header {
	char signature[4];
	uint32_t size_bytes;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert_size(struct acpi_header, 36);

struct acpi_address {
	uint8_t space; /* 1: I/O ports */
	uint8_t width_bits, offset_bits;
	uint8_t access; /* 1: bytes, 2: words */
	uint64_t address;
} __attribute__((packed));
static_assert_size(struct acpi_address, 12);

#define SPACE_IO    1
#define ACCESS_BYTE 1
#define ACCESS_WORD 2

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved_1, profile;
	uint16_t sci_irq;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
		gpe1;
	uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes, gpe0_bytes,
		gpe1_bytes, gpe1_base, cst_control;
	uint16_t c2_latency_us, c3_latency_us, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved_2;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control,
		x_pm2_control, x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor_id;
} __attribute__((packed));
static_assert_size(struct acpi_fadt, 276);
static_assert_offset(struct acpi_fadt, pm1_event_bytes, 88);
static_assert_offset(struct acpi_fadt, boot_flags, 109);
static_assert_offset(struct acpi_fadt, reset, 116);
static_assert_offset(struct acpi_fadt, x_dsdt, 140);
static_assert_offset(struct acpi_fadt, x_pm1a_control, 172);

#define FADT_REVISION 6
#define FADT_MINOR    4
#define C2_NONE       101  /* more than 100 us: there is no such state */
#define C3_NONE       1001 /* more than 1000 us */

/* Neither keyboard controller nor VGA registers. */
#define BOOT_FLAG_NO_VGA 0x0004

#define FADT_WBINVD         (1U << 0)
#define FADT_C1             (1U << 2)
#define FADT_NO_FIXED_POWER (1U << 4)
#define FADT_NO_FIXED_SLEEP (1U << 5)
#define FADT_NO_RTC_WAKE    (1U << 6)
#define FADT_RESET_REGISTER (1U << 10)

struct acpi_facs {
	char signature[4];
	uint32_t size_bytes;
	uint32_t hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));
static_assert_size(struct acpi_facs, 64);
#define FACS_VERSION 2

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags;
} __attribute__((packed));
#define MADT_REVISION 5
#define MADT_HAS_PICS 1

struct madt_lapic {
	uint8_t type, size_bytes, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));
static_assert_size(struct madt_lapic, 8);
#define LAPIC_ENABLED 1

struct madt_ioapic {
	uint8_t type, size_bytes, id, reserved;
	uint32_t address, first_interrupt;
} __attribute__((packed));
static_assert_size(struct madt_ioapic, 12);

struct madt_override {
	uint8_t type, size_bytes, bus, irq;
	uint32_t interrupt;
	uint16_t flags;
} __attribute__((packed));
static_assert_size(struct madt_override, 10);
#define ACTIVE_HIGH_LEVEL 0xd

struct madt_nmi {
	uint8_t type, size_bytes, processor;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
static_assert_size(struct madt_nmi, 6);

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_NMI = 4,
};

static uint8_t checksum(const void *data, size_t size_bytes)
{
	const uint8_t *at = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size_bytes; i++)
		sum += at[i];
	return (uint8_t)-sum;
}

static void *table_start(
	struct buf *table, const char *signature, uint8_t revision, size_t size_bytes)
{
	struct acpi_header *header = buf_extend(table, size_bytes);

	if (!header)
		return NULL;
	memset(header, 0, size_bytes);
	header->revision = revision;
	header->oem_revision = 1;
	header->creator_revision = 1;
	memcpy(header->signature, signature, sizeof(header->signature));
	memcpy(header->oem_id, OEM_ID, sizeof(header->oem_id));
	memcpy(header->table_id, TABLE_ID, sizeof(header->table_id));
	memcpy(header->creator_id, CREATOR_ID, sizeof(header->creator_id));
	return header;
}

/* Where tables go, one behind the other. */
struct area {
	struct gpa_space *memory;
	uint64_t at;
	int error;
};

static uint64_t place(struct area *area, const void *data, size_t size_bytes)
{
	uint64_t at = area->at;

	if (size_bytes > BOOT_HOLE_END_GPA - at) {
		area->error = -ENOSPC;
		return 0;
	}
	if (area->error == 0)
		area->error = gpa_write(area->memory, gpa(at), data, size_bytes);
	area->at = ALIGN_UP(at + size_bytes, TABLE_ALIGNMENT);
	return at;
}

static uint64_t table_place(struct area *area, struct buf *table)
{
	struct acpi_header *header = (void *)table->data;
	uint64_t at = 0;

	if (table->failed) {
		area->error = -ENOMEM;
	} else {
		header->size_bytes = (uint32_t)table->size_bytes;
		header->checksum = 0;
		header->checksum = checksum(header, table->size_bytes);
		at = place(area, header, table->size_bytes);
	}
	buf_fini(table);
	return at;
}

static struct acpi_address io_address(uint16_t port, uint8_t n_bytes, uint8_t access)
{
	return (struct acpi_address){
		.space = SPACE_IO,
		.width_bits = (uint8_t)(n_bytes * 8),
		.access = access,
		.address = port,
	};
}

static uint64_t write_fadt(struct area *area, uint64_t dsdt, uint64_t facs)
{
	struct buf table = {0};
	struct acpi_fadt *fadt = table_start(&table, "FACP", FADT_REVISION, sizeof(*fadt));

	if (!fadt)
		return table_place(area, &table);
	fadt->facs = (uint32_t)facs;
	fadt->dsdt = (uint32_t)dsdt;
	fadt->x_dsdt = dsdt;
	fadt->sci_irq = ACPI_SCI_IRQ;
	fadt->pm1a_event = PM1_PORT;
	fadt->pm1a_control = PM1_PORT + PM1_CONTROL;
	fadt->pm1_event_bytes = PM1_EVENT_BYTES;
	fadt->pm1_control_bytes = PM1_CONTROL_BYTES;
	fadt->x_pm1a_event = io_address(PM1_PORT, PM1_EVENT_BYTES, ACCESS_WORD);
	fadt->x_pm1a_control = io_address(PM1_PORT + PM1_CONTROL, PM1_CONTROL_BYTES, ACCESS_WORD);
	fadt->c2_latency_us = C2_NONE;
	fadt->c3_latency_us = C3_NONE;
	fadt->century = RTC_CENTURY;
	fadt->boot_flags = BOOT_FLAG_NO_VGA;
	fadt->flags = FADT_WBINVD | FADT_C1 | FADT_NO_FIXED_POWER | FADT_NO_FIXED_SLEEP |
		      FADT_NO_RTC_WAKE | FADT_RESET_REGISTER;
	fadt->reset = io_address(RESET_PORT, 1, ACCESS_BYTE);
	fadt->reset_value = RESET_SYSTEM | RESET_CPU;
	fadt->minor_revision = FADT_MINOR;
	memcpy(&fadt->hypervisor_id, "Microsoft Hv", sizeof(fadt->hypervisor_id));
	return table_place(area, &table);
}

static uint64_t write_facs(struct area *area)
{
	struct acpi_facs facs = {
		.signature = {'F', 'A', 'C', 'S'},
		.size_bytes = sizeof(facs),
		.version = FACS_VERSION,
	};

	return place(area, &facs, sizeof(facs));
}

static uint64_t write_madt(struct area *area, unsigned n_vps)
{
	struct buf table = {0};
	struct acpi_madt *madt = table_start(&table, "APIC", MADT_REVISION, sizeof(*madt));
	struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.size_bytes = sizeof(ioapic),
		.id = (uint8_t)n_vps,
		.address = IOAPIC_GPA,
	};
	struct madt_override sci = {
		.type = MADT_OVERRIDE,
		.size_bytes = sizeof(sci),
		.irq = ACPI_SCI_IRQ,
		.interrupt = ACPI_SCI_IRQ,
		.flags = ACTIVE_HIGH_LEVEL,
	};
	struct madt_nmi nmi = {
		.type = MADT_NMI,
		.size_bytes = sizeof(nmi),
		.processor = ALL_PROCESSORS,
		.lint = 1,
	};

	if (madt) {
		madt->lapic = LAPIC_GPA;
		madt->flags = MADT_HAS_PICS;
	}
	for (unsigned i = 0; i < n_vps; i++) {
		struct madt_lapic lapic = {
			.type = MADT_LAPIC,
			.size_bytes = sizeof(lapic),
			.processor = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = LAPIC_ENABLED,
		};

		buf_bytes(&table, &lapic, sizeof(lapic));
	}
	buf_bytes(&table, &ioapic, sizeof(ioapic));
	buf_bytes(&table, &sci, sizeof(sci));
	buf_bytes(&table, &nmi, sizeof(nmi));
	return table_place(area, &table);
}

static uint64_t write_xsdt(struct area *area, uint64_t fadt, uint64_t madt)
{
	struct buf table = {0};

	(void)table_start(&table, "XSDT", 1, sizeof(struct acpi_header));
	buf_le64(&table, fadt);
	buf_le64(&table, madt);
	return table_place(area, &table);
}

int acpi_write_tables(struct gpa_space *memory, unsigned n_vps, bool has_video)
{
	const uint8_t *dsdt = has_video ? acpi_dsdt_video : acpi_dsdt;
	const uint8_t *dsdt_end = has_video ? acpi_dsdt_video_end : acpi_dsdt_end;
	struct area area = {
		.memory = memory,
		.at = BOOT_ACPI_GPA + ALIGN_UP(sizeof(struct acpi_rsdp), TABLE_ALIGNMENT),
	};
	struct acpi_rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = 2,
		.size_bytes = sizeof(rsdp),
	};
	uint64_t dsdt_at = place(&area, dsdt, (size_t)(dsdt_end - dsdt));
	uint64_t fadt_at = write_fadt(&area, dsdt_at, write_facs(&area));

	memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
	rsdp.xsdt = write_xsdt(&area, fadt_at, write_madt(&area, n_vps));
	rsdp.checksum = checksum(&rsdp, RSDP_V1_BYTES);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	if (area.error == 0)
		area.error = gpa_write(memory, gpa(BOOT_ACPI_GPA), &rsdp, sizeof(rsdp));
	return area.error;
}
