// Signed objects of dmsg as anybody can send them: whatever was read is written again, and reading
// that gives the same values. The first byte chooses the kind of object.

#include "lib/wire/dmsg_msg.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

static const struct key_sk sk = {{[31] = 7}};

static void same_span(struct gob_span a, struct gob_span b)
{
	fuzz_check(a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
}

static void same_addr(const struct dmsg_addr *a, const struct dmsg_addr *b)
{
	fuzz_check(memcmp(&a->pk, &b->pk, KEY_PK_LEN) == 0 && a->port == b->port);
}

static void request(const uint8_t *obj, size_t len)
{
	static uint8_t out[DMSG_OBJECT_MAX];
	struct dmsg_request a, b;
	ssize_t n;

	if (dmsg_request_read(&a, obj, len) < 0)
		return;
	(void)dmsg_request_check(&a, obj, len);
	(void)dmsg_noise_is_safe(a.noise);
	n = dmsg_request_make(&a, &sk, out, sizeof(out));
	if (n == -ENOSPC) {
		fuzz_check(a.noise.len > sizeof(out) / 2);
		return;
	}
	fuzz_check(n > 0 && dmsg_request_read(&b, out, (size_t)n) == 0);
	fuzz_check(a.timestamp_ns == b.timestamp_ns && a.ip_info == b.ip_info);
	same_addr(&a.src, &b.src);
	same_addr(&a.dst, &b.dst);
	same_span(a.noise, b.noise);
}

static void response(const uint8_t *obj, size_t len)
{
	static const struct key_pk signer = {{2, [32] = 1}};
	static uint8_t out[DMSG_OBJECT_MAX];
	struct dmsg_response a, b;
	ssize_t n;

	if (dmsg_response_read(&a, obj, len) < 0)
		return;
	(void)dmsg_response_check(&a, obj, len, a.req_hash, &signer);
	n = dmsg_response_make(&a, &sk, out, sizeof(out));
	if (n == -ENOSPC) {
		fuzz_check(a.noise.len > sizeof(out) / 2);
		return;
	}
	fuzz_check(n > 0 && dmsg_response_read(&b, out, (size_t)n) == 0);
	fuzz_check(memcmp(a.req_hash, b.req_hash, DMSG_HASH_LEN) == 0);
	fuzz_check(a.accepted == b.accepted && a.err == b.err && a.ip_len == b.ip_len);
	fuzz_check(memcmp(a.ip, b.ip, a.ip_len) == 0);
	same_span(a.noise, b.noise);
}

static void announce(const uint8_t *obj, size_t len)
{
	uint8_t out[512];
	struct dmsg_announce a, b;
	ssize_t n;

	if (dmsg_announce_read(&a, obj, len) < 0)
		return;
	(void)dmsg_announce_is_from(&a, obj, len, &a.src_pk);
	n = dmsg_announce_make(&a, &sk, out, sizeof(out));
	fuzz_check(n > 0 && dmsg_announce_read(&b, out, (size_t)n) == 0);
	fuzz_check(a.timestamp_ns == b.timestamp_ns);
	fuzz_check(memcmp(&a.src_pk, &b.src_pk, KEY_PK_LEN) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		request(data + 1, size - 1);
		break;
	case 1:
		response(data + 1, size - 1);
		break;
	default:
		announce(data + 1, size - 1);
	}
	return 0;
}
