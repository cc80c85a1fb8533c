// One group as a conn. Writing: a packet at a time; one that the ring does not take waits in `out`,
// and then nothing more is taken from above. Reading: records are opened where they lie in the
// ring's copy and given to the owner; what that does not take waits in `in`, and once there is much
// of it the data plane holds the rest, so that in the end the far end's writer waits.
#include "controlplane/route/route_group_priv.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("route");

enum {
	END_BY_MS = GROUP_CLOSE_MS + 1000, // a second for what was written (conn.h)
	CLOSED_MS = 500, // between the end of a consume rule and the Close that made it
	TIMER_SLACK_MS = 1, // a timer is moved for no less
	AGAIN_MS = 20, // a worker's queue of messages was full
};

static struct route_group *of(struct conn *c)
{
	return (struct route_group *)c;
}

void route_group_unref(struct route_group *rg)
{
	if (--rg->refs > 0)
		return;
	loop_timer_free(rg->timer);
	group_fini(&rg->g);
	free(rg);
}

static int err_of(const struct route_group *rg)
{
	return rg->err != 0 ? rg->err : group_err(&rg->g);
}

const char *route_group_why(const struct conn *c)
{
	const struct route_group *rg = (const struct route_group *)c;

	return rg->why[0] != '\0' ? rg->why : group_why(&rg->g);
}

void route_group_log(const struct route_group *rg, const char *what)
{
	const char *why = route_group_why(&rg->base);
	char pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(route_group_remote(rg), pk);
	log_limited(LOG_INFO, "group=%.8s:%u local=%u %s%s%s", pk, route_group_remote_port(rg),
		route_group_local_port(rg), what, why[0] != '\0' ? ": " : "", why);
}

static bool is_closing(const struct route_group *rg)
{
	return group_state(&rg->g) >= GROUP_CLOSING;
}

// ---- to the owner ----

static void on_deferred(void *arg);

static void defer(struct route_group *rg)
{
	if (rg->deferred || !rg->owned)
		return;
	rg->refs++;
	rg->deferred = true;
	if (loop_defer(rg->gs->conf.loop, on_deferred, rg) != 0) {
		rg->deferred = false;
		rg->refs--; // the next event tries again
	}
}

static void tell_holds(struct route_group *rg);

// Its worker had no room for it: said again, as it stands then.
static void on_holds_told(void *arg, int status, uint32_t aux)
{
	struct route_group *rg = arg;

	(void)aux;
	rg->telling = false;
	if (status == -EAGAIN && rg->listed) {
		rg->holds_told = !rg->holds_told;
		rg->armed_ns = clock_mono_ns() + AGAIN_MS * CLOCK_NS_PER_MS;
		loop_timer_start(rg->timer, AGAIN_MS, 0);
	} else {
		tell_holds(rg); // it may have changed
	}
	route_group_unref(rg);
}

// What the data plane is to do with what comes. One that finds no room is sent later.
static void tell_holds(struct route_group *rg)
{
	struct cmd_route_pause c = {.h.type = CMD_ROUTE_PAUSE,
		.id = rg->end.consume_id,
		.limit_s = ROUTE_GROUP_STALL_S,
		.paused = rg->holds};

	if (rg->holds == rg->holds_told || rg->telling || rg->end.consume_id == 0)
		return;
	if (dp_client_send(rg->gs->conf.dp, &c, sizeof(c), on_holds_told, rg) != 0)
		return;
	rg->refs++;
	rg->telling = true;
	rg->holds_told = rg->holds;
}

static void hold(struct route_group *rg, bool holds)
{
	rg->holds = holds;
	tell_holds(rg);
}

static void discard(struct route_group *rg)
{
	rg->gs->queued -= rg->in.len;
	mux_buf_get(&rg->in, &rg->gs->pool, NULL, rg->in.len);
	hold(rg, false);
}

static void queue(struct route_group *rg, const uint8_t *p, size_t len)
{
	struct route_groups *gs = rg->gs;
	bool full =
		rg->in.len + len > ROUTE_GROUP_QUEUE_MAX || gs->queued + len > gs->conf.queued_max;
	size_t n = full ? 0 : mux_buf_put(&rg->in, &gs->pool, p, len);

	gs->queued += n;
	if (n < len) {
		gs->stats.overrun++;
		group_fail(&rg->g, clock_mono_ns(), -ENOBUFS,
			"its reader is too slow, and too much came to be kept");
	} else if (rg->in.len > ROUTE_GROUP_QUEUE_HIGH) {
		hold(rg, true);
	}
}

