/* SPDX-License-Identifier: MIT */
#include "base/json.h"

/* These three are jansson's from here on; ours go by the names that json.h gives the linker. */
#undef json_copy
#undef json_delete
#undef json_string

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* jansson tests types with macros of the names of our functions. */
#undef json_is_object
#undef json_is_array
#undef json_is_string
#undef json_is_null

#define JSON_INDENT_LIMIT 8

static json_t *unwrap(const struct json *j)
{
	return (json_t *)j;
}

static struct json *wrap(json_t *j)
{
	return (struct json *)j;
}

static bool is_type(const struct json *j, json_type type)
{
	return j && json_typeof(unwrap(j)) == type;
}

struct json *json_object_new(void)
{
	return wrap(json_object());
}

struct json *json_array_new(void)
{
	return wrap(json_array());
}

struct json *json_string_new(const char *s)
{
	return wrap(json_string(s));
}

struct json *json_int_new(int64_t v)
{
	return wrap(json_integer(v));
}

struct json *json_bool_new(bool v)
{
	return wrap(json_boolean(v));
}

struct json *json_real_new(double v)
{
	return wrap(json_real(v));
}

struct json *json_ref(struct json *j)
{
	return wrap(json_incref(unwrap(j)));
}

void json_unref(struct json *j)
{
	json_decref(unwrap(j));
}

struct json *viaduct_json_copy(const struct json *j)
{
	return wrap(json_deep_copy(unwrap(j)));
}

/* jansson parses and prints by recursion: refuse what is nested too deeply before it begins. */
static bool depth_is_bounded(const char *text, size_t len)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_MAX_DEPTH)
				return false;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return true;
}

int json_parse(const char *text, size_t len, struct json **ret_json)
{
	json_error_t error;
	json_t *j;

	if (len > JSON_MAX_BYTES)
		return -EMSGSIZE;
	if (!depth_is_bounded(text, len))
		return -EBADMSG;
	j = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!j)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	*ret_json = wrap(j);
	return 0;
}

char *json_dump(const struct json *j, unsigned indent)
{
	size_t flags = JSON_ENCODE_ANY;

	flags |= indent ? JSON_INDENT(MIN(indent, (unsigned)JSON_INDENT_LIMIT)) : JSON_COMPACT;
	return json_dumps(unwrap(j), flags);
}

bool json_is_object(const struct json *j)
{
	return is_type(j, JSON_OBJECT);
}

bool json_is_array(const struct json *j)
{
	return is_type(j, JSON_ARRAY);
}

bool json_is_string(const struct json *j)
{
	return is_type(j, JSON_STRING);
}

bool json_is_int(const struct json *j)
{
	return is_type(j, JSON_INTEGER);
}

bool json_is_bool(const struct json *j)
{
	return is_type(j, JSON_TRUE) || is_type(j, JSON_FALSE);
}

bool json_is_null(const struct json *j)
{
	return is_type(j, JSON_NULL);
}

bool json_is_equal(const struct json *a, const struct json *b)
{
	return a == b || (a && b && json_equal(unwrap(a), unwrap(b)));
}

int json_set(struct json *object, const char *key, struct json *value)
{
	/* A value that could not be made: most callers pass the result of a json_*_new(). */
	if (!value)
		return -ENOMEM;
	if (!json_is_object(object)) {
		json_unref(value);
		return -EINVAL;
	}
	return json_object_set_new(unwrap(object), key, unwrap(value)) < 0 ? -EINVAL : 0;
}

/* jansson does not tell bad UTF-8 from a failed allocation; the former is what happens. */
static int set_text(struct json *object, const char *key, json_t *text)
{
	return text ? json_set(object, key, wrap(text)) : -EINVAL;
}

int json_set_string(struct json *object, const char *key, const char *v)
{
	return set_text(object, key, v ? json_string(v) : json_null());
}

int json_set_stringf(struct json *object, const char *key, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return set_text(object, key, json_stringn(text, (size_t)len));
}

int json_set_int(struct json *object, const char *key, int64_t v)
{
	return json_set(object, key, json_int_new(v));
}

int json_set_bool(struct json *object, const char *key, bool v)
{
	return json_set(object, key, json_bool_new(v));
}

int json_set_real(struct json *object, const char *key, double v)
{
	return json_set(object, key, json_real_new(v));
}

int viaduct_json_delete(struct json *object, const char *key)
{
	return json_object_del(unwrap(object), key) < 0 ? -ENOENT : 0;
}

struct json *json_get(const struct json *object, const char *key)
{
	return wrap(json_object_get(unwrap(object), key));
}

const char *json_get_string(const struct json *object, const char *key, const char *fallback)
{
	return viaduct_json_string(json_get(object, key), fallback);
}

int64_t json_get_int(const struct json *object, const char *key, int64_t fallback)
{
	return json_int(json_get(object, key), fallback);
}

bool json_get_bool(const struct json *object, const char *key, bool fallback)
{
	const struct json *v = json_get(object, key);

	return json_is_bool(v) ? is_type(v, JSON_TRUE) : fallback;
}

double json_get_real(const struct json *object, const char *key, double fallback)
{
	const struct json *v = json_get(object, key);

	return is_type(v, JSON_REAL) || is_type(v, JSON_INTEGER) ? json_number_value(unwrap(v))
								 : fallback;
}

bool json_next(const struct json *object, void **at, const char **ret_key, struct json **ret_value)
{
	json_t *o = unwrap(object);
	void *next = *at ? json_object_iter_next(o, *at) : json_object_iter(o);

	if (!next)
		return false;
	*at = next;
	*ret_key = json_object_iter_key(next);
	*ret_value = wrap(json_object_iter_value(next));
	return true;
}

const char *viaduct_json_string(const struct json *j, const char *fallback)
{
	return json_is_string(j) ? json_string_value(unwrap(j)) : fallback;
}

int64_t json_int(const struct json *j, int64_t fallback)
{
	return json_is_int(j) ? json_integer_value(unwrap(j)) : fallback;
}

size_t json_length(const struct json *array)
{
	return json_array_size(unwrap(array));
}

struct json *json_at(const struct json *array, size_t index)
{
	return wrap(json_array_get(unwrap(array), index));
}

int json_append(struct json *array, struct json *value)
{
	if (!value)
		return -ENOMEM;
	if (!json_is_array(array)) {
		json_unref(value);
		return -EINVAL;
	}
	return json_array_append_new(unwrap(array), unwrap(value)) < 0 ? -EINVAL : 0;
}

int json_append_string(struct json *array, const char *v)
{
	json_t *text = json_string(v);

	return text ? json_append(array, wrap(text)) : -EINVAL;
}
