// Route groups of two nodes in one process, over a data plane that the test plays: rules, a ring
// with as much room as the test says, events. Each test that includes it is a program of its own.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "controlplane/route/route_group.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "tests/controlplane/dp/fake_handlers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	QUEUE = 4096,
	FWD_A = 101,
	CON_A = 102,
	FWD_B = 201,
	CON_B = 202,
	PORT_A = 50000,
	PORT_B = 3
};

struct packet {
	struct dp_client *to;
	uint32_t id; // consume rule
	size_t len;
	_Alignas(struct msg_route) uint8_t record[sizeof(struct msg_route) + GROUP_PACKET_MAX];
};

struct dp_client { // and all that a node is
	struct dp_handler *handlers;
	struct dp_client *peer;
	struct identity *id;
	struct route_ends *ends;
	struct route_groups *gs;
	unsigned room; // of the ring
	unsigned n_sent[ROUTE_TYPE_COUNT];
	uint32_t last_id; // forward rule of the last packet
	int hold_of; // CMD_ROUTE_PAUSE: -1 none came
	int hold_status; // its answer
	dp_done_fn hold_done;
	void *hold_arg;
	uint32_t deleted[64];
	size_t n_deleted;
};

struct user {
	struct conn *c;
	unsigned n_open, n_drain, n_eof, n_err;
	int err;
	char why[GROUP_TEXT_LEN];
	size_t takes; // how much it wants
	uint8_t got[2 << 20];
	size_t n_got;
	struct key_pk remote;
	uint16_t remote_port, local_port;
	bool echoes, closes;
};

static struct dp_client a, b;
static struct loop *loop;
static struct packet *queue;
static unsigned n_queue;
static struct user ua, ub;
static int install_status;
static size_t n_installs;
static int accepted_status;
static uint16_t path_payload; // what the path carries
static bool plain_allowed; // by nodes that begin from now on
static uint64_t queued_max; // bytes of all groups; 0: the default
static unsigned n_accepted;

struct rule_install {
	struct dp_client *node;
	rule_install_fn done;
	void *arg;
};
static struct rule_install installs[64];

#define TELL(node, call, ...)                                                                      \
	do {                                                                                       \
		for (struct dp_handler *h_ = (node)->handlers, *n_; h_ != NULL; h_ = n_) {         \
			n_ = h_->next;                                                             \
			if (h_->call != NULL)                                                      \
				h_->call(h_->arg, ##__VA_ARGS__);                                  \
		}                                                                                  \
	} while (0)

// ---- what groups call ----

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_add(&c->handlers, h);
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_remove(&c->handlers, h);
}

int dp_client_send(struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg)
{
	const struct cmd_route_pause *p = cmd;

	assert_int_equal(p->h.type, CMD_ROUTE_PAUSE);
	assert_int_equal(p->limit_s, ROUTE_GROUP_STALL_S);
	if (c->room == 0)
		return -EAGAIN;
	assert_null(c->hold_done); // one at a time
	c->hold_of = p->paused;
	c->hold_done = done;
	c->hold_arg = arg;
	return 0;
}

// Ids of rules are 100 apart at the two nodes and lead to each other.
int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len)
{
	struct packet *p = &queue[n_queue];
	struct msg_route *m = (struct msg_route *)p->record;

	assert_int_equal(worker, 3);
	if (c->room == 0)
		return -EAGAIN;
	c->room--;
	assert_true(n_queue < QUEUE && len <= GROUP_PACKET_MAX);
	c->n_sent[route_hdr_type(packet)]++;
	c->last_id = id;
	*p = (struct packet){.to = c->peer, .id = c == &a ? id + 101 : id - 99, .len = len};
	*m = (struct msg_route){.h.type = UP_ROUTE, .id = p->id};
	memcpy(m->bytes, packet, len);
	n_queue++;
	return 0;
}

struct rule_install *rule_mgr_install(struct rule_mgr *m, const struct rule_wire *rules, size_t n,
	rule_install_fn done, void *arg)
{
	struct rule_install *i = &installs[n_installs % ARRAY_LEN(installs)];

	assert_int_equal(n, 2);
	if (install_status == -ENOTCONN)
		return errno_null(ENOTCONN);
	n_installs++;
	*i = (struct rule_install){(struct dp_client *)m, done, arg};
	return i;
}

void rule_install_cancel(struct rule_install *i)
{
	i->done = NULL;
}

struct rule_job *rule_mgr_del(
	struct rule_mgr *m, const uint32_t *ids, size_t n, rule_done_fn done, void *arg)
{
	struct dp_client *c = (struct dp_client *)m;

