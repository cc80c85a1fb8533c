// The control plane's end of the channel against a region made in this process: the test plays the
// data plane, well-behaved and not.
#include "controlplane/dp/dp_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/log.h"

enum { N_WORKERS = 2 };

static const struct region_conf conf = {
	.n_workers = N_WORKERS,
	.n_ports = 1,
	.hop_max = 64,
	.rule_bits = 10,
	.rx_index_bits = 8,
	.adj_max = 64,
	.udp_port = 7780,
	.cmd_size = 4096,
	.evt_size = 4096,
	.hs_size = 4096,
	.up_size = 8192,
	.down_size = 4096,
};

// The data plane.
static struct region r;
static struct ring_r cmd, down[N_WORKERS];
static struct ring_w evt, hs[N_WORKERS], up[N_WORKERS];
static char dir[64], path[96];
static int listen_fd = -1, conn = -1;
static bool accept_none;

// The control plane.
static struct loop *l;
static struct dp_client *c;
static struct dp_handler handler;
static unsigned n_detach, n_begin, n_synced, n_ports, n_gone, n_notes, n_hs, n_rekeys, n_routes;
static unsigned n_passed_on; // routes when on_route_end came last
static unsigned n_room, n_done;
static enum dp_sync why;
static int last_status;
static size_t last_len;
static uint32_t last_id;

static void *serve(void *arg)
{
	struct pollfd p = {.fd = listen_fd, .events = POLLIN};

	(void)arg;
	assert_int_equal(poll(&p, 1, 5000), 1);
	conn = accept(listen_fd, NULL, NULL);
	p.fd = conn;
	assert_int_equal(poll(&p, 1, 5000), 1);
	region_serve(&r, conn, accept_none, (uid_t)-1);
	return NULL;
}

static void *shm(uint64_t off, size_t *len)
{
	void *p = region_ring(&r, off, len);

	assert_non_null(p);
	return p;
}

static void dp_open(uint64_t epoch)
{
	size_t n;
	struct ring_shm *s;

	assert_int_equal(region_create(&r, &conf, epoch), 0);
	s = shm(r.hdr->cmd_off, &n);
	assert_int_equal(ring_r_attach(&cmd, s, n), 0);
	s = shm(r.hdr->evt_off, &n);
	assert_int_equal(ring_w_attach(&evt, s, n), 0);
	for (unsigned w = 0; w < N_WORKERS; w++) {
		s = shm(r.hdr->hs_off[w], &n);
		assert_int_equal(ring_w_attach(&hs[w], s, n), 0);
		s = shm(r.hdr->up_off[w], &n);
		assert_int_equal(ring_w_attach(&up[w], s, n), 0);
		s = shm(r.hdr->down_off[w], &n);
		assert_int_equal(ring_r_attach(&down[w], s, n), 0);
	}
	listen_fd = region_listen(path);
	assert_true(listen_fd >= 0);
}

static void dp_close(void)
{
	if (conn >= 0)
		close(conn);
	close(listen_fd);
	region_close(&r);
	unlink(path);
	conn = listen_fd = -1;
}

static void dp_put(struct ring_w *w, const void *rec, uint32_t len)
{
	void *p = ring_w_reserve(w, len);

	assert_non_null(p);
	memcpy(p, rec, len);
	memcpy(p, &len, sizeof(len));
	ring_w_publish(w);
}

// The next command, which must be of this type.
static uint64_t dp_expect(uint16_t type)
{
	struct {
		struct dpmsg_hdr h;
		uint8_t more[512];
	} b;
	int n = ring_r_read(&cmd, &b, sizeof(b));

	assert_true(n >= (int)sizeof(b.h));
	ring_r_release(&cmd);
	assert_int_equal(b.h.type, type);
	assert_int_equal(b.h.len, n);
	return b.h.cookie;
}

static void dp_done(uint64_t cookie, int status)
{
	struct evt_done d = {.h.type = EVT_DONE, .h.cookie = cookie, .status = status, .aux = 7};

	dp_put(&evt, &d, sizeof(d));
}

