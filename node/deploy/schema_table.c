/* SPDX-License-Identifier: MIT
 *
 * schema_table.c - what a cluster's file may say. docs/cluster-file.md tells people.
 */
#include "node/deploy/schema.h"
#include "node/svc/nic.h"

#define SCHEMA(text, table, ...)                                                                   \
	{                                                                                          \
		.what = text, .fields = table, .n = ARRAY_LEN(table), __VA_ARGS__                  \
	}
#define MIB          (1LL << 20)
#define MAX_MEMORY   (256LL << 30)
#define MAX_METRIC   0x0fffffff
#define MAX_NODES    64
#define MAX_NETS     16
#define MAX_LINK     7
#define MAX_VMS      10000
#define MAX_NODE_VMS 256
#define MAX_NICS     4
#define MAX_DISKS    64
#define MAX_WEIGHT   65535
#define MAX_IDLE_S   86400
#define MAX_NODE_ID  2147483647LL
#define RATE(name, k)                                                                              \
	{                                                                                          \
		name, FIELD_RATE, .min = NIC_MIN_RATE_BPS, .max = NIC_MAX_RATE_BPS, .to = k        \
	}

static const struct field rule_fields[] = {
	{"action", FIELD_CHOICE, true, .choices = "allow|deny|meter"},
	{"direction", FIELD_CHOICE, .choices = "in|out|both"},
	{"weight", FIELD_INT, .min = 0, .max = MAX_WEIGHT},
	{"protocol", FIELD_TEXT, .min = 1, .max = 20},
	{"local", FIELD_TEXT, .min = 1, .max = 64},
	{"remote", FIELD_TEXT, .min = 1, .max = 64},
	{"local-ports", FIELD_TEXT, .min = 1, .max = 20},
	{"remote-ports", FIELD_TEXT, .min = 1, .max = 20},
	{"stateful", FIELD_BOOL},
	{"idle", FIELD_INT, .min = 1, .max = MAX_IDLE_S, .to = "idle_s"},
};
static const struct schema schema_rule = SCHEMA("a rule of an access list", rule_fields);

/* The policy of a port, of a VM's adapter or of a host's. */
#define POLICY_FIELDS                                                                              \
	{"vlan", FIELD_INT, .min = 1, .max = 4094}, {"trunk", FIELD_VLANS},                        \
		{"native", FIELD_INT, .min = 0, .max = 4094},                                      \
		{"isolated", FIELD_TEXT, .min = 3, .max = 64},                                     \
		{"community", FIELD_TEXT, .min = 3, .max = 64},                                    \
		{"promiscuous", FIELD_TEXT, .min = 3, .max = 4000}, {"untagged", FIELD_BOOL},      \
		{"spoofing", FIELD_BOOL}, {"dhcp-guard", FIELD_BOOL, .to = "guards.dhcp"},         \
		{"router-guard", FIELD_BOOL, .to = "guards.router"},                               \
		{"address-guard", FIELD_BOOL, .to = "guards.addresses"},                           \
		{"ip", FIELD_LIST, .item = FIELD_IP, .max = NIC_MAX_IPS, .to = "guards.ips"},      \
		{"acl", FIELD_LIST, .of = &schema_rule, .max = NIC_MAX_RULES},                     \
		RATE("max-bandwidth", "bandwidth.max_bps"),                                        \
		RATE("min-bandwidth", "bandwidth.min_bps"),                                        \
		{"weight", FIELD_INT, .min = 0, .max = NIC_MAX_WEIGHT, .to = "bandwidth.weight"},  \
		{"storm-limit", FIELD_INT, .min = 0, .max = UINT32_MAX,                            \
			.to = "bandwidth.storm_fps"},                                              \
	{                                                                                          \
		"mirror", FIELD_CHOICE, .choices = "none|source|destination"                       \
	}

static const struct field adapter_fields[] = {
	{"name", FIELD_NAME, true, .help = "the interface will be vs-NAME"},
	{"mac", FIELD_MAC},
	POLICY_FIELDS,
};
static const struct schema schema_adapter =
	SCHEMA("an adapter of the host", adapter_fields, .after = schema_after_adapter);

static const struct field switch_fields[] = {
	{"name", FIELD_NAME, true},
	{"node", FIELD_NAME, .help = "the only node that has it"},
	{"nodes", FIELD_LIST, .item = FIELD_NAME, .max = MAX_NODES},
	{"type", FIELD_CHOICE, true, .choices = "external|internal|private",
		.help = "external, internal or private"},
	{"uplink", FIELD_IFNAME},
	{"uplinks", FIELD_LIST, .item = FIELD_IFNAME, .max = 8},
	{"team", FIELD_CHOICE, .choices = "standby|hash"},
	{"logical", FIELD_NAME},
	{"bandwidth-mode", FIELD_CHOICE, .choices = "none|weight|absolute"},
	RATE("link-speed", "link_bps"),
	{"adapters", FIELD_LIST, .of = &schema_adapter, .max = 8},
	{"force", FIELD_BOOL},
};
static const struct schema schema_switch =
	SCHEMA("a switch", switch_fields, .after = schema_after_switch);

