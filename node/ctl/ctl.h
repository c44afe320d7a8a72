/* SPDX-License-Identifier: MIT
 *
 * ctl.h - the command line `viaduct`: one table of commands, one file for each noun.
 *
 * A command gets its checked arguments, asks the node service, prints, and returns an exit code.
 * With
 * --json it prints the service's answer as it is, for scripts.
 */
#ifndef VIADUCT_NODE_CTL_CTL_H
#define VIADUCT_NODE_CTL_CTL_H

#include "base/json.h"

#include <stdio.h>

/* docs/exit-codes.md */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_NO_DAEMON = 4,
	EXIT_NO_QUORUM = 5,
	EXIT_FULL = 6,
	EXIT_CONFLICT = 7,
	EXIT_REFUSED = 8,
	EXIT_CANCELLED = 9,
	EXIT_UNREACHABLE = 10,
	EXIT_DIFFERS = 11, /* only where it was asked for */
};

#define CTL_MAX_WORDS      4 /* of a command */
#define CTL_MAX_POSITIONAL 4
#define CTL_MAX_OPTIONS    80 /* a VM may have 64 disks */

/* One option of a command. `value` names its value in the help; NULL: a flag. */
struct ctl_option {
	const char *name; /* without the dashes */
	const char *value;
	const char *help;
	char letter; /* its short form, -n; 0: none */
};

struct ctl_args {
	const char *positional[CTL_MAX_POSITIONAL];
	unsigned n_positional;
	struct {
		const char *name, *value;
	} options[CTL_MAX_OPTIONS];
	unsigned n_options;
	bool json;
	const char *ipc_name;
};

struct ctl_command {
	const char *words;      /* "vm create" */
	const char *positional; /* "VM NODE", as the help shows it */
	unsigned n_positional;
	const char *help;
	int (*run)(const struct ctl_args *args);
	const struct ctl_option *options; /* ends with a NULL name */
	unsigned n_optional;              /* so many of the positional ones may be left out */
};

/* commands.c */
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_n_commands;

/* The command whose words are the first ones; the longest one wins, NULL: none does. */
const struct ctl_command *ctl_find(int argc, char **argv, int *ret_n_words);
/* The command of that name, with its arguments; an exit code. */
int ctl_run(const char *words, int argc, char **argv);

/* aliases.c: run `name` if it is an alias. */
bool ctl_run_alias(const char *name, int argc, char **argv, int *ret_code);
void ctl_print_aliases(FILE *to);
/* Print those that begin with `typed`. */
void ctl_complete_alias(const char *typed);
void ctl_complete_parameter(const char *name, const char *typed);

/* complete.c: what could stand in place of the last word. */
int ctl_complete(int argc, char **argv);
/* manual.c: print the manual page. */
int ctl_manual(void);

const char *ctl_option(const struct ctl_args *args, const char *name); /* NULL: not given */
/* The n-th use of an option that may be repeated. */
const char *ctl_option_at(const struct ctl_args *args, const char *name, unsigned n);

/* ---- request.c ---- */

/* Ask, with the option --node if it was given; on failure print one line to stderr and return its
 * exit code. Takes over `request`. */
int ctl_call(const struct ctl_args *args, struct json *request, unsigned timeout_ms,
	struct json **ret_reply);
/* The same, where only a note of the answer matters without --json. `r` is what became of the
 * request so far: it is not sent unless that is EXIT_OK. */
int ctl_ask(const struct ctl_args *args, struct json *request, int r, unsigned timeout_ms);
struct json *ctl_request(const char *op);
/* As ctl_call(), but it says nothing: the sentence is in `error`. */
int ctl_send(const struct ctl_args *args, struct json *request, unsigned timeout_ms,
	struct json **ret_reply, char *error, size_t size_bytes);
/* "90d", "1h", "30s" in seconds. 0 or -EINVAL. */
int ctl_parse_duration(const char *text, int64_t *ret_s);
/* "512M", "2G", "65536K" or bytes. 0 or -EINVAL. */
int ctl_parse_size(const char *text, uint64_t *ret_bytes);
/* An option that is a size, into the request; `fallback` may be NULL. EXIT_OK or an exit code. */
int ctl_set_size(const struct ctl_args *args, struct json *request, const char *option,
	const char *key, const char *fallback);
/* "FILE[,lun=N]...": appends a disk of that kind ("disk", "dvd") to `disks`. EXIT_OK or an exit
 * code. */