static void turns(int n)
{
	while (n-- > 0)
		loop_turn(l);
}

// ---- handlers ----

static void on_detach(void *arg)
{
	(void)arg;
	n_detach++;
}

static void on_sync_begin(void *arg, enum dp_sync w)
{
	(void)arg;
	n_begin++;
	why = w;
}

static void on_synced(void *arg, enum dp_sync w)
{
	(void)arg;
	(void)w;
	n_synced++;
}

static void on_port(void *arg, const struct evt_port *e)
{
	(void)arg;
	n_ports++;
	assert_true(strnlen(e->name, sizeof(e->name)) < sizeof(e->name));
	assert_true(strnlen(e->device, sizeof(e->device)) < sizeof(e->device));
}

static void on_rule_gone(void *arg, const struct evt_rule *e)
{
	(void)arg;
	n_gone++;
	last_id = e->id;
}

static void on_hop_note(void *arg, const struct evt_hop_note *e)
{
	(void)arg;
	n_notes++;
	assert_int_equal(e->text[e->text_len], 0);
	assert_true(e->text_len < sizeof(e->text));
}

static void on_handshake(void *arg, unsigned worker, const struct up_handshake *m, size_t n)
{
	(void)arg;
	(void)worker;
	(void)m;
	n_hs++;
	last_len = n;
}

static void on_rekey(void *arg, unsigned worker, const struct msg_rekey *m, size_t n)
{
	(void)arg;
	(void)worker;
	(void)m;
	(void)n;
	n_rekeys++;
}

static void on_route(void *arg, unsigned worker, const struct msg_route *m, size_t n)
{
	(void)arg;
	n_routes++;
	last_len = n;
	last_id = m->id;
	assert_true(worker < N_WORKERS);
	if (n > 0)
		assert_int_equal(m->bytes[n - 1], 0x5a);
}

static void on_route_end(void *arg)
{
	n_passed_on = n_routes;
}

static void on_room(void *arg)
{
	(void)arg;
	n_room++;
}

static void on_done(void *arg, int status, uint32_t aux)
{
	n_done++;
	last_status = status;
	if (status == 0)
		assert_int_equal(aux, 7);
	if (arg != NULL)
		++*(unsigned *)arg;
}

static void quiet(void *arg, enum log_level level, const char *module, const char *text)
{
	(void)arg, (void)level, (void)module, (void)text;
}

static int setup(void **state)
{
	uint8_t key[32] = {1};

	(void)state;
	log_sink_set(quiet, NULL);
	n_detach = n_begin = n_synced = n_ports = n_gone = n_notes = n_hs = n_rekeys = 0;
	n_routes = n_passed_on = n_room = n_done = 0;
	accept_none = false;
	strcpy(dir, "/tmp/skyrail-dpc-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dp.sock", dir);
	dp_open(11);
	l = loop_new();
	assert_non_null(l);
	c = dp_client_new(l, path, key);
	assert_non_null(c);
	handler = (struct dp_handler){.on_detach = on_detach,
		.on_sync_begin = on_sync_begin,
		.on_synced = on_synced,
		.on_port = on_port,
		.on_rule_gone = on_rule_gone,
		.on_hop_note = on_hop_note,
		.on_handshake = on_handshake,
		.on_rekey = on_rekey,
		.on_route = on_route,
		.on_route_end = on_route_end,
		.on_room = on_room};
	dp_client_register(c, &handler);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dp_client_stop(c);
	dp_client_free(c);
	loop_free(l);
	dp_close();
	rmdir(dir);
	log_sink_set(NULL, NULL);
	return 0;
}

static void attach(uint32_t attaches)
{
	pthread_t t;

	atomic_store(&r.hdr->attaches, attaches);
	assert_int_equal(pthread_create(&t, NULL, serve, NULL), 0);
	dp_client_start(c);
	pthread_join(t, NULL);
	turns(2);
}

