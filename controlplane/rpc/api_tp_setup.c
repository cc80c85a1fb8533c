// transport add, del and list at another node: one call of transport set-up, as a node of its list
// does it.
#include "controlplane/rpc/api_priv.h"

#include "controlplane/route/setup_call.h"
#include "lib/base/err.h"
#include "lib/wire/tp_setup_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct asking {
	struct api_req *r;
	struct setup_call *call;
	struct loop_timer *timer;
	struct api_tp_setup_ask m;
	struct tp_setup_ask add;
	bool asked;
};

static void asking_free(struct asking *a)
{
	setup_call_free(a->call);
	loop_timer_free(a->timer);
	free(a);
}

static void failed(struct asking *a, int err, const char *why)
{
	struct api_req *r = a->r;

	asking_free(a);
	api_req_fail(r, err, "%s", why);
}

static void put_record(struct asking *a, const struct tp_setup_tp *tp)
{
	struct api_tp_setup rec = {.pad = {0}};

	memcpy(rec.local, tp->local.b, sizeof(rec.local));
	memcpy(rec.remote, tp->remote.b, sizeof(rec.remote));
	memcpy(rec.tp_id, tp->id, sizeof(rec.tp_id));
	static_assert(sizeof(rec.type) == sizeof(tp->type), "the same texts");
	memcpy(rec.type, tp->type, sizeof(rec.type));
	api_req_record(a->r, &rec, sizeof(rec));
}

// The records of an answer; -EBADMSG, -E2BIG.
static int put_answer(struct asking *a, const struct netrpc_rx *rx)
{
	struct tp_setup_tp list[TP_SETUP_MAX];
	uint32_t n = 0;
	bool gone;
	int rc;

	if (a->m.what == API_TP_SETUP_REMOVE)
		return tp_setup_removed_read(&gone, rx);
	if (a->m.what == API_TP_SETUP_ADD) {
		rc = tp_setup_tp_read(&list[0], rx);
		n = 1;
	} else {
		rc = tp_setup_list_read(list, &n, rx);
	}
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		put_record(a, &list[i]);
	return rc;
}

static void put_add(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	tp_setup_put_add(tx, w, seq, arg);
}

static void put_remove(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	tp_setup_put_remove(tx, w, seq, arg);
}

static void put_list(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	(void)arg;
	tp_setup_put_list(tx, w, seq);
}

static int ask(struct asking *a)
{
	switch (a->m.what) {
	case API_TP_SETUP_ADD:
		return setup_call_put(a->call, put_add, &a->add);
	case API_TP_SETUP_REMOVE:
		return setup_call_put(a->call, put_remove, a->m.id);
	default:
		return setup_call_put(a->call, put_list, NULL);
	}
}

// Whose word it is, and which of both configurations it is about.
static void refused(struct asking *a, int err, const char *why)
{
	struct api_req *r = a->r;
	char on[KEY_PK_TEXT_LEN + 1];
	struct key_pk pk;

	memcpy(pk.b, a->m.on, sizeof(pk.b));
	key_pk_to_text(&pk, on);
	if (err == -ECONNRESET && a->asked)
		api_req_fail(r, err,
			"node %.8s hung up: is this node's key in a [transport_setup NAME] of its "
			"configuration (of a visor: transport.transport_setup)?",
			on);
	else if (err == -EHOSTUNREACH && !a->asked)
		api_req_fail(r, err,
			"node %.8s is not asked: %s. It listens (dmsg port %d) if it has a "
			"[transport_setup NAME]",
			on, why, TP_SETUP_PORT);
	else if (err == -EREMOTEIO && a->m.what == API_TP_SETUP_ADD)
		api_req_fail(r, err, "node %.8s says: %s (type=%s)", on, why, a->m.type);
	else
		api_req_fail(r, err, "node %.8s%s: %s", on, err == -EREMOTEIO ? " says" : "", why);
	asking_free(a);
}

// The stream is there, or an answer, or neither comes.
static void on_call(void *arg, int err, const char *why)
{
	struct asking *a = arg;
	struct api_req *r = a->r;

	if (err < 0) {
		refused(a, err, why);
	} else if (!a->asked) {
		a->asked = true;
		err = ask(a);
		if (err < 0)
			refused(a, err, strerror(-err));
	} else if ((err = put_answer(a, setup_call_reply(a->call))) < 0) {
		refused(a, err,
			err == -E2BIG ? "it tells more transports than are taken"
				      : "it answers what makes no sense");
	} else {
		asking_free(a);
		api_req_end(r, NULL, 0);
	}
}

static void on_timer(void *arg)
{
	refused(arg, -ETIMEDOUT, "no answer in time");
}

static void cancel(void *arg)
{
	asking_free(arg);
}

// NULL, or what is wrong with it.
static const char *read_ask(struct asking *a)
{
	const struct api_tp_setup_ask *m = &a->m;

	memcpy(a->add.remote.b, m->peer, sizeof(m->peer));
	if (m->what > API_TP_SETUP_LIST || m->timeout_ms == 0 ||
		m->timeout_ms > API_TP_SETUP_MAX_MS)
		return "timeout is at most 5m";
	if (m->what != API_TP_SETUP_ADD)
		return NULL;
	if (!key_pk_is_valid(&a->add.remote))
		return "peer is no public key";
	if (memchr(m->type, '\0', sizeof(m->type)) == NULL || m->type[0] == '\0')
		return "a type is stcpr, dmsg or another word of at most 15 letters";
	memcpy(a->add.type, m->type, sizeof(a->add.type));
	return NULL;
}

static int start(struct asking *a, struct api *api)
{
	struct key_pk on;

	memcpy(on.b, a->m.on, sizeof(on.b));
	if (!key_pk_is_valid(&on))
		return -EINVAL;
	a->timer = loop_timer_new(api->d.loop, on_timer, a);
	if (a->timer == NULL)
		return -ENOMEM;
	a->call = setup_call_new(api->d.dmsg, &on, TP_SETUP_PORT, a->m.timeout_ms, on_call, a);
	if (a->call == NULL)
		return -errno;
	loop_timer_start(a->timer, a->m.timeout_ms, 0);
	return 0;
}

void api_tp_setup(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *api = ctx;
	struct asking *a = calloc(1, sizeof(*a));
	const char *wrong;
	int rc;

	if (a == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	a->r = r;
	memcpy(&a->m, payload, sizeof(a->m));
	wrong = read_ask(a);
	if (wrong != NULL) {
		failed(a, -EINVAL, wrong);
		return;
	}
	if (api->d.dmsg == NULL) {
		failed(a, -ENOTCONN,
			"other nodes are asked over dmsg, and this node is no dmsg client: add a "
			"[server NAME], or [dmsg] discovery");
		return;
	}
	rc = start(a, api);
	if (rc < 0) {
		failed(a, rc, rc == -EINVAL ? "on is no public key" : strerror(-rc));
		return;
	}
	api_req_pend(r, NULL, cancel, a);
	api_req_watch(r);
}
