// Carried hops at their owner (hop_car.h): a queue that is emptied into the ring up, hop by hop in
// turn, unless the control plane has said that the connection takes no more. A pause of a route
// that comes in by one is the control plane's to keep, so the main lcore is told of it. Nothing is
// told to the peer: it learns of an end by Error and Close alone, along the route.

#include "dataplane/hop/hop_car.h"

#include "dataplane/hop/hop_route.h"

enum {
	CAR_HEARD_NS = 50 * 1000 * 1000, // in which the control plane hears of a pause
	CAR_STUCK_NS = 1000 * 1000 * 1000,
};

// ---- life ----

size_t hop_car_size(void)
{
	return sizeof(struct hop_car) + rel_queue_mem_size();
}

struct hop_car *hop_car_make(void *mem, uint8_t carrier)
{
	struct hop_car *car = mem;

	static_assert(sizeof(*car) % 8 == 0, "the queue lies behind it");
	car->q = (struct rel_queue *)(car + 1);
	car->carrier = carrier;
	car->stall_ns = UINT64_MAX;
	return car;
}

void hop_car_begin(struct wctx *w, struct hop *h)
{
	struct hop_car *car = h->car;

	hop_hold_begin(w);
	rel_queue_init(car->q, hop_hold(w)->hold);
	car->hold = hop_hold(w)->hold;
	car->account = hop_account(w, h->tp);
	car->hop = h;
	car->begun = true;
	hop_set_up(w, h);
}

static void put_last(struct hop_hold *hh, struct hop_car *car)
{
	struct hop_cars *cars = &hh->cars[car->carrier];

	car->next = NULL;
	*(cars->first != NULL ? &cars->last->next : &cars->first) = car;
	cars->last = car;
}

static void take_out(struct hop_hold *hh, struct hop_car *car)
{
	struct hop_cars *cars = &hh->cars[car->carrier];
	struct hop_car *before = NULL, *at = cars->first;

	for (; at != NULL && at != car; at = at->next)
		before = at;
	if (at != NULL) {
		*(before != NULL ? &before->next : &cars->first) = car->next;
		if (cars->last == car)
			cars->last = before;
	}
	car->busy = false;
}

void hop_car_end(struct wctx *w, struct hop *h)
{
	struct hop_hold *hh = hop_hold(w);

	hop_routes_turn(w); // none of what is still to be done names it later
	take_out(hh, h->car);
	hop_routes_reset(w, h, RAIL_GONE_HOP_DOWN);
	hh->freeing = RAIL_GONE_HOP_DOWN;
	hop_car_drain(h);
}

void hop_car_drain(struct hop *h)
{
	if (!h->car->begun)
		return;
	rel_queue_reset(h->car->q);
	rel_queue_fini(h->car->q);
	h->car->begun = false;
}

void hop_car_publish(struct hop *h)
{
	struct stats_hop *st = h->st;
	uint64_t bytes;
	uint32_t n;

	if (!h->car->begun)
		return;
	n = rel_queue_waiting(h->car->q, &bytes);
	atomic_store_explicit(&st->queued_packets, n, memory_order_relaxed);
	atomic_store_explicit(&st->queued, bytes, memory_order_relaxed);
	atomic_store_explicit(&st->paused, h->n_paused, memory_order_relaxed);
	n = rel_hold_account_bufs(h->car->hold, h->car->account);
	atomic_store_explicit(&st->held, n, memory_order_relaxed);
}

// ---- held up ----

void hop_car_hold(struct wctx *w, struct hop *h, bool held, uint16_t limit_s)
{
	struct hop_car *car = h->car;

	car->held = held;
	car->stall_ns = held && limit_s != 0 ? w->now_ns + limit_s * 1000000000ull : UINT64_MAX;
	if (held) {
		rel_queue_limit(car->q, limit_s);
		take_out(hop_hold(w), car);
	} else {
		hop_car_wake(w, h);
	}
}