static void attach_and_sync(void)
{
	uint64_t cookie;

	attach(1);
	cookie = dp_expect(CMD_HELLO);
	dp_done(cookie, 0);
	turns(2);
	cookie = dp_expect(CMD_DUMP);
	dp_done(cookie, 0);
	turns(2);
	assert_true(dp_client_is_ready(c));
}

static void agrees_before_it_is_ready(void **state)
{
	struct evt_port port = {.h.type = EVT_PORT};
	uint64_t cookie;

	(void)state;
	memset(port.name, 'x', sizeof(port.name)); // no NUL
	memset(port.device, 'x', sizeof(port.device));
	attach(1);
	assert_int_equal(n_begin, 0);
	cookie = dp_expect(CMD_HELLO);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_begin, 1);
	assert_int_equal(why, DP_SYNC_FRESH);
	cookie = dp_expect(CMD_DUMP);
	dp_put(&evt, &port, sizeof(port));
	turns(2);
	assert_int_equal(n_ports, 1);
	assert_false(dp_client_is_ready(c));
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_synced, 1);
	assert_true(dp_client_is_ready(c));
	assert_int_equal(dp_client_epoch(c), 11);
	assert_int_equal(dp_client_info(c)->hop_max, 64);
}

static void takes_over_when_it_is_not_the_first(void **state)
{
	(void)state;
	attach(2);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_int_equal(why, DP_SYNC_ADOPT);
}

// What an earlier life left in the rings is not for this one.
static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void a_silent_data_plane_holds_nothing_up(void **state)
{
	uint64_t begin = ms_now();
	pthread_t t;

	(void)state;
	dp_client_start(c); // connects; nobody answers
	turns(3);
	assert_true(ms_now() - begin < 1000);
	assert_int_equal(dp_client_epoch(c), 0);
	atomic_store(&r.hdr->attaches, 1);
	assert_int_equal(pthread_create(&t, NULL, serve, NULL), 0);
	pthread_join(t, NULL);
	turns(2);
	assert_int_equal(dp_client_epoch(c), 11);
	dp_expect(CMD_HELLO);
}

// Takes the first client and leaves it without an answer.
static void *serve_the_second(void *arg)
{
	struct pollfd p = {.fd = listen_fd, .events = POLLIN};
	int first;

	assert_int_equal(poll(&p, 1, 5000), 1);
	first = accept(listen_fd, NULL, NULL);
	serve(arg);
	close(first);
	return NULL;
}

static void an_answer_that_never_comes_is_asked_for_again(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, serve_the_second, NULL), 0);
	dp_client_start(c);
	for (int i = 0; dp_client_epoch(c) == 0 && i < 4000; i++) {
		usleep(1000); // real timers
		turns(1);
	}
	pthread_join(t, NULL);
	assert_int_equal(dp_client_epoch(c), 11);
}

static void drops_what_lies_there_from_an_earlier_life(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 5};
	_Alignas(struct msg_route) uint8_t route[sizeof(struct msg_route) + 8] = {0};
	uint64_t cookie;

	(void)state;
	((struct msg_route *)route)->h.type = UP_ROUTE;
	((struct msg_route *)route)->id = 9;
	dp_put(&evt, &gone, sizeof(gone));
	dp_done(77, 0);
	dp_done(1, -EINVAL);
	dp_put(&up[1], route, sizeof(route));
	attach(2);
	turns(2);
	assert_int_equal(n_gone + n_routes + n_done, 0);
	cookie = dp_expect(CMD_HELLO);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_gone + n_routes, 0);
	assert_int_equal(n_begin, 1);
}

static void waits_for_a_data_plane_and_is_refused_quietly(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};

	(void)state;
	accept_none = true; // -EBUSY
	attach(1);
	turns(2);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_null(dp_client_info(c));
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -ENOTCONN);
	assert_int_equal(dp_client_send_route(c, 0, 1, "x", 1), -ENOTCONN);
	assert_int_equal(n_detach, 0);
}

