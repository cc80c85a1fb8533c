// Joining of parts, driven by 8-byte steps: number, total, offset, length, time. Every handle that
// was taken comes back exactly once, by a joined packet or by part_reap, and joined packets have no
// hole.
#include <stdbool.h>

#include "lib/link/part.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 8, STEPS_MAX = 4096 };

static bool held[STEPS_MAX];

static void give_back(void *handle)
{
	bool *h = handle;

	fuzz_check(*h);
	*h = false;
}

static void check_joined(const struct part_joined *j)
{
	uint32_t sum = 0;

	fuzz_check(j->n >= 1 && j->n <= PART_SEGS_MAX);
	for (unsigned i = 0; i < j->n; i++) {
		fuzz_check(j->seg[i].take > 0 && *(bool *)j->seg[i].handle);
		sum += j->seg[i].take;
		if (j->seg[i].last)
			give_back(j->seg[i].handle);
	}
	fuzz_check(sum == j->total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct part_conf conf = {
		.n_packets = 4, .n_segs = 16, .max_bytes = PART_TOTAL_MAX};
	static uint64_t mem[4096];
	struct part_joined out;
	uint64_t now_ns = 0;
	struct part *p;
	void *h;

	fuzz_check(part_mem_size(&conf) <= sizeof(mem));
	p = part_init(mem, &conf);
	for (size_t i = 0; i < size / STEP && i < STEPS_MAX; i++) {
		const uint8_t *s = data + i * STEP;
		uint32_t scale =
			s[0] & 0x80 ? 257 : 1; // small numbers meet often, large ones hit limits
		uint32_t total = s[1] * scale, offset = s[2] * scale, len = s[3] * scale;
		int rc;

		now_ns += (uint64_t)s[4] * (PART_LIFE_NS / 64);
		held[i] = true;
		rc = part_add(p, s[0] & 7, total, offset, len, &held[i], now_ns, &out);
		if (rc == PART_WHOLE)
			check_joined(&out);
		else if (rc != PART_HELD)
			give_back(&held[i]);
		fuzz_check(part_bytes(p) <= conf.max_bytes);
		while ((s[5] & 1) == 0 && (h = part_reap(p, now_ns)) != NULL)
			give_back(h);
	}
	part_flush(p);
	while ((h = part_reap(p, now_ns)) != NULL)
		give_back(h);
	fuzz_check(part_is_empty(p) && part_bytes(p) == 0);
	for (size_t i = 0; i < size / STEP && i < STEPS_MAX; i++)
		fuzz_check(!held[i]);
	return 0;
}
