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
#include "lib/wire/connect_msg.h"
#include "lib/wire/dmsg_entry.h"
#include "lib/wire/dmsg_msg.h"
#include "lib/wire/entry.h"
#include "lib/wire/route_hdr.h"
#include "lib/wire/setup_msg.h"
#include "lib/wire/tp_entry.h"
#include "lib/wire/tp_setup_msg.h"

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

// ---- routes ----

static void say_desc(const struct rule_desc *d)
{
	say_hex(d->src_pk, RULE_PK_LEN);
	printf(":%u ", d->src_port);
	say_hex(d->dst_pk, RULE_PK_LEN);
	printf(":%u", d->dst_port);
}

static void say_rule(const struct rule_wire *r)
{
	printf(" {%u %" PRId64 " %u", r->kind, r->keep_alive_ns, r->key_id);
	if (r->kind != RULE_KIND_INTERMEDIARY) {
		printf(" ");
		say_desc(&r->desc);
	}
	if (r->kind != RULE_KIND_CONSUME) {
		printf(" %u ", r->next_id);
		say_hex(r->next_tp, RULE_TP_ID_LEN);
	}
	printf("}");
}

static void rule(const uint8_t *p, size_t len)
{
	struct rule_wire r;

	if (rule_decode(p, len, &r) < 0)
		refuse();
	else
		say_rule(&r);
}

static void say_body(const struct route_hdr *h)
{
	struct route_ping ping;
	int64_t time;
	uint8_t code;

	if (h->type == ROUTE_CLOSE && route_close_decode(h->payload, h->len, &code) == 0)
		printf("code %u", code);
	else if (h->type == ROUTE_PING && route_ping_decode(h->payload, h->len, &ping) == 0)
		printf("ping %" PRId64 " %" PRId64, ping.time_ms, ping.throughput_Bps);
	else if (h->type == ROUTE_PONG && route_pong_decode(h->payload, h->len, &time) == 0)
		printf("pong %" PRId64, time);
	else
		say_hex(h->payload, h->len);
}

static void packets(const uint8_t *p, size_t len)
{
	struct route_hdr h;
	int n;

	printf("packets");
	for (; (n = route_hdr_decode(p, len, &h)) > 0; p += n, len -= (size_t)n) {
		printf(" [%u %u ", h.type, h.id);
		say_body(&h);
		printf("]");
	}
}

static void say_path(const struct setup_path *path)
{
	for (uint32_t i = 0; i < path->n; i++) {
		printf(" (");
		say_hex(path->hop[i].tp_id, RULE_TP_ID_LEN);
		printf(" ");
		say_hex(path->hop[i].from.b, KEY_PK_LEN);
		printf(" ");
		say_hex(path->hop[i].to.b, KEY_PK_LEN);
		printf(")");
	}
	printf(";");
}

static int say_route(const struct netrpc_rx *rx)
{
	static struct setup_route route;
	int rc = setup_route_read(&route, rx);

	if (rc == 0) {
		say_desc(&route.desc);
		printf(" %" PRId64, route.keep_alive_ns);
		say_path(&route.forward);
		say_path(&route.reverse);
	}
	return rc;
}

static int say_edge(const struct netrpc_rx *rx)
{
	struct setup_edge edge;
	struct rule_wire r;
	int rc = setup_edge_read(&edge, rx);

	if (rc == 0) {
		say_desc(&edge.desc);
		if (rule_decode(edge.forward, sizeof(edge.forward), &r) > 0)
			say_rule(&r);
		if (rule_decode(edge.consume, sizeof(edge.consume), &r) > 0)
			say_rule(&r);
	}
	return rc;
}

static int say_ids(const struct netrpc_rx *rx)
{
	uint32_t ids[SETUP_IDS_MAX], n;
	int rc = setup_ids_read(ids, &n, rx);

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		printf("%u,", ids[i]);
	return rc;
}

static int say_rules(const struct netrpc_rx *rx)
{
	static struct rule_wire rules[SETUP_IDS_MAX];
	uint32_t n;
	int rc = setup_rules_read(rules, &n, rx);

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		say_rule(&rules[i]);
	return rc;
}

static int say_count(const struct netrpc_rx *rx)
{
	uint8_t count;
	int rc = setup_count_read(&count, rx);

	if (rc == 0)
		printf("%u", count);
	return rc;
}

static int say_bool(const struct netrpc_rx *rx)
{
	bool v;
	int rc = setup_bool_read(&v, rx);

	if (rc == 0)
		printf("%d", v);
	return rc;
}

static void say_uuid(const uint8_t id[TP_SETUP_ID_LEN])
{
	char text[ENTRY_ID_TEXT_LEN];

	entry_id_format(text, id);
	printf("%s", text);
}

static int say_tp_ask(const struct netrpc_rx *rx)
{
	struct tp_setup_ask ask;
	int rc = tp_setup_ask_read(&ask, rx);

	if (rc == 0) {
		say_hex(ask.remote.b, KEY_PK_LEN);
		printf(" %s", ask.type);
	}
	return rc;
}

