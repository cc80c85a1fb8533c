// Other workers of the data plane for the flows of a transport, because somebody asked for it.
// Which ones are good is not known here.
#include "controlplane/transport/transport_priv.h"

#include <stdlib.h>

// The data plane moves one hop at a time, so the next one waits for the answer.
struct move {
	struct transport *t;
	transport_move_fn cb;
	void *arg;
	unsigned nr, last; // flow that is under way, and the one to end with
	unsigned worker; // for nr
	uint32_t hop; // of nr
	int status; // first error
};

static int move_send(struct move *mv);

static void note_error(struct move *mv, int status)
{
	if (mv->status == 0)
		mv->status = status;
}

// Flow nr, or the first one after it that can be asked for. 0: an answer will come.
static int move_send_any(struct move *mv)
{
	int rc;

	for (; mv->nr <= mv->last; mv->nr++, mv->worker++) {
		rc = move_send(mv);
		if (rc == 0)
			return 0;
		note_error(mv, rc);
	}
	return mv->status;
}

static void owned_by(struct tp_flow *f, uint8_t worker)
{
	bool moved = f->owner != worker;

	f->owner = worker;
	if (moved && f->nr == 1)
		tp_rekey_moved(f->t);
}

static void on_moved(void *arg, int status, uint32_t aux)
{
	struct move *mv = arg;
	struct transport *t = mv->t;
	struct tp_flow *f = t->flow[mv->nr - 1];

	if (status != 0)
		note_error(mv, status);
	else if (!t->removed && f->hop == mv->hop && aux < DPMSG_MAX_WORKERS)
		owned_by(f, (uint8_t)aux);
	mv->nr++;
	mv->worker++;
	if (mv->nr > mv->last || move_send_any(mv) != 0) {
		mv->cb(mv->arg, mv->status);
		free(mv);
	}
	tp_cmd_done(t);
}

static int move_send(struct move *mv)
{
	struct transport *t = mv->t;
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);
	const struct tp_flow *f = mv->nr <= t->n ? t->flow[mv->nr - 1] : NULL;
	struct cmd_hop_move c = {.h.type = CMD_HOP_MOVE};
	int rc;

	if (!t->m->ready || info == NULL || t->removed || f == NULL || !f->in_dp)
		return -ENOTCONN;
	c.hop = mv->hop = f->hop;
	c.worker = (uint16_t)(mv->worker % info->n_workers);
	rc = dp_client_send(t->m->conf.dp, &c, sizeof(c), on_moved, mv);
	if (rc == 0)
		t->n_cmds++;
	return rc;
}

int transport_mgr_move(struct transport_mgr *m, struct transport *t, unsigned flow, unsigned worker,
	transport_move_fn cb, void *arg)
{
	const struct region_hdr *info = dp_client_info(m->conf.dp);
	struct move *mv;
	int rc;

	if (!m->ready || info == NULL)
		return -ENOTCONN;
	if (t->carried != NULL)
		return -EOPNOTSUPP;
	if (worker >= info->n_workers)
		return -EINVAL;
	if (flow > t->n)
		return -ERANGE;
	mv = malloc(sizeof(*mv));
	if (mv == NULL)
		return -ENOMEM;
	*mv = (struct move){.t = t,
		.cb = cb,
		.arg = arg,
		.nr = flow != 0 ? flow : 1,
		.last = flow != 0 ? flow : t->n,
		.worker = worker};
	rc = move_send_any(mv);
	if (rc < 0)
		free(mv);
	return rc;
}
