// Headers of smux and the numbers of UPD. What they mean for a stream is lib/mux/smux.c's business.
#include "lib/wire/smux_frame.h"

#include "lib/base/bytes.h"

// The only little-endian protocol of the node: not worth a second set of cursors.
static uint32_t read_le(struct bytes_r *r, size_t n)
{
	const uint8_t *p = bytes_r_span(r, n);
	uint32_t v = 0;

	for (size_t i = n; p != NULL && i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

static void write_le(struct bytes_w *w, uint32_t v, size_t n)
{
	uint8_t *p = bytes_w_span(w, n);

	for (size_t i = 0; p != NULL && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

int smux_frame_decode(const void *p, size_t len, uint8_t version, struct smux_frame *out)
{
	struct bytes_r r = bytes_r(p, len);

	*out = (struct smux_frame){0};
	out->version = bytes_r_u8(&r);
	out->cmd = bytes_r_u8(&r);
	out->len = (uint16_t)read_le(&r, 2);
	out->id = read_le(&r, 4);
	if (r.bad)
		return -EAGAIN;
	if (out->version != version || out->cmd > (version == 1 ? SMUX_NOP : SMUX_UPD))
		return -EBADMSG;
	if (out->cmd == SMUX_PSH)
		return SMUX_HDR_LEN;
	if (out->len != (out->cmd == SMUX_UPD ? SMUX_UPD_LEN : 0))
		return -EBADMSG;
	if (out->cmd != SMUX_UPD)
		return SMUX_HDR_LEN;
	out->consumed = read_le(&r, 4);
	out->window = read_le(&r, 4);
	return r.bad ? -EAGAIN : SMUX_HDR_LEN + SMUX_UPD_LEN;
}

ptrdiff_t smux_frame_encode(void *p, size_t room, const struct smux_frame *f)
{
	struct bytes_w w = bytes_w(p, room);

	bytes_w_u8(&w, f->version);
	bytes_w_u8(&w, f->cmd);
	write_le(&w, f->cmd == SMUX_PSH ? f->len : f->cmd == SMUX_UPD ? SMUX_UPD_LEN : 0, 2);
	write_le(&w, f->id, 4);
	if (f->cmd == SMUX_UPD) {
		write_le(&w, f->consumed, 4);
		write_le(&w, f->window, 4);
	}
	return bytes_w_done(&w);
}
