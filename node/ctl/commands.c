/* SPDX-License-Identifier: MIT
 *
 * commands.c - the commands and their options.
 */
#include "node/ctl/ctl.h"

#define OPTION_END                                                                                 \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

#define LINK_OPTIONS                                                                               \
	{"uplink", "NIC[,NIC]", "what an external switch is bound to; several are a team"},        \
		{"team", "MODE", "standby: one of them works; hash: all do (standby)"},            \
		{"bandwidth-mode", "MODE", "what a port's minimum is: none, weight or absolute"},  \
	{                                                                                          \
		"link-speed", "RATE", "what the uplink carries, as 10G; minimums need it"          \
	}
#define POLICY_OPTIONS                                                                             \
	{"vlan", "N", "an access port in VLAN N"},                                                 \
		{"trunk", "LIST", "carry these VLANs with tags, as 2-4,7"},                        \
		{"native", "N", "with --trunk: the VLAN of frames without a tag (0: none)"},       \
		{"isolated", "P,S", "private VLAN: reach promiscuous ports only"},                 \
		{"community", "P,S", "private VLAN: and those of the same community"},             \
		{"promiscuous", "P,LIST", "private VLAN: reach all of these secondaries"},         \
		{"private", "MODE",                                                                \
			"the same three, with --primary P and --secondary S (a LIST)"},            \
		{"primary", "P", "see --private"}, {"secondary", "S", "see --private"},            \
		{"untagged", NULL, "no VLAN"},                                                     \
		{"spoofing", "on|off", "send from other addresses"},                               \
		{"dhcp-guard", "on|off", "do not answer DHCP requests"},                           \
		{"router-guard", "on|off", "do not announce itself as a router"},                  \
		{"address-guard", "on|off", "do not claim the addresses of others"},               \
		{"ip", "ADDRESS", "its own, for --address-guard; repeatable; 'none': any"},        \
		{"max-bandwidth", "RATE", "what it may send, as 100M bit/s; 0: no limit"},         \
		{"min-bandwidth", "RATE", "what it gets at least, in bandwidth mode absolute"},    \
		{"weight", "N", "its share, 1 to 100, in bandwidth mode weight"},                  \
		{"storm-limit", "N", "broadcasts, multicasts, flooded frames in a second"},        \
	{                                                                                          \
		"mirror", "WHAT", "none, source or destination"                                    \
	}
