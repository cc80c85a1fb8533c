// Edges of the world: routes of the configuration and routes that are set up again when they ended,
// sources that send numbered packets and wait when they are told to, readers that know which number
// comes next. Rules are looked up in the tables themselves where the question is what is true.
#include "tests/soak/soak.h"

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/route_hdr.h"

#include <stdio.h>
#include <string.h>

enum {
	BODY = 12, // number, route, life
	LEN_MAX = 3000,
	AT_ONCE = 24,
	KEEP_ALIVE_MS = 60000,
	KEEP_ALIVE_EVERY_MS = 15000,
	BUILD_PATIENCE_MS = 5000,
	HALF_PATIENCE_S = 100, // by then a rule that nobody uses has expired
};

static const struct {
	unsigned n, node[SOAK_POS];
	bool fixed, lossy;
} plan[SOAK_ROUTES] = {
	{3, {0, 1, 2}, true, false},
	{3, {2, 1, 0}, true, false},
	{2, {1, 0}, true, false},
	{2, {2, 0}, true, true},
	{3, {0, 1, 2}, false, false},
	{3, {2, 1, 0}, false, false},
	{2, {1, 2}, false, false},
	{3, {0, 2, 1}, false, true},
};
static uint32_t life[SOAK_ROUTES]; // of routes that are set up anew
static uint64_t upsets[SOAK_NODES]; // see upset()

static bool is_there(const struct soak_route *r, unsigned pos)
{
	const struct soak_dp *d = &soak.node[r->node[pos]].dp;

	return r->id[pos] != 0 && d->alive && rule_lookup(&d->rules, r->id[pos]) != NULL;
}

static bool is_whole(const struct soak_route *r)
{
	for (unsigned p = 0; p < r->n; p++)
		if (!is_there(r, p))
			return false;
	return true;
}

void soak_routes_open(void)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];

		*r = (struct soak_route){
			.n = plan[i].n, .fixed = plan[i].fixed, .lossy = plan[i].lossy};
		memcpy(r->node, plan[i].node, sizeof(r->node));
		for (unsigned p = 0; r->fixed && p < r->n; p++)
			r->id[p] = 1u << SOAK_RULE_BITS | (SOAK_STATIC_ID + i * SOAK_POS + p);
		r->live = r->fixed;
	}
	memset(life, 0, sizeof(life));
	memset(upsets, 0, sizeof(upsets));
}

// ---- rules ----

static struct api_rule_add rule_of(const struct soak_route *r, unsigned pos)
{
	struct api_rule_add a = {.id = r->fixed ? r->id[pos] : 0,
		.keep_alive_ms = r->fixed ? 0 : KEEP_ALIVE_MS,
		.type = pos == 0          ? API_RULE_FORWARD
			: pos == r->n - 1 ? API_RULE_CONSUME
					  : API_RULE_INTERMEDIARY};

	if (pos + 1 < r->n) {
		a.next_id = r->id[pos + 1];
		snprintf(a.transport, sizeof(a.transport), "t%u", r->node[pos + 1]);
	}
	if (pos > 0) {
		a.in = API_IN_TRANSPORT;
		snprintf(a.in_transport, sizeof(a.in_transport), "t%u", r->node[pos - 1]);
	}
	return a;
}

void soak_rules_of(unsigned node, struct api_rule_add *out, size_t *n)
{
	*n = 0;
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		const struct soak_route *r = &soak.route[i];

		for (unsigned p = 0; r->fixed && p < r->n; p++)
			if (r->node[p] == node)
				out[(*n)++] = rule_of(r, p);
	}
}

static void add_next(unsigned i, unsigned pos);

static void on_added(void *arg, const struct api_rule_done *done, size_t n)
{
	uintptr_t what = (uintptr_t)arg;
	unsigned i = what & 0xff, pos = what >> 8 & 0xff;
	struct soak_route *r = &soak.route[i];

	if (what >> 16 != (life[i] & 0xffff) || r->live)
		return; // of an attempt that was given up
	r->building = 0;
	if (done->status != 0)
		return;
	r->id[pos] = done->id;
	if (pos > 0) {
		add_next(i, pos - 1);
		return;
	}
	r->live = is_whole(r);
	r->since_ns = soak.now_ns;
}

