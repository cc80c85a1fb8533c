// What a dmsg server costs: a server in a process of its own, clients of ours in this one, over
// loopback. Clients speak the true protocol up to the point where a stream is open, and then send
// bytes without Noise: a server can't tell, and so its work is measured and not theirs.
//
//   dmsg_relay    gigabytes relayed for a second of the server's processor time; with a baseline
//                 server against that. Beside it: Gbit/s, seconds per GB
//   dmsg_streams  memory of the server for each open stream (10 000), sessions a second of its time
//
//   bench_dmsg_relay [--quick] [--only NAME] [--baseline COMMAND]
//
// COMMAND is run by a shell with DMSG_SK and DMSG_PK (keys of the server, hex) and DMSG_ADDRESS
// (host:port to listen on) in its environment; by `exec` in the end, so that its processor time is
// seen. BENCH_DMSG_BASELINE in the environment is the same.

#include "controlplane/dmsg/dmsg_server.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/dmsg/accept.h"
#include "lib/dmsg/dial.h"
#include "tests/bench/figures.h"
#include "tests/bench/options.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAIRS = 4, // of clients
	PER_PAIR = 2, // streams of a pair
	N_FLOWS = PAIRS * PER_PAIR,
	N_CLIENTS = 100, // of dmsg_streams: each dials the next one
	N_STREAMS = 10000,
	PORT = 46,
	PIECE = 65536,
	WAIT_MS = 30000,
	DIALS_MAX = 64, // at a time
	RUN_MS = 400, // of one measurement
};

struct server {
	const char *name;
	struct key_sk sk;
	struct key_pk pk;
	char address[32];
	pid_t pid;
};

struct client {
	const struct server *at;
	struct key_sk sk;
	struct key_pk pk;
	struct dmsg_link *k;
	bool open, dead;
};

// A stream of ours, at its dialling or its accepting end.
struct flow {
	struct client *c;
	struct conn *s;
	bool sends, up, failed;
	union {
		struct dmsg_dial *d; // until it is up
		struct dmsg_accept *a;
	};
	uint8_t *left; // of the request
	size_t left_len;
	struct flow *next;
};

static struct loop *l;
static bool late;
static struct flow *flows;
static unsigned n_up, n_failed; // dialling ends
static uint64_t sunk; // bytes at accepting ends
static uint8_t zeros[PIECE];

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_dmsg_relay: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void on_late(void *arg)
{
	late = true;
}

#define wait_until(cond, what)                                                                     \
	do {                                                                                       \
		struct loop_timer *dog_ = loop_timer_new(l, on_late, NULL);                        \
                                                                                                   \
		loop_timer_start(dog_, WAIT_MS, 0);                                                \
		while (!(cond) && !late)                                                           \
			uv_run(loop_uv(l), UV_RUN_ONCE);                                           \
		loop_timer_free(dog_);                                                             \
		if (late)                                                                          \
			die(what, ETIMEDOUT);                                                      \
	} while (0)

// ---- the server ----

static struct sockaddr_in any_port(uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sa;
}

static uint16_t free_port(void)
{
	struct sockaddr_in sa = any_port(0);
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
		getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		die("port", errno);
	close(fd);
	return ntohs(sa.sin_port);
}

static void serve(const struct server *sv, uint16_t port)
{
	struct sockaddr_in sa = any_port(port);
	struct identity *id = identity_from_sk(&sv->sk);
	struct loop *own = loop_new();
	struct dmsg_server_conf c = {.loop = own,
		.id = id,
		.listen = (const struct sockaddr *)&sa,
		.sessions_max = 4096,
		.session_streams = 4096,
		.streams_max = 2 * N_STREAMS};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	log_level_set("all", LOG_ERR);
	if (own == NULL || dmsg_server_new(&c) == NULL)
		die("server", errno);
	loop_run(own);
	_exit(0);
}