static const struct ctl_option no_options[] = {OPTION_END};
static const struct ctl_option restore_options[] = {
	{"dry-run", NULL, "only show what would be added, changed and removed", 0},
	OPTION_END,
};
static const struct ctl_option switch_create_options[] = {
	{"type", "TYPE", "external, internal or private"},
	LINK_OPTIONS,
	{"management", "VLAN",
		"give the host an adapter in this VLAN, 0 for none (internal switches: always)"},
	{"logical", "NAME", "what the switch is called on all nodes, for VMs that move"},
	{"force", NULL, "also an adapter that is needed otherwise, or is not there (yet)"},
	{"node", "NODE", "the node it is on (this one)"},
	OPTION_END,
};
static const struct ctl_option probe_options[] = {
	{"to", "NODE", "the node whose switch is probed"},
	{"vlans", "LIST", "VLANs like 2-4,7 (those in use on the switch)"},
	{"node", "NODE", "the node the switch is on (this one)"},
	OPTION_END,
};
static const struct ctl_option trace_options[] = {
	{"src", "MAC", "source address (the port's)"},
	{"dst", "MAC", "destination address (broadcast)"},
	{"vlan", "VLAN", "with a tag of this VLAN"},
	{"priority", "N", "of the tag, 0 to 7"},
	{"type", "TYPE", "EtherType: arp, or a number like 0x88b5"},
	{"from", "IP", "source IP address; makes it an IP packet"},
	{"to", "IP", "destination IP address"},
	{"protocol", "NAME", "tcp, udp, icmp, icmpv6 or a number"},
	{"sport", "PORT", "source port; the type of an ICMP message"},
	{"dport", "PORT", "destination port; the code of an ICMP message"},
	{"node", "NODE", "the node the port is on (this one, or the VM's owner)"},
	OPTION_END,
};
static const struct ctl_option capture_options[] = {
	{"out", "FILE", "where it goes (standard output, for a pipe)"},
	{"seconds", "N", "how long (until Ctrl-C)"},
	{"node", "NODE", "the node the port is on (this one, or the VM's owner)"},
	OPTION_END,
};
static const struct ctl_option switch_set_options[] = {
	LINK_OPTIONS,
	{"logical", "NAME", "what the switch is called on all nodes, for VMs that move"},
	{"force", NULL, "also an adapter that is needed otherwise, or is not there (yet)"},
	{"node", "NODE", "the node it is on (this one)"},
	OPTION_END,
};
static const struct ctl_option address_options[] = {
	{"vlan", "N", "its VLAN (none: frames without a tag)"},
	{"node", "NODE", "the node the switch is on (this one)"},
	OPTION_END,
};
static const struct ctl_option adapter_options[] = {
	POLICY_OPTIONS,
	{"node", "NODE", "the node the switch is on (this one)"},
	OPTION_END,
};
static const struct ctl_option adapter_add_options[] = {
	POLICY_OPTIONS,
	{"mac", "MAC", "its address; one is leased without"},
	{"node", "NODE", "the node the switch is on (this one)"},
	OPTION_END,
};
static const struct ctl_option node_option[] = {
	{"node", "NODE", "the node (this one, or the VM's owner)"},
	OPTION_END,
};
static const struct ctl_option job_list_options[] = {
	{"node", "NODE", "whose moves and drains (this one's)"},
	OPTION_END,
};
static const struct ctl_option volume_create_options[] = {
	{"path", "PATH", "a directory that all nodes reach under the same path"},
	OPTION_END,
};
static const struct ctl_option vm_create_options[] = {
	{"kernel", "FILE", "a Linux bzImage, a PVH kernel or another 64-bit ELF"},
	{"initrd", "FILE", "its initial RAM disk"},
	{"cmdline", "TEXT", "the kernel's command line"},
	{"memory", "SIZE", "128M, 2G, ... (128M)"},
	{"min-memory", "SIZE", "how little it may become while it runs (as --memory)"},
	{"max-memory", "SIZE", "how much it may become while it runs (as --memory)"},
	{"disk", "SPEC", "FILE[,lun=N][,serial=TEXT][,read-only=on]; repeatable"},
	{"dvd", "SPEC", "IMAGE[,lun=N], or '' for an empty drive; repeatable"},
	{"video", "SIZE", "video memory (8M)"},
	{"no-video", NULL, "no screen, keyboard and mouse"},
	{"vps", "N", "virtual processors (1)"},
	{"nic", "SPEC",
		"switch=NAME[,mac=MAC][,mtu=N][,SETTING=VALUE]..., as of 'vm nic set', with + for "
		", in lists; repeatable"},
	{"node", "NODE", "the node that owns it first (this one)"},
	OPTION_END,
};
static const struct ctl_option serial_options[] = {
	{"send", "TEXT", "type this line"},
	{"until", "TEXT", "print what comes until a line begins with TEXT (or one of TEXT|TEXT)"},
	{"timeout", "SECONDS", "give up after that long (10)"},
	OPTION_END,
};
static const struct ctl_option console_options[] = {
	{"escape", "KEY", "the key that leaves, as ^A (^])"},
	OPTION_END,
};
static const struct ctl_option power_options[] = {
	{"force", NULL, "also when programs in the guest object"},
	{"reason", "TEXT", "what the guest is told"},
	OPTION_END,
};
static const struct ctl_option save_options[] = {
	{"volume", "NAME", "the shared volume that holds the state (the first one)"},
	OPTION_END,
};
static const struct ctl_option type_options[] = {
	{"no-enter", NULL, "do not press Enter behind the text"},
	OPTION_END,
};
static const struct ctl_option memory_options[] = {
	{"min", "SIZE", "how little it may become"},
	{"max", "SIZE", "how much it may become; for a running VM not more than it started with"},
	{"start", "SIZE", "what it starts with the next time"},
	{"buffer", "PERCENT", "kept free beyond what the guest needs (20)"},
	OPTION_END,
};
static const struct ctl_option item_options[] = {
	{"value", "TEXT", "the item's value; without it the item is taken away"},
	OPTION_END,
};
static const struct ctl_option freeze_options[] = {
	{"limit", "SECONDS", "thaw by itself after that long (10)"},
	OPTION_END,
};
static const struct ctl_option nic_set_options[] = {
	POLICY_OPTIONS,
	{"csum", "WHAT", "checksums the guest may leave to us: off, tx, rx or both (next start)"},
	{"lso", "on|off", "large sends (next start)"},
	{"rsc", "on|off", "coalesced packets (next start)"},
	{"rss", "on|off", "more than one queue (next start)"},
	{"switch", "NAME", "another switch (while off)"},
	{"mtu", "N", "576 to 9000 (while off)"},
	OPTION_END,
};
static const struct ctl_option rule_options[] = {
	{"action", "WHAT", "allow, deny or meter"},
	{"direction", "WAY", "in, out or both, as the VM sees it (both)"},
	{"weight", "N", "the highest is tried first (0)"},
	{"protocol", "NAME", "tcp, udp, icmp, icmpv6 or a number"},
	{"local", "ADDRESS", "the VM's side: an IP or MAC address, /LENGTH for a range"},
	{"remote", "ADDRESS", "the other side"},
	{"local-ports", "PORTS", "53 or 80-90"},
	{"remote-ports", "PORTS", "53 or 80-90"},
	{"stateful", "on|off", "also let in what answers (off)"},
	{"idle", "SECONDS", "when such a conversation is over"},
	OPTION_END,
};
static const struct ctl_option disk_add_options[] = {
	{"dvd", NULL, "a DVD drive; FILE is the image in it"},
	OPTION_END,
};
static const struct ctl_option force_option[] = {
	{"force", NULL, "also when the guest has locked the tray"},
	OPTION_END,
};
static const struct ctl_option live_options[] = {
	{"blackout", "MS", "how long the guest may stand still (10)"},
	{"bandwidth", "MIB/S", "send no faster than this"},
	{"channels", "N", "parallel connections, 1 to 8 (2)"},
	{"no-compress", NULL, "send pages as they are"},
	{"no-wait", NULL, "print the job and return at once"},
	{"no-probe", NULL, "do not ask first whether the VM's VLANs reach the target"},
	OPTION_END,
};
static const struct ctl_option quick_options[] = {
	{"volume", "NAME", "the shared volume that holds the state (the first one)"},
	{"no-wait", NULL, "print the job and return at once"},
	OPTION_END,
};

