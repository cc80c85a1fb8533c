// Route packets and the small bodies that a transit node reads or makes (skywire-routing 1.1, 1.2).
// Mux sequences, SACK, cascade and virtual streams are their own protocols and not here: a transit
// node passes them on as they are.
#include "lib/wire/route_hdr.h"

#include "lib/base/err.h"

static const char *const type_names[ROUTE_TYPE_COUNT] = {
	[ROUTE_DATA] = "data",
	[ROUTE_CLOSE] = "close",
	[ROUTE_KEEP_ALIVE] = "keep-alive",
	[ROUTE_HANDSHAKE] = "handshake",
	[ROUTE_PING] = "ping",
	[ROUTE_PONG] = "pong",
	[ROUTE_ERROR] = "error",
	[ROUTE_SACK] = "sack",
	[ROUTE_TP_PING] = "transport-ping",
	[ROUTE_TP_PONG] = "transport-pong",
	[ROUTE_CASCADE_SETUP] = "cascade-setup",
	[ROUTE_CASCADE_ACK] = "cascade-ack",
	[ROUTE_DHT] = "dht",
	[ROUTE_SETUP_RPC] = "setup-rpc",
	[ROUTE_VISOR_RPC] = "visor-rpc",
	[ROUTE_SKYNET_FORWARD] = "skynet-forward",
	[ROUTE_APP_DIRECT] = "app-direct",
	[ROUTE_DATAGRAM] = "datagram",
	[ROUTE_TP_BW_PROBE] = "transport-bw-probe",
	[ROUTE_TP_BW_ACK] = "transport-bw-ack",
	[ROUTE_REPAIR] = "repair",
	[ROUTE_LEG_STATE] = "leg-state",
	[ROUTE_DIRECTION] = "direction",
	[ROUTE_LEG_REHOME] = "leg-rehome",
};

int route_hdr_decode(const void *p, size_t len, struct route_hdr *out)
{
	const uint8_t *b = p;

	if (len < ROUTE_HDR_LEN || len < route_hdr_packet_len(b))
		return -EAGAIN;
	*out = (struct route_hdr){.type = route_hdr_type(b),
		.id = route_hdr_id(b),
		.len = route_hdr_len(b),
		.payload = b + ROUTE_HDR_LEN};
	return (int)route_hdr_packet_len(b);
}

const char *route_hdr_type_name(uint8_t type)
{
	return type < ROUTE_TYPE_COUNT ? type_names[type] : "unknown";
}

// A cursor behind the header of a packet with that payload length.
static struct bytes_w begin(void *p, size_t room, uint8_t type, uint32_t id, uint16_t len)
{
	struct bytes_w w = bytes_w(p, room);

	bytes_w_u8(&w, type);
	bytes_w_u32(&w, id);
	bytes_w_u16(&w, len);
	return w;
}

int route_close_decode(const void *p, size_t len, uint8_t *code)
{
	if (len < ROUTE_CLOSE_LEN)
		return -EBADMSG;
	*code = *(const uint8_t *)p <= ROUTE_CLOSE_LEG ? *(const uint8_t *)p
						       : ROUTE_CLOSE_REQUESTED;
	return 0;
}

ptrdiff_t route_close_encode(void *p, size_t room, uint32_t id, uint8_t code)
{
	struct bytes_w w = begin(p, room, ROUTE_CLOSE, id, ROUTE_CLOSE_LEN);

	bytes_w_u8(&w, code);
	return bytes_w_done(&w);
}

int route_ping_decode(const void *p, size_t len, struct route_ping *out)
{
	struct bytes_r r = bytes_r(p, len);

	out->time_ms = (int64_t)bytes_r_u64(&r);
	out->throughput_Bps = (int64_t)bytes_r_u64(&r);
	return r.bad ? -EBADMSG : 0;
}

ptrdiff_t route_ping_encode(void *p, size_t room, uint32_t id, const struct route_ping *ping)
{
	struct bytes_w w = begin(p, room, ROUTE_PING, id, ROUTE_PING_LEN);

	bytes_w_u64(&w, (uint64_t)ping->time_ms);
	bytes_w_u64(&w, (uint64_t)ping->throughput_Bps);
	return bytes_w_done(&w);
}

int route_pong_decode(const void *p, size_t len, int64_t *time_ms)
{
	struct bytes_r r = bytes_r(p, len);

	*time_ms = (int64_t)bytes_r_u64(&r);
	bytes_r_span(&r, 8);
	return r.bad ? -EBADMSG : 0;
}

ptrdiff_t route_pong_encode(void *p, size_t room, uint32_t id, int64_t time_ms)
{
	struct bytes_w w = begin(p, room, ROUTE_PONG, id, ROUTE_PONG_LEN);

	bytes_w_u64(&w, (uint64_t)time_ms);
	bytes_w_zero(&w, 8);
	return bytes_w_done(&w);
}

ptrdiff_t route_keep_alive_encode(void *p, size_t room, uint32_t id)
{
	struct bytes_w w = begin(p, room, ROUTE_KEEP_ALIVE, id, 0);

	return bytes_w_done(&w);
}

int route_tp_ping_decode(const void *p, size_t len, int64_t *time_ns)
{
	struct bytes_r r = bytes_r(p, len);

	*time_ns = (int64_t)bytes_r_u64(&r);
	return r.bad ? -EBADMSG : 0;
}

ptrdiff_t route_tp_ping_encode(void *p, size_t room, enum route_type type, int64_t time_ns)
{
	struct bytes_w w = begin(p, room, (uint8_t)type, 0, ROUTE_TP_PING_LEN);

	bytes_w_u64(&w, (uint64_t)time_ns);
	return bytes_w_done(&w);
}
