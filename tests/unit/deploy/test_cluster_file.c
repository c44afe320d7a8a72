/* SPDX-License-Identifier: MIT
 *
 * A cluster's file: what it becomes, and every kind of nonsense with the words in which it is
 * refused.
 */
#include "node/deploy/cluster_file.h"
#include "node/deploy/doc.h"
#include "node/deploy/schema.h"
#include "node/deploy/subnet.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

/* A small cluster; tests put their lines behind it. */
static const char good[] =
	"cluster: {name: c}\n"                                               /* 1 */
	"networks:\n"                                                        /* 2 */
	"- {name: N, subnet: 10.1.0.0/24, link: 0}\n"                        /* 3 */
	"- {name: M, subnet: 10.2.0.0/24}\n"                                 /* 4 */
	"nodes:\n"                                                           /* 5 */
	"- {name: h1, id: 1, addresses: {N: 10.1.0.1}, uplinks: [p1, p2]}\n" /* 6 */
	"- {name: h2, id: 2, addresses: {N: 10.1.0.2, M: 10.2.0.2}}\n";      /* 7 */

static char *read_all(const char *text, struct json **ret_values)
{
	static struct problems problems;

	memset(&problems, 0, sizeof(problems));
	*ret_values = NULL;
	if (cluster_file_read(text, strlen(text), &problems, ret_values) == 0)
		return strdup("");
	assert_null(*ret_values);
	return problems_text(&problems, "f");
}

static struct json *read_good(const char *more)
{
	char text[8192];
	struct json *values;
	_cleanup_free_ char *why = NULL;

	snprintf(text, sizeof(text), "%s%s", good, more);
	why = read_all(text, &values);
	if (!values)
		fail_msg("%s", why);
	return values;
}

static void is_refused(const char *text, const char *wanted)
{
	struct json *values;
	_cleanup_free_ char *why = read_all(text, &values);

	if (strcmp(why, wanted) != 0)
		fail_msg("of\n%s\ncame\n%s\nnot\n%s", text, why, wanted);
}

static void is_refused_behind_good(const char *more, const char *wanted)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s", good, more);
	is_refused(text, wanted);
}

static void equals(const struct json *j, const char *wanted)
{
	_cleanup_free_ char *text = j ? json_dump(j, 0) : strdup("nothing");

	assert_string_equal(text, wanted);
}

/* ---- what is right ---- */

