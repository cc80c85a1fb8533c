// One reliable link with a hold, driven by hand: what the peer sends is written here, what the link
// sends is taken apart here. Handles are numbers.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/link/cc.h"
#include "lib/link/rel.h"
#include "lib/wire/rail.h"

#ifndef FX_N_ROUTES
#define FX_N_ROUTES 4096
#endif
enum { FX_ROUTES = FX_N_ROUTES, FX_SPARE = 256, FX_ITEMS = 512, FX_HANDLES = 1 << 16 };
#define MS 1000000ull
#define SEC 1000000000ull

struct fx {
	struct rel_hold *hold;
	struct rel *rel;
	struct rel *other; // link of another peer, NULL: none
	struct rel_queue *q;
	struct replay *replay;
	struct rel_route *routes;
	uint64_t now_ns;
	uint64_t counter; // of the peer
	uint16_t account;
	unsigned n_chunks;
	unsigned n_held, n_freed; // handles
	bool held[FX_HANDLES];
	uintptr_t next_handle;
	struct rel_item item[FX_ITEMS];
	struct rel_out out;
};

static void *fx_chunk_get(void *ctx)
{
	((struct fx *)ctx)->n_chunks++;
	return aligned_alloc(64, REL_CHUNK_LEN);
}

static void fx_chunk_put(void *ctx, void *chunk)
{
	((struct fx *)ctx)->n_chunks--;
	free(chunk);
}

static void *fx_handle(struct fx *f)
{
	uintptr_t h = ++f->next_handle;

	f->held[h % FX_HANDLES] = true;
	f->n_held++;
	return (void *)h;
}

static void fx_back(struct fx *f, const void *handle)
{
	bool *held = &f->held[(uintptr_t)handle % FX_HANDLES];

	assert_true(*held);
	*held = false;
	f->n_held--;
}

static void fx_free(void *ctx, void *const *handles, unsigned n)
{
	struct fx *f = ctx;

	f->n_freed += n;
	for (unsigned i = 0; i < n; i++)
		fx_back(f, handles[i]);
}

static void *fx_split(void *ctx, void *handle, uint32_t off, uint32_t len)
{
	return fx_handle(ctx);
}

static void fx_on_frame(void *ctx, void *link, const struct rail_frame *f)
{
}

static inline struct fx *fx_new_frames(uint32_t max_bufs, uint8_t max_frames)
{
	struct fx *f = calloc(1, sizeof(*f));
	struct rel_hold_conf hc = {.n_routes = FX_ROUTES + FX_SPARE,
		.spare_first = FX_ROUTES,
		.n_spare = FX_SPARE,
		.max_bufs = max_bufs,
		.n_accounts = 8,
		.seed = 5,
		.ctx = f,
		.chunk_get = fx_chunk_get,
		.chunk_put = fx_chunk_put,
		.free = fx_free,
		.split = fx_split};
	struct rel_conf rc = {.link = f,
		.window_log2 = REL_WINDOW_LOG2_MIN,
		.max_frames = max_frames,
		.room = 1400,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = cc_find("cubic"),
		.on_frame = fx_on_frame,
		.seed = 9};

	f->routes = aligned_alloc(64, hc.n_routes * sizeof(f->routes[0]));
	memset(f->routes, 0, hc.n_routes * sizeof(f->routes[0]));
	hc.routes = f->routes;
	f->hold = rel_hold_init(aligned_alloc(64, (rel_hold_mem_size(&hc) + 63) & ~63ul), &hc);
	f->account = (uint16_t)rel_hold_account_open(f->hold);
	f->replay = malloc(replay_size(REPLAY_BITS_DEFAULT));
	replay_init(f->replay, REPLAY_BITS_DEFAULT);
	rc.replay = f->replay;
	rc.account = f->account;
	f->now_ns = SEC;
	f->rel = rel_init(aligned_alloc(64, rel_mem_size(&rc)), f->hold, &rc, f->now_ns);
	f->q = rel_queue(f->rel);
	f->out.cap = FX_ITEMS;
	f->out.item = f->item;
	return f;
}

static inline struct fx *fx_new(uint32_t max_bufs)
{
	return fx_new_frames(max_bufs, 1);
}

// A second link on the same hold, with the same account.
static inline void fx_other(struct fx *f)
{
	struct rel_conf rc = {.link = &f->other,
		.account = f->account,
		.window_log2 = REL_WINDOW_LOG2_MIN + 3,
		.max_frames = 1,
		.room = 1400,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = cc_find("cubic"),
		.replay = f->replay,
		.on_frame = fx_on_frame,
		.seed = 10,
		.keepalive_ns = 30 * SEC,
		.silence_s = 3,
		.retransmit_limit = 4};

	f->other = rel_init(aligned_alloc(64, rel_mem_size(&rc)), f->hold, &rc, f->now_ns);
}

