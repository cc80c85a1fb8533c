// Edges with a socket pair for a device, and a data plane and rules that the test plays: for the
// tests of edges, each of which includes it once.
#pragma once

#include "controlplane/app/edge.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/link/gso.h"
#include "lib/wire/route_hdr.h"
#include "tests/controlplane/dp/fake_handlers.h"
#include "tests/support/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FWD = 101, CONS = 102, BITS = 8 };

struct sent {
	uint32_t id;
	size_t len;
	uint8_t bytes[ROUTE_PACKET_MAX];
};

struct dp_client {
	struct dp_handler *handlers;
};

// To whoever registered for it, in any order.
#define TELL(call, ...)                                                                            \
	do {                                                                                       \
		for (struct dp_handler *h_ = dp.handlers; h_ != NULL; h_ = h_->next)               \
			if (h_->call != NULL)                                                      \
				h_->call(h_->arg, ##__VA_ARGS__);                                  \
	} while (0)

struct rule_list {
	uint32_t first;
	rule_each_fn fn;
	rule_end_fn done;
	void *arg;
};

static struct dp_client dp;
static struct loop *loop;
static struct route_ends *ends;
static struct edge_mgr *m;
static struct sent sent[200];
static unsigned n_sent, room;
static unsigned n_hellos; // not among those
static struct edge_hello hello; // the last one
static uint8_t dev_kinds;
static int dev_fd, edge_fd; // the kernel's side of the device, and ours
static unsigned n_removed, n_setups;
static struct evt_rule rules[2];
static struct rule_list lists[4];
static unsigned n_lists;
static bool ids_live;
static uint32_t deleted[4];
static size_t n_deleted;
static char path[64], err[API_TEXT_MAX], answer[API_TEXT_MAX];
static int status;
static unsigned n_answers;

// ---- what edge.c calls ----

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_add(&c->handlers, h);
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_remove(&c->handlers, h);
}

int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len)
{
	assert_int_equal(worker, 3);
	if (len > ROUTE_HDR_LEN && ((const uint8_t *)packet)[ROUTE_HDR_LEN] == EDGE_MSG_HELLO) {
		assert_int_equal(id, FWD);
		assert_int_equal(edge_hello_decode((const uint8_t *)packet + ROUTE_HDR_LEN,
					 len - ROUTE_HDR_LEN, &hello),
			0);
		n_hellos++;
		return 0;
	}
	if (n_sent >= room)
		return -EAGAIN;
	sent[n_sent].id = id;
	sent[n_sent].len = len;
	memcpy(sent[n_sent].bytes, packet,
		len < sizeof(sent[0].bytes) ? len : sizeof(sent[0].bytes));
	n_sent++;
	return 0;
}

unsigned rule_mgr_bits(const struct rule_mgr *r)
{
	return BITS;
}

struct rule_list *rule_mgr_list(struct rule_mgr *r, uint32_t first, uint32_t max, rule_each_fn fn,
	rule_end_fn done, void *arg)
{
	struct rule_list *l = &lists[n_lists++ % ARRAY_LEN(lists)];

	*l = (struct rule_list){first, fn, done, arg};
	return l;
}

void rule_list_cancel(struct rule_list *l)
{
	l->fn = NULL;
}

struct rule_job *rule_mgr_del(
	struct rule_mgr *r, const uint32_t *ids, size_t n, rule_done_fn done, void *arg)
{
	memcpy(deleted, ids, n * sizeof(*ids));
	n_deleted = n;
	return (struct rule_job *)&deleted;
}

bool route_id_is_live(const struct route_id *r, uint32_t id)
{
	return ids_live;
}

static inline unsigned worker_of(void *arg, uint32_t hop)
{
	assert_int_equal(hop, 77);
	return 3;
}

