/* SPDX-License-Identifier: MIT
 *
 * test_boot_info.c - what a kernel's entry is given, and the ACPI tables.
 */
#include "base/bytes.h"
#include "node/hv/acpi.h"
#include "node/hv/boot.h"
#include "node/hv/chipset.h"
#include "node/hv/partition.h"
#include "node/hv/pvh.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RAM_BYTES (4ULL << 20)

struct world {
	uint8_t *ram;
	struct gpa_space *memory;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->ram = aligned_alloc(GPA_PAGE_SIZE, RAM_BYTES);
	assert_non_null(w->ram);
	memset(w->ram, 0x5a, RAM_BYTES);
	assert_int_equal(gpa_space_new(&w->memory), 0);
	assert_int_equal(gpa_space_add(w->memory, gpa(0), RAM_BYTES, w->ram), 0);
	assert_int_equal(gpa_space_add(w->memory, gpa(4ULL << 30), GPA_PAGE_SIZE, w->ram), 0);
	/* Not RAM of the start of day. */
	assert_int_equal(
		gpa_space_add(w->memory, gpa(PARTITION_VRAM_GPA), GPA_PAGE_SIZE, w->ram), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	gpa_space_free(w->memory);
	free(w->ram);
	free(w);
	return 0;
}

static const struct boot_kernel pvh = {
	.protocol = BOOT_PVH,
	.cmdline_max_bytes = BOOT_CMDLINE_MAX_BYTES,
};
static const struct boot_kernel linux64 = {
	.protocol = BOOT_LINUX64,
	.cmdline_max_bytes = 16,
	.header = {.version = 0x020f, .setup_data = 0x1234},
};
static const struct boot_initrd no_initrd;
static const struct boot_initrd some_initrd = {.base = 0x300000, .size_bytes = 77};

static void pvh_gets_its_start_info(void **state)
{
	struct world *w = *state;
	struct pvh_start_info info;
	struct pvh_memory map[4];
	struct pvh_module module;

	assert_int_equal(boot_write_info(w->memory, 2, &pvh, &some_initrd, "console=ttyS0"), 0);
	assert_int_equal(gpa_read(w->memory, gpa(BOOT_START_INFO_GPA), &info, sizeof(info)), 0);
	assert_int_equal(info.magic, PVH_START_INFO_MAGIC);
	assert_int_equal(info.version, 1);
	assert_int_equal(info.n_memory_map, 4);
	assert_int_equal(info.rsdp, BOOT_ACPI_GPA);
	assert_string_equal((char *)w->ram + info.command_line, "console=ttyS0");
	assert_int_equal(gpa_read(w->memory, gpa(info.memory_map), map, sizeof(map)), 0);
	assert_int_equal(map[0].size_bytes, 0xa0000);
	assert_int_equal(map[1].base, BOOT_ACPI_GPA);
	assert_int_equal(map[1].type, PVH_MEMORY_ACPI);
	assert_int_equal(map[2].base, 0x100000);
	assert_int_equal(map[2].size_bytes, RAM_BYTES - 0x100000);
	assert_true(map[3].base == 4ULL << 30);
	assert_int_equal(map[3].type, PVH_MEMORY_RAM);
	assert_int_equal(info.n_modules, 1);
	assert_int_equal(gpa_read(w->memory, gpa(info.modules), &module, sizeof(module)), 0);
	assert_int_equal(module.base, 0x300000);
	assert_int_equal(module.size_bytes, 77);

	assert_int_equal(boot_write_info(w->memory, 1, &pvh, &no_initrd, ""), 0);
	assert_int_equal(gpa_read(w->memory, gpa(BOOT_START_INFO_GPA), &info, sizeof(info)), 0);
	assert_int_equal(info.n_modules, 0);
	assert_int_equal(info.modules, 0);
	assert_int_equal(info.n_memory_map, 3);
}

static void linux_gets_its_zero_page(void **state)
{
	struct world *w = *state;
	struct boot_params params;

	assert_int_equal(boot_write_info(w->memory, 2, &linux64, &some_initrd, "quiet"), 0);
	assert_int_equal(gpa_read(w->memory, gpa(BOOT_PARAMS_GPA), &params, sizeof(params)), 0);
	assert_int_equal(params.hdr.version, 0x020f);
	assert_int_equal(params.hdr.type_of_loader, 0xff);
	assert_int_equal(params.hdr.setup_data, 0);
	assert_int_equal(params.hdr.ramdisk_image, 0x300000);
	assert_int_equal(params.hdr.ramdisk_size, 77);
	assert_string_equal((char *)w->ram + params.hdr.cmd_line_ptr, "quiet");
	assert_int_equal(params.acpi_rsdp_addr, BOOT_ACPI_GPA);
	assert_int_equal(params.sentinel, 0);
	assert_int_equal(params.e820_entries, 4);
	assert_int_equal(params.e820_table[1].type, PVH_MEMORY_ACPI);
	assert_int_equal(params.e820_table[2].addr, 0x100000);
	assert_true(params.e820_table[3].addr == 4ULL << 30);
}

/* Where a 64-bit entry finds `address`. */
static uint64_t translate(const struct world *w, uint64_t address)
{
	uint64_t table = BOOT_PAGE_TABLES_GPA;

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t entry = load_le64(w->ram + table + (address >> shift & 511) * 8);

		assert_int_equal(entry & 3, 3);
		if (shift == 21) {
			assert_int_equal(entry & 0x80, 0x80);
			return (entry & ~0x1fffffULL) | (address & 0x1fffff);
		}
		table = entry & ~0xfffULL;
		assert_in_range(table, BOOT_PAGE_TABLES_GPA, BOOT_RESERVED_END_GPA - 1);
	}
}

