// The search for the path MTU (RFC 8899 5.3, and 5.2 for its states). The greatest size is tried
// first, as most paths carry what their ends do; then usual sizes, halving what is left of them;
// one step above the last that passed, where the search nearly always ends; and only if that
// passes, bytes by halves.
#include "lib/link/pmtu.h"

#include "lib/base/err.h"

#include <stddef.h>
#include <string.h>

#define MS_NS 1000000ull

// Bytes of IP that links and tunnels are known to carry: mobile networks, WireGuard, VXLAN, clouds,
// GRE, IPIP, PPPoE, Ethernet, FDDI, jumbo frames with and without a tunnel.
static const uint16_t usual[] = {1300, 1350, 1380, 1400, 1420, 1440, 1450, 1460, 1476, 1480, 1492,
	1500, 1600, 2000, 4352, 8000, 8896, 8950, 9000, 9216, 16384, 32768};

static void search(struct pmtu *p, uint64_t now_ns)
{
	p->state = PMTU_SEARCHING;
	p->due_ns = now_ns;
}

static void forget_probe(struct pmtu *p)
{
	p->probe = 0;
	p->tries = 0;
	p->silent = 0;
	p->waiting = false;
	p->heard = false;
}

static void from_floor(struct pmtu *p, uint64_t now_ns)
{
	forget_probe(p);
	p->mtu = p->floor;
	p->state = PMTU_BASE;
	p->confirm = false;
	p->careful = false;
	p->due_ns = now_ns;
}

void pmtu_init(struct pmtu *p, uint16_t floor, uint16_t max, uint64_t now_ns)
{
	memset(p, 0, sizeof(*p));
	p->floor = floor < max ? floor : max;
	p->max = max;
	p->too_big = max + 1u;
	from_floor(p, now_ns);
}

void pmtu_init_fixed(struct pmtu *p, uint16_t mtu)
{
	memset(p, 0, sizeof(*p));
	p->state = PMTU_FIXED;
	p->mtu = mtu;
	p->floor = mtu;
	p->max = mtu;
	p->too_big = mtu + 1u;
	p->due_ns = UINT64_MAX;
}

void pmtu_set_max(struct pmtu *p, uint16_t max, uint64_t now_ns)
{
	if (p->state == PMTU_FIXED || max == p->max)
		return;
	if (max < p->floor) {
		p->floor = max;
		p->mtu = max;
	}
	if (p->too_big == p->max + 1u || p->too_big > max)
		p->too_big = max + 1u;
	p->max = max;
	if (p->mtu > max)
		p->mtu = max;
	if (p->probe > max)
		forget_probe(p);
	if (p->state == PMTU_COMPLETE)
		search(p, now_ns);
}

// ---- which size next ----

static bool is_usual(uint32_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (usual[i] == size)
			return true;
	return false;
}

// The middle one of the usual sizes between both, 0: none.
static uint16_t usual_between(uint32_t lo, uint32_t hi)
{
	size_t first = 0, end;

	while (first < ARRAY_LEN(usual) && usual[first] <= lo)
		first++;
	end = first;
	while (end < ARRAY_LEN(usual) && usual[end] < hi)
		end++;
	return end > first ? usual[first + (end - first) / 2] : 0;
}

// 0: what is too big is near.
static uint16_t candidate(const struct pmtu *p)
{
	uint32_t lo = p->mtu, hi = p->too_big;
	uint16_t next;

	if (lo >= p->max)
		return 0;
	if (p->careful && lo + PMTU_STEP < p->max)
		return (uint16_t)(lo + PMTU_STEP);
	if (hi > p->max)
		return p->max;
	if (hi - lo <= PMTU_STEP)
		return 0;
	next = usual_between(lo, hi);
	if (next != 0)
		return next;
	return lo == p->floor || is_usual(lo) ? (uint16_t)(lo + PMTU_STEP)
					      : (uint16_t)(lo + (hi - lo) / 2);
}

static void complete(struct pmtu *p, uint64_t now_ns)
{
	forget_probe(p);
	p->state = PMTU_COMPLETE;
	p->raise_ns = p->mtu < p->max ? now_ns + PMTU_RAISE_S * 1000 * MS_NS : UINT64_MAX;
	p->due_ns = p->raise_ns;
}

