// The beginning of a carried transport: both sides agree whatever the pieces in which bytes come,
// each keeps its limits, answers in lock-step, and neither takes what is not right.
#include "lib/link/carry_hs.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct key_pk pk[3]; // A, B, C
static struct key_sk sk[3];
static struct carry_hs_conf conf[3];
static struct carry_hs a, b; // initiator, responder
static uint64_t now;

static int load(void **state)
{
	json_t *root = vectors_load("carried.json");

	for (int i = 0; i < 3; i++) {
		const char name[] = {(char)('A' + i), '\0'};
		const json_t *k = vectors_get(vectors_get(root, "keys"), name);

		vectors_hex(k, "pk", pk[i].b, sizeof(pk[i].b));
		vectors_hex(k, "sk", sk[i].b, sizeof(sk[i].b));
		conf[i] = (struct carry_hs_conf){&pk[i], &sk[i], "stcp"};
	}
	json_decref(root);
	return 0;
}

static int begin(void **state)
{
	uint8_t nonce[CONNECT_NONCE_LEN];

	now = 1000 * CLOCK_NS_PER_S;
	memset(nonce, 7, sizeof(nonce));
	carry_hs_dial(&a, &conf[0], &pk[1], CONNECT_PORT_EPHEMERAL, now);
	carry_hs_accept(&b, &conf[1], nonce, now);
	return 0;
}

// What `from` has to send, in pieces of so many bytes; the last event at `to`.
static enum carry_hs_event pass(struct carry_hs *from, struct carry_hs *to, size_t piece)
{
	enum carry_hs_event ev = CARRY_HS_NONE;
	size_t len = from->out_len;
	char bytes[CONNECT_TEXT_MAX];

	assert_int_not_equal(len, 0);
	memcpy(bytes, from->out, len);
	from->out_len = 0;
	for (size_t i = 0; i < len; i += piece) {
		size_t n = len - i < piece ? len - i : piece, used;

		assert_int_equal(ev, CARRY_HS_NONE);
		assert_int_equal(to->out_len, 0);
		ev = carry_hs_read(to, (uint8_t *)bytes + i, n, &used, now);
		assert_int_equal(used, n);
	}
	return ev;
}

static void change(struct carry_hs *h, const char *from, const char *to)
{
	char *at;

	h->out[h->out_len] = '\0';
	at = strstr(h->out, from);
	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
}

static void to_noise(size_t piece)
{
	assert_int_equal(pass(&a, &b, piece), CARRY_HS_NONE);
	assert_int_equal(pass(&b, &a, piece), CARRY_HS_NONE);
	assert_int_equal(pass(&a, &b, piece), CARRY_HS_CLAIM);
	assert_int_equal(carry_hs_prove(&b, NULL), CARRY_HS_CALLER);
	assert_memory_equal(b.peer.b, pk[0].b, sizeof(pk[0].b));
	assert_int_equal(b.port, CONNECT_PORT_EPHEMERAL);
	assert_int_equal(b.out_len, 0);
	assert_int_equal(carry_hs_admit(&b, NULL, now), CARRY_HS_NOISE);
	assert_int_equal(pass(&b, &a, piece), CARRY_HS_NOISE);
}

static void to_settlement(size_t piece)
{
	to_noise(piece);
	assert_int_equal(carry_hs_inside(&b, now), CARRY_HS_NONE);
	assert_int_equal(carry_hs_inside(&a, now), CARRY_HS_NONE);
	assert_int_equal(pass(&a, &b, piece), CARRY_HS_ENTRY);
	assert_int_equal(b.out_len, 0); // its owner registers first
}

static void both_come_up_whatever_the_pieces(void **state)
{
	static const size_t pieces[] = {1, 2, 9, 100, 4096};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		begin(NULL);
		to_settlement(pieces[i]);
		assert_int_equal(carry_hs_settle(&b, CARRY_HS_CODE_OK), CARRY_HS_UP);
		assert_int_equal(b.out_len, 1);
		assert_int_equal(b.out[0], 1);
		assert_int_equal(pass(&b, &a, 1), CARRY_HS_UP);
		assert_int_equal(a.deadline_ns, 0);
		assert_int_equal(tp_entry_verify(&b.entry, &pk[0]), 0);
		assert_int_equal(tp_entry_verify(&b.entry, &pk[1]), 0);
		assert_true(tp_entry_is_of(&a.entry, &pk[1], &pk[0], "stcp"));
	}
}

