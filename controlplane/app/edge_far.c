// When to ask the far end what it takes, and when to stop believing it.
#include "controlplane/app/edge_far.h"

void edge_far_reset(struct edge_far *f)
{
	*f = (struct edge_far){.wait_ms = EDGE_FAR_FIRST_MS};
}

bool edge_far_tick(struct edge_far *f, uint32_t *next_ms)
{
	if (f->known && !f->used) {
		*next_ms = 0;
		return false;
	}
	if (f->known && f->tries < EDGE_FAR_TRIES) {
		f->tries++;
		*next_ms = EDGE_FAR_FIRST_MS;
		return true;
	}
	if (f->known)
		edge_far_reset(f);
	*next_ms = f->wait_ms;
	f->wait_ms = f->wait_ms * 2 < EDGE_FAR_LAST_MS ? f->wait_ms * 2 : EDGE_FAR_LAST_MS;
	return true;
}

bool edge_far_heard(
	struct edge_far *f, const struct edge_hello *h, uint64_t now_ms, uint32_t *next_ms)
{
	f->known = true;
	f->used = false;
	f->tries = 0;
	f->takes = h->max >= EDGE_SUPER_MIN ? h->takes : 0;
	f->max = h->max;
	*next_ms = 0;
	if ((h->flags & EDGE_HELLO_ASK) == 0)
		return false;
	if (f->answered_ms != 0 && now_ms - f->answered_ms < EDGE_FAR_ANSWER_MS)
		return false; // it asks again
	f->answered_ms = now_ms;
	return true;
}

bool edge_far_use(struct edge_far *f)
{
	bool first = !f->used;

	f->used = true;
	return first;
}

bool edge_far_came(struct edge_far *f)
{
	bool first = !f->came;

	f->came = true;
	return first && !f->known;
}
