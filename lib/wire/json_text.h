// JSON as Skywire writes and reads it. Writing is by hand, since order and form of every byte may
// be signed; reading is jansson's, and these take one value each. Pure but for jansson's own
// memory.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// A text that grows in the caller's memory; what does not fit is remembered and told at the end.
struct json_text {
	char *p;
	size_t cap, len;
	bool bad;
};

static inline struct json_text json_text(char *out, size_t cap)
{
	return (struct json_text){.p = out, .cap = cap};
}

__attribute__((format(printf, 2, 3))) void json_text_put(struct json_text *t, const char *fmt, ...);
// In quotes, with \ before " and \ .
void json_text_quote(struct json_text *t, const char *s);
void json_text_pk(struct json_text *t, const struct key_pk *pk);
void json_text_sig(struct json_text *t, const struct sign_sig *sig);
// The length, without the final NUL, or -ENOSPC.
static inline ssize_t json_text_done(const struct json_text *t)
{
	return t->bad ? -ENOSPC : (ssize_t)t->len;
}

// A member by its name in any case, as Go finds it: the last of several. NULL: absent, or no
// object.
json_t *json_text_find(json_t *obj, const char *name);
// NULL and null leave *dst as it is. False: another type, too long, a text that holds what JSON
// must escape otherwise than \" \\ .
bool json_text_take(char *dst, size_t cap, const json_t *v);
bool json_text_take_int(int64_t *dst, const json_t *v);
bool json_text_take_bool(bool *dst, const json_t *v);
// NULL and null are none: false.
bool json_text_take_pk(struct key_pk *pk, const json_t *v);
bool json_text_take_sig(struct sign_sig *sig, const json_t *v);
