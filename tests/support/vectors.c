// Loader for tests/vectors: looks in the working directory, then upwards from the test program, so
// that tests run from anywhere inside the tree.

#include "tests/support/vectors.h"

#include "tests/support/hex.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *load_upwards(const char *name, json_error_t *err)
{
	char path[PATH_MAX];
	char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	json_t *root = NULL;

	if (n <= 0)
		return NULL;
	dir[n] = '\0';
	for (char *slash; root == NULL && (slash = strrchr(dir, '/')) != NULL;) {
		*slash = '\0';
		if (snprintf(path, sizeof(path), "%s/tests/vectors/%s", dir, name) >=
			(int)sizeof(path))
			continue;
		if (access(path, R_OK) == 0)
			return json_load_file(path, JSON_REJECT_DUPLICATES, err);
	}
	return root;
}

json_t *vectors_load(const char *name)
{
	json_error_t err = {.text = "no such file"};
	char path[PATH_MAX];
	json_t *root;

	snprintf(path, sizeof(path), "tests/vectors/%s", name);
	if (access(path, R_OK) == 0)
		root = json_load_file(path, JSON_REJECT_DUPLICATES, &err);
	else
		root = load_upwards(name, &err);
	if (root == NULL)
		fail_msg("%s: %s (line %d)", name, err.text, err.line);
	return root;
}

json_t *vectors_get(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	if (v == NULL)
		fail_msg("vector has no member '%s'", key);
	return v;
}

const char *vectors_str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(vectors_get(obj, key));

	if (s == NULL)
		fail_msg("member '%s' is not a string", key);
	return s;
}

uint32_t vectors_u32(const json_t *obj, const char *key)
{
	json_int_t v = json_integer_value(vectors_get(obj, key));

	assert_in_range(v, 0, UINT32_MAX);
	return (uint32_t)v;
}

unsigned vectors_each(const json_t *v, const char *key, void (*fn)(const json_t *obj))
{
	unsigned n = 0;
	const json_t *child;
	const char *name;
	size_t i;

	if (json_object_get(v, key) != NULL) {
		fn(v);
		n++;
	}
	if (json_is_object(v))
		json_object_foreach((json_t *)v, name, child) n += vectors_each(child, key, fn);
	else
		json_array_foreach(v, i, child) n += vectors_each(child, key, fn);
	return n;
}

void vectors_hex(const json_t *obj, const char *key, uint8_t *out, size_t len)
{
	hex_exact(out, len, vectors_str(obj, key));
}

uint8_t *vectors_hex_new(const json_t *obj, const char *key, size_t *len)
{
	return hex_new(vectors_str(obj, key), len);
}
