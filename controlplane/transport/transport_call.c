// One connection while it is being set up: TCP, connect handshake, Noise, settlement
// (lib/link/carry_hs.h has the messages and their limits); or a dmsg stream, which says who calls
// and is sealed already, so that only the settlement is left. What a caller may cost is bounded: so
// many at once, and so many of one address. Once begun, a dial of ours is carried through to its
// end: a visor that is left in the middle of one accepts no more transports (real visors).
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/core/noise_conn.h"
#include "controlplane/transport/transport_priv.h"
#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/dh.h"

LOG_MODULE("transport");

static const struct conn_tcp_opts tcp_opts = {
	.keepalive_s = TP_KEEPALIVE_S, .user_timeout_ms = TP_USER_TIMEOUT_MS};

static const char *addr_text(const struct dpmsg_addr *addr, char *buf, size_t cap)
{
	struct api_addr a = {.port = addr->port};

	memcpy(a.ip, addr->ip, sizeof(a.ip));
	return api_addr_text(&a, buf, cap);
}

static const char *from_text(const struct tp_call *c, char *buf, size_t cap)
{
	char key[KEY_PK_TEXT_LEN + 1];

	if (c->type == TRANSPORT_DMSG) { // which has no addresses
		key_pk_to_text(&c->h.peer, key);
		snprintf(buf, cap, "%.8s", key);
		return buf;
	}
	return addr_text(&c->from, buf, cap);
}

static void addr_of(const struct sockaddr_storage *ss, struct dpmsg_addr *out)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;

	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET) {
		memset(out->ip + 10, 0xff, 2);
		memcpy(out->ip + 12, &v4->sin_addr, 4);
		out->port = ntohs(v4->sin_port);
	} else {
		memcpy(out->ip, &v6->sin6_addr, 16);
		out->port = ntohs(v6->sin6_port);
	}
}

void tp_call_close(struct tp_call *c)
{
	if (c == NULL)
		return;
	if (c->prev != NULL) {
		*c->prev = c->next;
		if (c->next != NULL)
			c->next->prev = c->prev;
	}
	dmsg_client_dial_cancel(c->dial);
	resolver_cancel(c->ask);
	free(c->where);
	conn_close(c->conn);
	tp_register_down(c->reg);
	loop_timer_free(c->timer);
	free(c);
}

void tp_calls_close(struct transport_mgr *m)
{
	while (m->car.callers != NULL)
		tp_call_close(m->car.callers);
}

bool tp_call_comes(
	const struct transport_mgr *m, const struct key_pk *peer, enum transport_type type)
{
	for (const struct tp_call *c = m->car.callers; c != NULL; c = c->next)
		if (c->known && c->type == type && key_pk_cmp(&c->h.peer, peer) == 0)
			return true;
	return false;
}

// ---- the steps ----

// It came to nothing. c is gone afterwards.
static void over(struct tp_call *c, const char *why, int err)
{
	struct transport *t = c->t;
	char from[64], key[KEY_PK_TEXT_LEN + 1];

	if (t != NULL) {
		bool crossed = tp_call_comes(c->m, &t->conf.peer, (enum transport_type)c->type);

		t->carried->call = NULL;
		// It may be settled for the peer, unless that has refused.
		if (c->h.offered && err != -ECONNREFUSED) {
			t->carried->path = c->path;
			tp_carried_cut(t, err);
		}
		tp_carried_failed(t, why, c->begun ? err : -ENOTCONN, crossed);
	} else {
		c->m->stats.carried_failed++;
		c->m->stats.drop_carried_forged += err == -EBADMSG;
		c->m->stats.drop_carried_slow += err == -ETIMEDOUT;
		key_pk_to_text(&c->h.peer, key);
		log_limited(LOG_NOTICE, "%s transport of %s: %s%s%s%s%s",
			transport_type_name((enum transport_type)c->type),
			from_text(c, from, sizeof(from)), why, c->note != NULL ? ": " : "",
			c->note != NULL ? key : "", c->note != NULL ? " " : "",
			c->note != NULL ? c->note : "");
	}
	tp_call_close(c);
}

// All of it at once: a few hundred bytes find room in a conn that has written nothing else.
static bool flush(struct tp_call *c)
{
	size_t len = c->h.out_len;

	c->h.out_len = 0;
	if (len == 0)
		return true;
	c->begun = true;
	return conn_write(c->conn, c->h.out, len) == (ssize_t)len;
}

