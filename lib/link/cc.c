// The books of congestion control: bytes in flight, delivery rate samples, round trips and loss
// episodes, as section 4.1 of draft-ietf-ccwg-bbr-06 wants them ("draft" in all comments); which
// controller draws conclusions from them is the ops table's choice. Per datagram there is neither
// division nor pointer call here, but where a datagram is lost or ends an idle time.
#include "lib/link/cc_priv.h"

#include <string.h>

#include "lib/base/err.h"

enum {
	MSS_MIN = 500,
	MSS_MAX = 65535,
	RATE_MIN_MSS =
		4, // datagrams a second, however slow the path seemed: else it is never found out
	COLLAPSE_TIMEOUTS = 2,
	QUANTA_A_S = 4000, // a worker is back well within 250 us, so the draft's 1 ms is not needed
};

const struct cc_ops *cc_find(const char *name)
{
	const struct cc_ops *all[] = {cc_bbr(), cc_cubic()};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

// Halving both keeps the quotient: bytes * 10^9 must fit 64 bits.
uint64_t cc_rate_of(uint64_t bytes, uint64_t ns)
{
	while (bytes >= (uint64_t)1 << 34) {
		bytes >>= 1;
		ns >>= 1;
	}
	return cc_min(bytes * 1000000000 / cc_max(ns, 1), CC_RATE_MAX);
}

// xorshift64*: good enough to keep flows from probing in step.
uint64_t cc_random(struct cc *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return c->random * 0x2545f4914f6cdd1d;
}

void cc_set_rate(struct cc *c, uint64_t rate)
{
	c->rate = cc_max(cc_min(rate, CC_RATE_MAX), (uint64_t)RATE_MIN_MSS * c->mss);
	c->quantum = (uint32_t)cc_max(
		cc_min(c->rate / QUANTA_A_S, CC_QUANTUM_MAX), 2 * (uint64_t)c->mss);
}

void cc_set_mss(struct cc *c, uint32_t mss)
{
	c->mss = (uint32_t)cc_max(cc_min(mss, MSS_MAX), MSS_MIN);
	c->cwnd = cc_max(c->cwnd, cc_min_cwnd(c));
	cc_set_rate(c, c->rate);
}

void cc_init(struct cc *c, const struct cc_ops *ops, const struct cc_conf *conf, uint64_t now_ns)
{
	*c = (struct cc){.ops = ops, .random = conf->seed * 2 + 1};
	cc_set_mss(c, conf->mss);
	cc_restart(c, now_ns);
}

// delivered and lost go on, so that what is in flight can still be compared with them.
void cc_restart(struct cc *c, uint64_t now_ns)
{
	c->cwnd = cc_init_cwnd(c);
	c->born_ns = now_ns;
	c->episode_ns = now_ns;
	c->recovery_ns = now_ns;
	c->episode_lost = 0;
	c->in_recovery = false;
	c->timeouts = 0;
	c->app_limited = 0;
	c->limited_now = false;
	c->limited_before = false;
	c->min_rtt_ns = 0;
	c->srtt_ns = 0;
	c->round_start = false;
	c->rs = (struct cc_sample){0};
	cc_start_round(c);
	c->ops->init(c, now_ns);
}

// Draft 4.1.2.2.
void cc_sent(struct cc *c, struct cc_pkt *p, uint32_t bytes, uint64_t now_ns)
{
	if (c->in_flight == 0) {
		if (c->app_limited != 0)
			c->ops->on_idle(c, now_ns);
		c->first_sent_ns = now_ns;
		c->delivered_ns = now_ns;
	}
	*p = cc_pkt_now(c, now_ns);
	p->tx_in_flight += bytes;
	cc_sent_all(c, p);
}

void cc_forgotten(struct cc *c, uint32_t bytes)
{
	c->in_flight -= cc_min(bytes, c->in_flight);
}

// Draft 4.1.2.3, UpdateRateSample. Of those that this ACK names the one that was sent last makes
// the sample; of those sent at one time, the one that had most before it.
void cc_acked(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns)
{
	struct cc_sample *rs = &c->rs;

	cc_forgotten(c, bytes);
	c->delivered += bytes;
	c->delivered_ns = now_ns;
	c->timeouts = 0;
	if (p->sent_ns < c->born_ns)
		return;
	rs->newly_acked += bytes;
	if (rs->has_data &&
		(p->sent_ns < rs->sent_ns ||
			(p->sent_ns == rs->sent_ns && p->tx_in_flight < rs->tx_in_flight)))
		return;
	rs->has_data = true;
	rs->sent_ns = p->sent_ns;
	rs->prior_delivered = p->delivered;
	rs->prior_ns = p->delivered_ns;
	rs->tx_in_flight = p->tx_in_flight;
	rs->lost = p->lost; // until generate_sample
	rs->app_limited = p->app_limited;
	rs->interval_ns = cc_max(p->sent_ns - p->first_sent_ns, now_ns - p->delivered_ns);
	c->first_sent_ns = p->sent_ns;
}

void cc_lost(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns)
{
	bool first = p->sent_ns >= c->recovery_ns;

	cc_forgotten(c, bytes);
	c->lost += bytes;
	if (p->sent_ns < c->born_ns)
		return;
	c->rs.newly_lost += bytes;
	if (first) {
		c->episode_ns = c->recovery_ns;
		c->recovery_ns = now_ns + 1;
		c->episode_lost = 0;
		c->in_recovery = true;
	}
	if (p->sent_ns >= c->episode_ns)
		c->episode_lost += bytes;
	c->ops->on_lost(c, p, bytes, first, now_ns);
}

void cc_found(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns)
{
	c->delivered += bytes;
	c->delivered_ns = now_ns;
	if (c->episode_lost == 0 || p->sent_ns < c->episode_ns || p->sent_ns >= c->recovery_ns)
		return;
	c->episode_lost -= cc_min(bytes, c->episode_lost);
	if (c->episode_lost > 0)
		return;
	c->in_recovery = false;
	c->ops->on_spurious(c, now_ns);
}

// Draft 4.1.2.3, GenerateRateSample.
static void generate_sample(struct cc *c)
{
	struct cc_sample *rs = &c->rs;

	if (c->app_limited != 0 && c->delivered > c->app_limited)
		c->app_limited = 0;
	if (!rs->has_data)
		return;
	rs->lost = c->lost - rs->lost;
	rs->delivered = c->delivered - rs->prior_delivered;
	if (rs->interval_ns >= c->min_rtt_ns)
		rs->rate = cc_rate_of(rs->delivered, rs->interval_ns);
}

// Draft 5.5.1, UpdateRound.
static void update_round(struct cc *c)
{
	c->round_start = c->rs.has_data && c->rs.prior_delivered >= c->next_round_delivered;
	if (!c->round_start)
		return;
	cc_start_round(c);
	c->round++;
	c->limited_before = c->limited_now;
	c->limited_now = false;
}

static void update_rtt(struct cc *c, uint64_t rtt_ns)
{
	c->rs.rtt_ns = rtt_ns;
	if (rtt_ns == 0)
		return;
	if (c->min_rtt_ns == 0 || rtt_ns < c->min_rtt_ns)
		c->min_rtt_ns = rtt_ns;
	c->srtt_ns = c->srtt_ns == 0 ? rtt_ns : c->srtt_ns - c->srtt_ns / 8 + rtt_ns / 8;
}

void cc_ack_end(struct cc *c, uint64_t rtt_ns, uint64_t now_ns)
{
	if (c->rs.has_data)
		update_rtt(c, rtt_ns);
	generate_sample(c);
	update_round(c);
	if (c->rs.has_data && c->rs.sent_ns >= c->recovery_ns)
		c->in_recovery = false;
	if (c->rs.has_data || c->rs.newly_lost > 0)
		c->ops->on_ack(c, now_ns);
	c->rs = (struct cc_sample){0};
}

// One time-out may be a lost tail; in a row they say that the path is gone or much slower. What was
// sent until now belongs to this episode, and no ACK may undo it.
void cc_timeout(struct cc *c, uint64_t now_ns)
{
	c->timeouts++;
	if (c->timeouts < COLLAPSE_TIMEOUTS)
		return;
	c->recovery_ns = now_ns + 1;
	c->episode_ns = c->recovery_ns;
	c->episode_lost = 0;
	c->in_recovery = true;
	if (c->timeouts == COLLAPSE_TIMEOUTS)
		c->ops->on_collapse(c, now_ns);
}

// Draft 4.1.2.4. A flow that the window holds up is not limited by its application.
void cc_app_limited(struct cc *c)
{
	if (c->in_flight < c->cwnd)
		cc_mark_app_limited(c);
}

const char *cc_name(const struct cc *c)
{
	return c->ops->name;
}

const char *cc_phase(const struct cc *c)
{
	return c->ops->phase(c);
}
