// Datagram layouts of rail (rail 1): which bytes lie where. No MAC is checked and nothing is sealed
// here; whoever holds the keys does that over the offsets given.
#include "lib/wire/rail.h"

#include "lib/base/err.h"

_Static_assert(RAIL_COOKIE_LEN == 8 + RAIL_COOKIE_NONCE_LEN + RAIL_COOKIE_VALUE_LEN + RAIL_TAG_LEN,
	"cookie datagram");

// 1970 in TAI64: 2^62 + 10 s. Leap seconds since then are not counted; both ends of a link compare
// only times of the same sender.
#define TAI_1970 0x400000000000000aull
#define NS_PER_S 1000000000ull

void rail_flow_info(uint8_t out[RAIL_FLOW_INFO_LEN], uint8_t flow, uint8_t cipher)
{
	memcpy(out, RAIL_LABEL_FLOW, RAIL_FLOW_INFO_LEN - 2);
	out[RAIL_FLOW_INFO_LEN - 2] = flow;
	out[RAIL_FLOW_INFO_LEN - 1] = cipher;
}

int rail_hs_decode(const void *p, size_t len, bool inside, struct rail_hs *out)
{
	const uint8_t *b = p;
	// A re-key message is the datagram without its macs: the same limits, moved by their
	// length.
	size_t macs_len = inside ? RAIL_MACS_LEN : 0;
	enum rail_type type =
		len < RAIL_RESPONSE_HDR_LEN ? RAIL_NONE : rail_classify(b, len + macs_len);
	size_t hdr_len = type == RAIL_INIT ? RAIL_INIT_HDR_LEN : RAIL_RESPONSE_HDR_LEN;

	if (type != RAIL_INIT && type != RAIL_RESPONSE)
		return -EBADMSG;
	*out = (struct rail_hs){.type = (uint8_t)type,
		.sender = be32_get(b + 4),
		.receiver = type == RAIL_RESPONSE ? be32_get(b + 8) : 0,
		.noise = b + hdr_len,
		.noise_len = len + macs_len - RAIL_MACS_LEN - hdr_len};
	if (!inside) {
		out->mac1 = b + rail_mac1_off(len);
		out->mac2 = b + rail_mac2_off(len);
	}
	return 0;
}

void rail_hs_begin(struct bytes_w *w, enum rail_type type, uint32_t sender, uint32_t receiver)
{
	bytes_w_u32(w, (uint32_t)type << 24);
	bytes_w_u32(w, sender);
	if (type == RAIL_RESPONSE)
		bytes_w_u32(w, receiver);
}

int rail_cookie_decode(const void *p, size_t len, struct rail_cookie *out)
{
	struct bytes_r r = bytes_r(p, len);

	if (rail_classify(p, len) != RAIL_COOKIE)
		return -EBADMSG;
	bytes_r_span(&r, 4);
	out->receiver = bytes_r_u32(&r);
	bytes_r_copy(&r, out->nonce, sizeof(out->nonce));
	bytes_r_copy(&r, out->sealed, sizeof(out->sealed));
	return 0;
}

void rail_cookie_encode(uint8_t out[RAIL_COOKIE_LEN], const struct rail_cookie *cookie)
{
	struct bytes_w w = bytes_w(out, RAIL_COOKIE_LEN);

	bytes_w_u32(&w, (uint32_t)RAIL_COOKIE << 24);
	bytes_w_u32(&w, cookie->receiver);
	bytes_w_copy(&w, cookie->nonce, sizeof(cookie->nonce));
	bytes_w_copy(&w, cookie->sealed, sizeof(cookie->sealed));
}

void rail_time_put(uint8_t out[RAIL_TIME_LEN], uint64_t wall_ns)
{
	be64_put(out, TAI_1970 + wall_ns / NS_PER_S);
	be32_put(out + 8, (uint32_t)(wall_ns % NS_PER_S));
}

int rail_time_get(const uint8_t in[RAIL_TIME_LEN], uint64_t *wall_ns)
{
	uint64_t tai_s = be64_get(in);
	uint32_t ns = be32_get(in + 8);

	if (tai_s < TAI_1970 || tai_s - TAI_1970 >= UINT64_MAX / NS_PER_S || ns >= NS_PER_S)
		return -EBADMSG;
	*wall_ns = (tai_s - TAI_1970) * NS_PER_S + ns;
	return 0;
}