static void arm(struct tp_call *c)
{
	uint64_t now = clock_mono_ns();

	if (c->h.deadline_ns == 0)
		loop_timer_stop(c->timer);
	else
		loop_timer_start(c->timer,
			c->h.deadline_ns > now ? (c->h.deadline_ns - now) / CLOCK_NS_PER_MS + 1 : 0,
			0);
}

static const struct conn_events noise_events;

static bool go_secret(struct tp_call *c)
{
	struct noise_conf nc = {.pattern = NOISE_KK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = c->h.initiator,
		.s = c->m->self.sk->b,
		.s_pk = c->m->self.pk->b,
		.rs = c->h.peer.b};
	struct conn *tcp = c->conn;

	c->conn = NULL; // also when it fails
	c->secret = true;
	c->conn = noise_conn_new(
		c->m->conf.loop, tcp, &nc, CARRY_HS_NOISE_S * 1000, &noise_events, c);
	return c->conn != NULL;
}

static void settled(struct tp_call *c)
{
	struct conn *conn = c->conn;

	if (c->h.initiator)
		c->reg = tp_register_up(c->m->car.reg, &c->h.entry, false, NULL, NULL);
	c->conn = NULL;
	tp_carried_settled(c, conn);
	tp_call_close(c);
}

// Time for curves: a source and all of them have as much as for inits of rails. The source is true,
// as if it had shown a cookie.
static bool has_time(struct transport_mgr *m, const uint8_t source[16])
{
	bool passes = hs_limit_take(m->limit, source, true, clock_mono_ns()) == HS_LIMIT_PASS;

	m->stats.drop_carried_load += !passes;
	return passes;
}

// A signature is looked at where its key may come, and as long as there is time for it.
static enum carry_hs_event prove(struct tp_call *c)
{
	struct transport_mgr *m = c->m;
	const char *refusal = tp_carried_unwelcome(m, c);
	uint64_t begin_ns = clock_mono_ns();
	enum carry_hs_event ev;

	if (refusal == NULL && !has_time(m, c->from.ip))
		refusal = "too many calls";
	ev = carry_hs_prove(&c->h, refusal);
	if (refusal == NULL)
		hs_limit_spent(m->limit, TP_CALL_COST * (clock_mono_ns() - begin_ns));
	return ev;
}

static bool step(struct tp_call *c, enum carry_hs_event ev);

static void on_registered(void *arg)
{
	struct tp_call *c = arg;

	step(c, carry_hs_settle(&c->h, CARRY_HS_CODE_OK));
}

// A dialer asks for routes as soon as it has the answer, and they are found if the entry is there:
// so it is posted before. That it can't be is no reason to refuse.
static enum carry_hs_event settle(struct tp_call *c)
{
	c->reg = tp_register_up(c->m->car.reg, &c->h.entry, true, on_registered, c);
	return c->reg != NULL ? CARRY_HS_NONE : carry_hs_settle(&c->h, CARRY_HS_CODE_OK);
}

// What the handshake wants next. False: c is over, or the link of its transport.
static bool step(struct tp_call *c, enum carry_hs_event ev)
{
	uint64_t now = clock_mono_ns();

	if (ev == CARRY_HS_CLAIM)
		ev = prove(c);
	if (ev == CARRY_HS_CALLER) {
		c->known = true;
		ev = carry_hs_admit(&c->h, tp_carried_refusal(c->m, c), now);
	}
	if (ev == CARRY_HS_ENTRY)
		ev = settle(c);
	if (!flush(c) && ev != CARRY_HS_FAILED) {
		over(c, "it takes no bytes", -ENOBUFS);
		return false;
	}
	if (ev == CARRY_HS_FAILED) {
		over(c, c->h.why, c->h.err);
		return false;
	}
	if (ev == CARRY_HS_UP) {
		settled(c);
		return false;
	}
	if (ev == CARRY_HS_NOISE && !go_secret(c)) {
		over(c, "no memory for it", -ENOMEM);
		return false;
	}
	arm(c);
	return true;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct tp_call *c = arg;
	size_t used = 0;

	// Bytes behind the settlement are packets: the conn keeps them for the link.
	(void)step(c, carry_hs_read(&c->h, p, len, &used, clock_mono_ns()));
	return used;
}

