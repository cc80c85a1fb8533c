// A hostile peer that holds the keys, and a caller that does everything at odd moments. Steps of
// the input: frames (made of small numbers, so that they meet, or raw bytes), pushes, ends, pauses,
// time. Every handle comes back exactly once, the budget holds, memory is bounded, a link that was
// closed for a protocol error works again after a reset.
#include <string.h>

#include "lib/link/cc.h"
#include "lib/link/rel_run.h"
#include "lib/wire/rail.h"
#include "tests/fuzz/fuzz.h"

enum {
	HANDLES = 8192,
	ROUTES = 16,
	SPARE = 32,
	BUFS = 256,
	CHUNKS = 256,
	STEPS = 3000,
	DGRAM_MAX = 600,
	SLACK = 64, // between two looks at the events
};

struct world {
	struct rel_hold *hold;
	struct rel *rel;
	struct rel_queue *q;
	struct replay *replay;
	const uint8_t *p, *end; // input
	uint64_t now_ns, counter;
	unsigned n_handles, n_out, n_chunks;
	bool out[HANDLES]; // held by the link
	uint16_t account;
};

static struct world w;
static struct rel_route routes[ROUTES + SPARE] __attribute__((aligned(64)));
static uint8_t hold_mem[1 << 16] __attribute__((aligned(64)));
static uint8_t rel_mem[1 << 17] __attribute__((aligned(64)));
static uint64_t replay_mem[256];
static uint8_t chunks[CHUNKS][REL_CHUNK_LEN] __attribute__((aligned(64)));
static void *chunk_list[CHUNKS];

static void *chunk_get(void *ctx)
{
	return w.n_chunks == CHUNKS ? NULL : chunk_list[w.n_chunks++];
}

static void chunk_put(void *ctx, void *chunk)
{
	fuzz_check(w.n_chunks > 0);
	memset(chunk, 0xa5, REL_CHUNK_LEN); // nobody may look at it any more
	chunk_list[--w.n_chunks] = chunk;
}

static void *handle_new(void)
{
	if (w.n_handles == HANDLES)
		return NULL;
	w.out[w.n_handles] = true;
	w.n_out++;
	return &w.out[w.n_handles++];
}

static void handle_back(void *handle)
{
	bool *h = handle;

	fuzz_check(h >= w.out && h < w.out + w.n_handles && *h);
	*h = false;
	w.n_out--;
}

static void handles_free(void *ctx, void *const *handles, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		handle_back(handles[i]);
}

static void *split(void *ctx, void *handle, uint32_t off, uint32_t len)
{
	fuzz_check(*(bool *)handle && off + len <= DGRAM_MAX);
	return handle_new();
}

static void on_frame(void *ctx, void *link, const struct rail_frame *f)
{
	fuzz_check(f->type == RAIL_REKEY || f->type == RAIL_CLOSE || f->type == RAIL_NOTICE);
}

static void world_make(void)
{
	struct rel_hold_conf hc = {.routes = routes,
		.n_routes = ROUTES + SPARE,
		.spare_first = ROUTES,
		.n_spare = SPARE,
		.max_bufs = BUFS,
		.n_accounts = 2,
		.seed = 1,
		.chunk_get = chunk_get,
		.chunk_put = chunk_put,
		.free = handles_free,
		.split = split};
	struct rel_conf rc = {.link = &w,
		.window_log2 = 12,
		.max_frames = 4,
		.room = 300,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = cc_find("bbr"),
		.on_frame = on_frame,
		.seed = 3};

	memset(&w, 0, sizeof(w));
	memset(routes, 0, sizeof(routes));
	for (unsigned i = 0; i < CHUNKS; i++)
		chunk_list[i] = chunks[i];
	fuzz_check(rel_hold_mem_size(&hc) <= sizeof(hold_mem) &&
		   replay_size(8192) <= sizeof(replay_mem));
	w.hold = rel_hold_init(hold_mem, &hc);
	w.account = (uint16_t)rel_hold_account_open(w.hold);
	w.replay = (struct replay *)replay_mem;
	replay_init(w.replay, 8192);
	rc.replay = w.replay;
	rc.account = w.account;
	fuzz_check(rel_mem_size(&rc) <= sizeof(rel_mem));
	w.now_ns = 1000;
	w.rel = rel_init(rel_mem, w.hold, &rc, w.now_ns);
	w.q = rel_queue(w.rel);
}