static void add_next(unsigned i, unsigned pos)
{
	struct soak_route *r = &soak.route[i];
	struct soak_node *n = &soak.node[r->node[pos]];
	struct api_rule_add a = rule_of(r, pos);
	uintptr_t what = (uintptr_t)(life[i] & 0xffff) << 16 | pos << 8 | i;

	if (n->cp.alive && dp_client_is_ready(n->cp.dp) &&
		rule_mgr_add(n->cp.rules, &a, 1, on_added, (void *)what) != NULL)
		r->building = 1;
}

static bool is_built(void)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++)
		if (soak.route[i].building != 0)
			return false;
	return true;
}

void soak_routes_build(void)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];
		bool any = false;

		for (unsigned p = 0; p < r->n; p++)
			any |= is_there(r, p);
		if (r->fixed || any)
			continue;
		life[i]++;
		r->live = r->broken = r->paused = r->attached = false;
		r->next = r->expected = r->to_send = r->lost_below = 0;
		r->alive_ns = soak.now_ns;
		r->since_ns = soak.now_ns;
		memset(r->id, 0, sizeof(r->id));
		memset(r->seen, 0, sizeof(r->seen));
		add_next(i, r->n - 1);
	}
	soak_run(BUILD_PATIENCE_MS * SOAK_MS, is_built);
	for (unsigned i = 0; i < SOAK_ROUTES; i++)
		soak.route[i].building = 0;
}

// ---- what the control plane hears ----

static struct soak_route *route_of(
	const struct soak_node *n, uint32_t id, unsigned *pos, bool only_source)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];

		for (unsigned p = 0; p < (only_source ? 1 : r->n); p++)
			if (r->node[p] == n->i && r->id[p] == id && id != 0) {
				*pos = p;
				return r;
			}
	}
	return NULL;
}

static void on_route_pause(void *arg, const struct evt_route_pause *e)
{
	unsigned pos;
	struct soak_route *r = route_of(arg, e->id, &pos, true);

	if (r != NULL)
		r->paused = e->paused;
	soak.count.pauses += e->paused;
}

static void on_rule(void *arg, const struct evt_rule *e)
{
	unsigned pos;
	struct soak_route *r = route_of(arg, e->id, &pos, true);

	if (r != NULL)
		r->paused = (e->flags & RULE_PAUSED) != 0;
}

static void on_rule_gone(void *arg, const struct evt_rule *e)
{
	struct soak_node *n = arg;
	unsigned pos;
	struct soak_route *r = route_of(n, e->id, &pos, false);

	if (e->reason == 0 || e->reason >= RULE_GONE_COUNT) {
		soak_fail("node %u: rule %u ended without a reason", n->i, e->id);
		return;
	}
	soak.count.closed[e->reason]++;
	if (r == NULL)
		return;
	r->reason[pos] = e->reason;
	if (pos == 0) // the next rule of that number is another one
		r->paused = r->attached = false;
	if (r->fixed && e->reason != RULE_GONE_DEL)
		soak_fail("node %u: the static rule %u ended: %s", n->i, e->id,
			rule_gone_text(e->reason));
}

// What lay in the ring when the last control plane ended is not for this one.
static void on_sync_begin(void *arg, enum dp_sync why)
{
	const struct soak_node *n = arg;

	if (why == DP_SYNC_ADOPT)
		soak_excuse(n->i, SOAK_CP_KILLED);
}

static void on_detach(void *arg)
{
	const struct soak_node *n = arg;

	for (unsigned i = 0; i < SOAK_ROUTES; i++)
		if (soak.route[i].node[0] == n->i)
			soak.route[i].paused = soak.route[i].attached = false;
}

static void read_data(unsigned i, struct soak_route *r, const uint8_t *p, size_t len)
{
	uint32_t number = be32_get(p), of = be32_get(p + 8);

	if (len < BODY || be32_get(p + 4) != i || (!r->fixed && of != life[i])) {
		soak_fail("route %u: a packet of another route, or of another life", i);
		return;
	}
	for (size_t k = BODY; k < len; k++)
		if (p[k] != (uint8_t)(number + k)) {
			soak_fail("route %u: packet %u is damaged", i, number);
			return;
		}
	if (r->seen[number % SOAK_SEEN] == number + 1)
		soak_fail("route %u: packet %u came twice", i, number);
	r->seen[number % SOAK_SEEN] = number + 1;
	// What was on its way when a static route lost what it held may come after what was sent
	// later; a route that is not static is over then.
	if (number < r->expected && !r->lossy && (!r->fixed || number >= r->lost_below))
		soak_fail("route %u: packet %u after %u", i, number, r->expected - 1);
	if (number > r->expected && !r->lossy && number > r->lost_below)
		soak_fail("route %u: packet %u instead of %u, and nobody says why", i, number,
			r->expected);
	if (number >= r->expected)
		r->expected = number + 1;
	r->read++;
	soak.count.reads++;
}

