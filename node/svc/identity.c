/* SPDX-License-Identifier: MIT */
#include "node/svc/identity.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define MAX_GROUPS 256

static const struct {
	const char *name, *group, *holders;
} roles[] = {
	[ROLE_NONE] = {"none", NULL, "nobody"},
	[ROLE_READ] = {"read", "viaduct-read",
		"root, members of the groups viaduct-read, viaduct-operate and viaduct-admin, and "
		"every enrolled key"},
	[ROLE_OPERATE] = {"operate", "viaduct-operate",
		"root, members of the groups viaduct-operate and viaduct-admin, and keys enrolled "
		"with --role operate or administer"},
	[ROLE_ADMINISTER] = {"administer", "viaduct-admin",
		"root, members of the group viaduct-admin, and keys enrolled with --role "
		"administer"},
};

const char *api_role_name(enum api_role role)
{
	return roles[role].name;
}

int api_role_from_name(const char *name, enum api_role *ret_role)
{
	for (size_t i = ROLE_READ; i < ARRAY_LEN(roles); i++) {
		if (strcmp(roles[i].name, name) == 0) {
			*ret_role = (enum api_role)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *api_role_holders(enum api_role role)
{
	return roles[role].holders;
}

enum api_role identity_role_of_user(uid_t uid, gid_t gid)
{
	const struct passwd *user;
	gid_t groups[MAX_GROUPS];
	int n = MAX_GROUPS;

	if (uid == 0 || uid == geteuid())
		return ROLE_ADMINISTER;
	groups[0] = gid;
	user = getpwuid(uid);
	if (!user)
		n = 1;
	else if (getgrouplist(user->pw_name, gid, groups, &n) < 0)
		n = MAX_GROUPS;
	for (size_t role = ROLE_ADMINISTER; role >= ROLE_READ; role--) {
		const struct group *group = getgrnam(roles[role].group);

		for (int i = 0; group && i < n; i++) {
			if (groups[i] == group->gr_gid)
				return (enum api_role)role;
		}
	}
	return ROLE_NONE;
}

void identity_user_name(uid_t uid, char *text, size_t size_bytes)
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(text, size_bytes, "%s", user->pw_name);
	else
		snprintf(text, size_bytes, "uid %u", (unsigned)uid);
}

struct json *identity_to_json(const struct identity *identity)
{
	struct json *json = json_object_new();

	json_set_string(json, "who", identity->who);
	json_set_string(json, "from", identity->from);
	json_set_string(json, "role", api_role_name(identity->role));
	return json;
}

void identity_from_json(
	const struct json *json, const char *from_node, struct identity *ret_identity)
{
	struct identity identity = {.role = ROLE_ADMINISTER};

	snprintf(identity.who, sizeof(identity.who), "node %s", from_node);
	snprintf(identity.from, sizeof(identity.from), "%s", from_node);
	if (api_role_from_name(json_get_string(json, "role", ""), &identity.role) == 0) {
		snprintf(
			identity.who, sizeof(identity.who), "%s", json_get_string(json, "who", ""));
		snprintf(identity.from, sizeof(identity.from), "%s",
			json_get_string(json, "from", ""));
	}
	*ret_identity = identity;
}
