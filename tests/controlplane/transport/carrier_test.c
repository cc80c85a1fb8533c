// Carriers as they run: threads, sockets, Noise and rings are real; the test is their main loop,
// the worker at the other end of the rings, and the peers.
#include "controlplane/transport/carrier.h"

#include "controlplane/dp/dp_lane.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <dlfcn.h>
#include <signal.h>

#include "lib/base/err.h"
#include "lib/crypto/dh.h"
#include "lib/wire/route_hdr.h"

enum { LINKS = 8, CARRIERS = 2, HOP_MAX = 64, RING = 1 << 18, MIB = 1 << 20 };

// A link: the peer's end of the connection, the carrier's, and what is said about it.
struct line {
	uint32_t hop;
	struct carrier *c;
	struct carrier_link *k;
	struct end peer; // its `c` alone is used
	struct end ours; // until it is moved
	bool deaf; // the peer does not read
	bool open;
	bool holds; // the data plane is told of a block at once
	uint8_t in[ROUTE_PACKET_MAX]; // of the peer
	size_t in_len;
	uint8_t out[ROUTE_PACKET_MAX]; // ... that it did not get rid of yet
	size_t out_len, out_ofs;
	uint32_t sent, sent_control;
	uint32_t got, got_control; // packets that the peer got
	uint32_t down; // packets that the worker got
	uint32_t controls, blocks, unblocks, ends;
	int err;
};

// As run_until(), for what other threads do: looks every millisecond.
#define until(cond)                                                                                \
	do {                                                                                       \
		struct loop_timer *look_ = loop_timer_new(l, on_look, NULL);                       \
                                                                                                   \
		loop_timer_start(look_, 1, 1);                                                     \
		run_until(cond);                                                                   \
		loop_timer_free(look_);                                                            \
	} while (0)

static struct region region;
static struct ring_w up[CARRIERS];
static struct ring_r down[CARRIERS];
static struct carriers *cs;
static struct line line[LINKS];
static uint32_t epoch;

// The carriers' mail comes without a bell meanwhile.
static bool hush;

// In libuv's place.
int uv_async_send(uv_async_t *h)
{
	static int (*next)(uv_async_t *);

	if (h->loop != loop_uv(l) && hush)
		return 0;
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "uv_async_send");
	return next(h);
}

static void on_look(void *arg)
{
	(void)arg;
}

// ---- packets: number n of those with an id ----

static size_t len_of(uint32_t n)
{
	return n % 50 == 49 ? 60000 : n % 7 * 200;
}

static size_t packet(uint8_t *p, uint32_t id, uint32_t n)
{
	size_t len = 4 + len_of(n);

	route_hdr_put(p, id == 0 ? ROUTE_TP_PING : ROUTE_DATA, id, (uint16_t)len);
	memcpy(p + ROUTE_HDR_LEN, &n, 4);
	memset(p + ROUTE_HDR_LEN + 4, (int)n, len - 4);
	return ROUTE_HDR_LEN + len;
}

static void check(const uint8_t *p, size_t len, uint32_t id, uint32_t n)
{
	static uint8_t want[ROUTE_PACKET_MAX];

	assert_int_equal(len, packet(want, id, n));
	assert_memory_equal(p, want, len);
}

// ---- the peer ----

static size_t on_peer_data(void *arg, uint8_t *p, size_t len)
{
	struct line *e = arg;

	for (size_t i = 0; i < len; i++) {
		if (e->deaf)
			return i;
		e->in[e->in_len++] = p[i];
		if (e->in_len < ROUTE_HDR_LEN || e->in_len < route_hdr_packet_len(e->in))
			continue;
		if (route_hdr_id(e->in) == 0)
			check(e->in, e->in_len, 0, e->got_control++);
		else
			check(e->in, e->in_len, e->hop, e->got++);
		e->in_len = 0;
	}
	return len;
}

static void on_peer_open(void *arg)
{
	((struct line *)arg)->open = true;
}

static void on_peer_end(void *arg, int err)
{
	struct line *e = arg;

	e->peer.err = err != 0 ? err : -ENOTCONN;
}

static const struct conn_events peer_events = {
	.open = on_peer_open, .data = on_peer_data, .end = on_peer_end};

