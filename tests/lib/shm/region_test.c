// Creation, hand-over and attachment of the region between two ends in one process.

#include "lib/shm/region.h"

#include "lib/shm/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct server {
	struct region r;
	char dir[64];
	char path[96];
	int listen_fd;
	bool busy;
	int conn; // kept open after serving
	int result;
	pthread_t thread;
};

static const struct region_conf small = {
	.n_workers = 2,
	.n_ports = 2,
	.hop_max = 64,
	.rule_bits = 10,
	.rx_index_bits = 8,
	.adj_max = 64,
	.udp_port = 7780,
	.cmd_size = 4096,
	.evt_size = 4096,
	.hs_size = 4096,
	.up_size = 8192,
	.down_size = 8192,
};

static void server_init(struct server *s)
{
	memset(s, 0, sizeof(*s));
	s->conn = -1;
	strcpy(s->dir, "/tmp/skyrail-region-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/dp.sock", s->dir);
	assert_int_equal(region_create(&s->r, &small, 0x1122334455667788ull), 0);
	s->listen_fd = region_listen(s->path);
	assert_true(s->listen_fd >= 0);
}

static void server_fini(struct server *s)
{
	if (s->conn >= 0)
		close(s->conn);
	close(s->listen_fd);
	region_close(&s->r);
	unlink(s->path);
	rmdir(s->dir);
}

static void *serve_one(void *arg)
{
	struct server *s = arg;
	struct pollfd p = {.fd = s->listen_fd, .events = POLLIN};

	poll(&p, 1, 5000);
	s->conn = accept(s->listen_fd, NULL, NULL);
	p.fd = s->conn;
	poll(&p, 1, 5000);
	s->result = region_serve(&s->r, s->conn, s->busy, (uid_t)-1);
	return NULL;
}

static int attach(struct server *s, struct region *c, uint32_t what)
{
	int err;

	if (s->conn >= 0)
		close(s->conn);
	assert_int_equal(pthread_create(&s->thread, NULL, serve_one, s), 0);
	err = region_attach(c, s->path, what);
	pthread_join(s->thread, NULL);
	return err;
}

// One writes, the other reads.
static void a_record_goes(
	const struct region *from, uint64_t from_off, const struct region *to, uint64_t to_off)
{
	struct ring_w w;
	struct ring_r r;
	size_t max_len;
	struct ring_shm *shm = region_ring(from, from_off, &max_len);
	uint32_t len = 16;
	uint8_t buf[64];

	assert_int_equal(ring_w_attach(&w, shm, max_len), 0);
	memcpy(ring_w_reserve(&w, len), &len, sizeof(len));
	ring_w_publish(&w);
	shm = region_ring(to, to_off, &max_len);
	assert_int_equal(ring_r_attach(&r, shm, max_len), 0);
	assert_int_equal(ring_r_read(&r, buf, sizeof(buf)), 16);
}

static void control_plane_gets_rings_stats_and_bells(void **state)
{
	struct server s;
	struct region c;
	uint64_t one = 1;

	server_init(&s);
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), 0);
	assert_int_equal(s.result, REGION_ASK_CONTROL);
	assert_int_equal(c.hdr->rule_bits, 10);
	assert_int_equal(c.hdr->n_workers, 2);
	assert_int_equal(c.epoch, 0x1122334455667788ull);
	assert_true(c.sock >= 0);
	a_record_goes(&c, c.hdr->down_off[1], &s.r, s.r.hdr->down_off[1]);
	stat_add(&stats_worker(s.r.stats, 1)->c[W_rx_frames], 3);
	assert_int_equal(stat_get(&stats_worker(c.stats, 1)->c[W_rx_frames]), 3);
	assert_int_equal(write(s.r.bell_cp, &one, 8), 8);
	assert_int_equal(read(c.bell_cp, &one, 8), 8);
	region_close(&c);
	server_fini(&s);
}

// A thread of the control plane has a mapping and a bell of its own, whatever becomes of the first.
static void a_carrier_has_a_share_that_lives_on(void **state)
{
	struct server s;
	struct region c, share;
	uint64_t one = 1;

	server_init(&s);
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), 0);
	assert_int_equal(region_n_carriers(s.r.hdr), 0);
	atomic_store(&c.hdr->n_carriers, 1000);
	assert_int_equal(region_n_carriers(s.r.hdr), DPMSG_MAX_CARRIERS);
	assert_int_equal(region_share(&c, 3, &share), 0);
	region_close(&c);
	a_record_goes(&share, share.hdr->car_down_off[3], &s.r, s.r.hdr->car_down_off[3]);
	assert_int_equal(write(s.r.bell_car[3], &one, 8), 8);
	assert_int_equal(read(share.bell_car[3], &one, 8), 8);
	region_close(&share);
	server_fini(&s);
}

