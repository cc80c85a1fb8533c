// What the controllers make of a bottleneck: goodput, queue and fairness over minutes of model
// time, which take a second or two of ours. Figures are printed; bounds leave a margin to them.
#include "tests/lib/link/cc_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/err.h"

enum { MSS = 1400, JUMBO = 60000 };

static uint64_t mbit(double n)
{
	return (uint64_t)(n * 125000);
}

static uint64_t bdp(const struct model_path *w)
{
	return (uint64_t)((double)w->rate * (double)w->rtt_ns / 1e9);
}

static struct model_path path(double mbits, uint64_t rtt_ns, double buffer_bdp)
{
	struct model_path w = {.rate = mbit(mbits), .rtt_ns = rtt_ns};

	w.buffer = (uint64_t)(buffer_bdp * (double)bdp(&w));
	if (w.buffer < 256 * 1024)
		w.buffer = 256 * 1024; // what every switch has
	return w;
}

// Goodput of the flow from now until then, as a part of the bottleneck's rate.
static double goodput(struct model *m, struct model_flow *f, uint64_t until_ns)
{
	uint64_t from_ns = m->now_ns;
	uint64_t before = f->delivered;

	m->max_queue = 0;
	m->queue_sum = 0;
	m->queue_n = 0;
	model_run(m, until_ns);
	return (double)(f->delivered - before) * 1e9 /
	       ((double)(until_ns - from_ns) * (double)m->path.rate);
}

static double mean_queue(const struct model *m)
{
	return m->queue_n == 0 ? 0 : m->queue_sum / (double)m->queue_n;
}

static double jain(double a, double b)
{
	return (a + b) * (a + b) / (2 * (a * a + b * b));
}

static void random_loss_of_one_percent_costs_bbr_little(void **state)
{
	static const double rates[] = {10, 100, 1000};

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		for (uint64_t seed = 1; seed <= 3; seed++) {
			struct model_path w = path(rates[i], 50 * MODEL_MS, 1);
			struct model *m;
			double g;

			w.loss_ppm = 10000;
			m = model_new(&w, seed);
			g = goodput(m, model_add(m, "bbr", MSS, 1 << 16, 0), 30 * MODEL_S) / 0.99;
			print_message("bbr %5.0f Mbit/s 50 ms 1 %% loss, seed %d: %.3f of the "
				      "optimum in 30 s\n",
				rates[i], (int)seed, g);
			assert_true(g >= 0.85);
			model_free(m);
		}
	}
}

static void cubic_yields_to_random_loss(void **state)
{
	struct model_path w = path(100, 50 * MODEL_MS, 1);
	struct model *m;
	double g;

	w.loss_ppm = 10000;
	m = model_new(&w, 1);
	g = goodput(m, model_add(m, "cubic", MSS, 1 << 16, 0), 30 * MODEL_S);
	print_message("cubic 100 Mbit/s 50 ms 1 %% loss: %.3f\n", g);
	assert_true(g > 0.01 && g < 0.2); // the reason for BBR
	model_free(m);
}

static const struct link {
	const char *name;
	double mbits;
	uint64_t rtt_ns;
	uint32_t mss;
	uint64_t settle_ns, until_ns;
	double least;
} links[] = {
	{"1 Mbit/s 1 us", 1, 1000, MSS, 5 * MODEL_S, 15 * MODEL_S, 0.95},
	{"1 Mbit/s 300 ms", 1, 300 * MODEL_MS, MSS, 10 * MODEL_S, 40 * MODEL_S, 0.85},
	{"10 Mbit/s 20 ms", 10, 20 * MODEL_MS, MSS, 5 * MODEL_S, 15 * MODEL_S, 0.95},
	{"100 Mbit/s 50 ms", 100, 50 * MODEL_MS, MSS, 2 * MODEL_S, 5 * MODEL_S, 0.95},
	{"1 Gbit/s 50 ms", 1000, 50 * MODEL_MS, MSS, 2 * MODEL_S, 5 * MODEL_S, 0.95},
	{"1 Gbit/s 300 ms", 1000, 300 * MODEL_MS, MSS, 8 * MODEL_S, 20 * MODEL_S, 0.88},
	{"1 Gbit/s 1 us", 1000, 1000, MSS, MODEL_S, 2 * MODEL_S, 0.95},
	{"10 Gbit/s 100 us", 10000, 100000, MSS, 100 * MODEL_MS, 500 * MODEL_MS, 0.95},
	{"50 Gbit/s 1 us", 50000, 1000, MSS, 50 * MODEL_MS, 150 * MODEL_MS, 0.95},
	// great datagrams, so that this takes no minute
	{"50 Gbit/s 300 ms", 50000, 300 * MODEL_MS, JUMBO, 8 * MODEL_S, 18 * MODEL_S, 0.88},
};

