// What carrier threads move from their links to the data plane: links over TCP, whose peers play
// records that were sealed before and so cost no more than writing; beside each carrier a thread
// that plays to its links and empties its ring. A packet has a record of its own, as visors send
// them. Against the same links with one carrier:
//
//   carriers_2, _64      packets of 1400 and 64 bytes a second
//   carriers_2_cpu       ... for a second of the carriers' processor time
//   carriers_2_apart     the same against two carriers that share nothing but the machine: below 1
//                        where two of one control plane hinder one another, on few cores, too
//
//   bench_carriers [--quick] [--only NAME]

#include "controlplane/core/noise_conn.h"
#include "controlplane/transport/carrier.h"
#include "lib/crypto/dh.h"
#include "lib/wire/route_hdr.h"
#include "tests/bench/cores.h"
#include "tests/bench/figures.h"
#include "tests/bench/options.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINKS = 8,
	CARRIERS_MAX = 2,
	HOP_MAX = 64,
	CORES = 2 * CARRIERS_MAX, // so many have a target
	PIECE = 64 * 1024, // of one write
	WAIT_MS = 10000,
};

// Records that the peer of each link plays once: all have the same keys.
struct tape {
	uint8_t *bytes;
	size_t len;
	uint32_t n, packet_len; // packets
	struct noise_rec rx; // before the first of them
};

struct line {
	int fd; // the peer's
	size_t played; // bytes
	struct carrier_link *k;
};

// Who plays to the links of one carrier and takes their packets.
struct feeder {
	struct bench *b;
	pthread_t thread;
	struct ring_r down;
	struct line line[LINKS];
	unsigned n_lines;
	clockid_t clock; // the carrier's
	uint32_t n; // packets that came
	double wall_s, cpu_s;
};

// The carriers of a control plane, with a data plane.
struct node {
	struct region region;
	struct carriers *cs;
};

struct bench {
	const struct tape *tape;
	unsigned n_carriers, n_nodes; // each has as many
	bool by_cpu;
	struct node node[CARRIERS_MAX];
	struct feeder feeder[CARRIERS_MAX];
	pthread_barrier_t begin;
	_Atomic bool done; // one of them has all
	// of all runs, by carrier
	double packets[CARRIERS_MAX], wall_s[CARRIERS_MAX], cpu_s[CARRIERS_MAX];
};

static struct loop *l;
static int listener;

_Noreturn static void die(const char *what, int err)
{
	fprintf(stderr, "bench_carriers: %s: %s\n", what, strerror(err < 0 ? -err : err));
	_exit(1);
}

// ---- tapes ----

static void shake(struct noise_rec *a, struct noise_rec *b)
{
	static const uint8_t sk[2][32] = {{0x41}, {0x42}};
	struct noise_rec *side[2] = {a, b};
	uint8_t pk[2][33], frame[NOISE_REC_FRAME_MAX];

	for (unsigned i = 0; i < 2; i++)
		if (dh_secp256k1()->pub(pk[i], sk[i]) < 0)
			die("key", EIO);
	for (unsigned i = 0; i < 2; i++) {
		struct noise_conf conf = {.pattern = NOISE_KK,
			.dh = dh_secp256k1(),
			.hash = HASH_SHA256,
			.initiator = i == 0,
			.s = sk[i],
			.rs = pk[!i]};

		if (noise_rec_init(side[i], &conf) < 0)
			die("handshake", EIO);
	}
	for (unsigned i = 0; i < 2; i++) {
		ssize_t n = noise_rec_shake(side[i], frame, sizeof(frame));

		if (n <= 0 || noise_rec_take_shake(side[!i], frame, (size_t)n) != n)
			die("handshake", EBADMSG);
	}
}

static struct tape *tape_new(uint16_t payload_len, uint32_t n)
{
	struct tape *t = calloc(1, sizeof(*t));
	uint8_t packet[NOISE_REC_DATA_MAX] = {0};
	struct noise_rec tx;
	size_t cap;

