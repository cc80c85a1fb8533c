// Lists of transports and of their counters for a client that takes them slowly, while transports
// come and go: a real manager on a data plane that the test plays, and a sink of the test's.
#include "controlplane/rpc/api_priv.h"
#include "lib/base/err.h"
// Behind the others: its names are short.
#include "tests/controlplane/dp/dp_fixture.h"

enum { N = 40, ROOM = 7, SEEN = 20000 };

// One request and whoever takes its answer.
struct taker {
	struct api_req r;
	unsigned n, room; // records; how many are taken before it is full
	unsigned n_pauses;
	bool ended;
	int status;
	size_t rec_len;
	char name[SEEN][API_NAME_LEN]; // of transports; whose counter it is
};

static struct transport_mgr *m;
static struct identity *id;
static struct api a;
static struct taker takers[2];

static struct taker *taker_of(const struct api_req *q)
{
	return (struct taker *)(uintptr_t)q; // its first
}

static void take(struct api_req *q, const void *rec, size_t len)
{
	struct taker *t = taker_of(q);

	assert_true(t->n < SEEN && !t->ended);
	if (len == sizeof(struct api_counter))
		API_COPY(t->name[t->n], ((const struct api_counter *)rec)->of);
	else if (len == sizeof(struct api_transport))
		API_COPY(t->name[t->n], ((const struct api_transport *)rec)->name);
	else
		API_COPY(t->name[t->n], ((const struct api_flow *)rec)->name);
	t->rec_len = len;
	t->n++;
}

static void take_end(struct api_req *q, int status, const void *payload, size_t len)
{
	struct taker *t = taker_of(q);

	(void)payload, (void)len;
	assert_false(t->ended);
	t->ended = true;
	t->status = status;
}

static bool is_full(const struct api_req *q)
{
	struct taker *t = taker_of(q);

	t->n_pauses += t->n >= t->room;
	return t->n >= t->room;
}

static const struct api_sink sink = {.record = take, .end = take_end, .is_full = is_full};

static struct taker *ask(unsigned i)
{
	takers[i] = (struct taker){.r = {.sink = &sink, .busy = true}, .room = ROOM};
	return &takers[i];
}

static void take_more(struct taker *t, unsigned n)
{
	t->room = t->n + n;
	api_req_resumed(&t->r);
}

static unsigned times(const struct taker *t, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n; i++)
		n += strcmp(t->name[i], name) == 0;
	return n;
}

static const char *name_of(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof(name), "t%u", i);
	return name;
}

static struct transport *add(unsigned i)
{
	struct transport_conf conf_of = {.ciphers = 0xff, .origin = TRANSPORT_ADDED};
	struct key_sk sk;
	char why_not[256] = "";

	API_COPY(conf_of.name, name_of(i));
	assert_int_equal(key_sk_generate(&sk), 0);
	assert_int_equal(key_pk_from_sk(&conf_of.peer, &sk), 0);
	if (transport_mgr_add(m, &conf_of, why_not, sizeof(why_not)) != 0)
		fail_msg("%s", why_not);
	return transport_mgr_find(m, name_of(i));
}

// Its hop is in the statistics segment.
static void count(struct transport *t, uint64_t packets)
{
	struct transport_flow_info f;
	struct stats_hop *h;

	assert_true(transport_flow_get(t, 1, &f));
	assert_int_not_equal(f.hop, 0);
	h = stats_hop(r.stats, dpmsg_handle_index(f.hop));
	stat_add(&h->c[H_hop_rx_packets], packets);
	atomic_store(&h->hop, f.hop);
}

static int list_setup(void **state)
{
	struct transport_mgr_conf mc = {.state_dir = dir, .allow_any = true};
	struct key_sk sk;

	if (setup(state) != 0 || key_sk_generate(&sk) != 0)
		return -1;
	id = identity_from_sk(&sk);
	mc.loop = l;
	mc.dp = c;
	mc.id = id;
	m = transport_mgr_new(&mc);
	assert_non_null(m);
	attach_and_sync();
	for (unsigned i = 0; i < N; i++)
		count(add(i), i);
	a = (struct api){.d = {.loop = l, .dp = c, .transports = m}};
	return 0;
}

static int list_teardown(void **state)
{
	dp_client_stop(c);
	transport_mgr_free(m);
	identity_free(id);
	unlink(strcat(strcpy(path, dir), "/last_init"));
	snprintf(path, sizeof(path), "%s/dp.sock", dir);
	return teardown(state);
}

