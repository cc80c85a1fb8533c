package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flynn/noise"
)

const transportPort = 45

// ---- what goes over the connection before packets do (skywire-routing 6) ----

type frameAddr struct {
	PK   PubKey `json:"public_key"`
	Port uint16 `json:"port"`
}

type nonceFrame struct{ Nonce [16]byte }

type helloFrame struct {
	SrcAddr, DstAddr frameAddr
	Nonce            [16]byte
	Sig              Sig
}

type answerFrame struct {
	OK     bool
	ErrMsg string
}

func jsonLine(v interface{}) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// What is signed of a frame 2: all of it, with no signature.
func (f helloFrame) text() []byte {
	f.Sig = Sig{}
	return jsonLine(f)
}

type transportEntry struct {
	ID    uuid      `json:"t_id"`
	Edges [2]PubKey `json:"edges"`
	Type  string    `json:"type"`
	Label string    `json:"label"`
}

type signedEntry struct {
	Entry      transportEntry `json:"entry"`
	Signatures [2]Sig         `json:"signatures"`
	Registered int64          `json:"registered,omitempty"`
}

func newEntry(a, b PubKey, kind string) transportEntry {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	hash := hashOf([]byte(string(make([]byte, 16)) + string(a[:]) + string(b[:]) + kind))
	e := transportEntry{Edges: [2]PubKey{a, b}, Type: kind, Label: "user"}
	copy(e.ID[:], hash[:])
	e.ID[6] &= 0x0f
	e.ID[8] = e.ID[8]&0x3f | 0x80
	return e
}

func (e *transportEntry) text() []byte {
	return []byte(string(e.ID[:]) + string(e.Edges[0][:]) + string(e.Edges[1][:]) + e.Type)
}

// Which signature is that one's.
func (e *transportEntry) edge(pk PubKey) int {
	if pk == e.Edges[0] {
		return 0
	}
	return 1
}

func (u uuid) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (u uuid) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
func (u *uuid) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "-", ""))
	if err != nil {
		return err
	}
	return u.UnmarshalBinary(b)
}

// ---- stcp ----

// stcp makes transports: TCP, four frames, noise KK, settlement. A fault names one of the ways in which a peer may be
// bad: then nothing comes of it but a word about how the other end bore it.
type stcp struct {
	sk    SecKey
	pk    PubKey
	pq    bool
	fault string
	port  uint32
	taken func(uuid) bool // whether there is one of this id
}

// In a namespace without much to do, a reader of small frames would be all system calls.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// hang does nothing more, if this is the fault, and tells when the other end had enough.
func (s *stcp) hang(c net.Conn, fault string) error {
	if s.fault != fault {
		return nil
	}
	c.SetDeadline(time.Time{})
	begin := time.Now()
	io.Copy(io.Discard, c)
	return fmt.Errorf("%s: left after %.1f s", fault, time.Since(begin).Seconds())
}

// say writes all at once, or byte by byte.
func (s *stcp) say(c net.Conn, b []byte) error {
	if s.fault == "slow" {
		begin := time.Now()
		c.SetDeadline(time.Time{})
		for _, x := range b {
			if _, err := c.Write([]byte{x}); err != nil {
				return fmt.Errorf("slow: left after %.1f s", time.Since(begin).Seconds())
			}
			time.Sleep(time.Second)
		}
		return nil
	}
	_, err := c.Write(b)
	return err
}

func (s *stcp) sign(text []byte, forge string) Sig {
	sig := s.sk.sign(text)
	if s.fault == forge {
		sig[7] ^= 1
	}
	return sig
}

// PK@ADDRESS
func (s *stcp) dialText(text string) (*transport, error) {
	pk, address, err := splitServer(text)
	if err != nil {
		return nil, err
	}
	return s.dial(pk, address)
}

func (s *stcp) dial(peer PubKey, address string) (*transport, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	t, err := s.connect(c, peer)
	if err != nil {
		c.Close()
	}
	return t, err
}

func (s *stcp) connect(c net.Conn, peer PubKey) (*transport, error) {
	if err := s.hang(c, "silent"); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := s.greet(c, peer); err != nil {
		return nil, err
	}
	sealed, err := s.seal(c, peer, true)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if err = s.propose(sealed, peer); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return s.transport(sealed, peer), nil
}

// A reader of JSON takes more than one text where more has come: who writes ahead of an answer is not heard.
func (s *stcp) greet(c net.Conn, peer PubKey) error {
	if _, err := c.Write([]byte("get_nonce")); err != nil {
		return err
	}
	if err := s.hang(c, "mute"); err != nil {
		return err
	}
	var nonce nonceFrame
	if err := json.NewDecoder(c).Decode(&nonce); err != nil {
		return fmt.Errorf("frame 1: %w", err)
	}
	port := 49152 + uint16(atomic.AddUint32(&s.port, 1))
	f := helloFrame{SrcAddr: frameAddr{s.pk, port}, DstAddr: frameAddr{peer, transportPort}, Nonce: nonce.Nonce}
	f.Sig = s.sign(f.text(), "forge-hello")
	line := jsonLine(f)
	if s.fault == "long" {
		line = append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 1<<20)...)
	}
	if err := s.say(c, line); err != nil {
		return err
	}
	if err := s.hang(c, "long"); err != nil {
		return err
	}
	var answer answerFrame
	if err := json.NewDecoder(c).Decode(&answer); err != nil {
		return fmt.Errorf("frame 3: %w", err)
	}
	if !answer.OK {
		return fmt.Errorf("frame 3: %s", answer.ErrMsg)
	}
	return nil
}

