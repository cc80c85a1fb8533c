// A key set in any text: what was readable stays so, the key then has its value, all others theirs,
// and setting it again changes nothing. The first byte chooses the key.
#include "lib/conf/conf_edit.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/conf/conf.h"
#include "tests/fuzz/fuzz.h"

struct elem {
	char *name;
	char *k;
};

struct values {
	char *k, *l;
	struct conf_array s;
};

static const struct conf_item items[] = {
	{"a", "k", CONF_STR, CONF_FIELD(struct values, k)},
	{"a", "l", CONF_STR, CONF_FIELD(struct values, l)},
	{"s", "k", CONF_STR, CONF_FIELD(struct elem, k)},
};
static const struct conf_class classes[] = {
	{"s", offsetof(struct values, s), sizeof(struct elem), offsetof(struct elem, name), 100},
};
static const struct conf_schema schema = {
	items, ARRAY_LEN(items), classes, 1, sizeof(struct values), false};

static const struct conf_set sets[] = {
	{"a", "k", "value"},
	{"a", "l", ""},
	{"s one", "k", "10.0.0.1:80"},
	{"s two", "k", "two words"},
};

static const char *value_of(const struct values *v, const struct conf_set *s)
{
	const struct elem *e = v->s.v;

	if (s->section[0] == 'a')
		return s->key[0] == 'k' ? v->k : v->l;
	for (size_t i = 0; i < v->s.n; i++)
		if (strcmp(e[i].name, s->section + 2) == 0)
			return e[i].k;
	return NULL;
}

static void compare(const struct conf *before, const struct conf *after, const struct conf_set *set)
{
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		const char *was = value_of(conf_values(before), &sets[i]);
		const char *is = value_of(conf_values(after), &sets[i]);

		if (&sets[i] == set)
			fuzz_check(is != NULL && strcmp(is, set->value) == 0);
		else
			fuzz_check((was == NULL) == (is == NULL) &&
				   (is == NULL || strcmp(was, is) == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct conf_set *set = &sets[size > 0 ? data[0] % ARRAY_LEN(sets) : 0];
	char err[CONF_ERR_MAX];
	char *out, *again;
	size_t len, len_again;
	struct conf *before, *after;

	if (size == 0)
		return 0;
	out = conf_edit((const char *)data + 1, size - 1, set, 1, &len);
	if (out == NULL)
		return 0;
	again = conf_edit(out, len, set, 1, &len_again);
	fuzz_check(again != NULL && len_again == len && memcmp(out, again, len) == 0);
	before = conf_parse(&schema, "fuzz", data + 1, size - 1, err);
	if (before != NULL) {
		after = conf_parse(&schema, "fuzz", out, len, err);
		fuzz_check(after != NULL ||
			   ((const struct values *)conf_values(before))->s.n == classes[0].max);
		if (after != NULL)
			compare(before, after, set);
		conf_free(after);
	}
	conf_free(before);
	free(again);
	free(out);
	return 0;
}
