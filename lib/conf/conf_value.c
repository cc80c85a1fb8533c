// Values of a configuration: types, units and ranges. Knows nothing of files and sections.
#include "lib/conf/conf_value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000},
	{"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
	{NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"k", 1 << 10}, {"K", 1 << 10}, {"m", 1 << 20},
	{"M", 1 << 20}, {"g", 1 << 30}, {"G", 1 << 30}, {NULL, 0}};

static int refuse(char *why, const char *text, const char *what)
{
	snprintf(why, CONF_WHY_MAX, "'%.72s' is not %s", text, what);
	return -EINVAL;
}

static bool parse_digits(const char *text, const char **end, uint64_t *out)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	const char *p = hex ? text + 2 : text;
	char *stop;

	if (!(hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p)))
		return false;
	errno = 0;
	*out = strtoull(p, &stop, hex ? 16 : 10);
	*end = stop;
	return errno == 0;
}

// A number with a unit of the table; 0 needs none.
static bool parse_units(const char *text, const struct unit *units, uint64_t *out)
{
	const char *end;

	if (!parse_digits(text, &end, out))
		return false;
	if (*out == 0 && *end == '\0')
		return true;
	for (; units->name != NULL; units++) {
		if (strcmp(end, units->name) == 0)
			return !__builtin_mul_overflow(*out, units->factor, out);
	}
	return false;
}

// As people write it: a duration in the largest unit that it has a whole number of.
static const char *limit_text(const struct conf_item *item, int64_t limit, char *buf, size_t cap)
{
	const struct unit *unit = NULL;

	for (const struct unit *u = duration_units; u->name != NULL; u++)
		if (item->type == CONF_DURATION && limit > 0 && (uint64_t)limit % u->factor == 0)
			unit = u;
	if (unit != NULL)
		snprintf(buf, cap, "%" PRIu64 "%s", (uint64_t)limit / unit->factor, unit->name);
	else
		snprintf(buf, cap, "%" PRId64, limit);
	return buf;
}

static int out_of_range(const struct conf_item *item, char *why, const char *text)
{
	char min[32], max[32];

	if (item->min == 0 && item->max == 0)
		snprintf(why, CONF_WHY_MAX, "'%.72s' is out of range", text);
	else
		snprintf(why, CONF_WHY_MAX, "'%.72s' is not between %s and %s%s", text,
			limit_text(item, item->min, min, sizeof(min)),
			limit_text(item, item->max, max, sizeof(max)),
			item->type == CONF_SIZE ? " bytes" : "");
	return -EINVAL;
}

static int store(const struct conf_item *item, void *field, uint64_t v)
{
	switch (item->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)v;
		return 0;
	case 2:
		*(uint16_t *)field = (uint16_t)v;
		return 0;
	case 4:
		*(uint32_t *)field = (uint32_t)v;
		return 0;
	default:
		assert(item->size == 8);
		*(uint64_t *)field = v;
		return 0;
	}
}

// Below 0, or longer than any of ours, it is a number yet.
static bool is_whole_number(const char *text)
{
	text += text[0] == '-';
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static int set_uint(const struct conf_item *item, void *field, const char *text, char *why)
{
	bool bounded = item->min != 0 || item->max != 0;
	const char *end = "?";
	uint64_t v;
	bool ok;

	if (item->type == CONF_DURATION) {
		ok = parse_units(text, duration_units, &v);
		if (!ok)
			return refuse(why, text, "a duration (like 250ms, 10s, 2m)");
	} else if (item->type == CONF_SIZE) {
		ok = parse_units(text, size_units, &v);
		if (!ok)
			return refuse(why, text, "a size (like 4096, 64k, 1M)");
	} else if (is_whole_number(text) && (text[0] == '-' || !parse_digits(text, &end, &v))) {
		return out_of_range(item, why, text);
	} else if (!parse_digits(text, &end, &v) || *end != '\0') {
		return refuse(why, text, "a number");
	}
	if (item->size < 8 && v >> (8 * item->size) != 0)
		return out_of_range(item, why, text);
	if (bounded && (v < (uint64_t)item->min || v > (uint64_t)item->max))
		return out_of_range(item, why, text);
	return store(item, field, v);
}

static int set_int(const struct conf_item *item, void *field, const char *text, char *why)
{
	int64_t limit = item->size < 8 ? (INT64_C(1) << (8 * item->size - 1)) - 1 : INT64_MAX;
	bool negative = text[0] == '-';
	const char *end = "?";
	uint64_t v;
	int64_t n;

	if (!parse_digits(text + negative, &end, &v) || *end != '\0')
		return refuse(why, text, "a whole number");
	if (v > (uint64_t)limit)
		return out_of_range(item, why, text);
	n = negative ? -(int64_t)v : (int64_t)v;
	if ((item->min != 0 || item->max != 0) && (n < item->min || n > item->max))
		return out_of_range(item, why, text);
	return store(item, field, (uint64_t)n);
}

static int set_bool(bool *field, const char *text, char *why)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*field = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return refuse(why, text, "yes or no");
}

