// Codec of the messages between two edges. What they mean is controlplane/app/edge_far's business.
#include "lib/wire/edge_msg.h"

#include "lib/base/bytes.h"

int edge_hello_decode(const uint8_t *p, size_t len, struct edge_hello *out)
{
	struct bytes_r r = bytes_r(p, len);

	if (len < EDGE_HELLO_LEN || bytes_r_u8(&r) != EDGE_MSG_HELLO)
		return -EBADMSG;
	out->flags = bytes_r_u8(&r);
	out->takes = bytes_r_u8(&r);
	bytes_r_u8(&r);
	out->max = bytes_r_u16(&r);
	return 0;
}

ptrdiff_t edge_hello_encode(uint8_t *p, size_t cap, const struct edge_hello *h)
{
	if (cap < EDGE_HELLO_LEN)
		return -ENOSPC;
	memset(p, 0, EDGE_HELLO_LEN);
	p[0] = EDGE_MSG_HELLO;
	p[1] = h->flags;
	p[2] = h->takes;
	p[4] = (uint8_t)(h->max >> 8);
	p[5] = (uint8_t)h->max;
	return EDGE_HELLO_LEN;
}

int edge_super_decode(const uint8_t *p, size_t len)
{
	if (len <= EDGE_SUPER_HDR_LEN || p[0] != EDGE_MSG_SUPER || p[1] != 0)
		return -EBADMSG;
	return p[2] << 8 | p[3];
}

void edge_super_put(uint8_t p[EDGE_SUPER_HDR_LEN], uint16_t segment)
{
	p[0] = EDGE_MSG_SUPER;
	p[1] = 0;
	p[2] = (uint8_t)(segment >> 8);
	p[3] = (uint8_t)segment;
}
