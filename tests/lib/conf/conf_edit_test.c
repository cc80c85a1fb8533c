// Keys that are set in the text of a configuration: what changes is that value or one more line,
// and nothing else.

#include "lib/conf/conf_edit.h"

#include "lib/base/err.h"
#include "lib/conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void keys_go_where_they_belong(void **state)
{
	static const struct {
		const char *what, *text;
		struct conf_set set;
		const char *want;
	} cases[] = {
		{"a value", "[a]\nk = 1\nl = 2\n", {"a", "k", "30"}, "[a]\nk = 30\nl = 2\n"},
		{"the same value", "[a]\nk = 1\n", {"a", "k", "1"}, "[a]\nk = 1\n"},
		{"blanks and comment", " [a] ; x\n  k\t:  1  ; why\n", {"a", "k", "2"},
			" [a] ; x\n  k\t:  2  ; why\n"},
		{"a value with ';' in it", "[a]\nk = 1;2 ;c\n", {"a", "k", "3"}, "[a]\nk = 3 ;c\n"},
		{"no value", "[a]\nk =\n", {"a", "k", "3"}, "[a]\nk = 3\n"},
		{"no value but a comment", "[a]\nk = ; c\n", {"a", "k", "3"}, "[a]\nk = 3 ; c\n"},
		{"to no value", "[a]\nk = 3\n", {"a", "k", ""}, "[a]\nk = \n"},
		{"another section's key", "[a]\nk = 1\n[b]\nk = 2\n", {"b", "k", "3"},
			"[a]\nk = 1\n[b]\nk = 3\n"},
		{"a named section", "[s x]\nk = 1\n[ s  y ]\nk = 2\n", {"s y", "k", "3"},
			"[s x]\nk = 1\n[ s  y ]\nk = 3\n"},
		{"a plain one with that name's class", "[s x]\nk = 1\n", {"s", "k", "3"},
			"[s x]\nk = 1\n\n[s]\nk = 3\n"},
		{"a comment is no key", "[a]\n;k = 1\n# k = 1\n", {"a", "k", "2"},
			"[a]\nk = 2\n;k = 1\n# k = 1\n"},
		{"behind the last key", "[a]\nj = 1\n; end\n\n[b]\n", {"a", "k", "2"},
			"[a]\nj = 1\nk = 2\n; end\n\n[b]\n"},
		{"a line without an end", "[a]\nj = 1", {"a", "k", "2"}, "[a]\nj = 1\nk = 2\n"},
		{"its own line without an end", "[a]\nk = 1", {"a", "k", "2"}, "[a]\nk = 2"},
		{"line ends of DOS", "[a]\r\nj = 1\r\n", {"a", "k", "2"},
			"[a]\r\nj = 1\r\nk = 2\r\n"},
		{"a value before a line end of DOS", "[a]\r\nk = 1\r\n", {"a", "k", "2"},
			"[a]\r\nk = 2\r\n"},
		{"a new section", "; x\n", {"b", "k", "1"}, "; x\n\n[b]\nk = 1\n"},
		{"the only section", "", {"b", "k", "1"}, "[b]\nk = 1\n"},
		{"a byte order mark", "\xef\xbb\xbf[a]\nk = 1\n", {"a", "k", "2"},
			"\xef\xbb\xbf[a]\nk = 2\n"},
		{"a key that begins alike", "[a]\nkk = 1\n", {"a", "k", "2"},
			"[a]\nkk = 1\nk = 2\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len;
		char *out = conf_edit(cases[i].text, strlen(cases[i].text), &cases[i].set, 1, &len);

		assert_non_null(out);
		assert_int_equal(len, strlen(out));
		if (strcmp(out, cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].what, out);
		free(out);
	}
}

static void several_keys_keep_their_order(void **state)
{
	static const struct conf_set sets[] = {
		{"s one", "k", "1"}, {"s one", "l", "2"}, {"a", "k", "3"}};
	static const char text[] = "[a]\n; of a\n";
	size_t len;
	char *out = conf_edit(text, strlen(text), sets, ARRAY_LEN(sets), &len);

	assert_string_equal(out, "[a]\nk = 3\n; of a\n\n[s one]\nk = 1\nl = 2\n");
	free(out);
	out = conf_edit(text, strlen(text), sets, 0, &len);
	assert_string_equal(out, text);
	free(out);
}

static void values_that_could_not_be_read_again_are_refused(void **state)
{
	static const char *const values[] = {"a\nb", "a\rb", "a;b", " a", "a ", "a\tb", "\xc3\xa9"};
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct conf_set s = {"a", "k", values[i]};

		errno = 0;
		assert_null(conf_edit("[a]\n", 4, &s, 1, &len));
		assert_int_equal(errno, EINVAL);
	}
	assert_null(conf_edit("[a]\0\n", 5, &(struct conf_set){"a", "k", "1"}, 1, &len));
	assert_int_equal(errno, EINVAL);
}

