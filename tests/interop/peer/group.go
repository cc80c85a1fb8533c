package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// group is an end of a route group (skywire-routing 4): packets below, a stream above.
type group struct {
	net.Conn // what it is above, once it is up: noise, or the stream of DATA packets
	r        *router
	tp       *transport // that it was born with
	e        EdgeRules
	starts   bool
	ready    bool // guarded by the router's lock

	in   chan []byte
	rest []byte

	mu       sync.Mutex
	heard    bool // its Handshake
	encrypts bool
	hello    chan struct{} // closed when heard

	closing  int32
	echo     sync.WaitGroup // of its Close
	limit    time.Duration  // until the Handshake of the other end
	patience time.Duration  // with who should close, too
	once     sync.Once
	err      error
	done     chan struct{} // no more comes; err says why
	reason   string        // what an Error packet said

	wrote     int64 // nanoseconds: the last DATA
	sent, got uint64
	latency   int64 // nanoseconds

	flip *packetFlip // of its handshake
}

func newGroup(r *router, t *transport, e EdgeRules, starts bool) *group {
	g := &group{r: r, tp: t, e: e, starts: starts, in: make(chan []byte, 1024), hello: make(chan struct{}),
		done: make(chan struct{}), patience: 2 * time.Second}
	g.Conn = &groupStream{g: g}
	if *r.o.fault == "flip" {
		g.flip = &packetFlip{bit: int(atomic.AddInt32(&r.flips, 1) - 1)}
	}
	g.limit = 2 * time.Second
	if *r.o.gen >= 2026 {
		g.limit = 6 * time.Second
	}
	return g
}

func (g *group) remote() (a Addr) {
	copy(a.PK[:], g.e.Desc[:33])
	a.Port = binary.BigEndian.Uint16(g.e.Desc[66:])
	return a
}

func (g *group) send(p packet) error {
	if g.flip != nil && p.kind() != pktClose { // whose time is the other end's: it may come before all is said
		p = g.flip.turn(p)
	}
	if err := g.tp.send(p); err != nil {
		return err
	}
	if u := g.r.rules.find(g.e.Forward.key()); u != nil {
		g.r.rules.touch(u)
	}
	return nil
}

func (g *group) pack(kind byte, payload []byte) packet {
	return newPacket(kind, g.e.Forward.next(), payload)
}

// ---- up ----

// 2024 sends one byte, later ones their capabilities, of which none is used unless the other has them, too.
func (g *group) handshake() error {
	b := []byte{1}
	if *g.r.o.plain {
		b[0] = 0
	}
	if *g.r.o.gen >= 2026 {
		b = append(b, 0xd3, 0x01)
	}
	return g.send(g.pack(pktHandshake, b))
}

func (g *group) establish() error {
	if *g.r.o.fault == "no-hello" { // as a visor does that waited in vain: in the clear from now on
		g.mu.Lock()
		g.heard = true
		g.mu.Unlock()
		return g.send(g.pack(pktData, []byte("x")))
	}
	again := time.Hour // 2024 says it once
	if *g.r.o.gen >= 2026 {
		again = 300 * time.Millisecond
	}
	over := time.After(g.limit)
	tick := time.NewTicker(again)
	defer tick.Stop()
	for heard := false; !heard; {
		if g.starts {
			if err := g.handshake(); err != nil {
				return err
			}
		}
		select {
		case <-g.hello:
			heard = true
		case <-tick.C:
		case <-g.done:
			return g.err
		case <-over:
			return errors.New("no handshake of the other end")
		}
	}
	if !g.starts {
		if err := g.handshake(); err != nil {
			return err
		}
	}
	if !g.starts && *g.r.o.plain {
		g.encrypts = false // who dials is told so, and decides
	}
	if g.encrypts == *g.r.o.plain {
		return errors.New("one end encrypts, the other does not")
	}
	if g.encrypts {
		over := time.AfterFunc(5*time.Second, func() { g.end(errors.New("no noise of the other end")) })
		c, err := handshakeKK(g.Conn, g.r.o.sk, g.remote().PK, g.starts, *g.r.o.pq)
		if err != nil {
			return err
		}
		if !over.Stop() {
			return errors.New("noise came late")
		}
		g.Conn = c
	}
	g.r.mu.Lock()
	g.ready = true
	g.r.mu.Unlock()
	if g.flip != nil {
		tell("flip %d %v", g.flip.bit, g.flip.turned)
		g.flip = nil
	}
	go g.service()
	return nil
}

