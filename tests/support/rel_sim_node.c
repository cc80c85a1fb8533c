// The node model of the simulated world: rules, what happens to a route packet, who is told of a
// pause or an end, sources and readers at the edges. It keeps the contract of rel*.h as the data
// plane has to.
#include <stdlib.h>

#include "lib/wire/route_hdr.h"
#include "tests/support/rel_sim_priv.h"

enum { PUMP = 16 };

// ---- the hold's needs ----

static void *chunk_get(void *ctx)
{
	struct node *n = ctx;

	n->n_chunks++;
	if (n->n_chunks > n->s->res->chunks_max)
		n->s->res->chunks_max = n->n_chunks;
	return aligned_alloc(64, REL_CHUNK_LEN);
}

static void chunk_put(void *ctx, void *chunk)
{
	((struct node *)ctx)->n_chunks--;
	free(chunk);
}

static void handles_free(void *ctx, void *const *handles, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sim_buf_free(((struct node *)ctx)->s, handles[i]);
}

static void *handle_split(void *ctx, void *handle, uint32_t off, uint32_t len)
{
	struct buf *from = handle, *to = sim_buf(((struct node *)ctx)->s, len);

	memcpy(to->b, from->b + off, len);
	return to;
}

void sim_node_make(struct sim *s, unsigned i)
{
	struct node *n = &s->node[i];
	struct rel_hold_conf conf = {.n_routes = RULES + SPARE,
		.spare_first = RULES,
		.n_spare = SPARE,
		.max_bufs = s->c.max_bufs,
		.n_accounts = 2 * NODES,
		.seed = sim_random(s),
		.ctx = n,
		.chunk_get = chunk_get,
		.chunk_put = chunk_put,
		.free = handles_free,
		.split = handle_split};

	n->s = s;
	n->i = i;
	n->routes = aligned_alloc(64, conf.n_routes * sizeof(n->routes[0]));
	memset(n->routes, 0, conf.n_routes * sizeof(n->routes[0]));
	conf.routes = n->routes;
	conf.n_spare /= HOLDS;
	for (unsigned k = 0; k < HOLDS; k++) {
		void *mem = aligned_alloc(64, (rel_hold_mem_size(&conf) + 63) & ~63ul);

		n->hold[k] = rel_hold_init(mem, &conf);
		n->sink[k] = rel_queue_init(malloc(rel_queue_mem_size()), n->hold[k]);
		n->account[k] = (uint16_t)rel_hold_account_open(n->hold[k]);
		conf.spare_first += conf.n_spare;
		conf.seed ^= 0x5555555555555555ull;
	}
}

// What its links left behind is given back some at a time.
static void hold_settle(struct rel_hold *h, struct rel_hold_stats *st)
{
	struct rel_event ev;
	uint32_t before;

	rel_hold_stats(h, st);
	do {
		before = st->bufs;
		while (rel_hold_event(h, &ev))
			;
		rel_hold_stats(h, st);
	} while (st->bufs < before);
}

static void hold_free(struct sim *s, struct node *n, unsigned k)
{
	struct rel_hold_stats st;

	rel_queue_fini(n->sink[k]);
	hold_settle(n->hold[k], &st);
	if (st.bufs != 0)
		sim_fail(s, "node %u: %u buffers are still counted", n->i, st.bufs);
	if (st.bufs_max > s->c.max_bufs + PUMP)
		sim_fail(s, "node %u: held %u buffers of %u", n->i, st.bufs_max, s->c.max_bufs);
	if (st.bufs_max > s->res->bufs_max)
		s->res->bufs_max = st.bufs_max;
	s->res->pauses += st.paused;
	s->res->resumes += st.resumed;
	rel_hold_fini(n->hold[k]);
	free(n->hold[k]);
	free(n->sink[k]);
}

void sim_node_free(struct sim *s, struct node *n)
{
	for (unsigned i = 0; i < n->n_rules; i++)
		if (n->rule[i].out == NULL)
			rel_queue_forget(sim_node_sink(n, &n->rule[i]), i);
	for (unsigned k = 0; k < HOLDS; k++)
		hold_free(s, n, k);
	if (n->n_chunks != 0)
		sim_fail(s, "node %u: %u chunks leaked", n->i, n->n_chunks);
	free(n->routes);
}

// ---- rules ----

static uint32_t rule_index(const struct node *n, const struct rule *r)
{
	return (uint32_t)(r - n->rule);
}

// Packets that end here wait at the hold of the link that they come by.
struct rel_queue *sim_node_sink(const struct node *n, const struct rule *r)
{
	return n->sink[r->in->at];
}

