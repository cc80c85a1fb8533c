// Known-answer vectors in tests/vectors/*.json. They fail the running cmocka test when a file,
// member or digit is wrong: a test never passes because its data was missing.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

// Load tests/vectors/<name>; owner: the caller (json_decref).
json_t *vectors_load(const char *name);
// A member by name, of an object; fails when it is absent.
json_t *vectors_get(const json_t *obj, const char *key);
const char *vectors_str(const json_t *obj, const char *key);
uint32_t vectors_u32(const json_t *obj, const char *key);
// Calls fn for each object that has such a member, wherever in v it stands; returns how many there
// are.
unsigned vectors_each(const json_t *v, const char *key, void (*fn)(const json_t *obj));
// Decode a hex member of exactly len bytes.
void vectors_hex(const json_t *obj, const char *key, uint8_t *out, size_t len);
// Decode a hex member of any length into memory of its own (the caller frees).
uint8_t *vectors_hex_new(const json_t *obj, const char *key, size_t *len);
