/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "base/list.h"

#include <stdio.h>

#define UNIT_MAX_UNITS 1024

struct unit {
	struct list siblings;
	const struct unit_ops *ops;
	void *opaque;
	char name[UNIT_NAME_MAX_LEN + 1];
	bool running;

	/* Only during unit_restore_all(). */
	bool has_section;
	uint32_t section_version;
	struct reader section;
};

struct unit_registry {
	struct list units;
	uint32_t n_units;
	bool was_started;
};

int unit_registry_new(struct unit_registry **ret_registry)
{
	struct unit_registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	list_init(&registry->units);
	*ret_registry = registry;
	return 0;
}

void unit_registry_free(struct unit_registry *registry)
{
	struct unit *unit, *next;

	if (!registry)
		return;
	list_for_each_safe(unit, next, &registry->units, siblings)
		free(unit);
	free(registry);
}

static struct unit *unit_find(struct unit_registry *registry, const char *name, size_t len)
{
	struct unit *unit;

	list_for_each(unit, &registry->units, siblings) {
		if (strlen(unit->name) == len && memcmp(unit->name, name, len) == 0)
			return unit;
	}
	return NULL;
}

int unit_register(struct unit_registry *registry, const struct unit_ops *ops, const char *instance,
	void *opaque)
{
	struct unit *unit;
	int len;

	if (!ops->name || !*ops->name || !ops->version || !ops->save || !ops->restore)
		return -EINVAL;
	if (registry->n_units == UNIT_MAX_UNITS)
		return -EINVAL;
	unit = calloc(1, sizeof(*unit));
	if (!unit)
		return -ENOMEM;
	len = snprintf(unit->name, sizeof(unit->name), "%s%s%s", ops->name, instance ? "." : "",
		instance ? instance : "");
	if (len < 0 || (size_t)len >= sizeof(unit->name)) {
		free(unit);
		return -EINVAL;
	}
	if (unit_find(registry, unit->name, (size_t)len)) {
		free(unit);
		return -EEXIST;
	}
	unit->ops = ops;
	unit->opaque = opaque;
	list_append(&registry->units, &unit->siblings);
	registry->n_units++;
	return 0;
}

static int unit_start(struct unit *unit)
{
	int r = 0;

	if (!unit->running && unit->ops->start)
		r = unit->ops->start(unit->opaque);
	if (r == 0)
		unit->running = true;
	return r;
}

static int unit_stop(struct unit *unit)
{
	int r = 0;

	if (unit->running && unit->ops->stop)
		r = unit->ops->stop(unit->opaque);
	if (r == 0)
		unit->running = false;
	return r;
}

int unit_start_all(struct unit_registry *registry)
{
	struct unit *unit;
	int r;

	registry->was_started = true;
	list_for_each(unit, &registry->units, siblings) {
		r = unit_start(unit);
		if (r < 0) {
			(void)unit_stop_all(registry);
			return r;
		}
	}
	return 0;
}

int unit_stop_all(struct unit_registry *registry)
{
	struct unit *unit;
	int error = 0, r;

	list_for_each_reverse(unit, &registry->units, siblings) {
		r = unit_stop(unit);
		if (error == 0)
			error = r;
	}
	return error;
}

static int unit_save(struct unit *unit, struct buf *out)
{
	size_t name_len = strlen(unit->name);
	size_t size_at, start_at, size_bytes;
	int r;

	buf_u8(out, (uint8_t)name_len);
	buf_bytes(out, unit->name, name_len);
	buf_le32(out, unit->ops->version);
	size_at = out->size_bytes;
	buf_le32(out, 0);
	start_at = out->size_bytes;
	r = unit->ops->save(unit->opaque, out);
	if (r < 0)
		return r;
	if (out->failed)
		return -ENOMEM;
	size_bytes = out->size_bytes - start_at;
	if (size_bytes > UNIT_STATE_MAX_BYTES)
		return -EFBIG;
	store_le32(out->data + size_at, (uint32_t)size_bytes);
	return 0;
}

int unit_save_all(struct unit_registry *registry, struct buf *out)
{
	struct unit *unit;
	int r;

	list_for_each(unit, &registry->units, siblings) {
		if (unit->running)
			return -EBUSY;
	}
	buf_le32(out, registry->n_units);
	list_for_each(unit, &registry->units, siblings) {
		r = unit_save(unit, out);
		if (r < 0)
			return r;
	}
	return out->failed ? -ENOMEM : 0;
}

/* Take one section off `in` and remember it in the unit it belongs to. */
static int section_read(struct unit_registry *registry, struct reader *in, const char **ret_culprit)
{
	size_t name_len = reader_u8(in);
	const char *name = reader_take(in, name_len);
	uint32_t version = reader_le32(in);
	uint32_t size_bytes = reader_le32(in);
	const void *bytes = reader_take(in, size_bytes);
	struct unit *unit;

	*ret_culprit = "saved state";
	if (!reader_ok(in) || !name_len || name_len > UNIT_NAME_MAX_LEN)
		return -EBADMSG;
	unit = unit_find(registry, name, name_len);
	if (!unit)
		return -ENOENT;
	*ret_culprit = unit->name;
	if (unit->has_section || !version || size_bytes > UNIT_STATE_MAX_BYTES)
		return -EBADMSG;
	if (version > unit->ops->version)
		return -EPROTONOSUPPORT;
	unit->has_section = true;
	unit->section_version = version;
	unit->section = reader_make(bytes, size_bytes);
	return 0;
}

/* The whole layout is checked before the first unit changes. */
static int sections_read(
	struct unit_registry *registry, struct reader *in, const char **ret_culprit)
{
	uint32_t n_sections = reader_le32(in);
	struct unit *unit;
	int r;

	list_for_each(unit, &registry->units, siblings)
		unit->has_section = false;
	*ret_culprit = "saved state";
	if (!reader_ok(in))
		return -EBADMSG;
	for (uint32_t i = 0; i < n_sections; i++) {
		r = section_read(registry, in, ret_culprit);
		if (r < 0)
			return r;
	}
	list_for_each(unit, &registry->units, siblings) {
		*ret_culprit = unit->name;
		if (!unit->has_section)
			return -ENODATA;
	}
	return 0;
}

int unit_restore_all(struct unit_registry *registry, struct reader *in, const char **ret_culprit)
{
	const char *culprit = "registry";
	struct unit *unit;
	int r = registry->was_started ? -EBUSY : 0;

	if (r == 0)
		r = sections_read(registry, in, &culprit);
	if (r == 0) {
		list_for_each(unit, &registry->units, siblings) {
			culprit = unit->name;
			r = unit->ops->restore(unit->opaque, &unit->section, unit->section_version);
			if (r == 0 && !reader_done(&unit->section))
				r = -EBADMSG;
			if (r < 0)
				break;
		}
	}
	if (r < 0 && ret_culprit)
		*ret_culprit = culprit;
	return r;
}