static void first_4_gib_are_mapped(void **state)
{
	static const uint64_t addresses[] = {
		0, 0x1fffff, 0x200000, 0x1000200, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff};
	struct world *w = *state;

	assert_int_equal(boot_write_info(w->memory, 2, &linux64, &no_initrd, ""), 0);
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		assert_true(translate(w, addresses[i]) == addresses[i]);
	assert_true(load_le64(w->ram + BOOT_GDT_GPA + BOOT_CODE_SELECTOR) == 0x00af9b000000ffff);
	assert_true(load_le64(w->ram + BOOT_GDT_GPA + BOOT_DATA_SELECTOR) == 0x00cf93000000ffff);
}

static void long_command_lines_are_refused(void **state)
{
	struct world *w = *state;
	char cmdline[BOOT_CMDLINE_MAX_BYTES + 1];

	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[BOOT_CMDLINE_MAX_BYTES] = '\0';
	assert_int_equal(boot_write_info(w->memory, 1, &pvh, &no_initrd, cmdline), -E2BIG);
	cmdline[BOOT_CMDLINE_MAX_BYTES - 1] = '\0';
	assert_int_equal(boot_write_info(w->memory, 1, &pvh, &no_initrd, cmdline), 0);
	cmdline[16] = '\0';
	assert_int_equal(boot_write_info(w->memory, 1, &linux64, &no_initrd, cmdline), -E2BIG);
	cmdline[15] = '\0';
	assert_int_equal(boot_write_info(w->memory, 1, &linux64, &no_initrd, cmdline), 0);
}

static uint8_t sum(const uint8_t *at, size_t size_bytes)
{
	uint8_t sum_bytes = 0;

	for (size_t i = 0; i < size_bytes; i++)
		sum_bytes += at[i];
	return sum_bytes;
}

