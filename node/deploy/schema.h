/* SPDX-License-Identifier: MIT
 *
 * schema.h - what a cluster's file may say, as tables; and a document made into values by them.
 *
 * schema_read() looks at everything and finds all that is wrong: settings that are not known (with
 * what was probably meant), missing or given twice, of a wrong kind, out of range. What was right
 * stands in the values, so that whoever looks further can do so in one go.
 *
 * Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_DEPLOY_SCHEMA_H
#define VIADUCT_NODE_DEPLOY_SCHEMA_H

#include "base/json.h"
#include "node/deploy/doc.h"

enum field_type {
	FIELD_TEXT,   /* min to max characters */
	FIELD_NAME,   /* of an object: letters, digits, - _ . */
	FIELD_INT,    /* min to max */
	FIELD_BOOL,   /* on, off, yes, no, true, false */
	FIELD_SIZE,   /* 128M, 2G: bytes, min to max */
	FIELD_RATE,   /* 100M, 2.5G: bits per second, min to max or 0 */
	FIELD_CHOICE, /* one of choices */
	FIELD_IP,     /* an address */
	FIELD_SUBNET, /* 10.10.2.0/24 */
	FIELD_MAC,
	FIELD_VLANS,  /* 2-4,7 */
	FIELD_PATH,   /* absolute */
	FIELD_IFNAME, /* of a network adapter */
	FIELD_METRIC, /* min to max or auto */
	FIELD_ORDER,  /* min to max or never: -1 */
	FIELD_LIST,   /* of `item`, or of maps when `of` is set; at most max */
	FIELD_MAP,    /* `of`; without: of names and values of `item` */
};

struct schema;
struct field {
	const char *key;
	enum field_type type;
	bool required;
	int64_t min, max;
	const char *choices;     /* "external|internal" */
	const char *to;          /* its place in the values, "guards.dhcp"; NULL: the key, with _ */
	const struct schema *of; /* of a map, or of a list's maps */
	enum field_type item;    /* of a list */
	const char *help;        /* what it is, for docs and errors: "the VLAN" */
};

struct schema {
	const char *what; /* "a switch", as errors call it */
	const struct field *fields;
	size_t n;
	/* Settings that hang together: takes over the values, returns what becomes of them.
	 * `sound`: nothing was wrong with them so far. */
	struct json *(*after)(
		const struct doc *doc, struct json *values, bool sound, struct problems *problems);
};

/* schema_table.c: the whole file. */
extern const struct schema schema_file;

/* Always an object; NULL: out of memory. */
struct json *schema_read(
	const struct schema *schema, const struct doc *doc, struct problems *problems);

/* schema_value.c: one text as a value, or NULL and a problem. `name`: what it is the value of. */
struct json *schema_value(const struct field *field, enum field_type type, const char *name,
	const struct doc *doc, struct problems *problems);

/* The one of `words` ("a|b|c") that somebody who wrote `text` probably meant, or "" : a static
 * buffer that completes a sentence, "; did you mean 'b'?". */
const char *schema_guess(const char *text, const char *words);

/* nic_values.c, schema_after.c */
struct json *schema_after_nic(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems);
struct json *schema_after_adapter(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems);
struct json *schema_after_switch(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems);
struct json *schema_after_policy(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems);
struct json *schema_after_vm(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems);

#endif
