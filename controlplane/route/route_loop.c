// One Ping at a time, so that none waits behind another; each has its number for a time, and one
// that comes late counts as lost. What was installed is closed along both ways of the loop, and the
// loop listens until both Closes are here, or as long as they may take: else they, and Pings that
// come late, would be packets that nobody wanted.
#include "controlplane/route/route_loop.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { NEAR, FAR, N_EDGES };

struct edge {
	bool here; // its rules are installed
	struct rule_install *install; // on its way; NULL: not
	uint32_t ids[2]; // forward, consume
};

struct route_loop {
	struct route_loops *ls;
	TAILQ_ENTRY(route_loop) link;
	const struct setup_route *route; // NULL: it was started
	route_loop_fn fn; // NULL: it was called, or is not wanted any more
	void *arg;
	struct edge edge[N_EDGES];
	void (*done)(void *arg, int status); // of who installs the far edge
	void *done_arg;
	struct route_end out, back; // what the near edge sends, and the far one
	struct loop_timer *timer;
	unsigned worker;
	bool closing, bound;
	uint8_t n_closes; // that came
	uint64_t sent_ns; // 0: no Ping is on its way
	uint64_t sum_us;
	uint32_t n_pings;
	struct route_loop_result result;
};

struct route_loops {
	struct route_loops_conf conf;
	struct route_loops_stats stats;
	uint32_t n; // that are not closing
	TAILQ_HEAD(, route_loop) list;
};

static void release(struct route_loop *lp)
{
	struct route_loops *ls = lp->ls;

	if (lp->bound) {
		route_ends_unbind(ls->conf.ends, &lp->out);
		route_ends_unbind(ls->conf.ends, &lp->back);
	}
	for (int i = 0; i < N_EDGES; i++)
		for (int k = 0; k < 2 && lp->edge[i].here; k++)
			route_ends_remove(ls->conf.ends, lp->edge[i].ids[k]);
	TAILQ_REMOVE(&ls->list, lp, link);
	loop_timer_free(lp->timer);
	free(lp);
}

// ---- Pings ----

void route_loop_result_get(const struct route_loop *lp, struct route_loop_result *out)
{
	uint32_t got;

	*out = lp->result;
	out->sent -= lp->sent_ns != 0;
	got = out->sent - out->lost;
	out->avg_us = got > 0 ? (uint32_t)(lp->sum_us / got) : 0;
}

static void finish(struct route_loop *lp, int err, const char *why)
{
	struct route_loop_result r;
	route_loop_fn fn = lp->fn;

	loop_timer_stop(lp->timer);
	route_loop_result_get(lp, &r);
	lp->sent_ns = 0;
	lp->fn = NULL;
	lp->ls->stats.failed += r.sent == r.lost;
	if (fn != NULL)
		fn(lp->arg, &r, err, why);
}

static int send_packet(struct route_loop *lp, int from, uint8_t type)
{
	const struct route_ping ping = {.time_ms = lp->result.sent};
	uint8_t packet[ROUTE_HDR_LEN + ROUTE_PING_LEN];
	uint32_t id = lp->edge[from].ids[0];
	ptrdiff_t n = type == ROUTE_PING ? route_ping_encode(packet, sizeof(packet), id, &ping)
					 : route_close_encode(packet, sizeof(packet), id,
						   ROUTE_CLOSE_REQUESTED);

	return dp_client_send_route(lp->ls->conf.dp, lp->worker, id, packet, (size_t)n);
}

static void ping(struct route_loop *lp)
{
	struct route_loop_result *r = &lp->result;

	if (r->sent == lp->n_pings || (r->lost == r->sent && r->lost == ROUTE_LOOP_DEAD)) {
		finish(lp, 0, "");
		return;
	}
	r->sent++;
	lp->sent_ns = clock_mono_ns();
	// what finds no room is lost, like any other
	(void)send_packet(lp, NEAR, ROUTE_PING);
	loop_timer_start(lp->timer, lp->ls->conf.ping_ms, 0);
}

static void on_timer(void *arg)
{
	struct route_loop *lp = arg;

	if (lp->closing) {
		release(lp);
		return;
	}
	if (lp->sent_ns != 0) {
		lp->sent_ns = 0;
		lp->result.lost++;
		lp->ls->stats.lost++;
	}
	ping(lp);
}

