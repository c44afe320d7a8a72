/* SPDX-License-Identifier: MIT
 *
 * A backup file from anywhere: parsed, and a plan made from an empty store to it and back. Nobody
 * guesses checksums, so with a first byte of 1 those of the lines that follow are made right.
 */
#include "cluster/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void plan(const struct backup *then, const struct backup *now)
{
	struct restore_plan *plan;

	if (restore_plan_new(then, now, &plan) < 0)
		return;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct restore_step *step = &plan->steps[i];

		if (step->action != RESTORE_LEAVE && backup_rule_of(step->key) == BACKUP_LEAVE)
			abort();
		if (step->action == RESTORE_ADD && restore_refusal(step->key, 0, step->value, NULL))
			abort();
	}
	restore_plan_free(plan);
}

/* "KEY VALUE\n" lines, as a file that is right in itself. */
static void parse_made(const uint8_t *data, size_t size_bytes, struct backup **ret_backup)
{
	struct backup *backup = calloc(1, sizeof(*backup));
	struct backup_error error;
	struct buf out = {};

	if (!backup)
		abort();
	while (size_bytes > 0) {
		const uint8_t *end = memchr(data, '\n', size_bytes);
		size_t len = end ? (size_t)(end - data) : size_bytes;
		const uint8_t *space = memchr(data, ' ', len);
		size_t key_len = space ? (size_t)(space - data) : len;
		char key[RS_KEY_MAX_LEN + 1];
		struct json *value;

		if (space && key_len > 0 && key_len <= RS_KEY_MAX_LEN &&
			json_parse((const char *)space + 1, len - key_len - 1, &value) == 0) {
			memcpy(key, data, key_len);
			key[key_len] = '\0';
			backup_add(backup, key, 1 + backup->n_entries, value);
		}
		data += MIN(len + 1, size_bytes);
		size_bytes -= MIN(len + 1, size_bytes);
	}
	if (backup_write(backup, &out) == 0)
		backup_parse(out.data, out.size_bytes, ret_backup, &error);
	buf_fini(&out);
	backup_free(backup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct backup empty = {}, *backup = NULL;
	struct backup_error error = {};

	if (size_bytes > 0 && data[0] == 1)
		parse_made(data + 1, size_bytes - 1, &backup);
	else if (backup_parse(data, size_bytes, &backup, &error) == -EBADMSG &&
		 (error.line == 0 || !error.text[0]))
		abort();
	if (!backup)
		return 0;
	plan(backup, &empty);
	plan(&empty, backup);
	backup_free(backup);
	return 0;
}
