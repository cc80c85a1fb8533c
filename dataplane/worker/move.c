// How a hop changes its worker. All workers come to rest between two turns; then the old owner, as
// if it were each of them, works off what they have given each other, so that nothing of the hop is
// on its way; hands the hop over; and all go on. Order is kept because whatever was given before
// the stop has arrived, and whatever comes later finds the new owner.
//
//   main                 a worker                                 the old owner
//   ----                 --------                                 -------------
//   STOP to all -------> takes no sleep any more, awake++         the same
//                        all awake: parked++, no turns            all parked: settles, hop_move()
//                        done: goes on, left++  <---------------- done
//   all left: looks at the status
//
// It is not asked to wait before all are awake, so that nobody waits for a sleeper: a stop lasts
// as long as the longest turn, and the move.

#include "dataplane/worker/move.h"

#include "dataplane/hop/hop_msg.h"
#include "dataplane/worker/uplink.h"
#include "dataplane/worker/worker.h"

enum { ASKED = 0, AWAKE, PARKED };

static uint32_t seen(_Atomic uint32_t *n)
{
	// pairs with tell()
	return atomic_load_explicit(n, memory_order_acquire);
}

static void tell(_Atomic uint32_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_acq_rel);
}

static int move_now(const struct hop_move *mv, struct wctx *const *all)
{
	struct wctx *from = all[mv->from], *to = all[mv->to];

	do
		worker_settle(all, mv->n_workers);
	while (hop_messages_all(from) != 0);
	worker_sync_clock(to, from);
	uplink_fence(to, from);
	return hop_move(from, to, mv->hop);
}

static void go_on(struct wctx *w)
{
	struct hop_move *mv = w->move;

	w->move = NULL;
	w->move_state = ASKED;
	tell(&mv->left);
}

bool move_turn(struct wctx *w)
{
	struct hop_move *mv = w->move;

	if (w->move_state == ASKED) {
		w->move_state = AWAKE;
		tell(&mv->awake);
		return false;
	}
	if (w->move_state == AWAKE) {
		if (seen(&mv->awake) < mv->n_workers)
			return false;
		w->move_state = PARKED;
		tell(&mv->parked);
	}
	if (w->id == mv->from) {
		if (seen(&mv->parked) < mv->n_workers)
			return true;
		mv->status = move_now(mv, w->all);
		// pairs with the load below
		atomic_store_explicit(&mv->done, true, memory_order_release);
	} else if (!atomic_load_explicit(&mv->done, memory_order_acquire)) {
		return true;
	}
	go_on(w);
	return false;
}
