// Transport ids and settlement entries (skywire-routing 6.1, 6.3): sort the two keys, lay the bytes
// down, hash. Signing and the JSON around it are elsewhere.
#include "lib/wire/entry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/crypto/hash.h"

static bool type_is_valid(const char *type)
{
	size_t n = strnlen(type, ENTRY_TYPE_MAX + 1);

	return n >= 1 && n <= ENTRY_TYPE_MAX;
}

// Both keys in Skywire's order, then the type text.
static void put_pair(struct bytes_w *w, const uint8_t *a, const uint8_t *b, const char *type)
{
	bool a_low = memcmp(a, b, ENTRY_PK_LEN) <= 0;

	bytes_w_copy(w, a_low ? a : b, ENTRY_PK_LEN);
	bytes_w_copy(w, a_low ? b : a, ENTRY_PK_LEN);
	bytes_w_copy(w, type, strlen(type));
}

int entry_transport_id(uint8_t id[ENTRY_ID_LEN], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type)
{
	uint8_t buf[ENTRY_BYTES_MAX];
	uint8_t hash[ENTRY_HASH_LEN];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	if (!type_is_valid(type))
		return -EINVAL;
	bytes_w_zero(&w, ENTRY_ID_LEN); // the null name space of this hash-made UUID
	put_pair(&w, a, b, type);
	hash_sha256(hash, buf, bytes_w_len(&w));
	memcpy(id, hash, ENTRY_ID_LEN);
	id[6] &= 0x0f; // version 0
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80); // RFC 4122 variant
	return 0;
}

int entry_signed_bytes(uint8_t out[ENTRY_BYTES_MAX], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type)
{
	struct bytes_w w = bytes_w(out, ENTRY_BYTES_MAX);
	uint8_t id[ENTRY_ID_LEN];
	int rc = entry_transport_id(id, a, b, type);

	if (rc < 0)
		return rc;
	bytes_w_copy(&w, id, sizeof(id));
	put_pair(&w, a, b, type);
	return (int)bytes_w_done(&w);
}

int entry_hash(uint8_t out[ENTRY_HASH_LEN], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type)
{
	uint8_t buf[ENTRY_BYTES_MAX];
	int n = entry_signed_bytes(buf, a, b, type);

	if (n < 0)
		return n;
	hash_sha256(out, buf, (size_t)n);
	return 0;
}

static bool is_dash(int i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

void entry_id_format(char out[ENTRY_ID_TEXT_LEN], const uint8_t id[ENTRY_ID_LEN])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < ENTRY_ID_LEN; i++) {
		if (is_dash(i))
			*out++ = '-';
		*out++ = digits[id[i] >> 4];
		*out++ = digits[id[i] & 15];
	}
	*out = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int entry_id_parse(uint8_t id[ENTRY_ID_LEN], const char *text)
{
	uint8_t out[ENTRY_ID_LEN];

	for (int i = 0; i < ENTRY_ID_LEN; i++) {
		int hi, lo;

		if (is_dash(i) && *text++ != '-')
			return -EINVAL;
		hi = nibble(text[0]);
		lo = hi < 0 ? -1 : nibble(text[1]); // never past the final NUL
		if (lo < 0)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	if (*text != '\0')
		return -EINVAL;
	memcpy(id, out, sizeof(out));
	return 0;
}
