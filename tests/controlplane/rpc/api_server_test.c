// The API server over a real unix socket in one process: hostile framing, rights, bounds, slow and
// vanishing clients. Handlers are the test's own.
#include "controlplane/rpc/api_server.h"

#include "lib/api/api_client.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { M_ECHO = 200, M_MANY, M_LATER, M_FORBIDDEN, M_HUGE, M_PENDING, M_STREAM, RECORDS = 5000 };

static struct loop *loop;
static struct api_server *server;
static char dir[64], path[96], err[256];
static uint64_t now_ns = 1000 * CLOCK_NS_PER_S;
static struct api_req *later;
static unsigned n_cancelled, many_sent, n_pauses;

static uint64_t fake_now(void)
{
	return now_ns;
}

static const struct clock_source fake_clock = {fake_now, fake_now};

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static void on_echo(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	api_req_end(r, payload, len);
}

static void many_more(void *arg)
{
	struct api_req *r = arg;
	char rec[512] = "record";

	while (many_sent < RECORDS) {
		if (api_req_is_full(r)) {
			n_pauses++;
			return;
		}
		api_req_record(r, rec, sizeof(rec));
		many_sent++;
	}
	api_req_end(r, NULL, 0);
}

static void on_cancel(void *arg)
{
	n_cancelled++;
	later = NULL;
}

static void on_many(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	many_sent = 0;
	api_req_pend(r, many_more, on_cancel, r);
	many_more(r);
}

static void on_later(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	later = r;
	api_req_pend(r, NULL, on_cancel, r);
}

static int stream_fd, n_streams;

static void on_stream_fd(void *arg, int fd)
{
	n_streams++;
	stream_fd = fd;
}

// Waits, and hears when the client goes.
static void on_stream(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	later = r;
	api_req_pend(r, NULL, on_cancel, r);
	api_req_watch(r);
}

// A handler that ignores that the sink is full.
static void on_huge(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	static char rec[64 << 10];

	for (int i = 0; i < 400; i++)
		api_req_record(r, rec, sizeof(rec));
	api_req_end(r, NULL, 0);
}

// ... although it could hear that the client was given up: what it works on is gone then.
struct pending {
	struct api_req *r;
	unsigned n_put;
};

static void on_pending_cancel(void *arg)
{
	n_cancelled++;
	free(arg);
}

static void on_pending(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct pending *p = calloc(1, sizeof(*p));
	static char rec[64 << 10];

	assert_non_null(p);
	p->r = r;
	api_req_pend(r, NULL, on_pending_cancel, p);
	while (p->n_put < 400) {
		api_req_record(p->r, rec, sizeof(rec));
		p->n_put++;
	}
	assert_int_equal(n_cancelled, 0);
}

static const struct api_method methods[] = {
	{M_ECHO, API_RIGHT_SHOW, "echo", 4, 64, on_echo},
	{M_MANY, API_RIGHT_SHOW, "many", 0, 0, on_many},
	{M_LATER, API_RIGHT_SHOW, "later", 0, 0, on_later},
	{M_FORBIDDEN, API_RIGHT_SHOW | 0x80, "forbidden", 0, 0, on_echo},
	{M_HUGE, API_RIGHT_SHOW, "huge", 0, 0, on_huge},
	{M_PENDING, API_RIGHT_SHOW, "pending", 0, 0, on_pending},
	{M_STREAM, API_RIGHT_SHOW, "stream", 0, 0, on_stream},
};

static struct api_server_conf conf(void)
{
	return (struct api_server_conf){.loop = loop,
		.path = path,
		.node = "n1",
		.group = (gid_t)-1,
		.group_rights = API_RIGHT_SHOW,
		.methods = methods,
		.n_methods = ARRAY_LEN(methods),
		.tick_ms = 1};
}