// Skywire's own words for stcp leave the frames out and begin with Noise.
static void four_frames_stand_before_noise(void **state)
{
	assert_int_equal(a.out_len, 9);
	assert_memory_equal(a.out, "get_nonce", 9);
	assert_int_equal(pass(&a, &b, 4096), CARRY_HS_NONE);
	assert_memory_equal(b.out, "{\"Nonce\":[7,7,", 14);
	assert_int_equal(pass(&b, &a, 4096), CARRY_HS_NONE);
	assert_memory_equal(a.out, "{\"SrcAddr\":{\"public_key\":", 25);
	assert_int_equal(carry_hs_inside(&a, now), CARRY_HS_FAILED); // it is not its turn
	begin(NULL);
	to_noise(4096); // the fourth frame is the one before
}

// Packets may follow the answer in the same bytes.
static void packets_behind_the_answer_are_left(void **state)
{
	uint8_t bytes[] = {1, 0xaa, 0xbb};
	size_t used;

	to_settlement(4096);
	assert_int_equal(carry_hs_read(&a, bytes, 3, &used, now), CARRY_HS_UP);
	assert_int_equal(used, 1);
	assert_int_equal(carry_hs_read(&a, bytes + 1, 2, &used, now), CARRY_HS_UP);
	assert_int_equal(used, 0);
}

static void settlement_alone_is_made_over_what_is_sealed(void **state)
{
	struct carry_hs_conf ca = conf[0], cb = conf[1];

	ca.type = cb.type = "dmsg";
	assert_int_equal(carry_hs_settlement(&b, &cb, &pk[0], false, now), CARRY_HS_NONE);
	assert_int_equal(carry_hs_settlement(&a, &ca, &pk[1], true, now), CARRY_HS_NONE);
	assert_int_equal(pass(&a, &b, 50), CARRY_HS_ENTRY);
	assert_int_equal(carry_hs_settle(&b, CARRY_HS_CODE_OK), CARRY_HS_UP);
	assert_int_equal(pass(&b, &a, 1), CARRY_HS_UP);
}

static void a_refusal_is_told_to_the_caller(void **state)
{
	pass(&a, &b, 4096);
	pass(&b, &a, 4096);
	assert_int_equal(pass(&a, &b, 4096), CARRY_HS_CLAIM);
	assert_int_equal(carry_hs_prove(&b, NULL), CARRY_HS_CALLER);
	assert_int_equal(carry_hs_admit(&b, "not allowed", now), CARRY_HS_FAILED);
	assert_int_equal(pass(&b, &a, 4096), CARRY_HS_FAILED);
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_string_equal(a.why, "the peer refuses: not allowed");
}

// Whoever it really is: nothing is spent on a signature.
static void a_refusal_of_a_key_comes_before_its_signature(void **state)
{
	pass(&a, &b, 4096);
	pass(&b, &a, 4096);
	change(&a, ":49153}", ":49154}"); // not what was signed
	assert_int_equal(pass(&a, &b, 4096), CARRY_HS_CLAIM);
	assert_memory_equal(b.peer.b, pk[0].b, sizeof(pk[0].b));
	assert_int_equal(carry_hs_prove(&b, "not allowed"), CARRY_HS_FAILED);
	assert_string_equal(b.why, "not allowed");
	assert_int_equal(pass(&b, &a, 4096), CARRY_HS_FAILED);
}

static void codes_of_a_failed_settlement_are_told(void **state)
{
	static const enum carry_hs_code codes[] = {
		CARRY_HS_CODE_FAILED, CARRY_HS_CODE_SIGNATURE, CARRY_HS_CODE_ENTRY};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		begin(NULL);
		to_settlement(4096);
		assert_int_equal(carry_hs_settle(&b, codes[i]), CARRY_HS_FAILED);
		assert_int_equal(b.out[0], codes[i]);
		assert_int_equal(pass(&b, &a, 1), CARRY_HS_FAILED);
		assert_int_equal(a.err, -ECONNREFUSED);
	}
}

// ---- what is not right ----

static void a_wrong_call_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *from, *to, *why;
	} cases[] = {
		{"[7,7,", "[7,6,", "it is another nonce"},
		{":49153}", ":49154}", "the signature is not right"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(NULL);
		pass(&a, &b, 4096);
		pass(&b, &a, 4096);
		change(&a, cases[i].from, cases[i].to);
		if (pass(&a, &b, 4096) == CARRY_HS_CLAIM)
			assert_int_equal(carry_hs_prove(&b, NULL), CARRY_HS_FAILED);
		assert_string_equal(b.why, cases[i].why);
		assert_int_equal(pass(&b, &a, 4096), CARRY_HS_FAILED);
		assert_int_equal(a.err, -ECONNREFUSED);
	}
}