static unsigned hold_of(const struct rule *r)
{
	return r->out != NULL ? r->out->at : r->in->at;
}

static struct rel_queue *queue_of(struct node *n, const struct rule *r)
{
	return r->out != NULL ? rel_queue(r->out->rel) : sim_node_sink(n, r);
}

static bool push(struct sim *s, struct node *n, struct rule *r, struct buf *b, unsigned flags)
{
	uint16_t account = r->in != NULL ? r->in->account[hold_of(r)] : n->account[hold_of(r)];
	struct rel_push p = {.pkt = {.handle = b, .len = b->len, .bufs = 1, .account = account},
		.route = rule_index(n, r)};

	route_hdr_put_id(b->b, r->next_id);
	if (s->c.runs && flags == 0 && rel_push_run(queue_of(n, r), &p, 1) == 1)
		return true;
	if (rel_queue_push(queue_of(n, r), p.route, &p.pkt, flags, s->now))
		return true;
	sim_buf_free(s, b);
	return false;
}

static struct rule *find_rule(struct node *n, uint32_t id)
{
	uint32_t i = (id & 0xffff) - 1;

	return i < n->n_rules && n->rule[i].open && n->rule[i].id == id ? &n->rule[i] : NULL;
}

static void push_last(struct sim *s, struct node *n, struct rule *r, uint8_t type, uint8_t code)
{
	struct buf *b = sim_buf(s, ROUTE_HDR_LEN + 1);

	route_hdr_put(b->b, type, 0, 1);
	b->b[ROUTE_HDR_LEN] = code;
	push(s, n, r, b, REL_PUSH_LAST);
}

// Abnormal end: Error and Close along the egress, GONE along the ingress.
void sim_node_end_rule(struct sim *s, struct node *n, struct rule *r, uint8_t reason, bool tell_in)
{
	struct sroute *rt = &s->route[r->route];
	uint32_t i = rule_index(n, r);

	if (!r->open)
		return;
	r->open = false;
	r->reason = reason;
	s->res->reasons |= 1u << reason;
	if (r->out != NULL && rel_queue_is_open(rel_queue(r->out->rel), i)) {
		rel_queue_abort(rel_queue(r->out->rel), i, reason, s->now);
		push_last(s, n, r, ROUTE_ERROR, reason);
		push_last(s, n, r, ROUTE_CLOSE, 0);
		rel_queue_drain(rel_queue(r->out->rel), i);
	} else if (r->out == NULL) {
		rel_queue_forget(sim_node_sink(n, r), i);
		if (!rt->ended)
			rt->rx_reason = reason;
		rt->ended = true;
	}
	if (r->in == NULL) {
		rt->src_reason = reason;
	} else if (tell_in) {
		rel_ingress_close(r->in->rel, r->id, reason, s->now);
	}
}

void sim_node_forward(struct sim *s, struct node *n, struct end *in, struct buf *b)
{
	struct rule *r = find_rule(n, route_hdr_id(b->b));
	uint8_t type = route_hdr_type(b->b);
	uint32_t id = route_hdr_id(b->b);

	if (!route_hdr_is_whole(b->b, b->len))
		sim_fail(s, "node %u: a packet of %u bytes is not whole", n->i, b->len);
	if (r == NULL || r->in != in) {
		if (type != ROUTE_CLOSE && type != ROUTE_ERROR)
			rel_unknown_id(in->rel, id, s->now);
		sim_buf_free(s, b);
		return;
	}
	if (!push(s, n, r, b, type == ROUTE_KEEP_ALIVE ? REL_PUSH_KEEP_ALIVE : 0))
		return;
	if (type == ROUTE_CLOSE && r->out != NULL)
		rel_queue_drain(rel_queue(r->out->rel), rule_index(n, r));
}

// ---- edges ----

static uint8_t filler(uint64_t k, uint64_t seq, uint32_t i)
{
	return (uint8_t)(k * 31 + seq * 7 + i);
}

static struct buf *make_packet(struct sim *s, unsigned k, uint64_t seq)
{
	uint32_t len = s->c.len_min;
	struct buf *b;

	if (s->c.len_max > len)
		len += (uint32_t)(sim_random(s) % (s->c.len_max - len + 1));
	b = sim_buf(s, len);
	route_hdr_put(b->b, ROUTE_DATA, 0, (uint16_t)(len - ROUTE_HDR_LEN));
	be32_put(b->b + ROUTE_HDR_LEN, k);
	be64_put(b->b + ROUTE_HDR_LEN + 4, seq);
	for (uint32_t i = ROUTE_HDR_LEN + BODY_LEN; i < len; i++)
		b->b[i] = filler(k, seq, i);
	return b;
}

