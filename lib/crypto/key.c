// Key types of Skywire: generation, text form, comparison, wiping (skywire-routing 9.1). Curve work
// is secp.c's. Loading and saving of key files is the caller's business: nothing here touches a
// file.

#include "lib/crypto/key.h"

#include "lib/crypto/secp.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

int key_sk_generate(struct key_sk *sk)
{
	struct key_pk pk;

	return secp_generate(sk->b, pk.b);
}

int key_pk_from_sk(struct key_pk *pk, const struct key_sk *sk)
{
	return secp_pub(pk->b, sk->b);
}

bool key_pk_is_valid(const struct key_pk *pk)
{
	return secp_pk_is_valid(pk->b);
}

bool key_pk_is_null(const struct key_pk *pk)
{
	return sodium_is_zero(pk->b, sizeof(pk->b)) == 1;
}

bool key_sk_is_valid(const struct key_sk *sk)
{
	return secp_sk_is_valid(sk->b);
}

void key_pk_to_text(const struct key_pk *pk, char out[KEY_PK_TEXT_LEN + 1])
{
	sodium_bin2hex(out, KEY_PK_TEXT_LEN + 1, pk->b, sizeof(pk->b));
}

void key_sk_to_text(const struct key_sk *sk, char out[KEY_SK_TEXT_LEN + 1])
{
	sodium_bin2hex(out, KEY_SK_TEXT_LEN + 1, sk->b, sizeof(sk->b));
}

static bool is_all_zero_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '0')
			return false;
	return len > 0;
}

int key_pk_from_text(struct key_pk *pk, const char *text, size_t len)
{
	size_t n = 0;

	memset(pk, 0, sizeof(*pk));
	if (len > KEY_PK_TEXT_LEN)
		return -EINVAL;
	if (is_all_zero_digits(text, len))
		return 0;
	if (len == KEY_PK_TEXT_LEN &&
		sodium_hex2bin(pk->b, sizeof(pk->b), text, len, NULL, &n, NULL) == 0 &&
		n == sizeof(pk->b) && key_pk_is_valid(pk))
		return 0;
	memset(pk, 0, sizeof(*pk));
	return -EINVAL;
}

const char *key_pk_wrong(const char *text, size_t len)
{
	struct key_pk pk;

	if (key_pk_from_text(&pk, text, len) == 0 && !key_pk_is_null(&pk))
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!isxdigit((unsigned char)text[i]))
			len = 0;
	if (len != KEY_PK_TEXT_LEN)
		return "is no public key: 66 hex digits as `skyrail key show` prints them";
	return text[0] == '0' && (text[1] == '2' || text[1] == '3')
		       ? "is no public key: one of its digits is wrong"
		       : "is no public key: one begins with 02 or 03";
}

int key_sk_from_text(struct key_sk *sk, const char *text, size_t len)
{
	size_t n = 0;

	if (len == KEY_SK_TEXT_LEN &&
		sodium_hex2bin(sk->b, sizeof(sk->b), text, len, NULL, &n, NULL) == 0 &&
		n == sizeof(sk->b) && key_sk_is_valid(sk))
		return 0;
	sodium_memzero(sk, sizeof(*sk));
	return -EINVAL;
}

int key_pk_cmp(const struct key_pk *a, const struct key_pk *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool key_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void key_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}
