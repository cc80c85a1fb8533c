// Frames of rail (rail 3), read and written in the order in which their bytes lie. Nothing is kept
// between frames: whether a sequence, a counter or a route makes sense is the link's business.
#include "lib/wire/rail_frame.h"

#include "lib/base/err.h"

// What follows the type byte, as the fields that have to be read in this order.
enum {
	F_SEQ = 1,
	F_DISTANCE = 2,
	F_ROUTE_ID = 4,
	F_LIMIT = 8,
	F_REASON = 16,
	F_PACKET = 32, // a route packet
	F_PART = 64, // total, offset, length, bytes
	F_ACK = 128,
	F_LONG = 256, // length 2, bytes
	F_TEXT = 512, // code 1, length 1, text
	F_KNOWN = 1024,
};

static const struct {
	const char *name;
	unsigned fields;
} frames[] = {
	[RAIL_PADDING] = {"padding", F_KNOWN},
	[RAIL_ROUTE] = {"route", F_KNOWN | F_PACKET},
	[RAIL_SEQ] = {"seq", F_KNOWN | F_SEQ | F_DISTANCE | F_PACKET},
	[RAIL_PART] = {"part", F_KNOWN | F_SEQ | F_DISTANCE | F_PART},
	[RAIL_ACK] = {"ack", F_KNOWN | F_ACK},
	[RAIL_PAUSE] = {"pause", F_KNOWN | F_SEQ | F_DISTANCE | F_ROUTE_ID | F_LIMIT},
	[RAIL_RESUME] = {"resume", F_KNOWN | F_SEQ | F_DISTANCE | F_ROUTE_ID},
	[RAIL_PROBE] = {"probe", F_KNOWN},
	[RAIL_REKEY] = {"rekey", F_KNOWN | F_LONG},
	[RAIL_CLOSE] = {"close", F_KNOWN | F_TEXT},
	[RAIL_EMPTY] = {"empty", F_KNOWN | F_SEQ | F_ROUTE_ID | F_REASON},
	[RAIL_NOTICE] = {"notice", F_KNOWN | F_TEXT},
	[RAIL_GONE] = {"gone", F_KNOWN | F_SEQ | F_DISTANCE | F_ROUTE_ID | F_REASON},
};

const char *rail_frame_name(uint8_t type)
{
	return type < ARRAY_LEN(frames) ? frames[type].name : "unknown";
}

const char *rail_close_name(uint32_t code)
{
	static const char *const names[] = {
		[RAIL_CLOSE_REQUESTED] = "on request",
		[RAIL_CLOSE_PROTOCOL] = "protocol error",
		[RAIL_CLOSE_VERSION] = "version",
		[RAIL_CLOSE_REKEY] = "re-key of another link",
		[RAIL_CLOSE_POLICY] = "key not allowed",
		[RAIL_CLOSE_PATH] = "path too narrow",
	};

	return code < ARRAY_LEN(names) ? names[code] : "unknown";
}

bool rail_ack_next(const struct rail_ack *ack, struct rail_ack_iter *it, struct rail_range *out)
{
	const uint8_t *pair;

	if (it->i > ack->n)
		return false;
	if (it->i == 0) {
		out->hi = ack->highest;
		out->lo = ack->highest - ack->first;
	} else {
		pair = ack->pairs + (it->i - 1) * RAIL_ACK_PAIR_LEN;
		out->hi = it->lo - 2 - be16_get(pair); // gap + 1 counters lie between
		out->lo = out->hi - be16_get(pair + 2);
	}
	it->lo = out->lo;
	it->i++;
	return true;
}

// No range may go below counter 0, nor more pairs come than are allowed.
static bool ack_is_valid(const struct rail_ack *ack)
{
	uint64_t left = ack->highest; // counters below the last one named

	if (ack->n > RAIL_ACK_PAIRS_MAX || left < ack->first)
		return false;
	left -= ack->first;
	for (unsigned i = 0; i < ack->n; i++) {
		const uint8_t *pair = ack->pairs + i * RAIL_ACK_PAIR_LEN;
		uint64_t need = 2 + (uint64_t)be16_get(pair) + be16_get(pair + 2);

		if (left < need)
			return false;
		left -= need;
	}
	return true;
}

static bool part_is_valid(const struct rail_frame *f)
{
	return f->len >= 1 && f->total <= ROUTE_PACKET_MAX && f->offset + f->len <= f->total;
}

static bool read_ack(struct bytes_r *r, struct rail_ack *ack)
{
	ack->highest = bytes_r_u64(r);
	ack->next_seq = bytes_r_u32(r);
	ack->delay = bytes_r_u16(r);
	ack->first = bytes_r_u16(r);
	ack->n = bytes_r_u8(r);
	ack->pairs = bytes_r_span(r, (size_t)ack->n * RAIL_ACK_PAIR_LEN);
	return !r->bad && ack_is_valid(ack);
}

static void read_packet(struct bytes_r *r, struct rail_frame *f)
{
	if (bytes_r_left(r) < ROUTE_HDR_LEN) {
		r->bad = true;
		return;
	}
	f->len = route_hdr_packet_len(r->p);
	f->data = bytes_r_span(r, f->len);
}

