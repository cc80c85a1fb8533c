// Edges with a socket pair for a device, and a data plane and rules that the test plays.
#include "controlplane/app/edge.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/route_hdr.h"

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
	uint8_t bytes[64];
};

struct dp_client {
	struct dp_handler *handler;
};

struct rule_list {
	uint32_t first;
	rule_each_fn fn;
	rule_end_fn done;
	void *arg;
};

static struct dp_client dp;
static struct loop *loop;
static struct edge_mgr *m;
static struct sent sent[200];
static unsigned n_sent, room;
static int dev_fd; // the kernel's side of the device
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
	c->handler = h;
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	c->handler = NULL;
}

int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len)
{
	assert_int_equal(worker, 3);
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

static unsigned worker_of(void *arg, uint32_t hop)
{
	assert_int_equal(hop, 77);
	return 3;
}

static int dev_open(const char *name, bool *made, char *text, size_t len)
{
	int fds[2];

	if (strcmp(name, "bad0") == 0) {
		snprintf(text, len, "not permitted");
		return -EPERM;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
	dev_fd = fds[1];
	*made = true;
	return fds[0];
}

static int dev_setup(const struct api_edge_add *spec, char *text, size_t len)
{
	n_setups++;
	return 0;
}

static void dev_remove(int fd)
{
	n_removed++;
}

static const struct edge_dev dev = {dev_open, dev_setup, dev_remove};

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static int mgr_new(void)
{
	struct edge_mgr_conf c = {
		.loop = loop, .dp = &dp, .dev = &dev, .state_path = path, .worker = worker_of};

	m = edge_mgr_new(&c);
	return m == NULL ? -1 : 0;
}

static int setup(void **state)
{
	log_sink_set(no_log, NULL);
	n_sent = n_removed = n_setups = n_lists = n_answers = 0;
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

static int teardown(void **state)
{
	edge_mgr_free(m);
	loop_free(loop);
	if (dev_fd >= 0)
		close(dev_fd);
	unlink(path);
	return 0;
}

static void turns(void)
{
	for (int i = 0; i < 4; i++)
		loop_turn(loop);
}

static void on_done(void *arg, int rc, const char *text)
{
	status = rc;
	snprintf(answer, sizeof(answer), "%s", text);
	n_answers++;
}

static void add(void)
{
	struct api_edge_add spec = {.name = "sky0", .n_addrs = 1};

	spec.addrs[0].ip[10] = spec.addrs[0].ip[11] = 0xff;
	spec.addrs[0].ip[12] = 10;
	spec.addrs[0].prefix = 24;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
}

// The rules module answers what edge.c asked last: the rule at that index, if any.
static void answer_list(void)
{
	struct rule_list *l = &lists[(n_lists - 1) % ARRAY_LEN(lists)];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (l->fn != NULL && rules[i].id % (1 << BITS) == l->first)
			l->fn(l->arg, &rules[i]);
	if (l->fn != NULL)
		l->done(l->arg, 0);
}

static int attach(void)
{
	int rc = edge_attach(m, "sky0", FWD, CONS, on_done, NULL, err, sizeof(err));

	if (rc < 0)
		return rc;
	answer_list();
	answer_list();
	return status;
}

static void note(void *arg, const struct api_edge *e)
{
	*(struct api_edge *)arg = *e;
}

static struct api_edge info(void)
{
	struct api_edge e = {0};

	edge_each(m, note, &e);
	return e;
}

static void in_route(uint32_t id, const void *packet, size_t len)
{
	_Alignas(struct msg_route) uint8_t record[sizeof(struct msg_route) + 256] = {0};
	struct msg_route *r = (struct msg_route *)record;

	r->h.type = UP_ROUTE;
	r->id = id;
	memcpy(r->bytes, packet, len);
	dp.handler->on_route(dp.handler->arg, 0, r, len);
}

static void ip_packets_become_route_packets(void **state)
{
	uint8_t ip[40] = {0x45, 1, 2};

	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	turns();
	// the first packet may be the keep-alive that goes out at once
	const struct sent *s = &sent[n_sent - 1];

	assert_int_equal(s->id, FWD);
	assert_int_equal(s->len, ROUTE_HDR_LEN + sizeof(ip));
	assert_int_equal(route_hdr_type(s->bytes), ROUTE_DATA);
	assert_int_equal(route_hdr_len(s->bytes), sizeof(ip));
	assert_memory_equal(s->bytes + ROUTE_HDR_LEN, ip, sizeof(ip));
	assert_int_equal(info().out_packets, 1);
	assert_int_equal(info().out_bytes, sizeof(ip));
}

static void route_packets_become_ip_packets(void **state)
{
	uint8_t pkt[ROUTE_HDR_LEN + 20], got[64];

	add();
	assert_int_equal(attach(), 0);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 20);
	memset(pkt + ROUTE_HDR_LEN, 0x60, 20);
	in_route(CONS, pkt, sizeof(pkt));
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), 20);
	assert_memory_equal(got, pkt + ROUTE_HDR_LEN, 20);
	assert_int_equal(info().in_packets, 1);
}

