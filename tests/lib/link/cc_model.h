// A bottleneck as a few numbers and the flows that share it, to see what congestion control makes
// of it: discrete events, one seed, no real time. The queue is first in first out and drops its
// tail; the way back is never short of room. A flow sends, detects losses (three later ones, 9/8
// round trip) and times out as a rail link does (rail 4); data that is lost is not sent again,
// since a new datagram costs the path the same.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/link/cc.h"

#define MODEL_NEVER UINT64_MAX
#define MODEL_MS 1000000ull
#define MODEL_S 1000000000ull

enum { MODEL_FLOWS = 4 };

struct model_path {
	uint64_t rate; // bytes/s
	uint64_t rtt_ns; // without queue and transmission time
	uint64_t buffer; // bytes
	uint32_t loss_ppm;
	uint64_t slot_ns; // acks come in bursts, so far apart; 0: as suits the round trip
	uint64_t dark_from_ns, dark_until_ns; // everything sent is lost
};

struct model_sent {
	struct cc_pkt p;
	uint64_t ack_ns; // MODEL_NEVER: lost on the way
	bool settled;
};

struct model_flow {
	struct cc cc;
	uint32_t mss;
	uint64_t app_rate; // bytes/s that the application has, 0: always more
	uint64_t app_from_ns; // and none before
	// state
	struct model_sent *ring;
	uint64_t mask;
	uint64_t next; // to be sent
	uint64_t first; // not settled
	uint64_t coming; // first whose ack has not come
	uint64_t largest; // acked, plus one
	uint64_t send_ns; // pacing
	uint64_t app_sent;
	uint64_t srtt_ns, var_ns;
	uint64_t loss_ns, pto_ns; // timers
	uint32_t ptos;
	// figures
	uint64_t delivered;
	uint64_t sent;
	uint64_t lost;
	uint64_t max_rtt_ns;
};

struct model {
	struct model_path path;
	struct model_flow flow[MODEL_FLOWS];
	unsigned n_flows;
	uint64_t now_ns;
	uint64_t busy_ns; // until then the bottleneck is sending
	uint64_t random;
	uint64_t max_queue; // bytes, since it was last set to 0
	double queue_sum; // one sample a datagram sent
	uint64_t queue_n;
};

static inline struct model *model_new(const struct model_path *path, uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));

	m->path = *path;
	m->random = seed * 2 + 1;
	return m;
}

static inline void model_free(struct model *m)
{
	for (unsigned i = 0; i < m->n_flows; i++)
		free(m->flow[i].ring);
	free(m);
}

// window: datagrams that may be unsettled at once, a power of two.
static inline struct model_flow *model_add(
	struct model *m, const char *cc, uint32_t mss, uint64_t window, uint64_t start_ns)
{
	struct model_flow *f = &m->flow[m->n_flows++];
	struct cc_conf conf = {.mss = mss, .seed = m->random + m->n_flows};

	*f = (struct model_flow){.mss = mss,
		.app_from_ns = start_ns,
		.ring = calloc(window, sizeof(*f->ring)),
		.mask = window - 1,
		.send_ns = start_ns,
		.loss_ns = MODEL_NEVER,
		.pto_ns = MODEL_NEVER};
	cc_init(&f->cc, cc_find(cc), &conf, start_ns);
	return f;
}

static inline uint32_t model_random_ppm(struct model *m)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return (uint32_t)((m->random * 0x2545f4914f6cdd1d >> 32) * 1000000 >> 32);
}

static inline uint64_t model_queue(const struct model *m)
{
	if (m->busy_ns <= m->now_ns)
		return 0;
	return (uint64_t)((double)(m->busy_ns - m->now_ns) * (double)m->path.rate / 1e9);
}

// When the ack of a datagram sent now comes, or MODEL_NEVER.
static inline uint64_t model_carry(struct model *m, uint32_t bytes)
{
	const struct model_path *w = &m->path;
	uint64_t queue = model_queue(m);
	uint64_t slot = w->slot_ns;
	uint64_t t;

	m->queue_sum += (double)queue;
	m->queue_n++;
	if (queue > m->max_queue)
		m->max_queue = queue;
	if (queue + bytes > w->buffer ||
		(m->now_ns >= w->dark_from_ns && m->now_ns < w->dark_until_ns))
		return MODEL_NEVER;
	if (m->busy_ns < m->now_ns)
		m->busy_ns = m->now_ns;
	m->busy_ns += (uint64_t)((double)bytes * 1e9 / (double)w->rate);
	if (model_random_ppm(m) < w->loss_ppm)
		return MODEL_NEVER;
	t = m->busy_ns + w->rtt_ns;
	if (slot == 0)
		slot = w->rtt_ns / 32 < MODEL_MS / 5 ? w->rtt_ns / 32 + 1 : MODEL_MS / 5;
	return (t + slot - 1) / slot * slot;
}

static inline uint64_t model_pto(const struct model_flow *f)
{
	uint64_t t = f->srtt_ns == 0 ? MODEL_S : f->srtt_ns + 4 * f->var_ns + MODEL_MS;

	t <<= f->ptos < 12 ? f->ptos : 12;
	return t < 2 * MODEL_S ? t : 2 * MODEL_S;
}

static inline void model_send(struct model *m, struct model_flow *f)
{
	struct model_sent *s = &f->ring[f->next & f->mask];

	if (f->next - f->first > f->mask)
		abort(); // the scenario's window is too small
	s->settled = false;
	cc_sent(&f->cc, &s->p, f->mss, m->now_ns);
	s->ack_ns = model_carry(m, f->mss);
	f->next++;
	f->sent += f->mss;
	f->app_sent += f->mss;
	f->pto_ns = m->now_ns + model_pto(f);
}