static int set_enum(const struct conf_item *item, int *field, const char *text, char *why)
{
	size_t n;

	for (int i = 0; item->names[i] != NULL; i++) {
		if (strcmp(text, item->names[i]) == 0) {
			*field = i;
			return 0;
		}
	}
	n = (size_t)snprintf(why, CONF_WHY_MAX, "'%.72s' is none of", text);
	for (int i = 0; item->names[i] != NULL && n < CONF_WHY_MAX; i++)
		n += (size_t)snprintf(
			why + n, CONF_WHY_MAX - n, "%s %s", i > 0 ? "," : "", item->names[i]);
	return -EINVAL;
}

static int set_str(const struct conf_item *item, char **field, const char *text, char *why)
{
	int64_t n = (int64_t)strlen(text);

	if (item->max > 0 && (n < item->min || n > item->max)) {
		snprintf(why, CONF_WHY_MAX,
			"has %" PRId64 " characters, not %" PRId64 " to %" PRId64, n, item->min,
			item->max);
		return -EINVAL;
	}
	*field = strdup(text);
	return *field != NULL ? 0 : -ENOMEM;
}

static int set_list(
	const struct conf_item *item, struct conf_list *field, const char *text, char *why)
{
	static const char blanks[] = ", \t";
	char **v;

	for (const char *p = text + strspn(text, blanks); *p != '\0'; p += strspn(p, blanks)) {
		size_t n = strcspn(p, blanks);

		if (item->max > 0 && field->n >= (size_t)item->max) {
			snprintf(why, CONF_WHY_MAX, "has more than %" PRId64 " words", item->max);
			return -EINVAL;
		}
		v = reallocarray(field->v, field->n + 1, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		field->v = v;
		field->v[field->n] = strndup(p, n);
		if (field->v[field->n] == NULL)
			return -ENOMEM;
		field->n++;
		p += n;
	}
	return 0;
}

int conf_value_set(
	const struct conf_item *item, void *base, const char *text, char why[CONF_WHY_MAX])
{
	void *field = (char *)base + item->offset;
	const char *wrong = item->check != NULL ? item->check(text) : NULL;

	if (wrong != NULL) {
		snprintf(why, CONF_WHY_MAX, "'%.72s' %.80s",
			item->flags & CONF_SECRET ? CONF_HIDDEN : text, wrong);
		return -EINVAL;
	}
	switch (item->type) {
	case CONF_BOOL:
		return set_bool(field, text, why);
	case CONF_INT:
		return set_int(item, field, text, why);
	case CONF_UINT:
	case CONF_DURATION:
	case CONF_SIZE:
		return set_uint(item, field, text, why);
	case CONF_STR:
		return set_str(item, field, text, why);
	case CONF_ENUM:
		return set_enum(item, field, text, why);
	case CONF_LIST:
		return set_list(item, field, text, why);
	}
	return -EINVAL;
}

int conf_value_default(const struct conf_item *item, void *base)
{
	struct conf_item lax = *item;
	char why[CONF_WHY_MAX];

	lax.check = NULL;
	lax.max = item->type == CONF_STR ? 0 : item->max;
	conf_value_clear(item, base);
	return conf_value_set(&lax, base, item->def != NULL ? item->def : "", why) == -ENOMEM
		       ? -ENOMEM
		       : 0;
}

void conf_value_clear(const struct conf_item *item, void *base)
{
	void *field = (char *)base + item->offset;
	struct conf_list *list = field;

	if (item->type == CONF_STR) {
		if ((item->flags & CONF_SECRET) && *(char **)field != NULL)
			explicit_bzero(*(char **)field, strlen(*(char **)field));
		free(*(char **)field);
		*(char **)field = NULL;
	} else if (item->type == CONF_LIST) {
		for (size_t i = 0; i < list->n; i++)
			free(list->v[i]);
		free(list->v);
		*list = (struct conf_list){.v = NULL};
	}
}
