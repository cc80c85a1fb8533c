// Single-producer single-consumer ring of variable-length records over shared bytes.
//
// The shared part (struct ring_shm) is a header of cache lines, then `size` data bytes (a power of
// two). Records are 8-byte aligned and contiguous; each begins with its length in a uint32_t
// (struct dpmsg_hdr does). A record that would not fit before the end is preceded by padding, whose
// length has the top bit set. Writer and reader each keep a private handle; head and tail in shared
// memory are the other side's claims and are checked before use, so that a hostile other side can
// at most make its own records be refused.
//
// Ordering: the writer fills, then stores head (release); the reader loads head (acquire), copies,
// then stores tail (release), which the writer loads (acquire) before it writes over the bytes.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_ALIGN = 8, RING_MAGIC = 0x736b7272 };
#define RING_PAD 0x80000000u // in a record's length: skip to the start of the ring

struct ring_shm {
	_Alignas(64) uint32_t magic; // written once by the creator
	uint32_t size;
	_Alignas(64) _Atomic uint64_t head; // owner: writer | reader: ro
	_Atomic uint64_t refused; // records that found no room; owner: writer
	_Alignas(64) _Atomic uint64_t tail; // owner: reader | writer: ro
	_Alignas(64) uint8_t data[];
};

struct ring_w {
	struct ring_shm *shm;
	uint8_t *data;
	uint64_t head; // next byte to write
	uint64_t tail; // last seen, checked
	uint32_t size;
};

struct ring_r {
	struct ring_shm *shm;
	uint8_t *data;
	uint64_t tail; // next byte to read
	uint64_t head; // last seen, checked
	uint32_t size;
	uint32_t len; // of the record last peeked
	bool broken; // the other side wrote nonsense; nothing more is read
};

// Bytes of shared memory for a ring of `size` data bytes.
size_t ring_shm_len(uint32_t size);
// Creator only. size is a power of two >= 256, else -EINVAL.
int ring_shm_init(struct ring_shm *shm, uint32_t size);

// Creator only, while no stranger holds an end: header as ring_shm_init() left it, positions that
// go together. An end of ours whose position was overwritten finds it broken at its next look.
void ring_shm_repair(struct ring_shm *shm, uint32_t size);

// Attach an end. `max_len` is the length of the mapping from shm on; -EPROTO when the header is not
// what ring_shm_init() wrote or does not fit. Positions go on where the last holder published them.
int ring_w_attach(struct ring_w *w, struct ring_shm *shm, size_t max_len);
int ring_r_attach(struct ring_r *r, struct ring_shm *shm, size_t max_len);

// Reserve a record of len bytes (4 .. size / 2), of which the caller sets the first 4 to len; NULL
// when there is no room (counted in `refused`). Visible after ring_w_publish(); several may be
// published at once.
void *ring_w_reserve(struct ring_w *w, uint32_t len);
void ring_w_publish(struct ring_w *w);
// Bytes that are free at this moment; a record needs its length rounded up to RING_ALIGN, and up to
// as much again for padding.
uint32_t ring_w_room(struct ring_w *w);

// The next record, still in shared memory, and its checked length; NULL when there is none. It
// stays until ring_r_next(). The bytes may change under the reader: copy, then check, then use.
const void *ring_r_peek(struct ring_r *r, uint32_t *len);
void ring_r_next(struct ring_r *r);
// Takes note of what is there by now. ring_r_knows(): is anything left of what was noted, here or
// by a peek that knew of nothing? False also of a ring that is broken.
void ring_r_look(struct ring_r *r);
bool ring_r_knows(const struct ring_r *r);
// Give the bytes of the records stepped over back to the writer.
void ring_r_release(struct ring_r *r);
// Copy the next record out and step over it: its length, 0 when there is none, -EMSGSIZE when it is
// longer than cap (stepped over), -EPROTO when the ring is broken.
int ring_r_read(struct ring_r *r, void *buf, uint32_t cap);
// Wipe the record last peeked, in the ring, before ring_r_next(): for keys.
void ring_r_wipe(struct ring_r *r);
bool ring_r_empty(const struct ring_r *r);
// After `broken`: drop what is in the ring and go on where the writer says it is.
void ring_r_resync(struct ring_r *r);