// Bytes of the stream: to the owner, or kept for it.
static void take_data(struct route_group *rg, uint8_t *p, size_t len)
{
	size_t taken = 0;

	if (rg->owned && rg->told_open && rg->in.len == 0)
		taken = rg->base.ev->data(rg->base.arg, p, len);
	if (rg->owned && taken < len)
		queue(rg, p + taken, len - taken);
}

static void read_on(struct route_group *rg)
{
	size_t n, taken;
	uint8_t *p;

	rg->resumed = false;
	while (rg->owned && (n = mux_buf_peek(&rg->in, &p)) > 0) {
		taken = rg->base.ev->data(rg->base.arg, p, n);
		if (!rg->owned)
			return; // it was discarded
		mux_buf_get(&rg->in, &rg->gs->pool, NULL, taken);
		rg->gs->queued -= taken;
		if (rg->holds && rg->in.len < ROUTE_GROUP_QUEUE_LOW)
			hold(rg, false);
		if (taken < n)
			return;
	}
}

// The end, when it is its turn: errors at once, a Close when all before it was taken.
static void tell_end(struct route_group *rg)
{
	int err = err_of(rg);

	if (!rg->owned || rg->told_err)
		return;
	if (err == 0 && (!group_is_closed(&rg->g) || rg->in.len > 0))
		return;
	if (err == 0 && !rg->told_eof) {
		rg->told_eof = true;
		defer(rg); // the rest of it
		rg->base.ev->end(rg->base.arg, 0);
		return;
	}
	rg->told_err = true;
	rg->base.ev->end(rg->base.arg, err != 0 ? err : -EPIPE);
}

static void on_deferred(void *arg)
{
	struct route_group *rg = arg;

	rg->deferred = false;
	if (rg->owned && rg->opened && !rg->told_open && err_of(rg) == 0) {
		rg->told_open = rg->resumed = true;
		if (rg->base.ev->open != NULL)
			rg->base.ev->open(rg->base.arg);
	}
	if (rg->owned && rg->resumed && err_of(rg) == 0)
		read_on(rg);
	tell_end(rg);
	route_group_unref(rg);
}

// ---- sending ----

// Gives the ring what waits. True: nothing does.
static bool flush(struct route_group *rg)
{
	int rc;

	if (rg->out_len == 0)
		return true;
	if (rg->paused && !is_closing(rg) && !rg->no_tx)
		return false;
	rc = rg->no_tx ? 0
		       : dp_client_send_route(rg->gs->conf.dp, rg->worker, rg->end.forward_id,
				 rg->out, rg->out_len);
	if (rc == -EAGAIN)
		return false;
	rg->out_len = 0; // other errors are the data plane's end, of which we are told
	return true;
}

static void arm(struct route_group *rg, uint64_t now_ns)
{
	uint64_t next = rg->out_len > 0 || rg->paused ? UINT64_MAX : group_next_ns(&rg->g);

	if (rg->end_by_ns != 0 && rg->end_by_ns < next)
		next = rg->end_by_ns;
	if (rg->closed_ns != 0 && rg->closed_ns < next)
		next = rg->closed_ns;
	if (next == UINT64_MAX || !rg->listed)
		return;
	if (rg->armed_ns != 0 && rg->armed_ns <= next + TIMER_SLACK_MS * CLOCK_NS_PER_MS)
		return; // it looks again when it fires
	rg->armed_ns = next > now_ns ? next : now_ns + 1;
	loop_timer_start(rg->timer, clock_left_ms(rg->armed_ns), 0);
}

static void become_open(struct route_group *rg)
{
	rg->opened = true;
	route_group_log(rg, "open");
	if (rg->g.conf.initiator)
		defer(rg);
	else
		route_groups_opened(rg);
}

// What is new since the last look.
static void settle(struct route_group *rg, uint64_t now_ns)
{
	if (group_state(&rg->g) == GROUP_OPEN && !rg->opened)
		become_open(rg);
	if (is_closing(rg) && rg->end_by_ns == 0)
		rg->end_by_ns = now_ns + END_BY_MS * CLOCK_NS_PER_MS;
	if (err_of(rg) != 0 || group_is_closed(&rg->g))
		defer(rg);
	if (rg->listed && ((group_state(&rg->g) == GROUP_OVER && rg->out_len == 0) ||
				  (rg->end_by_ns != 0 && now_ns >= rg->end_by_ns)))
		route_groups_forget(rg);
}

