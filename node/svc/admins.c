/* SPDX-License-Identifier: MIT */
#include "node/svc/admins.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void admin_from_json(const char *name, const struct json *record, struct admin *ret_admin)
{
	struct admin admin = {0};

	snprintf(admin.name, sizeof(admin.name), "%s", name);
	snprintf(admin.key, sizeof(admin.key), "%s", json_get_string(record, "key", ""));
	if (api_role_from_name(json_get_string(record, "role", ""), &admin.role) < 0)
		admin.role = ROLE_NONE;
	admin.since_s = json_get_int(record, "since", 0);
	admin.expires_s = json_get_int(record, "expires", 0);
	admin.revoked_s = json_get_int(record, "revoked", 0);
	snprintf(admin.enrolled_by, sizeof(admin.enrolled_by), "%s",
		json_get_string(record, "enrolled_by", ""));
	snprintf(admin.revoked_by, sizeof(admin.revoked_by), "%s",
		json_get_string(record, "revoked_by", ""));
	*ret_admin = admin;
}

struct json *admin_to_json(const struct admin *admin)
{
	struct json *record = json_object_new();

	json_set_string(record, "key", admin->key);
	json_set_string(record, "role", api_role_name(admin->role));
	json_set_int(record, "since", admin->since_s);
	json_set_string(record, "enrolled_by", admin->enrolled_by);
	json_set_int(record, "expires", admin->expires_s);
	json_set_int(record, "revoked", admin->revoked_s);
	json_set_string(record, "revoked_by", admin->revoked_by);
	return record;
}

struct search {
	const char *key;
	struct admin admin;
};

static int compare(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct search *search = data;

	if (strcmp(json_get_string(record, "key", ""), search->key) != 0)
		return 0;
	admin_from_json(strchr(key, '/') + 1, record, &search->admin);
	return 1;
}

int admin_of_key(const struct cluster *cluster, const char *key, struct admin *ret_admin)
{
	struct search search = {.key = key};

	if (!*key || cluster_for_each(cluster, "admin/", compare, &search) != 1)
		return -ENOENT;
	*ret_admin = search.admin;
	return 0;
}

enum admin_state admin_state(const struct admin *admin, int64_t now_s)
{
	if (admin->revoked_s || admin->role == ROLE_NONE)
		return ADMIN_REVOKED;
	return admin->expires_s && now_s >= admin->expires_s ? ADMIN_EXPIRED : ADMIN_VALID;
}

static const char *date(int64_t time_s, char text[32])
{
	time_t value = (time_t)time_s;
	struct tm tm;

	if (!gmtime_r(&value, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm))
		strcpy(text, "?");
	return text;
}

bool admin_refusal(const struct admin *admin, int64_t now_s, char *text, size_t size_bytes)
{
	char then[32], now[32];

	switch (admin_state(admin, now_s)) {
	case ADMIN_VALID:
		return false;
	case ADMIN_EXPIRED:
		snprintf(text, size_bytes,
			"the key of %s expired at %s, and it is %s here; an administrator can "
			"enroll it again, or prolong it: viaduct admin set %s --expires 90d",
			admin->name, date(admin->expires_s, then), date(now_s, now), admin->name);
		return true;
	default:
		snprintf(text, size_bytes,
			"the key of %s was revoked at %s by %s; an administrator can enroll a new "
			"one",
			admin->name, date(admin->revoked_s, then),
			admin->revoked_by[0] ? admin->revoked_by : "?");
		return true;
	}
}
