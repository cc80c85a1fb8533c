// What dmsg costs before its first byte: Noise XK handshakes of sessions, both sides on one core,
// against the bare operations of libsecp256k1 that they can't do without, and against Go.
//
//   bench_dmsg [--quick] [--only NAME]
//
// With BENCH_XK_BASELINE in the environment, a command that prints the handshakes of a second of
// one core (`peer xk` of tests/interop), xk_handshakes_go is ours against that in the same run.

#include "lib/dmsg/session.h"
#include "tests/bench/figures.h"
#include "tests/bench/options.h"

#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 100 };

struct ends {
	struct key_sk sk[2]; // dialler, server
	struct key_pk pk[2];
	secp256k1_context *secp;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_dmsg: %s failed\n", what);
	exit(1);
}

static void pass(struct dmsg_session *from, struct dmsg_session *to)
{
	uint8_t frame[NOISE_REC_FRAME_MAX];
	ssize_t n = dmsg_session_output(from, frame, sizeof(frame), 1);

	check(n > 0 && dmsg_session_input(to, frame, (size_t)n, 1) == n, "handshake");
}

static double handshakes(void *ctx)
{
	const struct ends *e = ctx;
	struct dmsg_session c, s;
	double start = now_s();

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct dmsg_session_conf conf = {
			.sk = &e->sk[0], .pk = &e->pk[0], .server = &e->pk[1]};

		check(dmsg_session_init(&c, &conf, 1) == 0, "dialler");
		conf = (struct dmsg_session_conf){.sk = &e->sk[1], .pk = &e->pk[1]};
		check(dmsg_session_init(&s, &conf, 1) == 0, "server");
		pass(&c, &s);
		pass(&s, &c);
		pass(&c, &s);
		check(c.phase == DMSG_PHASE_OPEN && s.phase == DMSG_PHASE_OPEN, "session");
	}
	return ROUNDS / (now_s() - start);
}

// Each side makes a key pair, reads two points and multiplies three times.
static double bare(void *ctx)
{
	const struct ends *e = ctx;
	double start = now_s();

	for (unsigned i = 0; i < 2 * ROUNDS; i++) {
		secp256k1_pubkey own, peer[2];
		uint8_t out[33];
		size_t len = sizeof(out);

		check(secp256k1_ec_pubkey_create(e->secp, &own, e->sk[0].b), "key pair");
		secp256k1_ec_pubkey_serialize(e->secp, out, &len, &own, SECP256K1_EC_COMPRESSED);
		for (unsigned j = 0; j < 2; j++)
			check(secp256k1_ec_pubkey_parse(e->secp, &peer[j], e->pk[j].b, KEY_PK_LEN),
				"point");
		for (unsigned j = 0; j < 3; j++)
			check(secp256k1_ecdh(e->secp, out, &peer[j % 2], e->sk[0].b, NULL, NULL),
				"multiplication");
	}
	return ROUNDS / (now_s() - start);
}

static double baseline(void *ctx)
{
	const char *command = ctx;
	FILE *p = popen(command, "re");
	double rate = 0;

	check(p != NULL && fscanf(p, "%lf", &rate) == 1, command);
	check(pclose(p) == 0 && rate > 0, command);
	return rate;
}

int main(int argc, char **argv)
{
	struct figure go = {
		.name = "xk_handshakes_go", .unit = "handshakes/s, both sides", .target = 3};
	char *command = getenv("BENCH_XK_BASELINE");
	struct figure f = {
		.name = "xk_handshakes", .unit = "handshakes/s, both sides", .target = 0.8};
	struct ends e;

	options_take(argc, argv);
	e.secp = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
	for (unsigned i = 0; i < 2; i++) {
		check(key_sk_generate(&e.sk[i]) == 0, "key");
		check(key_pk_from_sk(&e.pk[i], &e.sk[i]) == 0, "key");
	}
	if (wanted(f.name)) {
		figure_pairs(&f, handshakes, &e, bare, &e, options_pairs());
		figure_print(&f);
	}
	if (wanted(go.name) && command != NULL && command[0] != '\0') {
		figure_pairs(&go, handshakes, &e, baseline, command, options_pairs());
		figure_print(&go);
	}
	secp256k1_context_destroy(e.secp);
	return 0;
}
