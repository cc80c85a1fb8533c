// Nearest words by their distance, and lists of them.
#include "lib/conf/conf_hint.h"

#include <string.h>

enum { DISTANCE_MAX = 2 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

// Levenshtein's distance, by rows.
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned row[CONF_NAME_MAX + 1];

	if (strlen(a) > CONF_NAME_MAX || n > CONF_NAME_MAX)
		return DISTANCE_MAX + 1;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0'; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned same = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = least(same, 1 + least(row[j], row[j - 1]));
		}
	}
	return row[n];
}

// The words of a schema: keys of a section, or (section NULL) sections, each once.
static const char *word_at(const struct conf_schema *s, const char *section, size_t i)
{
	if (section != NULL)
		return strcmp(s->items[i].section, section) == 0 ? s->items[i].key : NULL;
	for (size_t k = 0; k < i; k++)
		if (strcmp(s->items[k].section, s->items[i].section) == 0)
			return NULL;
	return s->items[i].section;
}

static const char *nearest(const struct conf_schema *s, const char *section, const char *word)
{
	unsigned best = DISTANCE_MAX + 1;
	const char *found = NULL;

	for (size_t i = 0; i < s->n_items; i++) {
		const char *w = word_at(s, section, i);
		unsigned d = w != NULL ? distance(word, w) : best;

		// most of a short word must be right
		if (d < best && 2 * d < strlen(word)) {
			best = d;
			found = w;
		}
	}
	return found;
}

static void hint(const struct conf_schema *s, const char *section, const char *word,
	const char *those, char *buf)
{
	const char *near = nearest(s, section, word);
	size_t o = 0;

	if (near != NULL) {
		snprintf(buf, CONF_HINT_MAX, ": did you mean %s?", near);
		return;
	}
	buf[0] = '\0';
	for (size_t i = 0; i < s->n_items && o < CONF_HINT_MAX; i++) {
		const char *w = word_at(s, section, i);

		if (w != NULL)
			o += (size_t)snprintf(
				buf + o, CONF_HINT_MAX - o, "%s%s", o > 0 ? ", " : those, w);
	}
}

void conf_hint_key(
	const struct conf_schema *s, const char *section, const char *key, char buf[CONF_HINT_MAX])
{
	hint(s, section, key, ": its keys are ", buf);
}

void conf_hint_section(const struct conf_schema *s, const char *name, char buf[CONF_HINT_MAX])
{
	hint(s, NULL, name, ": known are ", buf);
}
