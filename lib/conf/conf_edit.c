// One key after the other: find its section, find its line, write the text anew with that line
// changed or one more. A file is small and a set of keys is, so nothing is kept in between. What
// stands behind ';' after a blank is a comment, as inih has it.
#include "lib/conf/conf_edit.h"

#include "lib/conf/conf.h"

#include "lib/base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span {
	const char *p;
	size_t len;
};

// Where a key goes. Offsets in the text.
struct place {
	bool has_section;
	bool has_key;
	size_t from, to; // of the value that is replaced; else where the new line is put
	bool crlf; // how the line before it ends
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r'); // isspace() of inih
}

static struct span trim(struct span s)
{
	while (s.len > 0 && is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool equals(struct span s, const char *text, size_t len)
{
	return s.len == len && memcmp(s.p, text, len) == 0;
}

// "[ server  one ] ; text" is the section "server one".
static bool is_heading_of(struct span line, const char *section)
{
	const char *close = memchr(line.p, ']', line.len);
	const char *gap = strchr(section, ' ');
	size_t n_name = gap != NULL ? (size_t)(gap - section) : strlen(section), n = 0;
	struct span in;

	if (close == NULL)
		return false;
	in = trim((struct span){line.p + 1, (size_t)(close - line.p) - 1});
	while (n < in.len && !is_blank(in.p[n]))
		n++;
	if (!equals((struct span){in.p, n}, section, n_name))
		return false;
	in = trim((struct span){in.p + n, in.len - n});
	return gap != NULL ? equals(in, gap + 1, strlen(gap + 1)) : in.len == 0;
}

// Is it `key = ...`? Then *value is what stands behind the sign, without blanks and comment.
static bool is_pair_of(struct span line, const char *key, struct span *value)
{
	size_t at = 0, from;

	while (at < line.len && line.p[at] != '=' && line.p[at] != ':')
		at++;
	if (at == line.len || !equals(trim((struct span){line.p, at}), key, strlen(key)))
		return false;
	from = ++at;
	while (at < line.len && !(line.p[at] == ';' && at > from && is_blank(line.p[at - 1])))
		at++;
	*value = trim((struct span){line.p + from, at - from});
	if (value->len == 0)
		value->p = line.p + from;
	return true;
}

static void find_place(const char *text, size_t len, const struct conf_set *s, struct place *out)
{
	size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; // a byte order mark
	bool inside = false;

	*out = (struct place){.from = len, .to = len};
	while (at < len) {
		const char *eol = memchr(text + at, '\n', len - at);
		size_t next = eol != NULL ? (size_t)(eol - text) + 1 : len;
		struct span line = {text + at, next - at - (eol != NULL)}, value;
		bool crlf = line.len > 0 && line.p[line.len - 1] == '\r';

		line = trim(line);
		at = next;
		if (line.len == 0 || line.p[0] == ';' || line.p[0] == '#')
			continue;
		if (line.p[0] == '[') {
			if (out->has_section)
				return;
			inside = out->has_section = is_heading_of(line, s->section);
		} else if (inside && is_pair_of(line, s->key, &value)) {
			out->has_key = true;
			out->from = (size_t)(value.p - text);
			out->to = out->from + value.len;
			return;
		}
		if (inside) {
			out->from = out->to = next;
			out->crlf = crlf;
		}
	}
}

// ---- writing ----

static bool is_value(const char *v)
{
	size_t len = strlen(v);

	for (size_t i = 0; i < len; i++)
		if (v[i] < ' ' || v[i] > '~' || v[i] == ';')
			return false;
	return len == 0 || (v[0] != ' ' && v[len - 1] != ' ');
}

// What is put in the text at place->from: into buf, which has room for a section of two lines.
static int insertion(const char *text, size_t len, const struct conf_set *s, const struct place *pl,
	char *buf, size_t cap)
{
	const char *eol = pl->crlf ? "\r\n" : "\n";
	char last = pl->from > 0 ? text[pl->from - 1] : '\n';
	bool cut = last != '\n'; // the last line has no end yet, or half of one
	const char *end = !cut ? "" : last == '\r' ? "\n" : eol;

	if (pl->has_key)
		return snprintf(buf, cap, "%s%s", !is_blank(last) && s->value[0] != '\0' ? " " : "",
			s->value);
	if (pl->has_section)
		return snprintf(buf, cap, "%s%s = %s%s", end, s->key, s->value, eol);
	return snprintf(buf, cap, "%s%s[%s]\n%s = %s\n", end, len > 0 ? "\n" : "", s->section,
		s->key, s->value);
}

// Of the line that holds the place, as it will be: too long to be read again?
static bool is_too_long(const char *text, size_t len, const struct conf_set *s,
	const struct place *pl, size_t n_new)
{
	size_t from = pl->from, to = pl->to;

	if (!pl->has_key)
		return strlen(s->key) + strlen(s->value) + sizeof(" = ") - 1 > CONF_LINE_MAX;
	while (from > 0 && text[from - 1] != '\n')
		from--;
	while (from < pl->from && (text[from] == ' ' || text[from] == '\t'))
		from++;
	while (to < len && text[to] != '\n')
		to++;
	if (to > pl->to && text[to - 1] == '\r')
		to--;
	return (to - from) - (pl->to - pl->from) + n_new > CONF_LINE_MAX;
}

static char *edit_one(const char *text, size_t len, const struct conf_set *s, size_t *out_len)
{
	char buf[2 * CONF_LINE_MAX + 2 * CONF_NAME_MAX];
	struct place pl;
	char *out = NULL;
	int n;

	if (!is_value(s->value))
		return errno_null(EINVAL);
	find_place(text, len, s, &pl);
	n = insertion(text, len, s, &pl, buf, sizeof(buf));
	if (n < 0 || (size_t)n >= sizeof(buf) || is_too_long(text, len, s, &pl, (size_t)n)) {
		errno = EINVAL;
		goto end;
	}
	*out_len = len - (pl.to - pl.from) + (size_t)n;
	if (*out_len > CONF_EDIT_MAX) {
		errno = EFBIG;
		goto end;
	}
	out = malloc(*out_len + 1);
	if (out == NULL)
		goto end;
	if (pl.from > 0)
		memcpy(out, text, pl.from);
	memcpy(out + pl.from, buf, (size_t)n);
	if (len > pl.to)
		memcpy(out + pl.from + n, text + pl.to, len - pl.to);
	out[*out_len] = '\0';
end:
	explicit_bzero(buf, sizeof(buf)); // a value may be a secret
	return out;
}

char *conf_edit(
	const char *text, size_t len, const struct conf_set *sets, size_t n_sets, size_t *out_len)
{
	char *now = NULL;

	if (len > CONF_EDIT_MAX)
		return errno_null(EFBIG);
	if (len > 0 && memchr(text, '\0', len) != NULL)
		return errno_null(EINVAL);
	for (size_t i = 0; i < n_sets; i++) {
		char *next = edit_one(i == 0 ? text : now, len, &sets[i], &len);
		int err = errno;

		if (now != NULL)
			explicit_bzero(now, strlen(now)); // a value may be a secret
		free(now);
		now = next;
		if (now == NULL)
			return errno_null(err);
	}
	if (now == NULL) {
		now = malloc(len + 1);
		if (now == NULL)
			return NULL;
		if (len > 0)
			memcpy(now, text, len);
		now[len] = '\0';
	}
	*out_len = len;
	return now;
}
