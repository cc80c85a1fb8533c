// Rule bytes: what is accepted encodes to the same bytes, but for the 17 unused ones at the end.
#include <errno.h>
#include <string.h>

#include "lib/wire/rule.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t back[RULE_LEN_MAX];
	struct rule_wire rule;
	int n = rule_decode(data, size, &rule);
	int used;

	if (n < 0) {
		fuzz_check(n == -EAGAIN || n == -EBADMSG);
		return 0;
	}
	fuzz_check((size_t)n <= size);
	fuzz_check(rule_encode(back, sizeof(back), &rule) == n);
	used = rule.kind == RULE_KIND_CONSUME ? n : n - (RULE_TP_FIELD_LEN - RULE_TP_ID_LEN);
	fuzz_check(memcmp(back, data, (size_t)used) == 0);
	return 0;
}