int ctl_parse_disk(const char *spec, const char *kind, struct json *disks);
int ctl_exit_code(const char *code);
int ctl_fail(enum exit_code code, const char *format, ...) _printf_(2, 3);
/* Print the JSON, indented, and return EXIT_OK. */
int ctl_print_json(const struct json *j);

/* ---- nic_form.c: the settings of a network adapter, as text (node/svc/nic.h) ---- */

/* One setting, as of `vm nic set`, into `nic`. NULL, or what is wrong, a static text that completes
 * "--KEY: ...". */
const char *ctl_nic_setting(struct json *nic, const char *key, const char *value);
/* All settings among the options into `nic`. EXIT_OK or an exit code. */
int ctl_nic_options(const struct ctl_args *args, struct json *nic);
/* "switch=A,vlan=2,...": an adapter, appended to `nics`. ',' separates items, so lists have '+'.
 * EXIT_OK or an exit code. */
int ctl_parse_nic(const char *spec, struct json *nics);
/* "access 2", "trunk 2-4", ... */
void ctl_describe_vlan(const struct json *nic, char *text, size_t size_bytes);
/* "10M", "1500", "2.5G": bits per second, decimal. 0 or -EINVAL. */
int ctl_parse_rate(const char *text, int64_t *ret_bps);
/* "100M" */
const char *format_rate(int64_t bps);
int ctl_parse_bool(const char *text, bool *ret_value);
int ctl_parse_int(const char *text, int64_t *ret_value);

/* ---- cmd_migrate.c ---- */

/* Wait for the end of a job, whose progress `show` prints at every change (NULL: with --json, and
 * as a migration's). Ctrl-C cancels it. EXIT_OK with the job, however it ended. */
typedef void (*ctl_progress_fn)(const struct json *job, bool terminal);
int ctl_follow(
	const struct ctl_args *args, const char *id, ctl_progress_fn show, struct json **ret_job);

/* ---- format.c ---- */

struct table;
struct table *table_new(const char *const *headings, unsigned n_columns);
/* The next cell, left to right; a row is complete after n_columns of them. */
void table_cell(struct table *table, const char *format, ...) _printf_(2, 3);
/* Print and free. */
void table_print(struct table *table);
/* "12.3 MiB", "45 ms": into a rotating static buffer. */
const char *format_bytes(uint64_t bytes);
const char *format_ns(uint64_t ns);

/* ---- commands ---- */

extern const struct ctl_option offload_show_options[];
extern const struct ctl_option offload_set_options[];
int cmd_offload_show(const struct ctl_args *args);
int cmd_offload_set(const struct ctl_args *args);
extern const struct ctl_option scrub_options[];
int cmd_scrub(const struct ctl_args *args);
extern const struct ctl_option host_nic_list_options[];
extern const struct ctl_option host_nic_bindings_options[];
int cmd_host_nic_list(const struct ctl_args *args);
int cmd_host_nic_bindings(const struct ctl_args *args);

extern const struct ctl_option policy_options[];
int cmd_vm_where(const struct ctl_args *args);
int cmd_vm_policy(const struct ctl_args *args);

