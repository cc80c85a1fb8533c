package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/xtaci/smux"
)

// How long who dialled says nothing after the handshake's last message (dmsg 3.1).
const silence = 200 * time.Millisecond

type muxer interface {
	Open() (net.Conn, error)
	Accept() (net.Conn, error)
	Close() error
	NumStreams() int
}

type smuxer struct{ s *smux.Session }

func (m smuxer) Open() (net.Conn, error)   { return m.s.OpenStream() }
func (m smuxer) Accept() (net.Conn, error) { return m.s.AcceptStream() }
func (m smuxer) Close() error              { return m.s.Close() }
func (m smuxer) NumStreams() int           { return m.s.NumStreams() }

func newMuxer(c io.ReadWriteCloser, kind string, dials bool) (muxer, error) {
	switch kind {
	case "yamux":
		conf := yamux.DefaultConfig()
		conf.LogOutput = logWriter{}
		if dials {
			return yamux.Client(c, conf)
		}
		return yamux.Server(c, conf)
	case "smux1", "smux2":
		conf := smux.DefaultConfig()
		conf.Version = int(kind[4] - '0')
		open := smux.Server
		if dials {
			open = smux.Client
		}
		s, err := open(c, conf)
		return smuxer{s}, err
	}
	return nil, fmt.Errorf("no muxer %q: yamux, smux1 or smux2", kind)
}

type session struct {
	mux  muxer
	k    *keys
	peer PubKey
	conn net.Conn
}

func dialSession(server PubKey, address string, sk SecKey, mux string, pq bool) (*session, error) {
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	k, _, err := sessionHandshake(c, sk, &server, pq)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("session handshake: %w", err)
	}
	c.SetDeadline(time.Time{})
	time.Sleep(silence)
	m, err := newMuxer(c, mux, true)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &session{m, k, server, c}, nil
}

// The muxer is what mux says of the peer (dmsg 3.3).
func acceptSession(c net.Conn, sk SecKey, mux func(PubKey) string) (*session, error) {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	k, peer, err := sessionHandshake(c, sk, nil, false)
	if err != nil {
		return nil, fmt.Errorf("session handshake: %w", err)
	}
	c.SetDeadline(time.Time{})
	m, err := newMuxer(c, mux(peer), false)
	if err != nil {
		return nil, err
	}
	return &session{m, k, peer, c}, nil
}

// settle waits until the other end has closed its streams, too: what was written last is there then. (A stream
// of yamux lives until both have; one of smux does not, so it is given a while.)
func (s *session) settle() {
	if _, is := s.mux.(smuxer); is {
		time.Sleep(time.Second)
	}
	for i := 0; i < 500 && s.mux.NumStreams() > 0; i++ {
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *session) close() {
	s.mux.Close()
	s.conn.Close()
}
