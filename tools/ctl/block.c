// One record as a block of "name: value", group by group, in columns that fit 80: for records with
// more fields than a table has room for.
#include "tools/ctl/cli.h"

#include <ctype.h>
#include <string.h>

enum { LINE_COLS = 79, INDENT = 4, CELL = 25, TEXT_LEN = 256 };

static void lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

static void cell_text(const struct api_field *f, const void *rec, char *buf, size_t cap)
{
	char label[32], value[TEXT_LEN];

	snprintf(label, sizeof(label), "%s", f->label);
	lower(label);
	snprintf(buf, cap, "%s: %s", label, api_field_text(f, rec, value, sizeof(value)));
}

// What stands above: "c", or "c, flow 1".
static void head(FILE *out, const struct api_record *kind, const void *rec)
{
	char label[32], value[TEXT_LEN];
	bool first = true;

	for (size_t i = 0; i < kind->n_fields; i++) {
		const struct api_field *f = &kind->fields[i];

		if (f->group != API_G_NONE)
			continue;
		snprintf(label, sizeof(label), "%s", f->label);
		lower(label);
		api_field_text(f, rec, value, sizeof(value));
		if (first)
			fprintf(out, "%s", value);
		else
			fprintf(out, ", %s %s", label, value);
		first = false;
	}
	fputc('\n', out);
}

int block_sentence(FILE *out, const char *text, int col, int indent)
{
	int begin = col;

	while (*text != '\0') {
		int len = (int)strcspn(text, " ");

		if (col + len > LINE_COLS && col > begin)
			begin = col = fprintf(out, "\n%*s", indent, "") - 1;
		col += fprintf(out, "%.*s%s", len, text, text[len] == ' ' ? " " : "");
		text += len + (text[len] == ' ');
	}
	return col;
}

// Cells begin at a multiple of CELL, so that a long value takes the place of two or three.
static int put_cell(FILE *out, const char *text, int col)
{
	int len = (int)strlen(text), at = INDENT;

	if (col > 0)
		at = INDENT + (col - INDENT + 2 + CELL - 1) / CELL * CELL;
	if (col > 0 && at + len > LINE_COLS) {
		fputc('\n', out);
		col = 0;
		at = INDENT;
	}
	if (at + len > LINE_COLS)
		return block_sentence(out, text, fprintf(out, "%*s", INDENT, ""), INDENT + 2);
	fprintf(out, "%*s%s", at - col, "", text);
	return at + len;
}

static void group(FILE *out, const struct api_record *kind, const void *rec, unsigned g)
{
	char text[TEXT_LEN + 40], value[TEXT_LEN];
	bool any = false;
	int col = 0;

	for (size_t i = 0; i < kind->n_fields; i++) {
		const struct api_field *f = &kind->fields[i];

		if (f->group != g || api_field_text(f, rec, value, sizeof(value))[0] == '\0')
			continue;
		if (!any)
			fprintf(out, "  %s\n", api_group_name(g));
		any = true;
		cell_text(f, rec, text, sizeof(text));
		col = put_cell(out, text, col);
	}
	if (any)
		fputc('\n', out);
}

bool block_fits(const struct api_record *kind)
{
	for (size_t i = 0; i < kind->n_fields; i++)
		if (kind->fields[i].group != API_G_NONE)
			return true;
	return false;
}

void block_print(FILE *out, const struct api_record *kind, const void *rec)
{
	head(out, kind, rec);
	for (unsigned g = API_G_NONE + 1; g < API_N_GROUPS; g++)
		group(out, kind, rec, g);
}