static uint8_t take(void)
{
	return w.p < w.end ? *w.p++ : 0;
}

// ---- the peer ----

static void put_packet(struct bytes_w *b, unsigned len)
{
	uint8_t *p = bytes_w_span(b, ROUTE_HDR_LEN + len);

	if (p == NULL)
		return;
	memset(p, 0, ROUTE_HDR_LEN + len);
	route_hdr_put(p, ROUTE_DATA, take() % 8, (uint16_t)len);
}

static void put_frame(struct bytes_w *b)
{
	static const uint8_t bytes[256];
	uint8_t kind = take(), n = take();
	struct rail_frame f = {
		.seq = take(), .distance = take(), .route_id = n % 8, .limit_s = n, .code = n};

	switch (kind % 10) {
	case 0:
	case 1:
		bytes_w_u8(b, RAIL_SEQ);
		bytes_w_u32(b, f.seq);
		bytes_w_be(b, f.distance % 8, 3);
		put_packet(b, n % 32);
		return;
	case 2:
		f.type = RAIL_PART;
		f.total = 40;
		f.offset = n % 40;
		f.len = 1 + take() % (40 - f.offset);
		f.data = bytes;
		f.distance %= 8;
		break;
	case 3:
		f.type = RAIL_ACK;
		f.ack.highest = n;
		f.ack.first = n > 0 ? (uint16_t)(f.distance % n) : 0;
		f.ack.next_seq = f.seq;
		break;
	case 4:
		f.type = RAIL_EMPTY;
		break;
	case 5:
		f.type = kind & 0x80 ? RAIL_PAUSE : RAIL_RESUME;
		f.distance %= 8;
		break;
	case 6:
		f.type = RAIL_GONE;
		f.distance %= 8;
		break;
	case 7:
		f.type = RAIL_PROBE;
		break;
	default: // raw
		for (unsigned i = 0; i < n % 32u; i++)
			bytes_w_u8(b, take());
		return;
	}
	rail_frame_encode(b, &f);
}

static void give_back(struct rel_out *out)
{
	for (unsigned i = 0; i < out->n; i++)
		handle_back(out->item[i].handle);
	fuzz_check(out->n == 0 || !out->item[out->n - 1].more);
	out->n = 0;
}

static void reset(void)
{
	rel_reset(w.rel, w.now_ns);
	replay_init(w.replay, 8192);
	w.counter = 0;
}

static void peer_sends(void)
{
	struct rel_item items[REL_SEGS_MAX];
	struct rel_out out = {.cap = REL_SEGS_MAX, .item = items};
	uint8_t frames[DGRAM_MAX];
	struct bytes_w b = bytes_w(frames, sizeof(frames));
	struct rel_in in = {.frames = frames, .counter = w.counter};
	enum rel_verdict v;

	for (unsigned n = 1 + take() % 6; n > 0; n--)
		put_frame(&b);
	in.len = (uint32_t)bytes_w_len(&b);
	in.handle = handle_new();
	if (in.handle == NULL)
		return;
	v = REL_COMMIT;
	if (w.counter % 2 != 0 &&
		rel_rx_run(w.rel, &in.frames, &in.len, 1, in.counter, w.now_ns) == 1)
		handle_back(in.handle);
	else
		v = rel_rx(w.rel, &in, &out, w.now_ns);
	if (v == REL_COMMIT)
		replay_commit(w.replay, w.counter);
	w.counter += 1 + take() % 3;
	give_back(&out);
	while (rel_rx_more(w.rel, &out) || out.n > 0)
		give_back(&out);
	if (v != REL_COMMIT && v != REL_NO_ROOM && (take() & 1))
		reset();
}

// ---- the caller ----

static void we_push(void)
{
	unsigned i = take() % ROUTES, n = 1 + take() % 8;

	if (!rel_queue_is_open(w.q, i))
		rel_queue_open(w.q, i, i);
	for (; n > 0; n--) {
		struct rel_pkt p = {.len = 7 + take() * 4u, .account = w.account, .bufs = 1};
		unsigned flags = take() % 8 == 0 ? REL_PUSH_KEEP_ALIVE : 0;

		p.handle = handle_new();
		if (p.handle != NULL && !rel_queue_push(w.q, i, &p, flags, w.now_ns))
			handle_back(p.handle);
	}
}