func (s *stcp) seal(c net.Conn, peer PubKey, dials bool) (net.Conn, error) {
	if err := s.hang(c, "no-noise"); err != nil {
		return nil, err
	}
	if s.fault == "oversize" {
		c.Write([]byte{0xff, 0xff})
		return nil, s.hang(c, "oversize")
	}
	in := bufferedConn{c, bufio.NewReaderSize(c, 65536)}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return handshakeKK(in, s.sk, peer, dials, s.pq)
}

// handshakeKK is the same on transports and on route groups.
func handshakeKK(c net.Conn, sk SecKey, peer PubKey, dials, pq bool) (net.Conn, error) {
	hs := newHandshake(noise.HandshakeKK, dials, sk, &peer, nil)
	write := func(payload []byte) (*noise.CipherState, *noise.CipherState, error) {
		msg, k1, k2, err := hs.WriteMessage(nil, payload)
		if err == nil {
			_, err = c.Write(frame(msg))
		}
		return k1, k2, err
	}
	if dials {
		if _, _, err := write(offer(pq)); err != nil {
			return nil, err
		}
	}
	msg, err := readFrame(c)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	payload, k1, k2, err := hs.ReadMessage(nil, msg)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	if dials && len(payload) != 0 {
		return nil, errors.New("an answer to the offer from who has none")
	}
	if !dials {
		if k1, k2, err = write(nil); err != nil {
			return nil, err
		}
	}
	return &noiseConn{Conn: c, k: newKeys(!dials, k1, k2)}, nil
}

func (s *stcp) propose(c net.Conn, peer PubKey) error {
	if err := s.hang(c, "stall"); err != nil {
		return err
	}
	e := signedEntry{Entry: newEntry(s.pk, peer, "stcp")}
	if s.fault == "other-entry" {
		e.Entry.Type = "stcpr"
	}
	e.Signatures[e.Entry.edge(s.pk)] = s.sign(e.Entry.text(), "forge-entry")
	if _, err := c.Write(jsonLine(e)); err != nil {
		return err
	}
	var said [1]byte
	if _, err := io.ReadFull(c, said[:]); err != nil {
		return fmt.Errorf("settlement: %w", err)
	}
	if said[0] != 1 {
		return fmt.Errorf("settlement: the answer is %d", said[0])
	}
	return nil
}

func (s *stcp) accept(c net.Conn) (*transport, error) {
	if err := s.hang(c, "silent"); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	peer, err := s.answer(c)
	if err != nil {
		return nil, err
	}
	sealed, err := s.seal(c, peer, false)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if err = s.settle(sealed, peer); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return s.transport(sealed, peer), nil
}

func (s *stcp) answer(c net.Conn) (peer PubKey, err error) {
	var word [9]byte
	n, err := c.Read(word[:]) // one read, as Skywire does it
	if err != nil || string(word[:n]) != "get_nonce" {
		return peer, fmt.Errorf("frame 0: %q %v", word[:n], err)
	}
	nonce := nonceFrame{}
	copy(nonce.Nonce[:], randomBytes(16))
	if err = s.say(c, jsonLine(nonce)); err != nil {
		return peer, err
	}
	var f helloFrame
	if err = json.NewDecoder(c).Decode(&f); err != nil {
		return peer, fmt.Errorf("frame 2: %w", err)
	}
	no := ""
	switch {
	case s.fault == "refuse" || f.DstAddr.Port != transportPort:
		no = "not listening on given port"
	case f.Nonce != nonce.Nonce:
		no = "nonce differs"
	default:
		if err = verify(f.SrcAddr.PK, f.Sig, f.text()); err != nil {
			no = err.Error()
		}
	}
	if _, err = c.Write(jsonLine(answerFrame{no == "", no})); err == nil && no != "" {
		err = fmt.Errorf("frame 2: %s", no)
	}
	return f.SrcAddr.PK, err
}

func (s *stcp) settle(c net.Conn, peer PubKey) error {
	var e signedEntry
	if err := json.NewDecoder(c).Decode(&e); err != nil {
		return fmt.Errorf("settlement: %w", err)
	}
	if err := s.hang(c, "stall"); err != nil {
		return err
	}
	own := newEntry(s.pk, peer, "stcp")
	own.Label = e.Entry.Label
	say := byte(1)
	switch {
	case s.fault == "deny" || s.taken(own.ID):
		say = 0
	case e.Entry != own:
		say = 3
	case verify(peer, e.Signatures[own.edge(peer)], own.text()) != nil:
		say = 2
	}
	if _, err := c.Write([]byte{say}); err != nil {
		return err
	}
	if say != 1 {
		return fmt.Errorf("settlement: refused by %d", say)
	}
	return nil
}
