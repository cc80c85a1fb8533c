// Messages of connect handshake and settlement: any bytes are read without harm; what is read well
// is written the same way again. Then both sides of the machine get the bytes, cut into pieces at
// every 0xff, and wait for nobody in the end.
#include "tests/fuzz/fuzz.h"

#include "lib/link/carry_hs.h"

#include <string.h>

static void texts(const char *p, size_t len)
{
	char first[CONNECT_TEXT_MAX + 128], again[CONNECT_TEXT_MAX + 128];
	uint8_t nonce[CONNECT_NONCE_LEN];
	struct connect_call call;
	struct connect_answer answer;
	struct tp_entry entry;
	ssize_t n;

	(void)connect_text_len(p, len, CONNECT_JSON_MAX);
	if (connect_nonce_read(nonce, p, len) == 0)
		fuzz_check(connect_nonce_write(nonce, first, sizeof(first)) > 0);
	if (connect_call_read(&call, p, len) == 0) {
		n = connect_call_write(&call, first, sizeof(first));
		fuzz_check(n > 0 && connect_text_len(first, (size_t)n, CONNECT_JSON_MAX) == n &&
			   connect_call_read(&call, first, (size_t)n) == 0);
		fuzz_check(connect_call_write(&call, again, sizeof(again)) == n &&
			   memcmp(first, again, (size_t)n) == 0);
		(void)connect_call_verify(&call);
	}
	if (connect_answer_read(&answer, p, len) == 0) {
		n = connect_answer_write(&answer, first, sizeof(first));
		fuzz_check(n > 0 && connect_answer_read(&answer, first, (size_t)n) == 0);
	}
	if (tp_entry_read(&entry, p, len) == 0) {
		n = tp_entry_write(&entry, first, sizeof(first));
		fuzz_check(n > 0 && tp_entry_read(&entry, first, (size_t)n) == 0);
		fuzz_check(tp_entry_write(&entry, again, sizeof(again)) == n &&
			   memcmp(first, again, (size_t)n) == 0);
		(void)tp_entry_verify(&entry, &entry.edge[0]);
	}
}

static void machine(struct carry_hs *h, const uint8_t *p, size_t len)
{
	enum carry_hs_event ev = CARRY_HS_NONE;

	while (len > 0 && ev == CARRY_HS_NONE) {
		const uint8_t *cut = memchr(p, 0xff, len);
		size_t piece = cut != NULL ? (size_t)(cut - p) : len, used;

		ev = carry_hs_read(h, p, piece, &used, 1);
		fuzz_check(used <= piece && h->out_len <= sizeof(h->out));
		h->out_len = 0;
		if (ev == CARRY_HS_CLAIM)
			ev = carry_hs_prove(h, NULL);
		if (ev == CARRY_HS_CALLER)
			ev = carry_hs_admit(h, NULL, 1);
		if (ev == CARRY_HS_NOISE)
			ev = carry_hs_inside(h, 1);
		if (ev == CARRY_HS_ENTRY)
			ev = carry_hs_settle(h, CARRY_HS_CODE_OK);
		h->out_len = 0;
		piece += cut != NULL;
		p += piece;
		len -= piece;
	}
	if (ev == CARRY_HS_NONE)
		fuzz_check(carry_hs_tick(h, UINT64_MAX) == CARRY_HS_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[CONNECT_NONCE_LEN] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct key_sk sk_a, sk_b;
	struct key_pk pk_a, pk_b;
	struct carry_hs_conf a = {&pk_a, &sk_a, "stcpr"}, b = {&pk_b, &sk_b, "stcpr"};
	struct carry_hs h;

	memset(sk_a.b, 1, sizeof(sk_a.b)); // whose known messages are in the corpus
	memset(sk_b.b, 2, sizeof(sk_b.b));
	fuzz_check(key_pk_from_sk(&pk_a, &sk_a) == 0 && key_pk_from_sk(&pk_b, &sk_b) == 0);
	texts((const char *)data, size);
	carry_hs_accept(&h, &b, nonce, 0);
	machine(&h, data, size);
	carry_hs_dial(&h, &a, &pk_b, CONNECT_PORT_EPHEMERAL, 0);
	machine(&h, data, size);
	if (carry_hs_settlement(&h, &b, &pk_a, false, 0) == CARRY_HS_NONE)
		machine(&h, data, size);
	return 0;
}
