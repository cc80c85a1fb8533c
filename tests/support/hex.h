// Hex helpers for tests. They fail the running cmocka test on bad input.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Decode exactly want_len bytes into out.
void hex_exact(uint8_t *out, size_t want_len, const char *hex);
// Decode into memory of its own (the caller frees); *len gets the length. An empty text gives
// non-NULL.
uint8_t *hex_new(const char *hex, size_t *len);
