// Authenticated HTTP (skywire-routing 6.5): signature, nonce and refusals.
#include "lib/wire/http_auth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/crypto/hash.h"
#include "lib/wire/json_text.h"

int http_auth_sign(
	struct sign_sig *sig, const struct key_sk *sk, const void *body, size_t len, uint64_t nonce)
{
	uint8_t hash[HASH_SHA256_LEN];
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, nonce);
	struct hash h;

	hash_init(&h, HASH_SHA256);
	hash_update(&h, body, len);
	hash_update(&h, text, (size_t)n);
	hash_final(&h, hash);
	return sign_hash(sig, sk, hash);
}

int http_auth_nonce_read(uint64_t *nonce, const struct key_pk *pk, const char *json, size_t len)
{
	json_t *root = len <= HTTP_AUTH_JSON_MAX ? json_loadb(json, len, 0, NULL) : NULL;
	const json_t *next = json_text_find(root, "next_nonce");
	int64_t n = -1;
	struct key_pk edge;
	bool good = json_text_take_pk(&edge, json_text_find(root, "edge")) &&
		    key_pk_cmp(&edge, pk) == 0 && json_text_take_int(&n, next) && n >= 0;

	json_decref(root);
	if (good)
		*nonce = (uint64_t)n;
	return good ? 0 : -EBADMSG;
}

void http_auth_error_read(char text[HTTP_AUTH_ERROR_LEN], const char *json, size_t len)
{
	json_t *root = len <= HTTP_AUTH_JSON_MAX ? json_loadb(json, len, 0, NULL) : NULL;
	json_t *error = json_text_find(root, "error");
	const char *p = json_string_value(error);
	size_t n = 0;

	if (p == NULL)
		p = json_string_value(
			json_text_find(json_is_object(error) ? error : root, "message"));
	for (; p != NULL && *p != '\0' && n < HTTP_AUTH_ERROR_LEN - 1; p++)
		text[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
	text[n] = '\0';
	json_decref(root);
}
