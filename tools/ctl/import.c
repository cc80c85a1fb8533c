// Reads a visor's configuration by the table of import_map.c: checks types, calls what takes a
// value, notes what is not taken, and puts what came of it into the text of our configuration. A
// field that has Go's zero value is as one that is not there: a visor writes many of those.
#include "tools/ctl/import_priv.h"

#include "lib/base/err.h"
#include "lib/conf/conf_edit.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
	"; Made from the configuration of a Skywire visor by `skyrail import-config`.\n";

// ---- memory of jansson ----

enum { WIPED_HEAD = 16 }; // its length is before each piece

static void *wiped_alloc(size_t len)
{
	char *p = len <= SIZE_MAX - WIPED_HEAD ? malloc(len + WIPED_HEAD) : NULL;

	if (p == NULL)
		return NULL;
	memcpy(p, &len, sizeof(len));
	return p + WIPED_HEAD;
}

static void wiped_free(void *p)
{
	char *all = p;
	size_t len;

	if (p == NULL)
		return;
	all -= WIPED_HEAD;
	memcpy(&len, all, sizeof(len));
	key_wipe(all, len + WIPED_HEAD);
	free(all);
}

// ---- what is told ----

void import_mistake(struct import *im, const char *path, const char *fmt, ...)
{
	char text[CONF_MISTAKE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_err_add(im->err, "%s: %s", path, text);
	im->failed = true;
}

void import_no_memory(struct import *im)
{
	if (!im->failed)
		conf_err_add(im->err, "out of memory");
	im->failed = true;
}

// As far as places in lists: they are not compared.
static bool same_field(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a += *a == '[' ? strcspn(a, "]") : 1;
		b += *b == '[' ? strcspn(b, "]") : 1;
	}
	return *a == *b;
}

void import_note(struct import *im, enum import_kind kind, const char *path, const char *why)
{
	struct import_note note = {.kind = kind, .why = why};

	for (size_t i = 0; i < im->notes.n; i++) {
		struct import_note *o = &im->notes.v[i];

		if (o->kind == kind && strcmp(o->why, why) == 0 && same_field(o->path, path)) {
			o->more++;
			return;
		}
	}
	if (im->notes.n == IMPORT_NOTES_MAX) {
		im->more_notes++;
		return;
	}
	snprintf(note.path, sizeof(note.path), "%s", path);
	if (vec_push(&im->notes, note) < 0)
		import_no_memory(im);
}

void import_beside_key(const struct import *im, const char *name, char out[IMPORT_FILE_MAX])
{
	int len = (int)(strrchr(im->key_file, '/') - im->key_file);

	snprintf(out, IMPORT_FILE_MAX, "%.*s%s%s", len, im->key_file,
		name[0] != '\0' || len == 0 ? "/" : "", name);
}

void import_set(struct import *im, const char *section, const char *key, const char *value,
	const char *path)
{
	struct import_set set = {.key = key, .value = strdup(value)};

	snprintf(set.section, sizeof(set.section), "%s", section);
	snprintf(set.path, sizeof(set.path), "%s", path);
	if (set.value == NULL || vec_push(&im->sets, set) < 0) {
		free(set.value);
		import_no_memory(im);
	}
}

// ---- the JSON document ----

// A longer name is no field of a visor, but may be a key that got into a wrong place.
enum { MEMBER_MAX = 40 };

// Where in the document: as rows name it, and as people do.
struct where {
	char name[IMPORT_PATH_MAX];
	char path[IMPORT_PATH_MAX];
};

// One that is longer is none of ours.
static void join(char out[IMPORT_PATH_MAX], const char *a, const char *dot, const char *b)
{
	if (snprintf(out, IMPORT_PATH_MAX, "%s%s%s", a, dot, b) >= IMPORT_PATH_MAX)
		memcpy(out + IMPORT_PATH_MAX - sizeof("..."), "...", sizeof("..."));
}