// Sends packets of its, or control packets, as far as they are taken, until `to` of them were
// begun.
static void peer_send(struct line *e, bool control, uint32_t to)
{
	uint32_t *sent = control ? &e->sent_control : &e->sent;

	for (;;) {
		ssize_t n = conn_write(e->peer.c, e->out + e->out_ofs, e->out_len - e->out_ofs);

		assert_true(n >= 0);
		e->out_ofs += (size_t)n;
		if (e->out_ofs < e->out_len || *sent == to)
			return;
		e->out_len = packet(e->out, control ? 0 : e->hop, (*sent)++);
		e->out_ofs = 0;
	}
}

// ---- main's events ----

static void on_control(void *arg, const uint8_t *p, size_t len)
{
	struct line *e = arg;

	check(p, len, 0, e->controls++);
}

static void on_blocked(void *arg, bool blocked)
{
	struct line *e = arg;

	e->blocks += blocked;
	if (blocked && e->holds)
		carrier_link_held(e->k);
	e->unblocks += !blocked;
}

static void on_link_end(void *arg, int err)
{
	struct line *e = arg;

	e->ends++;
	e->err = err;
}

static const struct carried_link_events events = {
	.control = on_control, .blocked = on_blocked, .end = on_link_end};

// ---- the worker ----

static void worker_reads(unsigned c)
{
	static _Alignas(8) uint8_t buf[sizeof(struct msg_route) + ROUTE_PACKET_MAX];
	const struct msg_route *m = (const struct msg_route *)buf;
	int n;

	while ((n = ring_r_read(&down[c], buf, sizeof(buf))) > 0) {
		struct line *e = &line[dpmsg_handle_index(m->hop)];

		assert_int_equal(m->h.type, DOWN_CARRIED);
		assert_int_equal(m->h.len, n);
		assert_int_equal(m->hop, e->hop);
		check(m->bytes, (size_t)n - sizeof(*m), e->hop, e->down++);
		ring_r_release(&down[c]);
	}
	assert_int_equal(n, 0);
}

static unsigned nr(const struct carrier *c)
{
	return carrier_nr(c) - 1u;
}

// As the main lcore does it.
static void bell(unsigned c)
{
	uint64_t one = 1;

	if (atomic_exchange_explicit(&region.hdr->car[c].sleeping, 0, memory_order_seq_cst) != 0)
		assert_int_equal(write(region.bell_car[c], &one, sizeof(one)), sizeof(one));
}

// Up packets [from, to) of its hop; how far it came.
static uint32_t worker_sends(struct line *e, uint32_t from, uint32_t to)
{
	static uint8_t p[ROUTE_PACKET_MAX];
	struct ring_w *w = &up[nr(e->c)];

	for (; from < to; from++) {
		uint32_t len = (uint32_t)(sizeof(struct msg_route) + packet(p, e->hop, from));
		struct msg_route *m = ring_w_reserve(w, len);

		if (m == NULL)
			break;
		*m = (struct msg_route){.h = {.len = len, .type = UP_CARRIED}, .hop = e->hop};
		memcpy(m->bytes, p, len - sizeof(*m));
	}
	ring_w_publish(w);
	bell(nr(e->c));
	return from;
}

static void attach(void)
{
	struct region_conf conf = {.n_workers = 1,
		.n_ports = 1,
		.hop_max = HOP_MAX,
		.rule_bits = 4,
		.rx_index_bits = 4,
		.adj_max = 4,
		.up_size = RING,
		.down_size = RING};
	size_t len;

	assert_int_equal(region_create(&region, &conf, ++epoch), 0);
	for (unsigned i = 0; i < CARRIERS; i++) {
		struct ring_shm *shm = region_ring(&region, region.hdr->car_up_off[i], &len);

		assert_int_equal(ring_w_attach(&up[i], shm, len), 0);
		shm = region_ring(&region, region.hdr->car_down_off[i], &len);
		assert_int_equal(ring_r_attach(&down[i], shm, len), 0);
	}
	carriers_attach(cs, &region, HOP_MAX);
	assert_int_equal(region_n_carriers(region.hdr), CARRIERS);
}

// ---- lines ----

static struct conn *secret(
	struct conn *below, bool initiator, const struct conn_events *ev, void *arg)
{
	static const uint8_t sk[2][32] = {{0x41}, {0x42}};
	uint8_t pk[2][33];
	struct noise_conf conf = {.pattern = NOISE_KK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = initiator,
		.s = sk[!initiator],
		.rs = pk[initiator]};
	struct conn *c;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(conf.dh->pub(pk[i], sk[i]), 0);
	c = noise_conn_new(l, below, &conf, NOISE_CONN_TIMEOUT_MS, ev, arg);
	assert_non_null(c);
	return c;
}

