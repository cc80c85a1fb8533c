// The connect handshake's messages: the known ones are written and read byte for byte, one changed
// byte of what is signed is noticed, and what is malformed is refused.
#include "lib/wire/connect_msg.h"

#include "lib/base/err.h"
#include "lib/crypto/hash.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *root;
static const json_t *texts;

static int load(void **state)
{
	root = vectors_load("carried.json");
	texts = vectors_get(root, "connect_handshake");
	return 0;
}

static int unload(void **state)
{
	json_decref(root);
	return 0;
}

static struct key_pk pk_of(const char *name)
{
	struct key_pk pk;

	vectors_hex(vectors_get(vectors_get(root, "keys"), name), "pk", pk.b, sizeof(pk.b));
	return pk;
}

static struct connect_call known_call(void)
{
	const char *text = vectors_str(texts, "frame2");
	struct connect_call c;

	assert_int_equal(connect_call_read(&c, text, strlen(text)), 0);
	return c;
}

static void known_messages_are_written_and_read(void **state)
{
	char out[CONNECT_TEXT_MAX];
	uint8_t nonce[CONNECT_NONCE_LEN];
	struct connect_answer a;
	struct connect_call c = known_call();
	struct key_pk want = pk_of("A");
	const char *text = vectors_str(texts, "frame1");

	assert_int_equal(connect_nonce_read(nonce, text, strlen(text)), 0);
	for (int i = 0; i < CONNECT_NONCE_LEN; i++)
		assert_int_equal(nonce[i], i);
	assert_int_equal(connect_nonce_write(nonce, out, sizeof(out)), strlen(text));
	assert_string_equal(out, text);
	text = vectors_str(texts, "frame2");
	assert_int_equal(connect_call_write(&c, out, sizeof(out)), strlen(text));
	assert_string_equal(out, text);
	assert_memory_equal(c.src.pk.b, want.b, sizeof(want.b));
	want = pk_of("B");
	assert_memory_equal(c.dst.pk.b, want.b, sizeof(want.b));
	assert_int_equal(c.src.port, 49152);
	assert_int_equal(c.dst.port, CONNECT_PORT_TRANSPORT);
	a = (struct connect_answer){.ok = true};
	connect_answer_write(&a, out, sizeof(out));
	assert_string_equal(out, vectors_str(texts, "frame3_ok"));
	text = vectors_str(texts, "frame3_reject");
	assert_int_equal(connect_answer_read(&a, text, strlen(text)), 0);
	assert_false(a.ok);
	assert_string_equal(a.err, CONNECT_ERR_PORT);
	connect_answer_write(&a, out, sizeof(out));
	assert_string_equal(out, text);
}

