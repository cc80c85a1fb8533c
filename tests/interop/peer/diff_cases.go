package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand"
	"os"
	"strings"

	"github.com/flynn/noise"
)

type cases struct {
	rng   *rand.Rand
	seeds map[byte][][]byte
}

func readJSON(dir, name string, v interface{}) error {
	b, err := os.ReadFile(dir + "/" + name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (c *cases) add(kind byte, b []byte) { c.seeds[kind] = append(c.seeds[kind], b) }

func newCases(dir string, seed int64) (*cases, error) {
	c := &cases{rand.New(rand.NewSource(seed)), map[byte][][]byte{}}
	var v struct {
		Objects map[string]struct {
			Object string `json:"signed_object"`
		} `json:"signed_objects"`
		Entries []struct {
			Body string `json:"post_body_ascii"`
		} `json:"discovery_entries"`
	}
	if err := readJSON(dir, "dmsg.json", &v); err != nil {
		return nil, err
	}
	for _, name := range sorted(v.Objects) {
		b, err := hex.DecodeString(v.Objects[name].Object)
		if err != nil {
			return nil, err
		}
		if strings.Contains(name, "response") {
			c.add('r', b)
		} else {
			c.add('q', b)
		}
	}
	for _, e := range v.Entries {
		c.add('e', []byte(e.Body))
	}
	c.addEntry()
	c.addNoise()
	c.addObjects()
	if err := c.addRoutes(dir); err != nil {
		return nil, err
	}
	c.add('e', []byte(" null "))
	c.add('e', []byte(`{"sequence":18446744073709551615,"static":"`+constKey(5).pub().String()+`"}`))
	c.add('e', []byte(`{"sequence":-0,"static":"`+constKey(5).pub().String()+`"}`))
	c.add('e', []byte(`{"version":5,"version":"6","static":"`+constKey(5).pub().String()+`"}`))
	c.add('e', []byte(`{"static":"`+constKey(5).pub().String()+`","protocol":"`+strings.Repeat("x", 32)+`"}`))
	flood := []byte{2, 0, 0, 0, 3, 0, 0, 0}
	for i := 0; i < 6; i++ {
		flood = append(flood, append([]byte{2, 2, 0xff, 0xff, 3, 0, 0, 0}, make([]byte, 65535)...)...)
	}
	c.add('w', flood)
	for kind, name := range map[byte]string{'y': "yamux.json", 'v': "smux.json", 'w': "smux.json"} {
		var m struct {
			Raw []struct {
				Input   string `json:"input_hex"`
				Version int
				PeerIs  string `json:"peer_is"`
			} `json:"raw_cases"`
		}
		if err := readJSON(dir, name, &m); err != nil {
			return nil, err
		}
		for _, raw := range m.Raw {
			b, err := hex.DecodeString(raw.Input)
			if err != nil {
				return nil, err
			}
			if kind == 'y' || raw.Version == int(kind-'v'+1) {
				c.add(kind, b)
			}
		}
	}
	return c, nil
}

func (c *cases) addEntry() {
	pk := constKey(5).pub()
	e := entry{Version: "0.0.1", Sequence: 9, Timestamp: 1700000000123456789, Static: pk,
		Client: &entryClient{DelegatedServers: []PubKey{pk, constKey(6).pub()}}, ClientType: "visor",
		Server: &entryServer{Address: "203.0.113.4:8081", AddressV6: "[2001:db8::4]:8081", AddressUDP: "203.0.113.4:8082",
			AddressUDPv6: "[2001:db8::4]:8082", AddressWS: "ws://a.example/dmsg", AvailableSessions: 2048,
			ServerType: "official", DHTBootstrap: true}, Protocol: "smux"}
	e.sign(constKey(5))
	b, _ := json.Marshal(e)
	c.add('e', b)
}

// Objects whose types have other fields, too, of all kinds and in another order, as a later generation may.
func (c *cases) addObjects() {
	type StreamRequest struct {
		NoiseMsg  []byte
		More      map[string][]int
		DstAddr   Addr
		Flags     [3]bool
		Nested    struct{ A, B struct{ C []float64 } }
		Timestamp int64
		Key       *PubKey
		SrcAddr   Addr
		Complex   complex128
	}
	a := constKey(5)
	r := StreamRequest{NoiseMsg: []byte{1, 2, 3}, More: map[string][]int{"x": {1, -2, 300}}, Flags: [3]bool{true, false, true},
		Timestamp: 1700000000123456789, SrcAddr: Addr{a.pub(), 49153}, DstAddr: Addr{constKey(6).pub(), 80}, Complex: 2i}
	r.Nested.B.C = []float64{0, 1.5}
	key := a.pub()
	r.Key = &key
	c.add('q', signed(a, encode(r)))
	c.add('q', signed(a, withoutEnd(encode(request{Timestamp: 1, SrcAddr: r.SrcAddr, DstAddr: r.DstAddr}))))
	ask := request{Timestamp: 1, SrcAddr: r.SrcAddr, DstAddr: r.DstAddr, IPinfo: true, GeoInfo: true}
	c.add('q', signed(a, ask.encode(2026)))
	for _, gen := range []int{2024, 2026} {
		c.add('r', signed(a, (&response{Accepted: true, IP: []byte{1, 2, 3, 4, 5}}).encode(gen)))
		c.add('r', signed(a, (&response{ReqHash: hashOf(nil), IP: make([]byte, 16), GeoCountry: "XX", GeoRegion: "Y",
			GeoLat: -1.25, GeoLon: 1e300, ErrCode: 65535, NoiseMsg: make([]byte, 1137)}).encode(gen)))
	}
}

// Of a struct, which ends by a 0.
func withoutEnd(object []byte) (cut []byte) {
	descriptors, value := gobMessages(object)
	for _, m := range append(descriptors, value[:len(value)-1]) {
		cut = append(append(cut, gobUint(len(m))...), m...)
	}
	return cut
}

func (c *cases) addNoise() {
	long := make([]byte, pqOffer)
	c.rng.Read(long)
	for _, payload := range [][]byte{nil, []byte("x"), long} {
		kk, _, _, _ := constHandshake(noise.HandshakeKK, true).WriteMessage(nil, payload)
		xk, _, _, _ := constHandshake(noise.HandshakeXK, true).WriteMessage(nil, payload)
		a, _ := beforeThird()
		third, _, _, _ := a.WriteMessage(nil, payload)
		c.add('k', kk)
		c.add('x', xk)
		c.add('t', third)
	}
	a, _ := constKeys(noise.HandshakeKK)
	var records []byte
	for _, n := range []int{0, 5, 1, 0, 300, plainMax, 7} {
		records = append(records, frame(a.seal(long[:min(n, pqOffer)]))...)
	}
	c.add('c', records)
	c.add('c', append(frame(a.seal(make([]byte, plainMax))), records...))
	a, _ = constKeys(noise.HandshakeXK)
	var units [][]byte
	for _, n := range []uint64{0, 1, 2, 4, 5, 900, 1023, 1024, 2000, 1 << 40, 1<<40 + 1} {
		a.tx = n
		units = append(units, frame(a.seal([]byte("unit"))))
	}
	for i := 0; i < 30; i++ {
		var s []byte
		for k := 0; k < 12; k++ {
			s = append(s, units[c.rng.Intn(min(len(units), 4+i))]...)
		}
		c.add('u', s)
	}
}

// isSeed tells whether each of the descriptors is in a case that an encoder wrote.
func (c *cases) isSeed(descriptors [][]byte) bool {
	for _, d := range descriptors {
		found := false
		for _, kind := range "qrna" {
			for _, b := range c.seeds[byte(kind)] {
				found = found || bytes.Contains(b, append(gobUint(len(d)), d...))
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func (c *cases) pick(of ...uint32) uint32 { return of[c.rng.Intn(len(of))] }

// Frames that make some sense, of few streams, so that they meet.
func (c *cases) yamuxFrames() (b []byte) {
	for i := c.rng.Intn(12); i >= 0; i-- {
		kind := c.pick(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 4)
		if kind > 1 && c.rng.Intn(3) > 0 {
			kind = 1
		}
		n := c.pick(0, 0, 1, 5, 20, 262144, 262145, 1<<31, 1<<32-1)
		if n > 20 && c.rng.Intn(4) > 0 {
			n = 3
		}
		if kind == 3 {
			n = c.pick(0, 0, 0, 1, 2, 3)
		}
		head := make([]byte, 12)
		head[1] = byte(kind)
		binary.BigEndian.PutUint16(head[2:], uint16(c.pick(0, 0, 0, 1, 1, 1, 1, 2, 4, 4, 8, 5, 9, 3, 12, 16, 255)))
		if kind < 2 || c.rng.Intn(4) == 0 {
			id := c.pick(1, 1, 1, 3, 3, 5, 1<<32-1)
			if c.rng.Intn(30) == 0 {
				id = c.pick(0, 2)
			}
			binary.BigEndian.PutUint32(head[4:], id)
		}
		binary.BigEndian.PutUint32(head[8:], n)
		b = append(b, head...)
		if kind == 0 && n <= 262144 {
			b = append(b, make([]byte, n)...)
		}
	}
	return b
}

func (c *cases) smuxFrames(version byte) (b []byte) {
	for i := c.rng.Intn(12); i >= 0; i-- {
		cmd := c.pick(0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4)
		if cmd == 4 && version == 1 && c.rng.Intn(10) > 0 {
			cmd = 2
		}
		n := uint32(0)
		if cmd == 4 {
			n = 8
		}
		if cmd == 2 || c.rng.Intn(60) == 0 {
			n = c.pick(0, 1, 5, 20, 300, 65535)
		}
		head := make([]byte, 8)
		head[0], head[1] = version, byte(cmd)
		binary.LittleEndian.PutUint16(head[2:], uint16(n))
		binary.LittleEndian.PutUint32(head[4:], c.pick(3, 3, 3, 5, 5, 2, 0, 1))
		if b = append(b, head...); cmd == 2 {
			b = append(b, make([]byte, n)...)
		}
		if cmd == 4 {
			upd := make([]byte, 8)
			binary.LittleEndian.PutUint32(upd, c.pick(0, 0, 1, 1<<31, 1<<32-1))
			binary.LittleEndian.PutUint32(upd[4:], c.pick(0, 65536, 262144, 1<<32-1))
			b = append(b, upd...)
		}
	}
	return b
}

var jsonWords = []string{"null", "1e3", "-1", "1.0", "-0", `""`, "{}", "[]", "true", "false", "18446744073709551615",
	"18446744073709551616", "9223372036854775807", "9223372036854775808", `"\u0041"`, `"\ud800"`, "\"\xff\"", `"a\/b"`, `"<&>"`,
	`"\u2028"`, `"\n"`, `"x" `, "\t", ",", ":", `"VERSION":"2",`, `"Static":null,`, `"client":null,`, `"server":{"address":"x"},`,
	`"new":[{"a":[1,2]}],`, `"version":"3",`, `"protocol":"smux",`,
	`"a version that is longer than any has"`, `"client":{"delegated_servers":null},`}

func (c *cases) mutateJSON(b []byte) []byte {
	at := c.rng.Intn(len(b) + 1)
	if i := strings.IndexAny(string(b[at:]), ":,{["); i >= 0 && c.rng.Intn(4) > 0 {
		at += i + 1
	}
	end := at
	if i := strings.IndexAny(string(b[at:]), ",}]"); i >= 0 && c.rng.Intn(2) == 0 {
		end = at + i
	}
	word := jsonWords[c.rng.Intn(len(jsonWords))]
	return append(append(append([]byte{}, b[:at]...), word...), b[end:]...)
}

func (c *cases) mutateBytes(b []byte, from int) []byte {
	b = append([]byte{}, b...)
	if len(b) <= from {
		return append(b, byte(c.rng.Intn(256)))
	}
	at := from + c.rng.Intn(len(b)-from)
	n := 1 + c.rng.Intn(min(16, len(b)-at))
	switch c.rng.Intn(8) {
	case 0:
		return append(b[:at], b[at+n:]...)
	case 1:
		return append(append(append([]byte{}, b[:at]...), b[at:at+n]...), b[at:]...)
	case 2:
		return b[:at]
	case 3:
		return append(append(append([]byte{}, b[:at]...), byte(c.rng.Intn(256))), b[at:]...)
	case 4:
		b[at] = byte(c.pick(0, 1, 2, 0x7f, 0x80, 0xf8, 0xff, 0xfe))
	case 5:
		b[at] += byte(c.pick(1, 255, 2, 254))
	default:
		b[at] ^= 1 << c.rng.Intn(8)
	}
	return b
}

func (c *cases) next(kind byte) []byte {
	b := c.seeds[kind][c.rng.Intn(len(c.seeds[kind]))]
	from := 0
	switch kind {
	case 'q', 'r':
		from = 60 // few in the signature
	case 'y':
		if c.rng.Intn(3) > 0 {
			b = c.yamuxFrames()
		}
	case 'v', 'w':
		if c.rng.Intn(3) > 0 {
			b = c.smuxFrames(kind - 'v' + 1)
		}
	}
	for i := c.rng.Intn(4); i > 0; i-- {
		if strings.IndexByte("es123", kind) >= 0 && c.rng.Intn(2) == 0 {
			b = c.mutateJSON(b)
		} else {
			b = c.mutateBytes(b, from)
		}
	}
	switch kind {
	case 'v', 'w':
		b = wholeSmux(b)
	case 'y':
		b = wholeYamux(b)
	}
	return b
}

// Without a frame that is not whole: Go's smux gives its bytes when it is, ours as they come; its FIN counts
// for Go's yamux before its bytes, for ours after them.
func wholeYamux(b []byte) []byte {
	at := 0
	for at+12 <= len(b) {
		n := 12
		if b[at+1] == 0 {
			n += int(binary.BigEndian.Uint32(b[at+8:]))
		}
		if n > 12+262144 {
			return b // more than anybody takes
		}
		if n > len(b)-at {
			break
		}
		at += n
	}
	return b[:at]
}

func wholeSmux(b []byte) []byte {
	at := 0
	for at+8 <= len(b) {
		n := 8
		switch b[at+1] {
		case 2:
			n += int(binary.LittleEndian.Uint16(b[at+2:]))
		case 4:
			n += 8
		}
		if n > len(b)-at {
			break
		}
		at += n
	}
	return b[:at]
}