// The fields of a known type. False when they are cut short or out of their limits.
static bool read_fields(struct bytes_r *r, unsigned fields, struct rail_frame *f)
{
	if (fields & F_SEQ)
		f->seq = bytes_r_u32(r);
	if (fields & F_DISTANCE)
		f->distance = (uint32_t)bytes_r_be(r, 3);
	if (fields & F_ROUTE_ID)
		f->route_id = bytes_r_u32(r);
	if (fields & F_LIMIT)
		f->limit_s = bytes_r_u16(r);
	if (fields & (F_REASON | F_TEXT))
		f->code = bytes_r_u8(r);
	if (fields & F_PACKET)
		read_packet(r, f);
	if (fields & F_PART) {
		f->total = (uint32_t)bytes_r_be(r, 3);
		f->offset = (uint32_t)bytes_r_be(r, 3);
	}
	if (fields & (F_PART | F_LONG))
		f->len = bytes_r_u16(r);
	if (fields & F_TEXT)
		f->len = bytes_r_u8(r);
	if (fields & (F_PART | F_LONG | F_TEXT))
		f->data = bytes_r_span(r, f->len);
	if ((fields & F_ACK) && !read_ack(r, &f->ack))
		return false;
	return !r->bad && (!(fields & F_PART) || part_is_valid(f));
}

int rail_frame_next(struct bytes_r *r, struct rail_frame *out)
{
	while (!r->bad && bytes_r_left(r) > 0) {
		uint8_t type = bytes_r_u8(r);

		if (type == RAIL_PADDING)
			continue;
		if (type >= RAIL_FRAME_SKIPPABLE) {
			bytes_r_span(r, bytes_r_u16(r));
			continue;
		}
		if (type >= ARRAY_LEN(frames))
			return -EPROTO;
		*out = (struct rail_frame){.type = type};
		if (!read_fields(r, frames[type].fields, out)) {
			r->bad = true;
			return -EBADMSG;
		}
		return 0;
	}
	return r->bad ? -EBADMSG : -EAGAIN;
}

static bool is_encodable(const struct rail_frame *f, unsigned fields)
{
	if ((fields & F_DISTANCE) && f->distance > RAIL_DISTANCE_MAX)
		return false;
	if ((fields & F_PACKET) && !route_hdr_is_whole(f->data, f->len))
		return false;
	if ((fields & (F_PART | F_LONG)) && f->len > UINT16_MAX)
		return false;
	if ((fields & F_PART) && !part_is_valid(f))
		return false;
	if ((fields & F_TEXT) && f->len > RAIL_TEXT_MAX)
		return false;
	return !(fields & F_ACK) || ack_is_valid(&f->ack);
}

static void write_ack(struct bytes_w *w, const struct rail_ack *ack)
{
	bytes_w_u64(w, ack->highest);
	bytes_w_u32(w, ack->next_seq);
	bytes_w_u16(w, ack->delay);
	bytes_w_u16(w, ack->first);
	bytes_w_u8(w, ack->n);
	bytes_w_copy(w, ack->pairs, (size_t)ack->n * RAIL_ACK_PAIR_LEN);
}

int rail_frame_encode(struct bytes_w *w, const struct rail_frame *f)
{
	unsigned fields = f->type < ARRAY_LEN(frames) ? frames[f->type].fields : 0;

	if (f->type == RAIL_PADDING || fields == 0 || !is_encodable(f, fields))
		return -EINVAL;
	bytes_w_u8(w, f->type);
	if (fields & F_SEQ)
		bytes_w_u32(w, f->seq);
	if (fields & F_DISTANCE)
		bytes_w_be(w, f->distance, 3);
	if (fields & F_ROUTE_ID)
		bytes_w_u32(w, f->route_id);
	if (fields & F_LIMIT)
		bytes_w_u16(w, f->limit_s);
	if (fields & (F_REASON | F_TEXT))
		bytes_w_u8(w, f->code);
	if (fields & F_PART) {
		bytes_w_be(w, f->total, 3);
		bytes_w_be(w, f->offset, 3);
	}
	if (fields & (F_PART | F_LONG))
		bytes_w_u16(w, (uint16_t)f->len);
	if (fields & F_TEXT)
		bytes_w_u8(w, (uint8_t)f->len);
	if (fields & (F_PACKET | F_PART | F_LONG | F_TEXT))
		bytes_w_copy(w, f->data, f->len);
	if (fields & F_ACK)
		write_ack(w, &f->ack);
	return w->bad ? -ENOSPC : 0;
}

static bool ranges_are_ordered(const struct rail_range *ranges, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (ranges[i].lo > ranges[i].hi)
			return false;
		// At least one counter is missing between two ranges.
		if (i > 0 && (ranges[i - 1].lo < 2 || ranges[i].hi > ranges[i - 1].lo - 2))
			return false;
	}
	return n >= 1;
}

int rail_ack_build(struct bytes_w *w, uint32_t next_seq, uint16_t delay,
	const struct rail_range *ranges, unsigned n)
{
	uint64_t run, gap;
	uint8_t *n_pairs;
	unsigned i;

	if (!ranges_are_ordered(ranges, n))
		return -EINVAL;
	run = ranges[0].hi - ranges[0].lo;
	bytes_w_u8(w, RAIL_ACK);
	bytes_w_u64(w, ranges[0].hi);
	bytes_w_u32(w, next_seq);
	bytes_w_u16(w, delay);
	bytes_w_u16(w, run > UINT16_MAX ? UINT16_MAX : (uint16_t)run);
	n_pairs = bytes_w_span(w, 1);
	if (n_pairs == NULL)
		return -ENOSPC;
	for (i = 1; i < n && i <= RAIL_ACK_PAIRS_MAX && run <= UINT16_MAX; i++) {
		gap = ranges[i - 1].lo - ranges[i].hi - 2;
		if (gap > UINT16_MAX || (size_t)(w->end - w->p) < RAIL_ACK_PAIR_LEN)
			break;
		run = ranges[i].hi - ranges[i].lo;
		bytes_w_u16(w, (uint16_t)gap);
		bytes_w_u16(w, run > UINT16_MAX ? UINT16_MAX : (uint16_t)run);
	}
	*n_pairs = (uint8_t)(i - 1);
	return (int)i;
}
