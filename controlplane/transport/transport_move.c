// Another worker of the data plane for a transport, because somebody asked for it. Which one is
// good is not known here.
#include "controlplane/transport/transport_priv.h"

#include <stdlib.h>

struct move {
	struct transport *t;
	transport_move_fn cb;
	void *arg;
};

static void on_moved(void *arg, int status, uint32_t aux)
{
	struct move m = *(struct move *)arg;

	free(arg);
	if (status == 0 && !m.t->removed && aux < DPMSG_MAX_WORKERS)
		m.t->flow[0]->owner = (uint8_t)aux;
	m.cb(m.arg, status);
	tp_cmd_done(m.t);
}

int transport_mgr_move(struct transport_mgr *m, struct transport *t, unsigned worker,
	transport_move_fn cb, void *arg)
{
	const struct region_hdr *info = dp_client_info(m->conf.dp);
	struct cmd_hop_move c = {
		.h.type = CMD_HOP_MOVE, .hop = t->flow[0]->hop, .worker = (uint16_t)worker};
	struct move *mv;
	int rc;

	if (!m->ready || info == NULL || !t->flow[0]->in_dp)
		return -ENOTCONN;
	if (worker >= info->n_workers)
		return -EINVAL;
	mv = malloc(sizeof(*mv));
	if (mv == NULL)
		return -ENOMEM;
	*mv = (struct move){.t = t, .cb = cb, .arg = arg};
	rc = dp_client_send(m->conf.dp, &c, sizeof(c), on_moved, mv);
	if (rc < 0) {
		free(mv);
		return rc;
	}
	t->n_cmds++;
	return 0;
}
