/* SPDX-License-Identifier: MIT */
#include "node/svc/netbytes.h"

#include <stdio.h>
#include <string.h>

/* /proc/net/dev: the counters of this network namespace, whatever /sys shows. */
static uint64_t read_tx_bytes(const char *ifname)
{
	FILE *file = fopen("/proc/net/dev", "re");
	char line[512];
	uint64_t tx_bytes = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');
		char *name = line + strspn(line, " ");
		unsigned long long tx;

		if (!colon)
			continue;
		*colon = '\0';
		/* eight receive columns, then the bytes sent */
		if (strcmp(name, ifname) == 0 &&
			sscanf(colon + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %llu", &tx) == 1)
			tx_bytes = tx;
	}
	fclose(file);
	return tx_bytes;
}

void netbytes_snapshot(struct svc *svc, struct netbytes *ret_bytes)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(svc->cluster, nets, ARRAY_LEN(nets));
	uint32_t local = cluster_local_id(svc->cluster);

	memset(ret_bytes, 0, sizeof(*ret_bytes));
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < nets[i].n_interfaces; k++) {
			size_t at = ret_bytes->n;

			if (nets[i].interfaces[k].node_id != local)
				continue;
			snprintf(ret_bytes->nets[at].name, sizeof(ret_bytes->nets[at].name), "%s",
				nets[i].name);
			snprintf(ret_bytes->nets[at].ifname, sizeof(ret_bytes->nets[at].ifname),
				"%s", nets[i].interfaces[k].ifname);
			ret_bytes->nets[at].tx_bytes = read_tx_bytes(nets[i].interfaces[k].ifname);
			ret_bytes->n++;
			break;
		}
	}
}

struct json *netbytes_json(struct svc *svc, const struct netbytes *before)
{
	struct json *list = json_array_new();
	struct netbytes after;

	netbytes_snapshot(svc, &after);
	for (size_t i = 0; i < after.n; i++) {
		struct json *entry = json_object_new();
		uint64_t sent = after.nets[i].tx_bytes;

		for (size_t k = 0; k < before->n; k++) {
			if (strcmp(before->nets[k].ifname, after.nets[i].ifname) == 0)
				sent -= before->nets[k].tx_bytes;
		}
		json_set_string(entry, "name", after.nets[i].name);
		json_set_string(entry, "interface", after.nets[i].ifname);
		json_set_int(entry, "tx_bytes", (int64_t)sent);
		json_append(list, entry);
	}
	return list;
}
