// Variable-length records between two processes that do not trust each other: one writer, one
// reader, no locks. Positions grow for ever (64 bits) and are masked on use, so full and empty need
// no spare byte. Each side trusts its private handle only; what it finds in shared memory is
// checked against it. Deliberately not here: door bells (region.h says the protocol), and what the
// records mean.

#include "lib/shm/ring.h"

#include "lib/base/err.h"

#include <string.h>

enum { RING_MIN = 256 };
#define RING_MAX (1u << 30)

static uint32_t align_up(uint32_t len)
{
	return (len + (RING_ALIGN - 1)) & ~(uint32_t)(RING_ALIGN - 1);
}

static bool size_ok(uint32_t size)
{
	return size >= RING_MIN && size <= RING_MAX && (size & (size - 1)) == 0;
}

size_t ring_shm_len(uint32_t size)
{
	return sizeof(struct ring_shm) + size;
}

int ring_shm_init(struct ring_shm *shm, uint32_t size)
{
	if (!size_ok(size))
		return -EINVAL;
	shm->magic = RING_MAGIC;
	shm->size = size;
	atomic_store_explicit(&shm->head, 0, memory_order_relaxed);
	atomic_store_explicit(&shm->refused, 0, memory_order_relaxed);
	atomic_store_explicit(&shm->tail, 0, memory_order_relaxed);
	return 0;
}

void ring_shm_repair(struct ring_shm *shm, uint32_t size)
{
	uint64_t head = atomic_load_explicit(&shm->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&shm->tail, memory_order_acquire);

	__atomic_store_n(&shm->magic, RING_MAGIC, __ATOMIC_RELAXED);
	__atomic_store_n(&shm->size, size, __ATOMIC_RELAXED);
	if (head - tail <= size && head % RING_ALIGN == 0 && tail % RING_ALIGN == 0)
		return;
	head &= ~(uint64_t)(RING_ALIGN - 1);
	atomic_store_explicit(&shm->tail, head, memory_order_release);
	atomic_store_explicit(&shm->head, head, memory_order_release);
}

// The header as it is at this moment: 0, and size, head and tail that go together.
static int header_read(
	struct ring_shm *shm, size_t max_len, uint32_t *size, uint64_t *head, uint64_t *tail)
{
	if (max_len < sizeof(*shm) || __atomic_load_n(&shm->magic, __ATOMIC_RELAXED) != RING_MAGIC)
		return -EPROTO;
	*size = __atomic_load_n(&shm->size, __ATOMIC_RELAXED);
	if (!size_ok(*size) || max_len < ring_shm_len(*size))
		return -EPROTO;
	*tail = atomic_load_explicit(&shm->tail, memory_order_acquire);
	*head = atomic_load_explicit(&shm->head, memory_order_acquire);
	if (*head - *tail > *size || *head % RING_ALIGN != 0 || *tail % RING_ALIGN != 0)
		return -EPROTO;
	return 0;
}

int ring_w_attach(struct ring_w *w, struct ring_shm *shm, size_t max_len)
{
	struct ring_w n = {.shm = shm, .data = shm->data};
	int err = header_read(shm, max_len, &n.size, &n.head, &n.tail);

	if (err == 0)
		*w = n;
	return err;
}

int ring_r_attach(struct ring_r *r, struct ring_shm *shm, size_t max_len)
{
	struct ring_r n = {.shm = shm, .data = shm->data};
	int err = header_read(shm, max_len, &n.size, &n.head, &n.tail);

	n.head = n.tail; // not looked yet
	if (err == 0)
		*r = n;
	return err;
}

// Take over the reader's claim if it lies between what it claimed before and what was written.
static void tail_refresh(struct ring_w *w)
{
	// pairs with the release in ring_r_release(); seq_cst: a writer who waits for room says so
	// before (region.h)
	uint64_t tail = atomic_load_explicit(&w->shm->tail, memory_order_seq_cst);

	if (tail - w->tail <= w->head - w->tail && tail % RING_ALIGN == 0)
		w->tail = tail;
}

