// Sessions of ours do what the Go packages did, frame by frame: each scenario with both sides
// played by us, and each raw input given to a server. Where we differ on purpose the table says
// why.
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/hex.h"
#include "tests/support/mux_pair.h"
#include "tests/support/vectors.h"

enum { PAYLOAD_MAX = 262145, STREAMS = 4 };

static struct mux_pair pair;
static struct mux_stream *stream[2][STREAMS]; // by side, in the order in which they began
static unsigned n_streams[2];
static uint8_t buf[PAYLOAD_MAX];

// ---- what the sides do, as "C verb argument; S verb argument ..." ----

static void add_stream(int side, struct mux_stream *s)
{
	assert_non_null(s);
	stream[side][n_streams[side]++] = s;
}

static void do_open(int side, const char *arg)
{
	add_stream(side, mux_open(pair.m[side], NULL));
}

static void do_refused(int side, const char *arg)
{
	assert_null(mux_open(pair.m[side], NULL));
	assert_int_equal(errno, ECONNREFUSED);
}

static void do_accept(int side, const char *arg)
{
	add_stream(side, mux_accept(pair.m[side]));
}

static void do_write(int side, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(mux_write(stream[side][0], text, n), n);
}

static void do_zeros(int side, const char *arg)
{
	assert_int_equal(mux_write(stream[side][0], "\0\0", 2), 2);
}

// Bytes from:to of the pattern.
static void do_pattern(int side, const char *arg)
{
	size_t from, to;

	assert_int_equal(sscanf(arg, "%zu:%zu", &from, &to), 2);
	mux_pattern_fill(buf, to - from, from);
	assert_int_equal(mux_write(stream[side][0], buf, to - from), to - from);
}

// n bytes, in reads of at most `piece`; what they lead to is sent in between.
static void do_read(int side, const char *arg)
{
	size_t n, piece, max;

	if (sscanf(arg, "%zu/%zu", &n, &piece) != 2)
		piece = n;
	mux_pair_settle(&pair);
	for (; n > 0; n -= max) {
		max = n < piece ? n : piece;
		assert_int_equal(mux_read(stream[side][0], buf, max), max);
		mux_pair_pull(&pair, side, MUX_PULL);
	}
}

static void do_end(int side, const char *arg)
{
	assert_int_equal(mux_read(stream[side][0], buf, 1), 0);
}

static void do_finish(int side, const char *i)
{
	assert_int_equal(mux_finish(stream[side][atoi(i)]), 0);
}

static void do_close(int side, const char *i)
{
	mux_close(stream[side][atoi(i)], false);
}

static void do_gone(int side, const char *arg)
{
	mux_pair_settle(&pair);
	assert_int_equal(mux_stats(pair.m[side])->n_streams, 0);
}

static void do_ping(int side, const char *arg)
{
	assert_int_equal(mux_ping(pair.m[side]), 0);
}

static void do_away(int side, const char *arg)
{
	mux_go_away(pair.m[side]);
}

static void do_wait(int side, const char *ms)
{
	pair.now_ns += strtoull(ms, NULL, 10) * 1000000;
	mux_tick(pair.m[side], pair.now_ns);
}

static const struct {
	const char *verb;
	void (*act)(int side, const char *arg);
} verbs[] = {{"open", do_open}, {"refused", do_refused}, {"accept", do_accept}, {"write", do_write},
	{"zeros", do_zeros}, {"pattern", do_pattern}, {"read", do_read}, {"end", do_end},
	{"finish", do_finish}, {"close", do_close}, {"gone", do_gone}, {"ping", do_ping},
	{"away", do_away}, {"wait", do_wait}};

static void do_one(const char *command)
{
	char side, verb[16], arg[32] = "";
	size_t i = 0;

	assert_in_range(sscanf(command, " %c %15s %31s", &side, verb, arg), 2, 3);
	while (i < ARRAY_LEN(verbs) && strcmp(verbs[i].verb, verb) != 0)
		i++;
	if (i == ARRAY_LEN(verbs))
		fail_msg("no verb %s", verb);
	verbs[i].act(side == 'C' ? CLIENT : SERVER, arg);
}

