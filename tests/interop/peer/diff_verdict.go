package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"sync"
	"unsafe"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/flynn/noise"
	"github.com/hashicorp/yamux"
	"github.com/xtaci/smux"
)

// What Go's decoders make of a case, in the words of tests/interop/decode.c.

const rejected = "reject"

var verdicts = map[byte]func([]byte) string{
	'q': verdictRequest,
	'r': verdictResponse,
	'e': verdictEntry,
	'k': func(b []byte) string { return verdictFirst(noise.HandshakeKK, b) },
	'x': func(b []byte) string { return verdictFirst(noise.HandshakeXK, b) },
	't': verdictThird,
	'c': verdictRecords,
	'u': verdictUnits,
	'y': verdictYamux,
	'v': func(b []byte) string { return verdictSmux(b, 1) },
	'w': func(b []byte) string { return verdictSmux(b, 2) },
	'l': verdictRule,
	'p': verdictPackets,
	'n': func(b []byte) string { return verdictRPC(b, false) },
	'a': func(b []byte) string { return verdictRPC(b, true) },
	's': verdictSignedEntry,
	'1': verdictNonce,
	'2': verdictHello,
	'3': verdictAnswer,
}

// A panic is a refusal that a real peer does not survive.
func verdict(kind byte, b []byte) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = rejected
		}
	}()
	return verdicts[kind](b)
}

// ---- signed objects ----

func verdictRequest(b []byte) string {
	var r request
	if decode(b, &r) != nil {
		return rejected
	}
	var code dmsgError
	errors.As(r.check(b), &code)
	safe := 0
	if len(r.NoiseMsg) >= 49 {
		if _, err := secp256k1.ParsePubKey(r.NoiseMsg[:33]); err == nil {
			safe = 1
		}
	}
	return fmt.Sprintf("%d %d %v %v %d %d %d %x", code, r.Timestamp, r.SrcAddr, r.DstAddr, bit(r.IPinfo), bit(r.GeoInfo),
		safe, r.NoiseMsg)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func verdictResponse(b []byte) string {
	var r response
	if decode(b, &r) != nil {
		return rejected
	}
	return fmt.Sprintf("%x %d %d ip %x geo %x %x %016x %016x %x", r.ReqHash, bit(r.Accepted), r.ErrCode, r.IP, r.GeoCountry,
		r.GeoRegion, math.Float64bits(r.GeoLat), math.Float64bits(r.GeoLon), r.NoiseMsg)
}

// ---- entries ----

func verdictEntry(b []byte) string {
	var e entry
	if json.Unmarshal(b, &e) != nil {
		return rejected
	}
	state := " bad"
	switch {
	case e.Signature == "":
		state = " unsigned"
	case e.isSigned():
		state = " good"
	}
	return string(e.text()) + state
}

// ---- noise ----

func constKey(last byte) (sk SecKey) {
	sk[31] = last
	return sk
}

func constHandshake(p noise.HandshakePattern, initiator bool) *noise.HandshakeState {
	a, b := constKey(5), constKey(6)
	apk, bpk := a.pub(), b.pub()
	if initiator {
		e := constKey(7)
		return newHandshake(p, true, a, &bpk, bytes.NewReader(e[:]))
	}
	e := constKey(8)
	known := &apk
	if p.Name == "XK" {
		known = nil
	}
	return newHandshake(p, false, b, known, bytes.NewReader(e[:]))
}

// constKeys are A's and B's after a handshake; before is called with what A would write last.
func constKeys(p noise.HandshakePattern) (a, b *keys) {
	ends := []*noise.HandshakeState{constHandshake(p, true), constHandshake(p, false)}
	for i := 0; ; i++ {
		msg, w1, w2, err := ends[i%2].WriteMessage(nil, nil)
		if err != nil {
			panic(err)
		}
		_, r1, r2, err := ends[1-i%2].ReadMessage(nil, msg)
		if err != nil {
			panic(err)
		}
		if w1 != nil {
			pair := []*keys{newKeys(true, w1, w2), newKeys(false, r1, r2)}
			return pair[i%2], pair[1-i%2]
		}
	}
}

func verdictFirst(p noise.HandshakePattern, b []byte) string {
	hs := constHandshake(p, false)
	if _, _, _, err := hs.ReadMessage(nil, b); err != nil {
		return rejected
	}
	msg, _, _, err := hs.WriteMessage(nil, nil)
	if err != nil {
		return rejected
	}
	return hex.EncodeToString(msg)
}

func beforeThird() (a, b *noise.HandshakeState) {
	a, b = constHandshake(noise.HandshakeXK, true), constHandshake(noise.HandshakeXK, false)
	one, _, _, _ := a.WriteMessage(nil, nil)
	b.ReadMessage(nil, one)
	two, _, _, _ := b.WriteMessage(nil, nil)
	a.ReadMessage(nil, two)
	return a, b
}

func verdictThird(b []byte) string {
	_, hs := beforeThird()
	if _, _, _, err := hs.ReadMessage(nil, b); err != nil {
		return rejected
	}
	return hex.EncodeToString(hs.PeerStatic()) + hex.EncodeToString(hs.ChannelBinding())
}

// scripted is a connection on which all that comes was said before; blocks then, until it is closed.
type scripted struct {
	net.Conn
	in      *bytes.Reader
	drained chan struct{} // closed when more was wanted
	closed  chan struct{}
	once    sync.Once
}

func newScripted(b []byte) *scripted {
	return &scripted{in: bytes.NewReader(b), drained: make(chan struct{}), closed: make(chan struct{})}
}

func (c *scripted) Read(p []byte) (int, error) {
	if n, _ := c.in.Read(p); n > 0 {
		return n, nil
	}
	c.once.Do(func() { close(c.drained) })
	<-c.closed
	return 0, io.EOF
}

func (c *scripted) Write(p []byte) (int, error) { return len(p), nil }
func (c *scripted) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

func verdictRecords(b []byte) string {
	_, k := constKeys(noise.HandshakeKK)
	in := newScripted(b)
	in.Close()
	data, err := io.ReadAll(&noiseConn{Conn: in, k: k})
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return hex.EncodeToString(data) + " more"
	}
	return hex.EncodeToString(data) + " reject"
}

