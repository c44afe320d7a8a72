/* SPDX-License-Identifier: MIT
 *
 * json.h - JSON values (jansson underneath; json.c is its only user).
 *
 * Ownership: json_*_new() and json_parse() give a reference the caller drops with json_unref();
 * json_set() and json_append() take over the value's reference, also when they fail; getters lend.
 * Getters are total: a missing key or a wrong type yields the default, so requests are validated
 * with json_get() and json_is_*() where absence matters. Size and depth of parsed text are bounded
 * (JSON_MAX_BYTES, JSON_MAX_DEPTH); a key that comes twice, a NUL in a string and bytes that are
 * not UTF-8 are refused.
 */
#ifndef VIADUCT_BASE_JSON_H
#define VIADUCT_BASE_JSON_H

#include "base/err.h"

#define JSON_MAX_BYTES (4U << 20)
#define JSON_MAX_DEPTH 64

/* jansson exports functions of these names. */
#define json_copy   viaduct_json_copy
#define json_delete viaduct_json_delete
#define json_string viaduct_json_string

struct json;

struct json *json_object_new(void);
struct json *json_array_new(void);
struct json *json_string_new(const char *s); /* NULL also when not UTF-8 */
struct json *json_int_new(int64_t v);
struct json *json_bool_new(bool v);
struct json *json_real_new(double v);
struct json *json_ref(struct json *j);
void json_unref(struct json *j);
struct json *json_copy(const struct json *j); /* deep */

static inline void json_unrefp(struct json **j)
{
	json_unref(*j);
}
#define _cleanup_json_ __attribute__((cleanup(json_unrefp)))

/* Parse exactly one value. 0, -EBADMSG, -EMSGSIZE, -ENOMEM. */
int json_parse(const char *text, size_t len, struct json **ret_json);
/* Compact text, to free(); NULL on a failed allocation. `indent` > 0 for people; keys keep the
 * order in which they were set. */
char *json_dump(const struct json *j, unsigned indent);

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_string(const struct json *j);
bool json_is_int(const struct json *j);
bool json_is_bool(const struct json *j);
bool json_is_null(const struct json *j); /* a null value; not NULL itself */
/* The same value, whatever the order of keys; two NULLs are equal as well. */
bool json_is_equal(const struct json *a, const struct json *b);

/* Objects. Setters return 0, -ENOMEM (also for a NULL value) or -EINVAL (not an object; not UTF-8).
 */
int json_set(struct json *object, const char *key, struct json *value);
int json_set_string(struct json *object, const char *key, const char *v); /* NULL v sets null */
int json_set_stringf(struct json *object, const char *key, const char *format, ...) _printf_(3, 4);
int json_set_int(struct json *object, const char *key, int64_t v);
int json_set_bool(struct json *object, const char *key, bool v);
int json_set_real(struct json *object, const char *key, double v);
int json_delete(struct json *object, const char *key);             /* -ENOENT */
struct json *json_get(const struct json *object, const char *key); /* lent, or NULL */
const char *json_get_string(const struct json *object, const char *key, const char *fallback);
int64_t json_get_int(const struct json *object, const char *key, int64_t fallback);
bool json_get_bool(const struct json *object, const char *key, bool fallback);
double json_get_real(const struct json *object, const char *key, double fallback); /* ints too */
/* Iterate: start with *at = NULL; returns false at the end. The object must not change meanwhile.
 */
bool json_next(const struct json *object, void **at, const char **ret_key, struct json **ret_value);

/* Values. */
const char *json_string(const struct json *j, const char *fallback);
int64_t json_int(const struct json *j, int64_t fallback);

/* Arrays. */
size_t json_length(const struct json *array); /* 0 for anything else */
struct json *json_at(const struct json *array, size_t index);
int json_append(struct json *array, struct json *value);
int json_append_string(struct json *array, const char *v);

#endif