static void on_route(void *arg, unsigned worker, const struct msg_route *m, size_t n)
{
	unsigned pos;
	struct soak_route *r = route_of(arg, m->id, &pos, false);
	const uint8_t *p = m->bytes;

	if (r == NULL || pos != r->n - 1)
		return;
	if (n < ROUTE_HDR_LEN || (size_t)ROUTE_HDR_LEN + route_hdr_len(p) != n)
		soak_fail("a packet of %zu bytes is not whole", n);
	else if (route_hdr_type(p) == ROUTE_DATA)
		read_data((unsigned)(r - soak.route), r, p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
}

void soak_edge_attach(struct soak_node *n)
{
	on_detach(n); // what the last one was told died with it
	n->cp.handler = (struct dp_handler){.arg = n,
		.on_route_pause = on_route_pause,
		.on_rule = on_rule,
		.on_rule_gone = on_rule_gone,
		.on_sync_begin = on_sync_begin,
		.on_detach = on_detach,
		.on_route = on_route};
	dp_client_register(n->cp.dp, &n->cp.handler);
}

// ---- what excuses a gap ----

// Whatever a node counts when packets of a route were not delivered.
static uint64_t upset(const struct soak_node *n)
{
	static const enum worker_counter what[] = {W_rel_resets, W_routes_held, W_routes_stalled,
		W_routes_gone, W_routes_emptied, W_drop_hop_gone, W_drop_rule_unknown,
		W_drop_rule_ingress, W_drop_route_ended, W_drop_seal_hop, W_drop_down_bad,
		W_drop_flow};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(what); i++)
		sum += soak_dp_counter(n, what[i]);
	return sum;
}

// A static route goes on over a loss of state, any other one ends with it. What a control plane had
// in hand dies with it, on any route that begins or ends there.
void soak_excuse(unsigned node, enum soak_why why)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];

		for (unsigned p = 0; p < r->n; p++) {
			bool end = p == 0 || p == r->n - 1;

			if (r->node[p] == node && (r->fixed || (why == SOAK_CP_KILLED && end)))
				r->lost_below = r->next;
		}
	}
}

static void look_for_excuses(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++) {
		uint64_t now = upset(&soak.node[i]);

		if (now != upsets[i])
			soak_excuse(i, SOAK_RESET);
		upsets[i] = now;
	}
}

// ---- sources ----

// As an edge that attaches.
static void attach(struct soak_route *r)
{
	struct transport *t = soak_transport(&soak.node[r->node[0]], r->node[1]);

	r->worker = t != NULL ? transport_worker_of(t, transport_hop(t, r->id[1])) : 0;
	r->attached = true;
}

static int send_packet(struct soak_route *r, const uint8_t *p, size_t len)
{
	if (!r->attached)
		attach(r);
	return dp_client_send_route(soak.node[r->node[0]].cp.dp, r->worker, r->id[0], p, len);
}

static bool send_data(unsigned i, struct soak_route *r)
{
	static uint8_t p[ROUTE_HDR_LEN + LEN_MAX];
	uint16_t len = (uint16_t)(r->next % 7 == 0 ? LEN_MAX : BODY + r->next * 37 % 1300);

	route_hdr_put(p, ROUTE_DATA, 0, len);
	be32_put(p + ROUTE_HDR_LEN, r->next);
	be32_put(p + ROUTE_HDR_LEN + 4, i);
	be32_put(p + ROUTE_HDR_LEN + 8, life[i]);
	for (unsigned k = BODY; k < len; k++)
		p[ROUTE_HDR_LEN + k] = (uint8_t)(r->next + k);
	if (send_packet(r, p, ROUTE_HDR_LEN + (size_t)len) < 0)
		return false;
	r->next++;
	r->to_send--;
	soak.count.packets++;
	return true;
}

