// Reads a configuration file with inih and fills a fresh values struct from the table. First the
// whole file is taken in as texts with their lines, then every item of the table gets its text or
// its default; mistakes are collected, and one is enough to throw all of it away. inih does not
// tell lines and cuts long section names, so the line reader given to it counts lines and looks at
// headings itself.
#include "lib/conf/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/base/vec.h"
#include "lib/conf/conf_hint.h"
#include "lib/conf/conf_value.h"

enum {
	ORIGIN_MAX = 320,
	FILE_MAX = 1 << 20,
	NO_SECTION = -1,
	BAD_SECTION = -2, // a mistake that was told: its keys are passed over
};

static const char more_text[] = "more mistakes follow";

static_assert(CONF_ERR_MAX >= (CONF_MISTAKES_MAX + 1) * CONF_MISTAKE_MAX, "room for all");

struct mistake {
	unsigned line; // 0: of none
	char text[CONF_MISTAKE_MAX];
};

// A section of the file.
struct section {
	char name[CONF_NAME_MAX + 1];
	char instance[CONF_NAME_MAX + 1]; // "" for a plain one
	const struct conf_class *cls;
	unsigned line;
};

struct given {
	const struct conf_item *item;
	size_t section; // in c->sections
	char *text;
	unsigned line;
	bool bad;
};

struct conf {
	const struct conf_schema *schema;
	char *path;
	bool missing;
	bool broken; // values are not all there
	void *values;
	VEC(struct section) sections;
	VEC(struct given) given;
	// While reading:
	const char *at;
	const char *end;
	unsigned line;
	int current; // section, or NO_SECTION, BAD_SECTION
	bool owed; // the line should be a pair, and inih has not said that it is one
	bool unread; // the rest of the file is not looked at
	unsigned n_mistakes;
	struct mistake mistakes[CONF_MISTAKES_MAX + 1]; // by line; the last one is not told
};

static bool is_full(const struct conf *c)
{
	return c->n_mistakes > CONF_MISTAKES_MAX;
}

// Whatever the file holds.
static void one_line(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

__attribute__((format(printf, 3, 4))) static void fail(
	struct conf *c, unsigned line, const char *fmt, ...)
{
	struct mistake m = {.line = line};
	unsigned i = c->n_mistakes;
	size_t n;
	va_list ap;

	if (is_full(c))
		return;
	n = (size_t)snprintf(
		m.text, sizeof(m.text), line > 0 ? "%.200s:%u: " : "%.200s: ", c->path, line);
	va_start(ap, fmt);
	vsnprintf(m.text + n, sizeof(m.text) - n, fmt, ap);
	va_end(ap);
	one_line(m.text);
	for (; i > 0 && c->mistakes[i - 1].line > line; i--)
		c->mistakes[i] = c->mistakes[i - 1];
	c->mistakes[i] = m;
	c->n_mistakes++;
}

static void tell(const struct conf *c, char err[CONF_ERR_MAX])
{
	for (unsigned i = 0; i < c->n_mistakes && i < CONF_MISTAKES_MAX; i++)
		conf_err_add(err, "%s", c->mistakes[i].text);
	if (is_full(c))
		conf_err_add(err, "%.200s: %s", c->path, more_text);
}

static const struct conf_class *find_class(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->schema->n_classes; i++) {
		if (strcmp(c->schema->classes[i].section, name) == 0)
			return &c->schema->classes[i];
	}
	return NULL;
}

// A key may be called "key", which need not be said twice.
static const char *word_key(const char *key)
{
	return strcmp(key, "key") == 0 ? "" : "key ";
}

static const struct conf_item *find_item(const struct conf *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->schema->n_items; i++) {
		const struct conf_item *item = &c->schema->items[i];

		if (strcmp(item->section, section) == 0 &&
			(key == NULL || strcmp(item->key, key) == 0))
			return item;
	}
	return NULL;
}

static bool is_name(const char *s)
{
	return s[0] != '\0' && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_.-")] == '\0';
}