static void on_ping(struct route_loop *lp, const uint8_t *p, size_t len)
{
	struct route_loop_result *r = &lp->result;
	uint64_t ns = clock_mono_ns() - lp->sent_ns;
	struct route_ping got;
	uint32_t us = ns / CLOCK_NS_PER_US < UINT32_MAX ? (uint32_t)(ns / CLOCK_NS_PER_US) : 0;

	if (lp->sent_ns == 0 || route_ping_decode(p, len, &got) < 0 || got.time_ms != r->sent)
		return;
	lp->sent_ns = 0;
	lp->sum_us += us;
	r->min_us = r->sent == r->lost + 1 || us < r->min_us ? us : r->min_us; // or the first
	r->max_us = us > r->max_us ? us : r->max_us;
	loop_timer_start(lp->timer, lp->ls->conf.gap_ms, 0);
}

// ---- what the data plane gives and says ----

static bool on_packet(void *arg, uint8_t *packet, size_t len)
{
	struct route_loop *lp = arg;

	if (!route_hdr_is_whole(packet, len))
		return true;
	if (route_hdr_type(packet) == ROUTE_PING)
		on_ping(lp, packet + ROUTE_HDR_LEN, len - ROUTE_HDR_LEN);
	else if (route_hdr_type(packet) == ROUTE_CLOSE)
		lp->n_closes++;
	if (lp->closing && lp->n_closes >= 2)
		loop_timer_start(lp->timer, 0, 0); // the other end may come within this packet's
	return true;
}

static void on_gone(void *arg, const struct evt_rule *r)
{
	struct route_loop *lp = arg;
	char why[96];

	if (lp->closing || lp->fn == NULL)
		return;
	snprintf(why, sizeof(why), "a rule of it is gone: %s", rule_gone_text(r->reason));
	finish(lp, r->reason == RULE_GONE_EXPIRED ? -ETIMEDOUT : -ENETDOWN, why);
}

static void on_pause(void *arg, bool paused)
{
	(void)arg;
	(void)paused; // a Ping that waits is what is measured
}

static const struct route_end_ops end_ops = {on_packet, on_gone, on_pause};

// ---- rules ----

static void on_far(void *arg, int status, size_t which)
{
	struct route_loop *lp = arg;
	void (*done)(void *, int) = lp->done;

	(void)which;
	lp->done = NULL;
	lp->edge[FAR].install = NULL;
	lp->edge[FAR].here = status == 0;
	done(lp->done_arg, status);
}

static void on_near(void *arg, int status, size_t which)
{
	struct route_loop *lp = arg;
	char why[96];

	lp->edge[NEAR].install = NULL;
	lp->edge[NEAR].here = status == 0;
	if (status == 0) {
		ping(lp);
		return;
	}
	snprintf(why, sizeof(why), "its %s rule was not installed: %s",
		which == 0 ? "forward" : "consume", strerror(-status));
	finish(lp, status, why);
}

static int install(
	struct route_loop *lp, int which, const struct rule_wire rules[2], rule_install_fn done)
{
	struct edge *e = &lp->edge[which];

	e->install = rule_mgr_install(lp->ls->conf.rules, rules, 2, done, lp);
	if (e->install == NULL)
		return -errno;
	e->ids[0] = rules[0].key_id;
	e->ids[1] = rules[1].key_id;
	return 0;
}

bool route_loops_owns(const struct route_loops *ls, const struct setup_edge *edge)
{
	return edge->desc.dst_port == ROUTE_LOOP_PORT &&
	       memcmp(edge->desc.src_pk, ls->conf.self->b, RULE_PK_LEN) == 0;
}

// Is it the far edge of the route?
static bool read_far(
	const struct setup_route *r, const struct setup_edge *edge, struct rule_wire rules[2])
{
	return setup_edge_is_of(edge, &r->desc, r->reverse.hop[0].tp_id, r->keep_alive_ns, rules);
}

