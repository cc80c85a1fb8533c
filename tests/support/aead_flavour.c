// Managers of intel-ipsec-mb, made for one instruction set each.
#include "tests/support/aead_flavour.h"

#include "lib/base/err.h"

#if AEAD_IPSEC_MB
#include <intel-ipsec-mb.h>

static const struct {
	const char *name;
	void (*init)(IMB_MGR *mb);
	// Of the processor: some versions of the library crash where it is not there.
	uint64_t needs;
	uint64_t flags;
} flavours[] = {
	{"sse", init_mb_mgr_sse, IMB_CPUFLAGS_SSE, 0},
	{"sse without gfni and sha", init_mb_mgr_sse, IMB_CPUFLAGS_SSE,
		IMB_FLAG_GFNI_OFF | IMB_FLAG_SHANI_OFF},
	{"avx", init_mb_mgr_avx, IMB_CPUFLAGS_AVX, 0},
	{"avx2", init_mb_mgr_avx2, IMB_CPUFLAGS_AVX2, 0},
	{"avx2 without gfni", init_mb_mgr_avx2, IMB_CPUFLAGS_AVX2, IMB_FLAG_GFNI_OFF},
	{"avx512", init_mb_mgr_avx512, IMB_CPUFLAGS_AVX512, 0},
	{"avx512 without vaes", init_mb_mgr_avx512, IMB_CPUFLAGS_AVX512, IMB_FLAG_GFNI_OFF},
};

bool aead_flavour_init(struct aead_ctx *x, unsigned i, const char **name)
{
	IMB_MGR *mb;

	*name = i < ARRAY_LEN(flavours) ? flavours[i].name : NULL;
	if (*name == NULL || x->ipsec_mb == NULL)
		return false;
	mb = imb_set_pointers_mb_mgr(x->ipsec_mb, flavours[i].flags, 1);
	if (mb == NULL || (mb->features & flavours[i].needs) != flavours[i].needs)
		return false;
	flavours[i].init(mb);
	return imb_get_errno(mb) == 0 && (mb->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
}
#else
bool aead_flavour_init(struct aead_ctx *x, unsigned i, const char **name)
{
	*name = NULL;
	return false;
}
#endif
