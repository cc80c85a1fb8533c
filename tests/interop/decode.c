// Our decoders as a filter: cases on standard input, a line for each on standard output, which says
// what was read, or that it was refused. tests/interop/peer compares with what Go's say (`peer
// diff`).
//
//     case = kind (1) | length (4, big-endian) | bytes        kinds: see decoders[]
//
// Keys and ephemeral keys of the handshakes are constants that both sides know.

#include "lib/base/err.h"
#include "lib/crypto/noise_rec.h"
#include "lib/mux/smux.h"
#include "lib/mux/yamux.h"
#include "lib/wire/dmsg_entry.h"
#include "lib/wire/dmsg_msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASE_MAX = 1 << 20, STREAMS_MAX = 256 };

static void say_hex(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
}

static void refuse(void)
{
	printf("reject");
}

// ---- signed objects ----

static void say_addr(const struct dmsg_addr *a)
{
	say_hex(a->pk.b, KEY_PK_LEN);
	printf(":%u ", a->port);
}

static void request(const uint8_t *p, size_t len)
{
	struct dmsg_request r;

	if (dmsg_request_read(&r, p, len) < 0) {
		refuse();
		return;
	}
	printf("%d %" PRId64 " ", dmsg_request_check(&r, p, len), r.timestamp_ns);
	say_addr(&r.src);
	say_addr(&r.dst);
	printf("%d %d %d ", r.ip_info, r.geo_info, dmsg_noise_is_safe(r.noise));
	say_hex(r.noise.p, r.noise.len);
}

static void say_float(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	printf("%016" PRIx64 " ", bits);
}

static void response(const uint8_t *p, size_t len)
{
	struct dmsg_response r;

	if (dmsg_response_read(&r, p, len) < 0) {
		refuse();
		return;
	}
	say_hex(r.req_hash, sizeof(r.req_hash));
	printf(" %d %u ip ", r.accepted, r.err);
	say_hex(r.ip, r.ip_len);
	printf(" geo ");
	say_hex(r.geo_country.p, r.geo_country.len);
	printf(" ");
	say_hex(r.geo_region.p, r.geo_region.len);
	printf(" ");
	say_float(r.geo_lat);
	say_float(r.geo_lon);
	say_hex(r.noise.p, r.noise.len);
}

// ---- entries ----

static void entry(const uint8_t *p, size_t len)
{
	static char text[DMSG_ENTRY_TEXT_MAX];
	struct dmsg_entry e;

	if (dmsg_entry_read(&e, (const char *)p, len) < 0 ||
		dmsg_entry_write(&e, false, text, sizeof(text)) < 0) {
		refuse();
		return;
	}
	printf("%s %s", text,
		!e.has_signature             ? "unsigned"
		: dmsg_entry_verify(&e) == 0 ? "good"
					     : "bad");
}

// ---- noise: initiator A, responder B ----

static const uint8_t a_sk[32] = {[31] = 5}, b_sk[32] = {[31] = 6};
static const uint8_t a_e[32] = {[31] = 7}, b_e[32] = {[31] = 8};

static void init(struct noise *n, enum noise_pattern pattern, bool initiator)
{
	uint8_t a_pk[33], b_pk[33];
	struct noise_conf c = {
		.pattern = pattern,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = initiator,
		.s = initiator ? a_sk : b_sk,
		.rs = initiator             ? b_pk
		      : pattern == NOISE_KK ? a_pk
					    : NULL,
		.test_e = initiator ? a_e : b_e,
	};

	if (c.dh->pub(a_pk, a_sk) < 0 || c.dh->pub(b_pk, b_sk) < 0 || noise_init(n, &c) < 0)
		abort();
}

// The first message, at B; what B answers holds what it made of every byte.
static void first_message(enum noise_pattern pattern, const uint8_t *p, size_t len)
{
	static uint8_t payload[NOISE_MAX_MSG_LEN];
	uint8_t out[256];
	struct noise n;
	ssize_t made;

	init(&n, pattern, false);
	if (noise_read(&n, p, len, payload, sizeof(payload)) < 0 ||
		(made = noise_write(&n, NULL, 0, out, sizeof(out))) < 0)
		refuse();
	else
		say_hex(out, (size_t)made);
}

static void kk_first(const uint8_t *p, size_t len)
{
	first_message(NOISE_KK, p, len);
}

static void xk_first(const uint8_t *p, size_t len)
{
	first_message(NOISE_XK, p, len);
}

static void pass(struct noise *from, struct noise *to)
{
	uint8_t msg[256], payload[256];
	ssize_t n = noise_write(from, NULL, 0, msg, sizeof(msg));

	if (n < 0 || noise_read(to, msg, (size_t)n, payload, sizeof(payload)) < 0)
		abort();
}

