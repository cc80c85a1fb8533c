package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// difference is one that is meant: mostly, ours is stricter than Go, or says sooner what is wrong
// (docs/design/dmsg.md, docs/design/mux.md). Each must show in a run.
type difference struct {
	kinds string
	what  string
	fits  func(c *question) bool
	seen  int
}

type question struct {
	b            []byte
	theirs, ours string
	ask          func([]byte) string   // our decoder again
	isSeed       func(d [][]byte) bool // that an encoder wrote these descriptors
}

func (q *question) onlyTheirs() bool { return q.ours == rejected && q.theirs != rejected }

var differences = []*difference{
	{kinds: "qr", what: "gob: a struct that ends with its message, not by 0", fits: endsWithMessage},
	{kinds: "qr", what: "gob: a descriptor that no encoder writes", fits: oddDescriptor},
	{kinds: "qr", what: "gob: no field of ours, read as empty", fits: func(q *question) bool {
		return q.theirs == rejected && !regexp.MustCompile(`[1-9a-f]`).MatchString(noWords.ReplaceAllString(q.ours, ""))
	}},
	{kinds: "r", what: "address of neither 0, 4 nor 16 bytes", fits: func(q *question) bool {
		m := regexp.MustCompile(` ip ([0-9a-f]*) `).FindStringSubmatch(q.theirs)
		return q.onlyTheirs() && len(m) == 2 && len(m[1]) != 0 && len(m[1]) != 8 && len(m[1]) != 32
	}},
	{kinds: "e", what: "JSON: a signature that is none", fits: func(q *question) bool {
		var e entry
		return q.onlyTheirs() && json.Unmarshal(q.b, &e) == nil && e.Signature != "" &&
			!regexp.MustCompile(`^[0-9a-fA-F]{130}$`).MatchString(e.Signature)
	}},
	{kinds: "es123", what: "JSON: text that is no UTF-8, or has what must be escaped", fits: func(q *question) bool {
		return q.onlyTheirs() && (!utf8.Valid(q.b) || regexp.MustCompile(`\\[^"\\/]`).Match(q.b) ||
			regexp.MustCompile("\\\\[^\"\\\\]|\ufffd|\x7f").MatchString(q.theirs))
	}},
	{kinds: "es123", what: "JSON: null for the whole", fits: func(q *question) bool {
		return q.onlyTheirs() && strings.TrimSpace(string(q.b)) == "null"
	}},
	{kinds: "e", what: "JSON: null for a key", fits: func(q *question) bool {
		return q.onlyTheirs() && (nullStatic.Match(q.b) || strings.Contains(q.theirs, `"`+PubKey{}.String()+`"`))
	}},
	{kinds: "e", what: "JSON: text longer than it may be", fits: func(q *question) bool {
		return q.onlyTheirs() && regexp.MustCompile(`"(version|client_type|serverType|protocol)":"[^"]{32,}"`).MatchString(q.theirs)
	}},
	{kinds: "es123", what: "JSON: an integer that has no place in 64 bits with a sign", fits: func(q *question) bool {
		for _, m := range longNumber.FindAllSubmatch(q.b, -1) {
			if _, err := strconv.ParseInt(string(m[1]), 10, 64); err != nil && q.onlyTheirs() {
				return true
			}
		}
		return false
	}},
	{kinds: "12", what: "JSON: a number of -0, which ours takes", fits: func(q *question) bool {
		return q.theirs == rejected && regexp.MustCompile(`[:,\[]\s*-0\s*[\],}]`).Match(q.b)
	}},
	{kinds: "3", what: "JSON: an ErrMsg that is no printable text, which ours reads as none", fits: func(q *question) bool {
		said := regexp.MustCompile(`(?s)^0 .*[^ -~]`).MatchString(q.theirs)
		return said && q.ours == "0 " || q.theirs == rejected && (q.ours == "0 " || q.ours == "1 ")
	}},
	{kinds: "12", what: "JSON: NUL behind a number, which ours takes", fits: func(q *question) bool {
		return q.theirs == rejected && regexp.MustCompile("[0-9]\x00").Match(q.b)
	}},
	{kinds: "123", what: "JSON: a frame without all of its parts", fits: func(q *question) bool {
		return q.onlyTheirs() && !isWholeFrame(q.b)
	}},
	{kinds: "e", what: "JSON: a sequence of -0, which ours takes", fits: func(q *question) bool {
		return q.theirs == rejected && minusZero.Match(q.b)
	}},
	{kinds: "es123", what: "JSON: a member twice, of which Go reads both and ours the last", fits: func(q *question) bool {
		twice, err := hasTwice(json.NewDecoder(bytes.NewReader(q.b)))
		return q.ours != rejected && twice && err == nil
	}},
	{kinds: "na", what: "net/rpc: a broken body ends the connection, not the call", fits: func(q *question) bool {
		rest, ends := beyondOurs(q)
		return ends && brokenBody.MatchString(rest)
	}},
	{kinds: "na", what: "net/rpc: a message longer than any is", fits: func(q *question) bool {
		rest, ends := beyondOurs(q)
		return ends && rest == " more" && longMessage(q.b)
	}},
	{kinds: "na", what: "net/rpc: a descriptor that no encoder writes", fits: oddTypes},
	{kinds: "na", what: "net/rpc: a struct that ends with its message, not by 0", fits: callEndsWithMessage},
	{kinds: "na", what: "net/rpc: a head with no field of ours, read as empty", fits: func(q *question) bool {
		common := strings.TrimSuffix(q.theirs, " "+rejected)
		rest := strings.TrimPrefix(q.ours, common)
		return common != q.theirs && rest != q.ours && (rest == " more" || strings.HasPrefix(rest, "[ 0 "))
	}},
	{kinds: "s", what: "JSON: other than two edges and two signatures", fits: func(q *question) bool {
		var e struct {
			Entry      struct{ Edges []interface{} }
			Signatures []interface{}
		}
		return q.onlyTheirs() && json.Unmarshal(q.b, &e) == nil && (len(e.Entry.Edges) != 2 || len(e.Signatures) != 2)
	}},
	{kinds: "s", what: "JSON: null for a signature", fits: func(q *question) bool {
		return q.onlyTheirs() && regexp.MustCompile(`(?i)"signatures"\s*:.*null`).Match(q.b)
	}},
	{kinds: "s", what: "JSON: an entry without all of its parts", fits: func(q *question) bool {
		return q.onlyTheirs() && regexp.MustCompile(`"(t_id|type|label)":("0{8}|"")|"0{66}"`).MatchString(q.theirs)
	}},
	{kinds: "s", what: "JSON: a type or label longer than it may be", fits: func(q *question) bool {
		return q.onlyTheirs() && regexp.MustCompile(`"type":"[^"]{17,}"|"label":"[^"]{32,}"`).MatchString(q.theirs)
	}},
	{kinds: "y", what: "yamux: SYN of id 0 or of one of ours", fits: yamuxFinds(func(f *yamuxFrame) bool {
		return f.kind < 2 && f.flags&1 != 0 && f.id&1 == 0
	})},
	{kinds: "y", what: "yamux: a window above 2^32 - 1", fits: yamuxFinds(func(f *yamuxFrame) bool {
		return f.kind == 1 && f.credit > 1<<32-1
	})},
	{kinds: "y", what: "yamux: data for no stream, longer than any window", fits: yamuxFinds(func(f *yamuxFrame) bool {
		return f.kind == 0 && f.n > 262144
	})},
	{kinds: "vw", what: "smux: a length that the command can't have", fits: smuxFinds(func(f *smuxFrame) bool {
		return (f.cmd == 0 || f.cmd == 1 || f.cmd == 3) && f.n != 0 || f.cmd == 4 && f.n != 8
	})},
	{kinds: "v", what: "smux: UPD in version 1", fits: smuxFinds(func(f *smuxFrame) bool { return f.cmd == 4 })},
	{kinds: "w", what: "smux: more than the window", fits: smuxFinds(func(f *smuxFrame) bool {
		return f.sum > 262144+65535
	})},
}

