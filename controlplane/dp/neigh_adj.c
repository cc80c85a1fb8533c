// The data plane's side of neigh: adjacencies are set there before anybody may name them, handles
// of an earlier life are taken over where the same address is asked for again, and freed some time
// later where not. What the kernel says is neigh.c's business.
#include "controlplane/dp/neigh_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("adj");

enum { ADOPT_KEEP_MS = 30000 }; // adjs of an earlier life that nobody asked for end then

// ---- telling the data plane and the references ----

void neigh_adj_changed(struct neigh_way *p)
{
	p->dirty = true;
	loop_timer_start(p->owner->soon, 0, 0);
}

static uint32_t adopted_take(struct neigh *n, const struct neigh_way *p)
{
	for (struct neigh_adopted **a = &n->adopted; *a != NULL; a = &(*a)->next) {
		struct neigh_adopted *found = *a;
		uint32_t adj = found->adj;

		if (found->port != p->pub.port || memcmp(found->ip, p->pub.dst_ip, 16) != 0)
			continue;
		*a = found->next;
		free(found);
		return adj;
	}
	return 0;
}

static void tell(struct neigh_way *p)
{
	struct neigh_ref *r;

	p->told = p->sent;
	for (r = p->refs; r != NULL; r = p->walk) {
		p->walk = r->next; // neigh_put() moves it on when that one goes
		r->fn(r->arg, &p->told);
	}
}

// Only now may others name the adj: their commands and packets go by other rings.
static void on_adj_done(void *arg, int status, uint32_t aux)
{
	struct neigh_way *p = arg;

	(void)aux;
	p->n_pending--;
	if (status == -ECONNRESET)
		return;
	if (status != 0) {
		log_limited(LOG_ERR, "the data plane refused an adjacency on %s: %s",
			p->sent.ifname, strerror(-status));
		p->dirty = true; // again at the next tick
	} else if (p->n_pending == 0) {
		tell(p);
	}
	if (p->refs == NULL)
		loop_timer_start(p->owner->soon, 0, 0);
}

// The handle of the path; false: none to be had now.
static bool adj_choose(struct neigh *n, struct neigh_way *p)
{
	if (p->pub.adj == 0)
		p->pub.adj = adopted_take(n, p);
	if (p->pub.adj == 0)
		p->pub.adj = handles_take(n->handles);
	if (p->pub.adj == 0)
		log_limited(LOG_ERR, "the data plane's adjacency table is full");
	return p->pub.adj != 0;
}

// True when it was sent, or nothing needs to be.
static bool adj_send(struct neigh *n, struct neigh_way *p)
{
	struct cmd_adj_set c = {.h.type = CMD_ADJ_SET};

	if (!n->ready || !adj_choose(n, p))
		return false;
	p->sent = p->pub;
	// Without an interface there is nothing to say about an adj that was never set.
	if (p->ifindex == 0 && !p->in_dp) {
		tell(p);
		return true;
	}
	c.adj = p->pub.adj;
	c.port = p->pub.port;
	c.mtu = p->pub.mtu;
	c.usable = p->pub.state == NEIGH_USABLE;
	memcpy(c.src_mac, p->pub.src_mac, 6);
	memcpy(c.dst_mac, p->pub.dst_mac, 6);
	memcpy(c.src_ip, p->pub.src_ip, 16);
	memcpy(c.dst_ip, p->pub.dst_ip, 16);
	if (dp_client_send(n->dp, &c, sizeof(c), on_adj_done, p) != 0)
		return false;
	p->in_dp = true;
	p->n_pending++;
	return true;
}

// Also reaps: not in neigh_put(), for a callback may put a reference of the path that it is about.
void neigh_adj_flush(void *arg)
{
	struct neigh *n = arg;
	struct neigh_way *p, *next;

	for (p = n->paths; p != NULL; p = p->next) {
		if (p->dirty && p->refs != NULL)
			p->dirty = !adj_send(n, p);
	}
	for (p = n->paths; p != NULL; p = next) {
		next = p->next;
		if (p->refs == NULL && p->n_pending == 0)
			neigh_way_free(p);
	}
}

// ---- what the data plane tells ----

static void on_port(void *arg, const struct evt_port *e)
{
	struct neigh *n = arg;
	struct neigh_port *p;

	if (e->port >= ARRAY_LEN(n->ports))
		return;
	p = &n->ports[e->port];
	p->used = true;
	if (strcmp(p->e.kernel_if, e->kernel_if) != 0)
		memset(&p->link, 0, sizeof(p->link));
	p->e = *e;
	if (e->kernel_if[0] != '\0' && p->link.ifindex == 0)
		neigh_links_dump(n);
	neigh_recheck_soon(n);
}

void neigh_adj_forget(struct neigh *n)
{
	while (n->adopted != NULL) {
		struct neigh_adopted *a = n->adopted;

		n->adopted = a->next;
		free(a);
	}
}

static void on_adj(void *arg, const struct evt_adj *e)
{
	struct neigh *n = arg;
	struct neigh_adopted *a;

	if (n->ready || handles_take_exact(n->handles, e->set.adj) != 0)
		return; // ours already
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return;
	a->adj = e->set.adj;
	a->port = e->set.port;
	memcpy(a->ip, e->set.dst_ip, 16);
	a->next = n->adopted;
	n->adopted = a;
}

void neigh_adj_del(struct neigh *n, uint32_t adj)
{
	struct cmd_adj_del c = {.h.type = CMD_ADJ_DEL, .adj = adj};

	// What can't be told now stays in the data plane until its next life; its index stays
	// taken.
	if (n->ready && dp_client_send(n->dp, &c, sizeof(c), NULL, NULL) == 0)
		handles_put(n->handles, adj);
}

void neigh_adj_on_adopt_end(void *arg)
{
	struct neigh *n = arg;

	for (struct neigh_adopted *a = n->adopted; a != NULL; a = a->next)
		neigh_adj_del(n, a->adj);
	neigh_adj_forget(n);
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct neigh *n = arg;
	const struct region_hdr *info = dp_client_info(n->dp);

	n->ready = true;
	if (why == DP_SYNC_OVERFLOW)
		return;
	if (info != NULL)
		handles_set_max(n->handles, info->adj_max);
	loop_timer_start(n->adopt_end, ADOPT_KEEP_MS, 0);
	for (struct neigh_way *p = n->paths; p != NULL; p = p->next) {
		p->in_dp = false;
		p->dirty = true;
		neigh_way_ask(n, p);
	}
	loop_timer_start(n->soon, 0, 0);
}

static void on_detach(void *arg)
{
	struct neigh *n = arg;

	n->ready = false;
	neigh_adj_forget(n);
	loop_timer_stop(n->adopt_end);
	// A new data plane knows nothing, the same one again will tell what it has.
	handles_free(n->handles);
	n->handles = handles_new();
	for (struct neigh_way *p = n->paths; p != NULL; p = p->next) {
		p->in_dp = false;
		p->pub.adj = 0;
		neigh_no_way(p, NEIGH_NO_ROUTE);
		p->sent = p->pub;
		tell(p);
	}
	memset(n->ports, 0, sizeof(n->ports));
}

static void on_room(void *arg)
{
	struct neigh *n = arg;

	neigh_adj_flush(n);
}

void neigh_adj_handlers(struct neigh *n)
{
	n->handler = (struct dp_handler){.arg = n,
		.on_detach = on_detach,
		.on_synced = on_synced,
		.on_port = on_port,
		.on_adj = on_adj,
		.on_room = on_room};
	dp_client_register(n->dp, &n->handler);
}
