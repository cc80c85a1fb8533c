// What goes up through the evt ring: answers, events made from the workers' notes, final words of
// rules. Answers always find room, because a command is read only when there is some; events may be
// lost, and then the control plane is told so and asks for a dump.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/err.h"

#include <string.h>

bool ctl_emit(struct ctl *c, const void *rec, uint32_t len)
{
	void *to = NULL;

	// a sixteenth is kept for answers
	if (ring_w_room(&c->evt) >= 2 * len + c->evt.size / 16)
		to = ring_w_reserve(&c->evt, len);
	if (to == NULL) {
		atomic_store_explicit(&c->k.region->hdr->evt_overflow, 1, memory_order_seq_cst);
		return false;
	}
	memcpy(to, rec, len);
	c->evt_dirty = true;
	return true;
}

bool ctl_room_for_answer(struct ctl *c)
{
	return ring_w_room(&c->evt) >= 4 * sizeof(struct evt_done);
}

void ctl_done(struct ctl *c, uint64_t cookie, int status, uint32_t aux)
{
	struct evt_done e = {.h = {.len = sizeof(e), .type = EVT_DONE, .cookie = cookie},
		.status = status,
		.aux = aux};
	void *to = ring_w_reserve(&c->evt, sizeof(e));

	if (to != NULL)
		memcpy(to, &e, sizeof(e));
	else // a dump's end; nobody looked for room
		atomic_store_explicit(&c->k.region->hdr->evt_overflow, 1, memory_order_seq_cst);
	c->evt_dirty = true;
}

void ctl_on_rule_gone(void *ctx, const struct evt_rule *final)
{
	struct evt_rule e = *final;

	e.h = (struct dpmsg_hdr){.len = sizeof(e), .type = EVT_RULE_GONE};
	ctl_emit(ctx, &e, sizeof(e));
}

void ctl_port_event(struct ctl *c, unsigned port)
{
	struct evt_port e;

	port_show(c->k.ports, port, &e);
	ctl_emit(c, &e, sizeof(e));
}

// ---- notes ----

static void hop_note_up(struct ctl *c, const struct dp_note *n, uint16_t type)
{
	struct evt_hop_note e = {
		.h = {.len = sizeof(e), .type = type, .cookie = n->cookie},
		.hop = n->hop,
		.value = n->value,
		.peer = n->addr,
		.initiator = n->initiator,
		.text_len = n->text_len < DPMSG_TEXT_LEN ? n->text_len : DPMSG_TEXT_LEN,
	};

	memcpy(e.text, n->text, e.text_len);
	ctl_emit(c, &e, sizeof(e));
}

static void note_up(struct ctl *c, const struct dp_note *n)
{
	static const uint16_t type[] = {
		[NOTE_HOP_KEYED] = EVT_HOP_KEYED,
		[NOTE_HOP_REKEY_DUE] = EVT_HOP_REKEY_DUE,
		[NOTE_HOP_ROAMED] = EVT_HOP_ROAMED,
		[NOTE_HOP_DEAD] = EVT_HOP_DEAD,
		[NOTE_HOP_CLOSED] = EVT_HOP_CLOSED,
		[NOTE_HOP_NOTICE] = EVT_HOP_NOTICE,
		[NOTE_HOP_RTT] = EVT_HOP_RTT,
	};

	if (ctl_route_note(c, n))
		return;
	if (n->kind < ARRAY_LEN(type) && type[n->kind] != 0) {
		hop_note_up(c, n, type[n->kind]);
	} else if (n->kind == NOTE_RULE_CLOSE) {
		// gone meanwhile is as good: several packets may have told it
		rule_table_del(c->k.rules, n->id, RULE_GONE_CLOSE);
	} else if (n->kind == NOTE_RULE_MISS) {
		struct evt_rule_miss e = {
			.h = {.len = sizeof(e), .type = EVT_RULE_MISS}, .id = n->id, .tp = n->tp};

		ctl_emit(c, &e, sizeof(e));
	}
}

static bool some_notes(struct ctl *c, unsigned worker)
{
	struct dp_note notes[CTL_NOTES];
	bool lost = false;
	unsigned n = hop_table_notes(c->k.hops, worker, notes, CTL_NOTES, &lost);

	for (unsigned i = 0; i < n; i++)
		note_up(c, &notes[i]);
	if (lost)
		atomic_store_explicit(&c->k.region->hdr->evt_overflow, 1, memory_order_seq_cst);
	return n > 0;
}

void ctl_notes_of(struct ctl *c, unsigned worker)
{
	while (some_notes(c, worker))
		;
}

bool ctl_notes(struct ctl *c)
{
	bool any = false;

	// what the new owner of a hop says may be about it: that of the old one comes first
	for (unsigned w = 0; w < worker_count(c->k.workers); w++)
		if (!c->moving || w != c->move_to)
			any |= some_notes(c, w);
	return any;
}
