// A conn that only keeps books. Its owner may close it within any event, so an event ends by
// looking whether it is still there.
#include "controlplane/dmsg/dmsg_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "lib/base/err.h"

struct dmsg_conn {
	struct conn base; // first
	struct dmsg_conn_list *list; // NULL: it is gone
	struct conn *below;
	struct dmsg_conn_info info;
	unsigned busy; // the owner is being called
	bool closed;
	TAILQ_ENTRY(dmsg_conn) all;
};

struct dmsg_conn_list {
	TAILQ_HEAD(, dmsg_conn) all;
	uint32_t n;
};

// ---- the list ----

struct dmsg_conn_list *dmsg_conn_list_new(void)
{
	struct dmsg_conn_list *list = calloc(1, sizeof(*list));

	if (list != NULL)
		TAILQ_INIT(&list->all);
	return list;
}

void dmsg_conn_list_free(struct dmsg_conn_list *list)
{
	struct dmsg_conn *dc;

	if (list == NULL)
		return;
	TAILQ_FOREACH (dc, &list->all, all)
		dc->list = NULL;
	free(list);
}

uint32_t dmsg_conn_list_len(const struct dmsg_conn_list *list)
{
	return list->n;
}

bool dmsg_conn_list_has_port(const struct dmsg_conn_list *list, uint16_t port)
{
	struct dmsg_conn *dc;

	TAILQ_FOREACH (dc, &list->all, all)
		if (dc->info.port == port)
			return true;
	return false;
}

void dmsg_conn_list_each(const struct dmsg_conn_list *list,
	void (*fn)(void *arg, const struct dmsg_conn_info *info), void *arg)
{
	struct dmsg_conn *dc;

	TAILQ_FOREACH (dc, &list->all, all)
		fn(arg, &dc->info);
}

// ---- the conn ----

static ssize_t dc_write(struct conn *c, const void *p, size_t len)
{
	struct dmsg_conn *dc = (struct dmsg_conn *)c;
	ssize_t n = conn_write(dc->below, p, len);

	if (n > 0)
		dc->info.tx_bytes += (uint64_t)n;
	return n;
}

static void dc_shutdown(struct conn *c)
{
	conn_shutdown(((struct dmsg_conn *)c)->below);
}

static void dc_resume(struct conn *c)
{
	conn_resume(((struct dmsg_conn *)c)->below);
}

static void dc_close(struct conn *c)
{
	struct dmsg_conn *dc = (struct dmsg_conn *)c;

	if (dc->list != NULL) {
		TAILQ_REMOVE(&dc->list->all, dc, all);
		dc->list->n--;
	}
	conn_close(dc->below);
	dc->closed = true;
	if (dc->busy == 0)
		free(dc);
}

static const struct conn_ops ops = {
	.write = dc_write,
	.shutdown = dc_shutdown,
	.resume = dc_resume,
	.close = dc_close,
};

static void leave(struct dmsg_conn *dc)
{
	if (--dc->busy == 0 && dc->closed)
		free(dc);
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct dmsg_conn *dc = arg;
	size_t n;

	dc->busy++;
	n = dc->base.ev->data(dc->base.arg, p, len);
	dc->info.rx_bytes += n;
	leave(dc);
	return n;
}

static void on_drain(void *arg)
{
	struct dmsg_conn *dc = arg;

	if (dc->base.ev->drain != NULL)
		dc->base.ev->drain(dc->base.arg);
}

static void on_end(void *arg, int err)
{
	struct dmsg_conn *dc = arg;

	dc->base.ev->end(dc->base.arg, err);
}

static const struct conn_events below_events = {.data = on_data, .drain = on_drain, .end = on_end};

struct conn *dmsg_conn_new(
	struct dmsg_conn_list *list, struct conn *take_below, const struct dmsg_conn_info *info)
{
	struct dmsg_conn *dc = calloc(1, sizeof(*dc));

	if (dc == NULL) {
		conn_close(take_below);
		return errno_null(ENOMEM);
	}
	dc->base.ops = &ops;
	dc->list = list;
	dc->below = take_below;
	dc->info = *info;
	TAILQ_INSERT_TAIL(&list->all, dc, all);
	list->n++;
	conn_set_events(take_below, &below_events, dc);
	return &dc->base;
}
