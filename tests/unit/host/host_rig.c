/* SPDX-License-Identifier: MIT */
#include "tests/unit/host/host_rig.h"

#include "tests/unit/base/cmocka_all.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

static void *grow(void *array, size_t n, size_t size_bytes)
{
	void *grown = reallocarray(array, n + 1, size_bytes);

	assert_non_null(grown);
	memset((char *)grown + n * size_bytes, 0, size_bytes);
	return grown;
}

int rig_add_nic(struct host_net *net, const char *name, enum host_nic_kind kind)
{
	struct host_nic *nic;

	net->nics = grow(net->nics, net->n_nics, sizeof(*nic));
	nic = &net->nics[net->n_nics++];
	snprintf(nic->name, sizeof(nic->name), "%s", name);
	nic->ifindex = (int)net->n_nics;
	nic->kind = kind;
	nic->up = nic->arp = true;
	return nic->ifindex;
}

void rig_add_address(struct host_net *net, int ifindex, const char *address, uint32_t metric)
{
	struct json *j = json_object_new();
	struct host_address *a;

	json_set_string(j, "address", address);
	net->addresses = grow(net->addresses, net->n_addresses, sizeof(*a));
	a = &net->addresses[net->n_addresses++];
	assert_int_equal(host_address_from_json(j, a), 0);
	a->ifindex = ifindex;
	a->metric = metric;
	json_unref(j);
}

void rig_add_route(struct host_net *net, int ifindex, const char *to, uint32_t metric)
{
	struct json *j = json_object_new();
	struct host_route *route;

	json_set_string(j, "to", to);
	json_set_int(j, "protocol", RTPROT_BOOT);
	net->routes = grow(net->routes, net->n_routes, sizeof(*route));
	route = &net->routes[net->n_routes++];
	assert_int_equal(host_route_from_json(j, route), 0);
	route->ifindex = ifindex;
	route->metric = metric;
	json_unref(j);
}

char *rig_folder_new(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;

	assert_true(asprintf(&path, "%s/viaduct-host-XXXXXX", base ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

void rig_folder_remove(char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(folder), entry->d_name, 0), 0);
	}
	closedir(folder);
	assert_int_equal(rmdir(path), 0);
	free(path);
}

void rig_write(const char *folder, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}