static const struct ctl_option plan_options[] = {
	{"prune", NULL, "also remove what the file does not have"},
	{"exit-code", NULL, "exit with 11 when the cluster is not as the file says"},
	OPTION_END,
};
static const struct ctl_option apply_options[] = {
	{"prune", NULL, "also remove what the file does not have"},
	{"yes", NULL, "do not ask", 'y'},
	OPTION_END,
};
static const struct ctl_option config_options[] = {
	{"node", "NAME", "the node of the file that this is for"},
	{"out", "DIR", "where the files go (/etc/corosync)"},
	{"new-key", NULL, "make the cluster's key: on the first node, once"},
	{"force", NULL, "replace a corosync.conf that is another's; a copy is kept"},
	OPTION_END,
};
static const struct ctl_option invite_options[] = {
	{"address", "IP[,IP]", "its addresses, in the order of corosync's links"},
	{"id", "N", "its id (the next free one)"},
	{"out", "FILE", "put the invitation there, for 'node join FILE', and do not print it"},
	OPTION_END,
};
static const struct ctl_option join_options[] = {
	{"token", "TOKEN",
		"instead of FILE: what 'node invite' printed; '-' reads it from "
		"standard input"},
	{"force", NULL, "replace a corosync.conf that is there; a copy is kept"},
	OPTION_END,
};
static const struct ctl_option event_options[] = {
	{"node", "NODE", "only of this node (all)"},
	{"object", "OBJECT", "only of vm/VM1, node/host2, switch/A, ...; 'vm' for all VMs"},
	{"level", "info|warning|error", "at least this (info)"},
	{"since", "TIME", "1h, 2d, 14:30 or '2026-01-31 14:30'"},
	{"limit", "N", "no more than the last N, up to 300 (100)"},
	{"audit", NULL, "who has changed what, from where"},
	{"all", NULL, "both"},
	{"follow", NULL, "and what happens from now on; Ctrl-C ends"},
	OPTION_END,
};
static const struct ctl_option top_options[] = {
	{"once", NULL, "print one frame, as without a terminal"},
	{"sort", "name|state|node|memory|heartbeat", "VMs by this (name)"},
	OPTION_END,
};
static const struct ctl_option admin_enroll_options[] = {
	{"role", "read|operate|administer", "what the key may do"},
	{"out", "FILE", "where the key goes, for its owner"},
	{"expires", "TIME", "after 90d, 12h, ...; never (never)"},
	{"address", "NODE=HOST", "the client reaches that node there first; may be repeated"},
	OPTION_END,
};
static const struct ctl_option admin_set_options[] = {
	{"role", "read|operate|administer", "what the key may do"},
	{"expires", "TIME", "90d, 12h, ... from now; never"},
	OPTION_END,
};

