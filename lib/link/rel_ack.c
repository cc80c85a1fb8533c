// ACK frames to be sent (rail 4): when one is due, and which counters it names. What was received
// is read from the replay window of the caller; how far down an ACK has to go is known from the
// lowest counter that came in the last few ACKs' time.
#include "lib/link/rel_priv.h"

enum { DELAY_MAX_NS = 1000000, DELAY_UNIT_NS = RAIL_ACK_DELAY_UNIT_US * 1000 };

static uint64_t delay_ns(const struct rel *r)
{
	uint64_t eighth = r->srtt_ns / 8;

	return r->srtt_ns == 0 || eighth > DELAY_MAX_NS ? DELAY_MAX_NS : eighth;
}

void rel_ack_seen(struct rel *r, uint64_t counter, bool eliciting, uint64_t now_ns)
{
	uint64_t *min = &r->ack_min[r->ack_period];

	if (unlikely(counter != r->rx_top) && eliciting)
		r->ack_now = true; // one is missing, or was
	if (counter < *min)
		*min = counter;
	if (counter >= r->rx_top) {
		r->rx_top = counter + 1;
		r->rx_top_ns = now_ns;
	}
	if (!eliciting)
		return;
	if (unlikely(r->srtt_ns == 0) && r->n_flight == 0)
		rel_probe(r, 0, 0, now_ns); // who only receives would never know a round trip
	if (r->ack_owed++ == 0)
		r->ack_by_ns = now_ns + delay_ns(r);
}

bool rel_ack_due(const struct rel *r, uint64_t now_ns)
{
	return r->ack_owed != 0 &&
	       (r->ack_now || r->ack_owed >= REL_ACK_EVERY || now_ns >= r->ack_by_ns);
}

static uint64_t lowest_named(const struct rel *r)
{
	uint64_t low = UINT64_MAX;

	for (unsigned i = 0; i < REL_ACK_PERIODS; i++)
		low = r->ack_min[i] < low ? r->ack_min[i] : low;
	return low;
}

uint32_t rel_ack_put(struct rel *r, uint8_t *p, uint32_t room, uint64_t now_ns)
{
	struct replay_range got[RAIL_ACK_PAIRS_MAX + 1];
	struct rail_range ranges[RAIL_ACK_PAIRS_MAX + 1];
	unsigned n = replay_ranges(r->conf.replay, lowest_named(r), got, ARRAY_LEN(got));
	uint64_t delay = (now_ns - r->rx_top_ns) / DELAY_UNIT_NS;
	struct bytes_w w = bytes_w(p, room);

	for (unsigned i = 0; i < n; i++)
		ranges[i] = (struct rail_range){.hi = got[i].hi, .lo = got[i].lo};
	if (n == 0 || rail_ack_build(&w, (uint32_t)r->rx_next,
			      delay > UINT16_MAX ? UINT16_MAX : (uint16_t)delay, ranges, n) < 0)
		return 0;
	r->ack_owed = 0;
	r->ack_now = false;
	r->ack_period = (r->ack_period + 1) % REL_ACK_PERIODS;
	r->ack_min[r->ack_period] = UINT64_MAX;
	r->stats.acks_sent++;
	return (uint32_t)bytes_w_len(&w);
}