int route_loops_accept(struct route_loops *ls, const struct setup_edge *edge,
	void (*done)(void *arg, int status), void *arg)
{
	struct rule_wire rules[2];
	struct route_loop *lp;
	int rc;

	TAILQ_FOREACH (lp, &ls->list, link)
		if (lp->route != NULL && !lp->edge[FAR].here && lp->done == NULL &&
			read_far(lp->route, edge, rules))
			break;
	if (lp == NULL)
		return -ECONNREFUSED;
	rc = install(lp, FAR, rules, on_far);
	if (rc < 0)
		return rc;
	lp->done = done;
	lp->done_arg = arg;
	return 0;
}

// ---- life ----

struct route_loop *route_loop_new(struct route_loops *ls, const struct setup_route *route,
	uint32_t n_pings, route_loop_fn fn, void *arg)
{
	struct route_loop *lp;

	if (ls->n >= ROUTE_LOOPS_MAX) {
		ls->stats.refused++;
		return errno_null(EBUSY);
	}
	lp = calloc(1, sizeof(*lp));
	if (lp == NULL)
		return NULL;
	*lp = (struct route_loop){.ls = ls, .route = route, .fn = fn, .arg = arg};
	lp->n_pings = n_pings;
	lp->out = lp->back = (struct route_end){.ops = &end_ops, .arg = lp};
	lp->timer = loop_timer_new(ls->conf.loop, on_timer, lp);
	if (lp->timer == NULL) {
		free(lp);
		return errno_null(ENOMEM);
	}
	TAILQ_INSERT_TAIL(&ls->list, lp, link);
	ls->n++;
	ls->stats.loops++;
	return lp;
}

int route_loop_start(struct route_loop *lp, const struct rule_wire rules[2])
{
	const struct edge *near = &lp->edge[NEAR], *far = &lp->edge[FAR];
	struct route_way way = {0};
	int rc = lp->edge[FAR].here ? install(lp, NEAR, rules, on_near) : -EPROTO;

	lp->route = NULL;
	if (rc < 0)
		return rc;
	lp->ls->conf.way(lp->ls->conf.way_arg, &rules[0], &way);
	lp->worker = way.worker;
	route_ends_bind(lp->ls->conf.ends, &lp->out, near->ids[0], far->ids[1]);
	route_ends_bind(lp->ls->conf.ends, &lp->back, far->ids[0], near->ids[1]);
	lp->bound = true;
	return 0;
}

void route_loop_close(struct route_loop *lp)
{
	bool sent = false;

	if (lp == NULL)
		return;
	lp->ls->stats.failed += lp->fn != NULL;
	lp->fn = NULL;
	lp->route = NULL;
	lp->closing = true;
	lp->ls->n--;
	for (int i = 0; i < N_EDGES; i++) {
		if (lp->edge[i].install != NULL)
			rule_install_cancel(lp->edge[i].install); // takes them back
		lp->edge[i].install = NULL;
		if (lp->edge[i].here)
			sent = send_packet(lp, i, ROUTE_CLOSE) == 0 || sent;
	}
	if (lp->done != NULL)
		lp->done(lp->done_arg, -ECONNABORTED);
	lp->done = NULL;
	loop_timer_start(lp->timer, sent ? lp->ls->conf.close_ms : 0, 0);
}

struct route_loops *route_loops_new(const struct route_loops_conf *conf)
{
	struct route_loops *ls = calloc(1, sizeof(*ls));

	if (ls == NULL)
		return NULL;
	ls->conf = *conf;
	if (ls->conf.ping_ms == 0)
		ls->conf.ping_ms = ROUTE_LOOP_PING_MS;
	if (ls->conf.gap_ms == 0)
		ls->conf.gap_ms = ROUTE_LOOP_GAP_MS;
	if (ls->conf.close_ms == 0)
		ls->conf.close_ms = ROUTE_LOOP_CLOSE_MS;
	TAILQ_INIT(&ls->list);
	return ls;
}

void route_loops_free(struct route_loops *ls)
{
	struct route_loop *lp;

	if (ls == NULL)
		return;
	while ((lp = TAILQ_FIRST(&ls->list)) != NULL)
		release(lp);
	free(ls);
}

void route_loops_stats_get(const struct route_loops *ls, struct route_loops_stats *out)
{
	*out = ls->stats;
}
