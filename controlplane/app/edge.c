// The life of edges: devices made and removed, bound to rules that exist, found again after a
// restart. The state file has one line an edge and is replaced atomically. Packets are edge_io's.
#include "controlplane/app/edge.h"

#include "controlplane/app/edge_priv.h"
#include "controlplane/app/tun.h"
#include "lib/api/api_field.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LOG_MODULE("edge");

enum { RETRY_MS = 1000, KEEP_ALIVE_MIN_MS = 20 };

static const struct edge_dev tun_dev = {tun_open, tun_setup, tun_remove};

static struct edge *find(const struct edge_mgr *m, const char *name)
{
	struct edge *e = m->edges;

	while (e != NULL && strncmp(e->spec.name, name, sizeof(e->spec.name)) != 0)
		e = e->next;
	return e;
}

// ---- addresses as text ----

static void addrs_text(const struct api_edge_add *s, char *buf, size_t cap)
{
	size_t o = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < s->n_addrs && i < API_EDGE_ADDRS && o < cap; i++) {
		struct api_addr a = {0};
		char ip[64];

		memcpy(a.ip, s->addrs[i].ip, sizeof(a.ip));
		api_addr_text(&a, ip, sizeof(ip));
		o += (size_t)snprintf(
			buf + o, cap - o, "%s%s/%u", i > 0 ? "," : "", ip, s->addrs[i].prefix);
	}
}

// ---- state file ----

static void state_write_to(const struct edge_mgr *m, FILE *f)
{
	for (const struct edge *e = m->edges; e != NULL; e = e->next) {
		char addrs[sizeof(e->count.addrs)];

		addrs_text(&e->spec, addrs, sizeof(addrs));
		fprintf(f, "%s %u %u %u %u %s %s %u %u\n", e->spec.name, e->spec.mtu,
			e->end.forward_id, e->end.consume_id, e->made,
			e->origin == EDGE_ADDED ? "added" : "configured",
			addrs[0] != '\0' ? addrs : "-", e->spec.offload, e->spec.super_max);
	}
}

static void state_save(const struct edge_mgr *m)
{
	char tmp[4096];
	FILE *f;
	bool bad;

	if (m->state_path == NULL || m->restoring)
		return;
	if (snprintf(tmp, sizeof(tmp), "%s.new", m->state_path) >= (int)sizeof(tmp))
		return;
	f = fopen(tmp, "we");
	bad = f == NULL;
	if (f != NULL) {
		state_write_to(m, f);
		bad = fflush(f) != 0 || fsync(fileno(f)) < 0;
		bad |= fclose(f) != 0;
	}
	if (bad || rename(tmp, m->state_path) < 0)
		log_limited(LOG_WARN,
			"file=%s not written: %s; edges added by hand won't survive a restart",
			m->state_path, strerror(errno));
}

static void restore_line(struct edge_mgr *m, const char *line)
{
	struct api_edge_add spec = {0};
	char name[16], origin[16], addrs[160], err[API_TEXT_MAX];
	unsigned mtu, made, offload = API_OFFLOAD_AUTO, super_max = 0; // absent in older files
	uint32_t fwd, cons;
	struct edge *e;

	if (sscanf(line, "%15s %u %" SCNu32 " %" SCNu32 " %u %15s %159s %u %u", name, &mtu, &fwd,
		    &cons, &made, origin, addrs, &offload, &super_max) < 7)
		return;
	e = find(m, name);
	if (e == NULL) {
		if (strcmp(origin, "added") != 0)
			return; // it left the configuration meanwhile
		snprintf(spec.name, sizeof(spec.name), "%s", name);
		spec.mtu = (uint16_t)mtu;
		spec.offload = (uint8_t)offload;
		spec.super_max = (uint16_t)super_max;
		if ((strcmp(addrs, "-") != 0 && api_nets_parse(addrs, &spec) < 0) ||
			edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)) < 0) {
			log_warn("edge=%s not restored: %s", name, err);
			return;
		}
		e = find(m, name);
	}
	e->made |= made != 0;
	if (fwd != 0 && e->state == EDGE_DETACHED)
		edge_attach(m, name, fwd, cons, NULL, NULL, err, sizeof(err));
}

