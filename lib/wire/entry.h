// Identity of a transport and the settlement entry that both ends sign (skywire-routing 6.1, 6.3).
// Keys are 33-byte compressed public keys in any order; the entry sorts them. Pure, any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	ENTRY_PK_LEN = 33,
	ENTRY_ID_LEN = 16,
	ENTRY_ID_TEXT_LEN = 37, // with the final NUL
	ENTRY_TYPE_MAX = 16, // letters of a type's name
	ENTRY_BYTES_MAX = ENTRY_ID_LEN + 2 * ENTRY_PK_LEN + ENTRY_TYPE_MAX,
	ENTRY_HASH_LEN = 32,
};

#define ENTRY_TYPE_RAIL "rail"

// The transport id of a pair and a type. -EINVAL: empty or too long type text.
int entry_transport_id(uint8_t id[ENTRY_ID_LEN], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type);

// The bytes that are hashed and signed: id, lower key, higher key, type text. Length or -EINVAL.
int entry_signed_bytes(uint8_t out[ENTRY_BYTES_MAX], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type);

// SHA-256 of those bytes: what goes into the 65-byte signature. 0 or -EINVAL.
int entry_hash(uint8_t out[ENTRY_HASH_LEN], const uint8_t a[ENTRY_PK_LEN],
	const uint8_t b[ENTRY_PK_LEN], const char *type);

// 8-4-4-4-12 lower-case hex and back. Parsing takes that form only, in either case: -EINVAL.
void entry_id_format(char out[ENTRY_ID_TEXT_LEN], const uint8_t id[ENTRY_ID_LEN]);
int entry_id_parse(uint8_t id[ENTRY_ID_LEN], const char *text);
