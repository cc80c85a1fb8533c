// Neighbours of the world (world.h, which alone includes it): 10.0.0.N is node N, everything is on
// one link, and its ways come and go as a test says.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "controlplane/dp/neigh.h"
#include "tests/controlplane/transport/world_loop.h"

struct neigh {
	unsigned node;
};

static bool w_no_path;
static uint16_t w_mtu;
static unsigned w_queues; // of each port
static unsigned w_refs[256]; // live references to 10.0.0.N, of all nodes

struct neigh_ref {
	struct neigh_ref *next;
	struct neigh *n;
	struct neigh_path path;
	neigh_fn fn;
	void *arg;
	bool dead;
};

static struct neigh_ref *w_ref_list;

static void w_tell_path(struct w_job *j)
{
	struct neigh_ref *r = j->arg;

	if (!r->dead)
		r->fn(r->arg, &r->path);
}

// Ways come and go under those who know them.
static void w_paths_set(enum neigh_state state)
{
	w_no_path = state != NEIGH_USABLE;
	for (struct neigh_ref *r = w_ref_list; r != NULL; r = r->next) {
		if (r->dead || r->path.state == state)
			continue;
		r->path.state = state;
		w_post(w_tell_path)->arg = r;
	}
}

struct neigh_ref *neigh_resolve(
	struct neigh *n, const uint8_t dst[16], const char *scope_if, neigh_fn fn, void *arg)
{
	struct neigh_ref *r = calloc(1, sizeof(*r));

	r->n = n;
	r->fn = fn;
	r->arg = arg;
	r->path.adj = (1u << DPMSG_HANDLE_BITS) | dst[15];
	r->path.state = w_no_path ? NEIGH_RESOLVING : NEIGH_USABLE;
	r->path.mtu = w_mtu;
	memcpy(r->path.dst_ip, dst, 16);
	w_refs[dst[15]]++;
	r->next = w_ref_list;
	w_ref_list = r;
	w_post(w_tell_path)->arg = r;
	return r;
}

static void w_free_ref(struct w_job *j)
{
	struct neigh_ref **p = &w_ref_list;

	while (*p != j->arg)
		p = &(*p)->next;
	*p = (*p)->next;
	free(j->arg);
}

void neigh_put(struct neigh_ref *ref)
{
	if (ref == NULL || ref->dead)
		return;
	ref->dead = true;
	w_refs[ref->path.dst_ip[15]]--;
	w_post(w_free_ref)->arg = ref; // after what may still be told
}

const struct neigh_path *neigh_path(const struct neigh_ref *ref)
{
	return &ref->path;
}

const char *neigh_port_ifname(const struct neigh *n, uint16_t port)
{
	return "eth0";
}

unsigned neigh_port_queues(const struct neigh *n, uint16_t port)
{
	return w_queues;
}
