// Hex to bytes for tests; anything that is not clean hex fails the running test.

#include "tests/support/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c == '\0' ? NULL : strchr(digits, c);

	if (p == NULL)
		fail_msg("not a lower-case hex digit: '%c'", c);
	return (uint8_t)(p - digits);
}

void hex_exact(uint8_t *out, size_t want_len, const char *hex)
{
	if (strlen(hex) != 2 * want_len)
		fail_msg("hex of %zu digits, %zu wanted", strlen(hex), 2 * want_len);
	for (size_t i = 0; i < want_len; i++)
		out[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}

uint8_t *hex_new(const char *hex, size_t *len)
{
	uint8_t *out;

	*len = strlen(hex) / 2;
	out = malloc(*len + 1);
	if (out == NULL)
		fail_msg("no memory");
	else
		hex_exact(out, *len, hex);
	return out;
}