static bool dial_next(struct tp_call *c);
static void reached(struct tp_call *c, int err);

static void on_end(void *arg, int err)
{
	struct tp_call *c = arg;

	if (c->tells) {
		reached(c, err);
		return;
	}
	if (c->where != NULL && !c->begun && dial_next(c))
		return;
	if (err == 0 && c->type == TRANSPORT_DMSG)
		over(c, "the peer hung up: may this node connect there?", -ECONNRESET);
	else if (err == 0)
		over(c, c->secret ? "the peer hung up before it settled" : "the peer hung up",
			-ECONNRESET);
	else if (err == -EBADMSG)
		over(c, "its Noise handshake is not right: is it the key of that node?", err);
	else
		over(c, strerror(-err), err);
}

static void on_secret(void *arg)
{
	struct tp_call *c = arg;

	step(c, carry_hs_inside(&c->h, clock_mono_ns()));
}

static const struct conn_events noise_events = {.open = on_secret, .data = on_data, .end = on_end};

static void on_timer(void *arg)
{
	struct tp_call *c = arg;

	step(c, carry_hs_tick(&c->h, clock_mono_ns()));
}

static struct tp_call *call_new(struct transport_mgr *m, enum transport_type type)
{
	struct tp_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->m = m;
	c->type = (uint8_t)type;
	c->timer = loop_timer_new(m->conf.loop, on_timer, c);
	if (c->timer != NULL)
		return c;
	free(c);
	return NULL;
}

static struct carry_hs_conf hs_conf(const struct tp_call *c)
{
	return (struct carry_hs_conf){.pk = c->m->self.pk,
		.sk = c->m->self.sk,
		.type = transport_type_name((enum transport_type)c->type)};
}

// ---- we dial ----

static uint16_t next_port(struct transport_mgr *m)
{
	m->car.call_port = m->car.call_port >= CONNECT_PORT_EPHEMERAL && m->car.call_port < 65535
				   ? (uint16_t)(m->car.call_port + 1)
				   : CONNECT_PORT_EPHEMERAL;
	return m->car.call_port;
}

// ---- after silence ----

static uint32_t scope_of(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)ss)->sin6_scope_id : 0;
}

static bool is_same_ip(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct dpmsg_addr x, y;

	addr_of(a, &x);
	addr_of(b, &y);
	return memcmp(x.ip, y.ip, sizeof(x.ip)) == 0 && scope_of(a) == scope_of(b);
}

// Nothing translates addresses between both ends, as far as they tell: the peer sees our port.
static bool is_direct(const struct tp_path *p)
{
	struct dpmsg_addr from, to;
	bool ours, theirs;
	size_t net_len;

	addr_of(&p->from, &from);
	addr_of(&p->to, &to);
	ours = resolver_ip_is_public(from.ip);
	theirs = resolver_ip_is_public(to.ip);
	net_len = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)from.ip) ? 15 : 8; // a /24, a /64
	return p->from.ss_family != 0 && ours == theirs &&
	       (ours || memcmp(from.ip, to.ip, net_len) == 0);
}

// The peer was reached, and so went what came next: how long it may have the connection of before.
static uint32_t may_have_ms(const struct tp_call *c, int err)
{
	const struct tp_path *was = &c->t->carried->path;

	// Its kernel has taken a connection with the ports of the one before: of that it has
	// nothing left. A translator may have forgotten those; what is idle ends all the same.
	if (c->tells && err == 0)
		return is_direct(was) ? 0 : TP_CUT_ALONE_MS;
	if (is_direct(was) && is_same_ip(&c->path.from, &was->from) &&
		is_same_ip(&c->path.to, &was->to) &&
		(err == 0 || err == -EADDRINUSE || err == -EADDRNOTAVAIL))
		return TP_CUT_ALONE_MS;
	return TP_CUT_LOST_MS;
}

static void reached(struct tp_call *c, int err)
{
	uint32_t ms = may_have_ms(c, err);
	struct transport *t = c->t;

	t->carried->call = NULL;
	tp_call_close(c);
	tp_carried_reached(t, ms);
}

static const struct conn_events dial_events;

