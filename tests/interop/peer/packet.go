package main

import (
	"encoding/binary"
	"io"
)

// Route packets (skywire-routing 1): header and payload.
type packet []byte

const (
	pktData = iota
	pktClose
	pktKeepAlive
	pktHandshake
	pktPing
	pktPong
	pktError
	pktTransportPing = 8
	pktTransportPong = 9
)

func newPacket(kind byte, id RouteID, payload []byte) packet {
	p := make(packet, 7, 7+len(payload))
	p[0] = kind
	binary.BigEndian.PutUint32(p[1:], uint32(id))
	binary.BigEndian.PutUint16(p[5:], uint16(len(payload)))
	return append(p, payload...)
}

func (p packet) kind() byte      { return p[0] }
func (p packet) id() RouteID     { return RouteID(binary.BigEndian.Uint32(p[1:])) }
func (p packet) payload() []byte { return p[7:] }

func readPacket(r io.Reader) (packet, error) {
	var head [7]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	p := make(packet, 7+int(binary.BigEndian.Uint16(head[5:])))
	copy(p, head[:])
	if _, err := io.ReadFull(r, p[7:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return p, nil
}

// As it goes on from a node in the middle: 2024 writes what it knows of some types, and no more.
func (p packet) next(id RouteID, gen int) packet {
	binary.BigEndian.PutUint32(p[1:], uint32(id))
	keeps := map[byte]int{pktClose: 1, pktHandshake: 1, pktPong: 16}[p.kind()]
	if gen >= 2026 || keeps == 0 || len(p.payload()) <= keeps {
		return p
	}
	return newPacket(p.kind(), id, p.payload()[:keeps])
}
