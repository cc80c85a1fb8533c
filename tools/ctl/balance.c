// Greedy: from the busiest worker to the least busy one, the hop that leaves the two most alike. A
// hop is not cut, so the load of the heaviest one is the limit.

#include "tools/ctl/balance.h"

enum { WORKERS_MAX = 64, IDLE_PPS = 100 };
#define WORTH 0.05 // of the busier one's load: less is noise, and a move stops all workers

static double load_of(const struct balance_item *items, size_t n, unsigned worker)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		if (items[i].worker == worker)
			sum += items[i].load;
	return sum;
}

static double more(double a, double b)
{
	return a > b ? a : b;
}

bool balance_is_idle(double packets, uint32_t ms)
{
	return packets * 1000 < (double)IDLE_PPS * ms;
}

int balance_next(struct balance_item *items, size_t n, unsigned n_workers, struct balance_move *out)
{
	double load[WORKERS_MAX], best;
	unsigned hi = 0, lo = 0;
	size_t item = n;

	if (n_workers == 0 || n_workers > WORKERS_MAX)
		return 0;
	for (unsigned w = 0; w < n_workers; w++) {
		load[w] = load_of(items, n, w);
		hi = load[w] > load[hi] ? w : hi;
		lo = load[w] < load[lo] ? w : lo;
	}
	best = load[hi] * (1 - WORTH);
	for (size_t i = 0; i < n; i++) {
		double after;

		if (items[i].worker != hi || items[i].fixed)
			continue;
		after = more(load[hi] - items[i].load, load[lo] + items[i].load);
		if (after < best) {
			best = after;
			item = i;
		}
	}
	if (item == n)
		return 0;
	*out = (struct balance_move){.item = item, .from = hi, .to = lo};
	items[item].worker = lo;
	return 1;
}
