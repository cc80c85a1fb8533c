// A rule manager on the data plane of fake_dp.h, with two transports that tests make and unmake.
// Each test that includes it is a program of its own and uses what it needs.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "controlplane/route/rule_mgr.h"

#include "lib/base/log.h"
#include "lib/wire/rail.h"
#include "tests/controlplane/route/fake_dp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct transport {
	const char *name;
	uint32_t tp, hop; // of flow 1
	unsigned flows; // 0: one
	bool down;
};
enum { NEXT_FLOW = 100 }; // from the hop of a flow to that of the next one

static struct transport transports[2];
static struct transport_watch *watching;
static struct loop *loop;
static struct route_id *ids;
static struct rule_mgr *m;
static struct api_rule_done results[FAKE_SLOTS + 10];
static size_t n_results;
static unsigned n_calls;

void transport_mgr_watch(struct transport_mgr *tm, struct transport_watch *w)
{
	watching = w;
}

static struct transport *find(void *arg, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i].name != NULL && strcmp(transports[i].name, name) == 0)
			return &transports[i];
	return NULL;
}

static struct transport *find_hop(void *arg, uint32_t hop)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i].hop == hop % NEXT_FLOW)
			return &transports[i];
	return NULL;
}

static struct transport *find_tp(void *arg, uint32_t tp)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (transports[i].tp == tp)
			return &transports[i];
	return NULL;
}

// Skywire's id of a transport is its name here.
static struct transport *find_id(void *arg, const uint8_t id[RULE_TP_ID_LEN])
{
	return find(arg, (const char *)id);
}

static uint32_t tp_of(const struct transport *t)
{
	return t->tp;
}

static uint32_t hop_of(const struct transport *t, uint32_t next_id)
{
	return t->hop + NEXT_FLOW * (rail_flow_of(next_id, t->flows) - 1);
}

static unsigned n_named;

static const char *name_of(const struct transport *t)
{
	n_named++;
	return t->name;
}

static bool is_up(const struct transport *t)
{
	return !t->down;
}

static const struct rule_transports tr = {
	find, find_hop, find_tp, find_id, tp_of, hop_of, is_up, name_of, NULL};

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static void on_done(void *arg, const struct api_rule_done *done, size_t n)
{
	assert_true(n <= ARRAY_LEN(results));
	memcpy(results, done, n * sizeof(*done));
	n_results = n;
	n_calls++;
}

static struct rule_mgr *mgr_new(void)
{
	static int dummy;
	uint8_t secret[32] = {1};

	ids = route_id_new(secret, NULL);
	// the manager is only handed on to transport_mgr_watch(), which is ours here
	m = rule_mgr_new(loop, &fake, ids, &tr, (struct transport_mgr *)&dummy);
	return m;
}

static int rule_setup(void **state)
{
	log_sink_set(no_log, NULL);
	memset(&fake, 0, sizeof(fake));
	transports[0] = (struct transport){"a", 11, 21, 1, false};
	transports[1] = (struct transport){"b", 12, 22, 1, false};
	n_calls = 0;
	n_results = 0;
	loop = loop_new();
	return loop == NULL || mgr_new() == NULL;
}

static int rule_teardown(void **state)
{
	rule_mgr_free(m);
	fake_detach(); // as dp_client_free() completes what is under way
	route_id_free(ids);
	loop_free(loop);
	return 0;
}

static struct api_rule_add forward(uint32_t id, const char *tp, uint32_t keep_alive_ms)
{
	struct api_rule_add r = {
		.id = id, .next_id = 99, .type = API_RULE_FORWARD, .keep_alive_ms = keep_alive_ms};

	snprintf(r.transport, sizeof(r.transport), "%s", tp);
	return r;
}

static struct api_rule_add consume(uint32_t id, uint32_t keep_alive_ms)
{
	return (struct api_rule_add){
		.id = id, .type = API_RULE_CONSUME, .keep_alive_ms = keep_alive_ms};
}

static const struct evt_rule *in_dp(uint32_t id)
{
	const struct evt_rule *e = &fake.rules[id % FAKE_SLOTS];

	return e->id == id ? e : NULL;
}

static void add_now(const struct api_rule_add *r)
{
	assert_non_null(rule_mgr_add(m, r, 1, on_done, NULL));
	fake_answer();
	assert_int_equal(results[0].status, 0);
}

// All that was sent is answered, and what follows of it is sent.
static void settle(void)
{
	fake_answer();
	fake_tell_gone();
	loop_turn(loop);
}
