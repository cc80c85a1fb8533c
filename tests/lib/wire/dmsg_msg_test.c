// Signed objects of dmsg: those of both generations are read, ours are byte for byte those of 2024,
// every defect has its code, and no touched bit passes.

#include "lib/wire/dmsg_msg.h"

#include "lib/base/err.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
	json_t *root;
	const json_t *objects;
	struct key_sk a_sk, b_sk, s_sk;
	struct key_pk a, b, s;
};

static void get_key(const json_t *keys, const char *name, struct key_sk *sk, struct key_pk *pk)
{
	vectors_hex(vectors_get(keys, name), "sk", sk->b, KEY_SK_LEN);
	vectors_hex(vectors_get(keys, name), "pk", pk->b, KEY_PK_LEN);
}

static int setup(void **state)
{
	static struct world w;
	const json_t *keys;

	w.root = vectors_load("dmsg.json");
	keys = vectors_get(w.root, "keys");
	w.objects = vectors_get(w.root, "signed_objects");
	get_key(keys, "A", &w.a_sk, &w.a);
	get_key(keys, "B", &w.b_sk, &w.b);
	get_key(keys, "S", &w.s_sk, &w.s);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	json_decref(((struct world *)*state)->root);
	return 0;
}

static uint8_t *object_new(const struct world *w, const char *name, size_t *len)
{
	return vectors_hex_new(vectors_get(w->objects, name), "signed_object", len);
}

// Ours has the same gob and a signature of its own.
static void assert_same_gob(const struct world *w, const char *name, const uint8_t *obj,
	ssize_t len, const struct key_pk *signer)
{
	struct sign_sig sig;
	size_t want_len;
	uint8_t *want = vectors_hex_new(vectors_get(w->objects, name), "gob", &want_len);

	assert_int_equal(len, want_len + SIGN_LEN);
	assert_memory_equal(obj + SIGN_LEN, want, want_len);
	memcpy(sig.b, obj, SIGN_LEN);
	assert_int_equal(sign_verify(&sig, signer, obj + SIGN_LEN, want_len), 0);
	free(want);
}

static const char *const stream_requests[] = {"stream_request_2024", "stream_request_2026_fields",
	"stream_request_hand_encoded_template"};

static void reads_and_writes_stream_requests(void **state)
{
	const struct world *w = *state;
	uint8_t out[DMSG_OBJECT_MAX], noise[49];
	struct dmsg_request req;

	vectors_hex(vectors_get(vectors_get(w->objects, "stream_request_2024"), "fields"),
		"NoiseMsg", noise, sizeof(noise));
	for (size_t i = 0; i < ARRAY_LEN(stream_requests); i++) {
		size_t len;
		uint8_t *obj = object_new(w, stream_requests[i], &len);

		assert_int_equal(dmsg_request_read(&req, obj, len), 0);
		assert_int_equal(dmsg_request_check(&req, obj, len), DMSG_OK);
		assert_int_equal(req.timestamp_ns, 1700000000123456789);
		assert_memory_equal(&req.src.pk, &w->a, KEY_PK_LEN);
		assert_memory_equal(&req.dst.pk, &w->b, KEY_PK_LEN);
		assert_int_equal(req.src.port, 49153);
		assert_int_equal(req.dst.port, 80);
		assert_false(req.ip_info || req.geo_info);
		assert_int_equal(req.noise.len, 49);
		assert_memory_equal(req.noise.p, noise, 49);
		assert_true(dmsg_noise_is_safe(req.noise));
		assert_same_gob(w, "stream_request_2024", out,
			dmsg_request_make(&req, &w->a_sk, out, sizeof(out)), &w->a);
		free(obj);
	}
}

static void reads_and_writes_ip_requests(void **state)
{
	const struct world *w = *state;
	uint8_t out[DMSG_OBJECT_MAX];
	struct dmsg_request req;
	size_t len;
	uint8_t *obj = object_new(w, "ip_request_2024", &len);

	assert_int_equal(dmsg_request_read(&req, obj, len), 0);
	assert_int_equal(dmsg_request_check(&req, obj, len), DMSG_OK);
	assert_true(req.ip_info);
	assert_int_equal(req.dst.port, 1);
	assert_memory_equal(&req.dst.pk, &w->s, KEY_PK_LEN);
	assert_int_equal(req.noise.len, 0);
	assert_false(dmsg_noise_is_safe(req.noise));
	assert_same_gob(w, "ip_request_2024", out,
		dmsg_request_make(&req, &w->a_sk, out, sizeof(out)), &w->a);
	free(obj);
}

