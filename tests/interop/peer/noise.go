package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/flynn/noise"
)

const (
	frameMax  = 4094 // of a raw frame's body, dmsg 2.4
	plainMax  = 4096 - 2 - 24
	pqOffer   = 1184 // bytes of an ML-KEM-768 key, dmsg 2.3
	windowLen = 1024
)

type dhSecp struct{}

func (dhSecp) GenerateKeypair(rng io.Reader) (noise.DHKey, error) {
	var sk SecKey // beyond the curve's order once in 2^128
	if _, err := io.ReadFull(rng, sk[:]); err != nil {
		return noise.DHKey{}, err
	}
	return dhKey(sk), nil
}

func (dhSecp) DH(private, public []byte) ([]byte, error) {
	var sk SecKey
	copy(sk[:], private)
	out, err := ecdh(sk, public)
	return append(out, 0), err
}

func (dhSecp) DHLen() int     { return 33 }
func (dhSecp) DHName() string { return "Secp256k1" }

func suite() noise.CipherSuite {
	return noise.NewCipherSuite(dhSecp{}, noise.CipherChaChaPoly, noise.HashSHA256)
}

func dhKey(sk SecKey) noise.DHKey {
	pk := sk.pub()
	return noise.DHKey{Private: sk[:], Public: pk[:]}
}

func newHandshake(p noise.HandshakePattern, initiator bool, sk SecKey, peer *PubKey, random io.Reader) *noise.HandshakeState {
	c := noise.Config{CipherSuite: suite(), Pattern: p, Initiator: initiator, StaticKeypair: dhKey(sk), Random: random}
	if peer != nil {
		c.PeerStatic = peer[:]
	}
	hs, err := noise.NewHandshakeState(c)
	if err != nil {
		panic(err)
	}
	return hs
}

// keys are the two directions after a handshake.
type keys struct {
	enc, dec noise.Cipher
	txMu     sync.Mutex
	tx       uint64
	rxMu     sync.Mutex
	rx       window
}

// Who wrote the last message decrypts with the first key, whatever the pattern (dmsg 2.1).
func newKeys(wroteLast bool, k1, k2 *noise.CipherState) *keys {
	if wroteLast {
		return &keys{enc: k2.Cipher(), dec: k1.Cipher()}
	}
	return &keys{enc: k1.Cipher(), dec: k2.Cipher()}
}

func (k *keys) seal(plain []byte) []byte {
	k.txMu.Lock()
	k.tx++
	n := k.tx
	k.txMu.Unlock()
	out := make([]byte, 8, 8+len(plain)+16)
	binary.BigEndian.PutUint64(out, n)
	return k.enc.Encrypt(out, n, nil, plain)
}

// In any order, as far as the window goes (dmsg 3.8).
func (k *keys) open(unit []byte) ([]byte, error) {
	if len(unit) < 8 {
		return nil, errors.New("unit without counter")
	}
	n := binary.BigEndian.Uint64(unit)
	k.rxMu.Lock()
	defer k.rxMu.Unlock()
	if !k.rx.check(n) {
		return nil, fmt.Errorf("counter %d again", n)
	}
	plain, err := k.dec.Decrypt(nil, n, nil, unit[8:])
	if err == nil {
		k.rx.commit(n)
	}
	return plain, err
}

type window struct {
	max  uint64
	seen [windowLen]uint64 // counters themselves
}

func (w *window) check(n uint64) bool {
	if n == 0 || (w.max >= windowLen && n <= w.max-windowLen) {
		return false
	}
	return w.seen[n%windowLen] != n
}

func (w *window) commit(n uint64) {
	w.seen[n%windowLen] = n
	if n > w.max {
		w.max = n
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > frameMax {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}

func frame(body []byte) []byte {
	return append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
}

func offer(pq bool) []byte {
	if !pq {
		return nil
	}
	return randomBytes(pqOffer)
}

// The three messages of a session. peer is NULL for who accepts, who learns it.
func sessionHandshake(c net.Conn, sk SecKey, peer *PubKey, pq bool) (*keys, PubKey, error) {
	dials := peer != nil
	hs := newHandshake(noise.HandshakeXK, dials, sk, peer, nil)
	var remote PubKey
	for i := 0; ; i++ {
		var k1, k2 *noise.CipherState
		if (i%2 == 0) == dials {
			var payload []byte
			if i == 0 {
				payload = offer(pq)
			}
			msg, a, b, err := hs.WriteMessage(nil, payload)
			if err != nil {
				return nil, remote, err
			}
			if _, err = c.Write(frame(msg)); err != nil {
				return nil, remote, err
			}
			k1, k2 = a, b
		} else {
			msg, err := readFrame(c)
			if err != nil {
				return nil, remote, err
			}
			payload, a, b, err := hs.ReadMessage(nil, msg)
			if err != nil {
				return nil, remote, fmt.Errorf("handshake message %d: %w", i+1, err)
			}
			if dials && len(payload) != 0 {
				return nil, remote, errors.New("an answer to the offer from who has none")
			}
			k1, k2 = a, b
		}
		if k1 != nil {
			copy(remote[:], hs.PeerStatic())
			return newKeys((i%2 == 0) == dials, k1, k2), remote, nil
		}
	}
}

// noiseConn carries records of a stream (dmsg 2.4).
type noiseConn struct {
	net.Conn
	k    *keys
	last uint64
	rest []byte
}

func (c *noiseConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := len(p) - done
		if n > plainMax {
			n = plainMax
		}
		if _, err := c.Conn.Write(frame(c.k.seal(p[done : done+n]))); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (c *noiseConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		unit, err := readFrame(c.Conn)
		if err != nil {
			return 0, err
		}
		if len(unit) < 8 || binary.BigEndian.Uint64(unit) <= c.last {
			return 0, errors.New("record out of order")
		}
		c.last = binary.BigEndian.Uint64(unit)
		if c.rest, err = c.k.dec.Decrypt(nil, c.last, nil, unit[8:]); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