// Which leaves a key that stood before.
var nullStatic = regexp.MustCompile(`(?i)"static"\s*:\s*null`)

var longNumber = regexp.MustCompile(`[:,\[\s](-?[0-9]{19,})`)

var minusZero = regexp.MustCompile(`(?i)"sequence"\s*:\s*-0\s*[,}]`)

var noWords = regexp.MustCompile(`ip|geo|30[0-9] `)

func isKnown(kind byte, q *question) bool {
	for _, d := range differences {
		if strings.IndexByte(d.kinds, kind) >= 0 && d.fits(q) {
			d.seen++
			return true
		}
	}
	return false
}

func unusedDifferences() (list []string) {
	for _, d := range differences {
		if d.seen == 0 {
			list = append(list, d.what)
		}
	}
	return list
}

// One value, and whether some object in it, or in what lies in it, has two members of one name.
func hasTwice(d *json.Decoder) (twice bool, err error) {
	open, err := d.Token()
	if open == json.Delim('{') || open == json.Delim('[') {
		names := map[string]bool{}
		for err == nil && d.More() {
			if open == json.Delim('{') {
				var name json.Token
				name, err = d.Token()
				key := fmt.Sprint(name)
				twice = twice || names[key]
				names[key] = true
			}
			var inner bool
			if err == nil {
				inner, err = hasTwice(d)
			}
			twice = twice || inner
		}
		if err == nil {
			_, err = d.Token()
		}
	}
	return twice, err
}

