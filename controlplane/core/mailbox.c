// A list that its writer pushes to and its reader takes as a whole, turning it round; libuv's async
// handle wakes the reader up. The memory goes in the handle's close callback.
#include "controlplane/core/mailbox.h"

#include "lib/base/err.h"

#include <stdatomic.h>
#include <stdlib.h>

struct mailbox {
	uv_async_t wake;
	_Atomic(struct mail *) last; // the newest; its next is the one before
	mail_fn fn;
	void *arg;
	bool closing;
};

void mailbox_empty(struct mailbox *b)
{
	// pairs with the release in mailbox_post()
	struct mail *m = atomic_exchange_explicit(&b->last, NULL, memory_order_acquire);
	struct mail *first = NULL;

	while (m != NULL) {
		struct mail *before = m->next;

		m->next = first;
		first = m;
		m = before;
	}
	while (first != NULL) {
		m = first;
		first = m->next;
		b->fn(b->arg, m);
	}
}

static void on_wake(uv_async_t *h)
{
	struct mailbox *b = h->data;

	if (!b->closing)
		mailbox_empty(b);
}

struct mailbox *mailbox_new(struct loop *l, mail_fn fn, void *arg)
{
	struct mailbox *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL)
		return NULL;
	b->fn = fn;
	b->arg = arg;
	rc = uv_async_init(loop_uv(l), &b->wake, on_wake);
	if (rc != 0) {
		free(b);
		return errno_null(rc);
	}
	b->wake.data = b;
	return b;
}

void mailbox_post(struct mailbox *b, struct mail *give_m)
{
	struct mail *before = atomic_load_explicit(&b->last, memory_order_relaxed);

	do {
		give_m->next = before;
	} while (!atomic_compare_exchange_weak_explicit(
		&b->last, &before, give_m, memory_order_release, memory_order_relaxed));
	// libuv leaves the bell alone when it seems to have been rung; ours has to be seen first
	atomic_thread_fence(memory_order_seq_cst);
	uv_async_send(&b->wake);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void mailbox_free(struct mailbox *b)
{
	if (b == NULL)
		return;
	b->closing = true;
	uv_close((uv_handle_t *)&b->wake, on_closed);
}