void edge_mgr_restore(struct edge_mgr *m)
{
	FILE *f = m->state_path != NULL ? fopen(m->state_path, "re") : NULL;
	char line[512];

	if (f != NULL) {
		m->restoring = true;
		while (fgets(line, sizeof(line), f) != NULL)
			restore_line(m, line);
		m->restoring = false;
		fclose(f);
	}
	state_save(m);
}

// ---- bound to rules ----

static void settle(struct edge *e, int status, const char *text)
{
	edge_done_fn done = e->done;

	e->done = NULL;
	if (done != NULL)
		done(e->done_arg, status, text);
}

static void unbind(struct edge *e, enum edge_state state)
{
	loop_timer_stop(e->keep_alive);
	loop_timer_stop(e->hello);
	edge_far_reset(&e->far);
	if (e->look != NULL)
		rule_list_cancel(e->look);
	e->look = NULL;
	e->state = state;
	edge_io_pause(e, false);
	edge_io_room(e); // a packet that waits for room is dropped and reading goes on
}

void edge_gone(struct edge *e, const char *why)
{
	if (e->state == EDGE_ATTACHED)
		log_notice("edge=%s route ended: %s", e->spec.name, why);
	unbind(e, EDGE_GONE);
}

static void attached(struct edge *e)
{
	uint64_t ms = e->keep_alive_ms / 3;

	e->state = EDGE_ATTACHED;
	edge_io_pause(e, e->saw_paused);
	e->sent = false;
	e->worker = e->m->conf.worker(e->m->conf.worker_arg, e->tx_hop);
	if (ms > 0)
		loop_timer_start(e->keep_alive, 0, ms > KEEP_ALIVE_MIN_MS ? ms : KEEP_ALIVE_MIN_MS);
	edge_far_reset(&e->far);
	loop_timer_start(e->hello, 0, 0);
	log_notice("edge=%s attached forward=%u consume=%u", e->spec.name, e->end.forward_id,
		e->end.consume_id);
}

static void on_look_rule(void *arg, const struct evt_rule *r)
{
	struct edge *e = arg;

	if (r->id == e->end.forward_id) {
		e->saw_forward = true;
		e->wrong_type |= r->type != RULE_FORWARD;
		e->tx_hop = r->tx_hop;
		e->keep_alive_ms = r->flags & RULE_STATIC ? 0 : r->keep_alive_ms;
		e->saw_paused = (r->flags & RULE_PAUSED) != 0;
	} else if (r->id == e->end.consume_id) {
		e->saw_consume = true;
		e->wrong_type |= r->type != RULE_CONSUME;
	}
}

static uint32_t index_of(const struct edge *e, uint32_t id)
{
	return id & ((1u << rule_mgr_bits(e->m->conf.rules)) - 1);
}

// The missing rules may come (a static one waits for its transport): then it is no error.
static bool may_come(const struct edge *e)
{
	return (e->saw_forward || route_id_is_live(e->m->conf.ids, e->end.forward_id)) &&
	       (e->saw_consume || route_id_is_live(e->m->conf.ids, e->end.consume_id));
}

static void look(struct edge *e);

// Attaching was refused: the error, and the route that the edge had before, if any.
static void refuse(struct edge *e, int status, const char *text)
{
	bool had = e->old_forward_id != 0;

	unbind(e, had ? EDGE_WAITING : EDGE_DETACHED);
	if (had)
		route_ends_bind(e->m->conf.ends, &e->end, e->old_forward_id, e->old_consume_id);
	else
		route_ends_unbind(e->m->conf.ends, &e->end);
	state_save(e->m);
	settle(e, status, text);
	if (had)
		look(e);
}