static void commands_are_answered_once_each(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned a = 0, b = 0;
	uint64_t ca, cb;
	struct dp_client_stats st;

	(void)state;
	attach_and_sync();
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &a), 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &b), 0);
	assert_true(ring_r_empty(&cmd)); // one publication for both
	turns(1);
	ca = dp_expect(CMD_RULE_DEL);
	cb = dp_expect(CMD_RULE_DEL);
	dp_done(cb, -ENOENT);
	turns(2);
	assert_int_equal(a, 0);
	assert_int_equal(b, 1);
	assert_int_equal(last_status, -ENOENT);
	dp_done(ca, 0);
	dp_done(ca, 0); // again, and one that never was
	dp_done(ca ^ 0x40000, 0);
	turns(2);
	assert_int_equal(a, 1);
	assert_int_equal(b, 1);
	dp_client_stats_get(c, &st);
	assert_int_equal(st.stale_answers, 2);
}

static void a_full_ring_refuses_and_tells_when_there_is_room(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned n = 0;

	(void)state;
	attach_and_sync();
	while (dp_client_send(c, &d, sizeof(d), on_done, NULL) == 0)
		assert_true(++n < 1000);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -EAGAIN);
	turns(1);
	for (unsigned i = 0; i < n; i++) {
		dp_done(dp_expect(CMD_RULE_DEL), 0);
		if (i % 16 == 0)
			turns(1);
	}
	for (int i = 0; n_room == 0 && i < 1000; i++) {
		usleep(1000); // a real timer
		turns(1);
	}
	assert_int_equal(n_room, 1);
	turns(2); // the timer may have been faster than the last answers
	assert_int_equal(n_done, n);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
}

static void packets_go_down_by_the_ring_of_the_worker(void **state)
{
	static const struct {
		unsigned worker, ring;
	} rows[] = {{0, 0}, {1, 1}, {2, 0}, {1000, 0}};
	uint8_t buf[256];
	uint8_t big[DPMSG_ROUTE_MAX + 1] = {0};

	(void)state;
	attach_and_sync();
	for (size_t i = 0; i < 4; i++) {
		struct msg_route *m = (struct msg_route *)buf;

		assert_int_equal(dp_client_send_route(c, rows[i].worker, 42, "packet", 6), 0);
		turns(1);
		assert_int_equal(ring_r_read(&down[rows[i].ring], buf, sizeof(buf)), 30);
		ring_r_release(&down[rows[i].ring]);
		assert_int_equal(m->h.type, DOWN_ROUTE);
		assert_int_equal(m->id, 42);
		assert_memory_equal(m->bytes, "packet", 6);
	}
	assert_int_equal(dp_client_send_datagram(c, 0, 3, 1, 2, "hs", 2), 0);
	assert_int_equal(dp_client_send_rekey(c, 1, 5, "re", 2), 0);
	turns(1);
	assert_int_equal(ring_r_read(&down[0], buf, sizeof(buf)), 26);
	assert_int_equal(((struct down_datagram *)buf)->dst_port, 2);
	assert_int_equal(ring_r_read(&down[1], buf, sizeof(buf)), 26);
	assert_int_equal(((struct msg_rekey *)buf)->hop, 5);
	assert_int_equal(dp_client_send_route(c, 0, 1, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(dp_client_send_route(c, 0, 1, big, 0), -EMSGSIZE);
}

static void packets_come_up_with_their_length(void **state)
{
	uint8_t b[sizeof(struct msg_route) + 1000] __attribute__((aligned(8))) = {0};
	struct msg_route *m = (struct msg_route *)b;

	(void)state;
	attach_and_sync();
	m->h.type = UP_ROUTE;
	m->id = 33;
	for (size_t n = 1; n < 1000; n += 111) {
		m->bytes[n - 1] = 0x5a;
		dp_put(&up[n % 2], b, (uint32_t)(sizeof(*m) + n));
		turns(1);
		assert_int_equal(last_len, n);
		assert_int_equal(last_id, 33);
	}
	assert_int_equal(n_routes, 9);
	assert_int_equal(n_passed_on, 9);
}

static void sleeps_only_when_the_rings_are_empty(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 5};

	(void)state;
	attach_and_sync();
	// In the moment of waiting the flag is 1: seen from a callback of that turn it is 0 again,
	// so look at what the data plane would do: publish, exchange.
	atomic_store(&r.hdr->cp_sleeping, 1);
	dp_put(&evt, &gone, sizeof(gone));
	turns(1);
	assert_int_equal(n_gone, 1);
	assert_int_equal(atomic_load(&r.hdr->cp_sleeping), 0);
}

static void rings_the_bell_of_a_sleeping_data_plane_once(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	uint64_t n;

	(void)state;
	attach_and_sync();
	(void)!read(r.bell_dp, &n, sizeof(n));
	atomic_store(&r.hdr->dp_sleeping, 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	dp_client_flush(c);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), -1); // it is awake
	atomic_store(&r.hdr->dp_sleeping, 1);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	dp_client_flush(c);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	assert_int_equal(atomic_load(&r.hdr->dp_sleeping), 0);
}