static void add_section(struct conf *c, const char *name, const char *instance)
{
	const struct conf_class *cls = find_class(c, name);
	struct section s = {.cls = cls, .line = c->line};
	char hint[CONF_HINT_MAX];
	size_t n_same = 0;

	if (cls == NULL && find_item(c, name, NULL) == NULL) {
		conf_hint_section(c->schema, name, hint);
		fail(c, c->line, "unknown section [%s]%s", name, hint);
		return;
	}
	if (cls != NULL && !is_name(instance)) {
		fail(c, c->line, "[%s] needs a name of letters, digits, '_', '.' and '-'", name);
		return;
	}
	if (cls == NULL && instance[0] != '\0') {
		fail(c, c->line, "section [%s] takes no name", name);
		return;
	}
	for (size_t i = 0; i < c->sections.n; i++) {
		const struct section *o = &c->sections.v[i];

		n_same += strcmp(o->name, name) == 0;
		if (strcmp(o->name, name) == 0 && strcmp(o->instance, instance) == 0) {
			fail(c, c->line, "section [%s%s%s] is there already, in line %u", name,
				cls != NULL ? " " : "", instance, o->line);
			return;
		}
	}
	if (cls != NULL && n_same >= cls->max) {
		fail(c, c->line, "more than %zu sections [%s]", cls->max, name);
		return;
	}
	snprintf(s.name, sizeof(s.name), "%s", name);
	snprintf(s.instance, sizeof(s.instance), "%s", instance);
	if (vec_push(&c->sections, s) < 0)
		fail(c, c->line, "out of memory");
	else
		c->current = (int)c->sections.n - 1;
}

// A line that begins with '['.
static void on_heading(struct conf *c, const char *line)
{
	char name[CONF_NAME_MAX + 1], instance[CONF_NAME_MAX + 1];
	const char *close = strchr(line, ']');
	const char *p = line + 1 + strspn(line + 1, " \t");
	const char *rest;
	size_t n;

	c->current = BAD_SECTION;
	rest = close != NULL ? close + 1 + strspn(close + 1, " \t\r\n") : "?";
	if (rest[0] != '\0' && rest[0] != ';' && rest[0] != '#') {
		fail(c, c->line, "not a section heading; [name] is");
		return;
	}
	n = strcspn(p, " \t]");
	if (n > CONF_NAME_MAX)
		n = CONF_NAME_MAX + 1;
	else
		snprintf(name, sizeof(name), "%.*s", (int)n, p);
	if (n <= CONF_NAME_MAX) {
		p += n + strspn(p + n, " \t");
		n = (size_t)(close - p);
		while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
	}
	if (n > CONF_NAME_MAX) {
		fail(c, c->line, "section name longer than %d characters", CONF_NAME_MAX);
		return;
	}
	snprintf(instance, sizeof(instance), "%.*s", (int)n, p);
	add_section(c, name, instance);
}

// Will inih have to find a pair in it? It passes over blank lines and comments.
static bool is_pair_owed(const char *line)
{
	return line[strspn(line, " \t\r\n")] != '\0' && strchr("[;#", line[0]) == NULL;
}

static void check_owed(struct conf *c)
{
	if (c->owed)
		fail(c, c->line, "neither a section, nor key = value, nor a comment");
	c->owed = false;
}

