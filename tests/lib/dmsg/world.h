// Two clients and two servers of dmsg in one process, their sessions, and the frames between them.
// The tests' bytes are handed over by hand: there is no muxer and no socket here.
#pragma once

#include "lib/dmsg/accept.h"
#include "lib/dmsg/dial.h"
#include "lib/dmsg/relay.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { WORLD_NOW_NS = 1000000000 };

struct world {
	struct key_sk a_sk, b_sk, s_sk;
	struct key_pk a, b, s;
	struct dmsg_session as, sa; // A's session with S, and S's side of it
	struct dmsg_session bs, sb;
};

static inline void world_keys(struct world *w)
{
	json_t *root = vectors_load("dmsg.json");
	const json_t *keys = vectors_get(root, "keys");

	memset(w, 0, sizeof(*w));
	vectors_hex(vectors_get(keys, "A"), "sk", w->a_sk.b, KEY_SK_LEN);
	vectors_hex(vectors_get(keys, "B"), "sk", w->b_sk.b, KEY_SK_LEN);
	vectors_hex(vectors_get(keys, "S"), "sk", w->s_sk.b, KEY_SK_LEN);
	assert_int_equal(key_pk_from_sk(&w->a, &w->a_sk), 0);
	assert_int_equal(key_pk_from_sk(&w->b, &w->b_sk), 0);
	assert_int_equal(key_pk_from_sk(&w->s, &w->s_sk), 0);
	json_decref(root);
}

// Hands the next handshake frame over, whole.
static inline void world_pass(struct dmsg_session *from, struct dmsg_session *to, uint64_t now_ns)
{
	uint8_t frame[NOISE_REC_FRAME_MAX];
	ssize_t n = dmsg_session_output(from, frame, sizeof(frame), now_ns);

	assert_true(n > 0);
	assert_int_equal(dmsg_session_input(to, frame, (size_t)n, now_ns), n);
}

// Both ends, before the first frame.
static inline void world_begin(struct dmsg_session *c, const struct key_sk *c_sk,
	struct dmsg_session *s, const struct key_sk *s_sk, const uint8_t *c_e, const uint8_t *s_e)
{
	struct key_pk server;

	assert_int_equal(key_pk_from_sk(&server, s_sk), 0);
	struct dmsg_session_conf conf = {.sk = c_sk, .server = &server, .test_e = c_e};
	assert_int_equal(dmsg_session_init(c, &conf, WORLD_NOW_NS), 0);
	conf = (struct dmsg_session_conf){.sk = s_sk, .pk = &server, .test_e = s_e};
	assert_int_equal(dmsg_session_init(s, &conf, WORLD_NOW_NS), 0);
}

static inline void world_join(struct dmsg_session *c, const struct key_sk *c_sk,
	struct dmsg_session *s, const struct key_sk *s_sk, const uint8_t *c_e, const uint8_t *s_e)
{
	world_begin(c, c_sk, s, s_sk, c_e, s_e);
	world_pass(c, s, WORLD_NOW_NS);
	world_pass(s, c, WORLD_NOW_NS);
	world_pass(c, s, WORLD_NOW_NS);
	assert_int_equal(c->phase, DMSG_PHASE_OPEN);
	assert_int_equal(s->phase, DMSG_PHASE_OPEN);
	assert_memory_equal(&c->peer, &s->pk, KEY_PK_LEN);
	assert_memory_equal(&s->peer, &c->pk, KEY_PK_LEN);
}

// A and B are both on S.
static inline void world_make(struct world *w)
{
	world_keys(w);
	world_join(&w->as, &w->a_sk, &w->sa, &w->s_sk, NULL, NULL);
	world_join(&w->bs, &w->b_sk, &w->sb, &w->s_sk, NULL, NULL);
}

static inline struct dmsg_dial_conf world_dial_b(const struct world *w)
{
	return (struct dmsg_dial_conf){.dst = {w->b, 80}, .src_port = 49153, .wall_ns = 17};
}