func verdictUnits(b []byte) string {
	_, k := constKeys(noise.HandshakeXK)
	said := "units"
	for len(b) >= 2 {
		n := int(binary.BigEndian.Uint16(b))
		if n > len(b)-2 {
			break
		}
		plain, err := k.open(b[2 : 2+n])
		b = b[2+n:]
		if err != nil {
			said += " " + rejected
		} else {
			said += " " + hex.EncodeToString(plain)
		}
	}
	return said
}

// ---- muxers ----

// inner is a member that the package keeps to itself: what a session thinks can't be asked without
// racing it, but it stands still while it waits for input.
func inner(of interface{}, name string) unsafe.Pointer {
	return unsafe.Pointer(reflect.ValueOf(of).Elem().FieldByName(name).UnsafeAddr())
}

func verdictYamux(b []byte) string {
	conf := yamux.DefaultConfig()
	conf.EnableKeepAlive = false
	conf.LogOutput = io.Discard
	in := newScripted(b)
	s, err := yamux.Server(in, conf)
	if err != nil {
		return rejected
	}
	defer s.Close()
	select {
	case <-s.CloseChan():
		return rejected
	case <-in.drained:
	}
	waiting := *(*chan *yamux.Stream)(inner(s, "acceptCh"))
	var states []string
	var streams []*yamux.Stream
	for len(waiting) > 0 {
		st := <-waiting
		state := reflect.ValueOf(st).Elem().FieldByName("state").Int()
		streams = append(streams, st)
		states = append(states, map[int64]string{5: "end", 6: "end", 7: "reset"}[state]) // by its order of states
	}
	in.Close()
	<-s.CloseChan()
	said := "streams"
	for i, st := range streams {
		data, _ := io.ReadAll(st)
		if states[i] == "reset" {
			continue // Go lets one accept it, only to say so
		}
		if states[i] == "" {
			states[i] = "open"
		}
		said += fmt.Sprintf(" [%x %s]", data, states[i])
	}
	return said
}

func verdictSmux(b []byte, version int) string {
	conf := smux.DefaultConfig()
	conf.Version = version
	conf.KeepAliveDisabled = true
	in := newScripted(b)
	s, err := smux.Server(in, conf)
	if err != nil {
		return rejected
	}
	defer s.Close()
	bad := *(*chan struct{})(inner(s, "chProtoError"))
	select {
	case <-bad:
		return rejected
	case <-in.drained:
	}
	waiting := *(*chan *smux.Stream)(inner(s, "chAccepts"))
	said := "streams"
	for len(waiting) > 0 {
		st := <-waiting
		var data bytes.Buffer
		for len(*(*[][]byte)(inner(st, "buffers"))) > 0 {
			var p [65536]byte
			n, _ := st.Read(p[:])
			data.Write(p[:n])
		}
		state := "open"
		select {
		case <-*(*chan struct{})(inner(st, "chFinEvent")):
			state = "end"
		default:
		}
		said += fmt.Sprintf(" [%x %s]", data.Bytes(), state)
	}
	return said
}
