// Wires and the ends of links of the simulated world. A datagram is bytes and a counter; sealing is
// left out, so one that would fail its tag is simply lost.
#include <stdlib.h>

#include "tests/support/rel_sim_priv.h"

enum { REPLAY_BITS = 8192, UDP_OVERHEAD = 42, TAG_MTU = 1 << 24, TAG_BESIDE = 2 << 24 };

static void on_frame(void *ctx, void *link, const struct rail_frame *f)
{
	struct node *n = ctx;

	sim_fail(n->s, "frame %s out of nowhere", rail_frame_name(f->type));
}

// ---- path MTU, as the data plane looks for it ----

static void mtu_begin(struct sim *s, struct end *e)
{
	if (s->c.find_max != 0)
		pmtu_init(&e->mtu, (uint16_t)s->c.room, (uint16_t)s->c.find_max, s->now);
}

static void mtu_take(struct sim *s, struct end *e, uint16_t before)
{
	if (e->mtu.state == PMTU_ERROR) // by a run of bad luck
		mtu_begin(s, e);
	if (e->mtu.mtu != before)
		rel_set_room(e->rel, e->mtu.mtu);
}

void sim_link_mtu(struct sim *s, struct end *e)
{
	uint16_t before = e->mtu.mtu, size;
	struct rel_path path = rel_path(e->rel);
	struct rel_stats st;

	rel_stats(e->rel, &st);
	if (path.large_lost >= 4 || path.pto_count >= 2)
		pmtu_suspect(&e->mtu, s->now);
	size = pmtu_next(&e->mtu, 4 * st.srtt_ns + 100000000, s->now);
	s->res->black_holes += e->mtu.mtu < before;
	mtu_take(s, e, before);
	if (size == 0 || !rel_probe(e->rel, TAG_MTU | size, size, s->now))
		return;
	e->mtu_tag = TAG_MTU | size;
	rel_probe(e->rel, TAG_BESIDE, size > e->mtu.floor ? e->mtu.floor : 0, s->now);
	s->res->mtu_probes++;
}

void sim_link_probed(struct sim *s, struct end *e, const struct rel_event *ev)
{
	uint16_t before = e->mtu.mtu;

	if ((ev->tag & TAG_MTU) == 0)
		return;
	if (ev->ok)
		pmtu_acked(&e->mtu, (uint16_t)ev->tag, s->now);
	else if (ev->tag == e->mtu_tag)
		pmtu_lost(&e->mtu, s->now);
	s->res->black_holes += e->mtu.mtu < before;
	mtu_take(s, e, before);
}

static void end_make(struct sim *s, struct link *l, unsigned side, struct node *n)
{
	struct end *e = &l->end[side];
	struct rel_conf conf = {.link = e,
		.window_log2 = s->c.window_log2,
		.max_frames = s->c.max_frames,
		.room = s->c.room,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = cc_find(l == &s->link[1] && s->c.cc_other != NULL ? s->c.cc_other : s->c.cc),
		.on_frame = on_frame,
		.seed = sim_random(s)};

	e->link = l;
	e->node = n;
	e->side = side;
	e->replay = malloc(replay_size(REPLAY_BITS));
	replay_init(e->replay, REPLAY_BITS);
	conf.replay = e->replay;
	for (unsigned i = 0; i < HOLDS; i++)
		e->account[i] = (uint16_t)rel_hold_account_open(n->hold[i]);
	conf.account = e->account[0];
	e->rel = rel_init(aligned_alloc(64, rel_mem_size(&conf)), n->hold[0], &conf, s->now);
	e->armed_ns = UINT64_MAX;
	mtu_begin(s, e);
}

void sim_link_make(struct sim *s, struct link *l, struct node *a, struct node *b)
{
	l->mtu = s->c.room;
	l->wire[0].c = s->c.there;
	l->wire[1].c = s->c.back;
	end_make(s, l, 0, a);
	end_make(s, l, 1, b);
}

static void collect(struct sim *s, const struct rel *r)
{
	struct rel_stats st;

	rel_stats(r, &st);
	s->res->datagrams += st.tx_datagrams;
	s->res->lost += st.tx_lost;
	s->res->rtx += st.tx_rtx;
	s->res->pto += st.tx_pto;
	s->res->held += st.rx_held;
	s->res->joined += st.rx_joined;
	s->res->no_room += st.rx_no_room;
	s->res->spurious += st.tx_spurious;
	s->res->empties += st.tx_empty;
}