static bool source_turn(unsigned i, struct soak_route *r)
{
	struct soak_cp *c = &soak.node[r->node[0]].cp;
	uint8_t keep[ROUTE_HDR_LEN];
	bool any = false;

	if (!c->alive || c->stopped || !dp_client_is_ready(c->dp) || !r->live || !is_there(r, 0))
		return false;
	// behind a datagram link nobody is told of an end: silence has to do
	if (r->lossy && r->broken)
		return false;
	if (!r->fixed && soak.now_ns >= r->alive_ns) {
		route_hdr_put(keep, ROUTE_KEEP_ALIVE, 0, 0);
		if (send_packet(r, keep, sizeof(keep)) == 0)
			r->alive_ns = soak.now_ns + KEEP_ALIVE_EVERY_MS * SOAK_MS;
	}
	for (unsigned k = 0; k < AT_ONCE && r->to_send > 0 && !r->paused; k++) {
		if (!send_data(i, r))
			break;
		any = true;
	}
	return any;
}

bool soak_routes_turn(void)
{
	bool any = false;

	look_for_excuses();
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];

		if (!r->fixed && r->live && !r->broken && !is_whole(r)) {
			r->broken = true;
			r->since_ns = soak.now_ns;
		}
		any |= source_turn(i, r);
	}
	if (any)
		soak.busy_until_ns = soak.now_ns + 4 * SOAK_MS;
	return any;
}

void soak_routes_send(uint32_t packets)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++)
		if (soak.route[i].live && !soak.route[i].broken)
			soak.route[i].to_send += packets;
}

// ---- judgement ----

static uint64_t held(const struct soak_node *n)
{
	return soak_dp_counter(n, W_seal_in) - soak_dp_counter(n, W_seal_whole) -
	       soak_dp_counter(n, W_seal_parted) - soak_dp_counter(n, W_seal_acked) -
	       soak_dp_counter(n, W_seal_carried) - soak_dp_counter(n, W_drop_seal_freed) -
	       soak_dp_counter(n, W_drop_route_ended) - soak_dp_counter(n, W_drop_route_full) -
	       soak_dp_counter(n, W_drop_seal_hop) - soak_dp_counter(n, W_drop_seal_limit) -
	       soak_dp_counter(n, W_drop_no_mbuf);
}

bool soak_routes_idle(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++)
		if (held(&soak.node[i]) != 0)
			return false;
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		const struct soak_route *r = &soak.route[i];
		bool over = !r->live || r->broken;

		// A static rule goes when its transport has other flows, and comes again when what
		// was sent by the old one is acked: that may be after the transport is up.
		if (r->fixed && !is_whole(r))
			return false;
		if (!over && (r->to_send > 0 || (r->expected < r->next && r->lost_below < r->next &&
							!r->lossy)))
			return false;
	}
	return soak.now_ns >= soak.busy_until_ns;
}

void soak_routes_say(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++)
		printf("  node %u holds %lu\n", i, (unsigned long)held(&soak.node[i]));
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		const struct soak_route *r = &soak.route[i];

		printf("  route %u: to send %u, next %u, expected %u, lost below %u%s%s%s%s%s%s\n",
			i, r->to_send, r->next, r->expected, r->lost_below, r->live ? " live" : "",
			r->broken ? " broken" : "", r->paused ? " paused" : "",
			is_there(r, 0) ? " [0]" : "", is_there(r, 1) ? " [1]" : "",
			is_there(r, 2) ? " [2]" : "");
	}
}

// At rest: numbers go on where sources are, and no route is there by half.
void soak_routes_judge(void)
{
	for (unsigned i = 0; i < SOAK_ROUTES; i++) {
		struct soak_route *r = &soak.route[i];
		unsigned n = 0;

		for (unsigned p = 0; p < r->n; p++)
			n += is_there(r, p);
		if (r->fixed && n != r->n)
			soak_fail("route %u: %u of its %u static rules are there", i, n, r->n);
		if (!r->fixed && n != 0 && n != r->n &&
			soak.now_ns - r->since_ns > HALF_PATIENCE_S * SOAK_S)
			soak_fail("route %u: %u of its %u rules are there, for %.0f s", i, n, r->n,
				(double)(soak.now_ns - r->since_ns) / 1e9);
		if (r->fixed || r->lossy || (r->live && !r->broken))
			r->expected = r->next;
		r->lost_below = r->expected;
		r->to_send = 0;
	}
}