static void reads_and_writes_responses(void **state)
{
	static const struct {
		const char *name, *request;
		bool by_server, is_2024;
		enum dmsg_err code;
		unsigned ip_len;
	} cases[] = {
		{"stream_response_2024_accepted", "stream_request_2024", false, true, DMSG_OK, 0},
		{"stream_response_2024_rejected_306", "stream_request_2024", false, true,
			DMSG_ERR_NO_LISTENER, 0},
		{"ip_response_2024_ipv4_4byte", "ip_request_2024", true, true, DMSG_OK, 4},
		{"ip_response_2024_ipv4_16byte", "ip_request_2024", true, true, DMSG_OK, 16},
		{"ip_response_2026_geo", "ip_request_2024", true, false, DMSG_OK, 4},
	};
	const struct world *w = *state;
	uint8_t out[DMSG_OBJECT_MAX], hash[DMSG_HASH_LEN], want[DMSG_HASH_LEN];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct key_pk *signer = cases[i].by_server ? &w->s : &w->b;
		const struct key_sk *sk = cases[i].by_server ? &w->s_sk : &w->b_sk;
		struct dmsg_response resp;
		size_t len, req_len;
		uint8_t *obj = object_new(w, cases[i].name, &len);
		uint8_t *req = object_new(w, cases[i].request, &req_len);

		dmsg_object_hash(hash, req, req_len);
		vectors_hex(vectors_get(w->objects, cases[i].request), "signed_object_sha256", want,
			sizeof(want));
		assert_memory_equal(hash, want, sizeof(want));
		assert_int_equal(dmsg_response_read(&resp, obj, len), 0);
		assert_int_equal(dmsg_response_check(&resp, obj, len, hash, signer), cases[i].code);
		assert_int_equal(resp.ip_len, cases[i].ip_len);
		if (cases[i].is_2024)
			assert_same_gob(w, cases[i].name, out,
				dmsg_response_make(&resp, sk, out, sizeof(out)), signer);
		free(obj);
		free(req);
	}
}

static void reads_where_a_2026_server_thinks_we_are(void **state)
{
	const struct world *w = *state;
	struct dmsg_response resp;
	size_t len;
	uint8_t *obj = object_new(w, "ip_response_2026_geo", &len);

	assert_int_equal(dmsg_response_read(&resp, obj, len), 0);
	assert_memory_equal(resp.ip, "\xcb\x00\x71\x05", 4);
	assert_int_equal(resp.geo_country.len, 2);
	assert_memory_equal(resp.geo_country.p, "NZ", 2);
	assert_int_equal(resp.geo_region.len, 3);
	assert_memory_equal(resp.geo_region.p, "WGN", 3);
	assert_true(resp.geo_lat == -41.25 && resp.geo_lon == 174.75);
	free(obj);
}

static void reads_and_writes_announcements(void **state)
{
	const struct world *w = *state;
	const char *name = "peer_announce_2026_fields_assumed_order";
	uint8_t out[DMSG_OBJECT_MAX];
	struct dmsg_announce a;
	size_t len;
	uint8_t *obj = object_new(w, name, &len);

	assert_int_equal(dmsg_announce_read(&a, obj, len), 0);
	assert_true(dmsg_announce_is_from(&a, obj, len, &w->s));
	assert_false(dmsg_announce_is_from(&a, obj, len, &w->a));
	assert_same_gob(w, name, out, dmsg_announce_make(&a, &w->s_sk, out, sizeof(out)), &w->s);
	free(obj);
	// a request is no announcement: it has no SrcPK
	obj = object_new(w, "stream_request_2024", &len);
	assert_int_equal(dmsg_announce_read(&a, obj, len), 0);
	assert_false(dmsg_announce_is_from(&a, obj, len, &w->a));
	free(obj);
}

static struct dmsg_request good_request(const struct world *w)
{
	static const uint8_t noise[DMSG_NOISE_MIN_LEN] = {2};

	return (struct dmsg_request){
		.timestamp_ns = 1,
		.src = {w->a, 49153},
		.dst = {w->b, 80},
		.noise = {noise, sizeof(noise)},
	};
}