	if (t == NULL)
		die("tape", ENOMEM);
	t->n = n;
	t->packet_len = ROUTE_HDR_LEN + payload_len;
	cap = (size_t)n * (t->packet_len + NOISE_REC_OVERHEAD);
	t->bytes = malloc(cap);
	if (t->bytes == NULL)
		die("tape", ENOMEM);
	shake(&tx, &t->rx);
	noise_rec_engine(&tx, loop_aead(l));
	for (uint32_t i = 0; i < n; i++) {
		ssize_t rc;

		route_hdr_put(packet, ROUTE_DATA, 1 + i, payload_len);
		rc = noise_rec_seal(&tx, packet, t->packet_len, t->bytes + t->len, cap - t->len);
		if (rc < 0)
			die("seal", (int)rc);
		t->len += (size_t)rc;
	}
	noise_rec_fini(&tx);
	return t;
}

static void tape_free(struct tape *t)
{
	noise_rec_fini(&t->rx);
	free(t->bytes);
	free(t);
}

// ---- feeders ----

// False: the link takes no more now, or has all.
static bool play(struct line *e, const struct tape *t)
{
	size_t len = t->len - e->played < PIECE ? t->len - e->played : PIECE;
	ssize_t n =
		len > 0 ? send(e->fd, t->bytes + e->played, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN)
		die("send", errno);
	e->played += n > 0 ? (size_t)n : 0;
	return n > 0;
}

// Packets that came.
static uint32_t drain(struct feeder *f)
{
	const struct msg_route *m;
	uint32_t len, n = 0;

	while ((m = ring_r_peek(&f->down, &len)) != NULL) {
		if (m->h.type != DOWN_CARRIED || len != sizeof(*m) + f->b->tape->packet_len)
			die("packet", EBADMSG);
		ring_r_next(&f->down);
		n++;
	}
	if (f->down.broken)
		die("ring", EPROTO);
	ring_r_release(&f->down);
	return n;
}

static double clock_s(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) != 0)
		die("clock", errno);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *feed(void *arg)
{
	struct feeder *f = arg;
	const struct tape *t = f->b->tape;
	double wall, cpu, moved;

	pthread_barrier_wait(&f->b->begin);
	wall = moved = clock_s(CLOCK_MONOTONIC);
	cpu = clock_s(f->clock);
	while (f->n < t->n * f->n_lines && !atomic_load(&f->b->done)) {
		bool any = false;
		uint32_t n = 0;

		for (unsigned i = 0; i < f->n_lines; i++) {
			any |= play(&f->line[i], t);
			n += drain(f);
		}
		f->n += n;
		if (any || n > 0)
			moved = clock_s(CLOCK_MONOTONIC);
		else if (clock_s(CLOCK_MONOTONIC) - moved > WAIT_MS / 1e3)
			die("no packets", ETIMEDOUT);
		else
			sched_yield();
	}
	atomic_store(&f->b->done, true);
	f->wall_s = clock_s(CLOCK_MONOTONIC) - wall;
	f->cpu_s = clock_s(f->clock) - cpu;
	return NULL;
}

// ---- links ----

static int listen_any(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, 1) != 0)
		die("listen", errno);
	return fd;
}

static void tcp_pair(int fd[2])
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd[0] < 0 || getsockname(listener, (struct sockaddr *)&sa, &len) != 0 ||
		connect(fd[0], (struct sockaddr *)&sa, len) != 0)
		die("connect", errno);
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd[1] < 0)
		die("accept", errno);
}

static void on_control(void *arg, const uint8_t *p, size_t len)
{
	die("link", EBADMSG);
}

static void on_blocked(void *arg, bool blocked)
{
}

static void on_link_end(void *arg, int err)
{
	die("link", err != 0 ? err : ECONNRESET);
}

static const struct carried_link_events link_events = {
	.control = on_control, .blocked = on_blocked, .end = on_link_end};

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	return 0; // it is about to move
}

static const struct conn_events conn_events = {.data = on_data, .end = on_link_end};

static struct feeder *feeder_of(struct bench *b, unsigned node, unsigned nr)
{
	return &b->feeder[node * (b->n_carriers / b->n_nodes) + nr];
}

