// Time, chance and judgement of the simulated world.
#include "tests/support/rel_sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/rel_sim_priv.h"

#define MS 1000000ull
#define S 1000000000ull

uint64_t sim_random(struct sim *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random * 0x2545f4914f6cdd1dull >> 11;
}

bool sim_chance(struct sim *s, uint32_t ppm)
{
	return ppm != 0 && sim_random(s) % 1000000 < ppm;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (s->bad)
		return;
	s->bad = true;
	n = snprintf(s->res->why, sizeof(s->res->why), "%.6f s: ", (double)s->now / 1e9);
	va_start(ap, fmt);
	vsnprintf(s->res->why + n, sizeof(s->res->why) - (size_t)n, fmt, ap);
	va_end(ap);
}

struct buf *sim_buf(struct sim *s, uint32_t len)
{
	struct buf *b = malloc(sizeof(*b) + len);

	b->len = len;
	s->n_bufs++;
	return b;
}

void sim_buf_free(struct sim *s, struct buf *b)
{
	s->n_bufs--;
	free(b);
}

// ---- events, first come first served among those of one moment ----

static bool is_before(const struct event *a, const struct event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->order < b->order;
}

void sim_at(struct sim *s, uint64_t ns, enum ev_kind kind, void *p)
{
	struct event e = {.ns = ns, .order = s->order++, .kind = kind, .p = p};
	size_t i = s->n_heap++;

	if (s->n_heap > s->cap_heap) {
		s->cap_heap = s->cap_heap == 0 ? 1024 : 2 * s->cap_heap;
		s->heap = realloc(s->heap, s->cap_heap * sizeof(s->heap[0]));
	}
	for (; i > 0 && is_before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
}

static struct event next_event(struct sim *s)
{
	struct event first = s->heap[0], last = s->heap[--s->n_heap];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < s->n_heap) {
		if (k + 1 < s->n_heap && is_before(&s->heap[k + 1], &s->heap[k]))
			k++;
		if (is_before(&last, &s->heap[k]))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	s->heap[i] = last;
	return first;
}

// ---- the world ----

static struct end *end_between(struct sim *s, struct node *a, struct node *b)
{
	for (unsigned i = 0; i < s->n_links; i++)
		for (unsigned side = 0; side < 2; side++)
			if (s->link[i].end[side].node == a && s->link[i].end[!side].node == b)
				return &s->link[i].end[side];
	return NULL;
}

static void route_make(struct sim *s, unsigned k)
{
	struct sroute *rt = &s->route[k];
	unsigned n = s->c.n_nodes, first = 0;
	bool up = true;

	rt->n = s->c.route_per_wire ? 2 : n;
	if (s->c.ring || s->c.route_per_wire) {
		first = k % n;
		rt->n = s->c.ring && n > 2 ? n / 2 + 2 : rt->n;
		rt->n = rt->n > n ? n : rt->n;
		if (!s->c.ring && first == n - 1)
			first = 0;
	} else if (!s->c.one_way && k % 2 != 0 && sim_chance(s, 500000)) {
		up = false;
		first = n - 1;
	}
	for (unsigned i = 0; i < rt->n; i++) {
		unsigned at = up ? (first + i) % n : first - i;
		struct node *here = &s->node[at];
		struct rule *r = &here->rule[here->n_rules++];

		rt->node[i] = here;
		rt->rule[i] = r;
		*r = (struct rule){.route = k, .pos = i, .open = true};
		r->id = (uint32_t)(sim_random(s) & 0xffff) << 16 | here->n_rules;
	}
	for (unsigned i = 0; i < rt->n; i++) {
		struct rule *r = rt->rule[i];
		struct rel_queue *q = rt->node[i]->sink[0];

		if (i > 0)
			r->in = end_between(s, rt->node[i], rt->node[i - 1]);
		if (i + 1 < rt->n) {
			r->out = end_between(s, rt->node[i], rt->node[i + 1]);
			r->next_id = rt->rule[i + 1]->id;
			q = rel_queue(r->out->rel);
		}
		if (rel_queue_open(q, (uint32_t)(r - rt->node[i]->rule), r->next_id) < 0)
			sim_fail(s, "route %u does not open", k);
	}
	rt->next_ns = k * s->c.start_gap_ns;
	sim_at(s, rt->next_ns, EV_WAKE, rt->node[0]);
}

static void world_make(struct sim *s)
{
	s->random = s->c.seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < 8; i++)
		sim_random(s);
	for (unsigned i = 0; i < s->c.n_nodes; i++)
		sim_node_make(s, i);
	s->n_links = s->c.n_nodes - (s->c.ring ? 0 : 1);
	for (unsigned i = 0; i < s->n_links; i++)
		sim_link_make(s, &s->link[i], &s->node[i], &s->node[(i + 1) % s->c.n_nodes]);
	for (unsigned k = 0; k < s->c.n_routes; k++)
		route_make(s, k);
	for (unsigned i = 0; i < s->c.n_nodes; i++)
		sim_at(s, REL_TICK_NS, EV_TICK, &s->node[i]);
	if (s->c.stop_nth != 0)
		sim_at(s, s->c.stop_ns, EV_STOP, NULL);
	if (s->c.stop_nth != 0 && s->c.stop_len_ns != 0)
		sim_at(s, s->c.stop_ns + s->c.stop_len_ns, EV_GO, NULL);
	if (s->c.abort_ns != 0)
		sim_at(s, s->c.abort_ns, EV_ABORT, NULL);
	if (s->c.reset_ns != 0)
		sim_at(s, s->c.reset_ns, EV_RESET, &s->link[sim_random(s) % s->n_links]);
	if (s->c.shrink_ns != 0)
		sim_at(s, s->c.shrink_ns, EV_SHRINK, NULL);
	for (size_t i = 0; i < ARRAY_LEN(s->c.path); i++)
		if (s->c.path[i].carries != 0)
			sim_at(s, s->c.path[i].ns, EV_PATH, &s->c.path[i].carries);
	if (s->c.move_gap_ns != 0)
		sim_at(s, s->c.move_gap_ns, EV_MOVE, NULL);
}