static void transports_come_as_they_are_taken(void **state)
{
	struct taker *t = ask(0);

	(void)state;
	api_list_transports(&a, &t->r, NULL, 0);
	assert_int_equal(t->n, ROOM);
	for (unsigned n = ROOM; n < N; n += ROOM) {
		assert_false(t->ended);
		assert_int_equal(t->n, n);
		take_more(t, ROOM);
	}
	assert_true(t->ended);
	assert_int_equal(t->status, 0);
	assert_int_equal(t->n, N);
	for (unsigned i = 0; i < N; i++)
		assert_string_equal(t->name[i], name_of(i)); // in the order they came
}

static void flows_do_too(void **state)
{
	struct taker *t = ask(0);

	(void)state;
	api_list_flows(&a, &t->r, NULL, 0);
	assert_int_equal(t->n, ROOM);
	assert_false(t->ended);
	take_more(t, N);
	assert_true(t->ended);
	assert_int_equal(t->n, N);
	assert_int_equal(t->rec_len, sizeof(struct api_flow));
}

static void transports_may_go_and_come_meanwhile(void **state)
{
	struct taker *t = ask(0), *other = ask(1);

	(void)state;
	api_list_transports(&a, &t->r, NULL, 0);
	api_list_transports(&a, &other->r, NULL, 0);
	assert_int_equal(t->n, ROOM);
	// one that came already, the next ones, the last one
	assert_int_equal(transport_mgr_del(m, name_of(ROOM - 1)), 0);
	assert_int_equal(transport_mgr_del(m, name_of(ROOM)), 0);
	assert_int_equal(transport_mgr_del(m, name_of(ROOM + 1)), 0);
	assert_int_equal(transport_mgr_del(m, name_of(N - 1)), 0);
	assert_non_null(add(N));
	api_req_cancelled(&other->r);
	assert_int_equal(other->n, ROOM);
	take_more(t, 2);
	assert_string_equal(t->name[ROOM], name_of(ROOM + 2));
	assert_string_equal(t->name[ROOM + 1], name_of(ROOM + 3));
	take_more(t, N);
	assert_true(t->ended);
	assert_int_equal(t->n, N - 3 + 1);
	for (unsigned i = 0; i <= N; i++)
		assert_int_equal(
			times(t, name_of(i)), i != ROOM && i != ROOM + 1 && i != N - 1 ? 1 : 0);
}

static void all_may_go_meanwhile(void **state)
{
	struct taker *t = ask(0);

	(void)state;
	api_list_transports(&a, &t->r, NULL, 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(transport_mgr_del(m, name_of(i)), 0);
	take_more(t, N);
	assert_true(t->ended);
	assert_int_equal(t->n, ROOM);
}

static void counters_come_as_they_are_taken(void **state)
{
	const struct api_counters_ask what = {.scopes = API_SCOPE_TRANSPORT | API_SCOPE_CONTROL};
	struct taker *t = ask(0);

	(void)state;
	api_list_counters(&a, &t->r, &what, sizeof(what));
	assert_int_equal(t->n, H_COUNT); // a transport's all together
	while (!t->ended) {
		unsigned n = t->n;

		take_more(t, 1);
		assert_true(t->n == n + H_COUNT || t->ended);
	}
	assert_int_equal(t->status, 0);
	assert_int_equal(t->n, N * H_COUNT + C_COUNT);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(times(t, name_of(i)), H_COUNT);
	assert_int_equal(times(t, "control"), C_COUNT);
	assert_true(t->n_pauses >= N);
}

static void counters_go_on_without_the_data_plane(void **state)
{
	const struct api_counters_ask what = {.scopes = API_SCOPE_TRANSPORT | API_SCOPE_CONTROL};
	struct taker *t = ask(0);

	(void)state;
	api_list_counters(&a, &t->r, &what, sizeof(what));
	dp_client_stop(c);
	take_more(t, N * H_COUNT);
	assert_true(t->ended);
	assert_int_equal(t->n, H_COUNT + C_COUNT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, list_setup, list_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(transports_come_as_they_are_taken),
		T(flows_do_too),
		T(transports_may_go_and_come_meanwhile),
		T(all_may_go_meanwhile),
		T(counters_come_as_they_are_taken),
		T(counters_go_on_without_the_data_plane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