// After the queue of the start is gone it stays below what the path holds, but for probes.
static void fills_links_of_all_kinds(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		const struct link *k = &links[i];
		struct model_path w = path(k->mbits, k->rtt_ns, 4);
		struct model *m = model_new(&w, i);
		struct model_flow *f = model_add(m, "bbr", k->mss, 1 << 18, 0);
		double room = (double)bdp(&w) + 2 * 65536 + 10 * k->mss;
		double g;

		model_run(m, k->settle_ns);
		g = goodput(m, f, k->until_ns);
		print_message("bbr %-17s %.3f, queue mean %.2f max %.2f of the path's volume\n",
			k->name, g, mean_queue(m) / room, (double)m->max_queue / room);
		assert_true(g >= k->least);
		assert_true((double)m->max_queue < 1.2 * room);
		assert_true(mean_queue(m) < 0.5 * room);
		model_free(m);
	}
}

static void cubic_fills_links_of_all_kinds(void **state)
{
	for (size_t i = 2; i < 5; i++) {
		const struct link *k = &links[i];
		struct model_path w = path(k->mbits, k->rtt_ns, 1);
		struct model *m = model_new(&w, i);
		struct model_flow *f = model_add(m, "cubic", k->mss, 1 << 18, 0);
		double g;

		model_run(m, 5 * MODEL_S);
		g = goodput(m, f, 20 * MODEL_S);
		print_message("cubic %-17s %.3f, lost %.4f\n", k->name, g,
			(double)f->lost / (double)f->sent);
		assert_true(g >= 0.95);
		model_free(m);
	}
}

static void shallow_buffers_cost_little(void **state)
{
	struct model_path w = path(1000, 50 * MODEL_MS, 0.1);
	struct model *m = model_new(&w, 1);
	struct model_flow *f = model_add(m, "bbr", MSS, 1 << 16, 0);
	double g;

	model_run(m, 5 * MODEL_S);
	g = goodput(m, f, 30 * MODEL_S);
	print_message("bbr with a buffer of a tenth: %.3f, lost %.4f\n", g,
		(double)f->lost / (double)f->sent);
	assert_true(g >= 0.8);
	assert_true(f->lost < f->sent / 50);
	model_free(m);
}

static void two_flows_that_start_together_share_fairly(void **state)
{
	static const struct {
		double mbits, buffer;
		uint64_t rtt_ns;
	} t[] = {{100, 1, 50 * MODEL_MS}, {100, 4, 50 * MODEL_MS}, {10, 1, 20 * MODEL_MS},
		{1000, 0.5, 10 * MODEL_MS}};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct model_path w = path(t[i].mbits, t[i].rtt_ns, t[i].buffer);
		struct model *m = model_new(&w, i);
		struct model_flow *b = model_add(m, "bbr", MSS, 1 << 16, 0);
		struct model_flow *a = model_add(m, "bbr", MSS, 1 << 16, 0);
		double ga = goodput(m, a, 60 * MODEL_S);
		double gb = (double)b->delivered / (60 * (double)w.rate);

		print_message("bbr and bbr, %.0f Mbit/s %.1f ms, buffer %.1f: %.3f + %.3f, "
			      "Jain %.3f\n",
			t[i].mbits, (double)w.rtt_ns / 1e6, t[i].buffer, ga, gb, jain(ga, gb));
		assert_true(jain(ga, gb) >= 0.9);
		assert_true(ga + gb >= 0.9);
		model_free(m);
	}
}

static void a_late_flow_gets_its_share(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct model_path w = path(100, 20 * MODEL_MS, 1);
		struct model *m = model_new(&w, seed);
		struct model_flow *a = model_add(m, "bbr", MSS, 1 << 16, 0);
		struct model_flow *b = model_add(m, "bbr", MSS, 1 << 16, 10 * MODEL_S);
		uint64_t before;
		double ga, gb;

		model_run(m, 40 * MODEL_S);
		before = b->delivered;
		ga = goodput(m, a, 60 * MODEL_S);
		gb = (double)(b->delivered - before) / (20 * (double)w.rate);
		print_message("bbr and a later bbr, after 30 s: %.3f + %.3f, Jain %.3f\n", ga, gb,
			jain(ga, gb));
		assert_true(jain(ga, gb) >= 0.85);
		model_free(m);
	}
}