void route_group_pump(struct route_group *rg)
{
	uint64_t now_ns = clock_mono_ns();

	if (rg->install != NULL || !rg->listed)
		return;
	rg->refs++;
	while (flush(rg) && (!rg->paused || is_closing(rg) || rg->no_tx)) {
		rg->out_len = group_pull(&rg->g, now_ns, rg->out, sizeof(rg->out));
		if (rg->out_len == 0)
			break;
	}
	settle(rg, now_ns);
	arm(rg, now_ns);
	route_group_unref(rg);
}

// What is known of the path changes: it is searched for, and may become less or more. A group that
// may send has its timer for pings, so it knows by the next one.
static void look_at_path(struct route_group *rg)
{
	const struct route_groups_conf *conf = &rg->gs->conf;
	struct route_way way;

	conf->way(conf->way_arg, &rg->forward, &way);
	group_set_payload(&rg->g, way.payload_max);
}

void route_group_on_timer(void *arg)
{
	struct route_group *rg = arg;
	uint8_t close[ROUTE_HDR_LEN + ROUTE_CLOSE_LEN];

	rg->armed_ns = 0;
	if (rg->closed_ns != 0 && clock_mono_ns() >= rg->closed_ns) {
		rg->closed_ns = 0; // the packet did not come, but it was one
		route_close_encode(close, sizeof(close), 0, ROUTE_CLOSE_REQUESTED);
		group_take(&rg->g, clock_mono_ns(), close, sizeof(close));
	}
	tell_holds(rg);
	if (rg->opened)
		look_at_path(rg);
	route_group_pump(rg);
}

static void drain(struct route_group *rg)
{
	if (!rg->blocked || !rg->owned || rg->paused || rg->out_len > 0 || is_closing(rg))
		return;
	rg->blocked = false;
	if (rg->base.ev->drain != NULL)
		rg->base.ev->drain(rg->base.arg);
}

void route_group_room(struct route_group *rg)
{
	tell_holds(rg);
	if (rg->out_len == 0 && !rg->blocked)
		return;
	rg->refs++;
	route_group_pump(rg);
	drain(rg);
	route_group_unref(rg);
}

// ---- what the data plane gives and says ----

static bool on_packet(void *arg, uint8_t *packet, size_t len)
{
	struct route_group *rg = arg;
	uint64_t now_ns = clock_mono_ns(), bad = group_stats_of(&rg->g)->rx_bad;
	uint8_t *data;
	size_t n;

	rg->refs++;
	group_take(&rg->g, now_ns, packet, len);
	settle(rg, now_ns); // what opened it may be bytes, of a far end that does not seal
	while ((n = group_read(&rg->g, now_ns, &data)) > 0)
		take_data(rg, data, n);
	rg->gs->stats.bad_packets += group_stats_of(&rg->g)->rx_bad - bad;
	route_group_pump(rg);
	route_group_unref(rg);
	return true;
}

static void on_pause(void *arg, bool paused)
{
	struct route_group *rg = arg;

	if (rg->paused == paused)
		return;
	rg->paused = paused;
	rg->refs++;
	route_group_pump(rg);
	drain(rg);
	route_group_unref(rg);
}

// The far end is told by the other rule, if that is still there.
static void on_gone(void *arg, const struct evt_rule *r)
{
	struct route_group *rg = arg;
	bool out = r->id == rg->end.forward_id;
	char why[GROUP_TEXT_LEN];

	if (out)
		rg->no_tx = true;
	if (!out && r->reason == RULE_GONE_CLOSE) {
		rg->closed_ns = clock_mono_ns() + CLOSED_MS * CLOCK_NS_PER_MS;
		arm(rg, clock_mono_ns());
		return;
	}
	snprintf(why, sizeof(why), "its %s rule is gone: %s", out ? "forward" : "consume",
		rule_gone_text(r->reason));
	group_fail(&rg->g, clock_mono_ns(), r->reason == RULE_GONE_EXPIRED ? -ETIMEDOUT : -ENETDOWN,
		why);
	route_group_pump(rg);
}

const struct route_end_ops route_group_end_ops = {on_packet, on_gone, on_pause};

