// A set-up node that lays the route: the first one of the list that can be reached. Nothing is
// tried twice, for what one refused another would refuse, too; nothing it answers is believed.
#include "controlplane/route/route_dial_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/route/setup_call.h"
#include "lib/base/err.h"

struct route_lay {
	struct route_dialler *d;
	const struct setup_route *route;
	route_lay_fn fn;
	void *arg;
	struct loop_timer *timer; // the beginning, and the answer
	size_t node; // that is asked
	struct key_pk node_pk; // it may leave the list meanwhile
	struct setup_call *call;
	bool asked; // the call is open, and the route was asked for
	char unreached[ROUTE_DIAL_WHY_MAX]; // why the last one could not be asked
};

void route_lay_cancel(struct route_lay *lay)
{
	if (lay == NULL)
		return;
	setup_call_free(lay->call);
	loop_timer_free(lay->timer);
	free(lay);
}

static void fail(struct route_lay *lay, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct route_lay *lay, int err, const char *fmt, ...)
{
	char why[ROUTE_DIAL_WHY_MAX];
	route_lay_fn fn = lay->fn;
	void *arg = lay->arg;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	route_lay_cancel(lay);
	fn(arg, NULL, NULL, err, why);
}

// Who is asked, for people: the keys of others fill the text.
static void name(const struct route_lay *lay, char text[KEY_PK_TEXT_LEN + 1])
{
	key_pk_to_text(&lay->node_pk, text);
	text[8] = '\0';
}

// ---- the answer ----

// NULL, and both ids are claimed; or what is wrong.
static const char *check_edge(
	const struct route_lay *lay, const struct setup_edge *edge, struct rule_wire rules[2])
{
	const struct route_dial_ops *ops = &lay->d->conf.ops;
	const struct setup_route *r = lay->route;
	struct rule_desc back;
	uint32_t ids[2];

	rule_desc_invert(&back, &r->desc);
	if (!setup_edge_is_of(edge, &back, r->forward.hop[0].tp_id, r->keep_alive_ns, rules))
		return "rules that are not those of the route";
	ids[0] = rules[0].key_id;
	ids[1] = rules[1].key_id;
	if (!ops->claim(ops->arg, &lay->node_pk, ids, 2))
		return "rules whose ids it has not reserved here";
	return NULL;
}

static void on_answer(struct route_lay *lay, int err, const char *why)
{
	struct setup_edge edge;
	struct rule_wire rules[2];
	char pk[KEY_PK_TEXT_LEN + 1];
	route_lay_fn fn = lay->fn;
	void *arg = lay->arg;
	const char *wrong;

	name(lay, pk);
	if (err != 0) {
		fail(lay, err, "set-up node %s: %s", pk, why);
		return;
	}
	wrong = setup_edge_read(&edge, setup_call_reply(lay->call)) < 0
			? "what is no answer to a dial"
			: check_edge(lay, &edge, rules);
	if (wrong != NULL) {
		fail(lay, -EPROTO, "set-up node %s answered %s", pk, wrong);
		return;
	}
	route_lay_cancel(lay);
	fn(arg, &edge, rules, 0, "");
}

// ---- whom to ask ----

static void ask_next(struct route_lay *lay);

static void on_call(void *arg, int err, const char *why)
{
	struct route_lay *lay = arg;
	char pk[KEY_PK_TEXT_LEN + 1];

	if (lay->asked) {
		on_answer(lay, err, why);
		return;
	}
	if (err == 0)
		err = setup_call_dial(lay->call, lay->route);
	if (err == 0) {
		lay->asked = true;
		loop_timer_start(lay->timer, lay->d->conf.setup_ms, 0);
		return;
	}
	name(lay, pk);
	snprintf(lay->unreached, sizeof(lay->unreached), "set-up node %s: %s", pk,
		why[0] != '\0' ? why : strerror(-err));
	setup_call_free(lay->call);
	lay->call = NULL;
	lay->node++;
	ask_next(lay);
}

static void ask_next(struct route_lay *lay)
{
	struct route_dialler *d = lay->d;

	if (lay->node >= d->policy.n_nodes) {
		fail(lay, -EHOSTUNREACH, "%s",
			lay->unreached[0] != '\0' ? lay->unreached : ROUTE_NO_SETUP_NODE);
		return;
	}
	lay->node_pk = d->node[lay->node];
	lay->call = setup_call_new(
		d->conf.client, &lay->node_pk, SETUP_DIAL_PORT, d->conf.node_ms, on_call, lay);
	if (lay->call == NULL)
		fail(lay, -errno, "set-up node: %s", strerror(errno));
}

static void on_timer(void *arg)
{
	struct route_lay *lay = arg;
	char pk[KEY_PK_TEXT_LEN + 1];

	if (!lay->asked) {
		ask_next(lay);
		return;
	}
	name(lay, pk);
	fail(lay, -ETIMEDOUT, "set-up node %s: no answer in %" PRIu32 " s", pk,
		lay->d->conf.setup_ms / 1000);
}

struct route_lay *route_lay_new(
	struct route_dialler *d, const struct setup_route *route, route_lay_fn fn, void *arg)
{
	struct route_lay *lay = calloc(1, sizeof(*lay));

	if (lay == NULL)
		return NULL;
	*lay = (struct route_lay){.d = d, .route = route, .fn = fn, .arg = arg};
	lay->timer = loop_timer_new(d->conf.loop, on_timer, lay);
	if (lay->timer == NULL) {
		free(lay);
		return errno_null(ENOMEM);
	}
	loop_timer_start(lay->timer, 0, 0);
	return lay;
}
