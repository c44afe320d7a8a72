/* SPDX-License-Identifier: MIT
 *
 * cmd_membership.c - `node invite`, `node join`, `node evict`.
 */
#include "node/ctl/ctl.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS     70000
#define TOKEN_BEGINS   "viaduct-join-"
#define FILE_MAX_BYTES 8192

/* For its owner only: it is a secret. */
static int write_invitation(const struct json *reply, const char *path)
{
	const char *name = json_get_string(reply, "name", "");
	char text[FILE_MAX_BYTES];
	int n, r;

	n = snprintf(text, sizeof(text), "%s\n", json_get_string(reply, "token", ""));
	r = file_write_new(path, text, (size_t)n, 0600);
	explicit_bzero(text, sizeof(text));
	if (r < 0)
		return ctl_fail(EXIT_FAILED,
			"%s cannot be written: %s; the invitation of %s is void in a while, invite "
			"it again",
			path, strerror(-r), name);
	printf("%s has the invitation of %s. It is a secret; on that machine, with viaductd "
	       "running and corosync not yet, within %lld minutes:\n\n    viaduct node join "
	       "FILE\n",
		path, name, (long long)json_get_int(reply, "valid_s", 0) / 60);
	return EXIT_OK;
}

int cmd_node_invite(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	const char *address = ctl_option(args, "address"), *id = ctl_option(args, "id");
	const char *out = ctl_option(args, "out");
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
	if (out)
		return write_invitation(reply, out);
	printf("On the machine that is to be %s, where viaductd runs and no cluster is yet, within "
	       "%lld minutes:\n\n    viaduct node join --token %s\n\n"
	       "The token is a secret: who has it can take that place in the cluster.\n",
		json_get_string(reply, "name", ""),
		(long long)json_get_int(reply, "valid_s", 0) / 60,
		json_get_string(reply, "token", ""));
	return EXIT_OK;
}

/* The token in what 'node invite' has printed, or put into a file; NULL: there is none. */
static char *find_token(char *text)
{
	char *token = strstr(text, TOKEN_BEGINS);

	if (token)
		token[strcspn(token, " \t\r\n")] = '\0';
	return token;
}

/* Its file, or standard input: not everybody wants it in the shell's history. */
static int read_token(const char *path, char *text, size_t size_bytes, const char **ret_token)
{
	bool is_input = strcmp(path, "-") == 0;
	FILE *file = is_input ? stdin : fopen(path, "re");
	size_t n = 0;

	if (!file)
		return ctl_fail(EXIT_NOT_FOUND, "%s cannot be read: %s", path, strerror(errno));
	/* A line is enough of what somebody types. */
	while (n < size_bytes - 1 && fgets(text + n, (int)(size_bytes - n), file)) {
		n += strlen(text + n);
		if (strstr(text, TOKEN_BEGINS) && text[n - 1] == '\n')
			break;
	}
	text[n] = '\0';
	if (!is_input)
		fclose(file);
	*ret_token = find_token(text);
	if (!*ret_token)
		return ctl_fail(EXIT_USAGE,
			"%s has no invitation in it; 'viaduct node invite' on a node of the "
			"cluster makes one",
			is_input ? "standard input" : path);
	return EXIT_OK;
}

int cmd_node_join(const struct ctl_args *args)
{
	const char *file = args->n_positional > 0 ? args->positional[0] : NULL;
	const char *token = ctl_option(args, "token");
	char text[FILE_MAX_BYTES];
	struct json *request;
	int r = EXIT_OK;

	if (!file == !token)
		return ctl_fail(EXIT_USAGE, "say either FILE or --token TOKEN; 'viaduct node "
					    "invite' on a node of the cluster makes them");
	if (file || strcmp(token, "-") == 0)
		r = read_token(file ? file : token, text, sizeof(text), &token);
	if (r)
		return r;
	request = ctl_request("node.join");
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