static void *doze(void *arg)
{
	struct server *s = arg;

	s->result = region_worker_doze(s->r.hdr, 1, 60ull * 1000000000);
	return NULL;
}

static void a_worker_that_sleeps_is_woken(void **state)
{
	struct server s;
	pthread_t t;

	server_init(&s);
	region_worker_wake(s.r.hdr, 1); // it does not sleep: nothing happens
	atomic_store(&s.r.hdr->doze[1].word, 1);
	region_worker_wake(s.r.hdr, 0); // not this one
	assert_int_equal(atomic_load(&s.r.hdr->doze[1].word), 1);
	assert_int_equal(pthread_create(&t, NULL, doze, &s), 0);
	region_worker_wake(s.r.hdr, 1);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&s.r.hdr->doze[1].word), 0);
	assert_int_not_equal(s.result, -ETIMEDOUT);
	assert_int_equal(region_worker_doze(s.r.hdr, 1, 1), -EAGAIN);
	server_fini(&s);
}

static void tool_gets_statistics_only(void **state)
{
	struct server s;
	struct region c;

	server_init(&s);
	s.busy = true; // a control plane does not stand in a tool's way
	assert_int_equal(attach(&s, &c, REGION_ASK_STATS), 0);
	assert_null(c.hdr);
	assert_int_equal(c.bell_cp, -1);
	assert_int_equal(c.stats->n_workers, 2);
	// the mapping can't be made writable
	assert_int_equal(mprotect(c.stats, c.stats_len, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	region_close(&c);
	server_fini(&s);
}

static void segments_are_sealed_and_keep_modes(void **state)
{
	struct server s;
	struct stat st;

	server_init(&s);
	assert_int_equal(ftruncate(s.r.rings_fd, 4096), -1);
	assert_int_equal(ftruncate(s.r.stats_fd, 1 << 24), -1);
	assert_int_equal(fcntl(s.r.rings_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fstat(s.r.stats_fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444); // not to be opened again for writing
	assert_int_equal(fstat(s.r.rings_fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	server_fini(&s);
}

static void second_control_plane_is_told_busy(void **state)
{
	struct server s;
	struct region c = {.epoch = 5};

	server_init(&s);
	s.busy = true;
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), -EBUSY);
	assert_int_equal(s.result, -EBUSY);
	assert_int_equal(c.epoch, 5); // untouched
	server_fini(&s);
}

static void malformed_requests_are_answered_with_an_error(void **state)
{
	static const struct {
		struct region_ask ask;
		size_t len;
		int status;
		bool right_counters;
	} cases[] = {
		{{REGION_MAGIC, REGION_VERSION, REGION_ASK_STATS, 1}, 16, -EPROTO, false},
		{{REGION_MAGIC, REGION_VERSION + 1, REGION_ASK_STATS, 0}, 16, -EPROTO, true},
		{{1, REGION_VERSION, REGION_ASK_STATS, 0}, 16, -EPROTO, true},
		{{REGION_MAGIC, REGION_VERSION, 3, 0}, 16, -EINVAL, true},
		{{REGION_MAGIC, REGION_VERSION, REGION_ASK_STATS, 0}, 15, -EPROTO, true},
		{{REGION_MAGIC, REGION_VERSION, REGION_ASK_CONTROL, 0}, 1, -EPROTO, true},
	};
	struct server s;

	server_init(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct region_ask ask = cases[i].ask;
		struct region_offer offer;
		int sv[2];

		if (cases[i].right_counters)
			ask.counters = stats_counters_hash();
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
		assert_int_equal(send(sv[0], &ask, cases[i].len, 0), cases[i].len);
		assert_int_equal(region_serve(&s.r, sv[1], false, (uid_t)-1), cases[i].status);
		assert_int_equal(recv(sv[0], &offer, sizeof(offer), MSG_DONTWAIT), sizeof(offer));
		assert_int_equal(offer.status, cases[i].status);
		assert_int_equal(offer.rings_len, 0);
		close(sv[0]);
		close(sv[1]);
	}
	server_fini(&s);
}

static void serving_never_blocks_on_a_silent_client(void **state)
{
	struct server s;
	int sv[2];

	server_init(&s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	assert_int_equal(region_serve(&s.r, sv[1], false, (uid_t)-1), -EAGAIN);
	close(sv[0]);
	assert_int_equal(region_serve(&s.r, sv[1], false, (uid_t)-1), -ECONNRESET);
	close(sv[1]);
	server_fini(&s);
}

static void attach_refuses_a_header_of_another_kind(void **state)
{
	struct server s;
	struct region c;

	server_init(&s);
#define REFUSES(field, value)                                                                      \
	do {                                                                                       \
		uint64_t was = s.r.hdr->field;                                                     \
		s.r.hdr->field = (__typeof__(s.r.hdr->field))(value);                              \
		assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), -EPROTO);                     \
		s.r.hdr->field = (__typeof__(s.r.hdr->field))was;                                  \
	} while (0)
	REFUSES(magic, 1);
	REFUSES(version, REGION_VERSION + 1);
	REFUSES(dpmsg_version, DPMSG_VERSION + 1);
	REFUSES(epoch, 3);
	REFUSES(len, 1 << 30);
	REFUSES(n_workers, 0);
	REFUSES(n_workers, 3);
	REFUSES(cmd_off, 1ull << 40);
	REFUSES(evt_off, 8);
	REFUSES(up_off[1], s.r.rings_len - 64);
#undef REFUSES
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), 0);
	region_close(&c);
	server_fini(&s);
}

static void spoilt_region_is_repaired_for_the_next_control_plane(void **state)
{
	struct server s;
	struct region c;
	size_t len;

	server_init(&s);
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), 0);
	// the first one scribbles over all that it can write, then dies
	memset(c.hdr, 0xff, offsetof(struct region_hdr, cp_sleeping));
	for (uint64_t off = 1024 * 4; off + 4096 < c.rings_len; off += 64)
		memset((uint8_t *)c.hdr + off, 0xff, 32);
	region_close(&c);
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), -EPROTO);
	region_repair(&s.r, &small);
	assert_int_equal(attach(&s, &c, REGION_ASK_CONTROL), 0);
	assert_int_equal(c.hdr->n_workers, 2);
	assert_non_null(region_ring(&c, c.hdr->down_off[1], &len));
	region_close(&c);
	server_fini(&s);
}

