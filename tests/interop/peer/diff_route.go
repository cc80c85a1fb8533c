package main

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/rpc"
	"sort"
	"strings"
)

// What Go's decoders make of rules, route packets, calls of route set-up and entries of transports, in the words of
// tests/interop/decode.c.

// ---- rules and packets ----

func (d RouteDescriptor) words() string {
	return fmt.Sprintf("%x:%d %x:%d", d[:33], binary.BigEndian.Uint16(d[66:]), d[33:66], binary.BigEndian.Uint16(d[68:]))
}

// By its kind, whatever follows (skywire-routing 2.1); "" for one that a node must not take.
func (r Rule) words() string {
	lengths := map[byte]int{consume: 83, forward: 120, intermediary: 50}
	if len(r) < 13 || lengths[r.kind()] == 0 || len(r) < lengths[r.kind()] || r.keep() < 0 || r.key() == 0 {
		return ""
	}
	r = r[:lengths[r.kind()]]
	s := fmt.Sprintf(" {%d %d %d", r.kind(), r.keep(), r.key())
	if r.kind() != intermediary {
		s += " " + r.desc().words()
	}
	if r.kind() == consume {
		return s + "}"
	}
	if r.next() == 0 {
		return ""
	}
	tp := r.tp()
	return fmt.Sprintf("%s %d %s}", s, r.next(), hex.EncodeToString(tp[:]))
}

func verdictRule(b []byte) string {
	if s := Rule(b).words(); s != "" {
		return s
	}
	return rejected
}

func verdictPackets(b []byte) string {
	said := "packets"
	for in := bytes.NewReader(b); ; {
		p, err := readPacket(in)
		if err != nil {
			return said
		}
		body := hex.EncodeToString(p.payload())
		switch at := p.payload(); {
		case p.kind() == pktClose && len(at) >= 1:
			body = fmt.Sprintf("code %d", bit(at[0] == 1))
		case p.kind() == pktPing && len(at) >= 16:
			body = fmt.Sprintf("ping %d %d", int64(binary.BigEndian.Uint64(at)), int64(binary.BigEndian.Uint64(at[8:])))
		case p.kind() == pktPong && len(at) >= 16:
			body = fmt.Sprintf("pong %d", int64(binary.BigEndian.Uint64(at)))
		}
		said += fmt.Sprintf(" [%d %d %s]", p.kind(), p.id(), body)
	}
}

// ---- net/rpc ----

func wordsOfPath(hops []Hop) (s string, ok bool) {
	for _, h := range hops {
		if !isKey(h.From) || !isKey(h.To) {
			return "", false
		}
		s += fmt.Sprintf(" (%s %v %v)", hex.EncodeToString(h.TpID[:]), h.From, h.To)
	}
	return s + ";", true
}

var asciiGraphic = func() (all string) {
	for c := '!'; c <= '~'; c++ {
		all += string(c)
	}
	return all
}()

func isKey(pk PubKey) bool {
	_, err := parsePK(pk.String())
	return err == nil && !pk.isNull()
}

// Of a transport: what nobody has is refused, and so is what would not be one word of a line.
func isType(text string) bool {
	return len(text) < 16 && strings.Trim(text, asciiGraphic) == ""
}

func (t TransportResponse) isGood() bool {
	return t.ID != uuid{} && isKey(t.Local) && isKey(t.Remote) && isType(t.Type)
}

func wordsOf(v interface{}) (s string, ok bool) {
	switch v := v.(type) {
	case *TransportRequest:
		return fmt.Sprintf("%v %s", v.RemotePK, v.Type), isKey(v.RemotePK) && isType(v.Type)
	case *UUIDRequest:
		return v.ID.String(), v.ID != uuid{}
	case *TransportResponse:
		return v.words(), v.isGood()
	case *[]TransportResponse:
		for _, t := range *v {
			if s += t.words() + ","; !t.isGood() || len(*v) > 96 {
				return "", false
			}
		}
	case *BidirectionalRoute:
		there, ok := wordsOfPath(v.Forward)
		back, too := wordsOfPath(v.Reverse)
		return fmt.Sprintf("%s %d%s%s", v.Desc.words(), v.KeepAlive, there, back), ok && too
	case *EdgeRules:
		f, c := v.Forward.words(), v.Reverse.words()
		ok = f != "" && c != "" && v.Forward.kind() == forward && v.Reverse.kind() == consume
		return v.Desc.words() + f + c, ok
	case *[]RouteID:
		for _, id := range *v {
			s += fmt.Sprintf("%d,", id)
		}
	case *[]Rule:
		for _, r := range *v {
			if r.words() == "" {
				return "", false
			}
			s += r.words()
		}
	case *uint8:
		return fmt.Sprint(*v), true
	case *bool:
		return fmt.Sprint(bit(*v)), true
	}
	return s, true
}