// The peer can be reached: the next goes to where the last link went, from where it came, if the
// peer is there and we had made it.
static void knock_stands(struct tp_call *c)
{
	const struct tp_path *was = &c->t->carried->path;
	struct dpmsg_addr now, before;

	addr_of(&c->path.to, &now);
	addr_of(&was->to, &before);
	if (c->tells || was->called || now.port != before.port ||
		!is_same_ip(&c->path.to, &was->to)) {
		reached(c, 0);
		return;
	}
	conn_close(c->conn);
	c->conn = conn_tcp_dial_from(c->m->conf.loop, (const struct sockaddr *)&was->from,
		(const struct sockaddr *)&was->to, TP_CALL_DIAL_MS, &tcp_opts, &dial_events, c);
	c->tells = true;
	if (c->conn == NULL)
		reached(c, -errno);
}

static void on_open(void *arg)
{
	struct tp_call *c = arg;
	struct carry_hs_conf conf = hs_conf(c);

	if (conn_tcp_local(c->conn, &c->path.from) != 0 ||
		conn_tcp_remote(c->conn, &c->path.to) != 0)
		memset(&c->path, 0, sizeof(c->path));
	if (c->knocks) {
		knock_stands(c);
		return;
	}
	carry_hs_dial(&c->h, &conf, &c->t->conf.peer, next_port(c->m), clock_mono_ns());
	tp_state_set(c->t, TRANSPORT_HANDSHAKE, "connected, no answer yet");
	step(c, CARRY_HS_NONE);
}

static const struct conn_events dial_events = {.open = on_open, .data = on_data, .end = on_end};
static const struct conn_events stream_events = {.data = on_data, .end = on_end};

static void on_stream(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct tp_call *c = arg;
	struct carry_hs_conf conf = hs_conf(c);
	char why[DMSG_CLIENT_WHY_LEN];

	c->dial = NULL;
	if (take_conn == NULL) {
		dmsg_client_dial_text(c->m->car.dmsg, code, err, why, sizeof(why));
		over(c, why, err != 0 ? err : -ECONNREFUSED);
		return;
	}
	c->conn = take_conn;
	c->secret = true;
	conn_set_events(take_conn, &stream_events, c);
	tp_state_set(c->t, TRANSPORT_HANDSHAKE, "connected, no answer yet");
	step(c, carry_hs_settlement(&c->h, &conf, &c->t->conf.peer, true, clock_mono_ns()));
}

static bool dial_stream(struct tp_call *c)
{
	const struct dmsg_addr to = {.pk = c->t->conf.peer, .port = CONNECT_PORT_TRANSPORT};

	// Its program may see the stream before we do, and must not see it go.
	c->begun = true;
	c->dial = dmsg_client_dial(c->m->car.dmsg, &to, TP_CALL_DIAL_MS, on_stream, c);
	return c->dial != NULL;
}

// `scope_if`: of a link-local address, else "".
static bool dial_tcp(struct tp_call *c, const struct dpmsg_addr *to, const char *scope_if)
{
	char text[64], where[96];
	size_t host;

	c->from = *to;
	from_text(c, text, sizeof(text));
	host = strcspn(text, "]");
	snprintf(where, sizeof(where), "%.*s%s%s%s", (int)host, text,
		scope_if[0] != '\0' ? "%" : "", scope_if, text + host);
	c->conn =
		conn_tcp_dial(c->m->conf.loop, where, TP_CALL_DIAL_MS, &tcp_opts, &dial_events, c);
	return c->conn != NULL;
}

// The next address that the resolver told, if there is one. Only public ones: who told it could
// have us call at anything in our own network.
static bool dial_next(struct tp_call *c)
{
	char text[RESOLVER_ADDR_LEN];
	struct dpmsg_addr to;
	struct api_addr a;

	for (unsigned i = c->n_tried;
		i < TP_CALL_TRIED_MAX && resolver_visor_addr(c->where, i, text); i++) {
		c->n_tried = i + 1;
		if (api_addr_parse(text, &a) < 0 || !resolver_ip_is_public(a.ip))
			continue;
		to = (struct dpmsg_addr){.port = a.port};
		memcpy(to.ip, a.ip, sizeof(to.ip));
		conn_close(c->conn);
		if (dial_tcp(c, &to, ""))
			return true;
	}
	return false;
}