// When the application has the next datagram ready.
static inline uint64_t model_app_ns(const struct model *m, const struct model_flow *f)
{
	uint64_t t = f->app_from_ns;

	if (f->app_rate != 0)
		t += (uint64_t)((double)f->app_sent * 1e9 / (double)f->app_rate);
	return t > m->now_ns ? t : m->now_ns;
}

// From then on the application has that many bytes/s, 0: more than can be sent.
static inline void model_app(struct model_flow *f, uint64_t from_ns, uint64_t rate)
{
	f->app_from_ns = from_ns;
	f->app_rate = rate;
	f->app_sent = 0;
}

static inline bool model_has_room(const struct model_flow *f)
{
	return cc_in_flight(&f->cc) + f->mss <= cc_cwnd(&f->cc);
}

// A turn: at most a quantum at once.
static inline void model_turn(struct model *m, struct model_flow *f)
{
	uint64_t n = 0;

	while (model_has_room(f) && f->send_ns <= m->now_ns && n + f->mss <= cc_quantum(&f->cc)) {
		if (model_app_ns(m, f) > m->now_ns) {
			cc_app_limited(&f->cc);
			break;
		}
		model_send(m, f);
		n += f->mss;
	}
	if (n > 0)
		f->send_ns = m->now_ns + (uint64_t)((double)n * 1e9 / (double)cc_rate(&f->cc));
}

static inline void model_detect(struct model *m, struct model_flow *f)
{
	uint64_t wait = f->srtt_ns + f->srtt_ns / 8;

	f->loss_ns = MODEL_NEVER;
	for (uint64_t n = f->first; n < f->largest; n++) {
		struct model_sent *s = &f->ring[n & f->mask];

		if (s->settled)
			continue;
		if (n + 3 >= f->largest && s->p.sent_ns + wait > m->now_ns) {
			f->loss_ns = s->p.sent_ns + wait;
			break;
		}
		s->settled = true;
		f->lost += f->mss;
		cc_lost(&f->cc, &s->p, f->mss, m->now_ns);
	}
	while (f->first < f->next && f->ring[f->first & f->mask].settled)
		f->first++;
}

static inline void model_rtt(struct model_flow *f, uint64_t rtt)
{
	uint64_t d = rtt > f->srtt_ns ? rtt - f->srtt_ns : f->srtt_ns - rtt;

	if (rtt > f->max_rtt_ns)
		f->max_rtt_ns = rtt;
	f->var_ns = f->srtt_ns == 0 ? rtt / 2 : f->var_ns - f->var_ns / 4 + d / 4;
	f->srtt_ns = f->srtt_ns == 0 ? rtt : f->srtt_ns - f->srtt_ns / 8 + rtt / 8;
}

// The first datagram whose ack will come, f->next if there is none.
static inline uint64_t model_coming(struct model_flow *f)
{
	while (f->coming < f->next && f->ring[f->coming & f->mask].ack_ns == MODEL_NEVER)
		f->coming++;
	return f->coming;
}

static inline void model_ack(struct model *m, struct model_flow *f)
{
	uint64_t rtt = 0;

	while (model_coming(f) < f->next) {
		struct model_sent *s = &f->ring[f->coming & f->mask];

		if (s->ack_ns > m->now_ns)
			break;
		f->coming++;
		f->largest = f->coming;
		f->delivered += f->mss;
		if (s->settled) {
			cc_found(&f->cc, &s->p, f->mss, m->now_ns);
			continue;
		}
		s->settled = true;
		rtt = m->now_ns - s->p.sent_ns;
		cc_acked(&f->cc, &s->p, f->mss, m->now_ns);
	}
	if (rtt != 0)
		model_rtt(f, rtt);
	f->ptos = 0;
	model_detect(m, f);
	cc_ack_end(&f->cc, rtt, m->now_ns);
	f->pto_ns = f->first < f->next ? m->now_ns + model_pto(f) : MODEL_NEVER;
}

static inline void model_timeout(struct model *m, struct model_flow *f)
{
	cc_timeout(&f->cc, m->now_ns);
	f->ptos++;
	model_send(m, f);
}

static inline uint64_t model_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t model_next_ns(const struct model *m, struct model_flow *f)
{
	uint64_t t = model_min(f->loss_ns, f->pto_ns);

	if (model_coming(f) < f->next)
		t = model_min(t, f->ring[f->coming & f->mask].ack_ns);
	if (model_has_room(f)) {
		uint64_t app = model_app_ns(m, f);

		t = model_min(t, app > f->send_ns ? app : f->send_ns);
	}
	return t > m->now_ns ? t : m->now_ns;
}

static inline void model_step(struct model *m, struct model_flow *f)
{
	if (model_coming(f) < f->next && f->ring[f->coming & f->mask].ack_ns <= m->now_ns) {
		model_ack(m, f);
	} else if (f->loss_ns <= m->now_ns) {
		model_detect(m, f);
		cc_ack_end(&f->cc, 0, m->now_ns);
	} else if (f->pto_ns <= m->now_ns) {
		model_timeout(m, f);
	}
	model_turn(m, f);
}

static inline void model_run(struct model *m, uint64_t until_ns)
{
	for (;;) {
		struct model_flow *who = NULL;
		uint64_t t = MODEL_NEVER;

		for (unsigned i = 0; i < m->n_flows; i++) {
			uint64_t next = model_next_ns(m, &m->flow[i]);

			if (next < t) {
				t = next;
				who = &m->flow[i];
			}
		}
		if (t >= until_ns)
			break;
		m->now_ns = t;
		model_step(m, who);
	}
	m->now_ns = until_ns;
}