// command: NULL: ours.
static void server_start(struct server *sv, const char *command)
{
	char sk_text[KEY_SK_TEXT_LEN + 1], pk_text[KEY_PK_TEXT_LEN + 1];
	uint16_t port = free_port();

	sv->name = command != NULL ? "baseline" : "ours";
	if (key_sk_generate(&sv->sk) < 0 || key_pk_from_sk(&sv->pk, &sv->sk) < 0)
		die("key", EIO);
	snprintf(sv->address, sizeof(sv->address), "127.0.0.1:%u", port);
	sv->pid = fork();
	if (sv->pid < 0)
		die("fork", errno);
	if (sv->pid > 0)
		return;
	if (command == NULL)
		serve(sv, port);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(STDERR_FILENO, STDOUT_FILENO); // figures are ours
	key_sk_to_text(&sv->sk, sk_text);
	key_pk_to_text(&sv->pk, pk_text);
	setenv("DMSG_SK", sk_text, 1);
	setenv("DMSG_PK", pk_text, 1);
	setenv("DMSG_ADDRESS", sv->address, 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static void server_end(struct server *sv)
{
	if (sv->pid <= 0)
		return;
	kill(sv->pid, SIGKILL);
	waitpid(sv->pid, NULL, 0);
	sv->pid = 0;
}

// Processor time of all its threads.
static double server_cpu_s(const struct server *sv)
{
	char path[64], name[384];
	double sum_ns = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", sv->pid);
	d = opendir(path);
	if (d == NULL)
		die(path, errno);
	while ((e = readdir(d)) != NULL) {
		unsigned long long ns = 0;
		FILE *f;

		snprintf(name, sizeof(name), "%s/%s/schedstat", path, e->d_name);
		f = e->d_name[0] != '.' ? fopen(name, "re") : NULL;
		if (f == NULL)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			sum_ns += (double)ns;
		fclose(f);
	}
	closedir(d);
	return sum_ns / 1e9;
}

static double server_rss(const struct server *sv)
{
	char path[64];
	unsigned long size, pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", sv->pid);
	f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%lu %lu", &size, &pages) != 2)
		die(path, errno);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// ---- flows ----

static void flow_send(struct flow *f)
{
	while (conn_write(f->s, zeros, sizeof(zeros)) == PIECE)
		;
}

static void flow_up(struct flow *f)
{
	f->up = true;
	n_up++;
}

// Once: a refusal is followed by the stream's end.
static void flow_failed(struct flow *f)
{
	n_failed += !f->up && !f->failed;
	f->failed = true;
}

static size_t on_dial_data(void *arg, uint8_t *p, size_t len)
{
	struct flow *f = arg;
	size_t used = len;

	if (f->up || f->failed)
		return len;
	switch (dmsg_dial_feed(f->d, dmsg_link_session(f->c->k), p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		dmsg_dial_fini(f->d);
		free(f->d);
		f->d = NULL;
		flow_up(f);
		break;
	default:
		flow_failed(f);
	}
	return used;
}

static void on_dial_open(void *arg)
{
	struct flow *f = arg;

	if (conn_write(f->s, f->left, f->left_len) != (ssize_t)f->left_len)
		die("request", EPIPE);
	free(f->left);
	f->left = NULL;
}

static void on_flow_drain(void *arg)
{
	struct flow *f = arg;

	if (f->up && f->sends)
		flow_send(f);
}

static void on_dial_end(void *arg, int err)
{
	flow_failed(arg);
}

static const struct conn_events dial_events = {
	.open = on_dial_open, .data = on_dial_data, .drain = on_flow_drain, .end = on_dial_end};

static struct flow *flow_new(struct client *c)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		die("stream", ENOMEM);
	f->c = c;
	f->next = flows;
	flows = f;
	return f;
}

static struct flow *flow_dial(struct client *c, const struct client *to, uint16_t src_port)
{
	struct dmsg_dial_conf conf = {
		.dst = {to->pk, PORT}, .src_port = src_port, .wall_ns = (int64_t)clock_wall_ns()};
	struct flow *f = flow_new(c);
	ssize_t n;

	f->d = calloc(1, sizeof(*f->d));
	f->left = malloc(DMSG_FRAME_MAX);
	if (f->d == NULL || f->left == NULL)
		die("dial", ENOMEM);
	n = dmsg_dial_start(f->d, dmsg_link_session(c->k), &conf, f->left, DMSG_FRAME_MAX);
	if (n < 0)
		die("dial", (int)n);
	f->left_len = (size_t)n;
	f->s = dmsg_link_stream(c->k, &dial_events, f);
	if (f->s == NULL)
		die("dial", errno);
	return f;
}

static size_t on_accept_data(void *arg, uint8_t *p, size_t len)
{
	struct flow *f = arg;
	uint8_t out[DMSG_FRAME_MAX];
	struct noise_rec rec;
	size_t used;
	ssize_t n;

	if (f->up) {
		sunk += len;
		return len;
	}
	switch (dmsg_accept_feed(f->a, dmsg_link_session(f->c->k), p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		n = dmsg_accept_answer(
			f->a, dmsg_link_session(f->c->k), NULL, &rec, out, sizeof(out));
		if (n < 0 || conn_write(f->s, out, (size_t)n) != n)
			die("answer", n < 0 ? (int)n : EPIPE);
		noise_rec_fini(&rec);
		free(f->a);
		f->a = NULL;
		f->up = true;
		break;
	default:
		die("accept", EBADMSG);
	}
	return used;
}

static void on_accept_end(void *arg, int err)
{
}

static const struct conn_events accept_events = {.data = on_accept_data, .end = on_accept_end};

static void flows_end(void)
{
	struct flow *f;

	while ((f = flows) != NULL) {
		flows = f->next;
		conn_close(f->s);
		free(f->d); // or f->a
		free(f->left);
		free(f);
	}
	n_up = n_failed = 0;
}

// ---- clients ----

static void on_link_open(void *arg)
{
	((struct client *)arg)->open = true;
}

static void on_link_accept(void *arg, struct conn *take_stream)
{
	struct flow *f = flow_new(arg);

	f->a = malloc(sizeof(*f->a));
	if (f->a == NULL)
		die("accept", ENOMEM);
	dmsg_accept_init(f->a);
	f->s = take_stream;
	conn_set_events(take_stream, &accept_events, f);
}

static void on_link_end(void *arg, int err)
{
	((struct client *)arg)->dead = true;
}

static const struct dmsg_link_events link_events = {
	.open = on_link_open, .accept = on_link_accept, .end = on_link_end};

static void client_dial(struct client *c, const struct server *at)
{
	struct dmsg_link_conf conf = {
		.sk = &c->sk, .pk = &c->pk, .server = &at->pk, .streams_max = 4096};

	c->at = at;
	if (key_pk_is_null(&c->pk) &&
		(key_sk_generate(&c->sk) < 0 || key_pk_from_sk(&c->pk, &c->sk) < 0))
		die("key", EIO);
	c->open = c->dead = false;
	c->k = dmsg_link_dial(l, at->address, &conf, &link_events, c);
	if (c->k == NULL)
		die("dial", errno);
}

static void client_close(struct client *c)
{
	dmsg_link_close(c->k);
	c->k = NULL;
}

// The server may need a moment before it listens.
static void client_start(struct client *c, const struct server *at)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * CLOCK_NS_PER_MS;

	do {
		client_close(c);
		client_dial(c, at);
		wait_until(c->open || c->dead, "session");
	} while (!c->open && clock_mono_ns() < until_ns && kill(at->pid, 0) == 0);
	if (!c->open)
		die("no session with the server", ECONNREFUSED);
}

// ---- dmsg_relay ----

struct relay_run {
	struct server sv;
	struct client client[2 * PAIRS];
	double gbit_s, s_per_gb; // sums
	unsigned n;
};

static void all_send(bool sends)
{
	for (struct flow *f = flows; f != NULL; f = f->next) {
		f->sends = sends && f->d == NULL && f->a == NULL && f->left_len > 0;
		if (f->sends)
			flow_send(f);
	}
}

static void on_time(void *arg)
{
	*(bool *)arg = true;
}

static void run_for(unsigned ms)
{
	struct loop_timer *t;
	bool over = false;

	t = loop_timer_new(l, on_time, &over);
	loop_timer_start(t, ms, 0);
	while (!over)
		uv_run(loop_uv(l), UV_RUN_ONCE);
	loop_timer_free(t);
}

// Gigabytes for a second of the server.
static double relay(void *ctx)
{
	struct relay_run *r = ctx;
	double cpu, start;
	uint64_t from;

	for (unsigned i = 0; i < N_FLOWS; i++)
		flow_dial(&r->client[i % PAIRS], &r->client[PAIRS + i % PAIRS],
			(uint16_t)(50000 + i));
	wait_until(n_up + n_failed == N_FLOWS, "streams");
	if (n_failed > 0)
		die("streams", ECONNREFUSED);
	all_send(true);
	run_for(RUN_MS / 4);
	from = sunk;
	cpu = server_cpu_s(&r->sv);
	start = (double)clock_mono_ns() / 1e9;
	run_for(RUN_MS);
	cpu = server_cpu_s(&r->sv) - cpu;
	start = (double)clock_mono_ns() / 1e9 - start;
	from = sunk - from;
	all_send(false);
	flows_end();
	run_for(50); // what is under way
	r->n++;
	r->gbit_s += (double)from * 8 / 1e9 / start;
	r->s_per_gb += cpu / ((double)from / 1e9);
	return (double)from / 1e9 / cpu;
}

static void relay_start(struct relay_run *r, const char *command)
{
	server_start(&r->sv, command);
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		client_start(&r->client[i], &r->sv);
}

static void relay_end(struct relay_run *r)
{
	for (unsigned i = 0; i < 2 * PAIRS; i++)
		client_close(&r->client[i]);
	server_end(&r->sv);
}

static void relay_extra(const struct relay_run *r)
{
	char name[64];
	struct figure f = {.name = name, .unit = "Gbit/s"};

	snprintf(name, sizeof(name), "dmsg_relay_gbit_%s", r->sv.name);
	figure_value(&f, r->gbit_s / r->n);
	figure_print(&f);
	snprintf(name, sizeof(name), "dmsg_relay_cpu_%s", r->sv.name);
	f.unit = "s of the server per GB";
	figure_value(&f, r->s_per_gb / r->n);
	figure_print(&f);
}

static void bench_relay(const char *command)
{
	struct figure f = {.name = "dmsg_relay", .unit = "GB/s of the server", .target = 3};
	struct relay_run *r = calloc(2, sizeof(*r));

	if (r == NULL)
		die("bench", ENOMEM);
	relay_start(&r[0], NULL);
	if (command != NULL) {
		relay_start(&r[1], command);
		figure_pairs(&f, relay, &r[0], relay, &r[1], options_pairs() / 2 | 1);
		relay_extra(&r[1]);
		relay_end(&r[1]);
	} else {
		f.target = 0;
		relay(&r[0]); // warm-up
		r[0].n = 0;
		r[0].gbit_s = r[0].s_per_gb = 0;
		for (unsigned i = 0; i < options_pairs() / 2; i++)
			relay(&r[0]);
		figure_value(&f, r[0].n / r[0].s_per_gb);
	}
	relay_extra(&r[0]);
	figure_print(&f);
	relay_end(&r[0]);
	free(r);
}

// ---- dmsg_streams ----

static unsigned n_open(const struct client *c, unsigned n)
{
	unsigned open = 0;

	for (unsigned i = 0; i < n; i++) {
		if (c[i].dead)
			die("session", ECONNRESET);
		open += c[i].open;
	}
	return open;
}

static void bench_sessions(const struct server *sv, struct client *c)
{
	struct figure f = {.name = "dmsg_sessions", .unit = "sessions/s of the server"};
	double cpu = server_cpu_s(sv);

	for (unsigned i = 0; i < N_CLIENTS; i++) {
		client_dial(&c[i], sv);
		if (i >= DIALS_MAX)
			wait_until(n_open(c, i) + DIALS_MAX > i, "sessions");
	}
	wait_until(n_open(c, N_CLIENTS) == N_CLIENTS, "sessions");
	figure_value(&f, N_CLIENTS / (server_cpu_s(sv) - cpu));
	figure_print(&f);
}

static void bench_streams(void)
{
	struct figure f = {.name = "dmsg_streams", .unit = "KiB of the server a stream"};
	struct client *c = calloc(N_CLIENTS + 1, sizeof(*c));
	struct server sv = {0};
	double rss;

	if (c == NULL)
		die("bench", ENOMEM);
	server_start(&sv, NULL);
	client_start(&c[N_CLIENTS], &sv); // it listens
	bench_sessions(&sv, c);
	run_for(200);
	rss = server_rss(&sv);
	for (unsigned i = 0; i < N_STREAMS; i++) {
		flow_dial(&c[i % N_CLIENTS], &c[(i + 1) % N_CLIENTS],
			(uint16_t)(10000 + i / N_CLIENTS));
		wait_until(i + 1 - n_up - n_failed < DIALS_MAX, "streams");
	}
	wait_until(n_up + n_failed == N_STREAMS, "streams");
	if (n_failed > 0)
		die("streams", ECONNREFUSED);
	run_for(200);
	rss = (server_rss(&sv) - rss) / 1024 / N_STREAMS;
	figure_value(&f, rss);
	f.target = 32;
	f.met = rss <= f.target;
	figure_print(&f);
	flows_end();
	for (unsigned i = 0; i <= N_CLIENTS; i++)
		client_close(&c[i]);
	server_end(&sv);
	free(c);
}

int main(int argc, char **argv)
{
	const char *command = getenv("BENCH_DMSG_BASELINE");

	options_take(argc, argv);
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--baseline") == 0)
			command = argv[i + 1];
	signal(SIGPIPE, SIG_IGN);
	log_level_set("all", LOG_ERR);
	l = loop_new();
	if (l == NULL)
		die("loop", errno);
	if (wanted("dmsg_relay"))
		bench_relay(command != NULL && command[0] != '\0' ? command : NULL);
	if (wanted("dmsg_streams"))
		bench_streams();
	loop_free(l);
	return 0;
}