void sim_link_free(struct sim *s, struct link *l)
{
	for (unsigned i = 0; i < 2; i++) {
		collect(s, l->end[i].rel);
		rel_fini(l->end[i].rel);
		free(l->end[i].rel);
		free(l->end[i].replay);
	}
}

// ---- out ----

static struct dgram *build(struct end *e, const struct rel_dgram *d)
{
	struct dgram *g = malloc(sizeof(*g) + d->len);
	uint8_t *p = g->b;

	g->to = &e->link->end[!e->side];
	g->epoch = e->link->epoch;
	g->counter = d->counter;
	g->len = d->len;
	for (unsigned i = 0; i < d->n; i++) {
		const struct rel_piece *piece = &d->piece[i];
		const struct buf *b = piece->handle;

		memcpy(p, d->hdr + piece->hdr_off, piece->hdr_len);
		p += piece->hdr_len;
		if (piece->len > 0)
			memcpy(p, b->b + piece->off, piece->len);
		p += piece->len;
	}
	memset(p, 0, d->pad);
	return g;
}

// One of those that are to be lost. PAUSE and RESUME never share a datagram with route frames.
static bool is_ctl_dropped(struct sim *s, const struct dgram *g)
{
	uint64_t n;

	if (g->len == 0 || (g->b[0] != RAIL_PAUSE && g->b[0] != RAIL_RESUME))
		return false;
	n = s->res->ctl_sent++;
	if (n >= 64 || (s->c.drop_ctl >> n & 1) == 0)
		return false;
	s->res->ctl_lost++;
	return true;
}

static bool is_dropped(struct sim *s, struct end *e, struct wire *w, uint32_t len)
{
	const struct sim_wire_conf *c = &w->c;

	if (len > e->link->mtu)
		return true;
	if (s->now >= c->dark_ns && s->now - c->dark_ns < c->dark_len_ns)
		return true;
	if (w->burst > 0) {
		w->burst--;
		return true;
	}
	if (sim_chance(s, c->burst_ppm))
		w->burst = 1 + (unsigned)(sim_random(s) % 20);
	return sim_chance(s, c->loss_ppm);
}

static void carry(struct sim *s, struct end *e, struct dgram *g)
{
	struct wire *w = &e->link->wire[e->side];
	const struct sim_wire_conf *c = &w->c;
	uint64_t at = s->now, wait;
	struct dgram *twin;

	if (is_ctl_dropped(s, g) || is_dropped(s, e, w, g->len)) {
		free(g);
		return;
	}
	if (c->rate_Bps != 0) {
		uint64_t bytes = g->len + RAIL_DATA_OVERHEAD + UDP_OVERHEAD;

		if (s->c.one_bottleneck)
			w = &s->link[0].wire[e->side];
		wait = w->free_ns > at ? w->free_ns - at : 0;
		if (wait > c->queue_bytes * 1000000000ull / c->rate_Bps) {
			free(g);
			return;
		}
		if (s->now >= s->c.warm_ns) {
			s->res->queue_sum_ns += wait;
			s->res->queue_n++;
			if (wait > s->res->queue_max_ns)
				s->res->queue_max_ns = wait;
		}
		w->free_ns = at + wait + bytes * 1000000000ull / c->rate_Bps;
		at = w->free_ns;
	}
	at += c->delay_ns + (c->jitter_ns == 0 ? 0 : sim_random(s) % c->jitter_ns);
	if (sim_chance(s, c->reorder_ppm))
		at += sim_random(s) % (c->delay_ns + 1000);
	sim_at(s, at, EV_DGRAM, g);
	if (sim_chance(s, c->dup_ppm)) {
		twin = malloc(sizeof(*g) + g->len);
		memcpy(twin, g, sizeof(*g) + g->len);
		sim_at(s, at + sim_random(s) % (c->delay_ns + 1000), EV_DGRAM, twin);
	}
}

