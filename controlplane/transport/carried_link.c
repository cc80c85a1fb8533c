// Packets <-> a conn. In: packets are given on from where they lie in the conn's buffer; one that
// is cut by the end of that is gathered in `in`. What finds no room stays with the conn, which then
// stops reading. Out: packets are gathered in `out` and given to the conn at the end of a burst;
// what it does not take waits there. Reading never waits for writing.
#include "controlplane/transport/carried_link.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bucket.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/wire/route_hdr.h"

struct carried_links {
	struct carried_link *first;
	struct carried_link *flush; // have something to write
	struct loop_timer *turn_timer; // the next turn begins
	uint32_t turn;
	bool resting; // somebody gave all that he may in this one
	size_t unsent, unsent_max; // bytes in `out` of all
	_Atomic uint64_t flood; // owner: the loop's thread | others: ro
};

struct carried_link {
	struct carried_links *ls;
	struct carried_link *next, **prev;
	const struct carried_link_events *ev;
	void *arg;
	struct conn *conn;
	// to the peer
	struct carried_link *next_flush;
	bool flush_due; // is in ls->flush
	bool blocked; // conn is full
	bool shed; // ended for what it kept, which is gone: bytes are missing
	uint8_t *out; // what conn did not take yet, from out_ofs on
	size_t out_ofs, out_len, out_cap;
	// from the peer
	bool reading; // as the owner says
	bool full; // waits for carried_links_room()
	uint32_t turn, n_turn; // packets given in that turn
	struct bucket control; // what it may ask of the owner
	size_t in_len;
	uint8_t in[ROUTE_PACKET_MAX]; // a packet that has not come whole
};

// ---- to the peer ----

static bool out_reserve(struct carried_link *k, size_t more)
{
	size_t want = k->out_len + more, cap = k->out_cap > 0 ? k->out_cap : 4096;
	uint8_t *p;

	if (k->out_ofs > 0) {
		memmove(k->out, k->out + k->out_ofs, k->out_len);
		k->out_ofs = 0;
	}
	if (want <= k->out_cap)
		return true;
	while (cap < want)
		cap *= 2;
	p = cap <= CARRIED_LINK_OUT_MAX ? realloc(k->out, cap) : NULL;
	if (p == NULL)
		return false;
	k->out = p;
	k->out_cap = cap;
	return true;
}

static bool out_put(struct carried_link *k, const void *p, size_t len)
{
	if (k->out_ofs + k->out_len + len > k->out_cap && !out_reserve(k, len))
		return false;
	memcpy(k->out + k->out_ofs + k->out_len, p, len);
	k->out_len += len;
	k->ls->unsent += len;
	return true;
}

static void out_drop(struct carried_link *k, size_t len)
{
	k->out_len -= len;
	k->ls->unsent -= len;
}

static void out_free(struct carried_link *k)
{
	out_drop(k, k->out_len);
	free(k->out);
	k->out = NULL;
	k->out_ofs = k->out_cap = 0;
}

static void out_write(struct carried_link *k)
{
	ssize_t n = conn_write(k->conn, k->out + k->out_ofs, k->out_len);

	if (n < 0)
		return; // it is broken, and will say so
	k->out_ofs += (size_t)n;
	out_drop(k, (size_t)n);
	k->blocked = k->out_len > 0;
	if (k->blocked)
		return;
	k->out_ofs = 0;
	if (k->out_cap > CARRIED_LINK_OUT_KEEP)
		out_free(k);
}

static void out_begin(struct carried_link *k)
{
	if (k->blocked || k->out_len == 0)
		return;
	out_write(k);
	if (k->blocked)
		k->ev->blocked(k->arg, true);
}

static void on_drain(void *arg)
{
	struct carried_link *k = arg;

	if (!k->blocked || k->shed)
		return;
	out_write(k);
	if (!k->blocked)
		k->ev->blocked(k->arg, false);
}

int carried_link_put(struct carried_link *k, const uint8_t *p, size_t len)
{
	if (len < ROUTE_HDR_LEN || len > ROUTE_PACKET_MAX || k->shed)
		return -EBADMSG;
	if (!out_put(k, p, len))
		return -ENOMEM;
	if (!route_hdr_is_whole(k->out + k->out_ofs + k->out_len - len, len)) {
		out_drop(k, len);
		return -EBADMSG;
	}
	if (!k->flush_due) {
		k->flush_due = true;
		k->next_flush = k->ls->flush;
		k->ls->flush = k;
	}
	return 0;
}

static struct carried_link *fattest(struct carried_links *ls)
{
	struct carried_link *most = ls->first;

	for (struct carried_link *k = ls->first; k != NULL; k = k->next)
		if (k->out_len > most->out_len)
			most = k;
	return most;
}

// Each keeps what came before the data plane heard that it is blocked. When that is too much, it is
// the one who keeps most that ends, not who happened to come last.
static void shed(struct carried_links *ls)
{
	while (ls->unsent > ls->unsent_max) {
		struct carried_link *k = fattest(ls);

		k->shed = true;
		out_free(k);
		k->ev->end(k->arg, -ENOBUFS); // k may be gone
	}
}

void carried_links_flush(struct carried_links *ls)
{
	while (ls->flush != NULL) {
		struct carried_link *k = ls->flush;

		ls->flush = k->next_flush;
		k->flush_due = false;
		out_begin(k);
	}
	shed(ls);
}

void carried_link_say(struct carried_link *k, const uint8_t *p, size_t len)
{
	if (!k->blocked && !k->shed && out_put(k, p, len))
		out_begin(k);
}

size_t carried_link_unsent(const struct carried_link *k)
{
	return k->out_len;
}

// ---- from the peer ----

