// The stream, and the calls on it. An answer that is not to the last call is passed over: its call
// was given up.
#include "controlplane/route/setup_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

struct setup_call {
	setup_call_fn fn;
	void *arg;
	struct dmsg_client *client;
	struct dmsg_client_dial *dial;
	struct conn *conn; // NULL: not open
	struct netrpc_tx tx;
	uint64_t seq; // of the next call
	bool waits; // for an answer to the last one
	struct netrpc_rx rx;
};

static void say(struct setup_call *c, int err, const char *why)
{
	c->waits = false;
	c->fn(c->arg, err, why);
}

static void break_off(struct setup_call *c, int err, const char *why)
{
	conn_close(c->conn);
	c->conn = NULL;
	say(c, err, why);
}

// ---- answers ----

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct setup_call *c = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(&c->rx, bytes + used, len - used, &ready);

		if (n < 0) {
			break_off(c, -EBADMSG, "answers what is no net/rpc");
			return len;
		}
		used += (size_t)n;
		if (!ready || !c->waits || c->rx.seq + 1 != c->seq)
			continue;
		say(c, c->rx.error[0] != '\0' ? -EREMOTEIO : 0, c->rx.error);
		return len; // nothing follows the answer to the last call; c may be gone
	}
	return len;
}

static void on_end(void *arg, int err)
{
	break_off(arg, err != 0 ? err : -ECONNRESET, "ended the stream");
}

static const struct conn_events stream_events = {.data = on_data, .end = on_end};

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct setup_call *c = arg;
	char why[DMSG_CLIENT_WHY_LEN];

	c->dial = NULL;
	if (take_conn == NULL) {
		say(c, err != 0 ? err : -EHOSTUNREACH,
			dmsg_client_dial_text(c->client, code, err, why, sizeof(why)));
		return;
	}
	c->conn = take_conn;
	conn_set_events(take_conn, &stream_events, c);
	say(c, 0, "");
}

// ---- calls ----

enum call { DIAL, RESERVE, INTERMEDIARY, EDGE, DELETE };

// what: a route, rules, an edge or ids, n of them; of RESERVE only n.
static int call(struct setup_call *c, enum call which, const void *what, uint32_t n)
{
	uint8_t buf[SETUP_ASK_MAX]; // the longest
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	ssize_t len;

	if (c->conn == NULL)
		return -ENOTCONN;
	if (which == DIAL)
		setup_put_dial(&c->tx, &w, c->seq, what);
	else if (which == RESERVE)
		setup_put_reserve(&c->tx, &w, c->seq, (uint8_t)n);
	else if (which == INTERMEDIARY)
		setup_put_intermediary(&c->tx, &w, c->seq, what, n);
	else if (which == EDGE)
		setup_put_edge(&c->tx, &w, c->seq, what);
	else
		setup_put_delete(&c->tx, &w, c->seq, what, n);
	len = bytes_w_done(&w);
	if (len < 0 || conn_write(c->conn, buf, (size_t)len) != len) {
		conn_close(c->conn); // half a call may have left, so no other can follow
		c->conn = NULL;
		return -ENOBUFS;
	}
	c->waits = true;
	c->seq++;
	return 0;
}

int setup_call_dial(struct setup_call *c, const struct setup_route *route)
{
	return call(c, DIAL, route, 1);
}

int setup_call_reserve(struct setup_call *c, uint8_t n)
{
	return call(c, RESERVE, NULL, n);
}

int setup_call_intermediary(struct setup_call *c, const uint8_t *rules, uint32_t n)
{
	return call(c, INTERMEDIARY, rules, n);
}

int setup_call_edge(struct setup_call *c, const struct setup_edge *edge)
{
	return call(c, EDGE, edge, 1);
}

int setup_call_delete(struct setup_call *c, const uint32_t *ids, uint32_t n)
{
	return call(c, DELETE, ids, n);
}

// ---- life ----

struct setup_call *setup_call_new(struct dmsg_client *client, const struct key_pk *pk,
	uint16_t port, uint32_t timeout_ms, setup_call_fn fn, void *arg)
{
	const struct dmsg_addr to = {*pk, port};
	struct setup_call *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL)
		return NULL;
	c->fn = fn;
	c->arg = arg;
	c->client = client;
	c->dial = dmsg_client_dial(client, &to, timeout_ms, on_dialled, c);
	if (c->dial != NULL)
		return c;
	err = errno;
	free(c);
	return errno_null(err);
}

void setup_call_free(struct setup_call *c)
{
	if (c == NULL)
		return;
	dmsg_client_dial_cancel(c->dial);
	conn_close(c->conn);
	free(c);
}

bool setup_call_is_open(const struct setup_call *c)
{
	return c != NULL && c->conn != NULL;
}

const struct netrpc_rx *setup_call_reply(const struct setup_call *c)
{
	return &c->rx;
}
