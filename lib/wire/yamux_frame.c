// The header of yamux. Windows, states and what a flag means for a stream are lib/mux/yamux.c's.
#include "lib/wire/yamux_frame.h"

#include "lib/base/bytes.h"

enum { VERSION = 0 };

int yamux_frame_decode(const void *p, size_t len, struct yamux_frame *out)
{
	struct bytes_r r = bytes_r(p, len);
	uint8_t version = bytes_r_u8(&r);

	out->type = bytes_r_u8(&r);
	out->flags = bytes_r_u16(&r);
	out->id = bytes_r_u32(&r);
	out->len = bytes_r_u32(&r);
	if (r.bad)
		return -EAGAIN;
	if (version != VERSION || out->type > YAMUX_GO_AWAY)
		return -EBADMSG;
	return YAMUX_HDR_LEN;
}

ptrdiff_t yamux_frame_encode(void *p, size_t room, const struct yamux_frame *f)
{
	struct bytes_w w = bytes_w(p, room);

	bytes_w_u8(&w, VERSION);
	bytes_w_u8(&w, f->type);
	bytes_w_u16(&w, f->flags);
	bytes_w_u32(&w, f->id);
	bytes_w_u32(&w, f->len);
	return bytes_w_done(&w);
}
