// Re-keys inside the sealed link (rail 2): the same handshake without macs, time and signature, in
// REKEY frames of the present keys. What it says must be what the link is, else the transport ends
// with CLOSE `rekey`. A message that isn't authentic is ignored: the one who sent it tries again.
#include "controlplane/transport/transport_priv.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("rekey");

void tp_rekey_stop(struct transport *t)
{
	if (!t->rekey.on)
		return;
	loop_timer_stop(t->rekey_timer);
	rail_hs_fini(&t->rekey.side);
	tp_indices_put(t, t->rekey.rx_index, t->rekey.n);
	t->rekey = (struct tp_try){0};
}

// What the link is, as an offer that leaves no choice.
static void link_only(const struct transport *t, struct rail_hs_offer *o)
{
	o->ciphers = (uint8_t)(1u << t->cipher);
	o->avoid = 0;
}

void tp_rekey_on_timer(void *arg)
{
	struct transport *t = arg;
	struct rail_hs_offer offer;
	uint8_t msg[RAIL_HS_MAX];
	ssize_t n;

	if (!t->m->ready || t->removed || !t->rekey.on)
		return;
	rail_hs_fini(&t->rekey.side);
	tp_indices_put(t, t->rekey.rx_index, t->rekey.n);
	t->rekey.n = tp_indices_take(t, t->rekey.rx_index, t->n) ? t->n : 0;
	offer = tp_offer(t, t->rekey.rx_index, t->rekey.n, t->flow[0]->ref);
	link_only(t, &offer);
	n = t->rekey.n == 0 ? -1
			    : rail_hs_init_make(&t->rekey.side, &t->m->self, &t->conf.peer, &offer,
				      0, true, NULL, msg, sizeof(msg));
	if (n > 0) {
		t->rekey.sent_ns = clock_mono_ns();
		dp_client_send_rekey(
			t->m->conf.dp, transport_worker(t), t->flow[0]->hop, msg, (size_t)n);
	}
	t->rekey.tries++;
	t->rekey.answers = 0;
	loop_timer_start(
		t->rekey_timer, backoff_ms(t->rekey.tries, TP_RETRY_MIN_MS, TP_RETRY_MAX_MS), 0);
}

void tp_rekey_start(struct transport *t)
{
	if (t->rekey.on || !t->in_dp || t->state != TRANSPORT_UP || !t->m->ready)
		return;
	t->rekey.on = true;
	t->rekey.tries = 0;
	tp_rekey_on_timer(t);
}

// The peer breaks what was agreed: the transport ends, and begins anew.
static void not_this_link(struct transport *t)
{
	log_limited(
		LOG_WARN, "transport %s: a re-key that is not this link's: closing", t->conf.name);
	t->m->stats.drop_rekeys_bad++;
	t->n_failures++;
	tp_dp_del(t, RAIL_CLOSE_REKEY, "re-key is not this link's");
	tp_state_set(t, TRANSPORT_DOWN, "closed: the peer's re-key was not this link's");
	loop_timer_start(t->timer, backoff_jitter(TP_RETRY_MIN_MS * 2), 0);
}

static bool is_this_link(const struct transport *t, const struct rail_hs_terms *terms)
{
	return key_pk_cmp(&terms->peer, &t->conf.peer) == 0 &&
	       terms->instance == t->instance_remote && terms->mode == t->conf.mode &&
	       terms->n_flows == t->n && (terms->ciphers & 1u << t->cipher) != 0;
}

// An index is ours again a little before the data plane has forgotten the key that had it. It rests
// then, but not for ever: by chance a new one may fall on its place. The old key goes on, and the
// next one has another index.
static void say_refused(const struct transport *t, int status)
{
	if (status == -EEXIST)
		log_debug("transport %s: the place of a new key is not free yet", t->conf.name);
	else
		log_limited(LOG_ERR, "transport %s: the data plane refused a new key: %s",
			t->conf.name, strerror(-status));
}

static void on_initiated(struct transport *t, int status, uint32_t rx_index)
{
	(void)rx_index;
	if (status != 0) {
		say_refused(t, status);
		// What response_apply() noted is not so: which of its flows have the new key, the
		// data plane knows.
		for (unsigned i = 0; i < t->n; i++)
			t->flow[i]->unsure = t->m->keys_unsure = true;
		return;
	}
	t->n_rekeys++;
	t->m->stats.rekeys++;
	log_debug("transport %s: re-keyed as initiator", t->conf.name);
}

static void response_apply(struct transport *t, const struct rail_hs_keys *keys)
{
	t->initiator = true;
	t->handshake_mono_ns = clock_mono_ns();
	for (unsigned i = 0; i < keys->n_flows; i++) {
		tp_flow_key(t->flow[i], keys->rx_index[i]);
		t->rekey.rx_index[i] = 0; // the key's now
	}
	tp_rekey_stop(t);
}

static void on_response(struct transport *t, const uint8_t *msg, size_t len)
{
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
	struct tp_keys_for k = {.keys = &keys, .owner = TP_OWNER_ANY, .done = on_initiated};
	int rc;

	if (!t->rekey.on) {
		t->m->stats.drop_hs_unwanted++;
		return;
	}
	if (t->rekey.answers >= TP_ANSWERS_MAX) {
		t->m->stats.drop_hs_answers++;
		return;
	}
	t->rekey.answers++;
	rc = rail_hs_response_take(&t->rekey.side, &t->m->self, msg, len, &terms, &keys);
	if (rc == -EBADMSG) {
		t->m->stats.drop_rekeys_bad++;
	} else if (rc != 0 || terms.refusal != 0 || !is_this_link(t, &terms)) {
		not_this_link(t);
	} else {
		k.instance_remote = t->instance_remote;
		k.handshake_ns = clock_wall_ns();
		k.payload_max = terms.payload_max;
		if (tp_dp_keys(t, &k) == 0) {
			tp_hs_answer_drop(t);
			response_apply(t, &keys);
		}
	}
	rail_hs_keys_wipe(&keys);
}

