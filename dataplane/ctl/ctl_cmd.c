// Commands of the control plane: copied out of the ring, checked against one table, run, answered.
// The control plane may be hostile or dying: no length, handle, enum or text of it is believed.
// Dumps are begun here and go on in ctl_dump.c.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/rail_frame.h"

#include <string.h>

LOG_MODULE("ctl");

typedef int (*cmd_fn)(struct ctl *c, void *rec, uint32_t *aux);

// Texts end within their array and hold nothing that could fool a terminal.
static void text_clean(char *text, size_t cap)
{
	text[cap - 1] = '\0';
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
			*p = '?';
	}
}

static bool handle_ok(const struct ctl *c, uint32_t handle, uint32_t max)
{
	return handle != 0 && dpmsg_handle_index(handle) < max;
}

static int on_hello(struct ctl *c, void *rec, uint32_t *aux)
{
	const struct cmd_hello *m = rec;
	int err;

	if (m->version != DPMSG_VERSION)
		return -EPROTO;
	err = worker_set_mac1_key(c->k.workers, m->mac1_key);
	if (err < 0)
		return err;
	c->hello = true;
	log_notice("control plane attached pid=%u", m->pid);
	return 0;
}

static int on_dump(struct ctl *c, void *rec, uint32_t *aux)
{
	return ctl_dump_begin(c, rec);
}

static int on_adj_set(struct ctl *c, void *rec, uint32_t *aux)
{
	const struct cmd_adj_set *m = rec;

	if (!port_known(c->k.ports, m->port))
		return -ENODEV;
	if (m->usable > 1)
		return -EINVAL;
	return adj_set(c->k.adjs, m);
}

static int on_adj_del(struct ctl *c, void *rec, uint32_t *aux)
{
	return adj_del(c->k.adjs, ((const struct cmd_adj_del *)rec)->adj);
}

static int on_hop_add(struct ctl *c, void *rec, uint32_t *aux)
{
	struct cmd_hop_add *m = rec;
	uint16_t owner = 0;
	int err;

	text_clean(m->name, sizeof(m->name));
	if (!handle_ok(c, m->tp, c->k.hops->hop_max))
		return -EINVAL;
	err = hop_table_add(c->k.hops, m, c->now_ns, &owner);
	*aux = owner;
	if (err == 0)
		ctl_route_hop_added(c, m);
	return err;
}

static int on_hop_rekey(struct ctl *c, void *rec, uint32_t *aux)
{
	return hop_table_rekey(c->k.hops, rec, c->now_ns);
}

static int on_hop_path(struct ctl *c, void *rec, uint32_t *aux)
{
	return hop_table_path(c->k.hops, rec);
}

static int on_hop_del(struct ctl *c, void *rec, uint32_t *aux)
{
	const struct cmd_hop_del *m = rec;

	uint32_t tp = hop_table_tp(c->k.hops, m->hop);
	unsigned n = 0, flow = hop_table_flow(c->k.hops, m->hop, &n);
	bool reliable = false;
	int err;

	if (m->send_close > 1 || m->text_len > DPMSG_TEXT_LEN)
		return -EINVAL;
	hop_table_owner(c->k.hops, m->hop, &reliable);
	err = hop_table_del(c->k.hops, m);
	if (err == 0)
		ctl_route_hop_gone(c, m->hop, tp, flow, reliable);
	return err;
}

static int on_hop_hold(struct ctl *c, void *rec, uint32_t *aux)
{
	return hop_table_hold(c->k.hops, rec);
}

static int on_hop_ping(struct ctl *c, void *rec, uint32_t *aux)
{
	return hop_table_ping(c->k.hops, rec);
}

// 1: it is answered when the workers have done it.
static int on_hop_move(struct ctl *c, void *rec, uint32_t *aux)
{
	const struct cmd_hop_move *m = rec;
	int err = hop_table_move(c->k.hops, m->hop, m->worker);

	if (err < 0) {
		*aux = m->worker;
		return err == -EALREADY ? 0 : err;
	}
	c->moving = true;
	c->move_to = m->worker;
	c->move_cookie = m->h.cookie;
	return 1;
}