static void bbr_and_cubic_live_beside_each_other(void **state)
{
	static const double buffers[] = {0.5, 1, 2, 4};

	for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
		struct model_path w = path(100, 50 * MODEL_MS, buffers[i]);
		struct model *m = model_new(&w, i);
		struct model_flow *b = model_add(m, "cubic", MSS, 1 << 16, 0);
		struct model_flow *a = model_add(m, "bbr", MSS, 1 << 16, 0);
		double ga = goodput(m, a, 60 * MODEL_S);
		double gb = (double)b->delivered / (60 * (double)w.rate);

		print_message("bbr %.3f + cubic %.3f, buffer %.1f, queue mean %.0f ms\n", ga, gb,
			buffers[i], mean_queue(m) * 1e3 / (double)w.rate);
		assert_true(ga > 0.2);
		assert_true(gb > 0.1);
		model_free(m);
	}
}

static void heavy_loss_still_moves_data(void **state)
{
	static const uint32_t ppm[] = {50000, 200000, 300000};
	static const char *const names[] = {"bbr", "cubic"};

	for (size_t i = 0; i < 2 * ARRAY_LEN(ppm); i++) {
		struct model_path w = path(100, 50 * MODEL_MS, 1);
		struct model *m;
		struct model_flow *f;
		double sum = 0;

		w.loss_ppm = ppm[i / 2];
		m = model_new(&w, 1);
		f = model_add(m, names[i % 2], MSS, 1 << 16, 0);
		for (int k = 1; k <= 6; k++) {
			double g = goodput(m, f, (uint64_t)k * 10 * MODEL_S) * 100;

			assert_true(g > 0.1); // Mbit/s, in each ten seconds
			sum += g;
		}
		print_message("%s 100 Mbit/s 50 ms %2d %% loss: %.2f Mbit/s\n", names[i % 2],
			(int)(w.loss_ppm / 10000), sum / 6);
		model_free(m);
	}
}

static void bursts_of_acks_do_not_stall(void **state)
{
	static const uint64_t rtts_ns[] = {MODEL_MS, 10 * MODEL_MS, 50 * MODEL_MS};

	for (size_t i = 0; i < ARRAY_LEN(rtts_ns); i++) {
		struct model_path w = path(100, rtts_ns[i], 2);
		struct model *m;
		struct model_flow *f;
		double g;

		w.slot_ns = 5 * MODEL_MS;
		m = model_new(&w, i);
		f = model_add(m, "bbr", MSS, 1 << 16, 0);
		model_run(m, 2 * MODEL_S);
		g = goodput(m, f, 12 * MODEL_S);
		print_message("bbr %2d ms, acks each 5 ms: %.3f, queue mean %.1f ms\n",
			(int)(rtts_ns[i] / MODEL_MS), g, mean_queue(m) * 1e3 / (double)w.rate);
		assert_true(g >= 0.9);
		assert_true(f->cc.u.bbr.extra_acked > 0);
		model_free(m);
	}
}

static void comes_back_after_a_blackout(void **state)
{
	static const char *const names[] = {"bbr", "cubic"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct model_path w = path(100, 50 * MODEL_MS, 1);
		struct model *m;
		struct model_flow *f;
		double g;

		w.dark_from_ns = 5 * MODEL_S;
		w.dark_until_ns = 15 * MODEL_S;
		m = model_new(&w, 1);
		f = model_add(m, names[i], MSS, 1 << 16, 0);
		model_run(m, 10 * MODEL_S);
		assert_int_equal(cc_cwnd(&f->cc), 4 * MSS);
		model_run(m, 18 * MODEL_S); // a probe each 2 s
		g = goodput(m, f, 22 * MODEL_S);
		print_message("%s, 3 s after 10 s of blackout: %.3f\n", names[i], g);
		assert_true(g >= 0.9);
		model_free(m);
	}
}