// True while something was pushed.
static bool pump(struct sim *s, struct node *n, unsigned k)
{
	struct sroute *rt = &s->route[k];
	struct rule *r = rt->rule[0];
	bool any = false;

	for (unsigned i = 0; i < PUMP && r->open && !rt->closing && !rt->paused; i++) {
		if (s->now < rt->next_ns) {
			break;
		} else if (rt->sent < s->c.packets) {
			any |= push(s, n, r, make_packet(s, k, rt->sent), 0);
			rt->sent++;
			if (s->c.source_gap_ns != 0) {
				rt->next_ns = s->now + s->c.source_gap_ns;
				sim_at(s, rt->next_ns, EV_WAKE, n);
			}
		} else {
			struct buf *b = sim_buf(s, ROUTE_HDR_LEN + 1);

			route_hdr_put(b->b, ROUTE_CLOSE, 0, 1);
			b->b[ROUTE_HDR_LEN] = 0;
			rt->closing = true;
			if (push(s, n, r, b, 0))
				rel_queue_drain(rel_queue(r->out->rel), rule_index(n, r));
			any = true;
		}
	}
	return any;
}

static void check_data(struct sim *s, struct sroute *rt, unsigned k, const struct buf *b)
{
	uint64_t seq = be64_get(b->b + ROUTE_HDR_LEN + 4);

	if (b->len < ROUTE_HDR_LEN + BODY_LEN || be32_get(b->b + ROUTE_HDR_LEN) != k)
		sim_fail(s, "route %u: a packet of another route", k);
	if (seq != rt->got)
		sim_fail(s, "route %u: packet %lu instead of %lu", k, (unsigned long)seq,
			(unsigned long)rt->got);
	for (uint32_t i = ROUTE_HDR_LEN + BODY_LEN; i < b->len; i++)
		if (b->b[i] != filler(k, seq, i)) {
			sim_fail(s, "route %u: packet %lu is damaged at %u", k, (unsigned long)seq,
				i);
			break;
		}
	rt->got++;
	s->res->delivered++;
	if (s->now >= s->c.warm_ns) {
		s->res->bytes += b->len;
		s->res->route_bytes[k] += b->len;
	}
}

static void on_read(struct sim *s, struct node *n, struct rule *r, struct buf *b)
{
	struct sroute *rt = &s->route[r->route];

	switch (route_hdr_type(b->b)) {
	case ROUTE_DATA:
		if (rt->ended)
			sim_fail(s, "route %u: data after its end", r->route);
		check_data(s, rt, r->route, b);
		break;
	case ROUTE_ERROR:
		rt->rx_reason = b->b[ROUTE_HDR_LEN];
		break;
	case ROUTE_CLOSE:
		rt->ended = true;
		r->open = false;
		r->done = true;
		r->reason = rt->rx_reason;
		if (rt->rx_reason == 0 && rt->got != s->c.packets)
			sim_fail(s, "route %u: closed after %lu packets", r->route,
				(unsigned long)rt->got);
		rel_queue_forget(sim_node_sink(n, r), rule_index(n, r));
		break;
	default:
		break;
	}
	sim_buf_free(s, b);
}

static bool is_slow(const struct sim *s, unsigned k)
{
	return s->c.slow_nth != 0 && k % s->c.slow_nth == 0;
}

// What a reader that is slow does not take yet is paused meanwhile, without a limit.
static bool read_some(struct sim *s, struct node *n, unsigned k)
{
	struct rel_pkt p;
	uint32_t i;

	if (!rel_queue_pull(n->sink[k], &i, &p, s->now))
		return false;
	on_read(s, n, &n->rule[i], p.handle);
	if (n->rule[i].open && is_slow(s, n->rule[i].route)) {
		s->route[n->rule[i].route].read_ns = s->now + s->c.slow_gap_ns;
		rel_queue_pause(n->sink[k], i, 0, s->now);
		sim_at(s, s->now + s->c.slow_gap_ns, EV_WAKE, n);
	}
	return true;
}

static void wake_readers(struct sim *s, struct node *n)
{
	for (unsigned i = 0; i < n->n_rules; i++) {
		struct rule *r = &n->rule[i];
		struct sroute *rt = &s->route[r->route];

		if (r->out != NULL || !r->open || rt->read_ns == 0 || s->now < rt->read_ns)
			continue;
		rt->read_ns = 0;
		if (!rt->stopped)
			rel_queue_resume(sim_node_sink(n, r), i, s->now);
	}
}