struct values {
	char *k;
};

// The longest line that is written is read, too.
static void lines_do_not_become_too_long(void **state)
{
	static const struct conf_item items[] = {
		{"a", "k", CONF_STR, CONF_FIELD(struct values, k)},
	};
	static const struct conf_schema schema = {items, 1, NULL, 0, sizeof(struct values), false};
	static const char *const texts[] = {"[a]\n", "[a]\nk = 1\n", "", "[a]\nk =  1  ; why\r\n"};

	for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
		size_t longest = 0;

		for (size_t n = 100; n <= CONF_LINE_MAX; n++) {
			char value[CONF_LINE_MAX + 1], err[CONF_ERR_MAX];
			struct conf_set s = {"a", "k", value};
			size_t len;
			char *out;

			memset(value, 'x', n);
			value[n] = '\0';
			out = conf_edit(texts[t], strlen(texts[t]), &s, 1, &len);
			if (out != NULL) {
				struct conf *c = conf_parse(&schema, "test", out, len, err);

				assert_non_null(c);
				assert_string_equal(
					((const struct values *)conf_values(c))->k, value);
				conf_free(c);
				longest = n;
			}
			free(out);
		}
		assert_in_range(longest, CONF_LINE_MAX - 14, CONF_LINE_MAX - 4);
	}
}

// The last line of a file may be as long as a line gets and have no end: it gets one.
static void the_longest_line_gets_its_end(void **state)
{
	static const struct conf_item items[] = {
		{"a", "k", CONF_STR, CONF_FIELD(struct values, k)},
	};
	static const struct conf_schema schema = {items, 1, NULL, 0, sizeof(struct values), false};
	static const struct conf_set set = {"a", "k", "1"};
	static const char *const ends[] = {"", "\r"};
	char text[CONF_LINE_MAX + 2], err[CONF_ERR_MAX];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t len;
		char *out;
		struct conf *c;

		snprintf(text, sizeof(text), "[a] ;%*s%s", CONF_LINE_MAX - 5, "why", ends[i]);
		out = conf_edit(text, strlen(text), &set, 1, &len);
		assert_non_null(out);
		c = conf_parse(&schema, "test", out, len, err);
		assert_non_null(c);
		assert_string_equal(((const struct values *)conf_values(c))->k, "1");
		conf_free(c);
		free(out);
	}
}

static void texts_that_are_too_long_are_refused(void **state)
{
	char *text = malloc(CONF_EDIT_MAX);
	struct conf_set s = {"a", "k", "1"};
	size_t len;

	memset(text, '\n', CONF_EDIT_MAX);
	assert_null(conf_edit(text, CONF_EDIT_MAX, &s, 1, &len));
	assert_int_equal(errno, EFBIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_go_where_they_belong),
		cmocka_unit_test(several_keys_keep_their_order),
		cmocka_unit_test(values_that_could_not_be_read_again_are_refused),
		cmocka_unit_test(lines_do_not_become_too_long),
		cmocka_unit_test(the_longest_line_gets_its_end),
		cmocka_unit_test(texts_that_are_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
