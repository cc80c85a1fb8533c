// Records as tables (libsmartcols) or JSON, both from the field tables of lib/api. JSON is written
// as it comes, so a list of any length takes no memory; a table holds its lines until the end.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	PK_SHORT = 8,
	TEXT_LEN = 640, // more than a URL
	JSON_LEN = 16384,
	COLUMNS_MAX = 64,
	WIDTH = 80, // of what is no table, and of a terminal that does not say
	CUT_MIN = 12, // what is left of a text without its middle
	WRAP_MIN = 16,
	UNDER_INDENT = 4,
};

struct print {
	const struct api_record *kind;
	struct libscols_table *table; // NULL: JSON, or upright
	bool json;
	bool all;
	bool blocks;
	size_t n;
	// of the columns of the table:
	const struct api_field *fields[COLUMNS_MAX];
	struct libscols_column *columns[COLUMNS_MAX];
	bool used[COLUMNS_MAX]; // a line has something to say
	size_t width[COLUMNS_MAX];
	FILE *under; // what stands under the table, NULL: nothing yet
	char *under_text;
	size_t under_len;
};

static bool is_shown(const struct print *p, const struct api_field *f)
{
	return p->all || !(f->flags & API_F_WIDE);
}

// A sentence would make the table too wide; with all columns nobody minds.
static bool is_under(const struct print *p, const struct api_field *f)
{
	return !p->all && (f->flags & API_F_UNDER) != 0;
}

static struct libscols_table *table_new(struct print *p)
{
	struct libscols_table *t = scols_new_table();
	size_t n = 0;