static int say_tp_id(const struct netrpc_rx *rx)
{
	uint8_t id[TP_SETUP_ID_LEN];
	int rc = tp_setup_id_read(id, rx);

	if (rc == 0)
		say_uuid(id);
	return rc;
}

static void say_one_tp(const struct tp_setup_tp *tp)
{
	say_uuid(tp->id);
	printf(" ");
	say_hex(tp->local.b, KEY_PK_LEN);
	printf(" ");
	say_hex(tp->remote.b, KEY_PK_LEN);
	printf(" %s", tp->type);
}

static int say_tp(const struct netrpc_rx *rx)
{
	struct tp_setup_tp tp;
	int rc = tp_setup_tp_read(&tp, rx);

	if (rc == 0)
		say_one_tp(&tp);
	return rc;
}

static int say_tps(const struct netrpc_rx *rx)
{
	struct tp_setup_tp list[TP_SETUP_MAX];
	uint32_t n;
	int rc = tp_setup_list_read(list, &n, rx);

	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		say_one_tp(&list[i]);
		printf(",");
	}
	return rc;
}

static int say_nothing(const struct netrpc_rx *rx)
{
	(void)rx;
	return 0;
}

struct method {
	const char *name;
	int (*call)(const struct netrpc_rx *rx);
	int (*answer)(const struct netrpc_rx *rx);
};

static const struct method *find_method(const char *name)
{
	static const struct method methods[] = {
		{SETUP_DIAL, say_route, say_edge},
		{SETUP_RESERVE, say_count, say_ids},
		{SETUP_INTERMEDIARY, say_rules, say_bool},
		{SETUP_EDGE, say_edge, say_bool},
		{SETUP_DELETE, say_ids, say_bool},
		{TP_SETUP_ADD, say_tp_ask, say_tp},
		{TP_SETUP_REMOVE, say_tp_id, say_nothing},
		{TP_SETUP_LIST, say_nothing, say_tps},
		{"", say_nothing, say_nothing},
	};
	const struct method *m = methods;

	while (m->name[0] != '\0' && strcmp(m->name, name) != 0)
		m++;
	return m;
}

// One direction of a connection, until it ends or what comes is no net/rpc.
static void rpc(bool answers, const uint8_t *p, size_t len)
{
	static struct netrpc_rx rx;
	ssize_t n = 0;
	bool ready;

	memset(&rx, 0, sizeof(rx));
	for (; len > 0 && (n = netrpc_take(&rx, p, len, &ready)) >= 0; p += n, len -= (size_t)n) {
		const struct method *m = find_method(rx.method);

		if (!ready)
			continue;
		printf("[%s %" PRIu64 " ", rx.method, rx.seq);
		say_hex((const uint8_t *)rx.error, strlen(rx.error));
		printf(" ");
		if (rx.error[0] == '\0' && (answers ? m->answer : m->call)(&rx) < 0)
			refuse();
		printf("]");
	}
	printf(" %s", n < 0 ? "reject" : "more");
}

static void calls(const uint8_t *p, size_t len)
{
	rpc(false, p, len);
}

static void answers(const uint8_t *p, size_t len)
{
	rpc(true, p, len);
}

static void signed_entry(const uint8_t *p, size_t len)
{
	char text[TP_ENTRY_TEXT_MAX];
	struct tp_entry e;

	if (tp_entry_read(&e, (const char *)p, len) < 0 ||
		tp_entry_write(&e, text, sizeof(text)) < 0) {
		refuse();
		return;
	}
	printf("%s", text);
	if (tp_entry_is_of(&e, &e.edge[0], &e.edge[1], e.type))
		printf(" %d %d", tp_entry_verify(&e, &e.edge[0]) == 0,
			tp_entry_verify(&e, &e.edge[1]) == 0);
}

// Frames of the connect handshake: as they are written again.
static void say_text(ssize_t len, const char *text)
{
	if (len < 0)
		refuse();
	else
		printf("%.*s", (int)len - 1, text); // without its LF
}

static void connect_nonce(const uint8_t *p, size_t len)
{
	uint8_t nonce[CONNECT_NONCE_LEN];
	char text[CONNECT_TEXT_MAX];

	say_text(connect_nonce_read(nonce, (const char *)p, len) < 0
			 ? -1
			 : connect_nonce_write(nonce, text, sizeof(text)),
		text);
}

static void connect_call(const uint8_t *p, size_t len)
{
	struct connect_call c;
	char text[CONNECT_TEXT_MAX];

	if (connect_call_read(&c, (const char *)p, len) < 0) {
		refuse();
		return;
	}
	say_text(connect_call_write(&c, text, sizeof(text)), text);
	printf(" %d", connect_call_verify(&c) == 0);
}

static void connect_answer(const uint8_t *p, size_t len)
{
	struct connect_answer a;

	if (connect_answer_read(&a, (const char *)p, len) < 0)
		refuse();
	else
		printf("%d %s", a.ok, a.ok ? "" : a.err);
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
	['l'] = rule,
	['p'] = packets,
	['n'] = calls,
	['a'] = answers,
	['s'] = signed_entry,
	['1'] = connect_nonce,
	['2'] = connect_call,
	['3'] = connect_answer,
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