static void go_down(struct where *to, const struct where *from, const char *member)
{
	const char *dot = from->name[0] != '\0' ? "." : "";
	char cut[MEMBER_MAX];

	if (strlen(member) >= MEMBER_MAX) {
		snprintf(cut, sizeof(cut), "%.8s...", member);
		member = cut;
	}
	join(to->name, from->name, dot, member);
	join(to->path, from->path, dot, member);
	// a name with a dot in it is no way into another object
	for (char *p = to->name + strlen(from->name) + strlen(dot); *p != '\0'; p++)
		if (*p == '.')
			*p = '?';
	for (char *p = to->path; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static void go_into(struct where *to, const struct where *from, size_t place)
{
	int n = snprintf(to->path, sizeof(to->path), "%s[%zu]", from->path, place);

	memcpy(to->name, from->name, sizeof(to->name));
	assert(n > 0 && (size_t)n < sizeof(to->path)); // rows are short
}

static const struct import_row *find_row(const char *name)
{
	size_t n;
	const struct import_row *rows = import_rows(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

// Nothing that a visor would not do without it, too.
static bool is_zero(const json_t *v)
{
	const char *name;
	json_t *member;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		json_object_foreach((json_t *)v, name, member)
		{
			if (!is_zero(member))
				return false;
		}
		return true;
	case JSON_ARRAY:
		json_array_foreach(v, i, member)
		{
			if (!is_zero(member))
				return false;
		}
		return true;
	case JSON_STRING:
		return json_string_length(v) == 0;
	case JSON_INTEGER:
		return json_integer_value(v) == 0;
	case JSON_REAL:
		return json_real_value(v) == 0;
	default:
		return !json_is_true(v);
	}
}

static bool is_of_type(const json_t *v, enum import_type type)
{
	switch (type) {
	case IMPORT_TEXT:
		return json_is_string(v);
	case IMPORT_INT:
		return json_is_integer(v);
	case IMPORT_BOOL:
		return json_is_boolean(v);
	case IMPORT_OBJECT:
	case IMPORT_PAIRS:
		return json_is_object(v);
	case IMPORT_OBJECT_OR_LIST:
		return json_is_object(v) || json_is_array(v);
	default:
		return json_is_array(v);
	}
}

static bool check_type(
	struct import *im, const json_t *v, enum import_type type, const struct where *at)
{
	static const char *const names[] = {[IMPORT_TEXT] = "a text",
		[IMPORT_INT] = "a whole number",
		[IMPORT_BOOL] = "true or false",
		[IMPORT_TEXTS] = "a list of texts",
		[IMPORT_OBJECT] = "an object",
		[IMPORT_OBJECTS] = "a list of objects",
		[IMPORT_OBJECT_OR_LIST] = "an object, or a list of them",
		[IMPORT_PAIRS] = "an object"};
	static const char *const is[] = {[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a text",
		[JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number with a fraction",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null"};

	if (is_of_type(v, type))
		return true;
	import_mistake(im, at->path, "must be %s, not %s", names[type], is[json_typeof(v)]);
	return false;
}

static void walk_object(struct import *im, const json_t *v, const struct where *at);

static void take(
	struct import *im, const struct import_row *row, const json_t *v, const struct where *at)
{
	im->row = row;
	if (row->take != NULL)
		row->take(im, v, at->path);
}

static void walk_list(
	struct import *im, const struct import_row *row, const json_t *list, const struct where *at)
{
	bool objects = row->type != IMPORT_TEXTS;
	struct where in;
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		go_into(&in, at, i);
		if (json_is_null(v) ||
			!check_type(im, v, objects ? IMPORT_OBJECT : IMPORT_TEXT, &in))
			continue;
		if (objects)
			walk_object(im, v, &in);
		take(im, row, v, &in);
	}
}

static void walk_pairs(
	struct import *im, const struct import_row *row, const json_t *v, const struct where *at)
{
	struct where in;
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)v, name, member)
	{
		go_down(&in, at, name);
		if (json_is_null(member) || !check_type(im, member, IMPORT_TEXT, &in))
			continue;
		im->name = name;
		if (!is_zero(member))
			take(im, row, member, &in);
	}
}

static void walk(struct import *im, const json_t *v, const struct where *at)
{
	const struct import_row *row = find_row(at->name);

	if (row == NULL || (row->take == NULL && row->why != NULL)) {
		if (!is_zero(v))
			import_note(im, row != NULL ? row->kind : IMPORT_UNKNOWN, at->path,
				row != NULL ? row->why : "");
		return;
	}
	if (json_is_null(v) || !check_type(im, v, row->type, at))
		return;
	if (row->type == IMPORT_PAIRS) {
		walk_pairs(im, row, v, at);
		return;
	}
	if (json_is_array(v)) {
		walk_list(im, row, v, at);
		return;
	}
	if (json_is_object(v))
		walk_object(im, v, at);
	else if (is_zero(v))
		return;
	take(im, row, v, at);
}

static void walk_object(struct import *im, const json_t *v, const struct where *at)
{
	struct where in;
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)v, name, member)
	{
		go_down(&in, at, name);
		walk(im, member, &in);
	}
}

// jansson's text without the piece of the document that it quotes, which may be of a secret.
static void tell_json_error(struct import *im, const json_error_t *e)
{
	const char *near = strstr(e->text, " near ");
	int len = near != NULL ? (int)(near - e->text) : (int)strlen(e->text);

	im->failed = true;
	if (json_error_code(e) == json_error_out_of_memory)
		conf_err_add(im->err, "out of memory");
	else if (json_error_code(e) == json_error_duplicate_key)
		conf_err_add(im->err, "line %d, column %d: this name is there already", e->line,
			e->column);
	else
		conf_err_add(im->err, "line %d, column %d: no JSON: %.*s", e->line, e->column, len,
			e->text);
}

static void read_document(struct import *im, const char *json, size_t len)
{
	const struct where top = {"", ""};
	json_malloc_t alloc;
	json_free_t freed;
	json_error_t e;
	json_t *root;

	json_get_alloc_funcs(&alloc, &freed);
	json_set_alloc_funcs(wiped_alloc, wiped_free);
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &e);
	if (root == NULL) {
		tell_json_error(im, &e);
	} else if (!json_is_object(root)) {
		conf_err_add(
			im->err, "no configuration of a visor: a list where an object belongs");
		im->failed = true;
	} else {
		walk_object(im, root, &top);
		import_finish(im);
	}
	json_decref(root);
	json_set_alloc_funcs(alloc, freed);
}