// 0: nothing is to be probed for now.
static uint16_t choose(struct pmtu *p, uint64_t now_ns)
{
	uint16_t size;

	if (p->state == PMTU_BASE)
		return p->floor;
	if (p->confirm)
		return p->mtu;
	if (p->state == PMTU_COMPLETE && now_ns >= p->raise_ns) {
		p->too_big = p->max + 1u;
		p->careful = true;
		search(p, now_ns);
	}
	if (p->state != PMTU_SEARCHING) {
		p->due_ns = p->state == PMTU_COMPLETE ? p->raise_ns : UINT64_MAX;
		return 0;
	}
	size = candidate(p);
	if (size == 0)
		complete(p, now_ns);
	return size;
}

// ---- what became of probes ----

// As often as a chance would have it is past.
static void does_not_pass(struct pmtu *p, uint64_t now_ns)
{
	uint16_t size = p->probe;

	forget_probe(p);
	if (p->state == PMTU_BASE) {
		p->state = PMTU_ERROR;
		p->due_ns = UINT64_MAX;
		return;
	}
	if (size > p->mtu) {
		p->too_big = size;
		p->careful = false;
		p->due_ns = now_ns;
		return;
	}
	// it did once
	p->n_black_holes++;
	p->too_big = p->mtu > p->floor ? p->mtu : p->max + 1u;
	from_floor(p, now_ns);
}

static uint8_t tries(const struct pmtu *p)
{
	if (p->state != PMTU_BASE)
		return PMTU_TRIES;
	return p->proven ? PMTU_LOST_TRIES : PMTU_BASE_TRIES;
}

void pmtu_lost(struct pmtu *p, uint64_t now_ns)
{
	uint64_t gap_ms = (uint64_t)PMTU_GAP_MS << p->tries; // 20 times at most

	if (!p->waiting)
		return;
	p->waiting = false;
	p->due_ns = now_ns + (gap_ms < PMTU_GAP_MAX_MS ? gap_ms : PMTU_GAP_MAX_MS) * MS_NS;
	p->silent = 0;
	p->n_lost++;
	if (++p->tries >= tries(p))
		does_not_pass(p, now_ns);
}

void pmtu_acked(struct pmtu *p, uint16_t size, uint64_t now_ns)
{
	if (p->state == PMTU_FIXED || p->state == PMTU_ERROR || size > p->max || size < p->floor)
		return;
	p->proven = true;
	if (size >= p->probe)
		forget_probe(p);
	if (size >= p->mtu) {
		p->confirm = false;
		p->suspect_ns = now_ns + PMTU_SUSPECT_GAP_MS * MS_NS;
	}
	if (size > p->mtu) {
		p->mtu = size;
		p->careful = false;
	}
	if (p->too_big <= p->mtu)
		p->too_big = p->max + 1u;
	if (p->state == PMTU_BASE)
		search(p, now_ns);
	if (!p->waiting)
		p->due_ns = now_ns;
}

void pmtu_heard(struct pmtu *p)
{
	p->heard = p->waiting;
}

void pmtu_suspect(struct pmtu *p, uint64_t now_ns)
{
	if ((p->state != PMTU_SEARCHING && p->state != PMTU_COMPLETE) || p->confirm ||
		now_ns < p->suspect_ns)
		return;
	p->confirm = true;
	if (!p->waiting)
		p->due_ns = now_ns;
}

uint16_t pmtu_next(struct pmtu *p, uint64_t timeout_ns, uint64_t now_ns)
{
	uint64_t most = PMTU_SILENT_MAX_MS * MS_NS;
	uint16_t size;

	if (now_ns < p->due_ns)
		return 0;
	if (p->waiting && p->heard) {
		pmtu_lost(p, now_ns);
		if (now_ns < p->due_ns)
			return 0;
	} else if (p->waiting) {
		p->waiting = false;
		p->silent += p->silent < 16;
		// dead, or narrower than the floor: a bare one will tell
		if (p->silent >= PMTU_SILENT_TRIES && p->state != PMTU_BASE)
			from_floor(p, now_ns);
	}
	size = choose(p, now_ns);
	if (size == 0)
		return 0;
	if (size != p->probe)
		forget_probe(p);
	p->probe = size;
	p->waiting = true;
	p->heard = false;
	timeout_ns = timeout_ns < most >> p->silent ? timeout_ns << p->silent : most;
	p->due_ns = now_ns + timeout_ns;
	return size;
}
