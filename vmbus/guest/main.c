/* SPDX-License-Identifier: MIT
 *
 * main.c - the probe guest: set up what the command line says, then one loop that polls while there
 * is work and sleeps when there is none.
 */
#include "vmbus/guest/boot.h"
#include "vmbus/guest/clock.h"
#include "vmbus/guest/config.h"
#include "vmbus/guest/console.h"
#include "vmbus/guest/cpu.h"
#include "vmbus/guest/nic.h"
#include "vmbus/guest/shell.h"
#include "vmbus/guest/vsc_hv.h"

/* Nothing interrupts when somebody types: look often just after it happened, seldom otherwise. */
#define CONSOLE_ACTIVE_NS (10 * NS_PER_MS)
#define CONSOLE_IDLE_NS   (50 * NS_PER_MS)
#define CONSOLE_CALM_NS   (2 * NS_PER_S)

_Noreturn void guest_main(void);

static struct config config;
static struct work work;
static struct gap gap;
static struct shell shell;
static uint64_t console_due_ns, console_active_ns;
static uint64_t second_due_ns;
static uint64_t net_due_ns;

static uint64_t interrupts(void)
{
	return irq_count;
}

static void power_off(void)
{
	nics_fini();
	boot_power_off();
	/* A machine without that port stays, but does nothing more. */
	for (;;)
		cpu_idle(irq_count);
}

static void crash(void)
{
	__builtin_trap();
}

static const struct shell_ops shell_ops = {
	.print = console_print,
	.tsc_to_us = clock_tsc_to_us,
	.irq_count = interrupts,
	.nic = nics_get,
	.power_off = power_off,
	.crash = crash,
};

static void greet(bool has_bus, const struct boot_memory *memory)
{
	char line[192];
	struct text text = text_on(line, sizeof(line));
	uint32_t version;

	text_add(&text, "probe ");
	text_add(&text, config.name);
	text_field(&text, "hv", has_bus);
	text_field(&text, "tsc_khz", clock_tsc_khz());
	text_field(&text, "ram_mb", memory->total_bytes >> 20);
	text_field(&text, "ws_max_mb", memory->size_bytes >> 20);
	console_print(line);
	if (!has_bus)
		return;
	nics_init(&config, console_print);
	version = nics_bus_version();
	text = text_on(line, sizeof(line));
	text_add(&text, "vmbus ");
	text_u64(&text, version >> 16);
	text_char(&text, '.');
	text_u64(&text, version & 0xffff);
	console_print(line);
}

static void start(void)
{
	struct boot_memory memory;
	const char *bad_option = NULL;
	bool has_bus;

	console_init(&gap);
	config_parse(boot_command_line(), &config, &bad_option);
	has_bus = vsc_hv_init();
	clock_init(config.tsc_khz);
	gap_skip(&gap, cpu_tsc());
	boot_find_memory(&memory);
	work_init(&work, memory.base, memory.size_bytes);
	shell = (struct shell){.ops = &shell_ops, .name = config.name, .work = &work, .gap = &gap};
	greet(has_bus, &memory);
	if (bad_option)
		console_print("err command line");
	if (work_set(&work, config.dirty_pages_per_s, config.working_set_mb, clock_ns()))
		console_print("err ws: not so much memory");
	console_print("ready");
	second_due_ns = clock_ns() + NS_PER_S;
}

/* True: a command was taken. */
static bool poll_console(uint64_t now_ns)
{
	const char *line;
	bool active, taken = false;

	if (shell.busy || now_ns < console_due_ns)
		return false;
	if (console_read(&line, &active))
		taken = shell_start(&shell, line, now_ns) == 0;
	if (active)
		console_active_ns = now_ns;
	console_due_ns = now_ns + (now_ns - console_active_ns < CONSOLE_CALM_NS ? CONSOLE_ACTIVE_NS
										: CONSOLE_IDLE_NS);
	return taken;
}

static void end_second(uint64_t now_ns)
{
	char line[256];
	struct text text = text_on(line, sizeof(line));

	shell.last_second_gap_tsc = gap_end_second(&gap);
	/* After a pause of the whole machine the seconds missed are gone. */
	second_due_ns += NS_PER_S;
	if (second_due_ns <= now_ns)
		second_due_ns = now_ns + NS_PER_S;
	if (!config.status)
		return;
	text_add(&text, "status");
	shell_status(&shell, &text, now_ns);
	console_print(line);
}

static void sleep(uint64_t seen, uint64_t now_ns)
{
	uint64_t deadline_ns = MIN_OF(net_due_ns, shell_deadline(&shell));

	if (!shell.busy)
		deadline_ns = MIN_OF(deadline_ns, console_due_ns);
	if (config.status)
		deadline_ns = MIN_OF(deadline_ns, second_due_ns);
	clock_wake_at(now_ns, deadline_ns);
	cpu_idle(seen);
	gap_skip(&gap, cpu_tsc());
}

_Noreturn void guest_main(void)
{
	start();
	for (;;) {
		uint64_t seen = irq_count, now_ns = clock_ns();
		bool had_input = nics_poll();
		bool had_command = shell.busy || poll_console(now_ns);

		gap_sample(&gap, cpu_tsc());
		shell_step(&shell, now_ns);
		if (had_input || had_command || now_ns >= net_due_ns) {
			nics_run(now_ns);
			net_due_ns = nics_deadline();
		}
		work_run(&work, now_ns);
		if (now_ns >= second_due_ns)
			end_second(now_ns);
		if (!had_input && !work_is_busy(&work) && shell_deadline(&shell) > now_ns)
			sleep(seen, now_ns);
	}
}