// Whether each member that some frame has is there, and is not null.
func isWholeFrame(b []byte) bool {
	type addr struct {
		PK   *string `json:"public_key"`
		Port *int
	}
	var f struct {
		Nonce            []*int
		SrcAddr, DstAddr *addr
		Sig              *string
		OK               *bool
	}
	if json.Unmarshal(b, &f) != nil {
		return false
	}
	if f.OK != nil {
		return true
	}
	for _, n := range f.Nonce {
		if n == nil {
			return false
		}
	}
	if len(f.Nonce) != 16 || (f.SrcAddr == nil) != (f.Sig == nil) || (f.DstAddr == nil) != (f.Sig == nil) {
		return false
	}
	for _, a := range []*addr{f.SrcAddr, f.DstAddr} {
		if a != nil && (a.PK == nil || a.Port == nil || strings.Trim(*a.PK, "0") == "") {
			return false
		}
	}
	return true
}

// ---- gob ----

// What a message begins with, and how many bytes say so: 0 when it is no count.
func gobCount(b []byte) (n uint64, used int) {
	if b[0] < 128 {
		return uint64(b[0]), 1
	}
	size := 256 - int(b[0])
	if size > 8 || size >= len(b) {
		return 0, 0
	}
	for _, x := range b[1 : 1+size] {
		n = n<<8 | uint64(x)
	}
	return n, 1 + size
}

// Beyond what ours has room for; Go waits for it.
func longMessage(b []byte) bool {
	for len(b) > 0 {
		n, used := gobCount(b)
		if n > 12288 || used == 0 {
			return used != 0
		}
		b = b[min(len(b), used+int(n)):]
	}
	return false
}

// The descriptors and the value of an object, without their counts; nil when it has no such form.
func gobMessages(b []byte) (descriptors [][]byte, value []byte) {
	for len(b) > 0 {
		n, used := gobCount(b)
		if used == 0 {
			return descriptors, nil
		}
		if n == 0 || n > uint64(len(b)-used) {
			return descriptors, nil
		}
		msg := b[used : used+int(n)]
		b = b[used+int(n):]
		// its first number is the type's, the lowest bit its sign
		last := msg[0]
		if size := 256 - int(msg[0]); msg[0] >= 128 && size < len(msg) {
			last = msg[size]
		}
		if last&1 == 0 {
			return descriptors, msg
		}
		descriptors = append(descriptors, msg)
	}
	return descriptors, nil
}