// ---- our text ----

static void make_text(struct import *im)
{
	for (size_t i = 0; i < im->sets.n && !im->failed; i++) {
		const struct import_set *s = &im->sets.v[i];
		const struct conf_set set = {s->section, s->key, s->value};
		size_t len;
		char *text = conf_edit(im->text, im->text_len, &set, 1, &len);

		if (text == NULL && errno == ENOMEM) {
			import_no_memory(im);
		} else if (text == NULL) {
			import_mistake(im, s->path,
				"does not fit into a line of ours: printable ASCII without ';', "
				"%d bytes with the key",
				CONF_LINE_MAX);
		} else {
			key_wipe(im->text, im->text_len);
			free(im->text);
			im->text = text;
			im->text_len = len;
		}
	}
}

struct import *import_read(
	const char *json, size_t len, const char *key_file, char err[CONF_ERR_MAX])
{
	struct import *im = calloc(1, sizeof(*im));

	err[0] = '\0';
	if (im != NULL)
		im->text = strdup(head);
	if (im == NULL || im->text == NULL) {
		free(im);
		conf_err_add(err, "out of memory");
		return errno_null(ENOMEM);
	}
	im->text_len = sizeof(head) - 1;
	im->err = err;
	im->key_file = key_file;
	if (key_file != NULL) {
		char dir[IMPORT_FILE_MAX];

		// what must outlive a reboot lies where the key does
		import_beside_key(im, "", dir);
		import_set(im, "node", "state_dir", dir, "[node] state_dir");
		import_set(im, "node", "key_file", key_file, "[node] key_file");
	}
	read_document(im, json, len);
	make_text(im);
	if (!im->failed)
		return im;
	import_free(im);
	return errno_null(EBADMSG);
}

void import_free(struct import *im)
{
	if (im == NULL)
		return;
	for (size_t i = 0; i < im->sets.n; i++) {
		key_wipe(im->sets.v[i].value, strlen(im->sets.v[i].value));
		free(im->sets.v[i].value);
	}
	vec_free(&im->sets);
	vec_free(&im->notes);
	vec_free(&im->servers);
	vec_free(&im->lan);
	vec_free(&im->urls);
	vec_free(&im->hypervisors);
	vec_free(&im->route_setup.nodes);
	vec_free(&im->transport_setup.nodes);
	vec_free(&im->stcp);
	vec_free(&im->persistents);
	key_wipe(im->text, im->text_len);
	free(im->text);
	key_wipe(im, sizeof(*im));
	free(im);
}

const char *import_text(const struct import *im, size_t *len)
{
	*len = im->text_len;
	return im->text;
}

bool import_has_secret(const struct import *im)
{
	return im->key_file != NULL && key_sk_is_valid(&im->lan_sk);
}

const struct key_pk *import_pk(const struct import *im)
{
	return &im->pk;
}

const struct import_key *import_keys(const struct import *im, size_t *n)
{
	*n = im->n_keys;
	return im->keys;
}

const struct import_note *import_notes(const struct import *im, size_t *n, unsigned *more)
{
	*n = im->notes.n;
	*more = im->more_notes;
	return im->notes.v;
}

unsigned import_count(const struct import *im, const char *what)
{
	size_t len = strlen(what);
	unsigned n = 0;

	if (strcmp(what, "discovery") == 0)
		return im->n_urls;
	for (size_t i = 0; i < im->sets.n; i++)
		n += (strcmp(im->sets.v[i].key, "key") == 0 ||
			     strcmp(im->sets.v[i].key, "peer") == 0) &&
		     strncmp(im->sets.v[i].section, what, len) == 0 &&
		     im->sets.v[i].section[len] == ' ';
	return n;
}

bool import_has(const struct import *im, const char *section, const char *key)
{
	for (size_t i = 0; i < im->sets.n; i++)
		if (strcmp(im->sets.v[i].section, section) == 0 &&
			strcmp(im->sets.v[i].key, key) == 0)
			return true;
	return false;
}

// Lines are as conf_edit() writes them: headings, and "key = value".
const char *import_field_of(const struct import *im, unsigned line)
{
	const char *p = im->text, *heading = "";
	size_t n_heading = 0, n_key;

	for (unsigned at = 1; p != NULL && at <= line; at++) {
		if (*p == '[') {
			heading = p + 1;
			n_heading = strcspn(heading, "]");
		}
		if (at == line)
			break;
		p = strchr(p, '\n');
		p = p != NULL ? p + 1 : NULL;
	}
	if (p == NULL)
		return NULL;
	n_key = strcspn(p, " \n");
	for (size_t i = 0; i < im->sets.n; i++) {
		const struct import_set *s = &im->sets.v[i];

		if (strlen(s->section) == n_heading &&
			strncmp(s->section, heading, n_heading) == 0 &&
			(*p == '[' || (strlen(s->key) == n_key && strncmp(s->key, p, n_key) == 0)))
			return s->path;
	}
	return NULL;
}
