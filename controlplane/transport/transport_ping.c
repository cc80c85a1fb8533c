// Round trips that somebody asked for: a PROBE by the data plane, its answer as an event, and one
// timer each, since the answer may get lost. What becomes of the number is the caller's business.
#include "controlplane/transport/transport_priv.h"

#include <stdlib.h>

void tp_pings_end(struct transport *t)
{
	struct tp_ping *p = t->m->pings;

	while (p != NULL) {
		if (p->t != t) {
			p = p->next;
			continue;
		}
		tp_ping_end(p, -ENOTCONN, 0);
		p = t->m->pings; // whoever was told may have ended others
	}
}

void tp_ping_end(struct tp_ping *p, int status, uint32_t rtt_us)
{
	struct transport_mgr *m = p->m;

	for (struct tp_ping **q = &m->pings; *q != NULL; q = &(*q)->next) {
		if (*q == p) {
			*q = p->next;
			m->n_pings--;
			break;
		}
	}
	loop_timer_free(p->timer);
	p->cb(p->arg, status, rtt_us);
	free(p);
}

static void on_ping_timeout(void *arg)
{
	tp_ping_end(arg, -ETIMEDOUT, 0);
}

int transport_mgr_ping(
	struct transport_mgr *m, struct transport *t, transport_ping_fn cb, void *arg)
{
	struct cmd_hop_ping c = {.h.type = CMD_HOP_PING, .hop = t->flow[0]->hop};
	struct tp_ping *p;
	int rc;

	if (t->carried != NULL)
		return -EOPNOTSUPP;
	if (!m->ready || t->state != TRANSPORT_UP)
		return -ENOTCONN;
	if (m->n_pings >= TP_PINGS_MAX)
		return -EAGAIN;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct tp_ping){.m = m, .t = t, .cb = cb, .arg = arg};
	p->timer = loop_timer_new(m->conf.loop, on_ping_timeout, p);
	rc = p->timer == NULL ? -ENOMEM
			      : dp_client_send_cookie(
					m->conf.dp, &c, sizeof(c), tp_on_plain_done, t, &p->cookie);
	if (rc != 0) {
		loop_timer_free(p->timer);
		free(p);
		return rc;
	}
	t->n_cmds++;
	p->next = m->pings;
	m->pings = p;
	m->n_pings++;
	loop_timer_start(p->timer, TP_PING_TIMEOUT_MS, 0);
	return 0;
}