static void end_route(unsigned i)
{
	struct rel_pkt p = {.handle = handle_new(), .len = 8, .account = w.account, .bufs = 1};

	rel_queue_abort(w.q, i, RAIL_GONE_RULE, w.now_ns);
	if (p.handle != NULL && !rel_queue_push(w.q, i, &p, REL_PUSH_LAST, w.now_ns))
		handle_back(p.handle);
	rel_queue_drain(w.q, i);
}

static void we_do(void)
{
	unsigned what = take(), i = take() % ROUTES;

	switch (what % 10) {
	case 0:
		end_route(i);
		break;
	case 1:
		rel_queue_drain(w.q, i);
		break;
	case 2:
		rel_pause(w.rel, i, take(), w.now_ns);
		break;
	case 3:
		rel_resume(w.rel, i, w.now_ns);
		break;
	case 4:
		rel_ingress_close(w.rel, i, 1, w.now_ns);
		break;
	case 5:
		rel_unknown_id(w.rel, i, w.now_ns);
		break;
	case 6:
		rel_set_room(w.rel, 64 + take() * 4u);
		break;
	case 7:
		rel_probe(w.rel, i, take() * 4u, w.now_ns);
		break;
	case 8:
		rel_queue_restart(w.q, i, RAIL_GONE_RULE, w.now_ns);
		break;
	default:
		reset();
		break;
	}
}

static void we_send_run(unsigned n)
{
	struct rel_sent sent[REL_RUN_MAX];
	uint64_t counter;

	n = rel_next_run(w.rel, sent, n, &counter, w.now_ns);
	for (unsigned i = 0; i < n; i++) {
		fuzz_check(*(const bool *)sent[i].handle);
		fuzz_check(sent[i].hdr[0] == RAIL_SEQ && sent[i].len >= ROUTE_HDR_LEN);
	}
}

static void we_send(void)
{
	struct rel_dgram d;
	unsigned n = 1 + take() % 32;

	if (w.counter % 2 != 0)
		we_send_run(n);
	while (n-- > 0 && rel_next(w.rel, &d, w.now_ns)) {
		uint32_t len = d.pad;

		fuzz_check(d.n <= REL_PIECES_MAX && d.hdr_len <= REL_HDR_MAX);
		for (unsigned i = 0; i < d.n; i++) {
			const struct rel_piece *p = &d.piece[i];

			fuzz_check(p->hdr_off + p->hdr_len <= d.hdr_len);
			fuzz_check(p->len == 0 || *(const bool *)p->handle);
			len += p->hdr_len + p->len;
		}
		fuzz_check(len == d.len);
	}
}

static void look(void)
{
	struct rel_hold_stats st;
	struct rel_event ev;

	while (rel_hold_event(w.hold, &ev))
		if (ev.kind == REL_EV_CLOSE || ev.kind == REL_EV_GONE)
			end_route(ev.route);
		else if (ev.kind == REL_EV_CLOSE_IN)
			rel_ingress_close(w.rel, ev.route_id, ev.reason, w.now_ns);
	rel_hold_stats(w.hold, &st);
	fuzz_check(st.bufs <= BUFS + SLACK && st.bufs <= w.n_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world_make();
	w.p = data;
	w.end = data + size;
	for (unsigned i = 0; w.p < w.end && i < STEPS; i++) {
		switch (take() % 8) {
		case 0:
		case 1:
		case 2:
			peer_sends();
			break;
		case 3:
			we_push();
			break;
		case 4:
			we_do();
			break;
		case 5:
			w.now_ns += (uint64_t)take() * take() * 100000;
			rel_tick(w.rel, w.now_ns);
			rel_hold_tick(w.hold, w.now_ns);
			break;
		default:
			we_send();
			break;
		}
		look();
	}
	rel_fini(w.rel);
	look();
	fuzz_check(w.n_out == 0);
	rel_hold_fini(w.hold);
	fuzz_check(w.n_chunks == 0);
	return 0;
}
