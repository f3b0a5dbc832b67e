package rig_test

import (
	"io"
	"net"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// The rig must see what it is there to see: surplus bytes after a request.
func TestProviderSeesSurplus(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent string
		want int
	}{
		"sound": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{\"model\":\"small\"}", 0},
		"twice": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"model\":\"small\"}{\"model\":\"small\"}\r\n\r\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := new(rig.Stack).AddProvider(t, "small-us")
			conn, err := net.DialTimeout("tcp", p.Addr, rig.Patience)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(rig.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, test.sent); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Fatal(err)
			}
			if got := p.Unsound(); got != test.want || p.Served() != 1 || p.Wrong() != 0 {
				t.Errorf("unsound %d, served %d, wrong %d; want %d, 1, 0", got, p.Served(), p.Wrong(), test.want)
			}
		})
	}
}

// A body for another backend is counted.
func TestProviderCountsWrongModels(t *testing.T) {
	t.Parallel()
	p := new(rig.Stack).AddProvider(t, "medium-eu")
	for _, model := range []string{"medium-in-europe", "medium", "large"} {
		_, err := rig.Post(t.Context(), rig.NewClient(t), "http://"+p.Addr, rig.Chat(model, "hi"))
		if err != nil {
			t.Fatal(err)
		}
	}
	if p.Wrong() != 2 || p.Served() != 3 {
		t.Errorf("wrong %d of %d, want 2 of 3", p.Wrong(), p.Served())
	}
}
