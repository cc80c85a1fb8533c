// Requests into commands: what is asked for is checked, names of transports become handles. It
// takes no ids and sends nothing.
#include "controlplane/route/rule_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int resolve_tx(struct rule_mgr *m, const char *name, uint32_t next_id, uint32_t *hop)
{
	struct transport *t = m->tr.find(m->tr.arg, name);

	if (t == NULL)
		return -ENODEV;
	// the data plane takes lasting rules over hops that are not there yet: handles are stable
	*hop = m->tr.hop(t, next_id);
	return *hop != 0 ? 0 : -ENETDOWN;
}

static int resolve_in(struct rule_mgr *m, const struct api_rule_add *r, uint32_t *in_tp)
{
	struct transport *t;

	switch (r->in) {
	case API_IN_DEFAULT:
		*in_tp = r->type == API_RULE_FORWARD ? RULE_IN_LOCAL : RULE_IN_ANY;
		return 0;
	case API_IN_ANY:
		*in_tp = RULE_IN_ANY;
		return 0;
	case API_IN_LOCAL:
		*in_tp = RULE_IN_LOCAL;
		return 0;
	case API_IN_TRANSPORT:
		t = m->tr.find(m->tr.arg, r->in_transport);
		if (t == NULL)
			return -ENXIO;
		*in_tp = m->tr.tp(t); // 0, no handle, would be RULE_IN_ANY
		return *in_tp != 0 ? 0 : -ENETDOWN;
	default:
		return -EINVAL;
	}
}

static int check(const struct api_rule_add *r)
{
	if (r->type > API_RULE_INTERMEDIARY || r->in > API_IN_TRANSPORT)
		return -EINVAL;
	if (memchr(r->transport, '\0', sizeof(r->transport)) == NULL ||
		memchr(r->in_transport, '\0', sizeof(r->in_transport)) == NULL)
		return -EINVAL;
	if (r->keep_alive_ms != 0 && r->keep_alive_ms < RULE_KEEP_ALIVE_MIN_MS)
		return -ERANGE;
	if (r->type != API_RULE_CONSUME && (r->next_id == 0 || r->transport[0] == '\0'))
		return -EDESTADDRREQ;
	return 0;
}

int rule_cmd_make(struct rule_mgr *m, const struct api_rule_add *r, struct cmd_rule_add *c)
{
	int rc = check(r), tx = 0;

	*c = (struct cmd_rule_add){.h.type = CMD_RULE_ADD,
		.id = r->id,
		.type = r->type,
		.keep_alive_ms = r->keep_alive_ms,
		.flags = r->keep_alive_ms == 0 ? RULE_STATIC : 0};
	if (rc < 0)
		return rc;
	rc = resolve_in(m, r, &c->in_tp);
	if (r->type != API_RULE_CONSUME) {
		c->next_id = r->next_id;
		tx = resolve_tx(m, r->transport, r->next_id, &c->tx_hop);
	}
	return tx == 0 || (tx == -ENETDOWN && rc != 0) ? rc : tx;
}

int rule_cmd_kept(struct rule_mgr *m, const struct rule_kept *k, struct cmd_rule_add *c)
{
	struct api_rule_add r = {.id = k->id,
		.next_id = k->next_id,
		.type = k->type,
		.keep_alive_ms = k->keep_alive_ms,
		.in = API_IN_ANY};

	snprintf(r.transport, sizeof(r.transport), "%s", rule_keep_name(m->keep, k->tx_name));
	// One that was adopted may name a transport that nobody knows: it never gets open instead.
	if (k->in_name != 0 || (k->in_tp != RULE_IN_ANY && k->in_tp != RULE_IN_LOCAL)) {
		r.in = API_IN_TRANSPORT;
		snprintf(r.in_transport, sizeof(r.in_transport), "%s",
			rule_keep_name(m->keep, k->in_name));
	} else if (k->in_tp == RULE_IN_LOCAL) {
		r.in = API_IN_LOCAL;
	}
	return rule_cmd_make(m, &r, c);
}