static void set_readers(struct sim *s, bool stop)
{
	for (unsigned k = 0; k < s->c.n_routes; k++) {
		struct sroute *rt = &s->route[k];
		struct rule *r = rt->rule[rt->n - 1];
		struct node *n = rt->node[rt->n - 1];

		if (k % s->c.stop_nth != 0)
			continue;
		rt->stopped = stop;
		if (stop)
			rel_queue_pause(sim_node_sink(n, r), (uint32_t)(r - n->rule),
				s->c.stop_limit_s, s->now);
		else
			rel_queue_resume(sim_node_sink(n, r), (uint32_t)(r - n->rule), s->now);
		sim_node_turn(s, n);
	}
}

static void on_abort(struct sim *s)
{
	struct sroute *rt = &s->route[sim_random(s) % s->c.n_routes];
	unsigned at = (unsigned)(sim_random(s) % rt->n);

	sim_node_end_rule(s, rt->node[at], rt->rule[at], RAIL_GONE_RULE, true);
	sim_node_turn(s, rt->node[at]);
}

// The wire carries less at once; the ends know it later.
static void on_shrink(struct sim *s)
{
	for (unsigned i = 0; i < s->n_links; i++) {
		bool known = s->link[i].mtu == s->c.small_room;

		s->link[i].mtu = s->c.small_room;
		for (unsigned side = 0; known && side < 2; side++) {
			rel_set_room(s->link[i].end[side].rel, s->c.small_room);
			sim_node_turn(s, s->link[i].end[side].node);
		}
		if (!known && i == 0)
			sim_at(s, s->now + 700 * MS, EV_SHRINK, NULL);
	}
}

static void search(struct sim *s, const struct node *n)
{
	for (unsigned i = 0; s->c.find_max != 0 && i < s->n_links; i++)
		for (unsigned side = 0; side < 2; side++)
			if (s->link[i].end[side].node == n)
				sim_link_mtu(s, &s->link[i].end[side]);
}

static void happen(struct sim *s, const struct event *ev)
{
	struct end *e = ev->p;
	struct node *n = ev->p;
	struct dgram *d = ev->p;

	switch (ev->kind) {
	case EV_DGRAM:
		n = d->to->node;
		sim_link_rx(s, d);
		free(d);
		sim_node_turn(s, n);
		break;
	case EV_TIMER:
		if (ev->ns != e->armed_ns)
			break;
		e->armed_ns = UINT64_MAX;
		rel_tick(e->rel, s->now);
		sim_node_turn(s, e->node);
		break;
	case EV_TICK:
		for (unsigned i = 0; i < HOLDS; i++)
			rel_hold_tick(n->hold[i], s->now);
		search(s, n);
		sim_at(s, s->now + REL_TICK_NS, EV_TICK, n);
		sim_node_turn(s, n);
		break;
	case EV_WAKE:
		sim_node_turn(s, n);
		break;
	case EV_STOP:
	case EV_GO:
		set_readers(s, ev->kind == EV_STOP);
		break;
	case EV_ABORT:
		on_abort(s);
		break;
	case EV_RESET:
		sim_link_reset(s, ev->p);
		break;
	case EV_SHRINK:
		on_shrink(s);
		break;
	case EV_PATH:
		for (unsigned i = 0; i < s->n_links; i++)
			s->link[i].mtu = *(const uint32_t *)ev->p;
		break;
	case EV_MOVE:
		e = &s->link[sim_random(s) % s->n_links].end[sim_random(s) % 2];
		sim_node_move(s, e);
		sim_node_turn(s, e->node);
		sim_at(s, s->now + s->c.move_gap_ns, EV_MOVE, NULL);
		break;
	}
}

