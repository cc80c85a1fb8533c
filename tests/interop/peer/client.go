package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/flynn/noise"
)

const dialTimeout = 20 * time.Second

type client struct {
	sk   SecKey
	pk   PubKey
	gen  int  // whose fields our objects have
	pq   bool // offer ML-KEM, as 2026 does
	mu   sync.Mutex
	port uint16
}

func newClient(sk SecKey, gen int, pq bool) *client {
	return &client{sk: sk, pk: sk.pub(), gen: gen, pq: pq, port: 49152}
}

func (c *client) nextPort() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.port++; c.port < 49152 {
		c.port = 49152
	}
	return c.port
}

// ask writes a request on a new stream and reads its answer, which is checked.
func (c *client) ask(s *session, req *request) (net.Conn, *response, error) {
	st, err := s.mux.Open()
	if err != nil {
		return nil, nil, err
	}
	st.SetDeadline(time.Now().Add(dialTimeout))
	object := signed(c.sk, req.encode(c.gen))
	fmt.Fprintf(os.Stderr, "request %x\n", hashOf(object))
	var resp response
	if err = writeObject(st, s.k, object); err == nil {
		var answer []byte
		if answer, err = readObject(st, s.k); err == nil {
			if err = decode(answer, &resp); err == nil {
				err = resp.check(answer, req, object)
			}
		}
	}
	if err != nil {
		st.Close()
		return nil, nil, err
	}
	st.SetDeadline(time.Time{})
	return st, &resp, nil
}

func (c *client) dial(s *session, to Addr) (net.Conn, error) {
	hs := newHandshake(noise.HandshakeKK, true, c.sk, &to.PK, nil)
	msg, _, _, err := hs.WriteMessage(nil, offer(c.pq))
	if err != nil {
		return nil, err
	}
	st, resp, err := c.ask(s, &request{
		Timestamp: time.Now().UnixNano(),
		SrcAddr:   Addr{c.pk, c.nextPort()},
		DstAddr:   to,
		NoiseMsg:  msg,
	})
	if err != nil {
		return nil, err
	}
	_, k1, k2, err := hs.ReadMessage(nil, resp.NoiseMsg)
	if err != nil {
		st.Close()
		return nil, fmt.Errorf("stream handshake: %w", err)
	}
	return &noiseConn{Conn: st, k: newKeys(false, k1, k2)}, nil
}

// Our address, as the server sees it (dmsg 5.4).
func (c *client) lookUp(s *session) (net.IP, error) {
	st, resp, err := c.ask(s, &request{
		Timestamp: time.Now().UnixNano(),
		SrcAddr:   Addr{c.pk, c.nextPort()},
		DstAddr:   Addr{s.peer, 1},
		IPinfo:    true,
	})
	if err != nil {
		return nil, err
	}
	st.Close()
	return net.IP(resp.IP), nil
}

// accept takes streams to port until the session ends; others are closed without a word.
func (c *client) accept(s *session, port uint16, use func(net.Conn, Addr)) error {
	for {
		st, err := s.mux.Accept()
		if err != nil {
			return err
		}
		go func() {
			conn, from, err := c.respond(s, st, port)
			if err != nil {
				logf("stream refused: %v", err)
				st.Close()
				return
			}
			use(conn, from)
		}()
	}
}

func (c *client) respond(s *session, st net.Conn, port uint16) (net.Conn, Addr, error) {
	var req request
	object, err := readObject(st, s.k)
	if err != nil {
		return nil, Addr{}, err
	}
	fmt.Fprintf(os.Stderr, "request %x\n", hashOf(object))
	if err = decode(object, &req); err == nil {
		err = req.check(object)
	}
	switch {
	case err != nil:
		return nil, Addr{}, err
	case req.DstAddr.PK != c.pk:
		return nil, Addr{}, dmsgError(303)
	case req.DstAddr.Port != port:
		return nil, Addr{}, dmsgError(306)
	}
	hs := newHandshake(noise.HandshakeKK, false, c.sk, &req.SrcAddr.PK, nil)
	if _, _, _, err = hs.ReadMessage(nil, req.NoiseMsg); err != nil {
		return nil, Addr{}, err
	}
	msg, k1, k2, err := hs.WriteMessage(nil, nil)
	if err != nil {
		return nil, Addr{}, err
	}
	resp := response{ReqHash: sha256.Sum256(object), Accepted: true, NoiseMsg: msg}
	if err = writeObject(st, s.k, signed(c.sk, resp.encode(c.gen))); err != nil {
		return nil, Addr{}, err
	}
	return &noiseConn{Conn: st, k: newKeys(true, k1, k2)}, req.SrcAddr, nil
}

// ping measures by the marker (dmsg 3.6).
func (c *client) ping(s *session) (time.Duration, error) {
	start := time.Now()
	st, err := s.mux.Open()
	if err != nil {
		return 0, err
	}
	defer st.Close()
	st.SetDeadline(start.Add(5 * time.Second))
	if _, err = st.Write([]byte{0, 0}); err != nil {
		return 0, err
	}
	var b [2]byte
	if _, err = readFull(st, b[:]); err != nil {
		return 0, err
	}
	if b != [2]byte{} {
		return 0, errors.New("not the marker came back")
	}
	return time.Since(start), nil
}