static void an_idle_application_keeps_the_estimate(void **state)
{
	struct model_path w = path(100, 50 * MODEL_MS, 1);
	struct model *m = model_new(&w, 1);
	struct model_flow *f = model_add(m, "bbr", MSS, 1 << 16, 0);
	double g;

	model_run(m, 5 * MODEL_S);
	model_app(f, m->now_ns, mbit(5));
	model_run(m, 30 * MODEL_S);
	assert_in_range(f->cc.u.bbr.max_bw, mbit(95), mbit(105));
	model_app(f, 40 * MODEL_S, 0);
	model_run(m, 40 * MODEL_S);
	g = goodput(m, f, 41 * MODEL_S);
	print_message(
		"bbr, the first second after 25 s of 5 Mbit/s and 10 s of nothing: %.3f\n", g);
	assert_true(g >= 0.85); // the first round trip brings nothing
	model_free(m);
}

static void finds_a_rate_that_fell_to_a_tenth(void **state)
{
	struct model_path w = path(100, 50 * MODEL_MS, 1);
	struct model *m = model_new(&w, 1);
	struct model_flow *f = model_add(m, "bbr", MSS, 1 << 16, 0);
	double g;

	model_run(m, 5 * MODEL_S);
	m->path.rate = mbit(10);
	g = goodput(m, f, 20 * MODEL_S);
	print_message("bbr after a fall to a tenth: %.3f, queue max %.0f ms\n", g,
		(double)m->max_queue * 1e3 / (double)m->path.rate);
	assert_true(g >= 0.9);
	g = goodput(m, f, 40 * MODEL_S);
	print_message("... 15 s later: %.3f, queue mean %.0f ms\n", g,
		mean_queue(m) * 1e3 / (double)m->path.rate);
	assert_true(g >= 0.9);
	assert_true(mean_queue(m) < 0.05 * (double)m->path.rate);
	assert_in_range(f->cc.u.bbr.max_bw, mbit(9.5), mbit(11));
	model_free(m);
}

static void finds_a_rate_that_rose_tenfold(void **state)
{
	static const uint32_t ppm[] = {0, 5000};

	for (size_t i = 0; i < ARRAY_LEN(ppm); i++) {
		struct model_path w = path(100, 50 * MODEL_MS, 1);
		struct model *m;
		struct model_flow *f;
		double g;

		w.loss_ppm = ppm[i];
		m = model_new(&w, 1);
		f = model_add(m, "bbr", MSS, 1 << 16, 0);
		model_run(m, 5 * MODEL_S);
		m->path.rate = mbit(1000);
		model_run(m, 15 * MODEL_S);
		g = goodput(m, f, 25 * MODEL_S);
		print_message("bbr, 10 s after a tenfold rise, loss %.1f %%: %.3f\n",
			(double)ppm[i] / 1e4, g);
		assert_true(g >= 0.8);
		model_free(m);
	}
}

static void equal_seeds_give_equal_runs(void **state)
{
	uint64_t delivered[3];

	for (uint64_t i = 0; i < 3; i++) {
		struct model_path w = path(100, 20 * MODEL_MS, 1);
		struct model *m;
		struct model_flow *f;

		w.loss_ppm = 10000;
		m = model_new(&w, i / 2); // 0, 0, 1
		f = model_add(m, "bbr", MSS, 1 << 16, 0);
		model_run(m, 5 * MODEL_S);
		delivered[i] = f->delivered;
		model_free(m);
	}
	assert_int_equal(delivered[0], delivered[1]);
	assert_int_not_equal(delivered[0], delivered[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_loss_of_one_percent_costs_bbr_little),
		cmocka_unit_test(cubic_yields_to_random_loss),
		cmocka_unit_test(fills_links_of_all_kinds),
		cmocka_unit_test(cubic_fills_links_of_all_kinds),
		cmocka_unit_test(shallow_buffers_cost_little),
		cmocka_unit_test(two_flows_that_start_together_share_fairly),
		cmocka_unit_test(a_late_flow_gets_its_share),
		cmocka_unit_test(bbr_and_cubic_live_beside_each_other),
		cmocka_unit_test(heavy_loss_still_moves_data),
		cmocka_unit_test(bursts_of_acks_do_not_stall),
		cmocka_unit_test(comes_back_after_a_blackout),
		cmocka_unit_test(an_idle_application_keeps_the_estimate),
		cmocka_unit_test(finds_a_rate_that_fell_to_a_tenth),
		cmocka_unit_test(finds_a_rate_that_rose_tenfold),
		cmocka_unit_test(equal_seeds_give_equal_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
