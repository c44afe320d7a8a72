/* SPDX-License-Identifier: MIT
 *
 * guest.c - the programs of the test guest. The first word of the command line chooses one; each
 * tells what it finds on the serial port, as "name=hexadecimal" lines, and powers off.
 *
 * Freestanding, general registers only. Ring 0 may be emulated at a microsecond an instruction:
 * keep every program tiny.
 */
#include "guest_layout.h"

#include "node/hv/ports.h"
#include "node/hv/pvh.h"
#include "vmbus/proto/synic.h"
#include "vmbus/proto/viaduct_cpuid.h"

#define LAPIC_EOI       0xfee000b0
#define LAPIC_SPURIOUS  0xfee000f0
#define LAPIC_ICR       0xfee00300
#define LAPIC_ICR_HIGH  0xfee00310
#define LAPIC_LVT_LINT0 0xfee00350
#define LAPIC_LVT_LINT1 0xfee00360
#define IOAPIC_SELECT   0xfec00000
#define IOAPIC_DATA     0xfec00010

#define VECTOR_GP       13
#define TSS_BYTES       104
#define TSS_RSP0        4
#define TSS_IO_MAP_BASE 102
#define IO_MAP_BYTES    (65536 / 8 + 1)
#define AP_START_GPA    0x8000

/* Linux's boot_params. */
#define PARAMS_RSDP         0x070
#define PARAMS_N_E820       0x1e8
#define PARAMS_HEADER_MAGIC 0x202
#define PARAMS_INITRD       0x218
#define PARAMS_INITRD_BYTES 0x21c
#define PARAMS_CMDLINE      0x228

#define RTC_PORT             0x70
#define RTC_NVRAM            0x40
#define RTC_REG_B            0x0b
#define RTC_REG_C            0x0c
#define RTC_IRQ              8
#define PM1_PORT             0x600
#define RTC_24_HOURS         0x02
#define RTC_UPDATE_INTERRUPT 0x10
#define PCI_ADDRESS          0xcf8
#define PCI_DATA             0xcfc
#define DISPLAY_BASE         0x80004010

struct frame {
	uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

struct gate {
	uint16_t offset0, selector, flags, offset16;
	uint32_t offset32, reserved;
} __attribute__((packed));

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern uint64_t guest_start_info, guest_boot_params, gdt[];
extern uint32_t guest_entry_cs;
extern const uint8_t vector_stubs[], kernel_stack_top[], ap_start[], ap_start_end[];
extern uint8_t hypercall_page[];
uint64_t guest_hypercall(uint64_t control, uint64_t input, uint64_t output);
_Noreturn void guest_enter_ring3(void (*entry)(void));
void guest_vector(struct frame *frame);
void guest_main(void);

static struct gate idt[64] __attribute__((aligned(16)));
/* Followed by an I/O permission map that lets ring 3 use every port: where ring 0 is emulated, IOPL
 * 3 does not. (Under QEMU's emulated SVM it is the map that stops working once a VP was restored,
 * so the guest has both.) */
static uint8_t tss[TSS_BYTES + IO_MAP_BYTES] __attribute__((aligned(16)));
static volatile uint64_t n_interrupts[64];
static volatile uint64_t n_faults;

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "d"(port) : "memory");
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port) : "memory");
	return v;
}

static uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "d"(port) : "memory");
	return v;
}

static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "d"(port) : "memory");
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return low | (uint64_t)high << 32;
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"(v >> 32) : "memory");
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static volatile uint32_t *reg32(uint64_t at)
{
	return (volatile uint32_t *)at;
}

static volatile uint64_t *word64(uint64_t at)
{
	return (volatile uint64_t *)at;
}

static void put(const char *s)
{
	for (; *s; s++)
		out8(SERIAL_PORT, (uint8_t)*s);
}

static void put_value(const char *name, uint64_t v)
{
	put(name);
	put("=");
	for (int shift = 60; shift >= 0; shift -= 4) {
		if (v >> shift || shift == 0)
			out8(SERIAL_PORT, (uint8_t) "0123456789abcdef"[v >> shift & 15]);
	}
	put("\n");
}

