package main

import (
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type transport struct {
	id        uuid
	peer      PubKey
	conn      net.Conn
	mu        sync.Mutex
	sent, got uint64 // bytes of payload, all packets
	drop      uint64 // sent so much it ends; 0 for none
}

func (s *stcp) transport(c net.Conn, peer PubKey) *transport {
	t := &transport{id: newEntry(s.pk, peer, "stcp").ID, peer: peer, conn: c}
	if word, n, found := strings.Cut(s.fault, ":"); found && word == "drop" {
		t.drop, _ = strconv.ParseUint(n, 10, 64)
	}
	return t
}

func (t *transport) send(p packet) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.conn.Write(p); err != nil {
		t.conn.Close()
		return err
	}
	t.sent += uint64(len(p.payload()))
	if t.drop != 0 && t.sent >= t.drop {
		t.conn.Close()
	}
	return nil
}

// read takes packets until the connection ends. A ping of the transport is answered, beside what we send: who reads
// never waits for who writes.
func (t *transport) read(use func(packet)) error {
	for {
		p, err := readPacket(t.conn)
		if err != nil {
			return err
		}
		atomic.AddUint64(&t.got, uint64(len(p.payload())))
		switch {
		case p.id() != 0:
			use(p)
		case p.kind() == pktTransportPing && len(p.payload()) == 8:
			go t.send(newPacket(pktTransportPong, 0, p.payload()))
		case p.kind() == pktTransportPong && len(p.payload()) == 8:
			sent := time.Unix(0, int64(binary.BigEndian.Uint64(p.payload())))
			tell("transport %v round trip %v", t.peer, time.Since(sent))
		default:
			logf("transport %v: packet %x", t.peer, p[:7])
		}
	}
}

func (t *transport) ping() error {
	now := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	return t.send(newPacket(pktTransportPing, 0, now))
}
