// Life of a reliable link, its timers and its numbers (rel.h). What the timers mean is in
// rel_loss.c and rel_ack.c.
#include "lib/link/rel.h"

#include "lib/link/rel_priv.h"
#include "lib/wire/rail.h"

enum { ROOM_MIN = 64, ROOM_MAX = 65000, SKIP_MEAN = 1 << 16, IDLE_NS = 1000000000 };

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

// Of the largest window that there is memory for.
static uint8_t max_log2(const struct rel_conf *conf)
{
	return conf->window_max_log2 > conf->window_log2 ? conf->window_max_log2
							 : conf->window_log2;
}

static size_t slots(uint8_t window_log2, unsigned log2)
{
	return window_log2 > log2 ? (size_t)1 << (window_log2 - log2) : 1;
}

static uint32_t n_recs(uint8_t window_log2)
{
	return 1u << (window_log2 > REL_RECS_MIN_LOG2 ? window_log2 : REL_RECS_MIN_LOG2);
}

size_t rel_mem_size(const struct rel_conf *conf)
{
	uint8_t log2 = max_log2(conf);

	if (conf->window_log2 < REL_WINDOW_LOG2_MIN || log2 > REL_WINDOW_LOG2_MAX ||
		conf->room < ROOM_MIN || conf->room > ROOM_MAX || conf->max_frames < 1 ||
		conf->max_frames >= REL_PIECES_MAX)
		return 0;
	return round64(sizeof(struct rel)) +
	       round64((slots(log2, KEPT_LOG2) + (n_recs(log2) >> RECS_LOG2) +
			       slots(log2, RXES_LOG2)) *
		       sizeof(void *));
}

// What an instance begins with.
static void begin(struct rel *r, uint64_t now_ns)
{
	uint64_t next = (r->next_seq | (REL_SEQ_FIRST - 1)) + 1;
	struct cc_conf cc = {.mss = r->conf.room + r->conf.overhead, .seed = rel_random(r)};

	r->window = 1u << r->conf.window_log2;
	r->n_recs = n_recs(r->conf.window_log2);
	// sequences of the last life are all below una, so no distance points there
	r->next_seq = next;
	r->una = next;
	r->lost_lo = next;
	r->ctl_last_seq = 0;
	r->counter = 0;
	r->rec_tail = 0;
	r->flight_lo = 0;
	r->path_first = 0;
	memset(r->top, 0, sizeof(r->top));
	memset(r->skips, 0, sizeof(r->skips));
	r->skip_at = rel_random(r) % (2 * SKIP_MEAN);
	r->n_flight = 0;
	r->pace_ns = 0;
	r->next_ns = 0;
	r->srtt_ns = 0;
	r->rttvar_ns = 0;
	r->min_rtt_ns = 0;
	r->latest_ns = 0;
	r->loss_ns = 0;
	r->pto_count = 0;
	r->probes_due = 0;
	r->n_probes = 0;
	r->large_lost = 0;
	r->looks = 0;
	r->looks_at = 0;
	r->down = false;
	r->closed = false;
	r->rx_next = REL_SEQ_FIRST;
	r->rx_end = REL_SEQ_FIRST;
	r->held_up = false;
	r->rx_top = 0;
	r->ack_owed = 0;
	r->ack_now = false;
	for (unsigned i = 0; i < REL_ACK_PERIODS; i++)
		r->ack_min[i] = UINT64_MAX;
	r->last_tx_ns = now_ns;
	r->last_ack_ns = now_ns;
	cc_init(&r->cc, r->conf.cc, &cc, now_ns);
	rel_loss_repace(r);
}

struct rel *rel_init(void *mem, struct rel_hold *h, const struct rel_conf *conf, uint64_t now_ns)
{
	size_t size = rel_mem_size(conf);
	struct rel *r = mem;

	if (size == 0)
		return NULL;
	memset(mem, 0, size);
	r->conf = *conf;
	if (conf->keepalive_ns == 0)
		r->conf.keepalive_ns = RAIL_KEEPALIVE_S * 1000000000ull;
	if (conf->silence_s == 0)
		r->conf.silence_s = REL_SILENCE_S;
	if (conf->retransmit_limit == 0)
		r->conf.retransmit_limit = REL_RETRANSMIT_LIMIT;
	r->kept_dir = (struct kept **)((char *)mem + round64(sizeof(*r)));
	r->rec_dir = (struct rec **)(r->kept_dir + slots(max_log2(conf), KEPT_LOG2));
	r->rx_dir = (uint32_t **)(r->rec_dir + (n_recs(max_log2(conf)) >> RECS_LOG2));
	r->random = conf->seed | 1;
	r->q.hold = h;
	r->q.rel = r;
	rel_hold_links(h, 1);
	r->q.key = rel_random(r) ^ h->conf.seed;
	begin(r, now_ns);
	return r;
}