static bool may_read(const struct carried_link *k)
{
	return k->reading && !k->full && (k->turn != k->ls->turn || k->n_turn < CARRIED_LINK_TURN);
}

static void count_turn(struct carried_link *k)
{
	struct carried_links *ls = k->ls;

	if (k->turn != ls->turn)
		k->n_turn = 0;
	k->turn = ls->turn;
	k->n_turn++;
	ls->resting |= k->n_turn >= CARRIED_LINK_TURN;
	if (!loop_timer_is_on(ls->turn_timer))
		loop_timer_start(ls->turn_timer, 0, 0);
}

static void give_control(struct carried_link *k, const uint8_t *p, size_t len)
{
	if (bucket_take(&k->control, clock_mono_ns(), CLOCK_NS_PER_S / CARRIED_LINK_CONTROL_PER_S,
		    CARRIED_LINK_CONTROL_BURST)) {
		k->ev->control(k->arg, p, len);
	} else {
		atomic_store_explicit(&k->ls->flood,
			atomic_load_explicit(&k->ls->flood, memory_order_relaxed) + 1,
			memory_order_relaxed);
	}
}

// One whole packet. False: there is no room, it is to be given again.
static bool deliver(struct carried_link *k, const uint8_t *p, size_t len)
{
	count_turn(k);
	if (route_hdr_id(p) == 0)
		give_control(k, p, len);
	else
		k->full = !k->ev->packet(k->arg, p, len);
	return !k->full;
}

// Goes on with the packet in `in`, or begins one there. Bytes taken, which may be none.
static size_t gather(struct carried_link *k, const uint8_t *p, size_t len)
{
	size_t want, part, before = k->in_len;

	want = k->in_len < ROUTE_HDR_LEN ? ROUTE_HDR_LEN : route_hdr_packet_len(k->in);
	part = want - k->in_len < len ? want - k->in_len : len;
	memcpy(k->in + k->in_len, p, part);
	k->in_len += part;
	if (k->in_len < ROUTE_HDR_LEN || k->in_len < route_hdr_packet_len(k->in))
		return part;
	if (!deliver(k, k->in, k->in_len)) {
		k->in_len = before; // the conn keeps the end of it
		return 0;
	}
	k->in_len = 0;
	return part;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct carried_link *k = arg;
	size_t done = 0;

	while (done < len && may_read(k)) {
		size_t left = len - done, n;

		if (k->in_len == 0 && left >= ROUTE_HDR_LEN &&
			route_hdr_packet_len(p + done) <= left) {
			n = route_hdr_packet_len(p + done);
			n = deliver(k, p + done, n) ? n : 0;
		} else {
			n = gather(k, p + done, left);
		}
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

static void on_end(void *arg, int err)
{
	struct carried_link *k = arg;

	k->ev->end(k->arg, err);
}

static void resume(struct carried_link *k)
{
	if (may_read(k))
		conn_resume(k->conn);
}

void carried_link_read(struct carried_link *k, bool on)
{
	k->reading = on;
	resume(k);
}

void carried_links_room(struct carried_links *ls)
{
	for (struct carried_link *k = ls->first; k != NULL; k = k->next) {
		if (!k->full)
			continue;
		k->full = false;
		resume(k);
	}
}

static void on_turn(void *arg)
{
	struct carried_links *ls = arg;
	uint32_t turn = ls->turn++;
	bool resting = ls->resting;

	ls->resting = false;
	for (struct carried_link *k = ls->first; resting && k != NULL; k = k->next)
		if (k->turn == turn && k->n_turn >= CARRIED_LINK_TURN)
			resume(k);
}

// ---- making and closing ----

struct carried_links *carried_links_new(struct loop *l, size_t out_max)
{
	struct carried_links *ls = calloc(1, sizeof(*ls));

	if (ls == NULL)
		return NULL;
	ls->unsent_max = out_max;
	ls->turn_timer = loop_timer_new(l, on_turn, ls);
	if (ls->turn_timer != NULL)
		return ls;
	free(ls);
	return errno_null(ENOMEM);
}

void carried_links_free(struct carried_links *ls)
{
	if (ls == NULL)
		return;
	loop_timer_free(ls->turn_timer);
	free(ls);
}

uint64_t carried_links_flood(const struct carried_links *ls)
{
	return atomic_load_explicit(&ls->flood, memory_order_relaxed);
}

struct carried_link *carried_link_new(struct carried_links *ls, struct conn *take_conn,
	const struct carried_link_events *ev, void *arg)
{
	static const struct conn_events events = {
		.data = on_data, .drain = on_drain, .end = on_end};
	struct carried_link *k = malloc(sizeof(*k)); // most of it is `in`, which few ever touch

	if (k == NULL) {
		conn_close(take_conn);
		return errno_null(ENOMEM);
	}
	memset(k, 0, offsetof(struct carried_link, in));
	k->ls = ls;
	k->ev = ev;
	k->arg = arg;
	k->conn = take_conn;
	k->turn = ls->turn - 1;
	k->next = ls->first;
	k->prev = &ls->first;
	if (k->next != NULL)
		k->next->prev = &k->next;
	ls->first = k;
	conn_set_events(take_conn, &events, k);
	return k;
}

struct conn *carried_link_release(struct carried_link *k)
{
	struct carried_link **p = &k->ls->flush;
	struct conn *conn = k->conn;

	while (k->flush_due && *p != k)
		p = &(*p)->next_flush;
	if (k->flush_due)
		*p = k->next_flush;
	*k->prev = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	out_free(k);
	free(k);
	return conn;
}

void carried_link_close(struct carried_link *k)
{
	if (k != NULL)
		conn_close(carried_link_release(k));
}