int cmd_admin_enroll(const struct ctl_args *args);
int cmd_admin_list(const struct ctl_args *args);
int cmd_admin_revoke(const struct ctl_args *args);
int cmd_admin_set(const struct ctl_args *args);
int cmd_event_list(const struct ctl_args *args);
int cmd_top(const struct ctl_args *args);
int cmd_cluster_status(const struct ctl_args *args);
extern const struct ctl_option node_drain_options[];
extern const struct ctl_option node_pause_options[];
extern const struct ctl_option node_resume_options[];
extern const struct ctl_option node_set_options[];
extern const struct ctl_option cluster_set_options[];
int cmd_node_list(const struct ctl_args *args);
int cmd_node_show(const struct ctl_args *args);
int cmd_node_pause(const struct ctl_args *args);
int cmd_node_drain(const struct ctl_args *args);
int cmd_node_resume(const struct ctl_args *args);
int cmd_node_set(const struct ctl_args *args);
int cmd_cluster_set(const struct ctl_args *args);
int cmd_cluster_upgrade(const struct ctl_args *args);
int cmd_cluster_backup(const struct ctl_args *args);
int cmd_cluster_restore(const struct ctl_args *args);
int cmd_cluster_plan(const struct ctl_args *args);
int cmd_cluster_apply(const struct ctl_args *args);
int cmd_cluster_config(const struct ctl_args *args);
int cmd_node_invite(const struct ctl_args *args);
int cmd_node_join(const struct ctl_args *args);
int cmd_node_evict(const struct ctl_args *args);
extern const struct ctl_option network_verbose_option[];
extern const struct ctl_option network_set_options[];
extern const struct ctl_option network_migration_options[];
int cmd_network_list(const struct ctl_args *args);
int cmd_network_set(const struct ctl_args *args);
int cmd_network_interfaces(const struct ctl_args *args);
int cmd_network_migration(const struct ctl_args *args);
int cmd_network_path(const struct ctl_args *args);
int cmd_network_classes(const struct ctl_args *args);
extern const struct ctl_option mac_range_options[];
extern const struct ctl_option mac_set_options[];
int cmd_mac_list(const struct ctl_args *args);
int cmd_mac_pool_list(const struct ctl_args *args);
int cmd_mac_pool_add(const struct ctl_args *args);
int cmd_mac_pool_set(const struct ctl_args *args);
int cmd_mac_pool_remove(const struct ctl_args *args);
int cmd_switch_create(const struct ctl_args *args);
int cmd_switch_delete(const struct ctl_args *args);
int cmd_switch_list(const struct ctl_args *args);
int cmd_switch_addresses(const struct ctl_args *args);
int cmd_switch_groups(const struct ctl_args *args);
int cmd_switch_workers(const struct ctl_args *args);
int cmd_switch_probe(const struct ctl_args *args);
int cmd_switch_trace(const struct ctl_args *args);
int cmd_switch_capture(const struct ctl_args *args);
int cmd_switch_set(const struct ctl_args *args);
int cmd_switch_rename(const struct ctl_args *args);
int cmd_switch_address_add(const struct ctl_args *args);
int cmd_switch_address_remove(const struct ctl_args *args);
int cmd_switch_adapter_add(const struct ctl_args *args);
int cmd_switch_adapter_remove(const struct ctl_args *args);
int cmd_switch_adapter_set(const struct ctl_args *args);
int cmd_switch_adapter_list(const struct ctl_args *args);
int cmd_volume_create(const struct ctl_args *args);
int cmd_volume_list(const struct ctl_args *args);
int cmd_vm_create(const struct ctl_args *args);
int cmd_vm_delete(const struct ctl_args *args);
int cmd_vm_list(const struct ctl_args *args);
int cmd_vm_show(const struct ctl_args *args);
int cmd_vm_start(const struct ctl_args *args);
int cmd_vm_stop(const struct ctl_args *args);
int cmd_vm_serial(const struct ctl_args *args);
int cmd_vm_console(const struct ctl_args *args);
int cmd_vm_shutdown(const struct ctl_args *args);
int cmd_vm_restart(const struct ctl_args *args);
int cmd_vm_pause(const struct ctl_args *args);
int cmd_vm_resume(const struct ctl_args *args);
int cmd_vm_save(const struct ctl_args *args);
int cmd_vm_discard(const struct ctl_args *args);
int cmd_vm_type(const struct ctl_args *args);
int cmd_vm_screenshot(const struct ctl_args *args);
int cmd_vm_memory(const struct ctl_args *args);
int cmd_vm_item(const struct ctl_args *args);
int cmd_vm_freeze(const struct ctl_args *args);
int cmd_vm_thaw(const struct ctl_args *args);
int cmd_nic_list(const struct ctl_args *args);
int cmd_nic_set(const struct ctl_args *args);
int cmd_nic_add(const struct ctl_args *args);
int cmd_nic_remove(const struct ctl_args *args);
int cmd_nic_acl_list(const struct ctl_args *args);
int cmd_nic_acl_add(const struct ctl_args *args);
int cmd_nic_acl_remove(const struct ctl_args *args);
int cmd_disk_add(const struct ctl_args *args);
int cmd_disk_remove(const struct ctl_args *args);
int cmd_disk_resized(const struct ctl_args *args);
int cmd_disk_eject(const struct ctl_args *args);
int cmd_disk_insert(const struct ctl_args *args);
int cmd_live_migrate(const struct ctl_args *args);
int cmd_quick_migrate(const struct ctl_args *args);
int cmd_job_list(const struct ctl_args *args);
int cmd_job_cancel(const struct ctl_args *args);

#endif