void hop_car_visit(struct wctx *w, struct hop *h)
{
	struct hop_car *car = h->car;

	if (likely(w->now_ns < car->stall_ns))
		return;
	rel_queue_stall(car->q);
	car->stall_ns = w->now_ns + REL_TICK_NS; // what came since, or could not be told
}

// ---- packets ----

void hop_car_wake(struct wctx *w, struct hop *h)
{
	if (h->car->busy || h->car->held)
		return;
	h->car->busy = true;
	put_last(hop_hold(w), h->car);
}

void hop_car_push(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	hop_queue_push(w, h, h->car->q, m, n);
	hop_car_wake(w, h);
}

struct rte_mbuf *hop_car_pull(struct wctx *w, unsigned carrier, uint32_t *hop)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_cars *cars = &hh->cars[carrier];
	struct hop_car *car;
	struct rel_pkt pkt;
	uint32_t route;

	while ((car = cars->first) != NULL) {
		cars->first = car->next;
		car->busy = rel_queue_pull(car->q, &route, &pkt, w->now_ns);
		if (!car->busy)
			continue;
		put_last(hh, car);
		hop_route_sent(w, route);
		hop_count(car->hop, H_hop_tx_packets, 1);
		hop_count(car->hop, H_hop_tx_bytes, pkt.len);
		car->hop->last_tx_ns = w->now_ns;
		*hop = car->hop->handle;
		return pkt.handle;
	}
	return NULL;
}

struct hop *hop_car_find(const struct wctx *w, uint32_t hop, bool *soon)
{
	struct hop *h = hop_by_handle(w, hop);
	uint64_t word = h == NULL ? hop_table_dir_word(w->hops, hop) : 0;

	*soon = word != 0 && hop_word_owner(word) == w->id;
	return h != NULL && h->car != NULL ? h : NULL;
}

void hop_car_rx(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += m[i]->pkt_len;
	hop_count(h, H_hop_rx_packets, n);
	hop_count(h, H_hop_rx_bytes, bytes);
	h->last_rx_ns = w->now_ns;
	w->sink(w, h, m, n);
}

static uint32_t room_below(const struct wctx *w, const struct hop *h, uint32_t most)
{
	uint32_t room = rel_hold_room(h->car->hold, h->car->account, most);

	for (unsigned i = 0; i < w->n_workers; i++) {
		const struct hop_hold *to = w->hops->workers[i]->hold;
		uint32_t bufs, given;

		if (i == w->id)
			continue;
		// as of its last turn; all who give to it have equal parts of the rest
		bufs = atomic_load_explicit(&to->bufs, memory_order_relaxed);
		given = w->ops->handoff_given(w, i) * (w->n_workers - 1u);
		bufs = bufs + given < most ? most - bufs - given : 0;
		room = RTE_MIN(room, bufs / (w->n_workers - 1u));
	}
	return room;
}

unsigned hop_car_room(const struct wctx *w, const struct hop *h, struct hop_car_wait *wait)
{
	uint32_t max = hop_hold(w)->max_bufs, room = room_below(w, h, max / 2);

	if (likely(room > 0)) {
		wait->full_ns = wait->stuck_ns = 0;
		return room;
	}
	if (wait->full_ns == 0)
		wait->full_ns = w->now_ns;
	if (w->now_ns - wait->full_ns >= CAR_HEARD_NS)
		room = room_below(w, h, max - max / 8);
	if (room > 0) {
		wait->stuck_ns = 0;
		return room;
	}
	if (wait->stuck_ns == 0)
		wait->stuck_ns = w->now_ns;
	return w->now_ns - wait->stuck_ns >= CAR_STUCK_NS ? BURST : 0;
}

bool hop_car_ingress(struct wctx *w, const struct hop *h, const struct hop_msg *msg)
{
	struct dp_note n = {
		.kind = msg->kind == HOP_MSG_PAUSE ? NOTE_ROUTE_PAUSE : NOTE_ROUTE_RESUME,
		.hop = h->handle,
		.id = msg->id,
		.value = msg->limit_s};

	if (msg->kind == HOP_MSG_GONE)
		return true; // it learns of the end when the rule is gone
	return hop_note(w, &n);
}
