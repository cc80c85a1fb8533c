// Statistics of the benches. The interval of the median comes from order statistics (binomial), so
// it assumes nothing about how a shared machine distributes its noise.

#include "tests/bench/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int figure_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), figure_cmp);
	return n % 2 != 0 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

void figure_pairs(
	struct figure *f, figure_run a, void *a_ctx, figure_run b, void *b_ctx, unsigned n)
{
	double va[PAIRS_MAX], vb[PAIRS_MAX], ratio[PAIRS_MAX];
	unsigned lo;

	if (n > PAIRS_MAX)
		n = PAIRS_MAX;
	a(a_ctx); // warm-up
	b(b_ctx);
	for (unsigned i = 0; i < n; i++) {
		if (i % 2 == 0) {
			va[i] = a(a_ctx);
			vb[i] = b(b_ctx);
		} else {
			vb[i] = b(b_ctx);
			va[i] = a(a_ctx);
		}
		ratio[i] = va[i] / vb[i];
	}
	f->value = median(va, n);
	f->baseline = median(vb, n);
	f->ratio = median(ratio, n); // sorts
	f->min = ratio[0];
	f->max = ratio[n - 1];
	lo = (unsigned)fmax(0, floor((n - 1.96 * sqrt(n)) / 2));
	f->ci_lo = ratio[lo];
	f->ci_hi = ratio[n - 1 - lo];
	f->met = f->target == 0 || f->ci_hi >= f->target;
}

void figure_value(struct figure *f, double value)
{
	f->value = value;
	f->min = f->max = value;
	f->met = true;
}

void figure_print(const struct figure *f)
{
	printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.6g", f->name, f->unit, f->value);
	if (f->baseline > 0)
		printf(",\"baseline\":%.6g,\"ratio\":%.4f,\"ci\":[%.4f,%.4f]", f->baseline,
			f->ratio, f->ci_lo, f->ci_hi);
	printf(",\"min\":%.6g,\"max\":%.6g", f->min, f->max);
	if (f->target > 0)
		printf(",\"target\":%.6g,\"met\":%s", f->target, f->met ? "true" : "false");
	printf("}\n");
	fflush(stdout);
}
