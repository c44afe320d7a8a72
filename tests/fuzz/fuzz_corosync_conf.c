/* SPDX-License-Identifier: MIT
 *
 * fuzz_corosync_conf.c - corosync.conf of any bytes: what is taken is printed and taken again, and
 * so it is after a node came and another went.
 */
#include "cluster/corosync_conf.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void check_again(const struct corosync_conf *conf)
{
	char *text = corosync_conf_print(conf), error[256];
	struct corosync_conf *again = NULL;

	check(text != NULL, "no text");
	if (strlen(text) <= COROSYNC_CONF_MAX_BYTES) {
		check(corosync_conf_parse(text, strlen(text), &again, error, sizeof(error)) == 0,
			"what is printed is refused");
		check(corosync_conf_n_nodes(again) == corosync_conf_n_nodes(conf), "other nodes");
		check(corosync_conf_version(again) == corosync_conf_version(conf),
			"another version");
	}
	corosync_conf_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct corosync_node node = {.id = 77, .name = "new"};
	struct corosync_conf *conf = NULL;
	char error[256] = "", name[64];
	size_t n;
	int r = corosync_conf_parse((const char *)data, size_bytes, &conf, error, sizeof(error));

	if (r < 0) {
		check(error[0], "no reason");
		return 0;
	}
	check_again(conf);
	n = corosync_conf_n_nodes(conf);
	for (size_t i = 0; i < corosync_conf_n_links(conf); i++)
		snprintf(node.address[i], sizeof(node.address[i]), "192.0.2.%zu", i);
	if (corosync_conf_add(conf, &node) == 0) {
		check(corosync_conf_n_nodes(conf) == n + 1, "not one more");
		check_again(conf);
		strcpy(name, corosync_conf_node(conf, 0)->name);
		if (corosync_conf_remove(conf, name) == 0)
			check(!corosync_conf_find(conf, name), "it is still there");
		check_again(conf);
	}
	corosync_conf_free(conf);
	return 0;
}
