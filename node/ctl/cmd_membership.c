/* SPDX-License-Identifier: MIT
 *
 * cmd_membership.c - `node invite`, `node join`, `node evict`.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 70000

int cmd_node_invite(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	const char *address = ctl_option(args, "address"), *id = ctl_option(args, "id");
	_cleanup_free_ char *copy = address ? strdup(address) : NULL;
	struct json *request, *addresses;
	char *rest = copy, *item;
	int64_t number;
	int code;

	if (!address)
		return ctl_fail(EXIT_USAGE,
			"--address IP[,IP] is needed: the new node's addresses, "
			"in the order of corosync's links");
	if (id && (ctl_parse_int(id, &number) < 0 || number < 1))
		return ctl_fail(EXIT_USAGE, "--id %s is no number from 1 on", id);
	request = ctl_request("node.invite");
	addresses = json_array_new();
	json_set_string(request, "name", args->positional[0]);
	while ((item = strsep(&rest, ",")))
		json_append_string(addresses, item);
	json_set(request, "addresses", addresses);
	if (id)
		json_set_int(request, "id", number);
	code = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (code)
		return code;
	if (args->json)
		return ctl_print_json(reply);
	printf("On the machine that is to be %s, where viaductd runs and no cluster is yet, within "
	       "%lld minutes:\n\n    viaduct node join --token %s\n\n"
	       "The token is a secret: who has it can take that place in the cluster.\n",
		json_get_string(reply, "name", ""),
		(long long)json_get_int(reply, "valid_s", 0) / 60,
		json_get_string(reply, "token", ""));
	return EXIT_OK;
}

int cmd_node_join(const struct ctl_args *args)
{
	const char *token = ctl_option(args, "token");
	struct json *request = ctl_request("node.join");
	char line[2048];

	/* Not everybody wants it in the shell's history. */
	if (token && strcmp(token, "-") == 0)
		token = fgets(line, sizeof(line), stdin) ? line : NULL;
	if (!token) {
		json_unref(request);
		return ctl_fail(EXIT_USAGE, "--token TOKEN is needed; 'viaduct node invite' on a "
					    "node of the cluster prints it");
	}
	if (token == line)
		line[strcspn(line, " \r\n")] = '\0';
	json_set_string(request, "token", token);
	if (ctl_option(args, "force"))
		json_set_bool(request, "force", true);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}

int cmd_node_evict(const struct ctl_args *args)
{
	struct json *request = ctl_request("node.evict");

	json_set_string(request, "name", args->positional[0]);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}