// Up to where both ends are open, on the main loop.
static struct line *line_open(unsigned i)
{
	struct line *e = &line[i];

	memset(e, 0, sizeof(*e));
	e->hop = i | 1u << DPMSG_HANDLE_BITS;
	e->ours.deaf = true;
	pair(&e->peer, &e->ours);
	e->peer.c = secret(e->peer.c, true, &peer_events, e);
	e->ours.c = secret(e->ours.c, false, &end_events, &e->ours);
	run_until(e->open && e->ours.n_open == 1);
	return e;
}

static void line_move(struct line *e)
{
	struct noise_conn_moved *m = noise_conn_move(e->ours.c);

	assert_non_null(m);
	end_close(&e->ours);
	e->c = carriers_pick(cs);
	assert_non_null(e->c);
	e->k = carrier_take(e->c, e->hop, m, &events, e);
	assert_non_null(e->k);
}

static struct line *line_up(unsigned i)
{
	struct line *e = line_open(i);

	line_move(e);
	carrier_link_read(e->k, true);
	return e;
}

static void line_close(struct line *e)
{
	carrier_link_close(e->k);
	e->k = NULL;
	end_close(&e->peer);
}

static int setup(void **state)
{
	setup_loop(state);
	cs = carriers_new(l, CARRIERS);
	assert_non_null(cs);
	assert_null(carriers_pick(cs)); // no rings yet
	attach();
	return 0;
}

static int teardown(void **state)
{
	carriers_free(cs);
	region_close(&region);
	return teardown_loop(state);
}

// ---- tests ----

static void packets_pass_whole_and_in_order(void **state)
{
	const uint32_t n = 3000;
	struct line *e[2] = {line_up(1), line_up(2)};
	uint32_t given[2] = {0};

	(void)state;
	assert_ptr_not_equal(e[0]->c, e[1]->c);
	until(({
		for (unsigned i = 0; i < 2; i++) {
			peer_send(e[i], false, n);
			given[i] = worker_sends(e[i], given[i], n);
			worker_reads(i);
		}
		e[0]->down == n &&e[1]->down == n &&e[0]->got == n &&e[1]->got == n;
	}));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(e[i]->ends, 0);
		line_close(e[i]);
	}
}

// Some lie decrypted, one is cut, and more is in the socket and in the buffer above it.
static void what_came_before_the_move_goes_first(void **state)
{
	struct line *e = line_open(1);

	(void)state;
	peer_send(e, false, 48);
	for (unsigned i = 0; i < 20; i++)
		uv_run(loop_uv(l), UV_RUN_NOWAIT);
	line_move(e);
	worker_reads(nr(e->c));
	assert_int_equal(e->down, 0); // nobody has said that it may read
	carrier_link_read(e->k, true);
	until(({
		peer_send(e, false, 100);
		worker_reads(nr(e->c));
		e->down == 100;
	}));
	line_close(e);
}

static void one_who_has_to_wait_is_not_read(void **state)
{
	struct line *e = line_up(1), *o = line_up(3); // at the other carrier
	struct line *s = line_up(5); // at the same one

	(void)state;
	assert_ptr_equal(e->c, s->c);
	carrier_link_read(e->k, false);
	until(({
		peer_send(s, false, 1000);
		peer_send(e, false, 20);
		worker_reads(nr(e->c));
		s->down == 1000;
	}));
	assert_int_equal(e->down, 0);
	carrier_link_read(e->k, true);
	until(({
		peer_send(e, false, 20);
		worker_reads(nr(e->c));
		e->down == 20;
	}));
	line_close(e);
	line_close(o);
	line_close(s);
}

static void its_own_packets_are_heard_and_answered(void **state)
{
	const uint32_t n = 120; // more than may be unheard, and no flood
	struct line *e = line_up(1);
	uint8_t p[ROUTE_PACKET_MAX];

	(void)state;
	until(({
		peer_send(e, true, n);
		worker_reads(nr(e->c));
		e->controls == n;
	}));
	assert_int_equal(e->down, 0);
	carrier_link_say(e->k, p, packet(p, 0, 0));
	until(e->got_control == 1);
	line_close(e);
}

