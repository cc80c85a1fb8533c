// What an edge knows of the edge at the far end of its route: whether it takes super-packets
// (docs/design/edge.md). Nothing is believed before the far end said so, and nothing for longer
// than it answers while it matters. Sans-I/O: hellos and time in, hellos and the next time out.
//
//   unknown --hello--> known --3 questions without an answer--> unknown
//   unknown asks after 1, 2, 4 ... 32 s; known asks only while super-packets are sent
#pragma once

#include "lib/wire/edge_msg.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	EDGE_FAR_FIRST_MS = 1000, // between questions; doubled up to
	EDGE_FAR_LAST_MS = 32000,
	EDGE_FAR_FRESH_MS = 5000, // what was heard is good for so long without a question
	EDGE_FAR_TRIES = 3,
	EDGE_FAR_ANSWER_MS = 100, // one answer at most in so long
};

struct edge_far {
	bool known;
	bool used; // its `takes` mattered since it was heard
	bool came; // anything came by the route
	uint8_t takes; // GSO_*; 0 while unknown
	uint8_t tries; // questions since it was heard
	uint16_t max;
	uint32_t wait_ms; // till the next question while unknown
	uint64_t answered_ms; // when we answered last
};

// A route begins, or ends: nothing is known. The first question is due at once.
void edge_far_reset(struct edge_far *f);
// The timer fired: ask? *next_ms: when to fire again, 0: not before edge_far_use() says so.
bool edge_far_tick(struct edge_far *f, uint32_t *next_ms);
// A hello came. True: answer it. *next_ms as above.
bool edge_far_heard(
	struct edge_far *f, const struct edge_hello *h, uint64_t now_ms, uint32_t *next_ms);
// A super-packet was sent. True: the timer is to fire EDGE_FAR_FRESH_MS from now.
bool edge_far_use(struct edge_far *f);
// Something came by the route. True: the timer is to fire at once.
bool edge_far_came(struct edge_far *f);
