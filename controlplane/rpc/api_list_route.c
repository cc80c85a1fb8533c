// Lists of the API that are walks of the data plane's rule table, a page at a time: all rules, and
// those that set-up nodes laid, with the ids that they have reserved. And the groups of this node,
// which are few.
#include "controlplane/rpc/api_priv.h"
#include "lib/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULE_PAGE = 1024 };

struct rules_list {
	struct api *a;
	struct api_req *r; // NULL: the client went away
	struct rule_list *page;
	uint32_t next; // index
	uint32_t left;
	uint32_t asked; // in this page
	uint32_t got;
	bool routes; // those of set-ups only, as routes
};

// Of a transport that is gone it is known when it went, if that was not long ago; if it was, or
// before our start, the rule was idle since.
static uint64_t gone_ms(const struct api *a, uint32_t handle, bool is_hop, const struct evt_rule *e)
{
	for (unsigned i = 0; i < API_GONE_MAX; i++)
		if (a->gone[i].ns != 0 && handle == (is_hop ? a->gone[i].hop : a->gone[i].tp))
			return (clock_mono_ns() - a->gone[i].ns) / CLOCK_NS_PER_MS;
	return e->age_ms;
}

static uint64_t orphan_ms(const struct api *a, const struct transport *t, uint32_t handle,
	bool is_hop, const struct evt_rule *e)
{
	struct transport_info i;

	if (t == NULL)
		return gone_ms(a, handle, is_hop, e);
	if (transport_is_up(t))
		return 0;
	transport_info_get(t, &i);
	return i.age_ms != API_NEVER_MS ? i.age_ms : e->age_ms;
}

// A rule belongs to the worker of the hop by which its packets come, at an edge leave; id as the
// receiver of them knows it.
static uint8_t owner_of(const struct transport *t, uint32_t id)
{
	struct transport_flow_info f;
	struct transport_info i;

	if (t == NULL)
		return 0xff;
	transport_info_get(t, &i);
	return transport_flow_get(t, rail_flow_of(id, i.n_flows), &f) ? f.owner : 0xff;
}

static void rule_record(const struct rules_list *l, const struct evt_rule *e, struct api_rule *out)
{
	const struct api *a = l->a;
	bool has_tx = e->type != RULE_CONSUME;
	bool has_in = e->in_tp != RULE_IN_ANY && e->in_tp != RULE_IN_LOCAL;
	struct transport *tx = has_tx ? transport_mgr_find_hop(a->d.transports, e->tx_hop) : NULL;
	struct transport *in = has_in ? transport_mgr_find_tp(a->d.transports, e->in_tp) : NULL;
	uint64_t in_orphan = has_in ? orphan_ms(a, in, e->in_tp, false, e) : 0;

	*out = (struct api_rule){.id = e->id,
		.next_id = e->next_id,
		.type = e->type,
		.fixed = (e->flags & RULE_STATIC) != 0,
		.owner = e->type == RULE_FORWARD ? owner_of(tx, e->next_id) : owner_of(in, e->id),
		.keep_alive_ms = e->keep_alive_ms,
		.idle_ms = e->age_ms,
		.packets = e->packets,
		.bytes = e->bytes,
		.freed = e->freed};
	out->in =
		has_in ? API_IN_TRANSPORT : (e->in_tp == RULE_IN_LOCAL ? API_IN_LOCAL : API_IN_ANY);
	if (tx != NULL)
		API_COPY(out->transport, transport_name(tx));
	else if (has_tx)
		API_COPY(out->transport, "(gone)");
	if (in != NULL)
		API_COPY(out->in_transport, transport_name(in));
	else if (has_in)
		API_COPY(out->in_transport, "(gone)");
	if (!out->fixed && e->keep_alive_ms > e->age_ms)
		out->expires_ms = e->keep_alive_ms - e->age_ms;
	out->orphan_ms = has_tx ? orphan_ms(a, tx, e->tx_hop, true, e) : 0;
	if (in_orphan > out->orphan_ms)
		out->orphan_ms = in_orphan;
}

// ---- rules of set-ups ----

static void claim_record(const struct claim *claim, struct api_route *out)
{
	static const uint8_t states[] = {
		[CLAIM_RESERVED] = API_ROUTE_RESERVED,
		[CLAIM_BUSY] = API_ROUTE_INSTALLS,
		[CLAIM_LAID] = API_ROUTE_LAID,
	};

	*out = (struct api_route){.id = claim->id,
		.state = states[claim->state],
		.age_ms = (clock_mono_ns() - claim->since_ns) / CLOCK_NS_PER_MS};
	memcpy(out->setup_node, claim->by.b, API_PK_LEN);
}

static void put_route(const struct rules_list *l, const struct evt_rule *e)
{
	const struct claim *claim = route_gate_find(route_peer_gate(l->a->d.routes), e->id);
	struct api_rule rule;
	struct api_route route;

	if (claim == NULL || claim->state != CLAIM_LAID)
		return;
	rule_record(l, e, &rule);
	claim_record(claim, &route);
	route.type = (uint8_t)(rule.type + 1);
	route.next_id = rule.next_id;
	route.keep_alive_ms = rule.keep_alive_ms;
	route.expires_ms = rule.expires_ms;
	route.packets = rule.packets;
	route.bytes = rule.bytes;
	memcpy(route.transport, rule.transport, sizeof(route.transport));
	memcpy(route.in_transport, rule.in_transport, sizeof(route.in_transport));
	api_req_record(l->r, &route, sizeof(route));
}

