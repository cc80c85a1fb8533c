// Layout and self-description of the statistics segment. Everything that knows the list of counters
// by name is generated here from counters.def; nobody else spells a counter's name for output.

#include "lib/shm/stats.h"

#include "lib/base/err.h"

#include <string.h>

static const struct counter_desc workers[] = {
#define COUNTER_WORKER(stage, role, name, unit, help)                                              \
	[W_##name] = {#name, unit, help, SCOPE_WORKER, STAGE_##stage, ROLE_##role},
#include "lib/shm/counters.def"
};

static const struct counter_desc ports[] = {
#define COUNTER_PORT(role, name, unit, help)                                                       \
	[P_##name] = {#name, unit, help, SCOPE_PORT, STAGE_info, ROLE_##role},
#include "lib/shm/counters.def"
};

static const struct counter_desc hops[] = {
#define COUNTER_HOP(name, unit, help)                                                              \
	[H_##name] = {#name, unit, help, SCOPE_HOP, STAGE_info, ROLE_INFO},
#include "lib/shm/counters.def"
};

static const struct counter_desc control[] = {
#define COUNTER_CONTROL(role, name, unit, help)                                                    \
	[C_##name] = {#name, unit, help, SCOPE_CONTROL, STAGE_info, ROLE_##role},
#include "lib/shm/counters.def"
};

static const struct counter_desc dmsg_client[] = {
#define COUNTER_DMSG_CLIENT(role, name, unit, help)                                                \
	[DC_##name] = {#name, unit, help, SCOPE_DMSG_CLIENT, STAGE_info, ROLE_##role},
#include "lib/shm/counters.def"
};

static const struct counter_desc dmsg_server[] = {
#define COUNTER_DMSG_SERVER(role, name, unit, help)                                                \
	[DS_##name] = {#name, unit, help, SCOPE_DMSG_SERVER, STAGE_info, ROLE_##role},
#include "lib/shm/counters.def"
};

const struct counter_desc *stats_desc(enum counter_scope scope, size_t *n)
{
	switch (scope) {
	case SCOPE_WORKER:
		*n = ARRAY_LEN(workers);
		return workers;
	case SCOPE_PORT:
		*n = ARRAY_LEN(ports);
		return ports;
	case SCOPE_HOP:
		*n = ARRAY_LEN(hops);
		return hops;
	case SCOPE_CONTROL:
		*n = ARRAY_LEN(control);
		return control;
	case SCOPE_DMSG_CLIENT:
		*n = ARRAY_LEN(dmsg_client);
		return dmsg_client;
	case SCOPE_DMSG_SERVER:
		*n = ARRAY_LEN(dmsg_server);
		return dmsg_server;
	}
	*n = 0;
	return NULL;
}

// FNV-1a over the names in order, each with its final NUL: adding, renaming or moving a counter
// changes it.
uint32_t stats_counters_hash(void)
{
	uint32_t h = 2166136261u;

	for (int scope = SCOPE_WORKER; scope <= SCOPE_HOP; scope++) {
		size_t n;
		const struct counter_desc *d = stats_desc((enum counter_scope)scope, &n);

		for (size_t i = 0; i < n; i++) {
			const char *p = d[i].name;

			do {
				h = (h ^ (uint8_t)*p) * 16777619u;
			} while (*p++ != '\0');
		}
	}
	return h;
}

struct layout {
	uint64_t workers_off, ports_off, hops_off, len;
};

static struct layout layout_of(uint64_t n_workers, uint64_t n_ports, uint64_t hop_max)
{
	struct layout l;

	l.workers_off = (sizeof(struct stats_hdr) + 63) & ~(uint64_t)63;
	l.ports_off = l.workers_off + n_workers * sizeof(struct stats_worker);
	l.hops_off = l.ports_off + n_ports * sizeof(struct stats_port);
	l.len = l.hops_off + hop_max * sizeof(struct stats_hop);
	return l;
}

size_t stats_len(uint32_t n_workers, uint32_t n_ports, uint32_t hop_max)
{
	return layout_of(n_workers, n_ports, hop_max).len;
}

void stats_init(
	struct stats_hdr *s, uint32_t n_workers, uint32_t n_ports, uint32_t hop_max, uint64_t epoch)
{
	struct layout l = layout_of(n_workers, n_ports, hop_max);

	s->magic = STATS_MAGIC;
	s->version = STATS_VERSION;
	s->counters = stats_counters_hash();
	s->n_workers = n_workers;
	s->n_ports = n_ports;
	s->hop_max = hop_max;
	s->epoch = epoch;
	s->len = l.len;
	s->workers_off = l.workers_off;
	s->ports_off = l.ports_off;
	s->hops_off = l.hops_off;
}

int stats_check(const struct stats_hdr *s, size_t len)
{
	struct layout l;

	if (len < sizeof(*s) || s->magic != STATS_MAGIC || s->version != STATS_VERSION ||
		s->counters != stats_counters_hash())
		return -EPROTO;
	if (s->n_workers > DPMSG_MAX_WORKERS || s->n_ports > DPMSG_MAX_PORTS ||
		s->hop_max > 1u << DPMSG_HANDLE_BITS)
		return -EPROTO;
	l = layout_of(s->n_workers, s->n_ports, s->hop_max);
	if (s->len != l.len || l.len > len || s->workers_off != l.workers_off ||
		s->ports_off != l.ports_off || s->hops_off != l.hops_off)
		return -EPROTO;
	return 0;
}

int stats_view_open(struct stats_view *v, const struct stats_hdr *s, size_t len, uint64_t epoch)
{
	struct stats_hdr h = {0};

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, s, offsetof(struct stats_hdr, rules_live));
	if (stats_check(&h, len) < 0 || h.epoch != epoch)
		return -EPROTO;
	*v = (struct stats_view){.live = s,
		.n_workers = h.n_workers,
		.n_ports = h.n_ports,
		.hop_max = h.hop_max,
		.workers_off = h.workers_off,
		.ports_off = h.ports_off,
		.hops_off = h.hops_off,
		.tsc_hz = h.tsc_hz};
	memcpy(v->program, h.program, sizeof(v->program) - 1);
	memcpy(v->dpdk, h.dpdk, sizeof(v->dpdk) - 1);
	memcpy(v->aead, h.aead, sizeof(v->aead) - 1);
	memcpy(v->ciphers, h.ciphers, sizeof(v->ciphers) - 1);
	return 0;
}

static const void *block(const struct stats_view *v, uint64_t off, unsigned i, size_t size)
{
	return (const void *)((uintptr_t)v->live + off + i * size);
}

const struct stats_worker *stats_view_worker(const struct stats_view *v, unsigned i)
{
	return i < v->n_workers ? block(v, v->workers_off, i, sizeof(struct stats_worker)) : NULL;
}

const struct stats_port *stats_view_port(const struct stats_view *v, unsigned i)
{
	return i < v->n_ports ? block(v, v->ports_off, i, sizeof(struct stats_port)) : NULL;
}

const struct stats_hop *stats_view_hop(const struct stats_view *v, unsigned i)
{
	return i < v->hop_max ? block(v, v->hops_off, i, sizeof(struct stats_hop)) : NULL;
}

static void zero32(_Atomic uint32_t *v)
{
	atomic_store_explicit(v, 0, memory_order_relaxed);
}

static void zero64(_Atomic uint64_t *v)
{
	atomic_store_explicit(v, 0, memory_order_relaxed);
}

void stats_hop_clear(struct stats_hop *st)
{
	for (unsigned i = 0; i < H_COUNT; i++)
		zero64(&st->c[i]);
	zero32(&st->rtt_us);
	zero32(&st->path_mtu);
	zero32(&st->mtu_state);
	zero64(&st->cwnd);
	zero64(&st->in_flight);
	zero64(&st->rate);
	zero32(&st->min_rtt_us);
	zero32(&st->unacked);
	zero64(&st->queued);
	zero32(&st->queued_packets);
	zero32(&st->held);
	zero32(&st->paused);
}