// What inih calls instead of fgets. Leading blanks are cut, so that no line continues another one.
static char *read_line(char *buf, int room, void *arg)
{
	struct conf *c = arg;
	const char *eol;
	size_t n, n_text;

	check_owed(c);
	if (c->at == c->end || c->unread || is_full(c))
		return NULL;
	c->line++;
	eol = memchr(c->at, '\n', (size_t)(c->end - c->at));
	eol = eol != NULL ? eol + 1 : c->end;
	while (c->at < eol && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
	n = n_text = (size_t)(eol - c->at);
	if (n_text > 0 && c->at[n_text - 1] == '\n')
		n_text--;
	if (n_text > 0 && c->at[n_text - 1] == '\r')
		n_text--;
	if (n_text > CONF_LINE_MAX || n + 1 > (size_t)room) {
		fail(c, c->line, "line longer than %d characters", CONF_LINE_MAX);
		n = 0;
	}
	if (memchr(c->at, '\0', n) != NULL) {
		fail(c, c->line, "not a text file");
		c->unread = true;
		return NULL;
	}
	memcpy(buf, c->at, n);
	buf[n] = '\0';
	c->at = eol;
	c->owed = is_pair_owed(buf);
	if (buf[0] == '[')
		on_heading(c, buf);
	return buf;
}

static int on_pair(void *arg, const char *section, const char *key, const char *text)
{
	struct conf *c = arg;
	struct given g = {.line = c->line};
	char hint[CONF_HINT_MAX];
	const struct section *s;

	c->owed = false;
	if (c->current == BAD_SECTION)
		return 1;
	if (c->current == NO_SECTION) {
		fail(c, c->line, "%s%s stands before any section", word_key(key), key);
		return 1;
	}
	g.section = (size_t)c->current;
	s = &c->sections.v[g.section];
	g.item = find_item(c, s->name, key);
	if (g.item == NULL) {
		conf_hint_key(c->schema, s->name, key, hint);
		fail(c, c->line, "unknown key %s in [%s]%s", key, s->name, hint);
		return 1;
	}
	for (size_t i = 0; i < c->given.n; i++) {
		if (c->given.v[i].item == g.item && c->given.v[i].section == g.section) {
			fail(c, c->line, "%s%s is there already, in line %u", word_key(key), key,
				c->given.v[i].line);
			return 1;
		}
	}
	g.text = strdup(text);
	if (g.text == NULL || vec_push(&c->given, g) < 0) {
		free(g.text);
		fail(c, c->line, "out of memory");
		return 1;
	}
	return 1;
}

static struct given *find_given(const struct conf *c, const struct conf_item *item, int section)
{
	for (size_t i = 0; i < c->given.n; i++) {
		if (c->given.v[i].item == item &&
			(section == NO_SECTION || c->given.v[i].section == (size_t)section))
			return &c->given.v[i];
	}
	return NULL;
}

// section: NO_SECTION for items of plain sections, which are there once at most.
static void fill_item(struct conf *c, const struct conf_item *item, void *base, int section)
{
	struct given *g = find_given(c, item, section);
	const char *text = g != NULL ? g->text : item->def != NULL ? item->def : "";
	unsigned line = g != NULL               ? g->line
			: section != NO_SECTION ? c->sections.v[section].line
						: 0;
	char why[CONF_WHY_MAX] = "";
	int rc;

	if (g == NULL && (item->flags & CONF_REQUIRED)) {
		fail(c, line, "%s%s of [%s%s%s] is missing", word_key(item->key), item->key,
			item->section, section != NO_SECTION ? " " : "",
			section != NO_SECTION ? c->sections.v[section].instance : "");
		rc = -EINVAL;
	} else {
		rc = conf_value_set(item, base, text, why);
		if (rc < 0 && rc != -ENOMEM)
			fail(c, line, "%s%s: %s", word_key(item->key), item->key, why);
	}
	if (rc < 0 && g != NULL)
		g->bad = true;
	if (rc < 0 && rc != -ENOMEM)
		rc = conf_value_default(item, base);
	if (rc == -ENOMEM) {
		fail(c, line, "out of memory");
		c->broken = true;
	}
}

static void fill_class(struct conf *c, const struct conf_class *cls)
{
	struct conf_array *array = (struct conf_array *)((char *)c->values + cls->array_offset);
	char *elem;

	array->v = calloc(c->sections.n > 0 ? c->sections.n : 1, cls->elem_size);
	if (array->v == NULL) {
		fail(c, 0, "out of memory");
		c->broken = true;
		return;
	}
	for (size_t s = 0; s < c->sections.n; s++) {
		if (c->sections.v[s].cls != cls)
			continue;
		elem = (char *)array->v + array->n++ * cls->elem_size;
		*(char **)(elem + cls->name_offset) = strdup(c->sections.v[s].instance);
		if (*(char **)(elem + cls->name_offset) == NULL) {
			fail(c, 0, "out of memory");
			c->broken = true;
			return;
		}
		for (size_t i = 0; i < c->schema->n_items; i++) {
			const struct conf_item *item = &c->schema->items[i];

			if (strcmp(item->section, cls->section) == 0)
				fill_item(c, item, elem, (int)s);
		}
	}
}

static void fill_values(struct conf *c)
{
	for (size_t i = 0; i < c->schema->n_items; i++) {
		const struct conf_item *item = &c->schema->items[i];

		if (find_class(c, item->section) == NULL)
			fill_item(c, item, c->values, NO_SECTION);
	}
	for (size_t i = 0; i < c->schema->n_classes; i++)
		fill_class(c, &c->schema->classes[i]);
}

static void read_text(struct conf *c, const char *text, size_t len)
{
	int rc;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3; // a byte order mark
		len -= 3;
	}
	c->at = text;
	c->end = text + len;
	rc = ini_parse_stream(read_line, c, on_pair, c);
	if (rc < 0)
		fail(c, c->line, "out of memory");
	else if (rc > 0 && c->n_mistakes == 0)
		fail(c, (unsigned)rc, "not understood");
}