const struct ctl_command ctl_commands[] = {
	{"top", "", 0, "nodes, VMs, networks, moves: live", cmd_top, top_options},
	{"event list", "", 0, "what has happened, of all nodes; who has changed what",
		cmd_event_list, event_options},
	{"admin list", "", 0, "keys for administering over the network", cmd_admin_list,
		no_options},
	{"admin enroll", "NAME", 1, "make a key for somebody", cmd_admin_enroll,
		admin_enroll_options},
	{"admin set", "NAME", 1, "another role, another end", cmd_admin_set, admin_set_options},
	{"admin revoke", "NAME", 1, "the key counts no more, at once", cmd_admin_revoke,
		no_options},
	{"live-migrate", "VM NODE", 2, "move a running VM without stopping it", cmd_live_migrate,
		live_options},
	{"quick-migrate", "VM NODE", 2, "save a VM, move it, go on there", cmd_quick_migrate,
		quick_options},
	{"vm list", "", 0, "all VMs of the cluster", cmd_vm_list, no_options},
	{"vm show", "VM", 1, "one VM in detail", cmd_vm_show, no_options},
	{"vm create", "VM", 1, "make a VM", cmd_vm_create, vm_create_options},
	{"vm delete", "VM", 1, "delete a VM that is off", cmd_vm_delete, no_options},
	{"vm start", "VM", 1, "start a VM", cmd_vm_start, node_option},
	{"vm stop", "VM", 1, "turn a VM off, as by its power switch", cmd_vm_stop, no_options},
	{"vm where", "[VM]", 1, "on which nodes it can run, and why not on the others",
		cmd_vm_where, no_options, 1},
	{"vm policy", "[VM]", 1, "priority, owners, failback, restarts: what a failure is met with",
		cmd_vm_policy, policy_options, 1},
	{"vm shutdown", "VM", 1, "have the guest shut itself down", cmd_vm_shutdown, power_options},
	{"vm restart", "VM", 1, "have the guest restart itself", cmd_vm_restart, power_options},
	{"vm pause", "VM", 1, "let a VM stand still", cmd_vm_pause, no_options},
	{"vm resume", "VM", 1, "let a paused VM go on", cmd_vm_resume, no_options},
	{"vm save", "VM", 1, "save a VM's state to a shared volume; 'vm start' goes on from it",
		cmd_vm_save, save_options},
	{"vm discard", "VM", 1, "throw a saved state away", cmd_vm_discard, no_options},
	{"vm console", "VM", 1, "make this terminal the VM's serial port", cmd_vm_console,
		console_options},
	{"vm type", "VM TEXT", 2, "type on the VM's keyboard", cmd_vm_type, type_options},
	{"vm screenshot", "VM FILE", 2, "the VM's screen as a PNG file", cmd_vm_screenshot,
		no_options},
	{"vm memory", "VM", 1, "between what limits a VM's memory follows its need", cmd_vm_memory,
		memory_options},
	{"vm disk add", "VM FILE", 2, "attach a disk, FILE[,lun=N]...; also while it runs",
		cmd_disk_add, disk_add_options},
	{"vm disk remove", "VM LUN", 2, "detach a disk; also while it runs", cmd_disk_remove,
		no_options},
	{"vm disk insert", "VM LUN FILE", 3, "put an image into a DVD drive", cmd_disk_insert,
		force_option},
	{"vm disk eject", "VM LUN", 2, "empty a DVD drive", cmd_disk_eject, force_option},
	{"vm disk resized", "VM LUN", 2, "tell the guest that a disk's file was enlarged",
		cmd_disk_resized, no_options},
	{"vm nic list", "[VM]", 1, "network adapters: VLAN, guards, bandwidth, state", cmd_nic_list,
		no_options, 1},
	{"vm nic set", "VM N", 2, "change a network adapter; its port also while the VM runs",
		cmd_nic_set, nic_set_options},
	{"vm nic add", "VM SPEC", 2, "add a network adapter to a VM that is off", cmd_nic_add,
		no_options},
	{"vm nic remove", "VM N", 2, "remove one from a VM that is off", cmd_nic_remove,
		no_options},
	{"vm nic acl list", "VM N", 2, "an adapter's access list, with counters", cmd_nic_acl_list,
		no_options},
	{"vm nic acl add", "VM N", 2, "add a rule; also while the VM runs", cmd_nic_acl_add,
		rule_options},
	{"vm nic acl remove", "VM N RULE", 3, "remove a rule, by its number in the list",
		cmd_nic_acl_remove, no_options},
	{"vm item", "VM KEY", 2, "hand the guest a key-value item (KVP)", cmd_vm_item,
		item_options},
	{"vm freeze", "VM", 1, "flush and freeze the guest's file systems (VSS)", cmd_vm_freeze,
		freeze_options},
	{"vm thaw", "VM", 1, "thaw them", cmd_vm_thaw, no_options},
	{"vm serial", "VM", 1, "type on, and read from, the serial port", cmd_vm_serial,
		serial_options},
	{"cluster status", "", 0, "members, quorum, store", cmd_cluster_status, no_options},
	{"cluster set", "", 0, "settings of the whole cluster", cmd_cluster_set,
		cluster_set_options},
	{"node list", "", 0, "the nodes: state, VMs, memory, drain", cmd_node_list, no_options},
	{"node show", "NODE", 1, "one node: its VMs, its drain", cmd_node_show, no_options},
	{"node pause", "NODE", 1, "let a node take no more VMs", cmd_node_pause,
		node_pause_options},
	{"node drain", "NODE", 1, "pause a node and move its VMs away, by a plan", cmd_node_drain,
		node_drain_options},
	{"node resume", "NODE", 1, "let it take VMs again; bring back those that a drain moved",
		cmd_node_resume, node_resume_options},
	{"node set", "NODE", 1, "how many VMs may run there", cmd_node_set, node_set_options},
	{"cluster upgrade", "", 0, "finish an upgrade: keep older versions out from now on",
		cmd_cluster_upgrade, no_options},
	{"cluster backup", "FILE", 1, "the cluster's settings into a file", cmd_cluster_backup,
		no_options},
	{"cluster restore", "FILE", 1, "make the settings what they were in a backup",
		cmd_cluster_restore, restore_options},
	{"cluster plan", "FILE", 1, "what would make the cluster as a file describes it",
		cmd_cluster_plan, plan_options},
	{"cluster apply", "FILE", 1, "make the cluster as a file describes it", cmd_cluster_apply,
		apply_options},
	{"cluster config", "FILE", 1, "corosync's files of a node, before there is a cluster",
		cmd_cluster_config, config_options},
	{"node invite", "NAME", 1, "let a machine become a node: prints a token for it",
		cmd_node_invite, invite_options},
	{"node join", "[FILE]", 1, "on a new machine: become a node, by the invitation in FILE",
		cmd_node_join, join_options, 1},
	{"node evict", "NODE", 1, "take a node out that is down or paused and owns no VM",
		cmd_node_evict, no_options},
	{"cluster network list", "", 0, "the cluster's networks", cmd_network_list,
		network_verbose_option},
	{"cluster network interface list", "", 0, "the nodes' interfaces on them",
		cmd_network_interfaces, network_verbose_option},
	{"cluster network set", "NETWORK", 1, "change a network's role, metric, name",
		cmd_network_set, network_set_options},
	{"cluster network classes", "", 0, "which network carries what now, and why",
		cmd_network_classes, node_option},
	{"cluster network migration", "", 0, "which networks migrations take, in which order",
		cmd_network_migration, network_migration_options},
	{"network list", "", 0, "as 'cluster network list'", cmd_network_list,
		network_verbose_option},
	{"network path", "NODE NODE", 2, "which networks a migration would take, or why not",
		cmd_network_path, no_options},
	{"mac list", "", 0, "MAC addresses: whose, where, from which pool", cmd_mac_list,
		no_options},
	{"mac pool list", "", 0, "where MAC addresses are leased from", cmd_mac_pool_list,
		no_options},
	{"mac pool add", "POOL", 1, "add a range of addresses", cmd_mac_pool_add,
		mac_range_options},
	{"mac pool set", "[POOL]", 1, "change a pool, or the range of a node", cmd_mac_pool_set,
		mac_set_options, 1},
	{"mac pool remove", "POOL", 1, "remove a pool that nobody needs", cmd_mac_pool_remove,
		no_options},
	{"switch list", "", 0, "the virtual switches and their ports", cmd_switch_list,
		node_option},
	{"switch create", "SWITCH", 1, "make a virtual switch", cmd_switch_create,
		switch_create_options},
	{"switch delete", "SWITCH", 1, "delete a virtual switch without VMs", cmd_switch_delete,
		node_option},
	{"switch addresses", "SWITCH", 1, "which addresses are behind which port",
		cmd_switch_addresses, node_option},
	{"switch address add", "SWITCH MAC", 2, "an address is behind the uplink: a static entry",
		cmd_switch_address_add, address_options},
	{"switch address remove", "SWITCH MAC", 2, "forget a static entry",
		cmd_switch_address_remove, address_options},
	{"switch groups", "SWITCH", 1, "which multicast groups are wanted at which port",
		cmd_switch_groups, node_option},
	{"switch workers", "", 0, "the threads that move frames, and how busy they are",
		cmd_switch_workers, node_option},
	{"switch probe", "SWITCH", 1, "do its VLANs reach another node's switch, and back?",
		cmd_switch_probe, probe_options},
	{"switch trace", "PORT", 1, "what would happen to a frame from this port, and why",
		cmd_switch_trace, trace_options},
	{"switch capture", "PORT", 1, "record what passes a port, as pcapng", cmd_switch_capture,
		capture_options},
	{"nic list", "", 0, "the host's network adapters", cmd_host_nic_list,
		host_nic_list_options},
	{"nic bindings", "", 0, "what uses the host's network adapters, and changing that",
		cmd_host_nic_bindings, host_nic_bindings_options},
	{"offload show", "", 0, "what work of the network stack adapters do", cmd_offload_show,
		offload_show_options},
	{"offload set", "", 0, "change what 'offload show' shows", cmd_offload_set,
		offload_set_options},
	{"network scrub", "", 0, "list, or remove, what Viaduct has made of this node's network",
		cmd_scrub, scrub_options},
	{"switch set", "SWITCH", 1, "change uplinks, team, bandwidth; also while VMs use it",
		cmd_switch_set, switch_set_options},
	{"switch rename", "OLD NEW", 2, "another name; VMs that use it are told", cmd_switch_rename,
		node_option},
	{"switch adapter list", "[SWITCH]", 1, "the host's own adapters", cmd_switch_adapter_list,
		node_option, 1},
	{"switch adapter add", "SWITCH NAME", 2, "one more adapter of the host, 'vs-NAME'",
		cmd_switch_adapter_add, adapter_add_options},
	{"switch adapter set", "SWITCH NAME", 2, "change its VLAN and policy",
		cmd_switch_adapter_set, adapter_options},
	{"switch adapter remove", "SWITCH NAME", 2, "take it away", cmd_switch_adapter_remove,
		node_option},
	{"volume list", "", 0, "the shared volumes", cmd_volume_list, no_options},
	{"volume create", "VOLUME", 1, "make a directory a shared volume", cmd_volume_create,
		volume_create_options},
	{"job list", "", 0, "moves and drains of this node, past and present", cmd_job_list,
		job_list_options},
	{"job cancel", "JOB", 1, "cancel a move, or a drain: what moves goes on, what waits stays",
		cmd_job_cancel, no_options},
};
const size_t ctl_n_commands = ARRAY_LEN(ctl_commands);