func (g *group) service() {
	idle := g.e.Forward.keep() / 2
	if *g.r.o.gen >= 2026 {
		idle = g.e.Forward.keep() / 3
	}
	alive := time.NewTicker(idle)
	defer alive.Stop()
	var ping <-chan time.Time
	if *g.r.o.ping > 0 {
		t := time.NewTicker(*g.r.o.ping)
		defer t.Stop()
		ping = t.C
	}
	before, at := uint64(0), time.Now()
	for {
		select {
		case <-g.done:
			return
		case now := <-alive.C:
			if now.UnixNano()-atomic.LoadInt64(&g.wrote) >= int64(idle) {
				g.send(g.pack(pktKeepAlive, nil))
			}
		case now := <-ping:
			got := atomic.LoadUint64(&g.got)
			rate := float64(got-before) / now.Sub(at).Seconds()
			before, at = got, now
			b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
			g.send(g.pack(pktPing, binary.BigEndian.AppendUint64(b, uint64(rate))))
		}
	}
}

// ---- what comes; called by who reads the transport ----

func (g *group) take(p packet) {
	b := p.payload()
	switch {
	case p.kind() == pktData && len(b) > 0:
		g.data(b)
	case p.kind() == pktHandshake && len(b) > 0:
		g.takeHandshake(b)
	case p.kind() == pktPing && len(b) == 16:
		pong := append(append([]byte{}, b[:8]...), make([]byte, 8)...)
		go g.send(g.pack(pktPong, pong))
	case p.kind() == pktPong && len(b) == 16:
		atomic.StoreInt64(&g.latency, int64(time.Since(time.UnixMilli(int64(binary.BigEndian.Uint64(b))))))
	case p.kind() == pktError:
		g.mu.Lock()
		g.reason = string(b)
		g.mu.Unlock()
	case p.kind() == pktClose && len(b) == 1:
		echoes := atomic.SwapInt32(&g.closing, 1) == 0
		if echoes {
			g.echo.Add(1)
		}
		g.mu.Lock()
		err := error(io.EOF)
		if g.reason != "" {
			err = errors.New(g.reason)
		}
		g.mu.Unlock()
		g.end(err)
		if echoes {
			g.r.rules.drop(g.e.Forward.key())
			go func() {
				g.send(g.pack(pktClose, b))
				g.echo.Done()
			}()
		}
	default:
		g.end(fmt.Errorf("packet %x is none of a group", []byte(p)))
	}
}

func (g *group) data(b []byte) {
	g.mu.Lock()
	heard := g.heard
	g.mu.Unlock()
	if !heard {
		g.end(errors.New("data before the handshake")) // which would make a visor speak in the clear
		return
	}
	if atomic.LoadInt32(&g.closing) != 0 {
		return // nobody reads any more
	}
	select {
	case g.in <- b:
	case <-g.done:
	}
}

func (g *group) takeHandshake(b []byte) {
	g.mu.Lock()
	first := !g.heard
	if first {
		g.heard, g.encrypts = true, b[0] != 0
		close(g.hello)
		logf("handshake of %v: %x", g.remote(), b)
	}
	g.mu.Unlock()
	if !first && !g.starts && *g.r.o.gen >= 2026 {
		go g.handshake()
	}
}

// ---- the stream of DATA packets ----

type groupStream struct {
	net.Conn // none: for what is not here
	g        *group
}

func (s *groupStream) Read(p []byte) (int, error) {
	g := s.g
	if len(g.rest) == 0 {
		select {
		case g.rest = <-g.in:
		default:
			select {
			case g.rest = <-g.in:
			case <-g.done:
				select {
				case g.rest = <-g.in:
				default:
					return 0, g.err
				}
			}
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func (s *groupStream) Write(p []byte) (int, error) {
	g := s.g
	select {
	case <-g.done:
		return 0, fmt.Errorf("group is closed: %w", g.err)
	default:
	}
	for at := 0; at < len(p); at += 65535 {
		if err := g.send(g.pack(pktData, p[at:min(at+65535, len(p))])); err != nil {
			return at, err
		}
	}
	atomic.StoreInt64(&g.wrote, time.Now().UnixNano())
	return len(p), nil
}

func (g *group) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	atomic.AddUint64(&g.got, uint64(n))
	return n, err
}

func (g *group) Write(p []byte) (int, error) {
	n, err := g.Conn.Write(p)
	atomic.AddUint64(&g.sent, uint64(n))
	return n, err
}

// ---- down ----

func (g *group) end(err error) {
	g.once.Do(func() {
		g.err = err
		close(g.done)
		g.r.mu.Lock()
		if g.r.groups[g.e.Desc] == g {
			delete(g.r.groups, g.e.Desc)
		}
		g.r.mu.Unlock()
		tell("group %v over: %v; sent %d got %d latency %v", g.remote(), err, atomic.LoadUint64(&g.sent),
			atomic.LoadUint64(&g.got), time.Duration(atomic.LoadInt64(&g.latency)))
	})
}

// Close gives the other end some time to say the same; its rules go when it does, or by expiry.
func (g *group) Close() error {
	if atomic.SwapInt32(&g.closing, 1) == 0 {
		g.send(g.pack(pktClose, []byte{0}))
		select {
		case <-g.done:
		case <-time.After(g.patience):
		}
		g.r.rules.drop(g.e.Forward.key())
	}
	g.end(net.ErrClosed)
	g.echo.Wait()
	return nil
}