func argument(method string) interface{} {
	switch method {
	case "SetupRPCGateway.DialRouteGroup":
		return new(BidirectionalRoute)
	case "RPCGateway.ReserveIDs":
		return new(uint8)
	case "RPCGateway.AddIntermediaryRules":
		return new([]Rule)
	case "RPCGateway.AddEdgeRules":
		return new(EdgeRules)
	case "RPCGateway.DelRules":
		return new([]RouteID)
	case "TransportGateway.AddTransport":
		return new(TransportRequest)
	case "TransportGateway.RemoveTransport":
		return new(UUIDRequest)
	}
	return nil
}

func reply(method string) interface{} {
	switch method {
	case "SetupRPCGateway.DialRouteGroup":
		return new(EdgeRules)
	case "RPCGateway.ReserveIDs":
		return new([]RouteID)
	case "RPCGateway.AddIntermediaryRules", "RPCGateway.AddEdgeRules", "RPCGateway.DelRules":
		return new(bool)
	case "TransportGateway.AddTransport":
		return new(TransportResponse)
	case "TransportGateway.GetTransports":
		return new([]TransportResponse)
	}
	return nil
}

// short tells that more was wanted than there is.
type short struct {
	*bytes.Reader
	is bool
}

func (s *short) note(err error) error {
	s.is = s.is || err != nil
	return err
}

func (s *short) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	return n, s.note(err)
}

func (s *short) ReadByte() (byte, error) {
	b, err := s.Reader.ReadByte()
	return b, s.note(err)
}

// As net/rpc reads one direction: a body that does not fit ends nothing.
func verdictRPC(b []byte, answers bool) (said string) {
	in := &short{Reader: bytes.NewReader(b)}
	d := gob.NewDecoder(in)
	for {
		var head rpc.Response
		var err error
		if answers {
			err = d.Decode(&head)
		} else {
			var r rpc.Request
			err = d.Decode(&r)
			head.ServiceMethod, head.Seq = r.ServiceMethod, r.Seq
		}
		if in.is {
			return said + " more"
		}
		if err != nil || strings.Contains(head.ServiceMethod, "\x00") {
			return said + " reject"
		}
		v := argument(head.ServiceMethod)
		if answers {
			v = reply(head.ServiceMethod)
		}
		if head.Error != "" {
			v = nil
		}
		if err = d.Decode(v); in.is {
			return said + " more"
		}
		body, ok := "", true
		if v != nil {
			if body, ok = wordsOf(v); err != nil || !ok {
				body = rejected
			}
		}
		text, _, _ := strings.Cut(head.Error, "\x00") // where ours ends, for people
		said += fmt.Sprintf("[%s %d %x %s]", head.ServiceMethod, head.Seq, text, body)
	}
}

// ---- frames and entries of transports ----

func verdictNonce(b []byte) string {
	var f nonceFrame
	if json.Unmarshal(b, &f) != nil {
		return rejected
	}
	return strings.TrimSpace(string(jsonLine(f)))
}

func verdictHello(b []byte) string {
	var f helloFrame
	if json.Unmarshal(b, &f) != nil {
		return rejected
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(jsonLine(f))), bit(verify(f.SrcAddr.PK, f.Sig, f.text()) == nil))
}

func verdictAnswer(b []byte) string {
	var f answerFrame
	if json.Unmarshal(b, &f) != nil {
		return rejected
	}
	if f.OK {
		return "1 "
	}
	return "0 " + f.ErrMsg
}

func verdictSignedEntry(b []byte) string {
	var e signedEntry
	if json.Unmarshal(b, &e) != nil {
		return rejected
	}
	e.Registered = 0
	own := newEntry(e.Entry.Edges[0], e.Entry.Edges[1], e.Entry.Type)
	own.Label = e.Entry.Label
	said := strings.TrimSpace(string(jsonLine(e)))
	if own != e.Entry {
		return said
	}
	good := func(i int) int { return bit(verify(own.Edges[i], e.Signatures[i], own.text()) == nil) }
	return fmt.Sprintf("%s %d %d", said, good(0), good(1))
}

