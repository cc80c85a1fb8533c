// Every back end against every known answer: RFC 8439, Project Wycheproof, NIST.

#include "tests/support/aead.h"
#include "tests/support/hex.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct vector {
	const char *id;
	uint8_t key[32], iv[12], tag[16];
	uint8_t *aad, *msg, *ct;
	size_t aad_len, msg_len, ct_len;
	bool valid;
};

static void vector_take(struct vector *v, const json_t *o)
{
	v->id = vectors_str(o, "id");
	vectors_hex(o, "key", v->key, 32);
	vectors_hex(o, "iv", v->iv, 12);
	vectors_hex(o, "tag", v->tag, 16);
	v->aad = vectors_hex_new(o, "aad", &v->aad_len);
	v->msg = vectors_hex_new(o, "msg", &v->msg_len);
	v->ct = vectors_hex_new(o, "ct", &v->ct_len);
	v->valid = json_is_true(vectors_get(o, "valid"));
	assert_true(!v->valid || v->msg_len == v->ct_len);
}

static void vector_free(struct vector *v)
{
	free(v->aad);
	free(v->msg);
	free(v->ct);
}

static struct aead_op op_of(
	const struct vector *v, const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag)
{
	struct aead_op op = {.aad = v->aad,
		.aad_len = (uint32_t)v->aad_len,
		.src = src,
		.dst = dst,
		.len = (uint32_t)len,
		.ok = 77,
		.tag = tag};

	memcpy(op.nonce, v->iv, sizeof(op.nonce));
	return op;
}

static void seals_to(struct aead_unit *u, const struct vector *v, bool in_place)
{
	uint8_t *buf = malloc(v->msg_len + 1), tag[16];
	struct aead_op op;

	memset(buf, 0x5a, v->msg_len + 1);
	if (in_place)
		memcpy(buf, v->msg, v->msg_len);
	op = op_of(v, in_place ? buf : v->msg, buf, v->msg_len, tag);
	aead_unit_seal(u, &op, 1);
	if (memcmp(buf, v->ct, v->ct_len) != 0 || memcmp(tag, v->tag, 16) != 0)
		fail_msg("%s: %s is sealed to something else", u->be->name, v->id);
	assert_int_equal(buf[v->msg_len], 0x5a);
	free(buf);
}

static void opens_to(struct aead_unit *u, const struct vector *v, bool in_place)
{
	uint8_t *buf = malloc(v->ct_len + 1), *zeros = calloc(1, v->ct_len + 1), tag[16];
	struct aead_op op;
	unsigned n;

	memset(buf, 0x5a, v->ct_len + 1);
	memcpy(tag, v->tag, 16);
	if (in_place)
		memcpy(buf, v->ct, v->ct_len);
	op = op_of(v, in_place ? buf : v->ct, buf, v->ct_len, tag);
	n = aead_unit_open(u, &op, 1);
	if (n != v->valid || op.ok != v->valid)
		fail_msg("%s: %s is %s", u->be->name, v->id, v->valid ? "refused" : "taken");
	assert_memory_equal(buf, v->valid ? v->msg : zeros, v->ct_len);
	assert_int_equal(buf[v->ct_len], 0x5a);
	free(zeros);
	free(buf);
}

static void one_backend(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	static const uint8_t zero[32];
	struct aead_unit *u = aead_unit_new(be, cipher, zero);
	const json_t *list = arg;
	size_t i, n_valid = 0, n = json_array_size(list);
	json_t *o;

	json_array_foreach(list, i, o)
	{
		struct vector v;

		vector_take(&v, o);
		aead_unit_rekey(u, cipher, v.key);
		for (int in_place = 0; in_place < 2; in_place++) {
			if (v.valid)
				seals_to(u, &v, in_place);
			opens_to(u, &v, in_place);
		}
		n_valid += v.valid;
		vector_free(&v);
	}
	print_message("%s %s: %zu vectors, %zu to be refused\n", be->name, aead_cipher_name(cipher),
		n, n - n_valid);
	aead_unit_free(u);
}

static unsigned run_file(const char *name, enum aead_cipher cipher, size_t at_least)
{
	json_t *root = vectors_load(name);
	json_t *list = vectors_get(root, "vectors");
	unsigned n;

	assert_true(json_array_size(list) >= at_least);
	n = aead_each(cipher, one_backend, list);
	json_decref(root);
	return n;
}

static void chacha20_poly1305_answers_as_known(void **state)
{
	assert_true(run_file("aead-chacha20-poly1305.json", AEAD_CHACHA20_POLY1305, 316) >= 1);
}

static void aes_256_gcm_answers_as_known(void **state)
{
	if (run_file("aead-aes-256-gcm.json", AEAD_AES_256_GCM, 241) == 0)
		skip(); // a CPU without AES
}

// RFC 8439 section 2.8.2, by the burst form; appendix A.5 is among Wycheproof's.
static void rfc_8439(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	struct vector v = {.id = "RFC 8439 2.8.2", .valid = true, .msg_len = sizeof(text) - 1};
	struct aead_unit *u;

	v.msg = (uint8_t *)(uintptr_t)text;
	for (unsigned i = 0; i < 32; i++)
		v.key[i] = (uint8_t)(0x80 + i);
	hex_exact(v.iv, 12, "070000004041424344454647");
	v.aad = hex_new("50515253c0c1c2c3c4c5c6c7", &v.aad_len);
	v.ct = hex_new("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
		       "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
		       "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		       "3ff4def08e4b7a9de576d26586cec64b6116",
		&v.ct_len);
	hex_exact(v.tag, 16, "1ae10b594f09e26a7e902ecbd0600691");
	u = aead_unit_new(be, cipher, v.key);
	for (int in_place = 0; in_place < 2; in_place++) {
		seals_to(u, &v, in_place);
		opens_to(u, &v, in_place);
	}
	aead_unit_free(u);
	free(v.aad);
	free(v.ct);
}

static void every_back_end_answers_as_rfc_8439(void **state)
{
	assert_true(aead_each(AEAD_CHACHA20_POLY1305, rfc_8439, NULL) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_back_end_answers_as_rfc_8439),
		cmocka_unit_test(chacha20_poly1305_answers_as_known),
		cmocka_unit_test(aes_256_gcm_answers_as_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