static void spoil_src_pk(struct dmsg_request *r)
{
	memset(&r->src.pk, 0, sizeof(r->src.pk));
}

static void spoil_dst_pk(struct dmsg_request *r)
{
	memset(&r->dst.pk, 0, sizeof(r->dst.pk));
}

static void spoil_src_port(struct dmsg_request *r)
{
	r->src.port = 0;
}

static void spoil_dst_port(struct dmsg_request *r)
{
	r->dst.port = 0;
}

static void spoil_time(struct dmsg_request *r)
{
	r->timestamp_ns = 0;
}

static void spoil_time_more(struct dmsg_request *r)
{
	r->timestamp_ns = INT64_MIN;
}

static void spoil_signer(struct dmsg_request *r)
{
	r->src.pk = r->dst.pk;
}

static void spoil_src_all(struct dmsg_request *r)
{
	spoil_src_pk(r);
	spoil_src_port(r);
	spoil_dst_pk(r);
}

static void each_defect_of_a_request_has_its_code(void **state)
{
	static const struct {
		void (*spoil)(struct dmsg_request *r);
		enum dmsg_err code;
	} cases[] = {
		{spoil_src_pk, DMSG_ERR_REQ_SRC_PK}, {spoil_src_port, DMSG_ERR_REQ_SRC_PORT},
		{spoil_dst_pk, DMSG_ERR_REQ_DST_PK}, {spoil_dst_port, DMSG_ERR_REQ_DST_PORT},
		{spoil_time, DMSG_ERR_REQ_TIMESTAMP}, {spoil_time_more, DMSG_ERR_REQ_TIMESTAMP},
		{spoil_signer, DMSG_ERR_REQ_SIGNATURE},
		{spoil_src_all, DMSG_ERR_REQ_SRC_PK}, // the first one counts
	};
	const struct world *w = *state;
	uint8_t obj[DMSG_OBJECT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dmsg_request req = good_request(w), got;
		ssize_t len;

		cases[i].spoil(&req);
		len = dmsg_request_make(&req, &w->a_sk, obj, sizeof(obj));
		assert_true(len > 0);
		assert_int_equal(dmsg_request_read(&got, obj, (size_t)len), 0);
		assert_int_equal(got.timestamp_ns, req.timestamp_ns);
		assert_int_equal(dmsg_request_check(&got, obj, (size_t)len), cases[i].code);
	}
}

static void each_defect_of_a_response_has_its_code(void **state)
{
	const struct world *w = *state;
	uint8_t obj[DMSG_OBJECT_MAX], hash[DMSG_HASH_LEN] = {1};
	struct dmsg_response r = {.req_hash = {1}, .err = DMSG_ERR_NO_CAPACITY}, got;
	ssize_t len = dmsg_response_make(&r, &w->b_sk, obj, sizeof(obj));

	assert_int_equal(dmsg_response_read(&got, obj, (size_t)len), 0);
	assert_int_equal(
		dmsg_response_check(&got, obj, (size_t)len, hash, &w->b), DMSG_ERR_NO_CAPACITY);
	assert_int_equal(
		dmsg_response_check(&got, obj, (size_t)len, hash, &w->a), DMSG_ERR_RESP_SIGNATURE);
	hash[0] = 2;
	assert_int_equal(
		dmsg_response_check(&got, obj, (size_t)len, hash, &w->b), DMSG_ERR_RESP_HASH);
	hash[0] = 1;
	assert_int_equal(
		dmsg_response_check(&got, obj, SIGN_LEN, hash, &w->b), DMSG_ERR_OBJECT_SHORT);
	// refused for no reason, for one that we don't know, or for one that is never sent
	static const uint16_t other[] = {0, 999, DMSG_ERR_REPLAYED};
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		r.err = other[i];
		len = dmsg_response_make(&r, &w->b_sk, obj, sizeof(obj));
		assert_int_equal(dmsg_response_read(&got, obj, (size_t)len), 0);
		assert_int_equal(dmsg_response_check(&got, obj, (size_t)len, hash, &w->b),
			DMSG_ERR_RESP_REFUSED);
	}
}

