// Records as tables (libsmartcols) or JSON, both from the field tables of lib/api. JSON is written
// as it comes, so a list of any length takes no memory; a table holds its lines until the end.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PK_SHORT = 8, TEXT_LEN = 256, JSON_LEN = 16384 };

struct print {
	const struct api_record *kind;
	struct libscols_table *table; // NULL: JSON, or upright
	bool json;
	bool all;
	size_t n;
	uint64_t used; // columns in which a line has something to say
};

static bool is_shown(const struct print *p, const struct api_field *f)
{
	return p->all || !(f->flags & API_F_WIDE);
}

static struct libscols_table *table_new(const struct print *p)
{
	struct libscols_table *t = scols_new_table();

	if (t == NULL)
		return NULL;
	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (is_shown(p, f) && scols_table_new_column(t, f->label, 0,
					      api_field_right(f) ? SCOLS_FL_RIGHT : 0) == NULL) {
			scols_unref_table(t);
			return NULL;
		}
	}
	// a pipe gets the whole width, whatever COLUMNS says
	if (!isatty(STDOUT_FILENO))
		scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER);
	return t;
}

struct print *print_new(const struct api_record *kind, bool json, bool all)
{
	struct print *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->kind = kind;
	p->json = json;
	p->all = all;
	if (!json && !kind->single && (p->table = table_new(p)) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static void text_of(const struct print *p, const struct api_field *f, const void *rec, char *buf)
{
	api_field_text(f, rec, buf, TEXT_LEN);
	if (f->kind == API_K_PK && !p->all && !p->kind->single)
		buf[PK_SHORT] = '\0';
}

static int add_json(struct print *p, const void *rec)
{
	char buf[JSON_LEN];

	if (api_record_json(p->kind, rec, buf, sizeof(buf)) < 0)
		return -ENOMEM;
	if (p->kind->single)
		puts(buf);
	else
		printf("%s%s", p->n == 0 ? "[\n" : ",\n", buf);
	return 0;
}

static void add_upright(struct print *p, const void *rec)
{
	char buf[TEXT_LEN];

	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (!is_shown(p, f))
			continue;
		text_of(p, f, rec, buf);
		printf("%-20s %s\n", f->label, buf);
	}
}

static int add_line(struct print *p, const void *rec)
{
	struct libscols_line *l = scols_table_new_line(p->table, NULL);
	char buf[TEXT_LEN];
	size_t col = 0;

	if (l == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (!is_shown(p, f))
			continue;
		text_of(p, f, rec, buf);
		if (buf[0] != '\0' && strcmp(buf, "-") != 0 && col < 64)
			p->used |= 1ull << col;
		if (scols_line_set_data(l, col++, buf) < 0)
			return -ENOMEM;
	}
	return 0;
}

int print_add(struct print *p, const void *rec)
{
	int rc = 0;

	if (p->json)
		rc = add_json(p, rec);
	else if (p->kind->single)
		add_upright(p, rec);
	else
		rc = add_line(p, rec);
	p->n++;
	return rc;
}

size_t print_count(const struct print *p)
{
	return p->n;
}

void print_drop(struct print *p)
{
	if (p->table != NULL)
		scols_unref_table(p->table);
	free(p);
}

// Columns that say nothing in any line only make the others wrap.
static void hide_empty(struct print *p)
{
	for (size_t i = 0; i < scols_table_get_ncols(p->table) && i < 64; i++) {
		struct libscols_column *c = scols_table_get_column(p->table, i);

		if ((p->used >> i & 1) == 0)
			scols_column_set_flags(c, scols_column_get_flags(c) | SCOLS_FL_HIDDEN);
	}
}

int print_end(struct print *p)
{
	if (p->json && !p->kind->single)
		puts(p->n == 0 ? "[]" : "\n]");
	if (p->table != NULL) {
		if (!p->all)
			hide_empty(p);
		if (p->n > 0)
			scols_print_table(p->table);
		else
			printf("no %s\n", p->kind->name);
		scols_unref_table(p->table);
	}
	free(p);
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_error(CLI_FAIL, "standard output: %s", strerror(errno));
	return CLI_OK;
}