static void on_found(void *arg, const struct resolver_result *r)
{
	struct tp_call *c = arg;
	char why[TRANSPORT_WHY_MAX];

	c->ask = NULL;
	if (r->err == 0 && r->status == 404) {
		over(c, "the address resolver does not know this peer", -ENOTCONN);
		return;
	}
	if (!r->taken) {
		snprintf(why, sizeof(why), "address resolver: %s", r->text);
		over(c, why, -ENOTCONN);
		return;
	}
	c->where = malloc(sizeof(*c->where));
	if (c->where == NULL) {
		over(c, "no memory for it", -ENOTCONN);
		return;
	}
	*c->where = *r->visor;
	if (!dial_next(c))
		over(c, "the address resolver tells no public address of this peer", -ENOTCONN);
}

static bool dial_found(struct tp_call *c)
{
	c->ask = resolver_find(c->m->car.resolver, &c->t->conf.peer, on_found, c);
	return c->ask != NULL;
}

static bool dial(struct tp_call *c)
{
	switch ((enum transport_type)c->type) {
	case TRANSPORT_DMSG:
		return dial_stream(c);
	case TRANSPORT_STCPR:
		return dial_found(c);
	default:
		return dial_tcp(c, &c->t->dial_peer, c->t->dial_scope_if);
	}
}

struct tp_call *tp_call_dial(struct transport *t)
{
	struct tp_call *c = call_new(t->m, transport_type(t));
	int rc;

	if (c == NULL)
		return errno_null(ENOMEM);
	c->t = t;
	c->knocks = t->carried->cut;
	if (dial(c))
		return c;
	rc = -errno;
	tp_call_close(c);
	return errno_null(rc);
}

// ---- somebody calls ----

// Of a type, and of a source; a dmsg stream has none.
static bool too_many(struct transport_mgr *m, enum transport_type type, const uint8_t *source)
{
	size_t prefix_len = source != NULL ? hs_limit_prefix_len(source) : 0;
	unsigned of_type = 0, of_source = 0;
	bool many;

	for (const struct tp_call *c = m->car.callers; c != NULL; c = c->next) {
		of_type += c->type == type;
		of_source += source != NULL && memcmp(c->from.ip, source, prefix_len) == 0;
	}
	many = of_type >= TP_CALLS_IN_TYPE_MAX || of_source >= TP_CALLS_IN_IP_MAX;
	m->stats.drop_carried_calls += many;
	return many;
}

static void link_caller(struct tp_call *c)
{
	struct transport_mgr *m = c->m;

	c->next = m->car.callers;
	c->prev = &m->car.callers;
	if (c->next != NULL)
		c->next->prev = &c->next;
	m->car.callers = c;
}

static void on_caller(void *arg, struct conn *take_conn, const struct sockaddr_storage *from)
{
	struct tp_listener *l = arg;
	struct transport_mgr *m = l->m;
	uint8_t nonce[CONNECT_NONCE_LEN];
	struct dpmsg_addr addr;
	struct carry_hs_conf conf;
	struct tp_call *c = NULL;

	addr_of(from, &addr);
	if (!too_many(m, l->type, addr.ip) && getrandom(nonce, sizeof(nonce), 0) == sizeof(nonce))
		c = call_new(m, l->type);
	if (c == NULL) {
		conn_close(take_conn);
		return;
	}
	c->conn = take_conn;
	c->from = addr;
	c->path = (struct tp_path){.to = *from, .called = true};
	if (conn_tcp_local(take_conn, &c->path.from) != 0)
		memset(&c->path, 0, sizeof(c->path));
	link_caller(c);
	conn_set_events(take_conn, &stream_events, c);
	conf = hs_conf(c);
	carry_hs_accept(&c->h, &conf, nonce, clock_mono_ns());
	arm(c);
}

// Who calls is known, and nothing was said yet: one who may not is hung up on.
static void on_stream_caller(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct transport_mgr *m = arg;
	struct tp_call *c = NULL;
	struct carry_hs_conf conf;
	const char *refusal;

	if (key_pk_cmp(&from->pk, m->self.pk) != 0 && !too_many(m, TRANSPORT_DMSG, NULL))
		c = call_new(m, TRANSPORT_DMSG);
	if (c == NULL) {
		conn_close(take_conn);
		return;
	}
	c->conn = take_conn;
	c->known = c->secret = true;
	conf = hs_conf(c);
	carry_hs_settlement(&c->h, &conf, &from->pk, false, clock_mono_ns());
	refusal = tp_carried_unwelcome(m, c);
	if (refusal == NULL && !has_time(m, from->pk.b + 1)) // its key stands for an address
		refusal = "too many calls";
	if (refusal == NULL)
		refusal = tp_carried_refusal(m, c);
	if (refusal != NULL) {
		over(c, refusal, -ECONNREFUSED);
		return;
	}
	link_caller(c);
	conn_set_events(take_conn, &stream_events, c);
	arm(c);
}