static void do_all(const char *script)
{
	char copy[256], *rest = copy, *command;

	snprintf(copy, sizeof(copy), "%s", script);
	while ((command = strsep(&rest, ";")) != NULL)
		if (*command != '\0')
			do_one(command);
}

// ---- frames of the file against bytes of ours ----

// Bytes of one frame at the beginning of a wire; returns how many there must be.
static size_t check_frame(const json_t *f, const uint8_t *wire, size_t len)
{
	json_t *payload_len = json_object_get(f, "payload_len");
	uint8_t *want, sum[crypto_hash_sha256_BYTES], want_sum[sizeof(sum)];
	size_t n, payload;

	want = vectors_hex_new(f, "header_hex", &n);
	assert_in_range(n, 1, len);
	assert_memory_equal(wire, want, n);
	free(want);
	if (json_object_get(f, "payload_hex") != NULL) {
		want = vectors_hex_new(f, "payload_hex", &payload);
		assert_in_range(n + payload, 1, len);
		assert_memory_equal(wire + n, want, payload);
		free(want);
		return n + payload;
	}
	if (payload_len == NULL)
		return n;
	payload = (size_t)json_integer_value(payload_len);
	assert_in_range(n + payload, 1, len);
	crypto_hash_sha256(sum, wire + n, payload);
	vectors_hex(f, "payload_sha256", want_sum, sizeof(want_sum));
	assert_memory_equal(sum, want_sum, sizeof(sum));
	return n + payload;
}

static void check_wire(const json_t *frames, const uint8_t *wire, size_t len)
{
	const json_t *f;
	size_t i, n = 0;

	json_array_foreach(frames, i, f) n += check_frame(f, wire + n, len - n);
	assert_int_equal(n, len); // and no more
}

// ---- scenarios ----

struct scenario {
	const char *name;
	enum mux_kind kind;
	const char *steps[16];
	uint32_t window[2]; // 0: the default
	uint32_t keepalive_ms; // of the client
};

static const struct scenario scenarios[] = {
	{.name = "open_echo_halfclose",
		.kind = KIND_YAMUX,
		.steps = {"C open", "S accept", "C write hello", "S read 5; S write world!",
			"C finish 0", "S end; S write late", "C read 10", "S finish 0; C gone"}},
	{.name = "ids_and_early_data",
		.kind = KIND_YAMUX,
		.steps = {"C open; C write GET", "S accept", "C open", "S open", "C accept",
			"C open; C finish 3"}},
	{.name = "larger_windows_announced_in_syn_and_ack",
		.kind = KIND_YAMUX,
		.steps = {"C open", "S accept"},
		.window = {1 << 20, 1 << 19}},
	{.name = "window_accounting_256k",
		.kind = KIND_YAMUX,
		.steps = {"C pattern 0:131071", "S read 131071", "C pattern 0:1; S read 1",
			"C pattern 0:262144", "C pattern 0:1", "S read 131072"}},
	{.name = "ping", .kind = KIND_YAMUX, .steps = {"C ping", "C ping", "S ping"}},
	{.name = "go_away_normal",
		.kind = KIND_YAMUX,
		.steps = {"S away", "C refused", "S open", ""}},
	{.name = "v1_session",
		.kind = KIND_SMUX1,
		.steps = {"C open", "S accept", "C write hello", "S read 5", "S write world!",
			"C read 6", "C pattern 0:40000", "S read 40000/8000", "C open", "S open",
			"C close 0", "S end", "S write late", "S close 0"}},
	{.name = "v2_session",
		.kind = KIND_SMUX2,
		.steps = {"C open", "S accept", "C write hello", "S read 5", "S write world!",
			"C read 6", "C pattern 0:40000",
			// the Go package reads no further than to the end of a frame
			"S read 32768/8000; S read 7232", "C open", "S open", "C close 0", "S end",
			"S write late", "S close 0"}},
	{.name = "v2_window",
		.kind = KIND_SMUX2,
		.steps = {"C pattern 0:262144", "C pattern 73:74", "S read 1", "S read 32767",
			"S read 32768", "S read 131072/32768", "S read 32768"}},
	{.name = "keepalive_nop", .kind = KIND_SMUX2, .steps = {"C wait 80"}, .keepalive_ms = 60},
	{.name = "dmsg_smux_ping_v1",
		.kind = KIND_SMUX1,
		.steps = {"C open; C zeros", "S accept; S read 2; S zeros; S close 0",
			"C read 2; C close 0"}},
	{.name = "dmsg_smux_ping_v2",
		.kind = KIND_SMUX2,
		.steps = {"C open; C zeros", "S accept; S read 2; S zeros; S close 0",
			"C read 2; C close 0"}},
	{.name = "session_close", .kind = KIND_SMUX1, .steps = {""}},
};