// Whether there is room for the answer or not: until it is known that a hop is there, nothing is
// read of its new owner and nothing said about routes.
static void look_at_move(struct ctl *c)
{
	uint16_t from = 0;

	if (!c->moving ||
		hop_table_moved(c->k.hops, &c->move_status, &from, &c->move_owner) == -EINPROGRESS)
		return;
	c->moving = false;
	ctl_notes_of(c, from); // older than those of the new owner
}

// No hop is on its way to another worker, and whoever asked knows; none is left of a control plane
// before this one. There is room for an answer.
static bool is_settled(struct ctl *c)
{
	if (c->moving || c->orphans)
		return false;
	if (c->move_cookie != 0)
		ctl_done(c, c->move_cookie, c->move_status, c->move_owner);
	c->move_cookie = 0;
	return true;
}

// A rule may name hops that are not there yet: handles are stable per transport, and packets are
// dropped and counted until it comes up.
static int on_rule_add(struct ctl *c, void *rec, uint32_t *aux)
{
	const struct cmd_rule_add *m = rec;

	if (m->type > RULE_INTERMEDIARY || (m->flags & ~RULE_STATIC) != 0)
		return -EINVAL;
	if (m->type != RULE_CONSUME &&
		(m->next_id == 0 || !handle_ok(c, m->tx_hop, c->k.hops->hop_max)))
		return -EINVAL;
	if (m->in_tp != RULE_IN_ANY && m->in_tp != RULE_IN_LOCAL &&
		!handle_ok(c, m->in_tp, c->k.hops->hop_max))
		return -EINVAL;
	return rule_table_add(c->k.rules, m, c->now_ds);
}

static int on_rule_del(struct ctl *c, void *rec, uint32_t *aux)
{
	return rule_table_del(c->k.rules, ((const struct cmd_rule_del *)rec)->id, RULE_GONE_DEL);
}

static int on_route_pause(struct ctl *c, void *rec, uint32_t *aux)
{
	return ctl_route_pause(c, rec);
}

static int on_conf_set(struct ctl *c, void *rec, uint32_t *aux)
{
	struct cmd_conf_set *m = rec;

	text_clean(m->name, sizeof(m->name));
	switch (m->key) {
	case CONF_LOG_LEVEL:
		return m->value > LOG_DEBUG ? -EINVAL : log_level_set(m->name, (int)m->value);
	case CONF_IDLE:
		if (m->value > IDLE_ADAPTIVE)
			return -EINVAL;
		worker_set_idle(c->k.workers, (enum idle_mode)m->value);
		return 0;
	default:
		return -EINVAL;
	}
}

static int on_cookies(struct ctl *c, void *rec, uint32_t *aux)
{
	return worker_set_cookies(c->k.workers, rec);
}

static const struct {
	uint32_t len;
	cmd_fn fn;
} table[] = {
	[CMD_HELLO] = {sizeof(struct cmd_hello), on_hello},
	[CMD_DUMP] = {sizeof(struct cmd_dump), on_dump},
	[CMD_ADJ_SET] = {sizeof(struct cmd_adj_set), on_adj_set},
	[CMD_ADJ_DEL] = {sizeof(struct cmd_adj_del), on_adj_del},
	[CMD_HOP_ADD] = {sizeof(struct cmd_hop_add), on_hop_add},
	[CMD_HOP_REKEY] = {sizeof(struct cmd_hop_rekey), on_hop_rekey},
	[CMD_HOP_PATH] = {sizeof(struct cmd_hop_path), on_hop_path},
	[CMD_HOP_DEL] = {sizeof(struct cmd_hop_del), on_hop_del},
	[CMD_HOP_PING] = {sizeof(struct cmd_hop_ping), on_hop_ping},
	[CMD_HOP_HOLD] = {sizeof(struct cmd_hop_hold), on_hop_hold},
	[CMD_HOP_MOVE] = {sizeof(struct cmd_hop_move), on_hop_move},
	[CMD_RULE_ADD] = {sizeof(struct cmd_rule_add), on_rule_add},
	[CMD_RULE_DEL] = {sizeof(struct cmd_rule_del), on_rule_del},
	[CMD_ROUTE_PAUSE] = {sizeof(struct cmd_route_pause), on_route_pause},
	[CMD_CONF_SET] = {sizeof(struct cmd_conf_set), on_conf_set},
	[CMD_COOKIES] = {sizeof(struct cmd_cookies), on_cookies},
};