// A's third message, at B; then who A is and the hash of it all.
static void xk_third(const uint8_t *p, size_t len)
{
	static uint8_t payload[NOISE_MAX_MSG_LEN];
	uint8_t hash[HASH_MAX_LEN];
	struct noise a, b;

	init(&a, NOISE_XK, true);
	init(&b, NOISE_XK, false);
	pass(&a, &b);
	pass(&b, &a);
	if (noise_read(&b, p, len, payload, sizeof(payload)) < 0) {
		refuse();
		return;
	}
	say_hex(noise_remote_static(&b), 33);
	say_hex(hash, noise_hash(&b, hash));
}

// Of a stream from A to B, records until one is refused or not whole.
static void records(const uint8_t *p, size_t len)
{
	static uint8_t in[CASE_MAX];
	struct noise a, b;
	struct noise_rec r;
	const uint8_t *data;
	size_t at = 0, data_len;
	ssize_t n;

	init(&a, NOISE_KK, true);
	init(&b, NOISE_KK, false);
	pass(&a, &b);
	pass(&b, &a);
	if (noise_rec_adopt(&r, &b) < 0)
		abort();
	memcpy(in, p, len);
	while ((n = noise_rec_open(&r, in + at, len - at, &data, &data_len)) > 0) {
		say_hex(data, data_len);
		at += (size_t)n;
	}
	printf(" %s", n == -EAGAIN ? "more" : "reject");
}

// Of a session from A to B, each behind its length: what each says, for a bad one ends nothing.
static void units(const uint8_t *p, size_t len)
{
	static uint8_t out[CASE_MAX];
	struct noise a, b;
	struct noise_tx tx;
	struct noise_rx rx;
	struct noise_rx_any any;

	init(&a, NOISE_XK, true);
	init(&b, NOISE_XK, false);
	pass(&a, &b);
	pass(&b, &a);
	pass(&a, &b);
	if (noise_unit_keys(&b, &tx, &rx) < 0)
		abort();
	noise_rx_any_init(&any, &rx);
	printf("units");
	while (len >= 2 && len - 2 >= (size_t)(p[0] << 8 | p[1])) {
		size_t unit_len = (size_t)(p[0] << 8 | p[1]);
		ssize_t n = noise_unit_open_any(&any, p + 2, unit_len, out);

		printf(" ");
		if (n < 0)
			refuse();
		else
			say_hex(out, (size_t)n);
		p += 2 + unit_len;
		len -= 2 + unit_len;
	}
}

// ---- muxers: as who was dialled ----

static void say_stream(struct mux_stream *s)
{
	static uint8_t buf[65536];
	ptrdiff_t n;

	printf(" [");
	while ((n = mux_read(s, buf, sizeof(buf))) > 0)
		say_hex(buf, (size_t)n);
	printf(" %s]", n == 0 ? "end" : n == -EAGAIN ? "open" : "reset");
}

static void mux_session(struct mux *m, const uint8_t *p, size_t len)
{
	static uint8_t out[65536];
	struct mux_stream *s;
	ptrdiff_t n = 1;

	if (m == NULL)
		abort();
	while (len > 0 && n > 0) {
		n = mux_input(m, p, len, 1);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		while (mux_output(m, out, sizeof(out), 1) > 0)
			;
	}
	if (mux_stats(m)->err != 0) {
		refuse();
	} else {
		printf("streams");
		while ((s = mux_accept(m)) != NULL)
			say_stream(s);
		if (len > 0)
			printf(" full");
	}
	mux_free(m);
}

static void yamux(const uint8_t *p, size_t len)
{
	struct mux_conf c;

	yamux_conf(&c, false);
	mux_session(yamux_new(&c, 1), p, len);
}

static void smux(uint8_t version, const uint8_t *p, size_t len)
{
	struct mux_conf c;

	smux_conf(&c, false);
	mux_session(smux_new(&c, version, 1), p, len);
}

static void smux1(const uint8_t *p, size_t len)
{
	smux(1, p, len);
}

static void smux2(const uint8_t *p, size_t len)
{
	smux(2, p, len);
}

static void (*const decoders['z' + 1])(const uint8_t *p, size_t len) = {
	['q'] = request,
	['r'] = response,
	['e'] = entry,
	['k'] = kk_first,
	['x'] = xk_first,
	['t'] = xk_third,
	['c'] = records,
	['u'] = units,
	['y'] = yamux,
	['v'] = smux1,
	['w'] = smux2,
};

int main(void)
{
	uint8_t head[5];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 |
			     head[4];
		// of its own size, so that a sanitizer sees what reads beyond
		uint8_t *p = malloc(len > 0 ? len : 1);

		if (p == NULL || len > CASE_MAX || head[0] > 'z' || decoders[head[0]] == NULL ||
			(len > 0 && fread(p, len, 1, stdin) != 1)) {
			fprintf(stderr, "decode: not a case\n");
			free(p);
			return 1;
		}
		decoders[head[0]](p, len);
		free(p);
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