// Those without a rule.
static void put_claim(void *arg, const struct claim *claim)
{
	const struct rules_list *l = arg;
	struct api_route route;

	if (claim->state == CLAIM_LAID)
		return;
	claim_record(claim, &route);
	if (claim->state == CLAIM_RESERVED && route.age_ms < ROUTE_HOLD_MS)
		route.expires_ms = ROUTE_HOLD_MS - route.age_ms;
	api_req_record(l->r, &route, sizeof(route));
}

// ---- page by page ----

static void on_rule(void *arg, const struct evt_rule *e)
{
	struct rules_list *l = arg;
	unsigned bits = rule_mgr_bits(l->a->d.rules);
	struct api_rule rule;

	l->got++;
	l->next = (e->id & ((1u << bits) - 1)) + 1;
	if (l->left > 0)
		l->left--;
	if (l->routes) {
		put_route(l, e);
		return;
	}
	rule_record(l, e, &rule);
	api_req_record(l->r, &rule, sizeof(rule));
}

static void next_page(void *arg);

static void rules_end(struct rules_list *l, int status)
{
	struct api_req *r = l->r;

	if (status == 0 && l->routes)
		route_gate_each(route_peer_gate(l->a->d.routes), put_claim, l);
	free(l);
	if (status == 0)
		api_req_end(r, NULL, 0);
	else
		api_req_fail(r, status, "the data plane went away: start skyrail-dataplane");
}

static void on_page(void *arg, int status)
{
	struct rules_list *l = arg;

	l->page = NULL;
	if (status != 0)
		rules_end(l, status);
	else if (l->got < l->asked || l->left == 0 ||
		 l->next >= 1ull << rule_mgr_bits(l->a->d.rules))
		rules_end(l, 0);
	else if (!api_req_is_full(l->r))
		next_page(l);
}

static void next_page(void *arg)
{
	struct rules_list *l = arg;

	if (l->page != NULL)
		return;
	l->got = 0;
	l->asked = l->left < RULE_PAGE ? l->left : RULE_PAGE;
	l->page = rule_mgr_list(l->a->d.rules, l->next, l->asked, on_rule, on_page, l);
	if (l->page == NULL)
		rules_end(l, -errno);
}

static void rules_cancel(void *arg)
{
	struct rules_list *l = arg;

	if (l->page != NULL)
		rule_list_cancel(l->page);
	free(l);
}

static void list_begin(
	struct api *a, struct api_req *r, const struct api_rules_ask *ask, bool routes)
{
	struct rules_list *l;

	if (rule_mgr_bits(a->d.rules) == 0 || dp_client_info(a->d.dp) == NULL) {
		api_req_fail(
			r, -ENOTCONN, "the data plane is not running: start skyrail-dataplane");
		return;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	*l = (struct rules_list){.a = a,
		.r = r,
		.next = ask->first_index,
		.left = ask->max != 0 ? ask->max : UINT32_MAX,
		.routes = routes};
	api_req_pend(r, next_page, rules_cancel, l);
	next_page(l);
}

void api_list_rules(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_rules_ask ask = {0};

	if (len == sizeof(ask))
		memcpy(&ask, payload, sizeof(ask));
	list_begin(ctx, r, &ask, false);
}

void api_list_routes(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	const struct api_rules_ask all = {0};
	struct api *a = ctx;

	(void)payload, (void)len;
	if (a->d.routes != NULL)
		list_begin(a, r, &all, true);
	else
		api_req_end(r, NULL, 0);
}

static void group_record(void *arg, const struct route_group_info *info)
{
	static const uint8_t states[] = {
		[ROUTE_GROUP_INSTALLS] = API_GROUP_INSTALLS,
		[ROUTE_GROUP_SHAKES] = API_GROUP_SHAKES,
		[ROUTE_GROUP_OPEN] = API_GROUP_OPEN,
		[ROUTE_GROUP_CLOSING] = API_GROUP_CLOSING,
		[ROUTE_GROUP_ENDED] = API_GROUP_ENDED,
		[ROUTE_GROUP_LISTENS] = API_GROUP_LISTENS,
	};
	struct api_route_group rec = {.role = !info->initiator,
		.remote_port = info->remote_port,
		.local_port = info->local_port,
		.state = states[info->state],
		.sealed = !info->plain,
		.paused = info->paused,
		.holds = info->holds,
		.payload_max = info->payload_max,
		.rtt_us = info->stats.rtt_us,
		.forward_id = info->forward_id,
		.consume_id = info->consume_id,
		.keep_alive_ms = info->keep_alive_ms,
		.age_ms = info->age_ms,
		.rx_bytes = info->stats.rx_bytes,
		.tx_bytes = info->stats.tx_bytes,
		.rx_packets = info->stats.rx_packets,
		.tx_packets = info->stats.tx_packets,
		.rx_bad = info->stats.rx_bad,
		.peer_rate = info->stats.peer_Bps,
		.queued = info->queued};

	memcpy(rec.pk, info->remote.b, API_PK_LEN);
	API_COPY(rec.reason, info->why);
	api_req_record(arg, &rec, sizeof(rec));
}

void api_list_groups(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	(void)payload, (void)len;
	if (a->d.groups != NULL)
		route_groups_each(a->d.groups, group_record, r);
	api_req_end(r, NULL, 0);
}