// ---- cases ----

func (c *cases) addRoutes(dir string) error {
	var v struct {
		Rules  map[string]interface{}
		GobRPC map[string]map[string]struct{ Request, Response string } `json:"gob_rpc"`
	}
	var routes struct{ Packets map[string]string }
	var carried struct {
		Transports map[string]string
		Connect    map[string]string `json:"connect_handshake"`
	}
	for _, name := range []string{"setup.json", "transport-setup.json"} {
		if err := readJSON(dir, name, &v); err != nil {
			return err
		}
	}
	if err := readJSON(dir, "skywire-routes.json", &routes); err != nil {
		return err
	}
	if err := readJSON(dir, "carried.json", &carried); err != nil {
		return err
	}
	all := ""
	for _, name := range sorted(routes.Packets) {
		all += routes.Packets[name]
	}
	c.addHex('p', all)
	for _, name := range sorted(v.Rules) {
		if text, is := v.Rules[name].(string); is && !strings.HasPrefix(name, "descriptor") {
			c.addHex('l', text)
		}
	}
	for _, name := range sorted(v.GobRPC) {
		asked, said := "", ""
		for _, step := range sorted(v.GobRPC[name]) {
			asked, said = asked+v.GobRPC[name][step].Request, said+v.GobRPC[name][step].Response
		}
		c.addHex('n', asked)
		c.addHex('a', said)
	}
	for _, frame := range []string{"frame1", "frame2", "frame3_ok", "frame3_reject"} {
		c.add(frame[5], []byte(carried.Connect[frame]))
	}
	c.add('1', []byte(strings.Replace(carried.Connect["frame1"], "1,", "1\x00,", 1)))
	settlement := carried.Transports["settlement_init_message_A_initiates"]
	c.add('s', []byte(settlement))
	c.add('s', []byte(strings.Replace(settlement, `"]}`, `",7]}`, 1)))
	c.add('s', []byte(strings.Replace(settlement, `"signatures":["`, `"signatures":[null,"`, 1)))
	c.add('s', []byte(strings.Replace(settlement, "user", strings.Repeat("user", 8), 1)))
	both := carried.Transports["tpd_register_body_both_signed"]
	c.add('s', []byte(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(both), "["), "]")))
	c.addCalls()
	return nil
}

// What other encoders may send than those of the vectors.
func (c *cases) addCalls() {
	var b bytes.Buffer
	e := gob.NewEncoder(&b)
	say := func(v interface{}) {
		if err := e.Encode(v); err != nil {
			panic(err)
		}
	}
	say(rpc.Request{ServiceMethod: "RPCGateway.DelRules", Seq: 7})
	say([]RouteID{1, 128, 1<<32 - 1})
	whole := append([]byte{}, b.Bytes()...)
	c.add('n', append(append([]byte{}, whole...), 0xfd, 1, 0, 0, 1)) // and one of 64 KiB begins
	say(Addr{constKey(5).pub(), 7})                                  // not what a call begins with
	c.add('n', b.Bytes())
	b.Reset()
	e = gob.NewEncoder(&b)
	say(rpc.Request{ServiceMethod: "RPCGateway.ReserveIDs"})
	c.add('n', append(withoutEnd(b.Bytes()), 3, 6, 0, 2))
	b.Reset()
	e = gob.NewEncoder(&b)
	say(rpc.Request{ServiceMethod: "RPCGateway.AddEdgeRules"})
	say(EdgeRules{Forward: make(Rule, 120), Reverse: make(Rule, 83)})
	c.add('n', b.Bytes())
	b.Reset()
	e = gob.NewEncoder(&b)
	type Later struct { // of a later version
		Seq           uint64
		Deadline      map[string]int64
		ServiceMethod string
	}
	say(Later{3, map[string]int64{"x": -1}, "RPCGateway.ReserveIDs"})
	say(uint8(255))
	c.add('n', b.Bytes())
}

func (c *cases) addHex(kind byte, text string) {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	c.add(kind, b)
}

func sorted[T any](m map[string]T) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names) // a run can be repeated
	return names
}