	if (t == NULL)
		return NULL;
	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (!is_shown(p, f) || is_under(p, f))
			continue;
		if (n < COLUMNS_MAX)
			p->columns[n] = scols_table_new_column(
				t, f->label, 0, api_field_right(f) ? SCOLS_FL_RIGHT : 0);
		if (n == COLUMNS_MAX || p->columns[n] == NULL) {
			scols_unref_table(t);
			return NULL;
		}
		p->width[n] = strlen(f->label);
		p->fields[n++] = f;
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
	p->blocks = !json && all && block_fits(kind);
	if (!json && !kind->single && !p->blocks && (p->table = table_new(p)) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

// As the columns have them: texts of other nodes are full of keys.
static void shorten_keys(char *text)
{
	static const char digits[] = "0123456789abcdef";
	char *to = text;

	while (*text != '\0') {
		size_t n = strspn(text, digits), keep;

		if (n == 0)
			n = 1;
		keep = n == KEY_PK_TEXT_LEN ? PK_SHORT : n;
		memmove(to, text, keep);
		to += keep;
		text += n;
	}
	*to = '\0';
}

static void text_of(const struct print *p, const struct api_field *f, const void *rec, char *buf)
{
	api_field_text(f, rec, buf, TEXT_LEN);
	if (is_under(p, f))
		shorten_keys(buf);
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

static bool says_nothing(const char *text)
{
	return strcmp(text, "0") == 0 || strcmp(text, "-") == 0;
}

static void add_upright(struct print *p, const void *rec)
{
	char buf[TEXT_LEN];

	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (!is_shown(p, f))
			continue;
		text_of(p, f, rec, buf);
		if (!p->all && (f->flags & API_F_QUIET) && says_nothing(buf))
			continue;
		printf(strlen(buf) + 21 < WIDTH ? "%-20s %s\n" : "%s\n    %s\n", f->label, buf);
	}
}

// What has no name is called by what stands next.
static void name_of(const struct print *p, const void *rec, char name[TEXT_LEN])
{
	char text[TEXT_LEN];
	size_t o = 0;

	strcpy(name, "-");
	for (size_t i = 0; i < p->kind->n_fields; i++) {
		const struct api_field *f = &p->kind->fields[i];

		if (!(f->flags & API_F_NAME))
			continue;
		text_of(p, f, rec, text);
		if (o < TEXT_LEN)
			o += (size_t)snprintf(
				name + o, TEXT_LEN - o, "%s%s", o > 0 ? " " : "", text);
	}
	for (size_t i = 0; (name[0] == '\0' || says_nothing(name)) && i < p->kind->n_fields; i++)
		text_of(p, &p->kind->fields[i], rec, name);
}

// "c: no answer", under the table.
static int add_under(struct print *p, const struct api_field *f, const void *rec)
{
	char text[TEXT_LEN], name[TEXT_LEN];
	int col;

	text_of(p, f, rec, text);
	if (text[0] == '\0' || strcmp(text, "-") == 0)
		return 0;
	if (p->under == NULL)
		p->under = open_memstream(&p->under_text, &p->under_len);
	if (p->under == NULL)
		return -ENOMEM;
	name_of(p, rec, name);
	col = fprintf(p->under, "%s: ", name);
	if (isatty(STDOUT_FILENO))
		block_sentence(p->under, text, col, UNDER_INDENT);
	else
		fputs(text, p->under); // one line each, for grep
	fputc('\n', p->under);
	return 0;
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
		if (is_under(p, f)) {
			if (add_under(p, f, rec) < 0)
				return -ENOMEM;
			continue;
		}
		text_of(p, f, rec, buf);
		p->used[col] |= buf[0] != '\0' && strcmp(buf, "-") != 0;
		if (strlen(buf) > p->width[col])
			p->width[col] = strlen(buf);
		if (scols_line_set_data(l, col++, buf) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void add_block(struct print *p, const void *rec)
{
	if (p->n > 0)
		putchar('\n');
	block_print(stdout, p->kind, rec);
}

int print_add(struct print *p, const void *rec)
{
	int rc = 0;

	if (p->json)
		rc = add_json(p, rec);
	else if (p->kind->single)
		add_upright(p, rec);
	else if (p->blocks)
		add_block(p, rec);
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
	if (p->under != NULL)
		fclose(p->under);
	free(p->under_text);
	free(p);
}

static void hide(struct print *p, size_t i)
{
	struct libscols_column *c = p->columns[i];

	scols_column_set_flags(c, scols_column_get_flags(c) | SCOLS_FL_HIDDEN);
	p->width[i] = 0;
}

// Programs, and people with a pager or grep, get all there is.
static size_t room(void)
{
	struct winsize w;

	if (!isatty(STDOUT_FILENO))
		return SIZE_MAX;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return WIDTH;
}

static size_t table_width(const struct print *p, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += p->width[i] > 0 ? p->width[i] + 1 : 0;
	return sum > 0 ? sum - 1 : 0;
}

// Another text for the cells of a column that are longer than its width from now on.
static void rewrite(struct print *p, size_t i, size_t width,
	void (*fn)(const char *text, size_t width, char *to, size_t cap))
{
	struct libscols_iter *it = scols_new_iter(SCOLS_ITER_FORWARD);
	struct libscols_line *l;
	char to[2 * TEXT_LEN];

	while (it != NULL && scols_table_next_line(p->table, it, &l) == 0) {
		const char *text = scols_line_get_column_data(l, p->columns[i]);

		if (text == NULL || strlen(text) <= width)
			continue;
		fn(text, width, to, sizeof(to));
		scols_line_set_column_data(l, p->columns[i], to);
	}
	scols_free_iter(it);
	p->width[i] = width;
}

// Of an address its port is left, of a path the name.
static void cut(const char *text, size_t width, char *to, size_t cap)
{
	size_t tail = (width - 2) * 2 / 3, head = width - 2 - tail;

	snprintf(to, cap, "%.*s..%s", (int)head, text, text + strlen(text) - tail);
}

static void wrap(const char *text, size_t width, char *to, size_t cap)
{
	size_t o = 0, col = 0;

	while (*text != '\0' && o + 2 < cap) {
		size_t len = strcspn(text, " ");

		if (col > 0 && col + 1 + len > width) {
			to[o++] = '\n';
			col = 0;
		} else if (col > 0) {
			to[o++] = ' ';
			col++;
		}
		if (len > cap - 2 - o)
			len = cap - 2 - o;
		memcpy(to + o, text, len);
		o += len;
		col += len;
		text += len + (text[len] == ' ');
	}
	to[o] = '\0';
}

// Of the columns that may be cut, always the widest: a long name does not squeeze all the others.
static void cut_columns(struct print *p, size_t n)
{
	const size_t most = room();
	bool cuts[COLUMNS_MAX] = {false};

	while (table_width(p, n) > most) {
		size_t widest = n;

		for (size_t i = 0; i < n; i++)
			if ((p->fields[i]->flags & API_F_CUT) && p->width[i] > CUT_MIN &&
				(widest == n || p->width[i] > p->width[widest]))
				widest = i;
		if (widest == n)
			break;
		p->width[widest]--;
		cuts[widest] = true;
	}
	for (size_t i = 0; i < n; i++)
		if (cuts[i])
			rewrite(p, i, p->width[i], cut);
}

static void wrap_column(struct print *p, size_t n)
{
	for (size_t i = 0; i < n && table_width(p, n) > room(); i++) {
		size_t others = table_width(p, n) - p->width[i];

		if (!(p->fields[i]->flags & API_F_WRAP) || p->width[i] == 0)
			continue;
		scols_column_set_wrapfunc(
			p->columns[i], scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
		scols_column_set_safechars(p->columns[i], "\n");
		scols_column_set_flags(p->columns[i], SCOLS_FL_WRAP);
		rewrite(p, i, others + WRAP_MIN < room() ? room() - others : WRAP_MIN, wrap);
	}
}

// Columns that say nothing in any line only make the others wrap; of the spare ones the widest go,
// until it fits.
static void narrow(struct print *p)
{
	size_t n = scols_table_get_ncols(p->table), widest;

	for (size_t i = 0; i < n; i++)
		if (!p->used[i])
			hide(p, i);
	while (table_width(p, n) > room()) {
		widest = n;
		for (size_t i = 0; i < n; i++)
			if ((p->fields[i]->flags & API_F_SPARE) && p->width[i] > 0 &&
				(widest == n || p->width[i] >= p->width[widest]))
				widest = i;
		if (widest == n)
			break;
		hide(p, widest);
	}
	cut_columns(p, n);
}

static void print_table(struct print *p)
{
	if (!p->all)
		narrow(p);
	wrap_column(p, scols_table_get_ncols(p->table));
	scols_print_table(p->table);
	if (p->under == NULL)
		return;
	fflush(p->under);
	printf("\n%s", p->under_text);
}

int print_end(struct print *p)
{
	if (p->json && !p->kind->single)
		puts(p->n == 0 ? "[]" : "\n]");
	else if (!p->json && !p->kind->single && p->n == 0)
		printf("no %s\n", p->kind->name);
	else if (p->table != NULL)
		print_table(p);
	print_drop(p);
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_error(CLI_FAIL, "standard output: %s", strerror(errno));
	return CLI_OK;
}