// What the two said in this step.
static void check_step(const json_t *step)
{
	static const char *const names[2] = {"client_to_server", "server_to_client"};

	mux_pair_settle(&pair);
	for (int side = 0; side < 2; side++) {
		struct mux_wire *w = &pair.wire[side];

		check_wire(json_object_get(step, names[side]), w->bytes.v, w->bytes.n);
		w->bytes.n = w->off = 0;
	}
}

static void begin(const struct scenario *sc)
{
	pair = (struct mux_pair){.now_ns = 1000000000};
	memset(n_streams, 0, sizeof(n_streams));
	for (int side = 0; side < 2; side++) {
		struct mux_conf conf = mux_kind_conf(sc->kind, side == CLIENT);

		conf.keepalive_ns = side == CLIENT ? sc->keepalive_ms * UINT64_C(1000000) : 0;
		conf.send_max = PAYLOAD_MAX;
		if (sc->window[side] != 0)
			conf.window = sc->window[side];
		if (sc->kind == KIND_YAMUX)
			conf.frame_max =
				PAYLOAD_MAX; // the Go package writes what the window allows
		pair.m[side] = mux_kind_new(sc->kind, &conf, pair.now_ns);
	}
}

static const json_t *find_scenario(const json_t *root, const char *name)
{
	const json_t *sc;
	size_t i;

	json_array_foreach(vectors_get(root, "scenarios"), i,
		sc) if (strcmp(vectors_str(sc, "name"), name) == 0) return sc;
	fail_msg("no scenario %s", name);
	return NULL;
}

static void run_scenario(const json_t *root, const struct scenario *sc)
{
	const json_t *step, *steps = vectors_get(find_scenario(root, sc->name), "steps");
	size_t i;

	begin(sc);
	if (strstr(sc->name, "window_accounting") != NULL || strcmp(sc->name, "v2_window") == 0) {
		do_all("C open"); // as the capture began
		mux_pair_settle(&pair);
		do_all("S accept");
		mux_pair_settle(&pair);
	}
	for (i = 0; i < 2; i++)
		pair.wire[i].bytes.n = pair.wire[i].off = 0;
	json_array_foreach(steps, i, step)
	{
		assert_non_null(sc->steps[i]);
		do_all(sc->steps[i]);
		check_step(step);
	}
	assert_null(sc->steps[i]);
	mux_pair_fini(&pair);
}

static void follows_scenarios(const char *file)
{
	json_t *root = vectors_load(file);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		if ((scenarios[i].kind == KIND_YAMUX) == (strcmp(file, "yamux.json") == 0)) {
			run_scenario(root, &scenarios[i]);
			n++;
		}
	assert_int_equal(n, json_array_size(vectors_get(root, "scenarios")));
	json_decref(root);
}

static void follows_yamux_scenarios(void **state)
{
	follows_scenarios("yamux.json");
}

static void follows_smux_scenarios(void **state)
{
	follows_scenarios("smux.json");
}

// ---- raw inputs ----

// What the server does after the input; "-" before it.
static const struct {
	const char *name, *script;
	bool dies; // where the Go package does not
	uint32_t backlog;
} raw[] = {
	{.name = "syn_with_data_and_fin", .script = "S accept; S read 4; S end; S close 0"},
	{.name = "accept_backlog_full", .script = "", .backlog = 1},
	{.name = "syn_after_local_goaway", .script = "-S away"},
	{.name = "reopen_used_id", .script = "S accept; S close 0"},
	// an id that only we may give, or that is no stream's
	{.name = "syn_even_id_to_server", .script = "", .dies = true},
	{.name = "syn_id_zero", .script = "", .dies = true},
	{.name = "v1_psh_after_fin", .script = "S accept; S read 2; S end"},
	{.name = "v2_psh_after_fin", .script = "S accept; S read 2; S end"},
};

