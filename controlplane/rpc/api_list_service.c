// Lists about services of Skywire: their state, and the paths that a route finder tells, which is a
// question that waits for its answer.
#include "controlplane/rpc/api_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/directory/finder.h"
#include "controlplane/services.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

static void service_record(const struct services *all, enum services_kind kind, struct api_req *r)
{
	static const uint8_t kinds[] = {[SERVICES_DISCOVERY] = API_SERVICE_TRANSPORTS,
		[SERVICES_RESOLVER] = API_SERVICE_ADDRESSES,
		[SERVICES_FINDER] = API_SERVICE_ROUTES};
	const struct service *s = services_get(all, kind);
	struct api_service rec = {.kind = kinds[kind],
		.up = UINT64_MAX,
		.registered = UINT64_MAX,
		.mended = UINT64_MAX,
		.late = UINT64_MAX,
		.full = UINT64_MAX};
	struct tp_register_stats reg;
	struct service_stats st;

	if (s == NULL)
		return;
	service_stats_get(s, &st);
	API_COPY(rec.name, service_url(s));
	rec.status = (uint16_t)st.last_status;
	rec.waiting = st.waiting;
	if (st.last_ns != 0)
		rec.age_ms = (clock_mono_ns() - st.last_ns) / CLOCK_NS_PER_MS;
	rec.asked = st.asked;
	rec.refused = st.refused;
	rec.failed = st.failed;
	rec.nonce = st.has_nonce ? st.nonce : UINT64_MAX;
	API_COPY(rec.error, st.error);
	API_COPY(rec.note, st.error);
	if (kind == SERVICES_DISCOVERY) {
		tp_register_stats_get(services_register(all), &reg);
		rec.up = reg.up;
		rec.registered = reg.registered;
		rec.mended = reg.mended;
		rec.late = reg.late;
		rec.full = reg.full;
	}
	api_req_record(r, &rec, sizeof(rec));
}

void api_list_services(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	(void)payload, (void)len;
	for (int k = 0; a->d.services != NULL && k < SERVICES_KINDS; k++)
		service_record(a->d.services, (enum services_kind)k, r);
	api_req_end(r, NULL, 0);
}

// ---- paths ----

struct find {
	struct api_req *r;
	struct finder_query *q;
	uint16_t min_hops, max_hops;
};

static void path_records(struct api_req *r, const struct finder_paths *p, uint8_t way)
{
	for (uint32_t i = 0; i < p->n; i++) {
		for (uint32_t k = 0; k < p->path[i].n; k++) {
			const struct setup_hop *h = &p->path[i].hop[k];
			struct api_path_hop rec = {
				.way = way, .path = (uint8_t)(i + 1), .hop = (uint8_t)(k + 1)};

			memcpy(rec.from, h->from.b, API_PK_LEN);
			memcpy(rec.to, h->to.b, API_PK_LEN);
			memcpy(rec.tp, h->tp_id, sizeof(rec.tp));
			api_req_record(r, &rec, sizeof(rec));
		}
	}
}

static void on_found(void *arg, const struct finder_result *res)
{
	struct find *f = arg;
	struct api_req *r = f->r;
	const struct finder_answer *a = res->answer;

	if (!res->taken) {
		api_req_fail(r, res->err < 0 ? res->err : -EPROTO, "route finder: %s", res->text);
	} else if (a->forward.n == 0 || a->reverse.n == 0) {
		api_req_fail(r, -ENOENT, "no path of %u to %u hops%s%s%s", f->min_hops, f->max_hops,
			a->forward.n > 0   ? ", back from there"
			: a->reverse.n > 0 ? ", there"
					   : "",
			res->text[0] != '\0' ? ": the route finder says " : "", res->text);
	} else {
		path_records(r, &a->forward, 0);
		path_records(r, &a->reverse, 1);
		api_req_end(r, NULL, 0);
	}
	free(f);
}

static void find_cancel(void *arg)
{
	struct find *f = arg;

	finder_cancel(f->q);
	free(f);
}

static bool take_ask(
	struct api *a, struct api_req *r, const struct api_paths_ask *m, struct finder_ask *ask)
{
	memcpy(ask->src.b, m->src, API_PK_LEN);
	memcpy(ask->dst.b, m->dst, API_PK_LEN);
	ask->min_hops = m->min_hops;
	ask->max_hops = m->max_hops;
	if (key_pk_is_null(&ask->src))
		ask->src = *identity_pk(a->d.identity);
	if (key_pk_is_valid(&ask->src) && key_pk_is_valid(&ask->dst) && m->max_hops > 0 &&
		m->max_hops <= SETUP_HOPS_MAX && m->min_hops <= m->max_hops)
		return true;
	api_req_fail(r, -EINVAL,
		"a node is named by its public key; hops are 1 to %d, and no more at least than at "
		"most",
		SETUP_HOPS_MAX);
	return false;
}

void api_list_paths(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct service *finder =
		a->d.services != NULL ? services_get(a->d.services, SERVICES_FINDER) : NULL;
	struct api_paths_ask m;
	struct finder_ask ask;
	struct find *f;

	memcpy(&m, payload, sizeof(m));
	if (!take_ask(a, r, &m, &ask))
		return;
	if (finder == NULL) {
		api_req_fail(r, -ENOTCONN,
			"this node knows no route finder: set [routing] "
			"route_finder");
		return;
	}
	f = calloc(1, sizeof(*f));
	if (f != NULL) {
		*f = (struct find){.r = r, .min_hops = ask.min_hops, .max_hops = ask.max_hops};
		f->q = finder_paths(finder, &ask, on_found, f);
	}
	if (f == NULL || f->q == NULL) {
		api_req_fail(r, -errno, "route finder: %s", strerror(errno));
		free(f);
		return;
	}
	api_req_pend(r, NULL, find_cancel, f);
	api_req_watch(r);
}