void route_group_on_installed(void *arg, int status, size_t which)
{
	struct route_group *rg = arg;
	void (*done)(void *, int) = rg->done;

	rg->install = NULL;
	rg->done = NULL;
	rg->refs++;
	if (status != 0) {
		rg->err = status;
		snprintf(rg->why, sizeof(rg->why), "its %s rule was not installed: %s",
			which == 0 ? "forward" : "consume", strerror(-status));
		rg->no_tx = true;
		route_ends_unbind(rg->gs->conf.ends, &rg->end); // the ids are not ours any more
		defer(rg);
		route_groups_forget(rg);
	}
	if (done != NULL)
		done(rg->done_arg, status);
	route_group_pump(rg);
	route_group_unref(rg);
}

void route_group_drop(struct route_group *rg, int err, const char *why)
{
	void (*done)(void *, int) = rg->done;

	rg->refs++;
	if (rg->install != NULL) {
		rule_install_cancel(rg->install); // takes the rules back, so they are not ours to
		route_ends_unbind(rg->gs->conf.ends, &rg->end);
	}
	rg->install = NULL;
	rg->done = NULL;
	rg->no_tx = true;
	group_fail(&rg->g, clock_mono_ns(), err, why);
	defer(rg);
	if (rg->listed)
		route_groups_forget(rg);
	if (done != NULL)
		done(rg->done_arg, err);
	route_group_unref(rg);
}

// ---- the conn ----

static ssize_t rg_write(struct conn *c, const void *p, size_t len)
{
	struct route_group *rg = of(c);
	uint64_t now_ns = clock_mono_ns();
	size_t done = 0;
	ssize_t n = 0;

	if (!rg->told_open || rg->shut || is_closing(rg))
		return -EPIPE;
	while (done < len && n >= 0 && !rg->paused && flush(rg)) {
		n = group_write(&rg->g, now_ns, (const uint8_t *)p + done, len - done, rg->out,
			sizeof(rg->out), &rg->out_len);
		if (n == 0) // something else goes first
			rg->out_len = group_pull(&rg->g, now_ns, rg->out, sizeof(rg->out));
		done += n > 0 ? (size_t)n : 0;
	}
	flush(rg);
	if (n < 0) {
		route_group_pump(rg); // it failed
		return done > 0 ? (ssize_t)done : -EPIPE;
	}
	rg->blocked = rg->blocked || done < len;
	return (ssize_t)done;
}

static void rg_shutdown(struct conn *c)
{
	of(c)->shut = true;
}

static void rg_resume(struct conn *c)
{
	of(c)->resumed = true;
	defer(of(c));
}

static void rg_close(struct conn *c)
{
	struct route_group *rg = of(c);

	rg->owned = false;
	discard(rg);
	group_close(&rg->g, clock_mono_ns(), NULL);
	route_group_pump(rg);
	route_group_unref(rg);
}

const struct conn_ops route_group_ops = {
	.write = rg_write,
	.shutdown = rg_shutdown,
	.resume = rg_resume,
	.close = rg_close,
};

void route_group_info_get(const struct route_group *rg, struct route_group_info *out)
{
	static const enum route_group_state states[] = {
		[GROUP_SHAKES] = ROUTE_GROUP_SHAKES,
		[GROUP_KEYS] = ROUTE_GROUP_SHAKES,
		[GROUP_OPEN] = ROUTE_GROUP_OPEN,
		[GROUP_CLOSING] = ROUTE_GROUP_CLOSING,
		[GROUP_OVER] = ROUTE_GROUP_ENDED,
	};

	*out = (struct route_group_info){.remote = *route_group_remote(rg),
		.remote_port = route_group_remote_port(rg),
		.local_port = route_group_local_port(rg),
		.initiator = rg->g.conf.initiator,
		.plain = rg->g.plain,
		.paused = rg->paused,
		.holds = rg->holds,
		.state = rg->install != NULL ? ROUTE_GROUP_INSTALLS : states[group_state(&rg->g)],
		.err = err_of(rg),
		.forward_id = rg->end.forward_id,
		.consume_id = rg->end.consume_id,
		.keep_alive_ms = rg->g.conf.keep_alive_ms,
		.payload_max = rg->g.conf.payload_max,
		.age_ms = (clock_mono_ns() - rg->since_ns) / CLOCK_NS_PER_MS,
		.queued = rg->in.len,
		.stats = rg->g.stats,
		.why = route_group_why(&rg->base)};
}
