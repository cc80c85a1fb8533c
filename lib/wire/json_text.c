// The small parts of which the JSON codecs are made; what the members are called is theirs.
#include "lib/wire/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void json_text_put(struct json_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->bad)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->p + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->cap - t->len)
		t->bad = true;
	else
		t->len += (size_t)n;
}

void json_text_quote(struct json_text *t, const char *s)
{
	json_text_put(t, "\"");
	for (; *s != '\0'; s++)
		json_text_put(t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	json_text_put(t, "\"");
}

void json_text_pk(struct json_text *t, const struct key_pk *pk)
{
	char hex[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(pk, hex);
	json_text_put(t, "\"%s\"", hex);
}

void json_text_sig(struct json_text *t, const struct sign_sig *sig)
{
	char hex[SIGN_TEXT_LEN + 1];

	sign_to_text(sig, hex);
	json_text_put(t, "\"%s\"", hex);
}

json_t *json_text_find(json_t *obj, const char *name)
{
	json_t *found = NULL, *v;
	const char *key;

	json_object_foreach(obj, key, v)
	{
		if (strcasecmp(key, name) == 0)
			found = v;
	}
	return found;
}

// Texts that would need an escape other than \" and \\ have no place in what is signed: Go's
// releases differ in how they write them, so their signatures would be a matter of luck.
static bool is_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		// U+2028 and U+2029
		if (c == 0xe2 && i + 2 < len && (unsigned char)s[i + 1] == 0x80 &&
			((unsigned char)s[i + 2] & 0xfe) == 0xa8)
			return false;
	}
	return true;
}

bool json_text_take(char *dst, size_t cap, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (v == NULL || json_is_null(v))
		return true;
	if (s == NULL || len >= cap || !is_plain(s, len))
		return false;
	memcpy(dst, s, len);
	dst[len] = '\0';
	return true;
}

bool json_text_take_int(int64_t *dst, const json_t *v)
{
	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_integer(v))
		return false;
	*dst = json_integer_value(v);
	return true;
}

bool json_text_take_bool(bool *dst, const json_t *v)
{
	if (v == NULL || json_is_null(v))
		return true;
	*dst = json_is_true(v);
	return json_is_boolean(v);
}

bool json_text_take_pk(struct key_pk *pk, const json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL && key_pk_from_text(pk, s, json_string_length(v)) == 0;
}

bool json_text_take_sig(struct sign_sig *sig, const json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL && sign_from_text(sig, s, json_string_length(v)) == 0;
}
