// Answers of a discovery that are no entry: any bytes give a verdict that has a text, and a status
// of success is never anything else.

#include "lib/wire/dmsg_answer.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dmsg_answer a;
	unsigned status;

	if (size < 2)
		return 0;
	status = (unsigned)data[0] << 8 | data[1];
	a = dmsg_answer_read(status, (const char *)data + 2, size - 2);
	fuzz_check(strcmp(dmsg_answer_text(a), "unknown") != 0);
	fuzz_check((a == DMSG_ANSWER_OK) == (status / 100 == 2));
	return 0;
}