struct conf *conf_parse(const struct conf_schema *schema, const char *name, const void *text,
	size_t len, char err[CONF_ERR_MAX])
{
	struct conf *c = calloc(1, sizeof(*c));

	err[0] = '\0';
	if (c != NULL) {
		c->schema = schema;
		c->current = NO_SECTION;
		c->path = strdup(name);
		c->values = calloc(1, schema->size);
	}
	if (c == NULL || c->path == NULL || c->values == NULL) {
		snprintf(err, CONF_ERR_MAX, "%.200s: out of memory", name);
		conf_free(c);
		return NULL;
	}
	read_text(c, text, len);
	if (!c->unread)
		fill_values(c);
	if (c->n_mistakes == 0)
		return c;
	tell(c, err);
	if (schema->keep_bad && !c->unread && !c->broken)
		return c;
	conf_free(c);
	return NULL;
}

// The whole file, up to FILE_MAX bytes: *text is the caller's. 0 or -errno.
static int slurp(const char *path, char **text, size_t *len)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (f == NULL)
		return -errno;
	*text = malloc(FILE_MAX + 1);
	if (*text == NULL) {
		fclose(f);
		return -ENOMEM;
	}
	*len = fread(*text, 1, FILE_MAX + 1, f);
	if (ferror(f))
		rc = errno > 0 ? -errno : -EIO;
	else if (*len > FILE_MAX)
		rc = -EFBIG;
	fclose(f);
	if (rc < 0)
		free(*text);
	return rc;
}

