// Timers of one worker's reliable hops: a wheel of fine slots, and a coarse one for what is further
// away. A timer fires at the end of its slot, never before its time. Setting, moving and firing
// cost the same however many there are.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WHEEL_FINE_LOG2 = 14, // 16 us
	WHEEL_SLOTS = 4096, // 67 ms
	WHEEL_COARSE = 512, // turns of the fine wheel: 34 s, and then once more
};

struct hop_timer {
	uint64_t due_ns; // UINT64_MAX: not set
	struct hop_timer *next;
	struct hop_timer **at; // what points here, NULL: not in the wheel
};

struct hop_wheel {
	uint64_t now; // fine slots that are over
	uint32_t n;
	struct hop_timer *fine[WHEEL_SLOTS];
	struct hop_timer *coarse[WHEEL_COARSE];
};

static inline void wheel_unlink(struct hop_timer *t)
{
	*t->at = t->next;
	if (t->next != NULL)
		t->next->at = t->at;
	t->at = NULL;
}

static inline void wheel_link(struct hop_timer **slot, struct hop_timer *t)
{
	t->next = *slot;
	t->at = slot;
	if (t->next != NULL)
		t->next->at = &t->next;
	*slot = t;
}

static inline void wheel_put(struct hop_wheel *wh, struct hop_timer *t)
{
	uint64_t slot = (t->due_ns >> WHEEL_FINE_LOG2) + 1;
	uint64_t turn;

	if (slot <= wh->now)
		slot = wh->now + 1;
	if (slot - wh->now < WHEEL_SLOTS) {
		wheel_link(&wh->fine[slot % WHEEL_SLOTS], t);
		return;
	}
	turn = slot / WHEEL_SLOTS;
	if (turn - wh->now / WHEEL_SLOTS >= WHEEL_COARSE)
		turn = wh->now / WHEEL_SLOTS + WHEEL_COARSE - 1;
	wheel_link(&wh->coarse[turn % WHEEL_COARSE], t);
}

static inline void wheel_cancel(struct hop_wheel *wh, struct hop_timer *t)
{
	if (t->at != NULL) {
		wheel_unlink(t);
		wh->n--;
	}
	t->due_ns = UINT64_MAX;
}

// Fires at due_ns, or earlier if it is set already: then whoever it wakes sets it anew.
static inline void wheel_set(
	struct hop_wheel *wh, struct hop_timer *t, uint64_t due_ns, uint64_t now_ns)
{
	if (due_ns >= t->due_ns)
		return;
	if (t->at != NULL)
		wheel_unlink(t);
	else if (wh->n++ == 0)
		wh->now = now_ns >> WHEEL_FINE_LOG2;
	t->due_ns = due_ns;
	wheel_put(wh, t);
}

// Far timers whose turn of the fine wheel begins.
static inline void wheel_refine(struct hop_wheel *wh)
{
	struct hop_timer **slot = &wh->coarse[wh->now / WHEEL_SLOTS % WHEEL_COARSE];
	struct hop_timer *t = *slot, *next;

	*slot = NULL;
	for (; t != NULL; t = next) {
		next = t->next;
		wheel_put(wh, t);
	}
}

// The next timer that is due, taken out and not set any more, or NULL.
static inline struct hop_timer *wheel_due(struct hop_wheel *wh, uint64_t now_ns)
{
	uint64_t until = now_ns >> WHEEL_FINE_LOG2;

	if (wh->n == 0) {
		wh->now = until;
		return NULL;
	}
	for (;;) {
		struct hop_timer *t = wh->fine[wh->now % WHEEL_SLOTS];

		if (t != NULL) {
			wheel_unlink(t);
			wh->n--;
			t->due_ns = UINT64_MAX;
			return t;
		}
		if (wh->now >= until)
			return NULL;
		wh->now++;
		if (wh->now % WHEEL_SLOTS == 0)
			wheel_refine(wh);
	}
}

// Is any due within so many ns? Looks at that many slots. Of a turn of the fine wheel that begins
// within them it is enough that it has timers at all.
static inline bool wheel_is_near(const struct hop_wheel *wh, uint64_t ns)
{
	uint64_t turn = (wh->now + 1 + (ns >> WHEEL_FINE_LOG2)) / WHEEL_SLOTS;

	if (wh->n == 0)
		return false;
	if (turn != wh->now / WHEEL_SLOTS && wh->coarse[turn % WHEEL_COARSE] != NULL)
		return true;
	for (uint64_t i = 0; i <= ns >> WHEEL_FINE_LOG2; i++)
		if (wh->fine[(wh->now + 1 + i) % WHEEL_SLOTS] != NULL)
			return true;
	return false;
}