static void free_all(struct rel *r)
{
	rel_kept_free_all(r);
	rel_ctl_free_all(r);
	rel_order_free_all(r);
	rel_queue_reset(&r->q);
	rel_hold_flush(r->q.hold);
}

void rel_fini(struct rel *r)
{
	free_all(r);
	rel_hold_links(r->q.hold, -1);
}

void rel_set_window(struct rel *r, uint8_t window_log2)
{
	uint8_t most = max_log2(&r->conf);

	r->next_log2 = window_log2 < most ? window_log2 : most;
	if (r->next_log2 < REL_WINDOW_LOG2_MIN)
		r->next_log2 = REL_WINDOW_LOG2_MIN;
	r->conf.window_max_log2 = most;
}

void rel_reset(struct rel *r, uint64_t now_ns)
{
	free_all(r);
	if (r->next_log2 != 0)
		r->conf.window_log2 = r->next_log2;
	begin(r, now_ns);
}

struct rel_queue *rel_queue(struct rel *r)
{
	return &r->q;
}

// ---- timers ----

static bool is_idle(const struct rel *r)
{
	return r->n_flight == 0 && r->n_unacked == 0 && r->rx_next == r->rx_end && r->ack_owed == 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t rel_deadline(const struct rel *r)
{
	uint64_t at = rel_loss_deadline(r);

	if (r->closed)
		return r->next_ns;
	at = least(least(at, r->next_ns), r->last_tx_ns + r->conf.keepalive_ns);
	if (r->ack_owed != 0)
		at = least(at, rel_ack_due(r, 0) ? 0 : r->ack_by_ns);
	if (r->idle_ns != 0)
		at = least(at, r->idle_ns + IDLE_NS);
	return at;
}

static void idle(struct rel *r, uint64_t now_ns)
{
	if (!is_idle(r)) {
		r->idle_ns = 0;
		return;
	}
	if (r->idle_ns == 0)
		r->idle_ns = now_ns;
	if (now_ns - r->idle_ns < IDLE_NS)
		return;
	r->idle_ns = 0;
	rel_kept_release_chunks(r);
	rel_order_release_chunks(r);
}

void rel_tick(struct rel *r, uint64_t now_ns)
{
	if (r->closed)
		return;
	rel_loss_timer(r, now_ns);
	if (now_ns - r->last_tx_ns >= r->conf.keepalive_ns)
		rel_probe(r, 0, 0, now_ns);
	idle(r, now_ns);
	rel_hold_flush(r->q.hold);
}

// ---- what the caller wants sent, or knows about the path ----

bool rel_send_frame(struct rel *r, uint8_t type, void *handle, uint32_t len, uint64_t now_ns)
{
	if (r->n_raws >= REL_RAWS_MAX + (type == RAIL_CLOSE)) // a CLOSE has a place of its own
		return false;
	r->next_ns = 0;
	r->raws[r->n_raws++] = (struct raw){.handle = handle, .len = len, .type = type};
	return true;
}

bool rel_probe(struct rel *r, uint32_t tag, uint32_t size, uint64_t now_ns)
{
	if (tag == 0 && r->n_probes != 0)
		return true;
	if (r->n_probes == REL_PROBES_MAX)
		return false;
	r->next_ns = 0;
	r->probes[r->n_probes++] = (struct probe){.tag = tag, .size = size};
	return true;
}

void rel_set_room(struct rel *r, uint32_t room)
{
	r->conf.room = room < ROOM_MIN ? ROOM_MIN : room > ROOM_MAX ? ROOM_MAX : room;
	cc_set_mss(&r->cc, r->conf.room + r->conf.overhead);
	rel_loss_repace(r);
}

void rel_path_changed(struct rel *r, uint64_t now_ns)
{
	r->srtt_ns = 0;
	r->rttvar_ns = 0;
	r->min_rtt_ns = 0;
	r->latest_ns = 0;
	r->pto_count = 0;
	r->path_first = r->counter;
	r->large_lost = 0;
	cc_restart(&r->cc, now_ns);
	rel_loss_repace(r);
}

struct rel_path rel_path(const struct rel *r)
{
	return (struct rel_path){.pto_ns = rel_loss_pto_ns(r, 0),
		.pto_count = r->pto_count,
		.large_lost = r->large_lost};
}

void rel_stats(const struct rel *r, struct rel_stats *out)
{
	*out = r->stats;
	out->srtt_ns = r->srtt_ns;
	out->min_rtt_ns = r->min_rtt_ns;
	out->rttvar_ns = r->rttvar_ns;
	out->cwnd = cc_cwnd(&r->cc);
	out->in_flight = cc_in_flight(&r->cc);
	out->rate = cc_rate(&r->cc);
	out->kept = (uint32_t)(r->next_seq - r->una);
	out->unacked = r->n_unacked;
	out->waiting = rel_queue_waiting(&r->q, &out->waiting_bytes);
}