struct conf *conf_load(const struct conf_schema *schema, const char *path, char err[CONF_ERR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	struct conf *c;
	int rc = slurp(path, &text, &len);

	if (rc < 0 && rc != -ENOENT) {
		snprintf(err, CONF_ERR_MAX, "%.200s: %s", path, strerror(-rc));
		return NULL;
	}
	c = conf_parse(schema, path, rc == 0 ? text : "", len, err);
	if (rc == 0)
		free(text);
	if (c != NULL)
		c->missing = rc == -ENOENT;
	return c;
}

static void clear_items(const struct conf *c, const char *section, void *base)
{
	for (size_t i = 0; i < c->schema->n_items; i++) {
		const struct conf_item *item = &c->schema->items[i];

		if (section != NULL ? strcmp(item->section, section) == 0
				    : find_class(c, item->section) == NULL)
			conf_value_clear(item, base);
	}
}

static void free_values(struct conf *c)
{
	clear_items(c, NULL, c->values);
	for (size_t i = 0; i < c->schema->n_classes; i++) {
		const struct conf_class *cls = &c->schema->classes[i];
		struct conf_array *array =
			(struct conf_array *)((char *)c->values + cls->array_offset);

		for (size_t e = 0; e < array->n; e++) {
			char *elem = (char *)array->v + e * cls->elem_size;

			clear_items(c, cls->section, elem);
			free(*(char **)(elem + cls->name_offset));
		}
		free(array->v);
	}
	free(c->values);
}

void conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	if (c->values != NULL)
		free_values(c);
	for (size_t i = 0; i < c->given.n; i++) {
		explicit_bzero(c->given.v[i].text, strlen(c->given.v[i].text)); // may be a secret
		free(c->given.v[i].text);
	}
	vec_free(&c->given);
	vec_free(&c->sections);
	free(c->path);
	free(c);
}

unsigned conf_line(const struct conf *c, const char *section, const char *instance, const char *key)
{
	for (size_t i = 0; i < c->sections.n; i++) {
		const struct section *s = &c->sections.v[i];
		const struct conf_item *item = find_item(c, section, key);
		const struct given *g;

		if (strcmp(s->name, section) != 0 || strcmp(s->instance, instance) != 0)
			continue;
		g = item != NULL ? find_given(c, item, (int)i) : NULL;
		return g != NULL ? g->line : s->line;
	}
	return 0;
}

static void err_add(char err[CONF_ERR_MAX], const char *text)
{
	size_t len = strlen(err), n = 0;
	const char *last = err;

	for (const char *p = err; *p != '\0'; p++) {
		n += *p == '\n';
		last = *p == '\n' ? p + 1 : last;
	}
	if (len > 0 && n + 1 >= CONF_MISTAKES_MAX) {
		if (strstr(last, more_text) != NULL)
			return;
		text = strstr(text, more_text) != NULL ? text : more_text;
	}
	len += (size_t)snprintf(err + len, CONF_ERR_MAX - len, "%s", len > 0 ? "\n" : "");
	snprintf(err + len, CONF_ERR_MAX - len, "%.*s", CONF_MISTAKE_MAX - 1, text);
	one_line(err + len);
}

void conf_err_add(char err[CONF_ERR_MAX], const char *fmt, ...)
{
	char text[CONF_MISTAKE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_add(err, text);
}

bool conf_is_told(const struct conf *c, const char *section, const char *instance, const char *key)
{
	const struct conf_item *item = find_item(c, section, key);

	for (size_t i = 0; item != NULL && key != NULL && i < c->sections.n; i++) {
		const struct section *s = &c->sections.v[i];
		const struct given *g;

		if (strcmp(s->name, section) != 0 || strcmp(s->instance, instance) != 0)
			continue;
		g = find_given(c, item, (int)i);
		return g != NULL ? g->bad : (item->flags & CONF_REQUIRED) != 0;
	}
	return false;
}

int conf_mistake(const struct conf *c, char err[CONF_ERR_MAX], const char *section,
	const char *instance, const char *key, const char *fmt, ...)
{
	unsigned line = conf_line(c, section, instance, key);
	char text[CONF_MISTAKE_MAX];
	size_t n;
	va_list ap;

	if (conf_is_told(c, section, instance, key))
		return -EINVAL;
	n = (size_t)snprintf(
		text, sizeof(text), line > 0 ? "%.200s:%u: " : "%.200s: ", c->path, line);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "[%s%s%s]: ", section,
		instance[0] != '\0' ? " " : "", instance);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	err_add(err, text);
	return -EINVAL;
}

static const struct given *given_before(const struct conf *c, const struct given *g)
{
	for (const struct given *b = c->given.v; b < g; b++)
		if (b->item == g->item && !b->bad && strcasecmp(b->text, g->text) == 0)
			return b;
	return NULL;
}