// All that is over dmsg, or on its way there.
static void hang_up_streams(struct transport_mgr *m)
{
	for (struct tp_call *c = m->car.callers, *next; c != NULL; c = next) {
		next = c->next;
		if (c->type == TRANSPORT_DMSG)
			tp_call_close(c);
	}
	for (struct transport *t = m->first; t != NULL; t = t->next)
		if (t->conf.type == TRANSPORT_DMSG)
			tp_carried_hang_up(t);
}

int transport_mgr_dmsg(struct transport_mgr *m, struct dmsg_client *client)
{
	struct tp_carriers *all = &m->car;

	dmsg_client_unlisten(all->dmsg_listener);
	all->dmsg_listener = NULL;
	hang_up_streams(m);
	all->dmsg = client;
	if (client == NULL)
		return 0;
	all->dmsg_listener =
		dmsg_client_listen(client, CONNECT_PORT_TRANSPORT, on_stream_caller, m);
	return all->dmsg_listener != NULL ? 0 : -errno;
}

static struct conn_listener *listen_at(struct tp_listener *l, const struct dpmsg_addr *addr)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	const struct sockaddr *sa = (struct sockaddr *)&v6;

	v6.sin6_port = v4.sin_port = htons(addr->port);
	memcpy(&v6.sin6_addr, addr->ip, sizeof(addr->ip));
	memcpy(&v4.sin_addr, addr->ip + 12, sizeof(v4.sin_addr));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		sa = (struct sockaddr *)&v4;
	return conn_listen(l->m->conf.loop, sa, &tcp_opts, on_caller, l);
}

static void listen_back(struct tp_listener *l)
{
	char text[64];

	l->listener = listen_at(l, &l->at);
	if (l->listener != NULL)
		return;
	log_err("%s transports are not taken at %s any more: %s", transport_type_name(l->type),
		addr_text(&l->at, text, sizeof(text)), strerror(errno));
	l->at = (struct dpmsg_addr){0};
}

int transport_mgr_listen(
	struct transport_mgr *m, enum transport_type type, const struct dpmsg_addr *addr)
{
	struct tp_listener *l = &m->car.listeners[type];
	struct conn_listener *next = NULL;
	char text[64];

	l->m = m;
	l->type = type;
	if (addr != NULL)
		next = listen_at(l, addr);
	if (addr != NULL && next == NULL) {
		int rc = -errno;

		if (rc != -EADDRINUSE || l->listener == NULL)
			return rc;
		// Perhaps only we are in the way, with the same port of other addresses.
		conn_listener_close(l->listener);
		l->listener = NULL;
		next = listen_at(l, addr);
		if (next == NULL) {
			listen_back(l);
			return rc;
		}
	}
	conn_listener_close(l->listener);
	l->listener = next;
	l->at = addr != NULL ? *addr : (struct dpmsg_addr){0};
	if (addr != NULL)
		log_notice("%s transports are taken at %s", transport_type_name(type),
			addr_text(&l->at, text, sizeof(text)));
	return 0;
}

void transport_mgr_leave(struct transport_mgr *m)
{
	transport_mgr_listen(m, TRANSPORT_STCP, NULL);
	transport_mgr_listen(m, TRANSPORT_STCPR, NULL);
}

bool transport_mgr_listens_at(
	const struct transport_mgr *m, enum transport_type type, const struct dpmsg_addr *addr)
{
	const struct tp_listener *l = &m->car.listeners[type];

	if (addr == NULL || l->listener == NULL)
		return addr == NULL && l->listener == NULL;
	return l->at.port == addr->port && memcmp(l->at.ip, addr->ip, sizeof(addr->ip)) == 0;
}

void transport_mgr_resolver(struct transport_mgr *m, struct service *s)
{
	m->car.resolver = s;
}

void transport_mgr_register(struct transport_mgr *m, struct tp_register *r)
{
	m->car.reg = r;
}