// Also: nothing leaked.
static inline void fx_end(struct fx *f)
{
	struct rel_event ev;

	for (unsigned i = 0; i < f->out.n; i++)
		fx_back(f, f->item[i].handle);
	rel_fini(f->rel);
	if (f->other != NULL)
		rel_fini(f->other);
	while (rel_hold_event(f->hold, &ev))
		;
	rel_hold_fini(f->hold);
	assert_int_equal(f->n_held, 0);
	assert_int_equal(f->n_chunks, 0);
	free(f->hold);
	free(f->rel);
	free(f->other);
	free(f->replay);
	free(f->routes);
	free(f);
}

// ---- the peer ----

static inline enum rel_verdict fx_rx_at(struct fx *f, struct rel *r, const struct bytes_w *w)
{
	struct rel_in in = {.frames = w->start,
		.len = (uint32_t)bytes_w_len(w),
		.counter = f->counter,
		.handle = fx_handle(f)};
	enum rel_verdict v = rel_rx(r, &in, &f->out, f->now_ns);

	if (v == REL_COMMIT)
		replay_commit(f->replay, f->counter);
	f->counter++;
	rel_rx_more(r, &f->out);
	return v;
}

static inline enum rel_verdict fx_rx(struct fx *f, const struct bytes_w *w)
{
	return fx_rx_at(f, f->rel, w);
}

static inline void fx_put_seq(
	struct bytes_w *w, uint32_t seq, uint32_t dist, uint32_t id, unsigned len)
{
	uint8_t packet[2048] = {0};
	struct rail_frame f = {
		.type = RAIL_SEQ, .seq = seq, .distance = dist, .data = packet, .len = len};

	route_hdr_put(packet, ROUTE_DATA, id, (uint16_t)(len - ROUTE_HDR_LEN));
	rail_frame_encode(w, &f);
}

static inline enum rel_verdict fx_rx_seq(struct fx *f, uint32_t seq, uint32_t dist, uint32_t id)
{
	uint8_t buf[128];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	fx_put_seq(&w, seq, dist, id, 20);
	return fx_rx(f, &w);
}

static inline enum rel_verdict fx_rx_frame(struct fx *f, const struct rail_frame *frame)
{
	uint8_t buf[2048];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	assert_int_equal(rail_frame_encode(&w, frame), 0);
	return fx_rx(f, &w);
}

static inline enum rel_verdict fx_rx_ack(struct fx *f, uint64_t hi, uint64_t lo, uint32_t next)
{
	struct rail_frame frame = {.type = RAIL_ACK,
		.ack = {.highest = hi, .first = (uint16_t)(hi - lo), .next_seq = next}};

	return fx_rx_frame(f, &frame);
}

// ---- the caller ----

static inline bool fx_push(struct fx *f, uint32_t route, uint32_t len, unsigned flags)
{
	struct rel_pkt p = {.handle = fx_handle(f), .len = len, .account = f->account, .bufs = 1};

	if (rel_queue_push(f->q, route, &p, flags, f->now_ns))
		return true;
	fx_back(f, p.handle);
	return false;
}

// The next datagram that is not an ACK alone, as its first frame that is no ACK.
static inline bool fx_next(struct fx *f, struct rel_dgram *d, struct rail_frame *first)
{
	static uint8_t flat[65536];

	while (rel_next(f->rel, d, f->now_ns)) {
		struct bytes_r r;
		uint32_t len = 0;

		memset(flat, 0, sizeof(flat));
		for (unsigned i = 0; i < d->n; i++) {
			const struct rel_piece *p = &d->piece[i];
			const uint8_t *hdr = &d->hdr[p->hdr_off];

			memcpy(flat + len, hdr, p->hdr_len);
			len += p->hdr_len;
			if (p->len >= ROUTE_HDR_LEN && hdr[0] == RAIL_SEQ)
				route_hdr_put(flat + len, 0, 0, (uint16_t)(p->len - ROUTE_HDR_LEN));
			len += p->len;
		}
		r = bytes_r(flat, len);
		while (rail_frame_next(&r, first) == 0)
			if (first->type != RAIL_ACK)
				return true;
	}
	return false;
}

// All that may leave now; returns how many datagrams that are not ACKs alone.
static inline unsigned fx_flush(struct fx *f)
{
	struct rail_frame frame;
	struct rel_dgram d;
	unsigned n = 0;

	while (fx_next(f, &d, &frame))
		n++;
	return n;
}

static inline bool fx_event(struct fx *f, enum rel_event_kind kind, struct rel_event *ev)
{
	while (rel_hold_event(f->hold, ev))
		if (ev->kind == kind)
			return true;
	return false;
}

static inline struct rel_stats fx_stats(const struct fx *f)
{
	struct rel_stats st;

	rel_stats(f->rel, &st);
	return st;
}