/* A table with its signature, its sum right, within the area. */
static const uint8_t *table_at(const struct world *w, uint64_t at, const char *signature)
{
	const uint8_t *table = w->ram + at;
	uint32_t size_bytes = load_le32(table + 4);

	assert_in_range(at, BOOT_ACPI_GPA, BOOT_HOLE_END_GPA - 1);
	assert_in_range(at + size_bytes, BOOT_ACPI_GPA, BOOT_HOLE_END_GPA);
	assert_memory_equal(table, signature, 4);
	assert_int_equal(sum(table, size_bytes), 0);
	return table;
}

static const uint8_t *find_xsdt(const struct world *w)
{
	const uint8_t *rsdp = w->ram + BOOT_ACPI_GPA;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	return table_at(w, load_le64(rsdp + 24), "XSDT");
}

static void fadt_says_where_the_registers_are(void **state)
{
	struct world *w = *state;
	const uint8_t *fadt, *facs;

	assert_int_equal(acpi_write_tables(w->memory, 1, false), 0);
	fadt = table_at(w, load_le64(find_xsdt(w) + 36), "FACP");
	assert_int_equal(load_le16(fadt + 46), ACPI_SCI_IRQ);
	assert_int_equal(load_le32(fadt + 56), 0x600);
	assert_int_equal(load_le32(fadt + 64), 0x604);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(load_le64(fadt + 120), 0xcf9);
	assert_int_equal(fadt[128], 6);
	facs = w->ram + load_le32(fadt + 36);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal((uintptr_t)facs % 64, (uintptr_t)w->ram % 64);
	table_at(w, load_le64(fadt + 140), "DSDT");
	assert_int_equal(load_le32(fadt + 40), load_le64(fadt + 140));
}

static void madt_has_every_vp(void **state)
{
	struct world *w = *state;
	unsigned n_lapics = 0, n_others = 0;
	const uint8_t *madt, *at;

	assert_int_equal(acpi_write_tables(w->memory, PARTITION_MAX_VPS, false), 0);
	madt = table_at(w, load_le64(find_xsdt(w) + 44), "APIC");
	for (at = madt + 44; at < madt + load_le32(madt + 4); at += at[1]) {
		if (at[0] == 0) {
			assert_int_equal(at[3], n_lapics);
			n_lapics++;
		} else {
			n_others++;
		}
		if (at[0] == 1)
			assert_true(at[2] >= PARTITION_MAX_VPS);
	}
	assert_ptr_equal(at, madt + load_le32(madt + 4));
	assert_int_equal(n_lapics, PARTITION_MAX_VPS);
	assert_int_equal(n_others, 3);
}

static bool dsdt_has(struct world *w, bool has_video, const void *bytes, size_t size_bytes)
{
	const uint8_t *dsdt;

	assert_int_equal(acpi_write_tables(w->memory, 1, has_video), 0);
	dsdt = table_at(
		w, load_le64(table_at(w, load_le64(find_xsdt(w) + 36), "FACP") + 140), "DSDT");
	return memmem(dsdt, load_le32(dsdt + 4), bytes, size_bytes);
}

static void dsdt_names_what_is_there(void **state)
{
	struct world *w = *state;
	uint8_t window[8];

	store_le32(window, PARTITION_VRAM_GPA);
	store_le32(window + 4, PARTITION_VRAM_GPA + PARTITION_VRAM_MAX_BYTES - 1);
	for (unsigned has_video = 0; has_video <= 1; has_video++) {
		assert_true(dsdt_has(w, has_video, "VMBUS", 6));
		assert_true(dsdt_has(w, has_video, "_S5_", 4));
		assert_true(dsdt_has(w, has_video, window, sizeof(window)));
		assert_true(dsdt_has(w, has_video, "PCI0", 4) == has_video);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pvh_gets_its_start_info),
		TEST(linux_gets_its_zero_page),
		TEST(first_4_gib_are_mapped),
		TEST(long_command_lines_are_refused),
		TEST(fadt_says_where_the_registers_are),
		TEST(madt_has_every_vp),
		TEST(dsdt_names_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
