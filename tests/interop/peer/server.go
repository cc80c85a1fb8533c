package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

type server struct {
	sk     SecKey
	pk     PubKey
	gen    int
	mux    func(PubKey) string // of a client
	mu     sync.Mutex
	client map[PubKey]*session // the newest of each key
	peer   map[PubKey]*session // those that we dialled
	isPeer map[PubKey]bool
}

func newServer(sk SecKey, gen int, mux func(PubKey) string) *server {
	return &server{sk: sk, pk: sk.pub(), gen: gen, mux: mux, client: map[PubKey]*session{}, peer: map[PubKey]*session{},
		isPeer: map[PubKey]bool{}}
}

func (v *server) listen(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			s, err := acceptSession(c, v.sk, v.mux)
			if err == nil {
				logf("session of %v", s.peer)
				v.put(s)
				err = v.serve(s)
				v.drop(s)
			}
			logf("session over: %v", err)
			c.Close()
		}()
	}
}

func (v *server) put(s *session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.client[s.peer] = s
}

func (v *server) drop(s *session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client[s.peer] == s {
		delete(v.client, s.peer)
	}
}

func (v *server) find(pk PubKey) *session {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.client[pk]
}

// A link to a peer server, dialled again for ever (dmsg 6.3).
func (v *server) join(pk PubKey, address string) {
	v.mu.Lock()
	known := v.isPeer[pk]
	v.isPeer[pk] = true
	v.mu.Unlock()
	if address == "" || known {
		return
	}
	go func() {
		for ; ; time.Sleep(time.Second) {
			s, err := dialSession(pk, address, v.sk, "yamux", false)
			if err != nil {
				logf("peer %v: %v", pk, err)
				continue
			}
			logf("peer %v: joined", pk)
			v.mu.Lock()
			v.peer[pk] = s
			v.mu.Unlock()
			err = v.serve(s)
			v.mu.Lock()
			delete(v.peer, pk)
			v.mu.Unlock()
			s.close()
			logf("peer %v: %v", pk, err)
		}
	}()
}

// discover joins all servers that a discovery lists, as servers of 2026 do.
func (v *server) discover(d discoClient) {
	for ; ; time.Sleep(5 * time.Second) {
		var list []entry
		if err := d.do("GET", "all_servers", nil, &list); err != nil {
			logf("all_servers: %v", err)
		}
		for _, e := range list {
			if e.Static != v.pk {
				v.join(e.Static, e.Server.Address)
			}
		}
	}
}

func (v *server) knows(pk PubKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.isPeer[pk]
}

func (v *server) serve(s *session) error {
	for {
		st, err := s.mux.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := v.route(s, st); err != nil {
				logf("stream of %v: %v", s.peer, err)
			}
			st.Close()
		}()
	}
}

func (v *server) route(x *session, xs net.Conn) error {
	object, err := readObject(xs, x.k)
	if err == errPing {
		_, err = xs.Write([]byte{0, 0})
		return err
	}
	if err != nil {
		return err
	}
	var req request
	if err = decode(object, &req); err != nil {
		return err
	}
	if err = req.check(object); err != nil {
		return err
	}
	fromPeer := v.knows(x.peer)
	if req.SrcAddr.PK != x.peer && !fromPeer {
		return dmsgError(302)
	}
	if req.IPinfo && req.DstAddr.PK == v.pk {
		return v.answerIP(x, xs, object)
	}
	if y := v.find(req.DstAddr.PK); y != nil {
		return v.relay(x, xs, y, &req, object)
	}
	if fromPeer {
		return dmsgError(307)
	}
	v.mu.Lock()
	peers := make([]*session, 0, len(v.peer))
	for _, p := range v.peer {
		peers = append(peers, p)
	}
	v.mu.Unlock()
	err = dmsgError(307)
	for _, p := range peers {
		if err = v.relay(x, xs, p, &req, object); !errors.Is(err, errRefused) {
			return err
		}
	}
	return err
}

var errRefused = errors.New("refused")

// By one who may say no: then, errRefused, the next may be asked.
func (v *server) relay(x *session, xs net.Conn, y *session, req *request, object []byte) error {
	ys, err := y.mux.Open()
	if err != nil {
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	defer ys.Close()
	ys.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err = writeObject(ys, y.k, object); err != nil {
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	answer, err := readObject(ys, y.k)
	if err != nil {
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	var resp response
	if err = decode(answer, &resp); err == nil {
		err = resp.check(answer, req, object)
	}
	if err != nil {
		return fmt.Errorf("%w: %v", errRefused, err)
	}
	ys.SetWriteDeadline(time.Time{})
	if err = writeObject(xs, x.k, answer); err != nil {
		return err
	}
	done := make(chan error, 2)
	go func() { _, err := io.Copy(xs, ys); done <- err }()
	go func() { _, err := io.Copy(ys, xs); done <- err }()
	return <-done // the end of one is the end of both
}

func (v *server) answerIP(x *session, xs net.Conn, object []byte) error {
	resp := response{ReqHash: hashOf(object), Accepted: true, IP: x.conn.RemoteAddr().(*net.TCPAddr).IP}
	if err := writeObject(xs, x.k, signed(v.sk, resp.encode(v.gen))); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, xs)
	return err
}