	for (size_t i = 0; i < n && c->n_deleted < ARRAY_LEN(c->deleted); i++)
		c->deleted[c->n_deleted++] = ids[i];
	return (struct rule_job *)c;
}

const char *rule_gone_text(uint8_t reason)
{
	return reason == RULE_GONE_EXPIRED ? "expired" : "a hop is down";
}

static void way(void *arg, const struct rule_wire *forward, struct route_way *out)
{
	assert_int_equal(forward->kind, RULE_KIND_FORWARD);
	*out = (struct route_way){.worker = 3, .payload_max = path_payload};
}

// ---- the world ----

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static void node_init(struct dp_client *c, struct dp_client *peer, uint8_t key, uint32_t max)
{
	struct key_sk sk;
	struct route_groups_conf conf = {.loop = loop,
		.dp = c,
		.rules = (struct rule_mgr *)c,
		.way = way,
		.allow_plain = plain_allowed,
		.max = max,
		.queued_max = queued_max,
		.max_peer = max != 0 ? max - 1 : 0};

	memset(c, 0, sizeof(*c));
	memset(&sk, key, sizeof(sk));
	c->peer = peer;
	c->room = QUEUE;
	c->hold_of = -1;
	c->id = identity_from_sk(&sk);
	c->ends = route_ends_new(loop, c, (struct rule_mgr *)c);
	conf.ends = c->ends;
	conf.id = c->id;
	c->gs = route_groups_new(&conf);
	assert_true(c->id != NULL && c->ends != NULL && c->gs != NULL);
}

static int setup_max(uint32_t max)
{
	log_sink_set(no_log, NULL);
	memset(&ua, 0, sizeof(ua));
	memset(&ub, 0, sizeof(ub));
	ua.takes = ub.takes = SIZE_MAX;
	n_queue = 0;
	n_installs = 0;
	install_status = 0;
	n_accepted = 0;
	path_payload = 1400;
	queue = calloc(QUEUE, sizeof(*queue));
	loop = loop_new();
	node_init(&a, &b, 1, max);
	node_init(&b, &a, 2, max);
	return 0;
}

static int setup(void **state)
{
	return setup_max(0);
}

static int setup_plain(void **state)
{
	plain_allowed = true;
	setup_max(0);
	plain_allowed = false;
	return 0;
}

static int setup_few(void **state)
{
	return setup_max(3);
}

static void answer_hold(struct dp_client *c)
{
	dp_done_fn done = c->hold_done;

	c->hold_done = NULL;
	if (done != NULL)
		done(c->hold_arg, c->hold_status, 0);
}

static int teardown(void **state)
{
	conn_close(ua.c);
	conn_close(ub.c);
	for (int i = 0; i < 2; i++) {
		struct dp_client *c = i == 0 ? &a : &b;

		answer_hold(c);
		route_groups_free(c->gs);
		route_ends_free(c->ends);
		identity_free(c->id);
		assert_null(c->handlers);
	}
	loop_free(loop);
	free(queue);
	return 0;
}

static void answer_installs(void)
{
	for (size_t i = 0; i < n_installs && i < ARRAY_LEN(installs); i++) {
		rule_install_fn done = installs[i].done;

		installs[i].done = NULL;
		if (done != NULL)
			done(installs[i].arg, install_status, 1);
	}
}

static void deliver(struct packet *p)
{
	struct msg_route *m = (struct msg_route *)p->record;

	p->to->peer->room++;
	TELL(p->to, on_route, 0, m, p->len);
}

// Packets go where they go, until nobody has any more.
static void turns(void)
{
	static struct packet p;

	for (int quiet = 0; quiet < 3; quiet++) {
		answer_installs();
		answer_hold(&a);
		answer_hold(&b);
		while (n_queue > 0) {
			p = queue[0];
			memmove(queue, queue + 1, --n_queue * sizeof(*queue));
			deliver(&p);
			quiet = 0;
		}
		loop_turn(loop);
	}
}

static bool wait_for(bool (*cond)(void))
{
	for (int i = 0; i < 5000 && !cond(); i++) {
		turns();
		usleep(1000);
	}
	return cond();
}

// ---- users ----

static void on_open(void *arg)
{
	((struct user *)arg)->n_open++;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct user *u = arg;
	size_t n = len < u->takes ? len : u->takes;

	assert_true(u->n_got + n <= sizeof(u->got));
	memcpy(u->got + u->n_got, p, n);
	u->n_got += n;
	u->takes -= u->takes == SIZE_MAX ? 0 : n;
	if (u->echoes)
		assert_int_equal(conn_write(u->c, p, n), n);
	return n;
}

static void on_drain(void *arg)
{
	((struct user *)arg)->n_drain++;
}

