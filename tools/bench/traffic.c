// Making of flows and of the pattern of sizes.

#include "tools/bench/traffic.h"

#include "lib/base/err.h"
#include "lib/wire/rail_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Sizes by weight, spread evenly: each place gets the size that lags most behind its share.
static void pattern(struct traffic *t, const struct args *a, unsigned total)
{
	int64_t credit[ARGS_SIZES_MAX] = {0};

	for (unsigned i = 0; i < total; i++) {
		unsigned best = 0;

		for (unsigned k = 0; k < a->n_sizes; k++) {
			credit[k] += a->size[k].weight;
			if (credit[k] > credit[best])
				best = k;
		}
		credit[best] -= total;
		t->size[i] = (uint16_t)a->size[best].len;
	}
}

int traffic_init(struct traffic *t, const struct args *a, bool ip6)
{
	unsigned total = 0;
	double sum = 0;

	*t = (struct traffic){
		.n_links = a->n_transports, .n_flows = a->n_routes, .size_min = UINT32_MAX};
	for (unsigned k = 0; k < a->n_sizes; k++) {
		total += a->size[k].weight;
		sum += (double)a->size[k].weight * a->size[k].len;
		if (a->size[k].len < t->size_min)
			t->size_min = a->size[k].len;
	}
	t->n_sizes = total;
	t->payload_len = sum / total;
	t->frame_len = t->payload_len + ROUTE_HDR_LEN + RAIL_DATA_OVERHEAD +
		       (a->reliable ? RAIL_SEQ_HDR_LEN : 1) +
		       (ip6 ? TRAFFIC_HDR6_LEN : TRAFFIC_HDR4_LEN);
	t->size = calloc(total, sizeof(t->size[0]));
	t->link = calloc(t->n_links, sizeof(t->link[0]));
	t->flow = calloc(t->n_flows, sizeof(t->flow[0]));
	if (t->size == NULL || t->link == NULL || t->flow == NULL) {
		traffic_fini(t);
		return -ENOMEM;
	}
	pattern(t, a, total);
	for (unsigned l = 0; l < t->n_links; l++)
		t->link[l].n_flows = (t->n_flows - l + t->n_links - 1) / t->n_links;
	return 0;
}

void traffic_fini(struct traffic *t)
{
	free(t->size);
	free(t->link);
	free(t->flow);
	*t = (struct traffic){0};
}

int traffic_routes(const struct traffic *t, struct peer *p)
{
	int rc = 0;

	for (uint32_t i = 0; i < t->n_flows && rc == 0; i++)
		rc = peer_route_add(p, i, t->flow[i].in_id, t->link[i % t->n_links].hop);
	return rc;
}

void traffic_shuffle(uint32_t *order, uint32_t n, uint32_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull | 1;

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t k, v = order[i];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		k = (uint32_t)(x % (i + 1));
		order[i] = order[k];
		order[k] = v;
	}
}

void traffic_begin(struct traffic *t)
{
	t->run++;
	for (unsigned i = 0; i < t->n_flows; i++) {
		t->flow[i].rx = (struct flow_rx){0};
		t->flow[i].sent = t->flow[i].received = 0;
	}
}

double traffic_pps(const struct traffic *t, const struct args_rate *r)
{
	return r->bps > 0 ? r->bps / 8 / t->frame_len : r->pps;
}

uint64_t traffic_flows_lossy(const struct traffic *t)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < t->n_flows; i++)
		n += t->flow[i].received < t->flow[i].sent;
	return n;
}