// ---- judgement ----

static bool route_is_over(const struct sroute *rt)
{
	for (unsigned i = 0; i < rt->n; i++)
		if (rt->rule[i]->open)
			return false;
	return true;
}

static bool all_is_over(const struct sim *s)
{
	for (unsigned k = 0; k < s->c.n_routes; k++)
		if (!route_is_over(&s->route[k]))
			return false;
	return true;
}

static void judge(struct sim *s)
{
	for (unsigned k = 0; k < s->c.n_routes && !s->bad; k++) {
		struct sroute *rt = &s->route[k];
		bool whole = rt->ended && rt->rx_reason == 0 && rt->got == s->c.packets;
		unsigned with_reason = 0;

		for (unsigned i = 0; i < rt->n; i++)
			with_reason += rt->rule[i]->reason != 0;
		if (whole)
			s->res->completed++;
		else
			s->res->closed++;
		if (s->c.limit_ns != 0 && s->c.warm_ns == 0 && !route_is_over(rt)) {
			sim_fail(s, "route %u is not over: sent %lu got %lu of %lu%s%s", k,
				(unsigned long)rt->sent, (unsigned long)rt->got,
				(unsigned long)s->c.packets, rt->paused ? " paused" : "",
				rt->stopped ? " stopped" : "");
			for (unsigned i = 0; i < rt->n; i++)
				if (rt->rule[i]->open) {
					size_t at = strlen(s->res->why);
					snprintf(s->res->why + at, sizeof(s->res->why) - at,
						" [%u]", i);
				}
		} else if (!whole && s->c.warm_ns == 0 && with_reason == 0) {
			sim_fail(s, "route %u ended without a reason", k);
		}
	}
}

static void world_free(struct sim *s)
{
	struct rel_event ev;

	while (s->n_heap > 0) {
		struct event e = next_event(s);

		if (e.kind == EV_DGRAM)
			free(e.p);
	}
	free(s->heap);
	for (unsigned i = 0; i < s->n_links; i++)
		sim_link_free(s, &s->link[i]);
	for (unsigned i = 0; i < s->c.n_nodes; i++) {
		for (unsigned k = 0; k < HOLDS; k++)
			while (rel_hold_event(s->node[i].hold[k], &ev))
				;
		sim_node_free(s, &s->node[i]);
	}
	if (s->n_bufs != 0)
		sim_fail(s, "%ld handles leaked", s->n_bufs);
}

int sim_run(const struct sim_conf *c, struct sim_result *out)
{
	struct sim *s = calloc(1, sizeof(*s));
	bool bad;

	memset(out, 0, sizeof(*out));
	s->c = *c;
	s->res = out;
	world_make(s);
	while (!s->bad && s->n_heap > 0 && !all_is_over(s)) {
		struct event ev = next_event(s);

		if (c->limit_ns != 0 && ev.ns > c->limit_ns) {
			sim_at(s, ev.ns, ev.kind, ev.p);
			break;
		}
		s->now = ev.ns;
		happen(s, &ev);
	}
	out->ns = s->now;
	out->mtu = s->link[0].end[0].mtu.mtu;
	judge(s);
	world_free(s);
	bad = s->bad;
	free(s);
	return bad ? -1 : 0;
}

// ---- worlds ----

void sim_conf_default(struct sim_conf *c, uint64_t seed)
{
	*c = (struct sim_conf){.seed = seed,
		.n_nodes = 2,
		.n_routes = 1,
		.packets = 100,
		.len_min = 100,
		.len_max = 1000,
		.room = 1400,
		.small_room = 1200,
		.window_log2 = 18,
		.max_frames = 1,
		.runs = true,
		.max_bufs = 1 << 16,
		.cc = "bbr",
		.slow_gap_ns = 20 * MS,
		.limit_ns = 600 * S};
	c->there.delay_ns = 5 * MS;
	c->back = c->there;
}