static void stale_socket_is_replaced_and_a_living_one_is_not(void **state)
{
	struct server s;
	int fd;

	server_init(&s);
	assert_int_equal(region_listen(s.path), -EADDRINUSE);
	close(s.listen_fd); // as after a kill: the file stays
	fd = region_listen(s.path);
	assert_true(fd >= 0);
	s.listen_fd = fd;
	server_fini(&s);
}

static void only_owner_and_group_may_connect(void **state)
{
	struct server s;
	struct stat st;

	server_init(&s);
	assert_int_equal(lstat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	server_fini(&s);
}

static void listen_leaves_files_that_are_no_sockets_alone(void **state)
{
	char path[] = "/tmp/skyrail-region-file-XXXXXX";
	char long_path[200];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(region_listen(path), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(region_listen(long_path), -ENAMETOOLONG);
	assert_int_equal(region_attach(&(struct region){0}, long_path, 1), -ENAMETOOLONG);
}

static void create_refuses_impossible_sizes(void **state)
{
	struct region r;
	struct region_conf c = small;

	c.n_workers = 0;
	assert_int_equal(region_create(&r, &c, 1), -EINVAL);
	c = small;
	c.n_workers = DPMSG_MAX_WORKERS + 1;
	assert_int_equal(region_create(&r, &c, 1), -EINVAL);
	c = small;
	c.up_size = 1000;
	assert_int_equal(region_create(&r, &c, 1), -EINVAL);
	c = small;
	c.hop_max = (1u << DPMSG_HANDLE_BITS) + 1;
	assert_int_equal(region_create(&r, &c, 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_plane_gets_rings_stats_and_bells),
		cmocka_unit_test(a_carrier_has_a_share_that_lives_on),
		cmocka_unit_test(a_worker_that_sleeps_is_woken),
		cmocka_unit_test(tool_gets_statistics_only),
		cmocka_unit_test(segments_are_sealed_and_keep_modes),
		cmocka_unit_test(second_control_plane_is_told_busy),
		cmocka_unit_test(malformed_requests_are_answered_with_an_error),
		cmocka_unit_test(serving_never_blocks_on_a_silent_client),
		cmocka_unit_test(attach_refuses_a_header_of_another_kind),
		cmocka_unit_test(spoilt_region_is_repaired_for_the_next_control_plane),
		cmocka_unit_test(stale_socket_is_replaced_and_a_living_one_is_not),
		cmocka_unit_test(only_owner_and_group_may_connect),
		cmocka_unit_test(listen_leaves_files_that_are_no_sockets_alone),
		cmocka_unit_test(create_refuses_impossible_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
