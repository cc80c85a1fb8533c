// Wires of two sessions. They have no end: what a session says is always taken, unless a test pulls
// by hand, and what the other one does not take stays.

#include "tests/support/mux_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mux/smux.h"
#include "lib/mux/yamux.h"

uint64_t mux_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

const char *mux_kind_name(enum mux_kind kind)
{
	static const char *const names[] = {"yamux", "smux 1", "smux 2"};

	return names[kind];
}

struct mux_conf mux_kind_conf(enum mux_kind kind, bool is_client)
{
	struct mux_conf conf;

	(kind == KIND_YAMUX ? yamux_conf : smux_conf)(&conf, is_client);
	return conf;
}

struct mux *mux_kind_new(enum mux_kind kind, const struct mux_conf *conf, uint64_t now_ns)
{
	struct mux *m = kind == KIND_YAMUX ? yamux_new(conf, now_ns)
					   : smux_new(conf, kind == KIND_SMUX1 ? 1 : 2, now_ns);

	assert_non_null(m);
	return m;
}

void mux_pair_init(struct mux_pair *p, enum mux_kind kind, const struct mux_conf *conf)
{
	*p = (struct mux_pair){.now_ns = 1000000000};
	for (int side = 0; side < 2; side++) {
		struct mux_conf c = conf != NULL ? *conf : mux_kind_conf(kind, true);

		c.is_client = side == CLIENT;
		p->m[side] = mux_kind_new(kind, &c, p->now_ns);
	}
}

void mux_pair_fini(struct mux_pair *p)
{
	for (int side = 0; side < 2; side++) {
		mux_free(p->m[side]);
		vec_free(&p->wire[side].bytes);
	}
}

size_t mux_pair_pull(struct mux_pair *p, int side, size_t max)
{
	struct mux_wire *w = &p->wire[side];
	size_t n;

	if (p->m[side] == NULL)
		return 0;
	if (max < MUX_OUTPUT_MIN)
		max = MUX_OUTPUT_MIN;
	assert_int_equal(vec_reserve(&w->bytes, w->bytes.n + max), 0);
	n = mux_output(p->m[side], w->bytes.v + w->bytes.n, max, p->now_ns);
	w->bytes.n += n;
	return n;
}

ptrdiff_t mux_pair_carry(struct mux_pair *p, int side, size_t max)
{
	struct mux_wire *w = &p->wire[side];
	size_t left = w->bytes.n - w->off;
	ptrdiff_t n;

	if (left > max)
		left = max;
	if (left == 0 || p->m[!side] == NULL)
		return 0;
	n = mux_input(p->m[!side], w->bytes.v + w->off, left, p->now_ns);
	if (n > 0)
		w->off += (size_t)n;
	if (w->off > 1 << 20) {
		memmove(w->bytes.v, w->bytes.v + w->off, w->bytes.n - w->off);
		w->bytes.n -= w->off;
		w->off = 0;
	}
	return n;
}

void mux_pair_settle(struct mux_pair *p)
{
	bool moved;

	do {
		moved = false;
		for (int side = 0; side < 2; side++) {
			size_t cut = p->cut_max == 0 ? SIZE_MAX
						     : 1 + mux_random(&p->random) % p->cut_max;

			moved |= mux_pair_pull(p, side, MUX_PULL) > 0;
			moved |= mux_pair_carry(p, side, cut) > 0;
		}
	} while (moved);
}

unsigned mux_pair_events(struct mux_pair *p, int side, const struct mux_stream *s)
{
	struct mux_event ev;
	unsigned what = 0;

	while (mux_event(p->m[side], &ev))
		if (ev.stream == s)
			what |= ev.what;
	return what;
}

void mux_pattern_fill(uint8_t *p, size_t len, uint64_t from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = mux_pattern(from + i);
}