static _Noreturn void power_off(void)
{
	__asm__ volatile("outw %0, %1" : : "a"((uint16_t)0x2000), "d"((uint16_t)0x604));
	for (;;)
		__asm__ volatile("pause");
}

static uint64_t read_cr2(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

/* A #GP of a two-byte instruction (RDMSR, WRMSR) is counted and stepped over. */
void guest_vector(struct frame *frame)
{
	if (frame->vector >= 32) {
		n_interrupts[frame->vector]++;
		*reg32(LAPIC_EOI) = 0;
	} else if (frame->vector == VECTOR_GP) {
		n_faults++;
		frame->rip += 2;
	} else {
		put_value("exception", frame->vector);
		put_value("error", frame->error_code);
		put_value("rip", frame->rip);
		put_value("cs", frame->cs);
		put_value("rsp", frame->rsp);
		put_value("cr2", read_cr2());
		power_off();
	}
}

static void set_tables(void)
{
	struct table_pointer pointer = {sizeof(idt) - 1, (uintptr_t)idt};
	uint64_t base = (uintptr_t)tss, stack = (uintptr_t)kernel_stack_top;

	for (unsigned i = 0; i < 64; i++) {
		uint64_t at = (uintptr_t)vector_stubs + i * 16;

		idt[i] = (struct gate){
			(uint16_t)at, 0x10, 0x8e00, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
	}
	*(volatile uint32_t *)(tss + TSS_RSP0) = (uint32_t)stack;
	*(volatile uint16_t *)(tss + TSS_IO_MAP_BASE) = TSS_BYTES;
	tss[sizeof(tss) - 1] = 0xff;
	gdt[8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
		 (base >> 24 & 0xff) << 56;
	gdt[9] = base >> 32;
	__asm__ volatile("lidt %0; ltr %w1" : : "m"(pointer), "r"(0x40) : "memory");
	*reg32(LAPIC_LVT_LINT0) = 0x10000;
	*reg32(LAPIC_LVT_LINT1) = 0x10000;
	*reg32(LAPIC_SPURIOUS) = 0x13f;
}

/* Wait until the host asks for request `n`. */
static void wait_for_go(uint64_t n)
{
	while (*word64(GUEST_GO_GPA) < n)
		__asm__ volatile("pause");
}

static void sleep_until(volatile uint64_t *counter, uint64_t wanted)
{
	while (*counter < wanted)
		__asm__ volatile("sti; hlt; cli");
}

static void put_leaf(const char *name, uint32_t leaf)
{
	uint32_t a, b, c, d;

	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(0));
	put(name);
	put_value(".eax", a);
	put(name);
	put_value(".ebx", b);
	put(name);
	put_value(".ecx", c);
	put(name);
	put_value(".edx", d);
}

static void program_cpuid(void)
{
	put_leaf("1", 1);
	put_leaf("40000000", 0x40000000);
	put_leaf("40000003", 0x40000003);
	put_leaf("40000100", VIADUCT_CPUID_SIGNATURE);
	put_leaf("40000101", VIADUCT_CPUID_DOORBELL);
}

static void program_boot(void)
{
	const struct pvh_start_info *info = (const void *)guest_start_info;
	const struct pvh_memory *map = (const void *)info->memory_map;

	put_value("magic", info->magic);
	put_value("version", info->version);
	put_value("n_map", info->n_memory_map);
	for (uint32_t i = 0; i < info->n_memory_map; i++) {
		put_value("base", map[i].base);
		put_value("size", map[i].size_bytes);
	}
	put_value("pio", in32(0x500));
	put_value("mmio", *reg32(0xd0000000));
}

static uint32_t param32(uint64_t at)
{
	return *reg32(guest_boot_params + at);
}

static void program_linux(void)
{
	put_value("magic", param32(PARAMS_HEADER_MAGIC));
	put_value("cs", guest_entry_cs);
	put_value("rsdp", *word64(param32(PARAMS_RSDP)));
	put_value("n_e820", *(volatile uint8_t *)(guest_boot_params + PARAMS_N_E820));
	put_value("initrd_bytes", param32(PARAMS_INITRD_BYTES));
	if (param32(PARAMS_INITRD_BYTES))
		put_value("initrd", *word64(param32(PARAMS_INITRD)));
}

/* Registers of the chipset, set before a pause that the host makes and read after it. */
static void program_chipset(void)
{
	out8(RTC_PORT, RTC_NVRAM);
	out8(RTC_PORT + 1, 0x77);
	out32(PM1_PORT, 0x00200000);
	out32(PCI_ADDRESS, DISPLAY_BASE);
	put_value("base", in32(PCI_DATA));
	out32(PCI_DATA, 0xffffffff);
	put("set\n");
	wait_for_go(1);
	put_value("nvram", in8(RTC_PORT + 1));
	put_value("pm1", in32(PM1_PORT));
	put_value("size", in32(PCI_DATA));
	*word64(0xf8000000) = 0x5678;
	wait_for_go(2);
	put_value("video", *word64(0xf8000000));
	out8(0xcf9, 6);
}

/* Memory that comes at the first request, and goes at the second. */
static void program_memory(void)
{
	put_value("before", *word64(GUEST_ADDED_GPA));
	put("ready\n");
	wait_for_go(1);
	put_value("fresh", *word64(GUEST_ADDED_GPA));
	*word64(GUEST_ADDED_GPA) = 0x1234;
	put("written\n");
	wait_for_go(2);
	put_value("kept", *word64(GUEST_ADDED_GPA));
	put("kept it\n");
	wait_for_go(3);
	put_value("released", *word64(GUEST_ADDED_GPA));
}

static void hypercalls_on(void)
{
	wrmsr(HV_MSR_GUEST_OS_ID, 0x8100000000000001);
	wrmsr(HV_MSR_HYPERCALL, (uintptr_t)hypercall_page | HV_MSR_PAGE_ENABLE);
}

static void program_msr(void)
{
	wrmsr(0x400000b0, 1); /* timers are not offered */
	(void)rdmsr(0x40000118);
	wrmsr(HV_MSR_VP_INDEX, 1);
	put_value("faults", n_faults);
	put_value("vp_index", rdmsr(HV_MSR_VP_INDEX));
	put_value("apic_hz", rdmsr(HV_MSR_APIC_FREQUENCY));
	put_value("tsc_hz", rdmsr(HV_MSR_TSC_FREQUENCY));
	hypercalls_on();
	put_value("page", *(volatile uint32_t *)hypercall_page);
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
	put_value("hypercall", rdmsr(HV_MSR_HYPERCALL) & 1);
	put_value("below", *(volatile uint32_t *)hypercall_page);
	put_value("runtime", rdmsr(HV_MSR_VP_RUNTIME) > 0);
}

/* An OUT to the doorbell as a ring-3 driver does it. */
static uint64_t ring(uint32_t connection_id)
{
	uint64_t status = 0;

	__asm__ volatile("outl %1, %2"
			 : "+c"(status)
			 : "a"(connection_id), "d"((uint16_t)VIADUCT_DOORBELL_PORT)
			 : "memory");
	return status;
}

static void program_signal(void)
{
	static struct hv_signal_event_input input
		__attribute__((aligned(8))) = {.connection_id = 7};
	static struct hv_post_message_input message __attribute__((aligned(256))) = {
		.connection_id = 4,
		.message_type = 1,
		.payload_bytes = 4,
		.payload = "abc",
	};
	const uint64_t fast = HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST;

	hypercalls_on();
	put_value("fast_known", guest_hypercall(fast, 7, 0));
	put_value("fast_unknown", guest_hypercall(fast, 8, 0));
	put_value("fast_flag", guest_hypercall(fast, 7 | 5ULL << 32, 0));
	put_value("slow_known", guest_hypercall(HV_CALL_SIGNAL_EVENT, (uintptr_t)&input, 0));
	put_value("out_known", ring(7));
	put_value("out_unknown", ring(8));
	put_value("post", guest_hypercall(HV_CALL_POST_MESSAGE, (uintptr_t)&message, 0));
	put_value("bad_code", guest_hypercall(0x7777, 0, 0));
	put_value("bad_align", guest_hypercall(HV_CALL_POST_MESSAGE, (uintptr_t)&message + 4, 0));
}

static void synic_on(void)
{
	*word64(GUEST_SIMP_GPA) = 0x1111;
	*word64(GUEST_SIEFP_GPA) = 0x2222;
	wrmsr(HV_MSR_SIMP, GUEST_SIMP_GPA | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_MSR_SIEFP, GUEST_SIEFP_GPA | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_MSR_SINT0 + GUEST_SINT, GUEST_SINT_VECTOR);
	wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}

static volatile uint8_t *message_slot(void)
{
	return (volatile uint8_t *)(GUEST_SIMP_GPA + GUEST_SINT * 256UL);
}

static void take_message(void)
{
	volatile uint8_t *slot = message_slot();

	put_value("type", *(volatile uint32_t *)slot);
	put_value("payload", *(volatile uint64_t *)(slot + 16));
	__atomic_store_n((volatile uint32_t *)slot, 0, __ATOMIC_SEQ_CST);
	if (slot[5] & HV_MESSAGE_PENDING)
		wrmsr(HV_MSR_EOM, 0);
}

/* Messages until one with payload 0, then one event flag. */
static void program_message(void)
{
	volatile uint64_t *interrupts = &n_interrupts[GUEST_SINT_VECTOR];
	uint64_t *flags = (uint64_t *)(GUEST_SIEFP_GPA + GUEST_SINT * 256UL);
	uint64_t payload, seen = 0;

	synic_on();
	put("ready\n");
	do {
		sleep_until(interrupts, seen + 1);
		seen = *interrupts;
		payload = *(volatile uint64_t *)(message_slot() + 16);
		take_message();
	} while (payload);
	put("flags please\n");
	sleep_until(interrupts, seen + 1);
	put_value("flag70", __atomic_exchange_n(&flags[1], 0, __ATOMIC_SEQ_CST));
	wrmsr(HV_MSR_SCONTROL, 0);
	wrmsr(HV_MSR_SIMP, 0);
	wrmsr(HV_MSR_SIEFP, 0);
	put_value("below_simp", *word64(GUEST_SIMP_GPA));
	put_value("below_siefp", *word64(GUEST_SIEFP_GPA));
}

/* At ring 3: the sum of all counters and a register must agree, however often the VP is stopped. */
static void count_at_ring3(void)
{
	uint64_t n = 0, sum = 0, high, pattern = 0x0123456789abcdef;

	__asm__ volatile("movq %0, %%xmm15; punpcklqdq %%xmm15, %%xmm15" : : "r"(pattern));
	while (!*word64(GUEST_STOP_GPA)) {
		(*word64(GUEST_COUNTERS_GPA + n % GUEST_N_COUNTERS * 4096))++;
		n++;
	}
	for (unsigned i = 0; i < GUEST_N_COUNTERS; i++)
		sum += *word64(GUEST_COUNTERS_GPA + i * 4096UL);
	__asm__ volatile("psrldq $8, %%xmm15; movq %%xmm15, %0" : "=r"(high));
	put_value("lost", sum - n);
	put_value("xmm", high);
	put_value("counted", n > 0);
	power_off();
}

static void program_count(void)
{
	put("ready\n");
	guest_enter_ring3(count_at_ring3);
}

static void route(unsigned irq, uint32_t vector)
{
	*reg32(IOAPIC_SELECT) = 0x10 + 2 * irq + 1;
	*reg32(IOAPIC_DATA) = 0;
	*reg32(IOAPIC_SELECT) = 0x10 + 2 * irq;
	*reg32(IOAPIC_DATA) = vector;
}

/* Update interrupts of the clock, before and after a pause that the host makes. */
static void program_clock(void)
{
	volatile uint64_t *interrupts = &n_interrupts[GUEST_RTC_VECTOR];

	route(RTC_IRQ, GUEST_RTC_VECTOR);
	out8(RTC_PORT, RTC_REG_B);
	out8(RTC_PORT + 1, RTC_24_HOURS | RTC_UPDATE_INTERRUPT);
	out8(RTC_PORT, RTC_REG_C);
	for (uint64_t n = 1; n <= 2; n++) {
		sleep_until(interrupts, n);
		put("tick\n");
		wait_for_go(n);
		put_value("cause", in8(RTC_PORT + 1));
	}
}

static void program_echo(void)
{
	volatile uint64_t *interrupts = &n_interrupts[GUEST_SERIAL_VECTOR];
	uint8_t byte = 0;

	route(SERIAL_IRQ, GUEST_SERIAL_VECTOR);
	out8(SERIAL_PORT + 1, 1); /* receive interrupt */
	put("ready\n");
	for (uint64_t n = 1; byte != 'q'; n++) {
		sleep_until(interrupts, n);
		while (in8(SERIAL_PORT + 5) & 1) {
			byte = in8(SERIAL_PORT);
			out8(SERIAL_PORT, byte);
		}
	}
	put("\n");
}

static void program_dirty(void)
{
	put("ready\n");
	for (uint64_t round = 1; round <= 2; round++) {
		wait_for_go(round);
		for (unsigned i = 0; i < GUEST_N_DIRTY; i++)
			*word64(GUEST_DIRTY_GPA + i * GUEST_DIRTY_STRIDE * 4096UL) = round;
		put("written\n");
	}
	wait_for_go(3);
}

/* Reference time by page and by MSR, before and after a pause that the host makes. */
static void program_time(void)
{
	volatile struct hv_reference_tsc_page *page = (volatile void *)(uintptr_t)GUEST_TSC_GPA;

	wrmsr(HV_MSR_REFERENCE_TSC, GUEST_TSC_GPA | HV_MSR_PAGE_ENABLE);
	for (uint64_t round = 1; round <= 2; round++) {
		uint64_t before = rdmsr(HV_MSR_TIME_REF_COUNT);
		uint64_t by_page = (uint64_t)((unsigned __int128)rdtsc() * page->scale >> 64) +
				   (uint64_t)page->offset;
		uint64_t after = rdmsr(HV_MSR_TIME_REF_COUNT);

		put_value("sequence", page->sequence);
		put_value("time", by_page);
		put_value("ordered", before <= by_page && by_page <= after);
		wait_for_go(round);
	}
}

static void program_smp(void)
{
	volatile uint8_t *to = (volatile uint8_t *)(uintptr_t)AP_START_GPA;
	uint64_t n = (uint64_t)(ap_start_end - ap_start);
	volatile uint16_t *mark = (volatile uint16_t *)(uintptr_t)(AP_START_GPA + n - 2);

	for (uint64_t i = 0; i < n; i++)
		to[i] = ap_start[i];
	*reg32(LAPIC_ICR_HIGH) = 1 << 24;
	*reg32(LAPIC_ICR) = 0x4500; /* INIT */
	*reg32(LAPIC_ICR_HIGH) = 1 << 24;
	*reg32(LAPIC_ICR) = 0x4600 | AP_START_GPA >> 12; /* start-up */
	while (*mark != 0x5a5a)
		__asm__ volatile("pause");
	put_value("mark", *mark);
}

static void program_reset(void)
{
	wrmsr(HV_MSR_RESET, 1);
}

static void program_crash(void)
{
	static const char text[] = "it broke\001";

	wrmsr(HV_MSR_CRASH_P0, 0xdead);
	wrmsr(HV_MSR_CRASH_P0 + 3, (uintptr_t)text);
	wrmsr(HV_MSR_CRASH_P0 + 4, sizeof(text) - 1);
	wrmsr(HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_NOTIFY | HV_MSR_CRASH_CTL_MESSAGE);
}

static void program_triple(void)
{
	struct table_pointer none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static const struct {
	const char *name;
	void (*fn)(void);
} programs[] = {
	{"cpuid", program_cpuid},
	{"boot", program_boot},
	{"linux", program_linux},
	{"chipset", program_chipset},
	{"clock", program_clock},
	{"memory", program_memory},
	{"msr", program_msr},
	{"signal", program_signal},
	{"message", program_message},
	{"count", program_count},
	{"echo", program_echo},
	{"dirty", program_dirty},
	{"time", program_time},
	{"smp", program_smp},
	{"reset", program_reset},
	{"crash", program_crash},
	{"triple", program_triple},
};

static int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

void guest_main(void)
{
	const struct pvh_start_info *info = (const void *)guest_start_info;
	uint64_t cmdline = guest_boot_params ? param32(PARAMS_CMDLINE) : info->command_line;
	const char *name = (const char *)cmdline;

	set_tables();
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (same(programs[i].name, name))
			programs[i].fn();
	}
	power_off();
}