static const struct field nic_fields[] = {
	{"switch", FIELD_NAME, true, .help = "the name of a switch, or its logical name"},
	{"mac", FIELD_MAC},
	{"mtu", FIELD_INT, .min = 576, .max = 9000},
	POLICY_FIELDS,
	{"csum", FIELD_CHOICE, .choices = "off|tx|rx|both", .to = "offload.csum"},
	{"lso", FIELD_BOOL, .to = "offload.lso"},
	{"rsc", FIELD_BOOL, .to = "offload.rsc"},
	{"rss", FIELD_BOOL, .to = "offload.rss"},
};
static const struct schema schema_nic =
	SCHEMA("a network adapter", nic_fields, .after = schema_after_nic);

static const struct field disk_fields[] = {
	{"path", FIELD_PATH},
	{"kind", FIELD_CHOICE, .choices = "disk|dvd"},
	{"lun", FIELD_INT, .min = 0, .max = MAX_DISKS - 1},
	{"serial", FIELD_TEXT, .min = 1, .max = 36},
	{"read-only", FIELD_BOOL},
};
static const struct schema schema_disk = SCHEMA("a disk", disk_fields);

static const struct field policy_fields[] = {
	{"priority", FIELD_CHOICE, .choices = "high|medium|low|none"},
	{"preferred", FIELD_LIST, .item = FIELD_NAME, .max = MAX_NODES},
	{"possible", FIELD_LIST, .item = FIELD_NAME, .max = MAX_NODES},
	{"anti-affinity", FIELD_NAME},
	{"failback", FIELD_TEXT, .min = 1, .max = 16},
	{"max-restarts", FIELD_INT, .min = 0, .max = 1000},
	{"restart-window", FIELD_INT, .min = 1, .max = 604800, .to = "restart_window_s"},
	{"heartbeat", FIELD_CHOICE, .choices = "ignore|restart"},
};
static const struct schema schema_policy =
	SCHEMA("a policy", policy_fields, .after = schema_after_policy);

static const struct field vm_fields[] = {
	{"name", FIELD_NAME, true},
	{"node", FIELD_NAME, true, .help = "the node that owns it first"},
	{"kernel", FIELD_PATH, true, .help = "a Linux bzImage, a PVH kernel or another 64-bit ELF"},
	{"initrd", FIELD_PATH},
	{"cmdline", FIELD_TEXT, .min = 0, .max = 1023},
	{"memory", FIELD_SIZE, .min = 16 * MIB, .max = MAX_MEMORY, .to = "memory_bytes"},
	{"min-memory", FIELD_SIZE, .min = 16 * MIB, .max = MAX_MEMORY, .to = "min_memory_bytes"},
	{"max-memory", FIELD_SIZE, .min = 16 * MIB, .max = MAX_MEMORY, .to = "max_memory_bytes"},
	{"video", FIELD_SIZE, .min = 0, .max = 64 * MIB, .to = "vram_bytes"},
	{"vps", FIELD_INT, .min = 1, .max = 64},
	{"nics", FIELD_LIST, .of = &schema_nic, .max = MAX_NICS},
	{"disks", FIELD_LIST, .of = &schema_disk, .max = MAX_DISKS},
	{"policy", FIELD_MAP, .of = &schema_policy},
};
static const struct schema schema_vm = SCHEMA("a VM", vm_fields, .after = schema_after_vm);

static const struct field volume_fields[] = {
	{"name", FIELD_NAME, true},
	{"path", FIELD_PATH, true, .help = "a directory that all nodes reach under this path"},
};
static const struct schema schema_volume = SCHEMA("a volume", volume_fields);

static const struct field network_fields[] = {
	{"name", FIELD_TEXT, true, .min = 1, .max = 63},
	{"subnet", FIELD_SUBNET, true, .help = "as 10.10.2.0/24"},
	{"link", FIELD_INT, .min = 0, .max = MAX_LINK},
	{"role", FIELD_CHOICE, .choices = "None|Cluster|ClusterAndClient"},
	{"metric", FIELD_METRIC, .min = 1, .max = MAX_METRIC},
	{"migration-order", FIELD_ORDER, .min = 0, .max = MAX_NETS},
};
static const struct schema schema_network = SCHEMA("a network", network_fields);

static const struct field node_fields[] = {
	{"name", FIELD_NAME, true},
	{"id", FIELD_INT, true, .min = 1, .max = MAX_NODE_ID, .help = "a number of its own"},
	{"addresses", FIELD_MAP, true, .item = FIELD_IP,
		.help = "its addresses by the names of networks"},
	{"uplinks", FIELD_LIST, .item = FIELD_IFNAME, .max = 64},
	{"max-vms", FIELD_INT, .min = 1, .max = MAX_NODE_VMS, .help = "how many VMs may run there"},
};
static const struct schema schema_node = SCHEMA("a node", node_fields);

static const struct field cluster_fields[] = {
	{"name", FIELD_NAME, true},
	{"token", FIELD_CHOICE, .choices = "default|fast"},
};
static const struct schema schema_cluster = SCHEMA("the cluster", cluster_fields);

static const struct field file_fields[] = {
	{"cluster", FIELD_MAP, true, .of = &schema_cluster, .help = "its name"},
	{"networks", FIELD_LIST, true, .of = &schema_network, .max = MAX_NETS,
		.help = "the networks of the nodes"},
	{"nodes", FIELD_LIST, true, .of = &schema_node, .max = MAX_NODES},
	{"switches", FIELD_LIST, .of = &schema_switch, .max = 1024},
	{"volumes", FIELD_LIST, .of = &schema_volume, .max = 256},
	{"vms", FIELD_LIST, .of = &schema_vm, .max = MAX_VMS},
};
const struct schema schema_file = SCHEMA("the file", file_fields);