static void put_input(const json_t *c)
{
	struct mux_wire *w = &pair.wire[CLIENT];
	uint8_t *hex;
	size_t n, i;
	const json_t *f;

	if (json_object_get(c, "input_hex") != NULL) {
		hex = vectors_hex_new(c, "input_hex", &n);
		assert_int_equal(vec_reserve(&w->bytes, n), 0);
		memcpy(w->bytes.v, hex, n);
		w->bytes.n = n;
		free(hex);
		return;
	}
	json_array_foreach(vectors_get(c, "input"), i, f)
	{
		size_t len = (size_t)json_integer_value(json_object_get(f, "payload_len"));

		hex = vectors_hex_new(f, "header_hex", &n);
		assert_int_equal(vec_reserve(&w->bytes, w->bytes.n + n + len), 0);
		memcpy(w->bytes.v + w->bytes.n, hex, n);
		mux_pattern_fill(w->bytes.v + w->bytes.n + n, len, 0);
		w->bytes.n += n + len;
		free(hex);
	}
}

// A session that died of the protocol may say so to the peer before it closes, as yamux does.
static void check_replies(const json_t *c)
{
	static const uint8_t go_away[] = {0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	struct mux_wire *w = &pair.wire[SERVER];
	size_t n = w->bytes.n;

	if (mux_stats(pair.m[SERVER])->err != 0 && n == sizeof(go_away)) {
		assert_memory_equal(w->bytes.v, go_away, n);
		n = 0;
	}
	if (mux_stats(pair.m[SERVER])->err == 0)
		check_wire(vectors_get(c, "replies"), w->bytes.v, n);
	else
		assert_int_equal(n, 0);
}

static bool must_die(const json_t *c)
{
	json_t *accept = json_object_get(c, "accept_afterwards");

	if (accept != NULL)
		return strcmp(json_string_value(accept), "invalid protocol") == 0;
	return json_is_true(vectors_get(c, "session_closed"));
}

static void run_raw(const json_t *c, enum mux_kind kind, size_t cut)
{
	struct mux_conf conf = mux_kind_conf(kind, false);
	const char *name = vectors_str(c, "name"), *script = "";
	bool dies = must_die(c);

	for (size_t i = 0; i < ARRAY_LEN(raw); i++)
		if (strcmp(raw[i].name, name) == 0) {
			script = raw[i].script;
			dies |= raw[i].dies;
			conf.backlog = raw[i].backlog != 0 ? raw[i].backlog : conf.backlog;
		}
	pair = (struct mux_pair){.now_ns = 1000000000};
	memset(n_streams, 0, sizeof(n_streams));
	pair.m[SERVER] = mux_kind_new(kind, &conf, pair.now_ns);
	if (*script == '-') {
		do_all(script + 1);
		script = "";
		mux_pair_pull(&pair, SERVER, MUX_PULL);
	}
	put_input(c);
	while (mux_pair_carry(&pair, CLIENT, cut) > 0)
		;
	do_all(script);
	while (mux_pair_pull(&pair, SERVER, MUX_PULL) > 0)
		;
	if ((mux_stats(pair.m[SERVER])->err != 0) != dies)
		fail_msg("%s: session error %d", name, mux_stats(pair.m[SERVER])->err);
	check_replies(c);
	mux_pair_fini(&pair);
}

static void answers_raw_inputs(void **state)
{
	static const char *const files[] = {"yamux.json", "smux.json"};

	for (size_t k = 0; k < ARRAY_LEN(files); k++) {
		json_t *root = vectors_load(files[k]);
		const json_t *c;
		size_t i;

		json_array_foreach(vectors_get(root, "raw_cases"), i, c)
		{
			json_t *version = json_object_get(c, "version");
			enum mux_kind kind = version == NULL                    ? KIND_YAMUX
					     : json_integer_value(version) == 1 ? KIND_SMUX1
										: KIND_SMUX2;

			run_raw(c, kind, SIZE_MAX);
			run_raw(c, kind, 1);
		}
		assert_int_equal(i, 24);
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_yamux_scenarios),
		cmocka_unit_test(follows_smux_scenarios),
		cmocka_unit_test(answers_raw_inputs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
