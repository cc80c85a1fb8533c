// A data plane of a table and two queues, put in place of dp_client at link time: commands wait
// until the test lets them be answered, the table answers as dataplane/rule does. Each test
// that includes it is a program of its own.
#pragma once

#include "controlplane/dp/dp_client.h"
#include "lib/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_BITS = 10, FAKE_SLOTS = 1 << FAKE_BITS, FAKE_QUEUE = 4096 };

struct fake_cmd {
	union {
		struct dpmsg_hdr h;
		struct cmd_rule_add add;
		struct cmd_rule_del del;
		struct cmd_dump dump;
	} c;
	dp_done_fn done;
	void *arg;
};

struct dp_client {
	struct dp_handler *handlers;
	struct region_hdr info;
	bool ready;
	struct evt_rule rules[FAKE_SLOTS];
	struct fake_cmd queue[FAKE_QUEUE];
	size_t n_queue;
	size_t room; // commands taken before -EAGAIN
	size_t n_flushes;
	struct evt_rule gone[FAKE_SLOTS]; // not told yet
	size_t n_gone;
};

static struct dp_client fake;

#define FAKE_EACH(call, ...)                                                                       \
	do {                                                                                       \
		for (struct dp_handler *h_ = fake.handlers, *n_; h_ != NULL; h_ = n_) {            \
			n_ = h_->next;                                                             \
			if (h_->call != NULL)                                                      \
				h_->call(h_->arg, ##__VA_ARGS__);                                  \
		}                                                                                  \
	} while (0)

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	struct dp_handler **last = &c->handlers;

	while (*last != NULL)
		last = &(*last)->next;
	h->next = NULL;
	*last = h;
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	struct dp_handler **pp = &c->handlers;

	while (*pp != h)
		pp = &(*pp)->next;
	*pp = h->next;
}

bool dp_client_is_ready(const struct dp_client *c)
{
	return c->ready;
}

const struct region_hdr *dp_client_info(const struct dp_client *c)
{
	return &c->info;
}

void dp_client_flush(struct dp_client *c)
{
	c->n_flushes++;
}

int dp_client_send(struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg)
{
	struct fake_cmd *q = &c->queue[c->n_queue];

	if (!c->ready)
		return -ENOTCONN;
	if (c->n_queue >= c->room)
		return -EAGAIN;
	memset(q, 0, sizeof(*q));
	memcpy(&q->c, cmd, len);
	q->done = done;
	q->arg = arg;
	c->n_queue++;
	return 0;
}

int dp_client_dump(struct dp_client *c, uint32_t what, uint32_t first_rule, uint32_t max_rules,
	dp_done_fn done, void *arg)
{
	struct cmd_dump m = {
		.h.type = CMD_DUMP, .what = what, .first_rule = first_rule, .max_rules = max_rules};

	return dp_client_send(c, &m, sizeof(m), done, arg);
}

// ---- what tests do with it ----

static int fake_add(const struct cmd_rule_add *m)
{
	struct evt_rule *e = &fake.rules[m->id % FAKE_SLOTS];

	if (e->id != 0)
		return -EEXIST;
	*e = (struct evt_rule){.h.type = EVT_RULE,
		.id = m->id,
		.next_id = m->next_id,
		.tx_hop = m->tx_hop,
		.in_tp = m->in_tp,
		.keep_alive_ms = m->keep_alive_ms,
		.type = m->type,
		.flags = (uint8_t)(m->flags | (m->in_tp == RULE_IN_ANY ? RULE_ANY : 0))};
	return 0;
}

static int fake_del(uint32_t id, enum rule_gone reason)
{
	struct evt_rule *e = &fake.rules[id % FAKE_SLOTS];

	if (e->id != id)
		return -ENOENT;
	fake.gone[fake.n_gone] = *e;
	fake.gone[fake.n_gone++].reason = (uint8_t)reason;
	e->id = 0;
	return 0;
}

static void fake_dump(const struct cmd_dump *m)
{
	uint32_t left = m->max_rules != 0 ? m->max_rules : FAKE_SLOTS;

	for (uint32_t i = m->first_rule; i < FAKE_SLOTS && left > 0; i++) {
		struct evt_rule e = fake.rules[i];

		if (e.id == 0)
			continue;
		left--;
		FAKE_EACH(on_rule, &e);
	}
}

// Answer everything that was sent so far; handlers may send more, which waits.
static void fake_answer(void)
{
	static struct fake_cmd todo[FAKE_QUEUE];
	size_t n = fake.n_queue;

	memcpy(todo, fake.queue, n * sizeof(todo[0]));
	fake.n_queue = 0;
	for (size_t i = 0; i < n; i++) {
		int rc = 0;

		if (todo[i].c.h.type == CMD_RULE_ADD)
			rc = fake_add(&todo[i].c.add);
		else if (todo[i].c.h.type == CMD_RULE_DEL)
			rc = fake_del(todo[i].c.del.id, RULE_GONE_DEL);
		else
			fake_dump(&todo[i].c.dump);
		if (todo[i].done != NULL)
			todo[i].done(todo[i].arg, rc, 0);
	}
}

static void fake_tell_gone(void)
{
	for (size_t i = 0; i < fake.n_gone; i++) {
		struct evt_rule e = fake.gone[i];

		FAKE_EACH(on_rule_gone, &e);
	}
	fake.n_gone = 0;
}

static void fake_detach(void)
{
	struct fake_cmd todo[16];
	size_t n = fake.n_queue < 16 ? fake.n_queue : 16;

	memcpy(todo, fake.queue, n * sizeof(todo[0]));
	fake.n_queue = 0;
	fake.ready = false;
	for (size_t i = 0; i < n; i++)
		if (todo[i].done != NULL)
			todo[i].done(todo[i].arg, -ECONNRESET, 0);
	FAKE_EACH(on_detach);
}

static void fake_attach(enum dp_sync why)
{
	fake.info.rule_bits = FAKE_BITS;
	fake.room = FAKE_QUEUE;
	if (why == DP_SYNC_FRESH)
		memset(fake.rules, 0, sizeof(fake.rules));
	fake.ready = why == DP_SYNC_OVERFLOW;
	FAKE_EACH(on_sync_begin, why);
	for (size_t i = 0; i < FAKE_SLOTS; i++)
		if (fake.rules[i].id != 0) {
			struct evt_rule e = fake.rules[i];

			FAKE_EACH(on_rule, &e);
		}
	fake.ready = true;
	FAKE_EACH(on_synced, why);
}