static void no_touched_bit_of_a_request_passes(void **state)
{
	const struct world *w = *state;
	struct dmsg_request req;
	size_t len;
	uint8_t *obj = object_new(w, "stream_request_2024", &len);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		obj[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(dmsg_request_read(&req, obj, len) < 0 ||
			    dmsg_request_check(&req, obj, len) != DMSG_OK);
		obj[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_true(dmsg_request_read(&req, obj, cut) < 0);
	free(obj);
}

static void keys_and_addresses_of_wrong_lengths_are_refused(void **state)
{
	const struct world *w = *state;
	struct dmsg_response resp = {.ip_len = 5}, got;
	struct dmsg_request req;
	uint8_t out[DMSG_OBJECT_MAX];
	size_t len;
	uint8_t *obj = object_new(w, "stream_request_2024", &len);
	ssize_t n;

	assert_int_equal(dmsg_request_read(&req, obj, len), 0);
	for (size_t i = SIGN_LEN; i + 34 < len; i++) {
		if (obj[i] != 33 || memcmp(obj + i + 1, w->a.b, KEY_PK_LEN) != 0)
			continue;
		obj[i] = 32; // the rest of the key becomes something else
		assert_int_equal(dmsg_request_read(&req, obj, len), -EBADMSG);
		obj[i] = 0;
		assert_int_equal(dmsg_request_read(&req, obj, len), -EBADMSG);
	}
	free(obj);
	n = dmsg_response_make(&resp, &w->b_sk, out, sizeof(out));
	assert_int_equal(dmsg_response_read(&got, out, (size_t)n), -EBADMSG);
}

static void noise_messages_that_crash_go_peers_are_told(void **state)
{
	const struct world *w = *state;
	uint8_t noise[DMSG_NOISE_MAX_LEN + 1] = {0};

	memcpy(noise, w->a.b, KEY_PK_LEN);
	assert_true(dmsg_noise_is_safe((struct gob_span){noise, 49}));
	assert_true(dmsg_noise_is_safe((struct gob_span){noise, 1233}));
	assert_false(dmsg_noise_is_safe((struct gob_span){noise, 48}));
	assert_false(dmsg_noise_is_safe((struct gob_span){noise, DMSG_NOISE_MAX_LEN + 1}));
	noise[0] = 4;
	assert_false(dmsg_noise_is_safe((struct gob_span){noise, 49}));
	memset(noise, 0, 33);
	noise[0] = 2, noise[32] = 5; // X = 5 is not on the curve
	assert_false(dmsg_noise_is_safe((struct gob_span){noise, 49}));
}

static void too_small_buffers_and_bad_keys_are_said(void **state)
{
	static const struct key_sk zero;
	const struct world *w = *state;
	struct dmsg_request req = good_request(w);
	uint8_t out[DMSG_OBJECT_MAX], big[DMSG_OBJECT_MAX] = {0};
	ssize_t len = dmsg_request_make(&req, &w->a_sk, out, sizeof(out));

	assert_int_equal(dmsg_request_make(&req, &w->a_sk, out, (size_t)len - 1), -ENOSPC);
	assert_int_equal(dmsg_request_make(&req, &zero, out, sizeof(out)), -EINVAL);
	req.noise = (struct gob_span){big, sizeof(big)};
	assert_int_equal(dmsg_request_make(&req, &w->a_sk, out, sizeof(out)), -ENOSPC);
}

static void codes_have_texts(void **state)
{
	assert_string_equal(dmsg_err_text(DMSG_ERR_NO_LISTENER), "nobody listens on that port");
	assert_string_equal(dmsg_err_text(12345), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_stream_requests),
		cmocka_unit_test(reads_and_writes_ip_requests),
		cmocka_unit_test(reads_and_writes_responses),
		cmocka_unit_test(reads_where_a_2026_server_thinks_we_are),
		cmocka_unit_test(reads_and_writes_announcements),
		cmocka_unit_test(each_defect_of_a_request_has_its_code),
		cmocka_unit_test(each_defect_of_a_response_has_its_code),
		cmocka_unit_test(no_touched_bit_of_a_request_passes),
		cmocka_unit_test(keys_and_addresses_of_wrong_lengths_are_refused),
		cmocka_unit_test(noise_messages_that_crash_go_peers_are_told),
		cmocka_unit_test(too_small_buffers_and_bad_keys_are_said),
		cmocka_unit_test(codes_have_texts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
