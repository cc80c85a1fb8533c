// The muxer's ping is in its own statistics, which keep-alives refresh; the marker's answer is kept
// here.
#include "controlplane/dmsg/dmsg_rtt.h"

#include <errno.h>
#include <stdlib.h>

#include "controlplane/dmsg/dmsg_ping.h"
#include "lib/base/err.h"
#include "lib/dmsg/inbox.h"

struct dmsg_rtt {
	struct dmsg_link *k;
	struct loop_timer *timer;
	struct dmsg_ping *ping;
	uint64_t marker_ns; // 0: none came back
};

static void on_marker(void *arg, uint64_t rtt_ns, int err)
{
	struct dmsg_rtt *r = arg;

	r->ping = NULL;
	if (err == 0)
		r->marker_ns = rtt_ns;
}

static void measure(void *arg)
{
	struct dmsg_rtt *r = arg;

	if (r->ping == NULL && dmsg_link_ping(r->k) == -EOPNOTSUPP)
		r->ping = dmsg_ping_start(r->k, DMSG_PING_TIMEOUT_MS, on_marker, r);
}

struct dmsg_rtt *dmsg_rtt_new(struct dmsg_link *k)
{
	struct dmsg_rtt *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->k = k;
	r->timer = loop_timer_new(dmsg_link_loop(k), measure, r);
	if (r->timer == NULL) {
		free(r);
		return errno_null(ENOMEM);
	}
	loop_timer_start(r->timer, DMSG_RTT_EVERY_MS, DMSG_RTT_EVERY_MS);
	measure(r);
	return r;
}

void dmsg_rtt_free(struct dmsg_rtt *r)
{
	if (r == NULL)
		return;
	loop_timer_free(r->timer);
	dmsg_ping_cancel(r->ping);
	free(r);
}

uint64_t dmsg_rtt_ns(const struct dmsg_rtt *r)
{
	const struct mux_stats *st = r != NULL ? dmsg_link_stats(r->k) : NULL;

	return st == NULL ? 0 : st->rtt_ns != 0 ? st->rtt_ns : r->marker_ns;
}