static uint64_t pick(struct sim *s, uint64_t lo, uint64_t hi)
{
	return lo + sim_random(s) % (hi - lo + 1);
}

// Evenly over the orders of magnitude.
static uint64_t pick_log(struct sim *s, uint64_t lo, uint64_t hi)
{
	uint64_t v = lo;

	while (v < hi && sim_random(s) % 8 != 0)
		v += v / 2 + 1;
	return v < hi ? v : hi;
}

static void random_wire(struct sim *s, struct sim_wire_conf *w)
{
	bool lossy = sim_chance(s, 700000);

	*w = (struct sim_wire_conf){.delay_ns = pick_log(s, 1000, 300 * MS)};
	w->loss_ppm = lossy ? (uint32_t)pick_log(s, 100, 300000) : 0;
	w->burst_ppm = sim_chance(s, 300000) ? (uint32_t)pick(s, 1000, 20000) : 0;
	w->dup_ppm = sim_chance(s, 300000) ? (uint32_t)pick(s, 1000, 100000) : 0;
	w->reorder_ppm = sim_chance(s, 400000) ? (uint32_t)pick(s, 1000, 200000) : 0;
	w->jitter_ns = sim_chance(s, 300000) ? pick(s, 1, w->delay_ns) : 0;
	if (sim_chance(s, 500000)) {
		w->rate_Bps = pick_log(s, 50000, 100000000);
		w->queue_bytes = (uint32_t)pick_log(s, 10000, 1000000);
	}
	if (sim_chance(s, 100000)) {
		w->dark_ns = pick(s, 0, 2 * S);
		w->dark_len_ns = pick_log(s, 10 * MS, 30 * S);
	}
}

static void random_path(struct sim *s, struct sim_conf *c)
{
	uint64_t at = 0;

	c->room = 1248; // 1280 bytes with what is around it
	c->find_max = (uint32_t)pick(s, c->room, 9000);
	for (unsigned i = 0; i < ARRAY_LEN(c->path) && (i == 0 || sim_chance(s, 600000)); i++) {
		c->path[i].ns = at;
		c->path[i].carries = (uint32_t)pick(s, c->room, c->find_max);
		at += pick_log(s, 10 * MS, 10 * S);
	}
}

void sim_conf_random(struct sim_conf *c, uint64_t seed)
{
	static struct sim s;

	s.random = seed * 0x9e3779b97f4a7c15ull + 12345;
	for (unsigned i = 0; i < 8; i++)
		sim_random(&s);
	sim_conf_default(c, seed);
	c->n_nodes = (unsigned)pick(&s, 2, 6);
	c->ring = c->n_nodes >= 3 && sim_chance(&s, 250000);
	c->n_routes = (unsigned)pick_log(&s, 1, 24);
	c->packets = pick_log(&s, 5, 400) / c->n_routes + 3;
	c->len_max = sim_chance(&s, 150000) ? 65542 : (uint32_t)pick(&s, 40, 1390);
	c->len_min = sim_chance(&s, 300000) ? 24 : c->len_max / 2;
	if (c->len_max > 10000)
		c->packets = c->packets / 16 + 2;
	c->max_frames = sim_chance(&s, 500000) ? 1 : (uint8_t)pick(&s, 2, 15);
	c->window_log2 = sim_chance(&s, 300000) ? 10 : 18;
	c->max_bufs = sim_chance(&s, 300000) ? 256 : 4096;
	c->cc = sim_chance(&s, 300000) ? "cubic" : "bbr";
	random_wire(&s, &c->there);
	random_wire(&s, &c->back);
	if (sim_chance(&s, 150000))
		c->slow_nth = (unsigned)pick(&s, 1, 4);
	if (sim_chance(&s, 200000)) {
		c->stop_nth = (unsigned)pick(&s, 1, 4);
		c->stop_ns = pick(&s, 0, S);
		c->stop_limit_s = sim_chance(&s, 500000) ? 0 : 28;
		c->stop_len_ns = pick_log(&s, 100 * MS, 60 * S);
	}
	if (sim_chance(&s, 200000))
		c->abort_ns = pick(&s, 1, 2 * S);
	if (sim_chance(&s, 150000))
		c->reset_ns = pick(&s, 1, 2 * S);
	if (sim_chance(&s, 150000))
		c->shrink_ns = pick(&s, 1, S);
	if (sim_chance(&s, 200000))
		c->source_gap_ns = pick_log(&s, 1000, 50 * MS);
	if (c->shrink_ns == 0 && sim_chance(&s, 200000))
		random_path(&s, c);
}