static void looked(struct edge *e)
{
	char text[API_TEXT_MAX];

	if (e->wrong_type) {
		snprintf(text, sizeof(text), "rule %u must be a forward rule and %u a consume rule",
			e->end.forward_id, e->end.consume_id);
		if (e->done != NULL)
			refuse(e, -EINVAL, text);
	} else if (e->saw_forward && e->saw_consume) {
		attached(e);
		settle(e, 0, "");
	} else if (e->done != NULL && !may_come(e)) {
		snprintf(text, sizeof(text), "no rule %u: see `skyrail show rules`",
			e->saw_forward ? e->end.consume_id : e->end.forward_id);
		refuse(e, -ENOENT, text);
	} else {
		settle(e, 0, "");
	}
}

static void on_look_consume_done(void *arg, int status)
{
	struct edge *e = arg;

	e->look = NULL;
	looked(e);
}

static void on_look_forward_done(void *arg, int status)
{
	struct edge *e = arg;

	e->look = rule_mgr_list(e->m->conf.rules, index_of(e, e->end.consume_id), 1, on_look_rule,
		on_look_consume_done, e);
	if (e->look == NULL)
		looked(e);
}

static void look(struct edge *e)
{
	if (e->look != NULL || e->state == EDGE_DETACHED || e->state == EDGE_ATTACHED || e->fd < 0)
		return;
	if (rule_mgr_bits(e->m->conf.rules) == 0)
		return;
	e->saw_forward = e->saw_consume = e->wrong_type = false;
	e->look = rule_mgr_list(e->m->conf.rules, index_of(e, e->end.forward_id), 1, on_look_rule,
		on_look_forward_done, e);
}

// ---- the device ----

static int device_open(struct edge *e, char *err, size_t err_len)
{
	const struct edge_dev *dev = e->m->conf.dev;
	int rc = dev->open(
		e->spec.name, e->spec.offload != API_OFFLOAD_NO, &e->made, &e->kinds, err, err_len);

	if (rc < 0)
		return rc;
	e->fd = rc;
	rc = dev->setup(&e->spec, err, err_len);
	if (rc < 0)
		goto err_fd;
	e->poll = loop_poll_new(e->m->conf.loop, e->fd, edge_io_readable, e);
	if (e->poll == NULL) {
		rc = -ENOMEM;
		snprintf(err, err_len, "out of memory");
		goto err_fd;
	}
	e->flowing = true;
	loop_poll_set(e->poll, true, false);
	return 0;
err_fd:
	if (e->made)
		dev->remove(e->fd);
	close(e->fd);
	e->fd = -1;
	return rc;
}