static void what_is_no_ip_packet_is_dropped_and_counted(void **state)
{
	static const uint8_t types[] = {ROUTE_HANDSHAKE, ROUTE_PING, ROUTE_DATAGRAM, 200};
	uint8_t pkt[ROUTE_HDR_LEN + 20] = {0}, got[64];

	add();
	assert_int_equal(attach(), 0);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 20); // version 0
	in_route(CONS, pkt, sizeof(pkt));
	route_hdr_put(pkt, ROUTE_DATA, CONS, 0);
	in_route(CONS, pkt, ROUTE_HDR_LEN);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 21); // longer than it is
	in_route(CONS, pkt, sizeof(pkt));
	in_route(CONS, pkt, 3);
	for (size_t i = 0; i < sizeof(types); i++) {
		route_hdr_put(pkt, types[i], CONS, 20);
		in_route(CONS, pkt, sizeof(pkt));
	}
	assert_int_equal(info().drop_in_bad, 4 + sizeof(types));
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), -1);
	in_route(CONS + 1, pkt, sizeof(pkt)); // nobody's
	assert_int_equal(info().drop_in_bad, 4 + sizeof(types));
}

static void a_full_ring_stops_reading_and_loses_nothing(void **state)
{
	uint8_t ip[20] = {0x45};
	unsigned before;

	add();
	assert_int_equal(attach(), 0);
	turns();
	before = n_sent;
	room = n_sent + 1;
	for (uint8_t i = 0; i < 5; i++) {
		ip[1] = i;
		assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	}
	turns();
	assert_int_equal(n_sent, before + 1);
	assert_int_equal(info().waits, 1);
	room = ARRAY_LEN(sent);
	dp.handler->on_room(dp.handler->arg);
	turns();
	assert_true(n_sent >= before + 5);
	assert_int_equal(info().out_packets, 5);
	for (uint8_t i = 0; i < 5; i++)
		assert_int_equal(sent[before + i].bytes[ROUTE_HDR_LEN + 1], i);
}

static void a_detached_edge_drops_what_it_reads(void **state)
{
	uint8_t ip[20] = {0x45};

	add();
	assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	turns();
	assert_int_equal(n_sent, 0);
	assert_int_equal(info().drop_detached, 1);
	assert_int_equal(info().state, EDGE_DETACHED);
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {0, (long)ms * 1000000};

	nanosleep(&ts, NULL);
	turns();
}

static void keep_alives_go_out_when_nothing_else_does(void **state)
{
	rules[0].keep_alive_ms = 60;
	add();
	assert_int_equal(attach(), 0);
	turns();
	assert_int_equal(n_sent, 1); // at once: nobody knows how old the rules are
	assert_int_equal(route_hdr_type(sent[0].bytes), ROUTE_KEEP_ALIVE);
	assert_int_equal(sent[0].len, ROUTE_HDR_LEN);
	for (int i = 0; i < 20 && n_sent < 3; i++)
		sleep_ms(10);
	assert_true(n_sent >= 3);
	assert_int_equal(info().keepalives, n_sent);
	assert_int_equal(edge_detach(m, "sky0", false, err, sizeof(err)), 0);
	n_sent = 0;
	for (int i = 0; i < 6; i++)
		sleep_ms(10);
	assert_int_equal(n_sent, 0);
}

static void attaching_wants_two_rules_of_the_right_types(void **state)
{
	add();
	rules[1].type = RULE_FORWARD;
	assert_int_equal(attach(), -EINVAL);
	assert_int_equal(info().state, EDGE_DETACHED);
	rules[1].type = RULE_CONSUME;
	rules[1].id = 0xffff;
	assert_int_equal(attach(), -ENOENT);
	assert_non_null(strstr(answer, "102"));
	assert_int_equal(edge_attach(m, "sky0", 5, 5, on_done, NULL, err, sizeof(err)), -EINVAL);
	assert_int_equal(edge_attach(m, "nosuch", 1, 2, on_done, NULL, err, sizeof(err)), -ENODEV);
}

static void a_refused_attachment_changes_nothing(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(edge_attach(m, "sky0", FWD, CONS + 1, on_done, NULL, err, sizeof(err)), 0);
	answer_list();
	answer_list();
	assert_int_equal(status, -ENOENT);
	answer_list(); // it looks for its old rules again
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(info().consume_id, CONS);
}