void *ring_w_reserve(struct ring_w *w, uint32_t len)
{
	uint32_t off = (uint32_t)w->head & (w->size - 1);
	uint32_t need, pad = 0;

	// Half the ring at most: with padding, a longer record might never find room.
	if (unlikely(len < sizeof(uint32_t) || len > w->size / 2))
		goto refuse;
	need = align_up(len);
	if (off + need > w->size)
		pad = w->size - off;
	if (w->head + pad + need - w->tail > w->size) {
		tail_refresh(w);
		if (w->head + pad + need - w->tail > w->size)
			goto refuse;
	}
	if (pad != 0) {
		uint32_t mark = pad | RING_PAD;

		memcpy(w->data + off, &mark, sizeof(mark));
		w->head += pad;
		off = 0;
	}
	w->head += need;
	return w->data + off;
refuse:
	atomic_store_explicit(&w->shm->refused,
		atomic_load_explicit(&w->shm->refused, memory_order_relaxed) + 1,
		memory_order_relaxed);
	return NULL;
}

uint32_t ring_w_room(struct ring_w *w)
{
	tail_refresh(w);
	return w->size - (uint32_t)(w->head - w->tail);
}

void ring_w_publish(struct ring_w *w)
{
	// pairs with the acquire in head_refresh() and in ring_r_empty()
	atomic_store_explicit(&w->shm->head, w->head, memory_order_release);
}

static bool head_refresh(struct ring_r *r)
{
	// pairs with the release in ring_w_publish()
	uint64_t head = atomic_load_explicit(&r->shm->head, memory_order_acquire);

	// The writer never moves back and never passes what we gave back, which is at most our
	// tail.
	if (unlikely(head - r->tail > r->size || head % RING_ALIGN != 0)) {
		r->broken = true;
		return false;
	}
	r->head = head;
	return head != r->tail;
}

void ring_r_look(struct ring_r *r)
{
	if (likely(!r->broken))
		(void)head_refresh(r);
}

bool ring_r_knows(const struct ring_r *r)
{
	return !r->broken && r->tail != r->head;
}

const void *ring_r_peek(struct ring_r *r, uint32_t *len)
{
	uint32_t off, n;

	r->len = 0;
	if (unlikely(r->broken))
		return NULL;
	if (r->tail == r->head && !head_refresh(r))
		return NULL;
	off = (uint32_t)r->tail & (r->size - 1);
	// read once: the writer may change it meanwhile
	n = __atomic_load_n((const uint32_t *)(const void *)(r->data + off), __ATOMIC_RELAXED);
	if (n & RING_PAD) {
		n &= ~RING_PAD;
		// padding ends at the end of the ring and is never alone there
		if (unlikely(off == 0 || n != r->size - off || n >= r->head - r->tail))
			goto broken;
		r->tail += n;
		off = 0;
		n = __atomic_load_n((const uint32_t *)(const void *)r->data, __ATOMIC_RELAXED);
	}
	// n <= size / 2 first: then rounding up can't overflow
	if (unlikely(n < sizeof(uint32_t) || n > r->size / 2 || align_up(n) > r->size - off ||
		     align_up(n) > r->head - r->tail))
		goto broken;
	r->len = n;
	*len = n;
	return r->data + off;
broken:
	r->broken = true;
	return NULL;
}

void ring_r_next(struct ring_r *r)
{
	r->tail += align_up(r->len);
	r->len = 0;
}

void ring_r_release(struct ring_r *r)
{
	// pairs with the acquire in tail_refresh()
	atomic_store_explicit(&r->shm->tail, r->tail, memory_order_release);
}

int ring_r_read(struct ring_r *r, void *buf, uint32_t cap)
{
	uint32_t len;
	const void *rec = ring_r_peek(r, &len);
	int ret;

	if (rec == NULL)
		return r->broken ? -EPROTO : 0;
	if (len <= cap) {
		memcpy(buf, rec, len);
		// the length that was checked, whatever stands there by now
		memcpy(buf, &len, sizeof(len));
		ret = (int)len;
	} else {
		ret = -EMSGSIZE;
	}
	ring_r_next(r);
	return ret;
}

void ring_r_wipe(struct ring_r *r)
{
	uint32_t off = (uint32_t)r->tail & (r->size - 1);

	explicit_bzero(r->data + off, r->len);
}

bool ring_r_empty(const struct ring_r *r)
{
	// seq_cst: part of the sleep protocol (region.h), must not pass the store of the flag
	return r->broken || (r->tail == r->head && atomic_load_explicit(&r->shm->head,
							   memory_order_seq_cst) == r->tail);
}

void ring_r_resync(struct ring_r *r)
{
	uint64_t head = atomic_load_explicit(&r->shm->head, memory_order_acquire);

	r->tail = r->head = head & ~(uint64_t)(RING_ALIGN - 1);
	r->len = 0;
	r->broken = false;
	ring_r_release(r);
}
