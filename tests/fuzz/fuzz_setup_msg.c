// Routes and answers as any peer can send them: what is read of them is bounded, a route that can
// be one has rules that are read back, and an answer of ours is the same after reading. The first
// byte says whether it is a call or an answer.

#include "lib/route/setup_plan.h"

#include "tests/fuzz/fuzz_rpc.h"

static void check_rules(const struct setup_plan *plan, uint32_t node)
{
	static uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];
	uint32_t n = setup_plan_rules(plan, node, rules);

	for (uint32_t i = 0; i < n; i++) {
		struct rule_wire rule;

		fuzz_check(rule_decode(rules + (size_t)i * RULE_INTERMEDIARY_LEN,
				   RULE_INTERMEDIARY_LEN, &rule) == RULE_INTERMEDIARY_LEN);
		fuzz_check(rule.kind == RULE_KIND_INTERMEDIARY);
	}
}

static void lay(const struct setup_route *route)
{
	static struct setup_plan plan;
	char why[SETUP_WHY_MAX];
	struct setup_edge edge;
	struct rule_wire rule;
	uint32_t id = 0;

	if (setup_plan_init(&plan, route, why) < 0) {
		fuzz_check(why[0] != '\0');
		return;
	}
	for (uint32_t k = 0; k < plan.n_nodes; k++) {
		uint32_t ids[SETUP_IDS_MAX], n = setup_plan_wants(&plan, k);

		fuzz_check(n >= 1);
		for (uint32_t i = 0; i < n; i++)
			ids[i] = ++id;
		fuzz_check(setup_plan_give(&plan, k, ids, n) == 0);
	}
	fuzz_check(id == plan.n_places);
	for (uint32_t k = 0; k < plan.n_nodes; k++)
		check_rules(&plan, k);
	setup_plan_initiator(&plan, &edge);
	fuzz_check(rule_decode(edge.forward, sizeof(edge.forward), &rule) == RULE_FORWARD_LEN);
	setup_plan_responder(&plan, &edge);
	fuzz_check(rule_decode(edge.consume, sizeof(edge.consume), &rule) == RULE_CONSUME_LEN);
}

static void answers(const struct netrpc_rx *rx)
{
	const struct netrpc_rx *again;
	uint32_t ids[SETUP_IDS_MAX], back[SETUP_IDS_MAX], n, n_back;
	struct netrpc_tx tx = {.sent_ids = false};
	uint8_t out[2048];
	struct bytes_w w = bytes_w(out, sizeof(out));
	bool v;

	setup_bool_read(&v, rx);
	if (setup_ids_read(ids, &n, rx) < 0)
		return;
	setup_put_delete(&tx, &w, 3, ids, n);
	again = fuzz_rpc_again(&w, out);
	fuzz_check(setup_ids_read(back, &n_back, again) == 0 && n_back == n);
	fuzz_check(memcmp(ids, back, n * sizeof(ids[0])) == 0);
}

// As a node of a route: rules and edges are the same after writing and reading.
static void rules_again(const struct rule_wire *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t bytes[RULE_LEN_MAX];
		struct rule_wire back;
		int len = rule_encode(bytes, sizeof(bytes), &rules[i]);

		fuzz_check(len > 0 && rule_decode(bytes, (size_t)len, &back) == len);
		fuzz_check(back.key_id == rules[i].key_id && back.next_id == rules[i].next_id);
	}
}

static void as_node(const struct netrpc_rx *rx)
{
	static struct rule_wire rules[SETUP_IDS_MAX];
	struct setup_edge edge, back;
	struct netrpc_tx tx = {.sent_ids = false};
	uint8_t out[2048], count;
	struct bytes_w w = bytes_w(out, sizeof(out));
	uint32_t n;

	setup_count_read(&count, rx);
	if (setup_rules_read(rules, &n, rx) == 0)
		rules_again(rules, n);
	if (setup_edge_read(&edge, rx) < 0)
		return;
	setup_put_edge(&tx, &w, 1, &edge);
	fuzz_check(setup_edge_read(&back, fuzz_rpc_again(&w, out)) == 0);
	fuzz_check(memcmp(&edge, &back, sizeof(edge)) == 0);
}

static void calls(const struct netrpc_rx *rx)
{
	static struct setup_route route;

	if (setup_route_read(&route, rx) == 0)
		lay(&route);
	else
		as_node(rx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		fuzz_rpc_each(data + 1, size - 1, data[0] & 1 ? answers : calls);
	return 0;
}
