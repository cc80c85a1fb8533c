// The search for the path MTU under any order of time, answers, losses and bounds. Input: 5 bytes
// of bounds, then a byte an operation and one of its argument. Whatever happens: what is probed and
// what is gone by lies within the bounds, and when the path begins to answer like one that carries
// a fixed size, the search ends there.
#include <stdlib.h>
#include <string.h>

#include "lib/link/pmtu.h"
#include "tests/fuzz/fuzz.h"

#define MS 1000000ull
enum { SETTLE = 4000 };

static struct pmtu p;
static uint64_t now_ns;

static void check(void)
{
	fuzz_check(p.mtu >= p.floor && p.mtu <= p.max);
	fuzz_check(p.too_big > p.mtu && p.too_big <= p.max + 1u);
	fuzz_check(p.probe == 0 || (p.probe >= p.floor && p.probe <= p.max));
	fuzz_check(p.state == PMTU_BASE || p.state == PMTU_SEARCHING || p.state == PMTU_COMPLETE ||
		   p.state == PMTU_ERROR);
	fuzz_check(p.state != PMTU_BASE || p.mtu == p.floor || p.mtu == p.max);
}

static uint16_t next(void)
{
	uint16_t size = pmtu_next(&p, 100 * MS, now_ns);

	fuzz_check(size == 0 || (size >= p.floor && size <= p.max));
	fuzz_check(size == 0 || p.due_ns > now_ns);
	check();
	return size;
}

static void step(uint8_t op, uint8_t arg)
{
	switch (op % 8) {
	case 0:
		now_ns += arg * MS;
		next();
		break;
	case 1:
		pmtu_acked(&p, (uint16_t)(p.probe + (arg < 128 ? 0 : arg)), now_ns);
		break;
	case 2:
		pmtu_acked(&p, (uint16_t)(arg * 257), now_ns); // of any time
		break;
	case 3:
		pmtu_lost(&p, now_ns);
		break;
	case 4:
		pmtu_heard(&p);
		break;
	case 5:
		pmtu_suspect(&p, now_ns);
		break;
	case 6:
		pmtu_set_max(&p, (uint16_t)(64 + arg * 250), now_ns);
		break;
	default:
		now_ns += (uint64_t)arg * arg * arg * MS;
		break;
	}
	check();
}

// From now on it is an honest path.
static void settles(uint16_t carries)
{
	uint64_t end;

	if (p.state == PMTU_ERROR)
		return;
	pmtu_suspect(&p, now_ns + 1000 * MS);
	now_ns += 1000 * MS;
	end = now_ns +
	      PMTU_RAISE_S * 2000 * MS; // what a liar made it believe is tried again by then
	for (unsigned i = 0; i < SETTLE && p.due_ns <= end; i++) {
		uint16_t size;

		if (now_ns < p.due_ns)
			now_ns = p.due_ns;
		size = next();
		if (size != 0 && size <= carries)
			pmtu_acked(&p, size, now_ns);
		else if (size != 0)
			pmtu_heard(&p);
	}
	fuzz_check(p.due_ns > end);
	fuzz_check(p.state == PMTU_ERROR || p.floor <= carries);
	if (p.state != PMTU_ERROR) // else it had been lied to nearly often enough before
		fuzz_check(p.mtu <= carries && (p.mtu + PMTU_STEP > carries || p.mtu == p.max));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint16_t floor, max, carries;

	if (len < 5)
		return 0;
	floor = (uint16_t)(64 + data[0] * 8);
	max = (uint16_t)(64 + data[1] * 256 / 2);
	carries = (uint16_t)(64 + (data[2] << 8 | data[3]) / 2);
	now_ns = 1 + data[4] * MS;
	pmtu_init(&p, floor, max, now_ns);
	check();
	for (size_t i = 5; i + 1 < len; i += 2)
		step(data[i], data[i + 1]);
	settles(carries);
	return 0;
}
