// Entries of transports as a peer at its settlement or a discovery may send them: what was read is
// written, and reading that gives the same entry.

#include "lib/wire/tp_entry.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tp_entry a, b, list[4];
	char text[TP_ENTRY_TEXT_MAX];
	ssize_t len;

	(void)tp_entry_read_list(list, 4, (const char *)data, size, NULL);
	(void)tp_entry_read_plain(&a, (const char *)data, size);
	if (tp_entry_read(&a, (const char *)data, size) < 0)
		return 0;
	(void)tp_entry_is_of(&a, &a.edge[0], &a.edge[1], a.type);
	(void)tp_entry_verify(&a, &a.edge[1]);
	len = tp_entry_write(&a, text, sizeof(text));
	fuzz_check(len > 0 && tp_entry_read(&b, text, (size_t)len) == 0);
	fuzz_check(memcmp(&a, &b, sizeof(a)) == 0);
	return 0;
}