static void lost_events_are_mended_by_a_dump(void **state)
{
	uint64_t cookie;

	(void)state;
	attach_and_sync();
	atomic_store(&r.hdr->evt_overflow, 1);
	turns(2);
	assert_int_equal(why, DP_SYNC_OVERFLOW);
	assert_int_equal(n_begin, 2);
	cookie = dp_expect(CMD_DUMP);
	assert_int_equal(atomic_load(&r.hdr->evt_overflow), 0);
	atomic_store(&r.hdr->evt_overflow, 1); // again while it dumps
	turns(2);
	assert_int_equal(n_begin, 2);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_begin, 3);
	dp_done(dp_expect(CMD_DUMP), 0);
	turns(2);
	assert_int_equal(n_synced, 3);
}

static void a_flag_of_former_losses_asks_for_no_second_dump(void **state)
{
	(void)state;
	atomic_store(&r.hdr->evt_overflow, 1); // nobody was attached
	attach_and_sync();
	turns(2);
	assert_int_equal(n_begin, 1);
	assert_int_equal(n_synced, 1);
}

static unsigned n_filled;

// As modules do that want much in a new data plane.
static void fill_ring(void *arg, enum dp_sync w)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};

	on_sync_begin(arg, w);
	while (dp_client_send(c, &d, sizeof(d), on_done, NULL) == 0)
		n_filled++;
}

static void a_first_dump_without_room_is_asked_for_later(void **state)
{
	(void)state;
	n_filled = 0;
	handler.on_sync_begin = fill_ring;
	attach(1);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_true(n_filled > 0);
	for (unsigned i = 0; i < n_filled; i++) {
		dp_done(dp_expect(CMD_RULE_DEL), 0);
		if (i % 16 == 0)
			turns(1);
	}
	for (int i = 0; ring_r_empty(&cmd) && i < 1000; i++) {
		usleep(1000); // a real timer
		turns(2);
	}
	dp_done(dp_expect(CMD_DUMP), 0);
	turns(2);
	assert_true(dp_client_is_ready(c));
	assert_int_equal(n_begin, 1);
	assert_int_equal(n_synced, 1);
}

static void the_end_of_the_data_plane_completes_everything_and_the_next_one_is_found(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	pthread_t t;

	(void)state;
	attach_and_sync();
	n_done = 0;
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), 0);
	turns(1);
	dp_close();
	for (int i = 0; n_detach == 0 && i < 100; i++)
		turns(1);
	assert_int_equal(n_detach, 1);
	assert_int_equal(n_done, 1);
	assert_int_equal(last_status, -ECONNRESET);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -ENOTCONN);
	dp_open(12);
	atomic_store(&r.hdr->attaches, 1);
	assert_int_equal(pthread_create(&t, NULL, serve, NULL), 0);
	for (int i = 0; dp_client_epoch(c) == 0 && i < 2000; i++) {
		usleep(1000); // the retry is a real timer
		turns(1);
	}
	pthread_join(t, NULL);
	assert_int_equal(dp_client_epoch(c), 12);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_int_equal(why, DP_SYNC_FRESH);
}

