package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// other is the program that decodes beside us: tests/interop/decode.c.
type other struct {
	cmd *exec.Cmd
	in  *bufio.Writer
	out *bufio.Reader
}

func startOther(path string) (*other, error) {
	cmd := exec.Command(path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &other{cmd, bufio.NewWriter(in), bufio.NewReader(out)}, cmd.Start()
}

func (o *other) verdict(kind byte, b []byte) (string, error) {
	head := make([]byte, 5)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	o.in.Write(head)
	o.in.Write(b)
	if err := o.in.Flush(); err != nil {
		return "", err
	}
	line, err := o.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

var kinds = []struct {
	kind byte
	name string
}{
	{'q', "requests (gob)"},
	{'r', "responses (gob)"},
	{'e', "entries (JSON)"},
	{'k', "noise KK, first message"},
	{'x', "noise XK, first message"},
	{'t', "noise XK, third message"},
	{'c', "noise records"},
	{'u', "noise units by window"},
	{'y', "yamux"},
	{'v', "smux 1"},
	{'w', "smux 2"},
	{'l', "rules"},
	{'p', "route packets"},
	{'n', "calls (net/rpc)"},
	{'a', "answers (net/rpc)"},
	{'s', "transport entries (JSON)"},
	{'1', "connect, frame 1 (JSON)"},
	{'2', "connect, frame 2 (JSON)"},
	{'3', "connect, frame 3 (JSON)"},
}

func runDiff(args []string) error {
	fs := flag.NewFlagSet("diff", flag.ExitOnError)
	n := fs.Int("n", 2000, "cases of each kind")
	seed := fs.Int64("seed", 1, "of the random numbers")
	vectors := fs.String("vectors", "tests/vectors", "directory of the cases to begin with")
	only := fs.String("only", "", "letters of kinds")
	if err := fs.Parse(args); err != nil || fs.NArg() != 1 {
		return fmt.Errorf("diff takes the program that decodes beside us")
	}
	c, err := newCases(*vectors, *seed)
	if err != nil {
		return err
	}
	o, err := startOther(fs.Arg(0))
	if err != nil {
		return err
	}
	wrong := 0
	for _, k := range kinds {
		if *only != "" && !strings.ContainsRune(*only, rune(k.kind)) {
			continue
		}
		bad, err := compare(c, o, k.kind, k.name, *n)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		wrong += bad
	}
	if unused := unusedDifferences(); *only == "" && len(unused) > 0 {
		return fmt.Errorf("differences that did not show: %s", strings.Join(unused, "; "))
	}
	if wrong > 0 {
		return fmt.Errorf("%d cases were read differently", wrong)
	}
	return nil
}

func compare(c *cases, o *other, kind byte, name string, n int) (wrong int, err error) {
	var taken, differ int
	for i := 0; i < n; i++ {
		var b []byte
		if i < len(c.seeds[kind]) {
			b = c.seeds[kind][i]
		} else {
			b = c.next(kind)
		}
		theirs := verdict(kind, b)
		ours, err := o.verdict(kind, b)
		if err == io.EOF {
			return wrong, fmt.Errorf("our decoder ended on %c %x", kind, b)
		}
		if err != nil {
			return wrong, err
		}
		if theirs != rejected {
			taken++
		}
		if ours == theirs {
			continue
		}
		again := func(b []byte) string {
			said, _ := o.verdict(kind, b)
			return said
		}
		if isKnown(kind, &question{b, theirs, ours, again, c.isSeed}) {
			differ++
			continue
		}
		if wrong++; wrong <= 5 {
			fmt.Printf("%s: case %x\n  text %q\n  Go:   %.1500s\n  ours: %.1500s\n", name, b, b, theirs, ours)
		}
	}
	fmt.Printf("%-26s %6d cases, %5d taken by Go, %4d known differences, %d others\n", name, n, taken, differ, wrong)
	return wrong, nil
}
