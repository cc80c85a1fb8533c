package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

type routeVectors struct {
	Packets    map[string]string
	Rules      map[string]interface{}
	Transports map[string]string
	Keys       map[string]struct{ PK, SK string }
	Noise      map[string]string `json:"noise_kk"`
	Connect    map[string]string `json:"connect_handshake"`
}

func (v *routeVectors) pk(t *testing.T, name string) PubKey {
	pk, err := parsePK(v.Keys[name].PK)
	if err != nil {
		t.Fatal(err)
	}
	return pk
}

func TestPackets(t *testing.T) {
	var v routeVectors
	load(t, "skywire-routes.json", &v)
	at := []byte("\x00\x00\x01\x8b\xcf\xe5\x68\x00") // 1700000000000 ms
	zero := make([]byte, 8)
	for name, p := range map[string]packet{
		"data_id7_hello":                    newPacket(pktData, 7, []byte("hello")),
		"close_id7_code0":                   newPacket(pktClose, 7, []byte{0}),
		"keepalive_id7":                     newPacket(pktKeepAlive, 7, nil),
		"handshake_id7_encrypt":             newPacket(pktHandshake, 7, []byte{1}),
		"v2026_handshake_id7_encrypt_caps0": newPacket(pktHandshake, 7, []byte{1, 0, 0}),
		"ping_id7_ts1700000000000_tp125000": newPacket(pktPing, 7, append(at, 0, 0, 0, 0, 0, 1, 0xe8, 0x48)),
		"pong_id7_ts1700000000000":          newPacket(pktPong, 7, append(at, zero...)),
		"error_id7":                         newPacket(pktError, 7, []byte("no service on port 3")),
	} {
		if got := hex.EncodeToString(p); got != v.Packets[name] {
			t.Errorf("%s: %s", name, got)
		}
		back, err := readPacket(bytes.NewReader(p))
		if err != nil || !bytes.Equal(back, p) {
			t.Errorf("%s is read as %x %v", name, back, err)
		}
	}
	later := packet(unhex(t, v.Packets["v2026_handshake_id7_encrypt_caps_0x01d3"]))
	if got := later.next(8, 2026); got.id() != 8 || len(got.payload()) != 3 {
		t.Errorf("2026 passes %x on", got)
	}
	if got := later.next(9, 2024); hex.EncodeToString(got) != "0300000009000101" {
		t.Errorf("2024 passes %x on", got)
	}
}

func TestRulesOfARoute(t *testing.T) {
	var v routeVectors
	load(t, "skywire-routes.json", &v)
	a, b, c := v.pk(t, "A"), v.pk(t, "B"), v.pk(t, "C")
	d := describe(a, c, 50000, 3)
	l := &laying{ids: map[PubKey][]RouteID{a: {1, 2}, b: {1, 2}, c: {1, 2}}, rules: map[PubKey][]Rule{}}
	types := []string{"stcpr", "stcpr"}
	got := map[string]Rule{}
	got["A_forward"], got["C_consume"] = l.path(hops([]PubKey{a, b, c}, types), 30*time.Second, d)
	got["C_forward"], got["A_consume"] = l.path(hops([]PubKey{c, b, a}, types), 30*time.Second, d.invert())
	got["B_intermediary_fwd"], got["B_intermediary_rev"] = l.rules[b][0], l.rules[b][1]
	for name, r := range got {
		if hex.EncodeToString(r) != v.Rules[name] || !r.isValid() {
			t.Errorf("%s: %x", name, []byte(r))
		}
	}
	if e := (EdgeRules{d, got["C_forward"], got["C_consume"]}); !e.isValid() {
		t.Error("the responder's edge")
	}
}

func TestConnectFrames(t *testing.T) {
	var v routeVectors
	load(t, "carried.json", &v)
	var f helloFrame
	if err := json.Unmarshal([]byte(v.Connect["frame2"]), &f); err != nil {
		t.Fatal(err)
	}
	if string(jsonLine(f)) != v.Connect["frame2"] || string(f.text()) != v.Connect["frame2_bytes_to_sign"] {
		t.Errorf("frame 2: %s", jsonLine(f))
	}
	if err := verify(v.pk(t, "A"), f.Sig, f.text()); err != nil {
		t.Error(err)
	}
	if got := string(jsonLine(nonceFrame{f.Nonce})); got != v.Connect["frame1"] {
		t.Errorf("frame 1: %s", got)
	}
	if got := string(jsonLine(answerFrame{true, ""})); got != v.Connect["frame3_ok"] {
		t.Errorf("frame 3: %s", got)
	}
}