static int setup(void **state)
{
	struct api_server_conf c;

	signal(SIGPIPE, SIG_IGN); // as the control plane does
	log_sink_set(no_log, NULL);
	clock_source_set(&fake_clock);
	n_cancelled = many_sent = n_pauses = 0;
	n_streams = 0;
	stream_fd = -1;
	later = NULL;
	strcpy(dir, "/tmp/skyrail-api.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	loop = loop_new();
	c = conf();
	server = api_server_new(&c, err, sizeof(err));
	return server == NULL;
}

static int teardown(void **state)
{
	api_server_free(server);
	loop_free(loop);
	unlink(path);
	rmdir(dir);
	clock_source_set(NULL);
	return 0;
}

static void turns(int n)
{
	while (n-- > 0)
		loop_turn(loop);
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	turns(3);
	return fd;
}

static void put(int fd, uint16_t type, uint32_t id, const void *payload, size_t len)
{
	uint8_t buf[2048];
	struct api_frame f = {.len = (uint32_t)(sizeof(f) + len), .type = type, .id = id};

	memcpy(buf, &f, sizeof(f));
	if (len > 0)
		memcpy(buf + sizeof(f), payload, len);
	assert_int_equal(send(fd, buf, f.len, MSG_NOSIGNAL), f.len);
}

// Exactly n bytes; false when the server closed.
static bool get_bytes(int fd, void *out, size_t n)
{
	uint8_t *p = out;

	for (int i = 0; n > 0 && i < 20000; i++) {
		ssize_t r = recv(fd, p, n, 0);

		if (r == 0 || (r < 0 && errno != EAGAIN))
			return false;
		if (r > 0) {
			p += r;
			n -= (size_t)r;
		}
		loop_turn(loop);
	}
	return n == 0;
}

static bool get(int fd, struct api_frame *f, void *payload, size_t cap)
{
	if (!get_bytes(fd, f, sizeof(*f)))
		return false;
	assert_true(f->len - sizeof(*f) <= cap);
	return get_bytes(fd, payload, f->len - sizeof(*f));
}

static bool is_closed(int fd)
{
	char c;

	for (int i = 0; i < 200; i++) {
		ssize_t n = recv(fd, &c, 1, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		loop_turn(loop);
	}
	return false;
}

static int hello(void)
{
	struct api_hello h = {.version = API_VERSION};
	struct api_welcome w;
	struct api_frame f;
	int fd = dial();

	put(fd, API_HELLO, 1, &h, sizeof(h));
	assert_true(get(fd, &f, &w, sizeof(w)));
	assert_int_equal(f.status, 0);
	assert_int_equal(w.version, API_VERSION);
	assert_string_equal(w.node, "n1");
	return fd;
}

static void expect_error(int fd, int status)
{
	char text[API_TEXT_MAX];
	struct api_frame f;

	assert_true(get(fd, &f, text, sizeof(text)));
	assert_int_equal(f.status, status);
	assert_int_equal(f.flags, 0);
	assert_true(f.len > sizeof(f) + 1);
	assert_int_equal(text[f.len - sizeof(f) - 1], '\0');
}

static void expect_echo(int fd, uint32_t id)
{
	struct api_frame f;
	char buf[64];

	put(fd, M_ECHO, id, "ping", 4);
	assert_true(get(fd, &f, buf, sizeof(buf)));
	assert_int_equal(f.id, id);
	assert_int_equal(f.type, M_ECHO);
	assert_memory_equal(buf, "ping", 4);
}

static void the_socket_is_closed_to_others(void **state)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void hello_comes_first(void **state)
{
	int fd = dial();

	put(fd, M_ECHO, 1, "ping", 4);
	expect_error(fd, -EPROTO);
	assert_true(is_closed(fd));
	close(fd);
}

static void another_version_is_told_and_closed(void **state)
{
	struct api_hello h = {.version = API_VERSION + 1};
	int fd = dial();

	put(fd, API_HELLO, 1, &h, sizeof(h));
	expect_error(fd, -EPROTO);
	assert_true(is_closed(fd));
	close(fd);
}

static void sizes_types_and_rights_are_checked_first(void **state)
{
	char big[65] = {0};
	int fd = hello();

	put(fd, M_ECHO, 2, "abc", 3);
	expect_error(fd, -EBADMSG);
	put(fd, M_ECHO, 3, big, 65);
	expect_error(fd, -EBADMSG);
	put(fd, 999, 4, NULL, 0);
	expect_error(fd, -EOPNOTSUPP);
	put(fd, M_FORBIDDEN, 5, NULL, 0);
	expect_error(fd, -EACCES);
	expect_echo(fd, 6); // and it goes on
	close(fd);
}

static void impossible_lengths_close_the_connection(void **state)
{
	static const uint32_t lens[] = {0, 15, API_FRAME_MAX + 1, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct api_frame f = {.len = lens[i], .type = M_ECHO};
		int fd = hello();

		assert_int_equal(send(fd, &f, sizeof(f), MSG_NOSIGNAL), sizeof(f));
		assert_true(is_closed(fd));
		close(fd);
	}
}

static void frames_may_come_in_pieces_or_together(void **state)
{
	uint8_t buf[40];
	struct api_frame f = {.len = 20, .type = M_ECHO, .id = 7};
	char out[64];
	int fd = hello();

	memcpy(buf, &f, sizeof(f));
	memcpy(buf + 16, "abcd", 4);
	memcpy(buf + 20, buf, 20);
	buf[28] = 8; // id of the second
	for (int i = 0; i < 20; i++) {
		assert_int_equal(send(fd, buf + i, 1, MSG_NOSIGNAL), 1);
		turns(2);
	}
	assert_true(get(fd, &f, out, sizeof(out)));
	assert_int_equal(f.id, 7);
	assert_int_equal(send(fd, buf, 40, MSG_NOSIGNAL), 40);
	assert_true(get(fd, &f, out, sizeof(out)));
	assert_int_equal(f.id, 7);
	assert_true(get(fd, &f, out, sizeof(out)));
	assert_int_equal(f.id, 8);
	close(fd);
}

static void random_bytes_do_no_harm(void **state)
{
	unsigned seed = 1;

	for (int round = 0; round < 100; round++) {
		uint8_t junk[700];
		int fd = round % 2 == 0 ? dial() : hello();

		for (size_t i = 0; i < sizeof(junk); i++) {
			seed = seed * 1103515245 + 12345;
			junk[i] = (uint8_t)(seed >> 16);
		}
		if (round % 4 == 1) // a plausible frame around it
			memcpy(junk, &(struct api_frame){.len = 100, .type = M_ECHO},
				sizeof(struct api_frame));
		send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		turns(5);
		close(fd);
		turns(2);
	}
	int fd = hello();

	expect_echo(fd, 1);
	close(fd);
}

static void a_list_waits_for_a_slow_reader(void **state)
{
	struct api_frame f;
	char rec[512];
	int fd = hello();
	unsigned n = 0;

	put(fd, M_MANY, 9, NULL, 0);
	turns(50);
	assert_true(n_pauses > 0);
	assert_true(many_sent < RECORDS);
	for (;;) {
		assert_true(get(fd, &f, rec, sizeof(rec)));
		if (!(f.flags & API_MORE))
			break;
		assert_int_equal(f.len, sizeof(f) + sizeof(rec));
		n++;
	}
	assert_int_equal(n, RECORDS);
	assert_int_equal(f.status, 0);
	close(fd);
}

static void output_is_bounded_whatever_a_handler_does(void **state)
{
	int fd = hello();

	put(fd, M_HUGE, 1, NULL, 0);
	turns(20);
	close(fd);
	fd = hello();
	expect_echo(fd, 2);
	close(fd);
}

static void who_is_given_up_is_cancelled_from_the_loop(void **state)
{
	int fd = hello();

	put(fd, M_PENDING, 1, NULL, 0);
	turns(20);
	assert_int_equal(n_cancelled, 1);
	close(fd);
	fd = hello();
	expect_echo(fd, 2);
	close(fd);
}

static void a_client_that_goes_cancels_its_request(void **state)
{
	int fd = hello();

	put(fd, M_LATER, 1, NULL, 0);
	turns(5);
	assert_non_null(later);
	close(fd);
	// nothing is read while a request is in work: the end of the server finds it
	api_server_free(server);
	turns(5);
	assert_int_equal(n_cancelled, 1);
	assert_null(later);
	server = NULL;
}

static void a_late_answer_lets_the_next_request_in(void **state)
{
	struct api_frame f;
	char buf[64];
	int fd = hello();

	put(fd, M_LATER, 1, NULL, 0);
	put(fd, M_ECHO, 2, "ping", 4);
	turns(10);
	assert_non_null(later);
	api_req_end(later, "done", 4);
	assert_true(get(fd, &f, buf, sizeof(buf)));
	assert_int_equal(f.id, 1);
	assert_true(get(fd, &f, buf, sizeof(buf)));
	assert_int_equal(f.id, 2);
	close(fd);
}

// Real milliseconds pass for the server's timer, seconds on the clock it reads.
static void let_time_pass(uint64_t ms)
{
	struct timespec ts = {0, 2000000};

	now_ns += ms * CLOCK_NS_PER_MS;
	for (int i = 0; i < 5; i++) {
		nanosleep(&ts, NULL);
		turns(2);
	}
}

static void the_silent_and_the_half_open_are_closed(void **state)
{
	struct api_frame f = {.len = 20, .type = M_ECHO};
	int silent = dial(), half = hello(), idle = hello();

	assert_int_equal(send(half, &f, 10, MSG_NOSIGNAL), 10);
	turns(3);
	let_time_pass(API_HELLO_MS + 1);
	assert_true(is_closed(silent));
	let_time_pass(API_STALL_MS);
	assert_true(is_closed(half));
	expect_echo(idle, 1); // being idle between requests is nobody's harm
	close(silent);
	close(half);
	close(idle);
}

static void a_reader_that_stopped_is_closed(void **state)
{
	int fd = hello();

	put(fd, M_MANY, 1, NULL, 0);
	turns(50);
	let_time_pass(API_STALL_MS + 1);
	assert_int_equal(n_cancelled, 1);
	close(fd);
}

static void clients_are_limited(void **state)
{
	int fds[API_CLIENTS_MAX + 1];
	struct api_server_stats st;

	for (int i = 0; i <= API_CLIENTS_MAX; i++)
		fds[i] = dial();
	turns(10);
	assert_true(is_closed(fds[API_CLIENTS_MAX]));
	api_server_stats_get(server, &st);
	assert_int_equal(st.refused, 1);
	assert_int_equal(st.clients, API_CLIENTS_MAX);
	for (int i = 0; i <= API_CLIENTS_MAX; i++)
		close(fds[i]);
	turns(10);
	close(hello());
}

static void a_second_server_is_refused_and_a_stale_socket_replaced(void **state)
{
	struct api_server_conf c = conf();
	int fd;

	assert_null(api_server_new(&c, err, sizeof(err)));
	assert_int_equal(errno, EADDRINUSE);
	assert_non_null(strstr(err, "run_dir"));
	fd = hello(); // the first one is not hurt
	close(fd);
	api_server_free(server);
	turns(5);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); // bound, and nobody listens
	server = api_server_new(&c, err, sizeof(err));
	assert_non_null(server);
	close(hello());
}

static int count(void *ctx, int more, const void *payload, size_t len)
{
	*(unsigned *)ctx += more != 0;
	return 0;
}

// Runs in a child: the client blocks.
static int client_main(void)
{
	struct api_client *c;
	char text[API_TEXT_MAX], out[4];
	unsigned n = 0;

	if (api_client_open(&c, path, 5000, text) < 0)
		return 1;
	if (api_client_get(c, M_ECHO, "ping", 4, out, 4) < 0 || memcmp(out, "ping", 4) != 0)
		return 2;
	if (api_client_call(c, 999, NULL, 0, NULL, NULL) != -EOPNOTSUPP ||
		strstr(api_client_error(c), "999") == NULL)
		return 3;
	if (api_client_call(c, M_MANY, NULL, 0, count, &n) < 0 || n != RECORDS)
		return 4;
	if (api_client_get(c, M_ECHO, "ping", 4, out, 4) < 0)
		return 5;
	api_client_free(c);
	return 0;
}

static void the_client_and_the_server_agree(void **state)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(client_main());
	while (waitpid(pid, &status, WNOHANG) == 0)
		loop_turn(loop);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

// Who ends a request may be walking a list that the next request changes.
static void the_next_request_never_runs_inside_the_end_of_one(void **state)
{
	struct api_frame f;
	struct api_req *r;
	char buf[8];
	int fd = hello();

	put(fd, M_LATER, 5, NULL, 0);
	put(fd, M_LATER, 6, NULL, 0);
	put(fd, M_ECHO, 7, "ping", 4);
	turns(3);
	for (uint32_t id = 5; id <= 6; id++) {
		assert_non_null(later);
		r = later;
		later = NULL;
		api_req_end(r, "done", 4);
		assert_null(later);
		assert_true(get(fd, &f, buf, sizeof(buf)));
		assert_int_equal(f.id, id);
		turns(3);
	}
	assert_true(get(fd, &f, buf, sizeof(buf)));
	assert_int_equal(f.id, 7);
	close(fd);
}

static void a_client_may_vanish_before_its_next_request(void **state)
{
	int fd = hello();

	put(fd, M_LATER, 5, NULL, 0);
	put(fd, M_ECHO, 6, "ping", 4);
	turns(3);
	close(fd);
	api_req_end(later, NULL, 0);
	turns(5);
	close(hello()); // serves on
}

static void a_connection_becomes_a_stream(void **state)
{
	struct api_server_stats st;
	struct api_frame f;
	int fd = hello();
	char buf[16];

	put(fd, M_STREAM, 5, NULL, 0);
	turns(3);
	assert_non_null(later);
	api_req_stream(later, "go", 2, on_stream_fd, NULL);
	assert_int_equal(n_streams, 0); // not from within the call
	assert_true(get(fd, &f, buf, sizeof(buf)));
	assert_int_equal(f.status, 0);
	assert_memory_equal(buf, "go", 2);
	turns(3);
	assert_int_equal(n_streams, 1);
	assert_true(stream_fd >= 0);
	api_server_stats_get(server, &st);
	assert_int_equal(st.clients, 0);
	// its bytes are no frames
	assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	turns(3);
	assert_int_equal(recv(stream_fd, buf, sizeof(buf), MSG_DONTWAIT), 5);
	assert_int_equal(send(stream_fd, "world", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	now_ns += 1000 * CLOCK_NS_PER_S; // no deadline is left
	turns(5);
	assert_false(is_closed(fd));
	close(stream_fd);
	assert_true(is_closed(fd));
	close(fd);
}

static void a_watched_client_that_goes_or_talks_is_cancelled(void **state)
{
	int fd = hello();

	put(fd, M_STREAM, 5, NULL, 0);
	turns(3);
	assert_int_equal(n_cancelled, 0);
	close(fd);
	turns(3);
	assert_int_equal(n_cancelled, 1);
	fd = hello();
	put(fd, M_STREAM, 5, NULL, 0);
	turns(3);
	put(fd, M_ECHO, 6, "ping", 4);
	turns(3);
	assert_int_equal(n_cancelled, 2);
	assert_true(is_closed(fd));
	close(fd);
}

static void a_stream_without_its_client_is_told(void **state)
{
	int fd = hello();

	put(fd, M_STREAM, 5, NULL, 0);
	turns(3);
	assert_non_null(later);
	close(fd); // unnoticed as yet
	api_req_stream(later, "go", 2, on_stream_fd, NULL);
	turns(5);
	assert_int_equal(n_streams, 1);
	assert_true(stream_fd < 0);
	close(hello());
}

// The other process: asks for a stream, and gets its first bytes with the answer.
static int stream_client_main(void)
{
	char text[API_TEXT_MAX], go[2];
	struct api_client *c;
	const uint8_t *first;
	size_t len;
	int fd;

	if (api_client_open(&c, path, 5000, text) < 0)
		return 2;
	if (api_client_get(c, M_STREAM, NULL, 0, go, 2) < 0 || memcmp(go, "go", 2) != 0)
		return 3;
	fd = api_client_take_fd(c, &first, &len);
	if (fd < 0 || len != 5 || memcmp(first, "hello", 5) != 0)
		return 4;
	api_client_free(c);
	return send(fd, "bye", 3, MSG_NOSIGNAL) == 3 ? 0 : 5;
}

static void the_first_bytes_of_a_stream_come_with_the_answer(void **state)
{
	pid_t pid = fork();
	int status = -1;
	char buf[16];

	if (pid == 0)
		_exit(stream_client_main());
	while (later == NULL && waitpid(pid, &status, WNOHANG) == 0)
		loop_turn(loop);
	assert_non_null(later);
	kill(pid, SIGSTOP); // so that it reads both at once
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	api_req_stream(later, "go", 2, on_stream_fd, NULL);
	for (int i = 0; i < 100 && n_streams == 0; i++)
		loop_turn(loop);
	assert_true(stream_fd >= 0);
	assert_int_equal(send(stream_fd, "hello", 5, MSG_NOSIGNAL), 5);
	kill(pid, SIGCONT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(recv(stream_fd, buf, sizeof(buf), 0), 3);
	close(stream_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_socket_is_closed_to_others),
		T(hello_comes_first),
		T(another_version_is_told_and_closed),
		T(sizes_types_and_rights_are_checked_first),
		T(impossible_lengths_close_the_connection),
		T(frames_may_come_in_pieces_or_together),
		T(random_bytes_do_no_harm),
		T(a_list_waits_for_a_slow_reader),
		T(output_is_bounded_whatever_a_handler_does),
		T(who_is_given_up_is_cancelled_from_the_loop),
		T(a_client_that_goes_cancels_its_request),
		T(a_late_answer_lets_the_next_request_in),
		T(the_silent_and_the_half_open_are_closed),
		T(a_reader_that_stopped_is_closed),
		T(clients_are_limited),
		T(a_second_server_is_refused_and_a_stale_socket_replaced),
		T(the_client_and_the_server_agree),
		T(the_next_request_never_runs_inside_the_end_of_one),
		T(a_client_may_vanish_before_its_next_request),
		T(a_connection_becomes_a_stream),
		T(a_watched_client_that_goes_or_talks_is_cancelled),
		T(a_stream_without_its_client_is_told),
		T(the_first_bytes_of_a_stream_come_with_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