// A call that is well signed, but for somebody or something else.
static void a_call_for_another_is_refused(void **state)
{
	static const struct {
		int src, dst;
		uint16_t port;
		const char *why;
	} cases[] = {
		{0, 1, 46, CONNECT_ERR_PORT},
		{0, 2, 45, "this is another node"},
		{1, 1, 45, "that is this node's own key"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct connect_call c = {
			.src = {pk[cases[i].src], 49153}, .dst = {pk[cases[i].dst], cases[i].port}};

		begin(NULL);
		pass(&a, &b, 4096);
		memcpy(c.nonce, b.nonce, sizeof(c.nonce));
		pass(&b, &a, 4096);
		assert_int_equal(connect_call_sign(&c, &sk[cases[i].src]), 0);
		a.out_len = (uint16_t)connect_call_write(&c, a.out, sizeof(a.out));
		assert_int_equal(pass(&a, &b, 4096), CARRY_HS_FAILED);
		assert_string_equal(b.why, cases[i].why);
	}
}

static void an_entry_of_another_link_is_refused(void **state)
{
	static const struct {
		int peer, signer;
		const char *type;
		enum carry_hs_code code;
	} cases[] = {
		{2, 0, "stcp", CARRY_HS_CODE_ENTRY}, {1, 0, "stcpr", CARRY_HS_CODE_ENTRY},
		{1, 1, "stcp", CARRY_HS_CODE_SIGNATURE}, // only ours is there
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tp_entry e;
		ssize_t len;

		begin(NULL);
		to_noise(4096);
		carry_hs_inside(&b, now);
		carry_hs_inside(&a, now);
		tp_entry_make(&e, &pk[0], &pk[cases[i].peer], cases[i].type, "user");
		tp_entry_sign(&e, &pk[cases[i].signer], &sk[cases[i].signer]);
		len = tp_entry_write(&e, a.out, sizeof(a.out));
		a.out[len] = '\n';
		a.out_len = (uint16_t)(len + 1);
		assert_int_equal(pass(&a, &b, 4096), CARRY_HS_FAILED);
		assert_int_equal(b.out_len, 1);
		assert_int_equal(b.out[0], cases[i].code);
	}
}

static void what_is_sent_ahead_is_refused(void **state)
{
	uint8_t bytes[CONNECT_ASK_LEN + 1] = CONNECT_ASK "x";
	size_t used;

	assert_int_equal(carry_hs_read(&b, bytes, sizeof(bytes), &used, now), CARRY_HS_FAILED);
	assert_int_equal(b.out_len, 0);
	begin(NULL);
	pass(&a, &b, 4096);
	pass(&b, &a, 4096);
	pass(&a, &b, 4096);
	assert_int_equal(carry_hs_prove(&b, NULL), CARRY_HS_CALLER);
	assert_int_equal(carry_hs_read(&b, bytes, 1, &used, now), CARRY_HS_FAILED); // ADMIT
	begin(NULL);
	pass(&a, &b, 4096);
	pass(&b, &a, 4096);
	pass(&a, &b, 4096);
	assert_int_equal(carry_hs_read(&b, bytes, 1, &used, now), CARRY_HS_FAILED); // PROVE
	begin(NULL);
	to_noise(4096);
	assert_int_equal(carry_hs_read(&a, bytes, 1, &used, now), CARRY_HS_FAILED);
	begin(NULL);
	to_settlement(4096);
	assert_int_equal(carry_hs_read(&b, bytes, 1, &used, now), CARRY_HS_FAILED);
}

static void strangers_are_refused(void **state)
{
	uint8_t long_text[CONNECT_JSON_MAX + 1];
	size_t used;

	memset(long_text, 'a', sizeof(long_text));
	long_text[0] = '{';
	assert_int_equal(
		carry_hs_read(&b, (const uint8_t *)"GET / HTTP", 9, &used, now), CARRY_HS_FAILED);
	assert_int_equal(
		carry_hs_read(&a, long_text, sizeof(long_text) - 1, &used, now), CARRY_HS_FAILED);
	assert_int_equal(a.err, -EBADMSG);
	// what follows a failure changes nothing
	assert_int_equal(carry_hs_read(&a, long_text, 1, &used, now), CARRY_HS_FAILED);
	assert_int_equal(used, 0);
}

static void calls_out_of_turn_fail(void **state)
{
	assert_int_equal(carry_hs_admit(&b, NULL, now), CARRY_HS_FAILED);
	begin(NULL);
	assert_int_equal(carry_hs_inside(&a, now), CARRY_HS_FAILED);
	begin(NULL);
	assert_int_equal(carry_hs_settle(&b, CARRY_HS_CODE_OK), CARRY_HS_FAILED);
	assert_int_equal(b.out_len, 0);
}

// ---- time ----

static void expect_limit(struct carry_hs *h, unsigned s)
{
	uint64_t end = now + s * CLOCK_NS_PER_S;

	assert_int_equal(h->deadline_ns, end);
	assert_int_equal(carry_hs_tick(h, end - 1), CARRY_HS_NONE);
	assert_int_equal(carry_hs_tick(h, end), CARRY_HS_FAILED);
	assert_int_equal(h->err, -ETIMEDOUT);
	assert_true(h->why[0] != '\0');
}

static void each_part_has_its_limit(void **state)
{
	expect_limit(&a, 10);
	expect_limit(&b, 10);
	begin(NULL);
	to_noise(4096);
	expect_limit(&a, 5);
	expect_limit(&b, 5);
	begin(NULL);
	to_noise(4096);
	carry_hs_inside(&a, now);
	carry_hs_inside(&b, now);
	expect_limit(&a, 20);
	expect_limit(&b, 20);
}

// The limit is for all of the connect handshake: nobody gains time by going on slowly.
static void going_on_slowly_gains_no_time(void **state)
{
	uint64_t end = b.deadline_ns;

	now += 9 * CLOCK_NS_PER_S;
	pass(&a, &b, 1);
	assert_int_equal(b.deadline_ns, end);
	assert_int_equal(carry_hs_tick(&b, end), CARRY_HS_FAILED);
}

// The messages in their order, up to the first that `which` does not count; whose turn it is then.
static struct carry_hs *up_to(unsigned which)
{
	begin(NULL);
	for (unsigned i = 0; i < which; i++) {
		enum carry_hs_event ev = i % 2 == 0 ? pass(&a, &b, 4096) : pass(&b, &a, 4096);

		if (ev == CARRY_HS_CLAIM && carry_hs_prove(&b, NULL) == CARRY_HS_CALLER)
			carry_hs_admit(&b, NULL, now);
		if (ev == CARRY_HS_NOISE) {
			carry_hs_inside(&b, now);
			carry_hs_inside(&a, now);
		}
		if (ev == CARRY_HS_ENTRY)
			carry_hs_settle(&b, CARRY_HS_CODE_OK);
	}
	return which % 2 == 0 ? &a : &b;
}

// JSON says the same thing in many ways, so one may be read; but then it says who and what it said.
static void every_touched_bit_fails_or_says_the_same(void **state)
{
	static const enum carry_hs_event good[] = {CARRY_HS_NONE, CARRY_HS_NONE, CARRY_HS_CALLER,
		CARRY_HS_NOISE, CARRY_HS_ENTRY, CARRY_HS_UP};
	unsigned n_failed = 0, n_read = 0;

	for (unsigned which = 0; which < ARRAY_LEN(good); which++) {
		size_t len = up_to(which)->out_len;

		for (size_t bit = 0; bit < 8 * len; bit++) {
			struct carry_hs *from = up_to(which), *to = from == &a ? &b : &a;
			enum carry_hs_event ev;

			from->out[bit / 8] ^= (char)(1 << bit % 8);
			ev = pass(from, to, 4096);
			if (ev == CARRY_HS_CLAIM)
				ev = carry_hs_prove(to, NULL);
			if (ev == CARRY_HS_NONE) // it may wait for the rest, but not for ever
				ev = carry_hs_tick(to, to->deadline_ns);
			n_failed += ev == CARRY_HS_FAILED;
			if (ev == CARRY_HS_FAILED)
				continue;
			n_read++;
			assert_int_equal(ev, good[which]);
			assert_memory_equal(to->peer.b, from->conf.pk->b, KEY_PK_LEN);
			if (ev == CARRY_HS_ENTRY)
				assert_memory_equal(
					to->entry.id, from->entry.id, sizeof(from->entry.id));
		}
	}
	assert_true(n_failed > 5 * n_read); // case of names and of hex digits
}

static void an_open_link_has_no_limit(void **state)
{
	to_settlement(4096);
	carry_hs_settle(&b, CARRY_HS_CODE_OK);
	pass(&b, &a, 1);
	assert_int_equal(carry_hs_tick(&a, UINT64_MAX), CARRY_HS_NONE);
	assert_int_equal(carry_hs_tick(&b, UINT64_MAX), CARRY_HS_NONE);
}

#define T(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(both_come_up_whatever_the_pieces),
		T(four_frames_stand_before_noise),
		T(packets_behind_the_answer_are_left),
		T(settlement_alone_is_made_over_what_is_sealed),
		T(a_refusal_is_told_to_the_caller),
		T(a_refusal_of_a_key_comes_before_its_signature),
		T(codes_of_a_failed_settlement_are_told),
		T(a_wrong_call_is_refused_with_its_reason),
		T(a_call_for_another_is_refused),
		T(an_entry_of_another_link_is_refused),
		T(what_is_sent_ahead_is_refused),
		T(strangers_are_refused),
		T(calls_out_of_turn_fail),
		T(each_part_has_its_limit),
		T(going_on_slowly_gains_no_time),
		T(every_touched_bit_fails_or_says_the_same),
		T(an_open_link_has_no_limit),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