// A link after its settlement, at the carrier that has the fewest.
static void link_up(struct bench *b, unsigned i)
{
	unsigned node = i % b->n_nodes;
	struct carrier *to = carriers_pick(b->node[node].cs);
	struct feeder *f = feeder_of(b, node, carrier_nr(to) - 1u);
	struct line *e = &f->line[f->n_lines++];
	struct noise_rec rec = b->tape->rx;
	struct noise_conn_moved *m;
	struct conn *c;
	int fd[2];

	tcp_pair(fd);
	e->fd = fd[0];
	e->played = 0;
	c = conn_tcp_adopt(l, fd[1], NULL, NULL, NULL);
	c = c != NULL ? noise_conn_adopt(l, c, &rec, NULL, 0, &conn_events, NULL) : NULL;
	m = c != NULL ? noise_conn_move(c) : NULL;
	if (m == NULL)
		die("conn", errno);
	conn_close(c);
	e->k = carrier_take(to, (i + 1) | 1u << DPMSG_HANDLE_BITS, m, &link_events, NULL);
	if (e->k == NULL)
		die("link", errno);
	carrier_link_read(e->k, true);
}

// ---- runs ----

static clockid_t clock_by_tid(long tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 6); // as pthread_getcpuclockid() makes it
}

static bool has_name(const char *tid, const char *want)
{
	char path[300], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(name, sizeof(name), f) != NULL)
		name[strcspn(name, "\n")] = 0;
	fclose(f);
	return strcmp(name, want) == 0;
}

// Of the thread that has been made last as carrier nr of its node.
static clockid_t clock_of(unsigned nr)
{
	char want[32];
	struct dirent *e;
	DIR *d = opendir("/proc/self/task");
	long last = 0;

	snprintf(want, sizeof(want), "carrier-%u", nr);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (atol(e->d_name) > last && has_name(e->d_name, want))
			last = atol(e->d_name);
	if (last == 0)
		die(want, ESRCH);
	closedir(d);
	return clock_by_tid(last);
}

static void node_up(struct bench *b, unsigned i)
{
	unsigned n = b->n_carriers / b->n_nodes;
	struct node *node = &b->node[i];

	node->cs = carriers_new(l, n);
	if (node->cs == NULL)
		die("carriers", errno);
	carriers_attach(node->cs, &node->region, HOP_MAX);
	for (unsigned nr = 0; nr < n; nr++) {
		struct feeder *f = feeder_of(b, i, nr);

		f->n = f->n_lines = 0;
		f->clock = clock_of(nr);
	}
}

static void up(struct bench *b)
{
	atomic_store(&b->done, false);
	for (unsigned i = 0; i < b->n_nodes; i++)
		node_up(b, i);
	for (unsigned i = 0; i < LINKS; i++)
		link_up(b, i);
}

static void down(struct bench *b)
{
	uv_run(loop_uv(l), UV_RUN_NOWAIT); // what the links have to tell
	for (unsigned i = 0; i < b->n_carriers; i++) {
		struct feeder *f = &b->feeder[i];

		for (unsigned k = 0; k < f->n_lines; k++) {
			carrier_link_close(f->line[k].k);
			close(f->line[k].fd);
		}
	}
	for (unsigned i = 0; i < b->n_nodes; i++)
		carriers_free(b->node[i].cs);
	for (unsigned i = 0; i < b->n_carriers; i++)
		drain(&b->feeder[i]);
}

// A figure_run.
static double run(void *arg)
{
	struct bench *b = arg;
	double packets = 0, cpu_s = 0, rate = 0;

	up(b);
	for (unsigned i = 0; i < b->n_carriers; i++) {
		int rc = pthread_create(&b->feeder[i].thread, NULL, feed, &b->feeder[i]);

		if (rc != 0)
			die("thread", rc);
	}
	for (unsigned i = 0; i < b->n_carriers; i++) {
		struct feeder *f = &b->feeder[i];

		pthread_join(f->thread, NULL);
		packets += f->n;
		cpu_s += f->cpu_s;
		rate += f->n / f->wall_s;
		b->packets[i] += f->n;
		b->wall_s[i] += f->wall_s;
		b->cpu_s[i] += f->cpu_s;
	}
	down(b);
	return b->by_cpu ? packets / cpu_s : rate;
}