static void a_data_plane_of_another_version_is_left(void **state)
{
	(void)state;
	attach(1);
	dp_done(dp_expect(CMD_HELLO), -EPROTO);
	turns(3);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_int_equal(n_begin, 0);
}

// Random records of any type and length, in every ring: counted, never believed.
static void nonsense_in_the_rings_is_counted(void **state)
{
	uint8_t b[600] __attribute__((aligned(8)));
	struct dpmsg_hdr *h = (struct dpmsg_hdr *)b;
	struct dp_client_stats st;
	unsigned seed = 3;

	(void)state;
	attach_and_sync();
	handler.on_route = NULL; // checks a byte that random packets don't have
	for (int i = 0; i < 4000; i++) {
		uint32_t len = 16 + (uint32_t)rand_r(&seed) % 500;
		struct ring_w *rings[] = {&evt, &hs[0], &hs[1], &up[0], &up[1]};
		static const uint16_t fixed[] = {24, 216, 32, 88, 208, 64, 112};

		for (size_t k = 0; k < sizeof(b); k++)
			b[k] = (uint8_t)rand_r(&seed);
		h->type = (uint16_t)(rand_r(&seed) % 200);
		if (i % 2 == 0)
			len = fixed[rand_r(&seed) % 7];
		dp_put(rings[i % 5], b, len);
		turns(1);
		if (dp_client_epoch(c) == 0)
			break;
	}
	dp_client_stats_get(c, &st);
	assert_true(st.bad_records > 2000);
	assert_true(dp_client_is_ready(c));
}

static void a_broken_ring_ends_the_attachment(void **state)
{
	size_t n;
	struct ring_shm *s;

	(void)state;
	attach_and_sync();
	s = shm(r.hdr->evt_off, &n);
	atomic_store(&s->head, 1ull << 60);
	turns(3);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_int_equal(n_detach, 1);
}

// The users of the client may be freed after it was stopped: no answer comes later.
static void a_stop_answers_what_is_under_way_and_loses_nothing(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned n = 0;

	(void)state;
	attach_and_sync();
	n_done = 0;
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &n), 0);
	assert_int_equal(dp_client_dump(c, DUMP_HOPS, 0, 0, on_done, &n), 0);
	dp_client_stop(c);
	assert_int_equal(n, 2);
	assert_int_equal(last_status, -ECONNRESET);
	assert_int_equal(n_detach, 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &n), -ENOTCONN);
	turns(2);
	dp_client_stop(c);
	assert_int_equal(n, 2);
	dp_expect(CMD_RULE_DEL); // what was sent is done all the same
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(agrees_before_it_is_ready),
		T(takes_over_when_it_is_not_the_first),
		T(a_silent_data_plane_holds_nothing_up),
		T(an_answer_that_never_comes_is_asked_for_again),
		T(drops_what_lies_there_from_an_earlier_life),
		T(waits_for_a_data_plane_and_is_refused_quietly),
		T(commands_are_answered_once_each),
		T(a_full_ring_refuses_and_tells_when_there_is_room),
		T(packets_go_down_by_the_ring_of_the_worker),
		T(packets_come_up_with_their_length),
		T(sleeps_only_when_the_rings_are_empty),
		T(rings_the_bell_of_a_sleeping_data_plane_once),
		T(lost_events_are_mended_by_a_dump),
		T(a_flag_of_former_losses_asks_for_no_second_dump),
		T(a_first_dump_without_room_is_asked_for_later),
		T(the_end_of_the_data_plane_completes_everything_and_the_next_one_is_found),
		T(a_data_plane_of_another_version_is_left),
		T(nonsense_in_the_rings_is_counted),
		T(a_broken_ring_ends_the_attachment),
		T(a_stop_answers_what_is_under_way_and_loses_nothing),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