static void the_example_is_good(void **state _unused_)
{
	_cleanup_json_ struct json *values = NULL;
	_cleanup_free_ char *why = NULL;
	char text[16384];
	FILE *file = fopen(EXAMPLE, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	why = read_all(text, &values);
	assert_string_equal(why, "");
	assert_int_equal(json_length(json_get(values, "vms")), 9);
	assert_int_equal(json_length(json_get(values, "switches")), 3);
	equals(json_at(json_get(json_at(json_get(values, "vms"), 0), "nics"), 0),
		"{\"switch\":\"departments\",\"guards\":{\"addresses\":true},\"bandwidth\":{\"max_"
		"bps\":1000000000},\"mode\":\"access\",\"vid\":2}");
	equals(json_get(json_at(json_get(values, "networks"), 1), "migration_order"), "-1");
}

static void switches_are_spread_over_nodes(void **state _unused_)
{
	_cleanup_json_ struct json *values =
		read_good("switches:\n"
			  "- {name: I, type: internal, adapters: [{name: x, vlan: 7}]}\n"
			  "- {name: E, type: external, nodes: [h1], uplinks: [p1, p2], team: hash, "
			  "link-speed: 2.5G}\n");
	const struct json *switches = json_get(values, "switches");

	assert_int_equal(json_length(switches), 3);
	equals(json_at(switches, 1),
		"{\"node\":\"h2\",\"name\":\"I\",\"type\":\"internal\",\"adapters\":[{\"name\":"
		"\"I\"},{\"mode\":\"access\",\"vid\":7,\"name\":\"x\"}],\"uplinks\":[]}");
	equals(json_at(switches, 2),
		"{\"node\":\"h1\",\"name\":\"E\",\"type\":\"external\",\"uplinks\":[\"p1\",\"p2\"],"
		"\"team\":\"hash\",\"link_bps\":2500000000,\"adapters\":[]}");
}

static void every_setting_of_an_adapter(void **state _unused_)
{
	_cleanup_json_ struct json *values = read_good(
		"switches: [{name: S, type: private}]\n"
		"vms:\n"
		"- name: v\n"
		"  node: h1\n"
		"  kernel: /k\n"
		"  video: 0\n"
		"  disks: [{path: /a}, {path: /b, lun: 0, read-only: yes}, {kind: dvd}]\n"
		"  nics:\n"
		"  - {switch: S, trunk: '2-4,7', native: 9, mac: 00:15:5D:00:00:01, mtu: 9000}\n"
		"  - {switch: S, promiscuous: '200,201-203', ip: [10.0.0.1, fd00::1], spoofing: "
		"on,\n"
		"     dhcp-guard: on, router-guard: off, storm-limit: 500, weight: 5, mirror: "
		"source}\n"
		"  - {switch: S, isolated: '200,201', csum: tx, lso: off, rsc: off, rss: off,\n"
		"     acl: [{action: allow, protocol: tcp, local-ports: 80-90, stateful: on, idle: "
		"60}]}\n");
	const struct json *vm = json_at(json_get(values, "vms"), 0), *nics = json_get(vm, "nics");

	equals(json_at(nics, 0),
		"{\"switch\":\"S\",\"native\":9,\"mac\":\"00:15:5d:00:00:01\",\"mtu\":9000,"
		"\"mode\":\"trunk\",\"allowed\":\"2-4,7\"}");
	equals(json_at(nics, 1),
		"{\"switch\":\"S\",\"guards\":{\"ips\":[\"10.0.0.1\",\"fd00::1\"],\"dhcp\":true,"
		"\"router\":false},\"spoofing\":true,\"bandwidth\":{\"storm_fps\":500,\"weight\":5}"
		",\"mirror\":\"source\",\"mode\":\"promiscuous\",\"primary\":200,\"secondaries\":"
		"\"201-203\"}");
	equals(json_at(nics, 2),
		"{\"switch\":\"S\",\"offload\":{\"csum\":\"tx\",\"lso\":false,\"rsc\":false,"
		"\"rss\":false},\"acl\":[{\"action\":\"allow\",\"direction\":\"both\",\"protocol\":"
		"\"tcp\",\"local_ports\":\"80-90\",\"idle_s\":60,\"stateful\":true}],\"mode\":"
		"\"isolated\",\"primary\":200,\"secondary\":201}");
	equals(json_get(vm, "disks"),
		"[{\"path\":\"/a\",\"lun\":1,\"kind\":\"disk\",\"read_only\":false},{\"path\":"
		"\"/"
		"b\",\"lun\":0,\"read_only\":true,\"kind\":\"disk\"},{\"kind\":\"dvd\",\"lun\":2,"
		"\"read_only\":true}]");
	equals(json_get(vm, "max_memory_bytes"), "134217728");
	equals(json_get(vm, "vram_bytes"), "0");
}

/* ---- what is not ---- */

static void no_yaml(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"", "f:1:1: the file is empty; docs/cluster-file.md has an example\n"},
		{"a: [1, 2\n",
			"f:2:1: this is no YAML: did not find expected ',' or ']'; look at the "
			"indentation, and quote texts with : or #\n"},
		{"a: 1\n b: 2\n",
			"f:2:3: this is no YAML: mapping values are not allowed in this context; "
			"look at the indentation, and quote texts with : or #\n"},
		{"\xff\xfe\x01",
			"f:1:1: this is no text in UTF-8: invalid leading UTF-8 octet; save it as "
			"such\n"},
		{"- a\n",
			"f:1:1: the file must be a map of settings and values, and this is a list; "
			"see docs/cluster-file.md\n"},
		{"cluster: &a {name: c}\n",
			"f:1:10: anchors (&) and tags (!) are not used in this file; write the "
			"value itself\n"},
		{"cluster: *a\n",
			"f:1:10: aliases (*) are not used in this file; write the value itself\n"},
		{"cluster: !!python/object {}\n",
			"f:1:10: anchors (&) and tags (!) are not used in this file; write the "
			"value itself\n"},
		{"cluster: 1\ncluster: 2\n",
			"f:2:1: 'cluster' comes twice in this map, first in line 1; remove one\n"},
		{"{[a]: b}\n", "f:1:2: the name of a setting must be a text; YAML allows others, "
			       "this file "
			       "does not\n"},
		{"a: b\n---\nc: d\n",
			"f:2:1: a second document begins here ('---'); a cluster has one\n"},
		{"[[[[[[[[[[[[[[[[",
			"f:1:13: this is nested deeper than anything in this file may be\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		is_refused(table[i].text, table[i].why);
}

static void no_billion_laughs(void **state _unused_)
{
	is_refused("a: &a [l, l]\nb: &b [*a, *a]\nc: [*b, *b]\n",
		"f:1:4: anchors (&) and tags (!) are not used in this file; write the value "
		"itself\n");
}

static void what_is_large_is_refused(void **state _unused_)
{
	size_t n = DOC_MAX_BYTES + 2;
	_cleanup_free_ char *text = malloc(n);
	struct json *values;
	char *why;

	memset(text, ' ', n);
	text[n - 1] = '\0';
	why = read_all(text, &values);
	assert_string_equal(
		why, "f:1:1: the file is larger than 1 MiB; no cluster is described by so much\n");
	free(why);
	/* Many values: bounded before they are stored. */
	for (size_t i = 0; i + 2 < n - 2; i += 2)
		memcpy(text + i, "[,", 2);
	memset(text + 200000, '\0', 1);
	text[0] = '[';
	for (size_t i = 1; i + 1 < 200000; i += 2)
		memcpy(text + i, "a,", 2);
	why = read_all(text, &values);
	assert_string_equal(why, "f:1:100000: the file has too many values\n");
	free(why);
}

static void no_cluster(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"nodes: []\nnetworks: []\n",
			"f:1:1: the file needs 'cluster', its name\n"
			"f:1:8: a cluster needs a node; there is none\n"
			"f:2:11: no network has a 'link', so the nodes would not hear each other; "
			"give the heartbeat's network link: 0\n"},
		{"cluster: {name: c, tokn: fast}\n"
		 "networks: [{name: N, subnet: 10.1.0.1/24, link: 0}]\n"
		 "nodes: [{name: h1, id: zero, addresses: {N: 10.1.0.1}}]\n",
			"f:1:20: the cluster has no setting 'tokn'; did you mean 'token'?\n"
			"f:2:30: subnet is '10.1.0.1/24', and must be the address of a subnet: no "
			"bits behind its length, as 10.10.2.0/24\n"
			"f:3:24: id is 'zero', and must be a whole number from 1 to 2147483647\n"},
		{"cluster: {name: c, token: quick}\n"
		 "networks: [{name: N, subnet: 10.1.0.0/24, link: 0}, {name: N, subnet: "
		 "10.1.0.128/25, link: 2}]\n"
		 "nodes: [{name: h1, id: 1, addresses: {N: 10.2.0.1, O: 10.1.0.3}}, {name: h1, "
		 "id: 1, addresses: {N: 10.2.0.1}}]\n",
			"f:1:27: token is 'quick', and must be one of: default|fast\n"
			"f:2:11: there are 2 links but none is link 1; number them from 0\n"
			"f:2:60: network 'N' is there already, in line 2; choose another\n"
			"f:2:71: subnet 10.1.0.128/25 overlaps 10.1.0.0/24 of line 2; each network "
			"needs a subnet of its own\n"
			"f:3:42: 10.2.0.1 is no address in the subnet 10.1.0.0/24 of network N; "
			"one "
			"of both is wrong\n"
			"f:3:52: there is no network 'O' in this file; add it, or name another\n"
			"f:3:74: node 'h1' is there already, in line 3; choose another\n"
			"f:3:82: node id '1' is there already, in line 3; choose another\n"
			"f:3:100: 10.2.0.1 is no address in the subnet 10.1.0.0/24 of network N; "
			"one of both is wrong\n"
			"f:3:100: address 10.2.0.1 is there already, of h1 in line 3; choose "
			"another\n"},
		{"cluster: {name: c}\n"
		 "networks: [{name: N, subnet: 10.1.0.0/24, link: 0, migration-order: 1}, {name: "
		 "M, subnet: 10.2.0.0/24, link: 1, migration-order: 1, metric: 0, role: cluser}]\n"
		 "nodes: [{name: h1, id: 1, addresses: {N: 10.1.0.0}}]\n",
			"f:2:130: migration-order 1 is another network's, in line 2; each network "
			"needs a place of its own\n"
			"f:2:141: metric is '0', and must be a whole number from 1 to 268435455, "
			"or "
			"'auto'\n"
			"f:2:150: role is 'cluser', and must be one of: "
			"None|Cluster|ClusterAndClient; did you mean 'Cluster'?\n"
			"f:3:38: there is no address in network M, which is a link of corosync; "
			"every node needs one there\n"
			"f:3:42: 10.1.0.0 is no address in the subnet 10.1.0.0/24 of network N; "
			"one "
			"of both is wrong\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		is_refused(table[i].text, table[i].why);
}

static void no_switches(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"switches: [{name: A, type: externl}]\n",
			"f:8:28: type is 'externl', and must be one of: external|internal|private; "
			"did you mean 'external'?\n"},
		{"switches: [{name: A, type: external}]\n",
			"f:8:12: an external switch needs 'uplink', the network adapter it is "
			"bound "
			"to\n"},
		{"switches: [{name: A, type: private, uplink: p1, adapters: [{name: x}], team: "
		 "hash}]\n",
			"f:8:45: only an external switch has an uplink, and this one is private; "
			"make it external, or leave the uplink out\n"
			"f:8:59: a private switch connects VMs only, so the host has no adapter on "
			"it; make it internal\n"
			"f:8:78: a team is made of several uplinks, and this switch has 1; name "
			"them all in 'uplinks'\n"},
		{"switches: [{name: A, node: h3, type: private}, {name: B, nodes: [h1, h1], type: "
		 "private}]\n",
			"f:8:28: there is no node 'h3' in this file; did you mean 'h1'?\n"
			"f:8:70: node 'h1' is named twice; once is enough\n"},
		{"switches: [{name: A, node: h1, type: external, uplink: p9},\n"
		 " {name: B, node: h1, type: external, uplinks: [p1, p2]},\n"
		 " {name: B, node: h1, type: external, uplink: p2}]\n",
			"f:8:56: p9 is not among the uplinks of node h1 in line 6; add it there, "
			"or "
			"choose one of those\n"
			"f:10:9: node h1 has a switch 'B' already, in line 9; choose another name "
			"or node\n"
			"f:10:46: h1's adapter p2 is switch B's already, in line 9; an adapter is "
			"the uplink of one switch\n"},
		{"switches: [{name: long-name-of-1, type: internal}, {name: X, type: internal, "
		 "adapters: [{name: long-name-of-2}, {name: y, mac: 00:15:5d:00:00:01}]}]\n",
			"f:8:96: the adapter would be interface vs-long-name-of, as the one in "
			"line "
			"8; choose a name that differs in its first 12 characters\n"
			"f:8:128: this switch is on several nodes, and a MAC address belongs to "
			"one "
			"adapter; leave it out, or make a switch for each node\n"},
		{"switches: [{name: A, type: internal, adapters: [{name: x, vlan: 4095, mtu: "
		 "9000}]}]\n",
			"f:8:65: vlan is '4095', and must be a whole number from 1 to 4094\n"
			"f:8:71: an adapter of the host has no setting 'mtu'; it has: name mac "
			"vlan "
			"trunk native isolated community promiscuous untagged spoofing dhcp-guard "
			"router-guard address-guard ip acl max-bandwidth min-bandwidth weight "
			"storm-limit mirror\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		is_refused_behind_good(table[i].text, table[i].why);
}

#define VM                                                                                         \
	"switches: [{name: S, node: h1, type: private, logical: L}]\nvms:\n- {name: v, node: h1, " \
	"kernel: /k, "

static void no_vms(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"vms: [{}]\n",
			"f:8:7: a VM needs 'kernel', a Linux bzImage, a PVH kernel or another "
			"64-bit ELF\n"
			"f:8:7: a VM needs 'name'\n"
			"f:8:7: a VM needs 'node', the node that owns it first\n"},
		{"vms: [{name: -, node: h3, kernel: k, memory: 1, vps: 65, video: 5M}]\n",
			"f:8:14: name is '-', and must be a name of at most 63 letters, digits, - "
			"_ "
			".\n"
			"f:8:23: there is no node 'h3' in this file; did you mean 'h1'?\n"
			"f:8:35: kernel is 'k', and must be an absolute path, the same on every "
			"node\n"
			"f:8:46: memory is '1', and must be a size from 16M to 262144M, as 128M or "
			"2G\n"
			"f:8:54: vps is '65', and must be a whole number from 1 to 64\n"
			"f:8:65: video memory must be 4M, 8M, 16M, 32M or 64M, or 0 for a VM "
			"without a screen\n"},
		{VM "memory: 65M, max-memory: 64M}\n",
			"f:10:43: memory must be a multiple of 2M, the unit in which VMs get "
			"memory\n"
			"f:10:60: max-memory is below memory; memory must grow in this order: "
			"min-memory, memory, max-memory\n"},
		{VM "nics: [{switch: T}, {vlan: 2}, {switch: L, vlan: 2, trunk: '3'}, {switch: S, "
		    "native: 3}]}\n",
			"f:10:51: there is no switch 'T' in this file; add it to 'switches', or "
			"name another\n"
			"f:10:55: a network adapter needs 'switch', the name of a switch, or its "
			"logical name\n"
			"f:10:66: this network adapter makes no sense: it has several VLAN "
			"settings, "
			"and an adapter can be in one VLAN mode only; keep one of vlan, trunk, "
			"isolated, community, promiscuous, untagged\n"
			"f:10:100: this network adapter makes no sense: 'native' is the VLAN of a "
			"trunk's frames without a tag, and there is no 'trunk'; add one, or use "
			"vlan\n"},
		{VM "nics: [{switch: S, weight: 1, min-bandwidth: 10M}, {switch: S, isolated: "
		    "'200,200'}, {switch: S, csum: off, lso: on}]}\n",
			"f:10:42: this network adapter makes no sense: a minimum is either bits "
			"per "
			"second or a weight, as the switch's bandwidth mode says; give one of "
			"\"min_bps\" and \"weight\"\n"
			"f:10:86: this network adapter makes no sense: primary and secondary VLAN "
			"are both 200, but must differ; choose another secondary\n"
			"f:10:120: this network adapter makes no sense: large sends (lso) need "
			"checksums of what is sent, and \"csum\" is off; say tx or both, or switch "
			"lso off\n"},
		{VM "nics: [{switch: S, trunk: 0-5, mac: ff:ff:ff:ff:ff:ff, max-bandwidth: 5, "
		    "dhcp-gaurd: on}]}\n",
			"f:10:61: trunk is '0-5', and that is beyond the VLANs 1 to 4094, of which "
			"it must name some (0 and 4095 are reserved by 802.1Q)\n"
			"f:10:71: mac is 'ff:ff:ff:ff:ff:ff', and must be the MAC address of one "
			"machine, as 00:15:5d:00:00:01\n"
			"f:10:105: max-bandwidth is '5', and must be bits per second from 1M to "
			"1000G, as 100M, or 0 for none\n"
			"f:10:108: a network adapter has no setting 'dhcp-gaurd'; did you mean "
			"'dhcp-guard'?\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		is_refused_behind_good(table[i].text, table[i].why);
}

static void no_disks_and_policies(void **state _unused_)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{VM "disks: [{}, {path: /a, lun: 1}, {path: /b, lun: 1}, {path: c}]}\n",
			"f:10:94: path is 'c', and must be an absolute path, the same on every "
			"node\n"},
		{VM "disks: [{}, {path: /a, lun: 1}, {path: /b, lun: 1}]}\n",
			"f:10:43: a disk needs 'path', a file or block device; only a DVD drive "
			"can "
			"be empty\n"
			"f:10:83: LUN 1 is disk 1's already; choose another, or leave it out\n"},
		{VM "disks: [{path: /a}, {path: /d}]}\n- {name: v, node: h2, kernel: /k, disks: "
		    "[{path: /a}], nics: [{switch: S}]}\n",
			"f:11:10: VM 'v' is there already, in line 10; choose another\n"
			"f:11:50: /a is there already, in line 10; two that write one disk destroy "
			"it; give each its own, or make both read-only\n"
			"f:11:72: node h2, where v begins, has no switch 'S'; that is another "
			"node's, in line 8\n"},
		{VM "nics: [{switch: S, mac: 00:15:5d:00:00:0a}, {switch: S, mac: "
		    "00:15:5D:00:00:0A}]}\n",
			"f:10:96: 00:15:5D:00:00:0A is there already, in line 10; a MAC address "
			"belongs to one adapter; choose another, or leave it out\n"},
		{VM "policy: {priority: hihg, preferred: [h1, h9], possible: [h2], failback: "
		    "25-3}}\n",
			"f:10:54: priority is 'hihg', and must be one of: high|medium|low|none; "
			"did "
			"you mean 'high'?\n"
			"f:10:76: there is no node 'h9' in this file; did you mean 'h1'?\n"
			"f:10:91: the VM begins on h1, which is not among the possible owners; add "
			"it, or begin elsewhere\n"
			"f:10:107: failback is '25-3', and must be none, immediate, or the hours "
			"of "
			"a day as 22-6\n"},
		{VM "nics: [{switch: [S]}], vps: }\n",
			"f:10:51: 'switch' must be one value, and this is a list\n"
			"f:10:63: 'vps' has no value; give it one, or leave it out\n"},
		{VM "nics: {switch: S}}\n",
			"f:10:41: 'nics' must be a list of maps, and this is a map; see "
			"docs/cluster-file.md\n"},
		{"volumes: [{name: V, path: /v}, {name: V, path: /v}, {name: W, path: w}]\n",
			"f:8:39: volume 'V' is there already, in line 8; choose another\n"
			"f:8:48: volume path '/v' is there already, in line 8; choose another\n"
			"f:8:69: path is 'w', and must be an absolute path, the same on every "
			"node\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		is_refused_behind_good(table[i].text, table[i].why);
}

static void problems_are_bounded(void **state _unused_)
{
	char text[32768] = "";
	_cleanup_free_ char *why = NULL;
	struct json *values;

	for (int i = 0; i < 120; i++)
		sprintf(text + strlen(text), "unknown-%d: 1\n", i);
	why = read_all(text, &values);
	assert_non_null(strstr(why, "and 23 more"));
}

static void subnets(void **state _unused_)
{
	struct subnet a, b;

	assert_true(subnet_parse("10.1.0.0/16", &a));
	assert_true(subnet_parse("10.1.2.0/24", &b));
	assert_true(subnet_overlaps(&a, &b));
	assert_true(subnet_has(&a, "10.1.255.254"));
	assert_false(subnet_has(&a, "10.1.255.255"));
	assert_false(subnet_has(&a, "10.1.0.0"));
	assert_false(subnet_has(&a, "fd00::1"));
	assert_true(subnet_parse("fd00::/64", &a));
	assert_true(subnet_has(&a, "fd00::1"));
	assert_false(subnet_has(&a, "fd01::1"));
	assert_false(subnet_overlaps(&a, &b));
	assert_false(subnet_parse("10.1.0.0", &a));
	assert_false(subnet_parse("10.1.0.0/33", &a));
	assert_false(subnet_parse("10.1.0.0/-1", &a));
	assert_false(subnet_parse("10.1.0.0/8x", &a));
	assert_false(subnet_parse("/8", &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_is_good),
		cmocka_unit_test(switches_are_spread_over_nodes),
		cmocka_unit_test(every_setting_of_an_adapter),
		cmocka_unit_test(no_yaml),
		cmocka_unit_test(no_billion_laughs),
		cmocka_unit_test(what_is_large_is_refused),
		cmocka_unit_test(no_cluster),
		cmocka_unit_test(no_switches),
		cmocka_unit_test(no_vms),
		cmocka_unit_test(no_disks_and_policies),
		cmocka_unit_test(problems_are_bounded),
		cmocka_unit_test(subnets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