int conf_same_before(
	const struct conf *c, char err[CONF_ERR_MAX], const char *section, const char *key)
{
	const struct conf_item *item = find_item(c, section, key);
	int rc = 0;

	for (size_t i = 0; i < c->given.n; i++) {
		const struct given *g = &c->given.v[i], *b;

		if (g->item != item || g->bad)
			continue;
		b = given_before(c, g);
		if (b != NULL)
			rc = conf_mistake(c, err, section, c->sections.v[g->section].instance, key,
				"[%s %s] has the same %s", section,
				c->sections.v[b->section].instance, key);
	}
	return rc;
}

const void *conf_values(const struct conf *c)
{
	return c->values;
}

bool conf_is_missing(const struct conf *c)
{
	return c->missing;
}

bool conf_is_good(const struct conf *c)
{
	return c->n_mistakes == 0;
}

const char *conf_path(const struct conf *c)
{
	return c->path;
}

static void walk_item(const struct conf *c, const struct conf_item *item, int section,
	void (*fn)(void *arg, const struct conf_entry *entry), void *arg)
{
	const struct given *g = find_given(c, item, section);
	char origin[ORIGIN_MAX] = "default";
	struct conf_entry entry = {.item = item,
		.instance = section != NO_SECTION ? c->sections.v[section].instance : NULL,
		.value = g != NULL           ? g->text
			 : item->def != NULL ? item->def
					     : "",
		.origin = origin};

	if (g != NULL)
		snprintf(origin, sizeof(origin), "%.250s:%u", c->path, g->line);
	if ((item->flags & CONF_SECRET) && entry.value[0] != '\0')
		entry.value = CONF_HIDDEN;
	fn(arg, &entry);
}

// The run of items of one section that starts at i: once, or for each instance.
static void walk_section(const struct conf *c, size_t i,
	void (*fn)(void *arg, const struct conf_entry *entry), void *arg)
{
	const char *section = c->schema->items[i].section;
	const struct conf_class *cls = find_class(c, section);
	int n_turns = cls != NULL ? (int)c->sections.n : 1;

	for (int s = 0; s < n_turns; s++) {
		if (cls != NULL && c->sections.v[s].cls != cls)
			continue;
		for (size_t k = i; k < c->schema->n_items; k++) {
			if (strcmp(c->schema->items[k].section, section) == 0)
				walk_item(c, &c->schema->items[k], cls != NULL ? s : NO_SECTION, fn,
					arg);
		}
	}
}

void conf_walk(
	const struct conf *c, void (*fn)(void *arg, const struct conf_entry *entry), void *arg)
{
	for (size_t i = 0; i < c->schema->n_items; i++) {
		// A section is walked at its first item.
		if (find_item(c, c->schema->items[i].section, NULL) == &c->schema->items[i])
			walk_section(c, i, fn, arg);
	}
}

struct print_state {
	FILE *out;
	const char *section;
	const char *instance;
};

static void print_entry(void *arg, const struct conf_entry *e)
{
	struct print_state *s = arg;
	const char *def = e->item->def != NULL ? e->item->def : "";

	if (s->section == NULL || strcmp(s->section, e->item->section) != 0 ||
		s->instance != e->instance) {
		fprintf(s->out, "%s[%s%s%s]\n", s->section != NULL ? "\n" : "", e->item->section,
			e->instance != NULL ? " " : "", e->instance != NULL ? e->instance : "");
		s->section = e->item->section;
		s->instance = e->instance;
	}
	if (e->item->flags & CONF_REQUIRED)
		fprintf(s->out, "%s = %s ; required, %s\n", e->item->key, e->value, e->origin);
	else
		fprintf(s->out, "%s = %s ; default %s, %s\n", e->item->key, e->value,
			def[0] != '\0' ? def : "empty", e->origin);
}

void conf_print(const struct conf *c, FILE *out)
{
	struct print_state s = {.out = out};

	conf_walk(c, print_entry, &s);
}