func TestTransportEntries(t *testing.T) {
	var v routeVectors
	load(t, "carried.json", &v)
	for name, want := range map[string]transportEntry{
		"dmsg_AB":  newEntry(v.pk(t, "A"), v.pk(t, "B"), "dmsg"),
		"stcp_AB":  newEntry(v.pk(t, "B"), v.pk(t, "A"), "stcp"),
		"stcpr_AA": newEntry(v.pk(t, "A"), v.pk(t, "A"), "stcpr"),
		"stcpr_BC": newEntry(v.pk(t, "B"), v.pk(t, "C"), "stcpr"),
	} {
		if want.ID.String() != v.Transports[name] {
			t.Errorf("%s: %v", name, want.ID)
		}
	}
	own := newEntry(v.pk(t, "A"), v.pk(t, "B"), "stcpr")
	if hex.EncodeToString(own.text()) != v.Transports["entry_to_binary_stcpr_AB"] {
		t.Errorf("signed text %x", own.text())
	}
	var e signedEntry
	if err := json.Unmarshal([]byte(v.Transports["settlement_init_message_A_initiates"]), &e); err != nil {
		t.Fatal(err)
	}
	if e.Entry != own || string(jsonLine(e)) != v.Transports["settlement_init_message_A_initiates"] {
		t.Errorf("settlement: %s", jsonLine(e))
	}
	if err := verify(v.pk(t, "A"), e.Signatures[own.edge(v.pk(t, "A"))], own.text()); err != nil {
		t.Error(err)
	}
}

func TestTableRefreshesWhatEndsHere(t *testing.T) {
	tab := newTable()
	var pk PubKey
	d := describe(pk, pk, 1, 2)
	tab.save(newRule(consume, time.Minute, 5, d, 0, uuid{}), newRule(intermediary, time.Minute, 6, d, 7, uuid{1}))
	if ids := tab.reserve(2); ids[0] != 7 || ids[1] != 8 {
		t.Errorf("ids %v", ids)
	}
	old := time.Now().Add(-59 * time.Second)
	for _, id := range []RouteID{5, 6} {
		tab.rules[id].used = old
		if tab.find(id) == nil {
			t.Fatalf("rule %d is not found", id)
		}
	}
	if tab.rules[5].used == old || tab.rules[6].used != old {
		t.Error("a look refreshes rules that end here, and only those")
	}
	tab.rules[6].used = old.Add(-2 * time.Second)
	if tab.find(6) != nil {
		t.Error("an expired rule is found")
	}
	if gone := tab.sweep(); len(gone) != 1 || gone[0].key() != 6 {
		t.Errorf("swept %v", gone)
	}
}

func testOptions(t *testing.T, args ...string) *options {
	o, err := parse(append([]string{"test"}, args...), 0)
	if err != nil {
		t.Fatal(err)
	}
	o.sk = newKey()
	return o
}

// Both ends of an stcp connection by the loopback: what each said.
func meet(t *testing.T, dials, accepts *stcp) (a, b *transport, dialled, accepted error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan bool)
	go func() {
		defer close(done)
		var c net.Conn
		if c, accepted = l.Accept(); accepted != nil {
			return
		}
		if b, accepted = accepts.accept(c); accepted != nil {
			c.Close()
		}
	}()
	a, dialled = dials.dial(accepts.pk, l.Addr().String())
	<-done
	return a, b, dialled, accepted
}

func TestStcpRefusesWhatIsForged(t *testing.T) {
	none := func(uuid) bool { return false }
	for fault, want := range map[string]string{
		"forge-hello": "frame 3: ", "forge-entry": "settlement: the answer is 2", "other-entry": "settlement: the answer is 3",
		"oversize": "oversize: left after 0.0 s", "": "",
	} {
		a, _, err, accepted := meet(t, testOptions(t, "-fault", fault).newStcp(none), testOptions(t).newStcp(none))
		if (err == nil) != (want == "") || (accepted == nil) != (want == "") || (a != nil) != (want == "") {
			t.Errorf("%q: %v, %v", fault, err, accepted)
		} else if err != nil && err.Error()[:min(len(want), len(err.Error()))] != want {
			t.Errorf("%q: %v, not %s", fault, err, want)
		}
	}
	_, _, err, _ := meet(t, testOptions(t).newStcp(none), testOptions(t).newStcp(func(uuid) bool { return true }))
	if err == nil || err.Error() != "settlement: the answer is 0" {
		t.Errorf("a duplicate: %v", err)
	}
}