// The peer does not read. Until the data plane is told, no more is read of the ring than the memory
// that is set apart; then all that it still has.
static void a_deaf_peer_blocks(void **state)
{
	const uint32_t n = 20000; // about 36 MB
	struct line *e = line_up(1);
	uint32_t given = 0;

	(void)state;
	e->deaf = true;
	until(({
		given = worker_sends(e, given, n);
		e->blocks == 1 || given == n;
	}));
	assert_true(given < n);
	e->holds = true;
	carrier_link_held(e->k);
	until(({
		given = worker_sends(e, given, n);
		given == n;
	}));
	e->deaf = false;
	conn_resume(e->peer.c);
	until(e->got == n && e->unblocks == e->blocks);
	line_close(e);
}

static void the_ends_of_peers_are_told(void **state)
{
	struct line *e = line_up(1);

	(void)state;
	end_close(&e->peer);
	until(e->ends == 1);
	assert_int_equal(e->err, 0);
	line_close(e);
	e = line_up(1); // the same hop again
	until(({
		peer_send(e, false, 1);
		worker_reads(nr(e->c));
		e->down == 1;
	}));
	line_close(e);
}

static void links_are_spread(void **state)
{
	struct line *e[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		e[i] = line_up(i + 1);
	for (unsigned i = 0; i < 6; i += 2)
		assert_ptr_not_equal(e[i]->c, e[i + 1]->c);
	line_close(e[0]);
	assert_ptr_equal(carriers_pick(cs), e[0]->c);
	for (unsigned i = 1; i < 6; i++)
		line_close(e[i]);
}

static void packets_for_a_link_that_is_gone_are_counted(void **state)
{
	struct line *e = line_up(1);
	struct carrier *c = e->c;

	(void)state;
	line_close(e);
	e->c = c;
	worker_sends(e, 0, 3);
	until(carriers_late(cs) == 3);
}

// Told without a bell, put into the ring with one: the carrier wakes up for the packets.
static void a_link_is_known_before_its_packets(void **state)
{
	struct line *e = line_open(1);
	unsigned c = nr(carriers_pick(cs));

	(void)state;
	until(atomic_load(&region.hdr->car[c].sleeping) != 0);
	hush = true;
	line_move(e);
	assert_int_equal(nr(e->c), c);
	worker_sends(e, 0, 10);
	until(e->got == 10 || carriers_late(cs) != 0);
	hush = false;
	assert_int_equal(carriers_late(cs), 0);
	line_close(e);
}

static void a_record_that_is_no_packet_is_counted(void **state)
{
	static const uint8_t short_packet[] = {0, 0, 0, 0, 1, 0, 9, 0x5a}; // says 9 bytes, has 1
	struct line *e = line_up(1);
	struct ring_w *w = &up[nr(e->c)];
	uint64_t before = carriers_late(cs);
	uint32_t len = (uint32_t)(sizeof(struct msg_route) + sizeof(short_packet));
	struct msg_route *m = ring_w_reserve(w, len);

	(void)state;
	assert_non_null(m);
	*m = (struct msg_route){.h = {.len = len, .type = UP_CARRIED}, .hop = e->hop};
	memcpy(m->bytes, short_packet, sizeof(short_packet));
	worker_sends(e, 0, 3); // it goes first
	until(e->got == 3);
	assert_int_equal(carriers_late(cs) - before, 1);
	line_close(e);
}

static void another_data_plane_has_other_rings(void **state)
{
	struct line *e = line_up(1);

	(void)state;
	line_close(e);
	carriers_detach(cs);
	assert_null(carriers_pick(cs));
	region_close(&region);
	attach();
	e = line_up(1);
	until(({
		peer_send(e, false, 1);
		worker_reads(nr(e->c));
		e->down == 1;
	}));
	line_close(e);
}

// Of the region, in this process.
static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char text[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(text, sizeof(text), f) != NULL)
		n += strstr(text, "skyrail-rings") != NULL;
	fclose(f);
	return n;
}

// Who has the rings next finds nobody there, though links of before live and have what to say.
static void rings_are_let_go_of_at_once(void **state)
{
	struct line *e = line_up(1);
	struct ring_shm *shm = down[nr(e->c)].shm;
	uint64_t head;

	(void)state;
	until(({
		peer_send(e, false, 1);
		worker_reads(nr(e->c));
		e->down == 1;
	}));
	assert_int_equal(mappings(), 1 + CARRIERS);
	carriers_detach(cs);
	assert_int_equal(mappings(), 1);
	head = atomic_load(&shm->head);
	until(({
		peer_send(e, false, 3000); // more than its socket holds: the carrier reads it
		e->sent == 3000 && e->out_ofs == e->out_len;
	}));
	assert_int_equal(atomic_load(&shm->head), head);
	carriers_detach(cs); // nothing is left to let go of
	line_close(e);
}