static void node_open(struct bench *b, unsigned i)
{
	const struct region_conf conf = {.n_workers = CARRIERS_MAX,
		.n_ports = 1,
		.hop_max = HOP_MAX,
		.rule_bits = 4,
		.rx_index_bits = 4,
		.adj_max = 4};
	struct region *r = &b->node[i].region;
	int rc = region_create(r, &conf, 1 + i);

	if (rc < 0)
		die("region", rc);
	for (unsigned nr = 0; nr < b->n_carriers / b->n_nodes; nr++) {
		struct feeder *f = feeder_of(b, i, nr);
		size_t len;
		struct ring_shm *shm = region_ring(r, r->hdr->car_down_off[nr], &len);

		f->b = b;
		if (ring_r_attach(&f->down, shm, len) < 0)
			die("ring", EPROTO);
	}
}

static struct bench *bench_new(const struct tape *t, unsigned n_carriers, unsigned n_nodes)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (b == NULL)
		die("bench", ENOMEM);
	b->tape = t;
	b->n_carriers = n_carriers;
	b->n_nodes = n_nodes;
	pthread_barrier_init(&b->begin, NULL, n_carriers);
	for (unsigned i = 0; i < n_nodes; i++)
		node_open(b, i);
	return b;
}

static void bench_free(struct bench *b)
{
	pthread_barrier_destroy(&b->begin);
	for (unsigned i = 0; i < b->n_nodes; i++)
		region_close(&b->node[i].region);
	free(b);
}

static void explain(const char *who, const struct bench *b)
{
	printf("    %s:", who);
	for (unsigned i = 0; i < b->n_carriers; i++)
		printf("%s %.0f ns of processor time a packet, busy %.2f", i > 0 ? ";" : "",
			b->cpu_s[i] / b->packets[i] * 1e9, b->cpu_s[i] / b->wall_s[i]);
	printf("\n");
}

// By name and suffix; the rates are those of a second or, by_cpu, of one of processor time.
static void compare(const char *name, const char *suffix, double target, bool by_cpu,
	struct bench *ours, struct bench *base)
{
	char full[64];
	struct figure f = {.name = full,
		.unit = by_cpu ? "packets/s of CPU time" : "packets/s",
		.target = target};

	snprintf(full, sizeof(full), "%s%s", name, suffix);
	ours->by_cpu = base->by_cpu = by_cpu;
	figure_pairs(&f, run, ours, run, base, options_pairs());
	figure_print(&f);
}

static void figures(const char *name, double target, uint16_t payload_len, uint32_t n)
{
	struct tape *t = tape_new(payload_len, n);
	struct bench *one = bench_new(t, 1, 1);
	struct bench *two = bench_new(t, 2, 1), *apart = bench_new(t, 2, 2);

	compare(name, "", target, false, two, one);
	compare(name, "_cpu", 0, true, two, one);
	compare(name, "_apart", 0, true, two, apart);
	explain("one", one);
	explain("two", two);
	explain("apart", apart);
	bench_free(one);
	bench_free(two);
	bench_free(apart);
	tape_free(t);
}

int main(int argc, char **argv)
{
	unsigned cores = cores_count();

	options_take(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	l = loop_new();
	if (l == NULL)
		die("loop", ENOMEM);
	listener = listen_any();
	if (wanted("carriers_2"))
		figures("carriers_2", cores >= CORES ? 1.7 : 0, 1400, 1 << 13);
	if (wanted("carriers_2_64"))
		figures("carriers_2_64", 0, 64, 1 << 15);
	printf("    cores: %u%s\n", cores,
		cores < CORES ? "; two carriers and who feeds them want 4: no target" : "");
	cores_print_siblings();
	close(listener);
	loop_free(l);
	return 0;
}
