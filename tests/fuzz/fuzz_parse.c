// Frames as a port delivers them: whatever is called ours lies within the frame, and the verdict is
// the same when the frame is longer by padding. What the XDP program takes from the kernel is what
// is ours.
#include <string.h>

#include "dataplane/io/parse.h"
#include "dataplane/io/xdp_match.h"
#include "tests/fuzz/fuzz.h"

static const struct parse_ports ports = {.first = 7780, .n = 8};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xdp_conf xdp = {.port = 7780, .n_ports = 8};
	struct parsed o, again;
	uint8_t mac[6] = {0}, ip[16], *padded;
	enum parse_verdict v;
	bool taken;

	if (size > 4096)
		return 0;
	if (size >= 6)
		memcpy(mac, data, 6); // always for us: the rest is what counts
	v = parse_frame(data, (uint32_t)size, mac, ports, &o);
	memcpy(xdp.mac, mac, 6);
	taken = xdp_match(data, data + size, &xdp);
	fuzz_check(!taken || (v != PARSE_OTHER && v != PARSE_FRAGMENT));
	fuzz_check(taken || (v != PARSE_DATA && v != PARSE_HANDSHAKE));
	if (v != PARSE_DATA && v != PARSE_HANDSHAKE)
		return 0;
	fuzz_check(o.off + o.len <= size && o.len >= RAIL_DATA_OVERHEAD && o.src_port != 0);
	fuzz_check(rail_classify(data + o.off, o.len) == o.rail);
	fuzz_check((v == PARSE_DATA) == (o.rail == RAIL_DATA));
	parse_dst_ip(data, &o, ip);
	padded = calloc(1, size + 40);
	fuzz_check(padded != NULL);
	memcpy(padded, data, size);
	fuzz_check(parse_frame(padded, (uint32_t)size + 40, mac, ports, &again) == v);
	fuzz_check(again.off == o.off && again.len == o.len);
	free(padded);
	return 0;
}
