// What the main lcore says to owners of reliable routes, whom it asks, and what it reads of theirs.
#include "dataplane/hop/hop_main.h"
#include "dataplane/hop/hop_route.h"
#include "dataplane/hop/hop_table.h"

uint32_t hop_table_carried(const struct hop_table *t, uint32_t from)
{
	for (uint32_t i = from; i < t->hop_max; i++) {
		const struct hop_rec *rec = t->main->recs[i];

		if (rec != NULL && !rec->going && rec->add.mode == HOP_MODE_CARRIED)
			return rec->add.hop;
	}
	return 0;
}

bool hop_table_msg(struct hop_table *t, unsigned worker, const struct hop_msg *msg)
{
	struct hop_msg copy = *msg; // the ring takes no const

	if (worker >= t->n_workers || t->workers[worker]->hold == NULL)
		return true; // nobody is there to be told
	if (t->main->move.n_workers != 0)
		return false; // routes change their owners
	return rte_ring_sp_enqueue_elem(t->workers[worker]->hold->msgs, &copy, sizeof(copy)) == 0;
}

int hop_table_ingress(const struct hop_table *t, uint32_t tp, uint32_t id, uint32_t *hop)
{
	uint64_t word = hop_table_in_word(t, tp, id);
	const struct hop_rec *rec = hop_rec_find(t, (uint32_t)(word >> 32));

	if ((word & HOP_TP_RELIABLE) == 0 || rec == NULL)
		return -1;
	*hop = rec->add.hop;
	return rec->owner;
}

int hop_table_owner(const struct hop_table *t, uint32_t hop, bool *reliable)
{
	const struct hop_rec *rec = hop_rec_find(t, hop);

	if (rec == NULL)
		return -1;
	if (reliable != NULL)
		*reliable = rec->add.mode != HOP_MODE_DATAGRAM;
	return rec->owner;
}

unsigned hop_table_flow(const struct hop_table *t, uint32_t hop, unsigned *n_flows)
{
	const struct hop_rec *rec = hop_rec_find(t, hop);

	if (rec == NULL)
		return 0;
	*n_flows = atomic_load_explicit(&t->n_flows[dpmsg_handle_index(hop)], memory_order_relaxed);
	return rec->add.flow;
}

uint32_t hop_table_route_freed(struct hop_table *t, uint32_t index, bool is_over)
{
	struct hop_route *info;
	uint32_t freed;

	if (t->rel == NULL || index >= t->rel->n_rules)
		return 0;
	info = &t->rel->info[index];
	freed = atomic_load_explicit(&info->freed, memory_order_relaxed);
	if (is_over && info->id != 0) // pages that nobody wrote to stay as they are
		memset(info, 0, sizeof(*info));
	return freed;
}

size_t hop_table_rel_bytes(const struct hop_table *t)
{
	size_t len = t->rel != NULL ? t->rel->map_len : 0;

	for (unsigned i = 0; i < t->n_workers; i++)
		if (t->workers[i]->hold != NULL)
			len += t->workers[i]->hold->chunks_len;
	return len;
}
