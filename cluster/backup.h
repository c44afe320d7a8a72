/* SPDX-License-Identifier: MIT
 *
 * backup.h - a backup of the store as a file, and what is to be done to get back to it.
 *
 * The file is JSON, one object a line, the same bytes for the same store:
 *
 *   {"viaduct_backup":1,"node":"host1","quorate":true,"generation":7,"store_version":...,"keys":2,
 *    "sum":"6a0c91f2"}
 *   {"key":"vm/VM1","version":30064771328,"value":{...},"sum":"..."}       ascending by key
 *   {"end":2,"sha256":"..."}                                     over all bytes before this line
 *
 * `sum` is the beginning of the SHA-256 over the line as it would be without it, so that damage has
 * a line number. The parser takes bytes from anywhere: everything is bounded, and what does not
 * hold together is refused with its line.
 *
 * Going back to a backup means settings only. What is true now rather than configured - who owns a
 * VM, in which state it is, which nodes there are - is never touched; what living VMs rely on
 * neither. Which prefix is treated how is in backup_rules(). Pure.
 */
#ifndef VIADUCT_CLUSTER_BACKUP_H
#define VIADUCT_CLUSTER_BACKUP_H

#include "base/bytes.h"
#include "base/json.h"
#include "cluster/rs_proto.h"

#define BACKUP_FORMAT     1
#define BACKUP_MAX_BYTES  (256U << 20)
#define BACKUP_MAX_ERROR  240
#define BACKUP_MAX_REASON 240

struct backup_entry {
	char *key;
	uint64_t version;
	struct json *value;
};

/* In order of keys. */
struct backup {
	char node[64];
	bool quorate;
	uint64_t generation;
	uint64_t store_version;
	struct backup_entry *entries;
	size_t n_entries, capacity;
};

void backup_free(struct backup *backup); /* NULL is fine */
/* Takes `value` over, always. Keys must ascend: -EINVAL. */
int backup_add(struct backup *backup, const char *key, uint64_t version, struct json *value);
const struct backup_entry *backup_find(const struct backup *backup, const char *key);

/* The whole file. */
int backup_write(const struct backup *backup, struct buf *out);

struct backup_error {
	size_t line; /* from 1 */
	char text[BACKUP_MAX_ERROR];
};
/* -EBADMSG: *ret_error says what is wrong in which line; -ENOMEM. */
int backup_parse(const void *bytes, size_t size_bytes, struct backup **ret_backup,
	struct backup_error *ret_error);

enum backup_rule {
	BACKUP_LEAVE,  /* true now: never touched */
	BACKUP_SET,    /* added, changed, removed */
	BACKUP_ADD,    /* added where there is none */
	BACKUP_DISOWN, /* the same, for nobody: only the epoch goes on */
};

struct backup_rule_row {
	const char *prefix;
	enum backup_rule rule;
	const char *what;
};
/* In the order in which they are restored; ends with a NULL prefix. */
const struct backup_rule_row *backup_rules(void);
enum backup_rule backup_rule_of(const char *key);

enum restore_action { RESTORE_ADD, RESTORE_CHANGE, RESTORE_REMOVE, RESTORE_LEAVE };

struct restore_step {
	enum restore_action action;
	const char *key;                /* lent by the backups */
	uint64_t expected;              /* the key's version now */
	struct json *value;             /* to be written; NULL: none */
	char reason[BACKUP_MAX_REASON]; /* RESTORE_LEAVE: why it stays as it is */
	size_t rank;
};

struct restore_plan {
	struct restore_step *steps;
	size_t n_steps, capacity;
	size_t n_same;  /* settings that are as in the backup */
	size_t n_facts; /* keys that are not looked at */
};

/* From `now` to `then`; both must outlive the plan. */
int restore_plan_new(
	const struct backup *then, const struct backup *now, struct restore_plan **ret_plan);
void restore_plan_free(struct restore_plan *plan);

/* What a node checks again when it is asked for a step: NULL, or why not. `vm_state` is that of the
 * VM that the key belongs to, NULL for none. */
const char *restore_refusal(
	const char *key, uint64_t expected, const struct json *value, const char *vm_state);
/* Of "vm/VM1" and "policy/VM1": "VM1"; else NULL. */
const char *restore_vm_of(const char *key);

#endif
