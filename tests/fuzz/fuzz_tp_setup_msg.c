// Calls and answers of transport set-up as any peer can send them: what is read of them is
// bounded, and what was read is the same after writing and reading it again.

#include "lib/wire/tp_setup_msg.h"

#include "tests/fuzz/fuzz_rpc.h"

static struct netrpc_tx tx;
static uint8_t out[TP_SETUP_ANSWER_MAX + 1024];

static struct bytes_w begin(void)
{
	memset(&tx, 0, sizeof(tx));
	return bytes_w(out, sizeof(out));
}

static void asked(const struct netrpc_rx *rx)
{
	struct tp_setup_ask ask, back;
	uint8_t id[TP_SETUP_ID_LEN], same[TP_SETUP_ID_LEN];
	struct bytes_w w = begin();

	if (tp_setup_ask_read(&ask, rx) == 0) {
		tp_setup_put_add(&tx, &w, rx->seq, &ask);
		fuzz_check(bytes_w_len(&w) <= TP_SETUP_ASK_MAX);
		fuzz_check(tp_setup_ask_read(&back, fuzz_rpc_again(&w, out)) == 0);
		fuzz_check(memcmp(&ask, &back, sizeof(ask)) == 0);
	}
	w = begin();
	if (tp_setup_id_read(id, rx) == 0) {
		tp_setup_put_remove(&tx, &w, rx->seq, id);
		fuzz_check(bytes_w_len(&w) <= TP_SETUP_ASK_MAX);
		fuzz_check(tp_setup_id_read(same, fuzz_rpc_again(&w, out)) == 0);
		fuzz_check(memcmp(id, same, sizeof(id)) == 0);
	}
}

static void answered(const struct netrpc_rx *rx)
{
	static struct tp_setup_tp list[TP_SETUP_MAX], same[TP_SETUP_MAX];
	struct tp_setup_tp tp, back;
	uint32_t n, m;
	struct bytes_w w = begin();
	bool v, u;

	if (tp_setup_tp_read(&tp, rx) == 0) {
		tp_setup_put_added(&tx, &w, rx->seq, &tp);
		fuzz_check(tp_setup_tp_read(&back, fuzz_rpc_again(&w, out)) == 0);
		fuzz_check(memcmp(&tp, &back, sizeof(tp)) == 0);
	}
	w = begin();
	if (tp_setup_removed_read(&v, rx) == 0) {
		tp_setup_put_removed(&tx, &w, rx->seq, v);
		fuzz_check(tp_setup_removed_read(&u, fuzz_rpc_again(&w, out)) == 0 && u == v);
	}
	w = begin();
	if (tp_setup_list_read(list, &n, rx) == 0) {
		tp_setup_put_listed(&tx, &w, rx->seq, list, n);
		fuzz_check(tp_setup_list_read(same, &m, fuzz_rpc_again(&w, out)) == 0 && m == n);
		fuzz_check(memcmp(list, same, n * sizeof(list[0])) == 0);
	}
}

static void either(const struct netrpc_rx *rx)
{
	asked(rx);
	answered(rx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_rpc_each(data, size, either);
	return 0;
}
