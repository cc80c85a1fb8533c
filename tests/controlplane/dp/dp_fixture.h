// A data plane that the test plays, in a region made in this process, and a client that hears of
// it: for the tests of the channel's end, each of which includes it once.
#pragma once

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
static unsigned n_carried, n_pauses;
static unsigned n_passed_on; // routes when on_route_end came last
static unsigned n_room, n_done;
static enum dp_sync why;
static size_t last_len;
static uint32_t last_id, last_hop;

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

static struct dpmsg_hdr dp_next(void)
{
	struct {
		struct dpmsg_hdr h;
		uint8_t more[512];
	} b;
	int n = ring_r_read(&cmd, &b, sizeof(b));

	assert_true(n >= (int)sizeof(b.h));
	ring_r_release(&cmd);
	assert_int_equal(b.h.len, n);
	return b.h;
}

// The next command, which must be of this type.
static uint64_t dp_expect(uint16_t type)
{
	struct dpmsg_hdr h = dp_next();

	assert_int_equal(h.type, type);
	return h.cookie;
}

// The next one of this type, whatever other handlers sent before it.
static uint64_t dp_await(uint16_t type)
{
	struct dpmsg_hdr h;

	do
		h = dp_next();
	while (h.type != type);
	return h.cookie;
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

static void on_carried(void *arg, unsigned worker, const struct msg_route *m, size_t n)
{
	(void)arg;
	n_carried++;
	last_len = n;
	last_hop = m->hop;
	assert_true(worker < N_WORKERS);
	assert_int_equal(m->bytes[n - 1], 0x5a);
}

static void on_route_pause(void *arg, const struct evt_route_pause *e)
{
	(void)arg;
	n_pauses += e->paused;
	last_id = e->id;
	last_hop = e->hop;
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
	n_routes = n_passed_on = n_room = n_done = n_carried = n_pauses = 0;
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
		.on_carried = on_carried,
		.on_route_pause = on_route_pause,
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
	cookie = dp_await(CMD_DUMP);
	dp_done(cookie, 0);
	turns(2);
	assert_true(dp_client_is_ready(c));
}