static inline int dev_open(
	const char *name, bool offload, bool *made, uint8_t *kinds, char *text, size_t len)
{
	int fds[2];

	if (strcmp(name, "bad0") == 0) {
		snprintf(text, len, "not permitted");
		return -EPERM;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	dev_fd = fds[1];
	edge_fd = fds[0];
	*made = true;
	*kinds = offload ? dev_kinds : 0;
	return fds[0];
}

static inline int dev_setup(const struct api_edge_add *spec, char *text, size_t len)
{
	n_setups++;
	return 0;
}

static inline void dev_remove(int fd)
{
	n_removed++;
}

static const struct edge_dev dev = {dev_open, dev_setup, dev_remove};

static inline void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static inline int mgr_new(void)
{
	struct edge_mgr_conf c = {
		.loop = loop, .dp = &dp, .dev = &dev, .state_path = path, .worker = worker_of};

	c.ends = ends = route_ends_new(loop, &dp, NULL);
	if (ends == NULL)
		return -1;

	m = edge_mgr_new(&c);
	return m == NULL ? -1 : 0;
}

static inline void mgr_free(void)
{
	edge_mgr_free(m);
	route_ends_free(ends);
}

static inline int setup(void **state)
{
	log_sink_set(no_log, NULL);
	n_sent = n_removed = n_setups = n_lists = n_answers = n_hellos = 0;
	dev_kinds = 0;
	n_deleted = 0;
	room = ARRAY_LEN(sent);
	ids_live = false;
	dev_fd = -1;
	rules[0] = (struct evt_rule){
		.id = FWD, .type = RULE_FORWARD, .tx_hop = 77, .keep_alive_ms = 30};
	rules[1] = (struct evt_rule){.id = CONS, .type = RULE_CONSUME, .keep_alive_ms = 30};
	snprintf(path, sizeof(path), "/tmp/skyrail-edge.%d", (int)getpid());
	loop = loop_new();
	return mgr_new();
}

static inline int teardown(void **state)
{
	mgr_free();
	loop_free(loop);
	if (dev_fd >= 0)
		close(dev_fd);
	unlink(path);
	return 0;
}

static inline void turns(void)
{
	for (int i = 0; i < 4; i++)
		loop_turn(loop);
}

static inline void on_done(void *arg, int rc, const char *text)
{
	status = rc;
	snprintf(answer, sizeof(answer), "%s", text);
	n_answers++;
}

static inline void add(void)
{
	struct api_edge_add spec = {.name = "sky0", .n_addrs = 1};

	spec.addrs[0].ip[10] = spec.addrs[0].ip[11] = 0xff;
	spec.addrs[0].ip[12] = 10;
	spec.addrs[0].prefix = 24;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
}

// The rules module answers what edge.c asked last: the rule at that index, if any.
static inline void answer_list(void)
{
	struct rule_list *l = &lists[(n_lists - 1) % ARRAY_LEN(lists)];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (l->fn != NULL && rules[i].id % (1 << BITS) == l->first)
			l->fn(l->arg, &rules[i]);
	if (l->fn != NULL)
		l->done(l->arg, 0);
}

static inline int attach(void)
{
	int rc = edge_attach(m, "sky0", FWD, CONS, on_done, NULL, err, sizeof(err));

	if (rc < 0)
		return rc;
	answer_list();
	answer_list();
	return status;
}

static inline void note(void *arg, const struct api_edge *e)
{
	*(struct api_edge *)arg = *e;
}

static inline struct api_edge info(void)
{
	struct api_edge e = {0};

	edge_each(m, note, &e);
	return e;
}

static inline void in_route(uint32_t id, const void *packet, size_t len)
{
	static _Alignas(struct msg_route)
		uint8_t record[sizeof(struct msg_route) + ROUTE_PACKET_MAX];
	struct msg_route *r = (struct msg_route *)record;

	r->h.type = UP_ROUTE;
	r->id = id;
	memcpy(r->bytes, packet, len);
	TELL(on_route, 0, r, len);
}

static inline void in_data(const void *payload, size_t len)
{
	static uint8_t pkt[ROUTE_PACKET_MAX];

	route_hdr_put(pkt, ROUTE_DATA, CONS, (uint16_t)len);
	memcpy(pkt + ROUTE_HDR_LEN, payload, len);
	in_route(CONS, pkt, ROUTE_HDR_LEN + len);
}