static bool has_keys(uint16_t type)
{
	return type == CMD_HOP_ADD || type == CMD_HOP_REKEY || type == CMD_COOKIES;
}

static int dispatch(struct ctl *c, void *rec, uint32_t len, uint32_t *aux)
{
	struct dpmsg_hdr h;

	if (len < sizeof(h))
		return -EINVAL;
	memcpy(&h, rec, sizeof(h));
	if (h.type >= ARRAY_LEN(table) || table[h.type].fn == NULL)
		return -ENOSYS;
	if (h.len != len || len != table[h.type].len || h.flags != 0)
		return -EINVAL;
	if (!c->hello && h.type != CMD_HELLO)
		return -EPROTO;
	return table[h.type].fn(c, rec, aux);
}

int ctl_cmd(struct ctl *c, void *rec, uint32_t len, uint32_t *aux)
{
	struct dpmsg_hdr h = {0};
	int status;

	*aux = 0;
	memcpy(&h, rec, len < sizeof(h) ? len : sizeof(h));
	status = dispatch(c, rec, len, aux);
	if (has_keys(h.type))
		explicit_bzero(rec, len); // refused or not
	return status;
}

// What was decided and is not asked for again: when its worker has no room, it stays in the ring.
static bool waits_for_room(uint16_t type)
{
	return type == CMD_HOP_DEL || type == CMD_HOP_HOLD;
}

// One command from the ring, answered unless it began a dump. False: there is none, or it waits.
static bool one(struct ctl *c)
{
	_Alignas(8) uint8_t rec[CTL_CMD_MAX];
	struct dpmsg_hdr h = {0};
	uint32_t len, aux = 0;
	const void *shared = ring_r_peek(&c->cmd, &len);
	int status;

	if (shared == NULL)
		return false;
	memcpy(&h, shared, len < sizeof(h) ? len : sizeof(h));
	if (len <= sizeof(rec)) {
		memcpy(rec, shared, len);
		// what is judged is what was copied, and its length is the ring's
		memcpy(rec, &len, sizeof(len));
		memcpy(&h, rec, len < sizeof(h) ? len : sizeof(h));
	}
	if (has_keys(h.type))
		ring_r_wipe(&c->cmd);
	status = len <= sizeof(rec) ? ctl_cmd(c, rec, len, &aux) : -EMSGSIZE;
	if (status == -EAGAIN && waits_for_room(h.type))
		return false;
	ring_r_next(&c->cmd);
	if (status <= 0 && (status != 0 || h.type != CMD_DUMP))
		ctl_done(c, h.cookie, status, aux);
	return true;
}

void ctl_orphan(struct ctl *c)
{
	c->orphans = true;
	c->orphans_at = 0;
}

// Some at a time, as their workers take it; not while a hop moves.
static void orphans_end(struct ctl *c)
{
	struct cmd_hop_del del = {.send_close = 0};
	uint32_t aux = 0;

	while (c->orphans && !c->moving) {
		del.hop = hop_table_carried(c->k.hops, c->orphans_at);
		c->orphans = del.hop != 0;
		if (!c->orphans || on_hop_del(c, &del, &aux) == -EAGAIN)
			return;
		c->orphans_at = dpmsg_handle_index(del.hop) + 1;
	}
}

bool ctl_commands(struct ctl *c)
{
	bool some = !ring_r_empty(&c->cmd), room = true;
	unsigned n = 0;

	look_at_move(c);
	orphans_end(c);
	while (n < CTL_BATCH && (room = ctl_room_for_answer(c)) && is_settled(c) && one(c))
		n++;
	c->held = some && room && n == 0;
	if (n > 0)
		ring_r_release(&c->cmd);
	if (c->cmd.broken) {
		log_limited(LOG_ERR, "nonsense in the command ring: what was in it is dropped");
		ring_r_resync(&c->cmd);
	}
	return n > 0;
}