func endsWithMessage(q *question) bool {
	descriptors, value := gobMessages(q.b[len(Sig{}):])
	if !q.onlyTheirs() || value == nil {
		return false
	}
	object := append([]byte{}, q.b[:len(Sig{})]...)
	for _, d := range descriptors {
		object = append(append(object, gobUint(len(d))...), d...)
	}
	for zeros := 1; zeros <= 2; zeros++ {
		whole := append(append([]byte{}, object...), gobUint(len(value)+zeros)...)
		whole = append(append(whole, value...), make([]byte, zeros)...)
		// the signature is over something else now
		if afterCheck(q.ask(whole)) == afterCheck(q.theirs) {
			return true
		}
	}
	return false
}

// Without the result of the checks, which stands first.
func afterCheck(s string) string {
	_, rest, _ := strings.Cut(s, " ")
	return rest
}

func gobUint(n int) []byte {
	if n < 128 {
		return []byte{byte(n)}
	}
	return []byte{0xfe, byte(n >> 8), byte(n)}
}

// Where ours ended the connection: what Go read from there on.
func beyondOurs(q *question) (rest string, ends bool) {
	common := strings.TrimSuffix(q.ours, " "+rejected)
	ends = common != q.ours && strings.HasPrefix(q.theirs, common)
	return strings.TrimPrefix(q.theirs, common), ends
}

// The first call of what is left, whose body was refused, or that nobody has.
var brokenBody = regexp.MustCompile(`^\[[^\]]* (reject)?\]`)

func oddTypes(q *question) bool {
	for b := q.b; len(b) > 0; {
		descriptors, value := gobMessages(b)
		if !q.isSeed(descriptors) {
			return true
		}
		if value == nil {
			return false
		}
		for _, m := range append(descriptors, value) {
			b = b[len(gobUint(len(m)))+len(m):]
		}
	}
	return false
}

// Of one of the values, that is, with which ours would read the same as Go.
func callEndsWithMessage(q *question) bool {
	for at := 0; at < len(q.b); {
		n, used := gobCount(q.b[at:])
		end := at + used + int(n)
		if used == 0 || n > 12288 || end > len(q.b) {
			break
		}
		for zeros := 1; zeros <= 2; zeros++ {
			whole := append(append([]byte{}, q.b[:at]...), gobUint(int(n)+zeros)...)
			whole = append(append(whole, q.b[at+used:end]...), make([]byte, zeros)...)
			if q.ask(append(whole, q.b[end:]...)) == q.theirs {
				return true
			}
		}
		at = end
	}
	return false
}

func oddDescriptor(q *question) bool {
	descriptors, _ := gobMessages(q.b[len(Sig{}):])
	return q.onlyTheirs() && !q.isSeed(descriptors)
}

// ---- frames, up to the first that fits ----

type yamuxFrame struct {
	kind   byte
	flags  uint16
	id, n  uint32
	credit uint64 // of the stream, with this one
}

func yamuxFinds(fits func(*yamuxFrame) bool) func(*question) bool {
	return func(q *question) bool {
		credit := map[uint32]uint64{}
		for b := q.b; q.onlyTheirs() && len(b) >= 12; {
			f := &yamuxFrame{b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]),
				binary.BigEndian.Uint32(b[8:]), 0}
			b = b[12:]
			if f.flags&1 != 0 && f.kind < 2 {
				credit[f.id] = 262144
			}
			if f.kind == 1 {
				credit[f.id] += uint64(f.n)
				f.credit = credit[f.id]
			}
			if fits(f) {
				return true
			}
			if f.kind == 0 {
				b = b[min(len(b), int(f.n)):]
			}
		}
		return false
	}
}

type smuxFrame struct {
	cmd     byte
	n       uint16
	id, sum uint32 // bytes of the stream, with this one
}

func smuxFinds(fits func(*smuxFrame) bool) func(*question) bool {
	return func(q *question) bool {
		sum := map[uint32]uint32{}
		for b := q.b; q.onlyTheirs() && len(b) >= 8; {
			f := &smuxFrame{b[1], binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:]), 0}
			size := 8
			if f.cmd == 2 {
				size += int(f.n)
				sum[f.id] += uint32(f.n)
				f.sum = sum[f.id]
			} else if f.cmd == 4 {
				size += 8
			}
			if fits(f) {
				return true
			}
			b = b[min(len(b), size):]
		}
		return false
	}
}