static void on_end(void *arg, int err)
{
	struct user *u = arg;

	assert_int_equal(u->n_err, 0);
	snprintf(u->why, sizeof(u->why), "%s", route_group_why(u->c));
	if (err == 0)
		u->n_eof++;
	else
		u->n_err++;
	u->err = err;
	if (u->closes) {
		conn_close(u->c);
		u->c = NULL;
	}
}

static const struct conn_events events = {on_open, on_data, on_drain, on_end};

static void on_accept(void *arg, struct conn *c, const struct key_pk *remote, uint16_t remote_port,
	uint16_t local_port)
{
	struct user *u = arg;

	assert_null(u->c);
	u->c = c;
	u->remote = *remote;
	u->remote_port = remote_port;
	u->local_port = local_port;
	conn_set_events(c, &events, u);
}

static void on_accepted(void *arg, int status)
{
	accepted_status = status;
	n_accepted++;
}

// ---- set-ups ----

static struct setup_edge edge_of(
	const struct dp_client *c, uint32_t base, uint16_t local, uint16_t remote)
{
	struct rule_wire f = {.keep_alive_ns = 30 * (int64_t)CLOCK_NS_PER_S,
		.kind = RULE_KIND_FORWARD,
		.key_id = base + 1,
		.next_id = 7};
	struct rule_wire k = {
		.keep_alive_ns = f.keep_alive_ns, .kind = RULE_KIND_CONSUME, .key_id = base + 2};
	struct setup_edge e;

	memcpy(k.desc.src_pk, identity_pk(c->peer->id)->b, KEY_PK_LEN);
	memcpy(k.desc.dst_pk, identity_pk(c->id)->b, KEY_PK_LEN);
	k.desc.src_port = remote;
	k.desc.dst_port = local;
	rule_desc_invert(&f.desc, &k.desc);
	e.desc = k.desc;
	assert_int_equal(rule_encode(e.forward, sizeof(e.forward), &f), RULE_FORWARD_LEN);
	assert_int_equal(rule_encode(e.consume, sizeof(e.consume), &k), RULE_CONSUME_LEN);
	return e;
}

static int accept_at_b(uint32_t base, uint16_t local, uint16_t remote)
{
	struct setup_edge e = edge_of(&b, base, local, remote);

	return route_groups_accept(b.gs, &e, on_accepted, NULL);
}

static void open_at_a(void)
{
	struct setup_edge e = edge_of(&a, 100, PORT_A, PORT_B);

	ua.c = route_groups_open(a.gs, &e, &events, &ua);
	assert_non_null(ua.c);
}

static void connect_both(void)
{
	assert_int_equal(route_groups_listen(b.gs, PORT_B, on_accept, &ub), 0);
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	answer_installs();
	assert_int_equal(n_accepted, 1);
	assert_int_equal(accepted_status, 0);
	open_at_a();
	turns();
	assert_int_equal(ua.n_open, 1);
	assert_non_null(ub.c);
}

static void gone(struct dp_client *c, uint32_t id, enum rule_gone reason)
{
	struct evt_rule r = {.id = id, .reason = (uint8_t)reason};

	TELL(c, on_rule_gone, &r);
}

static void pause_of(struct dp_client *c, uint32_t id, bool paused)
{
	struct evt_route_pause p = {.id = id, .paused = paused};

	TELL(c, on_route_pause, &p);
}

static struct route_group_info found;
static unsigned n_found, n_listen;
static uint64_t listener_ms; // how long the last listener is there

static void on_info(void *arg, const struct route_group_info *info)
{
	if (info->state == ROUTE_GROUP_LISTENS) {
		n_listen++;
		listener_ms = info->age_ms;
	} else if (n_found++ == 0)
		found = *info;
}

static struct route_group_info info(const struct dp_client *c)
{
	n_found = n_listen = 0;
	found = (struct route_group_info){0};
	route_groups_each(c->gs, on_info, NULL);
	return found;
}

static struct route_groups_stats stats(const struct dp_client *c)
{
	struct route_groups_stats s;

	route_groups_stats_get(c->gs, &s);
	return s;
}

static uint8_t text_at(size_t i)
{
	return (uint8_t)(i * 31 + i / 1000);
}

// As much as is taken; how much that was.
static size_t write_text(struct user *u, size_t ofs, size_t len)
{
	uint8_t *p = malloc(len);
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		p[i] = text_at(ofs + i);
	n = conn_write(u->c, p, len);
	free(p);
	assert_true(n >= 0);
	return (size_t)n;
}

static void expect_text(const struct user *u, size_t len)
{
	assert_int_equal(u->n_got, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(u->got[i], text_at(i));
}
