// A hop and all that is its own goes from one worker to another: the place in the list, what is
// being joined, the reliable link with its routes, those of the sink that it feeds, and the words
// by which workers find the owner. Nobody else runs meanwhile, so nothing here is atomic for its
// own sake. How the workers come to rest is worker/move.c's business.

#include "dataplane/hop/hop_move.h"

#include "dataplane/hop/hop_route.h"

struct mover {
	struct wctx *from, *to;
	struct hop *hop;
	uint16_t account; // of what comes in by the hop, at `to`
	bool failed;
};

static void parts_move(struct hop_worker *from, struct hop_worker *to, struct hop *h)
{
	from->parts_held -= h->parts_held;
	to->parts_held += h->parts_held;
	if (from->most_parts == h)
		from->most_parts = NULL;
}

// ---- reliable hops ----

static uint16_t on_route(void *ctx, uint32_t route)
{
	struct mover *mv = ctx;

	return hop_route_handover(mv->from, mv->to, route);
}

static void on_sink_route(void *ctx, uint32_t route)
{
	struct mover *mv = ctx;
	struct hop_hold *from = hop_hold(mv->from), *to = hop_hold(mv->to);
	const struct hop_route *info = &from->info[route];
	bool ours = info->in_tp == mv->hop->tp && hop_flow_has(mv->hop->flow, info->id);

	if (mv->failed || !ours)
		return;
	mv->failed = rel_queue_move(from->sink, to->sink, route, mv->account) < 0;
	if (!mv->failed)
		hop_route_handover(mv->from, mv->to, route);
}

static int sinks_move(struct mover *mv)
{
	struct hop_hold *from = hop_hold(mv->from), *to = hop_hold(mv->to);

	rel_queue_each(from->sink, on_sink_route, mv);
	to->sink_busy |= from->sink_busy;
	return mv->failed ? -ENOSPC : 0;
}

static int rel_hop_move(struct wctx *from, struct wctx *to, struct hop *h)
{
	struct hop_hold *hh = hop_hold(to);
	struct hop_rel *hr = h->rel;
	struct mover mv = {.from = from, .to = to, .hop = h, .account = hop_account(to, h->tp)};
	struct mover back = {.from = to, .to = from, .hop = h, .account = hop_account(from, h->tp)};
	const struct rel_mover by = {.account = mv.account, .route = on_route, .ctx = &mv};
	int rc;

	hh->w = to;
	hop_routes_turn(from);
	hop_routes_turn(to);
	rc = sinks_move(&mv);
	if (rc == 0)
		rc = rel_move(hr->rel, hh->hold, &by);
	if (rc < 0) {
		sinks_move(&back); // there was room for them before
		return rc;
	}
	wheel_cancel(&hop_hold(from)->wheel, &hr->timer);
	hr->hold = hh->hold;
	hr->account = mv.account;
	return 0;
}

// ---- words ----

static void word_move(_Atomic uint64_t *word, uint32_t key, uint16_t to)
{
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);

	if (v >> 32 != key || key == 0)
		return;
	v = (v & ~((uint64_t)0xff << 24)) | (uint64_t)to << 24;
	// pairs with the acquire of whoever asks for the owner
	atomic_store_explicit(word, v, memory_order_release);
}

static void words_move(struct hop_table *t, const struct hop *h, uint16_t to)
{
	word_move(&t->dir[dpmsg_handle_index(h->handle)], h->handle, to);
	for (unsigned k = 0; k < HOP_KEYS; k++)
		word_move(&t->rx[h->keys[k].rx_index & t->rx_mask], h->keys[k].rx_index, to);
}

int hop_move(struct wctx *from, struct wctx *to, uint32_t hop)
{
	struct hop *h = hop_by_handle(from, hop);
	int rc = 0;

	if (h == NULL)
		return -ENOENT;
	if (h->rel != NULL)
		rc = rel_hop_move(from, to, h);
	else
		parts_move(hop_worker(from), hop_worker(to), h);
	if (rc < 0)
		return rc;
	hop_unlink_pending(from, h);
	hop_list_del(hop_worker(from), h);
	hop_list_add(hop_worker(to), h);
	words_move(to->hops, h, to->id);
	if (h->rel != NULL)
		hop_rel_wake(to, h); // sets its timer anew
	return 0;
}