// chain is a row of nodes, each with a transport to the next.
func chain(t *testing.T, args ...[]string) (nodes []*node) {
	for _, a := range args {
		o := testOptions(t, a...)
		r := newRouter(o)
		n := &node{o: o, r: r, m: o.newStcp(func(uuid) bool { return false })}
		if len(nodes) > 0 {
			a, b, err, accepted := meet(t, nodes[len(nodes)-1].m, n.m)
			if err != nil || accepted != nil {
				t.Fatal(err, accepted)
			}
			nodes[len(nodes)-1].r.add(a, "")
			r.add(b, "")
			go nodes[len(nodes)-1].r.run(a)
			go r.run(b)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// lay gives all nodes of a row their rules, and the last one the group.
func lay(t *testing.T, nodes []*node, port uint16) (own EdgeRules) {
	l := &laying{ids: map[PubKey][]RouteID{}, rules: map[PubKey][]Rule{}}
	var path []PubKey
	for _, n := range nodes {
		path = append(path, n.r.pk)
		l.ids[n.r.pk] = n.r.rules.reserve(2)
	}
	d := describe(path[0], path[len(path)-1], 50000, port)
	sends, ends := l.path(hops(path, nil), time.Minute, d)
	back, takes := l.path(hops(reversed(path), nil), time.Minute, d.invert())
	for _, n := range nodes {
		n.r.rules.save(l.rules[n.r.pk]...)
	}
	nodes[0].r.rules.save(sends, takes)
	last := nodes[len(nodes)-1]
	last.r.rules.save(back, ends)
	if err := last.openEdge(EdgeRules{d, back, ends}); err != nil {
		t.Fatal(err)
	}
	return EdgeRules{d.invert(), sends, takes}
}

func (n *node) begin(e EdgeRules) (*group, error) {
	g, err := n.r.open(e, true)
	if err == nil {
		err = g.establish()
	}
	return g, err
}

func TestGroupOverAChain(t *testing.T) {
	late := []string{"-gen", "2026", "-pq"}
	for _, args := range [][][]string{{nil, nil}, {nil, nil, nil}, {late, late, late}, {late, nil, late}, {nil, late, nil}} {
		nodes := chain(t, args...)
		last := nodes[len(nodes)-1]
		last.r.accepts[3] = func(g *group) {
			io.Copy(g, g)
			g.Close()
		}
		g, err := nodes[0].begin(lay(t, nodes, 3))
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		sent := randomBytes(1 << 20)
		go g.Write(sent)
		got := make([]byte, len(sent))
		if _, err = io.ReadFull(g, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%v: %v", args, err)
		}
		g.Close()
		if g.err != io.EOF {
			t.Errorf("%v: ended by %v", args, g.err)
		}
		for _, n := range nodes {
			if len(n.r.rules.rules) != 0 || len(n.r.groups) != 0 {
				t.Errorf("%v: rules %v", args, n.r.rules.rules)
			}
		}
	}
}

func TestNoListener(t *testing.T) {
	nodes := chain(t, nil, nil)
	g, err := nodes[0].begin(lay(t, nodes, 9))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = g.Read(make([]byte, 1)); err == nil || err.Error() != "no listener on port 9, service offline" {
		t.Error(err)
	}
}

func TestInTheClear(t *testing.T) {
	plain := []string{"-plain"}
	nodes := chain(t, plain, nil)
	if _, err := nodes[0].begin(lay(t, nodes, 3)); err == nil {
		t.Error("one end in the clear is taken")
	}
	nodes = chain(t, plain, plain)
	nodes[1].r.accepts[3] = func(g *group) { io.Copy(g, g) }
	g, err := nodes[0].begin(lay(t, nodes, 3))
	if err != nil {
		t.Fatal(err)
	}
	g.Write([]byte("hello"))
	got := make([]byte, 5)
	if _, err = io.ReadFull(g, got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
}

func TestGroupEndsWithItsTransport(t *testing.T) {
	nodes := chain(t, nil, nil)
	nodes[1].r.accepts[3] = func(g *group) { io.Copy(g, g) }
	g, err := nodes[0].begin(lay(t, nodes, 3))
	if err != nil {
		t.Fatal(err)
	}
	g.tp.conn.Close()
	if _, err = g.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Error(err)
	}
}

func TestMain(m *testing.M) {
	quiet = true
	os.Exit(m.Run())
}
