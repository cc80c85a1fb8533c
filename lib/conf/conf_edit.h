// Sets keys in the text of a configuration file, for the few that a program writes itself. All else
// stays as it is, byte for byte: comments, order, blanks, line ends. Lines are told apart as conf.h
// reads them. Text in, text out.
#pragma once

#include <stddef.h>

enum { CONF_EDIT_MAX = 1 << 20 }; // bytes of the text

struct conf_set {
	const char *section; // "dmsg", or "server one" for a named one
	const char *key;
	const char *value; // printable ASCII without ';'; no blanks at its ends
};

// The new text, which the caller frees, with a NUL behind it; *out_len is without it. A key that is
// there gets its value in its line; another one comes behind the last of its section, and a section
// that is not there at the end. NULL and errno: EINVAL (a value as above, or a line that would be
// longer than CONF_LINE_MAX, or no text), EFBIG, ENOMEM.
char *conf_edit(
	const char *text, size_t len, const struct conf_set *sets, size_t n_sets, size_t *out_len);