static unsigned flush_run(struct sim *s, struct end *e)
{
	struct rel_sent sent[REL_RUN_MAX];
	unsigned max = 1 + (unsigned)(s->now % REL_RUN_MAX), n;
	uint64_t counter = 0;

	n = s->c.runs ? rel_next_run(e->rel, sent, max, &counter, s->now) : 0;
	for (unsigned i = 0; i < n; i++) {
		struct rel_dgram d = {.counter = counter + i,
			.len = RAIL_SEQ_HDR_LEN + sent[i].len,
			.n = 1,
			.piece = {{.handle = sent[i].handle,
				.len = sent[i].len,
				.hdr_len = RAIL_SEQ_HDR_LEN}}};

		memcpy(d.hdr, sent[i].hdr, RAIL_SEQ_HDR_LEN);
		carry(s, e, build(e, &d));
	}
	return n;
}

void sim_link_flush(struct sim *s, struct end *e)
{
	struct rel_dgram d;
	uint64_t at;

	for (;;) {
		if (flush_run(s, e) != 0)
			continue;
		if (!rel_next(e->rel, &d, s->now))
			break;
		carry(s, e, build(e, &d));
	}
	at = rel_deadline(e->rel);
	if (at < s->now)
		at = s->now;
	if (at == s->now)
		at++; // nothing more was sent now: by the next moment things must have changed
	if (at < e->armed_ns) {
		e->armed_ns = at;
		sim_at(s, at, EV_TIMER, e);
	}
}

// ---- in ----

// A released packet as one buffer.
static void deliver(struct sim *s, struct end *e, struct rel_out *out)
{
	unsigned i = 0, first;
	uint32_t len, at;
	struct buf *b;

	while (i < out->n) {
		first = i;
		len = 0;
		do
			len += out->item[i].len;
		while (out->item[i++].more);
		b = sim_buf(s, len);
		at = 0;
		for (unsigned k = first; k < i; k++) {
			struct buf *from = out->item[k].handle;

			memcpy(b->b + at, from->b + out->item[k].off, out->item[k].len);
			at += out->item[k].len;
			sim_buf_free(s, from);
		}
		sim_node_forward(s, e->node, e, b);
	}
	out->n = 0;
	sim_node_events(s, e->node);
}

static bool rx_run(struct sim *s, struct end *e, const struct rel_in *in, struct rel_out *out)
{
	if (!s->c.runs || rel_rx_run(e->rel, &in->frames, &in->len, 1, in->counter, s->now) == 0)
		return false;
	out->item[out->n++] = (struct rel_item){
		.handle = in->handle, .off = RAIL_SEQ_HDR_LEN, .len = in->len - RAIL_SEQ_HDR_LEN};
	return true;
}

void sim_link_rx(struct sim *s, struct dgram *d)
{
	struct rel_item items[OUT_CAP];
	struct rel_out out = {.cap = OUT_CAP, .item = items};
	struct end *e = d->to;
	struct rel_in in;
	struct buf *b;
	enum rel_verdict v;

	if (d->epoch != e->link->epoch || !replay_check(e->replay, d->counter))
		return;
	b = sim_buf(s, d->len);
	memcpy(b->b, d->b, d->len);
	in = (struct rel_in){.frames = b->b, .len = d->len, .counter = d->counter, .handle = b};
	v = rx_run(s, e, &in, &out) ? REL_COMMIT : rel_rx(e->rel, &in, &out, s->now);
	if (v == REL_COMMIT)
		replay_commit(e->replay, d->counter);
	else if (v != REL_NO_ROOM)
		sim_fail(s, "node %u: link closed with verdict %d", e->node->i, v);
	deliver(s, e, &out);
	while (rel_rx_more(e->rel, &out) || out.n > 0)
		deliver(s, e, &out);
}

void sim_link_reset(struct sim *s, struct link *l)
{
	l->epoch++;
	for (unsigned side = 0; side < 2; side++) {
		struct end *e = &l->end[side];
		struct node *n = e->node;

		rel_reset(e->rel, s->now);
		mtu_begin(s, e);
		if (s->c.find_max != 0)
			rel_set_room(e->rel, s->c.room);
		replay_init(e->replay, REPLAY_BITS);
		for (unsigned i = 0; i < n->n_rules; i++) {
			struct rule *r = &n->rule[i];

			if (r->open && (r->in == e || r->out == e))
				sim_node_end_rule(s, n, r, RAIL_GONE_RESET, r->in != e);
		}
	}
	for (unsigned side = 0; side < 2; side++)
		sim_node_turn(s, l->end[side].node);
}