// Told to take the rings that it has while it writes to them: it goes on behind what it wrote.
static void the_same_rings_are_taken_where_they_are_left(void **state)
{
	struct line *e = line_up(1), *o;
	unsigned c = nr(e->c);

	(void)state;
	until(({
		peer_send(e, false, 1);
		worker_reads(c);
		e->down == 1 && atomic_load(&region.hdr->car[c].sleeping) != 0;
	}));
	hush = true;
	carriers_attach(cs, &region, HOP_MAX);
	until(({
		peer_send(e, false, 10);
		worker_reads(c);
		e->down == 10;
	}));
	hush = false;
	line_close(e);
	e = line_up(1);
	o = line_up(2);
	until(({
		peer_send(e, false, 10);
		peer_send(o, false, 10);
		worker_reads(0);
		worker_reads(1);
		e->down == 10 && o->down == 10;
	}));
	line_close(e);
	line_close(o);
}

static void rings_that_cant_be_had_are_tried_again(void **state)
{
	uint64_t off[CARRIERS];
	struct line *e;

	(void)state;
	carriers_detach(cs);
	for (unsigned i = 0; i < CARRIERS; i++) {
		off[i] = region.hdr->car_up_off[i];
		region.hdr->car_up_off[i] = 1;
	}
	carriers_attach(cs, &region, HOP_MAX);
	until(carriers_pick(cs) == NULL);
	for (unsigned i = 0; i < CARRIERS; i++)
		region.hdr->car_up_off[i] = off[i];
	until(carriers_pick(cs) != NULL);
	e = line_up(1);
	until(({
		peer_send(e, false, 1);
		worker_reads(nr(e->c));
		e->down == 1;
	}));
	line_close(e);
}

static void nonsense_in_a_ring_ends_its_links(void **state)
{
	struct line *e = line_up(1), *o = line_up(2);
	struct carrier *c = e->c;

	(void)state;
	until(({
		peer_send(e, false, 1);
		worker_reads(nr(c));
		e->down == 1;
	}));
	up[nr(c)].head += RING + 8;
	ring_w_publish(&up[nr(c)]);
	bell(nr(c));
	until(e->ends == 1);
	assert_int_equal(e->err, -EPROTO);
	assert_int_equal(o->ends, 0);
	line_close(e);
	line_close(o);
}

static void a_wild_number_of_workers_is_refused(void **state)
{
	static const uint32_t wild[] = {0, DPMSG_MAX_WORKERS + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
		region.hdr->n_workers = wild[i];
		errno = 0;
		assert_null(dp_lane_new(&region, 0));
		assert_int_equal(errno, EPROTO);
	}
}

static void they_may_end_with_links_and_bytes(void **state)
{
	struct line *e = line_up(1);

	(void)state;
	e->deaf = true;
	worker_sends(e, 0, 100);
	peer_send(e, false, 20);
	carrier_link_close(e->k); // not heard of yet
	line_open(2);
	line_move(&line[2]);
	end_close(&e->peer);
	end_close(&line[2].peer);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_pass_whole_and_in_order),
		T(what_came_before_the_move_goes_first),
		T(one_who_has_to_wait_is_not_read),
		T(its_own_packets_are_heard_and_answered),
		T(a_deaf_peer_blocks),
		T(the_ends_of_peers_are_told),
		T(links_are_spread),
		T(packets_for_a_link_that_is_gone_are_counted),
		T(a_record_that_is_no_packet_is_counted),
		T(a_link_is_known_before_its_packets),
		T(another_data_plane_has_other_rings),
		T(rings_are_let_go_of_at_once),
		T(the_same_rings_are_taken_where_they_are_left),
		T(rings_that_cant_be_had_are_tried_again),
		T(nonsense_in_a_ring_ends_its_links),
		T(a_wild_number_of_workers_is_refused),
		T(they_may_end_with_links_and_bytes),
	};

	signal(SIGPIPE, SIG_IGN); // as the programs do
	return cmocka_run_group_tests(tests, NULL, NULL);
}