static void it_waits_for_rules_that_are_on_their_way(void **state)
{
	add();
	rules[1].id = 0xffff;
	ids_live = true;
	assert_int_equal(attach(), 0);
	assert_int_equal(info().state, EDGE_WAITING);
	rules[1].id = CONS;
	dp.handler->on_synced(dp.handler->arg, DP_SYNC_FRESH);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
}

static void a_rule_that_goes_takes_the_route_and_may_bring_it_back(void **state)
{
	struct evt_rule gone = {.id = CONS};

	add();
	assert_int_equal(attach(), 0);
	dp.handler->on_rule_gone(dp.handler->arg, &gone);
	assert_int_equal(info().state, EDGE_GONE);
	dp.handler->on_synced(dp.handler->arg, DP_SYNC_ADOPT);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
}

static void a_close_from_afar_is_answered(void **state)
{
	uint8_t pkt[8];

	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
	assert_int_equal(route_close_encode(pkt, sizeof(pkt), CONS, 0), 8);
	in_route(CONS, pkt, 8);
	assert_int_equal(info().state, EDGE_GONE);
	assert_int_equal(n_sent, 1);
	assert_int_equal(route_hdr_type(sent[0].bytes), ROUTE_CLOSE);
	for (int i = 0; i < 50 && n_deleted == 0; i++)
		sleep_ms(10);
	assert_int_equal(n_deleted, 1);
	assert_int_equal(deleted[0], FWD);
}

static void detach_close_ends_the_route(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
	assert_int_equal(edge_detach(m, "sky0", true, err, sizeof(err)), 0);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].bytes[ROUTE_HDR_LEN], ROUTE_CLOSE_REQUESTED);
	assert_int_equal(edge_detach(m, "sky0", true, err, sizeof(err)), -EALREADY);
}

static void one_consume_rule_feeds_one_edge(void **state)
{
	struct api_edge_add spec = {.name = "sky1"};

	add();
	assert_int_equal(attach(), 0);
	close(dev_fd);
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
	assert_int_equal(edge_attach(m, "sky1", 7, CONS, on_done, NULL, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "sky0"));
}

static void edges_outlive_a_killed_process(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(n_removed, 0);
	edge_mgr_free(m); // an orderly end removes the device, the file stays
	assert_int_equal(n_removed, 1);
	close(dev_fd);
	assert_int_equal(mgr_new(), 0);
	edge_mgr_restore(m);
	assert_string_equal(info().name, "sky0");
	assert_string_equal(info().addrs, "10.0.0.0/24");
	assert_int_equal(info().forward_id, FWD);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(edge_del(m, "sky0", err, sizeof(err)), 0);
	edge_mgr_free(m);
	assert_int_equal(mgr_new(), 0);
	edge_mgr_restore(m);
	assert_string_equal(info().name, "");
}

static void a_damaged_state_file_does_no_harm(void **state)
{
	static const char *const lines[] = {"", "sky0", "sky0 x y z\n",
		"sky0 1280 1 2 1 added 10.0.0.1/x,\n", "sky0 1280 1 2 1 added nonsense\n",
		"a/b 1280 1 2 1 added -\n", "averyveryverylongname 1280 1 2 1 added -\n"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(lines[i], f);
		fclose(f);
		edge_mgr_restore(m);
	}
	edge_del(m, "sky0", err, sizeof(err));
}

static void bad_specs_are_refused(void **state)
{
	struct api_edge_add spec = {.name = "bad0"};

	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EPERM);
	assert_string_equal(err, "not permitted");
	strcpy(spec.name, "a b");
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	memset(spec.name, 'a', sizeof(spec.name));
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	strcpy(spec.name, "sky0");
	spec.mtu = 100;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	spec.mtu = 0;
	spec.n_addrs = 200;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	add();
	spec.n_addrs = 0;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EEXIST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ip_packets_become_route_packets),
		T(route_packets_become_ip_packets),
		T(what_is_no_ip_packet_is_dropped_and_counted),
		T(a_full_ring_stops_reading_and_loses_nothing),
		T(a_detached_edge_drops_what_it_reads),
		T(keep_alives_go_out_when_nothing_else_does),
		T(attaching_wants_two_rules_of_the_right_types),
		T(a_refused_attachment_changes_nothing),
		T(it_waits_for_rules_that_are_on_their_way),
		T(a_rule_that_goes_takes_the_route_and_may_bring_it_back),
		T(a_close_from_afar_is_answered),
		T(detach_close_ends_the_route),
		T(one_consume_rule_feeds_one_edge),
		T(edges_outlive_a_killed_process),
		T(a_damaged_state_file_does_no_harm),
		T(bad_specs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
