// Discovery entries as a discovery or a client may send them: what was read is written, and reading
// that gives the same entry and the same text.

#include "lib/wire/dmsg_entry.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char a_text[DMSG_ENTRY_TEXT_MAX], b_text[DMSG_ENTRY_TEXT_MAX];
	static struct dmsg_entry a, b, list[4];
	ssize_t len;

	(void)dmsg_entry_read_list(list, 4, (const char *)data, size, NULL);
	if (dmsg_entry_read(&a, (const char *)data, size) < 0)
		return 0;
	if (a.has_signature)
		(void)dmsg_entry_verify(&a);
	len = dmsg_entry_write(&a, true, a_text, sizeof(a_text));
	fuzz_check(len > 0 && dmsg_entry_read(&b, a_text, (size_t)len) == 0);
	fuzz_check(dmsg_entry_write(&b, true, b_text, sizeof(b_text)) == len);
	fuzz_check(memcmp(a_text, b_text, (size_t)len) == 0);
	return 0;
}