static void device_close(struct edge *e)
{
	loop_poll_free(e->poll);
	e->poll = NULL;
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

// Somebody removed it. It is made again with the next look; until then no keep-alive says that
// there is an edge.
void edge_lost(struct edge *e, int rc)
{
	log_warn("edge=%s its device is gone: %s", e->spec.name, strerror(-rc));
	gro_flush(e->m->gro);
	device_close(e);
	if (e->state != EDGE_DETACHED)
		edge_gone(e, "its device is gone");
}

static void device_again(struct edge *e)
{
	char err[API_TEXT_MAX] = "";

	if (device_open(e, err, sizeof(err)) < 0)
		log_limited(
			LOG_WARN, "edge=%s its device is not made again: %s", e->spec.name, err);
	else
		log_notice("edge=%s its device is there again", e->spec.name);
}

// ---- what the data plane says ----

static void on_retry(void *arg)
{
	struct edge_mgr *m = arg;

	for (struct edge *e = m->edges; e != NULL; e = e->next) {
		if (e->fd < 0)
			device_again(e);
		look(e);
	}
}

static void on_synced(void *arg, enum dp_sync why)
{
	on_retry(arg);
}

static void on_detach(void *arg)
{
	struct edge_mgr *m = arg;

	for (struct edge *e = m->edges; e != NULL; e = e->next)
		if (e->state == EDGE_ATTACHED)
			edge_gone(e, "the data plane is gone");
}

static void on_rule_gone(void *arg, const struct evt_rule *r)
{
	struct edge *e = arg;
	char why[96];

	if (e->state != EDGE_ATTACHED)
		return;
	if (r->id == e->end.consume_id && r->reason == RULE_GONE_CLOSE) {
		edge_in_closed(e); // its packet comes by another ring, and may be later
		return;
	}
	snprintf(why, sizeof(why), "its %s rule is gone: %s",
		r->id == e->end.forward_id ? "forward" : "consume", rule_gone_text(r->reason));
	edge_gone(e, why);
}

static void on_pause(void *arg, bool paused)
{
	struct edge *e = arg;

	e->saw_paused = paused; // also between the records of its rules
	if (e->state == EDGE_ATTACHED && e->paused != paused)
		edge_io_pause(e, paused);
}

static const struct route_end_ops end_ops = {
	.packet = edge_in_route, .gone = on_rule_gone, .pause = on_pause};

static void on_route_end(void *arg)
{
	struct edge_mgr *m = arg;

	gro_flush(m->gro);
}

static void on_room(void *arg)
{
	struct edge_mgr *m = arg;

	for (struct edge *e = m->edges; e != NULL; e = e->next)
		edge_io_room(e);
}

// ---- verbs ----

struct edge_mgr *edge_mgr_new(const struct edge_mgr_conf *conf)
{
	struct edge_mgr *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->conf = *conf;
	if (m->conf.dev == NULL)
		m->conf.dev = &tun_dev;
	m->retry = loop_timer_new(conf->loop, on_retry, m);
	m->gro = malloc(gro_mem_size());
	if (conf->state_path != NULL)
		m->state_path = strdup(conf->state_path);
	if (m->retry == NULL || m->gro == NULL ||
		(conf->state_path != NULL && m->state_path == NULL)) {
		loop_timer_free(m->retry);
		free(m->gro);
		free(m->state_path);
		free(m);
		return errno_null(ENOMEM);
	}
	gro_init(m->gro, edge_in_joined, m);
	loop_timer_start(m->retry, RETRY_MS, RETRY_MS);
	m->handler = (struct dp_handler){.on_detach = on_detach,
		.on_synced = on_synced,
		.on_route_end = on_route_end,
		.on_room = on_room,
		.arg = m};
	dp_client_register(conf->dp, &m->handler);
	return m;
}

static void edge_free(struct edge *e)
{
	route_ends_unbind(e->m->conf.ends, &e->end);
	if (e->look != NULL)
		rule_list_cancel(e->look);
	if (e->made && e->fd >= 0)
		e->m->conf.dev->remove(e->fd);
	loop_timer_free(e->keep_alive);
	loop_timer_free(e->hello);
	device_close(e);
	free(e);
}

void edge_mgr_free(struct edge_mgr *m)
{
	struct edge *next;

	if (m == NULL)
		return;
	dp_client_unregister(m->conf.dp, &m->handler);
	gro_flush(m->gro);
	for (struct edge *e = m->edges; e != NULL; e = next) {
		next = e->next;
		edge_free(e);
	}
	loop_timer_free(m->retry);
	free(m->gro);
	free(m->state_path);
	free(m);
}

static bool same_spec(const struct api_edge_add *x, const struct api_edge_add *y)
{
	return x->mtu == y->mtu && x->offload == y->offload && x->super_max == y->super_max &&
	       x->n_addrs == y->n_addrs &&
	       memcmp(x->addrs, y->addrs, x->n_addrs * sizeof(x->addrs[0])) == 0;
}

static int check_spec(struct edge_mgr *m, struct api_edge_add *s, enum edge_origin origin,
	char *err, size_t err_len)
{
	struct edge *e;

	if (api_name_check(s->name, sizeof(s->name)) < 0) {
		snprintf(err, err_len, "edge names have 1 to 15 letters, digits or -_.");
		return -EINVAL;
	}
	if (s->mtu == 0)
		s->mtu = EDGE_MTU;
	if (s->mtu < EDGE_MTU_MIN || s->n_addrs > API_EDGE_ADDRS) {
		snprintf(err, err_len,
			"edge %s: mtu is %d to %d, and there are at most %d addresses", s->name,
			EDGE_MTU_MIN, EDGE_MTU_MAX, API_EDGE_ADDRS);
		return -EINVAL;
	}
	if (s->super_max == 0)
		s->super_max = EDGE_SUPER_MAX;
	if (s->offload > API_OFFLOAD_NO || s->super_max < EDGE_SUPER_MIN) {
		snprintf(err, err_len, "edge %s: offload is auto or no, super-max %d to %d",
			s->name, EDGE_SUPER_MIN, EDGE_SUPER_MAX);
		return -EINVAL;
	}
	e = find(m, s->name);
	if (e != NULL && origin == EDGE_CONFIGURED && e->origin == EDGE_ADDED &&
		same_spec(&e->spec, s))
		return 0;
	if (e != NULL) {
		snprintf(err, err_len, "edge %s is there already%s", s->name,
			origin == EDGE_CONFIGURED ? ", made otherwise: `skyrail edge del` it first"
						  : "");
		return -EEXIST;
	}
	if (m->n >= EDGES_MAX) {
		snprintf(err, err_len, "there are %d edges, no more are possible", EDGES_MAX);
		return -ENOSPC;
	}
	return 0;
}

int edge_check(struct edge_mgr *m, const struct api_edge_add *spec, char *err, size_t err_len)
{
	struct api_edge_add s = *spec;

	return check_spec(m, &s, EDGE_CONFIGURED, err, err_len);
}

bool edge_is_configured(const struct edge_mgr *m, const char *name)
{
	const struct edge *e = find(m, name);

	return e != NULL && e->origin == EDGE_CONFIGURED;
}

int edge_add(struct edge_mgr *m, const struct api_edge_add *spec, enum edge_origin origin,
	char *err, size_t err_len)
{
	struct edge *e = calloc(1, sizeof(*e)), *there;
	int rc;

	err[0] = '\0';
	if (e == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	e->m = m;
	e->spec = *spec;
	e->origin = origin;
	e->fd = -1;
	e->end.ops = &end_ops;
	e->end.arg = e;
	rc = check_spec(m, &e->spec, origin, err, err_len);
	if (rc < 0)
		goto err_free;
	there = find(m, e->spec.name);
	if (there != NULL) {
		there->origin = origin;
		state_save(m);
		goto err_free; // this one isn't needed
	}
	e->keep_alive = loop_timer_new(m->conf.loop, edge_io_keep_alive, e);
	e->hello = loop_timer_new(m->conf.loop, edge_io_hello, e);
	if (e->keep_alive == NULL || e->hello == NULL) {
		rc = -ENOMEM;
		snprintf(err, err_len, "out of memory");
		goto err_timers;
	}
	rc = device_open(e, err, err_len);
	if (rc < 0)
		goto err_timers;
	e->next = m->edges;
	m->edges = e;
	m->n++;
	state_save(m);
	log_notice("edge=%s mtu=%u offload=%s %s", e->spec.name, e->spec.mtu,
		e->kinds != 0 ? "yes" : "no", e->made ? "made" : "opened");
	return 0;
err_timers:
	loop_timer_free(e->keep_alive);
	loop_timer_free(e->hello);
err_free:
	free(e);
	return rc;
}

static int no_edge(const char *name, char *err, size_t err_len)
{
	snprintf(err, err_len, "no edge '%.15s': see `skyrail show edges`", name);
	return -ENODEV;
}

int edge_del(struct edge_mgr *m, const char *name, char *err, size_t err_len)
{
	struct edge **pp = &m->edges, *e = find(m, name);

	if (e == NULL)
		return no_edge(name, err, err_len);
	while (*pp != e)
		pp = &(*pp)->next;
	*pp = e->next;
	m->n--;
	settle(e, -ENODEV, "the edge was deleted");
	gro_flush(m->gro);
	edge_free(e);
	state_save(m);
	return 0;
}

int edge_attach(struct edge_mgr *m, const char *name, uint32_t forward_id, uint32_t consume_id,
	edge_done_fn done, void *arg, char *err, size_t err_len)
{
	struct edge *e = find(m, name);

	if (e == NULL)
		return no_edge(name, err, err_len);
	if (forward_id == 0 || consume_id == 0 || forward_id == consume_id) {
		snprintf(err, err_len, "an edge needs forward=ID and consume=ID of two rules");
		return -EINVAL;
	}
	for (const struct edge *o = m->edges; o != NULL; o = o->next)
		if (o != e && o->state != EDGE_DETACHED && o->end.consume_id == consume_id) {
			snprintf(err, err_len, "rule %u belongs to edge %s: detach that first",
				consume_id, o->spec.name);
			return -EBUSY;
		}
	if (e->fd < 0) {
		snprintf(err, err_len, "the device of edge %s is gone, and not made again yet",
			name);
		return -ENODEV;
	}
	if (e->done != NULL) {
		snprintf(err, err_len, "edge %s is being attached by another client", name);
		return -EBUSY;
	}
	e->old_forward_id = e->state == EDGE_DETACHED ? 0 : e->end.forward_id;
	e->old_consume_id = e->state == EDGE_DETACHED ? 0 : e->end.consume_id;
	unbind(e, EDGE_WAITING);
	route_ends_bind(m->conf.ends, &e->end, forward_id, consume_id);
	state_save(m);
	look(e);
	if (e->look == NULL && done != NULL) {
		refuse(e, -ENOTCONN, "");
		snprintf(err, err_len, "the data plane is not running: start skyrail-dataplane");
		return -ENOTCONN;
	}
	e->done = done;
	e->done_arg = arg;
	return 0;
}

void edge_attach_cancel(struct edge_mgr *m, void *arg)
{
	for (struct edge *e = m->edges; e != NULL; e = e->next)
		if (e->done_arg == arg)
			e->done = NULL;
}

int edge_detach(struct edge_mgr *m, const char *name, bool close, char *err, size_t err_len)
{
	struct edge *e = find(m, name);

	if (e == NULL)
		return no_edge(name, err, err_len);
	if (e->state == EDGE_DETACHED) {
		snprintf(err, err_len, "edge %s is not attached", name);
		return -EALREADY;
	}
	if (close && e->state == EDGE_ATTACHED)
		edge_io_close(e);
	unbind(e, EDGE_DETACHED);
	settle(e, -ECANCELED, "the edge was detached");
	route_ends_unbind(m->conf.ends, &e->end);
	state_save(m);
	return 0;
}

static enum api_far far_of(const struct edge *e)
{
	if (e->state != EDGE_ATTACHED)
		return API_FAR_NONE;
	if (!e->far.known)
		return API_FAR_UNKNOWN;
	return e->far.takes != 0 ? API_FAR_SUPER : API_FAR_PLAIN;
}

void edge_each(const struct edge_mgr *m, void (*fn)(void *arg, const struct api_edge *e), void *arg)
{
	for (const struct edge *e = m->edges; e != NULL; e = e->next) {
		struct api_edge a = e->count;

		snprintf(a.name, sizeof(a.name), "%s", e->spec.name);
		addrs_text(&e->spec, a.addrs, sizeof(a.addrs));
		a.mtu = e->spec.mtu;
		a.forward_id = e->end.forward_id;
		a.consume_id = e->end.consume_id;
		a.state = (uint8_t)e->state;
		a.origin = (uint8_t)e->origin;
		a.offload = e->kinds != 0 ? API_OFFLOAD_AUTO : API_OFFLOAD_NO;
		a.far = (uint8_t)far_of(e);
		a.super_max = e->kinds != 0 ? e->spec.super_max : 0;
		fn(arg, &a);
	}
}