static void the_signed_bytes_are_the_known_ones(void **state)
{
	struct connect_call c = known_call();
	uint8_t want[32], got[32];
	char out[CONNECT_TEXT_MAX];
	ssize_t len;

	assert_int_equal(connect_call_verify(&c), 0);
	c.sig = (struct sign_sig){0};
	len = connect_call_write(&c, out, sizeof(out));
	assert_string_equal(out, vectors_str(texts, "frame2_bytes_to_sign"));
	hash_sha256(got, out, (size_t)len);
	vectors_hex(texts, "frame2_bytes_to_sign_sha256", want, sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

// The text may have any form: it is its values that were signed.
static void another_form_of_the_same_call_verifies(void **state)
{
	const char *text = vectors_str(texts, "frame2");
	char loose[CONNECT_JSON_MAX];
	struct connect_call c;
	json_t *v = json_loads(text, 0, NULL);
	char *dump = json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS);

	snprintf(loose, sizeof(loose), "%s\n", dump);
	assert_int_equal(connect_text_len(loose, strlen(loose), sizeof(loose)), strlen(loose));
	assert_int_equal(connect_call_read(&c, loose, strlen(loose)), 0);
	assert_int_equal(connect_call_verify(&c), 0);
	free(dump);
	json_decref(v);
}

static void one_changed_bit_is_noticed(void **state)
{
	const struct connect_call good = known_call();
	struct connect_call c;

	for (size_t bit = 0; bit < sizeof(good.nonce) * 8; bit++) {
		c = good;
		c.nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(connect_call_verify(&c), -EBADMSG);
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		c = good;
		c.src.port ^= (uint16_t)(1u << bit);
		assert_int_equal(connect_call_verify(&c), -EBADMSG);
		c = good;
		c.dst.port ^= (uint16_t)(1u << bit);
		assert_int_equal(connect_call_verify(&c), -EBADMSG);
	}
	for (size_t bit = 0; bit < SIGN_LEN * 8; bit++) {
		c = good;
		c.sig.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(connect_call_verify(&c), -EBADMSG);
	}
	c = good;
	c.dst.pk = pk_of("C");
	assert_int_equal(connect_call_verify(&c), -EBADMSG);
	c = good;
	c.src.pk = pk_of("B");
	assert_int_equal(connect_call_verify(&c), -EBADMSG);
}

static void own_calls_verify(void **state)
{
	struct connect_call c = known_call();
	struct key_sk sk;

	vectors_hex(vectors_get(vectors_get(root, "keys"), "A"), "sk", sk.b, sizeof(sk.b));
	c.src.port = CONNECT_PORT_EPHEMERAL;
	assert_int_equal(connect_call_verify(&c), -EBADMSG);
	assert_int_equal(connect_call_sign(&c, &sk), 0);
	assert_int_equal(connect_call_verify(&c), 0);
}

static void malformed_texts_are_refused(void **state)
{
	static const char *const nonces[] = {"", "{}", "[]", "{\"Nonce\":null}",
		"{\"Nonce\":[1,2]}", "{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14]}",
		"{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}",
		"{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,256]}",
		"{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,-1]}",
		"{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,\"1\"]}",
		"{\"Nonce\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,1.5]}",
		"{\"Nonce\":\"AAECAwQFBgcICQoLDA0ODw==\"}", "{\"Nonce\""};
	static const char *const answers[] = {
		"{}", "{\"OK\":1,\"ErrMsg\":\"\"}", "null", "{\"OK\":\"true\"}"};
	uint8_t nonce[CONNECT_NONCE_LEN];
	struct connect_answer a;
	struct connect_call c;

	for (size_t i = 0; i < ARRAY_LEN(nonces); i++) {
		assert_int_equal(connect_nonce_read(nonce, nonces[i], strlen(nonces[i])), -EBADMSG);
		assert_int_equal(connect_call_read(&c, nonces[i], strlen(nonces[i])), -EBADMSG);
	}
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		assert_int_equal(connect_answer_read(&a, answers[i], strlen(answers[i])), -EBADMSG);
}

// Each member of a call is needed, and of its type.
static void a_call_without_a_member_is_refused(void **state)
{
	static const char *const members[] = {"SrcAddr", "DstAddr", "Nonce", "Sig"};
	struct connect_call c;

	for (size_t i = 0; i < 2 * ARRAY_LEN(members); i++) {
		json_t *v = json_loads(vectors_str(texts, "frame2"), 0, NULL);
		char *dump;

		if (i % 2 == 0)
			json_object_del(v, members[i / 2]);
		else
			json_object_set_new(v, members[i / 2], json_integer(1));
		dump = json_dumps(v, 0);
		assert_int_equal(connect_call_read(&c, dump, strlen(dump)), -EBADMSG);
		free(dump);
		json_decref(v);
	}
}

static void a_refusal_with_a_strange_text_is_one(void **state)
{
	const char *text = "{\"OK\":false,\"ErrMsg\":\"\\u0007bell\"}";
	struct connect_answer a;

	assert_int_equal(connect_answer_read(&a, text, strlen(text)), 0);
	assert_false(a.ok);
	assert_string_equal(a.err, "");
}

static void messages_are_told_apart_in_a_stream(void **state)
{
	static const struct {
		const char *text;
		ssize_t want;
	} cases[] = {
		{"", -EAGAIN},
		{"{", -EAGAIN},
		{"{}", -EAGAIN},
		{"{}\n", 3},
		{"{}\n{}\n", 3},
		{"{}{}", -EBADMSG},
		{"{} \n", -EBADMSG},
		{"{\"a\":\"}\"}\n", 10},
		{"{\"a\":\"\\\"}\"}\n", 12},
		{"{\"a\":\"\\\\\"}\n", 11},
		{"{\"a\":{\n}}\n", 10},
		{"[]\n", -EBADMSG},
		{"\n", -EBADMSG},
		{"{\"a\":\"\\", -EAGAIN},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			connect_text_len(cases[i].text, strlen(cases[i].text), 64), cases[i].want);
	assert_int_equal(connect_text_len("{\"a\":1}\n", 8, 8), 8);
	assert_int_equal(connect_text_len("{\"a\":12}\n", 9, 8), -EBADMSG); // too long
	assert_int_equal(connect_text_len("{\"a\":12}", 8, 8), -EBADMSG);
}

static void what_does_not_fit_is_said(void **state)
{
	struct connect_call c = known_call();
	char out[64];

	assert_int_equal(connect_call_write(&c, out, sizeof(out)), -ENOSPC);
	assert_int_equal(connect_nonce_write(c.nonce, out, 10), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_messages_are_written_and_read),
		cmocka_unit_test(the_signed_bytes_are_the_known_ones),
		cmocka_unit_test(another_form_of_the_same_call_verifies),
		cmocka_unit_test(one_changed_bit_is_noticed),
		cmocka_unit_test(own_calls_verify),
		cmocka_unit_test(malformed_texts_are_refused),
		cmocka_unit_test(a_call_without_a_member_is_refused),
		cmocka_unit_test(a_refusal_with_a_strange_text_is_one),
		cmocka_unit_test(messages_are_told_apart_in_a_stream),
		cmocka_unit_test(what_does_not_fit_is_said),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