// The pending key is in the data plane: the peer may use it.
static void on_answered(struct transport *t, int status, uint32_t rx_index)
{
	if (!t->answer.on || t->flow[0]->pending != rx_index)
		return; // replaced meanwhile
	rail_hs_keys_wipe(&t->answer.keys);
	t->answer.on = false;
	if (status != 0) {
		say_refused(t, status);
		tp_hs_answer_drop(t);
		return;
	}
	dp_client_send_rekey(t->m->conf.dp, transport_worker(t), t->flow[0]->hop, t->answer.bytes,
		t->answer.len);
}

static void answer(
	struct transport *t, struct rail_hs_side *side, const struct rail_hs_terms *terms)
{
	struct tp_answer *a = &t->answer;
	struct tp_keys_for k = {.keys = &a->keys,
		.owner = TP_OWNER_ANY,
		.instance_remote = t->instance_remote,
		.handshake_ns = t->last_time_ns,
		.payload_max = terms->payload_max,
		.done = on_answered};
	struct rail_hs_offer offer;
	ssize_t n;

	if (!tp_pending_begin(t, t->n))
		return;
	offer = tp_pending_offer(t, t->flow[0]->ref);
	link_only(t, &offer);
	n = rail_hs_response_make(
		side, &t->m->self, &offer, terms, a->bytes, sizeof(a->bytes), &a->keys);
	if (n < 0 || a->keys.n_flows != t->n) {
		tp_hs_answer_drop(t);
		return;
	}
	a->on = a->sent_keys = true;
	a->len = (uint16_t)n;
	t->pending.inside = true;
	t->pending.cipher = a->keys.cipher;
	t->rekey_taken_ns = clock_mono_ns();
	if (tp_dp_keys(t, &k) != 0)
		tp_hs_answer_drop(t);
}

// Its keys are as old as keys become before they are changed, or half as old.
static bool is_due(const struct transport *t, uint64_t now)
{
	uint64_t ms = t->m->conf.rekey_ms != 0 ? t->m->conf.rekey_ms : RAIL_REKEY_S * 1000;
	uint64_t last =
		t->handshake_mono_ns > t->rekey_taken_ns ? t->handshake_mono_ns : t->rekey_taken_ns;

	return now - last >= ms * CLOCK_NS_PER_MS / 2;
}

// What this link and all of them may cost us.
static bool passes_limits(struct transport *t, uint64_t now)
{
	uint64_t period = TP_REKEY_PERIOD_MS * CLOCK_NS_PER_MS;
	uint64_t full = t->rekey_full_ns > now ? t->rekey_full_ns : now;

	if (full - now > (TP_REKEY_BURST - 1) * period) {
		t->m->stats.drop_rekeys_soon++;
		return false;
	}
	if (!hs_limit_take_rekey(t->m->limit, is_due(t, now), now)) {
		t->m->stats.drop_rekeys_load++;
		return false;
	}
	t->rekey_full_ns = full + period;
	return true;
}

static void on_init(struct transport *t, const uint8_t *msg, size_t len)
{
	uint64_t now = clock_mono_ns();
	struct hs_limit *limit = t->m->limit; // t may be gone in the end
	struct rail_hs_side side;
	struct rail_hs_terms terms;

	if (t->rekey.on && key_pk_cmp(t->m->self.pk, &t->conf.peer) < 0 &&
		now - t->rekey.sent_ns < RAIL_CROSS_S * CLOCK_NS_PER_S) {
		t->m->stats.drop_hs_crossed++;
		return;
	}
	if (!passes_limits(t, now))
		return;
	if (rail_hs_init_take(&side, &t->m->self, msg, len, true, &terms) != 0) {
		t->m->stats.drop_rekeys_bad++;
		return;
	}
	if (!is_this_link(t, &terms)) {
		not_this_link(t);
	} else {
		tp_rekey_stop(t);
		answer(t, &side, &terms);
	}
	hs_limit_spent(limit, clock_mono_ns() - now);
	rail_hs_fini(&side);
}

void tp_rekey_moved(struct transport *t)
{
	const struct tp_answer *a = &t->answer;

	if (!t->m->ready || !t->in_dp)
		return;
	if (t->rekey.on)
		tp_rekey_on_timer(t);
	if (t->pending.on && t->pending.inside && !t->pending.applied && !a->on && a->len != 0)
		dp_client_send_rekey(
			t->m->conf.dp, transport_worker(t), t->flow[0]->hop, a->bytes, a->len);
}

void tp_rekey_on_message(void *arg, unsigned worker, const struct msg_rekey *m, size_t len)
{
	struct transport_mgr *mgr = arg;
	struct transport *t = transport_mgr_find_hop(mgr, m->hop);

	(void)worker;
	if (!mgr->ready || t == NULL || !t->in_dp || len < 4)
		return;
	if (m->bytes[0] == RAIL_INIT)
		on_init(t, m->bytes, len);
	else
		on_response(t, m->bytes, len);
}
