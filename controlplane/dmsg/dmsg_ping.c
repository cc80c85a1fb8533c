// The marker stream of dmsg (3.6), client's side. What comes back is counted, not compared: so does
// upstream, and the stream is nobody else's.
#include "controlplane/dmsg/dmsg_ping.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/dmsg/inbox.h"

struct dmsg_ping {
	struct conn *stream;
	struct loop_timer *timer;
	dmsg_ping_fn fn;
	void *arg;
	uint64_t sent_ns;
	size_t got;
};

void dmsg_ping_cancel(struct dmsg_ping *p)
{
	if (p == NULL)
		return;
	loop_timer_free(p->timer);
	conn_close(p->stream);
	free(p);
}

static void done(struct dmsg_ping *p, uint64_t rtt_ns, int err)
{
	dmsg_ping_fn fn = p->fn;
	void *arg = p->arg;

	dmsg_ping_cancel(p);
	fn(arg, rtt_ns, err);
}

static void on_open(void *arg)
{
	static const uint8_t marker[DMSG_PING_LEN];
	struct dmsg_ping *p = arg;

	p->sent_ns = clock_mono_ns();
	(void)conn_write(p->stream, marker, sizeof(marker)); // a failure shows as the end
}

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct dmsg_ping *p = arg;

	(void)bytes;
	p->got += len;
	if (p->got >= DMSG_PING_LEN)
		done(p, clock_mono_ns() - p->sent_ns, 0);
	return len;
}

static void on_end(void *arg, int err)
{
	done(arg, 0, err == 0 ? -EOPNOTSUPP : err);
}

static void on_late(void *arg)
{
	done(arg, 0, -ETIMEDOUT);
}

static const struct conn_events events = {.open = on_open, .data = on_data, .end = on_end};

struct dmsg_ping *dmsg_ping_start(
	struct dmsg_link *k, uint32_t timeout_ms, dmsg_ping_fn fn, void *arg)
{
	struct dmsg_ping *p = calloc(1, sizeof(*p));
	int rc = 0;

	if (p == NULL)
		return NULL;
	p->fn = fn;
	p->arg = arg;
	p->timer = loop_timer_new(dmsg_link_loop(k), on_late, p);
	if (p->timer == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		p->stream = dmsg_link_stream(k, &events, p);
		rc = p->stream == NULL ? -errno : 0;
	}
	if (rc != 0) {
		dmsg_ping_cancel(p);
		return errno_null(rc);
	}
	loop_timer_start(p->timer, timeout_ms, 0);
	return p;
}
