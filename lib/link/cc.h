// Congestion control of one flow of a reliable rail link (rail 4), behind one table of operations.
// Sans-I/O and without allocation: the link says what it sent, what was acked and what was lost,
// and asks how much may be in flight and how fast it may send. When to send is the link's business
// (from cc_rate and cc_quantum), and so are loss detection and time-outs.
//
// Owned by one thread (the hop's owner worker). Times are ns of one monotonic clock and never go
// back, rates bytes per second, sizes bytes of UDP payload of eliciting datagrams; others are not
// in flight (rail 4) and never named here. Nothing here fails.
//
// A datagram: cc_sent, then exactly one of cc_acked, cc_lost and cc_forgotten; one that was lost
// may be cc_found later.
// An ACK: cc_acked for each datagram that it settles, then cc_lost for each, then cc_ack_end. A
// loss timer: cc_lost for each, then cc_ack_end.
// A turn of sending: cc_sent for each datagram, while cc_in_flight + its size <= cc_cwnd and pacing
// allows it; cc_app_limited when the turn ended for another reason than these two.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/link/cc_bbr.h"
#include "lib/link/cc_cubic.h"

enum {
	CC_INIT_MSS = 10, // initial window
	CC_MIN_MSS = 4, // smallest window; a probe after a time-out may exceed it
	CC_QUANTUM_MAX = 65536,
};

// No link is faster, as far as this code is concerned (137 Gbit/s): products with ns fit 64 bits.
#define CC_RATE_MAX ((uint64_t)1 << 34)

// What the link keeps for each datagram in flight and hands back. It may read sent_ns, no more.
struct cc_pkt {
	uint64_t sent_ns;
	// what the flow's books said when it was sent
	uint64_t delivered;
	uint64_t delivered_ns;
	uint64_t first_sent_ns;
	uint64_t lost;
	uint64_t tx_in_flight : 63; // bytes, with it
	uint64_t app_limited : 1;
};

struct cc_ops; // cc_priv.h

struct cc_conf {
	uint32_t mss; // UDP payload of a full datagram, 500..65535 (others are clamped)
	uint64_t seed; // of randomised waits; equal seeds give equal runs
};

// The rate sample of one ACK (draft 4.1.2.1.3), made by the common part for the controller.
struct cc_sample {
	uint64_t rtt_ns; // 0: none
	uint64_t newly_acked; // bytes
	uint64_t newly_lost;
	uint64_t prior_delivered; // of the datagram that was sent last among those acked
	uint64_t prior_ns;
	uint64_t sent_ns;
	uint64_t delivered; // bytes over the interval
	uint64_t interval_ns;
	uint64_t rate; // bytes/s, 0: no reliable sample
	uint64_t tx_in_flight;
	uint64_t lost; // bytes, from its transmission to now
	bool app_limited;
	bool has_data; // something was acked that was sent since cc_init or cc_restart
};

// Open for the four inline getters and for the controllers; the link reads nothing else.
struct cc {
	uint64_t in_flight;
	uint64_t cwnd;
	uint64_t rate; // pacing
	uint32_t quantum;
	uint32_t mss;

	uint64_t delivered; // in all its life, as are lost
	uint64_t delivered_ns;
	uint64_t first_sent_ns;
	uint64_t lost;
	uint64_t app_limited; // value of delivered at which the bubble is gone, 0: not app-limited
	uint64_t born_ns; // cc_init or cc_restart: datagrams sent before do not count as samples
	bool limited_now; // the window was full in this round
	bool limited_before; // ... in the round before

	const struct cc_ops *ops;
	uint64_t min_rtt_ns; // since born, 0: no sample yet
	uint64_t srtt_ns;
	uint64_t round; // packet-timed round trips
	uint64_t next_round_delivered;
	bool round_start; // this ACK began one
	bool in_recovery;
	uint32_t timeouts; // in a row
	// Losses of datagrams sent in [episode_ns, recovery_ns) are one episode, the latest.
	uint64_t episode_ns;
	uint64_t recovery_ns;
	uint64_t episode_lost; // bytes, without those found again
	uint64_t random;
	struct cc_sample rs;
	union {
		struct cc_bbr bbr;
		struct cc_cubic cubic;
	} u;
};

// "bbr" or "cubic"; NULL when there is no such controller.
const struct cc_ops *cc_find(const char *name);

void cc_init(struct cc *c, const struct cc_ops *ops, const struct cc_conf *conf, uint64_t now_ns);

// A datagram of that many bytes leaves now; fills *p.
void cc_sent(struct cc *c, struct cc_pkt *p, uint32_t bytes, uint64_t now_ns);

// The same where something is in flight already, for many that leave now. Each is *p, once its
// bytes were added to p->tx_in_flight; then cc_sent_all() is told p as it is then.
static inline struct cc_pkt cc_pkt_now(const struct cc *c, uint64_t now_ns)
{
	return (struct cc_pkt){
		.sent_ns = now_ns,
		.delivered = c->delivered,
		.delivered_ns = c->delivered_ns,
		.first_sent_ns = c->first_sent_ns,
		.lost = c->lost,
		.tx_in_flight = c->in_flight,
		.app_limited = c->app_limited != 0,
	};
}

static inline void cc_sent_all(struct cc *c, const struct cc_pkt *p)
{
	c->in_flight = p->tx_in_flight;
	if (c->in_flight + c->mss > c->cwnd)
		c->limited_now = true;
}

// Several that were sent since cc_init or cc_restart may be told as one: the bytes of all, and the
// cc_pkt of that which was sent last, of those sent at one time the one with most in flight.
void cc_acked(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns);
void cc_lost(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns);

// It leaves the flight without a verdict: a lost padded PROBE, a reset of the link.
void cc_forgotten(struct cc *c, uint32_t bytes);

// A datagram given to cc_lost was acked after all. Optional: when all that an episode lost was
// found again, the reaction to it is undone. Before cc_ack_end of that ACK.
void cc_found(struct cc *c, const struct cc_pkt *p, uint32_t bytes, uint64_t now_ns);

// Ends an ACK or a loss timer. rtt_ns: from the sending of the newest datagram that this ACK newly
// acked until now, the peer's ack delay not subtracted; 0 when there is no sample.
void cc_ack_end(struct cc *c, uint64_t rtt_ns, uint64_t now_ns);

// A probe time-out expired; the flight stays as it is. From the second in a row on the window is
// the smallest one, until something is acked. Probes go out whatever the window says.
void cc_timeout(struct cc *c, uint64_t now_ns);

// The link has nothing more to send now, or is kept from it by its peer's window or a pause.
void cc_app_limited(struct cc *c);

void cc_set_mss(struct cc *c, uint32_t mss);

// The path is another one: model, window and rate begin anew. What is in flight stays in flight.
void cc_restart(struct cc *c, uint64_t now_ns);

const char *cc_name(const struct cc *c);
const char *cc_phase(const struct cc *c); // for people: "startup", "cruise", ...

static inline uint64_t cc_cwnd(const struct cc *c)
{
	return c->cwnd;
}

static inline uint64_t cc_in_flight(const struct cc *c)
{
	return c->in_flight;
}

// Pacing rate, 1..CC_RATE_MAX.
static inline uint64_t cc_rate(const struct cc *c)
{
	return c->rate;
}

// Bytes that may leave back to back, 2 mss at least.
static inline uint32_t cc_quantum(const struct cc *c)
{
	return c->quantum;
}
