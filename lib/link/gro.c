// A handful of flows, each with a buffer in which its packets are put together. A packet that does
// not continue its flow ends what was put together before it, so order is kept; a flow that finds
// no buffer takes that of the flow that began first.
#include "lib/link/gro.h"

#include "lib/wire/ip.h"

#include <string.h>

enum {
	ACK = 0x10,
	PSH = 0x08,
	TCP_FLAGS = 13,
	DF = 0x40, // in byte 6 of an IPv4 header
	HDR_MAX = IP6_HDR_LEN + 60,
};

struct flow {
	void *owner;
	uint32_t len; // 0: free
	uint32_t next_seq;
	uint16_t size; // payload of the first packet
	uint16_t n;
	uint16_t l4, payload;
	uint32_t born; // when it began: a serial number
	struct ip_view v; // of the first packet
	bool full; // nothing may follow
	uint8_t buf[GSO_PACKET_MAX];
};

struct gro {
	gro_out_fn out;
	void *arg;
	uint32_t serial;
	unsigned n; // flows in use
	struct flow flow[GRO_FLOWS];
};

size_t gro_mem_size(void)
{
	return sizeof(struct gro);
}

struct gro *gro_init(void *mem, gro_out_fn out, void *arg)
{
	struct gro *g = mem;

	memset(g, 0, offsetof(struct gro, flow));
	g->out = out;
	g->arg = arg;
	for (unsigned i = 0; i < GRO_FLOWS; i++)
		g->flow[i].len = 0;
	return g;
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static void put16(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

// ---- out ----

// The headers of the first packet become those of all.
static void fix_headers(struct flow *f)
{
	if (f->v.version == 4) {
		put16(f->buf + 2, f->len);
		ip4_hdr_sum(f->buf, f->l4);
	} else {
		put16(f->buf + 4, f->len - IP6_HDR_LEN);
	}
	if (f->v.proto == IP_PROTO_UDP)
		put16(f->buf + f->l4 + 4, f->len - f->l4);
}

static uint8_t kind_of(const struct ip_view *v)
{
	if (v->proto == IP_PROTO_TCP)
		return v->version == 4 ? GSO_TCP4 : GSO_TCP6;
	return v->version == 4 ? GSO_UDP4 : GSO_UDP6;
}

static void flow_out(struct gro *g, struct flow *f)
{
	struct gso_pkt pkt = {.p = f->buf, .len = f->len, .n = f->n};

	if (f->n > 1) {
		fix_headers(f);
		pkt.size = f->size;
		pkt.l4 = f->l4;
		pkt.payload = f->payload;
		pkt.version = f->v.version;
		pkt.kind = kind_of(&f->v);
		pkt.tcp = f->v.proto == IP_PROTO_TCP;
		pkt.pseudo = ip_pseudo(f->buf, &f->v);
	}
	f->len = 0;
	g->n--;
	g->out(g->arg, f->owner, &pkt);
}

static struct flow *oldest(struct gro *g)
{
	struct flow *o = NULL;

	for (unsigned i = 0; i < GRO_FLOWS; i++) {
		struct flow *f = &g->flow[i];

		if (f->len != 0 && (o == NULL || (int32_t)(f->born - o->born) < 0))
			o = f;
	}
	return o;
}

void gro_flush(struct gro *g)
{
	while (g->n > 0)
		flow_out(g, oldest(g));
}

// ---- in ----

static bool same_flow(const struct flow *f, const uint8_t *p, const struct ip_view *v)
{
	const uint8_t *q = f->buf;

	if (f->v.version != v->version || f->v.proto != v->proto ||
		memcmp(p + v->l4, q + f->l4, 4) != 0)
		return false;
	return v->version == 4 ? memcmp(p + 12, q + 12, 8) == 0 : memcmp(p + 8, q + 8, 32) == 0;
}

static struct flow *find(struct gro *g, void *owner, const uint8_t *p, const struct ip_view *v)
{
	for (unsigned i = 0; g->n > 0 && i < GRO_FLOWS; i++)
		if (g->flow[i].len != 0 && g->flow[i].owner == owner &&
			same_flow(&g->flow[i], p, v))
			return &g->flow[i];
	return NULL;
}

// Type of service, lifetime and the like are the same; an identification that means something
// counts on.
static bool ip_continues(const struct flow *f, const uint8_t *p)
{
	const uint8_t *q = f->buf;

	if (f->v.version == 6)
		return memcmp(p, q, 4) == 0 && p[7] == q[7];
	return p[1] == q[1] && p[6] == q[6] && p[8] == q[8] &&
	       ((p[6] & DF) != 0 || (uint16_t)(be16(q + 4) + f->n) == be16(p + 4));
}

static bool tcp_continues(const struct flow *f, const uint8_t *p, const struct ip_view *v)
{
	const uint8_t *t = p + v->l4, *u = f->buf + f->l4;
	size_t hdr_len = (size_t)(v->payload - v->l4);

	// all but sequence number, flags and checksum: acknowledgement, window, options
	return be32(t + 4) == f->next_seq && memcmp(t + 8, u + 8, 5) == 0 &&
	       memcmp(t + 14, u + 14, 2) == 0 &&
	       memcmp(t + IP_TCP_HDR_LEN, u + IP_TCP_HDR_LEN, hdr_len - IP_TCP_HDR_LEN) == 0;
}

static bool continues(const struct flow *f, const uint8_t *p, const struct ip_view *v)
{
	uint32_t take = v->len - v->payload;
	bool tcp = v->proto == IP_PROTO_TCP;

	if (f->full || take > f->size || f->len + take > GSO_PACKET_MAX ||
		f->payload != v->payload || f->n >= (tcp ? GSO_SEGS_MAX : GSO_UDP_SEGS_MAX))
		return false;
	return ip_continues(f, p) && (!tcp || tcp_continues(f, p, v));
}

// Could packets of this kind be joined at all?
static bool is_usual(const uint8_t *p, const struct ip_view *v)
{
	if (v->extended || v->payload > HDR_MAX || v->len == v->payload)
		return false;
	if (v->version == 4 && (p[6] & ~DF) != 0)
		return false;
	if (v->proto == IP_PROTO_TCP &&
		((p[v->l4 + TCP_FLAGS] & ~PSH) != ACK || (p[v->l4 + 12] & 15) != 0))
		return false;
	return ip_sums_are_right(p, v);
}

static void note_last(struct flow *f, const uint8_t *p, const struct ip_view *v)
{
	uint32_t take = v->len - v->payload;

	f->full = take < f->size;
	if (v->proto == IP_PROTO_TCP) {
		f->next_seq = be32(p + v->l4 + 4) + take;
		f->full |= (p[v->l4 + TCP_FLAGS] & PSH) != 0;
		f->buf[f->l4 + TCP_FLAGS] |= p[v->l4 + TCP_FLAGS] & PSH;
	}
}

static void begin(struct gro *g, void *owner, const uint8_t *p, const struct ip_view *v)
{
	struct flow *f = NULL;

	if (g->n == GRO_FLOWS)
		flow_out(g, oldest(g));
	for (unsigned i = 0; f == NULL; i++)
		if (g->flow[i].len == 0)
			f = &g->flow[i];
	memcpy(f->buf, p, v->len);
	f->owner = owner;
	f->len = v->len;
	f->v = *v;
	f->size = (uint16_t)(v->len - v->payload);
	f->n = 1;
	f->l4 = v->l4;
	f->payload = v->payload;
	f->born = g->serial++;
	g->n++;
	note_last(f, p, v);
}

bool gro_add(struct gro *g, void *owner, uint8_t kinds, const uint8_t *p, size_t len)
{
	struct ip_view v;
	struct flow *f;
	uint32_t take;
	bool usual;

	// what is no whole TCP or UDP packet has no flow that it could overtake
	if (len > GSO_PACKET_MAX || ip_parse(p, len, &v) < 0)
		return false;
	usual = (kinds & kind_of(&v)) != 0 && is_usual(p, &v);
	f = find(g, owner, p, &v);
	if (f != NULL && usual && continues(f, p, &v)) {
		take = v.len - v.payload;
		memcpy(f->buf + f->len, p + v.payload, take);
		f->len += take;
		f->n++;
		note_last(f, p, &v);
		return true;
	}
	if (f != NULL)
		flow_out(g, f);
	if (!usual)
		return false;
	begin(g, owner, p, &v);
	return true;
}

void gro_yield(struct gro *g, void *owner, const struct gso_pkt *pkt)
{
	struct ip_view v = {.version = pkt->version,
		.proto = pkt->tcp ? IP_PROTO_TCP : IP_PROTO_UDP,
		.l4 = pkt->l4};
	struct flow *f = find(g, owner, pkt->p, &v);

	if (f != NULL)
		flow_out(g, f);
}