// ---- events ----

static void on_event(struct sim *s, struct node *n, const struct rel_event *ev)
{
	struct rule *r =
		ev->route == REL_NO_ROUTE ? find_rule(n, ev->route_id) : &n->rule[ev->route];
	struct end *e = ev->link;

	switch (ev->kind) {
	case REL_EV_PAUSE:
		if (r->in != NULL)
			rel_pause(r->in->rel, r->id, ev->limit_s, s->now);
		else
			s->route[r->route].paused = true;
		break;
	case REL_EV_RESUME:
		if (r->in != NULL)
			rel_resume(r->in->rel, r->id, s->now);
		else
			s->route[r->route].paused = false;
		break;
	case REL_EV_CLOSE:
	case REL_EV_GONE:
		if (ev->reason == 0)
			sim_fail(s, "node %u: no reason", n->i);
		sim_node_end_rule(s, n, r, ev->reason, true);
		break;
	case REL_EV_CLOSE_IN:
		if (r != NULL && r->in == e)
			sim_node_end_rule(s, n, r, ev->reason, true);
		else
			rel_ingress_close(e->rel, ev->route_id, ev->reason, s->now);
		break;
	case REL_EV_EMPTY:
		if (ev->reason == 0)
			sim_fail(s, "node %u: no reason", n->i);
		if (r != NULL && r->in == e)
			sim_node_end_rule(s, n, r, ev->reason, false);
		break;
	case REL_EV_DONE:
		r->open = false;
		r->done = true;
		break;
	case REL_EV_DOWN:
		s->res->reasons |= 1u << RAIL_GONE_HOP_DOWN;
		sim_at(s, s->now, EV_RESET, e->link);
		break;
	case REL_EV_PROBE:
		sim_link_probed(s, e, ev);
		break;
	}
}

static bool events(struct sim *s, struct node *n)
{
	struct rel_event ev;
	bool any = false;

	for (unsigned k = 0; k < HOLDS; k++)
		while (rel_hold_event(n->hold[k], &ev)) {
			on_event(s, n, &ev);
			any = true;
		}
	return any;
}

void sim_node_events(struct sim *s, struct node *n)
{
	events(s, n);
}

void sim_node_turn(struct sim *s, struct node *n)
{
	bool any = true;

	wake_readers(s, n);
	while (any && !s->bad) {
		any = events(s, n);
		for (unsigned k = 0; k < s->c.n_routes; k++)
			if (s->route[k].node[0] == n && pump(s, n, k)) {
				sim_node_events(s, n);
				any = true;
			}
		for (unsigned k = 0; k < HOLDS; k++)
			any |= read_some(s, n, k);
	}
	for (unsigned i = 0; i < s->n_links; i++)
		for (unsigned side = 0; side < 2; side++)
			if (s->link[i].end[side].node == n)
				sim_link_flush(s, &s->link[i].end[side]);
	any |= events(s, n);
	if (any)
		sim_at(s, s->now, EV_WAKE, n); // what that made another link send
}

// ---- another hold ----

struct mover {
	struct node *n;
	unsigned to;
};

static uint16_t route_account(void *ctx, uint32_t route)
{
	struct mover *mv = ctx;
	const struct rule *r = &mv->n->rule[route];

	return r->in != NULL ? r->in->account[mv->to] : mv->n->account[mv->to];
}

// Those of the rules that come by e; the first that does not fit ends it.
static unsigned move_sinks(struct node *n, struct end *e, unsigned from, unsigned to, unsigned max)
{
	for (unsigned i = 0; i < max; i++)
		if (n->rule[i].out == NULL && n->rule[i].in == e &&
			rel_queue_is_open(n->sink[from], i) &&
			rel_queue_move(n->sink[from], n->sink[to], i, e->account[to]) < 0)
			return i;
	return max;
}

void sim_node_move(struct sim *s, struct end *e)
{
	struct node *n = e->node;
	struct mover mv = {.n = n, .to = !e->at};
	struct rel_mover by = {.account = e->account[mv.to], .route = route_account, .ctx = &mv};
	unsigned done;

	events(s, n);
	done = move_sinks(n, e, e->at, mv.to, n->n_rules);
	if (done < n->n_rules || rel_move(e->rel, n->hold[mv.to], &by) < 0) {
		s->res->not_moved++;
		if (move_sinks(n, e, mv.to, e->at, done) != done)
			sim_fail(s, "node %u: no way back", n->i);
		return;
	}
	e->at = mv.to;
	s->res->moves++;
}
